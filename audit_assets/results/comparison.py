"""Compare model versions on the same subjects, words and seeds: every pair, in the order of audit.yaml."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from audit_assets.config import Protocol
from audit_assets.measurement.comparison import newcombe_differences, paired_difference
from audit_assets.measurement.multiplicity import adjust
from audit_assets.measurement.name_controls import FEWEST_SHOWN, UNREAD
from audit_assets.measurement.versions import (
    DifferenceInDifferences,
    beyond_retraining,
    difference_in_differences,
    log_odds_differences,
    moved,
    trend,
    version_shares,
)
from audit_assets.results.arms import ARMS
from audit_assets.results.copies import COPIES
from audit_assets.results.identification import IDENTIFICATION
from audit_assets.results.label_sets import not_read
from audit_assets.results.matching import MATCHING
from audit_assets.results.ratings import RATINGS
from audit_assets.results.recipe import Recipe, is_made
from audit_assets.results.sensitivity import SENSITIVITY
from audit_assets.results.verdicts import VERDICTS
from audit_assets.warehouse.database import columns
from audit_assets.warehouse.left_out import FOLDER, MODEL
from audit_assets.workspace import Workspace

PERMUTATIONS = 9_999


def scores(
    matching: pd.DataFrame, verdicts: pd.DataFrame, unread: Mapping[str, Collection[str]] = MappingProxyType({})
) -> pd.DataFrame:
    """One row per model version, encoder and subject: images, correct, AUC, verdict.

    ``images`` counts the images that show something, and ``correct`` those of them that are identified, in the label set of the
    subject's verdict. Blank, blocked and rewritten images are no evidence: a version that withholds images of an artist did not lose
    the artist. ``unread``: per encoder, the subjects of whose names it reads no word. Their label says nothing of them, so ``correct``
    is missing.
    """
    keys = ["model_version", "encoder", "subject"]
    auc = matching[
        (matching["test"] == "rank_sum_exact") & (matching["alternative"] == "closer") & (matching["control"] == "none")
    ]
    table = verdicts[[*keys, "kind", "verdict", "label_set", "images", "identified"]]
    table = table.rename(columns={"identified": "correct"}).astype({"images": "Int32", "correct": "Int32"})
    is_read = [s not in unread.get(str(e), ()) for e, s in zip(table["encoder"], table["subject"], strict=True)]
    return table.assign(correct=table["correct"].where(np.array(is_read, dtype=bool))).merge(
        auc[[*keys, "auc"]], on=keys, how="left"
    )


def _not_compared(both: pd.DataFrame, before: str, after: str) -> list[str | None]:
    """Why the shares of a subject cannot be compared; None if they can."""
    needed = both[["label_set", "images", "label_set_later", "images_later", "correct"]]
    return [
        _too_few(before, first, one) or _too_few(after, second, two) or (UNREAD[0] if pd.isna(correct) else None)
        for first, one, second, two, correct in needed.itertuples(index=False)
    ]


def _too_few(version: str, label_set: Any, images: Any) -> str | None:
    if pd.isna(label_set):
        return f"The encoder classified no image of {version}: it reads no text, or no image exists."
    shown = 0 if pd.isna(images) else int(images)
    if shown < FEWEST_SHOWN:
        return f"{shown} images of {version} show something; a comparison needs {FEWEST_SHOWN}."
    return None


def by_subject(scored: pd.DataFrame, versions: Sequence[str], *, protocol: Protocol) -> pd.DataFrame:
    """Compare every pair of versions per subject; Benjamini-Hochberg adjusts p over the subjects of one kind."""
    tables = []
    for before, after in combinations(versions, 2):
        for encoder in scored["encoder"].drop_duplicates():
            first, second = (
                scored[(scored["model_version"] == v) & (scored["encoder"] == encoder)] for v in (before, after)
            )
            both = first.merge(second, on=["encoder", "subject", "kind"], suffixes=("", "_later"))
            reason = pd.Series(_not_compared(both, before, after), index=both.index, dtype=object)
            comparable = reason.isna()
            counts = [
                both[c].where(comparable, 0).to_numpy(dtype=float)
                for c in ("correct", "images", "correct_later", "images_later")
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
                    "accuracy": _share(both["correct"], both["images"]),
                    "later_accuracy": _share(both["correct_later"], both["images_later"]),
                    "difference": found.difference,
                    "low": found.low,
                    "high": found.high,
                    "p_value": found.p_value,
                    "changed": pd.Series(found.changed, index=both.index, dtype="boolean").where(comparable),
                    "auc": both["auc"],
                    "later_auc": both["auc_later"],
                    "verdict": both["verdict"],
                    "later_verdict": both["verdict_later"],
                    "p_beyond_retraining": np.nan,
                    "reason": reason,
                }
            )
            table["p_adjusted"] = table.groupby("kind")["p_value"].transform(
                lambda p: adjust(p.to_numpy(), "benjamini_hochberg")
            )
            tables.append(table[columns("model_comparison_by_subject")])
    return (
        pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns("model_comparison_by_subject"))
    )


def _share(correct: pd.Series, images: pd.Series) -> pd.Series:
    """Identified of shown images; NaN if no image shows something."""
    shown = images.astype("float64")
    return correct.astype("float64") / shown.where(shown > 0)


def overall(compared: pd.DataFrame, *, protocol: Protocol) -> pd.DataFrame:
    """Take the mean change of accuracy and of AUC, per pair of versions and kind of subject.

    The rows come from `by_subject`: both versions of a pair have the same subjects. The accuracy is that of the subjects who could be
    compared, and ``not_compared`` counts the others.
    """
    lines: list[dict[str, Any]] = []
    keys = ["protocol", "model_version", "later_version", "successive", "encoder", "kind"]
    for key, rows in compared.groupby(keys, sort=False):
        known = rows["reason"].isna()
        of_shares = {
            "equivalence_margin": protocol.comparison.equivalent, "changed": int(rows["changed"].sum()), "not_compared": int((~known).sum()),
        }  # fmt: skip
        for measure in ("accuracy", "auc"):
            kept = rows[known] if measure == "accuracy" else rows
            before, after = kept[measure].to_numpy(dtype=float), kept[f"later_{measure}"].to_numpy(dtype=float)
            line: dict[str, Any] = {
                **dict(zip(keys, key, strict=True)), "measure": measure,
                "verdicts_changed": int((rows["verdict"] != rows["later_verdict"]).sum()),
            }  # fmt: skip
            if measure == "accuracy":
                line |= of_shares
            subjects = int(np.count_nonzero(~np.isnan(after - before)))
            if subjects >= 2:
                found = paired_difference(
                    before, after, permutations=PERMUTATIONS, rng=np.random.default_rng([protocol.seed, 7])
                )
                line |= {name: getattr(found, name) for name in ("difference", "low", "high", "p_value", "p_floor")}
                if measure == "accuracy":
                    line["equivalent"] = version_shares(
                        *_counts(kept), margin=protocol.comparison.equivalent
                    ).equivalent
            elif measure == "auc" or len(rows) < 2 or rows["label_set"].isna().all():
                continue
            lines.append(line | {"subjects": subjects})
    return pd.DataFrame(lines, columns=columns("model_comparison")).astype(
        {"changed": "Int32", "not_compared": "Int32", "equivalent": "boolean", "equivalence_margin": "float64"}
    )


def _counts(rows: pd.DataFrame) -> list[np.ndarray]:
    """Identified and shown images of the earlier and of the later version, per subject; 0 of 0 for one that could not be compared."""
    counts = []
    for share, images in (("accuracy", "images"), ("later_accuracy", "later_images")):
        shown = rows[images].where(rows["reason"].isna(), 0).to_numpy(dtype=float)
        counts += [np.nan_to_num(np.round(rows[share].to_numpy(dtype=float) * shown)), shown]
    return counts


def declared_groups(compared: pd.DataFrame, subjects: pd.DataFrame, *, protocol: Protocol) -> pd.DataFrame:
    """Make the table `model_comparison_groups`: whether the artists who opted out moved further than the others.

    It has every pair of versions. Movement is measured in points and in log odds, because famous artists move less in
    points under a shift that is common to all artists. ``moved`` (`versions.moved`) is missing if either could not be tested.
    """
    opted_out = set(subjects.loc[subjects["opted_out"].fillna(False).astype(bool), "subject"])
    lines: list[dict[str, Any]] = []
    keys = ["protocol", "model_version", "later_version", "encoder"]
    for key, rows in compared[compared["kind"] == "artist"].groupby(keys, sort=False):
        group = rows["subject"].isin(opted_out).to_numpy()
        if not group.any():
            continue
        found = {
            "share": _moved(rows["difference"].to_numpy(dtype=float), group, protocol),
            "log_odds": _moved(log_odds_differences(*_counts(rows)), group, protocol),
        }
        found = {
            measure: _with_reason(f, rows["reason"][group if f.group == 0 else ~group]) for measure, f in found.items()
        }
        unknown = rows["reason"].notna().to_numpy()
        left = {"not_compared": int((unknown & group).sum()), "others_not_compared": int((unknown & ~group).sum())}
        verdict = moved(found["share"], found["log_odds"], alpha=protocol.matching.alpha)
        for measure, f in found.items():
            lines.append(
                {
                    **dict(zip(keys, key, strict=True)), "declared_group": "opted_out", "measure": measure, "artists": f.group,
                    "others": f.others, "difference": f.difference, "low": f.low, "high": f.high, "p_value": f.p_value,
                    "p_floor": f.p_floor, "moved": verdict, **left, "reason": f.reason, "settle": f.settle,
                }
            )  # fmt: skip
    return pd.DataFrame(lines, columns=columns("model_comparison_groups")).astype({"moved": "boolean"})


def _moved(differences: np.ndarray, group: np.ndarray, protocol: Protocol) -> DifferenceInDifferences:
    return difference_in_differences(
        differences,
        group,
        permutations=PERMUTATIONS,
        rng=np.random.default_rng([protocol.seed, 10]),
        alpha=protocol.matching.alpha,
    )


def _with_reason(found: DifferenceInDifferences, recorded: pd.Series) -> DifferenceInDifferences:
    """The recorded reason why nobody of an empty group could be compared, and its remedy: further images show nothing of a name that is
    not read."""
    if (found.group and found.others) or set(recorded) != {UNREAD[0]}:
        return found
    return replace(found, reason=f"{found.reason} {UNREAD[0]}", settle=UNREAD[1])


def with_retraining(compared: pd.DataFrame, retrainings: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """Add the p-value of each movement beside the movements of a version that was trained again on the same data.

    ``retrainings`` has the pairs (version, its retraining) that audit.yaml declares. If it declares none, p is NULL.
    """
    table = compared.assign(p_beyond_retraining=np.nan)
    pair = pd.MultiIndex.from_frame(table[["model_version", "later_version"]])
    null = pair.isin(retrainings) | pair.isin([(b, a) for a, b in retrainings])
    for (encoder, kind), rows in table.groupby(["encoder", "kind"], sort=False):
        known = table.loc[null & (table["encoder"] == encoder) & (table["kind"] == kind), "difference"].dropna()
        others = rows.index[~null[rows.index]]
        if len(known) and len(others):
            table.loc[others, "p_beyond_retraining"] = beyond_retraining(table.loc[others, "difference"], known)
    return table[columns("model_comparison_by_subject")]


def trends(scored: pd.DataFrame, versions: Sequence[str], *, protocol: Protocol) -> pd.DataFrame:
    """Take the mean change from one version to the next over three or more versions, per encoder, kind and measure."""
    lines = []
    shown = scored["images"].astype("float64")
    scored = scored.assign(accuracy=scored["correct"].astype("float64") / shown.where(shown >= FEWEST_SHOWN))
    for (encoder, kind), rows in scored.groupby(["encoder", "kind"], sort=True):
        for measure in ("accuracy", "auc"):
            wide = rows.pivot_table(index="model_version", columns="subject", values=measure, dropna=False)
            values = wide.reindex(list(versions)).to_numpy(dtype=float)
            measured = rows["label_set" if measure == "accuracy" else "auc"].notna().any()
            if len(versions) < 3 or rows["subject"].nunique() < 2 or not measured:
                continue
            if np.count_nonzero(~np.isnan(values).any(axis=0)) < 2:
                scored_by = (
                    f"have {FEWEST_SHOWN} images that show something" if measure == "accuracy" else "are matched"
                )
                reason = f"Fewer than two subjects {scored_by} in every version."
                lines.append((protocol.name, encoder, kind, measure, len(versions), np.nan, np.nan, reason))
                continue
            found = trend(values)
            reason = f"{found.reason} {found.settle}".strip()
            lines.append((protocol.name, encoder, kind, measure, len(versions), found.slope, found.p_value, reason))
    return pd.DataFrame(lines, columns=columns("model_trends"))


PER_MODEL = (COPIES, IDENTIFICATION, MATCHING, VERDICTS, SENSITIVITY, ARMS, RATINGS)
MODEL_TABLES = tuple(table for recipe in PER_MODEL for table in recipe.tables)
"""The result tables that have one file per model version."""
RESULTS = f"{FOLDER}/results/"
"""Records of results that could not be made, or that contradict what they were made from."""
_COMPARED = ("matching_by_subject", "verdicts")


def audited(ws: Workspace) -> list[str]:
    """List the model versions whose results exist, in the order of audit.yaml. Raise InputError if one is damaged.

    A version that is left out now, or retired, counts if its earlier results are those of the audit as it is now. If its
    results contradict what they were made from, it does not count.
    """
    models = [m.name for m in ws.audit.models]
    found = [m for m in models if all(ws.warehouse.made(f"{table}/{m}") for table in MODEL_TABLES)]
    left = ws.left_out()
    wrong = {part.model_version for where, parts in left.items() if where.startswith(RESULTS) for part in parts}
    asleep = {part.model_version for parts in left.values() for part in parts if part.part == MODEL}
    asleep |= {m.name for m in ws.audit.models if m.retired or not m.approved}
    return [m for m in found if m not in wrong and (m not in asleep or is_current(ws, m))]


def is_current(ws: Workspace, model: str) -> bool:
    """Say whether the results of a model version were made from what the audit has now."""
    return all(is_made(ws, recipe, model) for recipe in PER_MODEL)


def _sources(ws: Workspace, model: str) -> list[str]:
    return [f"{t}/{v}" for v in audited(ws) for t in _COMPARED]


def _results(ws: Workspace, table: str, versions: Sequence[str]) -> pd.DataFrame:
    """The rows of every version. Without any version, no rows: the comparison may run before the first version has all of its results."""
    found = ws.warehouse.read_all([f"{table}/{v}" for v in versions])
    return found if versions else pd.DataFrame(columns=columns(table))


def _retrainings(ws: Workspace) -> list[tuple[str, str]]:
    """The pairs (version, its retraining) that audit.yaml declares."""
    return [(m.retraining_of, m.name) for m in ws.audit.models if m.retraining_of]


def _make(ws: Workspace, model: str) -> dict[str, pd.DataFrame]:
    versions = audited(ws)
    unread = {e.name: not_read(ws, e) for e in ws.audit.encoders}
    matched, verdicts = (_results(ws, table, versions) for table in _COMPARED)
    scored = scores(matched, verdicts, unread)
    compared = with_retraining(by_subject(scored, versions, protocol=ws.protocol), _retrainings(ws))
    return {
        "model_comparison": overall(compared, protocol=ws.protocol),
        "model_comparison_by_subject": compared,
        "model_comparison_groups": declared_groups(compared, ws.subjects(), protocol=ws.protocol),
        "model_trends": trends(scored, versions, protocol=ws.protocol),
    }


COMPARISON = Recipe(
    ("model_comparison", "model_comparison_by_subject", "model_comparison_groups", "model_trends"),
    _sources,
    _make,
    per_model=False,
    settings=_retrainings,
)
"""Every pair of audited versions, in the order of audit.yaml."""
