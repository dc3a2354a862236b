"""These checks compute how much memory a parquet file from others would take, before the file is read.

A column can say in a few bytes that one long text stands in each of a million rows. Its header declares the rows and
the bytes of the column's pages, and its dictionary declares the texts. A reader would allocate the
texts times the rows.
"""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

LARGEST_BATCH = 1 << 30
"""A batch of rows may become this many bytes. A million captions have a tenth of it."""
_MOST_TO_ONE = 1000
"""One byte of pages in the file may become this many bytes in memory. No text or numbers reach it."""
_SMALL = 1 << 26
"""A file up to this size is checked in detail. What a larger file declares is in proportion to the file sent."""
_FREE, _FREE_ROWS = 1 << 26, 1 << 22
"""A file of any size may declare this many bytes and rows."""


class Bomb(ValueError):
    """the file would become larger in memory than any file of its size has cause to"""


def check_declared(
    source: Any, size: int, rows_at_once: int, columns: list[str] | None = None, metadata: pq.FileMetaData | None = None
) -> None:
    """Raise Bomb if reading ``rows_at_once`` rows of a parquet file of ``size`` bytes takes more than LARGEST_BATCH.

    pyarrow opens ``source``. ``columns`` are the columns that will be read, by default all. ``metadata`` is what the footer
    declares, if it was read already.
    """
    metadata = pq.read_metadata(source) if metadata is None else metadata
    if metadata.num_rows > _MOST_TO_ONE * size + _FREE_ROWS:
        raise Bomb(f"it declares {metadata.num_rows} rows in {size} bytes")
    texts = []
    for number in range(metadata.num_columns):
        name = metadata.schema.column(number).path
        if columns is not None and name.split(".")[0] not in columns:
            continue
        declared = [metadata.row_group(g).column(number) for g in range(metadata.num_row_groups)]
        pages = sum(c.total_uncompressed_size for c in declared)
        if pages > _MOST_TO_ONE * size + _FREE:
            raise Bomb(f"its column {name!r} declares {pages} bytes in {size}")
        largest = max((c.total_uncompressed_size for c in declared), default=0)
        is_text = metadata.schema.column(number).physical_type == "BYTE_ARRAY"
        if is_text and min(rows_at_once, metadata.num_rows) * largest > LARGEST_BATCH:
            texts.append(name)
    if texts and size <= _SMALL:
        _check_texts(source, rows_at_once, [t for t in texts if "." not in t])


def _check_texts(source: Any, rows_at_once: int, names: list[str]) -> None:
    """Check the exact size of the texts, from their dictionaries. No text is repeated in memory for it."""
    if hasattr(source, "seek"):
        source.seek(0)
    file = pq.ParquetFile(source, read_dictionary=names)
    names = [n for n in names if pa.types.is_dictionary(file.schema_arrow.field(n).type)]
    for batch in file.iter_batches(rows_at_once, columns=names, use_threads=False) if names else ():
        for name in names:
            column = batch.column(name)
            lengths = pc.cast(pc.binary_length(column.dictionary), pa.int64())
            size = pc.sum(pc.take(lengths, column.indices)).as_py() or 0
            if size > LARGEST_BATCH:
                raise Bomb(f"{len(batch)} rows of its column {name!r} are {size} bytes")


def check_file(path: Path, rows_at_once: int, columns: list[str] | None = None) -> None:
    """Run `check_declared` on a local file."""
    check_declared(str(path), path.stat().st_size, rows_at_once, columns)


def rows_within(file: pq.ParquetFile, source: Any, group: int, columns: list[str], rows_at_once: int) -> int:
    """How many rows of a row group may be read at once, at most ``rows_at_once``, so that no text column takes more than LARGEST_BATCH.

    The footer bounds the texts that are written out. Texts of a dictionary can be repeated in every row: the longest of them
    bounds the rows. Raises Bomb if the texts that are written out take more.
    """
    metadata = file.metadata.row_group(group)
    rows = min(rows_at_once, max(metadata.num_rows, 1))
    for number in range(metadata.num_columns):
        column = metadata.column(number)
        name, size = column.path_in_schema, column.total_uncompressed_size
        if name.split(".")[0] not in columns or column.physical_type != "BYTE_ARRAY" or rows * size <= LARGEST_BATCH:
            continue
        if size > LARGEST_BATCH:
            raise Bomb(f"a row group of its column {name!r} declares {size} bytes; write smaller row groups")
        if "DELTA_BYTE_ARRAY" in column.encodings:  # a text may repeat all of the one before
            rows = max(1, LARGEST_BATCH // size)
        elif any("DICTIONARY" in encoding for encoding in column.encodings):
            rows = max(1, min(rows, LARGEST_BATCH // max(_longest(source, group, name, size), 1)))
    return rows_at_once if rows == metadata.num_rows else rows


def _longest(source: Any, group: int, name: str, size: int) -> int:
    """The bytes of the longest text in the dictionary of a column; `size`, of which it is a part, if pyarrow does not show it."""
    file = pq.ParquetFile(source, read_dictionary=[name])
    batch = next(iter(file.iter_batches(1, row_groups=[group], columns=[name], use_threads=False)), None)
    if batch is None or not pa.types.is_dictionary(batch.column(0).type):
        return size
    return int(pc.max(pc.binary_length(batch.column(0).dictionary)).as_py() or 0)
