"""Agreement as published, and what raters say: yes, no, and too few to tell."""

import numpy as np
import pytest

from audit_assets.measurement.answers import NO, UNTESTED, YES
from audit_assets.measurement.ratings import agreement, passes, said_of_artist

N = np.nan
TWO = [[0, 1, 0, 0, 0, 0, 0, 0, 1, 0], [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]]
"""Krippendorff (2011), Computing Krippendorff's Alpha-Reliability, section A."""
FOUR = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, N, N, N],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, N, 3],
    [N, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, N],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, N],
]
"""The same, section C: four observers, and units that some did not judge."""


@pytest.mark.parametrize(("data", "alpha"), [(TWO, 0.095), (FOUR, 0.743)])
def test_alpha_is_that_of_published_examples(data: list[list[float]], alpha: float) -> None:
    found = agreement(data, seed=1)
    assert round(found.alpha, 3) == alpha
    assert found.low < found.alpha < found.high


def test_full_agreement_is_one_and_coins_agree_by_chance() -> None:
    draw = np.random.default_rng(0)
    one = draw.integers(0, 2, 60)
    assert agreement([one, one, one], seed=1).alpha == 1.0
    coins = agreement(draw.integers(0, 2, (5, 400)), seed=1)
    assert abs(coins.alpha) < 0.1
    assert coins.low < 0 < coins.high


def test_alpha_that_does_not_exist_has_a_reason() -> None:
    alone, same = agreement([[0, 1, 1]], seed=1), agreement([[1, 1], [1, 1]], seed=1)
    assert np.isnan(alone.alpha)
    assert "two raters" in alone.reason
    assert np.isnan(same.alpha)
    assert "same option" in same.reason


def test_what_raters_say_is_yes_no_or_not_tested() -> None:
    yes = said_of_artist(np.ones((5, 5)))
    assert (yes.answer, yes.won, yes.p_value) == (YES, 5, 1 / 32)
    votes = np.zeros((5, 6))
    votes[:, :4] = 1  # four of six questions
    no = said_of_artist(votes)
    assert no.answer == NO
    assert no.low < no.share < no.high
    few_raters, few_questions = said_of_artist(np.ones((2, 9))), said_of_artist(np.ones((5, 4)))
    assert few_raters.answer == few_questions.answer == UNTESTED
    assert "needs 3" in few_raters.reason
    assert few_raters.settle
    assert "needs 5" in few_questions.reason
    assert said_of_artist(np.zeros((0, 0))).answer == UNTESTED


def test_a_tie_is_not_won_and_an_answer_that_is_missing_is_no_vote() -> None:
    votes = np.array([[1, 1, 1, 1, 1, 1], [0, 1, 1, 1, 1, 1], [N, 1, 1, 1, 1, 1]])
    assert said_of_artist(votes).won == 5


def test_if_images_are_no_nearer_raters_rarely_say_yes() -> None:
    """Raters of one question agree, because they look at the same pictures; a question still counts once."""
    draw = np.random.default_rng(3)
    said = []
    for _ in range(2000):
        question = draw.integers(0, 2, 10)
        votes = np.where(draw.random((5, 10)) < 0.9, question, 1 - question)
        said.append(said_of_artist(votes).answer == YES)
    assert np.mean(said) <= 0.05


@pytest.mark.parametrize(
    ("right", "checks", "passed"), [(2, 2, True), (1, 2, False), (4, 5, True), (3, 5, False), (0, 0, False)]
)
def test_a_rater_may_miss_a_fifth_of_the_checks(right: int, checks: int, passed: bool) -> None:
    assert passes(right, checks) is passed
