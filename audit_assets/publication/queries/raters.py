"""Queries on what human raters said."""

from typing import Any

import duckdb
import pandas as pd

from audit_assets.publication.queries import database as read
from audit_assets.publication.queries.model import ModelResults


def agreement(results: ModelResults) -> dict[str, Any] | None:
    """The row of `rater_agreement` of this version; None if no answers were imported."""
    rows = results.ask("SELECT * FROM rater_agreement WHERE protocol = $protocol AND model_version = $model_version")
    return None if rows.empty else {str(k): v for k, v in rows.to_dict("records")[0].items()}


def verdicts(results: ModelResults) -> pd.DataFrame:
    """The raters' answer per artist, beside the answer and the verdict of this page's encoder."""
    return results.ask(
        "SELECT r.*, s.name, v.towards, v.verdict FROM rater_verdicts r JOIN subjects s USING (subject) "
        "LEFT JOIN verdicts v ON v.protocol = r.protocol AND v.model_version = r.model_version AND v.subject = r.subject AND v.encoder = $encoder "
        "WHERE r.protocol = $protocol AND r.model_version = $model_version ORDER BY strip_accents(lower(s.name)), r.subject"
    )


def of_artist(connection: duckdb.DuckDBPyConnection, protocol: str, subject: str) -> pd.DataFrame:
    """The raters' answer about one artist, one row per model version with answers."""
    return read.rows(
        connection,
        "SELECT * FROM rater_verdicts WHERE protocol = $protocol AND subject = $subject ORDER BY model_version",
        {"protocol": protocol, "subject": subject},
    )
