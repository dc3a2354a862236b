"""The queries behind the report, on values that would break SQL made of strings."""

from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from audit_assets.errors import InputError
from audit_assets.publication.queries import artist as of_artist
from audit_assets.publication.queries import database as read
from audit_assets.publication.queries.model import ModelResults
from audit_assets_tests.measurement.test_matching import rows_of
from audit_assets_tests.publication.conftest import MODELS


@pytest.mark.parametrize(
    ("encoder", "suffix"), [("miniature-clip", "miniature_clip"), ("b/32 Ü", "b_32__"), ("a; DROP x", "a_______x")]
)
def test_only_letters_and_digits_reach_a_table_name(encoder: str, suffix: str) -> None:
    assert read.table_suffix(encoder) == suffix


def test_a_hostile_value_finds_nothing_and_breaks_nothing(database: Path) -> None:
    with read.opened(database) as connection:
        hostile = "x' OR 1=1; DROP TABLE subjects; --"
        assert ModelResults(connection, hostile, hostile, hostile).by_artist().empty
        assert read.reference_hashes(connection, hostile, 3) == []
        with pytest.raises(InputError, match="has no table"):
            read.embeddings(connection, "label_embeddings", hostile)
        with pytest.raises(ValueError, match="not one of"):
            read.embeddings(connection, hostile, "miniature-clip")


def test_the_database_cannot_be_written_through_the_report(database: Path) -> None:
    with read.opened(database) as connection, pytest.raises(duckdb.Error, match="read-only"):
        connection.execute("DELETE FROM subjects")


def test_the_encoder_that_the_audit_marks_is_the_primary_one(database: Path) -> None:
    with read.opened(database) as connection:
        assert read.primary_encoder(connection) == "miniature-clip"
        assert read.primary_encoder(connection, "miniature-dino") == "miniature-dino"


def test_embeddings_come_as_vectors_of_the_encoders_table(database: Path) -> None:
    with read.opened(database) as connection:
        found = read.embeddings(connection, "reference_embeddings", "miniature-dino")
    assert set(found["embedding"].map(len)) == {4}


def test_a_blank_image_and_the_default_labels_are_told_apart(database: Path) -> None:
    with read.opened(database) as connection:
        found = ModelResults(connection, "paper_2023", MODELS[0], "miniature-clip").confusion()
    assert found[["label", "is_default", "images"]].to_numpy().tolist() == [
        ["own name", False, 37],
        ["Artwork", True, 2],
        ["no label (blank or blocked image)", False, 1],
    ]
    assert found["share"].sum() == pytest.approx(1)


def test_a_control_that_could_not_be_tested_has_no_share_of_false_findings() -> None:
    rows = pd.concat(
        [
            rows_of(["a", "b"], [0, 0], p_value=[0.4, np.nan], reason=["", "Too few artists have works."]),
            rows_of(["a", "b"], [0.1, 0], p_value=[0.5, np.nan], control="reassigned"),
        ]
    )
    with duckdb.connect() as connection:
        connection.from_df(rows).create("matching_by_subject")
        found = of_artist.tests(connection, "paper_2023", None).set_index("subject")
    assert found.loc["a", "reassigned"] == 0.1
    assert found["reassigned"].isna().tolist() == [False, True]
