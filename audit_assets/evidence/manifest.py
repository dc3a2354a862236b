"""Make the manifest of a model version.

It follows the chain caption file -> roster row -> prompt -> seed -> image -> embedding -> result row -> figure.

The manifest is one JSON file, `manifests/<model version>.json`, with the terms of the tables. It names every file with
a sha256, and `root` is the hash of all of it. If the auditor keeps that one line elsewhere, it shows any change of
anything below it. The same audit gives the same root: no clock is read, and the manifest has no path of the machine.
The root does not cover the bytes of the database, because DuckDB arranges the same rows differently each time. It
covers the rows, because it covers the tables that the rows are compared with.
"""

import json
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
from pydantic import Field, ValidationError

from audit_assets.config import Key, Protocol
from audit_assets.errors import InputError, unreadable
from audit_assets.evidence import listed
from audit_assets.evidence.audit_file import portable
from audit_assets.evidence.dated import Dated, Times, dated
from audit_assets.evidence.machine import this_machine
from audit_assets.evidence.parts import (
    Database,
    Imitation,
    InArm,
    Part,
    Reference,
    Sha256,
    Source,
    StoredFile,
    StoredTable,
    Subject,
    Work,
)
from audit_assets.evidence.software import this_version
from audit_assets.hashing import digest, sha256
from audit_assets.publication import ARTISTS
from audit_assets.publication.sealed import is_page, sealed_file
from audit_assets.publication.stage import ARTIST_PAGES, PublicationStage
from audit_assets.results.comparison import COMPARISON
from audit_assets.results.stage import RECIPES
from audit_assets.roster.subjects import prompted
from audit_assets.untrusted.bounded import read_bounded
from audit_assets.untrusted.json_text import read_json
from audit_assets.warehouse.database import files_beside, published_from
from audit_assets.warehouse.large_tables import FOLDER
from audit_assets.warehouse.places import ObjectPath, each, whole
from audit_assets.warehouse.store import Warehouse
from audit_assets.workspace import Workspace

LARGEST_MANIFEST = 1 << 30
FORMAT = 4
"""Format 1 does not say which version made the manifest; 2 and 3 (with images of arms) do not say when and by whom. They stay valid."""
MADE_ONCE = (
    "imitations",
    "imitation_embeddings",
    "reference_works",
    "reference_embeddings",
    "label_embeddings",
    "sigmoid_scores",
    "arm_images",
    "arm_embeddings",
    *(table for recipe in RECIPES if recipe is not COMPARISON for table in recipe.tables),
)
"""Tables that are written when what they are made from changed, and at no other time."""


class Manifest(Part):
    format: Literal[1, 2, 3, 4]
    model_version: Key
    made_from: Sha256
    audit: dict[str, Any]
    """The audit file, with paths as an imported audit has them."""
    protocol: dict[str, Any]
    captions: list[dict[str, Any]]
    """The rows of `caption_shards`: every caption file with its hash."""
    model: Source
    encoders: list[Source]
    subjects: list[Subject]
    references: list[Reference]
    arms: list[InArm] = Field(default_factory=list)
    tables: list[StoredTable]
    report: list[StoredFile]
    database: Database
    machine: dict[str, str]
    """The machine on which the manifest was made."""
    made_by: dict[str, str] | None = None
    """The versions of this package and of its tables that made the evidence. None in format 1."""
    dated: Dated | None = None
    """When and by whom. The root does not cover it. None before format 4."""
    root: Sha256

    def imitations(self) -> Iterable[tuple[str, Imitation]]:
        found = ((s.subject, image) for s in self.subjects for image in s.images if image.image_sha256)
        in_arms = (
            (f"{a.subject} in arm {a.arm}", image) for a in self.arms for image in a.images if image.image_sha256
        )
        return chain(found, in_arms)

    def works(self) -> Iterable[tuple[str, Work]]:
        return ((r.subject, work) for r in self.references for work in r.works if work.image_sha256)


def root_hash(content: dict[str, Any]) -> str:
    """Hash everything in a manifest except `root` itself, the bytes of the database, and when and by whom it was made."""
    rest = {key: value for key, value in content.items() if key not in ("root", "database", "dated")}
    return digest({**rest, "database": {k: content["database"][k] for k in ("path", "published_from")}})


def earlier_root_hash(content: dict[str, Any]) -> str:
    """Hash by the rule of the first version, which covered the bytes of the database too. Its manifests stay valid."""
    return digest({key: value for key, value in content.items() if key not in ("root", "dated")})


def manifest_file(warehouse: Warehouse, model: str) -> Path:
    return warehouse.root / "manifests" / f"{model}.json"


def read_manifest(path: Path) -> Manifest:
    """Read a manifest. Raise InputError if none exists, it is no manifest, or its content has another root hash."""
    try:
        kept = isinstance(path, ObjectPath)
        text = (path.read_bytes() if kept else read_bounded(path, LARGEST_MANIFEST, "manifest")).decode("utf-8")
    except FileNotFoundError:
        raise InputError(
            f"{path}: there is no manifest. It was taken away, or a version that wrote none made this audit; `audit-assets run` writes it, and keeps finished images."
        ) from None
    except OSError as error:
        raise InputError(f"{unreadable(path, error)}.") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is no text ({error}); restore it.") from None
    return parse_manifest(text, str(path))


def parse_manifest(text: str, where: str) -> Manifest:
    try:
        content = read_json(text)
        if isinstance(content, dict) and type(content.get("format")) is int and content["format"] > FORMAT:
            raise InputError(
                f"{where}: has format {content['format']}, and this version reads formats up to {FORMAT}: a newer version of "
                "audit_assets wrote it. Install that version."
            )
        manifest = Manifest.model_validate(content)
        roots = (root_hash(content), earlier_root_hash(content))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the file"
        raise InputError(f"{where}, {field}: is no manifest of this version ({first['msg']}); restore it.") from None
    except InputError:
        raise
    except (ValueError, RecursionError) as error:  # a text with half a character has no hash either
        raise InputError(f"{where}: is not JSON ({error}); restore it.") from None
    if manifest.root not in roots:
        raise InputError(f"{where}: was altered, it is not what its root hash {manifest.root} was made of; restore it.")
    return manifest


def make_manifest(ws: Workspace, model: str, times: Times | None = None) -> Manifest:
    """Return the manifest of an audited model version. Write it unless one from the same results and report exists.

    `times` are those of Dagster's log. A manifest with the same root keeps the times that it has.

    Raise InputError if a table has other bytes than in the earlier manifest though it was made from the same inputs.
    Such a table was altered, and a new manifest would hide that.
    """
    # A report publishes what it reports, and so does a manifest: a parallel run may have changed results since.
    _, report = PublicationStage(ws).report(model)
    pages = PublicationStage(ws).artist_pages()
    made_from = _made_from(ws, report, pages)
    path = manifest_file(ws.warehouse, model)
    before = read_manifest(path) if path.exists() else None
    if before is not None and _holds(ws, before, made_from):
        return _dated(ws, path, before, dated(ws.audit, times, before.dated))
    made = _manifest(ws, model, made_from)
    if before is not None:
        _check_tables_are_unaltered(path, before, made)
    same = before is not None and before.root == made.root
    return _dated(ws, path, made, dated(ws.audit, times, before.dated if before and same else None), write=True)


def is_made(ws: Workspace, model: str) -> bool:
    """Say whether `make_manifest` would write nothing. The report and the artists' pages must be those of the audit as it is now."""
    path = manifest_file(ws.warehouse, model)
    if not path.exists():
        return False
    before = read_manifest(path)
    made_from = _made_from(ws, ws.warehouse.read(f"audit_report/{model}"), ws.warehouse.read(ARTIST_PAGES))
    return _holds(ws, before, made_from) and _is_dated(ws, before)


def _is_dated(ws: Workspace, manifest: Manifest) -> bool:
    """Say whether a manifest has every time, which Dagster's log may have got since, and who makes the audit now."""
    told = manifest.dated
    if told is None or not all(getattr(told, time) for time in Times.model_fields):
        return False
    return told == dated(ws.audit, None, told)


def _made_from(ws: Workspace, report: pd.DataFrame, pages: pd.DataFrame) -> str:
    """Hash everything that the manifest of a report is made from."""
    inputs = PublicationStage(ws).inputs()
    return digest([FORMAT, this_version(), inputs, report.to_json(), pages.to_json(), portable(ws.audit)])


def _holds(ws: Workspace, before: Manifest, made_from: str) -> bool:
    """Say whether a manifest is of these inputs, of the database as it is, and of the captions as they were scanned last."""
    if before.made_from != made_from or not _same_file(ws.database, before.database):
        return False
    scans = [table for table in before.tables if table.of_a_scan]
    names = [table.path.removesuffix(".parquet") for table in scans]
    return ws.warehouse.all_inputs(names) == [table.inputs for table in scans]


def _dated(ws: Workspace, path: Path, manifest: Manifest, told: Dated, *, write: bool = False) -> Manifest:
    """The manifest with what is outside its root."""
    if write or manifest.dated != told:
        manifest = manifest.model_copy(update={"dated": told})
        _write(path, manifest)
    return manifest


def _manifest(ws: Workspace, model: str, made_from: str) -> Manifest:
    warehouse, root = ws.warehouse, ws.warehouse.root
    report = [f"reports/{model}/{row['file']}" for row in table_rows(warehouse, f"audit_report/{model}")]
    report += [f"reports/{ARTISTS}/{row['file']}" for row in table_rows(warehouse, ARTIST_PAGES)]
    arms = _arms(ws, model)
    beside = [stored_file(root, f"{FOLDER}/{name}") for name in sorted(files_beside(ws.database).values())]
    content = {
        "format": FORMAT,
        "model_version": model,
        "made_from": made_from,
        "audit": portable(ws.audit),
        "protocol": protocol_content(ws.protocol),
        **sources(ws, model),
        "subjects": _subjects(ws, model),
        "references": _references(ws, model),
        **({"arms": arms} if arms else {}),
        "tables": each(root, lambda table: _table(warehouse, *table), listed.tables(ws, model).items()),
        "report": [stored_file(root, place) for place in report],
        "database": {
            **stored_file(root, ws.database.name),
            "published_from": published_from(ws.database) or "",
            **({"embeddings": beside} if beside else {}),
        },
        "machine": this_machine(),
        "made_by": this_version(),
    }
    content = json.loads(json.dumps(content, ensure_ascii=False))
    return Manifest.model_validate({**content, "root": root_hash(content)})


def sources(ws: Workspace, model: str) -> dict[str, Any]:
    """Make the manifest's fields on caption files, model and encoders from their tables."""
    warehouse = ws.warehouse
    files = table_rows(warehouse, "model_files")
    return {
        "captions": table_rows(warehouse, "caption_shards"),
        "model": _source(table_rows(warehouse, "model_versions"), "model_version", model, files),
        "encoders": [
            _source(table_rows(warehouse, "encoders"), "encoder", e.name, table_rows(warehouse, "encoder_files"))
            for e in ws.encoders(model)
        ],
    }


def protocol_content(protocol: Protocol) -> dict[str, Any]:
    return {
        "definition": protocol.model_dump(mode="json"),
        "generation_hash": protocol.generation_hash,
        "measurement_hash": protocol.measurement_hash,
    }


def table_rows(warehouse: Warehouse, table: str) -> list[dict[str, Any]]:
    """Return a table's rows in plain Python, with None for NULL."""
    return list(pa.Table.from_pandas(warehouse.read(table), preserve_index=False).to_pylist())


def stored_file(root: Path, path: str) -> dict[str, Any]:
    """Read a file below `root` and return its entry, of a page without its block. Raise InputError if it cannot be read."""
    try:
        size, digest_of = sealed_file(root / path) if is_page(root / path) else (None, sha256(root / path))
        return {"path": path, "bytes": (root / path).stat().st_size if size is None else size, "sha256": digest_of}
    except FileNotFoundError:
        raise InputError(f"{root / path}: is missing; materialize what it belongs to again.") from None
    except OSError as error:
        raise InputError(f"{unreadable(root / path, error)}.") from None


def _same_file(file: Path, entry: StoredFile) -> bool:
    return file.is_file() and sha256(file) == entry.sha256


def _table(warehouse: Warehouse, table: str, name: str | None) -> dict[str, Any]:
    return {
        **stored_file(warehouse.root, f"{table}.parquet"),
        "rows": warehouse.row_count(table),
        "inputs": warehouse.inputs(table) or "",
        "published_as": name,
    }


def _source(rows: list[dict[str, Any]], key: str, name: str, files: list[dict[str, Any]]) -> dict[str, Any]:
    (row,) = (row for row in rows if row[key] == name)
    own = [{k: v for k, v in file.items() if k != "name"} for file in files if file["name"] == name]
    return {"row": row, "files": own}


def _subjects(ws: Workspace, model: str) -> list[dict[str, Any]]:
    samples = {row["name"]: row["samples"] or [] for row in table_rows(ws.warehouse, "artist_mentions")}
    own = pa.Table.from_pandas(prompted(ws.subjects()), preserve_index=False).to_pylist()
    tables = listed.subjects(ws, model)

    def entry(row: dict[str, Any]) -> dict[str, Any]:
        files = tables[row["subject"]]
        return {
            "subject": row["subject"],
            "name": row["name"],
            "kind": row["kind"],
            "rosters": list(row["rosters"] or []),
            "mentions": row["mentions"],
            "captions": [{"shard": s["shard"], "row": s["row"]} for s in samples.get(row["name"], [])],
            "imitations": files.rows,
            "images": [_image(ws, image) for image in _rows_of(ws, files)],
            "embeddings": files.embeddings,
        }

    return each(ws.warehouse.root, entry, own)


def _arms(ws: Workspace, model: str) -> list[dict[str, Any]]:
    kinds = {(arm, one.subject): one.kind for arm, of in ws.asked_in_arms(model).items() for one in of}

    def entry(found: tuple[tuple[str, str], listed.Tables]) -> dict[str, Any]:
        (arm, subject), files = found
        return {
            "arm": arm,
            "subject": subject,
            "kind": kinds[arm, subject],
            "arm_images": files.rows,
            "images": [_image(ws, image) for image in _rows_of(ws, files)],
            "embeddings": files.embeddings,
        }

    return each(ws.warehouse.root, entry, listed.cells(ws, model).items())


def _rows_of(ws: Workspace, files: listed.Tables) -> list[dict[str, Any]]:
    return table_rows(ws.warehouse, files.rows.removesuffix(".parquet"))


def _image(ws: Workspace, row: dict[str, Any]) -> dict[str, Any]:
    return {
        **{key: row[key] for key in ("template", "trial", "prompt", "status", "image_sha256")},
        "seed": None if row["seed"] is None else str(row["seed"]),
        "bytes": _size(ws, row["image_sha256"]),
    }


def _references(ws: Workspace, model: str) -> list[dict[str, Any]]:
    def entry(found: tuple[str, listed.Tables]) -> dict[str, Any]:
        subject, files = found
        return {
            "subject": subject,
            "reference_works": files.rows,
            "works": [
                {
                    **{key: row[key] for key in ("work", "source", "licence", "image_sha256")},
                    "bytes": _size(ws, row["image_sha256"]),
                }
                for row in _rows_of(ws, files)
            ],
            "embeddings": files.embeddings,
        }

    return each(ws.warehouse.root, entry, listed.references(ws, model).items())


def _size(ws: Workspace, sha256: str | None) -> int | None:
    if sha256 is None:
        return None
    path = ws.images.path(sha256)
    try:
        return path.stat().st_size
    except FileNotFoundError:
        raise InputError(f"{path}: is missing; materialize the imitations or reference works again.") from None
    except OSError as error:
        raise InputError(f"{unreadable(path, error)}.") from None


def _check_tables_are_unaltered(path: Path, before: Manifest, now: Manifest) -> None:
    was = {t.path: t for t in before.tables}
    for table in now.tables:
        old = was.get(table.path)
        name = table.path.removesuffix(".parquet").split("/")[0]
        if old and name in MADE_ONCE and old.inputs == table.inputs and old.sha256 != table.sha256:
            raise InputError(
                f"{table.path}: has other bytes than in {path}, though it was made from the same: it was altered, or made "
                f"again by another machine or library. Restore it; or, if it is meant, take {path} away, and run again."
            )


def _write(path: Path, manifest: Manifest) -> None:
    with whole(path) as file:
        file.write_text(manifest_text(manifest), encoding="utf-8")


def manifest_text(manifest: Manifest) -> str:
    without = {field for field in ("made_by", "arms", "dated") if not getattr(manifest, field)}
    content = manifest.model_dump(mode="json", exclude=without)
    return json.dumps(content, sort_keys=True, ensure_ascii=False, indent=1) + "\n"
