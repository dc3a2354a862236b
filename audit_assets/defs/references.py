"""Real works of artists, from the operator's own files. Section 2.2 of the paper uses one work per artist; the exact and corrected tests use all."""

import dagster as dg
import pandas as pd

from audit_assets import references
from audit_assets.defs.checks import checked, claim
from audit_assets.defs.conditions import MISSING
from audit_assets.defs.metadata import as_markdown, describe, finished, pictures
from audit_assets.defs.partitions import referenced_subject
from audit_assets.defs.resources import AuditResource
from audit_assets.defs.roster import subjects
from audit_assets.hashing import digest
from audit_assets.references.stage import ReferenceStage
from audit_assets.warehouse.left_out import FOLDER


@dg.asset(
    automation_condition=MISSING,
    group_name="reference",
    owners=["team:audit"],
    code_version=str(references.VERSION),
    kinds={"parquet"},
    partitions_def=referenced_subject,
    deps=[subjects],
    backfill_policy=dg.BackfillPolicy.single_run(),
    check_specs=[
        claim(
            "every_work_could_be_read",
            "reference_works",
            "Every file of a real work can be read. A file that cannot be read is left out; the artist's other works and the other artists remain.",
            blocking=False,
        )
    ],
)
def reference_works(context: dg.AssetExecutionContext, audit: AuditResource) -> dg.MaterializeResult:
    """Real works with their sha256, source and licence, one row per work."""
    ws = audit.workspace
    works = dict(ReferenceStage(ws).make(context.partition_keys))
    table = pd.concat(works.values(), ignore_index=True)
    describe(
        context,
        {
            subject: {
                "dagster/row_count": len(rows),
                "first_rows": dg.MetadataValue.md(as_markdown(rows)),
                **pictures(ws, rows["image_sha256"].dropna().tolist()),
            }
            for subject, rows in works.items()
        },
    )
    left = ws.left_out()
    problems = [p.reason for s in context.partition_keys for p in left.get(f"{FOLDER}/reference_works/{s}", ())]
    check = checked("every_work_could_be_read", problems, warn=True)
    return finished(
        table, digest(table["image_sha256"].tolist()), published="reference_works", checks=[check], artists=len(works)
    )
