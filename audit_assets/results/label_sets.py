"""Define the label sets of the published schema: which names compete for an image, and which of them an encoder does not read."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from audit_assets.config import EncoderEntry, Protocol
from audit_assets.roster.parts import unread
from audit_assets.warehouse.store import vectors
from audit_assets.workspace import Workspace


def label_sets(subjects: pd.DataFrame) -> dict[str, list[str]]:
    """List the subjects of every label set, as the published schema defines it. Empty sets are left out."""
    prompted = subjects[subjects["kind"] != "background"]
    control = prompted["kind"] == "random_name"
    shares = prompted["shares_name_parts"].astype("boolean").fillna(False).astype(bool)
    sets = {
        "criteria": in_roster(prompted, "criteria"),
        "most_mentioned": in_roster(prompted, "most_mentioned"),
        "random_names": control & ~shares,
        "recombined_names": control & shares,
        "joint": prompted["kind"].notna(),
    }
    named = {name: prompted.loc[mask.astype(bool), "subject"].tolist() for name, mask in sets.items()}
    return {name: members for name, members in named.items() if members}


def in_roster(subjects: pd.DataFrame, roster: str) -> pd.Series:
    return subjects["rosters"].map(lambda rosters: roster in list(rosters)).astype(bool)


def label_counts(subjects: pd.DataFrame, protocol: Protocol) -> dict[str, int]:
    """Count the labels in each set with the default labels; the paper has 73."""
    return {name: len(members) + len(protocol.default_labels) for name, members in label_sets(subjects).items()}


def labels_of_strata(subjects: pd.DataFrame, strata: Mapping[str, str]) -> Counter[tuple[str, str]]:
    """Count the subjects of each label set and stratum: (label set, stratum) -> number."""
    return Counter((name, strata[subject]) for name, members in label_sets(subjects).items() for subject in members)


def label_embeddings(labels: pd.DataFrame, members: Sequence[str], template: int) -> tuple[list[str], np.ndarray]:
    """Return the names (members, then defaults) and embeddings (labels, d) of one label set for one template."""
    default = labels["label"].str.startswith("default:")
    own = labels[(labels["template"] == template) & ~default].set_index("label").loc[list(members)].reset_index()
    chosen = pd.concat([own, labels[default]], ignore_index=True)
    return chosen["label"].tolist(), vectors(chosen["embedding"])


def unread_names(labels: pd.DataFrame, subjects: pd.DataFrame) -> frozenset[str]:
    """The subjects of whose names an encoder reads no word in the label of some template. `labels` has label, text and lost."""
    names = dict(zip(subjects["subject"].astype(str), subjects["name"].astype(str), strict=True))
    own = labels[labels["label"].isin(list(names)) & (labels["lost"] != "")]
    rows = zip(own["label"].astype(str), own["text"].astype(str), own["lost"].astype(str), strict=True)
    return frozenset(subject for subject, text, lost in rows if unread(names[subject], text, lost))


def not_read(ws: Workspace, encoder: EncoderEntry) -> frozenset[str]:
    """The subjects of whose names an encoder of this audit reads no word; none if it has no text side."""
    if encoder.kind != "image_text":
        return frozenset()
    return unread_names(ws.warehouse.read(f"label_embeddings/{encoder.name}", ["label", "text", "lost"]), ws.subjects())
