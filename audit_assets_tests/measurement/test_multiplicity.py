"""Adjusted p-values against statsmodels and scipy, and what they can reach."""

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control
from statsmodels.stats.multitest import multipletests

from audit_assets.measurement.multiplicity import (
    ADJUSTMENTS,
    Adjustment,
    adjust,
    benjamini_hochberg,
    bonferroni,
    holm,
    smallest_attainable,
    unreachable,
)

p_lists = st.lists(st.floats(0, 1), min_size=1, max_size=40)


@given(p_lists)
def test_adjustments_equal_statsmodels(p: list[float]) -> None:
    for ours, theirs in ((bonferroni, "bonferroni"), (holm, "holm"), (benjamini_hochberg, "fdr_bh")):
        # Each call of multipletests collects garbage, which takes half a second in a process with many modules.
        with patch("gc.collect"):
            known = multipletests(p, method=theirs)[1]
        np.testing.assert_allclose(ours(p), known, rtol=0, atol=1e-12)
    np.testing.assert_allclose(benjamini_hochberg(p), false_discovery_control(p), rtol=0, atol=1e-15)


@given(p_lists)
def test_holm_lies_between_the_p_value_and_bonferroni(p: list[float]) -> None:
    assert (np.asarray(p) <= holm(p) + 1e-15).all()
    assert (holm(p) <= bonferroni(p) + 1e-15).all()
    assert (benjamini_hochberg(p) <= holm(p) + 1e-12).all()


def test_a_test_that_was_not_possible_still_counts_in_the_family() -> None:
    for adjustment in ("bonferroni", "holm", "benjamini_hochberg"):
        adjusted = adjust([0.01, np.nan, 0.02], adjustment)
        assert np.isnan(adjusted[1])
        np.testing.assert_allclose(adjusted[[0, 2]], adjust([0.01, 1.0, 0.02], adjustment)[[0, 2]])


def test_a_rank_among_110_works_cannot_pass_bonferroni_over_70_artists() -> None:
    p = np.full(70, 0.5)
    floors = np.full(70, 1 / 110)
    np.testing.assert_allclose(smallest_attainable(p, floors, "bonferroni"), 70 / 110)
    assert unreachable(p, floors, "bonferroni").all()
    assert unreachable(p[:2], np.full(2, 0.026), "bonferroni").all()
    assert not unreachable(p[:2], np.full(2, 0.025), "bonferroni").any()


@pytest.mark.parametrize(("imitated", "reached"), [(3, False), (12, False), (13, True), (40, True)])
def test_benjamini_hochberg_can_pass_in_company_only(imitated: int, reached: bool) -> None:
    # The floor 1/110 becomes 70 / (110 k) with k at the floor: below 0.05 from k = 13 on (70 / 1430 = 0.049).
    p = np.where(np.arange(70) < imitated, 1 / 110, 0.9)
    assert unreachable(p, np.full(70, 1 / 110), "benjamini_hochberg")[0] == (not reached)


@pytest.mark.parametrize("adjustment", ADJUSTMENTS)
def test_no_observed_value_lies_below_the_smallest_attainable(adjustment: Adjustment) -> None:
    rng = np.random.default_rng(1)
    floors = np.full(30, 1 / 200)
    p = np.maximum(rng.random(30) ** 3, floors)
    assert (smallest_attainable(p, floors, adjustment) <= adjust(p, adjustment) + 1e-15).all()


@pytest.mark.parametrize(
    ("p", "message"), [([0.5, 1.2], "row 1 is 1.2"), ([-0.1], "row 0"), ([[0.5]], "one dimension")]
)
def test_values_that_are_no_p_values_are_refused(p: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bonferroni(p)
    with pytest.raises(ValueError, match="choose one of"):
        adjust([0.5], "sidak")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="one floor a test"):
        smallest_attainable([0.5], [0.1, 0.2], "holm")


def test_no_tests_give_no_adjusted_values() -> None:
    for adjustment in ADJUSTMENTS:
        assert adjust([], adjustment).shape == (0,)
