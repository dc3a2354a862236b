"""Intervals against statsmodels, exact cases, and the coverage that they promise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from audit_assets.measurement.intervals import (
    design_effect,
    exact_binomial,
    intra_subject_correlation,
    wilson_clustered,
)
from audit_assets_tests.measurement.worlds import clustered_counts


def test_with_a_design_effect_of_one_only_the_quantile_differs_from_statsmodels_wilson() -> None:
    # 200 subjects of 10 images, 6 or 7 right: less spread than independent images have, so the effect is taken as 1.
    successes = np.tile([6, 7], 100)
    interval = wilson_clustered(successes, np.full(200, 10))
    alpha = 2 * stats.norm.sf(stats.t.ppf(0.975, 199))
    assert interval.design_effect == 1.0
    np.testing.assert_allclose(
        (interval.low, interval.high), proportion_confint(1300, 2000, alpha=alpha, method="wilson"), atol=1e-12
    )


def test_copies_count_once() -> None:
    # Ten copies of one image an artist: 0.8 of 70 artists. As if 70 images had been made (69/70 for the estimate of spread).
    successes = np.where(np.arange(70) < 56, 10, 0)
    assert design_effect(successes, np.full(70, 10)) == pytest.approx(10 * 70 / 69)
    assert wilson_clustered(successes, np.full(70, 10)).effective_images == pytest.approx(69)


def test_the_papers_accuracy_is_known_to_three_points_at_best() -> None:
    rng = np.random.default_rng(2)
    halves = {}
    for icc in (0.0, 0.5):
        widths = [
            wilson_clustered(clustered_counts(rng, share=0.81, icc=icc, subjects=70, images=10), np.full(70, 10))
            for _ in range(300)
        ]
        halves[icc] = np.mean([(w.high - w.low) / 2 for w in widths])
    assert halves[0.0] == pytest.approx(0.029, abs=0.003)
    assert halves[0.5] == pytest.approx(0.068, abs=0.006)


def test_all_wrong_is_as_sure_as_the_number_of_subjects_allows() -> None:
    interval = wilson_clustered(np.zeros(70), np.full(70, 10))
    assert (interval.low, interval.design_effect) == (0.0, 10.0)
    assert 0.03 < interval.high < 0.06
    assert wilson_clustered(np.full(70, 10), np.full(70, 10)).high == 1.0


@given(st.lists(st.integers(0, 10), min_size=2, max_size=60), st.floats(0.5, 0.999))
def test_an_interval_holds_its_estimate_and_stays_within_zero_and_one(successes: list[int], confidence: float) -> None:
    interval = wilson_clustered(successes, [10] * len(successes), confidence=confidence)
    assert 0 <= interval.low <= interval.estimate <= interval.high <= 1


@given(st.lists(st.integers(0, 10), min_size=2, max_size=60))
def test_success_and_failure_mirror_each_other(successes: list[int]) -> None:
    images = np.full(len(successes), 10)
    right = wilson_clustered(successes, images)
    wrong = wilson_clustered(images - np.array(successes), images)
    np.testing.assert_allclose((right.low, right.high), (1 - wrong.high, 1 - wrong.low), atol=1e-9)


def coverage(rng: np.random.Generator, share: float, icc: float, audits: int) -> float:
    images = np.full(70, 10)
    held = 0
    for _ in range(audits):
        interval = wilson_clustered(clustered_counts(rng, share=share, icc=icc, subjects=70, images=10), images)
        held += interval.low <= share <= interval.high
    return held / audits


def test_the_interval_of_a_paper_sized_audit_covers_the_truth() -> None:
    assert 0.93 <= coverage(np.random.default_rng(3), 0.81, 0.5, 1000) <= 0.97


@pytest.mark.long
@pytest.mark.parametrize("share", [0.3, 0.5, 0.81, 0.9, 0.93])
@pytest.mark.parametrize("icc", [0.0, 0.1, 0.3, 0.5, 0.7])
def test_the_interval_covers_at_every_accuracy_and_correlation(share: float, icc: float) -> None:
    # By 20,000 audits each the coverages are 0.941 to 0.962; 4,000 know each to 0.004.
    assert 0.93 <= coverage(np.random.default_rng(4), share, icc, 4000) <= 0.97


def test_the_exact_interval_equals_statsmodels() -> None:
    for successes, trials in ((0, 70), (6, 70), (69, 70), (70, 70)):
        interval = exact_binomial(successes, trials)
        np.testing.assert_allclose(
            (interval.low, interval.high), proportion_confint(successes, trials, method="beta"), atol=1e-9
        )


def test_impossible_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="Subject 1 has 11 successes in 10 images"):
        wilson_clustered([1, 11], [10, 10])
    with pytest.raises(ValueError, match="Subject 0"):
        wilson_clustered([np.nan, 1], [10, 10])
    with pytest.raises(ValueError, match="needs at least two"):
        wilson_clustered([3, 0], [10, 0])
    with pytest.raises(ValueError, match="one count a subject"):
        wilson_clustered([3, 0], [10])
    with pytest.raises(ValueError, match="impossible"):
        exact_binomial(3, 2)
    with pytest.raises(ValueError, match="confidence"):
        exact_binomial(1, 2, confidence=95)


@pytest.mark.parametrize("icc", [0.0, 0.3, 0.7])
def test_the_intra_subject_correlation_of_normal_values_is_found_and_covered(icc: float) -> None:
    rng = np.random.default_rng(8)
    subject = np.repeat(np.arange(70), 10)
    estimates, held = [], 0
    for _ in range(300):
        values = rng.normal(size=70)[subject] * np.sqrt(icc) + rng.normal(size=700) * np.sqrt(1 - icc)
        found = intra_subject_correlation(values, subject)
        estimates.append(found.estimate)
        held += found.low <= icc <= found.high
    assert np.mean(estimates) == pytest.approx(icc, abs=0.02)
    assert 0.92 <= held / 300 <= 0.98


def test_the_correlation_follows_from_scipys_analysis_of_variance() -> None:
    rng = np.random.default_rng(9)
    subject = np.repeat(np.arange(6), [3, 5, 2, 7, 4, 4])
    values = rng.normal(size=25) + subject
    f = stats.f_oneway(*[values[subject == s] for s in range(6)]).statistic
    sizes = np.bincount(subject)
    size = (25 - (sizes**2).sum() / 25) / 5
    assert intra_subject_correlation(values, subject).estimate == pytest.approx((f - 1) / (f + size - 1))
    embeddings = np.stack([values, values], axis=1)
    assert intra_subject_correlation(embeddings, subject).estimate == pytest.approx((f - 1) / (f + size - 1))


def test_a_correlation_without_repetition_is_refused() -> None:
    with pytest.raises(ValueError, match="needs two of each"):
        intra_subject_correlation([1.0, 2.0], [0, 1])
    with pytest.raises(ValueError, match="NaN"):
        intra_subject_correlation([np.nan, 2.0, 3.0, 4.0], [0, 0, 1, 1])
    assert np.isnan(intra_subject_correlation([1.0, 1.0, 1.0, 1.0], [0, 0, 1, 1]).estimate)
