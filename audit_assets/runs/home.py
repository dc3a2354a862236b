"""The Dagster home of an audit: its settings, its first opening, and what can be done about a log of events that is damaged."""

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
from audit_assets.errors import InputError

OPENING, SETTINGS = "opening.lock", "dagster.yaml"


LOCAL = (sqlite3.Error, dg.DagsterInvalidInvocationError)
"""What a damaged log of events raises that lies in the home itself, and not in a database."""


DAGSTER_YAML = """\
telemetry: {enabled: false}
nux: {enabled: false}
concurrency: {pools: {granularity: run, default_limit: 1}}
run_monitoring: {enabled: false}
run_retries: {enabled: true, max_retries: 2, retry_on_asset_or_op_failure: false}
"""
"""A run whose process was killed is started again; one that failed would fail again."""


def prepare_home(audit: Audit) -> Path:
    """The audit's Dagster home; made when it is not there. Settings that somebody put there, such as Postgres, are kept."""
    home = audit.dagster_home
    if glob.has_magic(str(home)):
        raise InputError(
            f"{home}: Dagster takes *, ? and [ in a folder's name for a pattern, and would find no settings there; rename the folder, or set AUDIT_DAGSTER_HOME to another."
        )
    home.mkdir(parents=True, exist_ok=True)
    settings = home / SETTINGS
    if not settings.exists():
        settings.write_text(DAGSTER_YAML, encoding="utf-8")
    (home / OPENING).touch()
    return home


@contextmanager
def usable(home: Path) -> Iterator[None]:
    """Says what can be done about a log of events that cannot be read or written."""
    try:
        yield
    except InputError:
        raise
    except Exception as raised:
        error = of_database(raised)
        if error is None:
            raise
        said = f"cannot be used ({str(error.orig).strip()})"
        kept = "what was made is in the warehouse, and is kept"
        if not isinstance(error.orig, LOCAL):
            raise InputError(
                f"{home / SETTINGS}: Dagster's database {said}; start it, or correct its address, user and password, and run again: {kept}."
            ) from error
        if "locked" in said:
            raise InputError(
                f"{home}: Dagster's log of events {said}; wait until the process that writes to it is done, and run again: {kept}."
            ) from error
        raise InputError(
            f"{home}: Dagster's log of events {said}; make room where the disk is full, else delete this folder: {kept}."
        ) from error


def of_database(error: BaseException | None) -> DBAPIError | None:
    """The database's error that is, or is behind, another one: dagster-postgres raises its own when it asked often enough."""
    while error is not None and not isinstance(error, DBAPIError):
        error = error.__cause__
    return error


def opened(home: Path) -> dg.DagsterInstance:
    """Dagster's instance in a home. Where its first opening was killed, its tables are half made: without a run, it begins again."""
    with FileLock(home / OPENING):  # two that make Dagster's tables at once fail
        try:
            instance = _instance(home)
            _check_events(instance)
        except DBAPIError as error:
            history = home / "history"
            # Locked: somebody else, such as a UI, is writing.
            damaged = isinstance(error.orig, LOCAL) and "locked" not in str(error) and history.is_dir()
            if not damaged or any(log.name != "index.db" for log in (history / "runs").glob("*.db")):
                raise
            shutil.rmtree(history)
            instance = _instance(home)
    return instance


def _instance(home: Path) -> dg.DagsterInstance:
    """Dagster's instance with the settings of a home. InputError where they cannot be taken."""
    try:
        return dg.DagsterInstance.from_config(str(home))
    except Exception as error:  # storages, launchers and what else the settings name raise their own
        if of_database(error) is not None:
            raise
        unset = ", ".join(sorted(set(re.findall(r'environment variable "(\w+)" which is not set', str(error)))))
        why = f"not set in the environment: {unset}" if unset else f"{type(error).__name__}: {error}"
        raise InputError(
            f"{home / SETTINGS}: Dagster does not take these settings ({why}); correct them, or delete the file for those of a laptop."
        ) from error


def _check_events(instance: dg.DagsterInstance) -> None:
    """A file of the log that became empty opens as one whose tables are there by another name."""
    try:
        instance.get_dynamic_partitions("subject")
    except dg.DagsterInvalidInvocationError as error:
        raise DBAPIError("subject", None, error) from error
