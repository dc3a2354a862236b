"""How many captions must name an artist before a model imitates the artist?

Casper et al. (2023) ask for more than 100 images in LAION and do not say why. This module relates imitation to the
number of captions that name the artist. A change point and its interval answer the question for the model at hand. The
result is an association, because artists with more captions differ in other ways too. The method follows Verma et al.
(2024, *How many Van Goghs does it take to Van Gogh? Finding the imitation threshold*), who look for a change in mean
along artists sorted by count.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy

from audit_assets.measurement.vectors import FloatArray


@dataclass(frozen=True)
class DoseResponse:
    """A change point of the response along mentions.

    ``threshold`` is the number of mentions at which the mean changes, and ``low`` and ``high`` are its interval.
    ``below`` and ``above`` are the means on both sides. ``p_value`` tests by permutation whether any change exists.
    ``spearman`` is the rank correlation of mentions and response.
    """

    threshold: float
    low: float
    high: float
    below: float
    above: float
    p_value: float
    spearman: float
    spearman_p: float
    artists: int


def dose_response(
    mentions: npt.ArrayLike,
    response: npt.ArrayLike,
    *,
    permutations: int,
    rng: np.random.Generator,
    smallest_side: float = 0.1,
    confidence: float = 0.95,
) -> DoseResponse:
    """Find the change point of a response (accuracy or AUC per artist) along mentions. Shapes are (artists,).

    The threshold splits the artists, sorted by mentions, in two groups with the least sum of squares about their
    means. Each side holds at least the share ``smallest_side`` of the artists. The threshold is the geometric mean of
    the neighbouring counts + 1. Its interval runs over each number of mentions whose split has a sum of squares within
    the critical value of Hansen (2000, *Econometrica* 68, 575-603, equation 7) of the least sum: n (S - S_min) / S_min
    <= -2 log(1 - sqrt(confidence)), which is 7.35 at 95 %. The interval is conservative if the change is large. Each
    number between two neighbouring artists splits the artists alike, so the interval begins and ends at artists'
    mentions. The p-value compares the fall of the sum of squares with the fall after a permutation of the responses;
    it is (1 + #) / (1 + permutations).

    Raises ValueError if fewer than ten artists are given, values are not finite, mentions are negative, or all mentions
    are equal.
    """
    dose, y = np.asarray(mentions, dtype=np.float64), np.asarray(response, dtype=np.float64)
    if dose.ndim != 1 or dose.shape != y.shape or not (np.isfinite(dose).all() and np.isfinite(y).all()):
        raise ValueError(f"Mentions {dose.shape} and response {y.shape} must be finite, one value an artist for both.")
    if len(dose) < 10 or dose.min() < 0 or permutations < 1:
        raise ValueError(
            f"{len(dose)} artists, fewest mentions {dose.min() if len(dose) else 0:g}; pass at least ten, none negative."
        )
    order = np.argsort(dose, kind="stable")
    dose, y = dose[order], y[order]
    splits = _splits(dose, smallest_side)
    if len(splits) == 0:
        raise ValueError("The artists' mentions leave no place for a change point; they are (nearly) all equal.")
    squares = _squares_of_splits(y[None], splits)[0]
    best = int(np.argmin(squares))
    least = squares[best]
    thresholds = np.exp((np.log1p(dose[splits - 1]) + np.log1p(dose[splits])) / 2) - 1
    critical = -2 * np.log(1 - np.sqrt(confidence))
    held = splits[len(y) * (squares - least) <= critical * least]
    shuffled = rng.permuted(np.tile(y, (permutations, 1)), axis=1)
    at_least = np.count_nonzero(_squares_of_splits(shuffled, splits).min(axis=1) <= least * (1 + 1e-12))
    constant = np.ptp(y) == 0
    spearman = (np.nan, np.nan) if constant else scipy.stats.spearmanr(dose, y)
    return DoseResponse(
        threshold=float(thresholds[best]),
        # Each number of mentions between the neighbours of a split splits the artists alike.
        low=float(dose[held.min() - 1]),
        high=float(dose[held.max()]),
        below=float(y[: splits[best]].mean()),
        above=float(y[splits[best] :].mean()),
        p_value=(1 + at_least) / (1 + permutations),
        spearman=float(spearman[0]),
        spearman_p=float(spearman[1]),
        artists=len(y),
    )


def _splits(dose: FloatArray, smallest_side: float) -> npt.NDArray[np.int64]:
    """Return the sizes of the lower group.

    A split lies only between artists that differ in mentions, and neither side is too small.
    """
    least = max(1, int(np.ceil(smallest_side * len(dose))))
    sizes = np.arange(least, len(dose) - least + 1)
    return sizes[dose[sizes - 1] < dose[sizes]]


def _squares_of_splits(y: FloatArray, splits: npt.NDArray[np.int64]) -> FloatArray:
    """Return the sum of squares about the means of both groups, (permutations, splits), from running sums."""
    centred = y - y.mean(axis=1, keepdims=True)
    lower = centred.cumsum(axis=1)[:, splits - 1]
    n = y.shape[1]
    total = (centred**2).sum(axis=1, keepdims=True)
    return np.asarray(np.maximum(total - lower**2 / splits - lower**2 / (n - splits), 0.0))
