"""What all pages have in common: templates that escape every value, and pictures and charts inside the file.

A page needs no other file and no network. Its script only sorts, filters and unfolds. The page's own policy (CSP) lets no
other script run, so that a name in the data cannot start one.
"""

import base64
import csv
import hashlib
import io
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from PIL import Image

from audit_assets.publication.words import numbers as wording
from audit_assets.publication.words.table import Name, Table
from audit_assets.untrusted.spreadsheet import neutral
from audit_assets.warehouse.places import whole

TEMPLATES = Path(__file__).parent / "templates"
THUMBNAIL = 96
"""Pixels: six pictures of each of 250 artists stay below 20 MB."""

MOST_ROWS = 500
"""Rows of a table on one page. The rest is on pages of its own, so that the report of thousands of artists opens as fast as one of hundreds."""

Load = Callable[[str], Image.Image]
"""The image of a SHA-256."""


@dataclass(frozen=True)
class Picture:
    """A photograph in the page: its ``data:`` address and its alternative text."""

    source: str
    alt: str
    width: int
    height: int
    sharp: bool = False
    """Small enough to be shown pixel by pixel."""


@dataclass(frozen=True)
class Chart:
    """A figure: ``drawing`` is an inline SVG or a picture. ``alt`` describes it for readers who cannot see it."""

    name: str
    drawing: Markup | Picture
    alt: str
    caption: str


def thumbnail(image: Image.Image, alt: str, size: int = THUMBNAIL, quality: int = 72, effort: int = 4) -> Picture:
    """At most ``size`` pixels wide and high, as WebP; an image that is already that small keeps its pixels, without loss.

    ``effort``: of the compression, 0 (fast) to 6 (small).
    """
    shown = image.convert("RGB")
    small = max(shown.size) <= size
    if not small:
        shown.thumbnail((size, size), Image.Resampling.LANCZOS, reducing_gap=2.0)
    content = io.BytesIO()
    shown.save(content, "WEBP", lossless=small, quality=100 if small else quality, method=effort)
    return Picture(data_address(content.getvalue(), "image/webp"), alt, *shown.size, sharp=small)


def data_address(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def render(template: str, folder: Path | None = None, **values: Any) -> str:
    """The page of a template below ``templates/``. Every value is escaped as text, except Markup, which only this package makes.

    If ``folder`` is given, each table is written there as CSV, and what is beyond MOST_ROWS rows of a table on further pages; the page leads to both.
    """
    if folder is not None:
        values = _with_parts(folder, _with_csv(folder, values))
    return _environment().get_template(template).render(**values)


def _with_csv(folder: Path, values: dict[str, Any]) -> dict[str, Any]:
    """Write each table that has rows as CSV, named by its place in the page. CSV files of an earlier page are deleted."""
    for earlier in folder.glob("*.csv"):
        earlier.unlink()
    found = dict(values)
    for name, value in values.items():
        if isinstance(value, Table) and value.rows:
            with (folder / f"{name}.csv").open("w", encoding="utf-8-sig", newline="") as file:
                rows = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
                rows.writerow([_cell(heading) for heading in value.columns])
                rows.writerows([list(map(_cell, row, value.kinds)) for row in value.rows])
            found[name] = replace(value, file=f"{name}.csv")
    return found


def _with_parts(folder: Path, values: dict[str, Any]) -> dict[str, Any]:
    """Write what is beyond MOST_ROWS rows of a table on pages named by the table's place. Such pages of an earlier report are deleted."""
    for earlier in folder.glob("*-rows-*.html"):
        earlier.unlink()
    found = dict(values)
    for name, table in values.items():
        if not isinstance(table, Table) or len(table.rows) <= MOST_ROWS:
            continue
        starts = range(0, len(table.rows), MOST_ROWS)
        ends = [min(start + MOST_ROWS, len(table.rows)) for start in starts]
        files = [f"report.html#{name}-table", *(f"{name}-rows-{start + 1}.html" for start in starts[1:])]
        parts = [(file, f"{start + 1:,} to {end:,}") for file, start, end in zip(files, starts, ends, strict=True)]
        cut = [replace(table, rows=table.rows[a:b], keys=table.keys[a:b]) for a, b in zip(starts, ends, strict=True)]
        for file, (_, rows), part in zip(files[1:], parts[1:], cut[1:], strict=True):
            write(folder / file, render("part.html.j2", **values | {"part": part, "parts": parts, "rows": rows}))
        found[name] = replace(cut[0], parts=parts, place=name)
    return found


def _cell(text: str, kind: str = "text") -> str | int | float:
    """A number if the table says that its column has numbers. Else a text, such as a version 1.10 or the name 007, that no spreadsheet runs.

    The marks that keep the direction of a name apart are left out.
    """
    plain = _DIRECTION.sub("", str(text))
    if kind != "number" or not _NUMBER.fullmatch(plain):
        return neutral(plain)
    return float(plain) if set(plain) & set(".e") else int(plain)


_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?(e[-+][0-9]+)?")
_DIRECTION = re.compile("[\u2066-\u2069]")


def write(path: Path, page: str) -> Path:
    """Replace the page in one step: a reader sees the old page or the new one."""
    with whole(path) as file:
        file.write_text(page, encoding="utf-8")
    return path


def policy_of(script: str) -> str:
    """The policy (CSP) of a page with this script: no other script runs, and nothing is asked for."""
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{allowed}'; base-uri 'none'; form-action 'none'"


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = (TEMPLATES / "page.js").read_text(encoding="utf-8")
    environment.globals.update(
        style=Markup((TEMPLATES / "page.css").read_text(encoding="utf-8")),
        script=Markup(script),
        policy=policy_of(script),
        percent=wording.percent,
        paged=frozenset(),
        artists_at="../artists/",
    )
    environment.tests["name"] = lambda cell: isinstance(cell, Name)
    environment.tests["photograph"] = lambda drawing: isinstance(drawing, Picture)
    return environment
