"""Text that is drawn in images: read, compared with the artist's names, and blurred.

An encoder that reads text takes an image for an artist's because the name or the signature is written in it. The library that reads is the extra `ocr`; its
models are in its package, so nothing is fetched.
"""

import importlib.util
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import SequenceMatcher

import numpy as np
from PIL import Image, ImageFilter

from audit_assets.errors import InputError
from audit_assets.roster.normalise import tokens

ALIKE = 0.8
"""Ratio of equal letters from which two words are the same: models misspell."""
LONG = 4
"""Letters of a word that can stand for the whole name, as a surname in a signature does."""
LEAST_SIDE = 256
"""Pixels to which a smaller image is enlarged before it is read."""


@dataclass(frozen=True)
class Line:
    """A line of text and the box around it: left, top, right, below, in pixels of the image."""

    text: str
    box: tuple[int, int, int, int]


class Reader:
    """The library that reads. InputError if it is not installed."""

    def __init__(self) -> None:
        check_installed()
        from rapidocr import RapidOCR

        self._read = RapidOCR()
        logging.getLogger("RapidOCR").setLevel(logging.ERROR)  # it reports each image without text

    def lines(self, image: Image.Image) -> list[Line]:
        """The lines that are read in an image, from above."""
        scale = max(1.0, LEAST_SIDE / max(image.size))
        large = image.convert("RGB")
        if scale > 1:
            large = large.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BICUBIC)
        found = self._read(np.asarray(large))
        if found.boxes is None or found.txts is None:
            return []
        read = []
        for corners, text in zip(np.asarray(found.boxes, dtype=float) / scale, found.txts, strict=True):
            left, top = np.floor(corners.min(axis=0)).astype(int).tolist()
            right, below = np.ceil(corners.max(axis=0)).astype(int).tolist()
            box = (max(left, 0), max(top, 0), min(right, image.width), min(below, image.height))
            if text.strip() and box[2] > box[0] and box[3] > box[1]:
                read.append(Line(" ".join(text.split()), box))
        return sorted(read, key=lambda line: (line.box[1], line.box[0]))


def installed() -> bool:
    """Whether the extra `ocr` is installed."""
    return all(importlib.util.find_spec(package) is not None for package in ("rapidocr", "onnxruntime"))


def check_installed() -> None:
    """InputError if the extra `ocr` is not installed."""
    if not installed():
        raise InputError(
            "text_in_images: needs a library that reads text in images; run pip install 'audit_assets[ocr]', or leave text_in_images out."
        )


def names_artist(texts: Iterable[str], names: Iterable[str]) -> bool:
    """Whether a name, or the surname alone, is among the words that were read. A misspelling of one letter in five counts.

    The last word of a name stands for its bearer if it has four letters or more.
    """
    read = [word for text in texts for word in tokens(text)]
    return any(_is_there(tokens(name), read) for name in names)


def _is_there(name: list[str], read: list[str]) -> bool:
    if not name:
        return False
    if len(name[-1]) >= LONG and any(_alike(name[-1], word) for word in read):
        return True
    rows = (read[at : at + len(name)] for at in range(len(read) - len(name) + 1))
    whole = any(all(_alike(a, b) for a, b in zip(name, row, strict=True)) for row in rows)
    return whole or (len("".join(name)) >= LONG and any(_alike("".join(name), word) for word in read))


def _alike(one: str, other: str) -> bool:
    return one == other or (min(len(one), len(other)) >= LONG and SequenceMatcher(None, one, other).ratio() >= ALIKE)


def without_text(image: Image.Image, boxes: Iterable[tuple[int, int, int, int]]) -> Image.Image:
    """The image with its text blurred until no letter can be read: each box and a quarter of its height around it."""
    blurred = image.convert("RGB")
    for left, top, right, below in boxes:
        margin = max(1, (below - top) // 4)
        box = (
            max(left - margin, 0), max(top - margin, 0), min(right + margin, image.width), min(below + margin, image.height)
        )  # fmt: skip
        part = blurred.crop(box).filter(ImageFilter.GaussianBlur(max(2, below - top)))
        blurred.paste(part, box)
    return blurred
