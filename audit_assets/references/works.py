"""Real works in `<references>/<artist slug or name>/*.{png,jpg,webp}`, with an optional `manifest.csv` (file, licence, source)."""

import hashlib
from pathlib import Path

import pandas as pd

from audit_assets.untrusted.folders import read_manifest
from audit_assets.untrusted.images import open_image
from audit_assets.warehouse.images import ImageStore

COLUMNS = ["subject", "work", "image_sha256", "source", "licence", "series"]


def fingerprint(files: list[Path]) -> str:
    """The sha256 of the names and bytes of an artist's files and manifest, which are the inputs of the table."""
    total = hashlib.sha256()
    manifest = [files[0].parent / "manifest.csv"] if files else []
    for file in [*files, *(m for m in manifest if m.exists())]:
        total.update(file.name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()


def reference_works(files: list[Path], subject: str, store: ImageStore) -> pd.DataFrame:
    """One row per work, COLUMNS; the images go into the store. InputError names a file that cannot be read.

    Works are numbered in the order of their hashes, not of their file names: a person who names the files must not choose which
    work comes first. `series`: works that the manifest says belong together, such as views of one object.
    """
    listed = read_manifest(files[0].parent, ("file", "licence", "source", "series")) if files else []
    manifest = {row["file"]: row for row in listed}
    rows = []
    for file in files:
        said = manifest.get(file.name, {})
        about = (said.get(field) or None for field in ("source", "licence", "series"))
        rows.append((subject, 0, store.put(open_image(file)), *about))
    table = pd.DataFrame(rows, columns=COLUMNS).sort_values("image_sha256", kind="stable", ignore_index=True)
    table["work"] = range(len(table))
    return table.astype({"work": "int32", **dict.fromkeys([c for c in COLUMNS if c != "work"], "str")})
