"""Some images are drawn again and compared byte for byte, to show whether the model still draws the same images."""

import dagster as dg

from audit_assets import generation
from audit_assets.defs.imitations import imitations
from audit_assets.defs.metadata import finished
from audit_assets.defs.partitions import model_of_grid, model_version
from audit_assets.defs.resources import GPU, AuditResource
from audit_assets.generation.stage import ImitationStage
from audit_assets.generation.tables import redrawn_otherwise
from audit_assets.hashing import digest


@dg.asset(
    group_name="imitation",
    owners=["team:audit"],
    code_version=str(generation.VERSION),
    kinds={"pytorch", "parquet"},
    partitions_def=model_version,
    deps=[dg.AssetDep(imitations, partition_mapping=model_of_grid)],
    **GPU,
    check_specs=[
        dg.AssetCheckSpec(
            "replayed_images_are_the_same",
            asset="replayed_imitations",
            description="Each image drawn again from the same prompt and seed has the same bytes. Another device, dtype or library can change the bytes.",
        )
    ],
)
def replayed_imitations(context: dg.AssetExecutionContext, audit: AuditResource) -> dg.MaterializeResult:
    """All images of one subject in a hundred (at least one subject), drawn again and compared with the stored images. For a folder of images, the files are hashed again."""
    table, why = (
        ImitationStage(audit.workspace).replay(context.partition_key),
        audit.audit.asleep(context.partition_key),
    )
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
    return finished(table, digest(table.to_json()), checks=[check], **({"not_drawn": why} if why else {}))
