"""An audit whose embeddings lie beside its database is published, verified and archived like any other."""

import hashlib
import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from audit_assets.cli import app
from audit_assets.errors import InputError
from audit_assets.evidence.archive import export, import_archive
from audit_assets.evidence.files import database_file
from audit_assets.evidence.manifest import make_manifest, manifest_file, read_manifest, root_hash
from audit_assets.evidence.rows import database_rows
from audit_assets.publication.sealed import is_page, sealed_file
from audit_assets.publication.stage import ARTIST_PAGES, PublicationStage
from audit_assets.warehouse import large_tables
from audit_assets.warehouse.large_tables import FOLDER
from audit_assets.workspace import Workspace
from audit_assets_tests.evidence.forging import MODEL, flipped

FEW = 100


@pytest.fixture(scope="module")
def large(audited: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The finished small audit, published as if it were large, with its manifest. Tests change a file and put it back."""
    folder = tmp_path_factory.mktemp("large") / "audit"
    shutil.copytree(audited.parent, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(large_tables, "LARGE", FEW)
        ws = Workspace.open(folder / "audit.yaml")
        ws.database.unlink()
        shutil.rmtree(ws.warehouse.root / "reports")
        for table in (f"audit_report/{MODEL}", ARTIST_PAGES):
            ws.warehouse.path(table).unlink()
        PublicationStage(ws).publish()
        PublicationStage(ws).report(MODEL)
        make_manifest(ws, MODEL)
        yield folder / "audit.yaml"


def beside(config: Path) -> list[Path]:
    return sorted((config.parent / "warehouse" / FOLDER).iterdir())


def findings(config: Path) -> list[str]:
    ws = Workspace.open(config)
    manifest = read_manifest(manifest_file(ws.warehouse, MODEL))
    return [*database_file(ws, manifest).findings, *database_rows(ws, manifest).findings]


@pytest.mark.long
def test_what_was_published_has_the_rows_of_the_warehouse(large: Path, audited: Path) -> None:
    stage = PublicationStage(Workspace.open(large))
    assert stage.is_large(stage.tables())
    assert stage.done()
    assert findings(large) == []
    _, counts, differences = stage.publish()  # which finds it done
    assert differences == []
    assert counts == PublicationStage(Workspace.open(audited)).publish()[1]
    assert len(beside(large)) == 4, "images and works of two encoders"
    manifest = read_manifest(manifest_file(Workspace.open(large).warehouse, MODEL))
    assert [f"{FOLDER}/{p.name}" for p in beside(large)] == [f.path for f in manifest.database.embeddings]
    assert manifest.root == read_manifest(manifest_file(Workspace.open(audited).warehouse, MODEL)).root


@pytest.mark.long
def test_report_pages_and_figures_are_those_of_a_small_database(large: Path, audited: Path) -> None:
    made, small = (config.parent / "warehouse" / "reports" for config in (large, audited))
    for file in sorted(p for p in small.rglob("*") if p.is_file()):
        again = made / file.relative_to(small)
        if is_page(file):
            assert sealed_file(again) == sealed_file(file)
        else:
            assert again.read_bytes() == file.read_bytes()


@pytest.mark.long
def test_the_threshold_is_of_images_and_works_and_of_nothing_else(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = PublicationStage(Workspace.open(large))
    rows = sum(pq.read_metadata(file).num_rows for file in beside(large))
    monkeypatch.setattr(large_tables, "LARGE", rows)
    assert not stage.is_large(stage.tables())
    monkeypatch.setattr(large_tables, "LARGE", rows - 1)
    assert stage.is_large(stage.tables())


@pytest.mark.long
def test_the_command_answers_a_query_on_embeddings_from_any_folder(
    large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (table,) = (p.name.split("-")[0] for p in beside(large) if p.name.startswith("reference_embeddings_miniature_clip"))
    query = f"SELECT count(*) AS n, min(len(embedding)) > 1 AS vectors FROM {table}"  # noqa: S608
    asked = CliRunner().invoke(app, ["sql", query, "--config", str(large), "--format", "csv"])
    assert asked.exit_code == 0, asked.output
    with duckdb.connect(str(large.parent / "warehouse" / "audit.duckdb"), read_only=True) as connection:
        (works,) = connection.execute("SELECT count(*) FROM reference_works").fetchone() or (0,)
    assert asked.stdout.splitlines() == ['"n","vectors"', f"{works},true"]


@pytest.mark.long
def test_a_file_that_changed_is_found_and_published_anew(large: Path) -> None:
    for file in beside(large):
        with flipped(file, file.stat().st_size // 2):
            assert any(f"{file}: was altered" in finding for finding in findings(large))
            assert not PublicationStage(Workspace.open(large)).done()
    file = beside(large)[0]
    file.unlink()
    assert any(f"{file}: is missing" in finding for finding in findings(large))
    PublicationStage(Workspace.open(large)).publish()
    assert file.exists()
    make_manifest(Workspace.open(large), MODEL)
    assert findings(large) == []


@pytest.mark.long
def test_rows_that_the_warehouse_does_not_give_are_found_although_every_hash_agrees(
    large: Path, tmp_path: Path
) -> None:
    """A forger who writes a file, its name, the view, the database and the manifest anew."""
    forged = tmp_path / "audit"
    shutil.copytree(large.parent, forged)
    config, folder = forged / "audit.yaml", forged / "warehouse" / FOLDER
    old = next(p for p in folder.iterdir() if p.name.startswith("reference"))
    table = old.name.split("-")[0]
    rows = pq.read_table(old)
    with large_tables.scratch(folder) as scratch:
        new = large_tables.write(scratch, table, [rows.slice(1), rows.slice(1, 1)])  # one work in place of another
        assert new is not None
        large_tables.place(scratch, folder, [new])
    with duckdb.connect(str(forged / "warehouse" / "audit.duckdb")) as connection:
        connection.execute("SET file_search_path = ?", [str(forged / "warehouse")])
        columns = "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = ? ORDER BY column_index"
        types = dict(connection.execute(columns, [table]).fetchall())
        words = "SELECT column_name, comment FROM duckdb_columns() WHERE table_name = ? AND comment IS NOT NULL"
        said = connection.execute(words, [table]).fetchall()
        (about,) = connection.execute("SELECT comment FROM duckdb_views() WHERE view_name = ?", [table]).fetchone() or (
            "",
        )
        connection.execute(f"DROP VIEW {table}; {large_tables.statement(table, types, new)}")
        connection.execute(f"COMMENT ON VIEW {table} IS '{about}'")
        for column, text in said:
            connection.execute(f"COMMENT ON COLUMN {table}.\"{column}\" IS '{text.replace(chr(39), chr(39) * 2)}'")
    old.unlink()
    ws = Workspace.open(config)
    ws.warehouse.write(
        "published",
        ws.warehouse.read("published").assign(file_sha256=large_tables.sha256(ws.database)),
        PublicationStage(ws).inputs(),
    )
    make_manifest(ws, MODEL)
    found = findings(config)
    assert len(found) == 1, found
    assert f"table {table}: has a row that the warehouse's tables do not give" in found[0] or "not a row" in found[0]


@pytest.mark.long
def test_an_archive_has_the_files_and_an_imported_audit_holds(large: Path, tmp_path: Path) -> None:
    ws, out, received = Workspace.open(large), tmp_path / "evidence.zip", tmp_path / "received"
    export(ws, MODEL, out)
    import_archive(out, received)
    assert [p.name for p in beside(received / "audit.yaml")] == [p.name for p in beside(large)]
    assert findings(received / "audit.yaml") == []


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("reports/planted.html", "no file of embeddings"),
        ("manifests/miniature-2.json", "no file of embeddings"),
        ("audit.embeddings/planted.html", "no file of embeddings"),
        (f"audit.embeddings/reference_embeddings_x-{'0' * 64}.parquet", "no file of embeddings"),
        ("audit.embeddings/reference_embeddings_x-{sha256}.parquet", "is no file that the database names"),
    ],
)
def test_an_archive_brings_no_other_file_by_the_list_that_no_root_covers(
    audited: Path, tmp_path: Path, path: str, said: str
) -> None:
    content, out, forged = b"<script>", tmp_path / "evidence.zip", tmp_path / "forged.zip"
    sha256 = hashlib.sha256(content).hexdigest()
    planted = {"path": path.replace("{sha256}", sha256), "bytes": len(content), "sha256": sha256}
    export(Workspace.open(audited), MODEL, out)
    with zipfile.ZipFile(out) as honest, zipfile.ZipFile(forged, "w") as written:
        for name in honest.namelist():
            member = honest.read(name)
            if name == f"warehouse/manifests/{MODEL}.json":
                manifest = json.loads(member)
                root = manifest["root"]
                manifest["database"]["embeddings"] = [planted]
                assert root_hash(manifest) == root, "so the list must hold without it"
                member = json.dumps(manifest, sort_keys=True, ensure_ascii=False, indent=1).encode() + b"\n"
            written.writestr(name, member)
        written.writestr(f"warehouse/{planted['path']}", content)
    with pytest.raises(InputError, match=said):
        import_archive(forged, tmp_path / "received")
    assert not (tmp_path / "received").exists()


@pytest.mark.long
def test_a_manifest_that_does_not_name_the_files_of_the_database_is_told(large: Path, tmp_path: Path) -> None:
    shutil.copytree(large.parent, tmp_path / "audit")
    ws = Workspace.open(tmp_path / "audit" / "audit.yaml")
    file = manifest_file(ws.warehouse, MODEL)
    content = json.loads(file.read_text())
    gone = content["database"]["embeddings"].pop()
    file.write_text(json.dumps(content))
    assert [gone["path"].split("/")[1] in finding for finding in findings(tmp_path / "audit" / "audit.yaml")] == [True]


@pytest.mark.long
def test_tables_that_were_published_before_an_audit_was_large_hold_too(
    audited: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(large_tables, "LARGE", FEW)
    assert findings(audited) == []
