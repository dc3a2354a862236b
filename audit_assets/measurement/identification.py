"""Experiment 1 of Casper et al. (2023, section 2.1): does the encoder find the name in the prompt again in the image?

The encoder classifies an image made from "Artwork from <name>" among the labels "Artwork from <name>" of all subjects
and a few default labels that name no artist. It applies a softmax over logit scale x cosine, which is the zero-shot
classification of Radford et al. (2021, *Learning transferable visual models from natural language supervision*, section
3.1). An image is *identified* if its own subject is the most likely label. A subject is identified if it wins a
plurality of its images.

An asset check computes all other figures here again from the image-level table.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from audit_assets.measurement.intervals import exact_binomial, intra_subject_correlation, wilson_clustered
from audit_assets.measurement.typed import typed
from audit_assets.measurement.vectors import BoolArray, FloatArray, IntArray, indices, mask, same_dimension, unit_rows

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

TIE = 1e-12
"""Two probabilities tie if one lacks at most this share of the other.

Labels that an encoder cannot tell apart have equal embeddings. A matrix product still gives them different last bits,
depending on their places.
"""

_ROWS_AT_ONCE = 384
"""Number of images per block.

Their float64 copy (384 x 512) stays in the second-level cache, so the product is fast.
"""


@dataclass(frozen=True)
class Trials:
    """One classification per image; the fields are arrays of shape (n,).

    ``predicted`` is the index of the most likely label. It is -1 for a blank image, which shows nothing.
    ``probability`` is the probability of the predicted label. It is NaN for a blank image.
    ``probability_of_subject`` is the probability of the image's own label. It is 0 for a blank image, and NaN if the
    subject has no label here.
    ``rank_of_subject`` is 1 for the most likely label. It is 0 for a blank image and if the subject has no label here.
    ``correct`` is True if the rank is 1.
    """

    predicted: IntArray
    probability: FloatArray
    probability_of_subject: FloatArray
    rank_of_subject: IntArray
    correct: BoolArray


def class_probabilities(
    images: npt.ArrayLike, labels: npt.ArrayLike, logit_scale: float, logit_bias: float = 0.0
) -> FloatArray:
    """Return the probability of each label for each image, shape (n, L). Each row sums to 1.

    ``images`` (n, d) and ``labels`` (L, d) are embeddings of unit length from one encoder. ``logit_scale`` is the
    encoder's factor itself (100 for CLIP ViT-L/14), not its logarithm. ``logit_bias`` (SigLIP) shifts all logits alike,
    so it cancels in a softmax. The function accepts it so that a caller can pass an encoder unchanged. Products are
    computed in float64, because float32 makes ties of labels that differ. The method is that of Casper et al. (2023,
    section 2.1) and Radford et al. (2021, section 3.1).

    Raises ValueError if embeddings are not finite, not of unit length (by row) or of different dimension, if fewer than
    two labels are given, or if the logit scale is not positive or the logit bias is not finite.
    """
    if not (np.isfinite(logit_scale) and logit_scale > 0):
        raise ValueError(f"The logit scale is {logit_scale}; pass the encoder's positive factor, not its logarithm.")
    if not np.isfinite(logit_bias):
        raise ValueError(f"The logit bias is {logit_bias}; pass a finite number, 0 for an encoder without one.")
    label_rows = unit_rows(labels, "label")
    if len(label_rows) < 2:
        raise ValueError(f"{len(label_rows)} label(s): identification needs at least two labels to choose from.")
    all_images = np.asarray(images)
    same_dimension(unit_rows(all_images[:1], "image"), label_rows, "image and label")
    scaled = logit_scale * label_rows
    probabilities = np.empty((len(all_images), len(label_rows)))
    for start in range(0, len(all_images), _ROWS_AT_ONCE):
        rows = unit_rows(all_images[start : start + _ROWS_AT_ONCE], "image", first_row=start)
        # Labels are the first axis, so that maxima and sums over labels run along whole rows of images.
        logits = scaled @ rows.T
        logits -= logits.max(axis=0)
        np.exp(logits, out=logits)
        logits /= logits.sum(axis=0)
        probabilities[start : start + _ROWS_AT_ONCE] = logits.T
    return probabilities


def own_labels(subjects: Sequence[str], labels: Sequence[str]) -> IntArray:
    """Return the index of each image's own label, shape (n,). It is -1 if the subject is not among the labels.

    Raises ValueError if a label occurs twice, because the second could never be found.
    """
    position = {label: i for i, label in enumerate(labels)}
    if len(position) != len(labels):
        twice = next(label for i, label in enumerate(labels) if position[label] != i)
        raise ValueError(f"The label {twice!r} occurs twice; every label of a label set must be unique.")
    return np.array([position.get(subject, -1) for subject in subjects], dtype=np.int64)


def identify(probabilities: npt.ArrayLike, own_label: npt.ArrayLike, *, blank: npt.ArrayLike | None = None) -> Trials:
    """Classify images, and rank each image's own label, as in section 2.1 of Casper et al. (2023).

    ``probabilities`` has shape (n, L). ``own_label`` (n,) holds integers, and -1 if the subject is not among the
    labels. ``blank`` (n,) marks images that show nothing (a safety checker's black image). They are kept and count as
    wrong.

    **Ties go against the subject.** Its rank is the number of labels at least as likely as its own, itself included. If
    the subject shares the first place, the other label is the predicted one. If several other labels tie for first, the
    one that comes first in the label set is predicted. So "predicted is own", "rank is 1" and "correct" always agree.

    Raises ValueError if probabilities are not finite, lie outside [0, 1] or do not sum to 1 (by row), or if indices are
    out of range.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    if p.ndim != 2 or p.shape[1] < 2:
        raise ValueError(f"The probabilities have shape {p.shape}; pass (images, labels) with at least two labels.")
    images, labels = p.shape
    # A product with ones sums rows in a third of the time. One minimum of all values shows if any row is negative.
    bad = ~(np.abs(p @ np.ones(labels) - 1.0) <= 1e-6)
    if images and p.min() < 0:
        bad |= p.min(axis=1) < 0
    if bad.any():
        row = int(np.argmax(bad))
        raise ValueError(f"The probabilities in row {row} sum to {p[row].sum():.9g}; pass a softmax over all labels.")
    own = indices(own_label, length=images, below=labels, what="The image's own label")
    blanks = mask(blank, length=images, what="The mask of blank images")
    rows = np.arange(images)
    among = own >= 0
    of_subject = np.where(among, p[rows, own], np.nan)
    # A comparison with NaN is False, so subjects without a label get rank 0.
    rank = np.count_nonzero(p >= of_subject[:, None] * (1 - TIE), axis=1)
    predicted = _first_of_the_best(p)
    tied = np.flatnonzero((predicted == own) & (rank > 1))
    without_own = p[tied]
    without_own[np.arange(len(tied)), own[tied]] = -1.0
    predicted[tied] = _first_of_the_best(without_own)
    return Trials(
        predicted=np.where(blanks, -1, predicted).astype(np.int64),
        probability=np.where(blanks, np.nan, p[rows, predicted]),
        probability_of_subject=np.where(blanks & among, 0.0, of_subject),
        rank_of_subject=np.where(blanks, 0, rank).astype(np.int64),
        correct=(rank == 1) & ~blanks,
    )


def _first_of_the_best(p: FloatArray) -> IntArray:
    return (p >= p.max(axis=1, initial=0.0)[:, None] * (1 - TIE)).argmax(axis=1)


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


def margins(
    probabilities: npt.ArrayLike, own_label: npt.ArrayLike, *, blank: npt.ArrayLike | None = None
) -> FloatArray:
    """Return the probability of the own label less that of the best other label, shape (n,), in [-1, 1].

    A margin is above 0 if and only if the image is identified. Its distance from 0 says how narrow the result is.
    Arguments and errors are as in ``identify``. A blank image has the lowest margin, -1. The margin is NaN if the
    subject is not among the labels.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    trials = identify(p, own_label, blank=blank)
    own = np.asarray(own_label, dtype=np.int64)
    best_other = np.empty(len(p))
    for start in range(0, len(p), _ROWS_AT_ONCE):  # a copy of all at once would double the memory
        rows = slice(start, start + _ROWS_AT_ONCE)
        without_own = p[rows].copy()
        without_own[np.arange(len(without_own)), own[rows]] = -1.0
        best_other[rows] = without_own.max(axis=1)
    margin = np.where(own >= 0, p[np.arange(len(p)), own] - best_other, np.nan)
    margin = np.where((trials.rank_of_subject > 1) & (margin > 0), 0.0, margin)  # a tie
    return np.where((trials.predicted == -1) & (own >= 0), -1.0, margin)


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
