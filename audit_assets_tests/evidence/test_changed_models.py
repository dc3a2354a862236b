"""A model version is what was audited under its name and revision: other files under both are refused, and nothing is overwritten."""

import hashlib
import shutil
from pathlib import Path

import pytest
import yaml

from audit_assets.config import load_audit
from audit_assets.errors import InputError
from audit_assets.generation.stage import ImitationStage
from audit_assets.models.registry import registry
from audit_assets.models.tables import model_files_table, model_versions_table
from audit_assets.workspace import Workspace
from audit_assets_tests.drive import drive


def workspace_of(config: Path) -> Workspace:
    return Workspace.open(config)


def change(config: Path, **fields: object) -> None:
    """Of the first model."""
    content = yaml.safe_load(config.read_text(encoding="utf-8"))
    content["models"][0].update(fields)
    config.write_text(yaml.safe_dump(content), encoding="utf-8")


@pytest.fixture
def own_model(copied: Path, miniature: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A finished audit whose model is a copy that the test may spoil, and that model's weights."""
    folder = tmp_path / "model"
    shutil.copytree(miniature / "models" / "miniature-1", folder)
    change(copied, path=str(folder))
    return copied, folder / "unet" / "diffusion_pytorch_model.safetensors"


def files_of(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in folder.rglob("*")
        if p.is_file() and p.suffix != ".lock"
    }


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def test_other_files_under_the_same_revision_are_refused_by_name_and_nothing_is_written_over(
    own_model: tuple[Path, Path],
) -> None:
    config, weights = own_model
    before = files_of(config.parent / "warehouse")
    flip(weights)
    said = r"model 'miniature-1': .*unet/diffusion_pytorch_model\.safetensors was changed since .miniature-1. was audited.*put the files back"
    with pytest.raises(InputError, match=said):
        drive(config)
    with pytest.raises(InputError, match=said):
        list(ImitationStage(workspace_of(config)).make("miniature-1", ["nils-oduya"]))
    now = files_of(config.parent / "warehouse")
    assert {name: now[name] for name in now if not name.startswith("left_out/")} == before
    flip(weights)
    assert [made for _, _, made in ImitationStage(workspace_of(config)).make("miniature-1", ["nils-oduya"])] == [False]


def test_a_file_more_is_named(own_model: tuple[Path, Path]) -> None:
    config, weights = own_model
    (weights.parent / "more.json").write_text("{}")
    ws = workspace_of(config)
    (refused,) = registry(ws.audit, ws.warehouse).refused.values()
    assert "unet/more.json was added since 'miniature-1' was audited" in refused


def test_another_name_or_revision_says_that_it_is_meant(own_model: tuple[Path, Path]) -> None:
    config, weights = own_model
    flip(weights)
    change(config, revision="2")
    assert "miniature-1" in registry(load_audit(config), workspace_of(config).warehouse).resolved
    change(config, revision=None, name="miniature-1b")
    assert "miniature-1b" in registry(load_audit(config), workspace_of(config).warehouse).resolved


@pytest.mark.parametrize("fields", [{"retired": True}, {"approved": False}, {"path": "/nowhere/model"}])
def test_a_version_that_is_no_longer_resolved_keeps_what_its_results_were_made_from(
    copied: Path, fields: dict[str, object]
) -> None:
    before = workspace_of(copied).warehouse
    change(copied, **fields)
    ws = workspace_of(copied)
    known = registry(ws.audit, ws.warehouse)
    assert "miniature-1" not in known.resolved
    versions, files = model_versions_table(ws.audit, known), model_files_table(known)
    kept = before.read("model_versions").iloc[0]
    assert versions["files_sha256"].tolist()[0] == kept["files_sha256"]
    assert versions["generation_settings"].tolist()[0] == kept["generation_settings"]
    assert versions["retired"].tolist()[0] is bool(fields.get("retired", False))
    assert files["sha256"].tolist() == before.read("model_files")["sha256"].tolist()
