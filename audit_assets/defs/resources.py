"""What assets need from outside: the audit file, its warehouse and its image store. Everything is read at run time."""

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from audit_assets.config import Audit, Protocol, load_audit, load_protocol
from audit_assets.warehouse.store import Warehouse

if TYPE_CHECKING:
    from audit_assets.audit_steps import AuditSteps

DEFAULT_CONFIG = Path(__file__).parents[2] / "data" / "miniature" / "audit.yaml"


class AuditResource(dg.ConfigurableResource):
    """The audit file named by `AUDIT_CONFIG`, read when an asset runs: a broken file must not take the code location down."""

    @cached_property
    def audit(self) -> Audit:
        return load_audit(os.environ.get("AUDIT_CONFIG") or DEFAULT_CONFIG)

    @cached_property
    def protocol(self) -> Protocol:
        return load_protocol(self.audit)

    @property
    def warehouse(self) -> Warehouse:
        return Warehouse(self.audit.local(self.audit.warehouse))

    @property
    def steps(self) -> "AuditSteps":
        from audit_assets.audit_steps import AuditSteps  # scipy and numba, not at load

        return AuditSteps(self.audit, self.protocol, self.warehouse)


GPU_TAGS = {"dagster-k8s/config": {"container_config": {"resources": {"limits": {"nvidia.com/gpu": "1"}}}}}
"""Read by `k8s_job_executor` only; elsewhere the pool `gpu` keeps two models off one device."""


@dg.definitions
def defs() -> dg.Definitions:
    return dg.Definitions(resources={"audit": AuditResource()}, executor=dg.in_process_executor)
