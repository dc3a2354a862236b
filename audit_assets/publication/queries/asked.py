"""One query that a person asks of the published database, and its whole answer: as a table, CSV, JSON or parquet.

An answer has every column and every row. CSV and JSON are written piece by piece.
"""

import json
import math
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, BinaryIO

import duckdb
import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq
from rich.cells import cell_len

from audit_assets.errors import InputError
from audit_assets.untrusted.spreadsheet import neutral
from audit_assets.untrusted.terminal import one_line, printable

_READING = {duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN, duckdb.StatementType.MULTI}
"""What only reads. DuckDB makes several statements (MULTI) of one PIVOT."""
_ROWS = 10_000
_NULL = "NULL"


def answer(connection: duckdb.DuckDBPyConnection, query: str) -> duckdb.DuckDBPyRelation:
    """The answer to a query. InputError if the text is not one statement, or does more than read."""
    found = connection.extract_statements(query)
    if len(found) != 1:
        said = "holds no statement" if not found else f"holds {len(found)} statements, and each call answers one"
        raise InputError(f"the query {said}; give one, such as `FROM verdicts`.")
    if found[0].type not in _READING:
        raise InputError(
            f"the query is a statement of the kind {found[0].type.name}, and `sql` only reads; ask with SELECT, FROM, WITH, PIVOT, "
            "DESCRIBE, SUMMARIZE, SHOW or EXPLAIN."
        )
    return connection.sql(query)


def as_table(asked: duckdb.DuckDBPyRelation) -> str:
    """Every row and column as lines of text, with the number of rows below them. Each line is as long as its row."""
    if asked.columns == ["explain_key", "explain_value"]:
        return printable("\n".join(str(row[-1]) for row in asked.fetchall()))
    rows = [
        [_NULL if cell is None else one_line(cell) for cell in row]
        for row in asked.project("COLUMNS(*)::VARCHAR").fetchall()
    ]
    heads = [one_line(name) for name in asked.columns]
    widths = [max(map(cell_len, column)) for column in zip(heads, *rows, strict=True)]
    right = [_is_number(kind) for kind in asked.types]

    def line(cells: list[str]) -> str:
        padded = (
            " " * (width - cell_len(cell)) + cell if at_right else cell + " " * (width - cell_len(cell))
            for cell, width, at_right in zip(cells, widths, right, strict=True)
        )
        return " | ".join(padded).rstrip()

    rule = "-+-".join("-" * width for width in widths)
    return "\n".join([line(heads), rule, *map(line, rows), f"({len(rows)} {'row' if len(rows) == 1 else 'rows'})"])


def _is_number(kind: object) -> bool:
    return str(kind).startswith(
        ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "U", "FLOAT", "DOUBLE", "DECIMAL")
    )


def write(asked: duckdb.DuckDBPyRelation, form: str, out: BinaryIO) -> None:
    """Write every row to a file, as `table`, `csv`, `json` or `parquet`. InputError if the form cannot hold two columns of one name."""
    _WRITERS[form](asked, out)


def _write_table(asked: duckdb.DuckDBPyRelation, out: BinaryIO) -> None:
    out.write(f"{as_table(asked)}\n".encode())


def _write_csv(asked: duckdb.DuckDBPyRelation, out: BinaryIO) -> None:
    """A NULL is an empty cell, and an empty text is `""`. A text that a spreadsheet would run gets an apostrophe before it."""
    reader = asked.to_arrow_reader(_ROWS)
    kinds = [kind if _is_plain(kind) else pa.string() for kind in reader.schema.types]
    schema = pa.schema([pa.field(neutral(name), kind) for name, kind in zip(reader.schema.names, kinds, strict=True)])
    with pcsv.CSVWriter(out, schema) as writer:
        for batch in reader:
            columns = [
                own if _is_plain(own.type) else pa.array(map(_csv_text, own.to_pylist()), pa.string())
                for own in batch.columns
            ]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))


def _is_plain(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


def _csv_text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, dict | list):
        return _json(value)
    return neutral(value) if isinstance(value, str) else value.hex() if isinstance(value, bytes) else str(value)


def _write_json(asked: duckdb.DuckDBPyRelation, out: BinaryIO) -> None:
    """One array, one object per row and line. A seed (UBIGINT) is a text, because most readers of JSON would round it."""
    _check_names(asked)
    reader = asked.to_arrow_reader(_ROWS)
    seeds = [field.name for field in reader.schema if field.type == pa.uint64()]
    out.write(b"[")
    for place, row in enumerate(row for batch in reader for row in batch.to_pylist()):
        row |= {name: str(row[name]) for name in seeds if row[name] is not None}
        out.write((",\n" if place else "\n").encode() + _json(row).encode())
    out.write(b"\n]\n")


def _json(value: Any) -> str:
    return json.dumps(_plain(value), ensure_ascii=False)


def _plain(value: Any) -> Any:
    """A value as JSON has it. What is no number (NaN, infinity), a date or bytes is a text."""
    if isinstance(value, dict):
        return {str(key): _plain(own) for key, own in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(own) for own in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, bytes):
        return value.hex()
    return value if value is None or isinstance(value, str | int) else str(value)


def _write_parquet(asked: duckdb.DuckDBPyRelation, out: BinaryIO) -> None:
    _check_names(asked)
    reader = asked.to_arrow_reader(_ROWS)
    whole = pa.BufferOutputStream()  # a pipe cannot say how far it was written, which parquet needs
    with pq.ParquetWriter(whole, reader.schema, compression="zstd") as writer:
        for batch in reader:
            writer.write_batch(batch)
    out.write(whole.getvalue())


def _check_names(asked: duckdb.DuckDBPyRelation) -> None:
    twice = next(_repeated(asked.columns), None)
    if twice is not None:
        raise InputError(f"two columns of the answer have the name {twice!r}; give one of them another name with AS.")


def _repeated(names: list[str]) -> Iterator[str]:
    return (name for place, name in enumerate(names) if name in names[:place])


_WRITERS: dict[str, Callable[[duckdb.DuckDBPyRelation, BinaryIO], None]] = {
    "table": _write_table,
    "csv": _write_csv,
    "json": _write_json,
    "parquet": _write_parquet,
}
