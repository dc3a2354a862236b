"""Where `audit-assets dev` listens, and under which name the UI shows an audit."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
import yaml
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from typer.testing import CliRunner

from audit_assets.cli import app
from audit_assets.config import load_audit
from audit_assets.runs.home import LOCATION, WORKSPACE, location_name, of_location, write_workspace
from audit_assets.runs.lost_runs import DRIVER, lost_runs
from audit_assets.runs.pages import HEADERS, Pages
from audit_assets.runs.ui import address_of
from audit_assets_tests.documents import ROOT


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.2", "192.0.2.7"])
def test_an_address_of_version_4_can_be_listened_on(host: str) -> None:
    assert address_of(host) == ("127.0.0.1" if host == "localhost" else host)


def test_an_address_of_another_machine_is_named_and_nothing_is_started(
    small_audit: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audit_assets.runs.ui._started", lambda *_: pytest.fail("a process was started"))
    done = CliRunner().invoke(app, ["dev", "--config", str(small_audit(tmp_path)), "--host", "192.0.2.7"])
    assert done.exit_code == 2
    assert "--host 192.0.2.7: is no address of this machine" in done.output


@pytest.mark.parametrize(
    ("given", "wanted"),
    [((), ""), (("PORT=3001",), "--port 3001"), (("PORT=3001", "HOST=127.0.0.2"), "--port 3001 --host 127.0.0.2")],
)
def test_make_dev_passes_port_and_host_on_and_heeds_no_variable_of_the_environment(
    given: tuple[str, ...], wanted: str
) -> None:
    done = subprocess.run(
        ["make", "-n", "-o", ".venv/.installed", "dev", *given],
        cwd=ROOT, capture_output=True, text=True, check=True, env={**os.environ, "HOST": "machine", "PORT": "1"},
    )  # fmt: skip
    (line,) = [line for line in done.stdout.splitlines() if "audit-assets dev" in line]
    assert line.split("audit.yaml")[-1].split() == wanted.split()


@pytest.mark.parametrize(
    ("folder", "file", "name"),
    [
        ("miniature", "audit.yaml", "miniature"),
        ("miniature", "small.yaml", "miniature-small"),
        ("Ølafs & Söhne", "audit.yaml", "Olafs-Sohne"),
        ("林風眠", "audit.yaml", "LinFengMian"),
        ("&&", "audit.yaml", LOCATION),
    ],
)
def test_the_code_location_has_the_name_of_the_audit(
    small_audit: Callable[..., Path], tmp_path: Path, folder: str, file: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small_audit(tmp_path / folder)
    audit = load_audit(config.rename(config.with_name(file)))
    assert location_name(audit) == name
    (entry,) = yaml.safe_load(write_workspace(audit, tmp_path).read_text())["load_from"]
    assert entry["python_module"]["location_name"] == name
    assert entry["python_module"]["module_name"] == "audit_assets.definitions"
    assert (Path(entry["python_module"]["working_directory"]) / "audit_assets").is_dir()
    assert WORKSPACE.name == "workspace.yaml"
    monkeypatch.setenv("AUDIT_DAGSTER_HOME", str(tmp_path))
    assert location_name(audit) == LOCATION


@dg.asset
def made() -> None:
    pass


def test_a_run_of_the_command_line_has_its_assets_as_target_and_its_location() -> None:
    job = dg.Definitions([made]).get_repository_def().get_implicit_global_asset_job_def()
    with dg.DagsterInstance.ephemeral() as instance:
        job.execute_in_process(instance=of_location(instance, "ada"), asset_selection=[made.key], tags={"a": "b"})
        (run,) = instance.get_runs()
    assert run.asset_selection == {made.key}
    assert run.remote_job_origin is not None
    assert run.remote_job_origin.location_name == "ada"
    assert run.tags[".dagster/repository"] == "__repository__@ada"
    assert run.tags["a"] == "b"


def test_a_run_that_a_person_started_again_is_not_the_drivers() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        job = dg.Definitions([made]).get_repository_def().get_implicit_global_asset_job_def()
        started = dg.DagsterRunStatus.STARTED
        ours = instance.create_run_for_job(job, tags={DRIVER: "x"}, status=started)
        again = {"tags": {DRIVER: "x"}, "status": started, "parent_run_id": ours.run_id, "root_run_id": ours.run_id}
        theirs = instance.create_run_for_job(job, **again)  # type: ignore[arg-type]
        assert lost_runs(instance) == [theirs.run_id]


def asked(path: str, method: str = "GET") -> tuple[int, str, str]:
    inner = Starlette(
        routes=[Route("/{path:path}", lambda _: PlainTextResponse("of Dagster"))], middleware=[Middleware(Pages)]
    )
    answer = TestClient(inner).request(method, path)
    return answer.status_code, answer.text, answer.headers.get("content-security-policy", "")


def test_files_of_the_audit_are_served_in_a_sandbox_and_nothing_else_of_the_machine(
    small_audit: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small_audit(tmp_path / "audit")
    monkeypatch.setenv("AUDIT_CONFIG", str(config))
    warehouse = config.parent / "warehouse"
    for place in ("reports/index.html", "reports/one/report.html", "manifests/one.json", "audit.duckdb", ".secret"):
        (warehouse / place).parent.mkdir(parents=True, exist_ok=True)
        (warehouse / place).write_text(place)
    policy = HEADERS["Content-Security-Policy"]
    assert "allow-same-origin" not in policy
    for place in ("reports/index.html", "reports/one/report.html", "manifests/one.json"):
        assert asked(f"/audit/{place}") == (200, place, policy)
    for place in (
        "audit.duckdb", ".secret", "reports", "reports/", "reports/one", "reports/../audit.duckdb", "reports/%2e%2e/audit.duckdb",
        "reports/..%2f..%2faudit.yaml", "reports/one/missing.html", "manifests/one.json/x", "", "/etc/passwd", "reports//etc/passwd",
    ):  # fmt: skip
        assert asked(f"/audit/{place}")[0] in (404, 200)
        assert asked(f"/audit/{place}")[1] != place
        assert "captions" not in asked(f"/audit/{place}")[1]
    assert asked("/audit/reports/index.html", "POST")[0] == 405
    assert asked("/assets")[1] == "of Dagster"
    config.write_text("modles: []")
    assert asked("/audit/reports/index.html")[0] == 500
