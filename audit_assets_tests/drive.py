"""Run an audit in the test's process and say which steps ran."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from audit_assets.audit_steps import AuditSteps
from audit_assets.runs.driver import Step, run_audit


def drive(config: Path) -> AuditSteps:
    @contextmanager
    def quietly(step: Step) -> Iterator[None]:
        yield

    return run_audit(config, quietly).steps
