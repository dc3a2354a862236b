"""Queries over the published ``audit.duckdb`` on what was measured: of one model version by one encoder, by every encoder, and
between versions. Values are bound, never formatted into SQL.
"""

import duckdb
import pandas as pd

from audit_assets.publication.queries import database as read

PAPER_TEST = "rank_sum_asymptotic"
PAPER_ADJUSTMENT = "bonferroni"


def identification_summary(
    connection: duckdb.DuckDBPyConnection, protocol: str, model_version: str, encoder: str
) -> pd.DataFrame:
    """Experiment 1, one row a label set, kind and kind of name."""
    return read.rows(
        connection,
        "SELECT * REPLACE (kind::VARCHAR AS kind) FROM identification_summary "
        "WHERE protocol = $protocol AND model_version = $model_version AND encoder = $encoder "
        "ORDER BY label_set, kind, shares_name_parts",
        {"protocol": protocol, "model_version": model_version, "encoder": encoder},
    )


def matching_summary(
    connection: duckdb.DuckDBPyConnection, protocol: str, model_version: str, encoder: str
) -> pd.DataFrame:
    """The paper's test for artists, one row an alternative and control."""
    return read.rows(
        connection,
        "SELECT alternative, control, subjects, significant, share FROM matching_summary "
        "WHERE protocol = $protocol AND model_version = $model_version AND encoder = $encoder "
        "AND test = $test AND adjustment = $adjustment AND kind = 'artist' ORDER BY alternative, control",
        {
            "protocol": protocol,
            "model_version": model_version,
            "encoder": encoder,
            "test": PAPER_TEST,
            "adjustment": PAPER_ADJUSTMENT,
        },
    )


def matching_by_artist(
    connection: duckdb.DuckDBPyConnection,
    protocol: str,
    model_version: str,
    encoder: str,
    alternative: str = "two_sided",
) -> pd.DataFrame:
    """The paper's test artist by artist, smallest p first."""
    return read.rows(
        connection,
        "SELECT subject, name, p_value, p_adjusted, significant FROM matching_by_subject "
        "JOIN subjects USING (subject) "
        "WHERE protocol = $protocol AND model_version = $model_version AND encoder = $encoder AND test = $test "
        "AND adjustment = $adjustment AND alternative = $alternative AND control = 'none' "
        "AND subjects.kind = 'artist' ORDER BY p_value, subject",
        {
            "protocol": protocol,
            "model_version": model_version,
            "encoder": encoder,
            "test": PAPER_TEST,
            "adjustment": PAPER_ADJUSTMENT,
            "alternative": alternative,
        },
    )


def by_artist(
    connection: duckdb.DuckDBPyConnection,
    protocol: str,
    model_version: str,
    encoder: str,
    alternative: str = "two_sided",
) -> pd.DataFrame:
    """Both experiments side by side, one row an artist of the ``criteria`` label set, by name."""
    return read.rows(
        connection,
        """
        SELECT i.subject, s.name, s.mentions, s.opted_out, i.images, i.correct, i.image_accuracy, i.plurality_label,
               coalesce(p.name, i.plurality_label) AS plurality_name, i.plurality_correct, i.share_default,
               m.p_value, m.p_adjusted, m.significant
        FROM identification_by_subject i
        JOIN subjects s USING (subject)
        LEFT JOIN subjects p ON p.subject = i.plurality_label
        LEFT JOIN (
          SELECT subject, p_value, p_adjusted, significant FROM matching_by_subject
          WHERE protocol = $protocol AND model_version = $model_version AND encoder = $encoder AND test = $test
            AND adjustment = $adjustment AND alternative = $alternative AND control = 'none'
        ) m ON m.subject = i.subject
        WHERE i.protocol = $protocol AND i.model_version = $model_version AND i.encoder = $encoder
          AND i.label_set = 'criteria' AND i.kind = 'artist'
        ORDER BY strip_accents(lower(s.name)), i.subject
        """,
        {
            "protocol": protocol,
            "model_version": model_version,
            "encoder": encoder,
            "test": PAPER_TEST,
            "adjustment": PAPER_ADJUSTMENT,
            "alternative": alternative,
        },
    )


def confusion(
    connection: duckdb.DuckDBPyConnection, protocol: str, model_version: str, encoder: str, label_set: str = "criteria"
) -> pd.DataFrame:
    """Where the artists' images go: one row for 'own name', 'another name', each default label, and 'no label' (blank)."""
    return read.rows(
        connection,
        """
        WITH trials AS (
          SELECT CASE WHEN correct THEN 'own name' WHEN predicted_label IS NULL THEN 'no label (blank image)'
                      WHEN starts_with(predicted_label, 'default:') THEN substr(predicted_label, 9)
                      ELSE 'another name' END AS label,
                 coalesce(starts_with(predicted_label, 'default:'), false) AS is_default
          FROM identification_trials
          WHERE protocol = $protocol AND model_version = $model_version AND encoder = $encoder
            AND label_set = $label_set AND kind = 'artist' AND template = label_template)
        SELECT label, is_default, count(*) AS images, count(*) / sum(count(*)) OVER () AS share
        FROM trials GROUP BY ALL ORDER BY images DESC, label
        """,
        {"protocol": protocol, "model_version": model_version, "encoder": encoder, "label_set": label_set},
    )


def image_statuses(connection: duckdb.DuckDBPyConnection, model_version: str) -> pd.DataFrame:
    """How many images are 'ok', 'blank', 'not_supplied', a kind of subject."""
    return read.rows(
        connection,
        "SELECT s.kind::VARCHAR AS kind, i.status, count(*) AS images FROM imitations i JOIN subjects s USING (subject) "
        "WHERE i.model_version = $model_version GROUP BY ALL ORDER BY kind, status",
        {"model_version": model_version},
    )


def real_work_accuracy(connection: duckdb.DuckDBPyConnection, protocol: str, encoder: str) -> pd.DataFrame:
    """The positive control, artists only: works and how many the encoder identifies. Empty where it was not measured."""
    return read.rows(
        connection,
        "SELECT count(*) AS artists, sum(real_works) AS real_works, sum(correct) AS correct FROM auditability "
        "WHERE protocol = $protocol AND encoder = $encoder AND kind::VARCHAR = 'artist' AND correct IS NOT NULL "
        "HAVING count(*) > 0",
        {"protocol": protocol, "encoder": encoder},
    )


def contrasts(connection: duckdb.DuckDBPyConnection, protocol: str, model_version: str, encoder: str) -> pd.DataFrame:
    """Gaps to every control and the ratio to real works, with intervals."""
    return read.rows(
        connection,
        "SELECT contrast, label_set, control_label_set, control_kind::VARCHAR AS control_kind, control_shares_name_parts, "
        "subjects, controls, estimate, low, high FROM identification_contrasts "
        "WHERE protocol = $protocol AND model_version = $model_version AND encoder = $encoder ORDER BY ALL",
        {"protocol": protocol, "model_version": model_version, "encoder": encoder},
    )


def tests(connection: duckdb.DuckDBPyConnection, protocol: str, model_version: str) -> pd.DataFrame:
    """Every matching test of artists by every encoder: the share significant, and with works of others in two ways."""
    return read.rows(
        connection,
        """
        SELECT encoder, test, alternative, adjustment, max(subjects) AS subjects,
               max(significant) FILTER (control = 'none') AS significant, max(share) FILTER (control = 'none') AS share,
               max(share) FILTER (control = 'reassigned') AS reassigned, max(share) FILTER (control = 'deranged') AS deranged,
               (SELECT bool_and(unreachable) FROM matching_by_subject b
                WHERE b.protocol = $protocol AND b.model_version = $model_version AND b.kind = 'artist'
                  AND b.control = 'none' AND b.subject IS NOT NULL AND b.encoder = m.encoder AND b.test = m.test
                  AND b.alternative = m.alternative AND b.adjustment = m.adjustment) AS unreachable
        FROM matching_summary m WHERE protocol = $protocol AND model_version = $model_version AND kind = 'artist'
        GROUP BY ALL ORDER BY encoder, test DESC, alternative, adjustment
        """,
        {"protocol": protocol, "model_version": model_version},
    )


def pairing(connection: duckdb.DuckDBPyConnection, protocol: str, model_version: str) -> pd.DataFrame:
    """The global test of all artists by every encoder, beside the share of its re-assignments that are significant."""
    return read.rows(
        connection,
        """
        SELECT encoder, max(others) AS subjects, max(statistic) FILTER (control = 'none') AS statistic,
               max(p_value) FILTER (control = 'none') AS p_value, max(p_floor) AS p_floor,
               max(significant) FILTER (control = 'reassigned') AS reassigned,
               max(significant) FILTER (control = 'deranged') AS deranged
        FROM matching_by_subject
        WHERE protocol = $protocol AND model_version = $model_version AND kind = 'artist' AND test = 'pairing'
        GROUP BY ALL ORDER BY encoder
        """,
        {"protocol": protocol, "model_version": model_version},
    )


def verdict_counts(connection: duckdb.DuckDBPyConnection, protocol: str, model_version: str) -> pd.DataFrame:
    """How many subjects of each kind have which verdict, by encoder and basis."""
    return read.rows(
        connection,
        "SELECT encoder, v.kind::VARCHAR AS kind, shares_name_parts, verdict, basis, count(*) AS subjects, "
        "max(identified_needed) AS identified_needed, max(images) AS images "
        "FROM verdicts v JOIN subjects USING (subject) WHERE protocol = $protocol AND model_version = $model_version "
        "GROUP BY ALL ORDER BY ALL",
        {"protocol": protocol, "model_version": model_version},
    )


def verdicts_by_artist(
    connection: duckdb.DuckDBPyConnection, protocol: str, model_version: str, encoder: str
) -> pd.DataFrame:
    """One encoder's verdict on each artist, with the figures that it follows from, and how many encoders agree."""
    return read.rows(
        connection,
        "SELECT v.subject, verdict, basis, gap_low, own_rank_q, identified_needed, encoders, encoders_auditable, "
        "encoders_imitated FROM verdicts v JOIN verdict_agreement USING (protocol, model_version, subject) "
        "WHERE protocol = $protocol AND model_version = $model_version AND encoder = $encoder AND v.kind = 'artist'",
        {"protocol": protocol, "model_version": model_version, "encoder": encoder},
    )


def auc_by_subject(
    connection: duckdb.DuckDBPyConnection, protocol: str, model_version: str, encoder: str
) -> pd.DataFrame:
    """How much likelier the artist's real works are to lie near own images than near others': subject, auc, its 95 % interval."""
    return read.rows(
        connection,
        "SELECT subject, any_value(auc) AS auc, any_value(auc_low) AS auc_low, any_value(auc_high) AS auc_high "
        "FROM matching_by_subject WHERE protocol = $protocol AND model_version = $model_version AND encoder = $encoder "
        "AND test = 'rank_sum_exact' AND alternative = 'closer' AND control = 'none' GROUP BY subject ORDER BY subject",
        {"protocol": protocol, "model_version": model_version, "encoder": encoder},
    )


def auditability(connection: duckdb.DuckDBPyConnection, protocol: str) -> pd.DataFrame:
    """What every encoder makes of real works, by kind: artists, works, works recognised, artists that can be audited."""
    return read.rows(
        connection,
        "SELECT encoder, kind::VARCHAR AS kind, count(*) AS artists, sum(real_works) AS real_works, sum(correct) AS correct, "
        "count_if(coalesce(auditable, false)) AS auditable FROM auditability WHERE protocol = $protocol GROUP BY ALL ORDER BY ALL",
        {"protocol": protocol},
    )


def calibration(connection: duckdb.DuckDBPyConnection, protocol: str) -> pd.DataFrame:
    return read.rows(
        connection, "SELECT * FROM calibration WHERE protocol = $protocol ORDER BY encoder", {"protocol": protocol}
    )


def of_model(connection: duckdb.DuckDBPyConnection, table: str, protocol: str, model_version: str) -> pd.DataFrame:
    """All rows of one of the tables on what results depend on, for one model version."""
    found = connection.table(table).df()
    if "protocol" in found:
        found = found[found["protocol"] == protocol]
    return found[found["model_version"] == model_version].reset_index(drop=True)


def comparisons(connection: duckdb.DuckDBPyConnection, protocol: str) -> pd.DataFrame:
    """Every pair of versions, kind of subject, encoder and measure; in the order of the versions."""
    return read.rows(
        connection,
        "SELECT * REPLACE (kind::VARCHAR AS kind) FROM model_comparison WHERE protocol = $protocol ORDER BY rowid",
        {"protocol": protocol},
    )


def compared_subjects(connection: duckdb.DuckDBPyConnection, protocol: str) -> pd.DataFrame:
    """Pairs of versions, artist by artist, with names: those that changed, or whose verdict did. Controls are counted, not listed."""
    return read.rows(
        connection,
        "SELECT c.* REPLACE (c.kind::VARCHAR AS kind), s.name, s.opted_out FROM model_comparison_by_subject c "
        "JOIN subjects s USING (subject) WHERE c.protocol = $protocol AND (c.changed OR c.verdict <> c.later_verdict) "
        "AND c.kind IN ('artist', 'untrained_artist') "
        "ORDER BY c.rowid",
        {"protocol": protocol},
    )


def trends(connection: duckdb.DuckDBPyConnection, protocol: str) -> pd.DataFrame:
    return read.rows(
        connection,
        "SELECT * REPLACE (kind::VARCHAR AS kind) FROM model_trends WHERE protocol = $protocol ORDER BY rowid",
        {"protocol": protocol},
    )
