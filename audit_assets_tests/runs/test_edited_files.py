"""A driver goes by the files as they were at its start, and names those that were edited. `faults/test_edits.py` does this in whole runs."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from audit_assets.config import PROTOCOLS
from audit_assets.defs.resources import AuditResource
from audit_assets.errors import InputError
from audit_assets.runs.driver import driver


def test_a_driver_goes_by_one_reading_and_names_what_was_edited(
    small_audit: Callable[..., Path], miniature: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("AUDIT_CONFIG", "DAGSTER_HOME"):  # the driver sets them
        monkeypatch.setenv(variable, os.environ.get(variable, ""))
    artists, protocol = tmp_path / "artists.csv", tmp_path / "protocol.yaml"
    artists.write_bytes((miniature / "generated" / "artists_small.csv").read_bytes())
    protocol.write_bytes((PROTOCOLS / "paper_2023_small.yaml").read_bytes())
    roster = {"artists": "artists.csv", "criteria": 8, "most_mentioned": 6, "minimum_mentions": 100}
    config = small_audit(tmp_path, roster=roster, protocol="protocol.yaml")
    with driver(config) as d:
        hash_before = d.ws.protocol.generation_hash
        assert d.edits() == []
        content = yaml.safe_load(config.read_text(encoding="utf-8"))
        config.write_text(yaml.safe_dump({**content, "batch_size": 3}), encoding="utf-8")
        protocol.write_text(protocol.read_text(encoding="utf-8").replace("trials: 5", "trials: 6"), encoding="utf-8")
        artists.unlink()
        edited = [config.resolve(), protocol.resolve(), artists.resolve()]
        assert [line.split(": was edited during this run")[0] for line in d.edits()] == [str(file) for file in edited]
        assert AuditResource().workspace.protocol.generation_hash == hash_before
        assert AuditResource().audit.batch_size == 10
        config.write_text("models: [", encoding="utf-8")
        assert AuditResource().workspace.audit.batch_size == 10
    with pytest.raises(InputError, match="not YAML"), driver(config):
        pass
