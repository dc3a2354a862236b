"""Queries over the published ``audit.duckdb``: everything that the report prints comes through here.

Values are bound, never formatted into SQL. The one name that depends on data, the encoder's embedding table, is made by
``table_suffix`` and opened by DuckDB's relational API.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from audit_assets.errors import InputError
from audit_assets.warehouse.places import local_copy
from audit_assets.warehouse.publish import table_suffix

PAPER_TEST = "rank_sum_asymptotic"
PAPER_ADJUSTMENT = "bonferroni"
EMBEDDING_TABLES = ("label_embeddings", "imitation_embeddings", "reference_embeddings")


@contextmanager
def opened(database: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A read-only connection, closed on leaving. Raises InputError where there is no such file, or it is not DuckDB's."""
    if not database.is_file():
        raise InputError(f"{database}: no published database. Remedy: run `audit-assets run`, which writes it.")
    try:
        connection = duckdb.connect(str(local_copy(database)), read_only=True)
    except duckdb.Error as error:
        raise InputError(f"{database}: not a readable DuckDB file ({error}). Remedy: publish it again.") from error
    try:
        yield connection
    finally:
        connection.close()


def rows(connection: duckdb.DuckDBPyConnection, sql: str, parameters: dict[str, Any] | None = None) -> pd.DataFrame:
    """The result of one statement, ``$name`` parameters bound."""
    return connection.execute(sql, parameters or {}).df()


def embeddings(connection: duckdb.DuckDBPyConnection, table: str, encoder: str) -> pd.DataFrame:
    """One of ``EMBEDDING_TABLES`` for one encoder; ``embedding`` holds float32 arrays.

    Raises ValueError for another table, InputError where the encoder has none.
    """
    if table not in EMBEDDING_TABLES:
        raise ValueError(f"{table}: not one of {', '.join(EMBEDDING_TABLES)}")
    name = f"{table}_{table_suffix(encoder)}"
    known = rows(connection, "SELECT table_name FROM duckdb_tables()")["table_name"]
    if name not in set(known):
        raise InputError(f"encoder {encoder!r}: the database has no table {name}. Remedy: embed and publish again.")
    return connection.table(name).df()


def model_version_row(connection: duckdb.DuckDBPyConnection, model_version: str) -> dict[str, Any]:
    """The model version's row of provenance. Raises InputError, naming the versions there are, for an unknown one."""
    known = rows(connection, "SELECT * FROM model_versions ORDER BY model_version")
    found = known[known["model_version"] == model_version]
    if found.empty:
        names = ", ".join(known["model_version"]) or "none"
        raise InputError(f"model version {model_version!r} is not in the database. Remedy: choose one of: {names}")
    return {str(key): value for key, value in found.iloc[0].to_dict().items()}


def encoders(connection: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    return rows(connection, "SELECT * FROM encoders ORDER BY encoder")


def primary_encoder(connection: duckdb.DuckDBPyConnection, encoder: str | None = None) -> str:
    """``encoder`` if the database has it, by default the first image-text encoder in the order of names.

    Raises InputError where there is no such encoder.
    """
    known = encoders(connection)
    if encoder is not None:
        if encoder not in set(known["encoder"]):
            raise InputError(
                f"encoder {encoder!r} is not in the database. Remedy: choose one of: {', '.join(known['encoder'])}"
            )
        return encoder
    image_text = known[known["kind"] == "image_text"]
    if image_text.empty:
        raise InputError("the database has no image_text encoder. Remedy: name one under `encoders` in audit.yaml.")
    return str(image_text["encoder"].iloc[0])


def primary_protocol(connection: duckdb.DuckDBPyConnection, model_version: str, protocol: str | None = None) -> str:
    """``protocol`` if given, by default ``paper_2023`` if this model was audited by it, or else the first by name.

    Raises InputError where the model version has no identification at all, or none by ``protocol``.
    """
    found = rows(
        connection,
        "SELECT DISTINCT protocol FROM identification_summary WHERE model_version = $model_version "
        "ORDER BY protocol <> 'paper_2023', protocol",
        {"model_version": model_version},
    )["protocol"].tolist()
    if protocol is None and found:
        return str(found[0])
    if protocol is not None and protocol in found:
        return protocol
    what = "any protocol" if protocol is None else f"protocol {protocol!r}"
    raise InputError(f"model version {model_version!r} has no results by {what}. Remedy: run `audit-assets run`.")


def protocols(connection: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    return rows(
        connection, "SELECT protocol, generation_hash, measurement_hash, definition FROM protocols ORDER BY protocol"
    )


def identification_summary(
    connection: duckdb.DuckDBPyConnection, protocol: str, model_version: str, encoder: str
) -> pd.DataFrame:
    """Experiment 1, one row a label set, kind and kind of name."""
    return rows(
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
    return rows(
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
    return rows(
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
    return rows(
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
    return rows(
        connection,
        """
        WITH trials AS (
          SELECT CASE WHEN correct THEN 'own name' WHEN predicted_label IS NULL THEN 'no label (blank image)'
                      WHEN starts_with(predicted_label, 'default:') THEN substr(predicted_label, 9)
                      ELSE 'another name' END AS label,
                 coalesce(starts_with(predicted_label, 'default:'), false) AS is_default
          FROM identification_trials
          WHERE protocol = $protocol AND model_version = $model_version AND encoder = $encoder
            AND label_set = $label_set AND kind = 'artist')
        SELECT label, is_default, count(*) AS images, count(*) / sum(count(*)) OVER () AS share
        FROM trials GROUP BY ALL ORDER BY images DESC, label
        """,
        {"protocol": protocol, "model_version": model_version, "encoder": encoder, "label_set": label_set},
    )


def image_statuses(connection: duckdb.DuckDBPyConnection, model_version: str) -> pd.DataFrame:
    """How many images are 'ok', 'blank', 'not_supplied', a kind of subject."""
    return rows(
        connection,
        "SELECT s.kind::VARCHAR AS kind, i.status, count(*) AS images FROM imitations i JOIN subjects s USING (subject) "
        "WHERE i.model_version = $model_version GROUP BY ALL ORDER BY kind, status",
        {"model_version": model_version},
    )


def real_work_accuracy(connection: duckdb.DuckDBPyConnection, protocol: str, encoder: str) -> pd.DataFrame:
    """The positive control, artists only: works and how many the encoder identifies. Empty where it was not measured."""
    return rows(
        connection,
        "SELECT count(*) AS artists, sum(real_works) AS real_works, sum(correct) AS correct FROM auditability "
        "WHERE protocol = $protocol AND encoder = $encoder AND kind::VARCHAR = 'artist' AND correct IS NOT NULL "
        "HAVING count(*) > 0",
        {"protocol": protocol, "encoder": encoder},
    )


def reference_hashes(connection: duckdb.DuckDBPyConnection, subject: str, limit: int) -> list[str]:
    """The artist's first real works, in order."""
    found = rows(
        connection,
        "SELECT image_sha256 FROM reference_works WHERE subject = $subject AND image_sha256 IS NOT NULL "
        "ORDER BY work LIMIT $limit",
        {"subject": subject, "limit": limit},
    )
    return [str(value) for value in found["image_sha256"]]


def imitation_hashes(connection: duckdb.DuckDBPyConnection, model_version: str, subject: str, limit: int) -> list[str]:
    """The first imitations in order of template and trial, whatever they look like: chosen by nobody."""
    found = rows(
        connection,
        "SELECT image_sha256 FROM imitations WHERE model_version = $model_version AND subject = $subject "
        "AND image_sha256 IS NOT NULL ORDER BY template, trial LIMIT $limit",
        {"model_version": model_version, "subject": subject, "limit": limit},
    )
    return [str(value) for value in found["image_sha256"]]


def first_works(connection: duckdb.DuckDBPyConnection, limit: int) -> dict[str, list[str]]:
    """`reference_hashes` of everyone: subject -> SHA-256s."""
    return _by_subject(
        rows(
            connection,
            "SELECT subject, image_sha256 FROM reference_works WHERE image_sha256 IS NOT NULL "
            "QUALIFY row_number() OVER (PARTITION BY subject ORDER BY work) <= $limit ORDER BY subject, work",
            {"limit": limit},
        )
    )


def first_imitations(connection: duckdb.DuckDBPyConnection, model_version: str, limit: int) -> dict[str, list[str]]:
    """`imitation_hashes` of everyone: subject -> SHA-256s."""
    return _by_subject(
        rows(
            connection,
            "SELECT subject, image_sha256 FROM imitations WHERE model_version = $model_version AND image_sha256 IS NOT NULL "
            "QUALIFY row_number() OVER (PARTITION BY subject ORDER BY template, trial) <= $limit "
            "ORDER BY subject, template, trial",
            {"model_version": model_version, "limit": limit},
        )
    )


def _by_subject(found: pd.DataFrame) -> dict[str, list[str]]:
    return {str(s): own["image_sha256"].astype(str).tolist() for s, own in found.groupby("subject", sort=True)}


def contrasts(connection: duckdb.DuckDBPyConnection, protocol: str, model_version: str, encoder: str) -> pd.DataFrame:
    """Gaps to every control and the ratio to real works, with intervals."""
    return rows(
        connection,
        "SELECT contrast, label_set, control_label_set, control_kind::VARCHAR AS control_kind, control_shares_name_parts, "
        "subjects, controls, estimate, low, high FROM identification_contrasts "
        "WHERE protocol = $protocol AND model_version = $model_version AND encoder = $encoder ORDER BY ALL",
        {"protocol": protocol, "model_version": model_version, "encoder": encoder},
    )


def tests(connection: duckdb.DuckDBPyConnection, protocol: str, model_version: str) -> pd.DataFrame:
    """Every matching test of artists by every encoder: the share significant, and with works of others in two ways."""
    return rows(
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
    return rows(
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
    return rows(
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
    return rows(
        connection,
        "SELECT v.subject, verdict, basis, gap_low, own_rank_q, identified_needed, encoders, encoders_auditable, "
        "encoders_imitated FROM verdicts v JOIN verdict_agreement USING (protocol, model_version, subject) "
        "WHERE protocol = $protocol AND model_version = $model_version AND encoder = $encoder AND v.kind = 'artist'",
        {"protocol": protocol, "model_version": model_version, "encoder": encoder},
    )


def auditability(connection: duckdb.DuckDBPyConnection, protocol: str) -> pd.DataFrame:
    """What every encoder makes of real works, by kind: artists, works, works recognised, artists that can be audited."""
    return rows(
        connection,
        "SELECT encoder, kind::VARCHAR AS kind, count(*) AS artists, sum(real_works) AS real_works, sum(correct) AS correct, "
        "count_if(coalesce(auditable, false)) AS auditable FROM auditability WHERE protocol = $protocol GROUP BY ALL ORDER BY ALL",
        {"protocol": protocol},
    )


def calibration(connection: duckdb.DuckDBPyConnection, protocol: str) -> pd.DataFrame:
    return rows(
        connection, "SELECT * FROM calibration WHERE protocol = $protocol ORDER BY encoder", {"protocol": protocol}
    )


def of_model(connection: duckdb.DuckDBPyConnection, table: str, protocol: str, model_version: str) -> pd.DataFrame:
    """All rows of one of the tables on what results depend on, for one model version."""
    found = connection.table(table).df()
    if "protocol" in found:
        found = found[found["protocol"] == protocol]
    return found[found["model_version"] == model_version].reset_index(drop=True)


def optional(connection: duckdb.DuckDBPyConnection, table: str) -> pd.DataFrame:
    """A table that databases of earlier versions do not have, ordered by all its columns; empty where there is none."""
    known = rows(connection, "SELECT table_name FROM duckdb_tables()")["table_name"]
    return connection.table(table).order("ALL").df() if table in set(known) else pd.DataFrame()


def auc_by_subject(
    connection: duckdb.DuckDBPyConnection, protocol: str, model_version: str, encoder: str
) -> pd.DataFrame:
    """How much likelier the artist's real works are to lie near own images than near others': subject, auc, its 95 % interval."""
    return rows(
        connection,
        "SELECT subject, any_value(auc) AS auc, any_value(auc_low) AS auc_low, any_value(auc_high) AS auc_high "
        "FROM matching_by_subject WHERE protocol = $protocol AND model_version = $model_version AND encoder = $encoder "
        "AND test = 'rank_sum_exact' AND alternative = 'closer' AND control = 'none' GROUP BY subject ORDER BY subject",
        {"protocol": protocol, "model_version": model_version, "encoder": encoder},
    )


def encoder_relations(connection: duckdb.DuckDBPyConnection, model_version: str) -> dict[str, str]:
    """Encoder -> 'shared', 'independent', 'image only', 'unknown': what it has in common with the model's text encoders."""
    found = rows(
        connection,
        "SELECT encoder, relation FROM encoder_independence WHERE model_version = $model_version ORDER BY encoder",
        {"model_version": model_version},
    )
    return dict(zip(found["encoder"], found["relation"], strict=True))


def versions(connection: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """Every model version, in the order of audit.yaml (that of the table)."""
    return rows(connection, "SELECT * FROM model_versions ORDER BY rowid")


def audited_versions(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Model versions with results, in the order of audit.yaml."""
    found = rows(
        connection,
        "SELECT model_version FROM model_versions m WHERE EXISTS (SELECT 1 FROM verdicts v WHERE "
        "v.model_version = m.model_version) OR EXISTS (SELECT 1 FROM identification_summary i WHERE "
        "i.model_version = m.model_version) ORDER BY m.rowid",
    )
    return [str(v) for v in found["model_version"]]


def comparisons(connection: duckdb.DuckDBPyConnection, protocol: str) -> pd.DataFrame:
    """Every pair of versions, kind of subject, encoder and measure; in the order of the versions."""
    return rows(
        connection,
        "SELECT * REPLACE (kind::VARCHAR AS kind) FROM model_comparison WHERE protocol = $protocol ORDER BY rowid",
        {"protocol": protocol},
    )


def compared_subjects(connection: duckdb.DuckDBPyConnection, protocol: str) -> pd.DataFrame:
    """Pairs of versions, subject by subject, with names: those that changed, or whose verdict did."""
    return rows(
        connection,
        "SELECT c.* REPLACE (c.kind::VARCHAR AS kind), s.name, s.opted_out FROM model_comparison_by_subject c "
        "JOIN subjects s USING (subject) WHERE c.protocol = $protocol AND (c.changed OR c.verdict <> c.later_verdict) "
        "ORDER BY c.rowid",
        {"protocol": protocol},
    )


def trends(connection: duckdb.DuckDBPyConnection, protocol: str) -> pd.DataFrame:
    return rows(
        connection,
        "SELECT * REPLACE (kind::VARCHAR AS kind) FROM model_trends WHERE protocol = $protocol ORDER BY rowid",
        {"protocol": protocol},
    )


def made_from(connection: duckdb.DuckDBPyConnection) -> str:
    """The hash of everything that the database was made from; empty where it does not say."""
    found = optional(connection, "published_from")
    return "" if found.empty else str(found["inputs_sha256"].iloc[0])


def supplied_dates(connection: duckdb.DuckDBPyConnection, model_version: str) -> str:
    """First and last of the dates that people gave to the images they supplied; empty for a model that is asked."""
    found = optional(connection, "supplied_images")
    if found.empty:
        return ""
    dates = found.loc[(found["model_version"] == model_version) & found["date"].notna(), "date"].astype(str)
    if dates.empty:
        return ""
    return dates.min() if dates.min() == dates.max() else f"{dates.min()} to {dates.max()}"
