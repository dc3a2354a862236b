"""The UI of an audit in a headless browser: `make dev` on a free port, and Chromium from the system."""

import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from audit_assets_tests.processes import free_port, heed_interrupts


def chromium() -> str:
    found = next((p for name in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(name))), None)
    assert found, "no Chromium on this machine; install it (Debian: apt-get install chromium)"
    return found


@contextmanager
def page(width: int = 1600, height: int = 1000) -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        try:
            yield browser.new_page(viewport={"width": width, "height": height})
        finally:
            browser.close()


@contextmanager
def served(config: Path, log: Path) -> Iterator[str]:
    """`audit-assets dev` over an audit; yields its address. What it starts ends with it."""
    with serving(config, log) as (_, address):
        yield address


@contextmanager
def serving(
    config: Path,
    log: Path,
    program: Sequence[str] = (sys.executable, "-m", "audit_assets.cli"),
    environment: Mapping[str, str] | None = None,
    host: str = "127.0.0.1",
) -> "Iterator[tuple[subprocess.Popen[bytes], str]]":
    """The same with the process, whose group all that it starts belongs to: it may be killed.

    `program` is another `audit-assets`, `environment` all of its environment.
    """
    port = free_port()
    command = [*program, "dev", "--config", str(config), "--port", str(port), "--host", host]
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=heed_interrupts,
            env=environment,
        )
        try:
            yield process, _when_ready(f"http://{host}:{port}", process, log)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)  # as Ctrl-C does: the UI then ends all that it started
                process.wait(timeout=60)


def _when_ready(address: str, process: "subprocess.Popen[bytes]", log: Path) -> str:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text(encoding="utf-8")
        try:
            with urllib.request.urlopen(f"{address}/server_info", timeout=5):
                return address
        except OSError:
            time.sleep(1)
    raise AssertionError(f"the UI did not start: {log.read_text(encoding='utf-8')}")
