"""Audit every tiny pipeline class to its verdict. The table of `docs/models.md` is made from what came of it.

python -m audit_assets_tests.generation.every_class
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import torch

from audit_assets.config import Protocol
from audit_assets.errors import InputError
from audit_assets.generation.makers import AskedModel
from audit_assets.models.families import OWN
from audit_assets.models.pipeline_source import pipeline_source
from audit_assets.models.pipelines import ResolvedModel, resolve_diffusers
from audit_assets.warehouse.images import ImageStore
from audit_assets.workspace import Workspace
from audit_assets_tests import one_artist
from audit_assets_tests.drive import drive
from audit_assets_tests.generation.tiny_classes import CLASSES

PAGE = Path(__file__).parents[2] / "docs" / "models.md"
BEGIN, END = "<!-- every class: begin -->\n", "<!-- every class: end -->\n"
PROTOCOL = Protocol(name="one", templates=("art by {name}",), trials=2)
CONTROL_NAMES = 3
GROUP = 8
_SENT_AS = ("true_cfg_scale", "guidance_scale", "distilled_guidance_scale")


class Tried(NamedTuple):
    """What one class is asked for without settings, and what came of its audit in two steps at 64 pixels."""

    steps: str
    guidance: str
    size: str
    result: str


def save(name: str, folder: Path) -> Path:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        CLASSES[name]().save_pretrained(folder)
    return folder


def small(own: ResolvedModel) -> dict[str, Any]:
    """Settings with which a class draws fast."""
    return {"steps": 2} | ({"size": 64} if own.settings["size"] else {})


def statuses(name: str, folder: Path) -> set[str]:
    """What becomes of two images of one name. InputError if the class is refused or does not draw."""
    path = str(save(name, folder / "model"))
    settings = small(resolve_diffusers(name.lower(), path, None, {}))
    model = resolve_diffusers(name.lower(), path, None, settings)
    with AskedModel(model, PROTOCOL, ImageStore(folder / "images"), 2) as maker:
        return set(maker.make("ada-brand", "Ada Brand")["status"])


def without_settings(folder: Path) -> tuple[str, str, str]:
    """Steps, guidance and size that a model is asked for if audit.yaml has none of them. Dashes if it is refused."""
    try:
        own = resolve_diffusers("own", str(folder), None, {})
    except InputError:
        return "–", "–", "–"
    steps, guidance, size = (_value(own, setting) for setting in ("steps", "guidance", "size"))
    return steps, guidance, size


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


def write_audit(folder: Path, classes: Sequence[str]) -> Path:
    """One artist, the miniature's encoder, and each class as a model version. The audit must leave out those that it cannot ask."""
    models = []
    for name in classes:
        path = save(name, folder / "models" / name)
        try:
            settings = small(resolve_diffusers("own", str(path), None, {}))
        except InputError:
            settings = {}
        models.append(
            {"name": name.lower(), "source": "diffusers", "path": str(path), "approved": True, "settings": settings}
        )
    return one_artist.write(folder, models, [one_artist.ENCODER], control_names=CONTROL_NAMES)


def audit_all(folder: Path) -> list[Workspace]:
    """Audit every class, GROUP of them at a time, because each report of an audit compares all its versions."""
    names = list(CLASSES)
    groups = [names[n : n + GROUP] for n in range(0, len(names), GROUP)]
    return [drive(write_audit(folder / str(n), group)) for n, group in enumerate(groups)]


def came_of(audits: Sequence[Workspace]) -> dict[str, Tried]:
    """What the finished audits say of each class: its images and its verdict, or the reason why it was left out."""
    return {name: tried for ws in audits for name, tried in _of_one(ws).items()}


def _of_one(ws: Workspace) -> dict[str, Tried]:
    with duckdb.connect(str(ws.database), read_only=True) as connection:
        images = connection.execute(
            "SELECT model_version, count(*) || ' images, ' || string_agg(DISTINCT status, ' and ' ORDER BY status) "
            "FROM imitations GROUP BY 1"
        ).fetchall()
        verdicts = connection.execute("SELECT model_version, verdict FROM verdicts WHERE kind = 'artist'").fetchall()
        reasons = dict(connection.execute("SELECT model_version, reason FROM left_out").fetchall())
    judged = dict(verdicts)
    said = {model: f"{drawn}; {judged[model]}" for model, drawn in images}
    found = {}
    for folder in sorted((ws.audit.file.parent / "models").iterdir()):
        name, model = folder.name, folder.name.lower()
        result = said[model] if model in said else f"refused: {_short(name, str(reasons[model]))}"
        found[name] = Tried(*without_settings(folder), result)
    return found


def _short(name: str, reason: str) -> str:
    """The reason without the file and the remedy."""
    said = reason.split("; ", maxsplit=1)[0]
    return said[said.rindex(f": {name} ") + 2 :]


def table(rows: dict[str, Tried]) -> str:
    """The rows as Markdown, in order of name."""
    head = ["| pipeline | steps | guidance | size | what came of it |", "|---|---|---|---|---|"]
    return "\n".join([*head, *(f"| `{name}` | {' | '.join(rows[name])} |" for name in sorted(rows))]) + "\n"


def on_page() -> str:
    """The table that the page has now."""
    return PAGE.read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as audit:
        made = table(came_of(audit_all(Path(audit))))
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    PAGE.write_text(before + BEGIN + made + END + rest.split(END)[1], encoding="utf-8")
