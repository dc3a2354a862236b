"""The corrected tests: plain recomputation, the level they promise, and what they refuse."""

from itertools import permutations as orders
from typing import Any

import numpy as np
import pytest
from scipy import stats

from audit_assets.measurement.corrected_matching import (
    WorksBySubject,
    double_centred,
    own_rank,
    own_rank_leave_one_out,
    pairing_reassigned,
    pairing_test,
    works_by_subject,
)
from audit_assets.measurement.kernels import permuted_traces
from audit_assets.measurement.matching import reassigned
from audit_assets.measurement.vectors import FloatArray
from audit_assets_tests.measurement.worlds import artists_world, unit


def world(
    rng: np.random.Generator, *, artists: int = 20, pool: int = 50, works: int = 4, effect: float = 0.0
) -> WorksBySubject:
    """Imitations of ``artists`` and real works of ``pool``; ``effect`` mixes an artist's own imitations' centre in."""
    imitations, who, centres = artists_world(rng, artists=artists, each=10, spread=0.8)
    hands = unit(rng.normal(size=(pool, 64)))
    hands[:artists] += effect * centres
    artist = np.repeat(np.arange(pool), works)
    references = unit(hands[artist] + rng.normal(size=(pool * works, 64)) * 0.1)
    return works_by_subject(
        references=references, artist_of_reference=artist, pool=pool, imitations=imitations, subject_of_imitation=who,
        subjects=artists,
    )  # fmt: skip


def of(similarity: FloatArray) -> WorksBySubject:
    return WorksBySubject(similarity, 1, np.full(similarity.shape[1], 10))


def test_similarities_are_means_over_pairs_of_works_and_images() -> None:
    rng = np.random.default_rng(0)
    imitations, who, _ = artists_world(rng, artists=3, each=4)
    references, artist, _ = artists_world(rng, artists=5, each=6)
    blank = np.zeros(12, dtype=bool)
    blank[1] = True
    works = works_by_subject(
        references=references, artist_of_reference=artist, pool=5, imitations=imitations, subject_of_imitation=who,
        subjects=3, blank=blank, works_each=4,
    )  # fmt: skip
    for a in range(5):
        for s in range(3):
            first_four = references[artist == a][:4]
            expected = (first_four @ imitations[(who == s) & ~blank].T).mean()
            assert works.similarity[a, s] == pytest.approx(expected, abs=1e-12)
    assert works.images.tolist() == [3, 4, 4]


def test_artists_with_few_works_are_left_out_rather_than_given_the_extreme_ranks() -> None:
    rng = np.random.default_rng(1)
    imitations, who, _ = artists_world(rng, artists=3, each=4)
    references = unit(rng.normal(size=(12, 64)))
    artist = np.array([0, 0, 0, 1, 1, 1, 3, 3, 3, 4, 4, -1])
    works = works_by_subject(
        references=references,
        artist_of_reference=artist,
        pool=5,
        imitations=imitations,
        subject_of_imitation=who,
        subjects=3,
    )
    assert works.works_each == 3
    assert np.isnan(works.similarity).all(axis=1).tolist() == [False, False, True, False, True]
    result = own_rank(works)
    assert result.pool == 3
    assert np.isnan(result.p_value[2])
    assert not result.significant[2]


def fitted_without(values: FloatArray, left_out: int) -> FloatArray:
    """Row effects by brute force: least squares over all cells that are neither own nor in the column left out."""
    rows, columns = values.shape
    kept = [(r, c) for r in range(rows) for c in range(columns) if r != c and c != left_out]
    design = np.array([[*np.eye(rows)[r], *np.eye(columns)[c]] for r, c in kept])
    # Column effects sum to 0; the one left out has no cell, and least squares of least norm gives it 0.
    design = np.vstack([design, [*np.zeros(rows), *np.ones(columns)]])
    effects = np.linalg.lstsq(design, np.array([*(values[cell] for cell in kept), 0.0]), rcond=None)[0]
    return effects[:rows]


def test_each_column_is_centred_by_least_squares_without_itself_and_without_own_cells() -> None:
    values = np.random.default_rng(2).normal(size=(6, 4))
    centred = double_centred(values)
    for s in range(4):
        expected = values[:, s] - fitted_without(values, s)
        np.testing.assert_allclose(np.diff(centred[:, s]), np.diff(expected), atol=1e-11)
        assert np.delete(centred[:, s], s).mean() == pytest.approx(0, abs=1e-11)


def test_subjects_without_works_or_images_take_no_part_in_centring() -> None:
    values = np.random.default_rng(3).normal(size=(9, 5))
    missing = values.copy()
    missing[[1, 3]] = np.nan
    missing[:, 2] = np.nan
    some = double_centred(missing)
    assert np.isnan(some[[1, 3]]).all()
    assert np.isnan(some[:, 2]).all()
    for s in (0, 1, 3, 4):
        # The columns of 1 and 3 lack no cell, since their own rows are not there; row 2 lacks none either.
        kept = [(r, c) for r in (0, 2, 4, 5, 6, 7, 8) for c in (0, 1, 3, 4) if r != c and c != s]
        design = np.array([[*np.eye(9)[r], *np.eye(5)[c]] for r, c in kept])
        design = np.vstack([design, [*np.zeros(9), *np.ones(5)]])
        row = np.linalg.lstsq(design, np.array([*(values[cell] for cell in kept), 0.0]), rcond=None)[0][:9]
        there = [0, 2, 4, 5, 6, 7, 8]
        np.testing.assert_allclose(np.diff(some[there, s]), np.diff((values[:, s] - row)[there]), atol=1e-11)
    missing[0, 0] = np.nan
    with pytest.raises(ValueError, match="A similarity is NaN"):
        double_centred(missing)


@pytest.mark.parametrize("artists", [3, 8])
def test_an_own_rank_keeps_its_level_in_a_small_audit(artists: int) -> None:
    # With effects fitted on the cell itself, 13 % (three subjects) and 7.4 % (eight) were at or below 0.05.
    rng = np.random.default_rng(11)
    p = np.array([own_rank(of(rng.normal(size=(40, artists)))).p_value for _ in range(1500)])
    shares = (p <= 0.05).mean(axis=1)
    assert shares.mean() <= 0.05 + 2 * shares.std() / np.sqrt(len(shares))


def test_an_own_rank_is_one_more_than_the_artists_that_are_at_least_as_similar() -> None:
    works = world(np.random.default_rng(3), effect=0.3)
    centred = double_centred(works.similarity)
    result = own_rank(works)
    for s in range(20):
        at_least = sum(centred[r, s] >= centred[s, s] for r in range(50) if r != s)
        assert result.rank[s] == 1 + at_least
        assert result.p_value[s] == (1 + at_least) / 50
        assert result.auc[s] == pytest.approx(1 - at_least / 49)
    assert (result.p_floor == 1 / 50).all()


def test_all_ties_rank_last() -> None:
    assert (own_rank(of(np.ones((8, 4)))).p_value == 1.0).all()


def test_hubs_among_works_and_images_change_no_rank() -> None:
    rng = np.random.default_rng(4)
    similarity = rng.normal(size=(30, 10))
    hubs = similarity + rng.normal(size=(30, 1)) * 5 + rng.normal(size=(1, 10)) * 5
    np.testing.assert_array_equal(own_rank(of(similarity)).rank, own_rank(of(hubs)).rank)


def test_imitated_artists_are_found_and_few_of_them_need_a_larger_background() -> None:
    found = own_rank(world(np.random.default_rng(5), effect=3.0))
    assert found.significant.all()
    # A pool of 110 and 3 of 70 imitated: q below 0.05 is out of reach, the floor 1/110 becomes 70 / 330.
    rng = np.random.default_rng(6)
    similarity = rng.normal(size=(110, 70))
    similarity[range(3), range(3)] += 100
    few = own_rank(of(similarity))
    assert few.rank[:3].tolist() == [1, 1, 1]
    assert few.unreachable[:3].all()
    assert not few.significant.any()


@pytest.mark.parametrize("strength", [0.0, 1.0, 3.0])
def test_own_rank_and_pairing_keep_their_level_however_alike_imitations_are(strength: float) -> None:
    rng = np.random.default_rng(7)
    ranks, pairs = [], []
    for _ in range(150):
        imitations, who, _ = artists_world(rng, artists=20, each=10, dimension=16, strength=strength)
        works = works_by_subject(
            references=unit(rng.normal(size=(60, 16))), artist_of_reference=np.arange(60), pool=60,
            imitations=imitations, subject_of_imitation=who, subjects=20,
        )  # fmt: skip
        ranks.append((own_rank(works).p_value <= 0.05).mean())
        pairs.append(pairing_test(works, permutations=199, rng=rng).p_value <= 0.05)
    assert np.mean(ranks) <= 0.05 + 2 * np.std(ranks) / np.sqrt(150)
    assert np.mean(pairs) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 150)


def test_a_result_that_hangs_on_one_work_is_seen_when_that_work_is_left_out() -> None:
    rng = np.random.default_rng(12)
    imitations, who, centres = artists_world(rng, artists=6, each=5, spread=0.2)
    artist = np.repeat(np.arange(30), 3)
    references = unit(rng.normal(size=(90, 64)))
    references[0] = centres[0]
    references[[3, 4, 5]] = unit(centres[[1, 1, 1]] + rng.normal(size=(3, 64)) / 20)
    given: dict[str, Any] = {
        "references": references, "artist_of_reference": artist, "pool": 30, "imitations": imitations,
        "subject_of_imitation": who, "subjects": 6,
    }  # fmt: skip
    p = own_rank_leave_one_out(**given)
    assert p.shape == (3, 6)
    assert p[1:, 0].tolist() == [1 / 30, 1 / 30]
    assert p[0, 0] > 2 / 30
    assert (p[:, 1] == 1 / 30).all()
    given_two = given | {
        "references": references[np.arange(90) % 3 != 1],
        "artist_of_reference": np.repeat(np.arange(30), 2),
    }
    without_second = own_rank(works_by_subject(**given_two))
    np.testing.assert_array_equal(p[1], without_second.p_value)
    with pytest.raises(ValueError, match="cannot be left out"):
        own_rank_leave_one_out(**given, works_each=1)


def test_the_pairing_p_value_lies_within_three_standard_errors_of_all_orders() -> None:
    square = np.random.default_rng(8).normal(size=(6, 6)) + 0.6 * np.eye(6)
    sums = [sum(square[o[s], s] for s in range(6)) for o in orders(range(6))]
    exact = np.mean(np.array(sums) >= np.trace(square) - 1e-9)
    found = pairing_test(of(square), permutations=100_000, rng=np.random.default_rng(0))
    assert abs(found.p_value - exact) <= 3 * np.sqrt(exact * (1 - exact) / 100_000) + 1e-5
    assert found.statistic == pytest.approx(np.diagonal(square).mean() - square.mean())
    assert found.p_floor == 1 / 720


def test_every_order_is_drawn_equally_often() -> None:
    square = np.array([[0, 100, 200], [1, 101, 201], [3, 103, 203]], dtype=float) ** 1.5
    sums = permuted_traces(square, 60_000, 1)
    counts = np.unique(sums.round(6), return_counts=True)[1]
    assert len(counts) == 6
    assert stats.chisquare(counts).pvalue > 1e-4
    np.testing.assert_array_equal(sums, permuted_traces(square, 60_000, 1))


def test_centring_does_not_change_the_pairing_test() -> None:
    works = world(np.random.default_rng(9), effect=0.1)
    shifted = of(works.similarity + np.arange(20.0) / 7)
    plain = pairing_test(works, permutations=999, rng=np.random.default_rng(1))
    centred = pairing_test(shifted, permutations=999, rng=np.random.default_rng(1))
    assert plain.p_value == centred.p_value
    assert plain.statistic == pytest.approx(centred.statistic, abs=1e-9)


def test_a_pairing_p_value_is_never_zero() -> None:
    found = pairing_test(of(np.eye(40) * 50), permutations=999, rng=np.random.default_rng(0))
    assert found.p_value == found.p_floor == 1 / 1000


def test_reassigned_works_are_significant_in_one_case_in_twenty() -> None:
    works = world(np.random.default_rng(10), artists=40, pool=80, effect=3.0)
    control = reassigned(
        own_rank(works).table, assignments=300, rng=np.random.default_rng(2), fixed_points=False,
        adjustment="benjamini_hochberg",
    )  # fmt: skip
    assert control.share <= 0.01
    p = pairing_reassigned(works, assignments=1000, permutations=999, rng=np.random.default_rng(3), fixed_points=True)
    assert (p <= 0.05).mean() <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 1000)


def test_what_cannot_be_matched_is_refused() -> None:
    eye = np.eye(3)
    common = {"references": eye, "imitations": eye, "subject_of_imitation": [0, 1, 2]}
    with pytest.raises(ValueError, match="5 subjects in a pool of 3"):
        works_by_subject(**common, artist_of_reference=[0, 1, 2], pool=3, subjects=5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="No subject has a real work"):
        works_by_subject(**common, artist_of_reference=[3, 3, 3], pool=4, subjects=3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least one real work"):
        works_by_subject(**common, artist_of_reference=[0, 1, 2], pool=3, subjects=3, works_each=0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="centring needs three"):
        double_centred(np.ones((3, 2)))
    with pytest.raises(ValueError, match="pairing needs at least two"):
        pairing_test(of(np.array([[1.0, np.nan], [1.0, np.nan]])), permutations=9, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="at least one"):
        pairing_test(of(np.eye(3)), permutations=0, rng=np.random.default_rng(0))
