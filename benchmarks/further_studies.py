"""Draw further audits of known truth: the perfect imitator, works that are not independent, versions, and intervals.

The module works as `benchmarks.studies`, which draws the audits of the deciding tests.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy import stats

from audit_assets.measurement.artist_intervals import accuracy_by_school, gap_of_artists, ratio_to_real_works
from audit_assets.measurement.comparison import newcombe_differences
from audit_assets.measurement.confusable import confusable
from audit_assets.measurement.intervals import wilson_clustered, wilson_interval
from audit_assets.measurement.near_copies import contaminated, independent_groups, near_copies, weights_of
from audit_assets.measurement.own_cell import own_cell, own_cells
from audit_assets.measurement.own_cell_companions import name_test_alone
from audit_assets.measurement.perfect_imitator import halves, perfect_imitator
from audit_assets.measurement.similarities import similarities
from audit_assets.measurement.versions import difference_in_differences, trend, version_shares
from audit_assets.measurement.worlds import DrawnWorld, World, draw
from benchmarks.studies import ALPHA, Row, Study, found_alone, mean, repeated, unit


# ---- could this audit have found imitation
def recognised(drawn: DrawnWorld) -> float:
    """Return the share of the audited artists' works that the encoder recognises.

    Such a work is nearer to the mean of the artist's other works than to any other artist's mean.
    """
    sums = np.zeros((len(drawn.origin_of_artist), drawn.works.shape[1]))
    np.add.at(sums, drawn.artist, drawn.works)
    counts = np.bincount(drawn.artist, minlength=len(sums))[:, None]
    own = np.flatnonzero(drawn.artist < drawn.audited)
    cosines = drawn.works[own] @ unit(sums / counts).T
    left = unit(sums[drawn.artist[own]] - drawn.works[own])
    cosines[np.arange(len(own)), drawn.artist[own]] = np.vecdot(left, drawn.works[own])
    return mean(cosines.argmax(axis=1) == drawn.artist[own])


def auditable(drawn: DrawnWorld, *, grouped: bool = True, copies: bool = True, seed: int = 0) -> tuple[float, float]:
    """Return the share of the audited artists whose perfect imitator is called, and the share that could be tested."""
    groups = drawn.series if grouped else np.arange(len(drawn.works))
    weights = np.ones(len(drawn.works))
    if copies:
        centre = np.concatenate([drawn.works, drawn.images]).mean(axis=0)
        found = near_copies(drawn.works, centre=centre)
        groups, weights = independent_groups(found.group, groups), weights_of(found, drawn.artist)
    pool, columns = len(drawn.origin_of_artist), len(drawn.origin_of_name)
    cells = similarities(drawn.works, drawn.artist, drawn.images, drawn.name, pool=pool, names=columns, weights=weights)
    own = own_cells(cells, np.arange(drawn.audited), np.arange(drawn.audited))
    split = halves(
        drawn.artist, np.arange(drawn.audited), images=np.full(drawn.audited, 10), seed=seed, groups=groups, weights=weights
    )  # fmt: skip
    result = perfect_imitator(cells, own, drawn.works, split, needed_p=ALPHA)
    tested = np.array([not why for why in result.reason])
    return mean(result.auditable[tested]), mean(tested)


def seen(audits: int, seed: int) -> Iterator[Row]:
    """Vary the works that the encoder recognises, the works of the artist, and the number of similar artists."""
    few = max(2, audits // 4)
    for alike in (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5):

        def one(rng: np.random.Generator, alike: float = alike) -> dict[tuple[str, str], float]:
            drawn = draw(World(audited=5, background=25, work_alike=alike), rng)
            return {
                ("recognised", "share of works"): recognised(drawn),
                ("perfect imitator", "auditable"): auditable(drawn)[0],
            }

        yield from repeated("seen", f"{alike:g}", few, seed, one)
    for works in (6, 8, 10, 20):

        def by_works(rng: np.random.Generator, works: int = works) -> dict[tuple[str, str], float]:
            return {("perfect imitator", "auditable"): auditable(draw(World(audited_works=works), rng))[0]}

        yield from repeated("seen by works", f"{works}", few, seed, by_works)
    for relatives in (0, 1, 2, 4, 8):

        def joined(rng: np.random.Generator, relatives: int = relatives) -> dict[tuple[str, str], float]:
            drawn = joined_by(draw(World(imitated=1, effect=0.8), rng), relatives, rng)
            return {
                ("own_cell", "found"): float(found_alone(drawn) <= ALPHA),
                ("perfect imitator", "auditable"): auditable(drawn, copies=False)[0],
            }

        yield from repeated("relatives", f"{relatives}", few, seed, joined)


def gap(audits: int, seed: int) -> Iterator[Row]:
    """Let works share no hand, but what makes them no images of a model, and try matching on them with and without other artists."""
    few = max(2, audits // 4)
    for length in (0.0, 0.3, 0.6):

        def others(rng: np.random.Generator, length: float = length) -> dict[tuple[str, str], float]:
            return {
                ("perfect imitator", "auditable"): auditable(
                    draw(World(audited=5, background=25, work_alike=0.0, gap=length), rng), copies=False
                )[0]
            }

        def alone(rng: np.random.Generator, length: float = length) -> dict[tuple[str, str], float]:
            drawn = draw(World(background=0, work_alike=0.0, gap=length), rng)
            return {("without other artists", "matched"): float(matched_alone(drawn))}

        yield from repeated("gap", f"{length:g}", few, seed, others)
        yield from repeated("gap", f"{length:g}", few, seed, alone)


def matched_alone(drawn: DrawnWorld) -> bool:
    """Say whether half of the only artist's works match the other half by the name test, in most splits. No rule asks this."""
    split = halves(drawn.artist, [0], images=10, seed=0)
    images = drawn.cells()[0].mean_images[1:]
    sides = (np.asarray(side @ drawn.works) for side in (split.works, split.images))
    return bool(
        np.median([name_test_alone(left, made, images).p_value for left, made in zip(*sides, strict=True)]) <= ALPHA
    )


def joined_by(drawn: DrawnWorld, relatives: int, rng: np.random.Generator) -> DrawnWorld:
    """Add artists to the background of an audit, whose works are nearly those of the first artist."""
    pool, own = len(drawn.origin_of_artist), drawn.works[drawn.artist == 0]
    if relatives == 0:
        return drawn
    more = unit(np.vstack([own + 0.07 * rng.normal(size=own.shape) for _ in range(relatives)]))
    artist = np.append(drawn.artist, np.repeat(np.arange(pool, pool + relatives), len(own)))
    return replace(
        drawn,
        works=np.vstack([drawn.works, more]),
        artist=artist,
        series=np.append(drawn.series, drawn.series.max() + 1 + np.arange(len(more))),
        origin_of_artist=np.append(drawn.origin_of_artist, np.zeros(relatives, dtype=np.int64)),
    )


def works_that_are_not_independent(audits: int, seed: int) -> Iterator[Row]:
    """Add series, copies and the model's own images to the works of an artist whom the encoder does not recognise."""
    few = max(2, audits // 4)

    def series(rng: np.random.Generator) -> dict[tuple[str, str], float]:
        drawn = draw(World(work_alike=0.0, works=40, series=5, series_alike=0.6), rng)
        return {
            ("series declared", "auditable"): auditable(drawn)[0],
            ("series not declared", "auditable"): auditable(drawn, grouped=False)[0],
        }

    def copies(rng: np.random.Generator) -> dict[tuple[str, str], float]:
        drawn = draw(World(work_alike=0.0, works=30, series=5, series_alike=0.999), rng)
        drawn = replace(drawn, series=np.arange(len(drawn.works)))
        counted, tested = auditable(drawn)
        return {
            ("copies count once", "auditable"): counted,
            ("copies count once", "tested"): tested,
            ("copies count each", "auditable"): auditable(drawn, copies=False)[0],
        }

    yield from repeated("series", "8 series of 5, unrecognised", few, seed, series)
    yield from repeated("copies", "6 works, 5 copies each, unrecognised", few, seed, copies)
    for number in (1, 3):

        def own_images(rng: np.random.Generator, number: int = number) -> dict[tuple[str, str], float]:
            drawn = draw(World(contaminated=number), rng)
            nearest, _ = contaminated(drawn.works, drawn.images, centre=drawn.images.mean(axis=0))
            pool, columns = len(drawn.origin_of_artist), len(drawn.origin_of_name)
            cells = similarities(
                drawn.works, drawn.artist, drawn.images, drawn.name, pool=pool, names=columns, weights=(nearest < 0).astype(float)
            )  # fmt: skip
            cleaned = own_cell(cells.similarity, cells.lengths(), own_cells(cells, [0], [0])).p_value[0]
            return {
                ("kept", "p <= 0.05"): float(found_alone(drawn) <= ALPHA),
                ("left out", "p <= 0.05"): float(cleaned <= ALPHA),
            }

        yield from repeated("contaminated", f"{number} of 10 works", few, seed, own_images)


def twins(audits: int, seed: int) -> Iterator[Row]:
    """Draw two artists of one style: the model imitates the first, and the second's name gives unrelated images."""

    def one(rng: np.random.Generator) -> dict[tuple[str, str], float]:
        first = draw(World(audited=2, imitated=1, effect=0.8), rng)
        own = first.works[first.artist == 0]
        # These are further works in the same style: the mean of the first artist's works, with the noise of a work.
        works = first.works.copy()
        hand = own.mean(axis=0) / np.sqrt(0.3)
        noise = rng.normal(size=own.shape) / np.sqrt(own.shape[1])
        works[first.artist == 1] = unit(np.sqrt(0.3) * hand + np.sqrt(0.7) * noise)
        drawn = replace(first, works=works)
        cells, cell = drawn.cells()
        p = own_cell(cells.similarity, cells.lengths(), cell).p_value
        listed = confusable(drawn.works, drawn.artist, pool=22, artists=[0, 1])
        return {
            ("imitated twin", "p <= 0.05"): float(p[0] <= ALPHA),
            ("other twin", "p <= 0.05"): float(p[1] <= ALPHA),
            ("confusable", "other twin listed"): float(1 in listed[0].others),
        }

    yield from repeated("twins", "one hand", audits, seed, one)


# ---- versions
def versions(audits: int, seed: int) -> Iterator[Row]:
    """Draw 70 artists with 10 images in two versions. Ten artists opted out. Retraining moves each artist, and all."""
    for effect in (0.0, 0.1, 0.2, 0.4):
        for movement in (0.0, 0.1):

            def one(
                rng: np.random.Generator, effect: float = effect, movement: float = movement
            ) -> dict[tuple[str, str], float]:
                before = rng.beta(4, 1, size=70)
                shift = rng.normal(0, movement, size=70) + rng.normal(0, movement / 2)
                group = np.arange(70) < 10
                after = np.clip(before + shift - effect * group, 0, 1)
                d = rng.binomial(10, after) / 10 - rng.binomial(10, before) / 10
                p = difference_in_differences(d, group, permutations=999, rng=rng).p_value
                alone = stats.ttest_1samp(d[group], 0).pvalue if np.ptp(d[group]) > 0 else 1.0
                y, later = rng.binomial(10, before), rng.binomial(10, np.clip(before + shift, 0, 1))
                changed = newcombe_differences(y, np.full(70, 10), later, np.full(70, 10), margin=0.25).changed
                return {
                    ("difference in differences", "p <= 0.05"): float(p <= ALPHA),
                    ("the group alone, before and after", "p <= 0.05"): float(alone <= ALPHA),
                    ("changed", "someone is named though only retraining moved"): float(changed.any()),
                }

            yield from repeated("versions", f"{effect:g} | {movement:g}", audits, seed, one)


def equivalence_and_trend(audits: int, seed: int) -> Iterator[Row]:
    """Test equivalence and trend.

    For equivalence, the mean of 70 artists moved by exactly the margin. For the trend, each version shifts all artists
    at random.
    """
    margin = 0.05
    for case, lost in (("all move alike", 70), ("one artist in ten moves", 7)):

        def at_margin(rng: np.random.Generator, lost: int = lost) -> dict[tuple[str, str], float]:
            before = np.full(70, 0.9)
            after = before - np.where(np.arange(70) < lost, margin * 70 / lost, 0.0)
            y, later = rng.binomial(10, before), rng.binomial(10, after)
            found = version_shares(y, np.full(70, 10), later, np.full(70, 10), margin=margin)
            return {("equivalence", "claimed at its margin"): float(found.equivalent)}

        yield from repeated("equivalence", case, audits, seed, at_margin)
    for number in (7, 10):

        def drift(rng: np.random.Generator, number: int = number) -> dict[tuple[str, str], float]:
            scores = rng.uniform(size=70) + rng.normal(0, 0.1, size=(number, 1)) + rng.normal(0, 0.1, size=(number, 70))
            return {("trend", "p <= 0.05"): float(trend(scores).p_value <= ALPHA)}

        yield from repeated("trend", f"{number} versions", audits, seed, drift)


# ---- intervals
def intervals(audits: int, seed: int) -> Iterator[Row]:
    """Measure how often an interval that counts artists contains the true value."""
    for artists in (3, 5, 10, 25):

        def gap(rng: np.random.Generator, artists: int = artists) -> dict[tuple[str, str], float]:
            mine, control = rng.binomial(10, rng.beta(2, 2, size=artists)), rng.binomial(10, rng.beta(1, 19, size=70))
            found = gap_of_artists(mine, np.full(artists, 10), control, np.full(70, 10))
            return {("gap_of_artists", "holds"): float(found.low <= 0.45 <= found.high)}

        yield from repeated("intervals", f"gap, {artists} artists", audits, seed, gap)
    for artists in (5, 10, 70):

        def ratio(rng: np.random.Generator, artists: int = artists) -> dict[tuple[str, str], float]:
            famous = rng.random(artists) < 0.5
            real = np.where(famous, 0.8, 0.4)
            works = np.where(famous, 80, 10)
            images = rng.binomial(10, np.clip(real * 0.75, 0, 1))
            recognised_works = rng.binomial(works, real)
            found = ratio_to_real_works(images, np.full(artists, 10), recognised_works, works)
            shares = images.sum() / (10 * artists), recognised_works.sum() / works.sum()
            return {
                ("ratio_to_real_works", "holds"): float(found.low <= 0.75 <= found.high),
                ("pooled over images", "mean ratio"): float(shares[0] / max(shares[1], 1e-9)),
                ("ratio_to_real_works", "mean ratio"): found.estimate,
            }

        yield from repeated("intervals", f"ratio, {artists} artists", audits, seed, ratio)
    for schools in (4, 10, 20):

        def school(rng: np.random.Generator, schools: int = schools) -> dict[tuple[str, str], float]:
            of = np.repeat(np.arange(schools), 60 // schools)
            y = rng.binomial(10, rng.beta(4, 1, size=schools)[of])
            found = accuracy_by_school(y, np.full(len(of), 10), of)
            alone = wilson_clustered(y, np.full(len(of), 10))
            return {
                ("accuracy_by_school", "holds"): float(found.low <= 0.8 <= found.high),
                ("wilson_clustered", "holds"): float(alone.low <= 0.8 <= alone.high),
            }

        yield from repeated("intervals", f"accuracy, {schools} schools of 60 artists", audits, seed, school)


def coverage(
    shares: Iterable[float], iccs: Iterable[float], *, subjects: int, images: int, audits: int, seed: int
) -> pd.DataFrame:
    """Measure how often the interval of an accuracy has the true one, by ``wilson_clustered`` and by Wilson's interval.

    Wilson's interval assumes independent images.

    Counts are beta-binomial (Skellam 1948, *JRSS B* 10, 257-261): a subject's chance is drawn from a beta distribution
    about ``share``, with correlation ``icc`` between its images. Standard error of a coverage c: sqrt(c (1 - c) /
    audits).
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


STUDIES: dict[str, Study] = {
    "seen": seen, "gap": gap, "works": works_that_are_not_independent, "twins": twins, "versions": versions,
    "equivalence and trend": equivalence_and_trend, "intervals": intervals,
}  # fmt: skip
