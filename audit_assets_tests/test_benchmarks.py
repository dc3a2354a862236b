"""The benchmarks' shared results, and the page that the simulation study writes."""

import json
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.simulation import blocks, planning, worlds, written_in

DOCS = Path(__file__).parent.parent / "docs"
# By name: a folder of results beside the module would hide it from type checkers.
results = import_module("benchmarks.results")


def test_a_missed_target_is_written_and_fails_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stage = results.Results("stage", "seconds")
    stage.faster("fast", 1.0, 10.0, 8)
    stage.within("equal", np.float64(1e-15), 1e-12)
    stage.reported("whole", 2.5, 5)
    assert stage.finish(tmp_path / "stage.json") == 0
    stage.faster("slow", 2.0, 10.0, 8)
    assert stage.finish(tmp_path / "stage.json") == 1
    rows = json.loads((tmp_path / "stage.json").read_text())
    assert {"metric", "ours", "peer", "ratio", "target", "limit"} <= set(rows[0])
    assert [row["met"] for row in rows] == [True, True, True, False]
    assert [row["ratio"] for row in rows] == [10.0, pytest.approx(1e-3), 2.0, 5.0]
    printed = capsys.readouterr()
    assert "MISSED" in printed.out
    assert printed.err == "missed: slow\n"
    with pytest.raises(ValueError, match="added twice"):
        stage.faster("slow", 2.0, 10.0, 8)


def test_the_page_holds_exactly_the_tables_that_follow_from_the_stored_simulation() -> None:
    table, coverage = pd.read_csv(DOCS / "simulation.csv"), pd.read_csv(DOCS / "coverage.csv")
    page = (DOCS / "statistics.md").read_text(encoding="utf-8")
    assert written_in(page, blocks(table, coverage) | planning()) == page
    assert len(table) == 7 * len(worlds())


def test_a_page_without_a_place_for_a_table_is_refused() -> None:
    with pytest.raises(ValueError, match="must have '<!-- level -->'"):
        written_in("# A page\n", {"level": "| a |"})
