"""What all pages have in common: templates that escape every value, and pictures and charts inside the file.

A page needs no other file and no network. Its script only sorts, filters and unfolds. The page's own policy (CSP) lets no
other script run, so that a name in the data cannot start one.
"""

import base64
import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from PIL import Image

from audit_assets.publication.words import numbers as wording
from audit_assets.warehouse.places import whole

TEMPLATES = Path(__file__).parent / "templates"
THUMBNAIL = 96
"""Pixels: six pictures of each of 250 artists stay below 20 MB."""

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


def thumbnail(image: Image.Image, alt: str, size: int = THUMBNAIL, quality: int = 72) -> Picture:
    """At most ``size`` pixels wide and high, as WebP; an image that is already that small keeps its pixels, without loss."""
    shown = image.convert("RGB")
    small = max(shown.size) <= size
    if not small:
        shown.thumbnail((size, size), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    shown.save(content, "WEBP", lossless=small, quality=100 if small else quality, method=4)
    return Picture(data_address(content.getvalue(), "image/webp"), alt, *shown.size, sharp=small)


def data_address(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def render(template: str, **values: Any) -> str:
    """The page of a template below ``templates/``. Every value is escaped as text, except Markup, which only this package makes."""
    return _environment().get_template(template).render(**values)


def write(path: Path, page: str) -> Path:
    """Replace the page in one step: a reader sees the old page or the new one."""
    with whole(path) as file:
        file.write_text(page, encoding="utf-8")
    return path


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
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment.globals.update(
        style=Markup((TEMPLATES / "page.css").read_text(encoding="utf-8")),
        script=Markup(script),
        policy=f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{allowed}'; base-uri 'none'; form-action 'none'",
        percent=wording.percent,
    )
    environment.tests["photograph"] = lambda drawing: isinstance(drawing, Picture)
    return environment
