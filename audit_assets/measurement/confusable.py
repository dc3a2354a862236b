"""Artists whose works the encoder cannot tell from this artist's: "this artist, or one of these".

A verdict about one of two artists who paint alike is a verdict about both. They are named beside it, and decide nothing.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy

from audit_assets.measurement.auditability import FEWEST_WORKS
from audit_assets.measurement.vectors import BoolArray, FloatArray, IntArray, indices, unit_rows

BLOCK = 64
"""Artists that are compared with all others at a time."""


@dataclass(frozen=True)
class Confusable:
    """The artists whom the encoder cannot tell from one artist, the hardest to tell first, arrays of shape (k,).

    ``gap``: half the squared distance between the two artists' means, without bias, in units of cosine; ``low``: the lower end of
    its interval, at or below 0. ``total``: how many there are, if only the first were asked for. ``compared``: with how many
    artists the artist could be compared. ``reason``: why none could be, and what would settle it; empty otherwise.
    """

    others: IntArray
    gap: FloatArray
    low: FloatArray
    total: int
    compared: int
    reason: str


def confusable(
    works: npt.ArrayLike,
    artist: npt.ArrayLike,
    *,
    pool: int,
    artists: npt.ArrayLike,
    at_most: int = 10,
    confidence: float = 0.95,
) -> list[Confusable]:
    """For each of ``artists`` (n,): the other artists of the pool whose gap to them is not above 0 with confidence.

    ``works`` (w, d) unit vectors, ``artist`` (w,) below ``pool``, -1 for a work that is left out. Gap, jackknife error and degrees of
    freedom are those of ``auditability.discrimination_gap``, for all pairs in place of the nearest, in blocks. Artists with
    fewer than three works cannot be compared.

    The interval is one of each pair: among artists who paint alike, 1 - confidence / 2 or more are listed.
    Raises ValueError on bad embeddings, artists outside the pool, and a confidence outside (0, 1).
    """
    rows = unit_rows(works, "work")
    who = indices(artist, length=len(rows), below=pool, what="The artist of the work")
    asked = np.asarray(artists, dtype=np.int64)
    if len(asked) and (asked.min() < 0 or asked.max() >= pool):
        raise ValueError(f"An artist lies outside the pool of {pool}; pass indices of artists in it.")
    if not 0 < confidence < 1 or at_most < 1:
        raise ValueError(
            f"The confidence is {confidence} and at_most {at_most}; pass a share between 0 and 1, and 1 or more."
        )
    sets = _Sets.of(rows, who, pool)
    found = []
    for start in range(0, len(asked), BLOCK):
        some = asked[start : start + BLOCK]
        gap, low = sets.gaps(some, confidence)
        found += [_nearest(sets, int(a), gap[i], low[i], at_most) for i, a in enumerate(some)]
    return found


@dataclass(frozen=True)
class _Sets:
    """Works sorted by artist, and the sums over each artist's works that the jackknife needs."""

    rows: FloatArray
    start: IntArray
    works: IntArray
    means: FloatArray
    within: FloatArray
    influence: FloatArray
    influence_squares: FloatArray
    influence_rows: FloatArray
    compared: BoolArray

    @classmethod
    def of(cls, rows: FloatArray, who: IntArray, pool: int) -> "_Sets":
        order = np.argsort(who, kind="stable")
        order = order[who[order] >= 0]
        works = np.bincount(who[order], minlength=pool)
        compared = works >= FEWEST_WORKS
        order = order[compared[who[order]]]
        own, start = who[order], np.searchsorted(who[order], np.arange(pool))
        # What all works share cancels in a gap; taken out, the differences of squares below lose no digits to it.
        centred = rows[order] - rows[order].mean(axis=0) if len(order) else rows[order]
        sums = _by_artist(centred, start, pool)
        n = np.where(compared, works, np.nan)
        squares = np.vecdot(centred, centred)
        within = (np.vecdot(sums, sums) - _by_artist(squares[:, None], start, pool)[:, 0]) / (n * (n - 1))
        # Half the mean similarity within the artist's works, each left out in turn, less what does not vary.
        influence = -(np.vecdot(centred, sums[own]) - squares) / ((n[own] - 1) * (n[own] - 2))
        weighted = _by_artist(influence[:, None] * centred, start, pool)
        total = _by_artist(influence[:, None], start, pool)[:, 0]
        spread = _by_artist(influence[:, None] ** 2, start, pool)[:, 0]
        means = sums / np.where(compared, works, 1)[:, None]
        return cls(centred, start, works, means, within, total, spread, weighted, compared)

    def gaps(self, some: IntArray, confidence: float) -> tuple[FloatArray, FloatArray]:
        """Gap and its lower bound between ``some`` artists (b,) and all (pool,): two arrays (b, pool), NaN if not compared."""
        everyone = np.arange(len(self.works))
        gap = (self.within[some, None] + self.within) / 2 - self.means[some] @ self.means.T
        variance = self._variance(some, everyone) + self._variance(everyone, some).T
        fewer = np.minimum(self.works[some, None], self.works)
        quantile = np.asarray(scipy.stats.t.ppf((1 + confidence) / 2, np.arange(1, max(int(fewer.max()), 2))))
        error = np.sqrt(np.maximum(variance, 0)) * quantile[np.maximum(fewer - 2, 0)]
        gap[:, ~self.compared] = np.nan
        gap[np.arange(len(some)), some] = np.nan
        return gap, gap - error

    def _variance(self, left_out: IntArray, against: IntArray) -> FloatArray:
        """Jackknife variance from the works of ``left_out`` (a,), each in turn, in the gap to ``against`` (b,): (a, b)."""
        n = np.where(self.compared, self.works, np.nan)[left_out][:, None]
        sums = n * (self.means[left_out] @ self.means[against].T)
        squares = self._squares(left_out, against)
        with_influence = self.influence_rows[left_out] @ self.means[against].T
        total, spread = self.influence[left_out][:, None], self.influence_squares[left_out][:, None]
        about_mean = (
            spread
            - total**2 / n
            + 2 / (n - 1) * (with_influence - total * sums / n)
            + (squares - sums**2 / n) / (n - 1) ** 2
        )
        return np.asarray((n - 1) / n * about_mean)

    def _squares(self, left_out: IntArray, against: IntArray) -> FloatArray:
        """Sum over an artist's works of their squared similarity to the mean of another artist: (a, b)."""
        squares = np.zeros((len(left_out), len(against)))
        for first in range(0, len(left_out), BLOCK):
            some = left_out[first : first + BLOCK]
            some = some[self.compared[some]]
            if len(some) == 0:
                continue
            member = np.concatenate([np.arange(self.start[a], self.start[a] + self.works[a]) for a in some])
            starts = np.concatenate([[0], np.cumsum(self.works[some])[:-1]])
            product = (self.rows[member] @ self.means[against].T) ** 2
            squares[first : first + BLOCK][self.compared[left_out[first : first + BLOCK]]] = np.add.reduceat(
                product, starts
            )
        return squares


def _by_artist(values: FloatArray, start: IntArray, pool: int) -> FloatArray:
    """Sums (pool, m) of rows (w, m) sorted by artist, whose rows begin at ``start`` (pool,)."""
    sums = np.zeros((pool, values.shape[1]))
    if len(values):
        filled = np.flatnonzero(np.diff(np.append(start, len(values))) > 0)
        sums[filled] = np.add.reduceat(values, start[filled])
    return sums


def _nearest(sets: _Sets, artist: int, gap: FloatArray, low: FloatArray, at_most: int) -> Confusable:
    compared = int((~np.isnan(gap)).sum())
    why = ""
    if not sets.compared[artist]:
        short = FEWEST_WORKS - int(sets.works[artist])
        why = f"The artist has {sets.works[artist]} works; {FEWEST_WORKS} are needed. {short} more would settle it."
        compared = 0
    elif compared == 0:
        why = f"No other artist has {FEWEST_WORKS} works; add works of others."
    unlike = np.flatnonzero(low <= 0) if compared else np.zeros(0, dtype=np.int64)
    order = unlike[np.argsort(gap[unlike], kind="stable")]
    first = order[:at_most]
    return Confusable(first, gap[first], low[first], len(order), compared, why)
