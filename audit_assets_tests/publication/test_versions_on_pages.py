"""What pages say of two versions if one of them withheld most images of some artists."""

import duckdb
import pandas as pd
import pytest

from audit_assets.publication.queries import across_models
from audit_assets.publication.words import version_tables
from audit_assets.results.comparison import overall
from audit_assets_tests.results.test_comparison import OPTED_OUT, PEOPLE, PROTOCOL, compared_versions


@pytest.fixture
def database() -> duckdb.DuckDBPyConnection:
    """Two versions; the later one shows four of ten images of the artists who opted out."""
    compared, groups, _ = compared_versions(v1={}, v2={"withheld": 6})
    connection = duckdb.connect()
    tables = {
        "model_comparison_by_subject": compared,
        "model_comparison": overall(compared, protocol=PROTOCOL),
        "model_comparison_groups": groups.reset_index(),
        "subjects": PEOPLE[["subject", "name", "opted_out"]],
    }
    for name, table in tables.items():
        connection.from_df(table).create(name)
    return connection


def test_artists_who_could_not_be_compared_are_counted_and_listed_with_the_reason(
    database: duckdb.DuckDBPyConnection,
) -> None:
    mean = version_tables.changes(across_models.comparisons(database, "one"))
    at = list(mean.columns).index("Not compared")
    assert [row[at] for row in mean.rows] == [str(OPTED_OUT)]
    listed = version_tables.changed_subjects(across_models.compared_subjects(database, "one"), "Artists.")
    assert len(listed.rows) == OPTED_OUT
    assert {row[-1] for row in listed.rows} == {"4 images of v2 show something; a comparison needs 5."}
    (said,) = version_tables.what_changed(across_models.verdict_changes(database, "one", "e"), "e")
    assert f"for {OPTED_OUT} it could not be compared" in said
    (group,) = version_tables.groups(across_models.groups(database, "one"))
    assert "it could not be tested" in group
    assert f"{OPTED_OUT} artists who opted out could not be compared" in group


@pytest.mark.parametrize(
    ("difference", "said"),
    [
        (0.0004, "of the 2 artists who opted out did not change beside that of the 1 artist who did not"),
        (-0.2, "fell by 20.0 points"),
    ],
)
def test_a_change_that_rounds_to_nothing_is_no_fall(difference: float, said: str) -> None:
    row = {
        "model_version": "v1", "later_version": "v2", "encoder": "e", "declared_group": "opted_out", "artists": 2, "others": 1,
        "p_value": 0.5, "difference": difference, "low": -0.3, "high": 0.3, "not_compared": 0, "others_not_compared": 1,
        "reason": "", "settle": "", "moved": False,
    }  # fmt: skip
    (group,) = version_tables.groups(pd.DataFrame([{**row, "measure": m} for m in ("share", "log_odds")]))
    assert said in group
    assert "1 artist who did not opt out could not be compared" in group
