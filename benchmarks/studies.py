"""Draw audits of known truth many times: measure each rule's findings without imitation and with imitation.

Each study is a function (audits, seed) -> rows of ``Row``: which study, which case, which test, which figure, its
value, and its standard error over the audits that were drawn. `benchmarks.simulation` runs them all and writes
`docs/statistics.md` from the rows. Worlds are those of `measurement.worlds` and `measurement.name_worlds`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from audit_assets.measurement import name_worlds, worlds
from audit_assets.measurement.discoveries import filtered_bh, true_discoveries
from audit_assets.measurement.exact_rank_sum import rank_sum_exact_table
from audit_assets.measurement.matching import cosine_distances, rank_sum_table, rank_sums
from audit_assets.measurement.multiplicity import adjust, benjamini_hochberg
from audit_assets.measurement.own_cell import own_cell, own_cell_in_strata
from audit_assets.measurement.own_cell_companions import name_test, name_test_alone, own_rank, pairing
from audit_assets.measurement.vectors import BoolArray, FloatArray
from audit_assets.measurement.worlds import DrawnWorld, World, draw

ALPHA = 0.05
NAME_LEVEL = 0.01
"""Share of names without training images that pass identification: the level of `name_controls`."""


@dataclass(frozen=True)
class Row:
    """``value``: a share, unless the figure says otherwise. ``error``: its standard error over ``audits`` audits."""

    study: str
    case: str
    test: str
    figure: str
    value: float
    error: float
    audits: int


Study = Callable[[int, int], Iterator[Row]]


def rows(study: str, case: str, figures: dict[tuple[str, str], list[float]]) -> Iterator[Row]:
    """One row per (test, figure), from one value per audit; NaN values (nothing to count in that audit) are left out."""
    for (test, figure), values in figures.items():
        known = np.array(values, dtype=float)
        known = known[~np.isnan(known)]
        n = len(known)
        mean = float(known.mean()) if n else float("nan")
        error = float(known.std(ddof=1) / np.sqrt(n)) if n > 1 else float("nan")
        yield Row(study, case, test, figure, mean, error, n)


def repeated(
    study: str, case: str, audits: int, seed: int, one: Callable[[np.random.Generator], dict[tuple[str, str], float]]
) -> Iterator[Row]:
    """Return the ``rows`` of audits drawn one after the other.

    The seed depends on study and case, so that a case alone gives the same row.
    """
    found: dict[tuple[str, str], list[float]] = {}
    key = [seed, *(ord(c) for c in f"{study}|{case}")]
    for i in range(audits):
        for name, value in one(np.random.default_rng([*key, i])).items():
            found.setdefault(name, []).append(value)
    yield from rows(study, case, found)


def mean(values: Any) -> float:
    chosen = np.asarray(values, dtype=float)
    return float(chosen.mean()) if len(chosen) else float("nan")


# ---- matching: level, origins, one artist
SHAPE_NAMES = {
    "plain": "plain",
    "heavy_tails": "heavy tails (Student's t, 2 degrees of freedom)",
    "anisotropic": "few coordinates carry the variance, all share an offset",
    "coherent": "the audited artist's works are more alike than others'",
    "dull_names": "control names draw nearly the same images",
    "hubs": "some works and images are near to everything",
    "few_dimensions": "control names vary in five dimensions",
    "loud_names": "the audited name steers strongly, control names hardly",
}
ODD = {
    "1 to 30 works per artist": World(fewest_works=1, works=30),
    "1 to 30 works, few coordinates": World(fewest_works=1, works=30, shape="anisotropic"),
    "one work of the artist, hubs": World(audited_works=1, shape="hubs"),
    "two works of the artist": World(audited_works=2),
    "works in series of five (correlation 0.6)": World(series=5),
    "a house style of the model, which some artists share": World(house_style=1.5),
    "two images per name": World(images=2),
    "one work of each other artist, hands in 8 of 48 dimensions": World(works=1, audited_works=10, hand_dimension=8),
    "the same, 10 other artists, 10 names": World(works=1, audited_works=10, hand_dimension=8, background=10, names=10),
    "5 other artists": World(background=5),
    "5 other artists, 10 names, heavy tails": World(background=5, names=10, shape="heavy_tails"),
    "10 other artists, 10 names, loud names": World(background=10, names=10, shape="loud_names"),
    "10 artists audited, no background, 20 names": World(audited=10, background=0, names=20),
    "50 audited, 50 background": World(audited=50, background=50),
}


def level_worlds() -> dict[str, World]:
    """Return worlds without imitation: every shape of world, and other conditions that could break a level."""
    shapes = {SHAPE_NAMES[shape]: World(shape=shape) for shape in worlds.SHAPES}
    return shapes | ODD


def level(audits: int, seed: int) -> Iterator[Row]:
    for case, world in level_worlds().items():

        def one(rng: np.random.Generator, world: World = world) -> dict[tuple[str, str], float]:
            found = {}
            for test, p in p_values(draw(world, rng)).items():
                tested = p[~np.isnan(p)]
                found[test, "p <= 0.05"], found[test, "p <= 0.01"] = mean(tested <= 0.05), mean(tested <= 0.01)
            return found

        yield from repeated("level", case, 2 * audits if world.audited < 20 else max(2, audits // 5), seed, one)


def p_values(drawn: DrawnWorld) -> dict[str, FloatArray]:
    """Return p per audited artist by the deciding test and by its two companions."""
    cells, own = drawn.cells()
    lengths = cells.lengths()
    controls = np.arange(drawn.audited, cells.similarity.shape[1])
    return {
        "own_cell": own_cell(cells.similarity, lengths, own).p_value,
        "name_test": name_test(cells.similarity, lengths, own, controls).p_value,
        "own_rank": own_rank(cells.similarity, lengths, own).p_value,
    }


ORIGINS = (1, 2, 5, 22)


def origins(audits: int, seed: int) -> Iterator[Row]:
    """Draw names and works of one origin that share a direction, without imitation.

    Matched tests compare within strata; unmatched tests compare among all names.
    """
    for number in ORIGINS:
        world = World(audited=20, background=50, origins=number)

        def one(rng: np.random.Generator, world: World = world) -> dict[tuple[str, str], float]:
            drawn = draw(world, rng)
            cells, own = drawn.cells()
            lengths = cells.lengths()
            among_all = own_cell(cells.similarity, lengths, own).p_value
            strata = own_cell_in_strata(cells.similarity, lengths, own, drawn.origin_of_name).p_value
            elsewhere = draw(replace(world, matched=False), rng)
            other, theirs = elsewhere.cells()
            unmatched = own_cell(other.similarity, other.lengths(), theirs).p_value
            return {
                ("own origin", "p <= 0.05"): mean(strata[~np.isnan(strata)] <= ALPHA),
                ("all origins together", "p <= 0.05"): mean(among_all <= ALPHA),
                ("one origin only", "p <= 0.05"): mean(unmatched <= ALPHA),
            }

        yield from repeated("origins", f"{number}", max(2, audits // 8), seed, one)


def names(audits: int, seed: int) -> Iterator[Row]:
    """Identify beside control names: count the unknown and the known artists that pass."""
    base = name_worlds.NameWorld()
    cases: list[tuple[str, str, name_worlds.NameWorld]] = []
    for number in ORIGINS:
        for matched, test in ((True, "own origin"), (False, "one origin only")):
            cases.append((f"{number} origins", test, replace(base, origins=number, matched=matched)))
    for controls in (49, 70, 99, 199):
        one = replace(base, origins=1, names=controls)
        cases.append((f"{controls} names", "unequal numbers of images", replace(one, unequal=True, blank=0.1)))
        for effect in (0.2, 0.3, 0.5, 0.8):
            cases.append((f"{controls} names", f"effect {effect:g}", replace(one, known=10, effect=effect)))
    for case, test, world in cases:
        table = name_worlds.study([world], audits=max(2, audits // 8), seed=seed)
        line = table.iloc[0]
        for figure in ("false_pass", "power", "untested", "identified_unknown"):
            yield Row(
                "names", case, test, figure, float(line[figure]), float(line[f"{figure}_error"]), int(line["audits"])
            )


def found_alone(drawn: DrawnWorld) -> float:
    """Return p of the only audited artist by the run's rule: the own cell, or the name test without other artists."""
    cells, own = drawn.cells()
    p = own_cell(cells.similarity, cells.lengths(), own).p_value[0]
    if np.isnan(p) and not own.missing[0]:
        images = cells.mean_images
        return name_test_alone(
            cells.mean_works[own.rows[0]], images[own.columns[0]], np.delete(images, own.columns[0], axis=0)
        ).p_value
    return float(p)


def _found(world: World, test: str, rng: np.random.Generator) -> dict[tuple[str, str], float]:
    return {(test, "found"): float(found_alone(draw(world, rng)) <= ALPHA)}


EFFECTS = (0.0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8)
BACKGROUNDS = (0, 5, 10, 20, 50, 100)


def one_artist(audits: int, seed: int) -> Iterator[Row]:
    """Draw one artist with ten works and 199 names, by effect and background; background 0 has control names alone."""
    for background in BACKGROUNDS:
        for effect in EFFECTS:
            world = World(background=background, imitated=int(effect > 0), effect=effect)
            yield from repeated(
                "one artist", f"{background}", 2 * audits, seed + round(100 * effect),
                partial(_found, world, f"{effect:g}"),
            )  # fmt: skip


def alone(audits: int, seed: int) -> Iterator[Row]:
    """Draw one artist beside control names alone, in every shape of world, by effect."""
    for shape in worlds.SHAPES:
        for effect in (0.0, 0.3, 0.5, 0.8):
            world = World(background=0, shape=shape, imitated=int(effect > 0), effect=effect)
            yield from repeated(
                "alone", SHAPE_NAMES[shape], audits, seed + round(100 * effect), partial(_found, world, f"{effect:g}")
            )


def with_others(audits: int, seed: int) -> Iterator[Row]:
    """Draw as ``alone`` with 20 other artists, so that the own cell decides."""
    for shape in worlds.SHAPES:
        for effect in (0.5, 0.8):
            world = World(shape=shape, imitated=1, effect=effect)
            yield from repeated(
                "with others",
                SHAPE_NAMES[shape],
                audits,
                seed + round(100 * effect),
                partial(_found, world, f"{effect:g}"),
            )


def sizes(audits: int, seed: int) -> Iterator[Row]:
    """Draw one artist of effect 0.3 or 0.5 with 20 others, by works, control names, and images per name."""
    base = World(imitated=1)
    cases = {f"{works} works": replace(base, audited_works=works) for works in (1, 2, 3, 5, 10, 20, 40)}
    cases |= {f"{controls} names": replace(base, names=controls) for controls in (10, 20, 50, 70, 199, 500)}
    cases |= {f"{images} images": replace(base, images=images) for images in (1, 2, 5, 10, 20, 40)}
    for case, world in cases.items():
        for effect in (0.3, 0.5, 0.8):
            chosen = replace(world, effect=effect)
            yield from repeated(
                "sizes", case, 2 * audits, seed + round(100 * effect),
                partial(_found, chosen, f"{effect:g}"),
            )  # fmt: skip


# ---- a roster
ROSTER = World(audited=70, background=46)
IMITATED = (0, 1, 3, 7, 20, 35)
NAME_ONLY = 7


def roster(audits: int, seed: int) -> Iterator[Row]:
    """Draw 70 artists, 46 of background and 199 names with effect 0.8.

    Imitated artists pass identification in 95 %, seven others pass by their names alone, and all further ones in 1 %.
    """
    for imitated in IMITATED:
        world = replace(ROSTER, imitated=imitated, effect=0.8)

        def one(rng: np.random.Generator, world: World = world) -> dict[tuple[str, str], float]:
            drawn = draw(world, rng)
            cells, own = drawn.cells()
            p = own_cell(cells.similarity, cells.lengths(), own).p_value
            true = drawn.imitated
            passed = np.where(true, rng.random(len(p)) < 0.95, rng.random(len(p)) < NAME_LEVEL)
            passed[true.sum() : true.sum() + NAME_ONLY] = True
            first = filtered_bh(p, passed, alpha=ALPHA).found
            last = (benjamini_hochberg(p) < ALPHA) & passed
            every = benjamini_hochberg(p) < ALPHA
            at_least = true_discoveries(p, passed=passed)
            pair = pairing(cells.similarity, own, permutations=999, rng=rng).p_value
            return {
                ("the rule", "found"): mean(first[true & passed]),
                ("the rule", "all found"): mean([first[true & passed].all()]) if (true & passed).any() else np.nan,
                ("the rule", "false among found"): float((first & ~true).sum() / max(1, first.sum())),
                ("the rule", "any false"): float((first & ~true).any()),
                ("the rule", "false of artists"): mean(first[~true]),
                ("removed afterwards", "found"): mean(last[true & passed]),
                ("removed afterwards", "false among found"): float((last & ~true).sum() / max(1, last.sum())),
                ("no text", "found"): mean(every[true]),
                ("no text", "false among found"): float((every & ~true).sum() / max(1, every.sum())),
                ("at least m", "above the truth"): float(at_least > true.sum()),
                ("at least m", "mean m"): float(at_least),
                ("pairing", "p <= 0.05"): float(pair <= ALPHA),
            }  # fmt: skip

        yield from repeated("roster", f"{imitated}", max(2, audits // 6), seed, one)


PREVALENCES = (0.01, 0.05, 0.1, 0.25, 0.5)


def base_rates(audits: int, seed: int) -> Iterator[Row]:
    """Compute the share of false findings in audits of one artist, by the share of truly imitated artists (effect 0.5).

    It is computed, not drawn, from a found share that is drawn. An artist who is not imitated is found if
    identification passes (1 % of names; or all, if the name alone brings its subject about) and the own cell has p <=
    0.05, here taken as 5 %.
    """
    world = World(imitated=1, effect=0.5)
    drawn = [found_alone(draw(world, np.random.default_rng([seed, 7, i]))) <= ALPHA for i in range(audits)]
    found = mean(drawn)
    for share in PREVALENCES:
        for test, passing in (("1 % of names pass", NAME_LEVEL), ("every name passes", 1.0)):
            true, wrong = share * found, (1 - share) * passing * ALPHA
            yield Row("base rates", f"{share:g}", test, "false among found", wrong / (wrong + true), 0.0, audits)


def orders(audits: int, seed: int) -> Iterator[Row]:
    """Run filter and adjustment in both orders.

    The encoder recognises the names of only a fifth of the imitated artists, and 14 others pass identification by their
    names alone.
    """
    for imitated in (20, 35, 50):
        world = replace(ROSTER, imitated=imitated, effect=0.8)

        def one(rng: np.random.Generator, world: World = world) -> dict[tuple[str, str], float]:
            drawn = draw(world, rng)
            cells, own = drawn.cells()
            p, true = own_cell(cells.similarity, cells.lengths(), own).p_value, drawn.imitated
            passed = true & (rng.random(len(p)) < 0.2)
            passed[true.sum() : true.sum() + 2 * NAME_ONLY] = True
            found = {
                "the rule": filtered_bh(p, passed, alpha=ALPHA).found,
                "removed afterwards": (benjamini_hochberg(p) < ALPHA) & passed,
            }
            return {
                (rule, "false among found"): float((f & ~true).sum() / max(1, f.sum())) for rule, f in found.items()
            }

        yield from repeated("orders", f"{imitated}", max(2, audits // 6), seed, one)


# ---- the paper's mode
ICCS = (0.0, 0.1, 0.3, 0.5, 0.7)


def paper(audits: int, seed: int) -> Iterator[Row]:
    """Draw 70 artists and 70 names as in the paper, without imitation.

    The rows have the rank sum of the first work, and the own cell, by correlation.
    """
    for icc in ICCS:
        world = World(audited=70, background=40, names=70, works=5, work_alike=0.5, image_alike=icc)

        def one(rng: np.random.Generator, world: World = world) -> dict[tuple[str, str], float]:
            drawn = draw(world, rng)
            first = drawn.works[np.searchsorted(drawn.artist, np.arange(70))]
            shown: BoolArray = drawn.name < 70
            distances = cosine_distances(first, drawn.images[shown])
            found = {}
            ranked = rank_sums(distances, drawn.name[shown], 70)
            for test, table in (("rank sum", rank_sum_table), ("exact rank sum", rank_sum_exact_table)):
                p = np.diagonal(table(ranked, alternative="two_sided").ranks.p_value)
                found[test, "significant"] = mean(adjust(p, "bonferroni") < ALPHA)
                found[test, "p <= 0.05"] = mean(p <= ALPHA)
            cells, own = drawn.cells()
            p = own_cell(cells.similarity, cells.lengths(), own).p_value
            found["own_cell", "significant"] = mean(benjamini_hochberg(p) < ALPHA)
            found["own_cell", "p <= 0.05"] = mean(p <= ALPHA)
            return found

        yield from repeated("paper", f"{icc:g}", max(2, audits // 8), seed, one)


def unit(vectors: FloatArray) -> FloatArray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


STUDIES: dict[str, Study] = {
    "level": level, "origins": origins, "names": names, "one artist": one_artist, "alone": alone, "with others": with_others, "sizes": sizes, "roster": roster, "orders": orders,
    "base rates": base_rates, "paper": paper,
}  # fmt: skip
