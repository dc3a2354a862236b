"""The positive control: artists whom the encoder sees, artists whom it cannot see, and twins."""

import numpy as np
import pytest

from audit_assets.measurement.auditability import discrimination_gap, real_work_accuracy
from audit_assets_tests.measurement.worlds import artists_world, unit


def test_real_works_are_counted_by_artist() -> None:
    rng = np.random.default_rng(0)
    works, who, centres = artists_world(rng, artists=12, each=8, strength=0.6)
    labels = np.vstack([centres, unit(rng.normal(size=(3, 64)))])
    accuracy = real_work_accuracy(works, who, labels, artists=12, logit_scale=100.0)
    right = (works @ labels.T).argmax(axis=1) == who
    assert accuracy.correct.tolist() == [int(right[who == a].sum()) for a in range(12)]
    assert accuracy.works.tolist() == [8] * 12
    assert accuracy.overall.estimate == pytest.approx(right.mean())
    with pytest.raises(ValueError, match="Real work 0 has no artist"):
        real_work_accuracy(works, np.where(who == 0, -1, who), labels, artists=12, logit_scale=100.0)


@pytest.mark.parametrize("corrected", [False, True])
def test_the_gap_equals_a_plain_loop_over_pairs(corrected: bool) -> None:
    rng = np.random.default_rng(1)
    works, who, _ = artists_world(rng, artists=5, each=4)
    gap = discrimination_gap(works, who, artists=5, rng=rng, hubness_corrected=corrected, bootstraps=10)
    rows = works - np.mean([works[who == a].mean(axis=0) for a in range(5)], axis=0) if corrected else works
    similar = rows @ rows.T
    for a in range(5):
        mine = np.flatnonzero(who == a)
        own = np.mean([similar[i, j] for i in mine for j in mine if i != j])
        others = {b: similar[np.ix_(mine, who == b)].mean() for b in range(5) if b != a}
        assert gap.own[a] == pytest.approx(own, abs=1e-12)
        assert gap.other[a] == pytest.approx(max(others.values()), abs=1e-12)
        assert gap.nearest[a] == max(others, key=lambda b: others[b])
        assert gap.gap[a] == pytest.approx(own - max(others.values()), abs=1e-12)


def twins_world(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """40 artists with ten works each; 0 and 1, and 2 and 3, draw their works from one and the same hand."""
    centres = rng.normal(size=(40, 64)) + 0.3
    centres[1], centres[3] = centres[0], centres[2]
    who = np.repeat(np.arange(40), 10)
    return unit(centres[who] + rng.normal(size=(400, 64))), who


@pytest.mark.parametrize("corrected", [False, True])
def test_twins_are_not_auditable_and_everybody_else_is(corrected: bool) -> None:
    rng = np.random.default_rng(2)
    twins, others = [], []
    for _ in range(10):
        works, who = twins_world(rng)
        gap = discrimination_gap(works, who, artists=40, rng=rng, hubness_corrected=corrected, bootstraps=300)
        assert gap.nearest[:4].tolist() == [1, 0, 3, 2]
        twins.append(gap.auditable[:4])
        others.append(gap.auditable[4:])
    assert np.mean(twins) <= 0.05
    assert np.mean(others) == 1.0


@pytest.mark.long
def test_twins_pass_for_auditable_at_most_once_in_forty() -> None:
    rng = np.random.default_rng(3)
    found = []
    for _ in range(250):
        works, who = twins_world(rng)
        found.append(discrimination_gap(works, who, artists=40, rng=rng, bootstraps=300).auditable[:4])
    assert np.mean(found) <= 0.025 + 2 * np.sqrt(0.025 * 0.975 / 1000)


def test_an_encoder_that_sees_nothing_audits_nobody() -> None:
    rng = np.random.default_rng(4)
    who = np.repeat(np.arange(30), 10)
    gap = discrimination_gap(unit(rng.normal(size=(300, 64))), who, artists=30, rng=rng, bootstraps=200)
    assert not gap.auditable.any()


@pytest.mark.parametrize(("own", "nearest", "at_most"), [(2, 2, 0.0), (3, 3, 0.025), (10, 1, 0.06)])
def test_twins_with_few_works_do_not_pass_for_auditable(own: int, nearest: int, at_most: float) -> None:
    # Before three works were asked and a single work was given a spread: 6 % of twins with two works, 23 % with ten and one.
    rng = np.random.default_rng(8)
    who = np.repeat(np.arange(40), np.where(np.arange(40) % 2 == 0, own, nearest))
    found = []
    for _ in range(30):
        centres = np.repeat(rng.normal(size=(20, 24)), 2, axis=0)
        works = unit(centres[who] + 0.8 * rng.normal(size=(len(who), 24)))
        found.append(discrimination_gap(works, who, artists=40, rng=rng, bootstraps=200).auditable[::2])
    assert np.mean(found) <= at_most + 2 * np.sqrt(at_most * (1 - at_most) / 600)


def test_one_work_is_too_few_and_none_is_nobodys_neighbour() -> None:
    rng = np.random.default_rng(5)
    works, who, _ = artists_world(rng, artists=4, each=5)
    kept = (who != 3) & ((who != 2) | (np.arange(20) == 10))
    gap = discrimination_gap(works[kept], who[kept], artists=4, rng=rng, bootstraps=50)
    assert gap.works.tolist() == [5, 5, 1, 0]
    assert np.isnan(gap.gap[2:]).all()
    assert np.isnan(gap.low[2:]).all()
    assert not gap.auditable[2:].any()
    assert gap.nearest[2:].tolist() == [-1, -1]
    assert (gap.nearest[:2] != 3).all()


def test_the_same_seed_gives_the_same_bound() -> None:
    works, who, _ = artists_world(np.random.default_rng(6), artists=4, each=5)
    lows = [
        discrimination_gap(works, who, artists=4, rng=np.random.default_rng(1), bootstraps=50).low for _ in range(2)
    ]
    np.testing.assert_array_equal(lows[0], lows[1])


def test_works_that_cannot_be_told_apart_from_others_are_refused() -> None:
    works, who, _ = artists_world(np.random.default_rng(7), artists=2, each=5)
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="one artist alone"):
        discrimination_gap(works, np.zeros_like(who), artists=2, rng=rng)
    with pytest.raises(ValueError, match="has no artist"):
        discrimination_gap(works, who - 1, artists=2, rng=rng)
    with pytest.raises(ValueError, match="at least two, and a value"):
        discrimination_gap(works, who, artists=2, rng=rng, bootstraps=1)
    works[3] = 0
    with pytest.raises(ValueError, match="reference embedding in row 3"):
        discrimination_gap(works, who, artists=2, rng=rng)
