"""Measure what each limit of the measurement costs and saves.

The studies run the rules with the limit lowered or raised, in audits of known truth.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import ModuleType

import numpy as np
from scipy import stats

from audit_assets.measurement import own_cell, perfect_imitator, studentized
from audit_assets.measurement.copy_detection import RATE, threshold
from audit_assets.measurement.own_cell import own_cells
from audit_assets.measurement.similarities import similarities
from audit_assets.measurement.worlds import DrawnWorld, World, draw
from benchmarks.further_studies import joined_by
from benchmarks.studies import ALPHA, Row, Study, mean, repeated


@contextmanager
def limit(module: ModuleType, name: str, value: float) -> Iterator[None]:
    """Set the limit of a module to another value for the block."""
    usual = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, usual)


def _p(drawn: DrawnWorld) -> float:
    cells, own = drawn.cells()
    return float(own_cell.own_cell(cells.similarity, cells.lengths(), own).p_value[0])


def columns_and_rows(audits: int, seed: int) -> Iterator[Row]:
    """Measure the own cell's level with few other names or few other artists, in a plain and in the hardest world."""
    for shape in ("plain", "loud_names"):
        for number in (3, 5, 10, 20):
            world = World(names=number, background=20, shape=shape)

            def few_names(rng: np.random.Generator, world: World = world) -> dict[tuple[str, str], float]:
                with limit(own_cell, "FEWEST_COLUMNS", 2):
                    return {(shape_name(world), "p <= 0.05"): float(_p(draw(world, rng)) <= ALPHA)}

            yield from repeated("few names", f"{number}", audits, seed, few_names)
        for number in (2, 3, 5, 10):
            world = World(background=number, shape=shape)

            def few_artists(rng: np.random.Generator, world: World = world) -> dict[tuple[str, str], float]:
                with limit(own_cell, "FEWEST_ROWS", 2):
                    none, one = draw(world, rng), draw(replace(world, imitated=1, effect=0.8), rng)
                    return {
                        (shape_name(world), "p <= 0.05"): float(_p(none) <= ALPHA),
                        (shape_name(world), "found"): float(_p(one) <= ALPHA),
                    }

            yield from repeated("few artists", f"{number}", audits, seed, few_artists)


def shape_name(world: World) -> str:
    return world.shape.replace("_", " ")


def trimmed(audits: int, seed: int) -> Iterator[Row]:
    """Vary the share that is left out of a column's scale.

    One imitated artist is alone, or beside four artists of 20 who paint alike.
    """
    for share in (0.0, 0.1, 0.2, 0.3):

        def one(rng: np.random.Generator, share: float = share) -> dict[tuple[str, str], float]:
            weak = draw(World(imitated=1, effect=0.5), rng)
            beside = joined_by(draw(World(background=16, imitated=1, effect=0.8), rng), 4, rng)
            nobody = draw(World(shape="heavy_tails"), rng)
            with limit(studentized, "TRIMMED", share):
                return {
                    ("effect 0.5", "found"): float(_p(weak) <= ALPHA),
                    ("effect 0.8, four paint alike", "found"): float(_p(beside) <= ALPHA),
                    ("nobody imitated", "p <= 0.05"): float(_p(nobody) <= ALPHA),
                }

        yield from repeated("trimmed", f"{share:g}", audits, seed, one)


def splits_and_works(audits: int, seed: int) -> Iterator[Row]:
    """Vary works and splits of the perfect imitator.

    The figures are unrecognised artists that pass, and answers that differ between two seeds.
    """
    for works in (2, 4, 6, 10):

        def by_works(rng: np.random.Generator, works: int = works) -> dict[tuple[str, str], float]:
            with limit(perfect_imitator, "FEWEST_WORKS", 2):
                return {
                    (f"{alike:g}", "auditable"): _auditable(
                        draw(World(audited_works=works, work_alike=alike), rng), 9, 0
                    )
                    for alike in (0.0, 0.1, 0.3)
                }

        yield from repeated("imitator works", f"{works}", audits, seed, by_works)
    for splits in (1, 3, 9, 15):

        def by_splits(rng: np.random.Generator, splits: int = splits) -> dict[tuple[str, str], float]:
            drawn = draw(World(work_alike=0.1), rng)
            return {("two seeds", "differ"): float(_auditable(drawn, splits, 0) != _auditable(drawn, splits, 1))}

        yield from repeated("imitator splits", f"{splits}", audits, seed, by_splits)


def _auditable(drawn: DrawnWorld, splits: int, seed: int) -> float:
    pool, names = len(drawn.origin_of_artist), len(drawn.origin_of_name)
    cells = similarities(drawn.works, drawn.artist, drawn.images, drawn.name, pool=pool, names=names)
    own = own_cells(cells, [0], [0])
    split = perfect_imitator.halves(drawn.artist, [0], images=[10], seed=seed, splits=splits)
    return mean(perfect_imitator.perfect_imitator(cells, own, drawn.works, split, needed_p=ALPHA).auditable)


def copy_thresholds(audits: int, seed: int) -> Iterator[Row]:
    """Vary the images that cannot be copies, and how alike those of one name are: who is called a copy if nothing is one.

    Scores are normal. ``alike`` is the correlation of the scores of two images of one name.
    """
    for names, images in ((30, 10), (99, 5), (199, 10)):
        for alike in (0.0, 0.2, 0.5):

            def one(
                rng: np.random.Generator, names: int = names, images: int = images, alike: float = alike
            ) -> dict[tuple[str, str], float]:
                shared, own = rng.normal(size=(names, 1)), rng.normal(size=(names, images))
                # Far above the least score, which would hide the threshold.
                scores = 20 + np.sqrt(alike) * shared + np.sqrt(1 - alike) * own
                called = float(stats.norm.sf(threshold(scores.ravel()).score - 20))
                return {("threshold", "called copies"): called, ("threshold", "above 1 %"): float(called > RATE)}

            yield from repeated("copies called", f"{names} names, {images} images, {alike:g}", audits, seed, one)


STUDIES: dict[str, Study] = {
    "limits": columns_and_rows,
    "trimmed": trimmed,
    "imitator": splits_and_works,
    "copies called": copy_thresholds,
}
