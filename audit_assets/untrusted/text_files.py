"""Text files of strangers as a stream of UTF-8: compressed or not, in the encoding that they state.

A compressed file is read piece by piece. It may not become more than MOST_TO_ONE times as large as what was read of it.
"""

import codecs
import io
import itertools
from collections.abc import Iterator
from typing import IO

import pyarrow as pa

from audit_assets.untrusted.parquet import Bomb

COMPRESSIONS = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}
MOST_TO_ONE = 500
"""Captions that repeat are compressed to a two-hundredth."""
_FREE = 1 << 26
_PIECE = 1 << 20
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"),
)  # fmt: skip
"""The UTF-32 marks come first, because one begins like a mark of UTF-16."""


def marked(start: bytes) -> tuple[str, int] | None:
    """(encoding, length of the mark) of bytes that begin with a byte order mark."""
    return next(((encoding, len(mark)) for mark, encoding in _MARKS if start.startswith(mark)), None)


def as_utf8(file: IO[bytes], compression: str | None, encoding: str | None) -> io.BufferedReader:
    """The content of `file` as UTF-8 without a byte order mark.

    A byte order mark states the encoding; else `encoding` does, and without it the bytes are passed on as they are. Reading
    raises Bomb if the file becomes too large, OSError if it is cut off, and UnicodeDecodeError if it has another encoding.
    """
    pieces = _decompressed(file, compression) if compression else iter(lambda: file.read(_PIECE), b"")
    return io.BufferedReader(_Stream(_recoded(pieces, encoding)), _PIECE)


def followed_by(stream: io.BufferedReader, end: bytes) -> io.BufferedReader:
    """The content of a stream, and `end` behind it."""
    pieces = itertools.chain(iter(lambda: stream.read(_PIECE), b""), [end])
    return io.BufferedReader(_Stream(pieces), _PIECE)


def _decompressed(file: IO[bytes], compression: str) -> Iterator[bytes]:
    with pa.CompressedInputStream(pa.PythonFile(file, mode="r"), compression) as stream:
        size = 0
        while piece := stream.read(_PIECE):
            size += len(piece)
            if size > _FREE + MOST_TO_ONE * file.tell():
                raise Bomb(f"{file.tell()} compressed bytes become more than {size}")
            yield piece


def _recoded(pieces: Iterator[bytes], encoding: str | None) -> Iterator[bytes]:
    first = next(pieces, b"")
    if mark := marked(first):
        encoding, first = mark[0], first[mark[1] :]
    if encoding is None or codecs.lookup(encoding).name == "utf-8":
        yield first
        yield from pieces
        return
    decoder = codecs.getincrementaldecoder(encoding)()
    for piece in itertools.chain([first], pieces):
        yield decoder.decode(piece).encode()
    yield decoder.decode(b"", True).encode()


class _Stream(io.RawIOBase):
    """Pieces of bytes as a file."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._rest = pieces, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(piece)
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size
