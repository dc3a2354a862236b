"""Queries over the published ``audit.duckdb`` on results that belong to no single model version.

Two kinds: what the encoders make of real works, and what changed between model versions. Each takes the name of a protocol.
"""

import duckdb
import pandas as pd

from audit_assets.publication.queries import database as read


def auditability(connection: duckdb.DuckDBPyConnection, protocol: str) -> pd.DataFrame:
    """One row per encoder and kind of subject: artists, their real works, works identified, and artists told apart from every other."""
    return read.rows(
        connection,
        "SELECT encoder, kind::VARCHAR AS kind, count(*) AS artists, sum(real_works) AS real_works, sum(correct) AS correct, "
        "count_if(coalesce(told_apart, false)) AS told_apart FROM auditability WHERE protocol = $protocol GROUP BY ALL ORDER BY ALL",
        {"protocol": protocol},
    )


def calibration(connection: duckdb.DuckDBPyConnection, protocol: str) -> pd.DataFrame:
    """One row per encoder with a text side: its temperature, and the calibration error before and after."""
    return read.rows(
        connection, "SELECT * FROM calibration WHERE protocol = $protocol ORDER BY encoder", {"protocol": protocol}
    )


def comparisons(connection: duckdb.DuckDBPyConnection, protocol: str) -> pd.DataFrame:
    """One row per pair of versions, kind of subject, encoder and measure, in the order of the versions."""
    return read.rows(
        connection,
        "SELECT * REPLACE (kind::VARCHAR AS kind) FROM model_comparison WHERE protocol = $protocol ORDER BY rowid",
        {"protocol": protocol},
    )


def compared_subjects(connection: duckdb.DuckDBPyConnection, protocol: str) -> pd.DataFrame:
    """One row per pair of versions, encoder and artist, with the artist's name: only artists that changed, whose verdict changed, or
    whose images the encoder classifies and whose shares could not be compared.

    Control names are left out; ``comparisons`` counts them.
    """
    return read.rows(
        connection,
        "SELECT c.* REPLACE (c.kind::VARCHAR AS kind), s.name, s.opted_out FROM model_comparison_by_subject c "
        "JOIN subjects s USING (subject) WHERE c.protocol = $protocol AND (c.changed OR c.verdict <> c.later_verdict "
        "OR (c.reason IS NOT NULL AND c.label_set IS NOT NULL)) "
        "AND c.kind IN ('artist', 'untrained_artist') "
        "ORDER BY c.rowid",
        {"protocol": protocol},
    )


def verdict_changes(connection: duckdb.DuckDBPyConnection, protocol: str, encoder: str) -> pd.DataFrame:
    """One row per pair of versions and pair of verdicts on artists, by one encoder: artists; how many changed beyond the ``margin``
    of the protocol, stayed ``within`` it (the whole interval of the difference), or could not be compared; and the difference and the
    reason of one of them."""
    margin = read.margin(connection, protocol)
    return read.rows(
        connection,
        "SELECT model_version, later_version, verdict, later_verdict, count(*) AS artists, count_if(coalesce(changed, false)) AS changed, "
        "count_if(low >= -$margin AND high <= $margin) AS within, count_if(reason IS NOT NULL) AS not_compared, any_value(reason) AS reason, "
        "any_value(difference) AS difference, any_value(low) AS low, any_value(high) AS high, $margin::DOUBLE AS margin "
        "FROM model_comparison_by_subject WHERE protocol = $protocol AND encoder = $encoder AND kind IN ('artist', 'untrained_artist') "
        "GROUP BY ALL ORDER BY min(rowid), artists DESC",
        {"protocol": protocol, "encoder": encoder, "margin": margin},
    )


def withheld(connection: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """One row per version that withheld images of artists: artists asked for, artists of whom nothing is shown, images of each status."""
    return read.rows(
        connection,
        "WITH artists AS (SELECT model_version, subject, count(*) FILTER (i.status = 'ok') AS shown, "
        "count(*) FILTER (i.status = 'refused') AS refused, count(*) FILTER (i.status = 'rewritten') AS rewritten, "
        "count(*) FILTER (i.status = 'blocked') AS blocked, count(*) FILTER (i.status = 'failed') AS failed "
        "FROM imitations i JOIN subjects s USING (subject) WHERE s.kind IN ('artist', 'untrained_artist') AND i.template >= 0 "
        "AND i.status NOT IN ('not_supplied', 'copy') GROUP BY ALL) "
        "SELECT model_version, count(*) AS artists, count_if(shown = 0 AND refused + rewritten + blocked + failed > 0) AS untested, "
        "sum(refused) AS refused, sum(rewritten) AS rewritten, sum(blocked) AS blocked, sum(failed) AS failed "
        "FROM artists GROUP BY model_version HAVING sum(refused + rewritten + blocked + failed) > 0 ORDER BY model_version",
    )


def groups(connection: duckdb.DuckDBPyConnection, protocol: str) -> pd.DataFrame:
    """One row per pair of versions, encoder, declared group and measure: whether the group moved further than the others. ``because``:
    the recorded reasons why artists could not be compared, each once."""
    return read.rows(
        connection,
        "SELECT g.*, (SELECT list(DISTINCT c.reason ORDER BY c.reason) FROM model_comparison_by_subject c WHERE c.protocol = g.protocol "
        "AND c.model_version = g.model_version AND c.later_version = g.later_version AND c.encoder = g.encoder AND c.kind = 'artist' "
        "AND c.reason IS NOT NULL) AS because FROM model_comparison_groups g WHERE g.protocol = $protocol ORDER BY g.rowid",
        {"protocol": protocol},
    )


def trends(connection: duckdb.DuckDBPyConnection, protocol: str) -> pd.DataFrame:
    """One row per encoder, kind of subject and measure: the mean change per version, if three versions or more have results."""
    return read.rows(
        connection,
        "SELECT * REPLACE (kind::VARCHAR AS kind) FROM model_trends WHERE protocol = $protocol ORDER BY rowid",
        {"protocol": protocol},
    )
