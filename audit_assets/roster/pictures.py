"""What counts as a real work: a file that can be read as an image that shows something, and each picture once.

The stage of real works, `plan`, `init` and `check` take this from here. A run counts the rows of its table of real works.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

from audit_assets.errors import InputError
from audit_assets.hashing import once_while_unchanged, sha256_once
from audit_assets.untrusted.images import open_image
from audit_assets.warehouse.images import is_blank

_THREADS = 4


def open_work(file: Path) -> Image.Image:
    """The image of a real work, as the audit compares it. InputError names a file that cannot be read or is blank."""
    image = open_image(file)
    if is_blank(image):
        raise InputError(
            f"{file}: is blank: its pixels are all white, black or one grey (transparency is put on white), so nothing can be compared with it; "
            "save the work with its picture, or take the file away."
        )
    return image


def different(files: Sequence[Path]) -> int:
    """The number of works among files: those that can be read, with equal pixels counted once."""
    return len({pixels for pixels, _ in _works(files) if pixels})


def left_out(files: Mapping[str, Iterable[Path]]) -> list[str]:
    """One sentence per file of the artists' real works that counts as none, with the reason."""
    found = _works([file for own in files.values() for file in own])
    return list(dict.fromkeys(problem for _, problem in found if problem))


def hashes(files: Mapping[str, Sequence[Path]]) -> dict[str, list[str]]:
    """The hashes of the pixels of each artist's works, without the files that count as none."""
    return {subject: [pixels for pixels, _ in _works(own) if pixels] for subject, own in files.items()}


def repeated(files: Mapping[str, Sequence[Path]]) -> list[str]:
    """One sentence per file of an artist's real works that has the pixels of an earlier one in another format. Equal files are listed elsewhere."""
    found = []
    for own in files.values():
        first = dict[str, Path]()
        for file, (pixels, _) in zip(own, _works(own), strict=True):
            if pixels and (same := first.setdefault(pixels, file)) != file and sha256_once(same) != sha256_once(file):
                found.append(f"{file}: is the same picture as {same.name!r}; copies count once.")
    return found


def _works(files: Sequence[Path]) -> list[tuple[str, str]]:
    """What `_work` says of each file."""
    with ThreadPoolExecutor(_THREADS) as threads:  # a decoder leaves Python's lock
        return list(threads.map(_work, files))


@once_while_unchanged(65536)
def _work(file: Path) -> tuple[str, str]:
    """The hash of a work's pixels and size, or why there is none."""
    try:
        image = open_work(file).convert("RGB")
    except InputError as error:
        return "", str(error)
    return hashlib.sha256(str(image.size).encode() + image.tobytes()).hexdigest(), ""
