"""The Dagster home of an audit: its settings, its first opening, and the remedy for a damaged log of events."""

import os
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import yaml
from anyascii import anyascii
from dagster._core.definitions.repository_definition.valid_definitions import SINGLETON_REPOSITORY_NAME
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.storage.tags import REPOSITORY_LABEL_TAG
from filelock import FileLock
from sqlalchemy.exc import DBAPIError

from audit_assets.config import Audit
from audit_assets.errors import InputError, Unwritable, writing
from audit_assets.warehouse.locks import check_locks
from audit_assets.warehouse.places import whole

OPENING, SETTINGS = "opening.lock", "dagster.yaml"
LOCATION = "audit_assets"
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
    home = audit.usable_home()
    try:
        with writing(home):
            home.mkdir(parents=True, exist_ok=True)
            check_locks(home)
            settings = home / SETTINGS
            # An earlier version left an empty file if the disk was full. Dagster would take it for settings without retries and limits.
            if not settings.exists() or not settings.stat().st_size:
                with whole(settings) as file:
                    file.write_text(DAGSTER_YAML, encoding="utf-8")
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


def location_name(audit: Audit) -> str:
    """The name of the code location, by which the UI says which audit it shows: the folder of the audit file, and the file's own name.

    A home that `AUDIT_DAGSTER_HOME` names may be that of a service, whose workspace has the package's name.
    """
    if os.environ.get("AUDIT_DAGSTER_HOME"):
        return LOCATION
    stem = audit.file.stem
    named = audit.base.name if stem == "audit" else f"{audit.base.name}-{stem}"
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", anyascii(named)).strip("-.") or LOCATION


def write_workspace(audit: Audit, home: Path) -> Path:
    """The file of Dagster's workspace in the home: the package's definitions under the name of the audit."""
    (entry,) = yaml.safe_load(WORKSPACE.read_text(encoding="utf-8"))["load_from"]
    module = entry["python_module"]
    module |= {
        "location_name": location_name(audit),
        "working_directory": str((WORKSPACE.parent / module["working_directory"]).resolve()),
    }
    with whole(home / WORKSPACE.name) as file:
        file.write_text(yaml.safe_dump({"load_from": [entry]}), encoding="utf-8")
    return home / WORKSPACE.name


def of_location(instance: dg.DagsterInstance, location: str) -> dg.DagsterInstance:
    """The instance, which records for each run that a process makes by itself the code location that it belongs to.

    Dagster does so for runs that it launches. The UI shows a run without a location in no timeline, and no sensor on failed
    runs sees it.
    """
    repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(location), SINGLETON_REPOSITORY_NAME)
    create = instance.create_run_for_job

    def created(job_def: dg.JobDefinition, *arguments: Any, **named: Any) -> dg.DagsterRun:
        named["remote_job_origin"] = RemoteJobOrigin(repository, job_def.name)
        named["tags"] = {**(named.get("tags") or {}), REPOSITORY_LABEL_TAG: repository.get_label()}
        return create(job_def, *arguments, **named)

    instance.create_run_for_job = created  # type: ignore[method-assign]
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
