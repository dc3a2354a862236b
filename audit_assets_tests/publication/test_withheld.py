"""What the pages count as withheld, per version and per artist."""

import duckdb
import pytest

from audit_assets.publication.queries import across_models
from audit_assets.publication.queries.model import ModelResults
from audit_assets.publication.words import report_tables, version_tables
from audit_assets.warehouse.database import schema

ROWS = [("old", "ada", "ok", 4), ("old", "bo", "blank", 4), ("new", "ada", "refused", 3), ("new", "ada", "failed", 1),
        ("new", "bo", "ok", 3), ("new", "bo", "rewritten", 1), ("new", "ola", "refused", 4)]  # fmt: skip


@pytest.fixture
def connection() -> duckdb.DuckDBPyConnection:
    found = duckdb.connect()
    found.execute(schema({"clip": 2}))
    found.execute(
        "INSERT INTO subjects (subject, name, kind, retired) VALUES ('ada', 'Ada', 'artist', false), ('bo', 'Bo', 'artist', false), "
        "('ola', 'Ola', 'random_name', false)"
    )
    trial = 0
    for version, subject, status, images in ROWS:
        for _ in range(images):
            trial += 1
            row = [version, subject, trial]
            found.execute(
                "INSERT INTO imitations (model_version, subject, template, trial, status) VALUES (?, ?, 0, ?, ?)",
                [*row, status],
            )
            if status in ("refused", "failed"):
                code = "content_policy" if status == "refused" else "HTTP 500"
                found.execute(
                    "INSERT INTO api_answers (model_version, subject, template, trial, status, code) VALUES (?, ?, 0, ?, ?, ?)",
                    [*row, status, code],
                )
    return found


def test_versions_are_compared_by_what_they_withhold_of_artists(connection: duckdb.DuckDBPyConnection) -> None:
    table = version_tables.withheld(across_models.withheld(connection))
    assert table.rows == [
        ("new", "2", "1", "3", "1", "0", "1")
    ]  # a control name is no artist, and a blank image is not withheld


def test_a_report_names_each_name_with_the_servers_codes(connection: duckdb.DuckDBPyConnection) -> None:
    table = report_tables.withheld(ModelResults(connection, "paper", "new", "clip"))
    assert table.rows == [
        ("Ada", "artists", "4", "3", "0", "0", "1", "HTTP 500, content_policy"),
        ("Ola", "random names", "4", "4", "0", "0", "0", "content_policy"),
        ("Bo", "artists", "4", "0", "1", "0", "0", "–"),
    ]
    assert report_tables.withheld(ModelResults(connection, "paper", "old", "clip")).rows == []
