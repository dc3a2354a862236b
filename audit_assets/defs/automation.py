"""Automatic re-audits: for a new, changed or retired model version in audit.yaml, and of everything once per week.

Sensor and schedule are thin: a function computes the changes, and the assets' own conditions start the rest.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg

from audit_assets.config import Audit
from audit_assets.defs.arms import arm_results
from audit_assets.defs.embeddings import image_texts, imitation_embeddings, reference_embeddings
from audit_assets.defs.identification import identification, image_copies
from audit_assets.defs.imitations import imitations
from audit_assets.defs.matching import matching
from audit_assets.defs.models import encoders, model_versions
from audit_assets.defs.partitions import model_version
from audit_assets.defs.references import reference_works
from audit_assets.defs.replay import replayed_imitations
from audit_assets.defs.resources import AuditResource
from audit_assets.defs.verdicts import ratings, sensitivity, verdicts
from audit_assets.errors import InputError
from audit_assets.generation.stage import ImitationStage
from audit_assets.hashing import digest

NOT_AUDITED = ""
COUNT = "changes"
"""The key of the cursor that has the number of changes so far."""


@dataclass(frozen=True)
class Changes:
    """Model versions that changed since the sensor's last tick, in the order of audit.yaml, and whether an encoder changed."""

    new: tuple[str, ...]
    changed: tuple[str, ...]
    retired: tuple[str, ...]
    encoders: bool

    def __bool__(self) -> bool:
        return bool(self.new or self.changed or self.retired or self.encoders)


def registry_state(audit: Audit) -> dict[str, str]:
    """Model version -> the hash of its entry, or '' if it must not be audited; 'encoders' -> the hash of all encoder entries."""
    models = {m.name: digest(m.model_dump()) if m.approved and not m.retired else NOT_AUDITED for m in audit.models}
    return {f"model {name}": state for name, state in models.items()} | {
        "encoders": digest([audit.primary, audit.copies, [e.model_dump() for e in audit.encoders]])
    }


def registry_changes(before: Mapping[str, str], now: Mapping[str, str]) -> Changes:
    """What differs between `before` and `now`. A deleted entry counts as retired."""
    names = [key.removeprefix("model ") for key in now if key.startswith("model ")]
    gone = [key.removeprefix("model ") for key in before if key.startswith("model ") and key not in now]

    def was(name: str) -> str:
        return before.get(f"model {name}", NOT_AUDITED)

    def is_now(name: str) -> str:
        return now.get(f"model {name}", NOT_AUDITED)

    return Changes(
        new=tuple(n for n in names if is_now(n) and not was(n)),
        changed=tuple(n for n in names if is_now(n) and was(n) and is_now(n) != was(n)),
        retired=tuple(n for n in [*names, *gone] if was(n) and not is_now(n)),
        encoders=before.get("encoders") not in (None, now["encoders"]),
    )


@dg.sensor(
    target=dg.AssetSelection.assets(model_versions, encoders, imitations),
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def new_model_versions(context: dg.SensorEvaluationContext, audit: AuditResource) -> dg.SensorResult | dg.SkipReason:
    """New, changed and retired entries of audit.yaml. If the file cannot be read, the sensor changes nothing; it never takes the file for an empty one."""
    try:
        now = registry_state(audit.audit)
    except InputError as error:
        return dg.SkipReason(f"the audit file cannot be read, so no re-audit starts: {error}")
    before: dict[str, Any] = json.loads(context.cursor or "{}")
    # Dagster runs each key once. A file that is as it was two changes ago has the same hashes again, so the keys count the changes. A cursor
    # of an earlier version has no count. A tick that ended before it moved the cursor counts the same change again.
    count = int(before.pop(COUNT, 0)) + 1
    changes = registry_changes(before, now)
    if not changes:
        return dg.SkipReason("audit.yaml has the same models and encoders as before")
    stage, asked = ImitationStage(audit.workspace), [*changes.new, *changes.changed]
    cost = stage.cost(changes.new, changes.changed, pace(context.instance))
    context.log.info("; ".join([str(changes), cost, *stage.bills(asked)]))
    requests = [
        dg.RunRequest(run_key=f"registry {count} {digest(now)}", asset_selection=[model_versions.key, encoders.key])
    ]
    subjects = context.instance.get_dynamic_partitions("subject")
    assert model_version.name is not None
    known = context.instance.get_dynamic_partitions(model_version.name)
    # At the first tick of all, every version is new to the sensor, and none came back.
    back = [name for name in changes.new if name in known] if before else []
    requests += [
        # The partitions exist already, so `missing_cells` does not find them: request them here. A version that was approved again or
        # stands in the file again may have other settings than before. Finished cells are recognised by their hash.
        dg.RunRequest(
            run_key=f"{name} {count} {now[f'model {name}']}",
            asset_selection=[imitations.key],
            tags={
                "dagster/asset_partition_range_start": f"{name}|{subjects[0]}",
                "dagster/asset_partition_range_end": f"{name}|{subjects[-1]}",
            },
        )
        for name in (*back, *changes.changed)
        if subjects
    ]
    return dg.SensorResult(run_requests=requests, cursor=json.dumps({**now, COUNT: count}))


def pace(instance: dg.DagsterInstance) -> float | None:
    """Seconds per image, embeddings included, of the last finished run that made images; None if no such run exists."""
    for record in instance.fetch_materializations(imitations.key, limit=50).records:
        told = record.asset_materialization
        made = told.metadata.get("images_made_now") if told else None
        run = instance.get_run_record_by_id(record.run_id)
        if made and int(str(made.value)) and run and run.start_time and run.end_time:
            return float((run.end_time - run.start_time) / int(str(made.value)))
    return None


CELLS = dg.AssetSelection.assets(imitations, imitation_embeddings, reference_works, reference_embeddings)

cell_automation = dg.AutomationConditionSensorDefinition(
    "cell_automation",
    target=CELLS,
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="This sensor makes missing images and embeddings in one backfill, which loads a model once for many subjects.",
)

# Results run one by one, not in a backfill. If some model versions need results and others do not, Dagster makes one backfill and then
# cannot find the first assets of it.
result_automation = dg.AutomationConditionSensorDefinition(
    "result_automation",
    target=dg.AssetSelection.all() - CELLS,
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
    emit_backfills=False,
    description="If images or embeddings changed, this sensor makes the measurements, comparisons and reports that follow from them.",
)


reaudit_job = dg.define_asset_job(
    "reaudit_job",
    selection=dg.AssetSelection.assets(imitations, imitation_embeddings),
    description="This job audits every model version under the current protocol; launch it over all partitions. It keeps everything that was made from the same inputs. The sensors then make the results.",
)


MEASURED_WEEKLY = (
    replayed_imitations,
    image_texts,
    image_copies,
    identification,
    matching,
    verdicts,
    sensitivity,
    arm_results,
    ratings,
)
"""What the weekly re-audit makes again per model version."""


@dg.schedule(
    cron_schedule="0 3 * * 1",
    target=dg.AssetSelection.assets(model_versions, encoders, *MEASURED_WEEKLY),
    default_status=dg.DefaultScheduleStatus.STOPPED,
)
def weekly_reaudit(context: dg.ScheduleEvaluationContext, audit: AuditResource) -> list[dg.RunRequest]:
    """This schedule resolves revisions and hashes files again, draws the images of one subject in a hundred again, and measures every audited model version again.

    A version that is retired, not approved or no longer in audit.yaml is not requested. If the file cannot be read, the tick fails.
    """
    week = context.scheduled_execution_time.date().isoformat()
    measured = [asset.key for asset in MEASURED_WEEKLY]
    assert model_version.name is not None
    known = context.instance.get_dynamic_partitions(model_version.name)
    models = [m for m in known if not audit.audit.asleep(m)]
    return [
        dg.RunRequest(run_key=f"registry {week}", asset_selection=[model_versions.key, encoders.key]),
        *(dg.RunRequest(run_key=f"{m} {week}", partition_key=m, asset_selection=measured) for m in models),
    ]
