"""The parts of an audit that were left out, each with its reason: a model version, an encoder, an artist, a real work.

Each failure has one small table, `left_out/<stage>/<keys>`. The stage that fails writes it, and the same stage deletes it
when the part succeeds. The next run therefore tries the part again, and every reader knows what it does not see.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import pandas as pd

from audit_assets.errors import without_addresses
from audit_assets.hashing import digest
from audit_assets.warehouse.places import each
from audit_assets.warehouse.store import Warehouse

FOLDER = "left_out"
MODEL, ENCODER, ARTIST, WORK = "model version", "encoder", "artist", "real work"


@dataclass(frozen=True)
class LeftOut:
    """One part that was left out. A key that does not apply is empty."""

    part: str
    reason: str
    stage: str
    model_version: str = ""
    encoder: str = ""
    subject: str = ""

    @property
    def name(self) -> str:
        """Return the part by the keys that it has, as people read them."""
        return ", ".join(key for key in (self.model_version, self.encoder, self.subject) if key)


_PATH = re.compile(r"(?<![\w.:/])/(?:[^\s/'\"]+/)+([^\s/'\"]*)")
COLUMNS = tuple(field.name for field in fields(LeftOut))


def portable_reason(reason: str, base: Path | None = None) -> str:
    """Return a reason without what differs from machine to machine and from run to run: paths, and addresses of objects in memory.

    A file keeps its name, and the folders below `base`.
    """
    own = without_addresses(reason if base is None else reason.replace(f"{base}/", ""))
    return _PATH.sub(lambda found: found[1], own)


def leave_out(warehouse: Warehouse, where: str, parts: Sequence[LeftOut], base: Path) -> None:
    """Record what a stage left out at `where`, in place of what it recorded there before.

    The record is published and exported, so it has no path of this machine beyond `base`, the folder of the audit file.
    """
    if not parts:
        take_back(warehouse, where)
        return
    rows = [{**asdict(part), "reason": portable_reason(part.reason, base)} for part in parts]
    inputs = digest(rows)
    if warehouse.inputs(f"{FOLDER}/{where}") != inputs:
        warehouse.write(f"{FOLDER}/{where}", pd.DataFrame(rows, columns=list(COLUMNS)).astype("str"), inputs)


def take_back(warehouse: Warehouse, where: str) -> None:
    """Delete the record at `where`, because the part succeeded."""
    warehouse.path(f"{FOLDER}/{where}").unlink(missing_ok=True)


def records(warehouse: Warehouse) -> dict[str, list[LeftOut]]:
    """Return the name of each record's table and what it holds, in the order of the names."""
    root = warehouse.root
    found = sorted(
        path.relative_to(root).as_posix().removesuffix(".parquet") for path in (root / FOLDER).rglob("*.parquet")
    )
    names = [name for name in found if not name.rsplit("/", 1)[-1].startswith(".")]
    kept = [name for name, inputs in zip(names, warehouse.all_inputs(names), strict=True) if inputs is not None]
    tables = each(root, warehouse.read, kept)
    return {
        name: [LeftOut(**{str(k): str(v) for k, v in row.items()}) for row in table[list(COLUMNS)].to_dict("records")]
        for name, table in zip(kept, tables, strict=True)
    }
