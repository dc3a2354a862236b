"""The report's three figures (sections 2.1 and 2.2 of the paper), as matplotlib objects and as files.

Drawn with the object API on Agg: no window, no pyplot state, safe in a worker thread. A name is drawn as plain text
(``$`` starts no formula), or as its slug if the font lacks a letter of it.
"""

import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from PIL import Image

from audit_assets.publication.words.measures import IDENTIFIED

PAPER_ARTISTS, PAPER_RANDOM_NAMES, PAPER_CHANCE = 0.810, 6 / 70, 1 / 73
INK, OURS, CONTROL, PAPER = "#1b1b1b", "#0b5394", "#8a5a00", "#9b9b9b"
ALPHA = 0.05
REAL_WORKS, IMITATIONS, GRID_ARTISTS = 3, 6, 8

Load = Callable[[str], Image.Image]


@dataclass(frozen=True)
class GridRow:
    """One artist of the sample grid: the label, and the SHA-256 of each image."""

    label: str
    real_works: Sequence[str]
    imitations: Sequence[str]


@dataclass(frozen=True)
class Bar:
    """A share with its 95 % interval; ``low`` and ``high`` are None if none was computed. ``paper``: the paper's figure."""

    label: str
    share: float
    low: float | None = None
    high: float | None = None
    paper: float | None = None
    control: bool = True


@cache
def _drawable() -> frozenset[int]:
    """Code points that the figures' font has."""
    path = font_manager.findfont(font_manager.FontProperties(family="DejaVu Sans"))
    return frozenset(font_manager.get_font(path).get_charmap())


def printable(name: str, slug: str, width: int = 22, lines: int = 2) -> str:
    """``name`` wrapped for a figure; ``slug`` instead if the font lacks a letter of the name."""
    shown = name if name.strip() and all(ord(letter) in _drawable() for letter in name) else slug
    wrapped = textwrap.wrap(" ".join(shown.split()), width)
    if len(wrapped) <= lines:
        return "\n".join(wrapped)
    return "\n".join([*wrapped[: lines - 1], wrapped[lines - 1][: width - 1] + "…"])


def plain(text: Text) -> Text:
    text.set_parse_math(False)
    return text


@contextmanager
def matplotlib_defaults() -> Iterator[None]:
    """Draw with matplotlib's own defaults, whatever a ``matplotlibrc`` of the operator says: the same results give the same bytes."""
    with mpl.rc_context():
        mpl.rcdefaults()
        yield


def canvas(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def bare(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=INK)


_NAMES, _CELL, _GAP, _TITLE = 1.75, 1.02, 0.2, 0.35
"""Of the sample grid, in inches: width of the names, side of a cell with its margin, gap before the imitations, height of the titles."""


def sample_grid(rows: Sequence[GridRow], load: Load) -> Figure:
    """One row per artist: real works on the left, imitations on the right of a gap.

    ``load`` gives the image of a SHA-256. A cell without an image stays an empty frame. One axes in inches holds all cells, because
    matplotlib takes 40 times as long to lay out one axes per cell.
    """
    columns = [_NAMES + _CELL * i for i in range(REAL_WORKS)]
    columns += [columns[-1] + _CELL + _GAP + _CELL * i for i in range(IMITATIONS)]
    width, height = columns[-1] + _CELL, _TITLE + _CELL * max(1, len(rows))
    figure = Figure(figsize=(width, height), facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
    axes.axis("off")
    for place, row in enumerate(rows):
        top = _TITLE + _CELL * place
        name = axes.text(_NAMES - 0.08, top + _CELL / 2, row.label, ha="right", va="center", fontsize=10, color=INK)
        wide = plain(name).get_window_extent().width / figure.dpi / (_NAMES - 0.16)
        name.set_fontsize(10 / max(1.0, wide))
        shown = [*_filled(row.real_works, REAL_WORKS), *_filled(row.imitations, IMITATIONS)]
        for left, digest in zip(columns, shown, strict=True):
            side = _CELL - 0.08
            if digest is not None:
                _show(axes, load(digest), left, top, side)
            axes.add_patch(Rectangle((left, top), side, side, fill=False, edgecolor="#c8c8c8", linewidth=0.8))
    for left, title in (
        (columns[0], "Real works"), (columns[REAL_WORKS], "Imitations"),
    ):  # fmt: skip
        if rows:
            axes.text(left, _TITLE - 0.08, title, va="bottom", fontsize=11, fontweight="bold", color=INK)
    return figure


def _filled(digests: Sequence[str], length: int) -> list[str | None]:
    return [*digests[:length], *[None] * (length - len(digests))]


def _show(axes: Axes, image: Image.Image, left: float, top: float, side: float) -> None:
    """In the middle of its cell, with its aspect. At most 192 px: a grid of 512 px images would make a page of many megabytes."""
    shown = image.convert("RGB")
    shown.thumbnail((192, 192))
    width, height = (side * length / max(shown.size) for length in shown.size)
    x, y = left + (side - width) / 2, top + (side - height) / 2
    # Small images keep their pixels.
    smooth = "nearest" if max(shown.size) < 100 else "antialiased"
    axes.imshow(np.asarray(shown), interpolation=smooth, extent=(x, x + width, y + height, y), aspect="auto")


def identification_bars(bars: Sequence[Bar], chance: float) -> Figure:
    """Shares of images identified by the encoder, this audit beside the paper, with chance as a line.

    Intervals are 95 %. The paper's figure for random names counts names (6 of 70), not images; the legend says so.
    """
    figure = canvas(9.0, 4.6)
    axes = figure.add_subplot()
    bare(axes)
    places = np.arange(len(bars), dtype=float)
    for place, bar in zip(places, bars, strict=True):
        at = place - 0.2 if bar.paper is not None else place
        axes.bar(at, 100 * bar.share, 0.36, color=CONTROL if bar.control else OURS)
        top = 100 * bar.share
        if bar.low is not None and bar.high is not None:
            below, above = max(0.0, bar.share - bar.low), max(0.0, bar.high - bar.share)
            axes.errorbar(at, top, [[100 * below], [100 * above]], fmt="none", ecolor=INK, capsize=4, lw=1.3)
            top = max(top, 100 * bar.high)
        axes.text(at, top + 1.5, f"{100 * bar.share:.1f} %", ha="center", va="bottom", fontsize=10, color=INK)
        if bar.paper is not None:
            axes.bar(place + 0.2, 100 * bar.paper, 0.36, color=PAPER, hatch="//", edgecolor="white")
            axes.text(
                place + 0.2, 100 * bar.paper + 1.5, f"{100 * bar.paper:.1f} %", ha="center", va="bottom",
                fontsize=10, color=INK,
            )  # fmt: skip
    axes.axhline(
        100 * chance,
        color=INK,
        lw=1.1,
        ls="--",
        label=f"chance: {100 * chance:.1f} % (paper {100 * PAPER_CHANCE:.1f} %)",
    )
    axes.set_xlim(-0.55, len(bars) - 0.45)
    axes.set_ylim(0, 109)
    axes.set_yticks(range(0, 101, 20))
    axes.set_xticks(places, [bar.label for bar in bars], fontsize=10)
    axes.set_ylabel(f"{IDENTIFIED} (%)", color=INK)
    audited = next((bar.label for bar in bars if not bar.control), "artists")
    for colour, label, hatch in (
        (OURS, f"{audited}, this audit", None),
        (CONTROL, "controls, this audit", None),
        (PAPER, "paper (Casper et al. 2023; random names: 6 of 70 names)", "//"),
    ):
        axes.bar([0.0], [0.0], color=colour, hatch=hatch, edgecolor="white", label=label)
    figure.legend(frameon=False, fontsize=9, loc="outside upper left", ncols=2)
    return figure


def ranked_p_values(p_values: pd.Series, significant: pd.Series, reassigned_share: float | None) -> Figure:
    """The paper's matching test: one point per artist, smallest p first, on a log axis, with Bonferroni's threshold.

    ``significant``: booleans beside ``p_values``. An artist without p was not tested and has no point. ``reassigned_share``: the share of artists for whom the same
    test is significant with real works of another artist; None if the control was not run.
    """
    figure = canvas(9.0, 4.6)
    axes = figure.add_subplot()
    bare(axes)
    tiny = float(np.finfo(np.float64).tiny)
    tested = p_values.notna()
    p_values, significant = p_values[tested], significant[tested]
    values = np.clip(p_values.to_numpy(dtype=float), tiny, 1.0)
    order = np.argsort(values, kind="stable")
    values, passed = values[order], significant.to_numpy(dtype=bool)[order]
    rank = np.arange(1, len(values) + 1)
    for chosen, colour, marker, name, label in (
        (passed, OURS, "o", "significant", f"significant: {int(passed.sum())} of {len(values)} artists"),
        (~passed, CONTROL, "X", "not-significant", f"not significant: {int((~passed).sum())}"),
    ):
        points = axes.scatter(rank[chosen], values[chosen], s=26, color=colour, marker=marker, label=label, zorder=3)
        points.set_gid(name)
    threshold = ALPHA / max(1, len(values))
    axes.axhline(threshold, color=INK, lw=1.1, ls="--")
    axes.text(
        0.01, threshold * 1.15, f"Bonferroni threshold {ALPHA:g} / {max(1, len(values))} = {threshold:.2g}", va="bottom",
        ha="left", fontsize=9, color=INK, transform=axes.get_yaxis_transform(),
    )  # fmt: skip
    axes.set_yscale("log")
    axes.set_ylim(top=2.0, bottom=min(float(values.min(initial=1.0)) / 3, threshold / 10))
    axes.set_xlabel("artists, ranked by p", color=INK)
    axes.set_ylabel("p of the rank-sum test (log scale)", color=INK)
    control = "not run" if reassigned_share is None else f"{100 * reassigned_share:.1f} % of artists still significant"
    axes.set_title(f"Control with re-assigned real works: {control}", loc="left", fontsize=11, color=INK)
    figure.legend(frameon=False, fontsize=9, loc="outside lower left", ncols=2)
    return figure


def save(figure: Figure, folder: Path, name: str) -> tuple[Path, Path]:
    """Write ``name.png`` (150 dpi) and ``name.svg``; the same figure gives the same bytes. Returns both paths."""
    folder.mkdir(parents=True, exist_ok=True)
    png, svg = folder / f"{name}.png", folder / f"{name}.svg"
    # Without a fixed salt the identifiers in an SVG are random; without Date=None its metadata contains the time.
    with mpl.rc_context({"svg.hashsalt": "audit_assets", "svg.fonttype": "path"}):
        figure.savefig(png, format="png", dpi=150, metadata={"Software": None})
        figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    return png, svg
