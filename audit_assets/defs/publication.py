"""Published results: the database for queries, the report of each model version, and the manifest of its evidence."""

from typing import Any

import dagster as dg
import pandas as pd

from audit_assets import publication
from audit_assets.defs.arms import arm_results
from audit_assets.defs.checks import checked, claim, recorded
from audit_assets.defs.comparison import model_comparison
from audit_assets.defs.conditions import FOLLOWS, FOLLOWS_THE_DATABASE, FOLLOWS_WHAT_IS_THERE, LOOKED_AT_EVERY_WEEK
from audit_assets.defs.embeddings import image_texts
from audit_assets.defs.identification import auditability, identification, image_copies
from audit_assets.defs.matching import matching
from audit_assets.defs.metadata import finished, picture_of
from audit_assets.defs.partitions import everything, model_version
from audit_assets.defs.resources import DEPLOYMENT, AuditResource
from audit_assets.defs.verdicts import ratings, sensitivity, verdicts
from audit_assets.hashing import digest
from audit_assets.workspace import Workspace

GROUP: dict[str, Any] = {"group_name": "publication", "owners": ["team:audit"]}


@dg.asset(
    automation_condition=FOLLOWS_WHAT_IS_THERE,
    **GROUP,
    code_version=str(publication.VERSION),
    freshness_policy=LOOKED_AT_EVERY_WEEK,
    kinds={"duckdb"},
    pool="duckdb",
    deps=[
        auditability,
        model_comparison,
        dg.AssetDep(image_texts, partition_mapping=everything),
        dg.AssetDep(image_copies, partition_mapping=everything),
        dg.AssetDep(identification, partition_mapping=everything),
        dg.AssetDep(matching, partition_mapping=everything),
        dg.AssetDep(verdicts, partition_mapping=everything),
        dg.AssetDep(sensitivity, partition_mapping=everything),
        dg.AssetDep(arm_results, partition_mapping=everything),
        dg.AssetDep(ratings, partition_mapping=everything),
    ],
    check_specs=[
        claim(
            "published_rows_are_the_warehouse_rows",
            "audit_database",
            "Every table of the database has the same rows as its parquet files.",
        )
    ],
)
def audit_database(audit: AuditResource) -> dg.MaterializeResult:
    """`audit.duckdb`: every table of the audit for SQL queries. Each publication replaces the whole file."""
    from audit_assets.publication.stage import PublicationStage  # imports scipy and numba, so not at load

    stage = PublicationStage(audit.workspace)
    path, counts, differences = stage.publish()
    table = pd.DataFrame(sorted(counts.items()), columns=["table_name", "rows"])
    check = checked("published_rows_are_the_warehouse_rows", differences)
    return finished(table, stage.inputs(), checks=[check], database=dg.MetadataValue.path(str(path)))


def _not_published(ws: Workspace, model: str) -> dg.MaterializeResult | None:
    """The result for a model version that left the audit file, is retired or not approved, and that the database does not have. Its
    partition exists for ever, so each publication requests its report. None if the version has a report."""
    from audit_assets.results.comparison import audited  # imports scipy and numba, so not at load

    why = ws.audit.asleep(model)
    if not why or model in audited(ws):
        return None
    said = f"{model} {why}, and the database does not have it; nothing was made, and earlier files are kept"
    return finished(pd.DataFrame({"path": []}), digest(said), not_made=said)


@dg.asset(
    automation_condition=FOLLOWS_THE_DATABASE,
    **GROUP,
    code_version=str(publication.REPORT_VERSION),
    kinds={"html", "matplotlib"},
    partitions_def=model_version,
    deps=[audit_database, verdicts, sensitivity, arm_results, ratings],
)
def audit_report(context: dg.AssetExecutionContext, audit: AuditResource) -> dg.MaterializeResult:
    """One self-contained HTML file per model version, with the paper's three figures also as PNG and SVG, and the index over all versions."""
    from audit_assets.publication.stage import PublicationStage  # imports scipy and numba, so not at load

    if (left := _not_published(audit.workspace, context.partition_key)) is not None:
        return left
    with recorded(audit.workspace, f"reports/{context.partition_key}", context.partition_key):
        report, files = PublicationStage(audit.workspace).report(context.partition_key)
    root = audit.workspace.warehouse.root
    return finished(
        files,
        digest(files.to_json()),
        report=DEPLOYMENT.file(root, f"reports/{context.partition_key}/{report.name}"),
        index=DEPLOYMENT.file(root, "reports/index.html"),
        **picture_of(report.parent / "sample_grid.png"),
    )


@dg.asset(
    automation_condition=FOLLOWS,
    **GROUP,
    code_version="4",  # evidence.manifest.FORMAT, which would load scipy; a test compares the two
    kinds={"json"},
    partitions_def=model_version,
    deps=[audit_report],
)
def evidence_manifest(context: dg.AssetExecutionContext, audit: AuditResource) -> dg.MaterializeResult:
    """The manifest that ties every figure of one model version to caption file, roster row, prompt, seed, image and embedding, each by its sha256.

    `root` is the hash of the whole manifest. If you keep it elsewhere, `audit-assets verify --root` detects every later change.
    """
    from audit_assets.defs.dates import times
    from audit_assets.evidence.cover import stamp
    from audit_assets.evidence.manifest import make_manifest, manifest_file  # imports scipy and numba, so not at load

    ws = audit.workspace
    if (left := _not_published(ws, context.partition_key)) is not None:
        return left
    model = context.partition_key
    manifest = make_manifest(ws, model, times(context.instance, model, ws.prompted(model)))
    stamp(ws)
    files = pd.DataFrame(
        [
            (f.path, f.bytes, f.sha256)
            for f in (*manifest.tables, *manifest.report, manifest.database, *manifest.database.embeddings)
        ]
    )
    files.columns = pd.Index(["path", "bytes", "sha256"])
    return finished(
        files,
        manifest.root,
        root=manifest.root,
        images=sum(1 for _ in manifest.imitations()),
        manifest=DEPLOYMENT.file(
            ws.warehouse.root, f"manifests/{manifest_file(ws.warehouse, context.partition_key).name}"
        ),
    )
