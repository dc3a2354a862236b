"""Publish `audit.duckdb`, which has real tables as `schema.sql` says.

The file is built beside the old one and swapped in with one rename. A reader that has the old file open keeps its
snapshot. The next reader opens the new one.
"""

import json
import platform
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa

from audit_assets.errors import InputError
from audit_assets.warehouse.contract import log_beside, reading
from audit_assets.warehouse.places import ObjectPath, whole
from audit_assets.warehouse.schema import SCHEMA as SCHEMA
from audit_assets.warehouse.schema import SCHEMA_VERSION as SCHEMA_VERSION
from audit_assets.warehouse.schema import columns as columns
from audit_assets.warehouse.schema import schema
from audit_assets.warehouse.schema import schema_columns as schema_columns
from audit_assets.warehouse.schema import table_suffix as table_suffix
from audit_assets.warehouse.store import vectors

LIBRARIES = (
    "accelerate", "diffusers", "duckdb", "numba", "numpy", "pandas", "peft", "pillow", "pyarrow", "safetensors", "scipy",
    "tokenizers", "torch", "transformers",
)  # fmt: skip
STORAGE_VERSION = "v1.2.0"
"""This is the oldest DuckDB storage that clients still read. A reader need not have our version."""


Rows = pd.DataFrame | Iterable[pd.DataFrame]
"""The rows of a table, at once or in blocks, of which only one is in memory."""


def publish(path: Path, tables: Mapping[str, Rows], encoders: Mapping[str, int]) -> None:
    """Write every table and swap the file in.

    `tables` maps a table of the schema to its rows. The columns may have any order. Nothing is
    replaced unless everything was written. InputError is raised if the folder cannot be written.
    """
    try:
        with whole(path) as file:
            try:
                _fill(file, tables, encoders)
            finally:
                log_beside(file).unlink(missing_ok=True)
            if not isinstance(path, ObjectPath):
                # A log that a program left when it wrote to the old file would be applied to this one.
                log_beside(path).unlink(missing_ok=True)
    except (duckdb.IOException, duckdb.TransactionException, duckdb.FatalException) as error:
        # A full disk shows while DuckDB writes, when it commits, or at the next statement: "Failed to commit: Could not write file". A
        # commit also fails if rows break a constraint.
        if not isinstance(error, duckdb.IOException) and "Could not" not in str(error):
            raise
        raise InputError(f"{path}: cannot be written ({error}); check the folder's rights and free space.") from None


def _fill(file: Path, tables: Mapping[str, Rows], encoders: Mapping[str, int]) -> None:
    with duckdb.connect() as connection:
        # ATTACH takes no parameters, so the name is quoted as a string literal.
        target = str(file).replace("'", "''")
        connection.execute(f"ATTACH '{target}' AS published (STORAGE_VERSION '{STORAGE_VERSION}')")
        connection.execute("USE published")
        # In one transaction, because each of these thousand statements would be a change of the file of its own.
        connection.execute(f"BEGIN; {schema(encoders)}; COMMIT")
        query = "SELECT table_name FROM duckdb_tables() WHERE database_name = 'published'"
        known = {name for (name,) in connection.execute(query).fetchall()}
        if further := tables.keys() - known:
            raise ValueError(f"schema.sql has no table {min(further)!r}")
        for name, rows in tables.items():
            for block in [rows] if isinstance(rows, pd.DataFrame) else rows:
                _insert(connection, name, block)
        connection.execute("USE memory")
        connection.execute("DETACH published")


def _insert(connection: duckdb.DuckDBPyConnection, name: str, frame: pd.DataFrame) -> None:
    """Insert through Arrow, twenty times faster than executemany. Table and column names are ours, never a user's."""
    types = dict(
        connection.execute(
            "SELECT column_name, data_type FROM duckdb_columns() WHERE database_name = 'published' AND table_name = ?",
            [name],
        ).fetchall()
    )
    if missing := [c for c in types if c not in frame.columns]:
        raise ValueError(f"{name}: the column {missing[0]!r} of schema.sql is missing")
    if unknown := [c for c in frame.columns if c not in types]:
        raise ValueError(f"{name}: schema.sql has no column {unknown[0]!r}")
    connection.register("incoming", _arrow(frame))
    columns = ", ".join(f'"{c}"' for c in types)
    casts = ", ".join(f'"{c}"::{t}' for c, t in types.items())
    connection.execute(f"INSERT INTO {name} ({columns}) SELECT {casts} FROM incoming")  # noqa: S608 - our own names
    connection.unregister("incoming")


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
    """Return the number of rows of every table of a database."""
    with reading(path) as connection:
        names = [name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
        return {name: _one(connection, f'SELECT count(*) FROM "{name}"') for name in names}  # noqa: S608 - the file's own tables


def published_from(path: Path) -> str | None:
    """Return the hash of the inputs that a database was made from.

    It is None if the database does not exist, cannot be read, or does not fit the contract.
    """
    if not path.exists():
        return None
    try:
        with reading(path) as connection:
            return str(_one(connection, "SELECT inputs_sha256 FROM published_from"))
    except (duckdb.Error, InputError, AssertionError):
        return None


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
