"""Arms: a fixed label beside other prompts, and the answer that follows from both experiments."""

import numpy as np
import pytest

from audit_assets.measurement.answers import NO, UNTESTED, YES, Finding
from audit_assets.measurement.arms import beside_prompts, still_works

OTHERS = np.full(99, 5)
HELD = Finding(YES, "Held.", 0.01)
LACKED = Finding(NO, "Lacked.", 0.5)
OPEN = Finding(UNTESTED, "Open.", settle="More.")


def test_an_artist_whom_no_other_prompt_yields_passes() -> None:
    found = beside_prompts(4, 5, np.zeros(99, int), OTHERS)
    assert (found.finding.answer, found.p_value, found.needed) == (YES, 0.01, 1)


def test_an_artist_whom_other_prompts_yield_as_often_does_not() -> None:
    found = beside_prompts(2, 5, np.r_[np.full(10, 2), np.zeros(89, int)], OTHERS)
    assert (found.finding.answer, found.p_value) == (NO, 0.11)


@pytest.mark.parametrize(
    ("fell", "shown", "others", "reason"),
    [
        (4, 4, np.zeros(99, int), "4 shown images"),
        (5, 5, np.zeros(48, int), "48 other prompts"),
        (5, 5, np.full(99, 5), "would not pass"),
    ],
)
def test_what_cannot_be_told_says_why_and_what_would_settle_it(
    fell: int, shown: int, others: np.ndarray, reason: str
) -> None:
    found = beside_prompts(fell, shown, others, np.full(len(others), 5)).finding
    assert found.answer == UNTESTED
    assert reason in found.reason
    assert found.settle


def test_prompts_with_fewer_than_five_images_do_not_count() -> None:
    found = beside_prompts(5, 5, np.zeros(99, int), np.r_[np.full(60, 5), np.full(39, 4)])
    assert found.controls == 60


def test_counts_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="count them again"):
        beside_prompts(6, 5, np.zeros(99, int), OTHERS)


def test_the_level_of_a_fixed_label_is_kept_if_all_prompts_are_alike() -> None:
    rng = np.random.default_rng(0)
    passed = 0
    for _ in range(2_000):
        chances = rng.beta(0.3, 3, 100)
        fell = rng.binomial(5, chances)
        passed += beside_prompts(int(fell[0]), 5, fell[1:], OTHERS).finding.answer == YES
    assert passed / 2_000 <= 0.015


@pytest.mark.parametrize(
    ("named", "matched", "seen", "answer"),
    [
        (HELD, HELD, NO, YES),
        (HELD, None, None, YES),
        (None, HELD, YES, YES),
        (LACKED, HELD, YES, NO),
        (HELD, LACKED, YES, NO),
        (LACKED, None, None, NO),
        (LACKED, HELD, NO, UNTESTED),
        (HELD, LACKED, UNTESTED, UNTESTED),
        (OPEN, HELD, YES, UNTESTED),
        (None, None, None, UNTESTED),
    ],
)
def test_an_arm_works_by_the_rule_of_a_verdict(
    named: Finding | None, matched: Finding | None, seen: str | None, answer: str
) -> None:
    found = still_works(named, matched, seen)  # type: ignore[arg-type]
    assert found[0] == answer
    assert bool(found[2]) == (answer == UNTESTED)
