"""The tables `model_versions` and `encoders`: the entries of audit.yaml, resolved and refused before anything expensive starts."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from audit_assets.config import Audit, EncoderEntry, ModelEntry
from audit_assets.encoders.registry import ResolvedEncoder, resolve_encoder
from audit_assets.errors import InputError
from audit_assets.generation.image_folder import artist_folders, folder_files, folder_problems
from audit_assets.generation.registry import ResolvedModel, resolve_diffusers, resolve_folder, resolve_lora
from audit_assets.model_files import file_sha256, licence, local_folder, read_files
from audit_assets.warehouse.publish import as_json
from audit_assets.warehouse.store import Warehouse


def _location(audit: Audit, path: str) -> str:
    """A folder beside the audit file where there is one, else the path as a hub id."""
    return path if is_hub_id(audit, path) else str(audit.local(path))


def is_hub_id(audit: Audit, path: str) -> bool:
    return path.count("/") == 1 and not path.startswith((".", "/", "~")) and not audit.local(path).exists()


def folder_here(audit: Audit, entry: ModelEntry | EncoderEntry) -> Path | None:
    """The folder of an entry's files if it is on this machine; nothing is fetched."""
    try:
        return local_folder(_location(audit, entry.path), entry.revision, fetch=False)[0]
    except InputError:
        return None


def resolve_model(audit: Audit, entry: ModelEntry) -> ResolvedModel:
    """InputError names the entry, the file and the remedy."""
    try:
        if entry.source == "image_folder":
            return resolve_folder(entry.name, audit.local(entry.path))
        lora = tuple(resolve_lora(_location(audit, a.path), a.revision, a.weight) for a in entry.lora)
        return resolve_diffusers(entry.name, _location(audit, entry.path), entry.revision, dict(entry.settings), lora)
    except InputError as error:
        raise InputError(f"{audit.file}, model {entry.name!r}: {error}") from None


@dataclass(frozen=True)
class Registry:
    """The models of audit.yaml that are to be audited: those that can be, and why the others cannot."""

    resolved: dict[str, ResolvedModel]
    refused: dict[str, str]
    problems: list[str]
    """What is wrong with single artists of image folders, as far as headers tell; those artists alone are left out."""
    versions_before: list[dict[str, Any]]
    files_before: list[dict[str, Any]]
    """Rows of the tables `model_versions` and `model_files` as they are: a version that was resolved once and is not now, since it
    is retired or refused, keeps what its results were made from."""


def registry(audit: Audit, warehouse: Warehouse) -> Registry:
    """Every approved model, opened as far as is possible without loading it. One that is refused does not stop the others."""
    resolved, refused, problems = {}, {}, []
    for entry in audit.models:
        if not entry.approved or entry.retired:
            continue
        try:
            found = resolve_model(audit, entry)
            check_unchanged(audit, found, warehouse)
            resolved[entry.name] = found
        except InputError as error:
            refused[entry.name] = str(error)
            continue
        if entry.source == "image_folder":
            problems += [f"model {entry.name!r}: {p}" for p in folder_problems(resolved[entry.name].path)]
    names = {entry.name for entry in audit.models}
    versions = [r for r in _rows(warehouse, "model_versions") if r["model_version"] in names and r["files_sha256"]]
    files = [r for r in _rows(warehouse, "model_files") if r["name"] in names]
    return Registry(resolved, refused, problems, versions, files)


def _rows(warehouse: Warehouse, table: str) -> list[dict[str, Any]]:
    """Its rows with None for NULL; none where there is no such table yet."""
    if not warehouse.inputs(table):
        return []
    return list(pa.Table.from_pandas(warehouse.read(table), preserve_index=False).to_pylist())


def check_unchanged(audit: Audit, resolved: ResolvedModel, warehouse: Warehouse) -> None:
    """InputError where images were made under this name and revision from other files: they would be written over.

    A folder of images grows as a person saves more, so it may change.
    """
    made = any((warehouse.root / "imitations" / resolved.name).glob("*.parquet"))
    if resolved.source == "image_folder" or not made:
        return
    rows = {r["model_version"]: r for r in _rows(warehouse, "model_versions") if r["files_sha256"]}
    before = rows.get(resolved.name)
    if before is None or before["revision"] != resolved.revision:
        return
    adapters = {a["file"]: a["sha256"] for a in json.loads(before["generation_settings"]).get("lora", [])}
    if before["files_sha256"] == resolved.files_sha256 and all(
        adapters.get(a.file.name, a.sha256) == a.sha256 for a in resolved.lora
    ):
        return
    raise InputError(
        f"{audit.file}, model {resolved.name!r}: {_first_change(resolved, warehouse)}, and images of it were made under revision "
        f"{resolved.revision!r}, which would be written over. Put the files back; or give the new ones a name of their own, "
        "as another model version; or, to replace what was audited, another `revision`."
    )


def _first_change(resolved: ResolvedModel, warehouse: Warehouse) -> str:
    files = [r for r in _rows(warehouse, "model_files") if r["name"] == resolved.name]
    before = {(r["kind"], r["file"]): r["sha256"] for r in files}
    now = {(kind, file): sha256 for kind, _, file, _, sha256, _ in _model_rows(resolved)}
    for key in sorted(before.keys() | now.keys()):
        if before.get(key) != now.get(key):
            what = "changed" if key in before and key in now else "is gone" if key in before else "was added"
            return f"{resolved.path / key[1]} {what} since it was audited"
    return f"{resolved.path} changed since it was audited"


def lora_file(audit: Audit, entry: ModelEntry, name: str) -> Path | None:
    """The file of an entry's adapter of that name, if it is on this machine; nothing is fetched."""
    for adapter in entry.lora:
        location = Path(_location(audit, adapter.path))
        if location.is_file():
            file = location
        else:
            try:
                file = local_folder(str(location), adapter.revision, fetch=False)[0] / name
            except InputError:
                continue
        if file.name == name and file.is_file():
            return file
    return None


def resolve_encoder_entry(audit: Audit, entry: EncoderEntry) -> ResolvedEncoder:
    """InputError names the entry, the file and the remedy."""
    try:
        return resolve_encoder(entry.name, entry.kind, _location(audit, entry.path), entry.revision, entry.processor)
    except InputError as error:
        raise InputError(f"{audit.file}, encoder {entry.name!r}: {error}") from None


def model_versions_table(audit: Audit, known: Registry) -> pd.DataFrame:
    """The published table `model_versions`. A model that is not approved, or refused, is listed with what the file says of it."""
    rows: list[dict[str, Any]] = []
    earlier = {row["model_version"]: row for row in known.versions_before}
    for entry in audit.models:
        resolved = known.resolved.get(entry.name)
        if resolved is None and entry.name in earlier:
            rows.append({**earlier[entry.name], "approved": entry.approved, "retired": entry.retired})
            continue
        said = {**entry.settings, **({"lora": [a.model_dump() for a in entry.lora]} if entry.lora else {})}
        rows.append(
            {
                "model_version": entry.name,
                "source": entry.source,
                "pipeline_class": resolved.pipeline_class if resolved else None,
                "revision": resolved.revision if resolved else entry.revision,
                "files_sha256": resolved.files_sha256 if resolved else None,
                "text_encoder_families": list(resolved.text_encoder_families) if resolved else [],
                "generation_settings": as_json(resolved.settings if resolved else said),
                "approved": entry.approved,
                "retired": entry.retired,
            }
        )
    return pd.DataFrame(rows)


FILE_COLUMNS = ["kind", "name", "file", "bytes", "sha256", "licence"]
FileRow = tuple[str, str, str, int, str, str | None]


def model_files_table(known: Registry) -> pd.DataFrame:
    """Every file of every model that can be audited, adapters and images of folders included: FILE_COLUMNS."""
    rows = [row for model in known.resolved.values() for row in _model_rows(model)]
    kept = [tuple(row[c] for c in FILE_COLUMNS) for row in known.files_before if row["name"] not in known.resolved]
    return pd.DataFrame([*rows, *kept], columns=FILE_COLUMNS)


def _model_rows(model: ResolvedModel) -> list[FileRow]:
    images = [f for own in artist_folders(model.path) for f in folder_files(own)]
    files = images if model.source == "image_folder" else read_files(model.path)
    adapters = [row for a in model.lora for row in _file_rows("lora", model.name, a.file.parent, [a.file])]
    return _file_rows("model", model.name, model.path, files) + adapters


def encoder_files_table(audit: Audit) -> pd.DataFrame:
    """The same of every encoder."""
    found = [resolve_encoder_entry(audit, entry) for entry in audit.encoders]
    rows = [row for e in found for row in _file_rows("encoder", e.name, e.path, read_files(e.path))]
    return pd.DataFrame(rows, columns=FILE_COLUMNS)


def _file_rows(kind: str, name: str, folder: Path, files: list[Path]) -> list[FileRow]:
    said = licence(folder)
    return [(kind, name, f.relative_to(folder).as_posix(), f.stat().st_size, file_sha256(f), said) for f in files]


def encoders_table(audit: Audit) -> pd.DataFrame:
    """The published table `encoders`."""
    rows = []
    for entry in audit.encoders:
        e = resolve_encoder_entry(audit, entry)
        rows.append(
            {
                "encoder": e.name,
                "kind": e.kind,
                "family": e.family,
                "revision": e.revision,
                "files_sha256": e.files_sha256,
                "dimension": e.dimension,
                "logit_scale": e.logit_scale,
                "logit_bias": e.logit_bias,
                "processor": e.processor,
            }
        )
    return pd.DataFrame(rows).astype({"logit_scale": "float64", "logit_bias": "float64"})
