"""Re-audits that run themselves: a new, changed or retired model version in audit.yaml, and once a week everything.

Sensor and schedule are thin: what changed is computed by a function, and the assets' own conditions do the rest.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import dagster as dg

from audit_assets.config import Audit
from audit_assets.defs.embeddings import imitation_embeddings, reference_embeddings
from audit_assets.defs.identification import identification
from audit_assets.defs.imitations import imitations
from audit_assets.defs.matching import matching
from audit_assets.defs.models import encoders, model_versions
from audit_assets.defs.partitions import model_version
from audit_assets.defs.references import reference_works
from audit_assets.defs.replay import replayed_imitations
from audit_assets.defs.resources import AuditResource
from audit_assets.defs.verdicts import sensitivity, verdicts
from audit_assets.errors import InputError
from audit_assets.generation.stage import ImitationStage
from audit_assets.hashing import digest

NOT_AUDITED = ""


@dataclass(frozen=True)
class Changes:
    """Model versions that differ from what the sensor saw last, in the order of audit.yaml; whether an encoder does."""

    new: tuple[str, ...]
    changed: tuple[str, ...]
    retired: tuple[str, ...]
    encoders: bool

    def __bool__(self) -> bool:
        return bool(self.new or self.changed or self.retired or self.encoders)


def registry_state(audit: Audit) -> dict[str, str]:
    """Model version -> the hash of its entry, '' where it is not to be audited; under 'encoders' that of all encoders."""
    models = {m.name: digest(m.model_dump()) if m.approved and not m.retired else NOT_AUDITED for m in audit.models}
    return {f"model {name}": state for name, state in models.items()} | {
        "encoders": digest([e.model_dump() for e in audit.encoders])
    }


def registry_changes(before: Mapping[str, str], now: Mapping[str, str]) -> Changes:
    """What `now` has that `before` has not. An entry that is gone is as one that is no longer audited."""
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
    """New, changed and retired entries of audit.yaml. A file that cannot be read changes nothing, and is never an empty one."""
    try:
        now = registry_state(audit.audit)
    except InputError as error:
        return dg.SkipReason(f"nothing changed, since the audit file cannot be read: {error}")
    before: dict[str, str] = json.loads(context.cursor or "{}")
    changes = registry_changes(before, now)
    if not changes:
        return dg.SkipReason("audit.yaml names the models and encoders that it named before")
    context.log.info(
        f"{changes}; {ImitationStage(audit.workspace).cost([*changes.new, *changes.changed], pace(context.instance))}"
    )
    requests = [dg.RunRequest(run_key=f"registry {digest(now)}", asset_selection=[model_versions.key, encoders.key])]
    subjects = context.instance.get_dynamic_partitions("subject")
    requests += [
        # The partitions are there already, so nothing is missing: ask for them.
        dg.RunRequest(
            run_key=f"{name} {now[f'model {name}']}",
            asset_selection=[imitations.key],
            tags={
                "dagster/asset_partition_range_start": f"{name}|{subjects[0]}",
                "dagster/asset_partition_range_end": f"{name}|{subjects[-1]}",
            },
        )
        for name in changes.changed
        if subjects
    ]
    return dg.SensorResult(run_requests=requests, cursor=json.dumps(now))


def pace(instance: dg.DagsterInstance) -> float | None:
    """Seconds an image, of the last run that made images and ended, embeddings included; None where none did."""
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
    description="Makes images and embeddings that are missing: one backfill, which loads a model once for many subjects.",
)

# In runs of their own: of results that some model versions need and others do not, Dagster makes one backfill, whose first
# assets it then cannot find.
result_automation = dg.AutomationConditionSensorDefinition(
    "result_automation",
    target=dg.AssetSelection.all() - CELLS,
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
    emit_backfills=False,
    description="Measures, compares and reports whatever the images and embeddings that are there have changed.",
)


reaudit_job = dg.define_asset_job(
    "reaudit_job",
    selection=dg.AssetSelection.assets(imitations, imitation_embeddings),
    description="Every model version under the protocol as it is now: launch it over all partitions. What was made from the same is kept, and results follow by themselves.",
)


@dg.schedule(
    cron_schedule="0 3 * * 1",
    target=dg.AssetSelection.assets(
        model_versions, encoders, replayed_imitations, identification, matching, verdicts, sensitivity
    ),
    default_status=dg.DefaultScheduleStatus.STOPPED,
)
def weekly_reaudit(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest]:
    """Resolves revisions and hashes files again, draws one image in a hundred again, and measures every model version anew."""
    week = context.scheduled_execution_time.date().isoformat()
    measured = [a.key for a in (replayed_imitations, identification, matching, verdicts, sensitivity)]
    assert model_version.name is not None
    models = context.instance.get_dynamic_partitions(model_version.name)
    return [
        dg.RunRequest(run_key=f"registry {week}", asset_selection=[model_versions.key, encoders.key]),
        *(dg.RunRequest(run_key=f"{m} {week}", partition_key=m, asset_selection=measured) for m in models),
    ]
