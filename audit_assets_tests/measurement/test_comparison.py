"""Two versions compared: against statsmodels, against exact enumeration, and in worlds where nothing changed."""

from itertools import product

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep

from audit_assets.measurement.comparison import newcombe_differences, paired_difference


def test_the_interval_of_a_difference_is_statsmodels_newcombe() -> None:
    rng = np.random.default_rng(0)
    m, n = rng.integers(1, 30, 200), rng.integers(1, 30, 200)
    y, z = rng.binomial(m, 0.7), rng.binomial(n, 0.3)
    found = newcombe_differences(y, m, z, n, margin=0.25)
    for i in range(200):
        low, high = confint_proportions_2indep(z[i], n[i], y[i], m[i], method="newcomb", compare="diff")
        assert (found.low[i], found.high[i]) == pytest.approx((low, high), abs=1e-12)
        table = [[z[i], n[i] - z[i]], [y[i], m[i] - y[i]]]
        assert found.p_value[i] == pytest.approx(stats.fisher_exact(np.array(table)).pvalue, abs=1e-12)


def test_an_artist_changed_only_where_even_the_nearer_bound_is_beyond_the_margin() -> None:
    before, after = [10, 10, 10, 0, 5, 10], [0, 2, 5, 10, 5, 10]
    found = newcombe_differences(before, [10] * 6, after, [10] * 6, margin=0.25)
    assert found.changed.tolist() == [True, True, False, True, False, False]
    absent = newcombe_differences([3, 0], [10, 0], [3, 3], [10, 10], margin=0.25)
    assert np.isnan(absent.difference).tolist() == [False, True]
    assert not absent.changed.any()


def test_the_permutation_test_is_exact_up_to_its_draws() -> None:
    rng = np.random.default_rng(1)
    before = rng.normal(size=10)
    after = before + rng.normal(0.4, 1, size=10)
    d = after - before
    exact = np.mean([abs(np.dot(s, d)) >= abs(d.sum()) - 1e-12 for s in product([-1, 1], repeat=10)])
    found = paired_difference(before, after, permutations=40_000, rng=rng)
    assert found.p_value == pytest.approx(exact, abs=3 * np.sqrt(exact * (1 - exact) / 40_000) + 1e-4)
    interval = stats.ttest_rel(after, before).confidence_interval()
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), abs=1e-12)


def test_where_nothing_changed_the_test_keeps_its_level_and_p_is_never_zero() -> None:
    rng = np.random.default_rng(2)
    rejected = 0
    for _ in range(600):
        x = rng.uniform(size=20)
        found = paired_difference(x + rng.normal(0, 0.1, 20), x + rng.normal(0, 0.1, 20), permutations=199, rng=rng)
        rejected += found.p_value <= 0.05
    assert rejected / 600 <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 600)
    sure = paired_difference(np.zeros(70), np.ones(70), permutations=99, rng=rng)
    assert sure.p_value == sure.p_floor == 0.01


def test_impossible_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="more images identified"):
        newcombe_differences([11], [10], [0], [10], margin=0.25)
    with pytest.raises(ValueError, match="margin"):
        newcombe_differences([1], [10], [0], [10], margin=1.0)
    with pytest.raises(ValueError, match="needs two"):
        paired_difference([0.1, np.nan], [0.1, 0.2], permutations=9, rng=np.random.default_rng(0))
