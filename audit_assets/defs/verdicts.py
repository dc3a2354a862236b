"""One verdict per artist, from both experiments and the positive control, and the settings on which the verdict depends."""

import dagster as dg

from audit_assets.defs.checks import claim, made_and_searched, recorded
from audit_assets.defs.embeddings import image_texts
from audit_assets.defs.identification import OF_A_VERSION, auditability, identification
from audit_assets.defs.imitations import imitations
from audit_assets.defs.matching import matching
from audit_assets.defs.metadata import as_markdown, finished, plotted
from audit_assets.defs.models import encoders, model_versions
from audit_assets.defs.partitions import model_of_grid
from audit_assets.defs.resources import AuditResource
from audit_assets.hashing import digest

FOLLOW_FROM_EVIDENCE = claim(
    "verdicts_follow_from_the_evidence",
    "verdicts",
    "Every verdict, decided again from the tables of both experiments and of the positive control, is the same.",
)
FOLLOW_FROM_ANSWERS = claim(
    "ratings_follow_from_the_answers",
    "ratings",
    "The agreement of raters and their verdicts, computed again from the answers and the key, are the same.",
)


@dg.asset(
    **OF_A_VERSION,
    deps=[auditability, identification, matching, dg.AssetDep(imitations, partition_mapping=model_of_grid)],
    check_specs=[FOLLOW_FROM_EVIDENCE],
)
def verdicts(context: dg.AssetExecutionContext, audit: AuditResource) -> dg.MaterializeResult:
    """One verdict per artist and encoder, by one rule: `imitated`, `not shown to be imitated` or `not auditable`. It states what a model can do, not what it may do."""
    from audit_assets.results.verdicts import VERDICTS  # imports scipy and numba, so not at load

    tables, check = made_and_searched(audit.workspace, VERDICTS, FOLLOW_FROM_EVIDENCE, context.partition_key)
    table = tables["verdicts"]
    counts = table.groupby(["encoder", "kind", "verdict"]).size().rename("subjects").reset_index()
    return finished(
        table,
        digest(table.to_json()),
        published="verdicts",
        checks=[check],
        counts=dg.MetadataValue.md(as_markdown(counts, len(counts))),
        **plotted(counts[counts["kind"] == "artist"], "subjects", "verdict"),
    )


@dg.asset(**OF_A_VERSION, deps=[verdicts, image_texts, model_versions, encoders])
def sensitivity(context: dg.AssetExecutionContext, audit: AuditResource) -> dg.MaterializeResult:
    """How the results depend on template, encoder, label set, test, and the number of captions that name the artist."""
    from audit_assets.results.sensitivity import SENSITIVITY
    from audit_assets.results.stage import ResultStage  # imports scipy and numba, so not at load

    with recorded(audit.workspace, f"results/{context.partition_key}/sensitivity", context.partition_key):
        tables = ResultStage(audit.workspace).make(SENSITIVITY, context.partition_key)
    flips = tables["verdict_flips"]
    return finished(
        flips,
        digest([table.to_json() for table in tables.values()]),
        published="verdict_flips",
        templates=dg.MetadataValue.md(as_markdown(tables["template_matrix"])),
        independence=dg.MetadataValue.md(as_markdown(tables["encoder_independence"])),
        dose_response=dg.MetadataValue.md(as_markdown(tables["dose_response"])),
    )


@dg.asset(**OF_A_VERSION, deps=[verdicts], check_specs=[FOLLOW_FROM_ANSWERS])
def ratings(context: dg.AssetExecutionContext, audit: AuditResource) -> dg.MaterializeResult:
    """What human raters say of each artist, and how far they agree. It has no rows before `audit-assets ratings import` took their answers."""
    from audit_assets.results.ratings import RATINGS  # imports scipy, so not at load

    tables, check = made_and_searched(audit.workspace, RATINGS, FOLLOW_FROM_ANSWERS, context.partition_key)
    return finished(
        tables["ratings"],
        digest([table.to_json() for table in tables.values()]),
        published="ratings",
        checks=[check],
        verdicts=dg.MetadataValue.md(as_markdown(tables["rater_verdicts"])),
        agreement=dg.MetadataValue.md(as_markdown(tables["rater_agreement"])),
    )
