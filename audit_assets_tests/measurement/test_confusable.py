"""Artists who paint alike are named, others are not; the figures are those of the discrimination gap."""

import numpy as np
import pytest

from audit_assets.measurement.auditability import discrimination_gap
from audit_assets.measurement.confusable import confusable
from audit_assets_tests.measurement.worlds import artists_world, unit


def test_for_the_nearest_artist_gap_and_bound_are_those_of_the_discrimination_gap() -> None:
    rng = np.random.default_rng(0)
    artist = np.repeat(np.arange(12), rng.integers(3, 9, size=12))
    works = unit(rng.normal(size=(12, 64))[artist] * 0.4 + rng.normal(size=(len(artist), 64)))
    order = rng.permutation(len(artist))
    expected = discrimination_gap(works, artist, artists=12)
    # With a confidence of nearly 1 every artist is confusable with every other, so that all pairs are listed.
    for a, found in enumerate(
        confusable(works[order], artist[order], pool=12, artists=range(12), confidence=1 - 1e-15)
    ):
        assert found.others[0] == expected.nearest[a]
        assert found.gap[0] == pytest.approx(expected.gap[a], abs=1e-12)
    alike = confusable(works[order], artist[order], pool=12, artists=range(12))
    for a, found in enumerate(alike):
        if expected.low[a] <= 0:
            assert found.others[0] == expected.nearest[a]
            assert found.low[0] == pytest.approx(expected.low[a], abs=1e-12)


def test_twins_name_each_other_and_nobody_else_does() -> None:
    rng = np.random.default_rng(1)
    hands = rng.normal(size=(30, 64))
    hands[7] = hands[3]
    artist = np.repeat(np.arange(30), 6)
    works = unit(hands[artist] + rng.normal(size=(180, 64)) * 0.7)
    found = confusable(works, artist, pool=30, artists=np.arange(30))
    assert [f.others.tolist() for f in found] == [[7] if a == 3 else [3] if a == 7 else [] for a in range(30)]
    assert {f.compared for f in found} == {29}


def test_an_encoder_that_sees_no_difference_confuses_nearly_all_and_lists_the_first() -> None:
    rng = np.random.default_rng(2)
    works, artist = unit(rng.normal(size=(600, 64))), np.repeat(np.arange(100), 6)
    found = confusable(works, artist, pool=100, artists=np.arange(100), at_most=5)
    assert np.mean([f.total for f in found]) > 0.97 * 99
    assert {len(f.others) for f in found} == {5}
    assert all((np.diff(f.gap) >= 0).all() for f in found)


def test_artists_with_two_works_are_compared_with_nobody() -> None:
    works, artist, _ = artists_world(np.random.default_rng(3), artists=6, each=4)
    who = artist.copy()
    who[[0, 1, 8, 9, 10, 11]] = [-1, -1, -1, -1, -1, -1]
    found = confusable(works, who, pool=6, artists=[0, 1, 2])
    assert found[0].reason == "The artist has 2 works; 3 are needed. 1 more would settle it."
    assert found[1].compared == 3
    assert found[2].compared == 0
    alone = confusable(works[:4], artist[:4], pool=1, artists=[0])
    assert "No other artist" in alone[0].reason
    nobody = confusable(works[:2], np.array([0, -1]), pool=2, artists=[1])
    assert nobody[0].total == 0
    with pytest.raises(ValueError, match="outside the pool"):
        confusable(works, artist, pool=6, artists=[6])
    with pytest.raises(ValueError, match="confidence"):
        confusable(works, artist, pool=6, artists=[0], confidence=1)
