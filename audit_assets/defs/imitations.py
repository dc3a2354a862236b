"""Images that the model draws when its prompt names an artist. Section 2.1 of the paper; one cell per subject and model version."""

import time
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pandas as pd

from audit_assets import generation
from audit_assets.defs.conditions import MISSING_CELLS
from audit_assets.defs.metadata import columns, finished_cells, pictures
from audit_assets.defs.models import model_versions
from audit_assets.defs.partitions import grid
from audit_assets.defs.resources import DEPLOYMENT, GPU, AuditResource
from audit_assets.defs.roster import subjects
from audit_assets.errors import InputError, Unwritable, said
from audit_assets.generation.stage import Cell, ImitationStage
from audit_assets.generation.tables import no_rows
from audit_assets.hashing import digest
from audit_assets.warehouse.images import WITHHELD
from audit_assets.workspace import Workspace

_WORTH_A_LINE = 1.0
"""A number of seconds. If a cell takes longer, its event is logged at once, and the UI counts the cell during the run. The events of all other
cells are logged when the run ends, because an event costs some milliseconds. No result depends on this: files show which work is done."""


def cells(context: dg.AssetExecutionContext) -> dict[str, list[str]]:
    """The run's partitions: model version -> subjects, in the order of the partitions."""
    found: dict[str, list[str]] = {}
    for key in context.partition_keys:
        dimensions = dg.MultiPartitionKey(
            dict(zip(("model_version", "subject"), key.split("|", 1), strict=True))
        ).keys_by_dimension
        found.setdefault(dimensions["model_version"], []).append(dimensions["subject"])
    return found


@dg.asset(
    automation_condition=MISSING_CELLS,
    group_name="imitation",
    owners=["team:audit"],
    code_version=str(generation.VERSION),
    kinds={"pytorch", "parquet"},
    partitions_def=grid,
    deps=[subjects, model_versions],
    metadata=columns(no_rows()),
    **GPU,
    backfill_policy=dg.BackfillPolicy.multi_run(max_partitions_per_run=DEPLOYMENT.cells_a_run),
    check_specs=[
        dg.AssetCheckSpec(
            "every_image_is_there_with_its_seed",
            asset="imitations",
            blocking=True,
            description="The cell has as many images as the protocol asks for, each from its own seed.",
        ),
        dg.AssetCheckSpec(
            "no_image_is_blank",
            asset="imitations",
            description="No image is black or empty, no safety checker replaced one, and no server refused one, rewrote its prompt or failed. Such images are kept, and no verdict rests on them.",
        ),
        dg.AssetCheckSpec(
            "every_subject_could_be_asked",
            asset="imitations",
            description="No tokenizer cuts a name short, the model does not fail at it, and every supplied image can be read. A subject that fails has no images; the audit continues with the others.",
        ),
        dg.AssetCheckSpec(
            "supplied_images_follow_the_protocol",
            asset="imitations",
            description="Folders of images have the number of images, the seeds, prompts and control names that the protocol asks for. Images that differ are kept, and the check lists the differences.",
        ),
    ],
)
def imitations(context: dg.AssetExecutionContext, audit: AuditResource) -> dg.MaterializeResult:
    """Images for each subject's name, with one manifest row per image. Existing images that were made from the same inputs are kept.

    A model version that fails does not stop the others of the run: their cells are logged one by one, and the run then fails.
    """
    ws, tables, made = audit.workspace, [no_rows()], 0
    described: dict[str, dict[str, Any]] = {}
    stage = ImitationStage(ws)
    problems: list[str] = []
    deviations: list[str] = []
    failed: dict[str, Exception] = {}
    finished: list[str] = []
    for model, wanted in cells(context).items():
        if why := ws.audit.asleep(model):
            context.log.info(f"{model} {why}, so no image is drawn; its images are kept")
        rows: dict[str, pd.DataFrame] = {}
        try:
            for subject, table, new in _made(context, ws, stage.make(model, wanted), model, len(wanted)):
                rows[subject] = table
                if drawn(table):  # a subject at which a broken model failed is not finished
                    finished.append(f"{model}|{subject}")
                described[f"{model}|{subject}"] = _described(ws, table)
                made += len(table) if new else 0
        except Unwritable:
            raise
        except Exception as error:  # each pipeline raises exceptions of its own
            failed[model] = error
            continue
        of_model = pd.concat([no_rows(), *(rows[s] for s in wanted if s in rows)], ignore_index=True)
        tables.append(of_model)
        problems += stage.problems(model, of_model)
        deviations += [f"{model}: {line}" for line in stage.deviations(model, of_model)]
    if failed:
        for key in finished:
            context.log_event(dg.AssetMaterialization(context.asset_key, partition=key, metadata=described[key]))
        if len(failed) == 1:
            raise next(iter(failed.values()))
        raise InputError("\n".join(f"{model}: {said(error)}" for model, error in failed.items()))
    table = pd.concat(tables, ignore_index=True)
    return finished_cells(
        context,
        described,
        digest(table["image_sha256"].tolist()),
        checks=_checks(table, problems, deviations),
        images_made_now=made,
    )


def _made(
    context: dg.AssetExecutionContext, ws: Workspace, made: Iterator[Cell], model: str, wanted: int
) -> Iterator[Cell]:
    """The cells of a model version. A cell that took long is logged as soon as it is made, unless the model failed at it: if the model fails
    at others too, none of these is finished."""
    before = time.monotonic()
    for n, cell in enumerate(made, 1):
        seconds, before = time.monotonic() - before, time.monotonic()
        if cell.made_now and seconds > _WORTH_A_LINE and drawn(cell.rows):
            context.log_event(
                dg.AssetMaterialization(
                    context.asset_key,
                    description=f"{model}: {cell.subject}, {n} of {wanted}",
                    partition=f"{model}|{cell.subject}",
                    metadata={"seconds": seconds, **_described(ws, cell.rows)},
                )
            )
        yield cell


def _described(ws: Workspace, rows: pd.DataFrame) -> dict[str, Any]:
    """What the UI shows of one cell, whether a person or the command line started its run."""
    return {"dagster/row_count": len(rows), "images": len(drawn(rows)), **pictures(ws, drawn(rows))}


def drawn(table: pd.DataFrame) -> list[str]:
    """Hashes of the images that exist."""
    return [str(sha256) for sha256 in table["image_sha256"].dropna()]


def _checks(table: pd.DataFrame, problems: list[str], deviations: list[str]) -> list[dg.AssetCheckResult]:
    statuses = ("blank", *WITHHELD)
    counts = {status: n for status in statuses if (n := int((table["status"] == status).sum()))}
    refused = table.loc[table["problem"].notna(), ["model_version", "subject", "problem"]].drop_duplicates()
    return [
        dg.AssetCheckResult(
            passed=not problems,
            check_name="every_image_is_there_with_its_seed",
            metadata={"images": int(table["image_sha256"].notna().sum()), "problems": problems[:20]},
        ),
        dg.AssetCheckResult(
            passed=not counts,
            check_name="no_image_is_blank",
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"blank": 0, "blocked": 0, **counts},
        ),
        dg.AssetCheckResult(
            passed=refused.empty,
            check_name="every_subject_could_be_asked",
            metadata={"refused": [f"{r.model_version}, {r.subject}: {r.problem}" for r in refused.itertuples()][:50]},
        ),
        dg.AssetCheckResult(
            passed=not deviations,
            check_name="supplied_images_follow_the_protocol",
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"deviations": deviations[:100]},
        ),
    ]
