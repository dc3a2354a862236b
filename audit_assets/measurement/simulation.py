"""Worlds with known truth: do the tests keep the level that they promise, and what do they find?

Casper et al. (2023) have one control, re-assigned works, and it finds 22.8 % of artists significant. Here is why: in
a world where no artist is imitated, the paper's test calls more artists significant the more the imitations of one
artist resemble each other, while the tests that count artists stay at their level. ``study`` and ``interval_coverage``
make the tables of ``docs/statistics.md`` (``make simulate``).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import stats

from audit_assets.measurement.corrected_matching import own_rank, pairing_test, works_by_subject
from audit_assets.measurement.exact_rank_sum import rank_sum_exact_table
from audit_assets.measurement.intervals import wilson_clustered, wilson_interval
from audit_assets.measurement.matching import Alternative, cosine_distances, rank_sum_table
from audit_assets.measurement.multiplicity import Adjustment, adjust
from audit_assets.measurement.vectors import BoolArray, FloatArray, IntArray

ALPHA = 0.05


@dataclass(frozen=True)
class World:
    """What is true.

    ``icc``: correlation of two imitations of one artist, in every coordinate; ``works_icc``: the same for real works.
    ``effect``: cosine between the hand of an imitated artist and the centre of its imitations. ``imitated``: how many
    artists are. ``hubs``: length of a common direction that some works and some imitations share more than others.
    ``genre``: length of a direction that all imitations and the works of all audited artists share, the background not.
    """

    artists: int = 70
    background: int = 40
    images: int = 10
    works: int = 5
    dimension: int = 48
    icc: float = 0.5
    works_icc: float = 0.5
    effect: float = 0.0
    imitated: int = 0
    hubs: float = 0.0
    genre: float = 0.0


@dataclass(frozen=True)
class Drawn:
    """One audit of a world: unit vectors, whose they are, and which artists are truly imitated."""

    imitations: FloatArray
    subject_of_imitation: IntArray
    references: FloatArray
    artist_of_reference: IntArray
    imitated: BoolArray


@dataclass(frozen=True)
class Tested:
    """One test on one audit: p-values and what is significant after the adjustment; (artists,), (1,) for the pairing."""

    test: str
    alternative: Alternative
    adjustment: Adjustment
    p_value: FloatArray
    significant: BoolArray


def draw(world: World, rng: np.random.Generator) -> Drawn:
    """Draw an audit: normal centres of imitations and hands of artists, observations about them, scaled to length 1."""
    d, pool = world.dimension, world.artists + world.background
    centres = rng.normal(size=(world.artists, d))
    hands = rng.normal(size=(pool, d))
    imitated = np.arange(world.artists) < world.imitated
    mixed = world.effect * centres + np.sqrt(1 - world.effect**2) * hands[: world.artists]
    hands[: world.artists] = np.where(imitated[:, None], mixed, hands[: world.artists])
    subject = np.repeat(np.arange(world.artists), world.images)
    artist = np.repeat(np.arange(pool), world.works)
    images = np.sqrt(world.icc) * centres[subject] + np.sqrt(1 - world.icc) * rng.normal(size=(len(subject), d))
    works = np.sqrt(world.works_icc) * hands[artist] + np.sqrt(1 - world.works_icc) * rng.normal(size=(len(artist), d))
    common, genre = rng.normal(size=d), rng.normal(size=d)
    works += world.hubs * rng.exponential(size=(pool, 1))[artist] * common
    images += world.hubs * rng.exponential(size=(world.artists, 1))[subject] * common
    works += world.genre * (artist < world.artists)[:, None] * genre
    images += world.genre * genre
    return Drawn(_unit(images), subject, _unit(works), artist, imitated)


def run_tests(world: World, drawn: Drawn, rng: np.random.Generator, permutations: int) -> Iterator[Tested]:
    """Every test on an audit that was drawn.

    The rank-sum tests take the first work of each artist and Bonferroni, as Casper et al. (2023, section 2.2) do;
    ``own_rank`` takes all works, with Benjamini-Hochberg and with Holm; ``pairing`` is one test of all artists.
    """
    first = drawn.references[:: world.works][: world.artists]
    distances = cosine_distances(first, drawn.imitations)
    alternatives: tuple[Alternative, ...] = ("two_sided", "closer")
    for name, table in (("rank_sum_asymptotic", rank_sum_table), ("rank_sum_exact", rank_sum_exact_table)):
        for alternative in alternatives:
            ranks = table(distances, drawn.subject_of_imitation, world.artists, alternative=alternative).ranks
            p = np.diagonal(ranks.p_value).copy()
            yield Tested(name, alternative, "bonferroni", p, adjust(p, "bonferroni") < ALPHA)
    works = works_by_subject(
        references=drawn.references,
        artist_of_reference=drawn.artist_of_reference,
        pool=world.artists + world.background,
        imitations=drawn.imitations,
        subject_of_imitation=drawn.subject_of_imitation,
        subjects=world.artists,
    )
    corrected = own_rank(works, alpha=ALPHA)
    yield Tested("own_rank", "closer", "benjamini_hochberg", corrected.p_value, corrected.significant)
    yield Tested("own_rank", "closer", "holm", corrected.p_value, corrected.holm < ALPHA)
    pairing = np.array([pairing_test(works, permutations=permutations, rng=rng).p_value])
    yield Tested("pairing", "closer", "none", pairing, pairing < ALPHA)


def study(worlds: Iterable[World], *, audits: int, seed: int, permutations: int = 199) -> pd.DataFrame:
    """False positives and power of every test in every world, over ``audits`` drawn audits each.

    One row a world and test, each figure with its standard error over audits (``..._error``), since artists of one audit
    are not independent:

    * ``level``: share of p-values at or below 0.05 among artists that are not imitated, before any adjustment;
    * ``false_positives``: share of them that are significant after the adjustment (the figure of the paper's control);
    * ``any_false``: share of audits with at least one (what Bonferroni and Holm promise to keep at 5 %);
    * ``false_discoveries``: mean share of them among all that are significant, 0 where nothing is (what
      Benjamini-Hochberg promises to keep at 5 %);
    * ``power``: share of imitated artists that are significant.

    The pairing test is one test an audit: false where nobody is imitated, power where somebody is. NaN where there is no
    such artist. Every world draws from its own seed, so that it gives the same row in any company.
    """
    lines = []
    for world in worlds:
        parameters = list(vars(world).values())
        rng = np.random.default_rng([seed, *(round(1000 * value) for value in parameters)])
        figures: dict[tuple[str, str, str], list[tuple[float, ...]]] = {}
        for _ in range(audits):
            drawn = draw(world, rng)
            for tested in run_tests(world, drawn, rng, permutations):
                key = (tested.test, tested.alternative, tested.adjustment)
                figures.setdefault(key, []).append(_figures(tested, drawn.imitated))
        for (test, alternative, adjustment), rows in figures.items():
            line = vars(world) | {"test": test, "alternative": alternative, "adjustment": adjustment, "audits": audits}
            for name, values in zip(FIGURES, np.array(rows).T, strict=True):
                line |= {name: float(values.mean()), f"{name}_error": float(values.std(ddof=1) / np.sqrt(audits))}
            lines.append(line)
    return pd.DataFrame(lines)


FIGURES = ("level", "false_positives", "any_false", "false_discoveries", "power")


def _figures(tested: Tested, imitated: BoolArray) -> tuple[float, ...]:
    true = imitated if len(tested.p_value) > 1 else np.array([imitated.any()])
    false, found = tested.significant & ~true, tested.significant.sum()
    return (
        _mean(tested.p_value[~true] <= ALPHA),
        _mean(tested.significant[~true]),
        float(false.any()) if (~true).any() else np.nan,
        float(false.sum() / found) if found else 0.0,
        _mean(tested.significant[true]),
    )


def null_worlds(
    base: World, *, iccs: Iterable[float] = (0.0, 0.1, 0.3, 0.5, 0.7), hubs: Iterable[float] = (0.0, 0.5)
) -> list[World]:
    """Worlds in which nobody is imitated, over correlations and hubs: where every finding is false."""
    return [replace(base, icc=icc, hubs=hub, effect=0.0, imitated=0) for hub in hubs for icc in iccs]


def imitated_worlds(
    base: World, *, effects: Iterable[float] = (0.2, 0.4, 0.6, 0.8), iccs: Iterable[float] = (0.3, 0.7), imitated: int
) -> list[World]:
    """Worlds in which some artists are imitated, over effects."""
    return [replace(base, icc=icc, effect=effect, imitated=imitated) for icc in iccs for effect in effects]


def interval_coverage(
    shares: Sequence[float], iccs: Sequence[float], *, subjects: int, images: int, audits: int, seed: int
) -> pd.DataFrame:
    """How often the interval of an accuracy holds the true one: ``wilson_clustered`` beside Wilson's for independent images.

    Counts are beta-binomial (Skellam 1948, *JRSS B* 10, 257-261): a subject's chance is drawn from a beta distribution
    about ``share``, with correlation ``icc`` between its images. Standard error of a coverage c: sqrt(c (1 - c) / audits).
    """
    lines = []
    quantile = float(stats.norm.ppf(1 - ALPHA / 2))
    for share in shares:
        for icc in iccs:
            rng = np.random.default_rng([seed, round(1000 * share), round(1000 * icc), subjects, images])
            held = np.zeros(2)
            for _ in range(audits):
                chance = np.full(subjects, share)
                if icc > 0:
                    chance = rng.beta(share * (1 - icc) / icc, (1 - share) * (1 - icc) / icc, size=subjects)
                correct = rng.binomial(images, chance)
                clustered = wilson_clustered(correct, np.full(subjects, images))
                low, high = wilson_interval(clustered.estimate, subjects * images, quantile)
                held += clustered.low <= share <= clustered.high, low <= share <= high
            lines.append((share, icc, subjects, images, audits, *(held / audits)))
    columns = ["share", "icc", "subjects", "images", "audits", "clustered", "independent_images"]
    return pd.DataFrame(lines, columns=columns)


def _unit(vectors: FloatArray) -> FloatArray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def _mean(values: BoolArray) -> float:
    return float(np.mean(values)) if len(values) else np.nan
