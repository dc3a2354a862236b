"""The package as it is installed: a wheel, in an environment that does not know the checkout, over an audit elsewhere."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from audit_assets.config import PROTOCOLS
from audit_assets_tests.browser import serving

ROOT = Path(__file__).parents[1]
SILENT = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INDEX": "1"}

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the checkout, built without the network."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        str(ROOT),
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(folder),
    ]
    subprocess.run(build, check=True, cwd=folder, env={**os.environ, **SILENT})
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a new environment with the wheel, and with the libraries of this one but without its checkout.

    A folder that a `.pth` file names is searched, and the `.pth` files in it, of which one names the checkout, are not read.
    """
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    libraries = folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    (libraries / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    python = folder / "bin" / "python"
    install = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(python),
        "install",
        "-q",
        "--no-deps",
        "--no-index",
        str(wheel),
    ]
    subprocess.run(install, check=True, cwd=folder, env={**os.environ, **SILENT})
    for program in (
        "dagster",
        "dagster-webserver",
        "dagster-daemon",
    ):  # as an installation with its requirements has them
        text = (Path(sys.executable).with_name(program)).read_text(encoding="utf-8").split("\n", 1)[1]
        (folder / "bin" / program).write_text(f"#!{python}\n{text}", encoding="utf-8")
        (folder / "bin" / program).chmod(0o755)
    return python


@pytest.fixture(scope="module")
def elsewhere(miniature: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a copy of the miniature, and no repository around it."""
    folder = tmp_path_factory.mktemp("elsewhere")
    shutil.copytree(miniature, folder / "audit", ignore=shutil.ignore_patterns("warehouse*", ".dagster", "training"))
    return folder


def environment() -> dict[str, str]:
    """This one, without what would lead to the checkout or to another audit."""
    left_out = {"PYTHONPATH", "AUDIT_CONFIG", "DAGSTER_HOME", "AUDIT_DAGSTER_HOME"}
    return {k: v for k, v in os.environ.items() if k not in left_out}


@pytest.fixture(scope="module")
def said(installed: Path, elsewhere: Path) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Runs `audit-assets` of the new environment in the folder elsewhere."""

    def run(*words: str) -> "subprocess.CompletedProcess[str]":
        program = str(installed.with_name("audit-assets"))
        return subprocess.run([program, *words], cwd=elsewhere, env=environment(), capture_output=True, text=True)

    return run


def test_a_wheel_has_every_file_of_the_package(wheel: Path) -> None:
    kept = {n for n in zipfile.ZipFile(wheel).namelist() if n.startswith("audit_assets/")}
    listed = subprocess.run(["git", "ls-files", "audit_assets"], cwd=ROOT, capture_output=True, text=True)
    tracked = set(listed.stdout.split()) if listed.returncode == 0 else set()
    assert tracked <= kept, sorted(tracked - kept)
    assert {f"audit_assets/protocols/{p.name}" for p in PROTOCOLS.glob("*.yaml")} <= kept
    assert "audit_assets/warehouse/schema.sql" in kept
    assert "audit_assets/publication/pages/templates/report.html.j2" in kept


def test_the_new_environment_does_not_know_the_checkout(installed: Path, elsewhere: Path) -> None:
    show = "import sys, audit_assets; print(audit_assets.__file__); print(*sys.path, sep='\\n')"
    shown = subprocess.run(
        [str(installed), "-c", show], cwd=elsewhere, env=environment(), capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert shown[0].startswith(str(installed.parents[1]))
    assert str(ROOT) not in shown


def test_without_a_config_it_says_where_the_miniature_is(
    said: Callable[..., "subprocess.CompletedProcess[str]"],
) -> None:
    shown = said("plan")
    assert shown.returncode == 2
    assert "pass --config" in shown.stdout
    assert "is in the repository and not in the installed package" in shown.stdout


def test_an_installed_package_plans_and_runs_an_audit_elsewhere(
    said: Callable[..., "subprocess.CompletedProcess[str]"], elsewhere: Path
) -> None:
    config = str(elsewhere / "audit" / "small.yaml")
    planned = said("plan", "--config", config)
    assert planned.returncode == 0, planned.stdout + planned.stderr
    assert "question" in planned.stdout
    made = said("run", "--config", config)
    assert made.returncode == 0, made.stdout + made.stderr
    assert "done in" in made.stdout
    warehouse = elsewhere / "audit" / "warehouse-small"
    assert (warehouse / "reports" / "miniature-1" / "report.html").exists()
    queried = said("sql", "--config", config, "SELECT count(*) AS images FROM imitations")
    assert queried.returncode == 0, queried.stdout + queried.stderr


def test_the_ui_of_an_installed_package_loads_the_code_location_under_the_name_of_the_audit(
    installed: Path, elsewhere: Path, tmp_path: Path
) -> None:
    program = [str(installed.with_name("audit-assets"))]
    query = "{ workspaceOrError { ... on Workspace { locationEntries { name loadStatus locationOrLoadError { __typename } } } } }"
    with serving(elsewhere / "audit" / "small.yaml", tmp_path / "dev.log", program, environment()) as (_, address):
        asked = urllib.request.Request(
            f"{address}/graphql", json.dumps({"query": query}).encode(), {"Content-Type": "application/json"}
        )
        (entry,) = json.load(urllib.request.urlopen(asked, timeout=60))["data"]["workspaceOrError"]["locationEntries"]
    assert entry["name"] == "audit-small"
    assert entry["loadStatus"] == "LOADED"
    assert entry["locationOrLoadError"]["__typename"] == "RepositoryLocation"
