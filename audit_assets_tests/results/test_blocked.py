"""Images that were withheld must not decide against an imitation."""

import numpy as np
import pandas as pd
import pytest

from audit_assets.config import Protocol
from audit_assets.measurement.answers import NO, UNTESTED, YES, Finding, from_names
from audit_assets.measurement.name_controls import beside_names
from audit_assets.publication.words.verdicts import withheld_images
from audit_assets.results.beside_names import at_best, in_both_ranks
from audit_assets.results.blocked import Withheld, identified_but_for, matched_but_for, withheld_of
from audit_assets.warehouse.images import WITHHELD

A_NO, A_YES = Finding(NO, "1 of 6 shown images are identified.", 0.4), Finding(YES, "All are.", 0.01)
NOT_TESTED = Finding(UNTESTED, "No image is shown.", settle="Five shown images.")


def by_the_test(identified: int, fell: int, shown: int, blocked: int, others: list[int]) -> tuple[str, object, str]:
    """The answer for the shown images, that with every blocked one identified, and that of the audit. ``others``: of ten images of a name each."""
    everyone = {"labels": 300, "label_kind": "joint", "locale": "en_US", "script": "Latin"}
    names = pd.DataFrame({"shown": 10, "identified": others, **everyone})
    row = {
        "subject": "a",
        "shown": shown,
        "identified": identified,
        "own_label": fell,
        "margin": 0.1,
        "stratum": "script Latin",
    }
    subject, to_label = pd.DataFrame([row | everyone]), np.array([others])
    now = beside_names(subject, names, fell=to_label).iloc[0]
    best = beside_names(at_best(subject, {"a": blocked}), names, fell=to_label)["answer"].iloc[0]
    found = identified_but_for(from_names(now), best, of("blocked", blocked, shown))
    assert found is not None
    return str(now["answer"]), best, found.answer


def of(status: str, withheld: int, shown: int) -> Withheld:
    return withheld_of([status] * withheld + ["ok"] * shown)


@pytest.mark.parametrize("status", WITHHELD)
@pytest.mark.parametrize(
    ("best", "blocked", "answer"), [(None, 0, NO), (NO, 4, NO), (UNTESTED, 4, NO), (YES, 4, UNTESTED)]
)
def test_a_no_that_the_withheld_images_could_overturn_could_not_be_tested(
    best: str | None, blocked: int, answer: str, status: str
) -> None:
    found = identified_but_for(A_NO, best, of(status, blocked, 6))
    assert found is not None
    assert found.answer == answer
    assert bool(found.settle) == (answer == UNTESTED)
    assert ("safety_checker: false" in found.settle) == (answer == UNTESTED and status == "blocked")


@pytest.mark.parametrize(
    ("identified", "fell", "shown", "blocked", "answer"),
    [
        (5, 5, 6, 4, UNTESTED),  # 6 of 6 would be needed, and 8 of 10 are enough
        (3, 3, 6, 4, NO),  # even 7 of 10 are as many as eight names have
        (9, 2, 10, 1, NO),  # even with the blocked one, 3 of 11 fall to the label
        (2, 9, 10, 1, NO),  # so it is with the other rank
        (2, 2, 10, 0, NO),  # nothing is blocked
        (9, 9, 10, 1, YES),
    ],
)
def test_a_no_stands_if_the_same_test_would_say_no_with_the_blocked_images_too(
    identified: int, fell: int, shown: int, blocked: int, answer: str
) -> None:
    now, best, found = by_the_test(identified, fell, shown, blocked, [7] * 8 + [1] * 191)
    assert found == answer
    assert now == (YES if answer == YES else NO)
    assert (best == YES) == (answer != NO)


def test_no_answer_is_no_where_the_blocked_images_would_make_it_yes() -> None:
    """A rule of proportion said no here in most cases, because fewer images than the names have need a larger share."""
    rng = np.random.default_rng(0)
    overturned = 0
    for _ in range(6):
        others = rng.binomial(10, rng.beta(0.5, 8, 199)).tolist()
        for blocked in (1, 3):
            for identified in range(10 - blocked + 1):
                now, best, found = by_the_test(identified, identified, 10 - blocked, blocked, others)
                assert found == (UNTESTED if now == NO and best == YES else now)
                overturned += found == UNTESTED and now == NO
    assert overturned > 3


def test_withheld_images_are_added_to_those_of_the_trials_of_one_subject_alone() -> None:
    names = [f"n{i}" for i in range(199)]
    subjects = pd.DataFrame(
        {
            "subject": ["a", *names], "name": [f"Name{i} Own{i}" for i in range(200)], "kind": ["artist"] + ["random_name"] * 199, "locale": "",
            "shares_name_parts": [None] + [False] * 199, "rosters": [["criteria"]] + [[]] * 199,
        }
    )  # fmt: skip
    won = {"a": 5, **{name: 7 if i < 8 else 1 for i, name in enumerate(names)}}
    rows = [
        (
            "joint",
            subject,
            trial,
            None if subject == "a" and trial >= 6 else subject if trial < won[subject] else "other",
        )
        for subject in subjects["subject"]
        for trial in range(10)
    ]
    trials = pd.DataFrame(rows, columns=["label_set", "subject", "trial", "predicted_label"])
    trials = trials.assign(
        correct=trials["predicted_label"] == trials["subject"], template=0, label_template=0, margin=0.0, encoder="clip",
        model_version="m",
    )  # fmt: skip
    protocol = Protocol(name="one", templates=("Artwork from {name}",), trials=10)
    now, best, of_another = (
        in_both_ranks(trials, subjects, protocol=protocol, unread={}, withheld=lacking).set_index("subject")
        for lacking in (None, {"a": 4}, {"n7": 4})
    )
    assert (now.loc["a", "answer"], best.loc["a", "answer"], of_another.loc["a", "answer"]) == (NO, YES, NO)
    assert (best.loc["a", "shown"], best.loc["a", "identified"], best.loc["a", "label_reaching"]) == (10, 9, 0)
    pd.testing.assert_frame_equal(best.drop(index="a"), now.drop(index="a"))


def test_near_copies_are_no_evidence_beside_withheld_images() -> None:
    statuses = ["blocked"] * 8 + ["ok"] * 12
    assert matched_but_for(A_NO, withheld_of(statuses)) is A_NO
    found = matched_but_for(A_NO, withheld_of(statuses, copies=6))
    assert found is not None
    assert found.answer == UNTESTED


def test_a_yes_stands_whatever_is_withheld() -> None:
    assert identified_but_for(A_YES, YES, of("refused", 4, 6)) is A_YES
    assert matched_but_for(A_YES, of("refused", 9, 1)) is A_YES


def test_likeness_is_not_denied_by_a_minority_of_shown_images() -> None:
    found = matched_but_for(A_NO, of("refused", 5, 5))
    assert found is not None
    assert found.answer == UNTESTED
    assert matched_but_for(A_NO, of("blocked", 4, 6)) is A_NO
    assert matched_but_for(A_NO, of("blocked", 0, 6)) is A_NO


def test_an_answer_without_images_says_that_they_were_refused() -> None:
    every = of("refused", 10, 0)
    for found in (identified_but_for(NOT_TESTED, None, every), matched_but_for(NOT_TESTED, every)):
        assert found is not None
        assert found.answer == UNTESTED
        assert found.reason.startswith("The server refused 10 of 10. ")
    assert identified_but_for(NOT_TESTED, None, of("refused", 0, 0)) is NOT_TESTED
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
