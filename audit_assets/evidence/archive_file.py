"""Read `archive.json`, in which an archive says which model version's evidence it has, and which parts are left out."""

import json
import os
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from audit_assets.config import Key
from audit_assets.errors import InputError, unreadable
from audit_assets.evidence.parts import Sha256, StoredFile
from audit_assets.hashing import digest
from audit_assets.untrusted.bounded import read_bounded

FILE = "archive.json"
LARGEST = 1 << 20
LeftOut = Literal["real works", "report", "scan tables"]


class Archive(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    archive: Literal[1] = 1
    model_version: Key
    root: Sha256
    left_out: list[LeftOut]
    signature: StoredFile | None = None
    """The file with the signature, if the manifest was signed."""
    beside: list[StoredFile] | None = None
    """Pages and PDFs that the manifest does not name, because they follow from it: the index of this archive, printed pages."""


def archive_text(archive: Archive) -> str:
    return json.dumps(archive.model_dump(mode="json", exclude_none=True), sort_keys=True, indent=1) + "\n"


def printed(archive: Archive) -> list[StoredFile]:
    """Return the printed pages (PDF) of an archive. Nothing makes them again byte for byte, so the archive's root covers them."""
    return sorted((file for file in archive.beside or [] if file.path.endswith(".pdf")), key=lambda file: file.path)


def archive_root(archive: Archive) -> str:
    """Hash an archive's manifest, its list of missing parts and its printed pages. If it has neither, return the manifest's root."""
    parts: list[object] = [archive.root, sorted(archive.left_out)]
    if prints := printed(archive):
        parts.append([[file.path, file.sha256] for file in prints])
    return digest(parts) if archive.left_out or prints else archive.root


def roots(archive: Archive) -> tuple[str, str, str]:
    """Return the roots that vouch for an archive's manifest, for its list of missing parts too, and for its printed pages too.

    Earlier versions printed the second for an archive with printed pages.
    """
    unprinted = archive.model_copy(update={"beside": None})
    return archive.root, archive_root(unprinted), archive_root(archive)


def parse_archive(text: str, where: str) -> Archive:
    try:
        return Archive.model_validate_json(text)
    except ValidationError as error:
        raise InputError(
            f"{where}: is no {FILE} of this version ({error.errors()[0]['msg']}); import the archive again."
        ) from None


def imported(folder: Path) -> Archive | None:
    """Return the archive that the audit in a folder was imported from; None if the audit was made here."""
    path = folder / FILE
    if not os.path.exists(path):
        return None
    try:
        text = read_bounded(path, LARGEST, FILE).decode("utf-8")
    except OSError as error:
        raise InputError(f"{unreadable(path, error)}.") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: cannot be read ({error}); import the archive again.") from None
    return parse_archive(text, str(path))


def left_out(folder: Path) -> set[LeftOut]:
    """Return the parts that an imported audit does not have; none if the audit was made here."""
    archive = imported(folder)
    return set(archive.left_out) if archive else set()
