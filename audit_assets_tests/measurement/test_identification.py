"""Experiment 1: probabilities, ranks, pluralities and the tables made of them."""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

from audit_assets.measurement.identification import (
    BY_SUBJECT_COLUMNS,
    SUMMARY_COLUMNS,
    TRIALS_COLUMNS,
    by_subject,
    default_label_shares,
    plurality,
    summary,
    trials_table,
)
from audit_assets.measurement.intervals import exact_binomial, intra_subject_correlation, wilson_clustered
from audit_assets.measurement.zero_shot import class_probabilities, identify, margins, own_labels
from audit_assets_tests.measurement.worlds import artists_world, trial_rows, unit

SCHEMA = Path(__file__).parents[2] / "audit_assets" / "warehouse" / "schema.sql"


def schema_columns(table: str) -> tuple[str, ...]:
    """Column names of a table, read from the published schema."""
    body = SCHEMA.read_text(encoding="utf-8").split(f"CREATE TABLE {table} (", 1)[1].split(");", 1)[0]
    without_comments = " ".join(line.split("--", 1)[0] for line in body.splitlines())
    return tuple(part.split()[0] for part in without_comments.split(",") if part.strip())


def test_probabilities_equal_scipys_softmax_of_scaled_cosines() -> None:
    rng = np.random.default_rng(0)
    images, labels = unit(rng.normal(size=(5000, 16))), unit(rng.normal(size=(73, 16)))
    expected = softmax(100.0 * images @ labels.T, axis=1)
    np.testing.assert_allclose(class_probabilities(images, labels, 100.0), expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(class_probabilities(images, labels, 100.0, -10.0), expected, rtol=0, atol=1e-12)


def test_two_labels_closer_than_float32_can_tell_are_told_apart() -> None:
    near = np.array([1.0, 1e-5]) / np.hypot(1.0, 1e-5)
    p = class_probabilities([[0.8, 0.6]], [[1.0, 0.0], near, [0.0, 1.0]], 100.0)
    assert identify(p, [0]).rank_of_subject[0] == 2


def test_embeddings_that_would_give_a_silent_number_are_refused_by_row() -> None:
    good = np.eye(4)
    for value, message in ((np.nan, "row 2 holds NaN"), (0.0, "row 2 has norm 0, not 1"), (3.0, "row 2 has norm 3")):
        bad = good.copy()
        bad[2, 2] = value
        with pytest.raises(ValueError, match=f"image embedding in {message}"):
            class_probabilities(bad, good, 100.0)
        with pytest.raises(ValueError, match=f"label embedding in {message}"):
            class_probabilities(good, bad, 100.0)
    with pytest.raises(ValueError, match="4 and 3 dimensions"):
        class_probabilities(good, np.eye(3), 100.0)
    with pytest.raises(ValueError, match="logit scale is -1"):
        class_probabilities(good, good, -1.0)
    with pytest.raises(ValueError, match="at least two labels"):
        class_probabilities(good, good[:1], 100.0)
    with pytest.raises(ValueError, match="shape"):
        class_probabilities(good[0], good, 100.0)
    with pytest.raises(ValueError, match="logit bias"):
        class_probabilities(good, good, 100.0, np.nan)


def test_half_precision_embeddings_are_accepted() -> None:
    vectors = unit(np.random.default_rng(0).normal(size=(20, 512))).astype(np.float16)
    assert class_probabilities(vectors, vectors[:3], 100.0).shape == (20, 3)


def test_ranks_equal_a_plain_count() -> None:
    rng = np.random.default_rng(1)
    p = softmax(rng.normal(size=(300, 9)), axis=1)
    own = rng.integers(0, 9, size=300)
    trials = identify(p, own)
    for row in range(300):
        assert trials.rank_of_subject[row] == 1 + sum(p[row] > p[row, own[row]])
        assert trials.predicted[row] == p[row].argmax()
        assert trials.correct[row] == (p[row].argmax() == own[row])
        assert trials.probability_of_subject[row] == p[row, own[row]]
        assert trials.probability[row] == p[row].max()


@given(st.lists(st.lists(st.integers(0, 3), min_size=4, max_size=4), min_size=1, max_size=20), st.data())
def test_predicted_rank_and_correct_always_agree(weights: list[list[int]], data: st.DataObject) -> None:
    p = np.array(weights, dtype=float) + 0.5
    p /= p.sum(axis=1, keepdims=True)
    own = np.array([data.draw(st.integers(-1, 3)) for _ in weights])
    trials = identify(p, own)
    np.testing.assert_array_equal(trials.correct, trials.predicted == own)
    np.testing.assert_array_equal(trials.correct, trials.rank_of_subject == 1)
    assert (trials.probability == p.max(axis=1)).all()


def test_a_tie_for_first_goes_against_the_subject() -> None:
    trials = identify([[0.4, 0.4, 0.2], [0.4, 0.4, 0.2], [0.25, 0.5, 0.25]], [0, 1, 2])
    assert trials.rank_of_subject.tolist() == [2, 2, 3]
    assert trials.predicted.tolist() == [1, 0, 1]
    assert not trials.correct.any()


def test_a_black_image_is_not_counted_as_an_imitation() -> None:
    trials = identify([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1]], [0, 0, -1], blank=[True, False, True])
    assert trials.correct.tolist() == [False, True, False]
    assert trials.predicted.tolist() == [-1, 0, -1]
    assert trials.rank_of_subject.tolist() == [0, 1, 0]
    assert trials.probability_of_subject[0] == 0.0
    assert np.isnan(trials.probability[0])
    assert np.isnan(trials.probability_of_subject[2])


def test_a_subject_without_a_label_is_never_correct() -> None:
    trials = identify([[0.9, 0.1]], [-1])
    assert (trials.predicted[0], trials.rank_of_subject[0], trials.correct[0]) == (0, 0, False)
    assert np.isnan(trials.probability_of_subject[0])


@pytest.mark.parametrize(
    ("p", "own", "message"),
    [
        ([[0.5, 0.6]], [0], "row 0 sum to 1.1"),
        ([[0.5, 0.5], [np.nan, 0.5]], [0, 0], "row 1 sum to nan"),
        ([[-0.5, 1.5]], [0], "row 0"),
        ([[0.5, 0.5]], [2], "is 2 in row 0; it must lie between -1 and 1"),
        ([[0.5, 0.5]], [0, 1], "one index a row"),
        ([[0.5, 0.5]], [0.0], "pass integers"),
        ([[1.0]], [0], "at least two labels"),
    ],
)
def test_probabilities_that_are_none_are_refused(p: list[list[float]], own: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        identify(p, own)


@given(st.lists(st.sampled_from("abc"), max_size=12))
def test_a_plurality_has_more_votes_than_any_other(votes: list[str]) -> None:
    winner = plurality(votes)
    counts = Counter(votes).most_common()
    if winner is None:
        assert not counts or (len(counts) > 1 and counts[0][1] == counts[1][1])
    else:
        assert all(counts[0][1] > count for label, count in counts if label != winner)


def test_blank_images_win_no_plurality_but_can_prevent_one() -> None:
    assert plurality([-1, -1, -1, 4, 4, 5]) is None
    assert plurality([-1, -1, 4, 4]) is None
    assert plurality([-1, 4, 4]) == 4


def test_tables_have_exactly_the_columns_of_the_published_schema() -> None:
    assert schema_columns("identification_trials") == TRIALS_COLUMNS
    assert schema_columns("identification_by_subject") == BY_SUBJECT_COLUMNS
    assert schema_columns("identification_summary") == SUMMARY_COLUMNS


def audited_world() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Six artists and two controls, images near their labels: image-level rows, and the subjects."""
    rng = np.random.default_rng(5)
    images, who, centres = artists_world(rng, artists=8, each=10, strength=0.5)
    names = [f"s{i}" for i in range(8)]
    labels = [*names, "default:Artwork"]
    p = class_probabilities(images, np.vstack([centres, unit(rng.normal(size=(1, 64)))]), 30.0)
    kinds = ["artist"] * 6 + ["random_name"] * 2
    own = own_labels([names[i] for i in who], labels)
    table = trials_table(
        identify(p, own), margin=margins(p, own), calibrated_probability_of_subject=p[np.arange(80), own],
        protocol="paper_2023", model_version="m", encoder="e", label_set="joint", labels=labels,
        subject=[names[i] for i in who], kind=[kinds[i] for i in who], template=np.zeros(80, int),
        label_template=np.zeros(80, int), trial=np.tile(np.arange(10), 8),
    )  # fmt: skip
    parts = [None] * 6 + [True, False]
    return table, pd.DataFrame({"subject": names, "shares_name_parts": pd.array(parts, dtype="boolean")})


def test_aggregates_follow_from_the_image_level_rows() -> None:
    trials, subjects = audited_world()
    shuffled = trials.sample(frac=1.0, random_state=0)
    per_subject = by_subject(shuffled)
    pd.testing.assert_frame_equal(per_subject, by_subject(trials))
    for line in per_subject.itertuples():
        rows = trials[trials["subject"] == line.subject]
        assert (line.images, line.correct) == (10, int((rows["predicted_label"] == line.subject).sum()))
        assert line.mean_probability_of_subject == pytest.approx(rows["probability_of_subject"].mean(), abs=1e-15)
    lines = summary(shuffled, per_subject, subjects, labels={"joint": 9})
    assert lines["kind"].tolist() == ["artist", "random_name", "random_name"]
    assert lines["shares_name_parts"].isna().tolist() == [True, False, False]
    artists = lines.iloc[0]
    counts = per_subject.loc[per_subject["kind"] == "artist", "correct"].to_numpy()
    interval = wilson_clustered(counts, np.full(6, 10))
    assert artists["image_accuracy"] == counts.sum() / 60
    assert (artists["image_accuracy_low"], artists["image_accuracy_high"]) == (interval.low, interval.high)
    assert (artists["labels"], artists["chance"], artists["subjects"]) == (9, 1 / 9, 6)
    assert np.isnan(lines["image_accuracy_low"].iloc[1])
    won = exact_binomial(int(artists["subjects_correct"]), 6)
    assert (artists["subjects_correct_low"], artists["subjects_correct_high"]) == (won.low, won.high)
    assert artists["design_effect"] == interval.design_effect
    rows = trials[trials["kind"] == "artist"]
    icc = intra_subject_correlation(rows["correct"].astype(float), rows["subject"])
    assert artists["intra_subject_correlation"] == pytest.approx(icc.estimate, abs=1e-12)
    assert artists["top5_accuracy"] == (rows["rank_of_subject"] <= 5).mean()
    assert artists["mean_reciprocal_rank"] == pytest.approx(
        (1 / rows["rank_of_subject"].astype(float)).mean(), abs=1e-12
    )


def test_pluralities_defaults_and_blanks_are_counted_by_subject() -> None:
    per_subject = by_subject(
        trial_rows(
            {
                "a": ["a", "a", "b", None],
                "b": ["a", "a", "b", "b"],
                "c": ["default:Artwork", "default:Artwork", "c", "a"],
            }
        )
    ).set_index("subject")
    assert per_subject["correct"].tolist() == [2, 2, 1]
    assert per_subject["plurality_correct"].tolist() == [True, False, False]
    assert per_subject["plurality_label"].isna().tolist() == [False, True, False]
    assert per_subject["share_default"].tolist() == [0.0, 0.0, 0.5]
    assert per_subject.loc["a", "mean_probability_of_subject"] == pytest.approx((0.6 + 0.6 + 0.2 + 0.0) / 4)


def test_a_single_subject_has_no_interval_and_a_kind_without_labels_no_chance() -> None:
    rows = trial_rows({"u": ["a", "b"]}, kind="untrained_artist")
    rows["probability_of_subject"] = np.nan
    rows["rank_of_subject"] = None
    lines = summary(
        rows, by_subject(rows), pd.DataFrame({"subject": ["u"], "shares_name_parts": [None]}), labels={"criteria": 73}
    )
    assert lines["chance"].tolist() == [0.0]
    assert lines["image_accuracy_low"].isna().all()
    assert lines["shares_name_parts"].isna().all()


def test_labels_of_another_template_do_not_enter_the_headline() -> None:
    rows = trial_rows({"a": ["a", "a"], "b": ["b", "a"]})
    crossed = rows.assign(label_template=1, correct=False, predicted_label="b")
    pd.testing.assert_frame_equal(by_subject(pd.concat([rows, crossed])), by_subject(rows))


def test_planted_errors_are_refused() -> None:
    rows = trial_rows({"a": ["a", "a"], "b": ["b", "a"]})
    subjects = pd.DataFrame({"subject": ["a", "b"], "shares_name_parts": [None, None]})
    doubled = pd.concat([rows, rows[rows["subject"] == "a"]])
    with pytest.raises(ValueError, match="The same image occurs twice"):
        by_subject(doubled)
    wrong = by_subject(rows).assign(correct=[2, 2])
    with pytest.raises(ValueError, match="counts 4 correct of 4 images"):
        summary(rows, wrong, subjects, labels={"criteria": 5})
    with pytest.raises(ValueError, match="'b' is measured but is not among the subjects"):
        summary(rows, by_subject(rows), subjects[:1], labels={"criteria": 5})
    with pytest.raises(ValueError, match="number of labels of label set 'criteria'"):
        summary(rows, by_subject(rows), subjects, labels={"joint": 5})
    with pytest.raises(ValueError, match="no column 'correct'"):
        by_subject(rows.drop(columns="correct"))
    with pytest.raises(ValueError, match="'a' occurs twice"):
        own_labels(["a"], ["a", "b", "a"])


def test_an_empty_table_stays_empty() -> None:
    empty = trial_rows({"a": ["a"]}).iloc[:0]
    assert tuple(by_subject(empty).columns) == BY_SUBJECT_COLUMNS
    subjects = pd.DataFrame({"subject": ["a"], "shares_name_parts": [None]})
    assert len(summary(empty, by_subject(empty), subjects, labels={})) == 0


def test_margins_say_how_narrowly_an_image_is_identified() -> None:
    rng = np.random.default_rng(7)
    p = softmax(rng.normal(size=(100, 6)), axis=1)
    own = rng.integers(-1, 6, size=100)
    found = margins(p, own, blank=np.arange(100) == 3)
    trials = identify(p, own, blank=np.arange(100) == 3)
    for row in range(100):
        if own[row] < 0:
            assert np.isnan(found[row])
        elif row == 3:
            assert found[row] == -1.0
        else:
            assert found[row] == pytest.approx(p[row, own[row]] - np.delete(p[row], own[row]).max())
            assert (found[row] > 0) == trials.correct[row]


def test_blank_images_are_misses_in_every_score() -> None:
    rows = trial_rows({"a": ["a", "b", None], "b": ["b", "b", "b"]})
    rows.loc[1, "rank_of_subject"] = 6
    scores = by_subject(rows).set_index("subject")
    assert scores["top5"].tolist() == [1, 3]
    assert scores["mean_reciprocal_rank"].tolist() == pytest.approx([(1 + 1 / 6) / 3, 1.0])


def test_each_default_label_has_its_share() -> None:
    rows = trial_rows({"a": ["a", "default:Artwork", "default:Artwork", "default:Digital Artwork"], "b": ["b"] * 4})
    shares = default_label_shares(rows)
    assert shares[["subject", "label", "share"]].to_numpy().tolist() == [
        ["a", "default:Artwork", 0.5],
        ["a", "default:Digital Artwork", 0.25],
    ]
    assert by_subject(rows)["share_default"].tolist() == [0.75, 0.0]
