"""Real works in `<references>/<artist slug or name>/*.{png,jpg,webp}`, with an optional `manifest.csv` (file, licence, source)."""

import hashlib
from pathlib import Path

import pandas as pd

from audit_assets.untrusted.folders import read_manifest
from audit_assets.untrusted.images import open_image
from audit_assets.warehouse.images import ImageStore

COLUMNS = ["subject", "work", "image_sha256", "source", "licence"]


def fingerprint(files: list[Path]) -> str:
    """The sha256 of the names and bytes of an artist's files and manifest, which are the inputs of the table."""
    total = hashlib.sha256()
    manifest = [files[0].parent / "manifest.csv"] if files else []
    for file in [*files, *(m for m in manifest if m.exists())]:
        total.update(file.name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()


def reference_works(files: list[Path], subject: str, store: ImageStore) -> pd.DataFrame:
    """One row per work, with COLUMNS. The images are put into the store. InputError names a file that cannot be read."""
    listed = read_manifest(files[0].parent, ("file", "licence", "source")) if files else []
    manifest = {row["file"]: row for row in listed}
    rows = []
    for work, file in enumerate(files):
        said = manifest.get(file.name, {})
        rows.append(
            (subject, work, store.put(open_image(file)), said.get("source") or None, said.get("licence") or None)
        )
    return pd.DataFrame(rows, columns=COLUMNS).astype(
        {"work": "int32", "subject": "str", "image_sha256": "str", "source": "str", "licence": "str"}
    )
