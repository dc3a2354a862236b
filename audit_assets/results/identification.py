"""Experiment 1 over an audit's tables: image-level rows of imitations, and the gaps and ratios between kinds of subjects."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from audit_assets.config import EncoderEntry, Protocol
from audit_assets.measurement import identification, verification
from audit_assets.measurement.intervals import bootstrap_gap, bootstrap_ratio
from audit_assets.measurement.verification import trial_embedding_findings
from audit_assets.results.label_sets import label_counts, label_embeddings, label_sets
from audit_assets.results.recipe import Recipe, images_of, labels_of
from audit_assets.warehouse.database import columns
from audit_assets.warehouse.store import vectors
from audit_assets.workspace import Workspace


@dataclass(frozen=True)
class TextSide:
    """What an encoder classifies with: its logit scale and bias, and the temperature that calibrates it (1: none)."""

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
    """Every image among the labels of every set that its subject is in, labelled with every template (section 2.1).

    `images`: subject, template, trial, status, embedding; `labels`: label, template, embedding. Rows whose label template
    is not the one prompted with, and images of indirect prompts, are for the sensitivity analysis alone.
    """
    kinds = subjects.set_index("subject")["kind"]
    supplied = images[images["status"] != "not_supplied"]
    tables = []
    for label_set, members in label_sets(subjects).items():
        rows = supplied[supplied["subject"].isin(members)].sort_values(["subject", "template", "trial"])
        if rows.empty:
            continue
        made = vectors(rows["embedding"])
        blank = (rows["status"] == "blank").to_numpy()
        for label_template in range(len(protocol.templates)):
            names, embeddings = label_embeddings(labels, members, label_template)
            own = identification.own_labels(rows["subject"].tolist(), names)
            probabilities = identification.class_probabilities(made, embeddings, text.logit_scale, text.logit_bias)
            calibrated = identification.class_probabilities(made, embeddings, text.logit_scale / text.temperature)
            of_subject = calibrated[np.arange(len(own)), own]
            tables.append(
                identification.trials_table(
                    identification.identify(probabilities, own, blank=blank),
                    margin=identification.margins(probabilities, own, blank=blank),
                    calibrated_probability_of_subject=np.where(blank, 0.0, of_subject),
                    protocol=protocol.name,
                    model_version=model_version,
                    encoder=encoder,
                    label_set=label_set,
                    labels=names,
                    subject=rows["subject"].tolist(),
                    kind=kinds.loc[rows["subject"]].tolist(),
                    template=rows["template"].to_numpy(),
                    label_template=np.full(len(rows), label_template),
                    trial=rows["trial"].to_numpy(),
                )
            )
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(identification.TRIALS_COLUMNS))


def trials_unlike_embeddings(
    trials: pd.DataFrame, images: pd.DataFrame, labels: pd.DataFrame, subjects: pd.DataFrame, *, text: TextSide
) -> list[str]:
    """Where `trials` (one model version and encoder) differ from classifying the stored embeddings again."""
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
    """Gap of artists to each control, and ratio to their own real works, with 95 % bootstrap intervals over subjects.

    Every row can be recomputed from `identification_trials` and `reference_trials`. Label sets of both arms of a gap are
    of their own pool except in `joint`; that is the paper's design. An arm of fewer than two subjects gives no row.
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
            found = bootstrap_gap(
                *_counts(artists),
                *_counts(control),
                bootstraps=protocol.bootstraps,
                rng=np.random.default_rng([protocol.seed, 2]),
            )
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
        found = bootstrap_ratio(
            *_counts(artists),
            *_counts(real.assign(template=0)),
            bootstraps=protocol.bootstraps,
            rng=np.random.default_rng([protocol.seed, 3]),
        )
        lines.append(
            (name, model, encoder, "ratio_to_real_works", "criteria", "criteria", "artist", None, len(both), len(both),
             found.estimate, found.low, found.high)
        )  # fmt: skip
    return pd.DataFrame(lines, columns=columns("identification_contrasts")).astype(
        {"control_shares_name_parts": "boolean"}
    )


def _counts(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Correct images and images, shape (subjects, templates), subjects in order of their keys."""
    correct = rows["correct"].astype(bool).astype(int)
    groups = rows.assign(correct=correct).groupby(["subject", "template"], observed=True)["correct"]
    table = groups.agg(["sum", "size"]).unstack("template", fill_value=0)  # noqa: PD010 - pivot_table would aggregate again
    return table["sum"].to_numpy(), table["size"].to_numpy()


def text_side(ws: Workspace, encoder: EncoderEntry, temperature: float) -> TextSide:
    """What an encoder classifies with in this audit."""
    scale, bias = ws.logit(encoder)
    return TextSide(scale or 1.0, bias or 0.0, temperature)


def _sources(ws: Workspace, model: str) -> list[str]:
    return [*images_of(ws, ws.text_encoders, model), *labels_of(ws), "reference_trials", "calibration"]


def _make(ws: Workspace, model: str) -> dict[str, pd.DataFrame]:
    subjects = ws.subjects()
    fits = ws.warehouse.read("calibration")
    # Works that are separated perfectly bound no temperature: probabilities then stay as they are.
    temperatures = fits[~fits["at_bound"].astype(bool)].set_index("encoder")["temperature"]
    trials = pd.concat(
        [
            identification_trials(
                ws.warehouse.read_all(images_of(ws, [e], model)),
                ws.warehouse.read(f"label_embeddings/{e.name}"),
                subjects,
                protocol=ws.protocol,
                model_version=model,
                encoder=e.name,
                text=text_side(ws, e, float(temperatures.get(e.name, 1.0))),
            )
            for e in ws.text_encoders
        ],
        ignore_index=True,
    )
    by_subject = identification.by_subject(trials)
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
    }


def _findings(ws: Workspace, model: str) -> list[str]:
    """Image-level rows that contradict themselves or the embeddings, and aggregates that do not follow from them."""
    subjects = ws.subjects()
    labels = label_counts(subjects, ws.protocol)
    trials, by_subject, summary = (ws.warehouse.read(f"{t}/{model}") for t in IDENTIFICATION.tables[:3])
    found = verification.trial_findings(trials, labels=labels)
    found += verification.aggregate_findings(trials, by_subject, summary, subjects, labels=labels)
    for e in ws.text_encoders:
        found += trials_unlike_embeddings(
            trials[trials["encoder"] == e.name],
            ws.warehouse.read_all(images_of(ws, [e], model)),
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
    ),
    _sources,
    _make,
    _findings,
)
"""Experiment 1, for every encoder that reads text."""
