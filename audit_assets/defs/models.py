"""Model versions, which are audited, and encoders, which measure. Both are resolved to revisions and file hashes before any model runs."""

from typing import Any

import dagster as dg

from audit_assets import models
from audit_assets.defs.checks import checked, claim
from audit_assets.defs.conditions import LOOKED_AT_EVERY_WEEK
from audit_assets.defs.metadata import finished
from audit_assets.defs.partitions import add_keys, model_version
from audit_assets.defs.resources import AuditResource
from audit_assets.models.registry import registry, usable_encoders
from audit_assets.models.tables import encoder_tables, model_tables

GROUP: dict[str, Any] = {"group_name": "registry", "owners": ["team:audit"], "code_version": str(models.VERSION)}


@dg.asset(
    **GROUP,
    freshness_policy=LOOKED_AT_EVERY_WEEK,
    kinds={"huggingface", "parquet"},
    check_specs=[
        claim(
            "every_approved_model_can_be_audited",
            "model_versions",
            "Every approved model has complete safetensors files or readable images. A refused model or artist does not stop the others.",
            blocking=False,
        )
    ],
)
def model_versions(context: dg.AssetExecutionContext, audit: AuditResource) -> dg.MaterializeResult:
    """Every model of audit.yaml with its revision, the hash of its files, its text encoders and settings. Each approved model gets a partition."""
    ws = audit.workspace
    known = registry(ws.audit, ws.warehouse)
    tables = model_tables(ws.audit, known)
    tables.write(ws.warehouse, ws.audit.base)
    add_keys(context, model_version, list(known.resolved))
    problems = [*known.refused.values(), *known.problems]
    checks = [checked("every_approved_model_can_be_audited", problems)]
    return finished(tables.published, tables.inputs, published=tables.name, checks=checks)


@dg.asset(
    **GROUP,
    kinds={"huggingface", "parquet"},
    check_specs=[
        claim(
            "every_encoder_can_embed",
            "encoders",
            "Every encoder has complete files. A refused encoder does not stop the others, unless it decides the headline.",
            blocking=False,
        )
    ],
)
def encoders(audit: AuditResource) -> dg.MaterializeResult:
    """Every encoder of audit.yaml with its family, dimension, logit scale and the hash of its files."""
    ws = audit.workspace
    known = usable_encoders(ws.audit)
    tables = encoder_tables(ws.audit, known)
    tables.write(ws.warehouse, ws.audit.base)
    checks = [checked("every_encoder_can_embed", list(known.refused.values()))]
    return finished(tables.published, tables.inputs, published=tables.name, checks=checks)
