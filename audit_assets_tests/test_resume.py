"""Kill a real audit at any moment, and run it again: it makes what is missing, and the result is the undisturbed one."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import pandas as pd
import pytest
from dagster import AssetKey, DagsterInstance, DagsterRunStatus

from audit_assets.audit_steps import AuditSteps
from audit_assets.config import load_audit, load_protocol
from audit_assets.warehouse.store import Warehouse, vectors

KILLS = int(os.environ.get("AUDIT_TEST_KILLS", "20"))


def start(config: Path) -> subprocess.Popen[bytes]:
    """`audit-assets run` in a session of its own, as a terminal or a scheduler starts it."""
    command = [sys.executable, "-m", "audit_assets.cli", "run", "--config", str(config)]
    with open(config.parent / "said.log", "ab") as said:
        return subprocess.Popen(command, start_new_session=True, stdout=said, stderr=said)


def said(config: Path) -> str:
    return (config.parent / "said.log").read_text(errors="replace")[-5000:]


def kill(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def cells(config: Path) -> dict[str, int]:
    """Finished cells of imitations and the time each was written."""
    folder = config.parent / "warehouse" / "imitations"
    return {p.stem: p.stat().st_mtime_ns for p in folder.rglob("*.parquet") if not p.name.startswith(".")}


def kept(config: Path) -> dict[str, str]:
    """sha256 of every image and every table of the warehouse."""
    root = config.parent / "warehouse"
    return {
        str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in root.rglob("*")
        if p.suffix in (".png", ".parquet") and not p.name.startswith(".") and "reports" not in p.parts
    }


def published(config: Path) -> dict[str, pd.DataFrame]:
    with duckdb.connect(str(config.parent / "warehouse" / "audit.duckdb"), read_only=True) as connection:
        tables = [t for (t,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
        frames = {table: connection.table(table).df() for table in sorted(tables)}
    for frame in frames.values():
        if "embedding" in frame:
            frame["embedding"] = [v.tobytes() for v in vectors(frame["embedding"])]
    return frames


@pytest.mark.long
def test_an_audit_killed_at_random_ends_as_the_undisturbed_one(
    audited: Path, small_audit: Callable[..., Path], tmp_path: Path
) -> None:
    """Whenever one is finished before all kills are spent, the next begins; each must end as the undisturbed one."""
    draws = random.Random(7)
    kills, audits, lost = 0, 0, []
    config = small_audit(tmp_path / "0")
    while True:
        before = cells(config)
        process = start(config)
        try:
            process.wait(timeout=draws.uniform(2, 20) if kills < KILLS else 400)
        except subprocess.TimeoutExpired:
            kill(process)
            kills += 1
            lost += [c for c, written in before.items() if cells(config).get(c) != written]
            continue
        assert process.returncode == 0, said(config)
        assert kept(config) == kept(audited)
        for table, frame in published(audited).items():
            pd.testing.assert_frame_equal(published(config)[table], frame)
        if kills >= KILLS:
            break
        audits += 1
        config = small_audit(tmp_path / str(audits))
    assert lost == []  # what was finished before a kill was neither lost nor made again


@pytest.mark.long
def test_a_killed_run_does_not_hold_its_pool_for_ever(small_audit: Callable[..., Path], tmp_path: Path) -> None:
    config = small_audit(tmp_path)
    process = start(config)
    home = load_audit(config).dagster_home
    while not cells(config):
        time.sleep(0.2)
        assert process.poll() is None
    kill(process)

    def unfinished() -> list[str]:
        with DagsterInstance.from_config(str(home)) as instance:
            return [run.run_id for run in instance.get_runs() if run.status == DagsterRunStatus.STARTED]

    (left,) = unfinished()
    second = start(config)
    while unfinished() == [left] and second.poll() is None:
        time.sleep(0.2)
    kill(second)
    with DagsterInstance.from_config(str(home)) as instance:
        run = instance.get_run_by_id(left)
    assert run is not None
    assert run.status == DagsterRunStatus.FAILURE


@pytest.mark.long
def test_two_runs_at_once_share_the_cells_and_end_as_one(
    audited: Path, small_audit: Callable[..., Path], tmp_path: Path
) -> None:
    config = small_audit(tmp_path)
    processes = [start(config) for _ in range(2)]
    assert [p.wait(timeout=500) for p in processes] == [0, 0], said(config)
    assert kept(config) == kept(audited)
    audit = load_audit(config)
    steps = AuditSteps(audit, load_protocol(audit), Warehouse(audit.local(audit.warehouse)))
    with DagsterInstance.from_config(str(audit.dagster_home)) as instance:
        made = {}
        for record in instance.fetch_materializations(AssetKey("imitations"), limit=5000).records:
            materialization = record.asset_materialization
            assert materialization is not None
            if "images_made_now" in materialization.metadata:  # not of a cell told at once, since it took long
                made[record.run_id] = int(str(materialization.metadata["images_made_now"].value))
    assert len(made) == 2
    assert all(made.values())  # each process made some
    prompted = steps.subjects().query("kind != 'background'")
    assert sum(made.values()) == len(prompted) * steps.protocol.trials  # and none was made twice
