"""The matching test: the closed form against least squares, what is a tie, and what cannot be tested."""

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st

from audit_assets.measurement.own_cell import (
    FEWEST_COLUMNS,
    FEWEST_ROWS,
    OwnCells,
    RowEffects,
    own_cell,
    own_cell_in_strata,
    own_cells,
)
from audit_assets.measurement.own_cell_companions import name_test, own_rank
from audit_assets.measurement.similarities import similarities
from audit_assets.measurement.vectors import BoolArray, FloatArray
from audit_assets_tests.measurement.worlds import unit


def own_at(*pairs: tuple[int, int]) -> OwnCells:
    rows, columns = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return OwnCells(rows, columns, ("",) * len(pairs))


def own_mask(shape: tuple[int, int], own: OwnCells) -> BoolArray:
    mask = np.zeros(shape, dtype=bool)
    mask[own.rows, own.columns] = True
    return mask


def row_effects_by_least_squares(values: FloatArray, own: BoolArray, left_out: int) -> FloatArray:
    kept = ~own
    kept[:, left_out] = False
    r, c = np.nonzero(kept)
    rows, columns = values.shape
    design = np.zeros((len(r) + 1, rows + columns))
    design[np.arange(len(r)), r] = 1
    design[np.arange(len(r)), rows + c] = 1
    # The effects of the columns in the fit sum to 0.
    design[-1, rows + np.delete(np.arange(columns), left_out)] = 1
    return np.linalg.lstsq(design, np.append(values[r, c], 0.0), rcond=None)[0][:rows]


def z_by_brute_force(values: FloatArray, lengths: FloatArray, own: OwnCells, trimmed: int) -> FloatArray:
    """Every cell against the fit of a weighted mean to the other cells of its column, one cell at a time, by statsmodels."""
    mask = own_mask((len(values), values.shape[1]), own)
    z = np.empty_like(values)
    for s in range(values.shape[1]):
        residual = values[:, s] - row_effects_by_least_squares(values, mask, s)
        for r in range(len(values)):
            others = np.flatnonzero((np.arange(len(values)) != r) & ~mask[:, s])
            about = (residual - np.average(residual[~mask[:, s]], weights=lengths[~mask[:, s]] ** -2.0)) / lengths
            others = others[np.argsort(about[others])][: len(others) - trimmed]
            fit = sm.WLS(residual[others], np.ones(len(others)), weights=lengths[others] ** -2.0).fit()
            error = np.sqrt(fit.scale * lengths[r] ** 2 + fit.cov_params()[0, 0])
            z[r, s] = (residual[r] - fit.params[0]) / error
    return z


def scales_by_brute_force(z: FloatArray, own: OwnCells) -> FloatArray:
    """The root mean square of the other cells of each cell's row."""
    mask, scales = own_mask((len(z), z.shape[1]), own), np.empty_like(z)
    for r, s in np.ndindex(z.shape):
        scales[r, s] = np.sqrt(np.mean([z[r, t] ** 2 for t in range(z.shape[1]) if t != s and not mask[r, t]]))
    return scales


@given(st.integers(0, 10_000), st.integers(0, 6))
def test_the_closed_form_is_the_fit_by_least_squares_wherever_the_own_cells_lie(seed: int, artists: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(9, 12))
    pairs = list(zip(rng.permutation(9)[:artists], rng.permutation(12)[:artists], strict=True))
    own = own_at(*pairs)
    effects = RowEffects.of(values, own.rows, own.columns).without(np.arange(12))
    for s in range(12):
        expected = row_effects_by_least_squares(values, own_mask(values.shape, own), s)
        np.testing.assert_allclose(effects[:, s], expected, atol=1e-12)


@pytest.mark.parametrize(("rows", "trimmed"), [(8, 1), (11, 2), (24, 4)])
def test_own_cells_are_ranked_with_and_without_the_scale_of_the_row_and_the_larger_rank_counts(
    rows: int, trimmed: int
) -> None:
    rng = np.random.default_rng(1)
    values, lengths = rng.normal(size=(rows, 14)), rng.uniform(0.5, 2, size=rows)
    own = own_at((2, 0), (0, 3), (5, 13))
    expected = z_by_brute_force(values, lengths, own, trimmed)
    found = own_cell(values, lengths, own)
    np.testing.assert_allclose(found.z, expected[own.rows, own.columns], atol=1e-8)
    ranks = []
    for cells in (expected, expected / scales_by_brute_force(expected, own)):
        null = cells[~own_mask(values.shape, own)]
        ranks.append([1 + int((null >= cells[r, c] - 1e-8).sum()) for r, c in zip(own.rows, own.columns, strict=True)])
    rank = np.max(ranks, axis=0).tolist()
    assert found.rank.tolist() == rank
    assert ranks[0] != ranks[1]
    assert found.p_value.tolist() == [r / (rows * 14 - 3 + 1) for r in rank]
    assert found.others.tolist() == [rows * 14 - 3] * 3
    assert found.p_floor.tolist() == [1 / (rows * 14 - 2)] * 3


def test_effects_of_rows_and_columns_and_units_change_nothing() -> None:
    rng = np.random.default_rng(2)
    values, lengths = rng.normal(size=(12, 30)), rng.uniform(0.5, 2, size=12)
    own = own_at((0, 0), (1, 1))
    moved = values + rng.normal(size=(12, 1)) * 5 + rng.normal(size=30) * 5
    one = own_cell(values, lengths, own)
    assert own_cell(moved, lengths, own).rank.tolist() == one.rank.tolist()
    assert own_cell(3 * values, 7 * lengths, own).rank.tolist() == one.rank.tolist()


def test_a_large_own_cell_takes_the_first_rank_and_no_other_artist_pays_for_it() -> None:
    values = np.random.default_rng(3).normal(size=(21, 200))
    lengths, own = np.ones(21), own_at((0, 0), (1, 1))
    before = own_cell(values, lengths, own)
    values[0, 0] += 1000
    after = own_cell(values, lengths, own)
    assert after.rank[0] == 1
    assert after.p_value[0] == after.p_floor[0] == 1 / (21 * 200 - 2 + 1)
    assert after.rank[1] == before.rank[1]


def test_images_that_are_the_same_for_every_name_are_refused_and_counted_once_if_some_are() -> None:
    rng = np.random.default_rng(4)
    values = rng.normal(size=(21, 60))
    lengths, own = np.ones(21), own_at((0, 0))
    same = np.repeat(values[:, :1], 60, axis=1)
    found = own_cell(same, lengths, own)
    assert np.isnan(found.p_value[0])
    assert found.reason[0].startswith("0 other names have images of their own, not counting 59 with the same images")
    some = values.copy()
    some[:, 30:] = values[:, [29]]
    once = own_cell(some, lengths, own)
    assert once.same_columns[0] == 30
    assert once.p_value[0] == own_cell(values[:, :30], lengths, own).p_value[0]


@pytest.mark.parametrize("names", [1, 40])
def test_images_that_other_names_have_too_are_no_evidence_for_the_artist(names: int) -> None:
    """They would count once, and as the artist's: of a model that draws the same for most names, the artist near to it would be found."""
    values = np.random.default_rng(4).normal(size=(21, 60))
    values[0, 0] += 20
    own, controls = own_at((0, 0), (1, 59)), np.arange(1, 59)
    for test in (own_cell(values, np.ones(21), own), name_test(values, np.ones(21), own, controls)):
        assert test.reason == ("", "")
        assert test.p_value[0] < 0.05
    values[:, 1 : 1 + names] = values[:, [0]]
    for test in (own_cell(values, np.ones(21), own), name_test(values, np.ones(21), own, controls)):
        assert np.isnan(test.p_value[0])
        assert test.reason[0].startswith(f"{names} of the other names ha")
        assert test.reason[1] == ""  # the other artist's images are nobody else's


def test_an_audited_artist_who_is_in_the_background_under_another_name_counts_once() -> None:
    values = np.random.default_rng(5).normal(size=(21, 60))
    values[0, 0] += 10
    twice = np.vstack([values, values[:1], values[5:9]])
    found = own_cell(twice, np.ones(26), own_at((0, 0)))
    assert found.same_rows[0] == 5
    assert found.p_value[0] == own_cell(values, np.ones(21), own_at((0, 0))).p_value[0]


def test_similarities_that_never_differ_are_no_evidence() -> None:
    values = np.random.default_rng(6).normal(size=(10, 30))
    own = own_at((0, 0), (1, 1))
    values[:, 0] = row_effects_by_least_squares(values, own_mask((10, 30), own), 0)
    found = own_cell(values, np.ones(10), own)
    assert "equally near to the works of all artists" in found.reason[0]
    assert np.isnan([found.p_value[0], found.z[0], found.rank[0]]).all()
    assert found.reason[1] == ""
    assert found.p_value[1] > 0
    assert found.others[0] == 29 * 10 - 1


@pytest.mark.parametrize(("rows", "columns"), [(FEWEST_ROWS, 60), (FEWEST_ROWS + 1, FEWEST_COLUMNS), (1, 1), (2, 3)])
def test_a_table_too_small_for_the_test_is_refused_and_says_how_many_more_would_settle_it(
    rows: int, columns: int
) -> None:
    values = np.random.default_rng(7).normal(size=(rows, columns))
    found = own_cell(values, np.ones(rows), own_at((0, 0)))
    assert np.isnan(found.p_value[0])
    short = max(FEWEST_COLUMNS + 1 - columns, 0) or FEWEST_ROWS + 1 - rows
    assert f"{short} more" in found.reason[0]
    larger = np.random.default_rng(7).normal(size=(max(rows, FEWEST_ROWS + 1), max(columns, FEWEST_COLUMNS + 1)))
    assert own_cell(larger, np.ones(len(larger)), own_at((0, 0))).reason == ("",)


def test_an_artist_whose_mean_work_is_that_of_the_pool_cannot_be_tested_and_the_others_can() -> None:
    values = np.random.default_rng(8).normal(size=(12, 30))
    lengths = np.ones(12)
    lengths[[0, 11]] = 0
    found = own_cell(values, lengths, own_at((0, 0), (1, 1)))
    assert "equals the mean of all artists' works" in found.reason[0]
    assert np.isnan(found.p_value[0])
    assert not np.isnan(found.p_value[1])
    assert found.others[0] == 10 * 30 - 1
    everyone = own_cell(values, np.zeros(12), own_at((0, 0)))
    assert "equals the mean" in everyone.reason[0]
    alone = own_cell(values[:1], np.zeros(1), own_at((0, 0)))
    assert alone.reason[0].startswith("0 other artists have works; the test needs 5. 5 more background artists")


def test_artists_without_works_or_images_are_reported_and_keep_their_place() -> None:
    rng = np.random.default_rng(9)
    works, artist = unit(rng.normal(size=(30, 16))), np.repeat(np.arange(10), 3)
    artist[artist == 1] = -1
    name = np.repeat(np.arange(20), 6)
    shown = np.ones(120, dtype=bool)
    shown[name == 2] = np.arange(6) < 3
    matrix = similarities(works, artist, unit(rng.normal(size=(120, 16))), name, pool=10, names=20, shown=shown)
    own = own_cells(matrix, [0, 1, 2, 3], [0, 1, 2, 3])
    assert own.rows.tolist() == [0, -1, -1, 2]
    assert own.columns.tolist() == [0, -1, -1, 2]
    found = own_cell(matrix.similarity, matrix.lengths(), own)
    assert found.reason[1].startswith("The artist has no works")
    assert found.reason[2] == "The name has 3 shown images and needs 5; 2 more images would settle it."
    assert np.isnan(found.p_value).tolist() == [False, True, True, False]


@pytest.mark.parametrize("nothing", ["images", "works"])
def test_an_audit_in_which_every_image_is_blank_or_no_work_exists_is_a_stated_result(nothing: str) -> None:
    vectors, which = unit(np.random.default_rng(12).normal(size=(40, 8))), np.arange(40) % 4
    matrix = similarities(
        vectors, which if nothing == "images" else np.full(40, -1), vectors, which, pool=4, names=4,
        shown=np.full(40, nothing == "works"),
    )  # fmt: skip
    own = own_cells(matrix, [0, 1], [0, 1])
    found = own_cell(matrix.similarity, matrix.lengths(), own)
    assert np.isnan(found.p_value).all()
    assert {why.split(";")[0] for why in found.reason} == {
        "The name has 0 shown images and needs 5" if nothing == "images" else "The artist has no works that count"
    }
    for companion in (
        name_test(matrix.similarity, matrix.lengths(), own, []),
        own_rank(matrix.similarity, matrix.lengths(), own),
    ):
        assert companion.reason == found.reason


def test_two_audited_names_with_the_same_images_do_not_help_each_other() -> None:
    values = np.random.default_rng(13).normal(size=(21, 100))
    values[0, 0] += 20
    values[:, 1] = values[:, 0]
    found = own_cell(values, np.ones(21), own_at((0, 0), (1, 1)))
    assert found.same_columns[0] == 0
    # The first artist's row is as high in the column of the second name, which is nobody's own cell.
    assert found.rank[0] == 2
    assert found.p_value[1] > 0.05


def test_a_stratum_is_tested_as_if_the_names_of_the_others_did_not_exist() -> None:
    values = np.random.default_rng(10).normal(size=(9, 40))
    stratum = np.array(["de", "jp"] * 20)
    stratum[[4, 6]] = "one"
    own = own_at((0, 0), (1, 1), (2, 2), (3, 4))
    found = own_cell_in_strata(values, np.ones(9), own, stratum)
    german = np.flatnonzero(stratum == "de")
    alone = own_cell(values[:, german], np.ones(9), own_at((0, 0), (2, 1)))
    assert found.p_value[[0, 2]].tolist() == alone.p_value.tolist()
    assert found.others.tolist()[::2] == alone.others.tolist()
    assert "9 more control names" in found.reason[3]
    with pytest.raises(ValueError, match="one per column"):
        own_cell_in_strata(values, np.ones(9), own, stratum[:5])


def test_what_contradicts_itself_is_refused() -> None:
    values, lengths = np.random.default_rng(11).normal(size=(8, 20)), np.ones(8)
    with pytest.raises(ValueError, match="one per row"):
        own_cell(values, np.ones(7), own_at((0, 0)))
    with pytest.raises(ValueError, match="not finite"):
        own_cell(np.where(values > 2, np.nan, values), lengths, own_at((0, 0)))
    with pytest.raises(ValueError, match="outside the matrix"):
        own_cell(values, lengths, own_at((8, 0)))
    with pytest.raises(ValueError, match="share a row or a column"):
        own_cell(values, lengths, own_at((0, 0), (0, 1)))
    with pytest.raises(ValueError, match="a row without a column"):
        own_cell(values, lengths, OwnCells(np.array([0]), np.array([-1]), ("",)))
    works = unit(np.ones((1, 4)))
    matrix = similarities(works, [0], works, [0], pool=1, names=1, fewest_images=1)
    with pytest.raises(ValueError, match="occurs twice"):
        own_cells(matrix, [0, 0], [0, 0])
    with pytest.raises(ValueError, match="one name per artist"):
        own_cells(matrix, [0], [0, 0])
