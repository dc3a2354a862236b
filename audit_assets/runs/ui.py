"""`audit-assets dev`: Dagster's webserver behind a guard, and its daemon, as two processes that end together."""

import errno
import http.client
import ipaddress
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path

from starlette.middleware import Middleware

from audit_assets.errors import InputError
from audit_assets.runs.guard import LOOPBACK
from audit_assets.runs.home import WORKSPACE

WEBSERVER, DAEMON = "dagster-webserver", "dagster-daemon"
ENDING = 60
"""Seconds that the two have for ending what they do; then they are killed."""
_STARTING = 300
_BETWEEN_LOOKS = 0.5


def serve_ui(environment: Mapping[str, str], port: int, tell: Callable[[str], None], address: str = LOOPBACK[0]) -> int:
    """Serve the UI until this process is asked to end, or one of its two processes ends: the exit code.

    InputError if the port is taken. The UI is not left running unless its guard refuses what it must refuse.
    """
    check_port(port, address)
    if not ipaddress.ip_address(address).is_loopback:
        tell(
            f"--host {address}: the UI has no accounts, so every program that reaches this address can start runs and delete their "
            "records; SECURITY.md says how to put accounts in front of it"
        )
    workspace = ["-w", str(Path(environment["DAGSTER_HOME"]) / WORKSPACE.name)]
    ending = threading.Event()
    before = {asked: signal.signal(asked, lambda *_: ending.set()) for asked in (signal.SIGTERM, signal.SIGINT)}
    processes = {
        WEBSERVER: _started(WEBSERVER, [*workspace, "-h", address, "-p", str(port)], environment),
        DAEMON: _started(DAEMON, ["run", *workspace], environment),
    }
    try:
        return _watched(processes, (address, port), ending, tell)
    finally:
        _end(processes.values())
        for asked, handler in before.items():
            signal.signal(asked, handler)


def address_of(host: str) -> str:
    """The IPv4 address that `--host` names. InputError if the guard could not know by which name a browser reaches it."""
    try:
        address = ipaddress.IPv4Address(LOOPBACK[0] if host == "localhost" else host)
    except ValueError:
        raise InputError(f"--host {host}: is no IPv4 address; give one of this machine, such as 127.0.0.1.") from None
    if address.is_unspecified:
        raise InputError(
            f"--host {host}: names every address of this machine, and the guard of the UI must know the one that a browser asks "
            "for; give that address."
        )
    return str(address)


def check_port(port: int, address: str = LOOPBACK[0]) -> None:
    """InputError if another program listens on this port of the address, no port has this number, or the address is not here."""
    try:
        with socket.socket() as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind((address, port))
    except (OSError, OverflowError) as error:
        if getattr(error, "errno", None) == errno.EADDRNOTAVAIL:
            raise InputError(f"--host {address}: is no address of this machine ({error}); give one that is.") from None
        raise InputError(
            f"--port {port}: cannot be listened on ({error}); end the program that has it, or give another --port."
        ) from None


def _started(name: str, arguments: Sequence[str], environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "audit_assets.runs.ui", name, *arguments]
    return subprocess.Popen(command, env=dict(environment), cwd=environment["DAGSTER_HOME"])


def _watched(
    processes: Mapping[str, "subprocess.Popen[bytes]"],
    place: tuple[str, int],
    ending: threading.Event,
    tell: Callable[[str], None],
) -> int:
    guarded, deadline = False, time.monotonic() + _STARTING
    while not ending.wait(_BETWEEN_LOOKS):
        for name, process in processes.items():
            if process.poll() is not None:
                tell(f"{name} ended with {process.returncode}, and the UI with it; start it again")
                return 1
        if not guarded:
            status = _status_for_a_foreign_host(*place)
            guarded = status == 400
            if status not in (None, 400) or time.monotonic() > deadline:
                tell(f"the UI does not refuse a foreign host (status {status}), or did not start; it is ended")
                return 1
    return 0


def _status_for_a_foreign_host(address: str, port: int) -> int | None:
    """What the UI answers to a page that says that its own server is this machine; None while it does not answer."""
    connection = http.client.HTTPConnection(address, port, timeout=10)
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
        _guard_the_webserver(arguments[arguments.index("-h") + 1])
    parent = os.getppid()
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    sys.argv = [name, *arguments]
    run()


def _guard_the_webserver(address: str) -> None:
    """Put the guard and the audit's files in front of Dagster. It builds its webserver's middleware in one method. `serve_ui` asks the running server whether this had effect."""
    from dagster_webserver.webserver import DagsterWebserver

    from audit_assets.runs.guard import guards
    from audit_assets.runs.pages import Pages

    own = DagsterWebserver.build_middleware
    DagsterWebserver.build_middleware = lambda self: [*guards(address), Middleware(Pages), *own(self)]  # type: ignore[method-assign]


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
