"""Experiment 1 of Casper et al. (2023, section 2.1): does the encoder find the name in the prompt again in the image?

The encoder classifies an image made from "Artwork from <name>" among the labels "Artwork from <name>" of all subjects
and a few default labels that name no artist, as ``zero_shot`` defines it. An image is *identified* if its own subject is
the most likely label. A subject is identified if it wins a plurality of its images.

An asset check computes all other figures here again from the image-level table.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from audit_assets.measurement.intervals import exact_binomial, intra_subject_correlation, wilson_clustered
from audit_assets.measurement.typed import typed
from audit_assets.measurement.zero_shot import Trials

DEFAULT_LABEL_PREFIX = "default:"
CONTROL_KINDS = ("random_name", "nonsense")

TRIALS_COLUMNS = (
    "protocol", "model_version", "encoder", "label_set", "subject", "kind", "template", "label_template", "trial",
    "predicted_label", "probability", "probability_of_subject", "rank_of_subject", "correct", "margin",
    "calibrated_probability_of_subject",
)  # fmt: skip
BY_SUBJECT_COLUMNS = (
    "protocol", "model_version", "encoder", "label_set", "subject", "kind", "images", "correct", "image_accuracy",
    "plurality_label", "plurality_correct", "mean_probability_of_subject", "share_default", "top5",
    "mean_reciprocal_rank", "mean_margin",
)  # fmt: skip
SUMMARY_COLUMNS = (
    "protocol", "model_version", "encoder", "label_set", "kind", "shares_name_parts", "labels", "chance", "subjects",
    "images", "image_accuracy", "image_accuracy_low", "image_accuracy_high", "subjects_correct", "subjects_correct_low",
    "subjects_correct_high", "top5_accuracy", "mean_reciprocal_rank", "design_effect", "intra_subject_correlation",
)  # fmt: skip

_AUDIT = ["protocol", "model_version", "encoder", "label_set"]
_IMAGE = [*_AUDIT, "subject", "template", "label_template", "trial"]


def plurality(predicted: Sequence[Hashable], nothing: Hashable = -1) -> Hashable | None:
    """Return the label of most images, or None on a tie for first (Casper et al. 2023, section 2.1).

    ``nothing`` marks blank images. They vote together for no label. If they are the most frequent, or tie for first,
    the result is None. The result is also None if no images exist.
    """
    votes: dict[Hashable, int] = {}
    for label in predicted:
        votes[label] = votes.get(label, 0) + 1
    most = max(votes.values(), default=0)
    first = [label for label, count in votes.items() if count == most]
    return first[0] if len(first) == 1 and first[0] != nothing else None


def trials_table(
    trials: Trials,
    *,
    margin: npt.ArrayLike,
    calibrated_probability_of_subject: npt.ArrayLike,
    protocol: str,
    model_version: str,
    encoder: str,
    label_set: str,
    labels: Sequence[str],
    subject: Sequence[str],
    kind: Sequence[str],
    template: npt.ArrayLike,
    label_template: npt.ArrayLike,
    trial: npt.ArrayLike,
) -> pd.DataFrame:
    """Return the image-level rows, which are table ``identification_trials`` of the published schema.

    ``labels`` (L) are the names of the indices, which are slugs of subjects and ``default:<text>``. The other sequences
    have one entry per image. ``margin`` comes from ``margins``. The calibrated probability comes from a softmax at the
    temperature of ``calibration``. A blank image has no predicted label, no probability and no rank (NULL), and is not
    correct. Rows are sorted by subject, templates and trial.

    Raises ValueError if an image occurs twice or a sequence has another length.
    """
    images = len(trials.correct)
    columns: dict[str, Any] = {
        "subject": list(subject), "kind": list(kind), "template": np.asarray(template),
        "label_template": np.asarray(label_template), "trial": np.asarray(trial), "margin": np.asarray(margin),
        "calibrated_probability_of_subject": np.asarray(calibrated_probability_of_subject),
    }  # fmt: skip
    for name, values in columns.items():
        if len(values) != images:
            raise ValueError(f"{len(values)} values of {name} for {images} images; pass one an image.")
    names = np.array([*labels, None], dtype=object)
    table = pd.DataFrame(
        {
            "protocol": protocol, "model_version": model_version, "encoder": encoder, "label_set": label_set, **columns,
            "predicted_label": names[trials.predicted],
            "probability": trials.probability,
            "probability_of_subject": trials.probability_of_subject,
            "rank_of_subject": pd.array(trials.rank_of_subject, dtype="Int32"),
            "correct": trials.correct,
        }
    )  # fmt: skip
    table.loc[trials.rank_of_subject == 0, "rank_of_subject"] = pd.NA
    table = _typed(table, TRIALS_COLUMNS)
    _refuse_duplicates(table, _IMAGE, "image")
    return table.sort_values(_IMAGE, ignore_index=True)


def by_subject(trials: pd.DataFrame) -> pd.DataFrame:
    """Compute table ``identification_by_subject`` from the image-level rows alone.

    ``trials`` holds the columns of ``identification_trials``, for any number of audits. A row counts only if its label
    template is its prompt template (``label_template`` = ``template``), as in Casper et al. (2023). Rows across
    templates belong to the sensitivity analysis. ``share_default`` is the share of images that a default label won.
    ``mean_probability_of_subject`` counts a blank image as 0, and is NULL if the subject has no label. ``top5`` counts
    images whose subject ranks fifth or better. ``mean_reciprocal_rank`` is that of Voorhees (1999, TREC-8). An image
    without a rank (blank, or no label) counts as 0 in both. ``margins`` defines the margin behind ``mean_margin``.

    Raises ValueError if columns are missing or an image occurs twice.
    """
    rows = _matched(trials)
    keys = [*_AUDIT, "subject", "kind"]
    predicted = rows["predicted_label"].astype(object).where(rows["predicted_label"].notna(), None)
    rows = rows.assign(
        correct=rows["correct"].astype(bool),
        predicted_label=predicted,
        default=[isinstance(label, str) and label.startswith(DEFAULT_LABEL_PREFIX) for label in predicted],
        within_five=rows["rank_of_subject"].astype("float64") <= 5,
        reciprocal=(1 / rows["rank_of_subject"].astype("float64")).fillna(0.0),
    )
    groups = rows.groupby(keys, sort=True, observed=True)
    table = groups.agg(
        images=("correct", "size"),
        correct=("correct", "sum"),
        image_accuracy=("correct", "mean"),
        mean_probability_of_subject=("probability_of_subject", "mean"),
        share_default=("default", "mean"),
        top5=("within_five", "sum"),
        mean_reciprocal_rank=("reciprocal", "mean"),
        mean_margin=("margin", "mean"),
    )
    table["plurality_label"] = _pluralities(rows, keys).reindex(table.index)
    table = table.reset_index()
    table["plurality_correct"] = table["plurality_label"] == table["subject"]
    return _typed(table, BY_SUBJECT_COLUMNS)


def _pluralities(rows: pd.DataFrame, keys: list[str]) -> pd.Series:
    """Return ``plurality`` of all groups at once, indexed by ``keys``.

    A blank image has no predicted label. The blank images of a group vote together for the missing label.
    """
    votes = rows.groupby([*keys, "predicted_label"], observed=True, dropna=False).size().rename("votes").reset_index()
    first = votes[votes["votes"] == votes.groupby(keys, observed=True)["votes"].transform("max")]
    return first[~first.duplicated(keys, keep=False)].set_index(keys)["predicted_label"].astype(object)


def summary(
    trials: pd.DataFrame, by_subject: pd.DataFrame, subjects: pd.DataFrame, *, labels: Mapping[str, int]
) -> pd.DataFrame:
    """Compute table ``identification_summary``, the headline of experiment 1, for artists and for each control alike.

    ``subjects`` has the columns ``subject`` and ``shares_name_parts``. ``labels`` maps a label set to its number of
    labels, defaults included (73 in the paper). The table has one row per audit, label set and kind. Controls have
    separate rows for names that share a part with an artist of the roster and for names that do not.

    ``image_accuracy`` is correct images over images. Its 95 % interval is ``intervals.wilson_clustered`` over subjects,
    which also gives ``design_effect``. The interval is NULL for one subject alone. ``intra_subject_correlation`` is the
    ICC of correct and wrong images (``intervals``), and plans of further audits start from it. ``subjects_correct``
    counts pluralities, and its bounds are shares (exact binomial). Casper et al. (2023) compare 81.0 % of *images* with
    8.6 % of *names*, so each row here reports both levels. ``chance`` is 1 / labels. It is 0 if no subject of the row
    is among the labels.

    Raises ValueError if ``by_subject`` does not follow from ``trials``, a subject is unknown, or a label set has no
    number of labels.
    """
    _require(by_subject, BY_SUBJECT_COLUMNS, "identification_by_subject")
    _require(subjects, ("subject", "shares_name_parts"), "subjects")
    _refuse_duplicates(subjects, ["subject"], "subject")
    _require(trials, TRIALS_COLUMNS, "identification_trials")
    matched = trials[trials["template"] == trials["label_template"]]
    from_rows = int(matched["correct"].sum()), len(matched)
    by_subjects = int(by_subject["correct"].sum()), int(by_subject["images"].sum())
    if from_rows != by_subjects:
        raise ValueError(
            f"identification_by_subject counts {by_subjects[0]} correct of {by_subjects[1]} images, the image-level "
            f"rows {from_rows[0]} of {from_rows[1]}; compute it again from these rows."
        )
    shares = dict(zip(subjects["subject"], subjects["shares_name_parts"], strict=True))
    unknown = [subject for subject in by_subject["subject"] if subject not in shares]
    if unknown:
        raise ValueError(
            f"The subject {unknown[0]!r} is measured but is not among the subjects; materialize them again."
        )
    control = by_subject["kind"].isin(CONTROL_KINDS)
    parts = [
        shares[s] if c and not pd.isna(shares[s]) else None for s, c in zip(by_subject["subject"], control, strict=True)
    ]
    rows = by_subject.assign(shares_name_parts=pd.array(parts, dtype="boolean"))
    keys = [*_AUDIT, "kind", "shares_name_parts"]
    correlation = _correlations(matched)
    lines = [
        dict(zip(keys, key, strict=True)) | _summary_line(group, labels, correlation)
        for key, group in rows.groupby(keys, sort=True, dropna=False, observed=True)
    ]
    return _typed(pd.DataFrame(lines, columns=list(SUMMARY_COLUMNS)), SUMMARY_COLUMNS)


def _correlations(matched: pd.DataFrame) -> Callable[[pd.DataFrame], float]:
    """Return a function that computes the ICC of correct images within the subjects of a group of rows by subject.

    The ICC is NaN if it cannot be estimated.
    """
    images = dict(iter(matched.groupby(_AUDIT, sort=False, observed=True)))

    def of(group: pd.DataFrame) -> float:
        rows = images[tuple(group[_AUDIT].iloc[0])]
        rows = rows[rows["subject"].isin(group["subject"])]
        try:
            return intra_subject_correlation(rows["correct"].astype(bool).astype(float), rows["subject"]).estimate
        except ValueError:  # one subject, or one image of each
            return np.nan

    return of


def _summary_line(
    group: pd.DataFrame, labels: Mapping[str, int], correlation: Callable[[pd.DataFrame], float]
) -> dict[str, Any]:
    label_set = group["label_set"].iloc[0]
    if label_set not in labels:
        raise ValueError(
            f"The number of labels of label set {label_set!r} is missing; pass labels={{{label_set!r}: ...}}."
        )
    among = group["mean_probability_of_subject"].notna().any()
    images, won = int(group["images"].sum()), int(group["plurality_correct"].sum())
    low, high, effect = np.nan, np.nan, np.nan
    if len(group) >= 2:
        interval = wilson_clustered(group["correct"].to_numpy(), group["images"].to_numpy())
        low, high, effect = interval.low, interval.high, interval.design_effect
    subjects = exact_binomial(won, len(group))
    return {
        "labels": labels[label_set],
        "chance": 1.0 / labels[label_set] if among else 0.0,
        "subjects": len(group),
        "images": images,
        "image_accuracy": group["correct"].sum() / images,
        "image_accuracy_low": low,
        "image_accuracy_high": high,
        "subjects_correct": won,
        "subjects_correct_low": subjects.low,
        "subjects_correct_high": subjects.high,
        "top5_accuracy": group["top5"].sum() / images,
        "mean_reciprocal_rank": float((group["mean_reciprocal_rank"] * group["images"]).sum() / images),
        "design_effect": effect,
        "intra_subject_correlation": correlation(group),
    }


def default_label_shares(trials: pd.DataFrame) -> pd.DataFrame:
    """Return the share of each subject's images that each default label won.

    The columns are the keys, ``label``, ``images`` and ``share``. Casper et al. (2023, section 2.1) add the default
    labels to see whether an image is more generic than the style of any artist. This table says which default label won
    the image. Only default labels that won at least one image of the audit have rows.

    Raises ValueError if columns are missing or an image occurs twice.
    """
    rows = _matched(trials)
    keys = [*_AUDIT, "subject", "kind"]
    images = rows.groupby(keys, sort=True, observed=True).size().rename("all_images").reset_index()
    lost = rows[rows["predicted_label"].fillna("").astype(str).str.startswith(DEFAULT_LABEL_PREFIX)]
    won = lost.groupby([*keys, "predicted_label"], sort=True, observed=True).size().rename("images").reset_index()
    table = won.merge(images, on=keys).rename(columns={"predicted_label": "label"})
    table["share"] = table["images"] / table["all_images"]
    return table[[*keys, "label", "images", "share"]]


def _matched(trials: pd.DataFrame) -> pd.DataFrame:
    _require(trials, TRIALS_COLUMNS, "identification_trials")
    _refuse_duplicates(trials, _IMAGE, "image")
    return trials[trials["template"] == trials["label_template"]]


_INTEGERS = (
    "template", "label_template", "trial", "rank_of_subject", "images", "labels", "subjects", "subjects_correct", "top5",
)  # fmt: skip
_BOOLEANS = ("plurality_correct", "shares_name_parts")
_DOUBLES = ("chance", "image_accuracy", "image_accuracy_low", "image_accuracy_high", "share_default",
            "probability", "probability_of_subject", "mean_probability_of_subject", "mean_reciprocal_rank", "mean_margin",
            "margin", "calibrated_probability_of_subject", "subjects_correct_low", "subjects_correct_high",
            "top5_accuracy", "design_effect", "intra_subject_correlation")  # fmt: skip


def _typed(table: pd.DataFrame, columns: tuple[str, ...]) -> pd.DataFrame:
    """Return the schema's columns in the schema's types. `correct` is a boolean per image and a count per subject."""
    correct = ("correct",)
    if columns is TRIALS_COLUMNS:
        return typed(table, columns, integers=_INTEGERS, booleans=_BOOLEANS + correct, doubles=_DOUBLES)
    return typed(table, columns, integers=_INTEGERS + correct, booleans=_BOOLEANS, doubles=_DOUBLES)


def _require(table: pd.DataFrame, columns: Sequence[str], name: str) -> None:
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise ValueError(f"The table {name} has no column {missing[0]!r}; pass all columns of schema.sql.")


def _refuse_duplicates(table: pd.DataFrame, keys: list[str], what: str) -> None:
    twice = table.duplicated(keys)
    if twice.any():
        row = table.loc[twice, keys].iloc[0].to_dict()
        raise ValueError(f"The same {what} occurs twice: {row}; a doubled row would count double, remove it.")
