"""Experiment 2: the rank-sum test against scipy, its control, and the tables made of them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from audit_assets.measurement.matching import (
    BY_SUBJECT_COLUMNS,
    SUMMARY_COLUMNS,
    Alternative,
    PaperTest,
    RankSum,
    RankSumTable,
    cosine_distances,
    matching_by_subject,
    matching_summary,
    paper_test,
    random_assignments,
    rank_sum_table,
    rank_sums,
    reassigned,
)
from audit_assets_tests.measurement.test_identification import schema_columns
from audit_assets_tests.measurement.worlds import artists_world, own_mask, unit

ALTERNATIVES: list[tuple[Alternative, Any]] = [("two_sided", "two-sided"), ("closer", "less")]


def row_tests(distances: npt.ArrayLike, own: npt.NDArray[np.bool_], *, alternative: Alternative) -> RankSum:
    """The test of each row of distances, in which `own` marks the own images: tables of one entry each."""
    tables = [
        rank_sum_table(rank_sums(row[None], np.where(mine, 0, -1), 1), alternative=alternative).ranks
        for row, mine in zip(np.asarray(distances, dtype=float), own, strict=True)
    ]
    figures = ("statistic", "p_value", "p_floor", "auc")
    return RankSum(*(np.concatenate([getattr(t, name)[:, 0] for t in tables]) for name in figures))


@pytest.mark.parametrize(("ours", "theirs"), ALTERNATIVES)
def test_without_ties_the_test_equals_scipys_ranksums(ours: Alternative, theirs: Any) -> None:
    distances = np.random.default_rng(0).normal(size=(70, 700))
    own = own_mask(np.repeat(np.arange(70), 10), 70)
    result = row_tests(distances, own, alternative=ours)
    for row in range(70):
        expected = stats.ranksums(distances[row, own[row]], distances[row, ~own[row]], alternative=theirs)
        assert result.statistic[row] == pytest.approx(expected.statistic, abs=1e-12)
        assert result.p_value[row] == pytest.approx(expected.pvalue, abs=1e-12)


@pytest.mark.parametrize(("ours", "theirs"), ALTERNATIVES)
def test_with_ties_the_test_equals_scipys_mann_whitney_without_continuity(ours: Alternative, theirs: Any) -> None:
    rng = np.random.default_rng(1)
    distances = rng.integers(0, 12, size=(60, 90)).astype(float)
    own = rng.random((60, 90)) < 0.2
    result = row_tests(distances, own, alternative=ours)
    for row in range(60):
        x, y = distances[row, own[row]], distances[row, ~own[row]]
        expected = stats.mannwhitneyu(x, y, alternative=theirs, method="asymptotic", use_continuity=False)
        assert result.p_value[row] == pytest.approx(expected.pvalue, abs=1e-12)
        assert result.auc[row] == pytest.approx(1 - expected.statistic / (len(x) * len(y)), abs=1e-12)


@pytest.mark.parametrize("rows", [0, 1, 127, 128, 129, 300])
def test_rank_sums_of_any_number_of_rows_are_those_of_scipys_ranks(rows: int) -> None:
    rng = np.random.default_rng(rows)
    distances, who = rng.integers(0, 20, (rows, 40)).astype(float), rng.integers(-1, 5, 40)
    found = rank_sums(distances, who, 6)
    ranks = stats.rankdata(distances, axis=1)
    np.testing.assert_array_equal(found.sums, np.stack([ranks[:, who == s].sum(axis=1) for s in range(6)], axis=1))
    counts = [np.unique(row, return_counts=True)[1] for row in distances]
    np.testing.assert_array_equal(found.ties, [np.sum(n**3 - n) for n in counts])


FAR_APART: dict[str, Callable[[np.random.Generator, int], npt.NDArray[np.float64]]] = {
    "alike": lambda rng, n: rng.normal(size=n),
    "all equal": lambda rng, n: np.zeros(n),
    "a far one": lambda rng, n: np.r_[rng.normal(size=n - 1) * 1e-9, 1.0],
    "ever farther": lambda rng, n: rng.standard_cauchy(n) ** 5,
    "tiny": lambda rng, n: rng.random(n) * 1e-310,
    "at both ends": lambda rng, n: rng.choice(np.array([-1.7e308, -1.0, 1.0, 1.7e308]), n),
    "descending": lambda rng, n: np.linspace(1, 0, n) ** 40,
    "halves of equals": lambda rng, n: np.where(rng.random(n) < 0.5, rng.random(n), 0.5),
}


@pytest.mark.parametrize("images", [1, 2, 3, 4000])
@pytest.mark.parametrize("kind", FAR_APART)
def test_rank_sums_are_scipys_however_unevenly_distances_lie(kind: str, images: int) -> None:
    rng = np.random.default_rng(images)
    distances, who = FAR_APART[kind](rng, images), rng.integers(0, 3, images)
    found = rank_sums(distances[None], who, 3)
    ranks = stats.rankdata(distances)
    assert found.sums[0].tolist() == [ranks[who == s].sum() for s in range(3)]


def test_rank_sums_of_no_image_are_zero() -> None:
    assert rank_sums(np.zeros((2, 0)), np.zeros(0, dtype=int), 3).sums.tolist() == [[0.0] * 3] * 2


@given(st.lists(st.lists(st.integers(0, 5), min_size=7, max_size=7), min_size=1, max_size=6))
def test_tied_pairs_are_those_of_an_own_and_another_image(rows: list[list[int]]) -> None:
    distances, who = np.array(rows, dtype=float), np.array([0, 1, 1, 0, 2, -1, -1])
    found = rank_sums(distances, who, 4)
    for row, values in enumerate(distances):
        equal = values[:, None] == values
        wanted = [(equal & (who == s)[:, None] & (who != s)).sum() for s in range(4)]
        assert found.tied.toarray()[row].tolist() == wanted
        assert found.sums[row].tolist() == [stats.rankdata(values)[who == s].sum() for s in range(4)]


def test_all_ties_say_nothing_and_no_images_give_no_test() -> None:
    own = own_mask(np.repeat(np.arange(3), 4), 3)
    result = row_tests(np.ones((3, 12)), own, alternative="two_sided")
    assert (result.statistic == 0).all()
    assert (result.p_value == 1).all()
    assert (result.auc == 0.5).all()
    none = row_tests(np.random.default_rng(0).random((1, 5)), np.zeros((1, 5), bool), alternative="closer")
    assert np.isnan([none.statistic[0], none.p_value[0], none.p_floor[0], none.auc[0]]).all()


@pytest.mark.parametrize(("ours", "theirs"), ALTERNATIVES)
def test_the_floor_is_the_p_value_of_complete_separation(ours: Alternative, theirs: Any) -> None:
    distances = np.arange(700.0)[None]
    result = row_tests(distances, distances < 10, alternative=ours)
    expected = stats.ranksums(np.arange(10), np.arange(10, 700), alternative=theirs).pvalue
    assert result.p_value[0] == pytest.approx(expected, rel=1e-12)
    assert result.p_floor[0] == pytest.approx(expected, rel=1e-12)
    assert result.auc[0] == 1.0


def test_a_p_value_is_never_below_its_floor_where_ties_shrink_the_variance() -> None:
    distances = np.r_[np.zeros(5), np.ones(20)][None]
    found = row_tests(distances, (np.arange(25) < 5)[None], alternative="closer")
    assert found.p_value[0] == found.p_floor[0] < 1e-5
    ties = row_tests(np.ones((1, 25)), (np.arange(25) < 5)[None], alternative="two_sided")
    assert ties.p_value[0] == ties.p_floor[0] == 1.0


def test_a_p_value_is_never_zero() -> None:
    distances = np.arange(4000.0)[None]
    result = row_tests(distances, distances < 2000, alternative="closer")
    assert 0 < result.p_value[0] < 1e-300


def test_every_entry_of_the_table_is_that_pairs_test() -> None:
    rng = np.random.default_rng(2)
    distances = rng.random((5, 40)).round(1)
    who = rng.integers(-1, 4, size=40)
    table = rank_sum_table(rank_sums(distances, who, 4), alternative="closer")
    for subject in range(4):
        own = np.broadcast_to(who == subject, distances.shape)
        single = row_tests(distances, own, alternative="closer")
        np.testing.assert_allclose(table.ranks.statistic[:, subject], single.statistic, atol=1e-12)
        np.testing.assert_allclose(table.ranks.p_value[:, subject], single.p_value, atol=1e-12)
        assert table.images[subject] + table.others[subject] == 40


def table_of(
    references: npt.ArrayLike, imitations: npt.ArrayLike, who: npt.ArrayLike, alternative: Alternative
) -> RankSumTable:
    distances = cosine_distances(references, imitations)
    return rank_sum_table(rank_sums(distances, who, len(distances)), alternative=alternative)


def of_embeddings(
    references: npt.ArrayLike, imitations: npt.ArrayLike, who: npt.ArrayLike, alternative: Alternative
) -> PaperTest:
    return paper_test(table_of(references, imitations, who, alternative), alpha=0.05)


def test_the_papers_test_equals_a_plain_loop_over_artists() -> None:
    rng = np.random.default_rng(3)
    imitations, who, centres = artists_world(rng, artists=20, each=10, strength=0.3)
    test = of_embeddings(centres, imitations, who, "two_sided")
    for artist in range(20):
        distances = 1 - imitations @ centres[artist]
        p = stats.ranksums(distances[who == artist], distances[who != artist]).pvalue
        assert test.ranks.p_value[artist] == pytest.approx(p, abs=1e-12)
        assert test.p_adjusted[artist] == pytest.approx(min(1.0, 20 * p), abs=1e-11)
        assert test.significant[artist] == (20 * p < 0.05)
    table = table_of(centres, imitations, who, "two_sided")
    assert table.images.tolist() == [10] * 20
    assert table.others.tolist() == [190] * 20
    assert not test.unreachable.any()


def test_rotating_all_embeddings_changes_nothing() -> None:
    rng = np.random.default_rng(4)
    imitations, who, centres = artists_world(rng, artists=8, each=5)
    turn, _ = np.linalg.qr(rng.normal(size=(64, 64)))
    before = of_embeddings(centres, imitations, who, "closer")
    after = of_embeddings(centres @ turn, imitations @ turn, who, "closer")
    np.testing.assert_allclose(before.ranks.statistic, after.ranks.statistic, atol=1e-9)


def test_an_artist_without_images_has_no_test_and_counts_in_the_factor() -> None:
    rng = np.random.default_rng(5)
    imitations, who, centres = artists_world(rng, artists=6, each=5)
    blank = np.zeros(30, dtype=bool)
    blank[[0, 7]] = True
    blank[who == 5] = True
    table = table_of(centres, imitations[~blank], who[~blank], "closer")
    test = paper_test(table, alpha=0.05)
    assert table.images.tolist() == [4, 4, 5, 5, 5, 0]
    assert table.others.tolist() == [19, 19, 18, 18, 18, 23]
    assert np.isnan(test.ranks.p_value[5])
    assert not test.significant[5]
    kept = of_embeddings(centres[:5], imitations[~blank], who[~blank], "closer")
    np.testing.assert_allclose(test.ranks.p_value[:5], kept.ranks.p_value, atol=1e-15)
    np.testing.assert_allclose(test.p_adjusted[:5], np.minimum(1, 6 * kept.ranks.p_value), atol=1e-12)


def test_bad_input_is_refused_by_name() -> None:
    eye = np.eye(3)
    with pytest.raises(ValueError, match="reference embedding in row 1 has norm 0"):
        cosine_distances(np.diag([1.0, 0.0, 1.0]), eye)
    with pytest.raises(ValueError, match="3 and 2 dimensions"):
        cosine_distances(eye, np.eye(2))
    with pytest.raises(ValueError, match="One subject alone"):
        of_embeddings(eye[:1], eye, [0, 0, 0], "closer")
    with pytest.raises(ValueError, match="is 3 in row 2"):
        of_embeddings(eye, eye, [0, 1, 3], "closer")
    with pytest.raises(ValueError, match="row 0 hold NaN"):
        row_tests([[np.nan, 1.0]], np.array([[True, False]]), alternative="closer")
    with pytest.raises(ValueError, match="choose 'two_sided' or 'closer'"):
        row_tests([[0.0, 1.0]], np.array([[True, False]]), alternative="less")  # type: ignore[arg-type]


def test_derangements_are_uniform_and_have_no_fixed_point() -> None:
    drawn = random_assignments(4, 18000, rng=np.random.default_rng(6), fixed_points=False)
    assert not (drawn == np.arange(4)).any()
    assert (np.sort(drawn, axis=1) == np.arange(4)).all()
    counts = np.unique(drawn, axis=0, return_counts=True)[1]
    assert len(counts) == 9
    assert stats.chisquare(counts).pvalue > 1e-4
    with_own = random_assignments(50, 4000, rng=np.random.default_rng(7), fixed_points=True)
    assert (with_own == np.arange(50)).sum(axis=1).mean() == pytest.approx(1.0, abs=0.08)


def test_reassignment_equals_running_the_papers_test_again() -> None:
    rng = np.random.default_rng(8)
    imitations, who, centres = artists_world(rng, artists=12, each=6, strength=0.5)
    control = reassigned(
        table_of(centres, imitations, who, "two_sided"),
        assignments=20,
        rng=np.random.default_rng(9),
        fixed_points=False,
    )
    works = random_assignments(12, 20, rng=np.random.default_rng(9), fixed_points=False)
    again = [of_embeddings(centres[w], imitations, who, "two_sided") for w in works]
    np.testing.assert_allclose(control.statistic, np.mean([t.ranks.statistic for t in again], axis=0), atol=1e-12)
    np.testing.assert_allclose(control.p_value, np.mean([t.ranks.p_value for t in again], axis=0), atol=1e-12)
    np.testing.assert_allclose(control.p_adjusted, np.mean([t.p_adjusted for t in again], axis=0), atol=1e-12)
    np.testing.assert_array_equal(control.share_significant, np.mean([t.significant for t in again], axis=0))
    assert control.share == pytest.approx(np.mean([t.significant.mean() for t in again]))


def test_the_same_seed_gives_the_same_control_and_other_adjustments_work() -> None:
    rng = np.random.default_rng(10)
    imitations, who, centres = artists_world(rng, artists=6, each=5)
    table = table_of(centres, imitations, who, "closer")
    first = reassigned(table, assignments=50, rng=np.random.default_rng(1), fixed_points=True)
    second = reassigned(table, assignments=50, rng=np.random.default_rng(1), fixed_points=True)
    np.testing.assert_array_equal(first.p_value, second.p_value)
    hochberg = reassigned(
        table, assignments=50, rng=np.random.default_rng(1), fixed_points=True, adjustment="benjamini_hochberg"
    )
    assert (hochberg.share_significant >= first.share_significant).all()


def test_a_subject_without_a_test_takes_no_part_in_the_control_of_the_others() -> None:
    rng = np.random.default_rng(12)
    p = rng.random((6, 6))
    p[2], p[:, 4] = np.nan, np.nan
    table = RankSumTable(RankSum(p, p, np.full((6, 6), 0.01), 1 - p), np.full(6, 10), np.full(6, 50))
    for fixed_points in (True, False):
        control = reassigned(table, assignments=300, rng=rng, fixed_points=fixed_points, adjustment="holm")
        assert np.isnan(control.p_value).tolist() == [False, False, True, False, True, False]
        assert control.share_significant[[2, 4]].tolist() == [0.0, 0.0]
        assert control.p_value[0] == pytest.approx(p[[0, 1, 3, 5] if fixed_points else [1, 3, 5], 0].mean(), abs=0.08)


def test_what_cannot_be_reassigned_is_refused() -> None:
    eye = np.eye(3)
    table = rank_sum_table(rank_sums(cosine_distances(eye[:2], eye), [0, 1, 2], 3), alternative="closer")
    with pytest.raises(ValueError, match="square table"):
        reassigned(table, assignments=5, rng=np.random.default_rng(0), fixed_points=True)
    with pytest.raises(ValueError, match="cannot be re-assigned"):
        random_assignments(1, 5, rng=np.random.default_rng(0), fixed_points=False)
    with pytest.raises(ValueError, match="at least one"):
        random_assignments(3, 0, rng=np.random.default_rng(0), fixed_points=True)


def test_the_papers_test_calls_unrelated_works_significant_when_imitations_resemble_each_other() -> None:
    """The paper's flaw: works unrelated to every artist, and still a share of artists far beyond five per cent."""
    rng = np.random.default_rng(11)
    share = {}
    for icc in (0.0, 0.7):
        strength, spread = np.sqrt(icc), np.sqrt(1 - icc)
        found = []
        for _ in range(10):
            imitations, who, _ = artists_world(rng, artists=70, each=10, strength=strength, spread=spread)
            works = unit(rng.normal(size=(70, 64)))
            test = of_embeddings(works, imitations, who, "two_sided")
            found.append(test.significant.mean())
        share[icc] = np.mean(found)
    assert share[0.0] < 0.01
    assert share[0.7] > 0.15


def rows_of(subjects: list[str | None], significant: list[float], **changes: object) -> pd.DataFrame:
    values: dict[str, object] = {
        "protocol": "paper_2023", "model_version": "m", "encoder": "e", "test": "rank_sum_asymptotic",
        "alternative": "closer", "control": "none", "adjustment": "bonferroni", "subject": subjects,
        "kind": ["artist"] * len(subjects), "references_used": 1, "images": 10, "others": 690, "statistic": -1.0,
        "p_value": 0.01, "p_floor": 1e-8, "p_adjusted": 0.7, "significant": significant, "unreachable": False,
        "auc": 0.9,
    }  # fmt: skip
    return matching_by_subject(**(values | changes))  # type: ignore[arg-type]


def test_matching_tables_have_exactly_the_columns_of_the_published_schema() -> None:
    assert schema_columns("matching_by_subject") == BY_SUBJECT_COLUMNS
    assert schema_columns("matching_summary") == SUMMARY_COLUMNS
    rows = rows_of(["b", "a"], [1, 0])
    assert tuple(rows.columns) == BY_SUBJECT_COLUMNS
    assert rows["subject"].tolist() == ["a", "b"]
    assert rows["auc_low"].isna().all()


def test_the_summary_counts_significant_subjects_and_means_of_controls() -> None:
    rows = pd.concat(
        [
            rows_of(["a", "b", "c"], [1, 0, 1]),
            rows_of(["a", "b", "c"], [0.2, 0.1, 0.3], control="reassigned"),
            rows_of([None], [1], test="pairing", adjustment="none", kind=[None]),
        ]
    )
    lines = matching_summary(rows)
    assert tuple(lines.columns) == SUMMARY_COLUMNS
    assert lines["control"].tolist() == ["none", "reassigned"]
    assert lines["significant"].tolist() == pytest.approx([2.0, 0.6])
    assert lines["share"].tolist() == pytest.approx([2 / 3, 0.2])


def test_a_control_that_could_not_be_tested_has_no_error_rate() -> None:
    several = rows_of(["a", "b", "c", "d"], [1, 0, 0, 0], p_value=[0.01, 0.5, 0.6, np.nan])
    none = rows_of(["a", "b"], [0, 0], control="reassigned", p_value=np.nan)
    lines = matching_summary(pd.concat([several, none])).set_index("control")
    assert lines["subjects"].tolist() == [3, 0]
    assert lines.loc["none", "share"] == pytest.approx(1 / 3)
    assert lines["share"].isna().tolist() == [False, True]


def test_rows_that_would_mislead_are_refused() -> None:
    with pytest.raises(ValueError, match="A p-value is 0"):
        rows_of(["a"], [1], p_value=0.0)
    with pytest.raises(ValueError, match="'a' occurs twice"):
        rows_of(["a", "a"], [1, 1])
    with pytest.raises(ValueError, match="2 values of auc for 1 subjects"):
        rows_of(["a"], [1], auc=[0.5, 0.5])
    rows = rows_of(["a"], [1])
    with pytest.raises(ValueError, match="occurs twice in one test"):
        matching_summary(pd.concat([rows, rows]))
    with pytest.raises(ValueError, match="no column 'auc'"):
        matching_summary(rows.drop(columns="auc"))
