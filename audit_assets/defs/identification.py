"""Experiment 1 of the paper, section 2.1: does the encoder identify the artist from the imitation, and can it know the artist at all?"""

from typing import Any

import dagster as dg

from audit_assets import results
from audit_assets.defs.checks import claim, made_and_searched
from audit_assets.defs.conditions import FOLLOWS
from audit_assets.defs.embeddings import imitation_embeddings, label_embeddings, reference_embeddings
from audit_assets.defs.metadata import as_markdown, finished, plotted, strip
from audit_assets.defs.partitions import everything, model_of_grid, model_version
from audit_assets.defs.resources import AuditResource
from audit_assets.encoders.stage import EmbeddingStage
from audit_assets.generation.stage import ImitationStage
from audit_assets.hashing import digest

GROUP: dict[str, Any] = {
    "group_name": "measurement",
    "owners": ["team:audit"],
    "code_version": str(results.VERSION),
    "kinds": {"scipy", "parquet"},
}
OF_A_VERSION: dict[str, Any] = {**GROUP, "automation_condition": FOLLOWS, "partitions_def": model_version}
"""Arguments of every result that each model version has."""
FOLLOW_FROM_PICTURES = claim(
    "copies_follow_from_the_pictures",
    "image_copies",
    "The nearest work of every image, its score and the threshold, computed again, are the same.",
)
FOLLOWS_FROM_IMAGES = claim(
    "identification_follows_from_the_images",
    "identification",
    "In every image-level row, rank, probability and label agree, and every aggregate computed again from these rows is the same.",
)


@dg.asset(
    automation_condition=FOLLOWS,
    **GROUP,
    deps=[label_embeddings, dg.AssetDep(reference_embeddings, partition_mapping=everything)],
)
def auditability(audit: AuditResource) -> dg.MaterializeResult:
    """The positive control: how often each encoder recognises an artist in real works, and whether it can tell them from the works of the most similar artist."""
    from audit_assets.results.auditability import AUDITABILITY
    from audit_assets.results.stage import ResultStage  # imports scipy and numba, so not at load

    tables = ResultStage(audit.workspace).make(AUDITABILITY)
    table, named = tables["auditability"], tables["auditability"].dropna(subset=["correct"])
    return finished(
        table,
        digest(table.to_json()),
        published="auditability",
        accuracy_on_real_works=float(named["correct"].sum() / max(1, named["real_works"].sum())),
        told_apart=dg.MetadataValue.md(
            as_markdown(table.groupby("encoder")["told_apart"].agg(["sum", "size"]).reset_index())
        ),
        calibration=dg.MetadataValue.md(as_markdown(tables["calibration"])),
    )


@dg.asset(
    **OF_A_VERSION,
    deps=[
        dg.AssetDep(imitation_embeddings, partition_mapping=model_of_grid),
        dg.AssetDep(reference_embeddings, partition_mapping=everything),
    ],
    check_specs=[FOLLOW_FROM_PICTURES],
)
def image_copies(context: dg.AssetExecutionContext, audit: AuditResource) -> dg.MaterializeResult:
    """Images that are near copies of a real work of any artist, with the share of false ones that the list may have. They count in neither experiment."""
    from audit_assets.results.copies import COPIES  # imports scipy, so not at load

    tables, check = made_and_searched(audit.workspace, COPIES, FOLLOW_FROM_PICTURES, context.partition_key)
    table, about = tables["image_copies"], tables["copy_detection"]
    found = table[table["is_copy"].astype(bool)].sort_values("similarity", ascending=False)
    return finished(
        table,
        digest(table.to_json()),
        published="image_copies",
        checks=[check],
        near_copies=len(found),
        largest=dg.MetadataValue.md(as_markdown(found.head(20), 20)),
        detection=dg.MetadataValue.md(as_markdown(about)),
    )


@dg.asset(
    **OF_A_VERSION,
    deps=[
        label_embeddings,
        auditability,
        image_copies,
        dg.AssetDep(imitation_embeddings, partition_mapping=model_of_grid),
    ],
    check_specs=[FOLLOWS_FROM_IMAGES],
)
def identification(context: dg.AssetExecutionContext, audit: AuditResource) -> dg.MaterializeResult:
    """Share of images, and share of artists by plurality, for which the encoder chooses the artist whom the prompt names; for artists and for every control."""
    from audit_assets.results.identification import IDENTIFICATION  # imports scipy and numba, so not at load

    ws, model = audit.workspace, context.partition_key
    tables, check = made_and_searched(ws, IDENTIFICATION, FOLLOWS_FROM_IMAGES, model)
    EmbeddingStage(ws).sigmoid_scores(model)
    trials, summary = tables["identification_trials"], tables["identification_summary"]
    return finished(
        trials,
        digest(trials.to_json()),
        published="identification_trials",
        checks=[check],
        summary=dg.MetadataValue.md(as_markdown(summary, len(summary))),
        contrasts=dg.MetadataValue.md(as_markdown(tables["identification_contrasts"])),
        pictures=strip(ws.images.get, ImitationStage(ws).first_images(model)),
        **plotted(summary[summary["label_set"] != "joint"], "image_accuracy", "label_set"),
    )
