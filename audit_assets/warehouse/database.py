"""Publish `audit.duckdb`, which has real tables as `schema.sql` says, and views of embeddings if there are many (`large_tables`).

The file is built beside the old one and swapped in with one rename. A reader that has the old file open keeps its
snapshot. The next reader opens the new one.
"""

import json
import platform
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa

from audit_assets.errors import InputError
from audit_assets.hashing import once_while_unchanged
from audit_assets.warehouse import large_tables
from audit_assets.warehouse.contract import check_log, log_beside, reading
from audit_assets.warehouse.dictionary import comments
from audit_assets.warehouse.places import ObjectPath, whole
from audit_assets.warehouse.schema import SCHEMA as SCHEMA
from audit_assets.warehouse.schema import SCHEMA_VERSION as SCHEMA_VERSION
from audit_assets.warehouse.schema import columns as columns
from audit_assets.warehouse.schema import in_words, schema
from audit_assets.warehouse.schema import schema_columns as schema_columns
from audit_assets.warehouse.schema import table_suffix as table_suffix
from audit_assets.warehouse.store import vectors

LIBRARIES = (
    "accelerate", "diffusers", "duckdb", "numba", "numpy", "pandas", "peft", "pillow", "pyarrow", "safetensors", "scipy",
    "tokenizers", "torch", "transformers",
)  # fmt: skip
STORAGE_VERSION = "v1.2.0"
"""This is the oldest DuckDB storage that clients still read. A reader need not have our version."""

_WITHOUT_ROWS: dict[tuple[tuple[str, int], ...], bytes] = {}
"""The last database that was made in this process, before any row was in it, by its encoders and their dimensions."""

Rows = pd.DataFrame | Iterable[pd.DataFrame]
"""The rows of a table, at once or in blocks, of which only one is in memory."""


def publish(path: Path, tables: Mapping[str, Rows], encoders: Mapping[str, int], *, large: bool = False) -> None:
    """Write every table and swap the file in.

    `tables` maps a table of the schema to its rows. The columns may have any order. If the audit is `large`, the embeddings of
    images and works are written beside the file, which has views of them. Nothing is replaced unless everything was
    written. InputError is raised if the folder cannot be written.
    """
    folder = large_tables.folder_beside(path)
    before = _named_before(path) if folder.is_dir() else []
    try:
        with whole(path) as file, large_tables.scratch(folder) if large else nullcontext() as scratch:
            try:
                beside = _fill(file, tables, encoders, scratch)
            finally:
                log_beside(file).unlink(missing_ok=True)
            if scratch is not None:
                large_tables.place(scratch, folder, beside)
            if not isinstance(path, ObjectPath):
                # A log that a program left when it wrote to the old file would be applied to this one.
                log_beside(path).unlink(missing_ok=True)
    except (duckdb.IOException, duckdb.TransactionException, duckdb.FatalException) as error:
        # A full disk shows while DuckDB writes, when it commits, or at the next statement: "Failed to commit: Could not write file". A
        # commit also fails if rows break a constraint.
        if not isinstance(error, duckdb.IOException) and "Could not" not in str(error):
            raise
        raise InputError(f"{path}: cannot be written ({error}); check the folder's rights and free space.") from None
    if (
        folder.is_dir() and before is not None
    ):  # a reader that has the old file open still reads the files that it names
        large_tables.remove_others(folder, [*before, *beside])


def _named_before(path: Path) -> list[str] | None:
    """Return the files beside the database that is replaced. It is None if nobody can say, and then all files stay for now."""
    if not path.exists():
        return []
    try:
        return list(files_beside(path).values())
    except (InputError, duckdb.Error):
        return None


def files_beside(path: Path) -> dict[str, str]:
    """Return the name of the file of each table that lies beside a database. InputError is raised if it cannot be read."""
    check_log(path)
    return dict(_beside(path))


@once_while_unchanged(16)
def _beside(path: Path) -> dict[str, str]:
    with reading(path) as connection:
        return large_tables.files(connection)


def _fill(file: Path, tables: Mapping[str, Rows], encoders: Mapping[str, int], scratch: Path | None) -> list[str]:
    """Fill a new database, and the scratch folder with the files beside it. Return their names."""
    beside = []
    _lay_tables(file, encoders)
    with _attached(file) as connection:
        query = "SELECT table_name FROM duckdb_tables() WHERE database_name = 'published'"
        known = {name for (name,) in connection.execute(query).fetchall()}
        if further := tables.keys() - known:
            raise ValueError(f"schema.sql has no table {min(further)!r}")
        for name, rows in tables.items():
            blocks = [rows] if isinstance(rows, pd.DataFrame) else rows
            if scratch is not None and large_tables.holds_embeddings(name):
                beside += _lay_beside(connection, scratch, name, blocks, encoders)
                continue
            for block in blocks:
                _insert(connection, name, block)
    return beside


def _lay_tables(file: Path, encoders: Mapping[str, int]) -> None:
    """Make a database with the tables and words of the schema, which are a thousand statements, and take longer than most rows.

    A process that publishes again copies what it made the first time.
    """
    key = tuple(sorted(encoders.items()))
    if key in _WITHOUT_ROWS:
        file.write_bytes(_WITHOUT_ROWS[key])
        return
    with _attached(file) as connection:
        # In one transaction, because each of the statements would be a change of the file of its own.
        connection.execute(f"BEGIN; {schema(encoders)}; COMMIT")
    _WITHOUT_ROWS.clear()
    _WITHOUT_ROWS[key] = file.read_bytes()


@contextmanager
def _attached(file: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a connection that writes to a database. The database is made if it does not exist, and whole afterwards."""
    with duckdb.connect() as connection:
        # ATTACH takes no parameters, so the name is quoted as a string literal.
        target = str(file).replace("'", "''")
        connection.execute(f"ATTACH '{target}' AS published (STORAGE_VERSION '{STORAGE_VERSION}')")
        connection.execute("USE published")
        yield connection
        connection.execute("USE memory")
        connection.execute("DETACH published")


def _lay_beside(
    connection: duckdb.DuckDBPyConnection,
    scratch: Path,
    name: str,
    blocks: Iterable[pd.DataFrame],
    encoders: Mapping[str, int],
) -> list[str]:
    """Write a table beside the database, and put a view in its place. An empty table stays."""
    types = _types(connection, name)
    file = large_tables.write(
        scratch, name, (connection.sql(_typed(connection, name, block)).to_arrow_table() for block in blocks)
    )
    if file is None:
        return []
    words = "\n".join(comments({name: in_words(encoders)[name]}, "VIEW"))
    with large_tables.stand_in(scratch / file) as folder:
        connection.execute("SET file_search_path = ?", [str(folder)])
        connection.execute(f"DROP TABLE {name}; {large_tables.statement(name, types, file)} {words}")
    return [file]


def _types(connection: duckdb.DuckDBPyConnection, name: str) -> dict[str, str]:
    query = "SELECT column_name, data_type FROM duckdb_columns() WHERE database_name = 'published' AND table_name = ? ORDER BY column_index"
    return dict(connection.execute(query, [name]).fetchall())


def _insert(connection: duckdb.DuckDBPyConnection, name: str, frame: pd.DataFrame) -> None:
    """Insert rows. Table and column names are ours, never a user's."""
    connection.execute(f"INSERT INTO {name} BY NAME {_typed(connection, name, frame)}")
    connection.unregister("incoming")


def _typed(connection: duckdb.DuckDBPyConnection, name: str, frame: pd.DataFrame) -> str:
    """Give rows of a table to the connection, through Arrow, twenty times faster than executemany.

    Return the query that has them with the columns and types of the schema.
    """
    types = _types(connection, name)
    if missing := [c for c in types if c not in frame.columns]:
        raise ValueError(f"{name}: the column {missing[0]!r} of schema.sql is missing")
    if unknown := [c for c in frame.columns if c not in types]:
        raise ValueError(f"{name}: schema.sql has no column {unknown[0]!r}")
    connection.register("incoming", _arrow(frame))
    typed = ", ".join(f'"{c}"::{t} AS "{c}"' for c, t in types.items())
    return f"SELECT {typed} FROM incoming"  # noqa: S608 - our own names


def _arrow(frame: pd.DataFrame) -> pa.Table:
    plain = pa.Table.from_pandas(frame.drop(columns="embedding", errors="ignore"), preserve_index=False)
    if "embedding" not in frame.columns:
        return plain
    values = vectors(frame["embedding"])
    column = (
        pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])
        if len(values)
        else pa.array([], pa.list_(pa.float32()))
    )
    return plain.append_column("embedding", column)


def as_json(value: object) -> str:
    """Return canonical JSON, for the schema's JSON columns."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)


def library_versions() -> list[tuple[str, str]]:
    """Return (package, version) of Python and of the installed libraries that figures depend on."""
    found = [(name, version(name)) for name in LIBRARIES]
    return [("python", platform.python_version()), *found]


def row_counts(path: Path) -> dict[str, int]:
    """Return the number of rows of every table of a database, and of every table beside it."""
    with reading(path) as connection:
        names = [name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
        counts = {name: _one(connection, f'SELECT count(*) FROM "{name}"') for name in names}  # noqa: S608 - the file's own tables
        beside = large_tables.files(connection)
    return counts | {
        name: large_tables.row_count(large_tables.folder_beside(path), file) for name, file in beside.items()
    }


def published_from(path: Path) -> str | None:
    """Return the hash of the inputs that a database was made from.

    It is None if the database does not exist, cannot be read, or does not fit the contract.
    """
    if not path.exists():
        return None
    try:
        check_log(path)
        return _recorded(path)
    except (duckdb.Error, InputError, AssertionError):
        return None


@once_while_unchanged(16)
def _recorded(path: Path) -> str:
    with reading(path) as connection:
        return str(_one(connection, "SELECT inputs_sha256 FROM published_from"))


def schema_version(path: Path) -> int | None:
    """Return the version of the contract that a database keeps.

    It is None if the database does not exist or records no version. InputError is raised if it cannot be read.
    """
    if not path.exists():
        return None
    with reading(path) as connection:
        try:
            return int(_one(connection, "SELECT schema_version FROM published_from"))
        except (duckdb.Error, AssertionError):
            return None


def _one(connection: duckdb.DuckDBPyConnection, query: str) -> Any:
    row = connection.execute(query).fetchone()
    assert row is not None
    return row[0]
