"""Queries over the published ``audit.duckdb``: opening it, what was audited by what, and which images there are.

``model`` and ``across_models`` have the queries on what was measured, ``artist`` those on one artist.

Values are bound, never formatted into SQL. The one name that depends on data, the encoder's embedding table, is made by
``table_suffix`` and opened by DuckDB's relational API.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from audit_assets.errors import InputError
from audit_assets.warehouse.contract import reading
from audit_assets.warehouse.database import table_suffix
from audit_assets.warehouse.notes import LABELS, ROSTER, WORKS

Connection = duckdb.DuckDBPyConnection
EMBEDDING_TABLES = ("label_embeddings", "imitation_embeddings", "reference_embeddings")


@contextmanager
def opened(database: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A read-only connection, also to embeddings beside the database, closed on leaving.

    InputError if no such file exists, or it is no database that was published.
    """
    if not database.is_file():
        raise InputError(f"{database}: no published database. Remedy: run `audit-assets run`, which writes it.")
    with reading(database, embeddings=True) as connection:
        yield connection


def rows(connection: duckdb.DuckDBPyConnection, sql: str, parameters: dict[str, Any] | None = None) -> pd.DataFrame:
    """The result of one statement, ``$name`` parameters bound."""
    return connection.execute(sql, parameters or {}).df()


def optional(connection: duckdb.DuckDBPyConnection, table: str) -> pd.DataFrame:
    """A table that databases of earlier versions lack, ordered by all its columns. Empty if the database lacks it."""
    known = rows(connection, "SELECT table_name FROM duckdb_tables()")["table_name"]
    return connection.table(table).order("ALL").df() if table in set(known) else pd.DataFrame()


def embeddings(
    connection: duckdb.DuckDBPyConnection, table: str, encoder: str, model_version: str | None = None
) -> pd.DataFrame:
    """One of ``EMBEDDING_TABLES`` for one encoder, of images also for one model version; ``embedding`` holds float32 arrays.

    Raises ValueError for another table, InputError if the encoder has no such table.
    """
    if table not in EMBEDDING_TABLES:
        raise ValueError(f"{table}: not one of {', '.join(EMBEDDING_TABLES)}")
    name = f"{table}_{table_suffix(encoder)}"
    # In a large audit it is a view of a file beside the database.
    known = rows(connection, "SELECT table_name FROM duckdb_tables() UNION SELECT view_name FROM duckdb_views()")[
        "table_name"
    ]
    if name not in set(known):
        raise InputError(f"encoder {encoder!r}: the database has no table {name}. Remedy: embed and publish again.")
    found = connection.table(name)
    return (
        found
        if model_version is None
        else found.filter(duckdb.ColumnExpression("model_version") == duckdb.ConstantExpression(model_version))
    ).df()


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


def model_version_row(connection: duckdb.DuckDBPyConnection, model_version: str) -> dict[str, Any]:
    """The model version's row of provenance. Raises InputError for an unknown version; the message names the known ones."""
    known = rows(connection, "SELECT * FROM model_versions ORDER BY model_version")
    found = known[known["model_version"] == model_version]
    if found.empty:
        names = ", ".join(known["model_version"]) or "none"
        raise InputError(f"model version {model_version!r} is not in the database. Remedy: choose one of: {names}")
    return {str(key): value for key, value in found.iloc[0].to_dict().items()}


def supplied_dates(connection: duckdb.DuckDBPyConnection, model_version: str) -> str:
    """First and last date that the operator recorded for supplied images. Empty for a model that generates its images here."""
    found = optional(connection, "supplied_images")
    if found.empty:
        return ""
    dates = found.loc[(found["model_version"] == model_version) & found["date"].notna(), "date"].astype(str)
    if dates.empty:
        return ""
    return dates.min() if dates.min() == dates.max() else f"{dates.min()} to {dates.max()}"


def left_out(connection: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """Every part that is left out, with the name of its subject: models first, then encoders, artists and real works."""
    return rows(
        connection,
        "SELECT l.*, s.name, s.kind::VARCHAR AS kind FROM left_out l LEFT JOIN subjects s USING (subject) ORDER BY l.rowid",
    )


def encoders(connection: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    return rows(connection, "SELECT * FROM encoders ORDER BY encoder")


def encoder_relations(connection: duckdb.DuckDBPyConnection, model_version: str) -> dict[str, str]:
    """Encoder -> 'shared', 'independent', 'image only', 'unknown': whether it shares a family with the model's text encoders."""
    found = rows(
        connection,
        "SELECT encoder, relation FROM encoder_independence WHERE model_version = $model_version ORDER BY encoder",
        {"model_version": model_version},
    )
    return dict(zip(found["encoder"], found["relation"], strict=True))


def primary_encoder(connection: duckdb.DuckDBPyConnection, encoder: str | None = None) -> str:
    """``encoder`` if the database has it, by default the one that decides the headline (``primary`` of audit.yaml).

    Raises InputError if the database has no such encoder.
    """
    known = encoders(connection)
    if encoder is not None:
        if encoder not in set(known["encoder"]):
            raise InputError(
                f"encoder {encoder!r} is not in the database. Remedy: choose one of: {', '.join(known['encoder'])}"
            )
        return encoder
    marked = known[known["is_primary"].fillna(False).astype(bool)] if "is_primary" in known else known.iloc[:0]
    if marked.empty:
        raise InputError(
            "the database marks no primary encoder. Remedy: run `audit-assets run`, which publishes it again."
        )
    return str(marked["encoder"].iloc[0])


def only_artist(connection: duckdb.DuckDBPyConnection) -> dict[str, str] | None:
    """``subject`` and ``name`` of the artist if the audit is of one artist; None if it has a roster."""
    found = rows(
        connection, "SELECT subject, name FROM subjects WHERE kind = 'artist' AND NOT retired ORDER BY subject"
    )
    return {str(k): str(v) for k, v in found.iloc[0].to_dict().items()} if len(found) == 1 else None


def protocols(connection: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    return rows(
        connection, "SELECT protocol, generation_hash, measurement_hash, definition FROM protocols ORDER BY protocol"
    )


def primary_protocol(connection: duckdb.DuckDBPyConnection, model_version: str, protocol: str | None = None) -> str:
    """``protocol`` if given, by default ``paper_2023`` if this model was audited by it, or else the first by name.

    Raises InputError if the model version has no identification by ``protocol``, or by any protocol.
    """
    found = rows(
        connection,
        "SELECT DISTINCT protocol FROM (SELECT protocol, model_version FROM identification_summary UNION "
        "SELECT protocol, model_version FROM verdicts) WHERE model_version = $model_version "
        "ORDER BY protocol <> 'paper_2023', protocol",
        {"model_version": model_version},
    )["protocol"].tolist()
    if protocol is None and found:
        return str(found[0])
    if protocol is not None and protocol in found:
        return protocol
    what = "any protocol" if protocol is None else f"protocol {protocol!r}"
    raise InputError(f"model version {model_version!r} has no results by {what}. Remedy: run `audit-assets run`.")


def templates(connection: duckdb.DuckDBPyConnection, protocol: str) -> list[str]:
    """The prompts of a protocol that ask for a name, with {name} in its place."""
    definitions = protocols(connection).set_index("protocol")["definition"]
    return [str(template) for template in json.loads(definitions[protocol])["templates"]]


def alpha(connection: duckdb.DuckDBPyConnection, protocol: str) -> float:
    """The level of the tests of a protocol; 0.05, as in the paper, if its definition names none."""
    return float(_definition(connection, protocol).get("matching", {}).get("alpha", 0.05))


def margin(connection: duckdb.DuckDBPyConnection, protocol: str) -> float:
    """The change of a share that counts as one by a protocol; 0.25 if its definition names none."""
    return float(_definition(connection, protocol).get("comparison", {}).get("changed", 0.25))


def _definition(connection: duckdb.DuckDBPyConnection, protocol: str) -> dict[str, Any]:
    definitions = protocols(connection).set_index("protocol")["definition"]
    return dict(json.loads(str(definitions.get(protocol, "{}"))))


def notes(connection: duckdb.DuckDBPyConnection, model_version: str) -> pd.DataFrame:
    """What a reader must know of the inputs of one model version: place, note. Notes on artists and captions come first."""
    found = optional(connection, "notes")
    if found.empty:
        return found
    own = found[found["place"].isin([ROSTER, WORKS, LABELS, model_version])]
    return own.sort_values("place", key=lambda p: p == model_version, kind="stable")


def made_from(connection: duckdb.DuckDBPyConnection) -> str:
    """The hash of everything that the database was made from; empty if the database does not record it."""
    found = optional(connection, "published_from")
    return "" if found.empty else str(found["inputs_sha256"].iloc[0])


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
    """The first imitations of prompts that name the subject, in order of template and trial: no person chose them."""
    found = rows(
        connection,
        "SELECT image_sha256 FROM imitations WHERE model_version = $model_version AND subject = $subject "
        "AND template >= 0 AND image_sha256 IS NOT NULL ORDER BY template, trial LIMIT $limit",
        {"model_version": model_version, "subject": subject, "limit": limit},
    )
    return [str(value) for value in found["image_sha256"]]


def first_prompts(connection: duckdb.DuckDBPyConnection, model_version: str) -> pd.DataFrame:
    """name and prompt of each artist's first image that has a prompt, of the first template."""
    return rows(
        connection,
        "SELECT s.name, arg_min(i.prompt, i.trial) AS prompt FROM imitations i JOIN subjects s USING (subject) "
        "WHERE i.model_version = $model_version AND i.template = 0 AND i.prompt IS NOT NULL "
        "AND s.kind IN ('artist', 'untrained_artist') GROUP BY s.name ORDER BY s.name",
        {"model_version": model_version},
    )


def prompts(connection: duckdb.DuckDBPyConnection, model_version: str) -> pd.DataFrame:
    """name and prompt of each artist who was asked for by name: one row per artist and prompt, in order of name and template."""
    return rows(
        connection,
        "SELECT s.name, i.prompt FROM imitations i JOIN subjects s USING (subject) WHERE i.model_version = $model_version "
        "AND i.template >= 0 AND i.prompt IS NOT NULL AND s.kind = 'artist' AND NOT s.retired "
        "GROUP BY s.name, i.prompt ORDER BY s.name, min(i.template), i.prompt",
        {"model_version": model_version},
    )


def first_works(connection: duckdb.DuckDBPyConnection, limit: int) -> dict[str, list[str]]:
    """`reference_hashes` of every subject: subject -> SHA-256s."""
    return _by_subject(
        rows(
            connection,
            "SELECT subject, image_sha256 FROM reference_works WHERE image_sha256 IS NOT NULL "
            "QUALIFY row_number() OVER (PARTITION BY subject ORDER BY work) <= $limit ORDER BY subject, work",
            {"limit": limit},
        )
    )


def first_imitations(connection: duckdb.DuckDBPyConnection, model_version: str, limit: int) -> dict[str, list[str]]:
    """`imitation_hashes` of every subject: subject -> SHA-256s."""
    return _by_subject(
        rows(
            connection,
            "SELECT subject, image_sha256 FROM imitations WHERE model_version = $model_version AND template >= 0 "
            "AND image_sha256 IS NOT NULL QUALIFY row_number() OVER (PARTITION BY subject ORDER BY template, trial) <= $limit "
            "ORDER BY subject, template, trial",
            {"model_version": model_version, "limit": limit},
        )
    )


def _by_subject(found: pd.DataFrame) -> dict[str, list[str]]:
    return {str(s): own["image_sha256"].astype(str).tolist() for s, own in found.groupby("subject", sort=True)}
