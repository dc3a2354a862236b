"""One check over all partitions: it lists those whose last run failed, so that the operator need not open every grid."""

import dagster as dg
from dagster import AssetPartitionStatus

from audit_assets.defs.arms import arm_embeddings, arm_images, arm_results
from audit_assets.defs.embeddings import image_texts, imitation_embeddings, reference_embeddings
from audit_assets.defs.identification import identification, image_copies
from audit_assets.defs.imitations import imitations
from audit_assets.defs.matching import matching
from audit_assets.defs.publication import audit_database, audit_report
from audit_assets.defs.references import reference_works
from audit_assets.defs.roster import artist_mentions
from audit_assets.defs.verdicts import ratings, sensitivity, verdicts

PARTITIONED = (
    artist_mentions,
    imitations,
    imitation_embeddings,
    reference_works,
    reference_embeddings,
    image_texts,
    image_copies,
    identification,
    matching,
    verdicts,
    sensitivity,
    arm_images,
    arm_embeddings,
    arm_results,
    ratings,
    audit_report,
)


@dg.asset_check(
    asset=audit_database,
    automation_condition=dg.AutomationCondition.cron_tick_passed("0 5 * * *"),  # type: ignore[arg-type]  # Dagster types it for assets alone
    description="No partition's last run failed. The check runs with every publication and every morning, because a failed partition never leads to a publication.",
)
def no_partition_failed(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    failed = failed_partitions(context.instance)
    return dg.AssetCheckResult(
        passed=not failed,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "failed": sum(map(len, failed.values())),
            **{asset: sorted(keys)[:50] for asset, keys in failed.items()},
            "remedy": "Open the asset's partitions, read the error of the last run, and launch the failed partitions again. Finished work is kept.",
        },
    )


def failed_partitions(instance: dg.DagsterInstance) -> dict[str, list[str]]:
    """Asset -> partitions whose last run failed."""
    found: dict[str, list[str]] = {}
    for asset in PARTITIONED:
        definition = asset.partitions_def
        assert definition is not None
        keys = definition.get_partition_keys(dynamic_partitions_store=instance)
        status = instance.get_status_by_partition(asset.key, keys, definition) if keys else None
        failed = [key for key, state in (status or {}).items() if state == AssetPartitionStatus.FAILED]
        if failed:
            found[asset.key.to_user_string()] = failed
    return found
