"""The perfect imitator of an artist, from tables of works and images: it must pass what the artist must pass."""

import numpy as np
import pandas as pd
import pytest

from audit_assets.measurement.discoveries import filtered_bh
from audit_assets.results.matched import Matched, Works, of_tables
from audit_assets.results.positive_control import Needed, control_rows, imitated_perfectly
from audit_assets.results.verdicts import Matching, _needed, _seen

NAMES, D = 12, 24


def unit(rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def in_copies(copies: int) -> Matched:
    """One artist without others: six works of one hand, the first two in so many copies each. Every name has six images."""
    rng = np.random.default_rng(2)
    members = np.repeat(np.arange(6), [copies, copies, 1, 1, 1, 1])
    hand, pictures = rng.normal(size=D), [rng.integers(0, 255, 768, dtype=np.uint8).tobytes() for _ in range(6)]
    six = unit(3 * hand + rng.normal(size=(6, D)))
    rows = pd.DataFrame(
        {
            "subject": "artist", "work": np.arange(len(members)), "series": None,
            "image_sha256": [f"work {i}" for i in members], "picture": [pictures[i] for i in members],
        }
    )  # fmt: skip
    names = ["artist", *(f"name {i}" for i in range(NAMES))]
    subjects = pd.DataFrame(
        {
            "subject": names, "name": names, "kind": ["artist"] + ["random_name"] * NAMES, "locale": "", "peers": "",
            "shares_name_parts": [None] + [False] * NAMES,
        }
    )  # fmt: skip
    of_image = np.repeat(np.arange(1 + NAMES), 6)
    images = pd.DataFrame(
        {
            "subject": np.repeat(names, 6), "template": 0, "trial": np.tile(np.arange(6), 1 + NAMES), "status": "ok", "copy_of": None,
            "image_sha256": [f"image {i}" for i in range(len(of_image))],
            "picture": [rng.integers(0, 255, 768, dtype=np.uint8).tobytes() for _ in of_image],
            "embedding": list(unit(rng.normal(size=(1 + NAMES, D))[of_image] + rng.normal(size=(len(of_image), D)))),
        }
    )  # fmt: skip
    works = Works(rows, six[members], ["artist"], np.zeros(len(members), dtype=np.int64))
    found = of_tables(works, images, subjects)
    assert found is not None
    return found


def test_copies_count_once_if_the_name_test_decides_without_other_artists() -> None:
    """Two of six works are identified, in twenty copies each: three of the six stand in, so two of three are identified at most."""
    found = in_copies(20)
    known = np.asarray(found.works.rows["image_sha256"].isin(["work 0", "work 1"]), dtype=np.bool_)
    needed = Needed(np.ones(1), np.full((1, 1), 0.8), known[None], np.full(1, 6), np.ones(1, dtype=np.bool_))
    result = imitated_perfectly(found, needed, seed=1, controls=np.arange(1, 1 + NAMES))
    assert (result.independent[0], result.stand_ins[0], result.reason[0]) == (6, 3, "")
    assert result.identified[0, 0] == pytest.approx([1 / 3, 2 / 3][int(result.identified[0, 0] > 0.5)])
    assert result.called[0] == 0


@pytest.mark.parametrize(("fell", "answer", "short"), [(0, "no", (0.0, 0.4)), (6, "yes", (1.0, 0.4))])
def test_an_imitator_must_pass_the_rank_of_the_label_as_the_artist_must(
    fell: int, answer: str, short: tuple[float, float]
) -> None:
    """Every work is identified in the artist's own label set, of which 2 of 10 suffice; in `joint`, 4 of 10 must fall to the label."""
    found = in_copies(1)
    named = pd.DataFrame(
        {"label_set": "criteria", "shown": 10, "needed": 4, "needed_share": 2, "needed_label": 4}, index=["artist"]
    )
    works = pd.DataFrame(
        {
            "label_set": ["criteria"] * 6 + ["joint"] * 6, "subject": "artist", "work": [*range(6), *range(6)],
            "correct": [True] * 6 + [work < fell for work in range(6)],
        }
    )  # fmt: skip
    p = np.full(1, 0.1)
    match = Matching(["name_test"], p, np.zeros(1), p, [""])
    families = {"artist": ([0], filtered_bh(p, np.ones(1, dtype=np.bool_), alpha=0.5))}
    needed = _needed(found, match, families, named, works, pd.DataFrame())
    assert needed.share.tolist() == [[0.2], [0.4]]
    result = imitated_perfectly(found, needed, seed=1, controls=np.arange(1, 1 + NAMES))
    said = _seen(result, needed, 0)
    assert said.answer == answer
    assert f"; 100 % of the works identified, 20 % needed; {100 * short[0]:.0f} % of them fall to" in said.reason
    row = control_rows(found, needed, result).iloc[0]
    assert (row["identified"], row["needed_share"]) == pytest.approx(short)
