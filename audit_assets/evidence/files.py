"""Check that each file still has the hash that the manifest names. Files are read and hashed; nothing is computed."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from audit_assets.config import KEY, PROTOCOLS, EncoderEntry, ModelEntry, Protocol
from audit_assets.errors import InputError, unreadable
from audit_assets.evidence.archive_file import LeftOut
from audit_assets.evidence.audit_file import as_now, portable, protocol_of
from audit_assets.evidence.check import MADE_AGAIN, RESTORE, Check, count, finding
from audit_assets.evidence.manifest import Manifest, protocol_content
from audit_assets.evidence.parts import Imitation, ModelFile, Picture, StoredFile
from audit_assets.evidence.software import FILES, PROTOCOL
from audit_assets.hashing import sha256
from audit_assets.models.registry import files_here, folder_here, lora_files
from audit_assets.publication.sealed import is_page, sealed_file
from audit_assets.roster.captions import caption_shards
from audit_assets.warehouse import large_tables
from audit_assets.warehouse.database import files_beside, published_from
from audit_assets.warehouse.places import each
from audit_assets.workspace import Workspace

BESIDE = ("lora", "embedding")
"""These files lie beside a model, not in its folder."""


def audit_file(ws: Workspace, manifest: Manifest, differs: Mapping[str, str]) -> Check:
    """Check the fields that this model version's results depend on, and the protocol.

    `differs` has the parts of this package that are of another version than those that made the evidence.
    """
    check = Check("audit file and protocol", ws.protocol.name)
    kept = as_now(manifest.audit) if differs else manifest.audit
    if kept is None:
        check.unchecked.append("the fields of the audit file: this version cannot read those that the manifest has")
        check.by_another_version = True
    else:
        check.findings += _unlike_fields(ws, manifest, kept)
    if protocol_content(ws.protocol) != manifest.protocol:
        if why := other_protocol(ws, manifest, differs):
            check.unchecked.append(why)
            check.by_another_version |= protocol_of(manifest.protocol.get("definition")) != ws.protocol
        else:
            check.findings.append(f"{ws.audit.file}, protocol: is not the manifest's; {MADE_AGAIN}")
    return check


def _unlike_fields(ws: Workspace, manifest: Manifest, kept: Mapping[str, Any]) -> list[str]:
    now, then = _without_places(portable(ws.audit)), _without_places(kept)
    found = [
        f"{ws.audit.file}, {key}: is not what the manifest has; {MADE_AGAIN}"
        for key in ("artist", "background", "captions", "roster", "controls", "batch_size", "encoders", "primary")
        if now.get(key) != then.get(key)
    ]
    mine, its = (_entry(content, manifest.model_version) for content in (now, then))
    if {**mine, "approved": None, "retired": None} != {**its, "approved": None, "retired": None}:
        found.append(f"{ws.audit.file}, model {manifest.model_version!r}: is not what the manifest has; {MADE_AGAIN}")
    return found


def other_protocol(ws: Workspace, manifest: Manifest, differs: Mapping[str, str]) -> str | None:
    """Say why an upgrade of this package explains that the protocol is not the manifest's; None if it does not."""
    kept = protocol_of(manifest.protocol.get("definition"))
    if PROTOCOL not in differs:
        return None
    if kept is None:
        return f"the protocol: this version cannot read the manifest's, and {differs[PROTOCOL]}"
    if kept.model_dump() == ws.protocol.model_dump():
        return None if kept.name != ws.protocol.name else "fields of the protocol that this version no longer has"
    if not KEY.fullmatch(ws.audit.protocol) or not (PROTOCOLS / f"{ws.audit.protocol}.yaml").is_file():
        return None
    return (
        f"the protocol of the package now: {ws.protocol.name} changed since the manifest ({_first_change(kept, ws.protocol)}). "
        "What follows is checked by the manifest's own; `audit-assets run` makes the audit by the new one"
    )


def _first_change(kept: Protocol, now: Protocol) -> str:
    was, new = kept.model_dump(mode="json"), now.model_dump(mode="json")
    field = next(field for field in (*new, *was) if was.get(field) != new.get(field))
    return f"{field} was {was.get(field)}, and is {new.get(field)}"


def _without_places(content: Mapping[str, Any]) -> dict[str, Any]:
    """Remove the paths of models and encoders. Paths are no evidence: the files are compared by their hashes."""
    places = {"path", "config", "arms"}
    entries = {
        kind: [{k: v for k, v in e.items() if k not in places and v is not None} for e in content.get(kind, [])]
        for kind in ("models", "encoders")
    }
    return {**content, **entries}


def _entry(content: Mapping[str, Any], model: str) -> dict[str, Any]:
    return next((dict(m) for m in content.get("models", []) if m.get("name") == model), {})


def tables(ws: Workspace, manifest: Manifest, left: set[LeftOut]) -> Check:
    check, root = Check("tables"), ws.warehouse.root
    there = [t for t in manifest.tables if not (t.of_a_scan and "scan tables" in left and not (root / t.path).exists())]
    problems = each(root, lambda table: altered(root / table.path, table), there)
    for table, problem in zip(there, problems, strict=True):
        path = root / table.path
        if problem is None:
            continue
        now = ws.warehouse.inputs(table.path.removesuffix(".parquet"))
        if now is not None and now != table.inputs:
            problem = (
                f"{path}: is another than the manifest's, and says that it was made from something else: {MADE_AGAIN}"
            )
        check.findings.append(problem)
    if "scan tables" in left:
        check.unchecked.append("tables of single caption files: the archive left them out")
    check.seen = f"{len(there)} files"
    return check


def altered(path: Path, entry: StoredFile) -> str | None:
    """Describe in words what is wrong with a file."""
    try:
        page = sealed_file(path) if is_page(path) else None
        size = path.stat().st_size if page is None else page[0]
        if size != entry.bytes:
            return f"{path}: was altered, it has {size} bytes and not {entry.bytes}; {RESTORE}"
        if (sha256(path) if page is None else page[1]) != entry.sha256:
            return f"{path}: was altered, its sha256 is not the manifest's {entry.sha256}; {RESTORE}"
    except FileNotFoundError:
        return f"{path}: is missing; {RESTORE}"
    except OSError as error:
        return unreadable(path, error)
    return None


def pictures(ws: Workspace, title: str, pictures: Iterable[tuple[str, Picture]], left: set[LeftOut]) -> Check:
    check, root = Check(title), ws.warehouse.root
    there = [(subject, p) for subject, p in pictures if not left or (root / p.path).exists()]
    seen = {p.path: p.stored() for _, p in there}
    problems = dict(zip(seen, each(root, lambda file: altered(root / file.path, file), seen.values()), strict=True))
    for subject, picture in there:
        if problem := problems[picture.path]:
            row = (
                f"template {picture.template}, trial {picture.trial}"
                if isinstance(picture, Imitation)
                else f"work {getattr(picture, 'work', '')}"
            )
            check.findings.append(f"{problem} ({subject}, {row})")
    check.seen = count(len(seen), "images")
    check.unchecked += [f"the pixels of {kind}: the archive left them out" for kind in left]
    return check


def report(ws: Workspace, manifest: Manifest, left: set[LeftOut]) -> Check:
    check = Check("report, artists' pages and figures", f"{len(manifest.report)} files")
    if "report" in left and not any((ws.warehouse.root / file.path).exists() for file in manifest.report):
        return Check(check.title, unchecked=["the report: the archive left it out"])
    problems = (altered(ws.warehouse.root / file.path, file) for file in manifest.report)
    check.findings += [p for p in problems if p]
    return check


def database_file(ws: Workspace, manifest: Manifest) -> Check:
    check = Check("database file", "audit.duckdb")
    with finding(check, str(ws.database)):
        # Its catalogue holds plain tables and views of files that its own bytes name, whichever version published it.
        folder, beside = large_tables.folder_beside(ws.database), set(files_beside(ws.database).values())
        check.findings += large_tables.altered(folder, sorted(beside), anew=True)
        named = {Path(file.path).name for file in manifest.database.embeddings}
        check.findings += [
            f"{folder / name}: is named by {'the manifest' if name in named else 'the database'} alone; {MADE_AGAIN}"
            for name in sorted(named ^ beside)
        ]
    if problem := altered(ws.database, manifest.database):
        found = published_from(ws.database)
        if found not in (None, manifest.database.published_from):
            problem = f"{ws.database}: was published again since the manifest, from other tables: {MADE_AGAIN}"
        check.findings.append(problem)
    return check


def captions(ws: Workspace, manifest: Manifest) -> Check:
    check = Check("caption files")
    if ws.audit.captions is None or not manifest.captions:
        return Check("caption files", "none in this audit")
    if "://" in ws.audit.captions.path:
        return Check("caption files", unchecked=[f"{ws.audit.captions.path}: lies in a store, and is not read again"])
    try:
        shards = {s.key: s for s in caption_shards(ws.audit.captions.path, ws.audit.base)}
    except InputError as error:
        return Check("caption files", unchecked=[str(error)])
    seen = 0
    for row in manifest.captions:
        shard = shards.get(row["shard"])
        if shard is None:
            check.findings.append(f"{row['shard']}: the caption file is gone; {RESTORE}")
        else:
            seen += 1
            with finding(check, shard.url):
                if sha256(Path(shard.url)) != row["sha256"]:
                    check.findings.append(f"{shard.url}: was altered, its sha256 is not the manifest's {row['sha256']}")
    check.findings += [
        f"{shards[key].url}: is no caption file of the roster; {MADE_AGAIN}"
        for key in sorted(shards.keys() - {row["shard"] for row in manifest.captions})
    ]
    check.seen = count(seen, "files")
    return check


def model_files(ws: Workspace, manifest: Manifest, differs: Mapping[str, str]) -> Check:
    """Check every file of the model and of the encoders that is on this machine."""
    check, seen = Check("files of model and encoders"), 0
    model = ws.audit.model(manifest.model_version)
    sources: list[tuple[ModelEntry | EncoderEntry, list[ModelFile]]] = [(model, manifest.model.files)]
    for source in manifest.encoders:
        with finding(check, "encoders"):
            sources.append((ws.audit.encoder(str(source.row.get("encoder"))), source.files))
    for entry, files in sources:
        folder = folder_here(ws.audit, entry)
        if isinstance(entry, ModelEntry) and entry.source == "api":
            check.unchecked.append(
                f"{entry.name}: is served behind an API, so its files are not known, and nothing shows whether they changed"
            )
            continue
        if folder is None:
            check.unchecked.append(f"{entry.name}: its files are not on this machine ({entry.path})")
            continue
        here: dict[tuple[str, str], Path] = {}
        with finding(check, entry.name):
            here = files_here(ws.audit, entry) or {}
        own = {(f.kind, f.file): f for f in files if f.kind not in BESIDE}
        problems = [p for key, f in own.items() if (p := _altered_file(here.get(key, folder / f.file), f))]
        more = [f"{here[key]}: is not among the files that were audited" for key in sorted(here.keys() - own.keys())]
        check.findings += problems
        if FILES in differs:
            check.unchecked += [f"{one}, and {differs[FILES]}: that version may have hashed fewer" for one in more]
            check.by_another_version |= bool(more)
        else:
            check.findings += more
        seen += len(own)
        for adapter in (f for f in files if f.kind in BESIDE):
            found = lora_files(ws.audit, entry, adapter.file) if isinstance(entry, ModelEntry) else []
            altered = [_altered_file(file, adapter) for file in found]
            if not found:
                check.unchecked.append(f"{entry.name}: its adapter {adapter.file} is not on this machine")
            elif all(altered):  # two adapters may have one name
                check.findings.append(str(altered[0]))
    check.seen = count(seen, "files")
    return check


def _altered_file(path: Path, file: ModelFile) -> str | None:
    try:
        if sha256(path) != file.sha256:
            return f"{path}: is not the file that was audited, its sha256 is not {file.sha256}; put that one back"
    except FileNotFoundError:
        return f"{path}: is missing, and the model was audited with it; put it back"
    except OSError as error:
        return unreadable(path, error)
    return None
