"""Real works: `<references>/<artist slug or name>/*.{png,jpg,webp}`, with an optional `manifest.csv` (file, licence, source)."""

import csv
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from audit_assets.errors import InputError
from audit_assets.warehouse.images import ImageStore, open_image

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp"}
COLUMNS = ["subject", "work", "image_sha256", "source", "licence"]


def artist_folder(folder: Path, subject: str, name: str) -> Path | None:
    """The folder of an artist, by slug or else by name, if there is one; a name never leads out of `folder`."""
    for candidate in (subject, name):
        if candidate in ("", ".", "..") or "/" in candidate or "\\" in candidate or "\0" in candidate:
            continue
        if os.path.isdir(
            folder / candidate
        ):  # Path.is_dir raises where a name has more bytes than a file system allows
            return folder / candidate
    return None


def works_of(folder: Path, subject: str, name: str) -> list[Path]:
    """The files of an artist's real works in order of name; empty where there is no folder. Links are refused."""
    own = artist_folder(folder, subject, name)
    if own is None:
        return []
    files = sorted(p for p in own.iterdir() if p.suffix.lower() in SUFFIXES)
    for file in (own, *files):
        if file.is_symlink():
            raise InputError(f"{file}: is a link; copy the file itself into the folder.")
        if file != own and not file.is_file():
            raise InputError(f"{file}: is not a file; rename it or move it out of the folder.")
    return files


def read_manifest(folder: Path, fields: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a folder's `manifest.csv`, whose first column is `file`; empty where there is none."""
    path = folder / "manifest.csv"
    if path.is_symlink():
        raise InputError(f"{path}: is a link; copy the file itself into the folder.")
    if not path.exists():
        return []
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns, rows = reader.fieldnames or [], list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot read ({error}); save it as CSV in UTF-8.") from None
    if "file" not in columns:
        raise InputError(f"{path}, row 1: no column 'file'; the columns are {', '.join(fields)}.")
    return rows


def fingerprint(files: list[Path]) -> str:
    """sha256 over the names and bytes of an artist's files and manifest: what the table is made from."""
    total = hashlib.sha256()
    manifest = [files[0].parent / "manifest.csv"] if files else []
    for file in [*files, *(m for m in manifest if m.exists())]:
        total.update(file.name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()


def reference_works(files: list[Path], subject: str, store: ImageStore) -> pd.DataFrame:
    """One row a work, COLUMNS; the images go into the store. InputError names a file that cannot be read."""
    listed = read_manifest(files[0].parent, ("file", "licence", "source")) if files else []
    manifest = {row["file"]: row for row in listed}
    rows = []
    for work, file in enumerate(files):
        said = manifest.get(file.name, {})
        rows.append(
            (subject, work, store.put(open_image(file)), said.get("source") or None, said.get("licence") or None)
        )
    return pd.DataFrame(rows, columns=COLUMNS).astype(
        {"work": "int32", "subject": "str", "image_sha256": "str", "source": "str", "licence": "str"}
    )
