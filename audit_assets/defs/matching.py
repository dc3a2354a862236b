"""Experiment 2 of the paper, section 2.2: do real works lie closer to imitations of their artist than to other imitations?"""

import dagster as dg

from audit_assets.config import digest
from audit_assets.defs.embeddings import imitation_embeddings, reference_embeddings
from audit_assets.defs.identification import GROUP
from audit_assets.defs.metadata import as_markdown, finished
from audit_assets.defs.partitions import everything, model_of_grid, model_version
from audit_assets.defs.resources import AuditResource


@dg.asset(
    **GROUP,
    partitions_def=model_version,
    deps=[
        dg.AssetDep(imitation_embeddings, partition_mapping=model_of_grid),
        dg.AssetDep(reference_embeddings, partition_mapping=everything),
    ],
    check_specs=[
        dg.AssetCheckSpec(
            "matching_follows_from_the_artists",
            asset="matching",
            blocking=True,
            description="The summary recomputed from the rows by artist; no p-value is 0 or above 1.",
        )
    ],
)
def matching(context: dg.AssetExecutionContext, audit: AuditResource) -> dg.MaterializeResult:
    """The paper's rank-sum test for every artist with a real work, Bonferroni-corrected, and the same with real works re-assigned."""
    tables = audit.steps.make_matching(context.partition_key)
    rows = tables["matching_by_subject"]
    wrong = audit.steps.recomputed(context.partition_key, "matching")
    sane = bool(rows["p_value"].dropna().between(0, 1, inclusive="right").all())
    check = dg.AssetCheckResult(
        passed=sane and not wrong, check_name="matching_follows_from_the_artists", metadata={"differences": wrong}
    )
    summary = tables["matching_summary"]
    return finished(
        rows, digest(rows.to_json()), checks=[check], summary=dg.MetadataValue.md(as_markdown(summary, len(summary)))
    )
