"""These functions open image files that a person supplied. They set bounds, and a refusal names file and remedy."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from audit_assets.errors import InputError

MAXIMUM_PIXELS = 64_000_000
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP")
"""A user's file may have these formats, whatever its name says. Pillow reads more, and starts Ghostscript for EPS."""


def check_header(path: Path) -> None:
    """Refuse a file that a person cannot have meant as an image of a model. Only its header is read.

    It raises InputError if the file is not an image, is animated, is too large, or is in CMYK. A person who converted
    an image to CMYK chose other colours than the model's.
    """
    with _opened(path) as image:
        if image.mode == "CMYK":
            raise InputError(f"{path}: is in CMYK, which no image model draws; supply the RGB image as it was made.")


def open_image(path: Path) -> Image.Image:
    """Return a user's image as RGB. InputError names the file and the remedy.

    The image is turned as its EXIF says, and its transparency is put on white.
    """
    with _opened(path) as image:
        turned = _eight_bits(ImageOps.exif_transpose(image), path)
        if turned.mode in ("RGBA", "LA", "PA") or "transparency" in turned.info:
            turned = turned.convert("RGBA")
            white = Image.new("RGBA", turned.size, "white")
            return Image.alpha_composite(white, turned).convert("RGB")
        return turned.convert("RGB")


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open a still image of usual size. Decoding it inside also raises InputError if the file is damaged."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            # An MPO is a camera's JPEG with a preview behind it, not an animation.
            if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:
                raise InputError(f"{path}: is animated; save the frame that counts as a still image.")
            if image.width * image.height > MAXIMUM_PIXELS:
                raise InputError(
                    f"{path}: has {image.width} x {image.height} pixels; reduce it to at most {MAXIMUM_PIXELS // 1_000_000} megapixels."
                )
            yield image
    except Image.DecompressionBombError as error:
        raise InputError(
            f"{path}: is too large ({error}); reduce it to at most {MAXIMUM_PIXELS // 1_000_000} megapixels."
        ) from None
    except Exception as error:  # a file that was built to do so makes a decoder raise any exception
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: cannot be read as an image ({error}); save it again as PNG, JPEG or WebP.") from None


def _eight_bits(image: Image.Image, path: Path) -> Image.Image:
    """Scale deeper greys to eight bits. Pillow clips them at 255, which makes a 16-bit scan all white."""
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) // 257).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise InputError(f"{path}: has 32-bit values, whose white is unknown; save it again with 8 or 16 bits.")
    return image
