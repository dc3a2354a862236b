"""Queries over the published ``audit.duckdb`` on the results of one model version: ``ModelResults``.

``across_models`` has the queries on results that belong to no single version. Values are bound, never formatted into SQL.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import duckdb
import pandas as pd

from audit_assets.publication.queries import database as read


@dataclass(frozen=True)
class ModelResults:
    """The results of one model version by one encoder under one protocol: one selection of rows of the database.

    ``tests``, ``pairing``, ``verdict_counts`` and ``of_model`` return the rows of every encoder, so that a page can show them
    side by side. ``real_work_accuracy`` depends on no model version, ``image_statuses`` on no encoder. Every other method
    returns the rows of the whole selection. For another encoder use ``dataclasses.replace``.
    """

    connection: duckdb.DuckDBPyConnection
    protocol: str
    model_version: str
    encoder: str

    def ask(self, sql: str, **more: Any) -> pd.DataFrame:
        """The rows of one statement. ``$protocol``, ``$model_version`` and ``$encoder`` are bound if it names them, ``more`` always."""
        named = set(re.findall(r"\$(\w+)", sql))
        own = {"protocol": self.protocol, "model_version": self.model_version, "encoder": self.encoder}
        return read.rows(self.connection, sql, {k: v for k, v in own.items() if k in named} | more)

    @cached_property
    def only_artist(self) -> str | None:
        """The slug of the artist if the audit is of one artist; None if it has a roster."""
        found = read.only_artist(self.connection)
        return None if found is None else found["subject"]

    def labels(self, own: str) -> str:
        """The label set of a kind of subjects: its ``own`` set in a roster, "joint" in an audit of one artist.

        One artist's own set has four labels, so chance alone would identify a quarter of the images.
        """
        return own if self.only_artist is None else "joint"

    # ---- identification (experiment 1)
    def identification_summary(self) -> pd.DataFrame:
        """One row per label set, kind of subject and kind of name."""
        return self.ask(
            "SELECT * REPLACE (kind::VARCHAR AS kind) FROM identification_summary "
            "WHERE protocol = $protocol AND model_version = $model_version AND encoder = $encoder "
            "ORDER BY label_set, kind, shares_name_parts"
        )

    def confusion(self) -> pd.DataFrame:
        """Which labels the artists' images received: one row for 'own name', 'another name', each default label, and 'no label' (blank)."""
        return self.ask(
            """
            WITH trials AS (
              SELECT CASE WHEN correct THEN 'own name' WHEN predicted_label IS NULL THEN 'no label (blank or blocked image)'
                          WHEN starts_with(predicted_label, 'default:') THEN substr(predicted_label, 9)
                          ELSE 'another name' END AS label,
                     coalesce(starts_with(predicted_label, 'default:'), false) AS is_default
              FROM identification_trials
              WHERE protocol = $protocol AND model_version = $model_version AND encoder = $encoder
                AND label_set = $label_set AND kind = 'artist' AND template = label_template)
            SELECT label, is_default, count(*) AS images, count(*) / sum(count(*)) OVER () AS share
            FROM trials GROUP BY ALL ORDER BY images DESC, label
            """,
            label_set=self.labels("criteria"),
        )

    def contrasts(self) -> pd.DataFrame:
        """The gap between artists and each control, and the ratio to the artists' own real works, with intervals."""
        return self.ask(
            "SELECT contrast, label_set, control_label_set, control_kind::VARCHAR AS control_kind, control_shares_name_parts, "
            "subjects, controls, estimate, low, high FROM identification_contrasts "
            "WHERE protocol = $protocol AND model_version = $model_version AND encoder = $encoder ORDER BY ALL"
        )

    def real_work_accuracy(self) -> pd.DataFrame:
        """The positive control, one row: artists, their real works, and works identified. No row if it was not measured."""
        if self.only_artist is not None:
            return self.ask(
                "SELECT count(DISTINCT subject) AS artists, count(*) AS real_works, count(*) FILTER (correct) AS correct "
                "FROM reference_trials WHERE protocol = $protocol AND encoder = $encoder AND label_set = 'joint' "
                "AND subject = $subject HAVING count(*) > 0",
                subject=self.only_artist,
            )
        return self.ask(
            "SELECT count(*) AS artists, sum(real_works) AS real_works, sum(correct) AS correct FROM auditability "
            "WHERE protocol = $protocol AND encoder = $encoder AND kind::VARCHAR = 'artist' AND correct IS NOT NULL "
            "HAVING count(*) > 0"
        )

    def unread_files(self) -> pd.DataFrame:
        """Files of real works, and of this version's folder of images, that the audit did not read."""
        found = read.optional(self.connection, "unread_files")
        return found if found.empty else found[found["place"].isin(["references", "background", self.model_version])]

    def image_statuses(self) -> pd.DataFrame:
        """How many images have each status, per kind of subject."""
        return self.ask(
            "SELECT s.kind::VARCHAR AS kind, i.status, count(*) AS images FROM imitations i JOIN subjects s USING (subject) "
            "WHERE i.model_version = $model_version GROUP BY ALL ORDER BY kind, status"
        )

    def withheld(self) -> pd.DataFrame:
        """Subjects of which images were withheld, the most first: name, kind, images asked for, and how many of each status."""
        return self.ask(
            "SELECT s.name, s.kind::VARCHAR AS kind, count(*) AS asked, count(*) FILTER (i.status = 'refused') AS refused, "
            "count(*) FILTER (i.status = 'rewritten') AS rewritten, count(*) FILTER (i.status = 'blocked') AS blocked, "
            "count(*) FILTER (i.status = 'failed') AS failed, string_agg(DISTINCT a.code, ', ' ORDER BY a.code) AS codes "
            "FROM imitations i JOIN subjects s USING (subject) LEFT JOIN api_answers a USING (model_version, subject, template, trial) "
            "WHERE i.model_version = $model_version AND i.status NOT IN ('not_supplied', 'copy') GROUP BY s.subject, s.name, s.kind "
            "HAVING refused + rewritten + blocked + failed > 0 ORDER BY refused + rewritten + blocked + failed DESC, s.name"
        )

    # ---- matching (experiment 2)
    def matching_summary(self) -> pd.DataFrame:
        """The paper's test for artists, one row per alternative and control."""
        return self.ask(
            "SELECT alternative, control, subjects, significant, share FROM matching_summary "
            "WHERE protocol = $protocol AND model_version = $model_version AND encoder = $encoder "
            "AND test = 'rank_sum_asymptotic' AND adjustment = 'bonferroni' AND kind = 'artist' ORDER BY alternative, control"
        )

    def matching_by_artist(self) -> pd.DataFrame:
        """The paper's test, two-sided, one row per artist, smallest p first."""
        return self.ask(
            "SELECT subject, name, p_value, p_adjusted, significant FROM matching_by_subject JOIN subjects USING (subject) "
            "WHERE protocol = $protocol AND model_version = $model_version AND encoder = $encoder "
            "AND test = 'rank_sum_asymptotic' AND adjustment = 'bonferroni' AND alternative = 'two_sided' AND control = 'none' "
            "AND subjects.kind = 'artist' ORDER BY p_value, subject"
        )

    def auc_by_subject(self) -> pd.DataFrame:
        """How much likelier the artist's real works are to lie near the artist's images than near others': subject, auc, its 95 % interval."""
        return self.ask(
            "SELECT subject, any_value(auc) AS auc, any_value(auc_low) AS auc_low, any_value(auc_high) AS auc_high "
            "FROM matching_by_subject WHERE protocol = $protocol AND model_version = $model_version AND encoder = $encoder "
            "AND test = 'rank_sum_exact' AND alternative = 'closer' AND control = 'none' GROUP BY subject ORDER BY subject"
        )

    def tests(self) -> pd.DataFrame:
        """Every matching test of artists by every encoder: the share significant, and that share with re-assigned works in two ways."""
        return self.ask(
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

    def pairing(self) -> pd.DataFrame:
        """The test of all artists together by every encoder, and the same within peers if the artists' table names any."""
        return self.ask(
            """
            SELECT encoder, test, others AS subjects, statistic, p_value, p_floor, reason FROM matching_by_subject
            WHERE protocol = $protocol AND model_version = $model_version AND kind = 'artist' AND subject IS NULL
              AND test IN ('pairing', 'pairing_within_peers') AND control = 'none'
            ORDER BY encoder, test
            """
        )

    def roster(self) -> pd.DataFrame:
        """At least how many subjects are imitated, with which confidence: one row per kind of subject that is tested."""
        return self.ask(
            "SELECT * REPLACE (kind::VARCHAR AS kind) FROM roster_findings "
            "WHERE protocol = $protocol AND model_version = $model_version AND encoder = $encoder ORDER BY kind"
        )

    def positive_control(self) -> pd.DataFrame:
        """One row per encoder and kind: subjects, those whose perfect imitator is called imitated, and those not tested."""
        return self.ask(
            "SELECT encoder, kind::VARCHAR AS kind, count(*) AS subjects, count_if(would_be_called) AS called, "
            "count_if(reason <> '') AS untested FROM positive_control "
            "WHERE protocol = $protocol AND model_version = $model_version GROUP BY ALL ORDER BY ALL"
        )

    def answers(self) -> pd.DataFrame:
        """The answers about artists by this encoder: one row per artist and question, by name."""
        return self.ask(
            "SELECT a.* REPLACE (a.kind::VARCHAR AS kind), s.name FROM answers a JOIN subjects s USING (subject) "
            "WHERE protocol = $protocol AND model_version = $model_version AND encoder = $encoder AND s.kind = 'artist' "
            "ORDER BY strip_accents(lower(s.name)), a.subject, list_position(['steers', 'towards', 'seen'], question)"
        )

    def confusable(self) -> pd.DataFrame:
        """Artists whose real works this encoder cannot tell apart: one row per artist and other artist."""
        return self.ask(
            "SELECT c.subject, s.name, coalesce(o.name, c.other_subject) AS other, c.gap, c.gap_low FROM confusable_artists c "
            "JOIN subjects s USING (subject) LEFT JOIN subjects o ON o.subject = c.other_subject "
            "WHERE protocol = $protocol AND encoder = $encoder ORDER BY strip_accents(lower(s.name)), c.subject, c.gap, other"
        )

    def copies(self) -> pd.DataFrame:
        """Near-identical works and images by this encoder."""
        return self.ask(
            "SELECT n.what, n.subject, s.name, n.image_sha256, n.other_subject, o.name AS other, n.other_sha256, n.cosine "
            "FROM near_copies n JOIN subjects s USING (subject) LEFT JOIN subjects o ON o.subject = n.other_subject "
            "WHERE protocol = $protocol AND model_version = $model_version AND encoder = $encoder ORDER BY n.rowid"
        )

    # ---- verdicts, and what they depend on
    def by_artist(self) -> pd.DataFrame:
        """Identification and the paper's test (two-sided) side by side, one row per artist of the roster with images, by name.

        An encoder without text has no identification: its columns are NULL.
        """
        return self.ask(
            """
            SELECT s.subject, s.name, s.mentions, s.opted_out, i.images, i.correct, i.image_accuracy, i.plurality_label,
                   coalesce(p.name, i.plurality_label) AS plurality_name, i.plurality_correct, i.share_default,
                   m.p_value, m.p_adjusted, m.significant
            FROM subjects s
            LEFT JOIN (
              SELECT * FROM identification_by_subject WHERE protocol = $protocol AND model_version = $model_version
                AND encoder = $encoder AND label_set = $label_set AND kind = 'artist'
            ) i ON i.subject = s.subject
            LEFT JOIN subjects p ON p.subject = i.plurality_label
            LEFT JOIN (
              SELECT subject, p_value, p_adjusted, significant FROM matching_by_subject
              WHERE protocol = $protocol AND model_version = $model_version AND encoder = $encoder
                AND test = 'rank_sum_asymptotic' AND adjustment = 'bonferroni' AND alternative = 'two_sided' AND control = 'none'
            ) m ON m.subject = s.subject
            WHERE s.kind = 'artist' AND list_contains(s.rosters, 'criteria') AND s.subject IN (
              SELECT subject FROM imitations WHERE model_version = $model_version)
            ORDER BY strip_accents(lower(s.name)), s.subject
            """,
            label_set=self.labels("criteria"),
        )

    def verdict_counts(self) -> pd.DataFrame:
        """How many subjects have each verdict, per encoder, kind of subject and basis, and the fewest and most images needed."""
        return self.ask(
            "SELECT encoder, v.kind::VARCHAR AS kind, shares_name_parts, verdict, basis, count(*) AS subjects, "
            "min(identified_needed) AS fewest_needed, max(identified_needed) AS most_needed "
            "FROM verdicts v JOIN subjects USING (subject) "
            "WHERE protocol = $protocol AND model_version = $model_version GROUP BY ALL ORDER BY ALL"
        )

    def verdicts_by_artist(self) -> pd.DataFrame:
        """One row per artist: this encoder's verdict, the figures that it follows from, and how many encoders agree."""
        return self.ask(
            "SELECT v.subject, verdict, because, steers, towards, seen, v.images AS shown, v.identified, identified_needed, name_p, "
            "v.p_value AS matching_p, q_value, c.called, relation, encoders, encoders_auditable, encoders_imitated "
            "FROM verdicts v JOIN verdict_agreement USING (protocol, model_version, subject) "
            "LEFT JOIN positive_control c USING (protocol, model_version, encoder, subject) "
            "WHERE protocol = $protocol AND model_version = $model_version AND encoder = $encoder AND v.kind = 'artist'"
        )

    def of_model(self, table: str) -> pd.DataFrame:
        """All rows of this model version, by every encoder, in a table on what results depend on (a name of ours, never a user's)."""
        found = self.connection.table(table).df()
        if "protocol" in found:
            found = found[found["protocol"] == self.protocol]
        return found[found["model_version"] == self.model_version].reset_index(drop=True)
