"""Every query that docs/sql.md shows runs on a real audit of both model versions, and every table is explained there."""

import re
from pathlib import Path

import pandas as pd
import pytest

from audit_assets.publication import read
from audit_assets.warehouse.publish import SCHEMA

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "sql.md").read_text()
QUERIES = re.findall(r"^```sql\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
MAY_BE_EMPTY = ("-- Images that are not usable", "-- Whose mentions may be somebody else's?")


def test_there_are_at_least_fifteen_queries() -> None:
    assert len(QUERIES) >= 15


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.splitlines()[0][3:])
def test_a_query_of_the_page_runs_and_finds_rows(both_versions: Path, query: str) -> None:
    found = _rows(both_versions, query)
    assert len(found) or query.startswith(MAY_BE_EMPTY)
    if "must_be_zero" in found:
        assert (found["must_be_zero"] == 0).all()


def test_every_table_of_the_published_database_is_explained(both_versions: Path) -> None:
    tables = re.findall(r"CREATE TABLE ([a-z_]+(?:<encoder>)?)", SCHEMA.read_text())
    assert len(tables) > 25
    assert [table for table in tables if f"`{table}`" not in PAGE] == []


def _rows(database: Path, query: str) -> pd.DataFrame:
    with read.opened(database) as connection:
        return read.rows(connection, query)
