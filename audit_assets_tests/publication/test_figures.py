"""Figures as data: what is drawn, in which colour, and the same bytes each time."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba, to_rgba_array
from matplotlib.figure import Figure
from PIL import Image

from audit_assets.publication.drawings import paper_figures as figures


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in [*axes.texts, axes.title]]


def test_real_works_stand_left_of_imitations() -> None:
    asked: list[str] = []

    def load(digest: str) -> Image.Image:
        asked.append(digest)
        return Image.new("L", (600, 400))

    row = figures.GridRow("Ana", ["r0", "r1", "r2"], ["i0", "i1"])
    figure = figures.sample_grid([row, row], load)
    assert asked == ["r0", "r1", "r2", "i0", "i1"] * 2
    shown = figure.axes[0].images
    assert len(shown) == 10
    assert all(max(image.get_size()) <= 192 for image in shown)
    edges = [image.get_extent()[:2] for image in shown[:5]]
    gaps = [later[0] - earlier[1] for earlier, later in pairwise(edges)]
    assert gaps[0] > 0
    np.testing.assert_allclose([gaps[1], gaps[3]], gaps[0])
    assert gaps[2] > 2 * gaps[0]
    left, right, low, high = shown[0].get_extent()
    assert (right - left) / abs(high - low) == pytest.approx(1.5)


def test_every_cell_has_a_frame_and_the_longest_name_ends_before_the_first() -> None:
    row = figures.GridRow(figures.printable("W" * 22, "slug"), ["r"] * 3, ["i"] * 4)
    figure = figures.sample_grid([row], lambda digest: Image.new("RGB", (32, 32)))
    figure.draw_without_rendering()
    axes = figure.axes[0]
    assert len(axes.patches) == 9
    name = next(text for text in axes.texts if text.get_text().startswith("W")).get_window_extent()
    assert 0 <= name.x0 < name.x1 < axes.patches[0].get_window_extent().x0


def test_bars_carry_the_audits_share_and_the_papers() -> None:
    bars = [
        figures.Bar("artists", 0.925, 0.87, 0.97, figures.PAPER_ARTISTS, control=False),
        figures.Bar("random names", 0.0, None, None, figures.PAPER_RANDOM_NAMES),
    ]
    figure = figures.identification_bars(bars, figures.PAPER_CHANCE)
    assert {"92.5 %", "81.0 %", "0.0 %", "8.6 %"} <= set(texts(figure))
    (legend,) = figure.legends
    assert "chance: 1.4 % (paper 1.4 %)" in [text.get_text() for text in legend.get_texts()]


def test_significant_artists_have_a_colour_of_their_own() -> None:
    p_values = pd.Series([0.5, 1e-9, 0.0, 0.02])
    figure = figures.ranked_p_values(p_values, pd.Series([False, True, True, False]), 0.2285)
    axes = figure.axes[0]
    significant, others = axes.collections
    assert [len(np.asarray(points.get_offsets())) for points in (significant, others)] == [2, 2]
    assert to_rgba_array(significant.get_facecolor()).tolist() == [list(to_rgba(figures.OURS))]
    assert "22.9 %" in axes.get_title(loc="left") or "22.8 %" in axes.get_title(loc="left")
    assert "Bonferroni threshold 0.05 / 4 = 0.013" in texts(figure)[0] or "0.012" in texts(figure)[0]
    assert axes.get_yscale() == "log"


def test_figures_without_rows_are_drawn_empty(tmp_path: Path) -> None:
    empty = pd.Series([], dtype=float)
    figures.save(figures.ranked_p_values(empty, empty.astype(bool), None), tmp_path, "p")
    figures.save(figures.identification_bars([], 0.0), tmp_path, "bars")
    figures.save(figures.sample_grid([], lambda digest: Image.new("RGB", (1, 1))), tmp_path, "grid")


def test_the_same_figure_gives_the_same_bytes(tmp_path: Path) -> None:
    def draw(name: str) -> list[bytes]:
        figure = figures.identification_bars([figures.Bar("a", 0.5, 0.4, 0.6)], 0.01)
        return [path.read_bytes() for path in figures.save(figure, tmp_path / name, "bars")]

    first = draw("first")
    assert first == draw("second")
    assert b"<dc:date>" not in first[1]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Zoë O'Hara", "Zoë O'Hara"),
        ("林風眠", "slug"),
        ("🎨", "slug"),
        ("  ", "slug"),
        ("a" * 200, "a" * 22 + "\n" + "a" * 21 + "…"),
    ],
)
def test_a_name_is_cut_or_replaced_where_it_cannot_be_drawn(name: str, shown: str) -> None:
    assert figures.printable(name, "slug") == shown


def test_dollar_signs_start_no_formula(tmp_path: Path) -> None:
    row = figures.GridRow("Price $5^ & $_6", [], [])
    figures.save(figures.sample_grid([row], lambda digest: Image.new("RGB", (1, 1))), tmp_path, "grid")
