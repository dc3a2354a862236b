"""What a model version's results depend on: template, encoder, label set, test; and on how often captions name an artist."""

import numpy as np
import pandas as pd

from audit_assets.config import Protocol
from audit_assets.measurement import sensitivity
from audit_assets.measurement.dose_response import dose_response
from audit_assets.measurement.sensitivity import independence, template_matrix
from audit_assets.measurement.verdicts import Evidence, verdicts
from audit_assets.models.files import KNOWN_FAMILIES
from audit_assets.results.recipe import Recipe
from audit_assets.warehouse.database import columns
from audit_assets.workspace import Workspace

FEWEST_ARTISTS = 10
"""Below this number of artists with different mentions no change point is looked for."""


def score_correlations(trials: pd.DataFrame, matching: pd.DataFrame) -> pd.DataFrame:
    """Do two ways to measure order the artists alike? One row a pair of settings, over artists of the `criteria` roster.

    Settings: accuracy by encoder, label set, template prompted with and labelled with; AUC by encoder and test.
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


TESTS = (
    ("own_rank", "closer", "benjamini_hochberg"),
    ("own_rank", "closer", "holm"),
    ("rank_sum_exact", "closer", "bonferroni"),
    ("rank_sum_asymptotic", "two_sided", "bonferroni"),
)


def settings_verdicts(
    verdict_table: pd.DataFrame, by_subject: pd.DataFrame, matching: pd.DataFrame, *, alpha: float
) -> pd.DataFrame:
    """The verdict on every artist under every choice of encoder, label set and test: subject, setting, verdict.

    The rule is the same throughout, with another test's adjusted p in place of own rank's, and another label set's counts;
    k stays that of the verdict.
    """
    lines: list[tuple[str, str, str]] = []
    for encoder, rows in verdict_table[verdict_table["kind"] == "artist"].groupby("encoder", sort=True):
        own = by_subject[by_subject["encoder"] == encoder]
        sets: list[str | None] = [s for s in ("criteria", "joint") if s in set(own["label_set"])]
        for test, alternative, adjustment in TESTS:
            rows_of_test = matching[
                (matching["encoder"] == encoder) & (matching["test"] == test) & (matching["control"] == "none")
                & (matching["alternative"] == alternative) & (matching["adjustment"] == adjustment)
            ]  # fmt: skip
            if rows_of_test["unreachable"].fillna(False).all():
                continue  # no result could have passed, so nothing follows from that none did
            p = rows_of_test.set_index("subject")["p_adjusted"].to_dict()
            for label_set in sets or [None]:
                counts = own[own["label_set"] == label_set].set_index("subject")["correct"].to_dict()
                judged = [row for row in rows.to_dict("records") if row["subject"] in p]
                evidence = [
                    Evidence(
                        gap_low=_known(row["gap_low"]),
                        q_value=_known(p[row["subject"]]),
                        identified=counts.get(row["subject"]),
                        needed=None if pd.isna(row["identified_needed"]) else int(row["identified_needed"]),
                    )
                    for row in judged
                ]
                setting = f"{encoder} | {label_set or 'no labels'} | {test} {alternative} {adjustment}"
                words = verdicts(evidence, alpha=alpha)["verdict"]
                lines += [(row["subject"], setting, word) for row, word in zip(judged, words, strict=True)]
    return pd.DataFrame(lines, columns=["subject", "setting", "verdict"])


def _known(value: float | None) -> float | None:
    return None if value is None or pd.isna(value) else float(value)


def verdict_flips(judged: pd.DataFrame) -> pd.DataFrame:
    """Share of artists' verdicts that change when one setting replaces the first one, which is the verdict's own."""
    columns = ["baseline", "setting", "subjects", "flipped", "share", "lost", "gained"]
    if judged.empty:
        return pd.DataFrame(columns=columns)
    baseline = judged["setting"].iloc[0]
    return sensitivity.verdict_flips(judged, baseline=baseline).assign(baseline=baseline)[columns]


def dose_responses(
    by_subject: pd.DataFrame, matching: pd.DataFrame, subjects: pd.DataFrame, *, protocol: Protocol
) -> pd.DataFrame:
    """Accuracy and AUC of artists against captions that name them, one row an encoder and response; none where no captions
    were scanned or too few artists differ."""
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
    results = ("identification_trials", "matching_by_subject", "verdicts")
    return [*(f"{t}/{model}" for t in results), "model_versions", "encoders"]


def _make(ws: Workspace, model: str) -> dict[str, pd.DataFrame]:
    read = ws.warehouse.read
    trials, by_subject = read(f"identification_trials/{model}"), read(f"identification_by_subject/{model}")
    tests, verdicts = read(f"matching_by_subject/{model}"), read(f"verdicts/{model}")
    models = read("model_versions")
    judged = settings_verdicts(verdicts, by_subject, tests, alpha=ws.protocol.matching.alpha)
    common = {"protocol": ws.protocol.name, "model_version": model}
    return {
        "template_matrix": template_matrix(trials),
        "score_correlations": score_correlations(trials, tests).assign(**common),
        "verdict_flips": verdict_flips(judged).assign(**common),
        "encoder_independence": independence(
            models[models["model_version"] == model], read("encoders"), named=KNOWN_FAMILIES
        ),
        "dose_response": dose_responses(by_subject, tests, ws.subjects(), protocol=ws.protocol),
    }


SENSITIVITY = Recipe(
    ("template_matrix", "score_correlations", "verdict_flips", "encoder_independence", "dose_response"), _sources, _make
)
"""What the results depend on: template, encoder, label set, test, and captions that name the artist."""
