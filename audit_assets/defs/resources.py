"""What assets need from outside: the audit file, its warehouse and its image store, read at run time; and where runs run.

`AUDIT_DEPLOYMENT` (local, docker or k8s) chooses one row of DEPLOYMENTS when the code location loads. No asset reads this variable.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

import dagster as dg
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from audit_assets.config import Audit, load_audit
from audit_assets.errors import InputError
from audit_assets.warehouse.layout import made
from audit_assets.workspace import Workspace

DEFAULT_CONFIG = Path(__file__).parents[2] / "data" / "miniature" / "audit.yaml"


_IN_USE: dict[Path, Workspace] = {}
"""The audits that drivers of this process opened, by audit file."""


@contextmanager
def in_use(ws: Workspace) -> Iterator[None]:
    """Let every asset that runs inside this block use one reading of the audit file and its protocol.

    The steps of a run must agree. If they read the file one by one, an edit during the run would measure images of one protocol by
    another.
    """
    _IN_USE[ws.audit.file] = ws
    try:
        yield
    finally:
        del _IN_USE[ws.audit.file]


class AuditResource(dg.ConfigurableResource):
    """The audit file that `AUDIT_CONFIG` names. It is read when an asset runs, so that a broken file does not stop the code location."""

    @cached_property
    def audit(self) -> Audit:
        opened = _IN_USE.get(_audit_file())
        return load_audit(_audit_file()) if opened is None else opened.audit

    @property
    def workspace(self) -> Workspace:
        opened = _IN_USE.get(_audit_file())
        if opened is None:
            return Workspace.of(self.audit, new=True)
        made(opened.warehouse.root)
        return opened


def _audit_file() -> Path:
    return Path(os.environ.get("AUDIT_CONFIG") or DEFAULT_CONFIG).resolve()


class GpuPod(BaseModel):
    """What a GPU asset requests from Kubernetes. `AUDIT_GPU_POD`, as JSON, overrides these defaults."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    resource: str = Field("nvidia.com/gpu", description="the cluster's name for one GPU")
    count: int = Field(1, gt=0, description="GPUs per pod; one process uses one GPU")
    node_selector: dict[str, str] = {}
    tolerations: tuple[dict[str, str], ...] = ({"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},)

    def tags(self) -> dict[str, Any]:
        """Tags that only `k8s_job_executor` reads."""
        pod: dict[str, Any] = {"tolerations": [dict(t) for t in self.tolerations]}
        if self.node_selector:
            pod["node_selector"] = self.node_selector
        limits = {self.resource: str(self.count)}
        return {"dagster-k8s/config": {"container_config": {"resources": {"limits": limits}}, "pod_spec_config": pod}}


@dataclass(frozen=True)
class Deployment:
    """Where runs run. `run_launcher` is the launcher that the deployment's dagster.yaml names; `cells_a_run` is the number of subjects in one run of a backfill.

    To use several GPUs of one host, raise the limit of the pool `gpu` to their number. As many runs then run at once, and each takes a
    device that no other process holds (`models.devices`).
    """

    executor: Callable[[], dg.ExecutorDefinition]
    gpu_tags: Callable[[GpuPod], dict[str, Any]]
    run_launcher: Mapping[str, str]
    cells_a_run: int
    file: Callable[[Path, str], dg.MetadataValue[Any]]
    """How the UI shows a file of the warehouse, from its root and its place below it."""


def _in_process() -> dg.ExecutorDefinition:
    return dg.in_process_executor


def _k8s_jobs() -> dg.ExecutorDefinition:
    from dagster_k8s import k8s_job_executor  # an extra, and half a second that only this deployment spends

    return k8s_job_executor


def _no_tags(pod: GpuPod) -> dict[str, Any]:
    return {}


PAGES = "/audit/"
"""Below this address, the webserver of `audit-assets dev` serves files of the warehouse (`runs/pages.py`)."""


def _linked(root: Path, place: str) -> dg.MetadataValue[Any]:
    return dg.MetadataValue.url(f"{PAGES}{quote(place)}")


def _named(root: Path, place: str) -> dg.MetadataValue[Any]:
    """Dagster's own webserver, which a service has, serves no file."""
    return dg.MetadataValue.path(str(root / place))


DEPLOYMENTS: Mapping[str, Deployment] = {
    # Each run is one process: a process per step would cost 2 s each. The pool `gpu` prevents two models on one device.
    "local": Deployment(
        _in_process, _no_tags, {"module": "dagster._core.launcher", "class": "DefaultRunLauncher"}, 1000, _linked
    ),
    # Runs are processes of the code server: a container per run would need the Docker socket, which gives root rights on the host.
    "docker": Deployment(
        _in_process, _no_tags, {"module": "dagster._core.launcher", "class": "DefaultRunLauncher"}, 1000, _named
    ),
    # Each step is a job, so only steps that use a GPU request one. A run has fewer cells, so the loss of a node costs less.
    "k8s": Deployment(_k8s_jobs, GpuPod.tags, {"module": "dagster_k8s", "class": "K8sRunLauncher"}, 70, _named),
}


def deployment() -> Deployment:
    """The row that `AUDIT_DEPLOYMENT` names. InputError lists the names."""
    name = os.environ.get("AUDIT_DEPLOYMENT") or "local"
    if name not in DEPLOYMENTS:
        raise InputError(f"AUDIT_DEPLOYMENT: {name!r} is not one of {', '.join(DEPLOYMENTS)}.")
    return DEPLOYMENTS[name]


def gpu_pod() -> GpuPod:
    """The settings of `AUDIT_GPU_POD`. InputError names the field."""
    try:
        return GpuPod.model_validate_json(os.environ.get("AUDIT_GPU_POD") or "{}")
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the value"
        raise InputError(
            f"AUDIT_GPU_POD, {field}: {first['msg']}; give JSON such as {GpuPod().model_dump_json()}."
        ) from None


DEPLOYMENT = deployment()
GPU: dict[str, Any] = {"pool": "gpu", "op_tags": DEPLOYMENT.gpu_tags(gpu_pod())}
"""Arguments of every asset that loads a model: one run per device, and what the cluster is asked for."""


@dg.definitions
def defs() -> dg.Definitions:
    return dg.Definitions(resources={"audit": AuditResource()}, executor=DEPLOYMENT.executor())
