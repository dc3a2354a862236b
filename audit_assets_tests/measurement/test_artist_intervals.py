"""Intervals in which each artist counts once hold the truth where pooled ones do not."""

import numpy as np
import pytest
from scipy import stats

from audit_assets.measurement.artist_intervals import (
    Interval,
    accuracy_by_school,
    artist_mean,
    gap_of_artists,
    ratio_to_real_works,
)
from audit_assets.measurement.intervals import wilson_clustered, wilson_interval
from audit_assets.measurement.vectors import FloatArray, IntArray
from audit_assets_tests.measurement.worlds import clustered_counts


def test_with_equal_images_the_mean_of_artists_has_the_variance_of_the_clustered_share() -> None:
    y = np.array([0, 10, 7, 2, 5, 9, 1])
    found, clustered = artist_mean(y, np.full(7, 10)), wilson_clustered(y, np.full(7, 10))
    assert (found.estimate, found.low, found.high) == pytest.approx((clustered.estimate, clustered.low, clustered.high))


def test_an_artist_with_many_images_counts_once() -> None:
    assert artist_mean([400, 1, 1], [400, 10, 10]).estimate == pytest.approx(0.4)


def test_equal_shares_are_taken_as_one_observation_per_artist() -> None:
    found = artist_mean([0, 0, 0, 0], [10, 10, 10, 10])
    assert (found.low, found.high) == wilson_interval(0.0, 4, float(stats.t.ppf(0.975, 3)))


def famous(rng: np.random.Generator, artists: int) -> tuple[IntArray, IntArray, IntArray]:
    """Ten images, and works: artists who are recognised have eight times as many. Means over artists: 0.35 and 0.7."""
    ease = rng.normal(size=artists)
    known = stats.norm.cdf(stats.norm.ppf(0.7) * np.sqrt(2) + ease)
    made = stats.norm.cdf(stats.norm.ppf(0.35) * np.sqrt(2) + 0.7 * ease + np.sqrt(0.51) * rng.normal(size=artists))
    works = np.where(known > 0.7, 40, 5)
    return rng.binomial(10, made), rng.binomial(works, known), works


@pytest.mark.parametrize("artists", [6, 25, 70])
def test_the_ratio_to_real_works_holds_the_truth_if_famous_artists_have_more_works(artists: int) -> None:
    rng, held, audits = np.random.default_rng(artists), 0, 600
    for _ in range(audits):
        made, known, works = famous(rng, artists)
        found = ratio_to_real_works(made, np.full(artists, 10), known, works)
        held += found.low <= 0.5 and not found.high < 0.5
    assert 0.92 <= held / audits <= 0.985


@pytest.mark.parametrize(
    ("artists", "names", "share", "control"), [(5, 70, 0.5, 0.02), (8, 10, 0.8, 0.05), (25, 199, 0.5, 0.05)]
)
def test_the_gap_holds_the_truth_with_few_artists(artists: int, names: int, share: float, control: float) -> None:
    rng, held, audits = np.random.default_rng(artists), 0, 800
    for _ in range(audits):
        a = clustered_counts(rng, share=share, icc=0.5, subjects=artists, images=10)
        b = clustered_counts(rng, share=control, icc=0.5, subjects=names, images=10)
        found = gap_of_artists(a, np.full(artists, 10), b, np.full(names, 10))
        held += found.low <= share - control <= found.high
    assert 0.93 <= held / audits <= 0.985


def schools(rng: np.random.Generator, sizes: list[int]) -> tuple[IntArray, IntArray]:
    school = np.repeat(np.arange(len(sizes)), sizes)
    pull: FloatArray = rng.normal(size=len(sizes))[school] + rng.normal(size=len(school))
    return rng.binomial(10, stats.norm.cdf(stats.norm.ppf(0.8) * np.sqrt(1.6) + np.sqrt(0.3) * pull)), school


@pytest.mark.parametrize("sizes", [[7] * 10, [30, 20, 10, 5, 5], [20, 10, 8, 6, 5, 5, 4, 4, 3, 2, 2, 1]])
def test_accuracy_over_schools_holds_the_truth_and_over_artists_it_does_not(sizes: list[int]) -> None:
    rng, over_schools, over_artists, audits = np.random.default_rng(len(sizes)), 0, 0, 600
    for _ in range(audits):
        y, school = schools(rng, sizes)
        found, plain = accuracy_by_school(y, np.full(70, 10), school), wilson_clustered(y, np.full(70, 10))
        over_schools += found.low <= 0.8 <= found.high
        over_artists += plain.low <= 0.8 <= plain.high
    assert 0.92 <= over_schools / audits <= 0.985
    assert over_artists / audits < 0.8


def test_artists_without_a_school_are_schools_of_their_own() -> None:
    y, m = np.array([0, 10, 7, 2, 5, 9, 1]), np.full(7, 10)
    found = accuracy_by_school(y, m, [None, np.nan, "", "x", "y", "z", None])
    clustered = wilson_clustered(y, m)
    assert (found.subjects, found.controls) == (7, 7)
    assert (found.low, found.high) == pytest.approx((clustered.low, clustered.high), abs=0.02)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (gap_of_artists([5], [10], [0, 0], [10, 10]), "1 artist"),
        (gap_of_artists([5, 5], [10, 10], [0, 0], [10, 0]), "1 control name"),
        (ratio_to_real_works([5, 5], [10, 10], [1, 0], [2, 0]), "1 artist"),
        (ratio_to_real_works([5, 5], [10, 10], [0, 0], [2, 2]), "recognises no artist"),
        (accuracy_by_school([5, 6], [10, 10], ["a", "b"]), "2 school"),
        (accuracy_by_school([0], [0], ["a"]), "No artist"),
    ],
)
def test_what_cannot_be_known_has_a_reason_and_a_remedy(found: Interval, reason: str) -> None:
    assert np.isnan(found.high)
    assert reason in found.reason
    assert found.settle


def test_impossible_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="Row 1 has 11"):
        gap_of_artists([1, 11], [10, 10], [1, 1], [10, 10])
    with pytest.raises(ValueError, match="the same artists"):
        ratio_to_real_works([1, 1], [10, 10], [1], [10])
    with pytest.raises(ValueError, match="one school per artist"):
        accuracy_by_school([1, 1], [10, 10], ["a"])
    with pytest.raises(ValueError, match="needs two"):
        artist_mean([1], [10])
