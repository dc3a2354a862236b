"""Nodes of a Ray cluster on this machine, each with an environment of its own: started as on a machine of its own, and killed as one is lost."""

import json
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from audit_assets_tests.processes import free_port

RAY = str(Path(sys.executable).with_name("ray"))
OBJECTS = 80_000_000
"""Bytes of a node's object store, which the jobs of an audit do not use."""


@dataclass
class Cluster:
    """Its first node has the dashboard, to which jobs are sent."""

    folder: Path
    cpus: int
    resources: Mapping[str, float]
    """What each node has."""
    token: str = field(default_factory=lambda: secrets.token_hex(32))
    port: int = field(default_factory=free_port)
    dashboard_port: int = field(default_factory=free_port)
    nodes: "list[subprocess.Popen[bytes]]" = field(default_factory=list)

    @property
    def dashboard(self) -> str:
        return f"http://127.0.0.1:{self.dashboard_port}"

    @property
    def access(self) -> dict[str, str]:
        """The environment of nodes and clients."""
        return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self.token, "RAY_USAGE_STATS_ENABLED": "0"}

    def add(self, environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
        """A node that gives its jobs this environment. Returns when the cluster has it."""
        head = ["--head", f"--port={self.port}", f"--dashboard-port={self.dashboard_port}", f"--temp-dir={self.folder}"]
        place = head if not self.nodes else [f"--address=127.0.0.1:{self.port}"]
        own = [
            f"--num-cpus={self.cpus}",
            f"--resources={json.dumps(self.resources)}",
            f"--object-store-memory={OBJECTS}",
        ]
        own.append(f"--dashboard-agent-listen-port={free_port()}")  # two nodes on one machine would take the same one
        with open(self.folder / f"node-{len(self.nodes)}.log", "wb") as said:
            node = subprocess.Popen(
                [RAY, "start", "--block", *place, *own],
                env={**environment, **self.access},
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        self.nodes.append(node)
        self._wait(len(self.nodes))
        return node

    def ask(self, place: str) -> Any:
        """An answer of the dashboard, which asks for the token."""
        request = urllib.request.Request(self.dashboard + place, headers={"Authorization": f"Bearer {self.token}"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def _wait(self, nodes: int) -> None:
        deadline = time.monotonic() + 120
        while self._alive() != nodes:
            logs = "\n".join(p.read_text(errors="replace")[-2000:] for p in self.folder.glob("node-*.log"))
            assert time.monotonic() < deadline, f"not {nodes} nodes after two minutes\n{logs}"
            time.sleep(0.5)

    def _alive(self) -> int:
        try:
            found = self.ask("/nodes?view=summary")["data"]["summary"]
        except (urllib.error.URLError, ConnectionError, TimeoutError):  # the dashboard is not there yet
            return 0
        return sum(node["raylet"].get("state") == "ALIVE" for node in found)


def kill(node: "subprocess.Popen[bytes]") -> None:
    """Every process of a node at once, as when its machine is lost: Ray's own, its workers, and the jobs, which are sessions of their own."""
    try:
        family = [psutil.Process(node.pid), *psutil.Process(node.pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        family = []
    for process in family:
        try:
            process.send_signal(signal.SIGSTOP)  # so that none of them starts another one meanwhile
        except psutil.NoSuchProcess:
            continue
    for process in family:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    node.wait()


@contextmanager
def cluster(cpus: int, resources: Mapping[str, float]) -> Iterator[Cluster]:
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # short, because the paths of sockets are
    made = Cluster(folder, cpus, resources)
    try:
        yield made
    finally:
        for node in made.nodes:
            kill(node)
        shutil.rmtree(folder, ignore_errors=True)
