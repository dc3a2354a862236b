"""Power against simulation and statsmodels."""

import numpy as np
import pytest
from statsmodels.stats.proportion import power_proportions_2indep

from audit_assets.measurement.corrected_matching import WorksBySubject, own_rank
from audit_assets.measurement.power import (
    accuracy_half_width,
    artists_for_gap,
    artists_for_half_width,
    expected_design_effect,
    gap_power,
    own_rank_power,
    pool_for_own_rank,
    reliability,
)
from audit_assets_tests.measurement.worlds import clustered_counts


def test_the_papers_accuracy_has_the_half_widths_of_the_notes() -> None:
    assert accuracy_half_width(0.81, artists=70, images=10, icc=0.0) == pytest.approx(0.029, abs=0.001)
    assert accuracy_half_width(0.81, artists=70, images=10, icc=0.5) == pytest.approx(0.068, abs=0.001)


def test_the_smallest_number_of_artists_is_the_smallest() -> None:
    n = artists_for_half_width(0.81, half_width=0.05, images=10, icc=0.5)
    assert accuracy_half_width(0.81, artists=n, images=10, icc=0.5) <= 0.05
    assert accuracy_half_width(0.81, artists=n - 1, images=10, icc=0.5) > 0.05
    m = artists_for_gap(0.3, 0.1, images=10, icc=0.5)
    assert gap_power(0.3, 0.1, artists=m, controls=m, images=10, icc=0.5) >= 0.8
    assert gap_power(0.3, 0.1, artists=m - 1, controls=m - 1, images=10, icc=0.5) < 0.8


def test_without_correlation_the_power_is_statsmodels() -> None:
    expected = power_proportions_2indep(0.2, 0.1, 100, alternative="two-sided").power
    # statsmodels takes the pooled variance under the hypothesis for the critical value; the difference is small.
    assert gap_power(0.3, 0.1, artists=100, controls=100, images=1, icc=0.0) == pytest.approx(expected, abs=0.02)


def test_the_power_of_a_gap_is_what_simulated_audits_find() -> None:
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(1500):
        a = clustered_counts(rng, share=0.25, icc=0.4, subjects=40, images=10) / 10
        b = clustered_counts(rng, share=0.10, icc=0.4, subjects=40, images=10) / 10
        z = (a.mean() - b.mean()) / np.sqrt(a.var(ddof=1) / 40 + b.var(ddof=1) / 40)
        found += abs(z) > 1.96
    assert gap_power(0.25, 0.10, artists=40, controls=40, images=10, icc=0.4) == pytest.approx(found / 1500, abs=0.04)


def test_three_of_seventy_need_a_pool_of_467() -> None:
    assert pool_for_own_rank(artists=70, imitated=3) == 467
    assert pool_for_own_rank(artists=70, imitated=70) == 70
    for pool, reached in ((466, False), (467, True)):
        similarity = np.random.default_rng(1).normal(size=(pool, 70))
        similarity[range(3), range(3)] += 100
        assert own_rank(WorksBySubject(similarity, 1, np.full(70, 10))).significant[:3].all() == reached


def test_more_images_and_larger_pools_find_more() -> None:
    found = [
        own_rank_power(
            4.0, artists=70, imitated=10, pool=pool, images=images, icc=0.2, audits=100, rng=np.random.default_rng(2)
        )
        for pool, images in ((110, 10), (500, 10), (500, 50))
    ]
    assert found[0] < found[1] < found[2]
    assert own_rank_power(
        0.0, artists=70, imitated=10, pool=500, images=10, icc=0.5, audits=100, rng=np.random.default_rng(3)
    ) <= 0.01  # fmt: skip


def test_the_reliability_of_a_mean_is_its_squared_correlation_with_the_truth() -> None:
    rng = np.random.default_rng(4)
    truth = rng.normal(size=20000)
    means = np.sqrt(0.3) * truth + np.sqrt(0.7 / 10) * rng.normal(size=20000)
    assert reliability(10, 0.3) == pytest.approx(np.corrcoef(truth, means)[0, 1] ** 2, abs=0.01)
    assert reliability(10, 0.3) == pytest.approx(0.81, abs=0.005)


def test_plans_that_are_none_are_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="ICC of 2"):
        expected_design_effect(10, 2)
    with pytest.raises(ValueError, match="two artists"):
        accuracy_half_width(0.5, artists=1, images=10, icc=0)
    with pytest.raises(ValueError, match="More than a million"):
        artists_for_half_width(0.5, half_width=1e-5, images=1, icc=0)
    with pytest.raises(ValueError, match="no number of artists"):
        artists_for_gap(0.1, 0.1, images=10, icc=0.1)
    with pytest.raises(ValueError, match="1 <= imitated"):
        pool_for_own_rank(artists=70, imitated=0)
    with pytest.raises(ValueError, match="imitated <= artists <= pool"):
        own_rank_power(1.0, artists=70, imitated=10, pool=60, images=10, icc=0.5, audits=10, rng=rng)
    with pytest.raises(ValueError, match="two controls"):
        gap_power(0.1, 0.2, artists=10, controls=1, images=10, icc=0.1)
