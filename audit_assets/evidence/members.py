"""The members of an archive: a zip of stored, plain files. Whoever packed it, nothing here writes outside a folder or more than was announced."""

import hashlib
import stat
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from audit_assets.errors import InputError, unreadable
from audit_assets.publication.sealed import MOST

_BLOCK = 1 << 20


@dataclass(frozen=True)
class Member:
    """What a member of an archive must have: this number of bytes and this sha256."""

    bytes: int
    sha256: str
    page: bool = False
    """Without its block, which says when and by whom: the archive has the page with it."""

    def at_most(self) -> int:
        return self.bytes + (MOST if self.page else 0)


@contextmanager
def opened_archive(file: Path) -> Iterator[zipfile.ZipFile]:
    """Open the archive. Raise InputError for any error that the library finds inside."""
    try:
        if not stat.S_ISREG(file.stat().st_mode):  # a pipe may wait for ever
            raise InputError(f"{file}: is no file; give an archive of `audit-assets export`.")
        stream = file.open("rb")
    except FileNotFoundError:
        raise InputError(f"{file}: there is no such file; correct the name.") from None
    except OSError as error:
        raise InputError(f"{unreadable(file, error)}.") from None
    try:
        with stream, zipfile.ZipFile(stream) as packed:
            yield packed
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, UnicodeDecodeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{file}: is no whole archive of `audit-assets export` ({error}); have it sent again."
        ) from None


def tampered(file: Path, name: str, what: str) -> InputError:
    """Return the error that names an archive, its member, and what is wrong with it."""
    return InputError(f"{file}, {name!r}: {what}; it was altered or damaged, have it sent again.")


def list_members(file: Path, packed: zipfile.ZipFile) -> Mapping[str, zipfile.ZipInfo]:
    """List the members by name.

    Raise InputError for members that `export` never packs: links, folders, repeated names, and compressed or encrypted
    members.
    """
    found: dict[str, zipfile.ZipInfo] = {}
    for info in packed.infolist():
        kind = stat.S_IFMT(info.external_attr >> 16)
        for wrong, what in (
            (info.filename in found, "occurs twice"),
            (info.is_dir() or kind not in (0, stat.S_IFREG), "is a link, a folder or a device"),
            (info.compress_type != zipfile.ZIP_STORED, "is compressed"),
            (info.flag_bits & 0x1, "is encrypted"),
            (info.file_size != info.compress_size, "has two sizes"),
        ):
            if wrong:
                raise tampered(file, info.filename, what)
        found[info.filename] = info
    if sum(info.file_size for info in found.values()) > file.stat().st_size:
        raise tampered(file, "its members", "are larger than the archive together")
    return found


def text_of(file: Path, packed: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo], name: str, most: int) -> str:
    """Return a member's text in UTF-8. Raise InputError if it is missing or has more than `most` bytes."""
    if name not in members:
        raise tampered(file, name, "is missing")
    if members[name].file_size > most:
        raise tampered(file, name, f"has more than {most} bytes")
    return packed.read(name).decode("utf-8")


def place_of(folder: Path, name: str) -> Path:
    """Return the path of a member. A manifest's names cannot lead out of the folder; this function checks it again."""
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"{name!r} leads out of the folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def copy_member(source: IO[bytes], into: IO[bytes], member: Member, otherwise: str) -> None:
    """Copy a member, and never write more than its size. Raise InputError with `otherwise` if the bytes differ."""
    total, left = hashlib.sha256(), member.bytes
    while block := source.read(min(_BLOCK, left + 1)):
        left -= len(block)
        if left < 0:
            break
        total.update(block)
        into.write(block)
    if left != 0 or total.hexdigest() != member.sha256:
        raise InputError(otherwise)
