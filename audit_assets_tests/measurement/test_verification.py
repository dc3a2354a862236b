"""Planted errors: each must be found, and nothing must be found where there is none."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from audit_assets.measurement.identification import by_subject, summary
from audit_assets.measurement.verification import aggregate_findings, trial_findings
from audit_assets_tests.measurement.test_identification import audited_world

LABELS = {"joint": 9}


def test_an_honest_audit_has_no_findings() -> None:
    trials, subjects = audited_world()
    per_subject = by_subject(trials)
    overall = summary(trials, per_subject, subjects, labels=LABELS)
    assert trial_findings(trials, labels=LABELS, images_each=10) == []
    assert aggregate_findings(trials, per_subject, overall, subjects, labels=LABELS) == []
    assert aggregate_findings(trials, per_subject[::-1], overall[::-1], subjects, labels=LABELS) == []


def shifted_labels(rows: pd.DataFrame) -> pd.DataFrame:
    names = sorted(rows["subject"].unique())
    following = dict(zip(names, names[1:] + names[:1], strict=True))
    return rows.assign(predicted_label=rows["predicted_label"].map(lambda label: following.get(label, label)))


def changed(rows: pd.DataFrame, column: str, value: object) -> pd.DataFrame:
    rows = rows.copy()
    values = rows[column].tolist()
    values[int(np.argmax(rows["correct"]))] = value
    rows[column] = pd.Series(values, index=rows.index, dtype=object)
    return rows


@pytest.mark.parametrize(
    ("plant", "finding"),
    [
        (shifted_labels, "whether the predicted label is the subject's"),
        (lambda rows: pd.concat([rows, rows[rows["subject"] == "s3"]]), "the same image occurs twice"),
        (
            lambda rows: rows.assign(rank_of_subject=rows["rank_of_subject"] + 4),
            "whether the subject's label ranks first",
        ),
        (lambda rows: rows.assign(rank_of_subject=rows["rank_of_subject"] - 4), "rank lies outside 1 and the number"),
        (lambda rows: rows.assign(correct=~rows["correct"]), "correct does not say"),
        (lambda rows: changed(rows, "probability_of_subject", 1.5), "a probability lies outside 0 and 1"),
        (lambda rows: changed(rows, "probability", 0.01), "less likely than chance"),
        (lambda rows: changed(rows, "predicted_label", None), "a blank image has a probability"),
        (lambda rows: changed(rows, "kind", "nonsense"), "more than one kind"),
        (lambda rows: rows.iloc[1:], "has 9 images, the protocol asks 10"),
        (lambda rows: rows.assign(label_set="criteria"), "no number of labels"),
    ],
)
def test_a_planted_error_is_found(plant: Callable[[pd.DataFrame], pd.DataFrame], finding: str) -> None:
    trials, _ = audited_world()
    assert trials["correct"].astype(bool).any()
    assert not trials["correct"].astype(bool).all()
    assert any(finding in sentence for sentence in trial_findings(plant(trials), labels=LABELS, images_each=10))


def test_a_rank_too_good_for_its_probability_is_found() -> None:
    trials, _ = audited_world()
    wrong = trials.copy()
    row = wrong.index[~wrong["correct"].astype(bool)][0]
    wrong.loc[row, "rank_of_subject"] = 8
    wrong.loc[row, "probability_of_subject"] = 0.3
    assert any("too likely for its rank" in sentence for sentence in trial_findings(wrong, labels=LABELS))


def test_a_subject_that_is_missing_altogether_is_found() -> None:
    trials, _ = audited_world()
    wanted = dict.fromkeys([f"s{i}" for i in range(9)], 10)
    assert trial_findings(trials, labels=LABELS, images_each=wanted) == [
        "The subject 's8' has no image at all (1 such subjects)."
    ]


def test_aggregates_that_were_not_computed_from_the_rows_are_found() -> None:
    trials, subjects = audited_world()
    per_subject = by_subject(trials)
    overall = summary(trials, per_subject, subjects, labels=LABELS)
    fifth = per_subject.assign(correct=per_subject["correct"] - 1)
    assert "identification_by_subject.correct" in aggregate_findings(trials, fifth, overall, subjects, labels=LABELS)[0]
    better = overall.assign(image_accuracy=overall["image_accuracy"] + 1e-9)
    assert (
        "identification_summary.image_accuracy"
        in aggregate_findings(trials, per_subject, better, subjects, labels=LABELS)[0]
    )
    fewer = aggregate_findings(trials, per_subject.iloc[1:], overall, subjects, labels=LABELS)
    assert "has 7 rows, the image-level rows give 8" in fewer[0]
    doubled = aggregate_findings(pd.concat([trials, trials]), per_subject, overall, subjects, labels=LABELS)
    assert "occurs twice" in doubled[0]
