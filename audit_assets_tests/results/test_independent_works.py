"""Works that are not independent count once in what the encoder tells apart."""

from pathlib import Path

import numpy as np
import pandas as pd

from audit_assets.config import Protocol
from audit_assets.results.auditability import AUDITABILITY, confusable_rows
from audit_assets.results.matched import Works, independent_works
from audit_assets_tests.evidence.forging import workspace_of

SUBJECTS = pd.DataFrame({"subject": ["a", "b"], "kind": ["artist", "artist"]})


def of_one_hand(seed: int, copies: int, series: str | None = None) -> Works:
    """Two artists who paint alike, six works each; each work lies there in several near-identical files."""
    rng = np.random.default_rng(seed)
    hand = rng.normal(size=64)
    works = np.repeat(hand + rng.normal(size=(12, 64)), copies, axis=0) + 1e-4 * rng.normal(size=(12 * copies, 64))
    pictures = np.repeat(rng.integers(0, 255, (12, 64), dtype=np.uint8), copies, axis=0)
    artist = np.repeat([0, 1], 6 * copies)
    rows = pd.DataFrame(
        {
            "subject": np.array(["a", "b"])[artist],
            "work": np.tile(np.arange(6 * copies), 2),
            "image_sha256": [f"{n:064x}" for n in range(12 * copies)],
            "picture": [p.tobytes() for p in pictures],
            "series": series,
        }
    )
    return Works(rows, (works / np.linalg.norm(works, axis=1, keepdims=True)).astype(np.float32), ["a", "b"], artist)


def listed(works: Works) -> bool:
    protocol = Protocol(name="p", templates=("Artwork from {name}",))
    return len(confusable_rows(independent_works(works), works.pool, SUBJECTS, protocol=protocol, encoder="e")) == 2


def test_near_identical_works_are_one_vector() -> None:
    vectors, artist = independent_works(of_one_hand(0, copies=5))
    assert artist.tolist() == [0] * 6 + [1] * 6
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1)


def test_two_artists_of_one_hand_are_confusable_however_often_each_work_lies_there() -> None:
    for seed in range(20):
        assert listed(of_one_hand(seed, copies=1)) == listed(of_one_hand(seed, copies=5))
    assert sum(listed(of_one_hand(seed, copies=5)) for seed in range(20)) > 15


def test_a_series_is_one_work() -> None:
    _, artist = independent_works(of_one_hand(0, copies=1, series="Views of one hill"))
    assert artist.tolist() == [0, 1]


def test_what_is_told_apart_is_made_again_if_a_declared_series_changes(audited: Path) -> None:
    """The table of works has the series, and the embeddings do not follow it."""
    ws = workspace_of(audited)
    assert {f"reference_works/{s}" for s in ws.referenced()} <= set(AUDITABILITY.sources(ws, ""))
