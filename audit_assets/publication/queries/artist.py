"""Queries over the published ``audit.duckdb`` on one artist: who the artist is, and the artist's results in every version."""

from difflib import get_close_matches
from typing import Any

import duckdb
import pandas as pd

from audit_assets.errors import InputError, in_utf8
from audit_assets.publication.queries import database as read
from audit_assets.publication.queries.embedded import AUDITED_KINDS
from audit_assets.roster.normalise import tokens


def find(connection: duckdb.DuckDBPyConnection, artist: str) -> dict[str, Any]:
    """The subject with this slug or this name, as captions name it: accents and upper case are ignored.

    Raises InputError if no subject or more than one matches; the message names similar ones. Also for a subject that has no
    page: a control name or a retired subject.
    """
    subjects = read.rows(
        connection, "SELECT * REPLACE (kind::VARCHAR AS kind) FROM subjects WHERE kind <> 'background' ORDER BY subject"
    )
    artist = in_utf8(artist)  # a terminal can send any bytes
    wanted = artist.strip().casefold()
    found = subjects[subjects["subject"] == wanted]
    if found.empty:
        found = subjects[subjects["name"].str.strip().str.casefold() == wanted]
    if found.empty and (words := tokens(artist)):
        found = subjects[[tokens(name) == words for name in subjects["name"]]]
    if found.empty:
        raise InputError(f"artist {artist!r} is not in the audit. Remedy: {_near(subjects, wanted)}")
    if len(found) > 1:
        slugs = ", ".join(found["subject"])
        raise InputError(f"artist {artist!r} is the name of several subjects. Remedy: give one of the slugs: {slugs}")
    row = {str(k): v for k, v in found.iloc[0].to_dict().items()}
    _refuse(connection, row)
    return row


def _near(subjects: pd.DataFrame, wanted: str) -> str:
    own = subjects[subjects["kind"].isin(AUDITED_KINDS)]
    known = {str(n).strip().casefold(): str(n) for n in own["name"]} | dict(
        zip(own["subject"], own["name"], strict=True)
    )
    near = list(dict.fromkeys(known[n] for n in get_close_matches(wanted, known, n=8, cutoff=0.6)))[:5]
    if near:
        return f"did you mean {', '.join(repr(n) for n in near)}?"
    return 'add the artist to the audit file, or to its artists\' table, and run `audit-assets run`; `audit-assets sql "SELECT subject, name FROM subjects"` lists the subjects.'


def _refuse(connection: duckdb.DuckDBPyConnection, row: dict[str, Any]) -> None:
    who = f"{row['name']!r} ({row['subject']})"
    if row["kind"] not in AUDITED_KINDS:
        raise InputError(f"{who} is a control ({row['kind']}), not an artist. Remedy: name an artist of the audit.")
    if row["retired"]:
        raise InputError(
            f"{who} has left the roster; its images are no longer measured. Remedy: add the artist again, and run `audit-assets run`."
        )


def with_page(connection: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """subject and name of everybody who has a page, by name: artists of the audit whom an audited version was asked for."""
    return read.rows(
        connection,
        "SELECT subject, name FROM subjects s WHERE kind IN ('artist', 'untrained_artist') AND NOT retired AND EXISTS (SELECT 1 FROM "
        "imitations i WHERE i.subject = s.subject AND list_contains($versions, i.model_version)) "
        "ORDER BY strip_accents(lower(name)), subject",
        {"versions": read.audited_versions(connection)},
    )


def versions_asked(connection: duckdb.DuckDBPyConnection, subject: str, who: str) -> list[str]:
    """Audited model versions that were asked for the artist, in the order of audit.yaml.

    Raises InputError if no version was; the message names the versions that were retired.
    """
    asked = read.rows(
        connection, "SELECT DISTINCT model_version FROM imitations WHERE subject = $subject", {"subject": subject}
    )["model_version"]
    found = [v for v in read.audited_versions(connection) if v in set(asked)]
    if not found:
        known = read.versions(connection)
        retired = ", ".join(known.loc[known["retired"].astype(bool), "model_version"])
        why = f" (retired, no longer audited: {retired})" if retired else ""
        raise InputError(
            f"no model version was asked for {who!r}{why}. Remedy: approve a model version, or supply its images, and run `audit-assets run`."
        )
    return found


def works(connection: duckdb.DuckDBPyConnection, subject: str | None) -> pd.DataFrame:
    return rows_of(connection, "reference_works", subject, "subject, work").dropna(subset=["image_sha256"])


def images(connection: duckdb.DuckDBPyConnection, subject: str | None) -> pd.DataFrame:
    return rows_of(connection, "imitations", subject, "subject, model_version, template, trial")


def rows_of(connection: duckdb.DuckDBPyConnection, table: str, subject: str | None, order: str) -> pd.DataFrame:
    """A table's rows of one subject, or of all. ``table`` and ``order`` come from this package, never from a user."""
    if subject is None:
        return connection.table(table).order(order).df()
    own = duckdb.ColumnExpression("subject") == duckdb.ConstantExpression(subject)
    return connection.table(table).filter(own).order(order).df()


def trials(connection: duckdb.DuckDBPyConnection, protocol: str, subject: str | None) -> pd.DataFrame:
    """Each image of the artist by each encoder, among the labels of the verdict, labelled with the template it was prompted with."""
    return read.rows(
        connection,
        """
        SELECT t.*, coalesce(s.name, t.predicted_label) AS predicted_name
        FROM identification_trials t
        JOIN verdicts v USING (protocol, model_version, encoder, subject, label_set)
        LEFT JOIN subjects s ON s.subject = t.predicted_label
        WHERE t.protocol = $protocol AND (t.subject = $subject OR $subject IS NULL) AND (t.template = t.label_template OR
          (t.template < 0 AND t.label_template = 0))
        ORDER BY t.model_version, t.encoder, t.template, t.trial
        """,
        {"protocol": protocol, "subject": subject},
    )


def verdicts(connection: duckdb.DuckDBPyConnection, protocol: str, subject: str | None) -> pd.DataFrame:
    """Each encoder's verdict in each version, with the figures that it follows from."""
    return read.rows(
        connection,
        """
        SELECT v.* REPLACE (v.kind::VARCHAR AS kind), g.encoders, g.encoders_auditable, g.encoders_imitated,
               count_if(v.verdict = 'identified above controls') OVER (PARTITION BY v.model_version, v.subject) AS encoders_above,
               c.labels, c.names, c.names_reaching, c.label_reaching, c.level, c.recombined_names, c.recombined_reaching, c.recombined_p,
               i.works, i.independent_works, i.called, m.auc, m.auc_low, m.auc_high,
               (SELECT list(coalesce(s.name, x.other_subject) ORDER BY x.gap, x.other_subject) FROM confusable_artists x
                LEFT JOIN subjects s ON s.subject = x.other_subject
                WHERE x.protocol = v.protocol AND x.encoder = v.encoder AND x.subject = v.subject) AS confusable
        FROM verdicts v
        LEFT JOIN verdict_agreement g USING (protocol, model_version, subject)
        LEFT JOIN name_controls c USING (protocol, model_version, encoder, subject)
        LEFT JOIN positive_control i USING (protocol, model_version, encoder, subject)
        LEFT JOIN (SELECT protocol, model_version, encoder, subject, max(auc) AS auc, max(auc_low) AS auc_low,
                          max(auc_high) AS auc_high FROM matching_by_subject
                   WHERE test = 'rank_sum_exact' AND alternative = 'closer' AND control = 'none' GROUP BY ALL) m
          USING (protocol, model_version, encoder, subject)
        WHERE v.protocol = $protocol AND (v.subject = $subject OR $subject IS NULL) ORDER BY v.rowid
        """,
        {"protocol": protocol, "subject": subject},
    )


def answers(connection: duckdb.DuckDBPyConnection, protocol: str, subject: str | None) -> pd.DataFrame:
    """The three answers of each encoder in each version. A question that an encoder cannot be asked has no row."""
    return read.rows(
        connection,
        "SELECT * REPLACE (kind::VARCHAR AS kind) FROM answers WHERE protocol = $protocol AND (subject = $subject OR $subject IS NULL) "
        "ORDER BY model_version, encoder, list_position(['steers', 'towards', 'seen'], question)",
        {"protocol": protocol, "subject": subject},
    )


def copies(connection: duckdb.DuckDBPyConnection, protocol: str, subject: str) -> pd.DataFrame:
    """Near-identical works and images that concern the artist, with the name of the other artist."""
    return read.rows(
        connection,
        "SELECT n.*, s.name AS other_name FROM near_copies n LEFT JOIN subjects s "
        "ON s.subject = if(n.subject = $subject, n.other_subject, n.subject) "
        "WHERE n.protocol = $protocol AND (n.subject = $subject OR n.other_subject = $subject) ORDER BY n.rowid",
        {"protocol": protocol, "subject": subject},
    )


def tests(connection: duckdb.DuckDBPyConnection, protocol: str, subject: str | None) -> pd.DataFrame:
    """Every test on the artist, and how often the same test is significant with works of another artist in place of the artist's."""
    return read.rows(
        connection,
        """
        SELECT subject, model_version, encoder, test, alternative, adjustment,
               max(p_value) FILTER (control = 'none') AS p_value, max(p_floor) FILTER (control = 'none') AS p_floor,
               max(p_adjusted) FILTER (control = 'none') AS p_adjusted, max(significant) FILTER (control = 'none') AS significant,
               bool_or(unreachable) FILTER (control = 'none') AS unreachable,
               max(references_used) FILTER (control = 'none') AS references_used,
               max(reason) FILTER (control = 'none') AS reason,
               max(significant) FILTER (control = 'reassigned' AND p_value IS NOT NULL) AS reassigned
        FROM matching_by_subject WHERE protocol = $protocol AND (subject = $subject OR $subject IS NULL)
        GROUP BY ALL ORDER BY model_version, encoder, test, alternative, adjustment
        """,
        {"protocol": protocol, "subject": subject},
    )


def compared(connection: duckdb.DuckDBPyConnection, protocol: str, subject: str | None) -> pd.DataFrame:
    return read.rows(
        connection,
        "SELECT c.* REPLACE (c.kind::VARCHAR AS kind), s.name, s.opted_out FROM model_comparison_by_subject c "
        "JOIN subjects s USING (subject) WHERE c.protocol = $protocol AND (c.subject = $subject OR $subject IS NULL) ORDER BY c.rowid",
        {"protocol": protocol, "subject": subject},
    )


def copied(connection: duckdb.DuckDBPyConnection, protocol: str, subject: str) -> pd.DataFrame:
    """Images that are near copies of a real work, if the name or the work is this artist's: the most similar first."""
    return read.rows(
        connection,
        "SELECT c.* REPLACE (c.kind::VARCHAR AS kind), s.name, o.name AS other FROM image_copies c JOIN subjects s USING (subject) "
        "JOIN subjects o ON o.subject = c.other_subject WHERE protocol = $protocol AND is_copy "
        "AND $subject IN (c.subject, c.other_subject) ORDER BY c.model_version, c.similarity DESC, c.subject, c.template, c.trial",
        {"protocol": protocol, "subject": subject},
    )


def texts(connection: duckdb.DuckDBPyConnection, subject: str) -> pd.DataFrame:
    """The text that was read in the images of one subject: one row per image with text."""
    return read.rows(
        connection,
        "SELECT model_version, template, trial, array_to_string(texts, ' / ') AS text, names_artist FROM image_texts "
        "WHERE subject = $subject AND len(texts) > 0 ORDER BY model_version, template, trial",
        {"subject": subject},
    )
