"""Approving a model version is all that anybody does; the re-audit, its comparison and its report follow."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from dagster import AssetKey, DagsterInstance

from audit_assets.config import load_audit
from audit_assets.publication.queries import database as read
from audit_assets_tests.browser import served

PATIENCE = 900
"""Seconds, on a busy machine."""


def wait_for(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < deadline, "nothing came of it"
        time.sleep(2)


def compared(database: Path) -> list[tuple[str, str]]:
    with read.opened(database) as connection:
        return connection.execute("SELECT DISTINCT model_version, later_version FROM model_comparison").fetchall()


@pytest.mark.long(minutes=5)
def test_approving_a_version_leads_to_its_report_without_a_click(copied: Path, tmp_path: Path) -> None:
    audit = load_audit(copied)
    warehouse = audit.local(audit.warehouse)
    database = warehouse / "audit.duckdb"
    whole = copied.read_text(encoding="utf-8")
    with served(copied, tmp_path / "dev.log"):
        copied.write_text(whole.replace("approved: false", "approved: true"), encoding="utf-8")
        wait_for(lambda: (warehouse / "reports" / "miniature-2" / "report.html").exists())
        wait_for(lambda: compared(database) == [("miniature-1", "miniature-2")])
        with DagsterInstance.from_config(str(audit.dagster_home)) as instance:
            runs = instance.get_runs()
            backfills = [b for b in instance.get_backfills() if AssetKey("imitations") in (b.asset_selection or [])]
        assert not [run.asset_selection for run in runs if run.status.value == "FAILURE"]
        assert len(backfills) == 1
        copied.write_text(whole[:200] + "\n: [", encoding="utf-8")
        time.sleep(40)

    assert compared(database) == [("miniature-1", "miniature-2")]
    with read.opened(database) as connection:
        images = connection.execute("SELECT model_version, count(*) FROM imitations GROUP BY ALL").fetchall()
    assert len({count for _, count in images}) == 1
