"""What a reader must know of an audit's inputs: what was assumed, passed over, or differs from the protocol, one sentence each.

The stage that reads an input keeps its notes in a small table. The published table `notes` has them all.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from audit_assets.hashing import digest
from audit_assets.warehouse.left_out import portable_reason
from audit_assets.warehouse.store import Warehouse

ROSTER, WORKS, LABELS = "artists and captions", "real works", "names as labels"
"""Places of notes. The other places are model versions, whose names have no space."""


def notes_on(place: str) -> str:
    """Return the name of the table of the notes on one place."""
    return f"notes/{place.replace(' ', '_')}" if place in (ROSTER, WORKS, LABELS) else f"notes/models/{place}"


def are_kept(warehouse: Warehouse, place: str, notes: Sequence[str], base: Path) -> bool:
    """Return whether the table of a place has exactly these notes."""
    return warehouse.inputs(notes_on(place)) == digest(_rows(place, notes, base))


def keep_notes(warehouse: Warehouse, place: str, notes: Sequence[str], base: Path) -> None:
    """Write the notes on a place in place of earlier ones. They are published, so they have no path beyond `base`."""
    rows = _rows(place, notes, base)
    if warehouse.inputs(notes_on(place)) != digest(rows):
        warehouse.write(notes_on(place), pd.DataFrame(rows, columns=["place", "note"]).astype("str"), digest(rows))


def _rows(place: str, notes: Sequence[str], base: Path) -> list[dict[str, str]]:
    return [{"place": place, "note": portable_reason(note, base)} for note in dict.fromkeys(notes)]
