"""What pages say of two versions: how far shares moved, and whom nothing is known of because images are withheld."""

import duckdb
import numpy as np
import pandas as pd
import pytest

from audit_assets.measurement.name_controls import UNREAD
from audit_assets.publication.queries import across_models
from audit_assets.publication.words import version_tables
from audit_assets.results.comparison import by_subject, declared_groups, overall
from audit_assets_tests.results.test_comparison import OPTED_OUT, PEOPLE, PROTOCOL, compared_versions, scored

PROTOCOLS = pd.DataFrame(
    [{"protocol": "one", "generation_hash": "", "measurement_hash": "", "definition": PROTOCOL.model_dump_json()}]
)


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
        "protocols": PROTOCOLS,
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
    assert "by less for 0, and for 22 neither is shown; for 8 it could not be compared." in said
    (group,) = version_tables.groups(across_models.groups(database, "one"))
    assert "it could not be tested" in group
    assert (
        f"{OPTED_OUT} artists who opted out could not be compared. 4 images of v2 show something; a comparison needs 5."
        in group
    )
    assert "Images that a version withholds are no evidence" in group


def test_an_artist_whose_name_is_not_read_is_not_said_to_show_too_little() -> None:
    both = scored([([9] * 30, [10] * 30), ([0] + [9] * 29, [10] * 30)])
    both.loc[both["subject"] == "a00", "correct"] = np.nan  # as `scores` has it
    compared = by_subject(both, ["v1", "v2"], protocol=PROTOCOL)
    people = pd.DataFrame({"subject": compared["subject"], "opted_out": compared["subject"] == "a00"})
    connection = duckdb.connect()
    tables = {
        "model_comparison_by_subject": compared,
        "model_comparison_groups": declared_groups(compared, people, protocol=PROTOCOL),
    }
    for name, table in tables.items():
        connection.from_df(table).create(name)
    (said,) = version_tables.groups(across_models.groups(connection, "one"))
    assert UNREAD[1] in said
    assert f"1 artist who opted out could not be compared. {UNREAD[0]}" in said
    assert "show something" not in said
    assert "withholds" not in said


@pytest.mark.parametrize(
    ("before", "after", "shown", "said"),
    [
        (5, 1, 5, "fell by 80.0 points (95 % interval -96.4 to -19.3): not shown to be more or less than the margin of 25 points."),
        (10, 0, 10, "fell by 100.0 points (95 % interval -100.0 to -60.8): more than the margin of 25 points."),
        (50, 51, 100, "rose by 1.0 points (95 % interval -12.6 to +14.6): less than the margin of 25 points."),
    ],
)  # fmt: skip
def test_a_share_is_within_the_margin_only_if_its_whole_interval_is(
    before: int, after: int, shown: int, said: str
) -> None:
    compared = by_subject(scored([([before], [shown]), ([after], [shown])]), ["v1", "v2"], protocol=PROTOCOL)
    connection = duckdb.connect()
    for name, table in {"model_comparison_by_subject": compared, "protocols": PROTOCOLS}.items():
        connection.from_df(table).create(name)
    (found,) = version_tables.what_changed(across_models.verdict_changes(connection, "one", "e"), "e")
    assert found.endswith(f"the share of identified images {said}")


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
        "reason": "", "settle": "", "moved": False, "because": ["4 images of v2 show something; a comparison needs 5."],
    }  # fmt: skip
    (group,) = version_tables.groups(pd.DataFrame([{**row, "measure": m} for m in ("share", "log_odds")]))
    assert said in group
    assert "1 artist who did not opt out could not be compared" in group
