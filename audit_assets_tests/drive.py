"""Run an audit in the test's process and say which steps ran."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from audit_assets.runs.driver import Driver, run_audit
from audit_assets.runs.steps import Step
from audit_assets.workspace import Workspace


def driven(config: Path) -> Driver:
    @contextmanager
    def quietly(step: Step) -> Iterator[None]:
        yield

    return run_audit(config, quietly)


def drive(config: Path) -> Workspace:
    return driven(config).ws
