"""This module opens the published database so that nothing in it can do more than hold rows.

Its catalogue must be exactly that of `schema.sql`. It has plain tables, and no view, macro, trigger, index, sequence or
generated column, since each of these can answer differently for different readers. Only in a large audit, embeddings
are views of files whose names are their sha256 (`large_tables`). A connection reaches no other file and no network, and a query cannot
change that.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import duckdb

from audit_assets.errors import InputError
from audit_assets.warehouse import large_tables
from audit_assets.warehouse.places import ObjectPath, local_copy, spill_folder
from audit_assets.warehouse.schema import SCHEMA_VERSION, in_words, statements

LOCKED = {"enable_external_access": "false", "lock_configuration": "true"}
REMEDY = "delete it and run `audit-assets run`, which publishes it anew from the tables"
_EMBEDDINGS = re.compile(r"(?:imitation|reference|label)_embeddings_([a-z0-9_]+)")
_NO_TABLES = {
    "macro": "SELECT function_name FROM duckdb_functions() WHERE NOT internal",
    "trigger": "SELECT trigger_name FROM duckdb_triggers()",
    "index": "SELECT index_name FROM duckdb_indexes()",
    "sequence": "SELECT sequence_name FROM duckdb_sequences()",
    "schema": "SELECT schema_name FROM duckdb_schemas() WHERE NOT internal",
    "temporary table": "SELECT table_name FROM duckdb_tables() WHERE temporary",
}
_QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"")


def log_beside(path: Path) -> Path:
    """Return the path of DuckDB's log of changes, which a reader applies to the file before it reads."""
    return path.with_name(path.name + ".wal")


@contextmanager
def reading(path: Path, *, embeddings: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a connection that only reads the published database at `path`, and no other file.

    With `embeddings`, it also reads the tables that lie beside the database, which may have to be fetched from a store. It is
    closed on leaving. InputError is raised if no such file exists, it is not DuckDB's, a log of changes lies beside it,
    its catalogue is not that of `schema.sql`, or a file that is asked for is missing.
    """
    check_log(path)
    if not path.exists():
        raise InputError(f"{path}: does not exist; run `audit-assets run`, which publishes it.")
    with _opened(path, LOCKED) as connection:
        views = large_tables.views(connection) if embeddings else {}
        if not views:
            yield connection
            return
    folder = large_tables.folder_beside(path)
    read = {name: (folder, sql) for name, sql in views.items()}
    with _opened(path, {}, lambda unlocked: large_tables.let_read(unlocked, read)) as connection:
        if large_tables.views(connection) != views:
            raise InputError(f"{path}: was published again while it was opened; ask again.")
        yield connection


@contextmanager
def _opened(
    path: Path, config: Mapping[str, str], lock: Callable[[duckdb.DuckDBPyConnection], None] | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a connection, lock it, and check the catalogue before anything is read."""
    try:
        connection = duckdb.connect(
            str(local_copy(path)), read_only=True, config={**config, "temp_directory": str(spill_folder())}
        )
    except duckdb.Error as error:
        raise InputError(f"{path}: {_unreadable(path, error)}") from error
    try:
        if lock:
            lock(connection)
        if problem := catalogue_problem(connection):
            raise InputError(f"{path}: {problem}; it is no database that an audit published, {REMEDY}.")
        yield connection
    finally:
        connection.close()


def check_log(path: Path) -> None:
    """Raise InputError if a log of changes lies beside the database. Its content was never published."""
    log = log_beside(path)
    if not isinstance(path, ObjectPath) and log.exists():
        raise InputError(
            f"{log}: a program opened {path.name} for writing and ended before it was done, so a reader would see what it "
            "wrote; delete this file and run `audit-assets run`."
        )


def _unreadable(path: Path, error: duckdb.Error) -> str:
    said = " ".join(str(error).split())
    if "lock" in said.lower():
        return f"another program has it open for writing ({said}); close that program, and run again."
    if "Permission denied" in said:
        return f"cannot be opened ({said}); give yourself the right to read it."
    return f"not a readable DuckDB file ({said}); {REMEDY}."


def catalogue_problem(connection: duckdb.DuckDBPyConnection) -> str | None:
    """Say in words what a published catalogue holds besides plain tables of the schema; return None if nothing."""
    for kind, query in _NO_TABLES.items():
        if others := connection.execute(query).fetchall():
            return f"holds the {kind} {others[0][0]!r}, and a published database holds plain tables alone"
    query = "SELECT table_name, sql FROM duckdb_tables() WHERE NOT internal ORDER BY ALL"
    found = {str(name): str(sql) for name, sql in connection.execute(query).fetchall()}
    wanted, labels, words, columns = _expected(_encoders(connection, found))
    views = large_tables.views(connection)
    for name, sql in views.items():
        if large_tables.file_of(name, sql) is None:
            return f"holds the view {name!r}, and a published database holds plain tables alone"
    for name, sql in found.items():
        # A generated column is an expression that each reader computes.
        if re.search(r"\bGENERATED\b|\bDEFAULT\b|\bAS\b", _QUOTED.sub("", sql), re.I):
            return f"the table {name!r} computes a column instead of holding it"
    if _version(connection, found) != SCHEMA_VERSION:
        return None  # the file has another version of the contract, and its readers report that
    for name, sql in views.items():
        if sql != large_tables.statement(name, columns.get(name, {}), str(large_tables.file_of(name, sql))):
            return f"the view {name!r} is not that of the schema"
    wanted = {name: sql for name, sql in wanted.items() if name not in views}
    for name, sql in wanted.items():
        if found.get(name) != sql:
            return f"the table {name!r} is not that of the schema" if name in found else f"has no table {name!r}"
    if further := found.keys() - wanted.keys():
        return f"the table {min(further)!r} is none of the schema"
    if _words(connection) != words:
        return "its comments are not those of the schema"
    types = "SELECT type_name, labels FROM duckdb_types() WHERE NOT internal AND database_name = current_database()"
    if {str(n): tuple(own or ()) for n, own in connection.execute(types).fetchall()} != labels:
        return "its types are not those of the schema"
    return None


def _encoders(connection: duckdb.DuckDBPyConnection, tables: Mapping[str, str]) -> tuple[tuple[str, int], ...]:
    """Return the suffix and dimension of each encoder, from the tables of its embeddings."""
    found = {}
    for name, sql in tables.items():
        known, size = _EMBEDDINGS.fullmatch(name), re.search(r"embedding FLOAT\[(\d{1,6})\]", sql)
        if known and size:
            found[known[1]] = int(size[1])
    return tuple(sorted(found.items()))


@lru_cache(maxsize=16)
def _expected(
    encoders: tuple[tuple[str, int], ...],
) -> tuple[dict[str, str], dict[str, tuple[str, ...]], dict[tuple[str, str | None], str], dict[str, dict[str, str]]]:
    """Return the statement of every table of the schema, the labels of every type, the comments, and the types of the columns.

    All are as DuckDB writes them.
    """
    with duckdb.connect() as connection:
        connection.execute(statements(dict(encoders)))
        tables = connection.execute("SELECT table_name, sql FROM duckdb_tables() WHERE NOT internal").fetchall()
        types = connection.execute("SELECT type_name, labels FROM duckdb_types() WHERE NOT internal").fetchall()
        query = "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE NOT internal ORDER BY table_name, column_index"
        columns: dict[str, dict[str, str]] = {}
        for table, column, type_ in connection.execute(query).fetchall():
            columns.setdefault(str(table), {})[str(column)] = str(type_)
    words: dict[tuple[str, str | None], str] = {}
    for table, described in in_words(dict(encoders)).items():
        words |= {(table, column): text for column, text in described.columns.items()}
        words |= {(table, None): described.text} if described.text else {}
    return {str(n): str(sql) for n, sql in tables}, {str(n): tuple(own or ()) for n, own in types}, words, columns


def _words(connection: duckdb.DuckDBPyConnection) -> dict[tuple[str, str | None], str]:
    """Return the comments by table and column (None for the table). A reader takes them for the words of the schema."""
    query = """SELECT table_name, NULL, comment FROM duckdb_tables() WHERE NOT internal AND comment IS NOT NULL
        UNION ALL SELECT view_name, NULL, comment FROM duckdb_views() WHERE NOT internal AND comment IS NOT NULL
        UNION ALL SELECT table_name, column_name, comment FROM duckdb_columns() WHERE NOT internal AND comment IS NOT NULL"""
    return {(table, column): text for table, column, text in connection.execute(query).fetchall()}


def _version(connection: duckdb.DuckDBPyConnection, tables: Mapping[str, str]) -> int | None:
    if "published_from" not in tables:
        return None
    try:
        rows = connection.execute("SELECT schema_version FROM published_from").fetchall()
    except duckdb.Error:
        return None
    return int(rows[0][0]) if rows else None
