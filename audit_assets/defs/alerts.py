"""Alerts: a run or a check that failed, a verdict that changed, and a schedule that is on and does not run.

The messages go where the environment says (`defs/notify.py`). Without an address, both sensors skip. A sensor runs in Dagster's
daemon, so nothing here notices that the daemon itself has ended.
"""

import json
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import dagster as dg
from dagster import DagsterInstance
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import InstigatorStatus, TickStatus

from audit_assets.defs.automation import weekly_reaudit
from audit_assets.defs.conditions import LATE
from audit_assets.defs.notify import Addresses, addresses, send
from audit_assets.defs.publication import audit_database
from audit_assets.defs.resources import AuditResource
from audit_assets.errors import InputError

NO_ADDRESS = "no AUDIT_ALERT_ variable names an address, so no alert is sent"
ATTEMPTS = 2


def _to() -> Addresses | str:
    """Where alerts go, or why the sensor skips."""
    try:
        return addresses() or NO_ADDRESS
    except InputError as error:
        return f"no alert can be sent: {error}"


@dg.run_failure_sensor(
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="This sensor sends one message per failed run, of the UI and of the command line.",
)
def failed_run_alerts(context: dg.RunFailureSensorContext) -> dg.SkipReason | None:
    to = _to()
    if isinstance(to, str):
        return dg.SkipReason(to)
    run = context.dagster_run
    assets = sorted(key.to_user_string() for key in run.asset_selection or ()) or [run.job_name]
    part = run.tags.get("dagster/partition") or run.tags.get("dagster/asset_partition_range_start", "").split("|")[0]
    lines = [
        f"assets: {', '.join(assets)}",
        *([f"partition: {part}"] if part else []),
        f"error: {_why(context)}",
        f"run {run.run_id}; finished work is kept, and the next run continues from there",
    ]
    for attempt in range(ATTEMPTS):  # Dagster calls this once per run, whether or not the message was taken
        try:
            send(f"audit_assets: a run of {assets[0]} failed", lines, to)
            break
        except InputError:
            if attempt + 1 == ATTEMPTS:
                raise
            time.sleep(2)
    return None


def _why(context: dg.RunFailureSensorContext) -> str:
    """The error of the first step that failed, as the program raised it; else what Dagster says of the run."""
    for event in context.get_step_failure_events():
        error = getattr(event.event_specific_data, "error", None)
        if error is not None:
            return str((error.cause or error).message).strip()
    return context.failure_event.message or "no message"


@dg.sensor(
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="This sensor sends a message if a check failed, a published verdict changed, or the weekly schedule is on and did not run.",
)
def alerts(context: dg.SensorEvaluationContext, audit: AuditResource) -> dg.SensorResult | dg.SkipReason:
    """The first tick only remembers checks and verdicts. If a message is not taken, the tick fails, and the next tick sends it again."""
    to = _to()
    if isinstance(to, str):
        return dg.SkipReason(to)
    before: dict[str, Any] | None = json.loads(context.cursor) if context.cursor else None
    assert context.repository_def is not None
    checks = context.repository_def.asset_graph.asset_check_keys
    now = {
        "checks": failed_checks(context.instance, checks),
        "verdicts": published_verdicts(context.instance, audit, (before or {}).get("verdicts")),
        "late": late_schedule(context.instance, datetime.now(UTC)),
    }
    if lines := new_lines({**now, "late": ""} if before is None else before, now):
        send(
            f"audit_assets: {len(lines)} {'change' if len(lines) == 1 else 'changes'} in {audit.audit.base.name}",
            lines,
            to,
        )
    if before == now:
        return dg.SkipReason("no check failed, no verdict changed, and the schedule is on time since the last tick")
    return dg.SensorResult(cursor=json.dumps(now, sort_keys=True))


def new_lines(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """One line per thing that is new since the last tick."""
    checks = [
        f"check failed: {name}{': ' + found['problem'] if found['problem'] else ''}"
        for name, found in now["checks"].items()
        if found["record"] != before.get("checks", {}).get(name, {}).get("record")
    ]
    late = [f"schedule: {now['late']}"] if now["late"] and now["late"] != before.get("late") else []
    return [*checks, *changed_verdicts(before.get("verdicts") or {}, now["verdicts"]), *late]


def failed_checks(instance: DagsterInstance, checks: Iterable[dg.AssetCheckKey]) -> dict[str, dict[str, str]]:
    """Check -> record and first problem of its last evaluation, of each check that failed as an error."""
    found = {}
    for key in sorted(checks):
        record = instance.get_latest_asset_check_evaluation_record(key)
        evaluation = record.evaluation if record else None
        if evaluation and not evaluation.passed and evaluation.severity == dg.AssetCheckSeverity.ERROR:
            problems = evaluation.metadata.get("problems")
            first = problems.value[0] if problems and isinstance(problems.value, list) and problems.value else ""
            name = f"{key.asset_key.to_user_string()}, {key.name}"
            found[name] = {"record": str(record.id) if record else "", "problem": str(first)}
    return found


def published_verdicts(
    instance: DagsterInstance, audit: AuditResource, before: Mapping[str, Any] | None
) -> dict[str, Any]:
    """`made`: when the last publication was; `models`: version -> name of the artist -> verdict by the primary encoder. Read once per publication."""
    record = instance.get_latest_materialization_event(audit_database.key)
    made = str(record.timestamp) if record else ""
    if before is not None and before.get("made") == made:
        return dict(before)
    if not made:
        return {"made": "", "models": {}}
    from audit_assets.warehouse.contract import reading

    with reading(audit.workspace.database) as connection:
        rows = connection.execute(
            "SELECT v.model_version, s.name, v.verdict FROM verdicts v JOIN subjects s USING (subject) JOIN encoders e USING (encoder) "
            "JOIN model_versions m USING (model_version) WHERE v.kind = 'artist' AND e.is_primary ORDER BY m.rowid, s.name"
        ).fetchall()
    models: dict[str, dict[str, str]] = {}
    for model, name, verdict in rows:
        models.setdefault(str(model), {})[str(name)] = str(verdict)
    return {"made": made, "models": models}


def changed_verdicts(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """One line per artist whose verdict on a model version is another than in the last publication.

    A version that is new is compared with the version before it in audit.yaml.
    """
    lines, previous = [], ""
    was = before.get("models", {})
    for model, verdicts in now["models"].items():
        other = model if model in was else previous
        earlier = was.get(model) or (now["models"].get(previous, {}) if previous else {})
        lines += [
            f"verdict: {name} by {model}: {verdict}, and was {earlier[name]}{'' if other == model else f' by {other}'}"
            for name, verdict in verdicts.items()
            if name in earlier and earlier[name] != verdict
        ]
        previous = model
    return lines


def late_schedule(instance: DagsterInstance, now: datetime) -> str:
    """What is wrong with the weekly schedule, if it is switched on; empty if nothing is."""
    for state in instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE):
        if state.instigator_name != weekly_reaudit.name or state.status != InstigatorStatus.RUNNING:
            continue
        ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)
        if ticks and ticks[0].status == TickStatus.FAILURE:
            return f"{weekly_reaudit.name} failed at its tick of {_day(ticks[0].timestamp)}; the UI shows why"
        started = getattr(state.instigator_data, "start_timestamp", None)
        last = ticks[0].timestamp if ticks else started
        if last is not None and now.timestamp() - last > LATE.total_seconds():
            return f"{weekly_reaudit.name} is on and has not run since {_day(last)}; check that Dagster's daemon runs"
    return ""


def _day(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, UTC).date().isoformat()
