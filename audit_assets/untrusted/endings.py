"""A download into a file of full size that was interrupted leaves zeros at its end, which decoders read as pixels or as grey.

In BMP and in a TIFF that is not compressed, zeros are black pixels, so that nothing shows what is missing.
"""

import os
import struct
from collections.abc import Iterator
from typing import BinaryIO

from audit_assets.errors import InputError

_FEWEST = 512
_FEWEST_IN_BOX = 4096
"""The data of an AVIF or HEIC may end with a description, in which programs leave space."""
_FLAT = 5_000
"""So many pixels of one colour may become a byte of zero in a WebP: 813 bytes for 9 million pixels of white, which are 11,000 pixels per byte."""
_PIECE = 1 << 16
_PIXELS = (b"VP8 ", b"VP8L", b"ALPH")


def check_ending(file: BinaryIO, kind: str, pixels: int) -> None:
    """Raise InputError if the pixels of a file end in zeros. `kind` is Pillow's name of its format. The file's place stays."""
    place, size = file.tell(), file.seek(0, os.SEEK_END)
    try:
        if kind in ("JPEG", "MPO"):
            end = _without_zeros(file, 0, size)
            file.seek(max(0, end - 2))
            lacks = size - end >= _FEWEST and file.read(2) != b"\xff\xd9"
        elif kind == "WEBP":
            parts = [part for part in _chunks(file, size) if part[0] in _PIXELS]
            fewest = max(_FEWEST, pixels // _FLAT)
            lacks = any(end - _without_zeros(file, start, end) >= fewest for _, start, end in parts)
        elif kind in ("AVIF", "HEIF"):
            parts = [part for part in _boxes(file, size) if part[0] == b"mdat"]
            lacks = any(end - _without_zeros(file, start, end) >= _FEWEST_IN_BOX for _, start, end in parts)
        else:
            lacks = False
    finally:
        file.seek(place)
    if lacks:
        raise InputError("ends in zeros, as a download that was interrupted does; copy it again.")


def _without_zeros(file: BinaryIO, start: int, end: int) -> int:
    """Return where the zeros begin that end a part of a file."""
    while end > start:
        file.seek(first := max(start, end - _PIECE))
        piece = file.read(end - first).rstrip(b"\0")
        if piece:
            return first + len(piece)
        end = first
    return end


def _chunks(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the name, the start and the end of each chunk of a WebP."""
    at = 12
    while at + 8 <= size:
        file.seek(at)
        name, length = struct.unpack("<4sI", file.read(8))
        yield name, at + 8, min(at + 8 + length, size)
        at += 8 + length + length % 2


def _boxes(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the name, the start and the end of each outer box of an AVIF or HEIC. A length of 0 means up to the end, one of 1 a long one behind it."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        length, name = struct.unpack(">I4s", file.read(8))
        head = 8
        if length == 1:
            length, head = int.from_bytes(file.read(8)), 16
        if length == 0:
            length = size - at
        yield name, at + head, min(at + length, size)
        at += max(length, head)
