"""Run the positive control: classify real works as images are classified, and measure how far artists stand apart."""

from typing import Any

import numpy as np
import pandas as pd

from audit_assets.config import Protocol
from audit_assets.measurement import auditability, calibration, zero_shot
from audit_assets.measurement.confusable import confusable
from audit_assets.measurement.vectors import FloatArray, IntArray
from audit_assets.results.label_sets import label_embeddings, label_sets
from audit_assets.results.matched import independent_works, works_of_everyone
from audit_assets.results.recipe import Recipe, labels_of, together, works_of
from audit_assets.warehouse.database import columns
from audit_assets.warehouse.store import vectors
from audit_assets.workspace import Workspace


def reference_trials(
    references: pd.DataFrame,
    labels: pd.DataFrame,
    subjects: pd.DataFrame,
    *,
    protocol: Protocol,
    encoder: str,
    logit_scale: float,
) -> pd.DataFrame:
    """Classify every real work among the labels of `criteria`, of `joint`, and of `referenced`.

    The set `referenced` has every artist with works, and the default labels.

    The labels are those of the first template. `calibrated_probability` is of the predicted label, at a temperature
    that `calibrate` fitted on the other half of the works. No work is judged by a fit that used this work.
    """
    kinds = subjects.set_index("subject")["kind"]
    works = references.sort_values(["subject", "work"], kind="stable")
    sets = {
        "criteria": label_sets(subjects).get("criteria", []),
        "joint": label_sets(subjects).get("joint", []),
        "referenced": works["subject"].drop_duplicates().tolist(),
    }
    tables = []
    for label_set, members in sets.items():
        rows = works[works["subject"].isin(members)]
        if rows.empty:
            continue
        names, embeddings = label_embeddings(labels, members, 0)
        real, own = vectors(rows["embedding"]), zero_shot.own_labels(rows["subject"].tolist(), names)
        trials = zero_shot.identify(zero_shot.class_probabilities(real, embeddings, logit_scale), own)
        calibrated = np.full(len(rows), np.nan)
        fold = _folds(rows)
        for f in (0, 1):
            fitted, judged = fold != f, fold == f
            if fitted.any() and judged.any():
                fit = calibration.fit_temperature(real[fitted], own[fitted], embeddings, logit_scale=logit_scale)
                temperature = 1.0 if fit.at_bound else fit.value
                p = zero_shot.class_probabilities(real[judged], embeddings, logit_scale / temperature)
                calibrated[judged] = p[np.arange(len(p)), trials.predicted[judged]]
        tables.append(
            pd.DataFrame(
                {
                    "protocol": protocol.name,
                    "encoder": encoder,
                    "label_set": label_set,
                    "subject": rows["subject"].tolist(),
                    "kind": kinds.loc[rows["subject"]].tolist(),
                    "work": rows["work"].to_numpy(),
                    "predicted_label": np.array(names, dtype=object)[trials.predicted],
                    "probability": trials.probability,
                    "probability_of_subject": trials.probability_of_subject,
                    "calibrated_probability": calibrated,
                    "rank_of_subject": trials.rank_of_subject,
                    "correct": trials.correct,
                }
            )
        )
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns("reference_trials"))


def _folds(rows: pd.DataFrame) -> np.ndarray:
    """Assign each artist's works to the two halves by turns: 0 or 1 per row of `rows`, which are sorted by subject."""
    return np.asarray(rows.groupby("subject", sort=False).cumcount() % 2)


def calibrate(
    references: pd.DataFrame,
    labels: pd.DataFrame,
    subjects: pd.DataFrame,
    trials: pd.DataFrame,
    *,
    protocol: Protocol,
    encoder: str,
    logit_scale: float,
) -> pd.DataFrame:
    """One row per encoder: the temperature fitted on all real works of the roster, and the calibration error with it.

    The errors come from `trials` (rows of `reference_trials`), which judge each half of the works by the fit
    on the other half. If no artist of the roster has real works, the table has no row and probabilities do not change.
    """
    members = label_sets(subjects).get("criteria", [])
    rows = references[references["subject"].isin(members)]
    if rows.empty:
        return pd.DataFrame(columns=columns("calibration"))
    names, embeddings = label_embeddings(labels, members, 0)
    own = zero_shot.own_labels(rows["subject"].tolist(), names)
    fit = calibration.fit_temperature(vectors(rows["embedding"]), own, embeddings, logit_scale=logit_scale)
    judged = trials[(trials["label_set"] == "criteria") & (trials["encoder"] == encoder)]
    correct = judged["correct"].to_numpy(dtype=bool)
    errors = [
        calibration.expected_calibration_error(judged[p].to_numpy(), correct)
        for p in ("probability", "calibrated_probability")
    ]
    line = (
        protocol.name,
        encoder,
        "criteria",
        fit.works,
        fit.value,
        fit.at_bound,
        fit.loss_before,
        fit.loss_after,
        *errors,
    )
    return pd.DataFrame([line], columns=columns("calibration"))


def reliability(trials: pd.DataFrame) -> pd.DataFrame:
    """Compare accuracy with confidence on real works among the roster's labels, raw and calibrated, per encoder."""
    tables = [
        calibration.reliability_curve(rows[column].to_numpy(), rows["correct"].to_numpy(dtype=bool))
        .rename(columns={"images": "works"})
        .assign(protocol=name, encoder=encoder, calibrated=calibrated)
        for (name, encoder), rows in _by_encoder(trials[trials["label_set"] == "criteria"])
        for column, calibrated in (("probability", False), ("calibrated_probability", True))
    ]
    return (
        pd.concat(tables, ignore_index=True)[columns("reliability")]
        if tables
        else pd.DataFrame(columns=columns("reliability"))
    )


def _by_encoder(trials: pd.DataFrame) -> list[tuple[tuple[str, str], pd.DataFrame]]:
    return [((str(p), str(e)), rows) for (p, e), rows in trials.groupby(["protocol", "encoder"], sort=True)]


def auditability_rows(
    references: pd.DataFrame,
    independent: tuple[FloatArray, IntArray],
    members: list[str],
    trials: pd.DataFrame | None,
    subjects: pd.DataFrame,
    *,
    protocol: Protocol,
    encoder: str,
) -> pd.DataFrame:
    """One row per artist with real works: how often the encoder recognises the artist, how far the works stand apart.

    The first comes from `trials`, among all artists with works; it is NULL for an encoder without text. The second is
    the distance to the works of the artist who is hardest to tell from this one. `independent` has one vector per independent
    group of works, and the place of its artist among `members`.
    """
    if len(members) < 2:
        return pd.DataFrame(columns=columns("auditability"))
    gap = auditability.discrimination_gap(*independent, artists=len(members))
    uncorrected = auditability.discrimination_gap(*independent, artists=len(members), hubness_corrected=False)
    who = references["subject"].map({s: i for i, s in enumerate(members)}).to_numpy()
    count = np.bincount(who, minlength=len(members))
    if trials is None:
        correct = pd.array([pd.NA] * len(members), dtype="Int64")
    else:
        among = trials[(trials["label_set"] == "referenced") & (trials["encoder"] == encoder)]
        right = among.groupby("subject")["correct"].sum()
        correct = pd.array(right.loc[members].to_numpy(), dtype="Int64")
    return pd.DataFrame(
        {
            "protocol": protocol.name,
            "encoder": encoder,
            "subject": members,
            "kind": subjects.set_index("subject").loc[members, "kind"].tolist(),
            "real_works": count,
            "correct": correct,
            "accuracy": correct / count,
            "gap": gap.gap,
            "gap_low": gap.low,
            "same_similarity": gap.same,
            "different_similarity": gap.different,
            "same_similarity_uncorrected": uncorrected.same,
            "nearest_subject": [members[i] if i >= 0 else None for i in gap.nearest],
            "told_apart": gap.auditable,
        }
    )


def confusable_rows(
    independent: tuple[FloatArray, IntArray],
    members: list[str],
    subjects: pd.DataFrame,
    *,
    protocol: Protocol,
    encoder: str,
) -> pd.DataFrame:
    """Make the table `confusable_artists`, from one vector per independent group of works, and the place of its artist among `members`.

    It lists, for each audited artist, the other artists whose works the encoder cannot tell from the artist's works.
    """
    kinds = subjects.set_index("subject")["kind"]
    audited = [i for i, s in enumerate(members) if kinds[s] in ("artist", "untrained_artist")]
    if len(members) < 2 or not audited:
        return pd.DataFrame(columns=columns("confusable_artists"))
    found = confusable(*independent, pool=len(members), artists=audited)
    lines = [
        (protocol.name, encoder, members[artist], members[int(other)], float(gap), float(low))
        for artist, one in zip(audited, found, strict=True)
        for other, gap, low in zip(one.others, one.gap, one.low, strict=True)
    ]
    return pd.DataFrame(lines, columns=columns("confusable_artists"))


def _sources(ws: Workspace, model: str) -> list[str]:
    works = [f"reference_works/{s}" for s in ws.referenced()]  # they have the series
    return [*works, *works_of(ws, ws.encoders()), *labels_of(ws)]


def _make(ws: Workspace, model: str) -> dict[str, pd.DataFrame]:
    subjects = ws.subjects()
    trials, calibrations, rows, alike = [], [], [], []
    for e in ws.encoders():
        if not (tables := works_of(ws, [e])):
            continue
        real = ws.warehouse.read_all(tables)
        named = None
        if e.kind == "image_text":
            labels, scale = ws.warehouse.read(f"label_embeddings/{e.name}"), ws.logit(e)[0] or 1.0
            about: dict[str, Any] = {"protocol": ws.protocol, "encoder": e.name, "logit_scale": scale}
            named = reference_trials(real, labels, subjects, **about)
            trials.append(named)
            calibrations.append(calibrate(real, labels, subjects, named, **about))
        if (works := works_of_everyone(ws, e)) is None:
            continue
        apart = independent_works(works)
        rows.append(auditability_rows(real, apart, works.pool, named, subjects, protocol=ws.protocol, encoder=e.name))
        alike.append(confusable_rows(apart, works.pool, subjects, protocol=ws.protocol, encoder=e.name))
    all_trials = together(trials, columns("reference_trials"))
    return {
        "reference_trials": all_trials,
        "calibration": together(calibrations, columns("calibration")),
        "reliability": reliability(all_trials),
        "auditability": together(rows, columns("auditability")),
        "confusable_artists": together(alike, columns("confusable_artists")),
    }


AUDITABILITY = Recipe(
    ("reference_trials", "calibration", "reliability", "auditability", "confusable_artists"),
    _sources,
    _make,
    per_model=False,
)
"""The positive control: what every encoder makes of real works."""
