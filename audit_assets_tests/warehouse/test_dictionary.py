"""Every table and column of the published database is explained once, and the words go everywhere."""

from pathlib import Path

import duckdb
import pytest

from audit_assets.config import load_audit
from audit_assets.errors import InputError
from audit_assets.warehouse.contract import reading
from audit_assets.warehouse.dictionary import described
from audit_assets.warehouse.schema import documented, schema, schema_columns
from audit_assets.workspace import Workspace
from docs.data_dictionary import PAGE, page

GLOSSARY = "--   subject: the slug of the name\n\n"


def test_a_column_has_the_words_of_its_line_or_else_those_of_the_list() -> None:
    text = GLOSSARY + (
        "-- One row per work;\n-- in order.\nCREATE TABLE works (\n  subject VARCHAR, \"row\" BIGINT, -- the place (a number); 'x'\n"
        '  at STRUCT(shard VARCHAR, "row" BIGINT)[], -- where\n  PRIMARY KEY (subject, "row"));\n'
    )
    found = described(text)["works"]
    assert found.text == "One row per work; in order."
    assert found.columns == {"subject": "the slug of the name", "row": "the place (a number); 'x'", "at": "where"}


def test_a_column_without_words_is_named() -> None:
    with pytest.raises(ValueError, match=r"does not say what works\.size holds"):
        described(GLOSSARY + "CREATE TABLE works (\n  subject VARCHAR, size BIGINT);\n")


def test_every_table_and_column_of_the_schema_has_words() -> None:
    tables = documented()
    wanted = schema_columns({"<encoder>": 3})
    assert {name.replace("<encoder>", "_encoder_") for name in tables} == set(wanted)
    for name, table in tables.items():
        assert table.text, name
        assert set(table.columns) == wanted[name.replace("<encoder>", "_encoder_")], name


def test_the_published_database_has_no_column_without_words(audited: Path) -> None:
    database = Workspace.of(load_audit(audited)).database
    with reading(database) as connection:
        without = connection.execute(
            "SELECT table_name, column_name FROM duckdb_columns() WHERE NOT internal AND comment IS NULL"
        ).fetchall()
    assert without == []


def test_another_comment_is_no_comment_of_the_schema(tmp_path: Path) -> None:
    path = tmp_path / "audit.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(schema({}))
        connection.execute("INSERT INTO published_from SELECT 'x', version FROM (SELECT 0 AS version)")
    from audit_assets.warehouse.database import SCHEMA_VERSION

    with duckdb.connect(str(path)) as connection:
        connection.execute("UPDATE published_from SET schema_version = $1", [SCHEMA_VERSION])
    with reading(path):
        pass
    with duckdb.connect(str(path)) as connection:
        connection.execute("COMMENT ON COLUMN verdicts.verdict IS 'infringed, or not'")
    with pytest.raises(InputError, match="its comments are not those of the schema"), reading(path):
        pass


def test_the_page_is_made_from_the_schema() -> None:
    assert PAGE.read_text(encoding="utf-8") == page()
