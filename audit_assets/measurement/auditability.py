"""The positive control that Casper et al. (2023) lack: can this encoder see this artist in the artist's *real* works?

Where it cannot, nothing follows about imitation: the artist is *not auditable with this encoder*, which is not the same
as *not imitated*. Two figures answer it: how often the artist is identified in real works, by the very procedure of
experiment 1 (encoders with a text side only), and the discrimination gap, which needs images alone.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from audit_assets.measurement.identification import Trials, class_probabilities, identify
from audit_assets.measurement.intervals import ShareInterval, wilson_clustered
from audit_assets.measurement.vectors import BoolArray, FloatArray, IntArray, indices, unit_rows

FEWEST_WORKS = 3
"""Two works have one similarity, which no bootstrap can vary: of twins with two works each, 6 % came out auditable."""


@dataclass(frozen=True)
class RealWorkAccuracy:
    """Experiment 1 on real works.

    ``trials``: one row a work. ``works``, ``correct`` (artists,): counts by artist, 0 works where an artist has none.
    ``overall``: the share of works identified, with its interval over artists.
    """

    trials: Trials
    works: IntArray
    correct: IntArray
    overall: ShareInterval


@dataclass(frozen=True)
class DiscriminationGap:
    """How much more an artist's works resemble each other than the works of the most similar other artist.

    Arrays of shape (artists,), in units of cosine. ``gap`` = ``own`` - ``other``; ``low`` is the lower end of its 95 %
    bootstrap interval; ``nearest`` the index of the most similar other artist; ``works`` the number of works.
    ``auditable``: ``low`` > 0. Artists with fewer than ``FEWEST_WORKS`` have NaN, and are not auditable.
    """

    gap: FloatArray
    low: FloatArray
    own: FloatArray
    other: FloatArray
    nearest: IntArray
    works: IntArray
    auditable: BoolArray


def real_work_accuracy(
    references: npt.ArrayLike, own_label: npt.ArrayLike, labels: npt.ArrayLike, *, artists: int, logit_scale: float
) -> RealWorkAccuracy:
    """Identify artists in their real works among the labels that their imitations are classified by.

    ``references`` (r, d) real works; ``own_label`` (r,) index of the work's artist among ``labels`` (L, d), of which
    the first ``artists`` are artists and the rest default labels. The denominator of "ratio to the positive control".

    Raises ValueError on bad embeddings, works without an artist, and fewer than two artists with works.
    """
    probabilities = class_probabilities(references, labels, logit_scale)
    own = indices(own_label, length=len(probabilities), below=artists, what="The artist of the real work")
    if (own < 0).any():
        raise ValueError(
            f"Real work {int(np.argmax(own < 0))} has no artist among the labels; leave it out or add its label."
        )
    trials = identify(probabilities, own)
    works = np.bincount(own, minlength=artists)
    correct = np.bincount(own[trials.correct], minlength=artists)
    return RealWorkAccuracy(trials, works, correct, wilson_clustered(correct, works))


def discrimination_gap(
    references: npt.ArrayLike,
    artist: npt.ArrayLike,
    *,
    artists: int,
    rng: np.random.Generator,
    hubness_corrected: bool = True,
    bootstraps: int = 2000,
    confidence: float = 0.95,
) -> DiscriminationGap:
    """Mean similarity among an artist's real works, less that to the works of the *most similar other artist*.

    ``references`` (r, d) real works of unit length; ``artist`` (r,) index of each work's artist, below ``artists``.

    **Why the most similar other artist, and not the mean of all others.** Two artists whose works nobody could tell
    apart still differ from the average artist, so a gap to the average would call both auditable, and imitations of one
    would be counted as imitations of the other. Against the nearest, such twins have a gap with expectation 0. Choosing
    the nearest by its sample mean can only lower a gap, so the choice errs on the side of "not auditable".

    **Own similarity** leaves a work's similarity to itself out. **Hubness**: some works are near to everything in
    high dimensions, and a hub among the works of a neighbour hides an artist. The correction centres the embeddings
    at the mean of the artists' means before taking inner products, which double-centres the similarity matrix with
    every artist weighing the same (Suzuki, Hara, Shimbo, Saerens, Fukumizu 2013, *Centering similarity measures to
    reduce hubs*, EMNLP). The centre leans towards the scatter of artists with few works: among a dozen artists a gap of
    ten works to a single one comes out too large by some hundredths of the scatter; among sixty it is nothing.

    **Bound**: works of the artist and of its nearest other artist are resampled, each with replacement, the nearest
    held fixed; pairs of a work with its own copy stay out of the own similarity. Sampling error of ten works has
    heavy tails, so the bound is gap - t x bootstrap standard error, t with (fewer works - 1) degrees of freedom
    (Efron and Tibshirani 1993, *An introduction to the bootstrap*, section 12.2), which is wider than the bootstrap's
    percentile. A nearest other artist with a single work shows no spread of its own; that work is taken to scatter as
    the artist's own works do about each other (else up to 23 % of twins with ten and one works came out auditable).

    Raises ValueError on bad embeddings, works without artist, fewer than two artists with works, or no bootstrap.
    """
    rows = unit_rows(references, "reference")
    who = indices(artist, length=len(rows), below=artists, what="The artist of the real work")
    if (who < 0).any():
        raise ValueError(f"Real work {int(np.argmax(who < 0))} has no artist; leave it out.")
    if bootstraps < 2 or not 0 < confidence < 1:
        raise ValueError(
            f"{bootstraps} bootstraps at confidence {confidence}: pass at least two, and a value within (0, 1)."
        )
    works = np.bincount(who, minlength=artists)
    if np.count_nonzero(works) < 2:
        raise ValueError(
            "Real works of one artist alone cannot be told from others; add works of at least two artists."
        )
    centred = rows - _mean_of_artist_means(rows, who, works) if hubness_corrected else rows
    own, across = _mean_similarities(centred, who, works)
    nearest = across.argmax(axis=1)
    other = across[np.arange(artists), nearest]
    low = np.full(artists, np.nan)
    enough = works >= FEWEST_WORKS
    for i in np.flatnonzero(enough):
        mine, theirs = centred[who == i], centred[who == nearest[i]]
        alike = mine @ mine.T
        variance = _bootstrap_gaps(alike, mine @ theirs.T, bootstraps, rng).var(ddof=1)
        fewer = min(len(mine), len(theirs))
        if fewer == 1:
            fewer = len(mine)
            variance += ((alike.sum(axis=1) - np.diagonal(alike)) / (len(mine) - 1)).var(ddof=1)
        low[i] = own[i] - other[i] - stats.t.ppf((1 + confidence) / 2, fewer - 1) * np.sqrt(variance)
    with np.errstate(invalid="ignore"):
        auditable = low > 0
    return DiscriminationGap(
        gap=np.where(enough, own - other, np.nan),
        low=low,
        own=np.where(enough, own, np.nan),
        other=np.where(enough, other, np.nan),
        nearest=np.where(enough, nearest, -1),
        works=works,
        auditable=auditable,
    )


def _mean_of_artist_means(rows: FloatArray, who: IntArray, works: IntArray) -> FloatArray:
    sums = _sums(rows, who, works)[works > 0]
    return (sums / works[works > 0, None]).mean(axis=0)


def _sums(rows: FloatArray, who: IntArray, works: IntArray) -> FloatArray:
    membership = (np.arange(len(works))[:, None] == who).astype(np.float64)
    return membership @ rows


def _mean_similarities(rows: FloatArray, who: IntArray, works: IntArray) -> tuple[FloatArray, FloatArray]:
    """Mean similarity among an artist's works (artists,), NaN below two works, and across artists (artists, artists).

    The mean inner product of two sets is the inner product of their means, so no pair of works is ever formed. The
    diagonal of the second, and columns of artists without works, are minus infinity: never the most similar other.
    """
    sums = _sums(rows, who, works)
    squares = np.bincount(who, weights=np.einsum("ij,ij->i", rows, rows), minlength=len(works))
    pairs = (works * (works - 1)).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        own = np.where(pairs > 0, (np.einsum("ij,ij->i", sums, sums) - squares) / pairs, np.nan)
    means = sums / np.maximum(works, 1)[:, None]
    across = means @ means.T
    np.fill_diagonal(across, -np.inf)
    across[:, works == 0] = -np.inf
    return own, across


def _bootstrap_gaps(own: FloatArray, across: FloatArray, bootstraps: int, rng: np.random.Generator) -> FloatArray:
    """Gaps of resampled works, shape (bootstraps,), from similarities (n, n) among own works and (n, m) across.

    ``weights`` counts how often each work was drawn; drawing one single work n times leaves no pair, and is redrawn.
    """
    n, m = across.shape
    weights = rng.multinomial(n, np.full(n, 1 / n), size=bootstraps)
    alone = np.flatnonzero(weights.max(axis=1) == n)
    while len(alone):
        weights[alone] = rng.multinomial(n, np.full(n, 1 / n), size=len(alone))
        alone = alone[weights[alone].max(axis=1) == n]
    mine = weights.astype(np.float64)
    theirs = rng.multinomial(m, np.full(m, 1 / m), size=bootstraps).astype(np.float64)
    between = np.einsum("bi,bi->b", mine @ (own - np.diag(np.diagonal(own))), mine)
    pairs = n**2 - np.einsum("bi,bi->b", mine, mine)
    return between / pairs - np.einsum("bi,bi->b", mine @ across, theirs) / (n * m)
