"""The tables on a model version: its files and settings, the words that it was asked by, what its adapters changed, and notes on its inputs."""

import json
from collections.abc import Iterable
from typing import Any

from audit_assets.publication.queries import database as read
from audit_assets.publication.queries.model import ModelResults
from audit_assets.publication.words.numbers import isolated, shown
from audit_assets.publication.words.table import Table, columns


def model(results: ModelResults) -> Table:
    row = read.model_version_row(results.connection, results.model_version)
    plans = read.optional(results.connection, "generation_plans")
    if not plans.empty:
        plans = plans[plans["model_version"] == results.model_version]
    return Table(
        "Model version",
        columns("Field", "Value", code=("Value",)),
        [(key.replace("_", " "), shown(value) or "–") for key, value in row.items()]
        + [("prompt", said) for said in other_words(results)]
        + [("adapter", said) for said in adapters(row.get("generation_settings"), plans.get("plan", []))]
        + [("batch plan", f"{plan} ({images} images)") for plan, images in zip(plans.get("plan", []), plans.get("images", []), strict=True)],
    )  # fmt: skip


SHOWN_PROMPTS = 20


def other_words(results: ModelResults) -> list[str]:
    """One sentence per artist whom the model was asked for by other words than the name, as its first prompt was sent."""
    found = read.first_prompts(results.connection, results.model_version)
    template = read.templates(results.connection, results.protocol)[0]
    said = [
        f"{isolated(name)} was asked for by {prompt!r}; labels have the name"
        for name, prompt in zip(found["name"], found["prompt"], strict=True)
        if prompt != template.replace("{name}", name)
    ]
    more = len(said) - SHOWN_PROMPTS
    return said if more <= 0 else [*said[:SHOWN_PROMPTS], f"and {more} more artists by other words than their names"]


def adapters(settings: Any, plans: Iterable[str]) -> list[str]:
    """One sentence per adapter of a model version: what its file states, what was assumed, and what it was measured to change."""
    measured = [one for plan in plans for one in json.loads(plan).get("adapters", [])]
    said = []
    for n, own in enumerate(json.loads(settings or "{}").get("lora") or []):
        changed = measured[n]["layers_changed"] if n < len(measured) else {}
        parts = [f"{component}, {layers} layers" for component, layers in changed.items()]
        used = (
            f"; {measured[n]['keys_used']} of {measured[n]['keys']} keys used; changed: {'; '.join(parts)}"
            if parts
            else ""
        )
        trained = f"; trained on {own['trained_on']}, as its file says" if own.get("trained_on") else ""
        kind, alpha = own.get("kind", "LoRA"), own.get("alpha", "not recorded")
        said.append(
            f"{own.get('file') or own.get('path')}: {kind}, weight {own.get('weight')}; alpha: {alpha}{trained}{used}"
        )
    return said


def notes(results: ModelResults) -> Table:
    """What was assumed or passed over, and how supplied images differ from the protocol."""
    found = read.notes(results.connection, results.model_version)
    return Table(
        "What was assumed of the inputs, what of them was passed over, and how supplied images differ from the protocol.",
        columns("About", "Note"),
        [] if found.empty else found[["place", "note"]].to_numpy().tolist(),
    )
