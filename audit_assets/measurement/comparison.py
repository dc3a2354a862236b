"""Did a model version change what the version before it could do, overall and per artist?

An audit asks two versions for the same subjects, in the same words, from the same seeds. Retraining alone moves each
artist a little, so a significant difference alone does not count as a change. An artist *changed* if even the nearer
95 % bound of the difference lies beyond a stated margin. ``versions`` tests whether two versions are equivalent, what
moved the artists of a declared group, and whether versions drift.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy

from audit_assets.measurement.intervals import wilson_interval
from audit_assets.measurement.vectors import BoolArray, FloatArray


@dataclass(frozen=True)
class Differences:
    """Later share less earlier share per subject, with its 95 % interval and Fisher's exact p; arrays (subjects,).

    ``changed`` is True if the interval lies beyond the margin on one side. If either version has no image, the figures
    are NaN and ``changed`` is False.
    """

    difference: FloatArray
    low: FloatArray
    high: FloatArray
    p_value: FloatArray
    changed: BoolArray


def newcombe_differences(
    successes: npt.ArrayLike,
    images: npt.ArrayLike,
    later_successes: npt.ArrayLike,
    later_images: npt.ArrayLike,
    *,
    margin: float,
    confidence: float = 0.95,
) -> Differences:
    """Return the difference of two shares per subject (Newcombe 1998, *Statistics in Medicine* 17, 873-890, method 10).

    Arguments are counts of shape (subjects,). Images of the two versions count as independent given the artist. The
    same seeds make the images alike only as far as the weights are alike, which would make the interval shorter, never
    longer. ``margin`` is the share that counts as a change (0.25 = 25 points).

    Raises ValueError if counts are impossible or the margin lies outside 0 and 1.
    """
    y, m, later_y, later_m = (
        np.asarray(a, dtype=np.float64) for a in (successes, images, later_successes, later_images)
    )
    if not 0 <= margin < 1:
        raise ValueError(f"The margin is {margin}; pass a share of images, 0 <= margin < 1.")
    if not y.shape == m.shape == later_y.shape == later_m.shape or y.ndim != 1:
        raise ValueError("Pass one count a subject for both versions.")
    for hits, total in ((y, m), (later_y, later_m)):
        if not ((hits >= 0) & (hits <= total)).all():
            raise ValueError("A subject has more images identified than images; count them again.")
    z = float(scipy.stats.norm.ppf((1 + confidence) / 2))
    found = np.full((4, len(y)), np.nan)
    for i in np.flatnonzero((m > 0) & (later_m > 0)):
        before, after = y[i] / m[i], later_y[i] / later_m[i]
        low_before, high_before = wilson_interval(before, m[i], z)
        low_after, high_after = wilson_interval(after, later_m[i], z)
        d = after - before
        table = [[later_y[i], later_m[i] - later_y[i]], [y[i], m[i] - y[i]]]
        found[:, i] = (
            d,
            d - np.hypot(after - low_after, high_before - before),
            d + np.hypot(high_after - after, before - low_before),
            scipy.stats.fisher_exact(np.asarray(table, dtype=np.int64)).pvalue,
        )
    difference, low, high, p = found
    with np.errstate(invalid="ignore"):
        changed = (low > margin) | (high < -margin)
    return Differences(difference, low, high, p, changed)


@dataclass(frozen=True)
class MeanDifference:
    """Mean over subjects of later score less earlier score, with a 95 % interval.

    ``p_value`` tests by permutation the hypothesis that nothing changed.
    """

    difference: float
    low: float
    high: float
    p_value: float
    p_floor: float
    subjects: int


def paired_difference(
    before: npt.ArrayLike,
    after: npt.ArrayLike,
    *,
    permutations: int,
    rng: np.random.Generator,
    confidence: float = 0.95,
) -> MeanDifference:
    """Compare one score per subject (accuracy, AUC) between two versions.

    Shapes are (subjects,), and NaN pairs are left out. A permutation changes the signs of the subjects' differences. If
    nothing changed, each sign is as likely as the other (Fisher 1935, *The design of experiments*, section 21). The
    p-value is p = (1 + #) / (1 + B). The interval is Student's over subjects.

    Raises ValueError if shapes differ, fewer than two subjects remain, or ``permutations`` is below 1.
    """
    x, y = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    if x.shape != y.shape or x.ndim != 1:
        raise ValueError(f"Scores {x.shape} and {y.shape}: pass one a subject for both versions.")
    d = (y - x)[~np.isnan(y - x)]
    if len(d) < 2 or permutations < 1:
        raise ValueError(f"{len(d)} subjects scored in both versions; a comparison needs two, and a permutation.")
    mean, error = float(d.mean()), float(d.std(ddof=1)) / np.sqrt(len(d))
    signs = rng.integers(0, 2, size=(permutations, len(d))) * 2 - 1
    drawn = np.abs(signs @ d) / len(d)
    at_least = np.count_nonzero(drawn >= abs(mean) * (1 - 1e-12))

    def reach(level: float) -> float:
        return float(scipy.stats.t.ppf((1 + level) / 2, len(d) - 1)) * error

    return MeanDifference(
        difference=mean,
        low=mean - reach(confidence),
        high=mean + reach(confidence),
        p_value=(1 + at_least) / (1 + permutations),
        p_floor=1 / (1 + permutations) if len(d) > 60 else max(1 / (1 + permutations), 2.0 ** (1 - len(d))),
        subjects=len(d),
    )
