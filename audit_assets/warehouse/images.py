"""Images are kept by the hash of their bytes."""

import hashlib
import io
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from audit_assets.errors import InputError, unreadable
from audit_assets.warehouse.places import each, whole

BLOCKED = "blocked by the safety checker"
"""An image has this key in its `info` if the model's safety checker replaced what the model drew."""
SHOW_NOTHING = ("blank", "blocked", "rewritten")
"""These statuses of `imitations` belong to images that exist and show nothing of what the model draws for the name."""
WITHHELD = ("blocked", "rewritten", "refused", "failed")
"""These statuses say that the model was asked, and that it is not known what it would have drawn for the name."""
_BLANK_DEVIATION = 1.0
"""If an image's values vary by fewer grey levels than this, it shows nothing.

The pipeline overflowed, or it is a safety checker's black image of which nothing says so.
"""

_BORDER = 6.0
"""Grey levels by which a border of one colour varies after JPEG."""


def image_bytes(image: Image.Image) -> bytes:
    """Return a PNG of only the pixels, in RGB, with fast compression.

    It has no metadata, so that equal pixels give equal bytes.
    """
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(image.convert("RGB"))).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def is_blank(image: Image.Image) -> bool:
    """Whether all values of an image, of all channels together, are nearly the same. A histogram needs no memory per pixel."""
    count = np.reshape(image.convert("RGB").histogram(), (3, 256)).sum(axis=0) / (3 * image.width * image.height)
    value = np.arange(256)
    return bool(np.sqrt(count @ (value - count @ value) ** 2) < _BLANK_DEVIATION)


def status_of(image: Image.Image) -> str:
    """Return the status of a drawn or supplied image in `imitations`: 'ok', 'blocked' or 'blank'."""
    return "blocked" if BLOCKED in image.info else "blank" if is_blank(image) else "ok"


def small_picture(image: Image.Image, side: int = 16) -> bytes:
    """Return the averaged colours of side x side fields, in side * side * 3 bytes.

    Near-identical images are found by them.
    """
    return image.convert("RGB").resize((side, side), Image.Resampling.BOX).tobytes()


def grey_picture(image: Image.Image, side: int = 32) -> bytes:
    """Return side x side averaged grey values, in as many bytes, without a border of one colour.

    Copies are found by them. An edge of at most 15 % of the side is a border if its lines vary by fewer grey levels than JPEG
    adds, and differ as little from each other.
    """
    grey = np.asarray(image.convert("L"), dtype=np.float32)
    for _ in range(2):  # first left and right, then above and below
        grey = _without_border(grey).T
    return Image.fromarray(grey.astype(np.uint8)).resize((side, side), Image.Resampling.BICUBIC).tobytes()


def _without_border(grey: np.ndarray) -> np.ndarray:
    """Cut the columns of one colour off the left and the right."""
    most = int(0.15 * grey.shape[1])
    cuts = []
    for columns in (grey[:, : most + 1], grey[:, ::-1][:, : most + 1]):
        flat = (columns.std(axis=0) < _BORDER) & (np.abs(columns.mean(axis=0) - columns[:, 0].mean()) < _BORDER)
        cuts.append(len(flat) if flat.all() else int(np.argmin(flat)))
    # If the colour goes further than a border does, it belongs to the picture.
    left, right = (cut if cut <= most else 0 for cut in cuts)
    return grey[:, left : grey.shape[1] - right]


class ImageStore:
    """This holds images below `root`, each named by its sha256. Writing an image twice is the same as once."""

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
        if path.exists() and path.read_bytes() == content:  # a damaged image is written again
            return sha256
        with whole(path) as file:
            file.write_bytes(content)
        return sha256

    def has(self, hashes: Iterable[str]) -> bool:
        """Return whether every one of these images exists."""
        return all(each(self.root, lambda sha256: self.path(sha256).exists(), hashes))

    def get(self, sha256: str) -> Image.Image:
        """Return an image. InputError names a file that is missing or was altered."""
        return Image.open(io.BytesIO(self.content(sha256)), formats=("PNG",)).convert("RGB")

    def content(self, sha256: str) -> bytes:
        """Return the bytes of an image's PNG. InputError names a file that is missing or was altered."""
        path = self.path(sha256)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise InputError(f"{path}: is missing; materialize the imitations or reference works again.") from None
        except OSError as error:
            raise InputError(f"{unreadable(path, error)}.") from None
        if hashlib.sha256(content).hexdigest() != sha256:
            raise InputError(
                f"{path}: was altered, its bytes are not those it is named by; delete it and materialize again."
            )
        return content
