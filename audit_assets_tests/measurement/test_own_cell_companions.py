"""Name test, own rank and pairing: plain recomputation, exactness under exchange, and what they refuse."""

from itertools import permutations as orders

import numpy as np
import pytest
from scipy import stats

from audit_assets.measurement.kernels import permuted_traces
from audit_assets.measurement.own_cell import OwnCells
from audit_assets.measurement.own_cell_companions import name_test, name_test_alone, own_rank, pairing
from audit_assets.measurement.vectors import FloatArray
from audit_assets.measurement.worlds import World, draw
from audit_assets_tests.measurement.test_own_cell import (
    own_at,
    own_mask,
    row_effects_by_least_squares,
    scales_by_brute_force,
    z_by_brute_force,
)


def name_scores_by_brute_force(values: FloatArray, lengths: FloatArray, row: int, names: list[int]) -> FloatArray:
    """Double-centred over the names, over the scale of each name in the rows of others; the artist's row."""
    table = (values - values.mean(axis=0))[:, names] / lengths[:, None]
    table = table - table.mean(axis=1, keepdims=True)
    others = np.delete(table, row, axis=0)
    return (table[row] - others.mean(axis=0)) / others.std(axis=0)


def test_the_name_test_ranks_the_own_name_among_control_names_only() -> None:
    rng = np.random.default_rng(0)
    values, lengths = rng.normal(size=(9, 24)), rng.uniform(0.5, 2, size=9)
    own = own_at((0, 0), (4, 2), (1, 23))
    controls = list(range(3, 22))
    found = name_test(values, lengths, own, controls)
    for i, (row, column) in enumerate([(0, 0), (4, 2), (1, 23)]):
        scores = name_scores_by_brute_force(values, lengths, row, [column, *controls])
        assert found.rank[i] == 1 + (scores[1:] >= scores[0]).sum()
    assert found.p_value.tolist() == [r / 20 for r in found.rank]
    assert found.p_floor.tolist() == [1 / 20] * 3
    assert found.others.tolist() == [19] * 3


def test_the_name_test_is_exact_since_own_name_and_control_names_change_places() -> None:
    rng = np.random.default_rng(1)
    values, lengths = rng.standard_t(2, size=(8, 15)), rng.uniform(0.5, 2, size=8)
    ranks = []
    for column in range(15):
        controls = [s for s in range(15) if s != column]
        ranks.append(name_test(values, lengths, own_at((3, column)), controls).rank[0])
    assert sorted(ranks) == list(range(1, 16))


def test_own_rank_counts_the_artists_whose_works_are_at_least_as_similar() -> None:
    rng = np.random.default_rng(2)
    values, lengths = rng.normal(size=(12, 15)), rng.uniform(0.5, 2, size=12)
    own = own_at((2, 1), (7, 5))
    found = own_rank(values, lengths, own)
    scales = scales_by_brute_force(z_by_brute_force(values, lengths, own, 2), own)
    for i in range(2):
        residual = values[:, own.columns[i]] - row_effects_by_least_squares(
            values, own_mask((12, 15), own), own.columns[i]
        )
        value = (residual - np.average(residual, weights=lengths**-2.0)) / lengths / scales[:, own.columns[i]]
        assert found.rank[i] == (value >= value[own.rows[i]]).sum()
    assert found.p_value.tolist() == [r / 12 for r in found.rank]


def test_each_place_is_nearly_equally_likely_as_works_of_artists_change_places() -> None:
    """Not exactly, since the own cell takes no part in the row's effect, and so in its scale."""
    rng = np.random.default_rng(3)
    values, lengths = rng.standard_t(2, size=(11, 14)), rng.uniform(0.5, 2, size=11)
    ranks = [own_rank(values, lengths, own_at((row, 4))).rank[0] for row in range(11)]
    np.testing.assert_allclose(sorted(ranks), range(1, 12), atol=1)


def test_among_peers_an_artist_is_ranked_with_the_members_of_the_group_only() -> None:
    rng = np.random.default_rng(4)
    values = rng.normal(size=(20, 15))
    peers = np.repeat([0, 1, -1, 2], [8, 6, 3, 3])
    own = own_at((0, 0), (9, 1), (14, 2), (18, 3))
    among = own_rank(values, np.ones(20), own, peers=peers)
    everyone = own_rank(values, np.ones(20), own)
    assert among.others.tolist() == [7, 5, 19, 2]
    assert among.rank[2] == everyone.rank[2]
    assert (among.rank[:2] <= everyone.rank[:2]).all()
    assert (
        among.reason[3] == "2 other artists of the artist's peers have works; the test needs 5. 3 more would settle it."
    )
    assert np.isnan(among.p_value[3])
    with pytest.raises(ValueError, match="one per artist"):
        own_rank(values, np.ones(20), own, peers=peers[:5])


def test_all_ties_rank_last() -> None:
    values = np.random.default_rng(5).normal(size=(8, 15))
    values[:, 0] = 3
    flat = np.repeat(np.arange(15.0)[None], 8, axis=0) + np.arange(8.0)[:, None]
    flat[:, 1:] += 1e-3 * np.eye(8, 14)
    found = own_rank(flat, np.ones(8), own_at((7, 0)))
    assert 1 <= found.rank[0] <= 8
    same = np.ones((8, 15)) + np.arange(15.0)
    assert (
        own_rank(same, np.ones(8), own_at((0, 0))).p_value[0] == 1
        or own_rank(same, np.ones(8), own_at((0, 0))).reason[0]
    )


def test_pairing_is_the_permutation_test_of_the_mean_of_own_cells() -> None:
    values = np.random.default_rng(6).normal(size=(9, 12)) + 0.0
    own = own_at((8, 0), (1, 1), (2, 5), (3, 3), (5, 4))
    square = values[np.ix_(own.rows, own.columns)] + 0.7 * np.eye(5)
    values[np.ix_(own.rows, own.columns)] = square
    sums = np.array([sum(square[o[s], s] for s in range(5)) for o in orders(range(5))])
    exact = np.mean(sums >= np.trace(square) - 1e-9)
    found = pairing(values, own, permutations=100_000, rng=np.random.default_rng(0))
    assert abs(found.p_value - exact) <= 4 * np.sqrt(exact * (1 - exact) / 100_000) + 1e-5
    assert found.statistic == pytest.approx(np.diagonal(square).mean() - square.mean())
    assert (found.artists, found.alone, found.p_floor) == (5, 0, pytest.approx(1 / 120))


def test_within_peers_works_change_places_within_groups_and_a_genre_is_no_evidence() -> None:
    rng = np.random.default_rng(7)
    group = np.repeat([0, 1, 2], [4, 3, 1])
    values = rng.normal(size=(8, 8)) + 10 * (group[:, None] == group)
    own = own_at(*((i, i) for i in range(8)))
    whole = pairing(values, own, permutations=20_000, rng=np.random.default_rng(0))
    assert whole.p_value < 0.01
    sums = []
    for first in orders(range(4)):
        for second in orders(range(4, 7)):
            sums.append(sum(values[row, s] for s, row in enumerate([*first, *second])))
    exact = np.mean(np.array(sums) >= sums[0] - 1e-9)
    found = pairing(values, own, permutations=100_000, rng=np.random.default_rng(0), peers=group)
    assert abs(found.p_value - exact) <= 4 * np.sqrt(exact * (1 - exact) / 100_000) + 1e-5
    assert (found.artists, found.alone, found.p_floor) == (7, 1, pytest.approx(1 / 144))


def test_a_roster_without_two_artists_to_exchange_is_a_stated_result() -> None:
    values = np.random.default_rng(8).normal(size=(8, 8))
    own = OwnCells(
        np.array([0, -1, 2]), np.array([0, -1, 2]), ("", "The artist has no works that count; add works.", "")
    )
    rng = np.random.default_rng(0)
    alone = pairing(values, own, permutations=99, rng=rng, peers=[0, 0, -1])
    assert np.isnan(alone.p_value)
    assert (alone.artists, alone.alone) == (0, 2)
    assert "in one group of peers" in alone.reason
    one = pairing(values, own_at((0, 0)), permutations=99, rng=rng)
    assert "pairing needs two" in one.reason
    with pytest.raises(ValueError, match="at least one"):
        pairing(values, own, permutations=0, rng=rng)


def test_what_cannot_be_ranked_says_why() -> None:
    values = np.random.default_rng(9).normal(size=(8, 15))
    own = OwnCells(np.array([0, -1]), np.array([0, -1]), ("", "The artist has no works that count; add works."))
    few = name_test(values, np.ones(8), own, range(3, 12))
    assert (
        few.reason[0]
        == "9 control names have images of their own; the test needs 10. 1 more control names would settle it."
    )
    assert few.reason[1].startswith("The artist has no works")
    assert np.isnan(few.p_value).all()
    rows = name_test(values[:5], np.ones(5), own_at((0, 0)), range(3, 15))
    assert rows.reason[0] == "4 other artists have works; the test needs 5. 1 more would settle it."
    lengths = np.ones(8)
    lengths[0] = 0
    assert "equals the mean" in own_rank(values, lengths, own_at((0, 0))).reason[0]
    with pytest.raises(ValueError, match="is the name of an audited artist"):
        name_test(values, np.ones(8), own, range(15))
    with pytest.raises(ValueError, match="outside the matrix"):
        name_test(values, np.ones(8), own, [99])


def test_every_order_is_drawn_equally_often() -> None:
    square = np.array([[0, 100, 200], [1, 101, 201], [3, 103, 203]], dtype=float) ** 1.5
    sums = permuted_traces(square, 60_000, 1)
    counts = np.unique(sums.round(6), return_counts=True)[1]
    assert len(counts) == 6
    assert stats.chisquare(counts).pvalue > 1e-4
    np.testing.assert_array_equal(sums, permuted_traces(square, 60_000, 1))
    # They are drawn in blocks, which leave no trace: fewer orders are the first of many, and each adds a value of every column.
    np.testing.assert_array_equal(sums[:700], permuted_traces(square, 700, 1))
    assert (permuted_traces(np.tile(np.arange(5.0) ** 2, (5, 1)), 1_100, 3) == 30).all()


def test_effects_of_works_and_of_images_do_not_change_the_pairing_test() -> None:
    rng = np.random.default_rng(9)
    values, own = rng.normal(size=(20, 20)) + 0.3 * np.eye(20), own_at(*((i, i) for i in range(20)))
    shifted = values + np.arange(20.0) / 7 + rng.normal(size=(20, 1))
    plain, moved = (pairing(v, own, permutations=999, rng=np.random.default_rng(1)) for v in (values, shifted))
    assert plain.p_value == moved.p_value
    assert plain.statistic == pytest.approx(moved.statistic, abs=1e-9)


def test_without_other_artists_each_place_is_equally_likely_as_names_change_places() -> None:
    rng = np.random.default_rng(2)
    work, names = rng.normal(size=8), rng.normal(size=(20, 8)) * rng.uniform(0.1, 3, size=(20, 1)) + rng.normal(size=8)
    ranks = [name_test_alone(work, names[i], np.delete(names, i, axis=0)).rank for i in range(20)]
    assert sorted(ranks) == list(range(1, 21))


@pytest.mark.parametrize("shape", ["loud_names", "dull_names"])
def test_a_name_that_steers_strongly_is_not_found_to_steer_to_the_works_for_that(shape: str) -> None:
    def p(seed: int, effect: float) -> float:
        world = World(background=0, shape=shape, imitated=int(effect > 0), effect=effect)  # type: ignore[arg-type]
        cells, own = draw(world, np.random.default_rng([11, seed])).cells()
        images = cells.mean_images
        return name_test_alone(cells.mean_works[own.rows[0]], images[0], images[1:]).p_value

    assert np.mean([p(i, 0.0) <= 0.05 for i in range(150)]) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 150)
    assert np.mean([p(i, 0.8) <= 0.05 for i in range(30)]) >= 0.9


def test_too_few_control_names_alone_are_refused() -> None:
    names = np.random.default_rng(1).normal(size=(12, 3))
    few = name_test_alone(np.ones(3), np.ones(3), names[:9])
    assert np.isnan(few.p_value)
    assert (
        few.reason
        == "9 control names have images of their own; the test needs 10. 1 more control names would settle it."
    )
    with pytest.raises(ValueError, match="pass"):
        name_test_alone(np.ones(4), np.ones(3), np.ones((12, 3)))


def test_without_other_artists_names_with_the_same_images_count_once_and_test_nobody_who_has_them() -> None:
    """Twelve control names, the last of which is given ten times more: 1 / 13 is the smallest p, as it is without the repetitions."""
    rng = np.random.default_rng(1)
    names = rng.normal(size=(12, 6))
    repeated = np.vstack([names, np.repeat(names[-1:], 10, axis=0) + 1e-7])
    once, found = (name_test_alone(names[0], 2 * names[0], these) for these in (names, repeated))
    assert found == once
    assert found.others == 12
    one_set = name_test_alone(np.ones(6), np.ones(6), repeated[-11:])
    assert np.isnan(one_set.p_value)
    assert one_set.reason.startswith(
        "1 control names have images of their own, not counting 10 with the same images as another; the test needs 10."
    )
    same = name_test_alone(np.ones(6), names[-1], repeated)
    assert np.isnan(same.p_value)
    assert same.reason.startswith("11 of the other names have the same images as this name")


def test_names_of_one_cosine_and_other_images_are_several_names() -> None:
    """Near one mean work, names of different images can be equally near. They are told apart by their images."""
    turned = np.hstack([np.full((11, 1), 0.5), np.eye(11)])
    found = name_test_alone(np.eye(12)[0], turned[0], turned[1:])
    assert (found.others, found.p_value) == (10, 1.0)
