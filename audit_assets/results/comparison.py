"""Model versions side by side: the same subjects, words and seeds, every pair in the order of audit.yaml."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from audit_assets.config import Protocol
from audit_assets.measurement.comparison import newcombe_differences, paired_difference, trend
from audit_assets.measurement.multiplicity import adjust
from audit_assets.results.identification import IDENTIFICATION
from audit_assets.results.matching import MATCHING
from audit_assets.results.recipe import Recipe
from audit_assets.results.sensitivity import SENSITIVITY
from audit_assets.results.verdicts import VERDICTS
from audit_assets.warehouse.database import columns
from audit_assets.workspace import Workspace

PERMUTATIONS = 9_999
OWN_SET = {"artist": "criteria", "untrained_artist": "joint", "random_name": "joint", "nonsense": "joint"}


def scores(by_subject: pd.DataFrame, matching: pd.DataFrame, verdicts: pd.DataFrame) -> pd.DataFrame:
    """One row a model version, encoder and subject: images, correct (in the label set of the subject's kind), AUC, verdict."""
    keys = ["model_version", "encoder", "subject"]
    own = by_subject[by_subject["label_set"] == by_subject["kind"].map(OWN_SET)]
    auc = matching[
        (matching["test"] == "rank_sum_exact") & (matching["alternative"] == "closer") & (matching["control"] == "none")
    ]
    table = verdicts[[*keys, "kind", "verdict"]].merge(
        own[[*keys, "label_set", "images", "correct"]], on=keys, how="left"
    )
    return table.merge(auc[[*keys, "auc"]], on=keys, how="left")


def by_subject(scored: pd.DataFrame, versions: Sequence[str], *, protocol: Protocol) -> pd.DataFrame:
    """Every pair of versions, subject by subject; p adjusted by Benjamini-Hochberg over the subjects of one kind."""
    tables = []
    for before, after in combinations(versions, 2):
        for encoder in scored["encoder"].drop_duplicates():
            first, second = (
                scored[(scored["model_version"] == v) & (scored["encoder"] == encoder)] for v in (before, after)
            )
            both = first.merge(second, on=["encoder", "subject", "kind"], suffixes=("", "_later"))
            counts = [
                both[c].fillna(0).to_numpy(dtype=float) for c in ("correct", "images", "correct_later", "images_later")
            ]
            found = newcombe_differences(*counts, margin=protocol.comparison.changed)
            table = pd.DataFrame(
                {
                    "protocol": protocol.name,
                    "model_version": before,
                    "later_version": after,
                    "successive": versions.index(after) - versions.index(before) == 1,
                    "encoder": encoder,
                    "subject": both["subject"],
                    "kind": both["kind"],
                    "label_set": both["label_set"],
                    "images": both["images"],
                    "later_images": both["images_later"],
                    "accuracy": both["correct"] / both["images"],
                    "later_accuracy": both["correct_later"] / both["images_later"],
                    "difference": found.difference,
                    "low": found.low,
                    "high": found.high,
                    "p_value": found.p_value,
                    "changed": found.changed,
                    "auc": both["auc"],
                    "later_auc": both["auc_later"],
                    "verdict": both["verdict"],
                    "later_verdict": both["verdict_later"],
                }
            )
            table["p_adjusted"] = table.groupby("kind")["p_value"].transform(
                lambda p: adjust(p.to_numpy(), "benjamini_hochberg")
            )
            tables.append(table[columns("model_comparison_by_subject")])
    return (
        pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns("model_comparison_by_subject"))
    )


def overall(compared: pd.DataFrame, *, protocol: Protocol) -> pd.DataFrame:
    """Every pair of versions and kind of subject: mean change of accuracy and of AUC over the same subjects, from `by_subject`."""
    lines: list[dict[str, Any]] = []
    keys = ["protocol", "model_version", "later_version", "successive", "encoder", "kind"]
    for key, rows in compared.groupby(keys, sort=False):
        for measure in ("accuracy", "auc"):
            before, after = rows[measure].to_numpy(dtype=float), rows[f"later_{measure}"].to_numpy(dtype=float)
            if np.count_nonzero(~np.isnan(after - before)) < 2:
                continue
            found = paired_difference(
                before,
                after,
                margin=protocol.comparison.equivalent,
                permutations=PERMUTATIONS,
                rng=np.random.default_rng([protocol.seed, 7]),
            )
            lines.append(
                {
                    **dict(zip(keys, key, strict=True)),
                    "measure": measure,
                    "subjects": found.subjects,
                    "difference": found.difference,
                    "low": found.low,
                    "high": found.high,
                    "p_value": found.p_value,
                    "p_floor": found.p_floor,
                    "equivalent": found.equivalent,
                    "equivalence_margin": protocol.comparison.equivalent,
                    "changed": int(rows["changed"].sum()) if measure == "accuracy" else None,
                    "verdicts_changed": int((rows["verdict"] != rows["later_verdict"]).sum()),
                }
            )
    return pd.DataFrame(lines, columns=columns("model_comparison")).astype({"changed": "Int32"})


def trends(scored: pd.DataFrame, versions: Sequence[str], *, protocol: Protocol) -> pd.DataFrame:
    """Over three versions or more: mean change from one version to the next, for each encoder, kind and measure."""
    lines = []
    scored = scored.assign(accuracy=scored["correct"] / scored["images"])
    for (encoder, kind), rows in scored.groupby(["encoder", "kind"], sort=True):
        for measure in ("accuracy", "auc"):
            wide = rows.pivot_table(index="model_version", columns="subject", values=measure, dropna=False)
            values = wide.reindex(list(versions)).to_numpy(dtype=float)
            if len(versions) < 3 or np.count_nonzero(~np.isnan(values).any(axis=0)) < 2:
                continue
            slope, p = trend(values, permutations=PERMUTATIONS, rng=np.random.default_rng([protocol.seed, 8]))
            lines.append((protocol.name, encoder, kind, measure, len(versions), slope, p))
    return pd.DataFrame(lines, columns=columns("model_trends"))


PER_MODEL = (IDENTIFICATION, MATCHING, VERDICTS, SENSITIVITY)
MODEL_TABLES = tuple(table for recipe in PER_MODEL for table in recipe.tables)
"""The result tables that have one file per model version."""
_COMPARED = ("identification_by_subject", "matching_by_subject", "verdicts")


def audited(ws: Workspace) -> list[str]:
    """Model versions whose results exist, in the order of audit.yaml. InputError if a result is damaged."""
    models = [m.name for m in ws.audit.models]
    return [m for m in models if all(ws.warehouse.made(f"{table}/{m}") for table in MODEL_TABLES)]


def _sources(ws: Workspace, model: str) -> list[str]:
    return [f"{t}/{v}" for v in audited(ws) for t in _COMPARED]


def _make(ws: Workspace, model: str) -> dict[str, pd.DataFrame]:
    versions = audited(ws)
    scored = scores(*(ws.warehouse.read_all([f"{t}/{v}" for v in versions]) for t in _COMPARED))
    compared = by_subject(scored, versions, protocol=ws.protocol)
    return {
        "model_comparison": overall(compared, protocol=ws.protocol),
        "model_comparison_by_subject": compared,
        "model_trends": trends(scored, versions, protocol=ws.protocol),
    }


COMPARISON = Recipe(
    ("model_comparison", "model_comparison_by_subject", "model_trends"), _sources, _make, per_model=False
)
"""Every pair of audited versions, in the order of audit.yaml."""
