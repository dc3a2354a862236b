"""Queries over the published ``audit.duckdb`` on the results of one model version: ``ModelResults``.

``images`` and ``matching`` have further queries on them, and ``across_models`` those that belong to no single version. Values are bound, never formatted into SQL.
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

    ``verdict_counts`` and ``of_model`` return the rows of every encoder, so that a page can show them side by side.
    ``real_work_accuracy`` depends on no model version. Every other method returns the rows of the whole selection. For another encoder use ``dataclasses.replace``.
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

    def answers(self) -> pd.DataFrame:
        """The answers about artists by this encoder: one row per artist and question, by name."""
        return self.ask(
            "SELECT a.* REPLACE (a.kind::VARCHAR AS kind), s.name FROM answers a JOIN subjects s USING (subject) "
            "WHERE protocol = $protocol AND model_version = $model_version AND encoder = $encoder AND s.kind = 'artist' "
            "ORDER BY strip_accents(lower(s.name)), a.subject, list_position(['steers', 'towards', 'seen'], question)"
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
