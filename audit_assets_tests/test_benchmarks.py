"""The benchmarks run small, their shared results, and the pages that are made from them."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from audit_assets.config import Protocol
from audit_assets.warehouse.store import Warehouse
from benchmarks import buckets, cells, costs, growth, store, whole
from benchmarks.page import page
from benchmarks.simulation import blocks, breaches, written_in

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
    assert written_in(page, blocks(table, coverage)) == page
    assert breaches(table) == []


def test_a_page_without_a_place_for_a_table_is_refused() -> None:
    with pytest.raises(ValueError, match="must have '<!-- level -->'"):
        written_in("# A page\n", {"level": "| a |"})


def test_the_page_of_performance_is_made_from_the_figures_beside_it() -> None:
    known = json.loads((DOCS / "performance.json").read_text(encoding="utf-8"))
    assert (DOCS / "performance.md").read_text(encoding="utf-8") == page(known), "run: python -m benchmarks.page"


def test_a_target_that_is_missed_without_an_explanation_makes_no_page() -> None:
    known = json.loads((DOCS / "performance.json").read_text(encoding="utf-8"))
    known["stages"]["store"]["load_before"] = 0.1
    known["stages"]["store"]["rows"][0] |= {"met": False, "metric": "something new"}
    with pytest.raises(ValueError, match="does not say why"):
        page(known)


def test_figures_of_a_gpu_come_from_another_machine_onto_the_page() -> None:
    known = json.loads((DOCS / "performance.json").read_text(encoding="utf-8"))
    rows = [{**known["stages"]["store"]["rows"][0], "metric": "SDXL, float16, batch 8: images/s", "ours": 1.25}]
    machine = {"gpu": "A card", "python": "3.12.1", "versions": {"torch": "2.13.0"}}
    known["stages"]["gpu"] = {"machine": machine, "started": "2026-11-25T10:00:00", "not_run": ["DiT"], "rows": rows}
    text = page(known)
    assert "on: A card, Python 3.12.1; torch 2.13.0." in text
    assert "| SDXL, float16, batch 8: images/s | 1.25 |" in text
    assert "Not measured: DiT." in text


def test_a_batch_that_does_not_fit_is_halved_and_another_error_is_not_taken_for_one() -> None:
    from benchmarks.gpu import largest

    asked: list[int] = []

    def call(batch: int) -> None:
        asked.append(batch)
        if batch > 5:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")

    assert largest(call, 32) == 4
    assert asked == [32, 16, 8, 4]
    with pytest.raises(RuntimeError, match="out of memory"):
        largest(lambda batch: call(10), 8)
    with pytest.raises(RuntimeError, match="mat1"):
        largest(lambda batch: (_ for _ in ()).throw(RuntimeError("mat1 and mat2 differ")), 8)


def measured_small(monkeypatch: pytest.MonkeyPatch, folder: Path, minutes: int) -> tuple[int, dict[str, Any]]:
    """The exit code of the benchmark of a GPU on small models on the CPU, and what it wrote."""
    from benchmarks import gpu

    sizes = ["--scale", "0.03", "--pixels", "64", "--batches", "1", "2"]
    small = ["--device", "cpu", *sizes, "--precisions", "float32", "--backend", "eager"]
    file = folder / "gpu.json"
    monkeypatch.setattr(sys, "argv", ["gpu", *small, "--minutes", str(minutes), "--output", str(file)])
    return gpu.main(), json.loads(file.read_text(encoding="utf-8"))


@pytest.mark.long
def test_a_model_that_fails_on_a_gpu_stops_its_own_measurement_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmarks import gpu

    def fails(scale: float) -> Any:
        raise TypeError("can't convert cuda:0 device type tensor to numpy.")

    first, second, third = gpu.SIZES
    monkeypatch.setitem(gpu.SIZES, second, replace(gpu.SIZES[second], build=fails))
    code, found = measured_small(monkeypatch, tmp_path, 30)
    metrics = {row["metric"]: row["ours"] for row in found["rows"]}
    assert code == metrics["models that failed"] == 1
    assert found["not_run"] == [f"{second} (TypeError: can't convert cuda:0 device type tensor to numpy.)"]
    assert not found["met"]
    assert f"{first}: TFLOP an image" in metrics
    assert f"{third}: TFLOP an image" in metrics


@pytest.mark.long
@pytest.mark.parametrize("minutes", [30, 0])
def test_the_benchmark_of_a_gpu_runs_small_on_a_cpu(
    minutes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmarks import gpu

    code, found = measured_small(monkeypatch, tmp_path, minutes)
    assert code == 0
    metrics = {row["metric"]: row["ours"] for row in found["rows"]}
    if minutes == 0:
        assert found["not_run"] == [*gpu.SIZES, *(f"{name}, float32" for name in gpu.ENCODERS)]
        return
    assert found["not_run"] == []
    for name in gpu.SIZES:
        assert metrics[f"{name}, float32, batch 2: images/s"] > 0
        assert metrics[f"{name}: TFLOP an image"] > 0
    for name in gpu.ENCODERS:
        assert metrics[f"{name}, float32, batch 16: images/s"] > 0
    known = json.loads((DOCS / "performance.json").read_text(encoding="utf-8"))
    assert "## GPU" in page({**known, "stages": {**known["stages"], "gpu": found}})


@pytest.mark.long
def test_the_page_of_operations_holds_the_estimates_that_follow_from_its_assumptions() -> None:
    text = (DOCS / "operations.md").read_text(encoding="utf-8")
    assert written_in(text, costs.blocks()) == text


@pytest.mark.long
def test_the_store_benchmark_runs_small_and_loses_no_bit(tmp_path: Path) -> None:
    found = results.Results("store", "seconds")
    store.measure(found, tmp_path, rows=300, some=50, blocks=2)
    bits = [row for row in found.rows if "other bits" in row.metric]
    assert [row.ours for row in bits] == [0, 0]


@pytest.mark.long
def test_growth_measures_simulated_artists_and_versions() -> None:
    protocol = Protocol(name="bench", templates=("Artwork from {name}",), trials=10)
    assert set(growth.one_version(5, protocol)) == {"identification", "matching"}
    assert growth.many_versions(3, protocol)["comparison"] > 0


@pytest.mark.long
def test_the_whole_audit_runs_beside_the_plain_script_on_the_small_audit(
    small_audit: Callable[..., Path], tmp_path: Path
) -> None:
    found = results.Results("whole", "seconds")
    whole.measure(found, small_audit(tmp_path / "small"), tmp_path / "measured")
    cold, again = found.rows[:2]
    assert cold.ours > 0
    assert cold.peer is not None
    assert again.ours > 0


@pytest.mark.long
def test_dagster_is_measured_at_some_cells(tmp_path: Path) -> None:
    found = results.Results("cells", "seconds")
    cells.measure(found, tmp_path, subjects=20, models=3, wanted_ticks=2)
    assert {"60 cells"} == {row.metric.split(":")[0] for row in found.rows}
    for measured in (*cells.SENSORS, "finding the 20 cells of a new version", "what follows from 1,000 cells"):
        assert any(measured in row.metric and row.ours > 0 for row in found.rows)


@pytest.mark.long
def test_buckets_hold_every_subject_and_resume(tmp_path: Path) -> None:
    subjects = list(buckets.names(3000))
    shares = buckets.shared_out(subjects, 10)
    assert sorted(s for share in shares.values() for s in share) == subjects
    assert shares[3] == buckets.shared_out(subjects[::-1], 10)[3][::-1]
    found = results.Results("buckets", "seconds")
    buckets.storage(found, tmp_path, shares)
    files = next(row for row in found.rows if "files" in row.metric)
    assert (files.ours, files.peer) == (10, 3000)
    buckets.resumed(found, tmp_path, list(buckets.names(1000)))
    assert all(row.met for row in found.rows)


def test_a_bucket_makes_again_what_was_made_from_something_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse, subjects = Warehouse(tmp_path), list(buckets.names(250))
    assert buckets.make(warehouse, 0, subjects) == 250
    assert buckets.make(warehouse, 0, subjects) == 0
    monkeypatch.setattr(buckets, "PROTOCOL", "another")
    assert buckets.lacking(warehouse, 0, subjects) == subjects
    assert buckets.make(warehouse, 0, subjects) == 250
    assert len(warehouse.read(buckets.place(0))) == 2500
