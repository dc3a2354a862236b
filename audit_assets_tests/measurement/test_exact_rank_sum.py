"""The exact rank-sum test against enumeration, big integers and scipy."""

from itertools import combinations
from math import comb
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from audit_assets.measurement import exact_rank_sum
from audit_assets.measurement.exact_rank_sum import mann_whitney_counts, rank_sum_exact, rank_sum_exact_table
from audit_assets.measurement.matching import Alternative, rank_sums, reassigned

ALTERNATIVES: list[tuple[Alternative, Any]] = [("two_sided", "two-sided"), ("closer", "less")]


@pytest.mark.parametrize(("n1", "n2"), [(1, 1), (1, 6), (3, 4), (4, 3), (5, 5)])
def test_the_counts_equal_an_enumeration_of_all_orders(n1: int, n2: int) -> None:
    found = [0] * (n1 * n2 + 1)
    for own in combinations(range(n1 + n2), n1):
        found[sum(own) - n1 * (n1 - 1) // 2] += 1
    assert list(mann_whitney_counts(n1, n2)) == found[: n1 * n2 // 2 + 1]


def counts_by_recursion(n1: int, n2: int) -> list[int]:
    """Mann and Whitney's (1947) recursion N(u; a, b) = N(u - b; a - 1, b) + N(u; a, b - 1), in Python's integers."""
    rows = [[1] + [0] * (n1 * n2)] + [[1] + [0] * (n1 * n2) for _ in range(n1)]
    for b in range(1, n2 + 1):
        for a in range(1, n1 + 1):
            below = rows[a - 1]
            rows[a] = [count + (below[u - b] if u >= b else 0) for u, count in enumerate(rows[a])]
    return rows[n1]


@pytest.mark.parametrize(("n1", "n2"), [(10, 90), (7, 40)])
@pytest.mark.parametrize("alternative", ["two_sided", "closer"])
def test_every_p_value_equals_big_integer_arithmetic(n1: int, n2: int, alternative: Alternative) -> None:
    counts = counts_by_recursion(n1, n2)
    assert sum(counts) == comb(n1 + n2, n1)
    rng = np.random.default_rng(0)
    distances = rng.random((200, n1 + n2)) + np.where(np.arange(n1 + n2) < n1, rng.normal(size=(200, 1)), 0)
    own = np.broadcast_to(np.arange(n1 + n2) < n1, distances.shape)
    result = rank_sum_exact(distances, own, alternative=alternative)
    for u, p in zip(result.statistic.astype(int), result.p_value, strict=True):
        closer, farther = sum(counts[: u + 1]), sum(counts[u:])
        exact = min(closer, farther) * 2 if alternative == "two_sided" else closer
        assert p == pytest.approx(min(1.0, exact / sum(counts)), rel=1e-12)


@pytest.mark.parametrize(("ours", "theirs"), ALTERNATIVES)
def test_p_values_equal_scipys_exact_test(ours: Alternative, theirs: Any) -> None:
    distances = np.random.default_rng(1).random((20, 60))
    own = np.broadcast_to(np.arange(60) < 6, distances.shape)
    result = rank_sum_exact(distances, own, alternative=ours)
    for row in range(20):
        expected = stats.mannwhitneyu(distances[row, :6], distances[row, 6:], alternative=theirs, method="exact")
        assert result.p_value[row] == pytest.approx(expected.pvalue, abs=1e-12)
        assert result.statistic[row] == expected.statistic


def test_the_paper_sized_floor_is_one_order_in_all() -> None:
    distances = np.arange(700.0)[None]
    one = rank_sum_exact(distances, distances < 10, alternative="closer")
    two = rank_sum_exact(distances, distances < 10, alternative="two_sided")
    assert one.p_value[0] == one.p_floor[0] == 1 / comb(700, 10)
    assert two.p_value[0] == two.p_floor[0] == 2 / comb(700, 10)


@given(st.lists(st.integers(0, 6), min_size=8, max_size=8))
def test_ties_make_the_p_value_no_smaller_than_any_way_to_break_them(values: list[int]) -> None:
    distances = np.array([values], dtype=float)
    own = np.array([[True] * 3 + [False] * 5])
    for alternative in ("closer", "two_sided"):
        with_ties = rank_sum_exact(distances, own, alternative=alternative).p_value[0]
        for sign in (-1, 1):
            broken = distances + sign * 1e-6 * own
            assert with_ties >= rank_sum_exact(broken, own, alternative=alternative).p_value[0] - 1e-12


def test_ties_within_one_side_change_nothing() -> None:
    own = np.array([[True, True, False, False, False]])
    tied = rank_sum_exact([[1.0, 1.0, 2.0, 2.0, 3.0]], own, alternative="closer")
    apart = rank_sum_exact([[1.0, 1.1, 2.0, 2.1, 3.0]], own, alternative="closer")
    assert tied.p_value[0] == apart.p_value[0] == 1 / comb(5, 2)


def test_all_ties_say_nothing_exactly() -> None:
    own = np.array([[True, True, False, False, False]])
    for alternative in ("closer", "two_sided"):
        assert rank_sum_exact(np.ones((1, 5)), own, alternative=alternative).p_value[0] == 1.0


def test_the_table_is_the_test_of_every_pair_and_feeds_the_control() -> None:
    rng = np.random.default_rng(2)
    distances = rng.random((4, 24)).round(1)
    who = np.repeat(np.arange(4), 6)
    table = rank_sum_exact_table(rank_sums(distances, who, 4), alternative="two_sided")
    for subject in range(4):
        own = np.broadcast_to(who == subject, distances.shape)
        single = rank_sum_exact(distances, own, alternative="two_sided")
        np.testing.assert_array_equal(table.ranks.p_value[:, subject], single.p_value)
        np.testing.assert_array_equal(table.ranks.auc[:, subject], single.auc)
    control = reassigned(table, assignments=10, rng=rng, fixed_points=False)
    assert control.share_significant.shape == (4,)


def test_a_subject_without_images_has_no_exact_test() -> None:
    table = rank_sum_exact_table(
        rank_sums(np.random.default_rng(0).random((2, 4)), [0, 0, 0, -1], 2), alternative="closer"
    )
    assert np.isnan(table.ranks.p_value[:, 1]).all()
    assert table.images.tolist() == [3, 0]


def test_the_exact_test_refuses_what_has_no_ranks() -> None:
    with pytest.raises(ValueError, match="row 1 hold NaN"):
        rank_sum_exact([[0.0, 1.0], [np.nan, 1.0]], np.array([[True, False]] * 2), alternative="closer")
    with pytest.raises(ValueError, match="at least one observation"):
        mann_whitney_counts(0, 5)


def test_counts_beyond_every_float_are_divided_as_integers(monkeypatch: pytest.MonkeyPatch) -> None:
    floats = exact_rank_sum._cumulative(8, 90).copy()
    exact_rank_sum._cumulative.cache_clear()
    monkeypatch.setattr(exact_rank_sum, "FLOAT_BITS", 10)
    np.testing.assert_allclose(exact_rank_sum._cumulative(8, 90), floats, rtol=1e-15)
    exact_rank_sum._cumulative.cache_clear()
