"""This module computes the AUC of each artist, which says how strong a likeness is, with intervals for clustered data.

A p-value says that own imitations are closer than chance. The area under the ROC curve (AUC) says how often they are
closer. It is the probability that an imitation of the artist is closer to the artist's real work than an imitation of
another subject is.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy

from audit_assets.measurement.intervals import wilson_interval
from audit_assets.measurement.vectors import FloatArray, IntArray, indices


@dataclass(frozen=True)
class Auc:
    """The fields are arrays of shape (subjects,).

    ``auc`` lies in [0, 1]; 0.5 means no likeness. Cliff's (1993) delta is 2 auc - 1.
    """

    auc: FloatArray
    low: FloatArray
    high: FloatArray
    works: IntArray


def auc_intervals(
    distances: npt.ArrayLike,
    subject_of_work: npt.ArrayLike,
    subject_of_image: npt.ArrayLike,
    *,
    subjects: int,
    confidence: float = 0.95,
) -> Auc:
    """Return the AUC of own against other imitations, pooled over the artist's real works, and its interval.

    ``distances`` has shape (works, images). ``subject_of_work`` (works,) and ``subject_of_image`` (images,) hold
    indices below ``subjects``. The index -1 marks a work that is not tested, or an image whose subject is not tested.
    Such an image is a cluster of its own.

    A tie counts half. The variance is DeLong's (DeLong, DeLong and Clarke-Pearson 1988, *Biometrics* 44, 837-845) with
    other *subjects* in place of other images (Obuchowski 1997, *Biometrics* 53, 567-578): own images, other subjects
    and real works each add the variance of their mean placement. The interval would be too narrow if 690 images of 69
    artists counted as independent.

    The interval is Wilson's with the effective sample size AUC (1 - AUC) / variance and a t quantile (Newcombe 2006,
    *Statistics in Medicine* 25, 559-573, method 5 in spirit). Its degrees of freedom combine those of the three parts
    (Satterthwaite 1946, *Biometrics Bulletin* 2, 110-114): two works that disagree give one degree, for any number of
    images. The effective size is at most the size that independent images would have without any likeness, 3 n1 n2 /
    (n1 + n2 + 1). If the AUC is 0 or 1, the effective size is the number of own images. A single work gives an interval
    about that work. The correlation between own images of one artist needs no correction, because the interval is about
    the given artist and the own images are the sample.

    The result is NaN if an artist has no real work, no own image or no other image. The bounds are NaN if an artist has
    a single own image.

    Raises ValueError if distances are not finite or indices are out of range.
    """
    d = np.asarray(distances, dtype=np.float64)
    if d.ndim != 2 or not np.isfinite(d).all():
        raise ValueError(f"The distances {d.shape} must be finite, of shape (works, images); embed the images again.")
    of_work = indices(subject_of_work, length=d.shape[0], below=subjects, what="The subject of the work")
    of_image = indices(subject_of_image, length=d.shape[1], below=subjects, what="The subject of the image")
    from audit_assets.measurement.kernels import placements

    figures = np.full((3, subjects), np.nan)
    works = np.bincount(of_work[of_work >= 0], minlength=subjects)
    clusters = _clusters(of_image)
    sizes = np.bincount(clusters, minlength=subjects)
    for s in np.flatnonzero(works):
        own = np.flatnonzero(of_image == s)
        if 0 < len(own) < d.shape[1]:
            by_work, by_own, by_image = placements(np.ascontiguousarray(d[of_work == s]), own)
            figures[:, s] = _one(by_work, by_own, by_image, int(s), clusters, sizes, confidence)
    auc, low, high = figures
    return Auc(auc, low, high, works)


def _clusters(of_image: IntArray) -> IntArray:
    """Number the clusters of images: one per subject, and one per image whose subject is not tested (-1), because it is unknown here."""
    cluster, unknown = of_image.copy(), np.flatnonzero(of_image == -1)
    cluster[unknown] = of_image.max(initial=-1) + 1 + np.arange(len(unknown))
    return cluster


def _one(
    by_work: IntArray,
    by_own: IntArray,
    by_image: IntArray,
    artist: int,
    clusters: IntArray,
    sizes: IntArray,
    confidence: float,
) -> tuple[float, float, float]:
    """The AUC of one artist and its interval, from the counts of ``kernels.placements``; ``sizes``: images in each cluster."""
    works, n1, n2 = len(by_work), len(by_own), len(clusters) - len(by_own)
    of_work, of_own, of_other = by_work / (2 * n1 * n2), by_own / (2 * works * n2), by_image / (2 * works * n1)
    auc = float(of_work.mean())
    if n1 < 2:
        return auc, np.nan, np.nan
    present = sizes > 0
    present[artist] = False
    size = sizes[present].astype(np.float64)
    by_cluster = np.bincount(clusters, weights=of_other, minlength=len(sizes))[present] / size
    m = len(size)
    parts = [(of_own.var(ddof=1) / n1, n1 - 1)]
    if m > 1:
        parts.append((m / (m - 1) * float(np.sum((size / n2 * (by_cluster - auc)) ** 2)), m - 1))
    if works > 1:
        parts.append((of_work.var(ddof=1) / works, works - 1))
    variance = sum(part for part, _ in parts)
    most = 3 * n1 * n2 / (n1 + n2 + 1)
    effective, freedom = float(n1), float(n1 - 1)
    if variance > 0 and 0 < auc < 1:
        effective = min(most, auc * (1 - auc) / variance)
        freedom = variance**2 / sum(part**2 / degrees for part, degrees in parts)
    low, high = wilson_interval(auc, effective, float(scipy.stats.t.ppf((1 + confidence) / 2, freedom)))
    return auc, low, high
