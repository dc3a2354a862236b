"""Real works in `<references>/<artist>/<image files>`, with an optional `manifest.csv` (file, licence, source)."""

import hashlib
import os
from pathlib import Path

import pandas as pd

from audit_assets.errors import InputError, unreadable
from audit_assets.roster.pictures import open_work
from audit_assets.untrusted.folders import REFERENCE_FIELDS, manifest_files, manifests
from audit_assets.warehouse.images import ImageStore

COLUMNS = ["subject", "work", "image_sha256", "source", "licence", "series"]


def fingerprint(files: list[Path]) -> str:
    """The sha256 of the names and bytes of an artist's files and manifest, which are the inputs of the table."""
    total = hashlib.sha256()
    for file in [*files, *manifest_files(files)]:
        try:
            content = file.read_bytes()
        except OSError as error:
            raise InputError(f"{unreadable(file, error)}.") from None
        total.update(os.fsencode(f"{file.parent.name}/{file.name}") + b"\0" + hashlib.sha256(content).digest())
    return total.hexdigest()


def reference_works(
    files: list[Path], subject: str, store: ImageStore, refused: dict[str, str] | None = None
) -> pd.DataFrame:
    """One row per different work, COLUMNS; the images go into the store.

    A file that cannot be read, or is blank, has no row, and `refused` gets its folder and name, and the reason. Without `refused`, InputError names it.

    Files with equal pixels are one work, with what the manifest says of the first in order of name.

    Works are numbered in the order of their hashes, not of their file names: a person who names the files must not choose which
    work comes first. `series`: works that the manifest says belong together, such as views of one object.
    """
    manifest = manifests(files, REFERENCE_FIELDS)
    rows = []
    for file in files:
        said = manifest.get(file, {})
        about = (said.get(field) or None for field in ("source", "licence", "series"))
        try:
            image = open_work(file)
        except InputError as error:
            if refused is None:
                raise
            refused[f"{file.parent.name}/{file.name}"] = str(error)
            continue
        rows.append((subject, 0, store.put(image), *about))
    table = pd.DataFrame(rows, columns=COLUMNS).drop_duplicates("image_sha256")
    table = table.sort_values("image_sha256", kind="stable", ignore_index=True)
    table["work"] = range(len(table))
    return table.astype({"work": "int32", **dict.fromkeys([c for c in COLUMNS if c != "work"], "str")})
