"""Versions: attributable movement, exact by brute force, at its level under a common shift, silent where nothing can be known."""

from itertools import combinations
from math import comb

import numpy as np
import pytest
from scipy import stats

from audit_assets.measurement.vectors import BoolArray, FloatArray
from audit_assets.measurement.versions import (
    beyond_retraining,
    difference_in_differences,
    log_odds_differences,
    smallest_p,
    too_few,
    trend,
    version_shares,
)


def moved(
    rng: np.random.Generator, *, group: int, others: int, effect: float, shift: float, movement: float = 0.1
) -> tuple[FloatArray, BoolArray]:
    """Differences of artists with ten images in each version; the group loses ``effect``, everyone moves by ``shift``."""
    chosen = np.arange(group + others) < group
    before = rng.uniform(0.3, 0.8, size=len(chosen))
    later = np.clip(before + shift + movement * rng.normal(size=len(chosen)) - effect * chosen, 0, 1)
    return rng.binomial(10, later) / 10 - rng.binomial(10, before) / 10, chosen


def test_shares_are_means_over_artists_and_the_interval_is_students() -> None:
    found = version_shares([10, 0, 3], [10, 10, 5], [5, 1, 40], [10, 10, 50], margin=0.1)
    before, after = np.array([1.0, 0.0, 0.6]), np.array([0.5, 0.1, 0.8])
    expected = stats.ttest_rel(after, before).confidence_interval(0.95)
    assert (found.before, found.after) == (pytest.approx(before.mean()), pytest.approx(after.mean()))
    assert (found.low, found.high) == (pytest.approx(expected.low), pytest.approx(expected.high))
    assert found.low_audited < found.difference < found.high_audited


def test_artists_without_images_in_both_versions_are_left_out() -> None:
    found = version_shares([10, 0, 3, 2], [10, 10, 5, 0 + 2], [5, 1, 4, 0], [10, 10, 5, 0], margin=0.1)
    assert found.subjects == 3
    with pytest.raises(ValueError, match="needs two"):
        version_shares([1, 0], [1, 0], [1, 1], [1, 1], margin=0.1)
    with pytest.raises(ValueError, match="more images identified"):
        version_shares([2, 0], [1, 1], [1, 1], [1, 1], margin=0.1)
    with pytest.raises(ValueError, match="margin"):
        version_shares([1, 0], [1, 1], [1, 1], [1, 1], margin=0.0)


@pytest.mark.parametrize("kind", ["all a little", "few whole"])
def test_equivalence_at_its_margin_is_passed_in_one_of_twenty_at_most(kind: str) -> None:
    rng, audits, passed, n, margin = np.random.default_rng(3), 1500, 0, 70, 0.05
    for _ in range(audits):
        before = np.full(n, 0.9)
        later = before - margin
        if kind == "few whole":
            later = before.copy()
            later[: int(n * margin / 0.7)] = 0.2  # the rest of the margin falls on one more artist
            later[int(n * margin / 0.7)] -= n * margin - 0.7 * int(n * margin / 0.7)
        draws = (rng.binomial(10, p).astype(float) for p in (before, later))
        y, later_y = draws
        passed += version_shares(y, np.full(n, 10), later_y, np.full(n, 10), margin=margin).equivalent
    assert passed / audits <= 0.05 + 2.5 * np.sqrt(0.05 * 0.95 / audits)


def test_versions_that_do_not_differ_are_found_equivalent() -> None:
    same = np.array([9] * 60 + [1] * 10)
    assert version_shares(same, np.full(70, 10), same, np.full(70, 10), margin=0.05).equivalent


def test_a_small_group_is_compared_in_every_way_to_choose_it() -> None:
    d = np.array([-0.8, -0.6, 0.1, 0.0, -0.2, 0.2, 0.05])
    group = np.array([True, True, False, False, False, False, False])
    found = difference_in_differences(d, group, rng=np.random.default_rng(0))
    own = abs(d[:2].mean() - d[2:].mean())
    ways = [abs(d[list(c)].mean() - np.delete(d, list(c)).mean()) for c in combinations(range(7), 2)]
    assert found.exact
    assert found.p_value == np.mean(np.array(ways) >= own - 1e-12)
    assert found.p_floor == 1 / 21
    assert found.difference == pytest.approx(-0.73)


def test_welchs_statistic_and_interval_are_scipys() -> None:
    d, group = moved(np.random.default_rng(1), group=6, others=9, effect=0.3, shift=0.1)
    found = difference_in_differences(d, group, rng=np.random.default_rng(0))
    t = stats.ttest_ind(d[group], d[~group], equal_var=False)
    interval = t.confidence_interval(0.95)
    assert (found.low, found.high) == (pytest.approx(interval.low), pytest.approx(interval.high))
    chosen = np.array(list(combinations(range(15), 6)))
    left = np.array([np.setdiff1d(np.arange(15), c) for c in chosen])
    permuted = abs(stats.ttest_ind(d[chosen], d[left], axis=1, equal_var=False).statistic)
    assert comb(15, 6) == len(permuted)
    assert found.p_value == pytest.approx(np.mean(permuted >= abs(t.statistic) - 1e-9))


def test_the_group_that_opted_out_is_found_and_a_shift_of_everyone_is_not() -> None:
    rng = np.random.default_rng(5)
    d, group = moved(rng, group=10, others=60, effect=0.4, shift=-0.1)
    found = difference_in_differences(d, group, permutations=999, rng=rng)
    assert not found.exact
    assert found.p_value == found.p_floor == 1 / 1000
    assert found.low < -0.3 < found.high < 0
    level = np.mean(
        [
            difference_in_differences(
                *moved(rng, group=10, others=60, effect=0.0, shift=0.1 * rng.normal()), permutations=199, rng=rng
            ).p_value
            <= 0.05
            for _ in range(500)
        ]
    )
    assert level <= 0.05 + 2.5 * np.sqrt(0.05 * 0.95 / 500)


def test_a_group_that_cannot_reach_five_per_cent_was_not_tested() -> None:
    d, group = np.array([-0.9, 0.0, 0.1, 0.0]), np.array([True, False, False, False])
    found = difference_in_differences(d, group, rng=np.random.default_rng(0))
    assert np.isnan(found.p_value)
    assert found.reason == "1 of 4 artists can be chosen in 4 ways, so p cannot be below 0.25."
    assert found.settle == "16 more artists who did not opt out."
    nobody = difference_in_differences(d, np.zeros(4, dtype=bool), rng=np.random.default_rng(0))
    assert "declared group" in nobody.reason
    with pytest.raises(ValueError, match="one bool per artist"):
        difference_in_differences(d, np.zeros(4), rng=np.random.default_rng(0))


@pytest.mark.parametrize(
    ("group", "others", "smallest"),
    [(3, 3, 2 / 20), (1, 19, 1 / 20), (1, 1, 1.0), (4, 4, 2 / 70), (6, 6, 2 / 924), (2, 5, 1 / 21)],
)
def test_the_smallest_p_is_that_of_a_group_apart_from_all_others(group: int, others: int, smallest: float) -> None:
    d = np.concatenate([-0.9 - 0.001 * np.arange(group), 0.001 * np.arange(others)])
    found = difference_in_differences(d, np.arange(len(d)) < group, rng=np.random.default_rng(0), alpha=1.0)
    assert found.p_value == found.p_floor == pytest.approx(smallest)
    assert smallest_p(group, others) == found.p_floor


@pytest.mark.parametrize(
    ("here", "there", "group", "others"), [(10, 0, 7, 8), (10, 2, 5, 10), (9, 1, 6, 6), (7, 3, 4, 9)]
)
def test_a_group_that_moves_as_one_reaches_itself(here: int, there: int, group: int, others: int) -> None:
    """Neither group varies, so the variance of Welch's statistic is rounding alone."""
    log_odds = lambda count: np.log((count + 0.5) / (10 - count + 0.5))  # noqa: E731
    for moved_by in (log_odds(there) - log_odds(here), there / 10 - here / 10):
        d = np.r_[np.full(group, moved_by), np.zeros(others)]
        found = difference_in_differences(d, np.arange(len(d)) < group, rng=np.random.default_rng(0))
        assert found.p_value == pytest.approx(found.p_floor)


def test_three_of_six_cannot_be_tested_at_five_per_cent_and_one_of_twenty_can() -> None:
    halves = difference_in_differences(
        [-0.9, -0.8, -0.7, 0.0, 0.1, 0.2], np.arange(6) < 3, rng=np.random.default_rng(0)
    )
    assert np.isnan(halves.p_value)
    assert "in 20 ways, and the others differ" in halves.reason
    assert halves.settle == "1 more artist who did not opt out."
    one = difference_in_differences(
        np.append(-0.9, 0.001 * np.arange(19)), np.arange(20) < 1, rng=np.random.default_rng(0)
    )
    assert (one.p_value, one.reason) == (0.05, "")


def test_a_level_below_every_permutation_is_named() -> None:
    assert too_few(10, 60, alpha=1e-5) == (
        "9,999 permutations are drawn, so p cannot be below 0.0001.",
        "A level of 0.0001 or more.",
    )


def test_a_common_shift_in_log_odds_seldom_looks_like_an_effect_on_famous_artists_in_both_scales() -> None:
    rng, group, audits, found = np.random.default_rng(8), np.arange(50) < 10, 300, 0
    ten = np.full(50, 10)
    for _ in range(audits):
        odds = np.where(group, 2.0, -1.0) + rng.normal(size=50)
        y = rng.binomial(10, 1 / (1 + np.exp(-odds)))
        later = rng.binomial(10, 1 / (1 + np.exp(1.0 - odds - 0.5 * rng.normal(size=50))))
        both = (later / 10 - y / 10, log_odds_differences(y, ten, later, ten))
        found += max(difference_in_differences(d, group, permutations=199, rng=rng).p_value for d in both) <= 0.05
    assert found / audits <= 0.05 + 2.5 * np.sqrt(0.05 * 0.95 / audits)


def test_log_odds_are_those_of_haldane() -> None:
    found = log_odds_differences([5, 0, 0], [10, 10, 0], [10, 0, 3], [10, 10, 10])
    np.testing.assert_allclose(found, [np.log(10.5 / 0.5), 0.0, np.nan])
    with pytest.raises(ValueError, match="more images identified"):
        log_odds_differences([5], [4], [1], [1])


def test_versions_without_any_movement_give_p_one() -> None:
    found = difference_in_differences(np.zeros(40), np.arange(40) < 8, permutations=99, rng=np.random.default_rng(0))
    assert (found.p_value, found.difference) == (1.0, 0.0)


def test_movement_beyond_retraining_is_a_rank_among_the_movements_of_a_retrained_pair() -> None:
    p = beyond_retraining([-0.9, 0.1, 0.0, np.nan], [0.1, -0.2, 0.3, np.nan])
    np.testing.assert_array_equal(p, [1 / 4, 1.0, 1.0, np.nan])
    rng = np.random.default_rng(2)
    null, same = rng.normal(size=400), rng.normal(size=4000)
    assert np.mean(beyond_retraining(same, null) <= 0.05) <= 0.08
    with pytest.raises(ValueError, match="retrained pair"):
        beyond_retraining([0.1], [np.nan])


@pytest.mark.parametrize("kind", ["each run by itself", "each run from the one before"])
def test_a_common_random_shift_is_no_trend(kind: str) -> None:
    rng, found, audits = np.random.default_rng(4), 0, 1000
    for _ in range(audits):
        shift = rng.normal(size=8) * 0.1
        if kind == "each run from the one before":
            shift = np.cumsum(shift)
        found += trend(0.5 + shift[:, None] + 0.05 * rng.normal(size=(8, 40))).p_value <= 0.05
    assert found / audits <= 0.05 + 2.5 * np.sqrt(0.05 * 0.95 / audits)


def test_a_steady_drift_over_eight_versions_is_a_trend_and_six_cannot_tell() -> None:
    scores = np.linspace(0.2, 0.9, 8)[:, None] + np.zeros((8, 5))
    found = trend(scores)
    assert (found.slope, found.p_value) == (pytest.approx(0.1), 2 / 2**7)
    few = trend(scores[:6])
    assert np.isnan(few.p_value)
    assert (few.slope, few.settle) == (pytest.approx(0.1), "1 more versions.")
    with pytest.raises(ValueError, match="two versions"):
        trend(scores[:1])
