"""An audit that cannot be written is planned and shown, and one without results says what helps."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from audit_assets.evidence.nothing import why_nothing
from audit_assets.warehouse.left_out import MODEL as MODEL_PART
from audit_assets.warehouse.left_out import LeftOut, leave_out
from audit_assets.workspace import Workspace

ARTIST = "nils-oduya"


@pytest.fixture(scope="module")
def read_only(audited: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of a finished audit on a filesystem that takes no byte."""
    place = tmp_path_factory.mktemp("read_only") / "place"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400m", "tmpfs", str(place)]
    if (made := subprocess.run(mount, capture_output=True, text=True, check=False)).returncode:
        pytest.skip(f"no file system can be mounted here ({made.stderr.strip()})")
    try:
        shutil.copytree(audited.parent, place / "audit")
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        yield place / "audit" / "audit.yaml"
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def command(name: str, config: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "audit_assets.cli", name, "--config", str(config), *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "400", **environment},
        timeout=300,
    )


def test_it_is_planned_by_the_roster_that_it_has(read_only: Path) -> None:
    ended = command("plan", read_only)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "the roster is the one that was made before" in ended.stdout
    assert "Read-only file system" in ended.stdout
    assert "what would settle it" in ended.stdout


@pytest.mark.long
def test_its_reports_are_named_and_an_artists_page_is_written_elsewhere(read_only: Path, tmp_path: Path) -> None:
    ended = command("report", read_only)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "report.html" in ended.stdout
    assert "is kept as it is" in ended.stdout
    refused = command("report", read_only, "--artist", ARTIST)
    assert refused.returncode == 2
    assert "cannot be written" in refused.stdout
    written = command("report", read_only, "--artist", ARTIST, "--out", str(tmp_path / "pages"))
    assert written.returncode == 0, written.stdout + written.stderr
    assert [p.suffix for p in (tmp_path / "pages").iterdir()] == [".html"]


@pytest.mark.parametrize("name", ["dev", "run", "roster"])
def test_what_must_write_says_where_and_what_reads_alone(read_only: Path, name: str) -> None:
    ended = command(name, read_only, *(["--port", "38471"] if name == "dev" else []))
    said = " ".join((ended.stdout + ended.stderr).split())
    assert ended.returncode == 2
    assert "Traceback" not in said
    assert "Read-only file system" in said
    assert "AUDIT_DAGSTER_HOME" in said


def test_a_query_reads_it(read_only: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "audit_assets.cli", "sql", "--config", str(read_only), "SELECT count(*) AS known FROM verdicts"],
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "known" in ended.stdout


def test_an_artists_page_elsewhere_needs_an_artist(audited: Path, tmp_path: Path) -> None:
    ended = command("report", audited, "--out", str(tmp_path))
    assert (ended.returncode, "--artist" in ended.stdout) == (2, True)


def test_an_audit_without_results_says_what_helps(small_audit: Callable[..., Path], tmp_path: Path) -> None:
    """`audit-assets run` helps only if it was not run yet."""
    config = small_audit(tmp_path / "audit")
    said = why_nothing(Workspace.open(config, new=True))
    assert "run `audit-assets run" in said
    assert "left out" not in said
    ws = Workspace.open(config)
    leave_out(
        ws.warehouse,
        "registered/miniature-1",
        [LeftOut(MODEL_PART, "a weight is missing", "models", "miniature-1")],
        config.parent,
    )
    said = why_nothing(ws)
    assert "the last run left out every model version" in said
    assert "a weight is missing" in said
    content = yaml.safe_load(config.read_text())
    for model in content["models"]:
        model["approved"] = False
    config.write_text(yaml.safe_dump(content))
    assert "set `approved: true`" in why_nothing(Workspace.open(config))
