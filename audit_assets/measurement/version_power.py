"""Before a later version exists: how often the comparison of versions would call a declared group moved.

The rule is that of the run (``versions.moved``): the permutation test of a small group, in points and in log odds. No formula
has both, so audits are drawn. The seed is fixed: one design gives one number.
"""

from itertools import combinations
from math import ceil, comb

import numpy as np
import numpy.typing as npt
import scipy

from audit_assets.measurement.vectors import BoolArray, FloatArray
from audit_assets.measurement.versions import log_odds_differences, smallest_p, studentized

AUDITS = 400
"""Drawn audits: the standard error of the power is 2.5 points at most."""
MOST_DRAWN = 1_000
"""Artists of a group beyond these change the power by less than its error, and are not drawn."""
MOST_TRIED = 2_000
"""Up to this many ways to choose the group, all are tried; beyond, some are drawn (the run tries up to
``versions.MOST_EXACT``)."""
ENOUGH_FOR_STUDENT = 10
"""With so many artists in both groups, the permutation test of Welch's t has the p-values of Student's distribution."""


def power_of_difference_in_differences(
    effect: float, *, group: int, others: int, images: int, share: float, movement: float = 0.0, alpha: float = 0.05
) -> float:
    """Chance that ``versions.moved`` is true if the declared group's share falls by ``effect`` more than that of the others.

    ``share``: of identified images before, 0 to 1; ``images`` of each artist and version; ``movement``: standard
    deviation over artists of what retraining alone does to a share (a share; measure it with a retrained pair). Of
    ``AUDITS`` drawn audits: binomial counts before with ``share``, and later with ``share - effect`` in the group and
    ``share`` elsewhere, each moved by a normal number and kept between 0 and 1. 0 if the permutation test cannot reach
    ``alpha``.

    Raises ValueError on impossible arguments.
    """
    if min(group, others, images) < 1 or not (0 <= share <= 1 and 0 <= share - effect <= 1) or movement < 0:
        raise ValueError(
            "Pass at least one artist in each group, one image, and shares between 0 and 1 after the effect too."
        )
    if group + others < 3 or smallest_p(group, others) > alpha:
        return 0.0
    group, others = min(group, MOST_DRAWN), min(others, MOST_DRAWN)
    rng, n = np.random.default_rng([group, others, images]), group + others
    later = np.full(n, share)
    later[:group] -= effect
    drawn = np.clip(later[:, None] + movement * rng.normal(size=(n, AUDITS)), 0, 1)
    y, later_y = rng.binomial(images, share, size=(n, AUDITS)), rng.binomial(images, drawn)
    counts = (y.ravel(), np.full(y.size, images), later_y.ravel(), np.full(y.size, images))
    points = (later_y - y) / images
    log_odds = log_odds_differences(*counts).reshape(y.shape)
    if others < group:
        # Both tests are two-sided, so the smaller group stands for the declared one; only its sums are taken.
        points, log_odds = points[::-1], log_odds[::-1]
    smaller = min(group, others)
    ways = _ways(n, smaller, alpha, rng) if smaller < ENOUGH_FOR_STUDENT else None
    reached = _direction(points, smaller) * _direction(log_odds, smaller) > 0
    for d in (points, log_odds):
        reached &= (_student(d, smaller) if ways is None else _permuted(d, smaller, ways)) <= alpha
    return float(reached.mean())


def _direction(d: FloatArray, k: int) -> FloatArray:
    return np.asarray(np.sign(d[:k].mean(axis=0) - d[k:].mean(axis=0)))


def _ways(n: int, k: int, alpha: float, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Ways to choose k of n artists, shape (ways, k): all, with the first k as the first; or drawn ones behind it."""
    if comb(n, k) <= MOST_TRIED:
        return np.array(list(combinations(range(n), k)), dtype=np.int64)
    number = min(9_999, max(999, ceil(20 / alpha)))
    return np.array([np.arange(k), *(rng.choice(n, k, replace=False) for _ in range(number))], dtype=np.int64)


def _permuted(d: FloatArray, k: int, ways: npt.NDArray[np.int64]) -> FloatArray:
    """p-values of the first k artists of each audit. ``d`` (artists, audits); shape (audits,)."""
    d = d - d.mean(axis=0)
    squared = d**2
    all_squares, reached, own = squared.sum(axis=0), np.zeros(d.shape[1]), np.empty(0)
    for start in range(0, len(ways), 500):
        block = ways[start : start + 500]
        sums, squares = (sum((x[block[:, j]] for j in range(k)), np.zeros(1)) for x in (d, squared))
        found = np.abs(studentized(sums, squares, all_squares, k, len(d)))
        own = found[0] * (1 - 1e-9) if start == 0 else own
        reached += np.count_nonzero(found >= own, axis=0)
    return reached / len(ways)


def _student(d: FloatArray, k: int) -> FloatArray:
    """p-values of Welch's t-test of the first k artists of each audit; shape (audits,)."""
    n = len(d)
    v1, v2 = d[:k].var(axis=0, ddof=1) / k, d[k:].var(axis=0, ddof=1) / (n - k)
    varies: BoolArray = v1 + v2 > 0
    variance = np.where(varies, v1 + v2, 1.0)
    freedom = np.where(varies, variance**2 / np.where(varies, v1**2 / (k - 1) + v2**2 / (n - k - 1), 1.0), n - 2.0)
    difference = d[:k].mean(axis=0) - d[k:].mean(axis=0)
    t = np.where(varies, np.abs(difference) / np.sqrt(variance), np.where(np.abs(difference) < 1e-12, 0.0, np.inf))
    # This function is that of scipy.stats.t, which takes half a second to load.
    return np.asarray(2 * scipy.special.stdtr(freedom, -t))
