"""Experiment 2 against scipy, and its control against what a re-assignment must do."""

from typing import Literal

import numpy as np
import pytest
from scipy import stats

from audit_assets.measurement import matching


def unit(rng: np.random.Generator, n: int, d: int = 16) -> np.ndarray:
    x = rng.normal(size=(n, d))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@pytest.mark.parametrize(("alternative", "theirs"), [("two_sided", "two-sided"), ("closer", "less")])
@pytest.mark.parametrize("decimals", [1, 16])  # with many ties, and without
def test_the_rank_sum_is_scipys(
    alternative: matching.Alternative, theirs: Literal["two-sided", "less"], decimals: int
) -> None:
    rng = np.random.default_rng(3)
    distances = np.round(rng.uniform(size=(20, 200)), decimals)
    own = np.zeros((20, 200), dtype=bool)
    own[:, :10] = True
    ours = matching.rank_sum_asymptotic(distances, own, alternative=alternative)
    for row in range(20):
        expected = stats.mannwhitneyu(
            distances[row, :10], distances[row, 10:], alternative=theirs, method="asymptotic", use_continuity=False
        )
        assert ours.p_value[row] == pytest.approx(expected.pvalue, rel=1e-12)


def test_the_table_holds_the_test_of_every_work_against_every_subject() -> None:
    rng = np.random.default_rng(4)
    distances = rng.uniform(size=(6, 60))
    subject = np.repeat(np.arange(6), 10)
    table = matching.rank_sum_table(distances, subject, 6, alternative="two_sided")
    for s in range(6):
        one = matching.rank_sum_asymptotic(distances, np.tile(subject == s, (6, 1)), alternative="two_sided")
        np.testing.assert_allclose(table.ranks.p_value[:, s], one.p_value, rtol=1e-12)


def test_an_artist_whose_work_lies_among_the_imitations_is_significant_and_somebody_elses_is_not() -> None:
    rng = np.random.default_rng(5)
    works = unit(rng, 20, 64)
    imitations = np.repeat(works, 10, axis=0) + 0.3 * unit(rng, 200, 64)
    imitations /= np.linalg.norm(imitations, axis=1, keepdims=True)
    test = matching.paper_test(
        references=works,
        imitations=imitations,
        subject_of_imitation=np.repeat(np.arange(20), 10),
        alternative="closer",
    )
    assert test.significant.all()
    shuffled = matching.paper_test(
        references=np.roll(works, 1, axis=0),
        imitations=imitations,
        subject_of_imitation=np.repeat(np.arange(20), 10),
        alternative="closer",
    )
    assert shuffled.significant.mean() < 0.5
    again = matching.reassigned(test.table, assignments=200, rng=np.random.default_rng(0), fixed_points=False)
    assert again.share < 0.5


def test_derangements_have_no_fixed_point_and_are_permutations() -> None:
    drawn = matching.random_assignments(9, 500, rng=np.random.default_rng(1), fixed_points=False)
    assert not (drawn == np.arange(9)).any()
    assert (np.sort(drawn, axis=1) == np.arange(9)).all()
