"""Compare each prompted subject with the control names of its stratum: the rows hold the first of the three answers."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd

from audit_assets.config import Protocol
from audit_assets.measurement.name_controls import RANKS, beside_names, beside_recombined, label_set_to_use
from audit_assets.results.label_sets import label_counts, labels_of_strata
from audit_assets.results.recipe import together
from audit_assets.roster.parts import name_parts
from audit_assets.roster.strata import strata_of
from audit_assets.roster.subjects import CONTROL_KINDS
from audit_assets.warehouse.database import columns

_OWN_SETS = ("criteria", "random_names")
"""Label sets in the paper's design: artists among artists, names among names. A recombined name competes in `joint`, where the artists
whose parts it has compete too: among recombined names alone, a part would win because its artist does not compete."""


COUNTED = [
    "encoder", "model_version", "label_set", "subject", "template", "label_template", "predicted_label", "correct", "margin"
]  # fmt: skip
"""The columns of `identification_trials` that are read here."""


def beside_control_names(
    trials: pd.DataFrame,
    subjects: pd.DataFrame,
    *,
    protocol: Protocol,
    unread: Mapping[str, Collection[str]],
) -> pd.DataFrame:
    """Make the table `name_controls`: it compares every prompted subject with the control names of its stratum.

    It has one row per subject and encoder. `unread` lists, per encoder, the subjects of whose names the encoder reads no word.

    A subject competes in its own label set if control names compete against equally many labels, of which no more are of its
    stratum, else in `joint`.
    """
    return in_both_ranks(trials, subjects, protocol=protocol, unread=unread)[columns("name_controls")]


def in_both_ranks(
    trials: pd.DataFrame,
    subjects: pd.DataFrame,
    *,
    protocol: Protocol,
    unread: Mapping[str, Collection[str]],
    withheld: Mapping[str, int] | None = None,
) -> pd.DataFrame:
    """Make `name_controls` with the columns ``RANKS``: what each of the two ranks asks for, of which the table has the larger.

    `withheld`: how many images of each subject were withheld. The rows are then those of the best case: every withheld image is shown,
    identified, and taken for the subject's own label. The control names stay as they are.
    """
    strata, labels = strata_of(subjects), label_counts(subjects, protocol)
    of_stratum = labels_of_strata(subjects, strata)
    control_labels = labels.get("random_names", 0)
    joint = labels["joint"]
    tables = []
    for (encoder, model), of_encoder in trials.groupby(["encoder", "model_version"], sort=True):
        counts, fell = _counted(of_encoder), fallen(of_encoder)
        chosen = []
        for subject, name, kind in zip(subjects["subject"], subjects["name"], subjects["kind"], strict=True):
            if kind == "background":
                continue
            own = next((s for s in _OWN_SETS if (s, subject) in counts.index), None)
            stratum = strata[subject]
            in_stratum = of_stratum[own or "joint", stratum], of_stratum["random_names", stratum]
            used = (
                own if own and label_set_to_use(labels[own], control_labels, joint, in_stratum)[0] == "own" else "joint"
            )
            chosen.append((subject, name, kind, used))
        table = pd.DataFrame(chosen, columns=["subject", "name", "kind", "label_set"])
        keys = pd.MultiIndex.from_frame(table[["label_set", "subject"]])
        table[["shown", "identified", "margin"]] = counts.reindex(keys).to_numpy()
        table[["shown", "identified"]] = table[["shown", "identified"]].fillna(0).astype("int64")
        table["labels"] = table["label_set"].map(labels)
        table["label_kind"] = np.where(table["label_set"] == "joint", "joint", "own")
        table["stratum"] = table["subject"].map(strata)
        table["unread"] = table["subject"].isin(unread.get(str(encoder), ()))
        beside = _beside(table, counts, fell, subjects, labels, withheld)
        tables.append(beside.assign(protocol=protocol.name, model_version=str(model), encoder=str(encoder)))
    return together(tables, [*columns("name_controls"), *RANKS])


def at_best(table: pd.DataFrame, withheld: Mapping[str, int]) -> pd.DataFrame:
    """Count the withheld images of each subject among its shown ones, those identified, and those that fall to its own label.

    They may win a tie too, so the margin is as large as can be.
    """
    more = table["subject"].astype(str).map(withheld).fillna(0).astype("int64")
    counted = {c: table[c] + more for c in ("shown", "identified", "own_label")}
    return table.assign(**counted, margin=table["margin"].mask(more > 0, np.inf))


def _counted(trials: pd.DataFrame) -> pd.DataFrame:
    """Count shown and identified images per (label_set, subject), and take the mean margin of the shown images."""
    own = trials[(trials["template"] == trials["label_template"]) & (trials["template"] >= 0)]
    own = own[own["predicted_label"].notna()]  # a blank image shows nothing
    groups = own.groupby(["label_set", "subject"], observed=True)
    return groups.agg(shown=("correct", "size"), identified=("correct", "sum"), margin=("margin", "mean"))


def fallen(trials: pd.DataFrame) -> pd.DataFrame:
    """Count the shown images of each subject (rows) that fall to each label (columns) among the labels of all names."""
    own = trials[trials["predicted_label"].notna()]
    if "label_set" in own.columns:
        own = own[(own["label_set"] == "joint") & (own["template"] == own["label_template"]) & (own["template"] >= 0)]
    return pd.crosstab(own["subject"].astype(str), own["predicted_label"].astype(str))


def to_labels(fell: pd.DataFrame, labels: Sequence[str], of: Sequence[str]) -> np.ndarray:
    """The counts of `fallen` as (labels, subjects of whom the images are); 0 where nothing was counted."""
    return fell.reindex(index=list(of), columns=list(labels), fill_value=0).to_numpy(dtype=np.int64).T


def _beside(
    table: pd.DataFrame,
    counts: pd.DataFrame,
    fell: pd.DataFrame,
    subjects: pd.DataFrame,
    labels: Mapping[str, int],
    withheld: Mapping[str, int] | None,
) -> pd.DataFrame:
    """Add the columns of ``beside_names`` and ``beside_recombined`` to `table`."""
    shares = subjects["shares_name_parts"].astype("boolean").fillna(False).astype(bool)
    control = subjects["kind"] == "random_name"
    read = ~subjects["subject"].isin(table.loc[table["unread"], "subject"])
    names = _as_names(subjects[control & ~shares & read], counts, labels, "random_names", strata_of(subjects))
    everyone = table["subject"].astype(str).tolist()
    table = table.assign(own_label=np.diagonal(to_labels(fell, everyone, everyone)))
    if withheld:
        table = at_best(table, withheld)
    parts = []
    for kind in ("own", "joint"):
        own, beside = table[table["label_kind"] == kind], names[names["label_kind"] == kind]
        matrix = to_labels(fell, own["subject"].astype(str).tolist(), beside["subject"].astype(str).tolist())
        parts.append(beside_names(own, beside, fell=matrix))
    found = pd.concat([p for p in parts if len(p)]).set_index("subject").loc[table["subject"]].reset_index(drop=True)
    found = found.drop(columns=["stratum", "shown", "identified"])
    recombined = _as_names(subjects[control & shares & read], counts, labels, "recombined_names", strata_of(subjects))
    own_parts = {s: name_parts(n) for s, n in zip(table["subject"], table["name"], strict=True)}
    artists = table.loc[~table["kind"].isin(CONTROL_KINDS), "subject"].tolist()
    recombined["parts_of"] = [[s for s in artists if own_parts[s] & name_parts(n)] for n in recombined["name"]]
    stricter = beside_recombined(table, recombined).drop(columns="subject")
    return pd.concat(
        [table.drop(columns=["name", "margin", "label_kind", "unread", "own_label"]), found, stricter], axis=1
    )


def _as_names(
    names: pd.DataFrame, counts: pd.DataFrame, labels: Mapping[str, int], own_set: str, strata: Mapping[str, str]
) -> pd.DataFrame:
    """List control names twice, with results in their own set and in `joint`, in the columns of ``beside_names``."""
    tables = []
    for label_set, kind in ((own_set, "own"), ("joint", "joint")):
        if label_set not in labels:
            continue
        keys = pd.MultiIndex.from_product([[label_set], names["subject"]])
        rows = pd.DataFrame(counts.reindex(keys).to_numpy(), columns=["shown", "identified", "margin"])
        rows[["shown", "identified"]] = rows[["shown", "identified"]].fillna(0).astype("int64")
        stratum = names["subject"].map(strata)
        rows["subject"], rows["name"] = names["subject"].to_numpy(), names["name"].to_numpy()
        rows["locale"] = stratum.where(stratum.str.startswith("locale ")).str.removeprefix("locale ").to_numpy()
        rows["script"] = stratum.where(stratum.str.startswith("script ")).str.removeprefix("script ").to_numpy()
        rows["labels"], rows["label_kind"] = labels[label_set], kind
        tables.append(rows)
    columns = ["shown", "identified", "margin", "subject", "name", "locale", "script", "labels", "label_kind"]
    return together(tables, columns)
