"""Matching in worlds of known truth: the level that it promises, what it finds, and where it must say nothing.

The fast tests draw few audits and allow three standard errors; the long ones repeat the figures of ``docs/statistics.md``.
"""

from dataclasses import replace

import numpy as np
import pytest

from audit_assets.measurement.discoveries import filtered_bh, true_discoveries
from audit_assets.measurement.near_copies import contaminated
from audit_assets.measurement.own_cell import own_cell, own_cell_in_strata, own_cells
from audit_assets.measurement.own_cell_companions import name_test, own_rank
from audit_assets.measurement.perfect_imitator import halves, perfect_imitator
from audit_assets.measurement.similarities import similarities
from audit_assets.measurement.vectors import FloatArray
from audit_assets.measurement.worlds import SHAPES, DrawnWorld, Shape, World, draw

ODD = (
    World(fewest_works=1, works=30),
    World(fewest_works=1, works=30, shape="anisotropic"),
    World(audited_works=2),
    World(audited_works=1, shape="hubs"),
    World(series=5),
    World(house_style=1.5),
    World(background=5),
    World(background=5, names=10, shape="heavy_tails"),
    World(background=10, names=10, shape="loud_names"),
    World(audited=10, background=0, names=20),
    World(images=2),
    World(works=1, audited_works=10, hand_dimension=8),
    World(works=30, audited_works=1, hand_dimension=8),
    World(works=1, audited_works=10, hand_dimension=8, background=10, names=10),
)
"""Worlds that could break the level: unequal works, one or two, series, house style, few rows, few columns, few images, and
one work of each other artist if hands and images vary in few directions."""


def p_of(drawn: DrawnWorld, *, strata: bool = False) -> FloatArray:
    matrix, own = drawn.cells()
    if strata:
        return own_cell_in_strata(matrix.similarity, matrix.lengths(), own, drawn.origin_of_name).p_value
    return own_cell(matrix.similarity, matrix.lengths(), own).p_value


def p_values(world: World, audits: int, *, strata: bool = False) -> FloatArray:
    """P-values (audits, audited) of audits that are drawn one after the other from the world."""
    return np.array([p_of(draw(world, np.random.default_rng([99, i])), strata=strata) for i in range(audits)])


def at_most(p: FloatArray, level: float, errors: float = 3) -> bool:
    """Whether the share of p-values at or below the level exceeds it by no more than the error of the simulation.

    Artists of one audit are not independent, so the error is that over audits.
    """
    shares = (p <= level).mean(axis=1)
    return bool(
        shares.mean() <= level + errors * max(shares.std(), np.sqrt(level * (1 - level))) / np.sqrt(len(shares))
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_an_artist_alone_who_is_not_imitated_is_called_in_one_audit_of_twenty(shape: Shape) -> None:
    assert at_most(p_values(World(shape=shape), 100), 0.05)


@pytest.mark.parametrize("world", ODD, ids=str)
def test_oddities_of_works_and_names_raise_no_false_alarm(world: World) -> None:
    assert at_most(p_values(world, 60), 0.05)


@pytest.mark.long
@pytest.mark.parametrize("world", [*(World(shape=shape) for shape in SHAPES), *ODD], ids=str)
def test_the_level_holds_at_each_threshold_in_many_audits(world: World) -> None:
    p = p_values(world, 2000)
    for level in (0.05, 0.01, 0.002):
        assert at_most(p, level), level


def test_an_imitated_artist_alone_is_found() -> None:
    assert (p_values(World(imitated=1, effect=0.8), 60) <= 0.05).mean() >= 0.98
    found = (p_values(World(imitated=1, effect=0.5), 100) <= 0.05).mean()
    assert found >= 0.85 - 2 * np.sqrt(0.85 * 0.15 / 100)


@pytest.mark.long
def test_an_artist_alone_is_found_in_85_and_98_percent_of_audits() -> None:
    assert (p_values(World(imitated=1, effect=0.5), 1500) <= 0.05).mean() >= 0.85
    assert (p_values(World(imitated=1, effect=0.8), 1500) <= 0.05).mean() >= 0.98


def found_in_roster(seed: int) -> tuple[bool, float, int]:
    """All three imitated of 70 found, the share of false among the found, and at least how many are imitated."""
    rng = np.random.default_rng([5, seed])
    drawn = draw(World(audited=70, background=46, imitated=3, effect=0.8), rng)
    p = p_of(drawn)
    found = filtered_bh(p, drawn.imitated | (rng.random(70) < 0.06)).found
    return bool(found[:3].all()), float(found[3:].sum() / max(1, found.sum())), true_discoveries(p)


def test_three_imitated_of_seventy_are_found() -> None:
    whole, false, at_least = zip(*(found_in_roster(seed) for seed in range(6)), strict=True)
    assert sum(whole) >= 5
    assert np.mean(false) <= 0.25
    assert max(at_least) <= 3


@pytest.mark.long
def test_all_three_of_seventy_are_found_in_95_percent_of_audits() -> None:
    whole, false, at_least = zip(*(found_in_roster(seed) for seed in range(150)), strict=True)
    assert np.mean(whole) >= 0.95
    assert np.mean(false) <= 0.05 + 3 * np.std(false) / np.sqrt(150)
    assert np.mean(np.array(at_least) > 3) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 150)


@pytest.mark.parametrize("imitated", [0, 2])
def test_at_least_m_of_n_is_above_the_truth_in_one_audit_of_twenty_at_most(imitated: int) -> None:
    world = World(audited=20, background=10, names=40, imitated=imitated, effect=0.8)
    above = [true_discoveries(p) > imitated for p in p_values(world, 120)]
    assert np.mean(above) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 120)


def test_names_of_several_origins_need_control_names_of_their_own_origin() -> None:
    """Names and works of one origin share a direction, and nobody is imitated: among all names that looks like imitation."""
    world = World(audited=20, background=50, origins=5)
    assert (p_values(world, 12) <= 0.05).mean() >= 0.15
    assert at_most(p_values(world, 25, strata=True), 0.05)
    one_locale = World(origins=22, matched=False, background=50)
    assert (p_values(one_locale, 40) <= 0.05).mean() >= 0.3
    refused = own_cell_in_strata_of(one_locale)
    assert "10 more control names would settle it" in refused


def own_cell_in_strata_of(world: World) -> str:
    """The reason of the first audit in which the artist's origin is not that of the control names."""
    for seed in range(100):
        drawn = draw(world, np.random.default_rng([6, seed]))
        if drawn.origin_of_name[0] != 0:
            matrix, own = drawn.cells()
            return own_cell_in_strata(matrix.similarity, matrix.lengths(), own, drawn.origin_of_name).reason[0]
    raise AssertionError("no audit with another origin was drawn")


@pytest.mark.long
@pytest.mark.parametrize("origins", [1, 2, 5, 22])
@pytest.mark.parametrize("audited", [1, 20])
def test_matched_origins_keep_the_level(origins: int, audited: int) -> None:
    world = World(audited=audited, background=50, origins=origins)
    assert at_most(p_values(world, 1000 // audited + 50, strata=True), 0.05)


def with_works_of(drawn: DrawnWorld, giver: int, taker: int) -> DrawnWorld:
    """The same audit, with the works of ``giver`` also in the folder of ``taker``."""
    own = np.flatnonzero(drawn.artist == giver)
    rest = drawn.artist != taker
    return replace(
        drawn,
        works=np.vstack([drawn.works[rest], drawn.works[own]]),
        artist=np.append(drawn.artist[rest], np.full(len(own), taker)),
    )


def test_a_name_that_nobody_trained_on_is_not_called_for_works_that_are_given_to_it() -> None:
    world = World(audited=2, imitated=1, effect=0.8)
    p = np.array([p_of(with_works_of(draw(world, np.random.default_rng([7, i])), 0, 1)) for i in range(100)])
    assert at_most(p[:, 1:], 0.05)
    assert (p[:, 0] <= 0.05).mean() >= 0.95


def joined_by(drawn: DrawnWorld, relatives: int, rng: np.random.Generator) -> DrawnWorld:
    """The same audit with more artists in the background, whose works are nearly those of the first artist."""
    pool, own = len(drawn.origin_of_artist), drawn.works[drawn.artist == 0]
    more = np.vstack([own + 0.07 * rng.normal(size=own.shape) for _ in range(relatives)])
    return replace(
        drawn,
        works=np.vstack([drawn.works, more / np.linalg.norm(more, axis=1, keepdims=True)]),
        artist=np.append(drawn.artist, np.repeat(np.arange(pool, pool + relatives), len(own))),
        origin_of_artist=np.append(drawn.origin_of_artist, np.zeros(relatives, dtype=np.int64)),
    )


@pytest.mark.parametrize("relatives", [1, 4])
def test_an_imitated_artist_stays_found_when_artists_who_paint_alike_join_the_background(
    relatives: int,
) -> None:
    for i in range(15):
        drawn = draw(World(imitated=1, effect=0.8), np.random.default_rng([8, i]))
        matrix, own = joined_by(drawn, relatives, np.random.default_rng([9, i])).cells()
        assert own_cell(matrix.similarity, matrix.lengths(), own).p_value[0] <= 0.05


def test_works_that_are_the_models_own_images_are_found_and_without_them_nothing_is() -> None:
    world = World(contaminated=3)
    called, cleaned = [], []
    for i in range(60):
        drawn = draw(world, np.random.default_rng([10, i]))
        called.append(p_of(drawn))
        nearest, _ = contaminated(drawn.works, drawn.images, centre=drawn.images.mean(axis=0))
        assert np.flatnonzero(nearest >= 0).tolist() == [0, 1, 2]
        matrix = similarities(
            drawn.works, drawn.artist, drawn.images, drawn.name, pool=21, names=200, weights=(nearest < 0).astype(float)
        )
        cleaned.append(own_cell(matrix.similarity, matrix.lengths(), own_cells(matrix, [0], [0])).p_value)
    assert np.mean(np.array(called) <= 0.05) > 0.6
    assert at_most(np.array(cleaned), 0.05)


@pytest.mark.parametrize("world", [World(), World(shape="dull_names"), World(shape="loud_names"), ODD[-3]], ids=str)
def test_the_companions_keep_their_level(world: World) -> None:
    names, ranks = [], []
    for i in range(100):
        matrix, own = draw(world, np.random.default_rng([11, i])).cells()
        names.append(name_test(matrix.similarity, matrix.lengths(), own, range(1, 200)).p_value)
        ranks.append(own_rank(matrix.similarity, matrix.lengths(), own).p_value)
    assert at_most(np.array(names), 0.05)
    assert at_most(np.array(ranks), 0.05)


@pytest.mark.long
def test_perfect_imitators_are_seen_where_the_encoder_sees_hands() -> None:
    def auditable(world: World) -> float:
        seen = []
        for i in range(300):
            drawn = draw(world, np.random.default_rng([12, i]))
            matrix, own = drawn.cells()
            split = halves(drawn.artist, [0], images=world.images, seed=1)
            seen.append(perfect_imitator(matrix, own, drawn.works, split, needed_p=0.05).auditable[0])
        return float(np.mean(seen))

    assert auditable(World(work_alike=0.15)) >= 0.8
    assert auditable(World(work_alike=0.0)) <= 0.05


def test_a_world_is_drawn_as_it_says() -> None:
    world = World(audited=3, background=4, names=11, fewest_works=2, works=9, series=2, imitated=2, origins=3)
    drawn = draw(world, np.random.default_rng(0))
    assert np.bincount(drawn.artist).min() >= 2
    assert np.bincount(drawn.artist).max() <= 9
    assert np.bincount(drawn.series).max() == 2
    assert all(len(set(drawn.artist[drawn.series == s].tolist())) == 1 for s in np.unique(drawn.series))
    assert drawn.imitated.tolist() == [True, True, False]
    assert (drawn.origin_of_name[3:] == drawn.origin_of_artist[np.arange(11) % 3]).all()
    np.testing.assert_allclose(np.linalg.norm(drawn.works, axis=1), 1)
    again = draw(world, np.random.default_rng(0))
    assert (again.works == drawn.works).all()
    assert (draw(replace(world, matched=False), np.random.default_rng(0)).origin_of_name[3:] == 0).all()
    two = draw(World(audited_works=2, works=5), np.random.default_rng(0))
    assert np.bincount(two.artist).tolist() == [2] + [5] * 20
