"""Calibration where the truth is known: labels drawn from the probabilities themselves."""

import numpy as np
import pytest

from audit_assets.measurement.calibration import (
    expected_calibration_error,
    fit_temperature,
    reliability_curve,
)
from audit_assets.measurement.zero_shot import class_probabilities, identify
from audit_assets_tests.measurement.worlds import unit


def test_the_temperature_that_made_the_truth_is_found_again() -> None:
    rng = np.random.default_rng(0)
    works, labels = unit(rng.normal(size=(6000, 16))), unit(rng.normal(size=(12, 16)))
    honest = class_probabilities(works, labels, 20.0)
    own = (honest.cumsum(axis=1) > rng.random((6000, 1))).argmax(axis=1)
    found = fit_temperature(works, own, labels, logit_scale=100.0)
    assert found.value == pytest.approx(5.0, rel=0.05)
    assert found.loss_after < found.loss_before
    assert not found.at_bound
    raw = identify(class_probabilities(works, labels, 100.0), own)
    calibrated = identify(class_probabilities(works, labels, 100.0 / found.value), own)
    np.testing.assert_array_equal(raw.predicted, calibrated.predicted)
    assert expected_calibration_error(calibrated.probability, calibrated.correct) < 0.03
    assert expected_calibration_error(raw.probability, raw.correct) > 0.15


def test_works_that_are_separated_perfectly_have_no_temperature_and_say_so() -> None:
    eye = np.eye(5)
    found = fit_temperature(eye, np.arange(5), eye, logit_scale=1.0)
    assert found.at_bound
    assert found.value < 0.05


def test_the_error_equals_a_plain_sum_over_bins() -> None:
    rng = np.random.default_rng(1)
    p, right = rng.random(500), rng.random(500) < 0.4
    expected = 0.0
    for b in range(10):
        inside = (p >= b / 10) & (p < (b + 1) / 10)
        expected += inside.mean() * abs(right[inside].mean() - p[inside].mean())
    assert expected_calibration_error(p, right, bins=10) == pytest.approx(expected)
    assert reliability_curve(p, right, bins=10)["images"].sum() == 500


def test_certainty_belongs_to_the_last_bin_and_blanks_to_none() -> None:
    curve = reliability_curve([1.0, np.nan, 0.0], [True, False, False], bins=4)
    assert curve["low"].tolist() == [0.0, 0.75]
    assert curve["accuracy"].tolist() == [0.0, 1.0]
    assert np.isnan(expected_calibration_error([np.nan], [True]))


def test_what_cannot_be_calibrated_is_refused() -> None:
    eye = np.eye(3)
    with pytest.raises(ValueError, match="among the labels"):
        fit_temperature(eye, [0, 1, -1], eye, logit_scale=10.0)
    with pytest.raises(ValueError, match="pass probabilities"):
        reliability_curve([7.0], [True])
    with pytest.raises(ValueError, match="one value an image"):
        reliability_curve([0.5], [True, False])
    with pytest.raises(ValueError, match="at least one"):
        reliability_curve([0.5], [True], bins=0)
