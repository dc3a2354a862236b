"""The positive control: artists whom the encoder sees, artists whom it cannot see, and twins."""

import numpy as np
import pytest

from audit_assets.measurement.auditability import discrimination_gap
from audit_assets_tests.measurement.worlds import artists_world, unit


def gap_of(a: np.ndarray, b: np.ndarray) -> float:
    """Same less different similarity, pair by pair."""
    same = [np.mean([x[i] @ x[j] for i in range(len(x)) for j in range(len(x)) if i != j]) for x in (a, b)]
    return float(np.mean(same) - np.mean([x @ y for x in a for y in b]))


@pytest.mark.parametrize("corrected", [False, True])
def test_the_gap_equals_a_plain_loop_over_pairs(corrected: bool) -> None:
    rng = np.random.default_rng(1)
    works, who, _ = artists_world(rng, artists=5, each=4)
    gap = discrimination_gap(works, who, artists=5, hubness_corrected=corrected)
    rows = works - np.mean([works[who == a].mean(axis=0) for a in range(5)], axis=0) if corrected else works
    for a in range(5):
        gaps = {b: gap_of(rows[who == a], rows[who == b]) for b in range(5) if b != a}
        assert gap.gap[a] == pytest.approx(min(gaps.values()), abs=1e-12)
        assert gap.nearest[a] == min(gaps, key=lambda b: gaps[b])
        assert gap.gap[a] == pytest.approx(gap.same[a] - gap.different[a], abs=1e-12)


def test_the_bound_equals_a_jackknife_that_leaves_out_one_work_after_another() -> None:
    rng = np.random.default_rng(2)
    a, b = unit(rng.normal(size=(6, 5)) + 1), unit(rng.normal(size=(4, 5)) - 1)
    found = discrimination_gap(np.vstack([a, b]), np.repeat([0, 1], [6, 4]), artists=2, hubness_corrected=False)
    variance = 0.0
    for n, left_out in (
        (6, [gap_of(np.delete(a, i, axis=0), b) for i in range(6)]),
        (4, [gap_of(a, np.delete(b, i, axis=0)) for i in range(4)]),
    ):
        variance += (n - 1) / n * np.sum((np.array(left_out) - np.mean(left_out)) ** 2)
    t_of_three = 3.182446305284263
    assert found.low == pytest.approx([gap_of(a, b) - t_of_three * np.sqrt(variance)] * 2, abs=1e-12)


def test_what_all_works_share_changes_no_gap() -> None:
    rng = np.random.default_rng(3)
    works, who, _ = artists_world(rng, artists=6, each=5)
    corrected, plain = (discrimination_gap(works, who, artists=6, hubness_corrected=c) for c in (True, False))
    np.testing.assert_allclose(corrected.gap, plain.gap, atol=1e-12)
    np.testing.assert_allclose(corrected.low, plain.low, atol=1e-12)


def twins_world(rng: np.random.Generator, each: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """40 artists; 0 and 1, and 2 and 3, draw their works from one and the same hand. Works vary more in some hands."""
    centres = rng.normal(size=(40, 64)) + 0.3
    centres[1], centres[3] = centres[0], centres[2]
    spread = np.repeat(rng.uniform(0.5, 1.5, size=20), 2)
    who = np.repeat(np.arange(40), each)
    return unit(centres[who] + spread[who, None] * rng.normal(size=(len(who), 64))), who


def test_twins_are_not_auditable_and_everybody_else_is() -> None:
    rng = np.random.default_rng(4)
    twins, others = [], []
    for _ in range(10):
        works, who = twins_world(rng)
        gap = discrimination_gap(works, who, artists=40)
        assert gap.nearest[:4].tolist() == [1, 0, 3, 2]
        twins.append(gap.auditable[:4])
        others.append(gap.auditable[4:])
    assert np.mean(twins) <= 0.05
    assert np.mean(others) >= 0.99


@pytest.mark.parametrize("each", [3, 5, 10, 30])
def test_twins_pass_for_auditable_at_most_once_in_forty(each: int) -> None:
    rng = np.random.default_rng(each)
    found = []
    for _ in range(250):
        works, who = twins_world(rng, each)
        found.append(discrimination_gap(works[who < 4], who[who < 4], artists=4).auditable)
    assert np.mean(found) <= 0.025


def test_twins_of_two_subjects_each_do_not_pass_either() -> None:
    """Works of a hand fall into two kinds, as of somebody who paints ships and flowers."""
    rng = np.random.default_rng(6)
    found = []
    for _ in range(400):
        kinds = rng.normal(size=(2, 32))
        works = unit(kinds[rng.integers(0, 2, size=20)] + 0.4 * rng.normal(size=(20, 32)))
        found.append(discrimination_gap(works, np.repeat([0, 1], 10), artists=2).auditable[0])
    assert np.mean(found) <= 0.025 + 2 * np.sqrt(0.025 * 0.975 / 400)


def test_an_encoder_that_sees_nothing_audits_nobody() -> None:
    rng = np.random.default_rng(5)
    who = np.repeat(np.arange(30), 10)
    assert not discrimination_gap(unit(rng.normal(size=(300, 64))), who, artists=30).auditable.any()


def test_an_artist_with_fewer_than_three_works_is_not_audited_and_nobodys_nearest() -> None:
    rng = np.random.default_rng(7)
    works, who, _ = artists_world(rng, artists=4, each=5)
    kept = (who != 3) & ((who != 2) | (np.arange(20) < 12))
    gap = discrimination_gap(works[kept], who[kept], artists=4)
    assert gap.works.tolist() == [5, 5, 2, 0]
    assert np.isnan(gap.gap[2:]).all()
    assert np.isnan(gap.low[2:]).all()
    assert not gap.auditable[2:].any()
    assert gap.nearest.tolist() == [1, 0, -1, -1]


def test_works_that_cannot_be_told_apart_from_others_are_refused() -> None:
    works, who, _ = artists_world(np.random.default_rng(8), artists=2, each=5)
    with pytest.raises(ValueError, match="one artist alone"):
        discrimination_gap(works, np.zeros_like(who), artists=2)
    with pytest.raises(ValueError, match="has no artist"):
        discrimination_gap(works, who - 1, artists=2)
    with pytest.raises(ValueError, match="between 0 and 1"):
        discrimination_gap(works, who, artists=2, confidence=1.0)
    works[3] = 0
    with pytest.raises(ValueError, match="reference embedding in row 3"):
        discrimination_gap(works, who, artists=2)
