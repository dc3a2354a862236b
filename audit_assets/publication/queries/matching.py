"""Queries on experiment 2 of one model version: works matched to images by embeddings.

``tests``, ``pairing`` and ``positive_control`` return the rows of every encoder, so that a page can show them side by side.
"""

import pandas as pd

from audit_assets.publication.queries.model import ModelResults


def paper_test(results: ModelResults) -> pd.DataFrame:
    """The paper's test for artists, one row per alternative and control."""
    return results.ask(
        "SELECT alternative, control, subjects, significant, share FROM matching_summary "
        "WHERE protocol = $protocol AND model_version = $model_version AND encoder = $encoder "
        "AND test = 'rank_sum_asymptotic' AND adjustment = 'bonferroni' AND kind = 'artist' ORDER BY alternative, control"
    )


def paper_test_by_artist(results: ModelResults) -> pd.DataFrame:
    """The paper's test, two-sided, one row per artist, smallest p first."""
    return results.ask(
        "SELECT subject, name, p_value, p_adjusted, significant FROM matching_by_subject JOIN subjects USING (subject) "
        "WHERE protocol = $protocol AND model_version = $model_version AND encoder = $encoder "
        "AND test = 'rank_sum_asymptotic' AND adjustment = 'bonferroni' AND alternative = 'two_sided' AND control = 'none' "
        "AND subjects.kind = 'artist' ORDER BY p_value, subject"
    )


def auc_by_subject(results: ModelResults) -> pd.DataFrame:
    """How much likelier the artist's real works are to lie near the artist's images than near others': subject, auc, its 95 % interval."""
    return results.ask(
        "SELECT subject, any_value(auc) AS auc, any_value(auc_low) AS auc_low, any_value(auc_high) AS auc_high "
        "FROM matching_by_subject WHERE protocol = $protocol AND model_version = $model_version AND encoder = $encoder "
        "AND test = 'rank_sum_exact' AND alternative = 'closer' AND control = 'none' GROUP BY subject ORDER BY subject"
    )


def tests(results: ModelResults) -> pd.DataFrame:
    """Every matching test of artists by every encoder: the share significant, and that share with re-assigned works in two ways."""
    return results.ask(
        """
        SELECT * FROM (
        SELECT encoder, test, alternative, adjustment, max(subjects) AS subjects,
               max(significant) FILTER (control = 'none') AS significant, max(share) FILTER (control = 'none') AS share,
               max(share) FILTER (control = 'reassigned') AS reassigned, max(share) FILTER (control = 'deranged') AS deranged,
               (SELECT bool_and(unreachable) FROM matching_by_subject b
                WHERE b.protocol = $protocol AND b.model_version = $model_version AND b.kind = 'artist'
                  AND b.control = 'none' AND b.subject IS NOT NULL AND b.encoder = m.encoder AND b.test = m.test
                  AND b.alternative = m.alternative AND b.adjustment = m.adjustment) AS unreachable
        FROM matching_summary m WHERE protocol = $protocol AND model_version = $model_version AND kind = 'artist'
        GROUP BY ALL)
        ORDER BY encoder, starts_with(test, 'rank_sum'), test = 'own_cell' DESC, test, alternative, adjustment
        """
    )


def pairing(results: ModelResults) -> pd.DataFrame:
    """The test of all artists together by every encoder, and the same within peers if the artists' table names any."""
    return results.ask(
        """
        SELECT encoder, test, others AS subjects, statistic, p_value, p_floor, reason FROM matching_by_subject
        WHERE protocol = $protocol AND model_version = $model_version AND kind = 'artist' AND subject IS NULL
          AND test IN ('pairing', 'pairing_within_peers') AND control = 'none'
        ORDER BY encoder, test
        """
    )


def roster(results: ModelResults) -> pd.DataFrame:
    """At least how many subjects are imitated, with which confidence: one row per kind of subject that is tested."""
    return results.ask(
        "SELECT * REPLACE (kind::VARCHAR AS kind) FROM roster_findings "
        "WHERE protocol = $protocol AND model_version = $model_version AND encoder = $encoder ORDER BY kind"
    )


def positive_control(results: ModelResults) -> pd.DataFrame:
    """One row per encoder and kind: subjects, those whose perfect imitator is called imitated, and those not tested."""
    return results.ask(
        "SELECT encoder, kind::VARCHAR AS kind, count(*) AS subjects, count_if(would_be_called) AS called, "
        "count_if(reason <> '') AS untested FROM positive_control "
        "WHERE protocol = $protocol AND model_version = $model_version GROUP BY ALL ORDER BY ALL"
    )


def confusable(results: ModelResults) -> pd.DataFrame:
    """Artists whose real works this encoder cannot tell apart: one row per artist and other artist."""
    return results.ask(
        "SELECT c.subject, s.name, coalesce(o.name, c.other_subject) AS other, c.other_subject, c.gap, c.gap_low FROM confusable_artists c "
        "JOIN subjects s USING (subject) LEFT JOIN subjects o ON o.subject = c.other_subject "
        "WHERE protocol = $protocol AND encoder = $encoder ORDER BY strip_accents(lower(s.name)), c.subject, c.gap, other"
    )
