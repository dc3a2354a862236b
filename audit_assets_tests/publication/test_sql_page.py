"""Every query that docs/sql.md shows runs on a real audit of both model versions, and every table is explained there."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from audit_assets.publication.queries import database as read
from audit_assets.warehouse.database import SCHEMA, row_counts

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "sql.md").read_text()
QUERIES = re.findall(r"^```sql\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
MAY_BE_EMPTY = (
    "-- What was left out",
    "-- Of which artists does which version withhold images?",
    "-- Images that are not usable",
    "-- Whose mentions may be another person's?",
    "-- What could not be tested",
    "-- Did the artists who opted out move",
    "-- Artists whose real works the encoder cannot tell",
    "-- Near-identical works",
    "-- What still works",
    "-- Images that reproduce a real work",
    "-- What human raters say",
    "-- Artists whose verdict changed",
    "-- Artists on whom the encoders do not agree",
)


def test_there_are_at_least_fifteen_queries() -> None:
    assert len(QUERIES) >= 15


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.splitlines()[0][3:])
def test_a_query_of_the_page_runs(audited: Path, query: str) -> None:
    _rows(audited.parent / "warehouse" / "audit.duckdb", query)


@pytest.mark.long
@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.splitlines()[0][3:])
def test_a_query_of_the_page_runs_and_finds_rows(both_versions: Path, query: str) -> None:
    found = _rows(both_versions, query)
    assert len(found) or query.startswith(MAY_BE_EMPTY)
    if "must_be_zero" in found:
        assert (found["must_be_zero"] == 0).all()


OTHER = "another"
OWN = {"encoder": "miniature-clip", "model_version": "miniature-1", "protocol": "paper_2023_small"}


@pytest.mark.parametrize("key", OWN)
def test_a_second_one_with_the_same_figures_only_adds_rows_that_name_it(
    audited: Path, tmp_path: Path, key: str
) -> None:
    """A query that neither names nor groups by an encoder, a version or a protocol would double its counts or its rows."""
    path = Path(shutil.copy(audited.parent / "warehouse" / "audit.duckdb", tmp_path / "audit.duckdb"))
    with duckdb.connect(str(path)) as connection:
        before = [_every_row(connection, query) for query in QUERIES]
        tables = connection.execute(
            "SELECT table_name FROM duckdb_columns() JOIN duckdb_tables() USING (table_name) WHERE column_name = ?",
            [key],
        ).fetchall()
        assert len(tables) > 10
        for (table,) in tables:
            more = connection.table(table).filter(f"{key} = '{OWN[key]}'").project(f"* REPLACE ('{OTHER}' AS {key})")
            more.insert_into(table)
        for query, rows in zip(QUERIES, before, strict=True):
            found = _every_row(connection, query)
            assert [row for row in found if OTHER not in row] == rows, query


def _every_row(connection: duckdb.DuckDBPyConnection, query: str) -> list[list[str]]:
    asked = re.sub(r" LIMIT \d+;", ";", query).replace("'paper_2023'", f"'{OWN['protocol']}'")
    return sorted([str(value) for value in row] for row in connection.execute(asked).fetchall())


def test_every_table_of_the_published_database_is_explained() -> None:
    tables = re.findall(r"CREATE TABLE ([a-z_]+(?:<encoder>)?)", SCHEMA.read_text())
    assert len(tables) > 25
    assert [table for table in tables if f"`{table}`" not in PAGE] == []


def _rows(database: Path, query: str) -> pd.DataFrame:
    with read.opened(database) as connection:
        return read.rows(connection, query)


OLD_CLIENT = """
import json, os, sys
import duckdb
audit = duckdb.connect(sys.argv[1], read_only=True)
tables = [name for (name,) in audit.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
counts = {name: audit.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in tables}
length = audit.execute("SELECT len(embedding) FROM imitation_embeddings_miniature_clip LIMIT 1").fetchone()[0]
print(json.dumps([duckdb.__version__, counts, length]))
"""


@pytest.mark.long
def test_an_older_client_reads_every_table(both_versions: Path, tmp_path: Path) -> None:
    """DuckDB 1.2, the first that knows the storage version that is written; skipped where no package can be fetched."""
    folder = tmp_path / "older"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder), "duckdb==1.2.*"]
    if subprocess.run(pip, capture_output=True).returncode:
        pytest.skip("the older client cannot be fetched here")
    done = subprocess.run(
        [sys.executable, "-c", OLD_CLIENT, str(both_versions)],
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    version, counts, length = json.loads(done.stdout)
    assert version.startswith("1.2.")
    assert counts == row_counts(both_versions)
    assert counts["imitations"] > 0
    assert length == _rows(both_versions, "SELECT dimension FROM encoders WHERE encoder = 'miniature-clip'").iloc[0, 0]


def test_the_file_is_read_while_another_process_publishes_it_again(audited: Path, tmp_path: Path) -> None:
    path = shutil.copy(audited.parent / "warehouse" / "audit.duckdb", tmp_path / "audit.duckdb")
    with read.opened(Path(path)) as connection:
        before = connection.execute("SELECT count(*) FROM imitations").fetchone()
        again = f"from audit_assets.warehouse.database import publish; from pathlib import Path; publish(Path({str(path)!r}), {{}}, {{}})"
        subprocess.run([sys.executable, "-c", again], check=True)
        assert connection.execute("SELECT count(*) FROM imitations").fetchone() == before
    with read.opened(Path(path)) as connection:
        assert connection.execute("SELECT count(*) FROM imitations").fetchone() == (0,)
