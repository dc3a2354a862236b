"""A gallery of every image of an audit as one file: it needs no network and no other file, and can be handed over with the reports.

The file's script filters and sorts. Each image is a small picture; its hash leads to the whole image in the evidence.
"""

import base64
import io
import json
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup
from PIL import Image

from audit_assets.errors import InputError
from audit_assets.publication.pages.page import TEMPLATES, Load, policy_of, render, write
from audit_assets.publication.queries import database as read
from audit_assets.publication.queries import gallery

SIDE = 72
"""Pixels: 25,000 images stay below 60 MB."""
COLUMNS = ("model_version", *gallery.KEYS, "kind", "verdict", "mistaken_for", "probability", "similarity", "prompt", "seed", "status", "image_sha256")  # fmt: skip


def write_gallery(database: Path, load: Load, out: Path, per_subject: int | None = None) -> Path:
    """Write the gallery to `out`; `per_subject`: the first images of each subject and version, by default all.

    An image that is missing or altered is shown as such.
    """
    with read.opened(database) as connection:
        table = gallery.images(connection)
        shown = table.groupby(["model_version", "subject"]).head(per_subject) if per_subject else table
        names = dict(zip(table["subject"], table["name"], strict=True))
        hashes = list(dict.fromkeys(shown["image_sha256"]))
        pictures = [_small(load, sha256) for sha256 in hashes]
        script = (TEMPLATES / "gallery.js").read_text(encoding="utf-8")
        page = render(
            "gallery.html.j2",
            gallery_script=Markup(script),
            gallery_policy=policy_of(script),
            versions=read.audited_versions(connection),
            encoder=read.primary_encoder(connection),
            number=len(shown),
            of=len(table),
            sorts=list(gallery.SORTS),
            kinds=gallery.values(shown, "kind"),
            verdicts=gallery.values(shown, "verdict"),
            mistaken=gallery.values(shown, "mistaken_for"),
            data=_json({"columns": COLUMNS, "rows": _rows(shown, hashes), "names": names, "pictures": pictures}),
            made_from=read.made_from(connection),
        )  # fmt: skip
    return write(out, page)


def _rows(table: pd.DataFrame, hashes: list[str]) -> list[list[Any]]:
    """The rows in the order of COLUMNS. The last value is the hash, and the picture has the place of the hash."""
    plain = table[list(COLUMNS)].astype(object).where(table[list(COLUMNS)].notna(), None)
    place = {sha256: n for n, sha256 in enumerate(hashes)}
    return [[_plain(v) for v in row] + [place[str(row[-1])]] for row in plain.to_numpy().tolist()]


def _plain(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value


def _small(load: Load, sha256: str) -> str | None:
    """A small picture as base64 of WebP; None if the image is missing or altered."""
    try:
        image = load(sha256).convert("RGB")
    except InputError:
        return None
    image.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
    content = io.BytesIO()
    image.save(content, "WEBP", quality=62, method=2)
    return base64.b64encode(content.getvalue()).decode("ascii")


def _json(value: Any) -> Markup:
    """JSON that ends no script element, whatever a name holds."""
    return Markup(json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c"))
