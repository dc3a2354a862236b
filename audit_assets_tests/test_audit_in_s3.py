"""The whole small audit with its warehouse in S3: the same tables, the same hashes as on disk."""

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from audit_assets.config import load_audit
from audit_assets.evidence.manifest import manifest_file, read_manifest
from audit_assets.evidence.verify import verify
from audit_assets.publication.queries import database as read
from audit_assets.publication.sealed import sealed
from audit_assets_tests.drive import drive
from audit_assets_tests.evidence.forging import MODEL, findings
from audit_assets_tests.evidence.forging import read as read_evidence
from audit_assets_tests.s3_server import objects, s3_server

PREFIX = "team/small"
BYTES_OF_THE_DATABASE = {"audit.duckdb", "published.parquet", "miniature-1.json"}
"""The database, whose blocks DuckDB orders as it likes, and the files that name its hash."""


def files_of(config: Path) -> dict[str, str]:
    """sha256 of every file of a warehouse but locks and those of BYTES_OF_THE_DATABASE; of a page without the times in its block."""
    root = load_audit(config).local("warehouse/")
    return {
        str(p.relative_to(root)): hashlib.sha256(sealed(p.read_bytes())).hexdigest()
        for p in root.rglob("*")
        if p.is_file() and p.suffix != ".lock" and ".locks" not in p.parts and p.name not in BYTES_OF_THE_DATABASE
    }


def tables_of(database: Path) -> dict[str, pd.DataFrame]:
    with read.opened(database) as connection:
        names = [t for (t,) in connection.execute("SELECT table_name FROM duckdb_tables() ORDER BY ALL").fetchall()]
        return {name: connection.table(name).df() for name in names}


def command(*words: str, config: Path) -> str:
    asked = [sys.executable, "-m", "audit_assets.cli", *words, "--config", str(config)]
    done = subprocess.run(asked, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.long(minutes=6)
def test_an_audit_in_s3_is_the_audit_on_disk(
    audited: Path, small_audit: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with s3_server("audits") as (environment, client):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        config = small_audit(tmp_path / "audit", verdicts=True, warehouse=f"s3://audits/{PREFIX}/")
        steps = drive(config)

        there = {key.removeprefix(f"{PREFIX}/"): content for key, content in objects(client, "audits").items()}
        hashes = {key: hashlib.sha256(sealed(content)).hexdigest() for key, content in there.items()}
        for name in ("audit.duckdb", "published.parquet", "manifests/miniature-1.json"):
            assert hashes.pop(name)
        assert hashes == files_of(audited)
        assert read_manifest(manifest_file(steps.warehouse, MODEL)).root == read_evidence(audited).root
        assert findings(list(verify(steps, MODEL, replay=0, sample=2))) == []
        local = tables_of(load_audit(audited).local("warehouse/audit.duckdb"))
        for name, table in tables_of(steps.database).items():
            pd.testing.assert_frame_equal(table, local.pop(name))
        assert local == {}

        drive(config)  # nothing to do
        assert {key.removeprefix(f"{PREFIX}/"): c for key, c in objects(client, "audits").items()} == there

        said = command("sql", "SELECT count(*) AS images FROM imitations", config=config)
        assert str(len(tables_of(steps.database)["imitations"])) in said
        command("verify", "--no-replay", "--sample", "2", config=config)
        command("export", "--model", "miniature-1", "--out", str(tmp_path / "evidence.zip"), config=config)
        assert (tmp_path / "evidence.zip").stat().st_size > 100_000
        assert {p.name for p in config.parent.iterdir()} == {"audit.yaml", ".dagster"}  # no warehouse beside it
