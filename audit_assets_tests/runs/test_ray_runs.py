"""What a run requests from Ray: sent by dagster-ray's own client to a server that keeps what it is sent."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.launcher import LaunchRunContext
from dagster._core.launcher.base import WorkerStatus
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin

from audit_assets.defs.resources import DEPLOYMENTS, RayJob
from audit_assets.errors import InputError
from audit_assets.runs.lost_runs import DRIVER, lost_runs
from audit_assets_tests.service import DOCKER, ray_settings


class Dashboard(BaseHTTPRequestHandler):
    """As much of Ray's dashboard as a launcher asks: its version, a place for jobs, and what became of a job."""

    jobs: list[dict[str, Any]]

    def do_GET(self) -> None:
        if self.path == "/api/version":
            self._send({"version": "4", "ray_version": "2.60.0", "ray_commit": "x"})
            return
        known = [job for job in self.jobs if self.path == f"/api/jobs/{job['submission_id']}"]
        if known:
            job = {
                "type": "SUBMISSION",
                "status": "RUNNING",
                "entrypoint": "",
                "submission_id": known[0]["submission_id"],
            }
            self._send(job)
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        job = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.jobs.append(job)
        self._send({"job_id": job["submission_id"], "submission_id": job["submission_id"]})

    def _send(self, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def dashboard(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    Dashboard.jobs = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Dashboard)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@dg.asset(op_tags=RayJob(num_gpus=0.5, resources={"rack": 1}).tags())
def drawn() -> None:
    pass


@dg.asset(deps=[drawn])
def counted() -> None:
    pass


def opened(folder: Path, dashboard: str, **ray: object) -> dg.DagsterInstance:
    """An instance with the launcher of the page, and records of its own."""
    folder.mkdir(exist_ok=True)
    launcher = ray_settings()["run_launcher"]
    launcher["config"]["ray"] |= {"address": dashboard, **ray}
    settings = {"run_launcher": launcher, "telemetry": {"enabled": False}}
    (folder / "dagster.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    return dg.DagsterInstance.from_config(str(folder))


def a_run(instance: dg.DagsterInstance, *assets: dg.AssetsDefinition, **more: Any) -> dg.DagsterRun:
    job = dg.Definitions([drawn, counted]).get_repository_def().get_implicit_global_asset_job_def()
    asked = {asset.key for asset in assets}
    code = ModuleCodePointer("audit_assets.definitions", "defs")
    origin = JobPythonOrigin(job.name, RepositoryPythonOrigin("python", code, entry_point=["dagster"]))
    part = job.get_subset(asset_selection=asked)
    return instance.create_run_for_job(part, asset_selection=asked, job_code_origin=origin, **more)


def launched(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dict[str, Any]:
    instance.run_launcher.launch_run(LaunchRunContext(run, None))
    return Dashboard.jobs[-1]


def test_a_run_requests_what_its_steps_request_and_no_other_run_does(dashboard: str, tmp_path: Path) -> None:
    with opened(tmp_path, dashboard) as instance:
        run = a_run(instance, drawn, counted)
        job = launched(instance, run)
        assert job["submission_id"] == f"dagster-run-{run.run_id}"
        assert job["entrypoint_num_gpus"] == 0.5
        assert job["entrypoint_num_cpus"] == 4  # of the page
        assert job["entrypoint_resources"] == {"rack": 1}
        told = {name: job["runtime_env"]["env_vars"][name] for name in ("AUDIT_DEPLOYMENT", "AUDIT_CONFIG")}
        assert told == {"AUDIT_DEPLOYMENT": "ray", "AUDIT_CONFIG": "/audit/audit.yaml"}
        assert job["entrypoint"].startswith("dagster api execute_run ")

        job = launched(instance, a_run(instance, counted))
        assert not job.get("entrypoint_num_gpus")
        assert not job.get("entrypoint_resources")
        assert job["entrypoint_num_cpus"] == 4


def test_a_tag_of_the_run_itself_counts_more(dashboard: str, tmp_path: Path) -> None:
    tags = {"dagster-ray/config": json.dumps({"num_gpus": 1, "num_cpus": 8})}
    with opened(tmp_path, dashboard) as instance:
        job = launched(instance, a_run(instance, drawn, tags=tags))
    assert (job["entrypoint_num_gpus"], job["entrypoint_num_cpus"]) == (1, 8)


@pytest.mark.parametrize(
    ("env_vars", "missing"),
    [
        (["AUDIT_DEPLOYMENT=ray"], "AUDIT_CONFIG is missing; add a line such as `- AUDIT_CONFIG=...`"),
        (["AUDIT_CONFIG"], "AUDIT_CONFIG and AUDIT_DEPLOYMENT is missing"),  # named, and not set in the environment
        (None, "AUDIT_CONFIG and AUDIT_DEPLOYMENT is missing"),
    ],
)
def test_a_job_that_would_audit_the_miniature_in_place_of_the_audit_is_refused(
    dashboard: str, tmp_path: Path, env_vars: list[str] | None, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AUDIT_CONFIG", "AUDIT_DEPLOYMENT"):
        monkeypatch.delenv(name, raising=False)
    with opened(tmp_path, dashboard, env_vars=env_vars) as instance, pytest.raises(InputError, match=missing):
        launched(instance, a_run(instance, counted))
    assert Dashboard.jobs == []


def test_a_new_code_server_ends_no_run_of_a_cluster(dashboard: str, tmp_path: Path) -> None:
    """Runs of a cluster are no processes of the code server, so they go on without it."""
    with opened(tmp_path / "ray", dashboard) as instance:
        a_run(instance, counted, status=dg.DagsterRunStatus.STARTED)
        assert lost_runs(instance) == []
    with dg.DagsterInstance.local_temp() as instance:
        lost = a_run(instance, counted, status=dg.DagsterRunStatus.STARTED)
        assert lost_runs(instance) == [lost.run_id]


def test_only_a_run_that_is_a_job_can_be_lost_by_ray(dashboard: str, tmp_path: Path) -> None:
    """A command beside the service makes runs of its own, of which Ray knows nothing."""
    with opened(tmp_path, dashboard) as instance:

        def health(run: dg.DagsterRun) -> WorkerStatus:
            return instance.run_launcher.check_run_worker_health(run).status

        known, unknown = (a_run(instance, counted, status=dg.DagsterRunStatus.STARTED) for _ in range(2))
        launched(instance, known)
        drivers = a_run(instance, counted, status=dg.DagsterRunStatus.STARTED, tags={DRIVER: "x"})
        assert [health(run) for run in (known, unknown, drivers)] == [
            WorkerStatus.RUNNING,
            WorkerStatus.UNKNOWN,
            WorkerStatus.RUNNING,
        ]


def test_the_page_names_the_launcher_of_the_table_and_settings_that_dagster_takes(tmp_path: Path) -> None:
    page, service = ray_settings(), yaml.safe_load((DOCKER / "dagster.yaml").read_text(encoding="utf-8"))
    config = page["run_launcher"].pop("config")
    assert page["run_launcher"] == DEPLOYMENTS["ray"].run_launcher
    assert page.keys() <= service.keys()  # each replaces a part of the service's settings
    assert page["run_monitoring"].keys() == service["run_monitoring"].keys()
    page["run_launcher"]["config"] = config
    whole = {**service, **page, "storage": {"sqlite": {"base_dir": str(tmp_path)}}}
    whole["local_artifact_storage"] = {**service["local_artifact_storage"], "config": {"base_dir": str(tmp_path)}}
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(whole), encoding="utf-8")
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert instance.run_launcher.supports_check_run_worker_health
        assert instance.run_monitoring_max_resume_run_attempts == 0
        assert instance.run_retries_max_retries == 2
        assert not instance.get_settings("run_retries")["retry_on_asset_or_op_failure"]
        assert type(instance.compute_log_manager).__name__ == "NoOpComputeLogManager"
