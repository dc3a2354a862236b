"""Agreement as published, and what raters say: yes, no, and too few to tell."""

import numpy as np
import pytest

from audit_assets.measurement.answers import NO, UNTESTED, YES
from audit_assets.measurement.ratings import FEWEST_NAMES, agreement, passes, said_of_artist

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


def names(number: int) -> list[str]:
    return [f"name {i}" for i in range(number)]


def votes(questions: int, *, lost: int = 0, raters: int = 5) -> np.ndarray:
    """All raters choose the image of the artist's name, but for the first ``lost`` questions."""
    return np.tile((np.arange(questions) >= lost).astype(float), (raters, 1))


@pytest.mark.parametrize(
    ("number", "lost", "answer", "p"),
    [(19, 0, YES, 1 / 20), (19, 1, NO, 3 / 20), (58, 1, NO, 3 / 59), (59, 1, YES, 3 / 60), (19, 19, NO, 1.0), (18, 0, UNTESTED, N), (5, 0, UNTESTED, N)],
)  # fmt: skip
def test_what_raters_say_is_yes_no_or_not_tested(number: int, lost: int, answer: str, p: float) -> None:
    """Five questions that are all won were "yes" once: one name of six is always the nearest."""
    found = said_of_artist(votes(number, lost=lost), names(number))
    assert (found.answer, found.names, found.beaten) == (answer, number, number - lost)
    assert (found.questions, found.won, found.share) == (number, number - lost, (number - lost) / number)
    np.testing.assert_allclose(found.p_value, p)
    assert found.low <= found.share <= found.high
    assert f"In {number - lost} of {number} questions" in found.reason
    assert bool(found.settle) == (answer == UNTESTED)
    if answer == UNTESTED:
        assert f"{FEWEST_NAMES} questions about the artist" in found.settle


def test_too_few_raters_say_nothing() -> None:
    for few in (said_of_artist(votes(25, raters=2), names(25)), said_of_artist(np.zeros((0, 0)), [])):
        assert few.answer == UNTESTED
        assert "needs 3" in few.reason
        assert few.settle
        assert np.isnan(few.share)
    with pytest.raises(ValueError, match="name beside each question"):
        said_of_artist(votes(5), names(4))


def test_a_control_name_that_comes_back_counts_once_and_is_beaten_in_most_of_its_questions() -> None:
    beside = [f"name {i % 19}" for i in range(57)]
    found = said_of_artist(votes(57, lost=20), beside)
    assert (found.questions, found.won, found.names, found.beaten) == (57, 37, 19, 18)
    assert said_of_artist(votes(40), ["one name"] * 40).answer == UNTESTED


def test_a_tie_is_not_won_and_an_answer_that_is_missing_is_no_vote() -> None:
    given = np.array([[1, 1, 1, 1, 1, 1], [0, 1, 1, 1, 1, 1], [N, 1, 1, 1, 1, 1]])
    assert said_of_artist(given, names(6)).won == 5


@pytest.mark.parametrize(("questions", "correlation"), [(19, 0.0), (19, 0.3), (19, 0.5), (19, 1.0), (59, 0.5)])
def test_raters_seldom_say_yes_of_a_name_that_the_model_does_not_know(questions: int, correlation: float) -> None:
    """``correlation``: of nearness to the works between images of one name. The sign test of one half said yes of 10 to 19 % at 0.3 to 0.5."""
    assert said_yes(0.0, correlation, questions, audits=400) <= 0.05 + 2.5 * np.sqrt(0.05 * 0.95 / 400)


def test_raters_say_yes_of_most_artists_whose_images_are_far_nearer() -> None:
    assert said_yes(6.0, 0.3, 19, audits=100) >= 0.7


def said_yes(effect: float, correlation: float, questions: int, *, audits: int) -> float:
    """The share of audits in which raters who agree in nine of ten answers say yes. ``effect``: in standard deviations of nearness."""
    draw, said = np.random.default_rng(3), 0
    beside = names(questions)
    for _ in range(audits):
        own = effect + np.sqrt(correlation) * draw.normal() + np.sqrt(1 - correlation) * draw.normal(size=questions)
        nearer = (own > draw.normal(size=questions)).astype(float)
        answers = np.where(draw.random((5, questions)) < 0.9, nearer, 1 - nearer)
        said += said_of_artist(answers, beside).answer == YES
    return said / audits


@pytest.mark.parametrize(
    ("right", "checks", "passed"), [(2, 2, True), (1, 2, False), (4, 5, True), (3, 5, False), (0, 0, False)]
)
def test_a_rater_may_miss_a_fifth_of_the_checks(right: int, checks: int, passed: bool) -> None:
    assert passes(right, checks) is passed
