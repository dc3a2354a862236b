"""Every command that the pages show: run on a small audit where that takes seconds, and checked for being possible where it does not."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from audit_assets.cli import app
from audit_assets_tests.documents import ROOT, Command, commands, commands_of

COMMANDS = commands()
RUN = {"run", "plan", "roster", "sql", "status", "sign", "verify", "report", "export", "import"}
"""Subcommands that end by themselves, in seconds on a small audit; `dev` serves until it is stopped."""

OF_THE_SMALL_AUDIT = {"--artist": "Nils Oduya", "--model": "miniature-1"}
"""What a page says about an audit of the reader's, as the small audit has it."""

NEED_MORE = {
    *("pip", "docker", "helm", "kubectl", "hf", "git", "curl", "apt-get", "aws"),
    *("psql", "pg_dump", "pg_restore", "createdb", "createuser", "pg_dumpall"),
    *("cp", "mv", "echo", "chmod", "cd", "mkdir", "rsync", "tar", "rm", "export", "du", "openssl", "htpasswd", "chown", "sha256sum", "source", "."),
    *("dagster", "dg", "dagster-webserver", "dagster-daemon", "ruff", "mypy", "pytest", "jupyter", "duckdb"),
}  # fmt: skip
"""Programs that need a network, another machine, an hour or files of the reader's: only their files in this repository are looked for."""


MADE_BY_THE_READER = {"docker/.env"}


def test_commands_are_found_in_pages_with_comments_quotes_pipes_and_settings() -> None:
    text = "# Page\n```\nmake audit   # all of it\nA=1 .venv/bin/python -c 'print(1)\nprint(2)' | tee out > file && cd x\n```\n"
    found = [c.words for c in commands_of(text + "```python\nmake nothing\n```\n", "page")]
    assert found == [
        ("make", "audit"),
        (".venv/bin/python", "-c", "print(1)\nprint(2)"),
        ("tee", "out"),
        ("cd", "x"),
    ]
    assert len(COMMANDS) > 15


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_a_command_of_the_pages_is_possible(command: Command) -> None:
    words = list(command.words[1:])
    if command.program == "make":
        done = subprocess.run(
            ["make", "-n", "-o", ".venv/.installed", *words], cwd=ROOT, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    elif command.program == "audit-assets":
        typer.main.get_command(app).commands[words[0]].make_context(words[0], words[1:])  # type: ignore[attr-defined]
    elif command.program == "ray":
        from ray.scripts.scripts import cli  # of the extra `ray`

        cli.commands[words[0]].make_context(words[0], words[1:])
    elif command.program == "python" and words[0] == "-m":
        assert importlib.util.find_spec(words[1]), f"there is no module {words[1]}"
    elif command.program == "python" and words[0] == "-c":
        compile(words[1], str(command), "exec")
    else:
        assert command.program in {*NEED_MORE, "python"}, f"nobody knows {command.program}"
    for word in words:
        if word.split("/")[0] in {"audit_assets", "audit_assets_tests", "benchmarks", "docker", "docs"} and "/" in word:
            assert word in MADE_BY_THE_READER or (ROOT / word).exists(), f"{command}: there is no {word}"


@pytest.fixture(scope="module")
def reader(audited: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the commands of all pages are run one after the other, with a finished small audit in `audit/`."""
    folder = tmp_path_factory.mktemp("reader")
    shutil.copytree(audited.parent, folder / "audit")
    for command in COMMANDS:  # the keys that the pages sign with
        if command.program == "openssl":
            subprocess.run(command.words, cwd=folder, check=True, capture_output=True)
    return folder


@pytest.mark.long
@pytest.mark.parametrize("command", [c for c in COMMANDS if c.program == "audit-assets" and c.words[1] in RUN], ids=str)
def test_a_command_of_the_pages_runs(reader: Path, command: Command) -> None:
    words = list(command.words[1:])
    for at, word in enumerate(words[:-1]):
        words[at + 1] = OF_THE_SMALL_AUDIT.get(word, words[at + 1])
        if word == "--config" and not (reader / words[at + 1]).exists():  # one that was imported is there
            words[at + 1] = str(reader / "audit" / "audit.yaml")
    done = subprocess.run(
        [sys.executable, "-m", "audit_assets.cli", *words],
        cwd=reader,
        env={**os.environ, "AUDIT_CONFIG": str(reader / "audit" / "audit.yaml"), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
