"""A sealed parquet file holds its own hash. If a byte changes after it was written, the reader notices.

Parquet's checksums cover the pages of a file and not its footer, in which a changed bit moves or renames a column. Here
the sha256 of the whole file stands between the last page and the footer, in a gap that the format allows. Any reader of
parquet still reads the file. Its parts are the pages, MARK, the sha256 of pages and footer, and the footer.
"""

import hashlib
import os
from pathlib import Path
from typing import BinaryIO

MARK = b"AUDITSUM"
SEALED = b"audit_assets.sealed"
"""If the footer has this key and the file has no seal, it is damaged. Files of earlier versions lack the key."""

_SEAL = len(MARK) + hashlib.sha256().digest_size
_TAIL = 8
"""The footer's length and parquet's own mark take this many bytes."""


class Damaged(ValueError):
    """the file's bytes are not those that were written"""


def sealed(content: bytes) -> bytes:
    """Return the bytes of a parquet file with their seal."""
    footer = len(content) - _footer_length(content[-_TAIL:], len(content))
    return content[:footer] + MARK + hashlib.sha256(content).digest() + content[footer:]


def check(content: bytes) -> None:
    """Raise Damaged if a file's bytes are not those that were sealed. A file without a seal is accepted."""
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
    """Run `check` on a file that need not fit into memory."""
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
    """Return the footer with its length and mark, and the position at which it begins."""
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
