"""What the scanned captions say of one artist: how many name the artist, in which files, and a few of them with the addresses of their images.

Captions are texts beside images on the web, from which models are trained. Whether the audited model was trained on these files is the
auditor's statement. Captions and addresses are other people's: they are shown as text, never as links, and nothing is fetched.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from audit_assets.publication.queries import database as read
from audit_assets.publication.words.numbers import counted, isolated, known, shown, true
from audit_assets.publication.words.table import Table, columns
from audit_assets.untrusted.terminal import one_line

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
    samples = _listed(row["samples"])
    said = [
        f"Of {total:,.0f} scanned captions, {mentions:,.0f} {'names' if mentions == 1 else 'name'} {name}. Copies of the same address and text count once"
        + (f" ({counted(copies, 'further copy', 'further copies')})." if copies else "."),
        "A caption that names an artist shows that such a pair of image and text was offered for training. It does not show that the model was trained "
        "on it, or that the image is by the artist.",
    ]
    if not judged.empty:
        said.insert(1, _judged(judged.iloc[0].to_dict(), name))
    if str(row["note"] or ""):
        said.append(f"Not counted: {row['note']}")
    if samples:
        said += [_chosen(len(samples), mentions), _addresses(files)]
    return Captions([s for s in said if s], _places(samples), _files(files))


def _chosen(shown_here: int, mentions: float) -> str:
    if shown_here >= mentions:
        return "The table shows all of these captions."
    return (
        f"The table shows {shown_here} of these captions: those with the smallest hash of address and text. So no person chose them, and anybody "
        "who has the caption files can find the same ones."
    )


def _addresses(files: pd.DataFrame) -> str:
    """Whether the files have addresses, and what a reader must know of those that are shown."""
    without = [str(f["shard"]) for f in files.to_dict("records") if not true(f["addresses"])]
    if len(without) == len(files):
        return "The captions carry no addresses: no scanned file has a column of them. The file and the row show where each caption is."
    said = (
        "An address is that of the image beside the caption, as the caption file has it. The audit opened no address: it does not know what lies there "
        "today. So the addresses are text, and not links."
    )
    if without:
        others = f" and {len(without) - 1} more" if len(without) > 1 else ""
        said += f" Captions of {isolated(without[0])}{others} carry no addresses: the file has no column of them."
    return said


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
    """Captions that name the subject, with the address of the image if the file has a column of addresses."""
    return Table(
        "Captions that name the artist. A character that a screen would obey, such as an end of line, is written as its code.",
        columns(
            "Caption", "Address of the image", "Caption file", "Row", number=("Row",), code=("Address of the image",)
        ),
        [
            (one_line(shown(s["caption"])), one_line(shown(s["url"])) or "none", str(s["shard"]), str(s["row"]))
            for s in samples
        ],
    )


def _files(files: pd.DataFrame) -> Table:
    return Table(
        "Every caption file that was scanned.",
        columns(
            "Caption file", "Data set", "Captions", "That name somebody", "Column of addresses", "SHA-256",
            number=("Captions", "That name somebody"), code=("SHA-256",),
        ),
        [
            (str(f["shard"]), shown(f["dataset"]) or "–", shown(f["rows_kept"]), shown(f["rows_naming"]),
             one_line(shown(f["url_column"])) if true(f["addresses"]) else "none", str(f["sha256"]))
            for f in files.to_dict("records")
        ],
    )  # fmt: skip
