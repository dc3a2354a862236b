"""Runs whose process died, and the processes that own runs: the driver, the UI and the code server."""

import fcntl
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from dagster._core.scheduler.instigation import InstigatorStatus
from filelock import FileLock, Timeout

from audit_assets.config import Audit
from audit_assets.errors import writing
from audit_assets.runs.home import location_name, opened, prepare_home, usable, write_workspace

DRIVER = "audit/driver"
SETTLED = 90
"""Seconds after which a daemon has found a new code server, because it looks every minute. If a run is
marked as failed before that time, the daemon cannot start it again and gives it up for good."""


UNFINISHED = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]


@contextmanager
def alive(folder: Path, instance: dg.DagsterInstance) -> Iterator[str]:
    """A name for this driver's runs, and a lock that lives as long as its process. Ends the runs of drivers that were killed.

    Such a run would otherwise hold the pool `gpu` for ever, and every backfill of the UI would wait for it.
    """
    folder.mkdir(exist_ok=True)
    for left in folder.glob("*.lock"):
        try:
            with FileLock(left).acquire(timeout=0):
                runs = instance.get_runs(dg.RunsFilter(tags={DRIVER: left.stem}, statuses=UNFINISHED))
                _end(instance, [run for run in runs if is_a_drivers(run)])
                left.unlink(missing_ok=True)
        except Timeout:
            continue
    name = uuid.uuid4().hex
    with FileLock(folder / f"{name}.lock"):
        yield name
    (folder / f"{name}.lock").unlink(missing_ok=True)


def lost_runs(instance: dg.DagsterInstance) -> list[str]:
    """The runs that died with the last code server, because runs are its processes. Call this before the next server serves.

    Runs of drivers are not among them (`alive` ends those). If runs are jobs of a cluster, they go on without the code server, and Dagster's
    monitoring sees which are lost.
    """
    if instance.run_launcher.supports_check_run_worker_health:
        return []
    unfinished = instance.get_runs(dg.RunsFilter(statuses=UNFINISHED))
    return [run.run_id for run in unfinished if not is_a_drivers(run)]


def is_a_drivers(run: dg.DagsterRun) -> bool:
    """Whether a driver's process is this run. A run that a person started again in the UI has the tags of the first one."""
    return DRIVER in run.tags and run.parent_run_id is None


def end_lost_runs(instance: dg.DagsterInstance, lost: list[str]) -> None:
    """Mark lost runs as failed. Dagster's monitoring cannot see that they are lost, and each would hold its pool for ever. `run_retries`
    starts them again, because the run failed and not a step."""
    unfinished = instance.get_runs(dg.RunsFilter(run_ids=lost, statuses=UNFINISHED)) if lost else []
    _end(instance, unfinished, "the code server whose process was this run has ended")


def hold_ui(audit: Audit, tell: Callable[[str], None] = lambda line: None) -> Path:
    """Dagster's home of an audit, with the lock of the UI. This process holds the lock while it lives, also after `exec`.

    The runs of a UI that was killed are ended, and `tell` receives a line per schedule and sensor that is on under another name of the
    code location, where Dagster does not find it. If another UI runs over the same home, nothing is ended: the runs belong to that UI.
    """
    home = prepare_home(audit)
    write_workspace(audit, home)
    with writing(home):
        lock = os.open(home / "ui.lock", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return home
    os.set_inheritable(lock, True)
    with usable(home), opened(home) as instance:
        end_lost_runs(instance, lost_runs(instance))
        for line in on_elsewhere(instance, location_name(audit)):
            tell(line)
    return home


def on_elsewhere(instance: dg.DagsterInstance, location: str) -> list[str]:
    """One line per schedule or sensor that a person switched on while the code location had another name."""
    return [
        f"{state.instigator_name} was switched on while the audit was called {old}, so it does not run; switch it on again in the UI"
        for state in instance.all_instigator_state()
        if state.status == InstigatorStatus.RUNNING
        and (old := state.origin.repository_origin.code_location_origin.location_name) != location
    ]


def _end(
    instance: dg.DagsterInstance, runs: Iterable[dg.DagsterRun], why: str = "the process that drove this run was killed"
) -> None:
    for run in runs:
        instance.report_run_failed(run, why)


def serve(host: str, port: int, tell: Callable[[str], None]) -> int:
    """Serve the definitions to a webserver and a daemon until the server ends. Returns its exit code.

    Once this server serves, the runs that died with the server before it are ended. `tell` receives a line about them.
    """
    dagster = str(Path(sys.executable).with_name("dagster"))
    module = ["-m", "audit_assets.definitions", "--location-name", "audit_assets"]
    with dg.DagsterInstance.get() as instance:
        lost = lost_runs(instance)
        server = subprocess.Popen([dagster, "code-server", "start", "-h", host, "-p", str(port), *module])
        for ending in (signal.SIGTERM, signal.SIGINT):
            signal.signal(ending, lambda *_: server.terminate())
        if lost:
            tell(f"{len(lost)} runs died with the last code server; they will be marked as failed in {SETTLED} s")
            try:
                server.wait(SETTLED)
            except subprocess.TimeoutExpired:
                end_lost_runs(instance, lost)
        return server.wait()
