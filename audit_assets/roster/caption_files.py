"""One file of captions, opened and read in batches: parquet, CSV, TSV or JSON lines, local or in any store that fsspec reads.

Memory is bounded by what a parquet file declares before a row group is read, and by the size of a block in a text file.
"""

import csv
import hashlib
import io
import itertools
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq
from fsspec.implementations.arrow import ArrowFSWrapper

from audit_assets.errors import InputError
from audit_assets.roster.caption_columns import COLUMN_NAMES, SCORES, Columns, find_columns, required
from audit_assets.roster.caption_quotes import check_lines, end_row, still_open, without_end
from audit_assets.untrusted.parquet import check_declared, rows_within
from audit_assets.untrusted.text_files import COMPRESSIONS, as_utf8, followed_by

FORMATS = {".parquet": "parquet", ".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl"}
# A row must fit in a block, and captions of 1 MB occur.
_BLOCK = 8 << 20
_LONGEST_HEADER = 1 << 20
_SAMPLE_LINES = 200
_PARQUET_BUFFER = 1 << 20
WHOLE_NUMBERS = pa.decimal128(38, 0)
"""The type of whole numbers in JSON lines: identities have more digits than an int64 holds."""


@dataclass(frozen=True)
class Reading:
    """How `audit.yaml` says that a file is to be read: `columns` maps our names to the file's, `encoding` is None if it is to be found out."""

    columns: Mapping[str, str] = field(default_factory=dict)
    encoding: str | None = None
    failed_downloads: str = "leave_out"


@dataclass(frozen=True)
class Shard:
    """One file of captions. `key` is its partition, a pure function of its path below the fixed part of the pattern."""

    key: str
    url: str
    format: str
    filesystem: Any = field(repr=False, compare=False, default=None)
    reading: Reading = field(compare=False, default=Reading())

    @property
    def is_local(self) -> bool:
        return self.filesystem is None

    @property
    def compression(self) -> str | None:
        return COMPRESSIONS.get(PurePosixPath(self.url).suffix.lower())

    def fingerprint(self) -> str:
        """A value that changes if the file changes: the SHA-256 of a local file, or of the store's metadata of a remote file."""
        if not self.is_local:
            return self.stamp()
        with open(self.url, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def stamp(self) -> str:
        """A value that changes if the file changes, made without reading the file: from its size and times, or its checksum in the store."""
        if self.is_local:
            status = os.stat(self.url)
            known = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
        else:
            known = [self.filesystem.ukey(self.url)]
        return hashlib.sha256(str(known).encode()).hexdigest()


AS_FOUND = Reading()


def format_of(path: str) -> str:
    """The format of a file by its name. InputError if it is none of FORMATS, compressed or not."""
    name = PurePosixPath(path)
    packed = name.suffix.lower() in COMPRESSIONS
    suffix = PurePosixPath(name.stem).suffix.lower() if packed else name.suffix.lower()
    if suffix not in FORMATS or (packed and suffix == ".parquet"):
        raise InputError(
            f"captions.path: {path} is neither .parquet nor .csv, .tsv, .jsonl, .ndjson or .json (text also with "
            f"{', '.join(COMPRESSIONS)}); narrow the pattern or convert the file."
        )
    return FORMATS[suffix]


def opened(shard: Shard) -> IO[bytes]:
    try:
        return shard.filesystem.open(shard.url, "rb") if shard.filesystem else Path(shard.url).open("rb")
    except (OSError, ValueError) as error:
        raise InputError(f"{shard.url}: cannot be opened ({error}); check the path and your access to it.") from error


# ---- parquet
@contextmanager
def parquet(shard: Shard) -> Iterator[tuple[pq.ParquetFile, Any]]:
    """The opened file, and its source, which others may read from too."""
    with opened(shard) as file:
        if shard.is_local:
            source = pa.OSFile(shard.url)
        elif isinstance(shard.filesystem, ArrowFSWrapper):
            source = shard.filesystem.fs.open_input_file(shard.url)  # Arrow reads this file itself, not through Python
        else:
            source = pa.PythonFile(file, mode="r")
        # buffer_size bounds the memory per row group. Without it, Arrow reads a row group of a million rows at once.
        yield pq.ParquetFile(source, buffer_size=_PARQUET_BUFFER, pre_buffer=False), source


def parquet_columns(shard: Shard, file: pq.ParquetFile) -> Columns:
    schema = file.schema_arrow
    types = dict(zip(schema.names, schema.types, strict=True))
    return find_columns(shard.url, schema.names, shard.reading.columns, types)


def parquet_batches(
    shard: Shard, wanted: Iterable[str], needed: Iterable[str], batch_rows: int, row_groups: list[int] | None = None
) -> Iterator[pa.RecordBatch]:
    """The columns `wanted` that the file has, under our names. InputError if it lacks one of `needed`."""
    with parquet(shard) as (file, source):
        columns = parquet_columns(shard, file)
        required(shard.url, columns, file.schema_arrow.names, needed)
        ours = columns.only(wanted)
        if "identity" in ours and _is_full(file, columns.ours["url"]):
            del ours["identity"]
        names = list(dict.fromkeys(ours.values()))
        check_declared(source, source.size(), batch_rows, names)
        groups = list(range(file.num_row_groups)) if row_groups is None else row_groups
        rows = [rows_within(file, source, group, names, batch_rows) for group in groups]
        for size, together in _runs(rows, groups):
            for batch in file.iter_batches(size, row_groups=together, columns=names, use_threads=False):
                yield pa.RecordBatch.from_arrays([batch.column(name) for name in ours.values()], names=list(ours))


def _is_full(file: pq.ParquetFile, name: str) -> bool:
    """Whether the file's statistics say that every value of a column begins with `http`, so that no row lacks an address."""
    places = {file.schema.column(i).path: i for i in range(len(file.schema))}
    if name not in places:
        return False
    for group in range(file.num_row_groups):
        known = file.metadata.row_group(group).column(places[name]).statistics
        if known is None or known.null_count != 0 or not known.has_min_max:
            return False
        if not all(str(end).startswith("http") for end in (known.min, known.max)):
            return False
    return True


def _runs(rows: list[int], groups: list[int]) -> Iterator[tuple[int, list[int]]]:
    """Row groups in order, those together that may be read in batches of one size."""
    start = 0
    for end in range(1, len(groups) + 1):
        if end == len(groups) or rows[end] != rows[start]:
            yield rows[start], groups[start:end]
            start = end


# ---- text
@dataclass(frozen=True)
class Header:
    """The columns of a text file. `delimiter` is None in JSON lines, where `types` has what the first lines hold."""

    names: list[str]
    delimiter: str | None
    types: Mapping[str, pa.DataType] = field(default_factory=dict)
    decimal_point: str = "."


def text_batches(
    shard: Shard, wanted: Iterable[str], needed: Iterable[str], batch_rows: int
) -> Iterator[pa.RecordBatch]:
    """The columns `wanted` that the file has, under our names; any column if it has none. InputError if it lacks one of `needed`."""
    header = header_of(shard)
    columns = find_columns(shard.url, header.names, shard.reading.columns)
    required(shard.url, columns, header.names, needed)
    if header.delimiter is None:  # JSON lines hold identities of any types
        wanted = [name for name in wanted if name != "identity"]
    if header.types.get(columns.ours.get("status", "")) == WHOLE_NUMBERS and "status" not in shard.reading.columns:
        wanted = [name for name in wanted if name != "status"]
    ours = columns.only(wanted) or {"any": header.names[0]}
    read = _csv_blocks if shard.format == "csv" else _blocks  # in a TSV, a quote is part of the text
    with _text(shard) as stream:
        for block in read(stream, shard, header, ours):
            arrays = [block.column(name) for name in ours.values()]
            named = pa.RecordBatch.from_arrays(arrays, names=list(ours))
            for offset in range(0, named.num_rows, batch_rows):
                yield named.slice(offset, batch_rows)


def _csv_blocks(
    stream: io.BufferedReader, shard: Shard, header: Header, ours: Mapping[str, str]
) -> Iterator[pa.RecordBatch]:
    """`_blocks` with every column of the file. InputError if a quote begins a cell that no quote ends."""
    assert header.delimiter is not None
    others = [name for name in header.names if header.names.count(name) == 1 and name not in ours.values()]
    everything = {**ours, **{f"the file's {name}": name for name in others}}
    texts = [name for own, name in everything.items() if own not in SCORES]
    stream = followed_by(stream, b"\n" + end_row(header.names, header.delimiter, texts)) if texts else stream
    start, ended = 0, not texts
    for block in _blocks(stream, shard, header, everything):
        rows, ended = without_end(block, texts[0]) if texts else (block, True)
        if "url" in ours:
            check_lines(shard.url, header.names, header.delimiter, ours["url"], rows, start)
        start += rows.num_rows
        yield rows
    if not ended:
        raise still_open(shard.url, header.names[-1], block, start - 1)


def _blocks(
    stream: io.BufferedReader, shard: Shard, header: Header, ours: Mapping[str, str]
) -> Iterable[pa.RecordBatch]:
    types = {
        name: pa.float64() if ours_ in SCORES else header.types.get(name, pa.string()) for ours_, name in ours.items()
    }
    if header.delimiter is None:
        return pyarrow.json.open_json(
            stream,
            read_options=pyarrow.json.ReadOptions(use_threads=False, block_size=_BLOCK),
            parse_options=pyarrow.json.ParseOptions(
                explicit_schema=pa.schema(types), newlines_in_values=False, unexpected_field_behavior="ignore"
            ),
        )
    quoted = shard.format == "csv"  # in a TSV, a quote is part of the text
    return pyarrow.csv.open_csv(
        stream,
        read_options=pyarrow.csv.ReadOptions(use_threads=False, block_size=_BLOCK),
        parse_options=pyarrow.csv.ParseOptions(
            delimiter=header.delimiter, newlines_in_values=quoted, quote_char='"' if quoted else False
        ),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=types,
            include_columns=list(types),
            check_utf8=False,
            strings_can_be_null=False,
            decimal_point=header.decimal_point,
        ),
    )


@contextmanager
def _text(shard: Shard) -> Iterator[io.BufferedReader]:
    with opened(shard) as file:
        yield as_utf8(file, shard.compression, shard.reading.encoding)


def header_of(shard: Shard) -> Header:
    """The names of the columns, from the first row or from the first lines of JSON."""
    with _text(shard) as stream:
        first = stream.readline(_LONGEST_HEADER)
        if not first.strip():
            raise InputError(f"{shard.url}: the file is empty; fetch or write it anew.")
        if b"\0" in first:
            raise InputError(
                f"{shard.url}, row 1: holds NUL characters, as a file in UTF-16 does; save it as UTF-8, or name the "
                "encoding in audit.yaml (captions: {encoding: utf-16-le})."
            )
        if b"\r" in first.rstrip(b"\r\n"):
            raise InputError(
                f"{shard.url}, row 1: ends its lines with the character CR alone, as programs of old Macintosh computers did; "
                "save the file with line ends LF or CR LF."
            )
        some = list(itertools.islice(iter(stream.readline, b""), _SAMPLE_LINES))
    if shard.format == "jsonl":
        return _json_header(shard, [first, *some])
    return _first_row(shard, first, some)


def _first_row(shard: Shard, first: bytes, some: Sequence[bytes]) -> Header:
    """The first row, by the delimiter under which it names a text column, else by that of the file's suffix.

    `some` are lines after it, which show what stands before the decimals of a number.
    """
    line = first.decode("utf-8", "replace")
    known = {shard.reading.columns.get("text", ""), *COLUMN_NAMES["text"]}
    by_delimiter = {}
    for delimiter in ("\t",) if shard.format == "tsv" else (",", ";", "\t", "|"):
        try:
            row = next(
                csv.reader(
                    [line], delimiter=delimiter, quoting=csv.QUOTE_MINIMAL if shard.format == "csv" else csv.QUOTE_NONE
                )
            )
        except csv.Error as error:
            raise InputError(f"{shard.url}, row 1: not readable as a header ({error}).") from error
        by_delimiter[delimiter] = row
        if known & {name.strip().lower() for name in row} | known & set(row):
            return Header(row, delimiter, decimal_point=_decimal_point(some, delimiter))
    delimiter, row = next(iter(by_delimiter.items()))
    return Header(row, delimiter)


_DECIMALS = re.compile(rb"-?[0-9]{0,3}([,.])[0-9]+")


def _decimal_point(lines: Iterable[bytes], delimiter: str) -> str:
    """A comma if only commas stand before decimals in the cells of these lines, and none separates cells."""
    cells = (cell.strip().strip(b'"') for line in lines for cell in line.split(delimiter.encode()))
    found = {number[1] for cell in cells if (number := _DECIMALS.fullmatch(cell))}
    return "," if found == {b","} and delimiter != "," else "."


def _json_header(shard: Shard, lines: list[bytes]) -> Header:
    types: dict[str, pa.DataType] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line.decode("utf-8", "replace"))
        except ValueError as error:
            raise InputError(
                f"{shard.url}, row {number}: is no JSON ({error}); write one object per line (JSON lines)."
            ) from error
        if not isinstance(record, dict):
            raise InputError(f"{shard.url}, row {number}: is no JSON object; write one object per line (JSON lines).")
        for name, value in record.items():
            if value is not None:
                whole = isinstance(value, int) and not isinstance(value, bool)
                types.setdefault(name, WHOLE_NUMBERS if whole else pa.string())
            else:
                types.setdefault(name, pa.string())
    return Header(list(types), None, types)
