"""Embeddings that lie beside the database answer like tables, are checked by their names, and let a query reach nothing else."""

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from audit_assets.errors import InputError
from audit_assets.warehouse import large_tables
from audit_assets.warehouse.contract import reading
from audit_assets.warehouse.database import (
    SCHEMA_VERSION,
    Rows,
    files_beside,
    publish,
    published_from,
    row_counts,
    schema,
    schema_columns,
)
from audit_assets.warehouse.large_tables import FOLDER

ENCODERS = {"clip.b-32": 3, "vision": 2}
WORKS, IMAGES, LABELS = "reference_embeddings_clip_b_32", "imitation_embeddings_vision", "label_embeddings_vision"
CATALOGUE = "SELECT table_name, column_name, data_type, comment FROM duckdb_columns() WHERE NOT internal ORDER BY ALL"


def works(rows: int = 5, seed: int = 0) -> pd.DataFrame:
    vectors = np.random.default_rng(seed).normal(size=(rows, 3)).astype(np.float32)
    vectors[0] = np.array([1e-45, -0.0, np.finfo(np.float32).max], dtype=np.float32)
    return pd.DataFrame({"embedding": list(vectors), "work": range(rows), "subject": ["å", *"'" * (rows - 1)]})


def images() -> Iterator[pd.DataFrame]:
    for subject in ("a", "b", "c"):
        vectors = [np.full(2, ord(subject), np.float32)] * 2
        yield pd.DataFrame(
            {"model_version": "m", "subject": subject, "template": [0, -1], "trial": 0, "embedding": vectors}
        )


def published(folder: Path, *, large: bool, seed: int = 0) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "audit.duckdb"
    tables: dict[str, Rows] = {
        WORKS: works(seed=seed),
        IMAGES: images(),
        LABELS: pd.DataFrame({"label": ["a"], "template": [0], "embedding": [np.zeros(2, np.float32)]}),
        "arm_embeddings_vision": iter(()),
        "published_from": pd.DataFrame({"inputs_sha256": ["x"], "schema_version": [SCHEMA_VERSION]}),
    }
    publish(path, tables, ENCODERS, large=large)
    return path


@pytest.fixture
def large(tmp_path: Path) -> Path:
    return published(tmp_path / "quo'ted [1] * {x,y}", large=True)


def test_every_query_has_the_answer_of_a_small_database_wherever_the_process_runs(
    large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = published(tmp_path / "small", large=False)
    assert sorted(files_beside(large)) == [IMAGES, WORKS]
    assert files_beside(small) == {}
    assert not (tmp_path / "small" / FOLDER).exists()
    monkeypatch.chdir(large.parent)
    for folder in (large.parent, tmp_path):
        monkeypatch.chdir(folder)
        with reading(large.absolute(), embeddings=True) as one, reading(small.absolute(), embeddings=True) as other:
            for table in (WORKS, IMAGES, LABELS, "arm_embeddings_vision"):
                query = f"SELECT * FROM {table} ORDER BY ALL"  # noqa: S608
                first, second = (connection.sql(query).to_arrow_table() for connection in (one, other))
                assert first == second
                bits = [np.array(t["embedding"].to_pylist(), np.float32).tobytes() for t in (first, second)]
                assert bits[0] == bits[1]
            assert one.execute(f"SELECT subject FROM {IMAGES} WHERE embedding[1] > 97.5 AND trial = 0").fetchall() == [  # noqa: S608
                ("b",), ("b",), ("c",), ("c",)
            ]  # fmt: skip
    assert row_counts(large) == row_counts(small)
    with reading(large) as one, reading(small) as other:  # types and words are those of the schema
        assert one.execute(CATALOGUE).fetchall() == other.execute(CATALOGUE).fetchall()


def test_every_table_of_embeddings_but_that_of_labels_lies_beside_and_the_contract_knows_it(tmp_path: Path) -> None:
    written = {}
    with duckdb.connect() as connection:
        connection.execute(schema(ENCODERS))
        for table in schema_columns(ENCODERS):
            if table.endswith("_vision") and table != LABELS:
                connection.execute(f"INSERT INTO {table} (embedding) VALUES ([1, 2])")  # noqa: S608
                written[table] = connection.table(table).df()
    assert len(written) == 4
    publish(tmp_path / "audit.duckdb", written, ENCODERS, large=True)
    assert files_beside(tmp_path / "audit.duckdb").keys() == written.keys()
    with reading(tmp_path / "audit.duckdb", embeddings=True) as connection:
        for table in written:
            assert connection.execute(f"SELECT embedding FROM {table}").fetchall() == [((1.0, 2.0),)]  # noqa: S608


def test_a_file_has_the_sha256_of_its_bytes_as_name_and_the_same_rows_give_the_same_file(
    large: Path, tmp_path: Path
) -> None:
    names = sorted(p.name for p in (large.parent / FOLDER).iterdir())
    assert names == sorted(files_beside(large).values())
    assert large_tables.altered(large.parent / FOLDER, names, anew=True) == []
    again = published(tmp_path / "again", large=True)
    assert sorted(p.name for p in (again.parent / FOLDER).iterdir()) == names
    other = published(tmp_path / "other", large=True, seed=1)
    assert files_beside(other)[IMAGES] == files_beside(large)[IMAGES]
    assert files_beside(other)[WORKS] != files_beside(large)[WORKS]


def test_a_program_of_ones_own_reads_the_views_from_the_folder(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    query = f"SELECT count(*) FROM {WORKS}"  # noqa: S608
    elsewhere = duckdb.connect(str(large.absolute()), read_only=True)
    with elsewhere, pytest.raises(duckdb.IOException, match="No files found"):
        elsewhere.execute(query)
    monkeypatch.chdir(large.parent)
    with duckdb.connect("audit.duckdb", read_only=True) as connection:
        assert connection.execute(query).fetchall() == [(5,)]
    moved = shutil.copytree(large.parent, large.parent.with_name("moved"))
    monkeypatch.chdir(moved.parent)
    with duckdb.connect(str(moved / "audit.duckdb"), read_only=True) as connection:
        connection.execute("SET file_search_path = ?", [str(moved)])
        assert connection.execute(query).fetchall() == [(5,)]
    with reading(moved / "audit.duckdb", embeddings=True) as connection:
        assert connection.execute(query).fetchall() == [(5,)]


def test_a_file_of_this_name_in_the_folder_of_the_process_is_not_read(
    large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = tmp_path / "here" / FOLDER
    planted.mkdir(parents=True)
    file = large.parent / FOLDER / files_beside(large)[WORKS]
    pq.write_table(pq.read_table(file).slice(0, 1), planted / file.name)
    monkeypatch.chdir(planted.parent)
    with reading(large, embeddings=True) as connection:
        assert connection.execute(f"SELECT count(*) FROM {WORKS}").fetchall() == [(5,)]  # noqa: S608


@pytest.mark.parametrize("damage", ["missing", "cut", "other bytes", "other rows"])
def test_a_file_that_is_not_what_its_name_says_is_named(large: Path, damage: str) -> None:
    folder, name = large.parent / FOLDER, files_beside(large)[WORKS]
    content = (folder / name).read_bytes()
    if damage == "missing":
        (folder / name).unlink()
    elif damage == "cut":
        (folder / name).write_bytes(content[:-9])
    elif damage == "other bytes":
        (folder / name).write_bytes(content[:40] + bytes([content[40] ^ 1]) + content[41:])
    else:
        pq.write_table(pq.read_table(folder / name).slice(1), folder / name)
    said = large_tables.altered(folder, files_beside(large).values(), anew=True)
    assert len(said) == 1
    assert f"{folder / name}: {'is missing' if damage == 'missing' else 'was altered'}" in said[0]
    assert published_from(large) == "x"  # the database itself is whole
    if damage in ("missing", "cut"):
        with pytest.raises(InputError, match=name), reading(large, embeddings=True):
            pass
        with pytest.raises(InputError, match=name):
            row_counts(large)


@pytest.mark.parametrize(
    "view",
    [
        "SELECT 'a' AS subject, 1 AS work",
        "SELECT subject, work, embedding FROM read_parquet('{file}')",
        "SELECT CAST(subject AS VARCHAR) AS subject, CAST(work AS INTEGER) AS work, CAST(embedding AS FLOAT[3]) AS embedding "
        "FROM read_parquet('{file}') WHERE work > 1",
        "SELECT CAST(subject AS VARCHAR) AS subject, CAST(work AS INTEGER) AS work, CAST(embedding AS FLOAT[3]) AS embedding "
        "FROM read_parquet('{other}')",
        "SELECT CAST(work AS VARCHAR) AS subject, CAST(work AS INTEGER) AS work, CAST(embedding AS FLOAT[3]) AS embedding "
        "FROM read_parquet('{file}')",
        "SELECT CAST(subject AS VARCHAR) AS subject, CAST(work AS INTEGER) AS work FROM read_parquet('{file}')",
    ],
)
def test_a_view_that_is_not_that_of_the_schema_is_refused(
    large: Path, view: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = f"{FOLDER}/{files_beside(large)[WORKS]}"
    other = f"{FOLDER}/other.parquet"
    shutil.copy(large.parent / file, large.parent / other)
    monkeypatch.chdir(large.parent)
    with duckdb.connect("audit.duckdb") as connection:
        connection.execute(f"DROP VIEW {WORKS}; CREATE VIEW {WORKS} AS {view.format(file=file, other=other)}")
    for embeddings in (False, True):
        with pytest.raises(InputError, match=f"the view '{WORKS}'"), reading(large, embeddings=embeddings):
            pass
    assert published_from(large) is None


def test_no_other_table_may_be_a_view_of_a_file(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = f"{FOLDER}/{files_beside(large)[WORKS].replace(WORKS, 'left_out')}"
    monkeypatch.chdir(large.parent)
    with duckdb.connect("audit.duckdb") as connection:
        connection.execute(f"COPY left_out TO '{file}'; DROP TABLE left_out")
        select = f"SELECT CAST(reason AS VARCHAR) AS reason FROM read_parquet('{file}')"  # noqa: S608
        connection.execute(f"CREATE VIEW left_out AS {select}")
    with pytest.raises(InputError, match="the view 'left_out'"), reading(large):
        pass


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_parquet('{folder}/audit.embeddings/other.parquet')",
        "SELECT * FROM glob('{folder}/audit.embeddings/*')",
        "SELECT * FROM read_text('/etc/passwd')",
        "COPY (SELECT 1) TO '{folder}/audit.embeddings/out.csv'",
        "COPY (SELECT 1 AS a) TO '{file}' (FORMAT parquet)",
        "ATTACH '{folder}/other.duckdb'",
        "SET enable_external_access = true",
        "SET allowed_paths = ['/etc/passwd']",
        "SET file_search_path = '/etc'",
        "DELETE FROM verdicts",
    ],
)
def test_a_query_reaches_the_files_of_the_views_and_changes_nothing(large: Path, query: str) -> None:
    folder = large.parent
    file = folder / FOLDER / files_beside(large)[WORKS]
    shutil.copy(file, folder / FOLDER / "other.parquet")
    before = sorted(p.name for p in folder.rglob("*")), large.read_bytes(), file.read_bytes()
    quoted = {"folder": str(folder).replace("'", "''"), "file": str(file).replace("'", "''")}
    with reading(large, embeddings=True) as connection, pytest.raises(duckdb.Error):
        connection.execute(query.format(**quoted)).fetchall()
    assert (sorted(p.name for p in folder.rglob("*")), large.read_bytes(), file.read_bytes()) == before


def test_an_open_reader_keeps_its_rows_and_files_of_earlier_publications_go(large: Path) -> None:
    folder, first = large.parent / FOLDER, files_beside(large)
    (folder / "notes.txt").write_text("of somebody else")
    with reading(large, embeddings=True) as connection:
        published(large.parent, large=True, seed=1)
        kept = connection.execute(f"SELECT subject, work, embedding FROM {WORKS} ORDER BY work").fetchnumpy()  # noqa: S608
        assert np.array(kept["embedding"].tolist()).tobytes() == np.stack(works()["embedding"].to_list()).tobytes()
    second = files_beside(large)
    assert {*first.values(), *second.values(), "notes.txt"} == {p.name for p in folder.iterdir()}
    published(large.parent, large=True, seed=2)
    third = files_beside(large)
    assert {*second.values(), *third.values(), "notes.txt"} == {p.name for p in folder.iterdir()}
    published(large.parent, large=False, seed=2)
    assert {*third.values(), "notes.txt"} == {p.name for p in folder.iterdir()}
    published(large.parent, large=False, seed=2)
    assert [p.name for p in folder.iterdir()] == ["notes.txt"]


def test_a_block_that_cannot_be_read_leaves_database_and_files(large: Path) -> None:
    before = {p: p.read_bytes() for p in large.parent.rglob("*") if p.is_file()}

    def broken() -> Iterator[pd.DataFrame]:
        yield works(seed=3)
        raise InputError("works/b.parquet: damaged")

    with pytest.raises(InputError, match="damaged"):
        publish(large, {WORKS: broken()}, ENCODERS, large=True)
    assert {p: p.read_bytes() for p in large.parent.rglob("*") if p.is_file()} == before
    assert [p for p in (large.parent / FOLDER).iterdir() if p.is_dir()] == []


def test_a_path_of_temporary_files_with_a_comma_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a,b").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "a,b"))
    with pytest.raises(InputError, match=r"a,b/.*TMPDIR"):
        publish(tmp_path / "audit.duckdb", {WORKS: works()}, ENCODERS, large=True)
    assert not (tmp_path / "audit.duckdb").exists()


def test_what_a_killed_publication_left_goes_after_a_day(large: Path) -> None:
    folder = large.parent / FOLDER
    for name, age in ((".old.tmp", 90_000), (".at-work.tmp", 60)):
        (folder / name).mkdir()
        (folder / name / "table.parquet").write_bytes(b"cut off")
        os.utime(folder / name, (time.time() - age,) * 2)
    published(large.parent, large=True)
    assert {".at-work.tmp"} == {p.name for p in folder.iterdir() if p.is_dir()}


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / FOLDER).write_text("a file where the folder should be")
    with pytest.raises(InputError, match=FOLDER):
        publish(tmp_path / "audit.duckdb", {WORKS: works()}, ENCODERS, large=True)
    assert os.listdir(tmp_path) == [FOLDER]
