"""`audit-assets dev`: Dagster's webserver behind a guard, and its daemon, as two processes that end together."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import entry_points

from audit_assets.errors import InputError
from audit_assets.runs.home import WORKSPACE

WEBSERVER, DAEMON = "dagster-webserver", "dagster-daemon"
ENDING = 60
"""Seconds that the two have for ending what they do; then they are killed."""
_STARTING = 300
_BETWEEN_LOOKS = 0.5


def serve_ui(environment: Mapping[str, str], port: int, tell: Callable[[str], None]) -> int:
    """Serve the UI on loopback until this process is asked to end, or one of its two processes ends: the exit code.

    InputError if the port is taken. The UI is not left running unless its guard refuses what it must refuse.
    """
    check_port(port)
    workspace = ["-w", str(WORKSPACE)]
    ending = threading.Event()
    before = {asked: signal.signal(asked, lambda *_: ending.set()) for asked in (signal.SIGTERM, signal.SIGINT)}
    processes = {
        WEBSERVER: _started(WEBSERVER, [*workspace, "-h", "127.0.0.1", "-p", str(port)], environment),
        DAEMON: _started(DAEMON, ["run", *workspace], environment),
    }
    try:
        return _watched(processes, port, ending, tell)
    finally:
        _end(processes.values())
        for asked, handler in before.items():
            signal.signal(asked, handler)


def check_port(port: int) -> None:
    """InputError if another program listens on this port of the loopback address, or no port has this number."""
    try:
        with socket.socket() as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(("127.0.0.1", port))
    except (OSError, OverflowError) as error:
        raise InputError(
            f"--port {port}: cannot be listened on ({error}); end the program that has it, or give another --port."
        ) from None


def _started(name: str, arguments: Sequence[str], environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "audit_assets.runs.ui", name, *arguments]
    return subprocess.Popen(command, env=dict(environment), cwd=environment["DAGSTER_HOME"])


def _watched(
    processes: Mapping[str, "subprocess.Popen[bytes]"], port: int, ending: threading.Event, tell: Callable[[str], None]
) -> int:
    guarded, deadline = False, time.monotonic() + _STARTING
    while not ending.wait(_BETWEEN_LOOKS):
        for name, process in processes.items():
            if process.poll() is not None:
                tell(f"{name} ended with {process.returncode}, and the UI with it; start it again")
                return 1
        if not guarded:
            status = _status_for_a_foreign_host(port)
            guarded = status == 400
            if status not in (None, 400) or time.monotonic() > deadline:
                tell(f"the UI does not refuse a foreign host (status {status}), or did not start; it is ended")
                return 1
    return 0


def _status_for_a_foreign_host(port: int) -> int | None:
    """What the UI answers to a page that says that its own server is this machine; None while it does not answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/server_info", headers={"Host": "foreign.example"})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _end(processes: "Iterable[subprocess.Popen[bytes]]") -> None:
    running = [p for p in processes if p.poll() is None]
    for process in running:
        process.terminate()
    deadline = time.monotonic() + ENDING
    for process in running:
        try:
            process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def main(name: str, arguments: Sequence[str]) -> None:
    """One of the two programs, in this process: it ends when the process that started it is gone."""
    if name not in (WEBSERVER, DAEMON):
        raise SystemExit(f"{name}: is neither {WEBSERVER} nor {DAEMON}")
    (program,) = entry_points(group="console_scripts", name=name)
    run = program.load()
    if name == WEBSERVER:
        _guard_the_webserver()
    parent = os.getppid()
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    sys.argv = [name, *arguments]
    run()


def _guard_the_webserver() -> None:
    """Dagster builds its webserver's middleware in one method. `serve_ui` asks the running server whether this had effect."""
    from dagster_webserver.webserver import DagsterWebserver

    from audit_assets.runs.guard import guards

    own = DagsterWebserver.build_middleware
    DagsterWebserver.build_middleware = lambda self: [*guards(), *own(self)]  # type: ignore[method-assign]


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
