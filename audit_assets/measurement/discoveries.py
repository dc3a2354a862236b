"""Many artists, one list: who is called imitated, and at least how many are.

Two questions, two procedures. ``filtered_bh`` names artists, and promises that on average at most 5 % of the named are false.
``true_discoveries`` names none, and promises with 95 % confidence that at least m of n artists are imitated.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audit_assets.measurement.multiplicity import benjamini_hochberg
from audit_assets.measurement.vectors import BoolArray, FloatArray


@dataclass(frozen=True)
class Filtered:
    """Adjusted p-values per artist, shape (n,). ``q_value``: NaN for artists who were filtered out or not tested.

    ``found``: q at or below alpha. ``family``: how many artists are adjusted together, which is all of them. ``needed``: the
    largest p-value with which each artist would be found, all others as observed (n,); for an artist who did not pass, as if
    the artist had.
    """

    q_value: FloatArray
    found: BoolArray
    family: int
    needed: FloatArray


def filtered_bh(p_values: npt.ArrayLike, passed: npt.ArrayLike, *, alpha: float = 0.05) -> Filtered:
    """Benjamini-Hochberg over all artists, where those who did not pass another experiment count as p = 1; both of shape (n,).

    Such p-values are at least as large as those of matching, so the share of false among the found holds for the list that is
    printed, however the two experiments hang together. They do: both look at the same images, and an encoder that knows a hand
    by the artist's name finds images near to the name that are also near to the works. Adjusting over the artists who passed, as if
    passing said nothing about matching, let 30 % of audits name a false artist if nobody was imitated. Adjusting over all and
    removing those who did not pass afterwards is no remedy: their true findings had paid for false ones.

    A NaN among p-values is an artist who could not be tested, and counts as p = 1.
    Raises ValueError on p-values outside [0, 1], another shape of ``passed``, and alpha outside (0, 1).
    """
    p, kept = _checked(p_values, passed)
    _check_alpha(alpha)
    counted = np.where(kept & ~np.isnan(p), p, 1.0)
    q = np.where(kept & ~np.isnan(p), benjamini_hochberg(counted), np.nan)
    return Filtered(q, np.nan_to_num(q, nan=1.0) <= alpha, len(p), _needed(counted, alpha))


def _needed(p: FloatArray, alpha: float) -> FloatArray:
    """With the others as observed, the artist is found at p if p <= alpha j / n for the j that p and the others reach.

    The largest such p is alpha j / n for the largest j with j - 1 others at or below it; leaving one out shifts ranks by one.
    """
    ordered = np.sort(p)
    return np.array([_largest(np.delete(ordered, np.searchsorted(ordered, own)), alpha) for own in p])


def _largest(others: FloatArray, alpha: float) -> float:
    """The largest p of one more test that Benjamini-Hochberg rejects beside ``others``, sorted (m - 1,)."""
    m = len(others) + 1
    thresholds = alpha * np.arange(1, m + 1) / m
    enough = np.append(True, others <= thresholds[1:])
    return float(thresholds[np.flatnonzero(enough)[-1]])


def true_discoveries(
    p_values: npt.ArrayLike,
    *,
    among: npt.ArrayLike | None = None,
    passed: npt.ArrayLike | None = None,
    alpha: float = 0.05,
) -> int:
    """A lower bound on the number of artists who are imitated, with confidence 1 - alpha: "at least m of n".

    Closed testing with Simes tests (Goeman and Solari 2011, *Statistical Science* 26, 584-597), by the shortcut of Goeman, Meijer,
    Krebs and Solari 2019, *Biometrika* 106, 841-856: with h the largest size of a set of hypotheses that no Simes test
    rejects (Hommel 1988), the bound for a set S is max over u of 1 - u + #{i in S: h p_i <= u alpha}.

    ``p_values`` (n,) of all artists. ``among`` (n,): the set S, by default all; the bounds hold for all sets at once, so a set
    may be chosen after looking. ``passed`` (n,): False counts as p = 1, so that m speaks of artists found in both experiments;
    this can only lower the bound. NaN (not tested) counts as 1. Simes' inequality holds for independent and for positively
    dependent p-values (Sarkar 1998, *Annals of Statistics* 26, 494-504).

    Raises ValueError as ``filtered_bh``.
    """
    p, inside = _checked(p_values, np.ones(np.shape(p_values), dtype=np.bool_) if among is None else among)
    _check_alpha(alpha)
    if passed is not None:
        p = np.where(_checked(p_values, passed)[1], p, np.nan)
    p = np.where(np.isnan(p), 1.0, p)
    chosen = np.sort(p[inside])
    h = largest_unrejected(p, alpha=alpha)
    if h == 0:
        return len(chosen)
    # At the u where p_(k) begins to count, the bound is 1 - u + k.
    start = np.maximum(1, np.ceil(np.round(h * chosen / alpha, 12)))
    bounds = 1 - start + np.arange(1, len(chosen) + 1)
    return int(max(0, *bounds)) if len(chosen) else 0


def largest_unrejected(p_values: npt.ArrayLike, *, alpha: float) -> int:
    """Hommel's h: the size of the largest set of hypotheses that the Simes test does not reject; 0 if it rejects each.

    The set of size i that is hardest to reject holds the i largest p-values, and is rejected if one of them, the j-th
    smallest of the set, is at or below alpha j / i.
    """
    p = np.sort(np.asarray(p_values, dtype=np.float64))
    for size in range(len(p), 0, -1):
        thresholds = alpha * np.arange(1, size + 1) / size
        if (p[len(p) - size :] > thresholds).all():
            return size
    return 0


def _check_alpha(alpha: float) -> None:
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha}; pass a value between 0 and 1, 0.05 for a confidence of 95 %.")


def _checked(p_values: npt.ArrayLike, kept: npt.ArrayLike) -> tuple[FloatArray, BoolArray]:
    p, chosen = np.asarray(p_values, dtype=np.float64), np.asarray(kept)
    if p.ndim != 1 or chosen.shape != p.shape or (len(p) and chosen.dtype != np.bool_):
        raise ValueError(f"P-values of shape {p.shape} with a mask of {chosen.shape}; pass one bool per p-value.")
    outside = (p < 0) | (p > 1)
    if outside.any():
        row = int(np.argmax(outside))
        raise ValueError(f"The p-value in row {row} is {p[row]:g}; a p-value lies between 0 and 1.")
    return p, chosen.astype(np.bool_)
