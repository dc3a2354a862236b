"""Kill a real audit at any moment, and run it again: it makes what is missing, and the result is the undisturbed one."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from dagster import AssetKey, DagsterInstance, DagsterRunStatus

from audit_assets.config import load_audit
from audit_assets.workspace import Workspace
from audit_assets_tests.drive import drive
from audit_assets_tests.faults.conftest import Ledger
from audit_assets_tests.processes import cells, differences, kill, said, start, wrong_results

KILLS = int(os.environ.get("AUDIT_TEST_KILLS", "30"))


@pytest.fixture(scope="module")
def whole(small_audit: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The audit that is killed here, finished without a kill."""
    config = small_audit(tmp_path_factory.mktemp("whole"))
    drive(config)
    return config


def test_an_audit_killed_at_random_ends_as_the_undisturbed_one(
    whole: Path, small_audit: Callable[..., Path], tmp_path: Path, ledger: Ledger
) -> None:
    """Whenever one is finished before all kills are spent, the next begins; each must end as the undisturbed one."""
    draws = random.Random(7)
    kills, audits, lost = 0, 0, []
    config = small_audit(tmp_path / "0")
    while True:
        before = cells(config)
        process = start(config)
        try:
            process.wait(timeout=draws.uniform(2, 14) if kills < KILLS else 400)
        except subprocess.TimeoutExpired:
            kill(process)
            kills += 1
            ledger.enter("kills", "nothing changed")
            lost += [c for c, written in before.items() if cells(config).get(c) != written]
            continue
        assert process.returncode == 0, said(config)
        ledger.wrong += wrong_results(config, whole)
        assert differences(config, whole) == []
        if kills >= KILLS:
            break
        audits += 1
        config = small_audit(tmp_path / str(audits))
    ledger.lost += lost
    assert lost == []  # what was finished before a kill was neither lost nor made again


@pytest.mark.parametrize("asked", [signal.SIGTERM, signal.SIGINT], ids=str)
def test_an_audit_that_is_asked_to_end_says_that_it_can_go_on_and_does(
    whole: Path, small_audit: Callable[..., Path], tmp_path: Path, ledger: Ledger, asked: signal.Signals
) -> None:
    config = small_audit(tmp_path)
    process = start(config)
    while not cells(config):
        time.sleep(0.2)
        assert process.poll() is None, said(config)
    process.send_signal(asked)
    assert process.wait(timeout=60) == 130
    assert said(config).endswith("stopped: finished work is kept; the same command continues from there\n")
    assert "Traceback" not in said(config)
    before = cells(config)
    assert start(config).wait(timeout=400) == 0
    assert before.items() <= cells(config).items()
    ledger.wrong += wrong_results(config, whole)
    assert differences(config, whole) == []
    ledger.enter("processes asked to end", "nothing changed")


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


def test_two_runs_at_once_share_the_cells_and_end_as_one(
    whole: Path, small_audit: Callable[..., Path], tmp_path: Path
) -> None:
    config = small_audit(tmp_path)
    processes = [start(config) for _ in range(2)]
    assert [p.wait(timeout=500) for p in processes] == [0, 0], said(config)
    assert differences(config, whole) == []
    audit = load_audit(config)
    ws = Workspace.of(audit)
    with DagsterInstance.from_config(str(audit.dagster_home)) as instance:
        made = {}
        for record in instance.fetch_materializations(AssetKey("imitations"), limit=5000).records:
            materialization = record.asset_materialization
            assert materialization is not None
            if "images_made_now" in materialization.metadata:  # not of a cell told at once, since it took long
                made[record.run_id] = int(str(materialization.metadata["images_made_now"].value))
    assert len(made) == 2
    assert all(made.values())  # each process made some
    prompted = ws.subjects().query("kind != 'background'")
    assert sum(made.values()) == len(prompted) * ws.protocol.trials  # and none was made twice
