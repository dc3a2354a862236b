"""An archive comes out as it went in, or it is refused and leaves nothing behind."""

import hashlib
import io
import json
import os
import shutil
import stat
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from audit_assets.cli import app
from audit_assets.errors import InputError
from audit_assets.evidence.archive import export, import_archive
from audit_assets.evidence.archive_file import FILE, Archive, archive_root, parse_archive, roots
from audit_assets.evidence.manifest import Manifest, manifest_text, root_hash
from audit_assets.evidence.members import list_members, opened_archive
from audit_assets.evidence.parts import StoredFile, image_path
from audit_assets.evidence.verify import verify
from audit_assets.publication.stage import PublicationStage
from audit_assets_tests.evidence.forging import MODEL, files_checked, findings, flipped, read, workspace_of

MANIFEST = f"warehouse/manifests/{MODEL}.json"
IMAGE, TABLE = "warehouse/images/", f"warehouse/verdicts/{MODEL}.parquet"


@pytest.fixture(scope="module")
def archive(audited: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Only read."""
    out = tmp_path_factory.mktemp("exported") / "evidence.zip"
    export(workspace_of(audited), MODEL, out)
    return out


@pytest.mark.long
def test_what_was_exported_is_imported_and_verified_elsewhere_without_model_or_real_works(
    audited: Path, archive: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "received"
    found = import_archive(archive, folder, root=read(audited).root)
    assert found.left_out == ["real works"]
    steps, original = workspace_of(folder / "audit.yaml"), workspace_of(audited)
    assert read(folder / "audit.yaml") == read(audited)
    for name in ("audit.duckdb", f"reports/{MODEL}/report.html", f"verdicts/{MODEL}.parquet"):
        assert (steps.warehouse.root / name).read_bytes() == (original.warehouse.root / name).read_bytes()
    works = {work.image_sha256 for _, work in read(audited).works()}
    stored = {p.stem for p in (steps.warehouse.root / "images").rglob("*.png")}
    assert stored == {image.image_sha256 for _, image in read(audited).imitations()}
    assert not works & stored
    with duckdb.connect(str(steps.database), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM reference_works").fetchone() == (len(works),)
    checks = list(verify(steps, MODEL))
    assert findings(checks) == []
    said = [line for c in checks for line in c.unchecked]
    for what in (
        "real works: the archive left",
        "miniature-1: its files are not",
        "no image is drawn",
        "matches no file",
    ):
        assert any(what in line for line in said), what
    report, _ = PublicationStage(steps).report(MODEL)
    assert report.read_bytes() == (original.warehouse.root / f"reports/{MODEL}/report.html").read_bytes()


def test_an_imported_audit_is_checked_like_any_other(archive: Path, tmp_path: Path) -> None:
    folder = tmp_path / "received"
    import_archive(archive, folder)
    _, image = next(iter(read(folder / "audit.yaml").imitations()))
    with flipped(folder / "warehouse" / image.path, 50):
        found = findings(files_checked(folder / "audit.yaml"))
    assert any(str(folder / "warehouse" / image.path) in line for line in found)


@pytest.mark.long
def test_of_an_archive_the_command_checks_the_version_that_it_holds(both_versions: Path, tmp_path: Path) -> None:
    """Tables and database are those of all versions, and the manifest of another is nobody's to miss."""
    export(workspace_of(both_versions.parent.parent / "audit.yaml"), "miniature-2", tmp_path / "evidence.zip")
    import_archive(tmp_path / "evidence.zip", tmp_path / "received")
    command = ["verify", "--config", str(tmp_path / "received" / "audit.yaml")]
    said = subprocess.run([sys.executable, "-m", "audit_assets.cli", *command], capture_output=True, text=True)
    assert said.returncode == 0, said.stdout
    assert "miniature-2\n" in said.stdout
    assert "miniature-1\n" not in said.stdout


def test_the_same_evidence_gives_the_same_bytes_with_or_without_what_may_be_left_out(
    audited: Path, archive: Path, tmp_path: Path
) -> None:
    again = tmp_path / "again.zip"
    export(workspace_of(audited), MODEL, again)
    assert again.read_bytes() == archive.read_bytes()
    names = set(zipfile.ZipFile(archive).namelist())
    least = export(workspace_of(audited), MODEL, tmp_path / "least.zip", report=False, scans=False)
    assert least.left_out == ["real works", "report", "scan tables"]
    left = names - set(zipfile.ZipFile(tmp_path / "least.zip").namelist())
    assert {name.split("/")[1] for name in left} >= {"reports", "mention_rows", "captions"}
    assert not any(name.startswith((IMAGE, "warehouse/verdicts")) for name in left)
    export(workspace_of(audited), MODEL, tmp_path / "all.zip", references=True)
    more = set(zipfile.ZipFile(tmp_path / "all.zip").namelist()) - names
    assert more == {f"warehouse/{image_path(w.image_sha256 or '')}" for _, w in read(audited).works()}
    import_archive(tmp_path / "least.zip", tmp_path / "least")
    assert findings(files_checked(tmp_path / "least" / "audit.yaml")) == []


def test_an_archive_that_cannot_lie_where_it_is_asked_says_why(audited: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"e\.zip: there is no folder .*/none; make it"):
        export(workspace_of(audited), MODEL, tmp_path / "none" / "e.zip")
    with pytest.raises(InputError, match=r"cannot be written \(File name too long\); shorten its name"):
        export(workspace_of(audited), MODEL, tmp_path / f"{'e' * 252}.zip")
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_file_is_not_imported(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.zip")
    (tmp_path / "folder.zip").mkdir()
    for file in ("pipe.zip", "folder.zip"):
        with pytest.raises(InputError, match=rf"{file}: is no file; give an archive"):
            import_archive(tmp_path / file, tmp_path / "received")
    with pytest.raises(InputError, match=r"none\.zip: there is no such file"):
        import_archive(tmp_path / "none.zip", tmp_path / "received")
    assert not (tmp_path / "received").exists()


def test_nothing_is_overwritten(audited: Path, archive: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("mine")
    for there in ("taken", "link"):
        if there == "link":
            (tmp_path / there).symlink_to(tmp_path / "nowhere")
        with pytest.raises(InputError, match="is there already, and is not overwritten"):
            export(workspace_of(audited), MODEL, tmp_path / there)
        with pytest.raises(InputError, match="is there already, and is not overwritten"):
            import_archive(archive, tmp_path / there)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="is there already"):
        import_archive(archive, tmp_path / "empty")
    assert (tmp_path / "taken").read_text() == "mine"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty", "link", "taken"]
    with pytest.raises(InputError, match="no such folder"):
        import_archive(archive, tmp_path / "not" / "there")


def test_evidence_that_does_not_hold_is_not_exported(copied: Path, tmp_path: Path) -> None:
    steps = workspace_of(copied)
    _, image = next(iter(read(copied).imitations()))
    path = steps.warehouse.root / image.path
    with flipped(path, 100), pytest.raises(InputError, match=rf"{path}: is not what the manifest says"):
        export(steps, MODEL, tmp_path / "out.zip")
    path.unlink()
    with pytest.raises(InputError, match=rf"{path}: is missing"):
        export(steps, MODEL, tmp_path / "out.zip")
    path.mkdir()
    with pytest.raises(InputError, match=rf"{path}: cannot be read \(Is a directory\); .* move the folder away"):
        export(steps, MODEL, tmp_path / "out.zip")
    assert [p.name for p in tmp_path.iterdir()] == ["audit"]


# ---- archives that were tampered with
Members = dict[str, bytes]
Forge = Callable[[Path, Path], None]


def rewritten(change: Callable[[Members], None]) -> Forge:
    """Members added, taken away or altered."""

    def forge(archive: Path, out: Path) -> None:
        with zipfile.ZipFile(archive) as packed:
            members = {info.filename: packed.read(info) for info in packed.infolist()}
        change(members)
        with zipfile.ZipFile(out, "w") as packed:
            for name, content in members.items():
                packed.writestr(name, content)

    return forge


def with_manifest(change: Callable[[dict], object]) -> Forge:
    """A manifest with a root hash of its own, and everything that follows from it."""

    def forge_members(members: Members) -> None:
        content = json.loads(members[MANIFEST])
        change(content)
        content["root"] = root_hash(content)
        members[MANIFEST] = json.dumps(content, sort_keys=True, ensure_ascii=False, indent=1).encode() + b"\n"
        said = json.loads(members[FILE])
        members[FILE] = json.dumps({**said, "root": content["root"]}, sort_keys=True, indent=1).encode() + b"\n"
        members["audit.yaml"] = yaml.safe_dump(content["audit"], allow_unicode=True).encode()

    return rewritten(forge_members)


def added(name: str, content: bytes = b"x", mode: int = stat.S_IFREG | 0o644, compress: int = 0) -> Forge:
    def forge(archive: Path, out: Path) -> None:
        shutil.copyfile(archive, out)
        with zipfile.ZipFile(out, "a") as packed:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            packed.writestr(info, content, compress_type=compress)

    return forge


def flip(name: str) -> Forge:
    def change(members: Members) -> None:
        found = next(n for n in sorted(members) if n.startswith(name))
        members[found] = members[found][:-1] + bytes([members[found][-1] ^ 1])

    return rewritten(change)


def lengthen(members: Members) -> None:
    members[TABLE] += b"\0"


def cut(keep: float) -> Forge:
    def forge(archive: Path, out: Path) -> None:
        content = archive.read_bytes()
        out.write_bytes(content[: int(len(content) * keep)])

    return forge


def bomb(archive: Path, out: Path) -> None:
    """A member that says of itself that it is small, and unpacks to a gigabyte."""
    added("warehouse/bomb.parquet", bytes(1 << 26), compress=zipfile.ZIP_DEFLATED)(archive, out)
    content = bytearray(out.read_bytes())
    for signature, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = content.rfind(signature)
        struct.pack_into("<I", content, at + place, 10)
    out.write_bytes(content)


def overlapping(archive: Path, out: Path) -> None:
    """Many names for one and the same stretch of bytes."""
    with zipfile.ZipFile(archive) as packed:
        infos = packed.infolist()
        largest = max(infos, key=lambda i: i.file_size)
        for info in infos:
            if info.filename.startswith("warehouse/") and info.filename != MANIFEST:
                info.header_offset, info.file_size = largest.header_offset, largest.file_size
                info.compress_size, info.CRC = largest.compress_size, largest.CRC
        shutil.copyfile(archive, out)
        with zipfile.ZipFile(out, "a") as forged:
            forged.filelist[:] = infos
            forged._didModify = True  # type: ignore[attr-defined] # so that the directory is written anew


def beside(path: str, change: Callable[[Members], bytes]) -> Forge:
    """A file that `archive.json` names beside the manifest's."""

    def forge_members(members: Members) -> None:
        said = json.loads(members[FILE])
        content = members[f"warehouse/{path}"] = change(members)
        entry = {"path": path, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        said["beside"] = [*(e for e in said["beside"] if e["path"] != path), entry]
        members[FILE] = json.dumps(said, sort_keys=True, indent=1).encode() + b"\n"

    return rewritten(forge_members)


def inserted(content: bytes, at: int, more: bytes) -> bytes:
    """An archive with more bytes at a place between its parts, and with the places of all members behind it set right."""
    size, start = struct.unpack_from("<2L", content, len(content) - 10)
    forged, entry = bytearray(content), start
    while entry < start + size:
        (offset,) = struct.unpack_from("<L", content, entry + 42)
        struct.pack_into("<L", forged, entry + 42, offset + (len(more) if offset >= at else 0))
        entry += 46 + sum(struct.unpack_from("<3H", content, entry + 28))
    struct.pack_into("<L", forged, len(content) - 6, start + (len(more) if start >= at else 0))
    return bytes(forged[:at] + more + forged[at:])


def hidden(where: Callable[[zipfile.ZipFile], int]) -> Forge:
    """A second report that the directory does not name. A program that reads from the start unpacks it."""

    def forge(archive: Path, out: Path) -> None:
        secret = io.BytesIO()
        with zipfile.ZipFile(secret, "w") as packed:
            packed.writestr(zipfile.ZipInfo(f"warehouse/reports/{MODEL}/report.html"), "<p>not guilty")
            length = packed.start_dir
        with zipfile.ZipFile(archive) as packed:
            at = where(packed)
        out.write_bytes(inserted(archive.read_bytes(), at, secret.getvalue()[:length]))

    return forge


def with_bytes(change: Callable[[bytearray], object]) -> Forge:
    def forge(archive: Path, out: Path) -> None:
        content = bytearray(archive.read_bytes())
        change(content)
        out.write_bytes(content)

    return forge


def commented(content: bytearray) -> None:
    content[-2:] = b"\x05\x00hello"


def other_size_at_the_member(content: bytearray) -> None:
    struct.pack_into("<2L", content, 18, 1, 1)


HIDDEN = "does not lie as `export` (packs|writes) it, so bytes may be hidden beside it"


def captions_at(path: str) -> Forge:
    return with_manifest(lambda c: c["audit"]["captions"].update(path=path))


NO_STORE = r"captions\.path: .* is neither a local path nor one address that begins"
TAMPERED: dict[str, tuple[Forge, str]] = {
    "an image": (flip(IMAGE), r"images/.*is not what the manifest says"),
    "a table": (flip(TABLE), r"verdicts/miniature-1\.parquet.*is not what the manifest says"),
    "the database": (flip("warehouse/audit.duckdb"), r"audit\.duckdb.*is not what the manifest says"),
    "a report": (flip("warehouse/reports/"), r"reports/.*is not what the manifest says"),
    "the manifest": (flip(MANIFEST), "is not JSON|was altered"),
    "the audit file": (flip("audit.yaml"), "audit.yaml.*does not follow from the manifest"),
    "the protocol": (flip("protocol.yaml"), "protocol.yaml.*does not follow from the manifest"),
    "a file too long": (rewritten(lengthen), "has .* bytes, not"),
    "a file taken away": (rewritten(lambda m: m.__delitem__(TABLE)), "verdicts.*is missing"),
    "the manifest taken away": (rewritten(lambda m: m.__delitem__(MANIFEST)), "manifests.*is missing"),
    "a file more": (added("warehouse/more.parquet"), "more.parquet.*is no file of the manifest"),
    "a file beside the warehouse": (added("run.sh"), "run.sh.*is no file of the manifest"),
    "a path that leads out": (added("../../escaped"), "is no file of the manifest"),
    "a path below that leads out": (added("warehouse/images/../../../escaped"), "is no file of the manifest"),
    "an absolute path": (added("/tmp/escaped"), "is no file of the manifest"),
    "backslashes": (added("..\\escaped"), "is no file of the manifest"),
    "a database beside the manifest's": (
        beside("audit.duckdb", lambda m: m["warehouse/audit.duckdb"][:-1] + b"x"),
        r"archive\.json.*names 'audit\.duckdb', which is neither",
    ),
    "a page beside the manifest's": (
        beside("reports/verdict.html", lambda _: b"guilty"),
        "names 'reports/verdict.html', which is neither",
    ),
    "another index": (
        beside("reports/index.html", lambda m: m["warehouse/reports/index.html"].replace(b"</body>", b"guilty</body>")),
        "index.html.*is not the index that the database gives",
    ),
    "a print of another page": (
        beside(f"reports/{MODEL}/report.pdf", lambda _: b"%PDF guilty"),
        r"report\.pdf.*is no print of the page beside it",
    ),
    "a link": (added("warehouse/link", b"/etc/passwd", stat.S_IFLNK | 0o777), "is a link, a folder or a device"),
    "a device": (added("warehouse/null", b"", stat.S_IFCHR | 0o666), "is a link, a folder or a device"),
    "a folder": (added("warehouse/folder/", b"", stat.S_IFDIR | 0o755), "is a link, a folder or a device"),
    "a name twice": (added(TABLE), "occurs twice"),
    "a compressed member": (added("warehouse/x", bytes(1 << 20), compress=zipfile.ZIP_DEFLATED), "is compressed"),
    "a bomb": (bomb, "is compressed"),
    "overlapping members": (overlapping, "are larger than the archive|has .* bytes, not"),
    "a member before the archive": (
        with_bytes(lambda c: c.__setitem__(slice(0, 0), b"PK\x03\x04" + bytes(26))),
        HIDDEN,
    ),
    "a hidden member at the start": (hidden(lambda _: 0), HIDDEN),
    "a hidden member between two": (hidden(lambda z: z.infolist()[5].header_offset), HIDDEN),
    "a hidden member at the end": (hidden(lambda z: z.start_dir), HIDDEN),
    "a comment": (with_bytes(commented), HIDDEN),
    "another size at the member": (with_bytes(other_size_at_the_member), HIDDEN),
    "cut at the start": (cut(0.0), "no whole archive"),
    "cut in the middle": (cut(0.5), "no whole archive"),
    "cut at the end": (cut(0.9999), "no whole archive"),
    "a manifest that leads out": (
        with_manifest(lambda c: c["tables"][0].update(path="../../escaped.parquet")),
        r"tables\.0\.path: is no manifest",
    ),
    "a hidden path": (
        with_manifest(lambda c: c["tables"][0].update(path="images/.escaped")),
        r"tables\.0\.path: is no manifest",
    ),
    "a warehouse elsewhere": (
        with_manifest(lambda c: c["audit"].update(warehouse="/tmp/escaped")),
        "names paths that export never writes",
    ),
    "a model elsewhere": (
        with_manifest(lambda c: c["audit"]["models"][0].update(path="/etc")),
        "names paths that export never writes",
    ),
    "captions in any file": (captions_at("file:///home/*/x.csv"), NO_STORE),
    "captions of a stranger's server": (captions_at("https://evil.example/x.csv"), NO_STORE),
    "captions in an archive of a server": (captions_at("zip://*.csv::https://evil.example/x.zip"), NO_STORE),
    "captions elsewhere on the machine": (captions_at("/home/*/x.csv"), "names paths that export never writes"),
    "an audit file of other fields": (
        with_manifest(lambda c: c["audit"].update(shell="rm -rf")),
        "audit.yaml.*no such field exists",
    ),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("what", TAMPERED)
def test_an_archive_that_was_tampered_with_is_refused_by_name_and_leaves_nothing(
    archive: Path, tmp_path: Path, what: str
) -> None:
    forge, said = TAMPERED[what]
    forged = tmp_path / "below" / "forged.zip"
    forged.parent.mkdir()
    forge(archive, forged)
    with pytest.raises(InputError, match=f"(?s)forged.zip.*{said}"):
        import_archive(forged, forged.parent / "received")
    assert [p.name for p in tmp_path.rglob("*")] == ["below", "forged.zip"]
    assert not Path("/tmp/escaped").exists()


@given(st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_archive_with_any_bytes_inserted_anywhere_is_refused(
    archive: Path, tmp_path: Path, data: st.DataObject
) -> None:
    """Also if the directory says the right places."""
    content, more = archive.read_bytes(), data.draw(st.binary(min_size=1, max_size=100))
    with zipfile.ZipFile(archive) as packed:
        places = [info.header_offset for info in packed.infolist()] + [packed.start_dir]
    if data.draw(st.booleans()):
        forged = inserted(content, data.draw(st.sampled_from(places)), more)
    else:
        at = data.draw(st.sampled_from([*places, len(content)]) | st.integers(0, len(content)))
        forged = content[:at] + more + content[at:]
    (tmp_path / "forged.zip").write_bytes(forged)
    with pytest.raises(InputError):
        import_archive(tmp_path / "forged.zip", tmp_path / "received")
    assert [p.name for p in tmp_path.iterdir()] == ["forged.zip"]


def test_the_layout_of_an_archive_of_many_gigabytes_is_that_of_export(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the limits of zipfile lowered, so that it writes the records that large archives have."""
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 2000)
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 5)
    large = tmp_path / "large.zip"
    rewritten(lambda _: None)(archive, large)
    assert b"PK\x06\x06" in large.read_bytes()[-98:]
    with opened_archive(large) as packed:
        assert len(list_members(large, packed)) > 5
    content = large.read_bytes()
    for forged in (content[:-98] + b"x" + content[-98:], b"x" + content, content + b"x"):
        large.write_bytes(forged)
        with pytest.raises(InputError), opened_archive(large) as packed:
            list_members(large, packed)


def test_the_page_that_is_kept_is_the_one_that_was_checked(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process may write into the archive's file meanwhile."""
    page, read, times = f"warehouse/reports/{MODEL}/report.html", zipfile.ZipFile.read, []

    def other(packed: zipfile.ZipFile, name: str) -> bytes:
        times.append(name)
        return b"<p>not guilty" if name == page and times.count(page) > 1 else read(packed, name)

    monkeypatch.setattr(zipfile.ZipFile, "read", other)
    import_archive(archive, tmp_path / "received")
    assert page in times
    assert b"not guilty" not in (tmp_path / "received" / page).read_bytes()


def test_the_roots_of_an_archive_cover_what_was_left_out_and_what_was_printed() -> None:
    """An earlier version printed the root without the prints; it still vouches for the rest."""
    plain = Archive(model_version=MODEL, root="0" * 64, left_out=[])
    assert set(roots(plain)) == {plain.root}
    pdf = StoredFile(path=f"reports/{MODEL}/report.pdf", bytes=1, sha256="1" * 64)
    lacking = plain.model_copy(update={"left_out": ["real works"]})
    printed = lacking.model_copy(update={"beside": [pdf]})
    other = lacking.model_copy(update={"beside": [pdf.model_copy(update={"sha256": "2" * 64})]})
    assert roots(lacking)[0] != roots(lacking)[1] == roots(lacking)[2] == roots(printed)[1]
    assert len({*roots(printed), roots(other)[2]}) == 4


def test_import_says_what_no_root_vouches_for(archive: Path, tmp_path: Path) -> None:
    """A PDF can name the page that it claims to be of, and show something else."""
    page = f"warehouse/reports/{MODEL}/report.html"
    named = lambda m: b"%PDF guilty " + hashlib.sha256(m[page]).hexdigest().encode()  # noqa: E731
    forged = tmp_path / "forged.zip"
    beside(f"reports/{MODEL}/report.pdf", named)(archive, forged)
    with zipfile.ZipFile(forged) as packed:
        whole = archive_root(parse_archive(packed.read(FILE).decode(), FILE))
    for root, said in ((root_of(archive), True), (whole, False)):
        done = CliRunner().invoke(app, ["import", str(forged), str(tmp_path / root), "--root", root])
        assert done.exit_code == 0, done.output
        assert ("not vouched for: only the root that `export` printed" in done.output) == said
        assert "index     not checked" not in done.output


def test_an_archive_of_other_evidence_is_told_by_its_root(archive: Path, tmp_path: Path) -> None:
    """It agrees with itself in everything: only who knows the root can tell."""
    forged = tmp_path / "forged.zip"
    with_manifest(lambda c: c["machine"].update(torch="9.9"))(archive, forged)
    with pytest.raises(InputError, match="it is not the evidence that was announced"):
        import_archive(forged, tmp_path / "received", root=root_of(archive))
    assert import_archive(forged, tmp_path / "received").root != root_of(archive)


def root_of(archive: Path) -> str:
    with zipfile.ZipFile(archive) as packed:
        manifest = Manifest.model_validate_json(packed.read(MANIFEST))
        assert manifest_text(manifest).encode() == packed.read(MANIFEST)
    return manifest.root


@pytest.mark.long
@given(st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_flipped_bit_is_refused_or_changed_nothing(
    archive: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """What a zip says of times and systems is no evidence, and may say anything."""
    folder = tmp_path_factory.mktemp("flip")
    forged = folder / "forged.zip"
    shutil.copyfile(archive, forged)
    with flipped(forged, data.draw(st.integers(0, archive.stat().st_size - 1)), data.draw(st.integers(0, 7))):
        try:
            import_archive(forged, folder / "received")
        except InputError:
            assert [p.name for p in folder.iterdir()] == ["forged.zip"]
        else:
            with zipfile.ZipFile(archive) as packed:
                for name in packed.namelist():
                    assert (folder / "received" / name).read_bytes() == packed.read(name)
    shutil.rmtree(folder)
