"""What human raters say: which of two images is nearer to the artist's works, the image of the artist's name or that of a control name.

Raters see neither names nor which image is which. If an artist's images are no nearer to the works than those of control names, each
question is won with probability one half. A question counts once, whatever the number of raters: the raters of one question look at the
same pictures, so their answers are not independent.
"""

import warnings
from dataclasses import dataclass

import krippendorff
import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

from audit_assets.measurement.answers import NO, UNTESTED, YES, Answer
from audit_assets.measurement.intervals import exact_binomial
from audit_assets.measurement.vectors import FloatArray

FEWEST_RATERS = 3
"""Raters who passed their attention checks. With two, a majority needs both."""
FEWEST_QUESTIONS = 5
"""Questions per artist. Five that are all won have p = 1/32; with four, p is 1/16 at best."""
LEVEL = 0.05
MISSED_CHECKS = 0.2
"""Share of attention checks that a rater may miss: a slip is no reason to leave a rater out."""
RESAMPLES = 1000


@dataclass(frozen=True)
class Agreement:
    """Krippendorff's alpha with its 95 % interval; NaN and a reason if it does not exist."""

    alpha: float
    low: float
    high: float
    reason: str = ""


@dataclass(frozen=True)
class Said:
    """What the raters say of one artist.

    ``share``: questions that the artist's image won by the majority of raters, with its exact 95 % interval. ``p_value``: exact and one-sided
    (sign test). A tie is not won.
    """

    answer: Answer
    questions: int
    won: int
    share: float
    low: float
    high: float
    p_value: float
    reason: str
    settle: str = ""


def agreement(choices: npt.ArrayLike, *, seed: int) -> Agreement:
    """Krippendorff's alpha (2004, nominal) of ``choices`` (raters, questions), with NaN for a question that a rater did not answer.

    The two options of a question must be named by chance and not by what they are. If they were named "artist" and "control", raters who always agree on
    the artist would use one word alone, and alpha would not exist. The interval resamples questions (Efron 1979, percentiles).
    """
    values = np.asarray(choices, dtype=np.float64)
    alpha = _alpha(values)
    if np.isnan(alpha):
        reason = (
            "Fewer than two raters answered the same questions."
            if _pairs(values) < 1
            else "Every answer is the same option."
        )
        return Agreement(alpha, alpha, alpha, reason)
    rng = np.random.default_rng([seed, 17])
    drawn = [_alpha(values[:, rng.integers(0, values.shape[1], values.shape[1])]) for _ in range(RESAMPLES)]
    kept = np.array([value for value in drawn if not np.isnan(value)])
    low, high = np.quantile(kept, [0.025, 0.975]) if len(kept) else (np.nan, np.nan)
    return Agreement(alpha, float(low), float(high))


def said_of_artist(votes: npt.ArrayLike) -> Said:
    """The raters' answer about one artist: ``votes`` (raters, questions) are 1 if the artist's image was chosen, 0 if not, NaN if not asked."""
    values = np.asarray(votes, dtype=np.float64)
    asked = values[:, (~np.isnan(values)).any(axis=0)] if values.size else values.reshape(0, 0)
    raters, questions = asked.shape
    if raters < FEWEST_RATERS:
        reason = f"{raters} raters answered and passed the attention checks, and a majority needs {FEWEST_RATERS}."
        return Said(UNTESTED, questions, 0, np.nan, np.nan, np.nan, np.nan, reason, "Answers of more raters.")
    if questions < FEWEST_QUESTIONS:
        reason = f"{questions} questions were asked about the artist, and the test needs {FEWEST_QUESTIONS}."
        return Said(
            UNTESTED, questions, 0, np.nan, np.nan, np.nan, np.nan, reason, "A packet with more questions per artist."
        )
    won = int((np.nanmean(asked, axis=0) > 0.5).sum())
    interval = exact_binomial(won, questions)
    p = float(binomtest(won, questions, 0.5, alternative="greater").pvalue)
    reason = f"In {won} of {questions} questions most raters chose the image of the artist's name."
    answer = YES if p <= LEVEL else NO
    return Said(answer, questions, won, won / questions, interval.low, interval.high, p, reason)


def passes(right: int, checks: int) -> bool:
    """Whether a rater answered enough attention checks rightly."""
    return checks > 0 and checks - right <= int(MISSED_CHECKS * checks)


def _pairs(values: FloatArray) -> int:
    """The number of questions that two raters or more answered."""
    return int(((~np.isnan(values)).sum(axis=0) >= 2).sum()) if values.size else 0


def _alpha(values: FloatArray) -> float:
    answered = values[:, (~np.isnan(values)).sum(axis=0) >= 2] if values.size else values
    if not answered.size or len(np.unique(answered[~np.isnan(answered)])) < 2:
        return float("nan")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return float(krippendorff.alpha(reliability_data=answered, level_of_measurement="nominal"))
