"""The precision of a planned accuracy: the paper's, and what simulated audits have."""

import numpy as np
import pytest

from audit_assets.measurement.intervals import wilson_clustered
from audit_assets.measurement.power import accuracy_half_width, expected_design_effect
from audit_assets_tests.measurement.worlds import clustered_counts


def test_the_papers_accuracy_has_the_half_widths_of_the_notes() -> None:
    assert accuracy_half_width(0.81, artists=70, images=10, icc=0.0) == pytest.approx(0.029, abs=0.001)
    assert accuracy_half_width(0.81, artists=70, images=10, icc=0.5) == pytest.approx(0.068, abs=0.001)


def test_a_planned_half_width_is_that_of_simulated_audits() -> None:
    rng = np.random.default_rng(0)
    found = []
    for _ in range(300):
        y = clustered_counts(rng, share=0.8, icc=0.4, subjects=40, images=10)
        interval = wilson_clustered(y, np.full(40, 10))
        found.append((interval.high - interval.low) / 2)
    assert accuracy_half_width(0.8, artists=40, images=10, icc=0.4) == pytest.approx(np.mean(found), rel=0.05)


def test_plans_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="at least two artists"):
        accuracy_half_width(0.8, artists=1, images=10, icc=0.5)
    with pytest.raises(ValueError, match="ICC between 0 and 1"):
        expected_design_effect(10, 1.5)
