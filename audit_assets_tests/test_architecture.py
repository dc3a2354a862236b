"""The picture, the tree and the order of the architecture are those of the code."""

import inspect
import re
import tomllib
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

import audit_assets
from audit_assets.results.stage import RECIPES
from audit_assets.runs.driver import driver
from audit_assets.runs.steps import ARMS, ORDER
from audit_assets.warehouse.database import schema_columns
from docs.architecture import PICTURE, assets, picture

ROOT = Path(__file__).parents[1]


def tree() -> str:
    """What follows the first paragraph of the package's docstring."""
    assert audit_assets.__doc__
    return inspect.cleandoc(audit_assets.__doc__).split("\n\n", 1)[1]


@pytest.mark.parametrize("page", ["README.md", "docs/architecture.md"])
def test_a_page_shows_the_tree_of_the_package_to_the_letter(page: str) -> None:
    blocks = re.findall(r"^```text\n(.*?)\n```$", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert tree() in blocks, f"{page}: copy the tree from the docstring of audit_assets/__init__.py"


def test_the_tree_names_every_folder_and_every_module_at_the_root() -> None:
    package = ROOT / "audit_assets"
    folders = {f"{p.name}/" for p in package.iterdir() if p.is_dir() and p.name != "__pycache__"}
    modules = {p.name for p in package.glob("*.py")} - {"__init__.py"}
    named = [line.split()[0] for line in tree().splitlines()]
    assert sorted(named) == sorted(folders | modules)


def test_the_tree_is_in_the_order_of_the_floors() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    (layers,) = (c["layers"] for c in contracts if c["id"] == "floors")
    floor = {name: n for n, layer in enumerate(layers) for name in layer.split(" | ")}
    named = [re.sub(r"(\.py|/)$", "", line.split()[0]) for line in tree().splitlines()]
    floors = [floor[name] for name in named if name in floor]  # protocols/ has no code
    assert floors == sorted(floors)
    assert set(floor) <= set(named)


def test_the_driver_makes_every_asset_but_the_one_that_draws_images_again() -> None:
    found = {a.name for a in assets()}
    assert len(ORDER) == len(set(ORDER))
    assert set(ORDER) == found - {"replayed_imitations"}


def test_every_asset_comes_after_all_that_it_is_made_from() -> None:
    place = {name: n for n, name in enumerate(ORDER)}
    for asset in assets():
        for source in asset.made_from:
            if asset.name in place:
                assert place[source] < place[asset.name], f"{source} must come before {asset.name}"


@pytest.mark.long
def test_the_steps_of_the_driver_follow_the_order(audited: Path) -> None:
    """A protocol without arms has their empty tables made with the experiments, and not by a step of their own."""
    with driver(audited) as d:
        steps = [*d.roster_steps(), *d.registry_steps(), *d.reference_steps(), *d.audit_steps()]
    made = [name for step in steps for name in step.selection]
    assert sorted(made) == sorted(ORDER)
    assert [name for name in made if name not in ARMS] == [name for name in ORDER if name not in ARMS]
    place = {name: n for n, name in enumerate(made)}
    for asset in assets():
        assert all(place[source] < place[asset.name] for source in asset.made_from if asset.name in place)


def test_every_table_of_a_recipe_is_in_the_schema() -> None:
    known = schema_columns({})
    tables = [table for recipe in RECIPES for table in recipe.tables]
    assert len(tables) == len(set(tables))
    assert set(tables) <= set(known)


def test_the_picture_is_that_of_the_asset_graph_as_it_is() -> None:
    assert PICTURE.read_text(encoding="utf-8") == picture(assets()), "run: .venv/bin/python docs/architecture.py"


def test_the_picture_names_every_asset_and_its_partitions() -> None:
    texts = [t.text for t in ElementTree.parse(PICTURE).iter("{http://www.w3.org/2000/svg}text")]
    found = assets()
    assert len(found) > 15
    assert {a.name for a in found} <= set(texts)
    assert "model_version x subject" in texts
    assert all(a.group in texts for a in found)
