"""`schema.sql` is the contract of the published database. Each encoder has one set of embedding tables in it."""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

import duckdb

from audit_assets.warehouse.dictionary import Described, comments, described

SCHEMA = Path(__file__).with_name("schema.sql")
SCHEMA_VERSION = 17
"""Every database records this version of `schema.sql`. Raise it with the contract.

An older database is published again when it is next asked for.
"""
_TEMPLATE = re.compile(r"CREATE TABLE (\w+)_<encoder> \(.*?\);", re.S)


def table_suffix(encoder: str) -> str:
    """Return an encoder's name as part of a table's name. Every character outside [a-z0-9] becomes '_'."""
    return re.sub(r"[^a-z0-9]", "_", encoder)


def schema(encoders: Mapping[str, int]) -> str:
    """Return `statements`, and after them the words of `schema.sql` as comments on tables and columns."""
    return "\n".join([statements(encoders), *comments(in_words(encoders))])


def statements(encoders: Mapping[str, int]) -> str:
    """Return the statements of `schema.sql`, with one set of embedding tables per encoder (name -> dimension)."""
    text = re.sub(r"--[^\n]*", "", SCHEMA.read_text(encoding="utf-8"))

    def each(match: re.Match[str]) -> str:
        return "\n".join(
            match[0].replace("<encoder>", table_suffix(name)).replace("FLOAT[d]", f"FLOAT[{int(d)}]")
            for name, d in encoders.items()
        )

    return _TEMPLATE.sub(each, text)


def in_words(encoders: Iterable[str]) -> dict[str, Described]:
    """Return every table of a database of these encoders in words."""
    return {
        table.replace("<encoder>", table_suffix(name)): words
        for table, words in documented().items()
        for name in (encoders if "<encoder>" in table else [""])
    }


@lru_cache(maxsize=1)
def documented() -> dict[str, Described]:
    """Return every table of `schema.sql` in words. A table of embeddings has the name with `<encoder>`."""
    return described(SCHEMA.read_text(encoding="utf-8"))


def schema_columns(encoders: Mapping[str, int]) -> dict[str, set[str]]:
    """Return the columns of every table of the schema."""
    return {table: set(found) for table, found in _in_order(statements(encoders)).items()}


def columns(table: str) -> list[str]:
    """Return the columns of one table of the schema, in its order.

    It does not serve tables of embeddings, because each encoder has its own.
    """
    return list(_in_order(statements({}))[table])


@lru_cache(maxsize=4)
def _in_order(text: str) -> dict[str, list[str]]:
    with duckdb.connect() as connection:
        connection.execute(text)
        found: dict[str, list[str]] = {}
        for table, column in connection.execute(
            "SELECT table_name, column_name FROM duckdb_columns() WHERE NOT internal ORDER BY table_oid, column_index"
        ).fetchall():
            found.setdefault(table, []).append(column)
        return found
