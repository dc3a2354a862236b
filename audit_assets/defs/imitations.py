"""What the model draws when it is asked for an artist by name. Section 2.1 of the paper; one cell a subject and model version."""

import dagster as dg
import pandas as pd

from audit_assets.config import digest
from audit_assets.defs.metadata import finished
from audit_assets.defs.partitions import grid
from audit_assets.defs.registry import model_versions
from audit_assets.defs.resources import GPU_TAGS, AuditResource
from audit_assets.defs.roster import subjects
from audit_assets.generation.imitate import check_imitations

CELLS_A_RUN = 1000


def cells(context: dg.AssetExecutionContext) -> dict[str, list[str]]:
    """The run's partitions: model version -> subjects, in the order of the partitions."""
    found: dict[str, list[str]] = {}
    for key in context.partition_keys:
        dimensions = dg.MultiPartitionKey(
            dict(zip(("model_version", "subject"), key.split("|", 1), strict=True))
        ).keys_by_dimension
        found.setdefault(dimensions["model_version"], []).append(dimensions["subject"])
    return found


@dg.asset(
    group_name="imitation",
    owners=["team:audit"],
    code_version="1",
    kinds={"pytorch", "parquet"},
    partitions_def=grid,
    deps=[subjects, model_versions],
    pool="gpu",
    op_tags=GPU_TAGS,
    backfill_policy=dg.BackfillPolicy.multi_run(max_partitions_per_run=CELLS_A_RUN),
    check_specs=[
        dg.AssetCheckSpec(
            "every_image_is_there_with_its_seed",
            asset="imitations",
            blocking=True,
            description="As many images as the protocol asks, each from its own seed.",
        ),
        dg.AssetCheckSpec(
            "no_image_is_blank",
            asset="imitations",
            description="Black and empty images are kept and count as wrong; a safety checker makes them.",
        ),
    ],
)
def imitations(context: dg.AssetExecutionContext, audit: AuditResource) -> dg.MaterializeResult:
    """Images of each subject's name, one manifest row an image. What is there already and made from the same inputs is kept."""
    tables: list[pd.DataFrame] = []
    problems: list[str] = []
    made = 0
    for model, wanted in cells(context).items():
        for n, (subject, rows, new) in enumerate(audit.steps.make_imitations(model, wanted), 1):
            problems += check_imitations(rows, audit.protocol, subject)
            tables.append(rows)
            if new:
                made += len(rows)
                context.log_event(
                    dg.AssetMaterialization(
                        context.asset_key, partition=f"{model}|{subject}", metadata={"images": len(rows)}
                    )
                )
                context.log.info(f"{model}: {subject} ({n} of {len(wanted)})")
    table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame({"image_sha256": [], "status": []})
    blank = int((table["status"] == "blank").sum())
    checks = [
        dg.AssetCheckResult(
            passed=not problems,
            check_name="every_image_is_there_with_its_seed",
            metadata={"images": len(table), "problems": problems[:20]},
        ),
        dg.AssetCheckResult(
            passed=blank == 0,
            check_name="no_image_is_blank",
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"blank": blank},
        ),
    ]
    return finished(table, digest(table["image_sha256"].tolist()), checks=checks, images_made_now=made)
