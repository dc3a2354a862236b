"""Caption metadata as LAION publishes it, read in place and streamed: parquet or CSV, local or wherever fsspec reaches.

A shard is one file. It is never copied; its batches carry the row number in the file, so that every figure can be
traced to a row. Rows that a filter turns away stay in the batch, marked, so that counts of rows read and rows kept
come from one pass.
"""

import glob
import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any

import fsspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from audit_assets.errors import InputError

# What the columns are called in LAION-400M, 2B, Aesthetics, Re-LAION and img2dataset's output, in order of preference.
COLUMN_NAMES: dict[str, tuple[str, ...]] = {
    "url": ("url",),
    "text": ("text", "caption"),
    "score": ("aesthetic_score", "aesthetic"),
    "similarity": ("similarity",),
    "punsafe": ("punsafe",),
    "pwatermark": ("pwatermark",),
}
REQUIRED = ("url", "text")
SCORES = ("score", "similarity", "punsafe", "pwatermark")
BATCH_ROWS = 65_536
# A row must fit in a block: captions of 1 MB occur.
_CSV_BLOCK = 8 << 20
_PARQUET_BUFFER = 1 << 20
_FORMATS = {".parquet": "parquet", ".csv": "csv"}
_LONGEST_KEY = 100


@dataclass(frozen=True)
class Shard:
    """One file of captions: `key` is its partition, a pure function of its path below the pattern's fixed part."""

    key: str
    url: str
    format: str
    filesystem: Any = field(repr=False, compare=False, default=None)

    @property
    def is_local(self) -> bool:
        return self.filesystem is None

    def fingerprint(self) -> str:
        """Changes when the file does: SHA-256 of a local file, the store's checksum or ETag of a remote one."""
        if self.is_local:
            with open(self.url, "rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        return hashlib.sha256(str(self.filesystem.ukey(self.url)).encode()).hexdigest()


def caption_shards(pattern: str, base: Path) -> list[Shard]:
    """The files that `pattern` (relative to `base`, or a URL that fsspec knows) matches, in order of their keys.

    Raises InputError where it matches nothing, a file is neither .parquet nor .csv, or the URL's library is missing.
    """
    if "://" in pattern:
        shards = _remote_shards(pattern)
    else:
        found = {path: os.path.join(base, path) for path in glob.glob(pattern, root_dir=base, recursive=True)}
        shards = [Shard(_key(path, pattern), url, _format(url)) for path, url in found.items() if os.path.isfile(url)]
    if not shards:
        raise InputError(f"captions.path: {pattern!r} matches no file (looked in {base}); correct the path or pattern.")
    return sorted(shards, key=lambda shard: shard.key)


def _remote_shards(pattern: str) -> list[Shard]:
    try:
        filesystem, path = fsspec.core.url_to_fs(pattern)
        matches = filesystem.glob(path) if glob.has_magic(path) else [path] * bool(filesystem.exists(path))
    except ImportError as error:
        raise InputError(f"captions.path: {pattern!r} needs a library that is not installed ({error}).") from error
    except ValueError as error:
        raise InputError(f"captions.path: {pattern!r} is not an address that fsspec knows ({error}).") from error
    except Exception as error:  # each store raises its own: a failed listing is never an empty one
        raise InputError(
            f"captions.path: {pattern!r} could not be listed ({type(error).__name__}: {error}); "
            "check address and access."
        ) from error
    return [Shard(_key(match, path), match, _format(match), filesystem) for match in matches]


def _format(path: str) -> str:
    suffix = PurePosixPath(path).suffix.lower()
    if suffix not in _FORMATS:
        raise InputError(f"captions.path: {path} is neither .parquet nor .csv; narrow the pattern or convert the file.")
    return _FORMATS[suffix]


def _key(path: str, pattern: str) -> str:
    """`path` below the part of `pattern` without wildcards, as `[a-z0-9._-]+`; a hash tells apart what that merges."""
    fixed = os.path.dirname(re.split(r"[*?\[]", pattern, maxsplit=1)[0])
    relative = os.path.relpath(path, fixed or ".").replace(os.sep, "/")
    key = re.sub(r"[^a-z0-9._-]", "-", relative.lower()).lstrip(".-_")
    if key == relative and len(key) <= _LONGEST_KEY:
        return key
    digest = hashlib.sha256(relative.encode("utf-8", "surrogateescape")).hexdigest()[:12]
    return f"{key[-_LONGEST_KEY:].lstrip('.-_') or 'shard'}_{digest}"


def score_version(dataset: str | None) -> str | None:
    """Which aesthetic predictor scored `dataset` ('v1', 'v2'), by its name; None where the name does not say.

    Scores of the two versions are not comparable: 5.0 in V1 and 5.0 in V2 keep different images.
    """
    found = re.search(r"aesthetics?[-_ ]?v([12])(?![0-9])", (dataset or "").lower())
    return f"v{found.group(1)}" if found else None


def caption_batches(
    shard: Shard,
    minimum_score: float | None = None,
    *,
    maximum_punsafe: float | None = None,
    maximum_pwatermark: float | None = None,
    batch_rows: int = BATCH_ROWS,
) -> Iterator[pa.RecordBatch]:
    """Every row of `shard`: `row` (int64, position in the file), `url`, `text`, `kept` (bool), and the scores it has.

    `kept` is false where the text is null or a filter turns the row away; a row without a score cannot pass a filter
    on it. Raises InputError naming the file where it is not readable, or lacks a column that is required or filtered
    on.
    """
    limits = {"score": minimum_score, "punsafe": maximum_punsafe, "pwatermark": maximum_pwatermark}
    needed = [*REQUIRED, *(name for name, limit in limits.items() if limit is not None)]
    read = _parquet_batches if shard.format == "parquet" else _csv_batches
    start = 0
    try:
        for batch in read(shard, needed, batch_rows):
            columns = {"row": pa.arange(start, start + batch.num_rows), **_typed(shard, batch)}
            columns["kept"] = _kept(columns, minimum_score, maximum_punsafe, maximum_pwatermark)
            yield pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))
            start += batch.num_rows
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"{shard.url}: not readable as {shard.format} after row {start} "
            f"({str(error).strip() or type(error).__name__}); "
            "fetch or write the file anew."
        ) from error


def _kept(
    columns: dict[str, pa.Array],
    minimum_score: float | None,
    maximum_punsafe: float | None,
    maximum_pwatermark: float | None,
) -> pa.Array:
    kept = pc.is_valid(columns["text"])
    if minimum_score is not None:
        kept = pc.and_(kept, pc.fill_null(pc.greater_equal(columns["score"], minimum_score), False))
    if maximum_punsafe is not None:
        kept = pc.and_(kept, pc.fill_null(pc.less_equal(columns["punsafe"], maximum_punsafe), False))
    if maximum_pwatermark is not None:
        kept = pc.and_(kept, pc.fill_null(pc.less_equal(columns["pwatermark"], maximum_pwatermark), False))
    return kept


def _typed(shard: Shard, batch: pa.RecordBatch) -> dict[str, pa.Array]:
    """Text as `string` or `large_string`, not checked for UTF-8, which the scan does; scores as float64."""
    typed = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        if name in SCORES:
            typed[name] = _numbers(shard, name, column)
        elif pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            typed[name] = column
        elif pa.types.is_binary(column.type):
            typed[name] = column.view(pa.string())
        elif pa.types.is_large_binary(column.type):
            typed[name] = column.view(pa.large_string())
        elif pa.types.is_null(column.type):
            typed[name] = column.cast(pa.string())
        else:
            raise InputError(f"{shard.url}, column {name}: holds {column.type}, not text; name the right column.")
    return typed


def _numbers(shard: Shard, name: str, column: pa.Array) -> pa.Array:
    try:
        return pc.cast(column, pa.float64())
    except pa.ArrowException as error:
        raise InputError(f"{shard.url}, column {name}: holds {column.type}, not numbers ({error}).") from error


def _find_columns(shard: Shard, there: list[str], needed: list[str]) -> dict[str, str]:
    """Our name -> the file's name, for every column of COLUMN_NAMES that the file has."""
    found = {}
    for ours, candidates in COLUMN_NAMES.items():
        for candidate in candidates:
            matches = [name for name in there if name.strip().lower() == candidate]
            if len(matches) > 1:
                raise InputError(f"{shard.url}: columns {matches} differ only in case or spaces; rename or drop one.")
            if matches:
                found[ours] = matches[0]
                break
    for ours in needed:
        if ours not in found:
            raise InputError(
                f"{shard.url}: no column {' or '.join(map(repr, COLUMN_NAMES[ours]))} (in any case); "
                f"the file has {', '.join(map(repr, there)) or 'no columns'}. Rename the column"
                f"{'' if ours in REQUIRED else ', or remove the filter on it from audit.yaml'}."
            )
    wanted = {*REQUIRED, *needed}
    return {ours: name for ours, name in found.items() if ours in wanted}


def declared_rows(shard: Shard) -> int:
    """Rows of a file: a parquet file's footer says, without reading a row; of a CSV file they are counted."""
    if shard.format != "parquet":
        return sum(batch.num_rows for batch in caption_batches(shard))
    with _opened(shard) as file:
        try:
            return int(pq.ParquetFile(file).metadata.num_rows)
        except pa.ArrowException as error:
            raise InputError(f"{shard.url}: not a whole parquet file ({error}); copy it again.") from error


def _opened(shard: Shard) -> IO[bytes]:
    try:
        return shard.filesystem.open(shard.url, "rb") if shard.filesystem else Path(shard.url).open("rb")
    except (OSError, ValueError) as error:
        raise InputError(f"{shard.url}: cannot be opened ({error}); check the path and your access to it.") from error


def _parquet_batches(shard: Shard, needed: list[str], batch_rows: int) -> Iterator[pa.RecordBatch]:
    with _opened(shard) as file:
        # buffer_size bounds what is held of a row group; without it a row group of a million rows is read at once.
        source = pa.OSFile(shard.url) if shard.is_local else pa.PythonFile(file, mode="r")
        parquet = pq.ParquetFile(source, buffer_size=_PARQUET_BUFFER, pre_buffer=False)
        found = _find_columns(shard, parquet.schema_arrow.names, needed)
        for batch in parquet.iter_batches(batch_rows, columns=list(found.values()), use_threads=False):
            yield pa.RecordBatch.from_arrays([batch.column(name) for name in found.values()], names=list(found))


def _csv_batches(shard: Shard, needed: list[str], batch_rows: int) -> Iterator[pa.RecordBatch]:
    with _opened(shard) as file:
        header = _csv_header(shard, file)
        found = _find_columns(shard, header, needed)
    types = {name: pa.float64() if ours in SCORES else pa.string() for ours, name in found.items()}
    with _opened(shard) as file:
        reader = pa.csv.open_csv(
            file,
            read_options=pa.csv.ReadOptions(use_threads=False, block_size=_CSV_BLOCK),
            parse_options=pa.csv.ParseOptions(newlines_in_values=True),
            convert_options=pa.csv.ConvertOptions(
                column_types=types, include_columns=list(found.values()), check_utf8=False
            ),
        )
        for block in reader:
            columns = [block.column(name) for name in found.values()]
            whole = pa.RecordBatch.from_arrays(columns, names=list(found))
            for offset in range(0, whole.num_rows, batch_rows):
                yield whole.slice(offset, batch_rows)


def _csv_header(shard: Shard, file: IO[bytes]) -> list[str]:
    first = file.readline()
    if not first.strip():
        raise InputError(f"{shard.url}: the file is empty; fetch or write it anew.")
    try:
        return pa.csv.read_csv(pa.py_buffer(first)).column_names
    except pa.ArrowException as error:
        raise InputError(f"{shard.url}, row 1: not readable as a CSV header ({error}).") from error
