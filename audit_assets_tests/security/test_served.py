"""Who can reach the UI, and what it lets them do."""

import base64
import json
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from audit_assets.cli import app
from audit_assets.config import load_audit
from audit_assets.runs.home import WORKSPACE, prepare_home
from audit_assets_tests.processes import free_port

ROOT = Path(__file__).parents[2]


def test_the_ui_listens_on_loopback_unless_somebody_decides_otherwise(
    small_audit: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Sequence[str]] = {}
    monkeypatch.setattr(
        "audit_assets.runs.ui._started", lambda name, arguments, environment: asked.update({name: arguments})
    )
    monkeypatch.setattr("audit_assets.runs.ui._watched", lambda *_: 0)
    monkeypatch.setattr("audit_assets.runs.ui._end", lambda processes: None)
    command = ["dev", "--config", str(small_audit(tmp_path)), "--port", str(free_port())]
    assert CliRunner().invoke(app, command).exit_code == 0
    arguments = list(asked["dagster-webserver"])
    assert arguments[arguments.index("-h") + 1] == "127.0.0.1"
    parameters = [p for c in app.registered_commands for p in _parameters(c.callback)]
    assert {p.default for p in parameters if p.name in ("host", "h", "bind")} <= {"127.0.0.1"}


def _parameters(command: Any) -> list[Any]:
    import inspect

    return list(inspect.signature(command).parameters.values())


@contextmanager
def webserver(config: Path, *options: str) -> Iterator[tuple[str, int]]:
    """`dagster-webserver` alone over an audit: its address and port."""
    port = free_port()
    program = Path(sys.executable).with_name("dagster-webserver")
    environment = {"AUDIT_CONFIG": str(config), "DAGSTER_HOME": str(prepare_home(load_audit(config))), "PATH": "/usr/bin:/bin",
                   "PYTHONPATH": str(ROOT)}  # fmt: skip
    process = subprocess.Popen(
        [str(program), "-w", str(WORKSPACE), "-h", "127.0.0.1", "-p", str(port), *options],
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


UPGRADE = (
    "GET /graphql HTTP/1.1\r\nHost: audits.example.org\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Protocol: graphql-transport-ws, graphql-ws\r\n{authorization}\r\n"
)


@contextmanager
def nginx_as_documented(folder: Path, behind: int, password: str) -> Iterator[int]:
    """nginx with the server block of SECURITY.md, at a port of its own and with a certificate made here: the port."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin")
    assert program, "there is no nginx on this machine; run `.ci/services` as root (`make test-all` does)"
    found = re.search(r"```nginx\n(.*?)```", (ROOT / "SECURITY.md").read_text(encoding="utf-8"), re.S)
    assert found
    port = free_port()
    key, certificate, users = folder / "audits.key", folder / "audits.pem", folder / "audits.htpasswd"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out", str(certificate),
         "-days", "1", "-subj", "/CN=audits.example.org"], check=True, capture_output=True,
    )  # fmt: skip
    hashed = subprocess.run(
        ["openssl", "passwd", "-6", "-stdin"], input=password, check=True, capture_output=True, text=True
    )
    users.write_text(f"alice:{hashed.stdout}")
    block = found[1]
    for documented, here in {
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl", "/etc/ssl/audits.pem": str(certificate),
        "/etc/ssl/audits.key": str(key), "/etc/nginx/audits.htpasswd": str(users), "127.0.0.1:3001": f"127.0.0.1:{behind}",
    }.items():  # fmt: skip
        assert documented in block
        block = block.replace(documented, here)
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    whole = (
        f"user root; pid {folder}/nginx.pid; daemon off; events {{}} http {{ access_log off; {temporary}\n{block} }}"
    )
    settings = folder / "nginx.conf"
    settings.write_text(whole)
    process = subprocess.Popen([program, "-c", str(settings), "-e", str(folder / "error.log")])
    try:
        for _ in range(100):
            with socket.socket() as client:
                if not client.connect_ex(("127.0.0.1", port)):
                    break
            assert process.poll() is None, (folder / "error.log").read_text()
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.mark.long
def test_the_documented_proxy_asks_for_a_password_and_passes_live_updates_on(
    small_audit: Callable[..., Path], tmp_path: Path
) -> None:
    trusting = ssl._create_unverified_context()
    (tmp_path / "proxy").mkdir()

    def authorization(password: str) -> str:
        return "Basic " + base64.b64encode(f"alice:{password}".encode()).decode()

    def status(port: int, headers: dict[str, str]) -> int:
        request = urllib.request.Request(f"https://127.0.0.1:{port}/server_info", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=30, context=trusting) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return int(error.code)

    def upgraded(port: int, header: str) -> str:
        with socket.create_connection(("127.0.0.1", port), timeout=30) as plain, trusting.wrap_socket(plain) as client:
            client.sendall(UPGRADE.format(authorization=header).encode())
            return client.recv(4096).decode().split("\r\n")[0]

    with (
        webserver(small_audit(tmp_path), "--read-only") as (_, behind),
        nginx_as_documented(tmp_path / "proxy", behind, "correct horse") as port,
    ):
        assert status(port, {}) == 401
        assert status(port, {"Authorization": authorization("wrong")}) == 401
        assert status(port, {"Authorization": authorization("correct horse")}) == 200
        assert " 401 " in upgraded(port, "")
        assert " 101 " in upgraded(port, f"Authorization: {authorization('correct horse')}\r\n")
