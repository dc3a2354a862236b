"""What the app shows: the images of the audit as a table in memory, and a choice of them as HTML."""

import io
import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup, escape

from audit_assets.errors import InputError
from audit_assets.publication.queries import database as read
from audit_assets.publication.queries import gallery
from audit_assets.workspace import Workspace

SIDE = 160
PAGE = 60
"""Images on one page."""
IMAGE = "/image/"
"""Below this address lie the small pictures, by hash."""
STYLE = """<style>
.tiles { display: flex; flex-wrap: wrap; gap: 10px; }
.tiles figure { width: 160px; margin: 0; font-size: 12px; line-height: 1.35; overflow-wrap: anywhere; }
.tiles img, .tiles .none { width: 160px; height: 160px; object-fit: contain; background: #f2f2f2; display: block; image-rendering: pixelated; }
h3.together { font-size: 13px; margin: 12px 0 2px; }
</style>"""


@lru_cache(maxsize=1)
def workspace() -> Workspace:
    """The audit that `AUDIT_CONFIG` names."""
    return Workspace.existing(Path(os.environ["AUDIT_CONFIG"]))


def images() -> pd.DataFrame:
    """Every image of the audit. It is read again once the database was published again."""
    database = workspace().database
    changed = database.stat().st_mtime_ns if database.exists() else 0
    return _images(database, changed)


@lru_cache(maxsize=1)
def _images(database: Path, changed: int) -> pd.DataFrame:
    with read.opened(database) as connection:
        return gallery.images(connection)


@lru_cache(maxsize=5000)
def small(sha256: str) -> bytes:
    """A small picture as WebP. InputError if the image is missing or altered."""
    image = workspace().images.get(sha256)
    image.thumbnail((SIDE, SIDE))
    content = io.BytesIO()
    image.save(content, "WEBP", quality=80, method=2)
    return content.getvalue()


def pages(rows: int) -> int:
    return max(1, -(-rows // PAGE))


def as_tiles(rows: pd.DataFrame, page: int) -> str:
    """One page of a choice, one tile per image."""
    shown = rows.iloc[(page - 1) * PAGE : page * PAGE].to_dict("records")
    return STYLE + str(Markup('<div class="tiles">{}</div>').format(Markup("").join(map(tile, shown))))


def as_versions(table: pd.DataFrame, rows: pd.DataFrame, versions: Sequence[str], page: int) -> str:
    """One page of a choice: each subject, template and trial once, with the image of every version beside each other."""
    keys = rows.drop_duplicates(gallery.KEYS).iloc[(page - 1) * PAGE : page * PAGE]
    parts = [Markup(STYLE)]
    names = dict(zip(table["subject"], table["name"], strict=True))
    for one in gallery.beside_each_other(table, keys, versions):
        head = f"{names[one.subject]}, template {one.template}, trial {one.trial}"
        made = [
            tile(row) if row else Markup("<figure>{}: no image</figure>").format(v)
            for v, row in zip(versions, one.images, strict=True)
        ]
        parts.append(
            Markup('<h3 class="together"><bdi>{}</bdi></h3><div class="tiles">{}</div>').format(
                head, Markup("").join(made)
            )
        )
    return str(Markup("").join(parts))


def tile(row: dict[Any, Any]) -> Markup:
    """One image with what is known of it. Every text is escaped."""
    taken = "" if pd.isna(row["mistaken_for"]) else f", taken for {row['mistaken_for']}"
    state = "" if row["status"] == "ok" else f", {row['status']}"
    facts = {"prompt": row["prompt"], "seed": row["seed"], "verdict": row["verdict"], "sha256": row["image_sha256"]}
    return Markup(
        '<figure><img loading="lazy" src="{}{}" alt="{}"><figcaption><bdi>{}</bdi>, {}: p {}, similarity {}{}{}'
        "<details><summary>more</summary>{}</details></figcaption></figure>"
    ).format(
        IMAGE, row["image_sha256"], f"Image for {row['name']} by {row['model_version']}", row["name"], row["model_version"],
        _number(row["probability"]), _number(row["similarity"]), taken, state,
        Markup("<br>").join(escape(f"{name}: {'–' if pd.isna(value) else value}") for name, value in facts.items()),
    )  # fmt: skip


def _number(value: Any) -> str:
    return "–" if pd.isna(value) else f"{value:.3f}"


def picture(sha256: str) -> bytes | None:
    """A small picture for the web server; None if no such image exists, or its bytes are not those of its name."""
    try:
        return small(sha256)
    except (InputError, ValueError):
        return None
