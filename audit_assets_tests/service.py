"""The processes of `docker/compose.yaml` without containers: the same commands, healthchecks and order, on loopback."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from audit_assets_tests.processes import free_port

ROOT = Path(__file__).parents[1]
DOCKER = ROOT / "docker"
COMPOSE = yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


class Service:
    """The processes of the compose file, without containers."""

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        self.folder, self.running = folder, dict[str, subprocess.Popen[bytes]]()
        self.ports = {"4000": free_port(), "3000": free_port()}
        self.environment = {**os.environ, **environment, "AUDIT_CODE_HOST": "127.0.0.1", "PYTHONPATH": str(ROOT)}
        self.environment["AUDIT_CODE_PORT"] = str(self.ports["4000"])
        self.environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"

    def command(self, words: list[str]) -> list[str]:
        """A command of the compose file, on loopback and on ports of the test's own."""
        put = {**{port: str(own) for port, own in self.ports.items()}, "0.0.0.0": "127.0.0.1"}
        words = [put.get(word, word).replace(":3000/", f":{self.ports['3000']}/") for word in words]
        return [sys.executable, "-m", "audit_assets.cli", *words[1:]] if words[0] == "audit-assets" else words

    def once(self, words: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(words), env=self.environment, cwd=ROOT, capture_output=True, text=True)

    def start(self, name: str) -> None:
        with open(self.folder / f"{name}.log", "ab") as said:
            self.running[name] = subprocess.Popen(
                self.command(SERVICES[name]["command"]),
                env=self.environment,
                cwd=ROOT,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        until(lambda: self.healthy(name), f"{name} is healthy", self)

    def healthy(self, name: str) -> bool:
        test = SERVICES[name]["healthcheck"]["test"]
        assert test[0] == "CMD"
        return self.once(test[1:]).returncode == 0

    def kill(self, name: str) -> None:
        """As a container ends: every process of it at once."""
        process = self.running.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def ask(self, query: str, **variables: object) -> dict[str, Any]:
        body = json.dumps({"query": query, "variables": variables}).encode()
        address = f"http://127.0.0.1:{self.ports['3000']}/graphql"
        request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            found: dict[str, Any] = json.load(answer)
        assert "errors" not in found, found
        return found["data"]

    def logs(self) -> str:
        return "\n".join(f"== {p.name}\n{p.read_text(errors='replace')[-3000:]}" for p in self.folder.glob("*.log"))


def until(true: Callable[[], Any], what: str, service: Service, seconds: float = 120) -> Any:
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, f"not within {seconds} s: {what}\n{service.logs()}"
        time.sleep(1)
    return found


def ray_settings() -> dict[str, Any]:
    """The part of dagster.yaml that docs/deployment.md gives for Ray."""
    page = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```yaml\n(run_launcher:.*?)^```", page, re.M | re.S)
    found: dict[str, Any] = yaml.safe_load(block)
    return found
