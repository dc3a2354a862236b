"""Experiment 2 of the paper, section 2.2: do real works lie closer to imitations of their artist than to other imitations?"""

import dagster as dg

from audit_assets.defs.conditions import FOLLOWS
from audit_assets.defs.embeddings import imitation_embeddings, reference_embeddings
from audit_assets.defs.identification import GROUP
from audit_assets.defs.metadata import as_markdown, finished, plotted
from audit_assets.defs.partitions import everything, model_of_grid, model_version
from audit_assets.defs.resources import AuditResource
from audit_assets.hashing import digest


@dg.asset(
    automation_condition=FOLLOWS,
    **GROUP,
    partitions_def=model_version,
    deps=[
        dg.AssetDep(imitation_embeddings, partition_mapping=model_of_grid),
        dg.AssetDep(reference_embeddings, partition_mapping=everything),
    ],
    check_specs=[
        dg.AssetCheckSpec(
            "matching_follows_from_the_embeddings",
            asset="matching",
            blocking=True,
            description="Every row and the summary, computed again from the embeddings, are the same; no p-value is 0 or above 1.",
        )
    ],
)
def matching(context: dg.AssetExecutionContext, audit: AuditResource) -> dg.MaterializeResult:
    """Whether artists' real works belong to their own imitations: the paper's rank-sum test, and beside it tests that stay valid for images that depend on each other. The control of each test re-assigns the real works."""
    from audit_assets.results.matching import MATCHING
    from audit_assets.results.stage import ResultStage  # imports scipy and numba, so not at load

    results = ResultStage(audit.workspace)
    tables = results.make(MATCHING, context.partition_key)
    rows, summary = tables["matching_by_subject"], tables["matching_summary"]
    wrong = results.searched(MATCHING, context.partition_key)
    sane = bool(rows["p_value"].dropna().between(0, 1, inclusive="right").all())
    check = dg.AssetCheckResult(
        passed=sane and not wrong, check_name="matching_follows_from_the_embeddings", metadata={"findings": wrong}
    )
    artists = summary[
        (summary["kind"] == "artist")
        & (summary["adjustment"] == "benjamini_hochberg")
        & (summary["alternative"] == "closer")
    ]
    return finished(
        rows,
        digest(rows.to_json()),
        checks=[check],
        summary=dg.MetadataValue.md(as_markdown(summary, len(summary))),
        **plotted(artists[artists["control"] == "none"], "share", "test"),
    )
