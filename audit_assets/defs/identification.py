"""Experiment 1 of the paper, section 2.1: is the artist identified from the imitation? And whether the encoder could know."""

from typing import Any

import dagster as dg

from audit_assets.config import digest
from audit_assets.defs.embeddings import imitation_embeddings, label_embeddings, reference_embeddings
from audit_assets.defs.metadata import as_markdown, finished
from audit_assets.defs.partitions import everything, model_of_grid, model_version
from audit_assets.defs.resources import AuditResource

GROUP: dict[str, Any] = {
    "group_name": "measurement",
    "owners": ["team:audit"],
    "code_version": "1",
    "kinds": {"scipy", "parquet"},
}


@dg.asset(**GROUP, deps=[label_embeddings, dg.AssetDep(reference_embeddings, partition_mapping=everything)])
def auditability(audit: AuditResource) -> dg.MaterializeResult:
    """The positive control: how often each encoder recognises an artist in real works, and how much more alike they are than the nearest other artist's."""
    table = audit.steps.make_auditability()
    metadata: dict[str, Any] = {}
    if "correct" in table:
        named = table[table["correct"].notna()]
        metadata["accuracy_on_real_works"] = float(named["correct"].sum() / max(1, named["real_works"].sum()))
    return finished(table, digest(table.to_json()), **metadata)


@dg.asset(
    **GROUP,
    partitions_def=model_version,
    deps=[label_embeddings, dg.AssetDep(imitation_embeddings, partition_mapping=model_of_grid)],
    check_specs=[
        dg.AssetCheckSpec(
            "probabilities_are_probabilities",
            asset="identification",
            blocking=True,
            description="Between 0 and 1; the own label is never more likely than the predicted one.",
        ),
        dg.AssetCheckSpec(
            "identification_follows_from_the_images",
            asset="identification",
            blocking=True,
            description="Every aggregate recomputed from the image-level rows.",
        ),
    ],
)
def identification(context: dg.AssetExecutionContext, audit: AuditResource) -> dg.MaterializeResult:
    """Share of images, and of artists by plurality, that the encoder takes for the artist whose name was the prompt; artists and every control."""
    tables = audit.steps.make_identification(context.partition_key)
    audit.steps.make_sigmoid_scores(context.partition_key)
    trials = tables["identification_trials"]
    p, own = trials["probability"].dropna(), trials["probability_of_subject"].dropna()
    sane = bool(
        p.between(0, 1 + 1e-9).all()
        and own.between(0, 1 + 1e-9).all()
        and (trials["probability_of_subject"] <= trials["probability"] + 1e-9)[
            trials["probability"].notna() & trials["probability_of_subject"].notna()
        ].all()
    )
    wrong = audit.steps.recomputed(context.partition_key, "identification")
    checks = [
        dg.AssetCheckResult(passed=sane, check_name="probabilities_are_probabilities", metadata={"rows": len(trials)}),
        dg.AssetCheckResult(
            passed=not wrong, check_name="identification_follows_from_the_images", metadata={"differences": wrong}
        ),
    ]
    summary = tables["identification_summary"]
    return finished(
        trials, digest(trials.to_json()), checks=checks, summary=dg.MetadataValue.md(as_markdown(summary, len(summary)))
    )
