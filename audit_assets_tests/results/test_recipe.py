"""What the hash of a recipe has: a change of what the tables depend on makes them again, and a change of what they do not depend on does not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from audit_assets.results.arms import ARMS
from audit_assets.results.comparison import COMPARISON, PER_MODEL
from audit_assets.results.copies import COPIES
from audit_assets.results.identification import IDENTIFICATION
from audit_assets.results.matching import MATCHING
from audit_assets.results.recipe import Recipe, inputs, is_made, made
from audit_assets.workspace import Workspace

MODEL, ARTIST = "miniature-1", "ada"


@pytest.fixture
def config(small_audit: Callable[..., Path], tmp_path: Path) -> Path:
    """An audit without results, of one artist with works."""
    config = small_audit(tmp_path / "audit", references="nowhere")
    ws = Workspace.open(config, new=True)
    row = {
        "subject": ARTIST,
        "name": "Ada",
        "kind": "artist",
        "indirect_prompt": "",
        "prompt_name": "",
        "retired": False,
    }
    ws.warehouse.write("subjects", pd.DataFrame([row]), "subjects")
    for encoder in ws.audit.encoders:
        _embedded(ws, encoder.name)
    ws.warehouse.write(f"reference_works/{ARTIST}", pd.DataFrame({"subject": [ARTIST]}), "works")
    return config


def _embedded(ws: Workspace, encoder: str) -> None:
    """The tables of an encoder, which have the same inputs whatever its name is."""
    for table in (f"imitation_embeddings/{encoder}/{MODEL}/{ARTIST}", f"reference_embeddings/{encoder}/{ARTIST}", f"label_embeddings/{encoder}"):  # fmt: skip
        ws.warehouse.write(table, pd.DataFrame({"subject": [ARTIST]}), "the same images")


def edited(config: Path, **fields: Any) -> Workspace:
    content = yaml.safe_load(config.read_text(encoding="utf-8"))
    config.write_text(yaml.safe_dump({**content, **fields}), encoding="utf-8")
    return Workspace.open(config)


def differing(before: dict[str, str], ws: Workspace) -> list[str]:
    return [name for name, kept in hashes(ws).items() if kept != before[name]]


def hashes(ws: Workspace) -> dict[str, str]:
    found = {recipe.tables[0]: inputs(ws, recipe, MODEL) for recipe in PER_MODEL}
    return {**found, COMPARISON.tables[0]: inputs(ws, COMPARISON)}


def test_only_the_comparison_is_made_again_if_a_retraining_is_declared(config: Path) -> None:
    ws = Workspace.open(config)
    before = hashes(ws)
    first, second = (model.model_dump(exclude_defaults=True) for model in ws.audit.models)
    assert differing(before, edited(config, batch_size=3)) == []
    declared = edited(config, models=[first, {**second, "retraining_of": first["name"]}])
    assert differing(before, declared) == [COMPARISON.tables[0]]
    assert differing(before, edited(config, models=[first, second])) == []


def test_results_that_name_an_encoder_are_made_again_under_its_new_name(config: Path) -> None:
    ws = Workspace.open(config)
    before = hashes(ws)
    clip, *others = (encoder.model_dump(exclude_defaults=True) for encoder in ws.audit.encoders)
    renamed = edited(config, encoders=[{**clip, "name": "renamed"}, *others])
    _embedded(renamed, "renamed")
    for recipe in (IDENTIFICATION, MATCHING, COPIES):
        assert recipe.tables[0] in differing(before, renamed)


def test_only_arms_are_made_again_if_the_protocol_changes_an_arm(config: Path) -> None:
    arm = {"name": "described", "way": "described", "templates": ["{name}"], "control_words": ["a hill"]}
    (config.parent / "protocol.yaml").write_text(
        yaml.safe_dump({"name": "own", "templates": ["Art of {name}"], "arms": [arm]}), encoding="utf-8"
    )
    ws = edited(config, protocol="protocol.yaml")
    before = hashes(ws)
    other = yaml.safe_dump({"name": "own", "templates": ["Art of {name}"], "arms": [{**arm, "trials": 7}]})
    (config.parent / "protocol.yaml").write_text(other, encoding="utf-8")
    assert differing(before, Workspace.open(config)) == [ARMS.tables[0]]


def test_a_recipe_is_made_once_per_setting(config: Path) -> None:
    ws, calls = Workspace.open(config), []

    def make(ws: Workspace, model: str) -> dict[str, pd.DataFrame]:
        calls.append(model)
        return {"a_table": pd.DataFrame({"n": [len(calls)]})}

    for setting, expected in (("one", 1), ("one", 1), ("other", 2)):
        recipe = Recipe(("a_table",), lambda ws, model: [], make, settings=lambda ws, said=setting: said)  # type: ignore[misc]
        assert made(ws, recipe)["a_table"]["n"].tolist() == [expected]
        assert is_made(ws, recipe)
