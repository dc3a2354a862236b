"""Pack one model version's evidence into one file, and unpack it: `audit-assets export` and `import`.

An archive is a zip whose members are stored, not compressed. Images, parquet and DuckDB are compressed already, the
same evidence gives the same bytes on any machine, and no member can be larger than the archive. An archive holds the
manifest and the files that it names, and nothing else. `import` refuses an archive with any difference from this before
it writes to the destination.

Real works are left out unless the operator asks for them: they may be protected, and the auditor's right to use them
may not extend to others. Their hashes and embeddings are in the tables, so every figure can still be computed again.
The archive has all tables that `audit.duckdb` is made from, also those of other model versions. It has the images of
this model version only.
"""

import errno
import hashlib
import os
import shutil
import stat
import tempfile
import uuid
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

import yaml

from audit_assets.config import load_audit, load_protocol
from audit_assets.errors import InputError, unreadable
from audit_assets.evidence import cover
from audit_assets.evidence.archive_file import (
    FILE,
    Archive,
    LeftOut,
    archive_text,
    parse_archive,
    printed,
    roots,
)
from audit_assets.evidence.archive_file import LARGEST as LARGEST_NOTE
from audit_assets.evidence.audit_file import follows, protocol_as_now
from audit_assets.evidence.manifest import (
    LARGEST_MANIFEST,
    Manifest,
    manifest_file,
    manifest_text,
    parse_manifest,
    read_manifest,
    stored_file,
)
from audit_assets.evidence.members import Member, copy_member, list_members, opened_archive, place_of, tampered, text_of
from audit_assets.evidence.parts import Picture, StoredFile
from audit_assets.evidence.signature import LARGEST as LARGEST_SIGNATURE
from audit_assets.evidence.signature import (
    parse_signature,
    read_signature,
    signature_file,
    signature_path,
    stamped_when,
    unsigned,
)
from audit_assets.evidence.software import changed
from audit_assets.publication import ARTISTS
from audit_assets.publication.pages.printed import is_print_of
from audit_assets.publication.sealed import is_page, sealed
from audit_assets.warehouse import layout
from audit_assets.warehouse.database import files_beside
from audit_assets.warehouse.store import Warehouse
from audit_assets.workspace import Workspace

WAREHOUSE = "warehouse"
PROTOCOL = "protocol.yaml"
INDEX = "reports/index.html"
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip can hold: the time of packing proves nothing."""


def export(
    ws: Workspace, model: str, out: Path, *, references: bool = False, report: bool = True, scans: bool = True
) -> Archive:
    """Pack the evidence of a model version into `out`, and hash every file on the way.

    Raise InputError if `out` exists already, if no manifest exists, or if a file is not what the manifest says.
    """
    if os.path.lexists(out):
        raise InputError(f"{out}: is there already, and is not overwritten; name another file.")
    if not os.path.isdir(out.parent):
        raise InputError(f"{out}: there is no folder {out.parent}; make it, or name another file.")
    manifest = read_manifest(manifest_file(ws.warehouse, model))
    wanted: dict[LeftOut, bool] = {"real works": references, "report": report, "scan tables": scans}
    left_out = [k for k, there in wanted.items() if not there]
    signature, beside = _signature(ws, manifest), _beside(ws, manifest) if report else {}
    stored = [StoredFile(path=p, bytes=len(c), sha256=hashlib.sha256(c).hexdigest()) for p, c in beside.items()]
    archive = Archive(
        model_version=model, root=manifest.root, left_out=left_out, signature=signature, beside=stored or None
    )
    written, files = _written(archive, manifest), _files(archive, manifest)
    temporary = out.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as packed:
            for name, text in written.items():
                packed.writestr(_info(name), text.encode())
            for name, member in files.items():
                path = name.removeprefix(f"{WAREHOUSE}/")
                source = ws.warehouse.root / path
                if path in beside or member.page:
                    content = beside[path] if path in beside else _bytes(source)
                    _check_page(content, member, f"{source}: is not what the manifest says; run `audit-assets verify`.")
                    packed.writestr(_info(name), content)
                    continue
                with _plain(source) as plain, packed.open(_info(name, member), "w") as into:
                    copy_member(
                        plain, into, member, f"{source}: is not what the manifest says; run `audit-assets verify`."
                    )
        os.replace(temporary, out)
    except OSError as error:
        remedy = "shorten its name" if error.errno == errno.ENAMETOOLONG else "check the folder's rights and free space"
        raise InputError(f"{out}: cannot be written ({error.strerror}); {remedy}.") from None
    finally:
        with suppress(OSError):
            temporary.unlink()
    return archive


def _beside(ws: Workspace, manifest: Manifest) -> dict[str, bytes]:
    """Path below the warehouse -> content of pages and PDFs that are packed though the manifest does not name them.

    The index of an archive leads only to the report that the archive has. Evidence of another version is packed as it is, without an index.
    """
    from audit_assets.publication.pages.index import write_index  # reads the database

    reports = ws.warehouse.root / "reports"
    found: dict[str, bytes] = {}
    model = manifest.model_version
    if not changed(manifest.made_by):
        with tempfile.TemporaryDirectory() as folder:
            page = write_index(ws.database, Path(folder), only=model).read_bytes()
        found[INDEX] = cover.with_block(ws, page, [model])
    for place in (model, ARTISTS):
        for file in sorted((reports / place).glob("*.pdf")):
            content = _bytes(file)
            if not is_print_of(content, _bytes(file.with_suffix(".html"))):
                raise InputError(
                    f"{file}: is no print of the page beside it as it is now; make it again with `audit-assets report --pdf`, or delete it."
                )
            found[f"reports/{place}/{file.name}"] = content
    return found


def _bytes(source: Path) -> bytes:
    with _plain(source) as plain:
        return plain.read()


def _check_page(content: bytes, member: Member, otherwise: str) -> None:
    """Raise InputError with `otherwise` unless the content is the member's; of a page, apart from its block."""
    if member.page and len(content) <= member.at_most():
        content = sealed(content)
    if len(content) != member.bytes or hashlib.sha256(content).hexdigest() != member.sha256:
        raise InputError(otherwise)


def _signature(ws: Workspace, manifest: Manifest) -> StoredFile | None:
    """Return the manifest's signature file, or None if no such file exists. A signature of another root is refused."""
    path = signature_file(ws.warehouse, manifest.model_version)
    if not path.exists():
        return None
    if read_signature(path).root != manifest.root:
        raise InputError(f"{path}: signs another root than the manifest's; sign it again, or delete the file.")
    return StoredFile.model_validate(stored_file(ws.warehouse.root, path.relative_to(ws.warehouse.root).as_posix()))


def _plain(source: Path) -> IO[bytes]:
    try:
        return source.open("rb")
    except FileNotFoundError:
        raise InputError(f"{source}: is missing, and the manifest names it; run `audit-assets verify`.") from None
    except OSError as error:
        raise InputError(f"{unreadable(source, error)}.") from None


def _info(name: str, member: Member | None = None) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.create_system = 3  # Unix, on every system
    info.external_attr = (stat.S_IFREG | 0o644) << 16
    info.file_size = member.bytes if member else 0
    return info


def _written(archive: Archive, manifest: Manifest) -> dict[str, str]:
    """Write the members that follow from the manifest; an imported audit is read from them."""
    return {
        FILE: archive_text(archive),
        "audit.yaml": yaml.safe_dump(manifest.audit, allow_unicode=True),
        PROTOCOL: yaml.safe_dump(manifest.protocol.get("definition"), allow_unicode=True),
        f"{WAREHOUSE}/{layout.FILE}": layout.text(),
        _manifest_name(archive): manifest_text(manifest),
    }


def _manifest_name(archive: Archive) -> str:
    return f"{WAREHOUSE}/manifests/{archive.model_version}.json"


def _files(archive: Archive, manifest: Manifest) -> dict[str, Member]:
    """List the members that the manifest names, in order of name."""
    left = set(archive.left_out)
    entries: list[StoredFile] = [manifest.database, *manifest.database.embeddings]
    entries += [t for t in manifest.tables if not (t.of_a_scan and "scan tables" in left)]
    entries += [] if "report" in left else manifest.report
    pictures: list[Picture] = [image for _, image in manifest.imitations()]
    pictures += [] if "real works" in left else [work for _, work in manifest.works()]
    entries += [p.stored() for p in pictures]
    entries += [archive.signature] if archive.signature else []
    pages = {e.path for e in manifest.report if is_page(Path(e.path))}
    entries += archive.beside or []
    return {
        f"{WAREHOUSE}/{e.path}": Member(e.bytes, e.sha256, e.path in pages)
        for e in sorted(entries, key=lambda e: e.path)
    }


def import_archive(
    file: Path, folder: Path, *, root: str | None = None, signer: Path | None = None, timestamp: Path | None = None
) -> Archive:
    """Unpack an archive into `folder`, which must not exist. `root` is the root hash that the archive must have.

    `signer` is the public key that must have signed its manifest, and `timestamp` is a file of certificates, of which
    one must vouch for the signature's timestamp.

    Raise InputError if any byte differs from an archive that `export` writes. Then `folder` does not exist: the
    function writes only to a temporary folder beside it, which it removes.
    """
    if os.path.lexists(folder):
        raise InputError(f"{folder}: is there already, and is not overwritten; name another folder.")
    if not folder.parent.is_dir():
        raise InputError(f"{folder.parent}: there is no such folder; make it first.")
    beside = folder.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        with opened_archive(file) as packed:
            archive, written, files = _contents(file, packed, root)
            for name, text in written.items():
                if packed.read(name) != text.encode():
                    raise tampered(file, name, "does not follow from the manifest")
            for name in written:
                place_of(beside, name).write_bytes(_as_now(name, written[name]).encode())
            for name, member in files.items():
                if member.page:
                    content = packed.read(name)
                    _check_page(content, member, str(tampered(file, name, "is not what the manifest says")))
                    place_of(beside, name).write_bytes(content)
                    continue
                with packed.open(name) as plain, open(place_of(beside, name), "wb") as into:
                    copy_member(plain, into, member, str(tampered(file, name, "is not what the manifest says")))
        _can_be_read(file, beside, written["audit.yaml"])
        _check_what_follows(file, beside, archive)
        _check_signed(file, beside, archive, signer, timestamp)
        cover.fill(Workspace.of(load_audit(beside / "audit.yaml")))
        if os.path.lexists(folder):
            raise InputError(f"{folder}: appeared meanwhile, and is not overwritten; name another folder.")
        os.rename(beside, folder)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error}); check its parent's rights and free space.") from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return archive


def _as_now(name: str, text: str) -> str:
    """Return what is written for a member. A protocol loses the fields of earlier versions, which this one refuses."""
    if name != PROTOCOL:
        return text
    definition = yaml.safe_load(text)
    now = protocol_as_now(definition)
    return text if now == definition else yaml.safe_dump(now, allow_unicode=True)


def _contents(
    file: Path, packed: zipfile.ZipFile, root: str | None
) -> tuple[Archive, dict[str, str], dict[str, Member]]:
    """Return the archive's description, after checking that its list of members is exactly what this requires."""
    members = list_members(file, packed)
    archive = parse_archive(text_of(file, packed, members, FILE, LARGEST_NOTE), f"{file}, {FILE}")
    name = _manifest_name(archive)
    manifest = parse_manifest(text_of(file, packed, members, name, LARGEST_MANIFEST), f"{file}, {name}")
    if (manifest.model_version, manifest.root) != (archive.model_version, archive.root):
        raise tampered(file, name, "is not the manifest of this archive")
    if root is not None and root not in roots(archive):
        raise InputError(f"{file}: its root is {manifest.root}, not {root}: it is not the evidence that was announced.")
    if archive.signature is not None:
        _check_signature(file, packed, members, archive, manifest)
    _check_beside(file, archive, manifest)
    written, files = _written(archive, manifest), _files(archive, manifest)
    sizes = {n: Member(len(text.encode()), "") for n, text in written.items()} | files
    for missing in sorted(sizes.keys() - members.keys()):
        raise tampered(file, missing, "is missing")
    for member in sorted(members.keys() - sizes.keys()):
        raise tampered(file, member, "is no file of the manifest")
    for member, size in sizes.items():
        if not size.bytes <= members[member].file_size <= size.at_most():
            raise tampered(file, member, f"has {members[member].file_size} bytes, not {size.bytes}")
    return archive, written, files


def _check_beside(file: Path, archive: Archive, manifest: Manifest) -> None:
    """Raise InputError if the archive names a file beside the manifest's that is neither the index nor a print of a page."""
    own = _files(archive.model_copy(update={"beside": None}), manifest)
    may = {INDEX} | {f"{Path(e.path).with_suffix('.pdf')}" for e in manifest.report if is_page(Path(e.path))}
    for path in [entry.path for entry in archive.beside or []]:
        if path not in may or f"{WAREHOUSE}/{path}" in own or "report" in archive.left_out:
            raise tampered(file, FILE, f"names {path!r}, which is neither the index nor a print of a page")


def _check_what_follows(file: Path, folder: Path, archive: Archive) -> None:
    """Raise InputError if a printed page is no print of the page beside it, or if the database gives another index.

    An index that another version of this package made is not compared.
    """
    from audit_assets.publication.pages.index import write_index  # reads the database

    root = folder / WAREHOUSE
    manifest = read_manifest(manifest_file(Warehouse(root), archive.model_version))
    for entry in printed(archive):
        if not is_print_of(_bytes(root / entry.path), _bytes((root / entry.path).with_suffix(".html"))):
            raise tampered(file, f"{WAREHOUSE}/{entry.path}", "is no print of the page beside it")
    if manifest.database.embeddings:
        views = files_beside(root / "audit.duckdb").values()
        for entry in manifest.database.embeddings:
            if Path(entry.path).name not in views:
                raise tampered(file, f"{WAREHOUSE}/{entry.path}", "is no file that the database names")
    if any(entry.path == INDEX for entry in archive.beside or []) and not changed(manifest.made_by):
        with tempfile.TemporaryDirectory() as again:
            made = write_index(root / "audit.duckdb", Path(again), only=archive.model_version).read_bytes()
        if sealed(made) != sealed(_bytes(root / INDEX)):
            raise tampered(file, f"{WAREHOUSE}/{INDEX}", "is not the index that the database gives")


def _check_signature(
    file: Path, packed: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo], archive: Archive, manifest: Manifest
) -> None:
    """Raise InputError unless the archive has one signature file in its place, which is of this manifest."""
    name = f"{WAREHOUSE}/{signature_path(archive.model_version)}"
    assert archive.signature is not None
    if f"{WAREHOUSE}/{archive.signature.path}" != name:
        raise tampered(file, FILE, "names another file as the signature")
    found = parse_signature(text_of(file, packed, members, name, LARGEST_SIGNATURE).encode(), f"{file}, {name}")
    if (found.model_version, found.root) != (manifest.model_version, manifest.root):
        raise tampered(file, name, "is not the signature of this manifest")


def _check_signed(file: Path, beside: Path, archive: Archive, signer: Path | None, timestamp: Path | None) -> None:
    """Raise InputError unless ``signer`` signed what was unpacked, and an authority of ``timestamp`` saw the signature."""
    if signer is None:
        if timestamp is not None:
            raise InputError(
                "--timestamp-certificate: a timestamp is about a signature; name its signer with --signer."
            )
        return
    warehouse = Warehouse(beside / WAREHOUSE)
    manifest = read_manifest(manifest_file(warehouse, archive.model_version))
    problem = unsigned(warehouse, manifest, signer)
    if problem is None and timestamp is not None:
        problem = stamped_when(warehouse, manifest, timestamp).problem
    if problem is not None:
        raise InputError(f"{file}: {problem.replace(f'{beside}/', '')}")


def _can_be_read(file: Path, folder: Path, text: str) -> None:
    """Read the audit file and the protocol by the rules for a user's own files; its paths must stay beside it.

    InputError names the archive.
    """
    try:
        audit = load_audit(folder / "audit.yaml")
        load_protocol(audit)
        if not follows(audit, yaml.safe_load(text)):
            raise tampered(file, "audit.yaml", "names paths that export never writes")
    except InputError as error:
        said = str(error).replace(f"{folder}/", "")
        raise InputError(f"{file}: {said}") from None
