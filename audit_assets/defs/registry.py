"""What is audited and what audits: model versions and encoders, resolved to revisions and file hashes before anything runs."""

from typing import Any

import dagster as dg

from audit_assets.config import digest
from audit_assets.defs.metadata import finished
from audit_assets.defs.partitions import add_keys, model_version
from audit_assets.defs.resources import AuditResource
from audit_assets.model_registry import encoders_table, model_versions_table

GROUP: dict[str, Any] = {"group_name": "registry", "owners": ["team:audit"], "code_version": "1"}


@dg.asset(**GROUP, kinds={"huggingface", "parquet"})
def model_versions(context: dg.AssetExecutionContext, audit: AuditResource) -> dg.MaterializeResult:
    """Every model of audit.yaml with its revision, the hash of its files, its text encoders and settings. Approved ones get a partition."""
    table = model_versions_table(audit.audit)
    inputs = digest([table.to_json()])
    audit.warehouse.write("model_versions", table, inputs)
    add_keys(context, model_version, table.loc[table["approved"] & ~table["retired"], "model_version"].tolist())
    return finished(table, inputs)


@dg.asset(**GROUP, kinds={"huggingface", "parquet"})
def encoders(audit: AuditResource) -> dg.MaterializeResult:
    """Every encoder of audit.yaml with its family, dimension, logit scale and the hash of its files."""
    table = encoders_table(audit.audit)
    inputs = digest([table.to_json()])
    audit.warehouse.write("encoders", table, inputs)
    return finished(table, inputs)
