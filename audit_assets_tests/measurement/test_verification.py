"""Planted errors: each must be found, and nothing must be found where there is none."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from audit_assets.measurement.exact_rank_sum import rank_sum_exact_table
from audit_assets.measurement.identification import by_subject, summary, trials_table
from audit_assets.measurement.matching import (
    cosine_distances,
    matching_by_subject,
    matching_summary,
    rank_sum_table,
    rank_sums,
)
from audit_assets.measurement.multiplicity import Adjustment, adjust, unreachable
from audit_assets.measurement.own_cell import own_cells
from audit_assets.measurement.own_cell_companions import own_rank
from audit_assets.measurement.similarities import similarities
from audit_assets.measurement.vectors import FloatArray, IntArray
from audit_assets.measurement.verification import (
    aggregate_findings,
    matching_findings,
    rank_sum_embedding_findings,
    trial_embedding_findings,
    trial_findings,
)
from audit_assets.measurement.zero_shot import class_probabilities, identify, margins, own_labels
from audit_assets_tests.measurement.test_identification import audited_world
from audit_assets_tests.measurement.worlds import artists_world, unit

LABELS = {"joint": 9}


def test_an_honest_audit_has_no_findings() -> None:
    trials, subjects = audited_world()
    per_subject = by_subject(trials)
    overall = summary(trials, per_subject, subjects, labels=LABELS)
    assert trial_findings(trials, labels=LABELS) == []
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
        (lambda rows: rows.assign(label_set="criteria"), "no number of labels"),
    ],
)
def test_a_planted_error_is_found(plant: Callable[[pd.DataFrame], pd.DataFrame], finding: str) -> None:
    trials, _ = audited_world()
    assert trials["correct"].astype(bool).any()
    assert not trials["correct"].astype(bool).all()
    assert any(finding in sentence for sentence in trial_findings(plant(trials), labels=LABELS))


def test_a_rank_too_good_for_its_probability_is_found() -> None:
    trials, _ = audited_world()
    wrong = trials.copy()
    row = wrong.index[~wrong["correct"].astype(bool)][0]
    wrong.loc[row, "rank_of_subject"] = 8
    wrong.loc[row, "probability_of_subject"] = 0.3
    assert any("too likely for its rank" in sentence for sentence in trial_findings(wrong, labels=LABELS))


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


NAMES = [f"a{i}" for i in range(8)]


def classified(shift: int = 0) -> tuple[pd.DataFrame, FloatArray, FloatArray]:
    """Trials of eight artists, their images and labels; ``shift`` names every label's neighbour, in every column alike."""
    rng = np.random.default_rng(20)
    images, who, centres = artists_world(rng, artists=8, each=5, strength=0.5)
    labels = unit(np.vstack([centres, rng.normal(size=(2, 64))]))
    names = [*NAMES, "default:Artwork", "default:Digital Artwork"]
    subject = [NAMES[i] for i in who]
    shifted = [*(NAMES[shift:] + NAMES[:shift]), *names[8:]]
    p, own = class_probabilities(images, labels, 20.0), own_labels(subject, shifted)
    table = trials_table(
        identify(p, own), margin=margins(p, own), calibrated_probability_of_subject=p[np.arange(40), own], protocol="p",
        model_version="m", encoder="e", label_set="joint", labels=shifted, subject=subject, kind=["artist"] * 40,
        template=np.zeros(40, int), label_template=np.zeros(40, int), trial=np.tile(np.arange(5), 8),
    )  # fmt: skip
    return table, images, labels


def test_labels_shifted_before_they_were_compared_are_found_from_the_embeddings_alone() -> None:
    names = [*NAMES, "default:Artwork", "default:Digital Artwork"]
    honest, images, labels = classified()
    assert trial_embedding_findings(honest, images, names, labels, logit_scale=20.0) == []
    shifted, _, _ = classified(shift=1)
    assert trial_findings(shifted, labels={"joint": 10}) == []
    found = trial_embedding_findings(shifted, images, names, labels, logit_scale=20.0)
    assert any("predicted label is not the one that the embeddings give" in sentence for sentence in found)
    assert any("rank is not" in sentence for sentence in found)
    off = honest.assign(rank_of_subject=honest["rank_of_subject"] + 4)
    assert "In 40 rows the rank is not" in trial_embedding_findings(off, images, names, labels, logit_scale=20.0)[0]
    blank = honest.copy()
    blank.loc[0, ["predicted_label", "probability", "rank_of_subject"]] = None
    blank.loc[0, "probability_of_subject"] = 0.0
    assert trial_embedding_findings(blank, images, names, labels, logit_scale=20.0) == []


def matched() -> tuple[pd.DataFrame, dict[str, FloatArray | IntArray]]:
    """Rows of both rank-sum tests and the corrected test for eight artists, and the embeddings that they come from."""
    rng = np.random.default_rng(21)
    images, who, centres = artists_world(rng, artists=8, each=6, spread=1.5)
    works = unit(np.vstack([centres, rng.normal(size=(12, 64)) / 8]) + rng.normal(size=(20, 64)) / 8)
    tables = []
    for alternative in ("two_sided", "closer"):
        ranked = rank_sums(cosine_distances(works[:8], images), who, 8)
        paper = rank_sum_table(ranked, alternative=alternative).ranks
        exact = rank_sum_exact_table(ranked, alternative=alternative).ranks
        for test, ranks in (("rank_sum_asymptotic", paper), ("rank_sum_exact", exact)):
            statistic, p, floor, auc = (
                np.diagonal(v).copy() for v in (ranks.statistic, ranks.p_value, ranks.p_floor, ranks.auc)
            )
            tables.append(rows_of(test, alternative, "bonferroni", statistic, p, floor, auc))
    cells = similarities(works, np.arange(20), images, who, pool=20, names=8)
    corrected = own_rank(cells.similarity, cells.lengths(), own_cells(cells, np.arange(8), np.arange(8)))
    auc = 1 - (corrected.rank - 1) / corrected.others
    tables.append(
        rows_of("own_rank", "closer", "benjamini_hochberg", corrected.rank, corrected.p_value, corrected.p_floor, auc)
    )
    return pd.concat(tables, ignore_index=True), {"works": works, "images": images, "who": who}


def rows_of(
    test: str,
    alternative: str,
    adjustment: Adjustment,
    statistic: FloatArray,
    p: FloatArray,
    floor: FloatArray,
    auc: FloatArray,
) -> pd.DataFrame:
    adjusted = adjust(p, adjustment)
    return matching_by_subject(
        protocol="p", model_version="m", encoder="e", test=test, alternative=alternative, control="none",
        adjustment=adjustment, subject=NAMES, kind=["artist"] * 8, references_used=1, images=6, others=42,
        statistic=statistic, p_value=p, p_floor=floor, p_adjusted=adjusted, significant=adjusted <= 0.05,
        unreachable=unreachable(p, floor, adjustment), auc=auc,
    )  # fmt: skip


def test_honest_matching_rows_have_no_findings() -> None:
    rows, world = matched()
    assert rows["significant"].any()
    assert matching_findings(rows, matching_summary(rows)) == []
    assert rank_sum_embedding_findings(rows, **embeddings(world)) == []


def test_a_p_value_of_exactly_alpha_is_significant_and_follows_from_its_row() -> None:
    """Rank 10 among 200: what a name test with 199 control names often gives."""
    p = np.array([10 / 200, 11 / 200, 1 / 200, *[0.5] * 5])
    rows = rows_of("name_test", "closer", "none", p * 200, p, np.full(8, 1 / 200), 1 - p)
    assert rows["significant"].tolist() == [1, 0, 1, *[0] * 5]
    assert matching_findings(rows, matching_summary(rows)) == []
    rows.loc[0, "significant"] = 0.0
    assert "significant does not follow" in matching_findings(rows, matching_summary(rows))[0]


def embeddings(world: dict[str, FloatArray | IntArray], shift: int = 0) -> dict[str, Any]:
    return {
        "subjects": NAMES, "references": np.roll(world["works"][:8], shift, axis=0), "imitations": world["images"],
        "subject_of_imitation": world["who"],
    }  # fmt: skip


def test_real_works_given_to_the_next_artist_are_found() -> None:
    rows, world = matched()
    assert len(rank_sum_embedding_findings(rows, **embeddings(world, shift=1))) > 16


def test_a_subjects_images_counted_twice_are_found() -> None:
    rows, world = matched()
    twice = np.r_[np.arange(48), np.flatnonzero(world["who"] == 3)]
    doubled = embeddings(world) | {"imitations": world["images"][twice], "subject_of_imitation": world["who"][twice]}
    found = rank_sum_embedding_findings(rows, **doubled)
    assert any("of a3: images is 6, from the embeddings 12" in sentence for sentence in found)
    assert any("of a2: others is 42, from the embeddings 48" in sentence for sentence in found)
    again = matching_findings(pd.concat([rows, rows[rows["subject"] == "a3"]]), matching_summary(rows))
    assert any("occurs twice in one test" in sentence for sentence in again)


@pytest.mark.parametrize(
    ("column", "value", "finding"),
    [
        ("p_value", 1e-300, "outside its floor and 1"),
        ("p_adjusted", 1e-6, "adjusted p-value is not that of its family"),
        ("significant", 0.5, "significant does not follow"),
        ("auc", 1.2, "the AUC lies outside"),
        ("unreachable", True, "unreachable is significant"),
    ],
)
def test_a_changed_cell_of_a_matching_row_is_found(column: str, value: float | bool, finding: str) -> None:
    rows, _ = matched()
    summary_rows = matching_summary(rows)
    rows.loc[int(np.argmax(rows["significant"] == 1)), column] = value
    assert any(finding in sentence for sentence in matching_findings(rows, summary_rows))


@pytest.mark.parametrize(("p", "wrong"), [(0.0, True), (-0.1, True), (1.5, True), (1.0, False), (np.nan, False)])
def test_an_impossible_p_value_of_a_control_is_found_and_one_that_was_not_tested_is_none(p: float, wrong: bool) -> None:
    rows, _ = matched()
    control = rows[rows["subject"] == "a3"].assign(control="reassigned", p_value=p)
    both = pd.concat([rows, control], ignore_index=True)
    found = [sentence for sentence in matching_findings(both, matching_summary(both)) if "of controls too" in sentence]
    assert bool(found) is wrong


def test_a_changed_matching_summary_is_found() -> None:
    rows, _ = matched()
    better = matching_summary(rows)
    better["share"] += 1e-9
    assert "matching_summary.share" in matching_findings(rows, better)[0]
    assert "has 4 rows" in matching_findings(rows, better.iloc[1:])[0]
