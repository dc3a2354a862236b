"""What the scanned captions say of one artist: how many name the artist, in which files, and examples of them.

Captions are texts beside images on the web, from which models are trained. Whether the audited model was trained on these files is the
auditor's statement.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from audit_assets.publication.queries import database as read
from audit_assets.publication.words.numbers import counted, isolated, known, shown, true
from audit_assets.publication.words.table import Table, columns

Row = Mapping[Any, Any]


@dataclass(frozen=True)
class Captions:
    sentences: list[str]
    places: Table
    files: Table


def captions(connection: read.Connection, subject: Row) -> Captions:
    """What the published tables say of the captions that name a subject."""
    name = isolated(str(subject["name"]))
    files = read.rows(connection, "SELECT * FROM caption_shards ORDER BY shard")
    found = read.rows(connection, "SELECT * FROM artist_mentions WHERE name = $name", {"name": str(subject["name"])})
    if files.empty or found.empty:
        why = "No caption file was scanned." if files.empty else f"The scanned captions were not searched for {name}."
        return Captions([f"{why} So the audit has no figures on the training data."], _places([]), _files(files))
    row = found.iloc[0].to_dict()
    judged = read.rows(
        connection,
        "SELECT * FROM artist_roster WHERE subject = $subject ORDER BY rank LIMIT 1",
        {"subject": str(subject["subject"])},
    )
    mentions, copies = known(row["mentions"]) or 0, known(row["duplicates"]) or 0
    total = files["rows_kept"].sum()
    said = [
        f"Of {total:,.0f} scanned captions, {mentions:,.0f} {'names' if mentions == 1 else 'name'} {name}. Copies of the same address and text count once"
        + (f" ({counted(copies, 'further copy', 'further copies')})." if copies else "."),
        "A caption that names an artist shows that such a pair of image and text was offered for training. It does not show that the model was trained "
        "on it, or that the image is by the artist.",
    ]
    examples: list[str] = []
    if not judged.empty:
        own = judged.iloc[0].to_dict()
        said.insert(1, _judged(own, name))
        examples = [str(text) for text in _listed(own["sample_captions"])]
    if str(row["note"] or ""):
        said.append(f"Not counted: {row['note']}")
    if examples:
        said.append("For example: " + "; ".join(f"“{isolated(text)}”" for text in examples) + ".")
    return Captions([s for s in said if s], _places(_listed(row["samples"])), _files(files))


def _judged(row: Row, name: str) -> str:
    examined, art, other = (known(row[c]) for c in ("captions_examined", "art", "someone_else"))
    if not examined or art is None or other is None:
        return ""
    said = (
        f"Of {counted(examined, 'caption')} whose words were examined, {art:.0f} {'speaks' if art == 1 else 'speak'} of art by {name}, {other:.0f} of another person of this name, "
        f"and {examined - art - other:.0f} {'leaves' if examined - art - other == 1 else 'leave'} it open."
    )
    if true(row["name_collision"]):
        said += " Most of the clear captions mean another person: a person must check them."
    return said


def _listed(value: Any) -> list[Any]:
    return [] if value is None or (not hasattr(value, "__len__") and pd.isna(value)) else list(value)


def _places(samples: list[Any]) -> Table:
    """The first captions that name the subject, by file and row. ``url`` is recorded if the file has a column of addresses."""
    return Table(
        "The first captions that name the artist, by caption file and row.",
        columns("Caption file", "Row", "Address of the image", number=("Row",), code=("Address of the image",)),
        [(str(s["shard"]), str(s["row"]), shown(s.get("url")) or "–") for s in samples],
    )


def _files(files: pd.DataFrame) -> Table:
    return Table(
        "Every caption file that was scanned.",
        columns("Caption file", "Data set", "Captions", "That name somebody", "SHA-256", number=("Captions", "That name somebody"), code=("SHA-256",)),
        [
            (str(f["shard"]), shown(f["dataset"]) or "–", shown(f["rows_kept"]), shown(f["rows_naming"]), str(f["sha256"]))
            for f in files.to_dict("records")
        ],
    )  # fmt: skip
