"""`audit-assets sql`: every row and column in four forms, from an argument, a file or standard input; it only reads."""

import csv
import io
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from audit_assets.cli import app
from audit_assets.errors import InputError
from audit_assets.publication.queries.asked import answer, as_table, write
from audit_assets.warehouse.contract import LOCKED, reading
from audit_assets.warehouse.database import SCHEMA_VERSION, publish

SEED = 2**64 - 1
MEMORY = duckdb.connect()
NUMBER = 12_345
"""More rows than a view of DuckDB shows."""


@pytest.fixture(scope="module")
def audit(small_audit: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An audit file beside a published database that has 12,345 rows of one table."""
    config = small_audit(tmp_path_factory.mktemp("asked"))
    files = pd.DataFrame({"place": "references", "file": [f"{n}.txt" for n in range(NUMBER)], "why": "is no image"})
    version = pd.DataFrame({"inputs_sha256": ["x"], "schema_version": [SCHEMA_VERSION]})
    publish(config.parent / "warehouse" / "audit.duckdb", {"published_from": version, "unread_files": files}, {})
    return config


def said(audit: Path, *words: str, given: str | bytes | None = None) -> str:
    done = CliRunner().invoke(app, ["sql", *words, "--config", str(audit)], input=given)
    assert done.exit_code == 0, done.output
    return done.stdout


def refused(audit: Path, *words: str, given: str | bytes | None = None) -> str:
    done = CliRunner().invoke(app, ["sql", *words, "--config", str(audit)], input=given)
    assert done.exit_code == 2, done.output
    return " ".join(done.output.split())


def test_a_table_has_every_row_and_every_column(audit: Path) -> None:
    lines = said(audit, "FROM unread_files").splitlines()
    assert len(lines) == NUMBER + 3
    assert lines[-1] == f"({NUMBER} rows)"
    wide = said(audit, "SELECT " + ", ".join(f"'{'w' * 60}{n}' AS column_{n}" for n in range(100)))
    assert all(f"{'w' * 60}{n}" in wide for n in range(100))
    assert "..." not in wide
    assert "…" not in wide


def test_csv_json_and_parquet_have_the_same_rows(audit: Path) -> None:
    query = "SELECT row_number() OVER () AS n, * FROM unread_files"
    of_csv = list(csv.DictReader(io.StringIO(said(audit, query, "--format", "csv"))))
    of_json = json.loads(said(audit, query, "--format", "json"))
    done = CliRunner().invoke(app, ["sql", query, "--format", "parquet", "--config", str(audit)])
    of_parquet = pq.read_table(io.BytesIO(done.stdout_bytes)).to_pylist()
    assert len(of_csv) == len(of_json) == len(of_parquet) == NUMBER
    assert [row["file"] for row in of_csv] == [row["file"] for row in of_json] == [row["file"] for row in of_parquet]
    assert of_json == of_parquet


def test_a_query_comes_from_a_file_or_from_standard_input(audit: Path, tmp_path: Path) -> None:
    query = "SELECT 42 AS number -- größer\n"
    (tmp_path / "query.sql").write_text(query, encoding="utf-8-sig")
    wanted = said(audit, query)
    assert "42" in wanted
    assert said(audit, "--file", str(tmp_path / "query.sql")) == wanted
    assert said(audit, given=query) == wanted
    assert said(audit, "-", given=query) == wanted
    assert "give one of them" in refused(audit, query, "--file", str(tmp_path / "query.sql"))
    assert "missing.sql: cannot be read" in refused(audit, "--file", str(tmp_path / "missing.sql"))
    assert "byte 8 is not UTF-8" in refused(audit, given=b"SELECT '\xff'"[:-1].replace(b"'", b"", 1))


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("", "holds no statement"),
        ("/* nothing */", "holds no statement"),
        ("SELECT 1; SELECT 2", "holds 2 statements"),
        ("CREATE TEMP TABLE kept AS SELECT 1", "only reads"),
        ("INSERT INTO unread_files VALUES ('a', 'b', 'c')", "only reads"),
        ("COPY unread_files TO '{folder}/out.csv'", "only reads"),
        ("EXPORT DATABASE '{folder}/out'", "only reads"),
        ("ATTACH '{folder}/other.duckdb' AS other", "only reads"),
        ("INSTALL httpfs", "only reads"),
        ("SET enable_external_access = true", "only reads"),
        ("CALL enable_logging(storage = 'file', storage_path = '{folder}/log')", "only reads"),
        ("FROM read_csv('/etc/passwd')", "disabled"),
        ("FROM read_text('{folder}/audit.yaml')", "disabled"),
        ("FROM glob('/etc/*')", "disabled"),
        ("FROM read_parquet('http://127.0.0.1:9/a.parquet')", "disabled"),
        ("FROM query('COPY unread_files TO ''{folder}/out.csv''')", "Error"),
        ("EXPLAIN ANALYZE COPY unread_files TO '{folder}/out.csv'", "disabled"),
        ("SELECT getenv('HOME')", "does not exist"),
    ],
)
def test_what_does_more_than_read_the_tables_is_refused(audit: Path, query: str, words: str) -> None:
    before = {path: path.read_bytes() for path in audit.parent.rglob("*") if path.is_file()}
    assert words in refused(audit, query.format(folder=audit.parent))
    assert before == {path: path.read_bytes() for path in audit.parent.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "query",
    ["FROM unread_files LIMIT 1", "WITH a AS (SELECT 1) FROM a", "DESCRIBE verdicts", "SUMMARIZE unread_files", "SHOW TABLES",
     "EXPLAIN SELECT 1", "PIVOT unread_files ON place USING count(*) GROUP BY why", "VALUES (1)"],
)  # fmt: skip
def test_what_only_reads_is_answered(audit: Path, query: str) -> None:
    assert said(audit, query).strip()


def test_a_query_that_needs_more_memory_writes_nothing_beside_the_database(
    audit: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(LOCKED, "memory_limit", "40MB")
    monkeypatch.setitem(LOCKED, "threads", "1")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = audit.parent / "warehouse"
    with reading(folder / "audit.duckdb") as connection:
        rows = connection.execute("SELECT hash(range) AS h FROM range(4000000) ORDER BY h")
        assert list(tmp_path.iterdir()) != []
        assert [path.name for path in folder.iterdir()] == ["audit.duckdb"]
        assert rows.fetchone() is not None
    assert list(tmp_path.iterdir()) == []


def in_form(query: str, form: str) -> bytes:
    out = io.BytesIO()
    with MEMORY.cursor() as connection:
        write(answer(connection, query), form, out)
    return out.getvalue()


def test_seeds_names_lists_and_empty_cells_keep_their_value() -> None:
    query = (
        f"SELECT {SEED}::UBIGINT AS seed, NULL AS nothing, '' AS empty, ['a', 'b'] AS list, 'nan'::DOUBLE AS nan, "
        "DATE '2026-11-25' AS day, sum(2) AS total, '=1+1' AS formula, '林 \"風\", 眠' AS name, true AS yes"
    )
    (row,) = json.loads(in_form(query, "json"))
    assert row == {
        "seed": str(SEED), "nothing": None, "empty": "", "list": ["a", "b"], "nan": "nan", "day": "2026-11-25", "total": 2,
        "formula": "=1+1", "name": '林 "風", 眠', "yes": True,
    }  # fmt: skip
    head, cells = in_form(query, "csv").decode().splitlines()
    assert head.startswith('"seed","nothing","empty"')
    assert cells.startswith(f'{SEED},,"","[""a"", ""b""]",nan,"2026-11-25","2","\'=1+1",')
    assert next(csv.reader([cells]))[-2] == '林 "風", 眠'
    assert pq.read_table(io.BytesIO(in_form(query, "parquet"))).to_pylist()[0]["seed"] == SEED


@pytest.mark.parametrize("form", ["json", "parquet"])
def test_two_columns_of_one_name_are_refused_and_not_lost(form: str) -> None:
    with pytest.raises(InputError, match="two columns of the answer have the name 'a'"):
        in_form("SELECT 1 AS a, 2 AS a", form)
    assert in_form("SELECT 1 AS a, 2 AS a", "csv").decode().splitlines() == ['"a","a"', "1,2"]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=20), st.one_of(st.none(), st.text(max_size=20))), min_size=1, max_size=5))
def test_no_text_moves_a_cell_or_a_row(rows: list[tuple[str, str | None]]) -> None:
    texts = pa.table({"a": [a for a, _ in rows], "b": pa.array([b for _, b in rows], pa.string())})
    with MEMORY.cursor() as connection:
        connection.register("texts", texts)
        asked = answer(connection, "SELECT a, b FROM texts")
        table = as_table(asked).split("\n")
        out: dict[str, io.BytesIO] = {form: io.BytesIO() for form in ("csv", "json")}
        for form, file in out.items():
            write(asked, form, file)
    assert len(table) == len(rows) + 3
    assert [(row["a"], row["b"]) for row in json.loads(out["json"].getvalue())] == rows
    assert len(list(csv.reader(io.StringIO(out["csv"].getvalue().decode(), newline="")))) == len(rows) + 1


@pytest.mark.long
def test_a_terminal_gets_a_pager_for_what_is_larger_than_the_screen(audit: Path, tmp_path: Path) -> None:
    pager = tmp_path / "pager"
    pager.write_text(f"#!/bin/sh\ncat > {tmp_path / 'paged'}\n")
    pager.chmod(0o755)

    def asked(query: str, *options: str) -> tuple[int, str]:
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "audit_assets.cli", "sql", query, "--config", str(audit), *options],
            stdin=theirs, stdout=theirs, stderr=theirs,
            env={**os.environ, "PAGER": str(pager), "TERM": "xterm", "COLUMNS": "80", "LINES": "24"},
        )  # fmt: skip
        os.close(theirs)
        shown = b""
        try:
            while piece := os.read(ours, 65536):
                shown += piece
        except OSError:  # Linux ends a terminal so
            pass
        os.close(ours)
        return process.wait(), shown.decode()

    assert "(1 row)" in asked("FROM unread_files LIMIT 1")[1]
    for form in ("csv", "json"):  # a name is no command to the terminal, in whatever form
        shown = asked("SELECT 'ada' || chr(27) || '[2K' || chr(155) || 'x' AS name", "--format", form)[1]
        assert "ada" in shown
        assert not {"\x1b", "\x9b"} & set(shown)
    assert not (tmp_path / "paged").exists()
    code, shown = asked("FROM unread_files")
    assert code == 0, shown
    assert f"({NUMBER} rows)" in (tmp_path / "paged").read_text()
    code, shown = asked("FROM unread_files", "--format", "parquet")
    assert code == 2
    assert "send it to a file" in shown
