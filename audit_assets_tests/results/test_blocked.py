"""Images that were withheld must not decide against an imitation."""

import pandas as pd
import pytest

from audit_assets.measurement.answers import NO, UNTESTED, YES, Finding
from audit_assets.publication.words.verdicts import withheld_images
from audit_assets.results.blocked import Withheld, identified_but_for, matched_but_for, withheld_of
from audit_assets.warehouse.images import WITHHELD

A_NO, A_YES = Finding(NO, "1 of 6 shown images are identified.", 0.4), Finding(YES, "All are.", 0.01)
NOT_TESTED = Finding(UNTESTED, "No image is shown.", settle="Five shown images.")


def name(identified: int, shown: int, needed: float) -> pd.Series:
    return pd.Series({"identified": identified, "shown": shown, "needed_share": needed})


def of(status: str, withheld: int, shown: int) -> Withheld:
    return withheld_of([status] * withheld + ["ok"] * shown)


@pytest.mark.parametrize("status", WITHHELD)
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
    identified: int, shown: int, needed: float, blocked: int, answer: str, status: str
) -> None:
    found = identified_but_for(A_NO, name(identified, shown, needed), of(status, blocked, shown))
    assert found is not None
    assert found.answer == answer
    assert bool(found.settle) == (answer == UNTESTED)
    assert ("safety_checker: false" in found.settle) == (answer == UNTESTED and status == "blocked")


@pytest.mark.parametrize(
    ("identified", "fell", "blocked", "answer"),
    [
        (9, 2, 1, NO),  # even with the blocked one, 3 of 11 fall to the label, and 8 of 10 are needed
        (2, 9, 1, NO),  # so it is with the other rank
        (9, 7, 5, UNTESTED),  # with the five blocked ones, 14 and 12 of 15, and 3 and 8 of 10 pass
    ],
)
def test_a_no_stands_if_the_blocked_images_could_not_overturn_both_ranks(
    identified: int, fell: int, blocked: int, answer: str
) -> None:
    needed = {
        "needed_share": 3 if fell < 9 else 8,
        "label_fell": fell,
        "needed_label": 8 if fell < 9 else 3,
        "needed": 8,
    }
    row = pd.concat([name(identified, 10, 0).drop("needed_share"), pd.Series(needed)])
    found = identified_but_for(A_NO, row, of("blocked", blocked, 10))
    assert found is not None
    assert found.answer == answer


def test_near_copies_are_no_evidence_beside_withheld_images() -> None:
    statuses = ["blocked"] * 8 + ["ok"] * 12
    assert matched_but_for(A_NO, withheld_of(statuses)) is A_NO
    found = matched_but_for(A_NO, withheld_of(statuses, copies=6))
    assert found is not None
    assert found.answer == UNTESTED


def test_a_yes_stands_whatever_is_withheld() -> None:
    assert identified_but_for(A_YES, name(6, 6, 3), of("refused", 4, 6)) is A_YES
    assert matched_but_for(A_YES, of("refused", 9, 1)) is A_YES


def test_likeness_is_not_denied_by_a_minority_of_shown_images() -> None:
    found = matched_but_for(A_NO, of("refused", 5, 5))
    assert found is not None
    assert found.answer == UNTESTED
    assert matched_but_for(A_NO, of("blocked", 4, 6)) is A_NO
    assert matched_but_for(A_NO, of("blocked", 0, 6)) is A_NO


def test_an_answer_without_images_says_that_they_were_refused() -> None:
    every = of("refused", 10, 0)
    for found in (identified_but_for(NOT_TESTED, name(0, 0, 3), every), matched_but_for(NOT_TESTED, every)):
        assert found is not None
        assert found.answer == UNTESTED
        assert found.reason.startswith("The server refused 10 of 10. ")
    assert identified_but_for(NOT_TESTED, name(0, 0, 3), of("refused", 0, 0)) is NOT_TESTED
    assert identified_but_for(None, None, every) is None


def test_images_that_nobody_asked_for_are_not_withheld() -> None:
    assert withheld_of(["not_supplied", "copy", "ok"]) == Withheld({}, 1, 1)


def test_the_page_says_how_many_were_withheld_and_how() -> None:
    replaced, rest = withheld_images(["ok"] * 6 + ["blocked"] * 4 + ["not_supplied"])
    assert "replaced 4 of 10 images" in replaced
    assert "safety_checker: false" in replaced
    assert "rest on the other images" in rest
    refused, rest = withheld_images(["refused"] * 10)
    assert "refused 10 of 10 images" in refused
    assert "could not be tested" in rest
    for nothing in (["refused"] * 5 + ["failed"] * 5, ["refused"] * 9 + ["blank"]):
        assert "could not be tested" in withheld_images(nothing)[-1]
    assert withheld_images(["ok", "blank"]) == []
