"""A Postgres cluster of the tests' own: Debian's package, a user without rights, loopback, thrown away afterwards."""

import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from audit_assets_tests.processes import free_port

USER = "audit"


def _binaries() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3]))
    if not found:
        pytest.fail("there is no Postgres on this machine; run `.ci/services` as root (`make test-all` does)")
    return found[-1].parent


def _run(*command: str | Path) -> None:
    """As the user postgres where root runs the tests, since the server refuses to run as root."""
    as_user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
    done = subprocess.run([*as_user, *map(str, command)], capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def postgres() -> Iterator[dict[str, str]]:
    """The environment of a client, with the names of `docker/dagster.yaml`, of a server with one empty database."""
    binaries = _binaries()
    folder = Path(tempfile.mkdtemp(prefix="audit-postgres-", dir="/tmp"))
    password, secret = secrets.token_hex(16), folder / "password"
    secret.write_text(password)
    if os.getuid() == 0:
        for path in (folder, secret):
            shutil.chown(path, "postgres", "postgres")
    port = free_port()
    data = folder / "data"
    try:
        _run(
            binaries / "initdb", "-D", data, "-U", USER, "-A", "scram-sha-256", f"--pwfile={secret}", "-N", "-E", "UTF8"
        )
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
        _run(binaries / "pg_ctl", "-D", data, "-w", "-l", folder / "server.log", "-o", options, "start")
        try:
            yield {
                "PGDATA": str(data),
                "DAGSTER_POSTGRES_HOST": "127.0.0.1",
                "DAGSTER_POSTGRES_PORT": str(port),
                "DAGSTER_POSTGRES_USER": USER,
                "DAGSTER_POSTGRES_PASSWORD": password,
                "DAGSTER_POSTGRES_DB": "postgres",
            }
        finally:
            if (data / "postmaster.pid").exists():  # a test may have stopped it
                _run(binaries / "pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
