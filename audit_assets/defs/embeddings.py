"""Embeddings of images and labels by each encoder: unit vectors, one file per partition and encoder."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd

import audit_assets.encoders as embedding
from audit_assets.defs.checks import checked, claim, recorded
from audit_assets.defs.conditions import FOLLOWS, FOLLOWS_CELLS
from audit_assets.defs.imitations import cells, imitations
from audit_assets.defs.metadata import finished, finished_cells
from audit_assets.defs.models import encoders
from audit_assets.defs.partitions import everything, grid, model_of_grid, model_version, referenced_subject
from audit_assets.defs.references import reference_works
from audit_assets.defs.resources import DEPLOYMENT, GPU, AuditResource
from audit_assets.encoders.stage import EmbeddingStage
from audit_assets.hashing import digest
from audit_assets.warehouse.store import vectors
from audit_assets.workspace import Workspace

GROUP: dict[str, Any] = {
    "group_name": "embedding",
    "owners": ["team:audit"],
    "kinds": {"pytorch", "parquet"},
}


def _unit_check(asset: str) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(
        "embeddings_are_finite_and_of_unit_norm",
        asset=asset,
        blocking=True,
        description="Every vector is finite and has length 1.",
    )


def _encoder_check(asset: str) -> dg.AssetCheckSpec:
    return claim(
        "every_encoder_could_embed",
        asset,
        "Every encoder can be loaded and embeds every image. An encoder that fails is left out of the results; the others remain.",
        blocking=False,
    )


def _encoders_left_out(ws: Workspace, models: Sequence[str]) -> dg.AssetCheckResult:
    """Names the encoders that are left out of the audit, or of one of these model versions."""
    parts = [p for parts in ws.left_out().values() for p in parts if p.encoder and p.model_version in ("", *models)]
    return checked("every_encoder_could_embed", [f"{p.name}: {p.reason}" for p in parts], warn=True)


def _result(
    context: dg.AssetExecutionContext,
    tables: list[pd.DataFrame],
    cells: Mapping[str, int],
    checks: Sequence[dg.AssetCheckResult] = (),
    **metadata: Any,
) -> dg.MaterializeResult:
    """The check reads the stored vectors, not the vectors in memory before they were stored. `cells`: partition -> its vectors."""
    worst = max(
        (
            float(np.abs(np.linalg.norm(vectors(t["embedding"]).astype(np.float64), axis=1) - 1).max())
            for t in tables
            if len(t)
        ),
        default=0.0,
    )
    passed = bool(worst < 1e-3)  # False for NaN too
    table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame({"embedding": []})
    keys = [c for c in ("image_sha256", "label") if c in table]
    check = dg.AssetCheckResult(
        passed=passed, check_name="embeddings_are_finite_and_of_unit_norm", metadata={"largest_deviation": worst}
    )
    described = {key: {"dagster/row_count": vectors} for key, vectors in cells.items()}
    inputs = digest([table[k].tolist() for k in keys])
    return finished_cells(context, described, inputs, checks=[check, *checks], **metadata)


@dg.asset(
    automation_condition=FOLLOWS_CELLS,
    **GROUP,
    code_version=str(embedding.VERSION),
    partitions_def=grid,
    deps=[imitations, encoders],
    **GPU,
    check_specs=[_unit_check("imitation_embeddings"), _encoder_check("imitation_embeddings")],
    backfill_policy=dg.BackfillPolicy.multi_run(max_partitions_per_run=DEPLOYMENT.cells_a_run),
)
def imitation_embeddings(context: dg.AssetExecutionContext, audit: AuditResource) -> dg.MaterializeResult:
    """Embeddings of the imitations of each subject by every encoder of audit.yaml."""
    stage = EmbeddingStage(audit.workspace)
    known = set(stage.ws.subjects()["subject"])
    sources = [f"imitations/{model}/{s}" for model, wanted in cells(context).items() for s in wanted if s in known]
    embedded = [(source, rows) for _, source, rows in stage.images("imitation", sources)]
    counted = _counted(("|".join(source.split("/")[1:]), rows) for source, rows in embedded)
    left_out = _encoders_left_out(stage.ws, list(cells(context)))
    return _result(context, [rows for _, rows in embedded], counted, [left_out])


def _counted(embedded: Iterable[tuple[str, pd.DataFrame]]) -> Counter[str]:
    """Partition -> vectors by all encoders."""
    found: Counter[str] = Counter()
    for key, rows in embedded:
        found[key] += len(rows)
    return found


@dg.asset(
    automation_condition=FOLLOWS,
    **GROUP,
    code_version=str(embedding.VERSION),
    partitions_def=referenced_subject,
    deps=[reference_works, encoders],
    **GPU,
    check_specs=[_unit_check("reference_embeddings"), _encoder_check("reference_embeddings")],
    backfill_policy=dg.BackfillPolicy.single_run(),
)
def reference_embeddings(context: dg.AssetExecutionContext, audit: AuditResource) -> dg.MaterializeResult:
    """Embeddings of the real works of each artist by every encoder of audit.yaml."""
    sources = [f"reference_works/{s}" for s in context.partition_keys]
    ws = audit.workspace
    embedded = [(source, rows) for _, source, rows in EmbeddingStage(ws).images("reference", sources)]
    counted = _counted((source.split("/")[1], rows) for source, rows in embedded)
    return _result(context, [rows for _, rows in embedded], counted, [_encoders_left_out(ws, [])])


@dg.asset(
    automation_condition=FOLLOWS,
    **GROUP,
    code_version=str(embedding.LABELS_VERSION),
    deps=["subjects", encoders, dg.AssetDep(reference_works, partition_mapping=everything)],
    check_specs=[
        _unit_check("label_embeddings"),
        _encoder_check("label_embeddings"),
        dg.AssetCheckSpec(
            "every_label_is_read_whole",
            asset="label_embeddings",
            description="No encoder's tokenizer cuts a label short or lacks its letters. If it reads half of a name, it identifies the artist by that half.",
        ),
    ],
)
def label_embeddings(context: dg.AssetExecutionContext, audit: AuditResource) -> dg.MaterializeResult:
    """Embeddings of every label by every encoder that reads text: each name in each template, and the default labels."""
    ws = audit.workspace
    tables = EmbeddingStage(ws).labels()
    lost = [
        f"{encoder}, {row.text!r}: loses {row.lost!r}"
        for encoder, table in tables.items()
        for row in table[table["lost"] != ""].itertuples()
    ]
    check = dg.AssetCheckResult(
        passed=not lost,
        check_name="every_label_is_read_whole",
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"lost": lost[:50]},
    )
    rows = {"dagster/row_count": sum(map(len, tables.values()))}
    return _result(context, list(tables.values()), {}, [check, _encoders_left_out(ws, [])], **rows)


@dg.asset(
    automation_condition=FOLLOWS,
    **GROUP,
    code_version=str(embedding.VERSION),
    partitions_def=model_version,
    deps=[dg.AssetDep(imitation_embeddings, partition_mapping=model_of_grid)],
    **GPU,
)
def image_texts(context: dg.AssetExecutionContext, audit: AuditResource) -> dg.MaterializeResult:
    """The text that is drawn in images, and whether it names the artist; the images are embedded again with their text blurred. No rows unless `text_in_images` asks for it."""
    from audit_assets.encoders.text_stage import TextStage

    with recorded(audit.workspace, f"results/{context.partition_key}/image_texts", context.partition_key):
        table = TextStage(audit.workspace).make(context.partition_key)
    return finished(
        table,
        digest(table.to_json()),
        published="image_texts",
        with_text=int((table["texts"].map(len) > 0).sum()),
        naming_the_artist=int(table["names_artist"].astype(bool).sum()),
    )
