"""Servers of the images API that others wrote, as processes of their own."""

import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from audit_assets_tests.processes import heed_interrupts

_SECONDS = 300


@contextmanager
def running(command: Sequence[str], folder: Path, ready: str, environment: Mapping[str, str]) -> Iterator[None]:
    """Start a server in a folder, with no other environment, wait until the address `ready` answers, and end all that it started."""
    known = {"PATH": os.environ["PATH"], "HOME": str(folder), "NO_PROXY": "127.0.0.1"}
    with (folder / "said.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**known, **environment},
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=heed_interrupts,
        )
    try:
        _wait(ready, process, folder / "said.log")
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait(address: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text(errors="replace")
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{error}: {log.read_text(errors='replace')}") from error
        except OSError:
            time.sleep(0.5)
    raise AssertionError(log.read_text(errors="replace"))
