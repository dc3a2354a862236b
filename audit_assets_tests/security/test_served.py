"""Who can reach the UI, and what it lets them do."""

import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from audit_assets.cli import app
from audit_assets.config import load_audit
from audit_assets.driver import prepare_home

ROOT = Path(__file__).parents[2]


def test_the_ui_listens_on_loopback_unless_somebody_decides_otherwise(
    small_audit: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr("os.execve", lambda program, arguments, environment: asked.append(arguments))
    monkeypatch.setattr("os.chdir", lambda folder: None)
    assert CliRunner().invoke(app, ["dev", "--config", str(small_audit(tmp_path))]).exit_code == 0
    ((_, *arguments),) = asked
    assert arguments[arguments.index("-h") + 1] == "127.0.0.1"
    parameters = [p for c in app.registered_commands for p in _parameters(c.callback)]
    assert {p.default for p in parameters if p.name in ("host", "h", "bind")} <= {"127.0.0.1"}


def _parameters(command: Any) -> list[Any]:
    import inspect

    return list(inspect.signature(command).parameters.values())


@contextmanager
def webserver(config: Path, *options: str) -> Iterator[tuple[str, int]]:
    """`dagster-webserver` alone over an audit: its address and port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = Path(sys.executable).with_name("dagster-webserver")
    environment = {"AUDIT_CONFIG": str(config), "DAGSTER_HOME": str(prepare_home(load_audit(config))), "PATH": "/usr/bin:/bin",
                   "PYTHONPATH": str(ROOT)}  # fmt: skip
    process = subprocess.Popen(
        [str(program), "-w", str(ROOT / "workspace.yaml"), "-h", "127.0.0.1", "-p", str(port), *options],
        env=environment, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(120):
            try:
                with urllib.request.urlopen(f"{address}/server_info", timeout=5):
                    break
            except OSError:
                assert process.poll() is None
                time.sleep(0.5)
        yield address, port
    finally:
        process.terminate()
        process.wait(timeout=60)


def asked(address: str, query: str) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{address}/graphql", json.dumps({"query": query}).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return dict(json.loads(answer.read()))


ADD_A_KEY = """mutation { addDynamicPartition(partitionKey: "x", partitionsDefName: "subject",
  repositorySelector: {repositoryName: "__repository__", repositoryLocationName: "audit_assets"})
  { __typename } }"""


@pytest.mark.long
@pytest.mark.parametrize(
    ("options", "said"), [((), "AddDynamicPartitionSuccess"), (("--read-only",), "UnauthorizedError")]
)
def test_a_read_only_ui_shows_and_changes_nothing(
    small_audit: Callable[..., Path], tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    with webserver(small_audit(tmp_path), *options) as (address, port):
        shown = asked(address, "{ assetNodes { assetKey { path } } }")
        assert ["imitations"] in [n["assetKey"]["path"] for n in shown["data"]["assetNodes"]]
        assert asked(address, ADD_A_KEY)["data"]["addDynamicPartition"]["__typename"] == said
        assert listening(port) == {"0100007F"}


def listening(port: int) -> set[str]:
    """The addresses, as the kernel writes them, on which somebody listens on a port: 0100007F is 127.0.0.1."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    lines += Path("/proc/net/tcp6").read_text().splitlines()[1:]
    sockets = [line.split() for line in lines]
    return {s[1].split(":")[0] for s in sockets if s[3] == "0A" and int(s[1].split(":")[1], 16) == port}
