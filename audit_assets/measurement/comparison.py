"""Did a model version change what the one before it could do? Overall, and artist by artist.

Two versions are asked for the same subjects, in the same words, from the same seeds. Retraining alone moves every artist
a little, so a difference that is merely significant is no news: an artist *changed* if even the nearer 95 % bound of the
difference lies beyond a stated margin. Whether two versions are equivalent, what moved the artists of a declared group, and
whether versions drift is in ``versions``.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from audit_assets.measurement.intervals import wilson_interval
from audit_assets.measurement.vectors import BoolArray, FloatArray


@dataclass(frozen=True)
class Differences:
    """Later share less earlier share for each subject, arrays (subjects,): with its 95 % interval, and Fisher's exact p.

    ``changed``: the interval lies beyond the margin on one side. NaN, and not changed, where either version has no image.
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
    """Difference of two shares for every subject (Newcombe 1998, *Statistics in Medicine* 17, 873-890, method 10).

    Arguments are counts of shape (subjects,). Images of the two versions are taken as independent given the artist: the
    same seeds make them alike only as far as the weights are, which would make the interval shorter, never longer.
    ``margin`` (a share: 0.25 = 25 points) says what counts as a change.

    Raises ValueError on impossible counts or a margin outside 0 and 1.
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
    z = float(stats.norm.ppf((1 + confidence) / 2))
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
            stats.fisher_exact(np.asarray(table, dtype=np.int64)).pvalue,
        )
    difference, low, high, p = found
    with np.errstate(invalid="ignore"):
        changed = (low > margin) | (high < -margin)
    return Differences(difference, low, high, p, changed)


@dataclass(frozen=True)
class MeanDifference:
    """Mean over subjects of later less earlier, with a 95 % interval. ``p_value``: that nothing changed, by permutation."""

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
    """Compare one score a subject (accuracy, AUC) between two versions. Shapes (subjects,); NaN pairs are left out.

    Permutation by changing signs of the subjects' differences: had nothing changed, which version is the later would be
    a coin's toss for every subject (Fisher 1935, *The design of experiments*, section 21); p = (1 + #) / (1 + B). The
    interval is Student's over subjects.

    Raises ValueError where shapes differ, fewer than two subjects remain, or there is no permutation.
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
        return float(stats.t.ppf((1 + level) / 2, len(d) - 1)) * error

    return MeanDifference(
        difference=mean,
        low=mean - reach(confidence),
        high=mean + reach(confidence),
        p_value=(1 + at_least) / (1 + permutations),
        p_floor=1 / (1 + permutations) if len(d) > 60 else max(1 / (1 + permutations), 2.0 ** (1 - len(d))),
        subjects=len(d),
    )
