"""An opened audit reads its table of subjects once while the file is the same, and no results of another audit."""

import os
import shlex
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from audit_assets.cli import app
from audit_assets.warehouse import layout
from audit_assets.warehouse.store import Warehouse
from audit_assets.workspace import Workspace


def test_subjects_are_read_again_if_the_file_is_another_and_nobody_changes_those_of_others(
    small_audit: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ws, reads = Workspace.open(small_audit(tmp_path / "audit"), new=True), list[str]()

    def read(warehouse: Warehouse, table: str, columns: list[str] | None = None) -> pd.DataFrame:
        reads.append(table)
        return whole(warehouse, table, columns)

    whole = Warehouse.read
    monkeypatch.setattr(Warehouse, "read", read)
    monkeypatch.setattr("audit_assets.hashing._TICK", 0.0)  # a change is settled at once
    file = ws.warehouse.path("subjects")
    for day, name in enumerate(("Ada", "Bea")):
        ws.warehouse.write("subjects", pd.DataFrame({"subject": [name.lower()], "name": [name]}), name)
        os.utime(file, ns=(day, day))
        own = ws.subjects()
        own["name"] = "Somebody Else"
        assert ws.subjects()["name"].tolist() == [name]
    assert reads == ["subjects"] * 2


@pytest.mark.parametrize(
    "command",
    [
        "plan",
        "check",
        "run",
        "status",
        "roster",
        "report",
        "sql 'SELECT 1'",
        "prompts --into sheet",
        "verify",
        "export --model miniature-1 --out out.zip",
        "browse",
    ],
)
def test_no_command_shows_or_replaces_the_results_of_another_audit_file(
    command: str, small_audit: Callable[..., Path], tmp_path: Path
) -> None:
    first = small_audit(tmp_path)
    layout.made(tmp_path / "warehouse", first)
    (tmp_path / "warehouse" / "audit.duckdb").touch()
    second = first.with_name("second.yaml")
    second.write_bytes(first.read_bytes())
    done = CliRunner().invoke(app, [*shlex.split(command), "--config", str(second)])
    assert done.exit_code == 2, done.output
    assert "second.yaml: its warehouse" in " ".join(done.output.split())
