"""What assets read while a driver runs them, and while none does."""

import os
from pathlib import Path

import pytest

from audit_assets.defs.resources import AuditResource, in_use
from audit_assets.errors import InputError
from audit_assets.workspace import Workspace

AUDIT = """\
artist: Ada Example
batch_size: {size}
models: [{{name: m, source: diffusers, path: m}}]
encoders: [{{name: e, kind: image_text, path: e}}]
"""


def test_an_edit_during_a_run_reaches_no_asset_of_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "audit.yaml"
    file.write_text(AUDIT.format(size=3), encoding="utf-8")
    monkeypatch.setenv("AUDIT_CONFIG", str(file))
    with in_use(Workspace.open(file)):
        assert AuditResource().workspace.audit.batch_size == 3
        assert (tmp_path / "warehouse" / "warehouse.json").exists()
        for edited in (AUDIT.format(size=4), "models: ["):
            file.write_text(edited, encoding="utf-8")
            assert AuditResource().workspace.audit.batch_size == AuditResource().audit.batch_size == 3
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("AUDIT_CONFIG", os.path.join(".", "audit.yaml"))
        assert AuditResource().audit.batch_size == 3
    with pytest.raises(InputError, match="not YAML"):
        _ = AuditResource().audit
    file.write_text(AUDIT.format(size=4), encoding="utf-8")
    assert AuditResource().workspace.audit.batch_size == 4


def test_another_audit_is_read_from_its_own_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, size in (("one", 3), ("two", 4)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "audit.yaml").write_text(AUDIT.format(size=size), encoding="utf-8")
    with in_use(Workspace.open(tmp_path / "one" / "audit.yaml")):
        monkeypatch.setenv("AUDIT_CONFIG", str(tmp_path / "two" / "audit.yaml"))
        assert AuditResource().workspace.audit.batch_size == 4
