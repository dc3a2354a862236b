"""Audit every tiny pipeline class: register it, draw, read the statuses. The table of `docs/models.md` is made from what came of it.

.venv/bin/python -m audit_assets_tests.generation.every_class
"""

import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import torch

from audit_assets.config import Protocol
from audit_assets.errors import InputError
from audit_assets.generation.makers import AskedModel
from audit_assets.models.families import OWN
from audit_assets.models.pipeline_source import pipeline_source
from audit_assets.models.pipelines import ResolvedModel, resolve_diffusers
from audit_assets.warehouse.images import ImageStore
from audit_assets_tests.generation.tiny_classes import CLASSES

PAGE = Path(__file__).parents[2] / "docs" / "models.md"
BEGIN, END = "<!-- every class: begin -->\n", "<!-- every class: end -->\n"
PROTOCOL = Protocol(name="one", templates=("art by {name}",), trials=2)
_SENT_AS = ("true_cfg_scale", "guidance_scale", "distilled_guidance_scale")


class Tried(NamedTuple):
    """What one class was asked for without settings, and what came of two images that were drawn in two steps at 64 pixels."""

    steps: str
    guidance: str
    size: str
    result: str


def try_class(name: str, folder: Path) -> Tried:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        CLASSES[name]().save_pretrained(folder / "model")
    try:
        own = resolve_diffusers(name.lower(), str(folder / "model"), None, {})
    except InputError as error:
        return Tried("–", "–", "–", f"refused: {_short(error, folder)}")
    settings: dict[str, Any] = {"steps": 2} | ({"size": 64} if own.settings["size"] else {})
    small = resolve_diffusers(name.lower(), str(folder / "model"), None, settings)
    steps, guidance, size = (_value(own, setting) for setting in ("steps", "guidance", "size"))
    try:
        with AskedModel(small, PROTOCOL, ImageStore(folder / "images"), 2) as maker:
            statuses = maker.make("ada-brand", "Ada Brand")["status"].tolist()
    except InputError as error:
        return Tried(steps, guidance, size, f"refused: {_short(error, folder)}")
    return Tried(steps, guidance, size, f"{len(statuses)} images, {' and '.join(sorted(set(statuses)))}")


def _value(own: ResolvedModel, setting: str) -> str:
    value = own.settings[setting]
    if value is None:
        return "not sent"
    if setting == "guidance":
        argument = next((a for a in _SENT_AS if a in own.arguments), "")
        value = f"{value:g}, as `{argument}`"
    if setting == "size":
        source = pipeline_source(str(own.pipeline_class))
        stated = source is not None and isinstance(source.takes.get("width"), int)
        value = (
            (" x ".join(map(str, value)) if isinstance(value, list) else value) if stated else "of its configurations"
        )
    origin = own.origins[setting]
    return f"{value}" if origin == OWN else f"{value} ({origin})"


def _short(error: InputError, folder: Path) -> str:
    return str(error).replace(f"{folder / 'model'}: ", "").split("; ", maxsplit=1)[0]


def table(rows: dict[str, Tried]) -> str:
    """The rows as Markdown, in order of name."""
    head = ["| pipeline | steps | guidance | size | what came of it |", "|---|---|---|---|---|"]
    return "\n".join([*head, *(f"| `{name}` | {' | '.join(rows[name])} |" for name in sorted(rows))]) + "\n"


def on_page() -> str:
    """The table that the page has now."""
    return PAGE.read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0]


def sweep() -> dict[str, Tried]:
    rows = {}
    for name in CLASSES:
        with tempfile.TemporaryDirectory() as folder:
            rows[name] = try_class(name, Path(folder))
    return rows


if __name__ == "__main__":
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    PAGE.write_text(before + BEGIN + table(sweep()) + END + rest.split(END)[1], encoding="utf-8")
