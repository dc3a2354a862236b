"""Queries over the published ``audit.duckdb`` on other ways to ask, and on whose images a model makes unasked."""

import duckdb
import pandas as pd

from audit_assets.publication.queries import database as read
from audit_assets.publication.queries.model import ModelResults


def arms(results: ModelResults) -> pd.DataFrame:
    """The rows of `arm_results` of a selection, with each subject's name, in the order of the protocol's arms."""
    return results.ask(
        """
        SELECT a.* REPLACE (a.kind::VARCHAR AS kind), s.name
        FROM arm_results a JOIN subjects s USING (subject)
        WHERE protocol = $protocol AND model_version = $model_version AND encoder = $encoder
        ORDER BY a.rowid"""
    )


def leakage(results: ModelResults) -> pd.DataFrame:
    """The rows of `unprompted_leakage` of a selection that have images, with each subject's name, the largest share first."""
    return results.ask(
        """
        SELECT l.* REPLACE (l.kind::VARCHAR AS kind), s.name
        FROM unprompted_leakage l JOIN subjects s USING (subject)
        WHERE protocol = $protocol AND model_version = $model_version AND encoder = $encoder
        ORDER BY asked_for DESC, prompt NULLS FIRST, share DESC NULLS LAST, name, subject"""
    )


def of_artist(connection: duckdb.DuckDBPyConnection, protocol: str, subject: str | None) -> pd.DataFrame:
    """One artist's rows of `arm_results`, or those of all, over all versions and encoders."""
    return read.rows(
        connection,
        "SELECT * FROM arm_results WHERE protocol = $protocol AND (subject = $subject OR $subject IS NULL) ORDER BY rowid",
        {"protocol": protocol, "subject": subject},
    )


def leakage_of(connection: duckdb.DuckDBPyConnection, protocol: str, subject: str | None) -> pd.DataFrame:
    """One artist's rows of `unprompted_leakage`, or those of all, over all versions and encoders."""
    return read.rows(
        connection,
        "SELECT * FROM unprompted_leakage WHERE protocol = $protocol AND (subject = $subject OR $subject IS NULL) ORDER BY rowid",
        {"protocol": protocol, "subject": subject},
    )


def pictures(connection: duckdb.DuckDBPyConnection, subject: str | None, each: int) -> pd.DataFrame:
    """The first images of an artist, or of all, in each arm of every version: model_version, subject, arm, template, trial, prompt, image_sha256, upload_sha256."""
    return read.rows(
        connection,
        """
        SELECT model_version, subject, arm, template, trial, prompt, image_sha256, upload_sha256 FROM arm_images
        WHERE (subject = $subject OR $subject IS NULL) AND image_sha256 IS NOT NULL
        QUALIFY row_number() OVER (PARTITION BY model_version, subject, arm ORDER BY template, trial) <= $each
        ORDER BY rowid""",
        {"subject": subject, "each": each},
    )
