"""`audit-assets status`: what is made, missing and left out. It changes nothing, and sees a run that is going on."""

import json
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from audit_assets.cli import app
from audit_assets.results.comparison import MODEL_TABLES
from audit_assets.runs.lost_runs import alive
from audit_assets.runs.status import Count, Status, status_of
from audit_assets.warehouse.left_out import ARTIST, ENCODER, LeftOut, leave_out
from audit_assets.warehouse.store import Warehouse

SUBJECTS = pd.DataFrame(
    {
        "subject": ["ada-moss", "bo-hale", "walt-ash"],
        "name": ["Ada Moss", "Bo Hale", "Walt Ash"],
        "kind": ["artist", "random_name", "background"],
        "indirect_prompt": "",
    }
)
ROW = pd.DataFrame({"row": [1]})


@pytest.fixture
def config(small_audit: Callable[..., Path], tmp_path: Path) -> Path:
    """An audit of which one of two subjects is drawn and embedded by one of two encoders, and two result tables are made."""
    config = small_audit(tmp_path / "audit")
    warehouse = Warehouse(config.parent / "warehouse")
    warehouse.write("subjects", SUBJECTS, "i")
    tables = ("imitations/miniature-1/ada-moss", "imitation_embeddings/miniature-clip/miniature-1/ada-moss", "encoders")
    for table in (*tables, f"{MODEL_TABLES[0]}/miniature-1", f"{MODEL_TABLES[1]}/miniature-1"):
        warehouse.write(table, ROW, "i")
    (config.parent / "warehouse" / "images").mkdir()
    (config.parent / "warehouse" / "images" / "a.png").write_bytes(b"x" * 5000)
    return config


def tree(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}


def looked_at(config: Path) -> Status:
    before = tree(config.parent)
    found = status_of(config)
    assert tree(config.parent) == before
    return found


def test_made_and_missing_parts_are_counted(config: Path) -> None:
    found = looked_at(config)
    (first, second) = found.versions
    trials = 5
    assert (first.images, first.embeddings) == (Count(trials, 2 * trials), Count(1, 4))
    assert first.results == Count(2, len(MODEL_TABLES))
    assert (first.state, first.report, first.root) == ("approved", False, "no manifest")
    assert (second.state, second.images) == ("not approved", Count(0, 2 * trials))
    assert found.subjects == {"artist": 1, "random_name": 1, "background": 1}
    assert "encoders" not in found.missing
    assert {"audit.duckdb", "controls", "auditability"} <= set(found.missing)
    assert found.room["images"] == 5000
    assert found.running == 0


def test_a_warehouse_that_does_not_exist_is_not_made(small_audit: Callable[..., Path], tmp_path: Path) -> None:
    config = small_audit(tmp_path / "audit")
    found = looked_at(config)
    assert not found.made
    done = CliRunner().invoke(app, ["status", "--config", str(config)])
    assert done.exit_code == 0
    assert "not made yet" in done.output
    assert sorted(p.name for p in config.parent.iterdir()) == ["audit.yaml"]


def test_what_is_left_out_is_named_and_its_encoder_is_not_counted(config: Path) -> None:
    warehouse = Warehouse(config.parent / "warehouse")
    parts = [LeftOut(ENCODER, "a weight is missing", "registration", encoder="miniature-vision")]
    leave_out(warehouse, "encoders", parts, config.parent)
    subject = [LeftOut(ARTIST, "no file\x1b[2K can be read", "imitations", "miniature-1", subject="ada-moss")]
    leave_out(warehouse, "imitations/miniature-1/ada-moss", subject, config.parent)
    assert looked_at(config).versions[0].embeddings == Count(1, 2)
    done = CliRunner().invoke(app, ["status", "--config", str(config)])
    assert done.exit_code == 0
    assert "left out   2" in done.output
    assert "encoder miniature-vision: a weight is missing" in done.output
    assert "artist miniature-1, ada-moss: no file\\x1b[2K can be read" in done.output


def test_a_run_at_work_is_seen_and_not_disturbed(config: Path) -> None:
    drivers = config.parent / ".dagster" / "audit" / "drivers"
    drivers.parent.mkdir(parents=True)
    with dg.DagsterInstance.ephemeral() as instance, alive(drivers, instance):
        assert looked_at(config).running == 1
        with alive(drivers, instance):
            assert looked_at(config).running == 2
    (drivers / "killed.lock").touch()
    assert looked_at(config).running == 0


def test_a_manifest_that_was_altered_is_not_shown_as_a_root(config: Path) -> None:
    manifests = config.parent / "warehouse" / "manifests"
    manifests.mkdir()
    (manifests / "miniature-1.json").write_text(json.dumps({"root": "0" * 64}))
    assert looked_at(config).versions[0].root.startswith("NOT READABLE: ")


def test_an_unmarked_warehouse_is_left_as_it_is(config: Path) -> None:
    """`Workspace.open` would bring an unmarked one up to date."""
    looked_at(config)
    assert not (config.parent / "warehouse" / "warehouse.json").exists()


def test_a_broken_audit_file_is_bad_input(config: Path) -> None:
    content = yaml.safe_load(config.read_text()) | {"modles": []}
    config.write_text(yaml.safe_dump(content))
    done = CliRunner().invoke(app, ["status", "--config", str(config)])
    assert done.exit_code == 2
    assert "modles" in done.output
