"""Measure what a model version's results depend on.

The settings are encoder, test, label set, template, works and roster; the dose is how often captions name an artist.
"""

import numpy as np
import pandas as pd

from audit_assets.config import Protocol
from audit_assets.measurement import sensitivity
from audit_assets.measurement.dose_response import dose_response
from audit_assets.measurement.sensitivity import independence, template_matrix
from audit_assets.models.files import KNOWN_FAMILIES
from audit_assets.results.copies import copies_of
from audit_assets.results.recipe import Recipe, encoders_used, images_of, works_of
from audit_assets.results.specification import blurred_of, judged
from audit_assets.warehouse.database import columns
from audit_assets.workspace import Workspace

FEWEST_ARTISTS = 10
"""Below this number of artists with different mentions no change point is looked for."""


def score_correlations(trials: pd.DataFrame, matching: pd.DataFrame) -> pd.DataFrame:
    """Measure whether two settings order the artists alike: one row per pair, over artists of the `criteria` roster.

    A setting is an accuracy (encoder, label set, templates of prompt and of label) or an AUC (encoder, test).
    """
    return sensitivity.rank_correlations(_scores(trials, matching))


def _scores(trials: pd.DataFrame, matching: pd.DataFrame) -> pd.DataFrame:
    artists = set(trials.loc[(trials["label_set"] == "criteria") & (trials["kind"] == "artist"), "subject"])
    rows = trials[trials["subject"].isin(artists)]
    keys = ["encoder", "label_set", "template", "label_template", "subject"]
    correct = rows.assign(score=rows["correct"].astype(bool)).groupby(keys, observed=True)["score"]
    accuracy = correct.mean().reset_index()
    accuracy["setting"] = (
        accuracy["encoder"] + " | accuracy | " + accuracy["label_set"] + " | template "
        + accuracy["template"].astype(str) + " labelled " + accuracy["label_template"].astype(str)
    )  # fmt: skip
    own = matching[(matching["control"] == "none") & matching["subject"].isin(artists) & matching["auc"].notna()]
    auc = own.drop_duplicates(["encoder", "test", "subject"]).rename(columns={"auc": "score"})
    auc["setting"] = auc["encoder"] + " | AUC | " + auc["test"]
    return pd.concat([t[["subject", "setting", "score"]] for t in (accuracy, auc)], ignore_index=True)


def verdict_flips(verdicts: pd.DataFrame) -> pd.DataFrame:
    """Compute the share of verdicts that change if a setting replaces the first one, which is the verdict's own."""
    columns = ["baseline", "setting", "subjects", "flipped", "share", "lost", "gained"]
    if verdicts.empty:
        return pd.DataFrame(columns=columns)
    baseline = verdicts["setting"].iloc[0]
    return sensitivity.verdict_flips(verdicts, baseline=baseline).assign(baseline=baseline)[columns]


def dose_responses(
    by_subject: pd.DataFrame, matching: pd.DataFrame, subjects: pd.DataFrame, *, protocol: Protocol
) -> pd.DataFrame:
    """Relate artists' accuracy and AUC to the number of captions that name them: one row per encoder and response.

    If no captions were scanned or too few artists differ, the table has no row.
    """
    mentions = subjects.set_index("subject")["mentions"]
    responses = [
        ("accuracy", by_subject[(by_subject["label_set"] == "criteria") & (by_subject["kind"] == "artist")], "image_accuracy"),
        ("auc", matching[(matching["test"] == "rank_sum_exact") & (matching["alternative"] == "closer")
                         & (matching["control"] == "none") & (matching["kind"] == "artist")], "auc"),
    ]  # fmt: skip
    lines = []
    for response, table, column in responses:
        for (name, model, encoder), rows in table.groupby(["protocol", "model_version", "encoder"], sort=True):
            dose = rows["subject"].map(mentions).astype("float64")
            kept = dose.notna() & rows[column].notna()
            if kept.sum() < FEWEST_ARTISTS or dose[kept].nunique() < 2:
                continue
            found = dose_response(
                dose[kept], rows.loc[kept, column], permutations=999, rng=np.random.default_rng([protocol.seed, 6])
            )
            lines.append(
                (name, model, encoder, response, found.artists, found.threshold, found.low, found.high, found.below,
                 found.above, found.p_value, found.spearman, found.spearman_p)
            )  # fmt: skip
    return pd.DataFrame(lines, columns=columns("dose_response"))


def _sources(ws: Workspace, model: str) -> list[str]:
    results = ("identification_trials", "matching_by_subject", "verdicts", "positive_control")
    embeddings = [*images_of(ws, ws.encoders(model), model), copies_of(model), *works_of(ws, ws.encoders(model))]
    asked = ws.encoders(model) if ws.audit.text_in_images else []
    without_text = [where for e in asked if ws.warehouse.made(where := blurred_of(e, model))]
    return [*(f"{t}/{model}" for t in results), "model_versions", "encoders", *embeddings, *without_text]


def _make(ws: Workspace, model: str) -> dict[str, pd.DataFrame]:
    read = ws.warehouse.read
    trials, by_subject = read(f"identification_trials/{model}"), read(f"identification_by_subject/{model}")
    tests, verdicts = read(f"matching_by_subject/{model}"), read(f"verdicts/{model}")
    models = read("model_versions")
    again = judged(ws, model, verdicts, tests, trials)
    common = {"protocol": ws.protocol.name, "model_version": model}
    return {
        "template_matrix": template_matrix(trials),
        "score_correlations": score_correlations(trials, tests).assign(**common),
        "verdict_flips": verdict_flips(again).assign(**common),
        "encoder_independence": independence(
            models[models["model_version"] == model], encoders_used(ws, model), named=KNOWN_FAMILIES
        ),
        "dose_response": dose_responses(by_subject, tests, ws.subjects(), protocol=ws.protocol),
    }


SENSITIVITY = Recipe(
    ("template_matrix", "score_correlations", "verdict_flips", "encoder_independence", "dose_response"), _sources, _make
)
"""What the results depend on: encoder, test, labels, template, works, roster, and captions that name the artist."""
