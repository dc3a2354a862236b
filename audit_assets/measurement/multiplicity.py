"""Seventy artists need seventy tests, so this module adjusts p-values and says which adjusted values a test can reach.

Casper et al. (2023, section 2.2) multiply by 70 (Bonferroni). Each adjustment here maps p-values of shape (m,) to
adjusted p-values of the same shape, capped at 1. An artist is significant if the adjusted value is at most alpha.
A NaN means that no test was possible, for instance because all images of an artist are blank. A NaN still counts as a
member of the family, as if its p-value were 1, and comes back as NaN. The other artists would look better if the family
left it out.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt
import scipy

from audit_assets.measurement.vectors import BoolArray, FloatArray

Adjustment = Literal["none", "bonferroni", "holm", "benjamini_hochberg"]


def bonferroni(p_values: npt.ArrayLike) -> FloatArray:
    """Return min(1, m p), which controls the chance of one or more false positives (Dunn 1961, *JASA* 56, 52-64)."""
    p, missing = _p_values(p_values)
    return _restore(np.minimum(1.0, p * len(p)), missing)


def holm(p_values: npt.ArrayLike) -> FloatArray:
    """Adjust by step-down Bonferroni, which is never weaker than Bonferroni.

    Source: Holm 1979, *Scandinavian Journal of Statistics* 6, 65-70.
    """
    p, missing = _p_values(p_values)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, stepped)
    return _restore(adjusted, missing)


def benjamini_hochberg(p_values: npt.ArrayLike) -> FloatArray:
    """Return q-values of the step-up false discovery rate (Benjamini and Hochberg 1995, *JRSS B* 57, 289-300)."""
    p, missing = _p_values(p_values)
    if len(p) == 0:
        return p
    return _restore(np.asarray(scipy.stats.false_discovery_control(p, method="bh"), dtype=np.float64), missing)


def unadjusted(p_values: npt.ArrayLike) -> FloatArray:
    """Check the p-values and return them unchanged, for one global test, which has no family."""
    p, missing = _p_values(p_values)
    return _restore(p, missing)


ADJUSTMENTS: dict[Adjustment, Callable[[npt.ArrayLike], FloatArray]] = {
    "none": unadjusted,
    "bonferroni": bonferroni,
    "holm": holm,
    "benjamini_hochberg": benjamini_hochberg,
}


def adjust(p_values: npt.ArrayLike, adjustment: Adjustment) -> FloatArray:
    """Adjust p-values by the adjustment of that name. Raises ValueError if ``ADJUSTMENTS`` does not hold the name."""
    if adjustment not in ADJUSTMENTS:
        raise ValueError(f"Unknown adjustment {adjustment!r}; choose one of {', '.join(ADJUSTMENTS)}.")
    return ADJUSTMENTS[adjustment](p_values)


def smallest_attainable(p_values: npt.ArrayLike, p_floors: npt.ArrayLike, adjustment: Adjustment) -> FloatArray:
    """Return the adjusted p-value that each test would have at its floor, if all other tests stay as observed.

    All shapes are (m,). A rank among 110 works has no p-value below 1/110. Bonferroni over 70 artists turns that floor
    into 0.64 for any images. Under Benjamini-Hochberg the result depends on the other tests: the floor is multiplied by
    m over the number of p-values at or below it, so a single imitated artist cannot pass a level that forty together
    can pass. The other tests therefore stay as observed.

    Raises ValueError if shapes differ or a p-value lies outside [0, 1].
    """
    p, _ = _p_values(p_values)
    floors, _ = _p_values(p_floors)
    if p.shape != floors.shape:
        raise ValueError(f"{len(p)} p-values and {len(floors)} floors; pass one floor a test.")
    best = np.empty_like(p)
    for i in range(len(p)):
        attempt = p.copy()
        attempt[i] = floors[i]
        best[i] = adjust(attempt, adjustment)[i]
    return best


def unreachable(
    p_values: npt.ArrayLike, p_floors: npt.ArrayLike, adjustment: Adjustment, *, alpha: float = 0.05
) -> BoolArray:
    """Mark each test that no outcome could have made significant.

    The smallest attainable adjusted p-value of such a test is above alpha. The shape is (m,). "Not significant"
    means nothing for such an artist, and the tables say so.
    """
    return smallest_attainable(p_values, p_floors, adjustment) > alpha


def _p_values(values: npt.ArrayLike) -> tuple[FloatArray, BoolArray]:
    p = np.array(values, dtype=np.float64)
    if p.ndim != 1:
        raise ValueError(f"The p-values have shape {p.shape}; pass one dimension, one p-value a test.")
    missing = np.isnan(p)
    p[missing] = 1.0
    outside = (p < 0) | (p > 1)
    if outside.any():
        row = int(np.argmax(outside))
        raise ValueError(f"The p-value in row {row} is {p[row]:g}; a p-value lies between 0 and 1.")
    return p, missing


def _restore(adjusted: FloatArray, missing: BoolArray) -> FloatArray:
    adjusted[missing] = np.nan
    return adjusted
