"""These functions open image files that a person supplied. They set bounds, and a refusal names file and remedy.

There is one reading of images, for real works and for images that an operator saved from a model.
"""

import struct
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageFile, ImageOps

from audit_assets.errors import InputError, unreadable, without_addresses
from audit_assets.untrusted import colours, png
from audit_assets.untrusted.endings import check_ending

try:
    from pillow_heif import register_heif_opener
except ImportError:
    HEIC_IS_READ = False
else:
    register_heif_opener()
    HEIC_IS_READ = True

# Pillow prints one line for each field of a damaged EXIF, and one file can have 65,535 of them.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

MAXIMUM_PIXELS = 64_000_000
THINNEST = 100
"""An image may be so many times longer than it is wide. Encoders enlarge its short side to 224 pixels or more, so that 1 x 30,000 would become 224 x 6,720,000."""
BACKGROUND = "white"
"""Transparent images are put on this colour."""
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "AVIF", *(("HEIF",) if HEIC_IS_READ else ()))
"""A user's file may have these formats, whatever its name says. Pillow reads more, and starts Ghostscript for EPS."""
NEEDS_HEIC = "is HEIC, which needs the package pillow-heif; install it (pip install 'audit_assets[heif]'), or save the work as PNG"
_HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_MOST_PAGES = 64
_HEAD = 1_000_000
_CODES = b"colrnclx"


def check_header(path: Path) -> None:
    """Refuse a file that `open_image` would refuse, as far as its header shows it. No pixel is decoded."""
    with _opened(path) as (image, own):
        profile = _profile(image, path, own)
        if image.mode == "CMYK":
            colours.to_srgb(Image.new("CMYK", (1, 1)), profile)


def open_image(path: Path) -> Image.Image:
    """Return a user's image as RGB in sRGB. InputError names the file and the remedy.

    The image is turned as its EXIF says. The colours that its profile states are converted to sRGB. Its transparency is
    put on BACKGROUND. Deeper values are scaled to eight bits.
    """
    with _opened(path) as (image, own):
        profile = _profile(image, path, own)
        image.load()
        tags = dict(getattr(image, "tag_v2", {}))
        with suppress(Exception):  # an EXIF that cannot be read says nothing of a turn; its reader raises any exception
            image = ImageOps.exif_transpose(image)
        solid, alpha = _parts(image, tags)
        converted = colours.to_srgb(solid, profile)
        if alpha is not None:
            converted = Image.composite(converted, Image.new("RGB", converted.size, BACKGROUND), alpha)
        return converted


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Image.Image, png.Colours | None]]:
    """Open a still image of usual size. Decoding it inside also raises InputError if the file is damaged or cut short."""
    # Some libraries set this for the whole process (WeasyPrint does so as it is imported), and Pillow then fills up what a file lacks.
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        with open(path, "rb") as file:
            source, own = _source(file)
            with Image.open(source, formats=FORMATS) as image:
                if image.width * image.height > MAXIMUM_PIXELS:
                    raise InputError(
                        f"has {image.width} x {image.height} pixels; reduce it to at most {MAXIMUM_PIXELS // 1_000_000} megapixels."
                    )
                if max(image.size) > THINNEST * min(image.size):
                    raise InputError(
                        f"is {image.width} x {image.height} pixels: an encoder sees no more than its middle; crop it, or take it away."
                    )
                check_ending(file, image.format or "", image.width * image.height)
                _check_still(image)
                if _has_deep_key(image):
                    raise InputError(
                        "has 16 bits and one transparent colour, which cannot be told apart in 8 bits; save it with an alpha channel."
                    )
                _scale_key(image)
                yield image, own
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except Image.DecompressionBombError as error:
        raise InputError(
            f"{path}: is too large ({error}); reduce it to at most {MAXIMUM_PIXELS // 1_000_000} megapixels."
        ) from None
    except Exception as error:  # a file that was built to do so makes a decoder raise any exception
        if isinstance(error, OSError) and error.errno:  # of the system, not of a decoder
            raise InputError(f"{unreadable(path, error)}.") from None
        why = without_addresses(str(error))
        raise InputError(f"{path}: cannot be read as an image ({why}); save it again as PNG, JPEG or WebP.") from None


def _source(file: BinaryIO) -> tuple[BinaryIO, png.Colours | None]:
    head = file.read(12)
    file.seek(0)
    if not HEIC_IS_READ and head[4:8] == b"ftyp" and head[8:12] in _HEIC:
        raise InputError(NEEDS_HEIC)
    return png.pixels_of(file) if head.startswith(png.MAGIC) else (file, None)


def _check_still(image: Image.Image) -> None:
    """Raise InputError for an animation and for a file with several pages, which are several images.

    The preview behind a camera's JPEG (MPO) and the smaller copies in a TIFF are no pages.
    """
    if image.format == "TIFF":
        for page in range(1, _MOST_PAGES):
            try:
                image.seek(page)
            except EOFError:
                break
            tags = image.tag_v2  # type: ignore[attr-defined]
            if not int(tags.get(254, 0)) & 0b101 and tags.get(255) != 2:  # neither a smaller copy nor a mask
                raise InputError("has several pages; save the page that counts as an image of its own.")
        image.seek(0)
    elif image.format == "HEIF":
        return  # Pillow shows the primary image of several; the others are bursts and depth maps
    elif image.format != "MPO" and getattr(image, "is_animated", False):
        raise InputError("is animated; save the frame that counts as a still image.")


def _has_deep_key(image: Image.Image) -> bool:
    """Return whether a PNG has RGB pixels of 16 bits, one of whose colours is transparent. Pillow compares it with 8 bits."""
    tiles = image.tile  # type: ignore[attr-defined]
    return image.format == "PNG" and "transparency" in image.info and any("RGB;16" in str(tile) for tile in tiles)


def _scale_key(image: Image.Image) -> None:
    """Scale the transparent grey of a PNG of 2 or 4 bits as Pillow scales its pixels, which does not scale the key."""
    args = str(image.tile[0].args) if image.format == "PNG" and image.tile else ""  # type: ignore[attr-defined]
    if args in ("L;2", "L;4") and "transparency" in image.info:
        white = 2 ** int(args[-1]) - 1
        image.info["transparency"] = (image.info["transparency"] & white) * (255 // white)


def _profile(image: Image.Image, path: Path, own: png.Colours | None) -> bytes | None:
    """Return the ICC profile that describes the image's colours. It is None if they are in sRGB."""
    if own is not None:
        if own.codes is not None:
            return colours.by_codes(*own.codes)
        if own.profile is not None:
            return own.profile
        if "srgb" in image.info:
            return None
        return colours.by_gamma(image.info.get("gamma"), image.info.get("chromaticity"))
    if "icc_profile" in image.info and (image.format in ("JPEG", "MPO", "TIFF") or image.info["icc_profile"]):
        return bytes(image.info["icc_profile"] or b"")  # Pillow gives None if a part of the profile is missing
    if image.format in ("AVIF", "HEIF") and (codes := _codes(path)) is not None:
        return colours.by_codes(*codes)
    return colours.adobe_rgb() if image.mode == "RGB" and _is_adobe_rgb(image) else None


def _codes(path: Path) -> tuple[int, int] | None:
    """Return the code points of primaries and transfer in the head of an AVIF or HEIC."""
    with open(path, "rb") as file:
        head = file.read(_HEAD)
    at = head.find(_CODES)
    if at < 0 or len(head) < at + len(_CODES) + 4:
        return None
    primaries, transfer = struct.unpack_from(">HH", head, at + len(_CODES))
    return primaries, transfer


def _is_adobe_rgb(image: Image.Image) -> bool:
    """Return whether a camera marked its image as Adobe RGB, which it does without a profile."""
    with suppress(Exception):  # a damaged EXIF makes its reader raise any exception, and marks nothing
        exif = image.getexif()
        mark = exif.get_ifd(0xA005).get(1, "")
        mark = mark.decode("latin-1") if isinstance(mark, bytes) else str(mark)
        return mark.startswith("R03") or exif.get_ifd(0x8769).get(0xA001) == 2
    return False


def _parts(image: Image.Image, tags: Mapping[int, Any]) -> tuple[Image.Image, Image.Image | None]:
    """Return an image of mode L, RGB, CMYK or LAB with eight bits, and its opacity (mode L) if it has any.

    `tags` are those of a TIFF.
    """
    if image.mode.startswith("I;16"):
        return _eight_bits(image, tags)
    if image.mode in ("I", "F"):
        raise InputError("has 32-bit or signed values, whose white is unknown; save it again with 8 or 16 bits.")
    if image.mode in ("PA", "La", "RGBa"):
        image = image.convert({"PA": "RGBA", "La": "LA", "RGBa": "RGBA"}[image.mode])
    if "transparency" in image.info and image.mode in ("1", "L", "P", "RGB"):
        image = image.convert("RGBA")
    if image.mode == "RGBA":
        return image.convert("RGB"), image.getchannel("A")
    if image.mode == "LA":
        return image.getchannel("L"), image.getchannel("A")
    plain = {"1": "L", "P": "RGB", "YCbCr": "RGB", "RGBX": "RGB", "HSV": "RGB"}.get(image.mode, image.mode)
    if plain not in ("L", "RGB", "CMYK", "LAB"):
        raise InputError(f"has pixels of the kind {image.mode}; save it again as RGB.")
    return image.convert(plain), None


def _eight_bits(image: Image.Image, tags: Mapping[int, Any]) -> tuple[Image.Image, Image.Image | None]:
    """Scale deeper greys to eight bits. Pillow clips them at 255, which makes a 16-bit scan all white."""
    bits = tags.get(258, 16)
    white = 2 ** int(bits[0] if isinstance(bits, tuple) else bits) - 1
    values = np.asarray(image).astype(np.uint32)
    clear = image.info.get("transparency")
    grey = np.minimum((values * 255 + white // 2) // white, 255).astype(np.uint8)
    if tags.get(262) == 0:  # white is zero, which Pillow passes over for deep greys
        grey = 255 - grey
    opacity = None if clear is None else Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8))
    return Image.fromarray(grey), opacity
