"""The perfect imitator of an artist, from tables of works and images: it must pass what the artist must pass."""

import numpy as np
import pandas as pd
import pytest

from audit_assets.results.matched import Matched, Works, of_tables
from audit_assets.results.positive_control import Needed, imitated_perfectly

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
    needed = Needed(np.ones(1), np.full(1, 0.8), known, np.full(1, 6), np.ones(1, dtype=np.bool_))
    result = imitated_perfectly(found, needed, seed=1, controls=np.arange(1, 1 + NAMES))
    assert (result.independent[0], result.stand_ins[0], result.reason[0]) == (6, 3, "")
    assert result.identified[0] == pytest.approx([1 / 3, 2 / 3][int(result.identified[0] > 0.5)])
    assert result.called[0] == 0
