"""How far a share can be off: intervals that respect that the images of one artist resemble each other.

Seventy artists with ten images each are not 700 independent images. Casper et al. (2023) print 81.0 % without an
interval; if the images were independent it would carry 2.9 points either way, with an intra-artist correlation of 0.5
it carries 6.8. Trials are nested in subjects, so subjects are the clusters here.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats


@dataclass(frozen=True)
class ShareInterval:
    """A share with its interval, all in [0, 1].

    ``design_effect`` is the variance of the share relative to independent images (1 = as good as independent),
    ``effective_images`` is images / design effect. For an exact binomial interval they are 1 and the trials.
    """

    estimate: float
    low: float
    high: float
    design_effect: float
    effective_images: float


def design_effect(successes: npt.ArrayLike, images: npt.ArrayLike) -> float:
    """Variance of a clustered share, relative to the binomial variance of as many independent images.

    ``successes`` and ``images`` are counts a cluster, shape (k,). The numerator is the linearised variance of a
    ratio, k / (k - 1) x sum (y_i - p m_i)^2 / n^2 (Cochran 1977, *Sampling Techniques*, chapter 9), so that clusters
    of unequal size are allowed. For equal sizes m its expectation is about 1 + (m - 1) ICC (Kish 1965).

    Where every image or no image is a success the data say nothing about the correlation. The worst case is assumed
    then: the images of a cluster are copies, and the design effect is the mean images a cluster.

    Raises ValueError where there are fewer than two clusters with images, or counts are impossible.
    """
    y, m = _counts(successes, images)
    n = m.sum()
    share = y.sum() / n
    clusters = len(m)
    if share in (0.0, 1.0):
        return float(n / clusters)
    clustered = clusters / (clusters - 1) * float(np.sum((y - share * m) ** 2)) / n**2
    return float(clustered / (share * (1 - share) / n))


def wilson_clustered(successes: npt.ArrayLike, images: npt.ArrayLike, *, confidence: float = 0.95) -> ShareInterval:
    """Wilson's score interval for a share over clusters, with the estimated design effect and a t quantile.

    ``successes`` and ``images`` are counts a subject, shape (k,). Wilson (1927) with n / design effect in place of n,
    and the t quantile with k - 1 degrees of freedom in place of the normal one, as compared for clustered proportions
    by Dean and Pagano (2015), *Journal of Survey Statistics and Methodology* 3, 484-503; after Korn and Graubard
    (1998), *Survey Methodology* 24, 193-201. The design effect is taken as at least 1: an estimate below 1 is, with
    the few images an artist has, an accident more often than a fact. Simulated coverage for 70 x 10 is 94.1 to 96.2 %
    at shares of 0.07 to 0.93 and correlations of 0 to 0.7; beyond, where a few subjects hold all the successes or all
    the failures, it falls: 87 % at 0.02 and 0.98 with a correlation of 0.7 (``docs/statistics.md``).

    Raises ValueError where fewer than two subjects have images, or counts are impossible.
    """
    _check_confidence(confidence)
    y, m = _counts(successes, images)
    effect = max(design_effect(y, m), 1.0)
    n = float(m.sum())
    share = float(y.sum() / n)
    effective = n / effect
    quantile = float(stats.t.ppf((1 + confidence) / 2, len(m) - 1))
    low, high = wilson_interval(share, effective, quantile)
    return ShareInterval(share, low, high, effect, effective)


def exact_binomial(successes: int, trials: int, *, confidence: float = 0.95) -> ShareInterval:
    """Clopper and Pearson's (1934, *Biometrika* 26, 404-413) exact interval for a share of subjects.

    For counts of subjects (how many artists win the plurality of their images), which are one draw each.

    Raises ValueError where ``trials`` is not positive or ``successes`` does not lie within 0 and ``trials``.
    """
    _check_confidence(confidence)
    if trials < 1 or not 0 <= successes <= trials:
        raise ValueError(
            f"{successes} successes in {trials} trials is impossible; pass 0 <= successes <= trials, trials >= 1."
        )
    interval = stats.binomtest(int(successes), int(trials)).proportion_ci(confidence, method="exact")
    return ShareInterval(successes / trials, float(interval.low), float(interval.high), 1.0, float(trials))


@dataclass(frozen=True)
class IntraSubjectCorrelation:
    """ICC(1): correlation of two observations of one subject, with its interval, and the mean group size used."""

    estimate: float
    low: float
    high: float
    mean_images: float


def intra_subject_correlation(
    values: npt.ArrayLike, subject: npt.ArrayLike, *, confidence: float = 0.95
) -> IntraSubjectCorrelation:
    """Correlation within subjects by one-way analysis of variance; for correct / wrong (0, 1), margins or distances.

    ``values`` (n,) or (n, d): for embeddings the sums of squares are added over dimensions. ``subject`` (n,) labels.
    Shrout and Fleiss (1979, *Psychological Bulletin* 86, 420-428), ICC(1,1), with Donner and Koval's (1980,
    *Biometrics* 36, 19-25) mean size for unequal groups; interval by the F distribution (Searle 1971, *Linear
    models*, section 9.9), which is approximate for binary values and not given for embeddings. May be slightly
    negative. NaN where nothing varies.

    Raises ValueError with fewer than two subjects, no repeated observation, or values that are not finite.
    """
    _check_confidence(confidence)
    x = np.asarray(values, dtype=np.float64)
    one_dimensional = x.ndim == 1
    x = x.reshape(len(x), -1)
    if not np.isfinite(x).all():
        raise ValueError("The values hold NaN or infinity; leave out images that were not measured.")
    _, group = np.unique(np.asarray(subject), return_inverse=True)
    if group.shape != (len(x),):
        raise ValueError(f"{len(x)} values and {group.size} subjects; pass one subject a value.")
    sizes = np.bincount(group).astype(np.float64)
    k, n = len(sizes), float(len(x))
    if k < 2 or n <= k:
        raise ValueError(f"{k} subjects with {n:g} values; a correlation within subjects needs two of each, repeated.")
    means = np.stack([np.bincount(group, weights=column) for column in x.T], axis=1) / sizes[:, None]
    between = float(np.sum(sizes[:, None] * (means - x.mean(axis=0)) ** 2)) / (k - 1)
    within = float(np.sum((x - means[group]) ** 2)) / (n - k)
    size = (n - float(np.sum(sizes**2)) / n) / (k - 1)
    if between + (size - 1) * within == 0:
        return IntraSubjectCorrelation(np.nan, np.nan, np.nan, size)
    estimate = (between - within) / (between + (size - 1) * within)
    low, high = np.nan, np.nan
    if one_dimensional and within > 0:
        ratio = between / within
        lower = ratio / stats.f.ppf((1 + confidence) / 2, k - 1, n - k)
        upper = ratio / stats.f.ppf((1 - confidence) / 2, k - 1, n - k)
        low, high = ((f - 1) / (f + size - 1) for f in (lower, upper))
    return IntraSubjectCorrelation(float(estimate), float(low), float(high), float(size))


def wilson_interval(share: float, n: float, quantile: float) -> tuple[float, float]:
    """Wilson's (1927, *JASA* 22, 209-212) score interval for ``n`` independent observations, which may be a fraction."""
    square = quantile**2 / n
    centre = (share + square / 2) / (1 + square)
    half = np.sqrt(square * (share * (1 - share) + square / 4)) / (1 + square)
    # At a share of 0 or 1 that end of the interval is exact; rounding would leave it at 1e-17.
    low = 0.0 if share == 0.0 else max(0.0, float(centre - half))
    high = 1.0 if share == 1.0 else min(1.0, float(centre + half))
    return low, high


def _counts(successes: npt.ArrayLike, images: npt.ArrayLike) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    y = np.asarray(successes, dtype=np.float64)
    m = np.asarray(images, dtype=np.float64)
    if y.ndim != 1 or y.shape != m.shape:
        raise ValueError(f"Successes have shape {y.shape} and images {m.shape}; pass one count a subject for both.")
    bad = ~((m >= 0) & (y >= 0) & (y <= m))
    if bad.any():
        row = int(np.argmax(bad))
        raise ValueError(f"Subject {row} has {y[row]:g} successes in {m[row]:g} images; pass 0 <= successes <= images.")
    y, m = y[m > 0], m[m > 0]
    if len(m) < 2:
        raise ValueError(
            f"{len(m)} subject(s) with images: the spread between subjects needs at least two; audit more subjects."
        )
    return y, m


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"The confidence is {confidence}; pass a value between 0 and 1, such as 0.95.")
