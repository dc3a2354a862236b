"""What is opened as a published database holds rows, and nothing that could answer differently for different readers."""

from pathlib import Path

import duckdb
import pandas as pd
import pytest

from audit_assets import hashing
from audit_assets.errors import InputError
from audit_assets.warehouse.contract import log_beside, reading
from audit_assets.warehouse.database import (
    SCHEMA_VERSION,
    files_beside,
    publish,
    published_from,
    row_counts,
    schema_version,
)

ENCODERS = {"clip.b-32": 3}
PUBLISHED_FROM = pd.DataFrame({"inputs_sha256": ["x"], "schema_version": [SCHEMA_VERSION]})


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "audit.duckdb"
    publish(path, {"published_from": PUBLISHED_FROM}, ENCODERS)
    return path


def test_a_published_database_is_read(database: Path) -> None:
    with reading(database) as connection:
        assert connection.execute("SELECT inputs_sha256 FROM published_from").fetchall() == [("x",)]
    assert published_from(database) == "x"
    assert schema_version(database) == SCHEMA_VERSION


def test_a_database_of_another_version_may_have_other_tables_and_any_names_of_columns(database: Path) -> None:
    with duckdb.connect(str(database)) as connection:
        connection.execute("""UPDATE published_from SET schema_version = 0; CREATE TABLE beyond ("as" VARCHAR)""")
    with reading(database) as connection:
        assert connection.execute("SELECT count(*) FROM beyond").fetchall() == [(0,)]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            "ALTER TABLE verdicts RENAME TO kept; CREATE VIEW verdicts AS SELECT * REPLACE "
            "(CASE WHEN current_database() = 'audit' THEN 'imitated' ELSE verdict END AS verdict) FROM kept",
            "the view 'verdicts'",
        ),
        ("CREATE MACRO avg(x) AS 0.0", "the macro 'avg'"),
        ("CREATE MACRO round(x, y) AS 0.0", "the macro 'round'"),
        ("CREATE MACRO verdict_list() AS TABLE SELECT 1", "the macro 'verdict_list'"),
        ("CREATE INDEX i ON verdicts (subject)", "the index 'i'"),
        ("CREATE SEQUENCE s", "the sequence 's'"),
        ("CREATE SCHEMA other; CREATE TABLE other.verdicts AS SELECT 1", "the schema 'other'"),
        ("DROP TABLE verdicts", "has no table 'verdicts'"),
        ("ALTER TABLE verdicts ADD COLUMN more VARCHAR", "the table 'verdicts' is not that of the schema"),
        ("ALTER TABLE verdicts ALTER verdict SET DEFAULT 'imitated'", "the table 'verdicts' computes a column"),
        ("CREATE TABLE more (a INTEGER, b INTEGER GENERATED ALWAYS AS (a + 1))", "the table 'more' computes a column"),
        ("CREATE TABLE more (a INTEGER, b INTEGER AS (a + 1) VIRTUAL)", "the table 'more' computes a column"),
        ("CREATE TABLE more (a INTEGER)", "the table 'more' is none of the schema"),
        ("CREATE TYPE mine AS ENUM ('a')", "its types are not those"),
        (
            "DROP TABLE verdicts; UPDATE published_from SET schema_version = 0; CREATE VIEW verdicts AS SELECT 1",
            "the view 'verdicts'",
        ),
    ],
)
def test_a_catalogue_that_is_not_the_schema_is_refused_by_name(database: Path, change: str, said: str) -> None:
    with duckdb.connect(str(database)) as connection:
        connection.execute(change)
    with pytest.raises(InputError, match=r"audit\.duckdb: .*" + said), reading(database):
        pass
    assert published_from(database) is None  # so it is published anew
    with pytest.raises(InputError):
        row_counts(database)


@pytest.mark.parametrize(
    "query",
    [
        "COPY (SELECT 1) TO '{folder}/out.csv'",
        "EXPORT DATABASE '{folder}/out'",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM glob('/etc/*')",
        "SELECT * FROM 'http://127.0.0.1:9/x.parquet'",
        "ATTACH '{folder}/other.duckdb'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SET threads = 1",
        "CREATE TABLE more (a INTEGER)",
        "DELETE FROM verdicts",
    ],
)
def test_a_query_reaches_no_other_file_and_changes_nothing(database: Path, tmp_path: Path, query: str) -> None:
    before = sorted(p.name for p in tmp_path.iterdir()), database.read_bytes()
    with reading(database) as connection, pytest.raises(duckdb.Error):
        connection.execute(query.format(folder=tmp_path)).fetchall()
    assert (sorted(p.name for p in tmp_path.iterdir()), database.read_bytes()) == before


def test_what_a_program_that_crashed_wrote_is_not_read_and_goes_with_the_next_publication(
    database: Path, tmp_path: Path
) -> None:
    """DuckDB applies the log beside a file to whatever file then has that name."""
    with duckdb.connect(str(tmp_path / "copy.duckdb")) as connection:
        connection.execute("CREATE TABLE t (a INTEGER)")
    log_beside(database).write_bytes(b"a log")
    with pytest.raises(InputError, match=r"audit\.duckdb\.wal: a program opened audit\.duckdb for writing"):
        row_counts(database)
    assert published_from(database) is None
    publish(database, {"published_from": PUBLISHED_FROM}, ENCODERS)
    assert not log_beside(database).exists()
    assert published_from(database) == "x"


def test_a_file_that_another_program_writes_to_or_nobody_may_read_is_not_called_damaged(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for said, remedy in (
        ("IO Error: Could not set lock on file: Conflicting lock is held in PID 7", "close that program"),
        ("IO Error: Cannot open file: Permission denied", "the right to read it"),
    ):

        def refuse(*_: object, said: str = said, **__: object) -> None:
            raise duckdb.IOException(said)

        monkeypatch.setattr("duckdb.connect", refuse)
        with pytest.raises(InputError, match=remedy), reading(database):
            pass


def test_a_database_that_records_an_older_version_answers_queries(database: Path) -> None:
    with duckdb.connect(str(database)) as connection:
        connection.execute("UPDATE published_from SET schema_version = 1")
    assert schema_version(database) == 1
    with reading(database) as connection:
        assert "inputs_sha256" in str(connection.sql("SELECT * FROM published_from"))


def test_what_a_process_knows_of_a_database_ends_with_the_database(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashing, "_TICK", 0.0)  # so that it is kept at once
    assert [published_from(database), published_from(database)] == ["x", "x"]
    assert files_beside(database) == files_beside(database) == {}
    log_beside(database).write_bytes(b"of a program that crashed")
    assert published_from(database) is None
    with pytest.raises(InputError, match=r"opened audit\.duckdb for writing"):
        files_beside(database)
    log_beside(database).unlink()
    assert published_from(database) == "x"
    publish(database, {"published_from": PUBLISHED_FROM.assign(inputs_sha256="y")}, ENCODERS)
    assert published_from(database) == "y"
    database.unlink()
    assert published_from(database) is None
