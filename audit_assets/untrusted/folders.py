"""These functions read folders and manifests that a person filled, one folder per artist.

No link is followed, and no name leads out of the folder.
"""

import csv
import datetime
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from audit_assets.errors import InputError
from audit_assets.untrusted.images import HEIC_IS_READ, check_header

_HEIC = {".heic", ".heif", ".hif"}
SUFFIXES = {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".avif", ".tif", ".tiff", ".gif", ".bmp"} | (
    _HEIC if HEIC_IS_READ else set()
)


def artist_folder(folder: Path, subject: str, name: str) -> Path | None:
    """Return the folder of an artist, by slug or else by name, if one exists. A name never leads out of `folder`."""
    for candidate in (subject, name):
        if candidate in ("", ".", "..") or "/" in candidate or "\\" in candidate or "\0" in candidate:
            continue
        if os.path.isdir(folder / candidate):  # Path.is_dir raises if a name has more bytes than a file system allows
            return folder / candidate
    return None


def works_of(folder: Path, subject: str, name: str) -> list[Path]:
    """Return the files of an artist's real works in order of name. Links are refused.

    The list is empty if no folder exists.
    """
    own = artist_folder(folder, subject, name)
    return [] if own is None else images_in(own)


def images_in(own: Path) -> list[Path]:
    """Return the image files that lie in a folder itself, in the order of their names.

    It raises InputError if a link or a folder is among them.
    """
    files = sorted(p for p in own.iterdir() if p.suffix.lower() in SUFFIXES)
    for file in (own, *files):
        if file.is_symlink():
            raise InputError(f"{file}: is a link; copy the file itself into the folder.")
        if file != own and not file.is_file():
            raise InputError(f"{file}: is not a file; rename it or move it out of the folder.")
    return files


def read_manifest(folder: Path, fields: Sequence[str]) -> list[dict[str, str]]:
    """Return the rows of a folder's `manifest.csv`, whose first column is `file`.

    The list is empty if no manifest exists.
    """
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


_FIELDS = ("file", "prompt", "date", "seed")


def artist_folders(folder: Path) -> list[Path]:
    """Return one folder per artist, in order of name. Links are left out, because they may lead anywhere."""
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.is_symlink())


def folder_files(own: Path) -> list[Path]:
    """Return the images and the manifest of one artist's folder, in order of name.

    Links and the contents of folders below it are left out.
    """
    return sorted(
        p
        for p in own.iterdir()
        if (p.suffix.lower() in SUFFIXES or p.name == "manifest.csv") and p.is_file() and not p.is_symlink()
    )


def supplied_files(folder: Path, subject: str, name: str) -> list[Path]:
    """Return a subject's images in order of name. Only their headers are checked.

    The list is empty if the subject has no folder. InputError names a folder that is empty or nested, a link, and a
    file that is not a still RGB image of usual size.
    """
    own = artist_folder(folder, subject, name)
    if own is None:
        return []
    files = works_of(folder, subject, name)
    if nested := sorted(p for p in own.iterdir() if p.is_dir()):
        raise InputError(f"{nested[0]}: is a folder within an artist's; move its images up, or take it away.")
    if not files:
        raise InputError(f"{own}: holds no .png, .jpg or .webp; put the artist's images there, or delete the folder.")
    for file in files:
        check_header(file)
    return files


def folder_problems(folder: Path) -> list[str]:
    """List the folder's faults that can be found without decoding an image, one sentence per artist's folder."""
    problems = []
    for entry in sorted(p for p in folder.iterdir() if p.is_dir() or p.is_symlink()):
        try:
            _manifest(supplied_files(folder, entry.name, ""))
        except InputError as error:
            problems.append(str(error))
    return problems


def _manifest(files: list[Path]) -> dict[str, dict[str, str]]:
    """Return the manifest's fields of each file. Only filled-in fields with possible values are returned."""
    if not files:
        return {}
    path = files[0].parent / "manifest.csv"
    there = {file.name for file in files}
    said: dict[str, dict[str, str]] = {}
    for number, row in enumerate(read_manifest(files[0].parent, _FIELDS), 2):
        name = row["file"]
        if name in said:
            raise InputError(f"{path}, row {number}, file: {name!r} is given twice; keep one row.")
        if name not in there:
            raise InputError(
                f"{path}, row {number}, file: there is no image {name!r}; correct the name or delete the row."
            )
        said[name] = {field: value for field in _FIELDS[1:] if (value := (row.get(field) or "").strip())}
        _check_values(said[name], f"{path}, row {number}")
    return said


def _check_values(said: Mapping[str, str], where: str) -> None:
    seed, date = said.get("seed"), said.get("date")
    if seed is not None and not (seed.isdecimal() and seed.isascii() and int(seed) < 2**64):
        raise InputError(f"{where}, seed: {seed!r} is no whole number below 2^64; correct it, or leave it empty.")
    if date is not None:
        try:
            datetime.datetime.fromisoformat(date)
        except ValueError:
            raise InputError(f"{where}, date: {date!r} is no date such as 2026-10-31; correct it.") from None
