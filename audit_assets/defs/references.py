"""Real works of artists, from the operator's own files. Section 2.2 of the paper uses one work per artist; the exact and corrected tests use all."""

import dagster as dg
import pandas as pd

from audit_assets import references
from audit_assets.defs.conditions import MISSING
from audit_assets.defs.metadata import finished
from audit_assets.defs.partitions import referenced_subject
from audit_assets.defs.resources import AuditResource
from audit_assets.defs.roster import subjects
from audit_assets.hashing import digest
from audit_assets.references.stage import ReferenceStage


@dg.asset(
    automation_condition=MISSING,
    group_name="reference",
    owners=["team:audit"],
    code_version=str(references.VERSION),
    kinds={"parquet"},
    partitions_def=referenced_subject,
    deps=[subjects],
    backfill_policy=dg.BackfillPolicy.single_run(),
)
def reference_works(context: dg.AssetExecutionContext, audit: AuditResource) -> dg.MaterializeResult:
    """Real works with their sha256, source and licence, one row per work."""
    tables = [rows for _, rows in ReferenceStage(audit.workspace).make(context.partition_keys)]
    table = pd.concat(tables, ignore_index=True)
    return finished(table, digest(table["image_sha256"].tolist()), artists=len(tables))
