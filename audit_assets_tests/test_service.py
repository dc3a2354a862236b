"""The service of `docker/compose.yaml`: its files as Docker and Dagster read them, and its processes as they run.

There is no Docker engine here. What a container would run is run as it is: the same commands, healthchecks, settings and
order, over a real Postgres, each on loopback.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster import AssetKey, DagsterInstance, DagsterRunStatus

from audit_assets.cli import app
from audit_assets.config import load_audit
from audit_assets.defs.resources import DEPLOYMENTS
from audit_assets.warehouse import layout
from audit_assets.warehouse.locks import file_lock
from audit_assets.warehouse.places import lock_folder
from audit_assets_tests.postgres_server import postgres
from audit_assets_tests.service import COMPOSE, DOCKER, ROOT, SERVICES, Service, until

OURS = ("migrate", "code", "webserver", "daemon")


def test_the_docker_folder_hides_no_python_package() -> None:
    """`import docker` is the Docker SDK's: a package of ours beside it would be found first."""
    assert not list(DOCKER.rglob("__init__.py"))


def test_our_containers_can_do_no_more_than_they_must() -> None:
    for name in OURS:
        service = SERVICES[name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert "privileged" not in service
        assert not any("docker.sock" in volume for volume in service["volumes"])
    dockerfile = (DOCKER / "Dockerfile").read_text(encoding="utf-8")
    assert re.search(r"^USER 10001:10001$", dockerfile, re.M)
    assert len(re.findall(r"^FROM \$\{BASE\}", dockerfile, re.M)) == 2  # one digest pins both stages


def test_only_the_ui_has_a_port_and_only_on_loopback() -> None:
    published = {name: service.get("ports") for name, service in SERVICES.items() if service.get("ports")}
    assert published == {"webserver": ["127.0.0.1:${AUDIT_PORT:-3000}:3000"]}
    assert COMPOSE["networks"]["storage"] == {"internal": True}
    assert SERVICES["postgres"]["networks"] == ["storage"]


def test_the_pages_of_the_service_say_that_its_ui_has_no_guard_against_web_pages() -> None:
    assert SERVICES["webserver"]["command"][0] == "dagster-webserver"  # the guard is in `audit-assets dev` alone
    for page in (DOCKER / "compose.yaml", DOCKER.parent / "docs" / "deployment.md"):
        text = " ".join(page.read_text(encoding="utf-8").replace("#", " ").replace("`", "").split())
        assert "no guard against web pages" in text, page
        assert re.search("[Dd]o not browse the web", text), page
        assert "that checks Host and Origin" in text, page


def test_every_service_that_stays_has_a_healthcheck_and_starts_after_what_it_asks() -> None:
    for name, service in SERVICES.items():
        assert ("healthcheck" in service) == (name != "migrate"), name
    assert SERVICES["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert SERVICES["code"]["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}
    for name in ("webserver", "daemon"):
        assert SERVICES[name]["depends_on"] == {"code": {"condition": "service_healthy"}}


def test_inputs_and_weights_are_read_only_and_only_runs_see_them() -> None:
    mounts = {volume.rsplit(":", 2)[-2]: volume for volume in SERVICES["code"]["volumes"] if volume.endswith(":ro")}
    assert set(mounts) == {"/var/lib/dagster/dagster.yaml", "/audit", "/weights"}
    for name in ("webserver", "daemon"):
        assert not any("/audit" in volume or "/weights" in volume for volume in SERVICES[name]["volumes"])
        assert "AWS_SECRET_ACCESS_KEY" not in SERVICES[name]["environment"]


def test_every_variable_is_explained_and_no_secret_has_a_default() -> None:
    text = (DOCKER / "compose.yaml").read_text(encoding="utf-8")
    used = set(re.findall(r"\$\{([A-Z_]+)", text)) | set(re.findall(r"^ +(AWS_[A-Z_]+):$", text, re.M))
    explained = re.findall(r"^(?:# )?([A-Z_]+)=", (DOCKER / ".env.example").read_text(encoding="utf-8"), re.M)
    assert used | {"COMPOSE_PROJECT_NAME"} == set(explained)
    assert "${POSTGRES_PASSWORD:?" in text
    assert "docker/.env\n" in (ROOT / ".gitignore").read_text(encoding="utf-8")
    assert "!docker/.env" not in (ROOT / ".dockerignore").read_text(encoding="utf-8")


def test_the_image_has_what_it_copies() -> None:
    """Every file that the Dockerfile takes from here is let through by .dockerignore, and is here."""
    copied = re.findall(r"^COPY (?!--from)(.+)$", (DOCKER / "Dockerfile").read_text(encoding="utf-8"), re.M)
    sources = {source for line in copied for source in line.split()[:-1]}
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert sources == allowed
    assert all((ROOT / source).exists() for source in sources)


def test_the_miniature_of_the_service_is_the_miniature(miniature: Path) -> None:
    ours, service = (
        yaml.safe_load((miniature / f).read_text(encoding="utf-8")) for f in ("audit.yaml", "service.yaml")
    )
    assert service == {**ours, "warehouse": "/warehouse/"}
    assert load_audit(miniature / "service.yaml").local("/warehouse/") == Path("/warehouse")


def test_dagsters_settings_are_the_deployments(tmp_path: Path) -> None:
    settings = yaml.safe_load((DOCKER / "dagster.yaml").read_text(encoding="utf-8"))
    assert settings["run_launcher"] == DEPLOYMENTS["docker"].run_launcher
    assert settings["telemetry"] == {"enabled": False}
    assert settings["run_retries"]["max_retries"] <= 3
    assert settings["run_retries"]["retry_on_asset_or_op_failure"] is False


def test_compose_reads_the_files() -> None:
    """By Docker's own reader, which needs no engine."""
    compose = [["docker", "compose"], ["docker-compose"]]
    found = [
        c
        for c in compose
        if shutil.which(c[0]) and subprocess.run([*c, "version"], capture_output=True).returncode == 0
    ]
    if not found:
        pytest.skip("neither `docker compose` nor `docker-compose` is installed; `make test-all` installs it")
    files = ["-f", str(DOCKER / "compose.yaml"), "-f", str(DOCKER / "compose.gpu.yaml")]
    environment = {**os.environ, "POSTGRES_PASSWORD": "secret"}
    done = subprocess.run([*found[0], *files, "config"], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    read = yaml.safe_load(done.stdout)
    assert set(read["services"]) == {"postgres", *OURS}
    (device,) = read["services"]["code"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]
    environment["POSTGRES_PASSWORD"] = ""
    done = subprocess.run([*found[0], *files, "config"], capture_output=True, text=True, env=environment)
    assert done.returncode != 0
    assert "set POSTGRES_PASSWORD in docker/.env" in done.stderr


# ---- the processes
LAUNCH = """
mutation ($selector: JobOrPipelineSelector!) {
  launchRun(executionParams: {selector: $selector, runConfigData: {}}) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
    ... on InvalidSubsetError { message }
  }
}
"""
REGISTRY = {
    "repositoryLocationName": "audit_assets",
    "repositoryName": "__repository__",
    "jobName": "__ASSET_JOB",
    "assetSelection": [{"path": ["model_versions"]}],
}


@pytest.fixture
def service(small_audit: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(DOCKER / "dagster.yaml", home)
    config = small_audit(tmp_path / "audit")
    ours = {"DAGSTER_HOME": home, "AUDIT_DAGSTER_HOME": home, "DAGSTER_LOGS": home / "logs", "AUDIT_CONFIG": config}
    with ExitStack() as stack:
        environment = stack.enter_context(postgres()) | {name: str(value) for name, value in ours.items()}
        environment["AUDIT_DEPLOYMENT"] = "docker"
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        found = Service(environment, tmp_path)
        try:
            yield found
        finally:
            for name in list(found.running):
                found.kill(name)


@pytest.mark.long(minutes=3)
def test_the_service_starts_runs_and_begins_again_what_died_with_its_code_server(service: Service) -> None:
    migrated = service.once(SERVICES["migrate"]["command"])
    assert migrated.returncode == 0, migrated.stderr
    for name in ("code", "webserver", "daemon"):
        service.start(name)
    config = Path(service.environment["AUDIT_CONFIG"])
    with DagsterInstance.from_config(service.environment["DAGSTER_HOME"]) as instance:
        # The registry's sensor asks for the first run by itself.
        registered = lambda: instance.get_latest_materialization_event(AssetKey("encoders"))  # noqa: E731
        until(registered, "models and encoders are registered", service)
        until(lambda: not instance.get_runs_count(_unfinished()), "no run is left", service)

        # A run that cannot go on: the warehouse has no mark of its layout, and another process holds the lock under which it is marked.
        root = load_audit(config).local("warehouse/")
        marked = (root / layout.FILE).read_bytes()
        (root / layout.FILE).unlink()
        with file_lock(lock_folder(root) / "warehouse.lock"):
            launched = service.ask(LAUNCH, selector=REGISTRY)["launchRun"]
            assert launched["__typename"] == "LaunchRunSuccess", launched
            run_id = launched["run"]["runId"]
            started = lambda: instance.get_run_by_id(run_id).status == DagsterRunStatus.STARTED  # type: ignore[union-attr]  # noqa: E731
            until(started, "the run has begun", service)
            service.kill("code")
            (root / layout.FILE).write_bytes(marked)
        assert not service.healthy("code")
        service.start("code")
        ended = lambda: instance.get_run_by_id(run_id).status == DagsterRunStatus.FAILURE  # type: ignore[union-attr]  # noqa: E731
        until(ended, "the lost run has ended", service, seconds=200)

        def begun_again() -> list[DagsterRunStatus]:
            return [r.status for r in instance.get_runs() if r.tags.get("dagster/parent_run_id") == run_id]

        until(
            lambda: begun_again() == [DagsterRunStatus.SUCCESS],
            "the run was begun again, once, and ended well",
            service,
            seconds=200,
        )
    for name in ("webserver", "daemon"):
        assert service.healthy(name)


def _unfinished() -> Any:
    from dagster import RunsFilter

    from audit_assets.runs.lost_runs import UNFINISHED

    return RunsFilter(statuses=[*UNFINISHED, DagsterRunStatus.QUEUED, DagsterRunStatus.NOT_STARTED])


# ---- the page
def _commands() -> list[str]:
    page = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```bash\n(.*?)^```", page, re.M | re.S)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


def test_the_commands_of_the_page_are_ones_that_there_are() -> None:
    """Read by the shell; files, services, settings and subcommands that they name exist."""
    commands = _commands()
    subprocess.run(["bash", "-n"], input="\n".join(commands), text=True, check=True)
    for command in commands:
        for file in re.findall(r"(?<![\w/])(?:docker/|constraints)[\w./-]+", command):
            assert (ROOT / file).exists() or file == "docker/.env", command
        for service in re.findall(r"exec (\w+) ", command):
            assert service in SERVICES, command
        for name in re.findall(r"DAGSTER_POSTGRES_\w+", command):
            assert name in (DOCKER / "dagster.yaml").read_text(encoding="utf-8"), command
        if match := re.search(r"audit-assets (\w+) --config", command):
            assert match[1] in {c.name or c.callback.__name__ for c in app.registered_commands if c.callback}, command
