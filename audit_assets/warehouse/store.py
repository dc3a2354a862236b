"""The warehouse holds one parquet file per partition, in a folder or in S3 (`places`).

It is the audit's source of truth. Each file is written whole or not at all. Any number of workers write at once, and no worker waits for a lock.

Every file carries the hash of what it was made from (`inputs`). Finished work is recognised by this hash and skipped.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from audit_assets.errors import InputError, unreadable
from audit_assets.hashing import digest, once_while_unchanged, sha256, sha256_once
from audit_assets.untrusted.parquet import check_declared
from audit_assets.warehouse.places import ObjectPath, each, footer, states, whole
from audit_assets.warehouse.seal import SEALED, Damaged, check, check_file, sealed

R = TypeVar("R")
_INPUTS = b"audit_assets.inputs"
WHOLE = 16_000_000
"""A table of up to this many bytes is hashed, in some milliseconds, to detect changes since it was written."""

AT_ONCE = 256
"""Tables that are in memory at a time if many are read in blocks."""


def stamp(inputs: str) -> dict[bytes, bytes]:
    """Return the metadata that records a parquet file's inputs, for tables that are streamed into place.

    Such a file must be sealed (`seal_file`), or it counts as damaged.
    """
    return {_INPUTS: inputs.encode(), SEALED: b"1"}


class Warehouse:
    """This holds tables below a root folder.

    `table` is a path such as `imitations/sd-1.5/ada-brandvold`, without the suffix.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, table: str) -> Path:
        if table.startswith("/") or ".." in table.split("/"):
            raise ValueError(f"{table!r} is outside the warehouse")
        return self.root / f"{table}.parquet"

    def write(self, table: str, frame: pd.DataFrame, inputs: str) -> None:
        """Replace a table in one step. A reader sees the old file or the new one.

        InputError is raised if the disk is full or the user has no right to write.
        """
        arrow = pa.Table.from_pandas(frame, preserve_index=False)
        arrow = arrow.replace_schema_metadata({**(arrow.schema.metadata or {}), **stamp(inputs)})
        content = pa.BufferOutputStream()
        pq.write_table(arrow, content, compression="zstd")
        with whole(self.path(table)) as file:
            file.write_bytes(sealed(content.getvalue().to_pybytes()))

    def inputs(self, table: str) -> str | None:
        """Return the hash of what the table was made from.

        It is None if the table is missing or damaged, so that it is made again. In files larger than WHOLE, and in
        objects in S3, only the footer is checked. A process reads a local file once while it is unchanged. InputError is
        raised if the file exists and cannot be opened.
        """
        return _inputs(_footer_once(self.path(table)))

    def is_made_from(self, table: str, inputs: str) -> bool:
        """Return whether the table was made from these inputs and has the bytes that were written, however large it is."""
        if self.inputs(table) != inputs:
            return False
        path = self.path(table)
        if isinstance(path, ObjectPath):
            self._opened(table, [])
        elif path.stat().st_size > WHOLE:
            try:
                check_file(path)
            except (OSError, Damaged):
                return False
        return True

    def all_inputs(self, tables: Iterable[str]) -> list[str | None]:
        """Return `inputs` of each table, in order."""
        return self._all(tables, self.inputs, lambda path, state: _inputs(_footer_of_state(path, state)))

    def all_sha256(self, tables: Iterable[str]) -> list[str | None]:
        """Return the sha256 of each table's file, in order; None if there is no such file."""

        def hashed(table: str) -> str | None:
            path = self.path(table)
            return sha256_once(path) if path.exists() else None

        return self._all(tables, hashed, _sha256_of_state)

    def all_row_counts(self, tables: Iterable[str]) -> list[int | None]:
        """Return `row_count` of each table, in order; None for an object that does not exist."""
        return self._all(tables, self.row_count, lambda path, state: _rows(path, _footer_of_state(path, state)))

    def _all(
        self, tables: Iterable[str], ask: Callable[[str], R | None], kept: Callable[[Path, str], R | None]
    ) -> list[R | None]:
        """Ask about each table. What was read of an object is kept for as long as the list of its prefix shows that it is the same."""
        tables = list(tables)
        paths = [self.path(table) for table in tables]
        # A table that is made aside, to be compared, lies on this machine although the warehouse lies in S3.
        if not all(isinstance(path, ObjectPath) for path in paths):
            return [ask(table) for table in tables]
        known = zip(paths, states(paths), strict=True)
        return each(self.root, lambda item: None if item[1] is None else kept(item[0], item[1]), known)

    def made(self, table: str) -> bool:
        """Return whether the table exists. InputError is raised if it exists and cannot be read."""
        if self.inputs(table) is not None:
            return True
        if self.path(table).exists():
            self.read(table)
        return False

    def row_count(self, table: str) -> int:
        """Return the number of rows of a table, from its file's footer."""
        path = self.path(table)
        return _rows(path, _footer_once(path))

    def read(self, table: str, columns: list[str] | None = None) -> pd.DataFrame:
        """Return all columns, or those that are named.

        InputError names the file if it is missing, or if its bytes are not those that were written.
        """
        return self._opened(table, columns, pa.Table.to_pandas)

    def values(self, table: str, column: str) -> list[Any]:
        """Return the values of one column that are not NULL, without pandas. InputError as in `read`.

        A process reads them once while a local file is unchanged.
        """
        return list(_values(self.path(table), table, column))

    def rows_digest(self, table: str, columns: tuple[str, ...], filled: str) -> str:
        """Return the hash of the rows whose column `filled` is not NULL, in those of `columns` that the table has.

        InputError as in `read`. A process computes it once while a local file is unchanged.
        """
        return _rows_digest(self.path(table), table, columns, filled)

    def _opened(
        self, table: str, columns: list[str] | None = None, form: Callable[[pa.Table], Any] = lambda read: read
    ) -> Any:
        return _opened(self.path(table), table, columns, form)

    def kept(self, table: str, inputs: str, make: Callable[[], pd.DataFrame]) -> pd.DataFrame:
        """Return the table. It is read if it was made from these inputs, else it is made and written."""
        if self.inputs(table) == inputs:
            return self.read(table)
        made = make()
        self.write(table, made, inputs)
        return made

    def read_all(self, tables: list[str]) -> pd.DataFrame:
        """Return several tables of one kind, one below the other in the order given. InputError as in `read`."""
        read = each(self.root, self._opened, tables)
        filled = [t for t in read if t.num_rows] or read[:1]
        with suppress(Exception):  # what cannot be joined is read below one by one, so that the error names the file
            described = [_described(t) for t in filled]
            if filled and all(own == described[0] for own in described):  # pandas is slow with many small tables
                return pa.concat_tables([t.replace_schema_metadata(described[0][2]) for t in filled]).to_pandas()
        frames = each(self.root, self.read, [n for n, t in zip(tables, read, strict=True) if t.num_rows] or tables[:1])
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()

    def blocks(self, tables: list[str]) -> Iterator[pd.DataFrame]:
        """Yield the rows of `read_all` from few tables at a time, whatever their number."""
        for start in range(0, len(tables), AT_ONCE):
            yield self.read_all(tables[start : start + AT_ONCE])


def _opened(
    path: Path, table: str, columns: list[str] | None = None, form: Callable[[pa.Table], Any] = lambda read: read
) -> Any:
    """Return what `form` makes of a table's columns. InputError as in `Warehouse.read`."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: not made yet; materialize {table.split('/')[0]} first.") from None
    except OSError as error:
        raise InputError(f"{unreadable(path, error)}.") from None
    try:
        check(content)
        file = pq.ParquetFile(pa.BufferReader(content))
        check_declared(pa.BufferReader(content), len(content), sys.maxsize, columns, file.metadata)
        return form(file.read(columns))
    except Exception as error:  # a damaged footer makes Arrow and pandas raise any exception
        raise InputError(
            f"{path}: damaged ({error}); delete the file and materialize {table.split('/')[0]} again."
        ) from None


@once_while_unchanged(1 << 18)
def _values(path: Path, table: str, column: str) -> tuple[Any, ...]:
    return tuple(_opened(path, table, [column]).column(column).drop_null().to_pylist())


@once_while_unchanged(1 << 18)
def _rows_digest(path: Path, table: str, columns: tuple[str, ...], filled: str) -> str:
    read = _opened(path, table, list(columns))
    read = read.filter(read.column(filled).is_valid()).select([c for c in columns if c in read.column_names])
    return digest(read.to_pydict())


class _Footer(NamedTuple):
    """What a table's file says of itself."""

    inputs: str | None
    rows: int


def _read_footer(path: Path) -> _Footer | None:
    """Return what a file says of itself, None if there is none. Raise any exception if it is damaged."""
    try:
        if not isinstance(path, ObjectPath):
            path.open("rb").close()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except OSError as error:
        raise InputError(f"{unreadable(path, error)}.") from None
    source = footer(path)
    if not isinstance(path, ObjectPath) and path.stat().st_size <= WHOLE:
        content = path.read_bytes()
        check(content)
        source = pa.BufferReader(content)
    found = pq.read_metadata(source)
    metadata = found.metadata or {}
    return _Footer(metadata[_INPUTS].decode() if _INPUTS in metadata else None, int(found.num_rows))


def _footer_or_none(path: Path) -> _Footer | None:
    try:
        return _read_footer(path)
    except (OSError, pa.ArrowException, Damaged, UnicodeDecodeError):  # a damaged footer is an OSError
        return None


def _inputs(known: _Footer | None) -> str | None:
    return known.inputs if known else None


def _rows(path: Path, known: _Footer | None) -> int:
    return known.rows if known else int(pq.read_metadata(footer(path)).num_rows)


@once_while_unchanged(1 << 18)
def _footer_once(path: Path) -> _Footer | None:
    return _footer_or_none(path)


@lru_cache(1 << 18)
def _footer_of_state(path: Path, state: str) -> _Footer | None:
    return _footer_or_none(path)


@lru_cache(1 << 18)
def _sha256_of_state(path: Path, state: str) -> str | None:
    return sha256(path)


def _described(table: pa.Table) -> tuple[list[str], list[pa.DataType], dict[str, str] | None]:
    """Return the names and types of a table's columns, and what pandas wrote about them, without the index."""
    about = json.loads((table.schema.metadata or {}).get(b"pandas", b"{}"))
    without = {"pandas": json.dumps({**about, "index_columns": []})} if about else None
    return table.schema.names, table.schema.types, without


def vectors(column: pd.Series) -> np.ndarray:
    """Return a column of lists as one array (n, d) of float32."""
    return np.stack(column.to_list()).astype(np.float32, copy=False) if len(column) else np.zeros((0, 0), np.float32)
