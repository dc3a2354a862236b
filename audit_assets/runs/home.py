"""The Dagster home of an audit: its settings, its first opening, and the remedy for a damaged log of events."""

import glob
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from filelock import FileLock
from sqlalchemy.exc import DBAPIError

from audit_assets.config import Audit
from audit_assets.errors import InputError, Unwritable, writing
from audit_assets.warehouse.locks import check_locks

OPENING, SETTINGS = "opening.lock", "dagster.yaml"
WORKSPACE = Path(__file__).with_name("workspace.yaml")
"""What Dagster's programs load: this package as a code location, in a checkout or installed."""


LOCAL = (sqlite3.Error, dg.DagsterInvalidInvocationError)
"""The errors of a damaged log of events that lies in the home itself, and not in a database server."""


DAGSTER_YAML = """\
telemetry: {enabled: false}
nux: {enabled: false}
concurrency: {pools: {granularity: run, default_limit: 1}}
run_monitoring: {enabled: false}
run_retries: {enabled: true, max_retries: 2, retry_on_asset_or_op_failure: false}
"""
"""Dagster starts a run again whose process was killed. It does not start a failed run again, because that run would fail again."""


def prepare_home(audit: Audit) -> Path:
    """The audit's Dagster home, made if it does not exist. Settings of the operator in it, such as Postgres, are kept."""
    home = audit.dagster_home
    if glob.has_magic(str(home)):
        raise InputError(
            f"{home}: the path contains *, ? or [, which Dagster takes for a pattern, so it would find no settings there; rename the folder, or set AUDIT_DAGSTER_HOME to another folder."
        )
    try:
        with writing(home):
            home.mkdir(parents=True, exist_ok=True)
            check_locks(home)
            settings = home / SETTINGS
            if not settings.exists():
                settings.write_text(DAGSTER_YAML, encoding="utf-8")
            (home / OPENING).touch()
    except Unwritable as error:
        raise Unwritable(
            f"{error} Or set AUDIT_DAGSTER_HOME to a folder that can be written. `sql`, `verify`, `export` and `report --out` only "
            "read the audit."
        ) from error
    return home


@contextmanager
def usable(home: Path) -> Iterator[None]:
    """Turn errors of a log of events that cannot be read or written into an InputError with the remedy."""
    try:
        yield
    except InputError:
        raise
    except Exception as raised:
        error = of_database(raised)
        if error is None:
            raise
        said = f"cannot be used ({str(error.orig).strip()})"
        kept = "Finished work is in the warehouse and is kept."
        if not isinstance(error.orig, LOCAL):
            raise InputError(
                f"{home / SETTINGS}: Dagster's database {said}; start it, or correct its address, user and password, and run again. {kept}"
            ) from error
        if "locked" in said:
            raise InputError(
                f"{home}: Dagster's log of events {said}; wait until the process that writes to it ends, and run again. {kept}"
            ) from error
        raise InputError(
            f"{home}: Dagster's log of events {said}; if the disk is full, make room, otherwise delete this folder; then run again. {kept}"
        ) from error


def of_database(error: BaseException | None) -> DBAPIError | None:
    """The database error in the chain of causes: dagster-postgres raises an error of its own after several attempts. None if no such error exists."""
    while error is not None and not isinstance(error, DBAPIError):
        error = error.__cause__
    return error


def opened(home: Path) -> dg.DagsterInstance:
    """Dagster's instance in a home. If its first opening was killed, its tables are incomplete; if the log has no run, it is made again."""
    with FileLock(home / OPENING):  # two processes that make Dagster's tables at once would fail
        try:
            instance = _instance(home)
            _check_events(instance)
        except DBAPIError as error:
            history = home / "history"
            # If the log is locked, another process, such as a UI, is writing to it.
            damaged = isinstance(error.orig, LOCAL) and "locked" not in str(error) and history.is_dir()
            if not damaged or any(log.name != "index.db" for log in (history / "runs").glob("*.db")):
                raise
            shutil.rmtree(history)
            instance = _instance(home)
    return instance


def _instance(home: Path) -> dg.DagsterInstance:
    """Dagster's instance with the settings of a home. InputError if Dagster does not accept them."""
    try:
        return dg.DagsterInstance.from_config(str(home))
    except Exception as error:  # storages, launchers and other parts that the settings name raise errors of their own
        if of_database(error) is not None:
            raise
        unset = ", ".join(sorted(set(re.findall(r'environment variable "(\w+)" which is not set', str(error)))))
        why = f"not set in the environment: {unset}" if unset else f"{type(error).__name__}: {error}"
        raise InputError(
            f"{home / SETTINGS}: Dagster does not accept these settings ({why}); correct them, or delete the file to get the default settings."
        ) from error


def _check_events(instance: dg.DagsterInstance) -> None:
    """Raise DBAPIError if a file of the log became empty. Dagster opens such a file without an error and fails only when it reads it."""
    try:
        instance.get_dynamic_partitions("subject")
    except dg.DagsterInvalidInvocationError as error:
        raise DBAPIError("subject", None, error) from error
