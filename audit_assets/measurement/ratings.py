"""What human raters say: which of two images is nearer to the artist's works, the image of the artist's name or that of a control name.

Raters see neither names nor which image is which. If the model does not know the artist, the artist's name is one more name like the control names. Its
images may still be nearer to the works than those of most control names, all of them together, because images of one name resemble each other: some
name has to be the nearest. So the test counts control names and not questions. A question counts once, whatever the number of raters: the raters of one
question look at the same pictures, so their answers are not independent.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import krippendorff
import numpy as np
import numpy.typing as npt

from audit_assets.measurement.answers import NO, UNTESTED, YES, Answer
from audit_assets.measurement.intervals import exact_binomial
from audit_assets.measurement.vectors import FloatArray

FEWEST_RATERS = 3
"""Raters who passed their attention checks. With two, a majority needs both."""
LEVEL = 0.05
FEWEST_NAMES = ceil(1 / LEVEL) - 1
"""Control names that are asked about beside an artist. The nearest of 20 names has p = 1/20; with fewer names, no answer is possible at this level."""
MORE_NAMES = (
    f"A packet with {FEWEST_NAMES} questions about the artist, each beside another control name (`audit-assets ratings export --questions {FEWEST_NAMES}`). "
    f"It needs {FEWEST_NAMES} images of the artist's name and images of {FEWEST_NAMES} control names of the same origin."
)
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

    ``share``: questions that the artist's image won by the majority of raters, with the exact 95 % interval for further images of this name. A tie is
    not won. ``names``: control names whose images stood beside the artist's. ``beaten``: those of them against which the artist's images won more than half
    of the questions. ``p_value``: of the artist's name among the control names; NaN if nothing could be tested.
    """

    answer: Answer
    questions: int
    won: int
    share: float
    low: float
    high: float
    names: int
    beaten: int
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


def said_of_artist(votes: npt.ArrayLike, names: Sequence[str]) -> Said:
    """The raters' answer about one artist.

    ``votes`` (raters, questions) are 1 if the artist's image was chosen, 0 if not, NaN if not asked. ``names`` (questions,): the control name beside the
    artist's in each question.

    p = (1 + 2 L) / (1 + N), for N control names of which the artist's images did not beat L. If the artist's name is exchangeable with the control names, it
    is one of N + 1 players of a tournament of which only its own games were played. In any tournament of N + 1 players at most 1 + 2 L have L games or fewer
    that they did not win: the games among m players give them m (m - 1) / 2 wins at most (Landau 1953, *Bulletin of Mathematical Biophysics* 15, 143-148). So
    p holds for any correlation between the images of one name, and between the answers of raters.

    Raises ValueError if a question has no name.
    """
    values = np.asarray(votes, dtype=np.float64)
    values = values if values.size else values.reshape(0, len(names))
    if values.shape[1] != len(names):
        raise ValueError(
            f"{values.shape[1]} questions and {len(names)} control names; pass the name beside each question."
        )
    kept = (~np.isnan(values)).any(axis=0)
    asked, beside = values[:, kept], np.asarray(names, dtype=object)[kept]
    raters, questions = asked.shape
    if raters < FEWEST_RATERS or questions == 0:
        reason = f"{raters} raters answered and passed the attention checks, and a majority needs {FEWEST_RATERS}."
        return Said(
            UNTESTED,
            questions,
            0,
            np.nan,
            np.nan,
            np.nan,
            len(set(beside)),
            0,
            np.nan,
            reason,
            "Answers of more raters.",
        )
    wins = np.nanmean(asked, axis=0) > 0.5
    won = int(wins.sum())
    interval = exact_binomial(won, questions)
    number = len(set(beside))
    beaten = sum(bool(wins[beside == name].mean() > 0.5) for name in set(beside))
    figures = (questions, won, won / questions, interval.low, interval.high, number, beaten)
    reason = f"In {won} of {questions} questions most raters chose the image of the artist's name; it beat {beaten} of {number} control names."
    if number < FEWEST_NAMES:
        return Said(
            UNTESTED, *figures, np.nan, f"{reason} One of {1 + number} names is always the nearest.", MORE_NAMES
        )
    p = min(1.0, (1 + 2 * (number - beaten)) / (1 + number))
    return Said(YES if p <= LEVEL else NO, *figures, p, reason)


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
