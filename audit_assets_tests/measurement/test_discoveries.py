"""Who is found and how many: against closed testing by brute force, and the promises in simulated rosters."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from audit_assets.measurement.discoveries import filtered_bh, largest_unrejected, true_discoveries

ALPHA = 0.05
P = st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.01, 0.0125, 0.025, 0.05, 0.05 / 3, 1.0]), st.floats(0, 0.06))


def simes_rejects(p: tuple[float, ...]) -> bool:
    return any(value <= ALPHA * j / len(p) for j, value in enumerate(sorted(p), start=1))


def bound_by_brute_force(p: list[float], among: list[bool]) -> int:
    """Size of S less the largest subset of S whose intersection hypothesis closed testing does not reject."""
    n = len(p)
    sets = [set(c) for size in range(1, n + 1) for c in combinations(range(n), size)]
    local = {frozenset(s): simes_rejects(tuple(p[i] for i in s)) for s in sets}
    chosen = {i for i in range(n) if among[i]}
    unrejected = [
        len(s) for s in sets if s <= chosen and not all(local[frozenset(larger)] for larger in sets if larger >= s)
    ]
    return len(chosen) - max(unrejected, default=0)


@given(st.lists(st.tuples(P, st.booleans()), min_size=1, max_size=6))
def test_the_bound_is_that_of_closed_testing_for_every_set(rows: list[tuple[float, bool]]) -> None:
    p, among = [row[0] for row in rows], [row[1] for row in rows]
    if any(0 < abs(value - ALPHA * j / i) < 1e-9 for value in p for i in range(1, 7) for j in range(1, i + 1)):
        return  # A tie that two orders of multiplication round differently.
    assert true_discoveries(p, among=among) == bound_by_brute_force(p, among)
    assert true_discoveries(p) == len(p) - largest_unrejected(p, alpha=ALPHA)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=12))
def test_at_least_one_artist_is_claimed_if_and_only_if_simes_rejects_that_nobody_is(p: list[float]) -> None:
    assert (true_discoveries(p) > 0) == simes_rejects(tuple(p))


def test_the_bound_exceeds_the_truth_in_one_audit_of_twenty_at_most() -> None:
    rng = np.random.default_rng(0)
    for imitated in (0, 1, 5, 40):
        wrong = 0
        for _ in range(2000):
            p = rng.uniform(size=40)
            p[:imitated] = stats.norm.sf(rng.normal(3.0, 1, size=imitated))
            wrong += true_discoveries(p) > imitated
        assert wrong / 2000 <= ALPHA + 3 * np.sqrt(ALPHA * (1 - ALPHA) / 2000), imitated


def test_an_artist_who_did_not_pass_or_was_not_tested_is_never_counted() -> None:
    p = np.full(6, 1e-6)
    assert true_discoveries(p) == 6
    assert true_discoveries(p, passed=[True, False, True, True, True, False]) == 4
    assert true_discoveries([1e-6, np.nan, 1e-6]) == 2
    assert true_discoveries([], among=np.zeros(0, dtype=bool)) == 0
    assert true_discoveries(p, among=[False] * 6) == 0


def test_artists_who_did_not_pass_count_as_one_and_all_are_adjusted_together() -> None:
    p = np.array([0.001, 0.02, 0.03, 0.5, np.nan, 0.0001])
    passed = np.array([True, True, False, True, True, False])
    found = filtered_bh(p, passed)
    assert found.family == 6
    np.testing.assert_allclose(found.q_value[[0, 1, 3]], stats.false_discovery_control([0.001, 0.02, 0.5, 1, 1, 1])[:3])
    assert np.isnan(found.q_value[[2, 4, 5]]).all()
    assert found.found.tolist() == [True, False, False, False, False, False]
    assert not filtered_bh(p, np.zeros(6, dtype=bool)).found.any()
    assert filtered_bh(p[:1], passed[:1]).q_value[0] == p[0]


@pytest.mark.long
def test_the_list_holds_its_promise_if_passing_and_matching_hang_together_and_a_smaller_family_does_not() -> None:
    """Both experiments look at the same images: an unknown name that passes by chance then matches by the same chance."""
    rng = np.random.default_rng(2)
    rule, smaller = [], []
    for _ in range(2000):
        near = rng.normal(size=70)
        passed = 0.8 * near + 0.6 * rng.normal(size=70) > stats.norm.isf(0.01)
        p = stats.norm.sf(near)
        rule.append(filtered_bh(p, passed).found.any())
        smaller.append(passed.any() and (stats.false_discovery_control(p[passed]) <= ALPHA).any())
    assert np.mean(rule) <= ALPHA + 3 * np.sqrt(ALPHA * (1 - ALPHA) / 2000)
    assert np.mean(smaller) > 0.2


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=8))
def test_the_needed_p_value_is_the_largest_with_which_an_artist_would_be_found(rows: list[tuple[float, bool]]) -> None:
    p, passed = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    needed = filtered_bh(p, passed).needed
    for i in range(len(p)):
        included = passed.copy()
        included[i] = True
        attempt = p.copy()
        for value, expected in ((needed[i] * (1 - 1e-9), True), (min(1, needed[i] * (1 + 1e-6)), False)):
            attempt[i] = value
            assert filtered_bh(attempt, included).found[i] == expected


def test_counting_as_one_keeps_the_share_of_false_and_removing_afterwards_does_not() -> None:
    """Name-only artists pass identification and are not imitated; artists of whom the name says nothing pay for them."""
    rng = np.random.default_rng(1)
    counted, after = [], []
    for _ in range(1000):
        imitated, passed = np.arange(70) < 40, (np.arange(70) < 3) | (np.arange(70) >= 40)
        p = np.where(imitated, stats.norm.sf(rng.normal(4, 1, size=70)), rng.uniform(size=70))
        found = filtered_bh(p, passed).found
        adjusted = (stats.false_discovery_control(p) <= ALPHA) & passed
        counted.append((found & ~imitated).sum() / max(1, found.sum()))
        after.append((adjusted & ~imitated).sum() / max(1, adjusted.sum()))
    assert np.mean(counted) <= ALPHA + 2 * np.std(counted) / np.sqrt(1000)
    assert np.mean(after) > 1.2 * ALPHA


def test_what_is_no_p_value_is_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        filtered_bh([0.5, 1.5], [True, True])
    with pytest.raises(ValueError, match="one bool per p-value"):
        true_discoveries([0.5], among=[True, False])
    with pytest.raises(ValueError, match=r"alpha is 1\.5"):
        true_discoveries([0.5], alpha=1.5)
