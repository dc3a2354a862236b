"""The positive control that Casper et al. (2023) lack: can this encoder tell this artist's *real* works from others'?

Where it cannot, nothing follows about imitation: the artist is *not auditable with this encoder*, which is not the same
as *not imitated*. The discrimination gap needs images alone. How often the artist is identified in real works, by the
very procedure of experiment 1, is counted beside it (``tables.auditability``).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from audit_assets.measurement.vectors import BoolArray, FloatArray, IntArray, indices, unit_rows

FEWEST_WORKS = 3
"""Two works have one similarity, whose sampling error nobody can see."""


@dataclass(frozen=True)
class DiscriminationGap:
    """How much more alike works of one artist are than works of two: the artist and the one hardest to tell apart.

    Arrays of shape (artists,), in units of cosine. ``gap`` = ``same`` - ``different``; ``low`` is the lower end of its
    95 % interval; ``nearest`` the index of the other artist; ``works`` the number of works. ``auditable``: ``low`` > 0.
    Artists with fewer than ``FEWEST_WORKS`` have NaN, and are not auditable.
    """

    gap: FloatArray
    low: FloatArray
    same: FloatArray
    different: FloatArray
    nearest: IntArray
    works: IntArray
    auditable: BoolArray


def discrimination_gap(
    references: npt.ArrayLike,
    artist: npt.ArrayLike,
    *,
    artists: int,
    hubness_corrected: bool = True,
    confidence: float = 0.95,
) -> DiscriminationGap:
    """Same-artist less different-artist similarity of real works, against the other artist for whom it is smallest.

    ``references`` (r, d) real works of unit length; ``artist`` (r,) index of each work's artist, below ``artists``.

    For artists a and b, ``same`` is the mean of the similarities within a and within b (no work with itself),
    ``different`` that across them. Their difference is half the squared distance between the artists' mean embeddings,
    without bias: the maximum mean discrepancy of the two sets of works (Gretton, Borgwardt, Rasch, Schoelkopf and Smola
    2012, *Journal of Machine Learning Research* 13, 723-773, lemma 6, linear kernel). It is 0 where the two paint alike.

    **Why the hardest other artist, and not the mean of all others.** Two artists whose works nobody could tell apart
    still differ from the average artist, so a gap to the average would call both auditable, and imitations of one would
    be counted as imitations of the other. Choosing the smallest can only lower a gap, so the choice errs on the side of
    "not auditable". Artists with fewer than three works are nobody's nearest: whether they are, their works do not say.

    **Why both artists' own similarities, and not the artist's alone.** One artist's works may be more varied than the
    next one's, which says nothing about whether the two can be told apart. In the miniature a gap of the artist's own
    similarity alone missed ten artists of 112 whose every work the encoder recognised; this one misses none.

    **Hubness**: some works are near to everything in high dimensions. The correction centres the embeddings at the mean
    of the artists' means (Suzuki, Hara, Shimbo, Saerens, Fukumizu 2013, *Centering similarity measures to reduce hubs*,
    EMNLP). A gap between two artists is the same without it, since what all works share cancels; ``same`` is not.

    **Bound**: gap - t x jackknife standard error, works of either artist left out one at a time (Arvesen 1969, *Annals
    of Mathematical Statistics* 40, 2076-2100, for two samples), t with (fewer works - 1) degrees of freedom. In closed
    form, so no draw is needed. Among artists who paint alike the bound is above 0 in less than 1 % of cases at three to
    thirty works (simulated; the tests repeat it), where 2.5 % are allowed.

    Raises ValueError on bad embeddings, works without artist, or works of one artist alone.
    """
    rows = unit_rows(references, "reference")
    who = indices(artist, length=len(rows), below=artists, what="The artist of the real work")
    if (who < 0).any():
        raise ValueError(f"Real work {int(np.argmax(who < 0))} has no artist; leave it out.")
    if not 0 < confidence < 1:
        raise ValueError(f"The confidence is {confidence}; pass a value between 0 and 1.")
    works = np.bincount(who, minlength=artists)
    if np.count_nonzero(works) < 2:
        raise ValueError(
            "Real works of one artist alone cannot be told from others; add works of at least two artists."
        )
    centred = rows - _mean_of_artist_means(rows, who, works) if hubness_corrected else rows
    within, across = _mean_similarities(centred, who, works)
    found = np.full((4, artists), np.nan)
    nearest = np.full(artists, -1)
    gaps = (within[:, None] + within) / 2 - across
    np.fill_diagonal(gaps, np.nan)
    for i in np.flatnonzero(~np.isnan(gaps).all(axis=1)):
        j = nearest[i] = int(np.nanargmin(gaps[i]))
        error, freedom = _jackknife(centred[who == i], centred[who == j])
        bound = gaps[i, j] - float(stats.t.ppf((1 + confidence) / 2, freedom)) * error
        found[:, i] = gaps[i, j], bound, (within[i] + within[j]) / 2, across[i, j]
    gap, low, same, different = found
    with np.errstate(invalid="ignore"):
        auditable = low > 0
    return DiscriminationGap(gap, low, same, different, nearest.astype(np.int64), works, auditable)


def _mean_of_artist_means(rows: FloatArray, who: IntArray, works: IntArray) -> FloatArray:
    return (_sums(rows, who, works)[works > 0] / works[works > 0, None]).mean(axis=0)


def _sums(rows: FloatArray, who: IntArray, works: IntArray) -> FloatArray:
    membership = (np.arange(len(works))[:, None] == who).astype(np.float64)
    return membership @ rows


def _mean_similarities(rows: FloatArray, who: IntArray, works: IntArray) -> tuple[FloatArray, FloatArray]:
    """Mean similarity within each artist's works (artists,), and across artists (artists, artists).

    NaN for artists with fewer than FEWEST_WORKS. The mean inner product of two sets is that of their means, so no pair of
    works is ever formed.
    """
    enough = works >= FEWEST_WORKS
    sums = np.where(enough[:, None], _sums(rows, who, works), np.nan)
    squares = np.bincount(who, weights=np.einsum("ij,ij->i", rows, rows), minlength=len(works))
    with np.errstate(invalid="ignore", divide="ignore"):
        within = (np.einsum("ij,ij->i", sums, sums) - squares) / (works * (works - 1.0))
        means = sums / works[:, None]
    return within, means @ means.T


def _jackknife(mine: FloatArray, theirs: FloatArray) -> tuple[float, int]:
    """Standard error of the gap between two sets of works, and its degrees of freedom."""
    across = mine @ theirs.T
    parts = [_left_out(mine @ mine.T, across), _left_out(theirs @ theirs.T, across.T)]
    variance = sum((len(gaps) - 1) / len(gaps) * float(np.sum((gaps - gaps.mean()) ** 2)) for gaps in parts)
    return float(np.sqrt(variance)), min(len(mine), len(theirs)) - 1


def _left_out(own: FloatArray, across: FloatArray) -> FloatArray:
    """Half the mean similarity within a set less that across, each of its n works left out in turn: (n,). ``own`` (n, n)."""
    n, m = across.shape
    with_others = own.sum(axis=1) - np.diagonal(own)
    within = (with_others.sum() - 2 * with_others) / ((n - 1) * (n - 2))
    return np.asarray(within / 2 - (across.sum() - across.sum(axis=1)) / ((n - 1) * m))
