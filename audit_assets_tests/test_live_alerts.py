"""The daemon that `audit-assets dev` starts tells a chat of a run and of a check that failed."""

import json
import os
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster import DagsterInstance

from audit_assets.config import load_audit
from audit_assets.runs.home import location_name
from audit_assets_tests.browser import serving
from audit_assets_tests.defs.test_alerts import CHECK, evaluate
from audit_assets_tests.receivers import chat
from audit_assets_tests.test_live_reaudit import wait_for
from audit_assets_tests.test_service import LAUNCH


def launched(address: str, location: str, asset: str) -> str:
    """A person materializes an asset in the UI: the type of Dagster's answer."""
    selector = {
        "repositoryLocationName": location,
        "repositoryName": "__repository__",
        "jobName": "__ASSET_JOB",
        "assetSelection": [{"path": [asset]}],
    }
    body = json.dumps({"query": LAUNCH, "variables": {"selector": selector}}).encode()
    request = urllib.request.Request(f"{address}/graphql", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        found: dict[str, Any] = json.load(answer)
    return str(found["data"]["launchRun"]["__typename"])


def ticked(instance: DagsterInstance, sensor: str) -> bool:
    """Whether the daemon has finished a tick of the sensor, which then remembers what it saw."""
    states = [s for s in instance.all_instigator_state() if s.instigator_name == sensor]
    return any(
        tick.status.value in ("SUCCESS", "SKIPPED")
        for s in states
        for tick in instance.get_ticks(s.instigator_origin_id, s.selector_id)
    )


@pytest.mark.long(minutes=3)
def test_a_run_and_a_check_that_fail_are_told_by_the_daemon_once(copied: Path, tmp_path: Path) -> None:
    audit = load_audit(copied)
    content = yaml.safe_load(copied.read_text(encoding="utf-8"))
    with (
        chat() as (hook, texts),
        serving(copied, tmp_path / "dev.log", environment={**os.environ, "AUDIT_ALERT_WEBHOOK": hook}) as (_, address),
        DagsterInstance.from_config(str(audit.dagster_home)) as instance,
    ):
        wait_for(lambda: ticked(instance, "alerts") and ticked(instance, "failed_run_alerts"))
        assert texts == []  # nothing of the finished audit is news
        evaluate(instance, passed=False)
        wait_for(lambda: any(f"check failed: {', '.join(CHECK)}: a rank is wrong" in text for text in texts))
        content["roster"]["artists"] = str(tmp_path / "missing.csv")
        copied.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
        assert launched(address, location_name(audit), "artist_roster") == "LaunchRunSuccess"
        wait_for(lambda: any("a run of artist_roster failed" in text for text in texts))
    (told,) = [text for text in texts if "a run of artist_roster failed" in text]
    assert "missing.csv" in told
    assert len([text for text in texts if "check failed" in text]) == 1
    assert hook not in (tmp_path / "dev.log").read_text(encoding="utf-8")
