"""Images that a safety checker replaced must not decide against an imitation."""

import pandas as pd
import pytest

from audit_assets.measurement.answers import NO, UNTESTED, YES, Finding
from audit_assets.publication.words.verdicts import blocked_images
from audit_assets.results.blocked import identified_but_for, matched_but_for

A_NO, A_YES = Finding(NO, "1 of 6 shown images are identified.", 0.4), Finding(YES, "All are.", 0.01)


def name(identified: int, shown: int, needed: float) -> pd.Series:
    return pd.Series({"identified": identified, "shown": shown, "needed": needed})


@pytest.mark.parametrize(
    ("identified", "shown", "needed", "blocked", "answer"),
    [
        (1, 6, 3, 0, NO),  # nothing is blocked
        (1, 6, 3, 4, UNTESTED),  # with the four blocked ones, 5 of 10 would be identified, and 5 of 10 pass
        (0, 6, 3, 1, NO),  # even if the blocked one were identified, 1 of 7 does not pass
        (0, 6, float("nan"), 4, NO),  # no number of images would pass
    ],
)
def test_a_no_that_the_blocked_images_could_overturn_could_not_be_tested(
    identified: int, shown: int, needed: float, blocked: int, answer: str
) -> None:
    found = identified_but_for(A_NO, name(identified, shown, needed), blocked)
    assert found.answer == answer
    assert ("safety_checker: false" in found.settle) == (answer == UNTESTED)


def test_a_yes_stands_whatever_is_blocked() -> None:
    assert identified_but_for(A_YES, name(6, 6, 3), 4) is A_YES
    assert matched_but_for(A_YES, 9, 1) is A_YES


def test_likeness_is_not_denied_by_a_minority_of_shown_images() -> None:
    assert matched_but_for(A_NO, 5, 5).answer == UNTESTED
    assert matched_but_for(A_NO, 4, 6) is A_NO
    assert matched_but_for(A_NO, 0, 6) is A_NO


def test_the_page_says_how_many_were_replaced_and_how_to_see_them() -> None:
    (said,) = blocked_images(["ok"] * 6 + ["blocked"] * 4 + ["not_supplied"])
    assert "replaced 4 of 10 images" in said
    assert "safety_checker: false" in said
    assert blocked_images(["ok", "blank"]) == []
