"""These functions read the chunks of a PNG that are not pixels, with bounds.

Programs that draw images write prompts and whole workflows into text chunks. A decoder that meets a text of megabytes
refuses the file. Pixels do not depend on texts: `pixels_of` gives the decoder the file without them, and `texts_of`
reads them apart.
"""

import io
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from audit_assets.errors import InputError

MAGIC = b"\x89PNG\r\n\x1a\n"
LONGEST_TEXT = 16_000_000
"""A text may have this many bytes once it is unpacked. A longer one is left out."""
_LONGEST_KEPT = 60_000
_LARGEST_PROFILE = 4_000_000
_LONGEST_EXIF = 1_000_000
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_TURNS = (b"Raw profile type exif\0", b"Raw profile type APP1\0", b"XML:com.adobe.xmp\0")
"""These texts can say how the image is turned, so that the decoder gets them."""


@dataclass
class Colours:
    """This is what chunks say about colours that Pillow does not keep whole."""

    profile: bytes | None = None
    """The unpacked ICC profile. It is empty if the chunk is damaged or larger than any profile."""
    codes: tuple[int, int] | None = None
    """The code points of primaries and transfer (chunk cICP)."""


def pixels_of(file: BinaryIO) -> tuple[BinaryIO, Colours]:
    """Return a PNG without its texts and its profile, and what it says about colours.

    `file` stands at its beginning. A damaged file is passed on as far as it goes, for the decoder to refuse. InputError is
    raised for pixels with another checksum, which Pillow does not look at.
    """
    kept, colours = io.BytesIO(), Colours()
    kept.write(file.read(len(MAGIC)))
    while len(head := file.read(8)) == 8:
        length, name = struct.unpack(">I4s", head)
        body = file.read(length + 4)
        if len(body) < length + 4:
            kept.write(head + body)
            break
        if name == b"IDAT" and zlib.crc32(body[:length], zlib.crc32(name)) != int.from_bytes(body[length:]):
            raise InputError(
                "holds pixels that do not fit their checksum, as after a download that was interrupted; copy it again."
            )
        if name == b"iCCP":
            colours.profile = _unpacked(body[:length].partition(b"\0")[2][1:], _LARGEST_PROFILE) or b""
        elif name == b"cICP" and length == 4:
            colours.codes = (body[0], body[1])
        elif name not in _TEXTS or (body.startswith(_TURNS) and length < _LONGEST_KEPT and _is_short(name, body)):
            kept.write(head + body)
    kept.seek(0)
    return kept, colours


def texts_of(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the keyword and the text of each text chunk. Texts that are damaged or too long are left out."""
    with open(path, "rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            return
        while len(head := file.read(8)) == 8:
            length, name = struct.unpack(">I4s", head)
            if name not in _TEXTS or length > LONGEST_TEXT:
                file.seek(length + 4, io.SEEK_CUR)
                continue
            keyword, _, rest = file.read(length).partition(b"\0")
            file.seek(4, io.SEEK_CUR)
            if (text := _text(name, rest)) is not None:
                yield keyword.decode("latin-1"), text


def exif_of(path: Path) -> bytes:
    """Return the EXIF of a PNG: its chunk eXIf, or the text of ImageMagick that holds one in hexadecimal digits; empty if it has none or a long one."""
    with open(path, "rb") as file:
        file.seek(len(MAGIC))
        while len(head := file.read(8)) == 8:
            length, name = struct.unpack(">I4s", head)
            if name == b"eXIf" and length < _LONGEST_EXIF:
                return file.read(length)
            file.seek(length + 4, io.SEEK_CUR)
    for keyword, text in texts_of(path):
        if keyword.lower() in ("raw profile type exif", "raw profile type app1"):
            digits = "".join(text.split("\n")[3:])
            if len(digits) < 2 * _LONGEST_EXIF and re.fullmatch(r"(?:[0-9a-fA-F]{2})+", digits):
                return bytes.fromhex(digits)
    return b""


def _text(name: bytes, rest: bytes) -> str | None:
    if name == b"iTXt":
        if len(rest) < 2:
            return None
        packed, content = rest[0] == 1, rest[2:].partition(b"\0")[2].partition(b"\0")[2]
        content_or_none = _unpacked(content, LONGEST_TEXT) if packed else content
    else:
        content_or_none = _unpacked(rest[1:], LONGEST_TEXT) if name == b"zTXt" else rest
    if content_or_none is None:
        return None
    try:  # The standard says Latin-1 for tEXt and zTXt. Many programs write UTF-8, which is hardly ever Latin-1 by chance.
        return content_or_none.decode("utf-8")
    except UnicodeDecodeError:
        return content_or_none.decode("latin-1")


def _is_short(name: bytes, body: bytes) -> bool:
    text = _text(name, body[:-4].partition(b"\0")[2])
    return text is not None and len(text) < _LONGEST_KEPT


def _unpacked(packed: bytes, most: int) -> bytes | None:
    """Unpack at most `most` bytes. The result is None if there are more, or if the data is damaged."""
    unpacker = zlib.decompressobj()
    try:
        content = unpacker.decompress(packed, most)
    except zlib.error:
        return None
    return content if unpacker.eof else None
