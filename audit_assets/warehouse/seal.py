"""A parquet file that knows its own hash: any byte that changes after it was written is noticed when it is read.

Parquet's checksums cover the pages of a file and not its footer, where a changed bit moves a column or renames it. Here
the sha256 of the whole file stands between the last page and the footer, in a gap that the format allows, so that any
reader of parquet still reads the file: pages, MARK, sha256 of pages and footer, footer.
"""

import hashlib
import os
from pathlib import Path
from typing import BinaryIO

MARK = b"AUDITSUM"
SEALED = b"audit_assets.sealed"
"""A key of the footer: the file is damaged where the seal is not there. Files of earlier versions do not have it."""

_SEAL = len(MARK) + hashlib.sha256().digest_size
_TAIL = 8
"""Bytes: the footer's length and parquet's own mark."""


class Damaged(ValueError):
    """the file's bytes are not those that were written"""


def sealed(content: bytes) -> bytes:
    """The bytes of a parquet file with their seal."""
    footer = len(content) - _footer_length(content[-_TAIL:], len(content))
    return content[:footer] + MARK + hashlib.sha256(content).digest() + content[footer:]


def check(content: bytes) -> None:
    """Damaged where the bytes of a file are not those that were sealed; a file without a seal is taken as it is."""
    footer = len(content) - _footer_length(content[-_TAIL:], len(content))
    seal = content[max(0, footer - _SEAL) : footer]
    if _is_seal(seal, content[footer:]):
        total = hashlib.sha256(memoryview(content)[: footer - _SEAL])
        total.update(memoryview(content)[footer:])
        _compare(seal, total.digest())


def seal_file(path: Path) -> None:
    """Seal a file that was streamed into place."""
    with open(path, "r+b") as file:
        digest = hashlib.file_digest(file, "sha256").digest()
        footer, start = _footer(file)
        file.seek(start)
        file.write(MARK + digest + footer)


def check_file(path: Path) -> None:
    """`check` of a file that need not fit into memory."""
    with open(path, "rb") as file:
        footer, start = _footer(file)
        file.seek(max(0, start - _SEAL))
        seal = file.read(min(start, _SEAL))
        if not _is_seal(seal, footer):
            return
        total, left = hashlib.sha256(), start - _SEAL
        file.seek(0)
        while left > 0 and (block := file.read(min(left, 1 << 20))):
            total.update(block)
            left -= len(block)
        total.update(footer)
    _compare(seal, total.digest())


def _footer(file: BinaryIO) -> tuple[bytes, int]:
    """The footer with its length and mark, and where it begins."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _TAIL))
    start = size - _footer_length(file.read(), size)
    file.seek(start)
    return file.read(), start


def _footer_length(tail: bytes, size: int) -> int:
    length = int.from_bytes(tail[:4], "little") + _TAIL
    if size < 12 or tail[4:] != b"PAR1" or length > size - 4:
        raise Damaged("no parquet footer")
    return length


def _is_seal(seal: bytes, footer: bytes) -> bool:
    if seal.startswith(MARK) and len(seal) == _SEAL:
        return True
    if SEALED in footer:
        raise Damaged("the checksum is gone")
    return False


def _compare(seal: bytes, digest: bytes) -> None:
    if seal[len(MARK) :] != digest:
        raise Damaged("the checksum of its bytes is another")
