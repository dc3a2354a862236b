"""Images: kept by the hash of their bytes, and opened from a user's files with care."""

import hashlib
import io
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from audit_assets.errors import InputError
from audit_assets.warehouse.places import each, whole

MAXIMUM_PIXELS = 64_000_000
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP")
"""What a user's file may be, whatever its name says. Pillow knows more: for EPS it starts Ghostscript."""
_BLANK_DEVIATION = 1.0
"""Grey levels. An image whose values vary less shows nothing: the safety checker's black, or a pipeline that overflowed."""


def image_bytes(image: Image.Image) -> bytes:
    """A PNG of the pixels alone: RGB, fast compression, no metadata, so that equal pixels give equal bytes."""
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(image.convert("RGB"))).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def is_blank(image: Image.Image) -> bool:
    return bool(np.asarray(image.convert("RGB"), dtype=np.float32).std() < _BLANK_DEVIATION)


class ImageStore:
    """Images below `root`, each named by its sha256. Writing twice is writing once."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, sha256: str) -> Path:
        if not re.fullmatch(r"[0-9a-f]{64}", sha256):
            raise ValueError(f"{sha256!r} is not a sha256")
        return self.root / sha256[:2] / f"{sha256}.png"

    def put(self, image: Image.Image) -> str:
        content = image_bytes(image)
        sha256 = hashlib.sha256(content).hexdigest()
        path = self.path(sha256)
        if path.exists() and path.read_bytes() == content:  # a damaged one is written anew
            return sha256
        with whole(path) as file:
            file.write_bytes(content)
        return sha256

    def has(self, hashes: Iterable[str]) -> bool:
        """Whether every one of these images is there."""
        return all(each(self.root, lambda sha256: self.path(sha256).exists(), hashes))

    def get(self, sha256: str) -> Image.Image:
        """InputError names a file that is missing or was altered."""
        path = self.path(sha256)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise InputError(
                f"{path}: cannot be read ({error.strerror}); materialize the imitations or reference works again."
            ) from None
        if hashlib.sha256(content).hexdigest() != sha256:
            raise InputError(
                f"{path}: was altered, its bytes are not those it is named by; delete it and materialize again."
            )
        return Image.open(io.BytesIO(content), formats=("PNG",)).convert("RGB")


def check_header(path: Path) -> None:
    """Refuse by its header, without decoding, what a person cannot have meant as an image of a model.

    InputError for what is no image, is animated, too large, or in CMYK: whoever converted it chose other colours than
    the model's.
    """
    with _opened(path) as image:
        if image.mode == "CMYK":
            raise InputError(f"{path}: is in CMYK, which no image model draws; supply the RGB image as it was made.")


def open_image(path: Path) -> Image.Image:
    """A user's image as RGB: turned as its EXIF says, transparency on white. InputError names the file and the remedy."""
    with _opened(path) as image:
        turned = _eight_bits(ImageOps.exif_transpose(image), path)
        if turned.mode in ("RGBA", "LA", "PA") or "transparency" in turned.info:
            turned = turned.convert("RGBA")
            white = Image.new("RGBA", turned.size, "white")
            return Image.alpha_composite(white, turned).convert("RGB")
        return turned.convert("RGB")


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """A still image of usual size; decoding it inside gives InputError as well where the file is damaged."""
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
    except Exception as error:  # a file that was built for it makes a decoder raise anything
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: cannot be read as an image ({error}); save it again as PNG, JPEG or WebP.") from None


def _eight_bits(image: Image.Image, path: Path) -> Image.Image:
    """Pillow clips deeper greys at 255, which makes a 16-bit scan all white; scale them instead."""
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) // 257).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise InputError(f"{path}: has 32-bit values, whose white is unknown; save it again with 8 or 16 bits.")
    return image
