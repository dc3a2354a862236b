"""These functions read folders and manifests that a person filled, one folder per artist.

No link is followed, and no name leads out of the folder. Whatever is not read is listed with the reason.
"""

import csv
import datetime
import difflib
import io
import os
import re
import stat
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from audit_assets.errors import InputError, unreadable
from audit_assets.hashing import once_while_unchanged
from audit_assets.untrusted.bounded import read_bounded
from audit_assets.untrusted.images import HEIC_IS_READ, NEEDS_HEIC, check_header

_HEIC = {".heic", ".heif", ".hif"}
SUFFIXES = {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".avif", ".tif", ".tiff", ".gif", ".bmp"} | (
    _HEIC if HEIC_IS_READ else set()
)
MANIFEST = "manifest.csv"
_LARGEST_MANIFEST = 100_000_000
NESTED = "is a folder within an artist's, whose files are not read; move its images up"
_DROPPINGS = re.compile(
    r"\..*|thumbs\.db|ehthumbs\.db|desktop\.ini|@eadir|__macosx|\$recycle\.bin|system volume information|icon\r|#recycle",
    re.I | re.S,
)


def is_dropping(name: str) -> bool:
    """Return whether a file or folder was left by a program for itself, such as `._0.png`, `.DS_Store` or `Thumbs.db`.

    Every name that begins with a dot counts.
    """
    return _DROPPINGS.fullmatch(name) is not None


class Contents(NamedTuple):
    """This is what lies in one folder."""

    images: list[Path]
    unread: list[tuple[str, str]]
    """The name of each other file or folder that the audit does not read, with the reason."""
    droppings: list[str]


def contents(own: Path, *, check: bool = True) -> Contents:
    """Sort what lies in a folder itself, in the order of the names.

    With `check`, InputError is raised if the folder or an image is a link, if a folder has the name of an image, or if
    the folder cannot be read.
    """
    if check and own.is_symlink():
        raise InputError(f"{own}: is a link; copy the file itself into the folder.")
    try:
        found = _sorted(own, check)
    except OSError as error:
        if check:
            raise InputError(f"{unreadable(error.filename or own, error)}.") from None
        return Contents([], [("", f"cannot be read ({error.strerror})")], [])
    return Contents(list(found.images), list(found.unread), list(found.droppings))


@once_while_unchanged(1 << 14)
def _sorted(own: Path, check: bool) -> Contents:
    found = Contents([], [], [])
    for file in sorted(own.iterdir()):
        if is_dropping(file.name):
            found.droppings.append(file.name)
        elif file.suffix.lower() in SUFFIXES:
            mode = file.lstat().st_mode
            if stat.S_ISREG(mode):
                found.images.append(file)
            elif check:
                raise InputError(
                    f"{file}: is a link; copy the file itself into the folder."
                    if stat.S_ISLNK(mode)
                    else f"{file}: is not a file; rename it or move it out of the folder."
                )
            else:
                found.unread.append((file.name, "is a link, or not a file"))
        elif file.name != MANIFEST or file.is_symlink():
            found.unread.append((file.name, _reason(file)))
    return found


def _reason(file: Path) -> str:
    if file.is_symlink():
        return "is a link; copy the file itself into the folder"
    if file.is_dir():
        return NESTED
    if file.suffix.lower() in _HEIC:
        return NEEDS_HEIC
    if file.name.lower() == MANIFEST:
        return f"is not read; rename it to {MANIFEST}"
    if file.suffix.lower() in _ARCHIVES:
        return "is an archive; unpack it, and put its images here"
    return "is in no format that the audit reads; if it is an image, save it as PNG, JPEG or TIFF"


_ARCHIVES = {".zip", ".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".cbz"}


def images_of(folders: Sequence[Path]) -> list[Path]:
    """Return the image files of an artist's folders, in the order of their names. Links are refused."""
    return [file for own in folders for file in contents(own).images]


def artist_folders(folder: Path) -> list[Path]:
    """Return one folder per artist, in order of name. Links are left out, because they may lead anywhere."""
    return [p for p in entries(folder) if os.path.isdir(p) and not p.is_symlink() and not is_dropping(p.name)]


def entries(folder: Path) -> list[Path]:
    """Return what lies in a folder, in order of name. InputError is raised if the folder cannot be read."""
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise InputError(f"{unreadable(folder, error)}.") from None


def folder_files(own: Path) -> list[Path]:
    """Return the images and the manifest of one artist's folder, in order of name.

    Links and the contents of folders below it are left out.
    """
    manifest = own / MANIFEST
    also = [manifest] if os.path.isfile(manifest) and not os.path.islink(manifest) else []
    return sorted([*contents(own, check=False).images, *also])


def supplied_files(folders: Sequence[Path]) -> list[Path]:
    """Return the images of a subject's folders in order of name. Only their headers are checked.

    InputError names a folder that is empty or nested, a link, and a file that `open_image` would refuse.
    """
    files = []
    for own in folders:
        found = contents(own)
        if nested := [name for name, why in found.unread if why == NESTED]:
            raise InputError(f"{own / nested[0]}: is a folder within an artist's; move its images up, or take it away.")
        if not found.images:
            raise InputError(
                f"{own}: holds no image that the audit reads (such as .png, .jpg or .webp); put the artist's images there, or delete the folder."
            )
        for file in found.images:
            check_header(file)
        files += found.images
    return files


def folder_problems(folder: Path) -> list[str]:
    """List the folder's faults that can be found without decoding an image, one sentence per artist's folder."""
    problems = []
    for entry in (p for p in entries(folder) if (os.path.isdir(p) or p.is_symlink()) and not is_dropping(p.name)):
        try:
            manifests(supplied_files([entry]))
        except InputError as error:
            problems.append(str(error))
    return problems


# ---- manifests
REFERENCE_FIELDS = ("file", "licence", "source", "series")
FIELDS = ("file", "prompt", "date", "seed")
_SPELLINGS = {"license": "licence", "filename": "file", "file name": "file", "file_name": "file"}
_ALIKE = 0.75
"""From this likeness (of 1), an unknown column is taken for a misspelt one."""


class Manifest(NamedTuple):
    """This is the manifest of one folder."""

    rows: dict[str, dict[str, str]]
    """The filled-in fields of each file, by the file's name."""
    unread: list[str]
    """What is not read, or not known, in words."""


def read_manifest(folder: Path, fields: Sequence[str], files: Sequence[str]) -> Manifest:
    """Read a folder's `manifest.csv`. `fields` are its columns, of which `file` comes first; `files` are the images there.

    Without a manifest, no field is known. InputError names the row and the field of a file that does not exist or is
    given twice, of a misspelt column, and of a cell too many.
    """
    path = folder / MANIFEST
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return Manifest({}, [])
    except OSError as error:
        raise InputError(f"{unreadable(path, error)}.") from None
    if stat.S_ISLNK(mode):
        raise InputError(f"{path}: is a link; copy the file itself into the folder.")
    header, rows = _table(path)
    columns = [_SPELLINGS.get(name := cell.strip().lower(), name) for cell in header]
    if "file" not in columns:
        raise InputError(f"{path}, row 1: no column 'file'; the columns are {', '.join(fields)}.")
    unread = []
    for column in columns:
        if columns.count(column) > 1:
            raise InputError(f"{path}, row 1: the column {column!r} is given twice; keep one.")
        if column not in fields:
            if near := difflib.get_close_matches(column, fields, n=1, cutoff=_ALIKE):
                raise InputError(f"{path}, row 1: there is no column {column!r}; if it is {near[0]!r}, rename it.")
            unread.append(f"its column {column!r} is not read; the columns are {', '.join(fields)}")
    said: dict[str, dict[str, str]] = {}
    known = {unicodedata.normalize("NFC", file): file for file in files}
    for line, cells in rows:
        if len(cells) > len(columns):
            raise InputError(
                f"{path}, row {line}: {len(cells)} cells, but the header has {len(columns)}; put double quotes around a cell that contains a comma."
            )
        row = dict(zip(columns, (cell.strip() for cell in cells), strict=False))
        file = known.get(unicodedata.normalize("NFC", row.get("file", "")))
        if file is None:
            near = difflib.get_close_matches(row.get("file", "").lower(), [f.lower() for f in known], n=1, cutoff=0.6)
            hint = next((f" (did you mean {f!r}?)" for f in known if near and f.lower() == near[0]), "")
            raise InputError(
                f"{path}, row {line}, file: there is no image {row.get('file', '')!r}{hint}; correct the name or delete the row."
            )
        if file in said:
            raise InputError(f"{path}, row {line}, file: {file!r} is given twice; keep one row.")
        said[file] = {field: value for field in fields[1:] if (value := row.get(field, ""))}
        _check_values(said[file], f"{path}, row {line}")
    if missing := [file for file in files if file not in said]:
        more = ", ..." if len(missing) > 5 else ""
        unread.append(f"it has no row for {len(missing)} of {len(files)} images ({', '.join(missing[:5])}{more})")
    return Manifest(said, unread)


def manifests(files: Sequence[Path], fields: Sequence[str] = FIELDS) -> dict[Path, dict[str, str]]:
    """Return the fields that the manifests beside some files give, by file."""
    said: dict[Path, dict[str, str]] = {}
    for folder in dict.fromkeys(file.parent for file in files):
        own = [file.name for file in files if file.parent == folder]
        said |= {folder / name: row for name, row in read_manifest(folder, fields, own).rows.items()}
    return said


def manifest_files(files: Sequence[Path]) -> list[Path]:
    """Return the manifests that lie beside some files."""
    beside = (folder / MANIFEST for folder in dict.fromkeys(file.parent for file in files))
    return [manifest for manifest in beside if os.path.isfile(manifest)]


def _table(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header of a CSV file, and the line and the cells of each row that is not blank. Its delimiter is found."""
    try:
        content = read_bounded(path, _LARGEST_MANIFEST, "manifest")
        text = content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
        first = text.partition("\n")[0]
        delimiter = max((",", ";", "\t"), key=first.count)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        rows, line = [], 1
        for cells in reader:
            if any(cell.strip() for cell in cells):
                rows.append((line, cells))
            line = reader.line_num + 1
    except OSError as error:
        raise InputError(f"{unreadable(path, error)}.") from None
    except (UnicodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot read ({error}); save it as CSV in UTF-8.") from None
    return (rows[0][1], rows[1:]) if rows else ([], [])


def _check_values(said: Mapping[str, str], where: str) -> None:
    seed, date = said.get("seed"), said.get("date")
    if seed is not None and not (seed.isdecimal() and seed.isascii() and len(seed) <= 20 and int(seed) < 2**64):
        raise InputError(f"{where}, seed: {seed!r} is no whole number below 2^64; correct it, or leave it empty.")
    if date is not None:
        try:
            datetime.datetime.fromisoformat(date)
        except ValueError:
            raise InputError(f"{where}, date: {date!r} is no date such as 2026-10-31; correct it.") from None
