"""What changed from one model version to another."""

import dagster as dg

from audit_assets.defs.arms import arm_results
from audit_assets.defs.checks import claim, made_and_searched
from audit_assets.defs.conditions import FOLLOWS_WHAT_IS_THERE
from audit_assets.defs.identification import GROUP, identification, image_copies
from audit_assets.defs.matching import matching
from audit_assets.defs.metadata import as_markdown, finished
from audit_assets.defs.partitions import everything
from audit_assets.defs.resources import AuditResource
from audit_assets.defs.verdicts import ratings, sensitivity, verdicts
from audit_assets.hashing import digest

COMPARED = (image_copies, identification, matching, verdicts, sensitivity, arm_results, ratings)
"""A version counts when all of its results exist. If one of them were no input, the comparison could run beside it and pass the version over."""

FOLLOWS_FROM_VERSIONS = claim(
    "comparison_follows_from_each_version",
    "model_comparison",
    "Every difference, computed again from the tables of the two versions, is the same.",
)


@dg.asset(
    automation_condition=FOLLOWS_WHAT_IS_THERE,
    **GROUP,
    deps=[dg.AssetDep(a, partition_mapping=everything) for a in COMPARED],
    check_specs=[FOLLOWS_FROM_VERSIONS],
)
def model_comparison(audit: AuditResource) -> dg.MaterializeResult:
    """Changes from one model version to another on the same subjects, prompts and seeds: overall, per artist, and in verdicts."""
    from audit_assets.results.comparison import COMPARISON  # imports scipy and numba, so not at load

    tables, check = made_and_searched(audit.workspace, COMPARISON, FOLLOWS_FROM_VERSIONS)
    table, by_subject = tables["model_comparison"], tables["model_comparison_by_subject"]
    changed = by_subject[by_subject["changed"].fillna(False).astype(bool)]
    return finished(
        table,
        digest([table.to_json(), by_subject.to_json()]),
        published="model_comparison",
        checks=[check],
        overall=dg.MetadataValue.md(as_markdown(table, len(table))),
        changed=dg.MetadataValue.md(as_markdown(changed, len(changed))),
    )
