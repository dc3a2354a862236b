"""The truth table of the verdict, row by row, and what no answer may ever be."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from audit_assets.measurement.answers import (
    ANSWERS,
    NO,
    UNTESTED,
    YES,
    Answer,
    Answers,
    Finding,
    agreement,
    answers_table,
    from_matching,
    from_names,
    judge,
    of_identification,
)
from audit_assets.measurement.name_controls import beside_names
from audit_assets.measurement.rounding import beside


def finding(answer: Answer | None) -> Finding | None:
    if answer is None:
        return None
    if answer == UNTESTED:
        return Finding(UNTESTED, "Too few images.", settle="3 more images.")
    return Finding(answer, "A reason.", number=0.01)


def verdict(steers: Answer | None, towards: Answer | None, seen: Answer | None) -> str:
    return judge(Answers(finding(steers), finding(towards), finding(seen))).verdict


IMITATED, NOT_SHOWN, NOT_AUDITABLE, ABOVE = (
    "imitated", "not shown to be imitated", "not auditable", "identified above controls",
)  # fmt: skip

# Could the audit have seen it:        yes            no             could not be tested
TRUTH: dict[tuple[Answer | None, Answer], tuple[str, str, str]] = {
    (YES, YES): (IMITATED, IMITATED, IMITATED),
    (YES, NO): (NOT_SHOWN, NOT_AUDITABLE, NOT_AUDITABLE),
    (YES, UNTESTED): (NOT_AUDITABLE, NOT_AUDITABLE, NOT_AUDITABLE),
    (NO, YES): (NOT_SHOWN, NOT_AUDITABLE, NOT_AUDITABLE),
    (NO, NO): (NOT_SHOWN, NOT_AUDITABLE, NOT_AUDITABLE),
    (NO, UNTESTED): (NOT_SHOWN, NOT_AUDITABLE, NOT_AUDITABLE),
    (UNTESTED, YES): (NOT_AUDITABLE, NOT_AUDITABLE, NOT_AUDITABLE),
    (UNTESTED, NO): (NOT_SHOWN, NOT_AUDITABLE, NOT_AUDITABLE),
    (UNTESTED, UNTESTED): (NOT_AUDITABLE, NOT_AUDITABLE, NOT_AUDITABLE),
    (None, YES): (IMITATED, IMITATED, IMITATED),
    (None, NO): (NOT_SHOWN, NOT_AUDITABLE, NOT_AUDITABLE),
    (None, UNTESTED): (NOT_AUDITABLE, NOT_AUDITABLE, NOT_AUDITABLE),
}


def test_the_truth_table_of_artists_with_works_is_complete() -> None:
    assert set(TRUTH) == set(product((*ANSWERS, None), ANSWERS))
    for (steers, towards), expected in TRUTH.items():
        assert tuple(verdict(steers, towards, seen) for seen in ANSWERS) == expected, (steers, towards)


def test_the_truth_table_of_subjects_without_works_is_complete() -> None:
    expected = {YES: ABOVE, NO: NOT_AUDITABLE, UNTESTED: NOT_AUDITABLE, None: NOT_AUDITABLE}
    assert {steers: verdict(steers, None, None) for steers in (*ANSWERS, None)} == expected


def test_the_gate_never_takes_a_positive_verdict_away() -> None:
    for steers in (YES, None):
        assert {verdict(steers, YES, seen) for seen in ANSWERS} == {IMITATED}


def test_a_missing_test_is_never_a_negative() -> None:
    without_works = [(steers, None, None) for steers in (*ANSWERS, None)]
    for steers, towards, seen in [*product((*ANSWERS, None), ANSWERS, ANSWERS), *without_works]:
        if verdict(steers, towards, seen) == NOT_SHOWN:
            assert NO in (steers, towards)
            assert seen == YES


def test_a_third_answer_of_identification_alone_stands_beside_a_first_answer_no_only() -> None:
    for steers, finds in product((*ANSWERS, None), (True, False)):
        third = of_identification(steers, finds)
        assert third == ((YES if finds else NO) if steers == NO else UNTESTED)
        judged = judge(Answers(finding(steers), finding(NO), finding(third), identified_only=True))
        assert (judged.verdict == NOT_SHOWN) == (steers == NO and finds)
        assert "seen a perfect imitator" not in judged.because
    with pytest.raises(ValueError, match="identification alone"):
        Answers(finding(YES), finding(NO), finding(YES), identified_only=True)


def test_every_verdict_says_what_it_rests_on_and_why() -> None:
    for steers, towards, seen in product((*ANSWERS, None), ANSWERS, ANSWERS):
        judged = judge(Answers(finding(steers), finding(towards), finding(seen)))
        assert judged.basis == ("matching" if steers is None else "identification and matching")
        assert ("decides alone" in judged.because) == (steers is None)
        assert judged.because.endswith(".")
    assert judge(Answers(finding(YES), None, None)).basis == "identification"
    assert judge(Answers(None, None, None)).basis == "none"


@pytest.mark.parametrize(
    "arguments",
    [
        {"answer": YES, "reason": "r"},
        {"answer": NO, "reason": "r", "number": np.nan},
        {"answer": UNTESTED, "reason": "r"},
        {"answer": UNTESTED, "reason": "", "settle": "s"},
        {"answer": YES, "reason": "r", "number": 0.1, "settle": "s"},
        {"answer": "perhaps", "reason": "r", "number": 0.1},
    ],
)
def test_an_answer_without_its_number_or_a_gap_without_its_remedy_is_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"answer|needs|NaN"):
        Finding(**arguments)  # type: ignore[arg-type]


def test_works_bring_both_findings_or_neither() -> None:
    with pytest.raises(ValueError, match="both findings or neither"):
        Answers(None, finding(YES), None)


def test_matching_compares_q_below_and_p_at_most_alpha() -> None:
    assert from_matching(p=0.05, q=None, smallest_p=0.001).answer == YES
    assert from_matching(p=0.01, q=0.05, smallest_p=0.001).answer == YES
    assert from_matching(p=0.01, q=0.0501, smallest_p=0.001).answer == NO
    found = from_matching(p=0.01, q=0.049, smallest_p=0.001, estimate=0.8, low=0.6, high=0.9)
    assert (found.answer, found.number, found.low) == (YES, 0.049, 0.6)
    assert "not adjusted" in from_matching(p=0.5, q=np.nan, smallest_p=0.001).reason


def test_matching_that_cannot_reach_alpha_was_not_tested() -> None:
    found = from_matching(p=1 / 11, q=None, smallest_p=1 / 11)
    assert (found.answer, found.number) == (UNTESTED, None)
    assert "0.0909" in found.reason
    assert "control names" in found.settle
    of_five = from_matching(p=1 / 71, q=5 / 71, smallest_p=1 / 71, needed=0.05 / 5)
    assert (of_five.answer, of_five.number) == (UNTESTED, None)
    assert "0.0141, and 0.01 or less would be needed" in of_five.reason
    assert from_matching(p=1 / 71, q=5 / 142, smallest_p=1 / 71, needed=0.05 * 2 / 5).answer == YES
    missing = from_matching(p=np.nan, q=None, smallest_p=None, reason="No image is shown.", settle="10 images.")
    assert (missing.answer, missing.reason) == (UNTESTED, "No image is shown.")
    with pytest.raises(ValueError, match="needs a reason"):
        from_matching(p=None, q=None, smallest_p=None)


def test_the_first_answer_comes_from_the_row_beside_names() -> None:
    subjects = pd.DataFrame(
        {"subject": ["a", "b"], "shown": [10, 3], "identified": [9, 3], "stratum": "audit", "labels": 80, "label_kind": "joint"}
    )  # fmt: skip
    names = pd.DataFrame(
        {"shown": 10, "identified": [0] * 99, "locale": None, "script": "Latin", "labels": 80, "label_kind": "joint"}
    )
    rows = beside_names(subjects, names)
    first, second = from_names(rows.iloc[0]), from_names(rows.iloc[1])
    assert first is not None
    assert second is not None
    assert (first.answer, first.number, first.estimate) == (YES, 0.01, 0.9)
    assert (second.answer, second.number, second.settle) == (UNTESTED, None, "2 more images that are not blank.")
    assert from_names(rows.iloc[0], has_text=False) is None


def test_the_table_has_missing_values_for_questions_that_cannot_be_asked() -> None:
    table = answers_table([Answers(finding(YES), finding(NO), finding(UNTESTED)), Answers(None, None, None)])
    assert table["verdict"].tolist() == [NOT_AUDITABLE, NOT_AUDITABLE]
    assert table["towards"].tolist()[0] == NO
    assert table.loc[1, ["steers", "towards", "seen", "steers_number"]].isna().all()
    assert table["steers_number"].dtype == np.float64


def test_agreement_counts_encoders_that_could_audit() -> None:
    rows = pd.DataFrame(
        [
            ("m", "a", "e1", IMITATED), ("m", "a", "e2", IMITATED), ("m", "a", "e3", NOT_AUDITABLE),
            ("m", "b", "e1", IMITATED), ("m", "b", "e2", NOT_SHOWN), ("m", "c", "e1", NOT_AUDITABLE),
        ],
        columns=["model_version", "subject", "encoder", "verdict"],
    )  # fmt: skip
    table = agreement(rows).set_index("subject")
    assert table["encoders"].tolist() == [3, 2, 1]
    assert table["encoders_auditable"].tolist() == [2, 2, 0]
    assert table["unanimous"].tolist() == [True, False, False]
    with pytest.raises(ValueError, match="two verdicts"):
        agreement(pd.concat([rows, rows]))


@pytest.mark.parametrize(
    ("p", "limit", "shown"),
    [(0.05003, 0.05, "0.05003"), (0.05, 0.05, "0.05"), (1 / 90, 1 / 90, "0.0111"), (0.01112, 1 / 90, "0.01112"), (0.0503, 0.05, "0.0503")],
)  # fmt: skip
def test_a_p_in_a_reason_is_on_the_side_of_its_limit_that_the_answer_is_on(p: float, limit: float, shown: str) -> None:
    assert beside(p, limit) == shown
    assert (float(shown) <= float(f"{limit:.3g}")) == (p <= limit)
    if limit == 0.05:
        found = from_matching(p=p, q=None, alpha=limit, smallest_p=0.001, reason="", settle="")
        assert f"p = {shown} of matching" in found.reason
        assert found.answer == (YES if p <= limit else NO)
