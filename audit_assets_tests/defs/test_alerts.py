"""Alerts on a run or a check that failed, a verdict that changed, and a schedule that did not run, taken on loopback."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    ScheduleInstigatorData,
    TickData,
    TickStatus,
)
from dagster._utils.error import SerializableErrorInfo

from audit_assets.definitions import defs
from audit_assets.defs.alerts import NO_ADDRESS, alerts, changed_verdicts, failed_run_alerts, late_schedule
from audit_assets.defs.resources import AuditResource
from audit_assets.runs.lost_runs import on_elsewhere
from audit_assets.warehouse.database import SCHEMA_VERSION, publish, schema_columns
from audit_assets_tests.receivers import chat

CHECK = ("identification", "identification_follows_from_the_images")


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as found:  # an ephemeral one keeps no schedules
        yield found


@pytest.fixture
def config(small_audit: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    config = small_audit(tmp_path / "audit")
    monkeypatch.setenv("AUDIT_CONFIG", str(config))
    return config


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    with chat() as (hook, sent):
        monkeypatch.setenv("AUDIT_ALERT_WEBHOOK", hook)
        yield sent


def tick(instance: dg.DagsterInstance, cursor: str | None) -> str | None:
    """One tick of the sensor; returns its cursor."""
    context = dg.build_sensor_context(
        instance=instance, cursor=cursor, repository_def=defs().get_repository_def(), resources={"audit": AuditResource()}
    )  # fmt: skip
    result = alerts(context)
    return result.cursor if isinstance(result, dg.SensorResult) else cursor


def evaluate(instance: dg.DagsterInstance, *, passed: bool, problem: str = "a rank is wrong") -> None:
    instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey(CHECK[0]), check_name=CHECK[1], passed=passed,
            severity=dg.AssetCheckSeverity.ERROR, metadata={"problems": dg.MetadataValue.json([problem])},
        )
    )  # fmt: skip


def test_a_check_that_fails_is_told_once_and_one_that_passes_is_not(
    instance: dg.DagsterInstance, config: Path, texts: list[str]
) -> None:
    evaluate(instance, passed=True)
    cursor = tick(instance, None)
    assert texts == []
    evaluate(instance, passed=False)
    cursor = tick(instance, cursor)
    cursor = tick(instance, cursor)
    assert len(texts) == 1
    assert f"check failed: {', '.join(CHECK)}: a rank is wrong" in texts[0]
    evaluate(instance, passed=True)
    tick(instance, cursor)
    assert len(texts) == 1


def test_without_an_address_the_sensors_skip(
    instance: dg.DagsterInstance, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WEBHOOK", "SMTP"):
        monkeypatch.delenv(f"AUDIT_ALERT_{name}", raising=False)
    result = alerts(dg.build_sensor_context(instance=instance, resources={"audit": AuditResource()}))
    assert isinstance(result, dg.SkipReason)
    assert result.skip_message == NO_ADDRESS


def test_a_message_that_was_not_taken_is_sent_again(
    instance: dg.DagsterInstance, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with chat(status=500) as (hook, _):
        monkeypatch.setenv("AUDIT_ALERT_WEBHOOK", hook)
        cursor = tick(instance, None)
        evaluate(instance, passed=False)
        with pytest.raises(Exception, match="answered with 500"):
            tick(instance, cursor)
    with chat() as (hook, texts):
        monkeypatch.setenv("AUDIT_ALERT_WEBHOOK", hook)
        tick(instance, cursor)
        assert len(texts) == 1


def published(config: Path, instance: dg.DagsterInstance, verdicts: dict[str, dict[str, str]]) -> None:
    """A database with these verdicts (model version -> artist -> verdict), and Dagster's record of its publication."""
    known, names = schema_columns({}), {name for own in verdicts.values() for name in own}

    def filled(table: str, rows: list[dict[str, object]]) -> pd.DataFrame:
        return pd.DataFrame(rows, columns=sorted(known[table])).astype(object)

    tables = {
        "published_from": pd.DataFrame({"inputs_sha256": ["x"], "schema_version": [SCHEMA_VERSION]}),
        "subjects": filled("subjects", [{"subject": n.lower(), "name": n, "kind": "artist", "retired": False} for n in sorted(names)]),
        "encoders": filled(
            "encoders", [{"encoder": e, "kind": "image_text", "dimension": 4, "is_primary": e == "a"} for e in ("a", "b")]
        ),
        "model_versions": filled(
            "model_versions", [{"model_version": m, "source": "diffusers", "approved": True, "retired": False} for m in verdicts]
        ),
        "verdicts": filled(
            "verdicts",
            [
                {"protocol": "p", "model_version": m, "encoder": e, "subject": name.lower(), "kind": "artist",
                 "verdict": verdict if e == "a" else "not auditable"}
                for m, own in verdicts.items() for name, verdict in own.items() for e in ("a", "b")
            ],
        ),
    }  # fmt: skip
    publish(config.parent / "warehouse" / "audit.duckdb", tables, {})
    instance.report_runless_asset_event(dg.AssetMaterialization("audit_database"))


@pytest.mark.long
def test_a_verdict_that_changes_is_told_by_name_and_an_equal_publication_is_not(
    instance: dg.DagsterInstance, config: Path, texts: list[str]
) -> None:
    first = {"one": {"Ada": "imitated", "Bo": "imitated"}}
    published(config, instance, first)
    cursor = tick(instance, None)
    published(config, instance, first)
    cursor = tick(instance, cursor)
    assert texts == []
    published(config, instance, {"one": {"Ada": "imitated", "Bo": "not auditable"}})
    cursor = tick(instance, cursor)
    assert "verdict: Bo by one: not auditable, and was imitated" in texts[0]
    assert "Ada" not in texts[0]
    published(
        config,
        instance,
        {
            "one": {"Ada": "imitated", "Bo": "not auditable"},
            "two": {"Ada": "not shown to be imitated", "Bo": "not auditable"},
        },
    )
    tick(instance, cursor)
    assert texts[1].splitlines()[1:] == ["verdict: Ada by two: not shown to be imitated, and was imitated by one"]


def test_a_new_artist_or_the_first_version_is_no_change() -> None:
    was = {"models": {"one": {"Ada": "imitated"}}}
    assert changed_verdicts(was, {"models": {"one": {"Ada": "imitated", "Bo": "imitated"}}}) == []
    assert changed_verdicts({}, {"models": {"one": {"Ada": "imitated"}}}) == []


NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def switched_on(instance: dg.DagsterInstance, on: datetime, status: InstigatorStatus) -> InstigatorState:
    repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("audit_assets"), "__repository__")
    data = ScheduleInstigatorData("0 3 * * 1", on.timestamp())
    state = InstigatorState(repository.get_instigator_origin("weekly_reaudit"), InstigatorType.SCHEDULE, status, data)
    return instance.add_instigator_state(state)


def ticked(instance: dg.DagsterInstance, state: InstigatorState, at: datetime, status: TickStatus) -> None:
    error = SerializableErrorInfo("the file cannot be read", [], "InputError") if status == TickStatus.FAILURE else None
    instance.create_tick(
        TickData(
            state.instigator_origin_id, "weekly_reaudit", InstigatorType.SCHEDULE, status, at.timestamp(),
            selector_id=state.selector_id, run_ids=[], error=error,
        )
    )  # fmt: skip


@pytest.mark.parametrize(
    ("status", "on", "last", "outcome", "said"),
    [
        (InstigatorStatus.RUNNING, 30, 3, TickStatus.SUCCESS, ""),
        (InstigatorStatus.RUNNING, 30, 9, TickStatus.SUCCESS, "has not run since 2026-11-16"),
        (InstigatorStatus.RUNNING, 30, None, None, "has not run since 2026-10-26"),
        (InstigatorStatus.RUNNING, 3, None, None, ""),
        (InstigatorStatus.RUNNING, 30, 1, TickStatus.FAILURE, "failed at its tick of 2026-11-24"),
        (InstigatorStatus.STOPPED, 30, 20, TickStatus.SUCCESS, ""),
    ],
)
def test_a_schedule_that_is_on_and_does_not_run_is_told(
    instance: dg.DagsterInstance,
    status: InstigatorStatus,
    on: int,
    last: int | None,
    outcome: TickStatus | None,
    said: str,
) -> None:
    state = switched_on(instance, NOW - timedelta(days=on), status)
    if last is not None and outcome is not None:
        ticked(instance, state, NOW - timedelta(days=last), outcome)
    found = late_schedule(instance, NOW)
    assert said in found
    assert bool(said) == bool(found)


def test_a_schedule_that_is_on_under_an_older_name_of_the_audit_is_told(instance: dg.DagsterInstance) -> None:
    switched_on(instance, NOW, InstigatorStatus.RUNNING)
    (line,) = on_elsewhere(instance, "ada")
    assert "weekly_reaudit was switched on while the audit was called audit_assets" in line
    assert on_elsewhere(instance, "audit_assets") == []


def test_a_late_schedule_is_told_at_the_first_tick_and_once(
    instance: dg.DagsterInstance, config: Path, texts: list[str]
) -> None:
    switched_on(instance, datetime.now(UTC) - timedelta(days=30), InstigatorStatus.RUNNING)
    cursor = tick(instance, None)
    tick(instance, cursor)
    assert len(texts) == 1
    assert "weekly_reaudit is on and has not run since" in texts[0]
    assert json.loads(cursor or "")["late"]


@dg.op
def broken() -> None:
    raise ValueError("the weights are gone")


@dg.job
def a_job() -> None:
    broken()


def test_a_run_that_failed_is_told_with_its_error(instance: dg.DagsterInstance, texts: list[str]) -> None:
    result = a_job.execute_in_process(instance=instance, raise_on_error=False, tags={"dagster/partition": "sd-1"})
    event = result.get_run_failure_event()
    context = dg.build_run_status_sensor_context(
        sensor_name="failed_run_alerts", dagster_event=event, dagster_instance=instance, dagster_run=result.dagster_run
    ).for_run_failure()
    failed_run_alerts(context)
    assert "a run of a_job failed" in texts[0]
    assert "partition: sd-1" in texts[0]
    assert "error: ValueError: the weights are gone" in texts[0]
    assert result.run_id in texts[0]
