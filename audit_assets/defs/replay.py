"""Is the model still the model? Some images are drawn again and compared, byte for byte."""

import dagster as dg

from audit_assets.defs.imitations import imitations
from audit_assets.defs.metadata import finished
from audit_assets.defs.partitions import model_of_grid, model_version
from audit_assets.defs.resources import GPU_TAGS, AuditResource
from audit_assets.generation.stage import ImitationStage
from audit_assets.generation.tables import redrawn_otherwise
from audit_assets.hashing import digest


@dg.asset(
    group_name="imitation",
    owners=["team:audit"],
    code_version="1",
    kinds={"pytorch", "parquet"},
    partitions_def=model_version,
    deps=[dg.AssetDep(imitations, partition_mapping=model_of_grid)],
    pool="gpu",
    op_tags=GPU_TAGS,
    check_specs=[
        dg.AssetCheckSpec(
            "replayed_images_are_the_same",
            asset="replayed_imitations",
            description="Drawn again from the same prompt and seed, the image has the same bytes. Another device, dtype or library may differ.",
        )
    ],
)
def replayed_imitations(context: dg.AssetExecutionContext, audit: AuditResource) -> dg.MaterializeResult:
    """One subject in a hundred, at least one, drawn again with all its images beside those that are kept. A folder of images is hashed again."""
    table = ImitationStage(audit.workspace).replay(context.partition_key)
    different = redrawn_otherwise(table)
    check = dg.AssetCheckResult(
        passed=different.empty,
        check_name="replayed_images_are_the_same",
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "images": len(table),
            "different": [f"{r.subject}, template {r.template}, trial {r.trial}" for r in different.itertuples()][:50],
        },
    )
    return finished(table, digest(table.to_json()), checks=[check])
