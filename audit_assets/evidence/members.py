"""The members of an archive: a zip of stored, plain files. Whoever packed it, nothing here writes outside a folder or more than was announced."""

import hashlib
import stat
import struct
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from audit_assets.errors import InputError, unreadable
from audit_assets.publication.sealed import MOST

_BLOCK = 1 << 20
_ENTRY = 46
"""Bytes of an entry of a zip's directory, without its name."""


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
    members, and for any byte between the members or around them.
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
    _check_layout(file, packed)
    return found


def _check_layout(file: Path, packed: zipfile.ZipFile) -> None:
    """Raise InputError unless members, directory and end lie as `export` writes them, with no byte before, between or behind.

    A program that reads an archive from its start would unpack a hidden member, which the directory does not name.
    """
    members, at, entries, stream = packed.infolist(), 0, 0, packed.fp
    assert stream is not None
    for info in members:
        headers = _headers(info)
        stream.seek(at)
        start = stream.read(max(map(len, headers)))
        found = next((one for one in headers if start[:4] == one[:4] and start[6 : len(one)] == one[6:]), None)
        if found is None or info.header_offset != at or info.comment or info.extra not in _extras(info):
            raise tampered(file, info.filename, "does not lie as `export` packs it, so bytes may be hidden beside it")
        at += len(found) + info.file_size
        entries += _ENTRY + int.from_bytes(found[26:28], "little") + len(info.extra)
    stream.seek(at + entries)
    end = stream.read(1 << 10)
    if packed.start_dir != at or end not in _ends(len(members), entries, at):
        raise tampered(file, "its directory", "does not lie as `export` writes it, so bytes may be hidden beside it")


def _headers(info: zipfile.ZipInfo) -> list[bytes]:
    """Return what may stand before a member, apart from the version of the format: large members have their sizes twice."""
    plain = copy(info)
    plain.filename, plain.extra = info.orig_filename, b""
    large = plain.FileHeader(zip64=True)
    return [large] if info.file_size > zipfile.ZIP64_LIMIT else [plain.FileHeader(zip64=False), large]


def _extras(info: zipfile.ZipInfo) -> list[bytes]:
    """Return what an entry of the directory may have besides its fields: the sizes and the place of a member that is large or lies far behind."""
    sizes = (info.file_size, info.compress_size)
    kinds: tuple[tuple[int, ...], ...] = (sizes, (info.header_offset,), (*sizes, info.header_offset))
    return [b"", *(struct.pack(f"<2H{len(numbers)}Q", 1, 8 * len(numbers), *numbers) for numbers in kinds)]


def _ends(members: int, size: int, at: int) -> list[bytes]:
    """Return what may stand behind a directory of this size at this place, without and with the record of large archives."""
    short = (min(members, 0xFFFF), min(members, 0xFFFF), min(size, 0xFFFFFFFF), min(at, 0xFFFFFFFF))
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, *short, 0)
    large = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, members, members, size, at)
    return [end, large + struct.pack("<4sLQL", b"PK\6\7", 0, at + size, 1) + end]


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
