"""What assets need from outside: the audit file, its warehouse and its image store, read at run time; and where runs run.

`AUDIT_DEPLOYMENT` (local, docker, k8s or ray) chooses one row of DEPLOYMENTS when the code location loads. No asset reads this variable.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import quote

import dagster as dg
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator

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
        made(opened.warehouse.root, opened.audit.file)
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


def _whole_above_one(amount: float) -> float:
    if amount > 1 and not amount.is_integer():
        raise ValueError(f"{amount:g} is above 1 and not a whole number, which Ray refuses")
    return amount


Amount = Annotated[float, Field(gt=0, allow_inf_nan=False), AfterValidator(_whole_above_one)]


class RayJob(BaseModel):
    """What a run with a GPU asset requests from Ray. `AUDIT_RAY_JOB`, as JSON, overrides these defaults."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    num_gpus: float = Field(1, ge=0, le=1, description="share of one GPU; one process uses one GPU")
    num_cpus: Amount | None = Field(None, description="as the launcher's settings say, if it is not given")
    memory: int | None = Field(None, gt=0, description="bytes")
    resources: dict[str, Amount] = Field({}, description="the cluster's own resources")

    @field_validator("resources")
    @classmethod
    def _are_the_clusters_own(cls, resources: dict[str, float]) -> dict[str, float]:
        if rays := sorted({"CPU", "GPU", "memory"} & resources.keys()):
            raise ValueError(f"{', '.join(rays)}: Ray's own resources are num_cpus, num_gpus and memory")
        return resources

    def tags(self) -> dict[str, Any]:
        """Tags that only the launcher `RayRuns` reads."""
        return {"dagster-ray/config": self.model_dump(exclude_none=True)}


@dataclass(frozen=True)
class Deployment:
    """Where runs run. `run_launcher` is the launcher that the deployment's dagster.yaml names; `cells_a_run` is the number of subjects in one run of a backfill.

    To use several GPUs of one host, raise the limit of the pool `gpu` to their number. As many runs then run at once, and each takes a
    device that no other process holds (`models.devices`).
    """

    executor: Callable[[], dg.ExecutorDefinition]
    gpu_tags: Callable[[], dict[str, Any]]
    run_launcher: Mapping[str, str]
    cells_a_run: int
    file: Callable[[Path, str], dg.MetadataValue[Any]]
    """How the UI shows a file of the warehouse, from its root and its place below it."""


def _in_process() -> dg.ExecutorDefinition:
    return dg.in_process_executor


def _k8s_jobs() -> dg.ExecutorDefinition:
    from dagster_k8s import k8s_job_executor  # an extra, and half a second that only this deployment spends

    return k8s_job_executor


Settings = TypeVar("Settings", bound=BaseModel)


def _settings(kind: type[Settings], variable: str) -> Settings:
    """The settings of a variable, as JSON. InputError names the field."""
    try:
        return kind.model_validate_json(os.environ.get(variable) or "{}")
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the value"
        example = kind().model_dump_json(exclude_none=True)
        why = first["msg"].removeprefix("Value error, ")
        raise InputError(f"{variable}, {field}: {why}; give JSON such as {example}.") from None


def _no_tags() -> dict[str, Any]:
    return {}


def _pod_tags() -> dict[str, Any]:
    return _settings(GpuPod, "AUDIT_GPU_POD").tags()


def _ray_tags() -> dict[str, Any]:
    return _settings(RayJob, "AUDIT_RAY_JOB").tags()


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
    "k8s": Deployment(_k8s_jobs, _pod_tags, {"module": "dagster_k8s", "class": "K8sRunLauncher"}, 70, _named),
    # Each run is one Ray job, and requests a GPU if a step of it does. Dagster starts a run again that was lost with its node. If each
    # step were a job, Dagster would see a failed step, as after bad input, and would not start it again.
    "ray": Deployment(_in_process, _ray_tags, {"module": "audit_assets.runs.ray_runs", "class": "RayRuns"}, 70, _named),
}


def deployment() -> Deployment:
    """The row that `AUDIT_DEPLOYMENT` names, with the cells per run of `AUDIT_CELLS_PER_RUN`, if it is set. InputError lists the names."""
    name = os.environ.get("AUDIT_DEPLOYMENT") or "local"
    if name not in DEPLOYMENTS:
        raise InputError(f"AUDIT_DEPLOYMENT: {name!r} is not one of {', '.join(DEPLOYMENTS)}.")
    row = DEPLOYMENTS[name]
    cells = os.environ.get("AUDIT_CELLS_PER_RUN") or str(row.cells_a_run)
    if not cells.isdecimal() or int(cells) == 0:
        raise InputError(f"AUDIT_CELLS_PER_RUN: {cells!r} is not a whole number above 0, such as {row.cells_a_run}.")
    return replace(row, cells_a_run=int(cells))


DEPLOYMENT = deployment()
GPU: dict[str, Any] = {"pool": "gpu", "op_tags": DEPLOYMENT.gpu_tags()}
"""Arguments of every asset that loads a model: one run per device, and what the cluster is asked for."""


@dg.definitions
def defs() -> dg.Definitions:
    return dg.Definitions(resources={"audit": AuditResource()}, executor=DEPLOYMENT.executor())
