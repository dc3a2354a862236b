"""Every command of docs/evidence.md runs, in its order, on a real audit; and the command line fails where the evidence does."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from audit_assets_tests.evidence.forging import MODEL, flipped, read, workspace_of

PAGE = (Path(__file__).parents[2] / "docs" / "evidence.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^```sh\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)


def shell(folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    """As a person types it: `audit-assets` and `python` are this environment's."""
    launcher = folder / "bin" / "audit-assets"
    launcher.parent.mkdir(exist_ok=True)
    launcher.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m audit_assets.cli "$@"\n')
    launcher.chmod(0o755)
    path = f"{launcher.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": root}
    return subprocess.run(
        ["/bin/sh", "-ec", script], cwd=folder, env=environment, capture_output=True, text=True, timeout=500
    )


@pytest.mark.long
def test_every_command_of_the_page_runs(copied: Path) -> None:
    ran = shell(copied.parent, "set -x\n" + "\n".join(COMMANDS))
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
    assert ran.stdout.count("All of it holds, as far as it was checked.") == 5
    assert "DOES NOT HOLD" not in ran.stdout
    assert read(copied).root in ran.stdout
    assert "not checked: the pixels of real works: the archive left them out" in ran.stdout


@pytest.mark.long
def test_the_command_line_names_what_does_not_hold_and_fails(copied: Path) -> None:
    _, image = next(iter(read(copied).imitations()))
    path = workspace_of(copied).warehouse.root / image.path
    with flipped(path, 70):
        ran = shell(copied.parent, f"audit-assets verify --config audit.yaml --model {MODEL} --no-replay --sample 0")
        assert ran.returncode == 1
        assert re.search(rf"DOES NOT HOLD +imitations: \d+ images\n +{re.escape(str(path))}: was altered", ran.stdout)
        packed = shell(copied.parent, f"audit-assets export --config audit.yaml --model {MODEL} --out e.zip")
    assert packed.returncode == 2
    assert "run `audit-assets verify`" in packed.stdout


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("audit-assets verify --config nowhere.yaml", "cannot read the audit file"),
        ("audit-assets import nothing.zip folder", "there is no such file"),
    ],
)
def test_bad_input_is_said_with_its_own_exit_code(tmp_path: Path, command: str, said: str) -> None:
    ran = shell(tmp_path, command)
    assert (ran.returncode, said in ran.stdout) == (2, True), ran.stdout + ran.stderr
