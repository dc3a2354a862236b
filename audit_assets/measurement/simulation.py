"""Worlds with known truth: do the tests keep the level that they promise, and what do they find?

Casper et al. (2023) have one control, re-assigned works, and it finds 22.8 % of artists significant. Here is why: in
a world where no artist is imitated, the paper's test calls more artists significant the more the imitations of one
artist resemble each other, while the tests that count artists stay at their level. ``study`` makes the table of
``docs/statistics.md``.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from audit_assets.measurement.corrected_matching import own_rank, pairing_test, works_by_subject
from audit_assets.measurement.exact_rank_sum import rank_sum_exact_table
from audit_assets.measurement.matching import Alternative, cosine_distances, rank_sum_table
from audit_assets.measurement.multiplicity import bonferroni
from audit_assets.measurement.vectors import FloatArray, IntArray


@dataclass(frozen=True)
class World:
    """What is true. ``icc``: correlation of two imitations of one artist, in every coordinate. ``effect``: cosine between the
    hand of an imitated artist and the centre of its imitations. ``imitated``: share of artists that are. ``hubs``:
    length of a
    common direction that some works share more than others. ``works_icc``: as ``icc``, for real works."""

    artists: int = 70
    background: int = 40
    images: int = 10
    works: int = 5
    dimension: int = 48
    icc: float = 0.5
    works_icc: float = 0.5
    effect: float = 0.0
    imitated: float = 0.0
    hubs: float = 0.0


@dataclass(frozen=True)
class Drawn:
    """One audit of a world: unit vectors, whose they are, and which artists are truly imitated."""

    imitations: FloatArray
    subject_of_imitation: IntArray
    references: FloatArray
    artist_of_reference: IntArray
    imitated: FloatArray


def draw(world: World, rng: np.random.Generator) -> Drawn:
    """Draw an audit: normal centres of imitations and hands of artists, observations about them, all scaled to length 1."""
    d, pool = world.dimension, world.artists + world.background
    centres = rng.normal(size=(world.artists, d))
    hands = rng.normal(size=(pool, d))
    imitated = (np.arange(world.artists) < round(world.imitated * world.artists)).astype(np.float64)
    mixed = world.effect * centres + np.sqrt(1 - world.effect**2) * hands[: world.artists]
    hands[: world.artists] = np.where(imitated[:, None] > 0, mixed, hands[: world.artists])
    subject = np.repeat(np.arange(world.artists), world.images)
    artist = np.repeat(np.arange(pool), world.works)
    images = np.sqrt(world.icc) * centres[subject] + np.sqrt(1 - world.icc) * rng.normal(size=(len(subject), d))
    works = np.sqrt(world.works_icc) * hands[artist] + np.sqrt(1 - world.works_icc) * rng.normal(size=(len(artist), d))
    common = rng.normal(size=d)
    works += world.hubs * rng.exponential(size=(pool, 1))[artist] * common
    images += world.hubs * rng.exponential(size=(world.artists, 1))[subject] * common
    return Drawn(_unit(images), subject, _unit(works), artist, imitated)


def audit(
    world: World, rng: np.random.Generator, *, permutations: int = 199
) -> Iterator[tuple[str, str, FloatArray, FloatArray]]:
    """Draw an audit and run every test on it: yields (test, alternative, p-values, significant after adjustment).

    Arrays of shape (artists,); for the global pairing test (1,). The rank-sum tests take the first work of each
    artist and Bonferroni, as the paper; ``own_rank`` takes all works and Benjamini-Hochberg.
    """
    yield from run_tests(world, draw(world, rng), rng, permutations)


def run_tests(
    world: World, drawn: Drawn, rng: np.random.Generator, permutations: int
) -> Iterator[tuple[str, str, FloatArray, FloatArray]]:
    """The tests of ``audit`` on an audit that was drawn."""
    first = drawn.references[:: world.works][: world.artists]
    distances = cosine_distances(first, drawn.imitations)
    alternatives: tuple[Alternative, ...] = ("two_sided", "closer")
    for alternative in alternatives:
        table = rank_sum_table(distances, drawn.subject_of_imitation, world.artists, alternative=alternative)
        p = np.diagonal(table.ranks.p_value).copy()
        yield "rank_sum_asymptotic", alternative, p, (bonferroni(p) < 0.05).astype(np.float64)
    exact = rank_sum_exact_table(distances, drawn.subject_of_imitation, world.artists, alternative="closer")
    p = np.diagonal(exact.ranks.p_value).copy()
    yield "rank_sum_exact", "closer", p, (bonferroni(p) < 0.05).astype(np.float64)
    works = works_by_subject(
        references=drawn.references,
        artist_of_reference=drawn.artist_of_reference,
        pool=world.artists + world.background,
        imitations=drawn.imitations,
        subject_of_imitation=drawn.subject_of_imitation,
        subjects=world.artists,
    )
    corrected = own_rank(works)
    yield "own_rank", "closer", corrected.p_value, corrected.significant.astype(np.float64)
    pairing = np.array([pairing_test(works, permutations=permutations, rng=rng).p_value])
    yield "pairing", "closer", pairing, (pairing < 0.05).astype(np.float64)


def study(worlds: Iterable[World], *, audits: int, rng: np.random.Generator, permutations: int = 199) -> pd.DataFrame:
    """False positives and power of every test in every world, over ``audits`` drawn audits each.

    One row a world and test: the world's parameters, ``level`` (share of p <= 0.05 among artists that are not
    imitated), ``false_positives`` (share of them significant after adjustment), ``power`` (share of imitated artists
    significant), and the standard errors of the first two over audits, since artists of one audit are not
    independent. For the pairing test an audit counts as a false positive where nobody is imitated, and as power where
    somebody is. NaN where no such artists.
    """
    lines = []
    for world in worlds:
        found: dict[tuple[str, str], list[tuple[float, float, float]]] = {}
        for _ in range(audits):
            drawn = draw(world, rng)
            for test, alternative, p, significant in run_tests(world, drawn, rng, permutations):
                true = drawn.imitated if len(p) > 1 else np.array([drawn.imitated.max()])
                figures = _mean((p <= 0.05)[true == 0]), _mean(significant[true == 0]), _mean(significant[true > 0])
                found.setdefault((test, alternative), []).append(figures)
        for (test, alternative), rows in found.items():
            level, false, power = np.array(rows).T
            lines.append(
                vars(world)
                | {
                    "test": test, "alternative": alternative, "audits": audits,
                    "level": _mean(level), "level_error": _error(level), "false_positives": _mean(false),
                    "false_positives_error": _error(false), "power": _mean(power),
                }
            )  # fmt: skip
    return pd.DataFrame(lines)


def null_worlds(
    base: World, *, iccs: Iterable[float] = (0.0, 0.1, 0.3, 0.5, 0.7), hubs: Iterable[float] = (0.0, 0.5)
) -> list[World]:
    """Worlds in which nobody is imitated, over correlations and hubs: where every finding is false."""
    return [replace(base, icc=icc, hubs=hub, effect=0.0, imitated=0.0) for icc in iccs for hub in hubs]


def imitated_worlds(
    base: World, *, effects: Iterable[float] = (0.2, 0.4, 0.6, 0.8), icc: float = 0.5, imitated: float = 0.5
) -> list[World]:
    """Worlds in which a share of artists is imitated, over effects."""
    return [replace(base, icc=icc, effect=effect, imitated=imitated) for effect in effects]


def _unit(vectors: FloatArray) -> FloatArray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def _mean(values: FloatArray) -> float:
    return float(np.mean(values)) if len(values) else np.nan


def _error(values: FloatArray) -> float:
    return float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else np.nan
