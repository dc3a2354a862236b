"""Experiment 2 of the paper, section 2.2: do real works lie closer to imitations of their artist than to other imitations?"""

import dagster as dg

from audit_assets.defs.checks import claim, made_and_searched
from audit_assets.defs.embeddings import imitation_embeddings, reference_embeddings
from audit_assets.defs.identification import OF_A_VERSION, image_copies
from audit_assets.defs.metadata import as_markdown, finished, plotted
from audit_assets.defs.partitions import everything, model_of_grid
from audit_assets.defs.resources import AuditResource
from audit_assets.hashing import digest

FOLLOWS_FROM_EMBEDDINGS = claim(
    "matching_follows_from_the_embeddings",
    "matching",
    "Every row and the summary, computed again from the embeddings, are the same; no p-value is 0 or above 1.",
)


@dg.asset(
    **OF_A_VERSION,
    deps=[
        image_copies,
        dg.AssetDep(imitation_embeddings, partition_mapping=model_of_grid),
        dg.AssetDep(reference_embeddings, partition_mapping=everything),
    ],
    check_specs=[FOLLOWS_FROM_EMBEDDINGS],
)
def matching(context: dg.AssetExecutionContext, audit: AuditResource) -> dg.MaterializeResult:
    """Whether artists' real works belong to their own imitations: the paper's rank-sum test, and beside it tests that stay valid for images that depend on each other. The control of each test re-assigns the real works."""
    from audit_assets.results.matching import MATCHING  # imports scipy and numba, so not at load

    tables, check = made_and_searched(audit.workspace, MATCHING, FOLLOWS_FROM_EMBEDDINGS, context.partition_key)
    rows, summary = tables["matching_by_subject"], tables["matching_summary"]
    artists = summary[
        (summary["kind"] == "artist")
        & (summary["adjustment"] == "benjamini_hochberg")
        & (summary["alternative"] == "closer")
    ]
    return finished(
        rows,
        digest(rows.to_json()),
        published="matching_by_subject",
        checks=[check],
        summary=dg.MetadataValue.md(as_markdown(summary, len(summary))),
        **plotted(artists[artists["control"] == "none"], "share", "test"),
    )
