"""A signature says who vouches for a root, and for no other."""

import json
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from audit_assets.cli import app
from audit_assets.errors import InputError
from audit_assets.evidence.signature import sign, signature_file, unsigned
from audit_assets.evidence.verify import verify
from audit_assets_tests.evidence.forging import MODEL, forge_manifest, read, workspace_of


def pair(folder: Path, name: str, algorithm: str = "ed25519") -> tuple[Path, Path]:
    """A key pair as OpenSSL makes it: private, public."""
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    subprocess.run(["openssl", "genpkey", "-algorithm", algorithm, "-out", private], check=True, capture_output=True)
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True, capture_output=True)
    return private, public


def test_a_signed_root_is_vouched_for_by_its_signer_and_by_nobody_else(copied: Path, tmp_path: Path) -> None:
    private, public = pair(tmp_path, "auditor")
    _, other = pair(tmp_path, "other")
    warehouse, manifest = workspace_of(copied).warehouse, read(copied)
    assert "signature.json: cannot be read" in (unsigned(warehouse, manifest, public) or "")
    done = CliRunner().invoke(app, ["sign", "--config", str(copied), "--model", MODEL, "--key", str(private)])
    assert done.exit_code == 0, done.output
    assert unsigned(warehouse, manifest, public) is None
    assert "is not the signature of" in (unsigned(warehouse, manifest, other) or "")
    first = next(iter(verify(workspace_of(copied), MODEL, signer=public)))
    assert (first.findings, first.unchecked) == ([], [])
    assert "is not the signature of" in next(iter(verify(workspace_of(copied), MODEL, signer=other))).findings[0]


def test_a_manifest_that_was_written_anew_is_not_signed(copied: Path, tmp_path: Path) -> None:
    private, public = pair(tmp_path, "auditor")
    sign(workspace_of(copied).warehouse, read(copied), private)
    forge_manifest(copied, lambda content: content["machine"].update(torch="1.0"))
    assert "signs another root" in next(iter(verify(workspace_of(copied), MODEL, signer=public))).findings[0]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_changed_byte_of_a_signature_is_told(audited: Path, tmp_path: Path, data: st.DataObject) -> None:
    private, public = tmp_path / "auditor.pem", tmp_path / "auditor.pub"
    if not private.exists():
        pair(tmp_path, "auditor")
    warehouse, manifest = workspace_of(audited).warehouse, read(audited)
    path = sign(warehouse, manifest, private)
    try:
        before = json.loads(path.read_text())
        content = bytearray(path.read_bytes())
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        path.write_bytes(content)
        told = unsigned(warehouse, manifest, public)
        try:
            same = json.loads(content) == before
        except ValueError:
            same = False
        assert (told is None) == same
    finally:
        path.unlink()


@pytest.mark.parametrize("what", ["rsa", "no key", "missing"])
def test_a_key_that_cannot_sign_is_named_with_how_to_make_one(copied: Path, tmp_path: Path, what: str) -> None:
    key = tmp_path / "key.pem"
    if what == "rsa":
        key, _ = pair(tmp_path, "rsa", "rsa")
    elif what == "no key":
        key.write_text("no key")
    with pytest.raises(InputError, match=key.name):
        sign(workspace_of(copied).warehouse, read(copied), key)
    assert not signature_file(workspace_of(copied).warehouse, MODEL).exists()
