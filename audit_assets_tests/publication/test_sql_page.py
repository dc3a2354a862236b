"""Every query that docs/sql.md shows runs on the published schema, and every table is explained there."""

import re
from pathlib import Path

import pytest

from audit_assets.publication import read
from audit_assets_tests.publication.conftest import SCHEMA

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "sql.md").read_text()
QUERIES = re.findall(r"^```sql\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)


def test_there_are_at_least_ten_queries() -> None:
    assert len(QUERIES) >= 10


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.splitlines()[0][3:])
def test_a_query_of_the_page_runs_and_finds_rows(database: Path, query: str) -> None:
    with read.opened(database) as connection:
        found = read.rows(connection, query)
    assert len(found)
    if "difference" in found:
        assert (found["difference"] == 0).all()
        assert (found["images"] == 0).all()


def test_every_table_of_the_contract_is_explained() -> None:
    tables = re.findall(r"CREATE TABLE ([a-z_]+(?:<encoder>)?)", SCHEMA.read_text())
    assert len(tables) > 10
    assert [table for table in tables if f"`{table}`" not in PAGE] == []
