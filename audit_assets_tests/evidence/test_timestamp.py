"""A timestamp says when an authority saw a signature, to whoever trusts the authority, and says nothing of another signature."""

import base64
import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from audit_assets.cli import app
from audit_assets.errors import InputError
from audit_assets.evidence.archive import export, import_archive
from audit_assets.evidence.signature import sign, signature_file, stamped_when
from audit_assets.evidence.timestamp import LARGEST, asked, claimed, stated
from audit_assets.evidence.verify import verify
from audit_assets_tests.evidence.authority import Authority, serving
from audit_assets_tests.evidence.forging import MODEL, read, workspace_of
from audit_assets_tests.evidence.test_signature import pair


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    with serving(tmp_path_factory.mktemp("authorities") / "one") as found:
        yield found


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that nobody asked."""
    found = Authority(tmp_path_factory.mktemp("authorities") / "other")
    found.prepare()
    return found


@pytest.fixture
def signed(copied: Path, tmp_path: Path, authority: Authority) -> tuple[Path, Path]:
    """The audit file of a signed audit with a timestamp, and the signer's public key."""
    private, public = pair(tmp_path, "auditor")
    command = ["sign", "--config", str(copied), "--model", MODEL, "--key", str(private),
               "--timestamp-authority", authority.address]  # fmt: skip
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    return copied, public


def test_a_timestamp_says_when_a_signature_was_seen(
    signed: tuple[Path, Path], authority: Authority, stranger: Authority
) -> None:
    config, public = signed
    ws = workspace_of(config)
    seen = stamped_when(ws.warehouse, read(config), authority.root).seen
    assert seen is not None
    assert abs(seen - datetime.now(UTC)) < timedelta(minutes=5)
    first = next(iter(verify(ws, MODEL, signer=public, timestamp=authority.root)))
    assert (first.findings, first.unchecked) == ([], [])
    assert f"signed before {seen.astimezone(UTC):%Y-%m-%d %H:%M}" in first.seen
    first = next(iter(verify(ws, MODEL, signer=public, timestamp=stranger.root)))
    assert "its timestamp does not hold" in first.findings[0]
    first = next(iter(verify(ws, MODEL, signer=public)))
    assert first.findings == []
    assert "its timestamp, which names" in first.unchecked[0]


def test_the_authority_sees_a_hash_and_no_word_of_the_audit(signed: tuple[Path, Path], authority: Authority) -> None:
    config, _ = signed
    assert all(MODEL.encode() not in q and read(config).root.encode() not in q for q in authority.queries)


def test_a_timestamp_of_another_signature_does_not_hold(
    signed: tuple[Path, Path], tmp_path: Path, authority: Authority
) -> None:
    """A later signature, by another key, with the timestamp of the earlier one."""
    config, _ = signed
    ws, manifest = workspace_of(config), read(config)
    path = signature_file(ws.warehouse, MODEL)
    earlier = json.loads(path.read_text())["timestamp"]
    private, _ = pair(tmp_path, "later")
    sign(ws.warehouse, manifest, private)
    path.write_text(json.dumps({**json.loads(path.read_text()), "timestamp": earlier}))
    assert "does not hold (Mismatch between messages)" in (
        stamped_when(ws.warehouse, manifest, authority.root).problem or ""
    )


def test_a_signature_without_a_timestamp_lacks_one_only_if_one_is_asked_for(
    copied: Path, tmp_path: Path, authority: Authority
) -> None:
    private, public = pair(tmp_path, "auditor")
    ws = workspace_of(copied)
    sign(ws.warehouse, read(copied), private)
    assert next(iter(verify(ws, MODEL, signer=public))).findings == []
    first = next(iter(verify(ws, MODEL, signer=public, timestamp=authority.root)))
    assert "has no timestamp; ask the signer for one" in first.findings[0]


@pytest.mark.long
def test_an_archive_carries_signature_and_timestamp_and_import_checks_both(
    signed: tuple[Path, Path], tmp_path: Path, authority: Authority, stranger: Authority
) -> None:
    config, public = signed
    _, other = pair(tmp_path, "other")
    out = tmp_path / "evidence.zip"
    export(workspace_of(config), MODEL, out)
    for signer, timestamp, said in (
        (other, authority.root, "is not the signature of"),
        (public, stranger.root, "its timestamp does not hold"),
        (None, authority.root, "name its signer"),
    ):
        with pytest.raises(InputError, match=said):
            import_archive(out, tmp_path / "received", signer=signer, timestamp=timestamp)
        assert not (tmp_path / "received").exists()
    import_archive(out, tmp_path / "received", signer=public, timestamp=authority.root)
    received = workspace_of(tmp_path / "received" / "audit.yaml")
    first = next(iter(verify(received, MODEL, signer=public, timestamp=authority.root)))
    assert first.findings == []
    assert "signed before" in first.seen


def test_an_archive_without_a_signature_is_refused_if_a_signer_is_named(copied: Path, tmp_path: Path) -> None:
    _, public = pair(tmp_path, "auditor")
    export(workspace_of(copied), MODEL, tmp_path / "evidence.zip")
    with pytest.raises(InputError, match=r"signature\.json: cannot be read"):
        import_archive(tmp_path / "evidence.zip", tmp_path / "received", signer=public)
    assert not (tmp_path / "received").exists()


def test_a_signature_of_another_root_is_not_exported(signed: tuple[Path, Path], tmp_path: Path) -> None:
    config, _ = signed
    path = signature_file(workspace_of(config).warehouse, MODEL)
    path.write_text(json.dumps({**json.loads(path.read_text()), "root": "0" * 64}))
    with pytest.raises(InputError, match="signs another root"):
        export(workspace_of(config), MODEL, tmp_path / "evidence.zip")
    assert not (tmp_path / "evidence.zip").exists()


def test_the_wrong_file_as_certificates_is_named(tmp_path: Path, authority: Authority) -> None:
    answer = asked(authority.address, b"message")
    assert claimed(answer) == stated(answer, b"message", authority.root)
    (tmp_path / "text").write_text("no certificate")
    for file, said in ((tmp_path / "text", "holds no certificates in PEM"), (tmp_path / "absent", "cannot be read")):
        with pytest.raises(InputError, match=f"{file.name}: {said}"):
            stated(answer, b"message", file)


def test_a_certificate_of_an_authority_that_may_not_state_the_time_vouches_for_nothing(
    tmp_path: Path, authority: Authority
) -> None:
    """Its own certificate, made for servers, over the same key."""
    plain = Authority(tmp_path / "plain")
    plain.prepare()
    plain.openssl(
        "x509", "-req", "-in", "leaf.csr", "-CA", "root.crt", "-CAkey", "root.key", "-days", "30", "-out", "leaf.crt"
    )
    query = authority.queries[-1]
    with pytest.raises(subprocess.CalledProcessError):  # OpenSSL itself refuses to sign with it
        plain.reply(query)


@pytest.mark.parametrize("answer", [b"", b"nothing", b"0" * (LARGEST + 1)])
def test_an_authority_that_answers_something_else_is_named_and_nothing_is_kept(
    copied: Path, tmp_path: Path, authority: Authority, answer: bytes
) -> None:
    private, _ = pair(tmp_path, "auditor")
    authority.answer = answer
    try:
        with pytest.raises(InputError, match=r"127\.0\.0\.1.*is no timestamp"):
            sign(workspace_of(copied).warehouse, read(copied), private, authority.address)
    finally:
        authority.answer = None
    assert not signature_file(workspace_of(copied).warehouse, MODEL).exists()


def test_the_answer_to_an_earlier_question_is_no_answer(authority: Authority) -> None:
    earlier = asked(authority.address, b"message")
    authority.answer = earlier
    try:
        with pytest.raises(InputError, match="it is about another request"):
            asked(authority.address, b"message")
    finally:
        authority.answer = None


@pytest.mark.parametrize(
    "address",
    [
        "file:///etc/passwd",
        "authority.example",
        "ftp://authority.example",
        "",
        "http://[",
        "https://",
        "https://authority.example:port/",
        "https://authority.example/a b",
        "user:hunter2@authority.example",
    ],
)
def test_what_is_no_address_of_an_authority_is_not_opened(address: str) -> None:
    with pytest.raises(InputError, match="no address of a timestamp authority") as refused:
        asked(address, b"message")
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "address",
    [
        "https://user:hunter2@authority.example/",
        "https://hunter2@authority.example/",
        "https://authority.example/?token=hunter2",
        "https://authority.example/?a=b&sig=hunter2",
    ],
)
def test_an_authoritys_address_with_a_secret_is_refused_and_not_repeated(address: str) -> None:
    with pytest.raises(InputError, match="holds a user, a password or a token") as refused:
        asked(address, b"message")
    assert "hunter2" not in str(refused.value)


def test_an_answer_that_is_not_of_the_web_is_bad_input_and_no_query_is_repeated() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(b"nothing of HTTP\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(
            InputError, match=r"^http://127\.0\.0\.1:\d+/: the timestamp authority does not answer"
        ) as failed:
            asked(f"http://127.0.0.1:{server.getsockname()[1]}/?of=hunter2", b"message")
        thread.join()
    assert "hunter2" not in str(failed.value)


def test_an_authority_that_does_not_answer_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens
        with pytest.raises(InputError, match="does not answer"):
            asked(f"http://127.0.0.1:{taken.getsockname()[1]}/", b"message")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_changed_byte_of_a_timestamp_is_told_or_changes_nothing_that_it_says(
    authority: Authority, data: st.DataObject
) -> None:
    answer = (
        bytearray(asked(authority.address, b"message")) if not hasattr(authority, "kept") else bytearray(authority.kept)
    )
    authority.kept = bytes(answer)  # type: ignore[attr-defined]
    before = stated(bytes(answer), b"message", authority.root)
    answer[data.draw(st.integers(0, len(answer) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        after = stated(bytes(answer), b"message", authority.root)
    except ValueError:
        return
    assert after == before


def test_a_timestamp_is_the_answer_itself_as_other_tools_read_it(
    signed: tuple[Path, Path], tmp_path: Path, authority: Authority
) -> None:
    """OpenSSL verifies what is kept, so nobody needs this program for it."""
    config, _ = signed
    kept = json.loads(signature_file(workspace_of(config).warehouse, MODEL).read_text())
    (tmp_path / "reply").write_bytes(base64.b64decode(kept["timestamp"]))
    (tmp_path / "message").write_text(f"audit-assets root of {MODEL}: {kept['root']}\n{kept['value']}\n")
    authority.openssl(
        "ts", "-verify", "-in", tmp_path / "reply", "-data", tmp_path / "message", "-CAfile", authority.root
    )
