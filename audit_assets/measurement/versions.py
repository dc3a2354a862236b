"""Model versions: what moved, by how much, and what it can be attributed to.

Two versions are asked for the same subjects, in the same words, from the same seeds. Training again on the same data moves
every artist a little, so "this artist changed" names no cause. Three comparisons do more:

* **Difference in differences**: if some artists opted out before the later version was trained, *their* movement less
  that of all other artists is what opting out did, as far as nothing else befell the one group and not the other. A
  shift that retraining brings to all artists cancels.
* **Beyond retraining**: if a version was trained again on the same data, its movement says how far artists move without
  a cause.
* **Equivalence of the audited artists**: their mean share moved by less than a margin. It is a statement about these
  artists, not about a population of them: if one artist in twenty is lost whole, no sample of 70 shows that the mean of
  all others stayed.

Every artist is one observation, however many images it has.
"""

from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
import numpy.typing as npt
import scipy

from audit_assets.measurement.vectors import BoolArray, FloatArray

MOST_EXACT = 20_000
"""Up to this many ways to choose the group, all are tried; beyond, some are drawn."""
FEWEST_FOR_WELCH = 5
"""With fewer artists in a group its own variance is too uncertain to divide by; the variance of both groups together is
taken."""
FEWEST_FOR_TREND = 7
"""Versions: with six, all five steps in one direction still have a p-value of 2 / 2^5 = 0.06."""


@dataclass(frozen=True)
class VersionShares:
    """Mean share of identified images over the same artists in two versions, and its change.

    ``low`` and ``high``: 95 % interval of the change over further artists of the kind (Student's t over artists).
    ``low_audited`` and ``high_audited``: of these very artists, over further images of them. ``equivalent``: the 90 %
    interval of these very artists lies within the margin.
    """

    before: float
    after: float
    difference: float
    low: float
    high: float
    low_audited: float
    high_audited: float
    equivalent: bool
    subjects: int


def version_shares(
    successes: npt.ArrayLike,
    images: npt.ArrayLike,
    later_successes: npt.ArrayLike,
    later_images: npt.ArrayLike,
    *,
    margin: float,
    confidence: float = 0.95,
) -> VersionShares:
    """Compare two versions over the artists that have shown images in both. Counts of shape (subjects,).

    Averages are over artists, so that one with more images does not weigh more. The error for the audited artists adds
    the binomial variances of both versions, each at the share (y + 1/2) / (m + 1), and takes the versions as
    independent given the artist: the same seeds make them alike, so the error is too large, if anything. Equivalence is
    two one-sided tests on it (Schuirmann 1987, *Journal of Pharmacokinetics and Biopharmaceutics* 15, 657-680). A
    t-test over artists in its place, the first edition's, passes at its margin in more than 5 % if few artists carry
    the change: the sample that misses them has a small mean and a small error together.

    Raises ValueError on impossible counts, a margin outside 0 and 1, or fewer than two artists.
    """
    y, m, later_y, later_m = (
        np.asarray(a, dtype=np.float64) for a in (successes, images, later_successes, later_images)
    )
    if not y.shape == m.shape == later_y.shape == later_m.shape or y.ndim != 1:
        raise ValueError("Pass one count per subject for both versions.")
    if not 0 < margin < 1:
        raise ValueError(f"The margin is {margin}; pass a share of images, 0 < margin < 1.")
    if not ((y >= 0) & (y <= m) & (later_y >= 0) & (later_y <= later_m)).all():
        raise ValueError("A subject has more images identified than images; count them again.")
    kept = (m > 0) & (later_m > 0)
    y, m, later_y, later_m = y[kept], m[kept], later_y[kept], later_m[kept]
    n = len(y)
    if n < 2:
        raise ValueError(f"{n} subject(s) have images in both versions; a mean over artists needs two.")
    d = later_y / later_m - y / m
    mean = float(d.mean())
    reach = float(scipy.stats.t.ppf((1 + confidence) / 2, n - 1) * d.std(ddof=1) / np.sqrt(n))
    error = float(np.sqrt(np.sum(_binomial_variance(y, m) + _binomial_variance(later_y, later_m)))) / n
    own = float(scipy.stats.norm.ppf((1 + confidence) / 2)) * error
    narrow = float(scipy.stats.norm.ppf(confidence)) * error
    return VersionShares(
        before=float((y / m).mean()),
        after=float((later_y / later_m).mean()),
        difference=mean,
        low=mean - reach,
        high=mean + reach,
        low_audited=mean - own,
        high_audited=mean + own,
        equivalent=bool(-margin < mean - narrow and mean + narrow < margin),
        subjects=n,
    )


def _binomial_variance(y: FloatArray, m: FloatArray) -> FloatArray:
    share = (y + 0.5) / (m + 1)
    return np.asarray(share * (1 - share) / m)


def log_odds_differences(
    successes: npt.ArrayLike, images: npt.ArrayLike, later_successes: npt.ArrayLike, later_images: npt.ArrayLike
) -> FloatArray:
    """Later less earlier log odds of each artist, shape (subjects,), NaN without images in both versions.

    log((y + 1/2) / (m - y + 1/2)) (Haldane 1956, *Annals of Human Genetics* 20, 309-311). A shift that is common to all
    artists in log odds moves those at 50 % by more points than those at 95 %, so a declared group of famous artists
    seems to differ: with shares of 88 % against 12 % such a shift gave p <= 0.05 in 12 % of simulated audits in points,
    and in 9 % in log odds. Pass both to ``difference_in_differences`` and claim an effect only if both find it
    (``moved``).

    Raises ValueError if shapes differ or counts are impossible.
    """
    y, m, later_y, later_m = (
        np.asarray(a, dtype=np.float64) for a in (successes, images, later_successes, later_images)
    )
    if not y.shape == m.shape == later_y.shape == later_m.shape or y.ndim != 1:
        raise ValueError("Pass one count per subject for both versions.")
    if not ((y >= 0) & (y <= m) & (later_y >= 0) & (later_y <= later_m)).all():
        raise ValueError("A subject has more images identified than images; count them again.")
    found = np.log((later_y + 0.5) / (later_m - later_y + 0.5)) - np.log((y + 0.5) / (m - y + 0.5))
    return np.where((m > 0) & (later_m > 0), found, np.nan)


def smallest_p(group: int, others: int, *, permutations: int = 9_999) -> float:
    """The smallest p-value that ``difference_in_differences`` can have for groups of these sizes.

    If all ways to choose the group are tried, the group itself is one of them. If both groups have the same size, the others are one
    more: chosen in place of the group, they have the same difference with the opposite sign, and the test is two-sided.
    """
    ways = comb(group + others, group)
    if ways > MOST_EXACT:
        return 1 / (1 + permutations)
    return (2 if group == others else 1) / ways


def too_few(group: int, others: int, *, alpha: float, permutations: int = 9_999) -> tuple[str, str]:
    """Why groups of these sizes cannot have p <= ``alpha``, and what would settle it; both empty if they can."""
    floor = smallest_p(group, others, permutations=permutations)
    if floor <= alpha:
        return "", ""
    sizes = range(others + 1, MOST_EXACT)
    more = next((n - others for n in sizes if smallest_p(group, n, permutations=permutations) <= alpha), None)
    settle = (
        f"A level of {floor:.2g} or more." if more is None
        else f"{more} more artist{'' if more == 1 else 's'} who did not opt out."
    )  # fmt: skip
    ways = comb(group + others, group)
    if ways > MOST_EXACT:
        return f"{permutations:,} permutations are drawn, so p cannot be below {floor:.2g}.", settle
    half = ", and the others differ from the group as far as the group from the others" if group == others else ""
    return (
        f"{group} of {group + others} artists can be chosen in {ways} ways{half}, so p cannot be below {floor:.2g}.",
        settle,
    )


@dataclass(frozen=True)
class DifferenceInDifferences:
    """How much further a declared group moved than the others: mean of its differences less the mean of theirs.

    ``p_value`` two-sided, over all ways to choose as many artists (``exact``) or drawn ones; ``p_floor`` the smallest
    it can be. ``reason`` and ``settle`` say why nothing could be tested, and are empty if the test ran; the interval is
    NaN then only with fewer than three artists.
    """

    difference: float
    low: float
    high: float
    p_value: float
    p_floor: float
    exact: bool
    group: int
    others: int
    reason: str = ""
    settle: str = ""


def difference_in_differences(
    differences: npt.ArrayLike,
    group: npt.ArrayLike,
    *,
    permutations: int = 9_999,
    rng: np.random.Generator,
    alpha: float = 0.05,
    confidence: float = 0.95,
) -> DifferenceInDifferences:
    """Did a group that was declared before the later version was seen move further than the other artists?

    ``differences`` (subjects,): later less earlier score of each artist (share, AUC), NaN for an artist without both,
    who is left out. ``group`` (subjects,): True for the declared artists. If opting out did nothing, the labels "opted
    out" are exchangeable over artists (Fisher 1935, *The design of experiments*, section 21). The statistic is Welch's
    t, whose permutation test also holds its level, for many artists, if the groups vary differently (Janssen 1997,
    *Statistics & Probability Letters* 36, 9-21); with fewer than ``FEWEST_FOR_WELCH`` artists in a group it is the
    difference of means. p = (1 + #) / (1 + B) of B drawn assignments, or the exact share of all if there are at most
    ``MOST_EXACT``. The interval is Welch's (Student's with a common variance for a small group).

    "could not be tested" (``reason``): no artist in a group, or too few ways to choose the group for p <= ``alpha``.

    Raises ValueError if shapes differ or there is no permutation.
    """
    d, chosen = np.asarray(differences, dtype=np.float64), np.asarray(group)
    if d.ndim != 1 or chosen.shape != d.shape or chosen.dtype != np.bool_:
        raise ValueError(f"Differences {d.shape} and group {chosen.shape} ({chosen.dtype}): pass one bool per artist.")
    if permutations < 1:
        raise ValueError("Pass at least one permutation.")
    known = ~np.isnan(d)
    d, chosen = d[known], chosen[known]
    k, others = int(chosen.sum()), int((~chosen).sum())
    if k == 0 or others == 0:
        empty = "the declared group" if k == 0 else "the others"
        return DifferenceInDifferences(
            np.nan, np.nan, np.nan, np.nan, np.nan, False, k, others,
            f"No artist of {empty} has a score in both versions.", f"Artists of {empty} with images in both versions.",
        )  # fmt: skip
    exact = comb(k + others, k) <= MOST_EXACT
    floor = smallest_p(k, others, permutations=permutations)
    mean = float(d[chosen].mean() - d[~chosen].mean())
    low, high = _interval_of_two(d[chosen], d[~chosen], mean, confidence)
    reason, settle = too_few(k, others, alpha=alpha, permutations=permutations)
    if reason:
        return DifferenceInDifferences(mean, low, high, np.nan, floor, exact, k, others, reason, settle)
    p = _permuted(d, chosen, exact=exact, permutations=permutations, rng=rng)
    return DifferenceInDifferences(mean, low, high, p, floor, exact, k, others)


def moved(points: DifferenceInDifferences, log_odds: DifferenceInDifferences, *, alpha: float) -> bool | None:
    """Whether a declared group moved differently from the others: p <= ``alpha`` and one direction in both measures. None
    if either could not be tested.

    If the groups had different shares before, a group can lose more points than the others and yet lose less in log
    odds (50 % to 30 % beside 100 % to 90 %). Then nothing says which of them moved further.
    """
    if points.reason or log_odds.reason:
        return None
    one_direction = points.difference * log_odds.difference > 0
    return bool(one_direction and max(points.p_value, log_odds.p_value) <= alpha)


def _interval_of_two(one: FloatArray, two: FloatArray, mean: float, confidence: float) -> tuple[float, float]:
    n1, n2 = len(one), len(two)
    if n1 + n2 < 3:
        return np.nan, np.nan
    if min(n1, n2) >= FEWEST_FOR_WELCH:
        v1, v2 = one.var(ddof=1) / n1, two.var(ddof=1) / n2
        variance = v1 + v2
        freedom = variance**2 / (v1**2 / (n1 - 1) + v2**2 / (n2 - 1)) if variance > 0 else n1 + n2 - 2
    else:
        freedom = n1 + n2 - 2
        squares = float(((one - one.mean()) ** 2).sum() + ((two - two.mean()) ** 2).sum())
        variance = squares / freedom * (1 / n1 + 1 / n2)
    reach = float(scipy.stats.t.ppf((1 + confidence) / 2, freedom) * np.sqrt(variance))
    return mean - reach, mean + reach


def _permuted(d: FloatArray, chosen: BoolArray, *, exact: bool, permutations: int, rng: np.random.Generator) -> float:
    n, k = len(d), int(chosen.sum())
    own = abs(float(_statistic(d, chosen[None])[0])) * (1 - 1e-9)
    if exact:
        assignments = np.array(list(combinations(range(n), k)), dtype=np.int64)
        masks = np.zeros((len(assignments), n), dtype=np.bool_)
        np.put_along_axis(masks, assignments, True, axis=1)
        return float(np.mean(np.abs(_statistic(d, masks)) >= own))
    reached, done = 0, 0
    block = max(1, 2_000_000 // n)
    while done < permutations:
        size = min(block, permutations - done)
        reached += int(np.count_nonzero(np.abs(_statistic(d, rng.permuted(np.tile(chosen, (size, 1)), axis=1))) >= own))
        done += size
    return (1 + reached) / (1 + permutations)


def _statistic(d: FloatArray, masks: BoolArray) -> FloatArray:
    """The statistic of every assignment (B, n)."""
    n, k = len(d), int(masks[0].sum())
    d = d - d.mean()
    return studentized(masks @ d, masks @ d**2, (d**2).sum(), k, n)


def studentized(sums: FloatArray, squares: FloatArray, all_squares: FloatArray, k: int, n: int) -> FloatArray:
    """Welch's t of k of n artists, or the difference of means if a group is small.

    ``sums`` and ``squares`` of the k differences, whose mean over all n is 0, and ``all_squares`` of all n: any shapes that
    go together.
    """
    means, rest = sums / k, -sums / (n - k)
    if min(k, n - k) < FEWEST_FOR_WELCH:
        return np.asarray(means - rest)
    v1 = np.maximum(squares - k * means**2, 0.0) / (k - 1) / k
    v2 = np.maximum(all_squares - squares - (n - k) * rest**2, 0.0) / (n - k - 1) / (n - k)
    # If neither group varies, what is left of the variance is rounding, and another order of the sums would give another t.
    variance = np.where(v1 + v2 > 1e-12 * all_squares, v1 + v2, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = (means - rest) / np.sqrt(variance)
    return np.where(np.abs(means - rest) < 1e-12, 0.0, t)


def beyond_retraining(differences: npt.ArrayLike, retrained: npt.ArrayLike) -> FloatArray:
    """p-value of each artist's movement beside those of a version that was trained again on the same data. Shape
    (subjects,).

    ``differences`` (subjects,): of the pair that is compared; ``retrained`` (artists,): of the pair that the user
    declares to differ in its training run alone. If only a training run lay between the compared versions, an artist's
    movement would be one more of the latter: p = (1 + #(|retrained| >= |difference|)) / (1 + artists). A shift common
    to all artists of a pair is part of the movement in both. Adjust over artists before calling anyone moved. NaN stays
    NaN.

    Raises ValueError without an artist in ``retrained``.
    """
    d, null = np.asarray(differences, dtype=np.float64), np.asarray(retrained, dtype=np.float64)
    null = np.sort(np.abs(null[~np.isnan(null)]))
    if d.ndim != 1 or len(null) == 0:
        raise ValueError("No artist has a score in both runs of the retrained pair; declare a pair with shown images.")
    at_least = len(null) - np.searchsorted(null, np.abs(d) - 1e-12, side="left")
    return np.where(np.isnan(d), np.nan, (1 + at_least) / (1 + len(null)))


@dataclass(frozen=True)
class Trend:
    """Mean change from one version to the next over the same artists. ``p_value`` NaN with a ``reason`` if it could not
    be tested."""

    slope: float
    p_value: float
    p_floor: float
    versions: int
    subjects: int
    reason: str = ""
    settle: str = ""


def trend(scores: npt.ArrayLike) -> Trend:
    """Do versions drift in one direction? From scores (versions, subjects) in the order of the versions.

    ``slope``: (last mean - first mean) / (versions - 1) over the artists with all scores. The versions are the
    observations: a training run moves all artists together, so ten artists who rise together are one rise, not ten
    (permuting within artists, the first edition's test, called 28-76 % of common random shifts a trend). p: over all
    signs of the steps from one version to the next, two-sided. It holds if each run shifts all artists by itself, and
    if each run starts from the one before and shifts add up. With fewer than ``FEWEST_FOR_TREND`` versions p could not
    be below 0.05, and nothing is tested.

    Raises ValueError with fewer than two versions or without an artist scored in all.
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 2 or len(values) < 2:
        raise ValueError(f"Scores {values.shape}: a trend needs two versions or more, one row each.")
    values = values[:, ~np.isnan(values).any(axis=0)]
    if values.shape[1] == 0:
        raise ValueError("No subject is scored in all versions; a trend needs one.")
    steps = np.diff(values.mean(axis=1))
    slope, versions = float(steps.mean()), len(values)
    floor = 2.0 ** (1 - len(steps))
    if versions < FEWEST_FOR_TREND:
        return Trend(
            slope, np.nan, floor, versions, values.shape[1],
            f"{versions} versions: even if every step had one direction, p would be {min(floor, 1.0):.2g}.",
            f"{FEWEST_FOR_TREND - versions} more versions.",
        )  # fmt: skip
    steps = steps[-16:]  # of more versions the last 16 steps, 65,536 signs
    signs = 1.0 - 2.0 * ((np.arange(2 ** len(steps))[:, None] >> np.arange(len(steps))) & 1)
    drawn = np.abs(signs @ steps)
    p = float(np.mean(drawn >= abs(float(steps.sum())) * (1 - 1e-9) - 1e-15))
    return Trend(slope, p, 2.0 ** (1 - len(steps)), versions, values.shape[1])
