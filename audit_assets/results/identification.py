"""Run experiment 1 on an audit's tables: make image-level rows, and the gaps and ratios between kinds of subjects."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from audit_assets.config import EncoderEntry, Protocol
from audit_assets.measurement import identification, verification
from audit_assets.measurement.artist_intervals import gap_of_artists, ratio_to_real_works
from audit_assets.measurement.classification import Competition, classify
from audit_assets.measurement.verification import trial_embedding_findings
from audit_assets.results.beside_names import beside_control_names
from audit_assets.results.copies import copies_of, images_that_count
from audit_assets.results.label_sets import label_counts, label_embeddings, label_sets, not_read
from audit_assets.results.recipe import Recipe, images_of, labels_of
from audit_assets.warehouse.database import columns
from audit_assets.warehouse.images import SHOW_NOTHING
from audit_assets.warehouse.store import vectors
from audit_assets.workspace import Workspace


@dataclass(frozen=True)
class TextSide:
    """An encoder's logit scale and bias, and the temperature that calibrates it. A temperature of 1 changes nothing."""

    logit_scale: float
    logit_bias: float
    temperature: float


def identification_trials(
    images: pd.DataFrame,
    labels: pd.DataFrame,
    subjects: pd.DataFrame,
    *,
    protocol: Protocol,
    model_version: str,
    encoder: str,
    text: TextSide,
) -> pd.DataFrame:
    """Classify every image in every label set that has its subject, with the labels of every template (section 2.1).

    `images` has subject, template, trial, status, embedding; `labels` has label, template, embedding. Only the
    sensitivity analysis uses images of indirect prompts, and rows whose label template is not the prompt's template.
    """
    kinds = subjects.set_index("subject")["kind"]
    sets = label_sets(subjects)
    rows = images[images["status"] != "not_supplied"].sort_values(["subject", "template", "trial"], ignore_index=True)
    if rows.empty:
        return pd.DataFrame(columns=list(identification.TRIALS_COLUMNS))
    made, blank = vectors(rows["embedding"]), rows["status"].isin(SHOW_NOTHING).to_numpy()
    about = {"protocol": protocol.name, "model_version": model_version, "encoder": encoder}
    tables = []
    for label_template in range(len(protocol.templates)):
        names, embeddings = label_embeddings(labels, sets["joint"], label_template)
        found = classify(
            made,
            embeddings,
            {name: _competition(rows["subject"], members, names) for name, members in sets.items()},
            logit_scale=text.logit_scale,
            temperature=text.temperature,
            blank=blank,
        )
        for label_set, members in sets.items():
            own = rows[rows["subject"].isin(set(members))]
            if own.empty:
                continue
            one = found[label_set]
            tables.append(
                identification.trials_table(
                    one.trials,
                    margin=one.margin,
                    calibrated_probability_of_subject=one.calibrated_probability_of_subject,
                    label_set=label_set,
                    labels=_labels_of(members, names),
                    subject=own["subject"].tolist(),
                    kind=kinds.loc[own["subject"]].tolist(),
                    template=own["template"].to_numpy(),
                    label_template=np.full(len(own), label_template),
                    trial=own["trial"].to_numpy(),
                    **about,
                )
            )
    # Rows keep their old order: one set after the other, and each set has all label templates.
    order = {name: i for i, name in enumerate(sets)}
    tables.sort(key=lambda table: order[str(table["label_set"].iloc[0])])
    return pd.concat(tables, ignore_index=True)


def _labels_of(members: Sequence[str], names: Sequence[str]) -> list[str]:
    """List the labels of a set: its members, then the default labels."""
    return [*members, *(name for name in names if name.startswith("default:"))]


def _competition(subject: pd.Series, members: Sequence[str], names: Sequence[str]) -> Competition:
    """Find which images and labels of `joint` compete in a label set, and the position of each image's own label."""
    place = {name: i for i, name in enumerate(names)}
    of_set = _labels_of(members, names)
    position = {name: i for i, name in enumerate(of_set)}
    inside = np.flatnonzero(subject.isin(set(members)).to_numpy())
    own = [position[s] for s in subject.iloc[inside]]
    return Competition(inside, [place[name] for name in of_set], np.array(own, dtype=np.int64))


def trials_unlike_embeddings(
    trials: pd.DataFrame, images: pd.DataFrame, labels: pd.DataFrame, subjects: pd.DataFrame, *, text: TextSide
) -> list[str]:
    """Classify the stored embeddings again and list where `trials` (one model version and encoder) differ."""
    keys = ["subject", "template", "trial"]
    found = []
    for (label_set, label_template), rows in trials.groupby(["label_set", "label_template"], sort=True):
        both = rows.merge(images[[*keys, "embedding"]], on=keys, how="left")
        if both["embedding"].isna().any():
            found.append(f"{label_set}: an image that was classified has no embedding.")
            continue
        names, embeddings = label_embeddings(labels, label_sets(subjects)[str(label_set)], int(str(label_template)))
        found += trial_embedding_findings(
            both, vectors(both["embedding"]), names, embeddings, logit_scale=text.logit_scale
        )
    return found


GAPS = (
    ("criteria", "random_names", "random_name", False),
    ("criteria", "recombined_names", "random_name", True),
    ("joint", "joint", "untrained_artist", None),
    ("joint", "joint", "random_name", False),
    ("joint", "joint", "nonsense", None),
)
"""Artists in the first label set against a control kind in the second; False and True: control names without and with
parts of artists' names."""


def identification_contrasts(
    trials: pd.DataFrame, reference_trials: pd.DataFrame, subjects: pd.DataFrame, *, protocol: Protocol
) -> pd.DataFrame:
    """Compute artists' gap to each control and ratio to their own real works, with 95 % intervals over subjects.

    Each artist counts once. Every row can be recomputed from `identification_trials` and `reference_trials`. As in the
    paper, each arm of a gap has the label set of its own pool, except in `joint`. An arm with fewer than two subjects
    gives no row.
    """
    shares = subjects.set_index("subject")["shares_name_parts"]
    lines = []
    matched = trials[trials["template"] == trials["label_template"]]
    for (name, model, encoder), rows in matched.groupby(["protocol", "model_version", "encoder"], sort=True):
        for label_set, control_set, kind, with_parts in GAPS:
            artists = rows[(rows["label_set"] == label_set) & (rows["kind"] == "artist")]
            control = rows[(rows["label_set"] == control_set) & (rows["kind"] == kind)]
            if with_parts is not None:
                control = control[control["subject"].map(shares).astype("boolean").fillna(False) == with_parts]
            if min(artists["subject"].nunique(), control["subject"].nunique()) < 2:
                continue
            found = gap_of_artists(*_counts(artists), *_counts(control))
            lines.append(
                (name, model, encoder, "gap", label_set, control_set, kind, with_parts,
                 artists["subject"].nunique(), control["subject"].nunique(), found.estimate, found.low, found.high)
            )  # fmt: skip
        artists = rows[(rows["label_set"] == "criteria") & (rows["kind"] == "artist")]
        real = reference_trials[
            (reference_trials["encoder"] == encoder) & (reference_trials["label_set"] == "criteria")
        ]
        both = sorted(set(artists["subject"]) & set(real["subject"]))
        if len(both) < 2:
            continue
        artists, real = artists[artists["subject"].isin(both)], real[real["subject"].isin(both)]
        found = ratio_to_real_works(*_counts(artists), *_counts(real))
        lines.append(
            (name, model, encoder, "ratio_to_real_works", "criteria", "criteria", "artist", None, len(both), len(both),
             found.estimate, found.low, found.high)
        )  # fmt: skip
    return pd.DataFrame(lines, columns=columns("identification_contrasts")).astype(
        {"control_shares_name_parts": "boolean"}
    )


def _counts(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Count the identified and the shown images (or works) per subject, in key order. A blank image is not shown."""
    correct = rows["correct"].astype(bool) & rows["predicted_label"].notna()
    groups = rows.assign(correct=correct, shown=rows["predicted_label"].notna()).groupby("subject", observed=True)
    table = groups.agg(correct=("correct", "sum"), shown=("shown", "sum"))
    return table["correct"].to_numpy(), table["shown"].to_numpy()


def text_side(ws: Workspace, encoder: EncoderEntry, temperature: float) -> TextSide:
    """The scale, bias and temperature that an encoder classifies with in this audit."""
    scale, bias = ws.logit(encoder)
    return TextSide(scale or 1.0, bias or 0.0, temperature)


def _sources(ws: Workspace, model: str) -> list[str]:
    images = images_of(ws, ws.text_encoders(model), model)
    return [*images, copies_of(model), *labels_of(ws, model), "reference_trials", "calibration"]


def _make(ws: Workspace, model: str) -> dict[str, pd.DataFrame]:
    subjects = ws.subjects()
    fits = ws.warehouse.read("calibration")
    # If works are separated perfectly, no temperature can be fitted, and probabilities do not change.
    temperatures = fits[~fits["at_bound"].astype(bool)].set_index("encoder")["temperature"]
    trials = pd.concat(
        [
            identification_trials(
                images_that_count(ws, e, model),
                ws.warehouse.read(f"label_embeddings/{e.name}"),
                subjects,
                protocol=ws.protocol,
                model_version=model,
                encoder=e.name,
                text=text_side(ws, e, float(temperatures.get(e.name, 1.0))),
            )
            for e in ws.text_encoders(model)
        ],
        ignore_index=True,
    )
    by_subject = identification.by_subject(trials)
    unread = {e.name: not_read(ws, e) for e in ws.text_encoders(model)}
    return {
        "identification_trials": trials,
        "identification_by_subject": by_subject,
        "identification_summary": identification.summary(
            trials, by_subject, subjects, labels=label_counts(subjects, ws.protocol)
        ),
        "identification_contrasts": identification_contrasts(
            trials, ws.warehouse.read("reference_trials"), subjects, protocol=ws.protocol
        ),
        "default_label_shares": identification.default_label_shares(trials),
        "name_controls": beside_control_names(trials, subjects, protocol=ws.protocol, unread=unread),
    }


def _findings(ws: Workspace, model: str) -> list[str]:
    """List image rows that contradict themselves or the embeddings, and aggregates that do not follow from them."""
    subjects = ws.subjects()
    labels = label_counts(subjects, ws.protocol)
    trials, by_subject, summary = (ws.warehouse.read(f"{t}/{model}") for t in IDENTIFICATION.tables[:3])
    found = verification.trial_findings(trials, labels=labels)
    found += verification.aggregate_findings(trials, by_subject, summary, subjects, labels=labels)
    for e in ws.text_encoders(model):
        found += trials_unlike_embeddings(
            trials[trials["encoder"] == e.name],
            images_that_count(ws, e, model),
            ws.warehouse.read(f"label_embeddings/{e.name}"),
            subjects,
            text=text_side(ws, e, 1.0),
        )
    return found


IDENTIFICATION = Recipe(
    (
        "identification_trials",
        "identification_by_subject",
        "identification_summary",
        "identification_contrasts",
        "default_label_shares",
        "name_controls",
    ),
    _sources,
    _make,
    _findings,
)
"""Experiment 1, for every encoder that reads text."""
