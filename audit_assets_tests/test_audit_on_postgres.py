"""The small audit with Dagster's storage in a real Postgres, as the service has it: two runs at once, the tables of one."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from dagster import AssetKey, DagsterInstance, DagsterRunStatus

from audit_assets.config import load_audit
from audit_assets.errors import InputError
from audit_assets.publication.queries import database as read
from audit_assets.runs.driver import driver
from audit_assets_tests.postgres_server import postgres
from audit_assets_tests.processes import without_limits

SETTINGS = Path(__file__).parents[1] / "docker" / "dagster.yaml"


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A Dagster home with the settings of the service, over a Postgres of its own."""
    home, logs = tmp_path / "home", tmp_path / "logs"
    for folder in (home, logs):
        folder.mkdir()
    shutil.copy(SETTINGS, home / "dagster.yaml")
    with postgres() as environment:
        for name, value in {**environment, "DAGSTER_LOGS": str(logs), "AUDIT_DAGSTER_HOME": str(home)}.items():
            monkeypatch.setenv(name, value)
        yield home


def tables_of(database: Path) -> dict[str, pd.DataFrame]:
    with read.opened(database) as connection:
        names = [t for (t,) in connection.execute("SELECT table_name FROM duckdb_tables() ORDER BY ALL").fetchall()]
        return {name: connection.table(name).df() for name in names}


@pytest.mark.long
def test_the_services_settings_are_ones_that_dagster_takes(service: Path) -> None:
    """Opened, not only parsed: Dagster imports storage, launcher and log manager."""
    with DagsterInstance.from_config(str(service)) as instance:
        assert type(instance.event_log_storage).__name__ == "PostgresEventLogStorage"
        assert type(instance.run_launcher).__name__ == "DefaultRunLauncher"
        assert type(instance.run_coordinator).__name__ == "QueuedRunCoordinator"
        concurrency = instance.get_concurrency_config()
        assert concurrency.pool_config.default_pool_limit == 1
        assert concurrency.run_queue_config is not None
        assert concurrency.run_queue_config.max_concurrent_runs == 8
        assert instance.run_monitoring_enabled
        assert instance.run_retries_max_retries == 2
        assert not instance.get_settings("run_retries")["retry_on_asset_or_op_failure"]
        assert not instance.telemetry_enabled
        assert not instance.nux_enabled
    assert [p.name for p in service.iterdir()] == ["dagster.yaml"]  # so that it may be mounted read-only


@pytest.mark.long
def test_two_runs_at_once_on_postgres_end_as_one_on_disk(
    service: Path, audited: Path, small_audit: Callable[..., Path], tmp_path: Path
) -> None:
    config = small_audit(tmp_path / "audit", verdicts=True)
    command = [sys.executable, "-m", "audit_assets.cli", "run", "--config", str(config)]
    with open(tmp_path / "said.log", "wb") as said:
        runs = [subprocess.Popen(command, stdout=said, stderr=said, env=without_limits()) for _ in range(2)]
        ended = [run.wait(timeout=500) for run in runs]
    assert ended == [0, 0], (tmp_path / "said.log").read_text(errors="replace")[-5000:]
    there, here = (tables_of(load_audit(c).local("warehouse/audit.duckdb")) for c in (config, audited))
    assert there.keys() == here.keys()
    for name, table in there.items():
        pd.testing.assert_frame_equal(table, here[name])
    with DagsterInstance.from_config(str(service)) as instance:
        assert {run.status for run in instance.get_runs()} == {DagsterRunStatus.SUCCESS}
        cells = instance.get_materialized_partitions(AssetKey("imitations"))
    assert len(cells) == there["imitations"].groupby(["model_version", "subject"]).ngroups
    assert not (config.parent / ".dagster").exists()  # everything that Dagster keeps is in Postgres


@pytest.mark.long
def test_a_database_that_stops_in_the_middle_is_named_and_what_was_made_is_kept(
    service: Path, small_audit: Callable[..., Path], tmp_path: Path
) -> None:
    config = small_audit(tmp_path / "audit")
    with driver(config) as d:
        d.preflight()
        for step in (*d.roster_steps(), *d.registry_steps()):
            d.run(step)
        before = {p: p.stat().st_mtime_ns for p in (tmp_path / "audit" / "warehouse").rglob("*.parquet")}
        assert before

    def run_without_database() -> None:
        with driver(config) as d:
            stop_postgres()
            d.run(next(d.reference_steps()))

    with pytest.raises(InputError, match=r"Dagster's database cannot be used \(.*Connection refused"):
        run_without_database()
    assert {p: p.stat().st_mtime_ns for p in before} == before
    with pytest.raises(InputError, match="Finished work is in the warehouse"), driver(config):
        pass


def stop_postgres() -> None:
    """As a crash does: the server's processes are gone at once."""
    file = Path(os.environ["PGDATA"]) / "postmaster.pid"
    os.kill(int(file.read_text().split()[0]), signal.SIGQUIT)
    while file.exists():
        time.sleep(0.1)
