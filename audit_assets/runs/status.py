"""What of an audit is made, missing or left out, its roots, and the room that it takes. This only reads, also during a run.

Parts are counted by the names of their files, so that 100,000 cells take a moment. What each file was made from is not compared.
"""

import fcntl
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from audit_assets.config import ModelEntry, load_audit, load_protocol
from audit_assets.errors import InputError
from audit_assets.evidence.manifest import manifest_file, read_manifest
from audit_assets.generation.stage import ImitationStage
from audit_assets.results.auditability import AUDITABILITY
from audit_assets.results.comparison import COMPARISON, MODEL_TABLES
from audit_assets.warehouse import layout
from audit_assets.warehouse.images import ImageStore
from audit_assets.warehouse.left_out import ENCODER, LeftOut
from audit_assets.warehouse.places import ObjectPath
from audit_assets.warehouse.store import Warehouse
from audit_assets.workspace import Workspace

ONCE = ("artist_roster", "controls", "subjects", "model_versions", "encoders", *AUDITABILITY.tables, *COMPARISON.tables)
"""Tables that an audit has once."""


@dataclass(frozen=True)
class Count:
    """How many of some parts are made."""

    made: int
    wanted: int

    def __str__(self) -> str:
        return f"{self.made:,} of {self.wanted:,}"


@dataclass(frozen=True)
class Version:
    """One model version of audit.yaml, or one that is only in the warehouse."""

    name: str
    state: str
    images: Count
    embeddings: Count
    """One table per subject and encoder."""
    results: Count
    report: bool
    root: str
    """The root of its manifest, or why there is none."""


@dataclass(frozen=True)
class Status:
    """One look at an audit."""

    file: Path
    warehouse: Path
    made: bool
    """Whether the warehouse exists."""
    running: int
    """The number of runs that the command line drives now."""
    subjects: Mapping[str, int]
    """Kind -> number. Empty if the subjects are not chosen yet."""
    works: Count
    """Artists whose real works were read, of those who have a folder of works."""
    versions: tuple[Version, ...]
    missing: tuple[str, ...]
    """Tables and files that an audit has once, and that are not made."""
    left_out: tuple[LeftOut, ...]
    room: Mapping[str, int]
    """Kind of file -> bytes; empty for a warehouse in S3."""
    free: int | None
    """Bytes that are free on the disk of the warehouse; None for a warehouse in S3."""


def status_of(config: Path) -> Status:
    """Look at an audit. InputError if its file cannot be read, or its warehouse is that of another one."""
    audit = load_audit(config)
    root = audit.local(audit.warehouse)
    layout.refuse_another(root, audit.file)
    # Not `Workspace.open`, which brings an older warehouse up to date.
    ws = Workspace(audit, load_protocol(audit), Warehouse(root), ImageStore(root / "images"))
    here, home = root.is_dir(), audit.dagster_home
    on_disk = here and not isinstance(root, ObjectPath)
    chosen = here and ws.warehouse.inputs("subjects") is not None
    kinds = ws.subjects()["kind"].astype(str).value_counts().items() if chosen else ()
    referenced = ws.referenced() if chosen else []
    left_out = list(dict.fromkeys(part for parts in ws.left_out().values() for part in parts)) if here else []
    return Status(
        file=audit.file,
        warehouse=root,
        made=here,
        running=_running(home / "drivers"),
        subjects={str(kind): int(number) for kind, number in kinds},
        works=Count(len(_tables(root / "reference_works") & set(referenced)), len(referenced)),
        versions=tuple(_versions(ws, chosen, left_out)),
        missing=tuple(_missing(root)) if here else (),
        left_out=tuple(left_out),
        room=_room(root, home) if on_disk else {},
        free=shutil.disk_usage(root).free if on_disk else None,
    )


def _versions(ws: Workspace, chosen: bool, left_out: list[LeftOut]) -> Iterable[Version]:
    root = ws.warehouse.root
    asked = ImitationStage(ws).asked() if chosen else {}
    for entry in ws.audit.models:
        gone = {p.encoder for p in left_out if p.part == ENCODER and p.model_version in ("", entry.name)}
        encoders = [e.name for e in ws.audit.encoders if e.name not in gone]
        drawn = _tables(root / "imitations" / entry.name)
        embedded = sum(len(_tables(root / "imitation_embeddings" / e / entry.name) & asked.keys()) for e in encoders)
        yield Version(
            name=entry.name,
            state=_state(entry),
            images=Count(sum(n for subject, n in asked.items() if subject in drawn), sum(asked.values())),
            embeddings=Count(embedded, len(asked) * len(encoders)),
            results=Count(
                sum((root / f"{table}/{entry.name}.parquet").exists() for table in MODEL_TABLES), len(MODEL_TABLES)
            ),
            report=(root / "reports" / entry.name / "report.html").exists(),
            root=_root(ws, entry.name),
        )


def _state(entry: ModelEntry) -> str:
    return "retired" if entry.retired else "approved" if entry.approved else "not approved"


def _root(ws: Workspace, model: str) -> str:
    file = manifest_file(ws.warehouse, model)
    if not file.exists():
        return "no manifest"
    try:
        return read_manifest(file).root
    except InputError as error:
        return f"NOT READABLE: {error}"


def _tables(folder: Path) -> set[str]:
    """The tables of a folder, by name. A file that is being written has a name that begins with a dot."""
    return {path.stem for path in folder.glob("*.parquet") if not path.name.startswith(".")}


def _missing(root: Path) -> list[str]:
    there = _tables(root)
    found = [name for name in ONCE if name not in there]
    return found if (root / "audit.duckdb").exists() else [*found, "audit.duckdb"]


def _room(root: Path, home: Path) -> dict[str, int]:
    """Bytes of the files of a warehouse by kind, and of Dagster's history."""
    kinds = {"images": "images", "reports": "reports", "manifests": "manifests"} | dict.fromkeys(
        ("audit.duckdb", "audit.embeddings"), "database"
    )
    found = dict.fromkeys(["images", "tables", "database", "reports", "manifests", "Dagster's history"], 0)
    with os.scandir(root) as entries:
        for entry in entries:
            if entry.path != str(home):
                found[kinds.get(entry.name, "tables")] += _bytes(Path(entry.path))
    found["Dagster's history"] = _bytes(home)
    return found


def _bytes(path: Path) -> int:
    """The size of a file, or of all files in a folder. A file that a run replaces meanwhile is not counted."""
    if not path.is_dir():
        files: Iterable[str] = [str(path)]
    else:
        files = (os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names)
    total = 0
    for file in files:
        try:
            total += os.stat(file, follow_symlinks=False).st_size
        except FileNotFoundError:
            continue
    return total


def _running(folder: Path) -> int:
    """The number of drivers at work: each holds a lock while it lives. Nothing is written, and no lock is kept."""
    return sum(_is_held(lock) for lock in folder.glob("*.lock"))


def _is_held(lock: Path) -> bool:
    try:
        opened = os.open(lock, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(opened)
