"""This module resolves or refuses the models and encoders of audit.yaml before anything expensive starts. `tables` writes what it found."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from audit_assets.config import Audit, EmbeddingEntry, EncoderEntry, LoraEntry, ModelEntry
from audit_assets.errors import InputError, Unwritable, said
from audit_assets.hashing import digest, sha256_once
from audit_assets.models.adapters import resolve_lora
from audit_assets.models.embeddings import resolve_embedding
from audit_assets.models.encoders import ResolvedEncoder, encoder_files, resolve_encoder, resolve_plug_in
from audit_assets.models.files import is_on_hub, local_folder, read_files
from audit_assets.models.hub import Kind
from audit_assets.models.pipelines import ResolvedModel, resolve_diffusers, resolve_folder
from audit_assets.models.served import resolve_served
from audit_assets.untrusted.folders import artist_folders, folder_files, folder_problems
from audit_assets.untrusted.layout import PEFT_CONFIG
from audit_assets.untrusted.weights import licence
from audit_assets.warehouse.store import Warehouse


def _location(audit: Audit, path: str) -> str:
    """Return a path relative to the folder of the audit file. A `hub:` id stays as it is."""
    return path if is_on_hub(path) else str(audit.local(path))


def folder_here(audit: Audit, entry: ModelEntry | EncoderEntry) -> Path | None:
    """Return the folder of an entry's files if it is on this machine. Nothing is fetched.

    For a model in one file, it is the folder of that file. A model behind an API has none.
    """
    if isinstance(entry, ModelEntry) and entry.source == "api":
        return None
    file = Path(_location(audit, entry.path))
    if isinstance(entry, ModelEntry) and entry.source == "diffusers" and os.path.isfile(file):
        return file.parent
    variant = entry.variant if isinstance(entry, ModelEntry) else None
    try:
        return local_folder(_location(audit, entry.path), entry.revision, _kind(entry), variant, fetch=False)[0]
    except InputError:
        return None


def _kind(entry: ModelEntry | EncoderEntry) -> Kind | None:
    """Return which files of a repository an entry reads. None for a folder of images and for a plug-in."""
    if isinstance(entry, ModelEntry):
        return "pipeline" if entry.source == "diffusers" else None
    return "encoder" if entry.code is None else None


def files_here(audit: Audit, entry: ModelEntry | EncoderEntry) -> dict[tuple[str, str], Path] | None:
    """Return the files of an entry on this machine by kind and relative path, without adapters. Nothing is fetched.

    The result is None if its folder is not on this machine. InputError if the folder cannot be read.
    """
    folder = folder_here(audit, entry)
    if folder is None:
        return None
    if isinstance(entry, EncoderEntry):
        return _by_place("encoder", folder, encoder_files(folder, entry.code))
    if entry.source == "image_folder":
        return _by_place("model", folder, [file for own in artist_folders(folder) for file in folder_files(own)])
    if entry.config is None:
        return _by_place("model", folder, read_files(folder, entry.variant))
    found = resolve_diffusers(
        entry.name,
        _location(audit, entry.path),
        entry.revision,
        dict(entry.settings),
        variant=entry.variant,
        config=str(audit.local(entry.config)),
    )
    assert found.one_file is not None
    own = _by_place("config", found.path, read_files(found.path, found.variant, found.in_file))
    return {("model", found.one_file.name): found.one_file, **own}


def _by_place(kind: str, folder: Path, files: list[Path]) -> dict[tuple[str, str], Path]:
    return {(kind, file.relative_to(folder).as_posix()): file for file in files}


def resolve_model(audit: Audit, entry: ModelEntry) -> ResolvedModel:
    """InputError names the entry, the file and the remedy."""
    try:
        if entry.source == "api":
            return resolve_served(entry)
        if entry.source == "image_folder":
            return resolve_folder(entry.name, audit.local(entry.path))
        lora = tuple(resolve_lora(_location(audit, a.path), a.revision, a.weight, a.alpha) for a in entry.lora)
        taught = tuple(resolve_embedding(_location(audit, e.path), e.revision, e.token) for e in entry.embeddings)
        found = resolve_diffusers(
            entry.name,
            _location(audit, entry.path),
            entry.revision,
            dict(entry.settings),
            lora,
            taught,
            variant=entry.variant,
            config=None if entry.config is None else str(audit.local(entry.config)),
        )
        _check_registered(audit, found)
        return found
    except InputError as error:
        raise InputError(f"{audit.file}, model {entry.name!r}: {error}") from None


def register(audit: Audit, found: ResolvedModel | ResolvedEncoder) -> None:
    """Keep the hashes of a name's files in the table `registered/...`, once something is made with the files.

    Weights in which one bit has changed load and draw as well as others. Nothing else would tell them apart from the
    weights that the audit began with. A person may change the images that they supply.
    """
    if isinstance(found, ResolvedModel) and found.source != "diffusers":
        return
    warehouse, where, inputs = _registered(audit, found)
    if warehouse.inputs(where) != inputs:
        warehouse.write(where, pd.DataFrame(own_rows(found), columns=FILE_COLUMNS)[["file", "sha256"]], inputs)


_CHOICE_OF_FILES = 3
"""This number changes if other files of a folder are hashed. A registration of another number is not compared."""


def _registered(audit: Audit, found: ResolvedModel | ResolvedEncoder) -> tuple[Warehouse, str, str]:
    kind = "model" if isinstance(found, ResolvedModel) else "encoder"
    inputs = digest([kind, found.revision, _CHOICE_OF_FILES])
    return Warehouse(audit.local(audit.warehouse)), f"registered/{kind}/{found.name}", inputs


def _check_registered(audit: Audit, found: ResolvedModel | ResolvedEncoder) -> None:
    """Raise InputError if a file is not the one that this name and revision were first used with."""
    warehouse, where, inputs = _registered(audit, found)
    if warehouse.inputs(where) != inputs:
        return
    files = warehouse.read(where)
    known, own = (
        _by_name(zip(files["file"], files["sha256"], strict=True)),
        _by_name((r[2], r[4]) for r in own_rows(found)),
    )
    for file in sorted({*known, *own}):
        if own.get(file) != known.get(file):
            what = "was added" if file not in known else "is gone" if file not in own else "was changed"
            raise InputError(
                f"{found.path / file} {what} since {found.name!r} was audited under revision {found.revision!r}; put the "
                "files back. If it is meant, give them another name, or a `revision` of their own."
            )


def _by_name(files: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Return the hashes of the files of each name, because two adapters may have one name."""
    found: dict[str, list[str]] = {}
    for file, sha256 in files:
        found.setdefault(file, []).append(sha256)
    return found


def _check_not_renamed(audit: Audit, found: ResolvedEncoder) -> None:
    """Raise InputError if these files were audited under another name that audit.yaml no longer has.

    Results carry that other name.
    """
    warehouse = Warehouse(audit.local(audit.warehouse))
    own = {entry.name for entry in audit.encoders}
    known = {row["encoder"]: row["files_sha256"] for row in _rows(warehouse, "encoders")}
    before = next((n for n, sha256 in known.items() if sha256 == found.files_sha256 and n not in own), None)
    if before is not None and found.name not in known:
        raise InputError(
            f"is the encoder that this warehouse has results of under the name {before!r}; give it that name back, or name "
            "another folder as `warehouse` and audit anew."
        )


@dataclass(frozen=True)
class Registry:
    """This holds the models that audit.yaml wants audited: it has those that can be, and why the others cannot."""

    resolved: dict[str, ResolvedModel]
    refused: dict[str, str]
    problems: list[str]
    """These are faults of single artists of image folders that headers show. Only those artists are left out."""
    notes: list[str]
    """These sentences say what was assumed of a model, because its files do not state it, and which settings it is not sent."""
    versions_before: list[dict[str, Any]]
    files_before: list[dict[str, Any]]
    """These are the current rows of the tables `model_versions` and `model_files`.

    A version that was resolved once and is not now, since it is retired or refused, keeps the record of what its
    results were made from.
    """


def registry(audit: Audit, warehouse: Warehouse) -> Registry:
    """Open every approved model as far as is possible without loading it.

    A refused model does not stop the others.
    """
    resolved, refused, problems = {}, {}, []
    for entry in audit.models:
        if not entry.approved or entry.retired:
            continue
        try:
            found = resolve_model(audit, entry)
            resolved[entry.name] = found
        except Unwritable:
            raise
        except Exception as error:  # whatever a file of one model raises stops this model alone
            refused[entry.name] = _about(audit, "model", entry, error)
            continue
        if entry.source == "image_folder":
            problems += [f"model {entry.name!r}: {p}" for p in folder_problems(resolved[entry.name].path)]
    notes = [f"model {m.name!r}: {note}" for m in resolved.values() for note in m.notes()]
    names = {entry.name for entry in audit.models}
    versions = [
        r
        for r in _rows(warehouse, "model_versions")
        if r["model_version"] in names and (r["files_sha256"] or r["source"] == "api")
    ]
    files = [r for r in _rows(warehouse, "model_files") if r["name"] in names]
    return Registry(resolved, refused, problems, notes, versions, files)


def _about(audit: Audit, kind: str, entry: ModelEntry | EncoderEntry, error: Exception) -> str:
    """Return what an error says about an entry. An InputError names the entry already."""
    return str(error) if isinstance(error, InputError) else f"{audit.file}, {kind} {entry.name!r}: {said(error)}"


@dataclass(frozen=True)
class Encoders:
    """This holds the encoders that can embed, and why the others cannot."""

    resolved: dict[str, ResolvedEncoder]
    refused: dict[str, str]


def usable_encoders(audit: Audit) -> Encoders:
    """Open every encoder as far as is possible without loading it.

    A refused encoder does not stop the others. InputError is raised if the encoder that decides the headline is refused,
    or every encoder that reads names.
    """
    resolved: dict[str, ResolvedEncoder] = {}
    refused: dict[str, str] = {}
    for entry in audit.encoders:
        try:
            resolved[entry.name] = resolve_encoder_entry(audit, entry)
        except Unwritable:
            raise
        except Exception as error:  # whatever a file of one encoder raises stops this encoder alone
            refused[entry.name] = _about(audit, "encoder", entry, error)
    named = [e.name for e in audit.encoders if e.kind == "image_text" and e.name in resolved]
    if audit.deciding_encoder.name in refused or not named:
        # The headline must not pass to another encoder without a word.
        raise InputError("\n".join(refused.values()))
    return Encoders(resolved, refused)


def _rows(warehouse: Warehouse, table: str) -> list[dict[str, Any]]:
    """Return a table's rows with None for NULL. If no such table exists yet, the list is empty."""
    if not warehouse.inputs(table):
        return []
    return list(pa.Table.from_pandas(warehouse.read(table), preserve_index=False).to_pylist())


def lora_files(audit: Audit, entry: ModelEntry, name: str) -> list[Path]:
    """Return the files of an entry's adapters and embeddings of that name that are on this machine. Nothing is fetched."""
    found = []
    beside: list[LoraEntry | EmbeddingEntry] = [*entry.lora, *entry.embeddings]
    for adapter in beside:
        location = _location(audit, adapter.path)
        try:
            here = Path(location)
            folder = (
                here.parent if here.is_file() else local_folder(location, adapter.revision, "adapter", fetch=False)[0]
            )
        except InputError:
            continue
        if (folder / name).is_file() and (not here.is_file() or name in (here.name, PEFT_CONFIG)):
            found.append(folder / name)
    return found


def resolve_encoder_entry(audit: Audit, entry: EncoderEntry) -> ResolvedEncoder:
    """InputError names the entry, the file and the remedy."""
    try:
        found = _resolved(audit, entry)
        _check_registered(audit, found)
        _check_not_renamed(audit, found)
        return found
    except InputError as error:
        raise InputError(f"{audit.file}, encoder {entry.name!r}: {error}") from None


def _resolved(audit: Audit, entry: EncoderEntry) -> ResolvedEncoder:
    if entry.code is None:
        return resolve_encoder(entry.name, entry.kind, _location(audit, entry.path), entry.revision, entry.processor)
    if not audit.allow_code:
        raise InputError(
            f"`code: {entry.code}` would run code; read the file, and write `allow_code: true` into the audit file if you trust it."
        )
    if is_on_hub(entry.path):
        raise InputError(
            f"{entry.path}: code is not taken from the hub; copy the folder to this machine, and give its path."
        )
    folder = local_folder(_location(audit, entry.path), entry.revision)[0]
    return resolve_plug_in(entry.name, entry.kind, folder, entry.code, entry.revision)


FileRow = tuple[str, str, str, int, str, str | None]
FILE_COLUMNS = ["kind", "name", "file", "bytes", "sha256", "licence"]


def own_rows(found: ResolvedModel | ResolvedEncoder) -> list[FileRow]:
    """Return FILE_COLUMNS of the files that loading reads."""
    if isinstance(found, ResolvedEncoder):
        return file_rows("encoder", found.name, found.path, found.files())
    adapters = [row for a in found.lora for row in file_rows("lora", found.name, a.file.parent, a.files)]
    adapters += [row for e in found.embeddings for row in file_rows("embedding", found.name, e.file.parent, [e.file])]
    files = read_files(found.path, found.variant, found.in_file)
    if found.one_file is None:
        return file_rows("model", found.name, found.path, files) + adapters
    own = file_rows("model", found.name, found.one_file.parent, [found.one_file])
    return own + file_rows("config", found.name, found.path, files) + adapters


def file_rows(kind: str, name: str, folder: Path, files: list[Path]) -> list[FileRow]:
    """Return FILE_COLUMNS of these files in a folder."""
    said = licence(folder)
    return [(kind, name, f.relative_to(folder).as_posix(), f.stat().st_size, sha256_once(f), said) for f in files]
