"""Arms: other ways to ask for an artist than by the name as it is written, and whose images the model makes unasked."""

import dagster as dg
import pandas as pd

from audit_assets import generation
from audit_assets.defs.checks import checked, claim, made_and_searched
from audit_assets.defs.conditions import FOLLOWS
from audit_assets.defs.embeddings import GROUP as EMBEDDED
from audit_assets.defs.embeddings import label_embeddings
from audit_assets.defs.identification import OF_A_VERSION, auditability, identification
from audit_assets.defs.imitations import drawn, imitations
from audit_assets.defs.matching import matching
from audit_assets.defs.metadata import as_markdown, finished, strip
from audit_assets.defs.models import encoders
from audit_assets.defs.partitions import everything, model_of_grid, model_version
from audit_assets.defs.references import reference_works
from audit_assets.defs.resources import GPU, AuditResource
from audit_assets.defs.verdicts import verdicts
from audit_assets.encoders.stage import EmbeddingStage
from audit_assets.generation.arms import ArmStage
from audit_assets.hashing import digest

ARE_ASKED = claim(
    "every_arm_has_the_images_that_it_asks_for",
    "arm_images",
    "Each prompt of each arm has its images, each from its own seed, and the model failed at none.",
    blocking=False,
)
ARE_EMBEDDED = claim(
    "every_encoder_embeds_the_arms", "arm_embeddings", "Every encoder embeds every image of the arms.", blocking=False
)
FOLLOW_FROM_IMAGES = claim(
    "arm_results_follow_from_the_images",
    "arm_results",
    "Every figure of an arm, computed again from the embeddings of its images, is the same.",
)


@dg.asset(
    automation_condition=FOLLOWS,
    group_name="imitation",
    owners=["team:audit"],
    code_version=str(generation.ARM_VERSION),
    kinds={"pytorch", "parquet"},
    partitions_def=model_version,
    deps=[
        dg.AssetDep(imitations, partition_mapping=model_of_grid),
        dg.AssetDep(reference_works, partition_mapping=everything),
    ],
    check_specs=[ARE_ASKED],
    **GPU,
)
def arm_images(context: dg.AssetExecutionContext, audit: AuditResource) -> dg.MaterializeResult:
    """Images of the protocol's arms: the name misspelt or transliterated, a description, a class, a given work, no name. A protocol without arms has none."""
    stage, model = ArmStage(audit.workspace), context.partition_key
    table = stage.make(model)
    problems = [*stage.failed(model), *stage.problems(model)]
    why = audit.workspace.audit.asleep(model)
    not_asked = [f"{model} {why}, so no image is drawn; its images are kept"] if why else stage.cost(model)
    counts = table.groupby(["arm", "status"]).size().rename("images").reset_index()
    return finished(
        table,
        digest(table["image_sha256"].tolist()),
        published="arm_images",
        checks=[checked(ARE_ASKED.name, problems, warn=True)],
        counts=dg.MetadataValue.md(as_markdown(counts, len(counts))),
        not_asked=dg.MetadataValue.md("\n".join(f"* {line}" for line in not_asked) or "The protocol has no arms."),
        pictures=strip(audit.workspace.images.get, drawn(table)),
    )


@dg.asset(
    automation_condition=FOLLOWS,
    **EMBEDDED,
    code_version=str(generation.ARM_VERSION),
    partitions_def=model_version,
    deps=[arm_images, encoders],
    check_specs=[ARE_EMBEDDED],
    **GPU,
)
def arm_embeddings(context: dg.AssetExecutionContext, audit: AuditResource) -> dg.MaterializeResult:
    """Embeddings of the images of the arms by every encoder of audit.yaml."""
    stage = EmbeddingStage(audit.workspace)
    tables = [rows.drop(columns="embedding") for _, _, rows in stage.arms(context.partition_key)]
    table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame({"image_sha256": []})
    failed = [f"{encoder}: {reason}" for encoder, reason in stage.arms_failed.items()]
    return finished(
        table, digest(table["image_sha256"].tolist()), checks=[checked(ARE_EMBEDDED.name, failed, warn=True)]
    )


@dg.asset(
    **OF_A_VERSION,
    deps=[arm_embeddings, label_embeddings, auditability, identification, matching, verdicts],
    check_specs=[FOLLOW_FROM_IMAGES],
)
def arm_results(context: dg.AssetExecutionContext, audit: AuditResource) -> dg.MaterializeResult:
    """What still works: per arm and artist, whether its images are identified and match, beside controls that were asked in the same way; and the model's house style."""
    from audit_assets.results.arms import ARMS  # imports scipy and numba, so not at load

    tables, check = made_and_searched(audit.workspace, ARMS, FOLLOW_FROM_IMAGES, context.partition_key)
    table, leaks = tables["arm_results"], tables["unprompted_leakage"]
    counts = table.groupby(["encoder", "arm", "kind", "answer"]).size().rename("subjects").reset_index()
    found = leaks[leaks["answer"] == "yes"]
    return finished(
        table,
        digest([t.to_json() for t in tables.values()]),
        published="arm_results",
        checks=[check],
        counts=dg.MetadataValue.md(as_markdown(counts, len(counts))),
        house_style=dg.MetadataValue.md(as_markdown(found, len(found))),
    )
