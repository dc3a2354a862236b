"""Audits as processes of their own, and what they leave behind: for tests that kill, fill, freeze or race them."""

import hashlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import duckdb
import pandas as pd

from audit_assets.warehouse.store import vectors


def without_limits() -> dict[str, str]:
    """The environment without the limits of threads that imported benchmarks set, but for the one that all tests have (`conftest`)."""
    kept = "OMP_NUM_THREADS"
    return {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS") or name == kept}


def start(config: Path, environment: Mapping[str, str] | None = None) -> "subprocess.Popen[bytes]":
    """`audit-assets run` in a session of its own, as a terminal or a scheduler starts it: it heeds Ctrl-C."""
    command = [sys.executable, "-m", "audit_assets.cli", "run", "--config", str(config)]
    with open(config.parent / "said.log", "ab") as said:
        return subprocess.Popen(
            command,
            start_new_session=True,
            stdout=said,
            stderr=said,
            env={**without_limits(), **(environment or {})},
            preexec_fn=heed_interrupts,
        )


def heed_interrupts() -> None:
    """A process that was started in the background ignores Ctrl-C, and so would all that it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def free_port() -> int:
    """One on loopback on which nobody listens at the moment."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def said(config: Path) -> str:
    return (config.parent / "said.log").read_text(errors="replace")[-5000:]


def kill(process: "subprocess.Popen[bytes]") -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def cells(config: Path) -> dict[str, int]:
    """Finished cells of imitations and the time each was written."""
    folder = config.parent / "warehouse" / "imitations"
    return {
        str(p.relative_to(folder)): p.stat().st_mtime_ns
        for p in folder.rglob("*.parquet")
        if not p.name.startswith(".")
    }


def kept(config: Path) -> dict[str, str]:
    """sha256 of every image and every table of the warehouse, but for what says which file the database is."""
    root = config.parent / "warehouse"
    return {
        str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in root.rglob("*")
        if p.suffix in (".png", ".parquet", ".csv") and not p.name.startswith(".") and _lasts(p.relative_to(root))
    }


def _lasts(path: Path) -> bool:
    return path.parts[0] not in ("reports", "audit_report", "artist_pages.parquet", "published.parquet")


def published(config: Path) -> dict[str, pd.DataFrame]:
    """Every table of the database, by name; embeddings as bytes, so that they compare bit for bit."""
    with duckdb.connect(str(config.parent / "warehouse" / "audit.duckdb"), read_only=True) as connection:
        tables = [t for (t,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
        frames = {table: connection.table(table).df() for table in sorted(tables)}
    for frame in frames.values():
        if "embedding" in frame:
            frame["embedding"] = [v.tobytes() for v in vectors(frame["embedding"])]
    return frames


def differences(config: Path, undisturbed: Path) -> list[str]:
    """What of an audit is not as in the undisturbed one: files of the warehouse, and tables of the database."""
    ours, theirs = kept(config), kept(undisturbed)
    found = [f"{path}: missing" for path in theirs.keys() - ours.keys()]
    found += [f"{path}: one too many" for path in ours.keys() - theirs.keys()]
    found += [f"{path}: other bytes" for path in ours.keys() & theirs.keys() if ours[path] != theirs[path]]
    return found + wrong_results(config, undisturbed)


def wrong_results(config: Path, undisturbed: Path) -> list[str]:
    """Published tables with other rows than the undisturbed ones. A database that cannot be read publishes nothing."""
    try:
        ours = published(config)
    except duckdb.Error:
        return []
    theirs = published(undisturbed)
    if ours.keys() != theirs.keys():
        return [f"{table}: is only in one database" for table in ours.keys() ^ theirs.keys()]
    return [f"{table}: other rows" for table, frame in theirs.items() if not ours[table].equals(frame)]
