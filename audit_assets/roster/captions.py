"""Caption metadata as LAION publishes it: parquet or CSV files, local or on any store that fsspec reads, streamed in place.

A shard is one file. The scan never copies it. Each batch has the row numbers of the file, so that every figure can be
traced to a row. Rows that a filter rejects stay in the batch with a mark, so that one pass counts both the rows read and
the rows kept.
"""

import glob
import hashlib
import itertools
import os
import re
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any

import fsspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from fsspec import AbstractFileSystem
from fsspec.implementations.arrow import ArrowFSWrapper

from audit_assets.errors import InputError
from audit_assets.untrusted.parquet import Bomb, check_file

# Names of the columns in LAION-400M, 2B, Aesthetics, Re-LAION and img2dataset's output, in order of preference.
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
# A row must fit in a block, and captions of 1 MB occur.
_CSV_BLOCK = 8 << 20
_PARQUET_BUFFER = 1 << 20
_FORMATS = {".parquet": "parquet", ".csv": "csv"}
_LONGEST_KEY = 100


@dataclass(frozen=True)
class Shard:
    """One file of captions. `key` is its partition, a pure function of its path below the fixed part of the pattern."""

    key: str
    url: str
    format: str
    filesystem: Any = field(repr=False, compare=False, default=None)

    @property
    def is_local(self) -> bool:
        return self.filesystem is None

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


@dataclass(frozen=True)
class Filters:
    """Limits that a row must meet to count. A row without a score never passes a filter on that score."""

    minimum_score: float | None = None
    maximum_punsafe: float | None = None
    maximum_pwatermark: float | None = None

    def needed(self) -> list[str]:
        limits = {"score": self.minimum_score, "punsafe": self.maximum_punsafe, "pwatermark": self.maximum_pwatermark}
        return [name for name, limit in limits.items() if limit is not None]

    def kept(self, columns: dict[str, pa.Array]) -> pa.Array:
        """For each row, whether it has a text and passes every filter."""
        kept = pc.is_valid(columns["text"])
        for name, limit, passes in (
            ("score", self.minimum_score, pc.greater_equal),
            ("punsafe", self.maximum_punsafe, pc.less_equal),
            ("pwatermark", self.maximum_pwatermark, pc.less_equal),
        ):
            if limit is not None:
                kept = pc.and_(kept, pc.fill_null(passes(columns[name], limit), False))
        return kept


EVERYTHING = Filters()


def caption_shards(pattern: str, base: Path) -> list[Shard]:
    """The files that `pattern` (relative to `base`, or a URL that fsspec knows) matches, in order of their keys.

    Raises InputError if it matches no file, if a file is neither .parquet nor .csv, or if the library for the URL is missing.
    """
    if "://" in pattern:
        shards = _remote_shards(pattern)
    else:
        found = {path: os.path.join(base, path) for path in glob.glob(pattern, root_dir=base, recursive=True)}
        shards = [Shard(_key(path, pattern), url, _format(url)) for path, url in found.items() if os.path.isfile(url)]
    if not shards:
        raise InputError(f"captions.path: {pattern!r} matches no file (looked in {base}); correct the path or pattern.")
    return sorted(shards, key=lambda shard: shard.key)


def new_shards(known: Container[str], found: Iterable[Shard]) -> list[str]:
    """The keys of the shards that are not in `known`, in order."""
    return [shard.key for shard in found if shard.key not in known]


def _remote_shards(pattern: str) -> list[Shard]:
    try:
        filesystem, path = _store(pattern)
        matches = filesystem.glob(path) if glob.has_magic(path) else [path] * bool(filesystem.exists(path))
    except ImportError as error:
        raise InputError(
            f"captions.path: {pattern!r} needs a library that is not installed ({error}); install it."
        ) from error
    except ValueError as error:
        raise InputError(
            f"captions.path: {pattern!r} is not an address that fsspec knows ({error}); correct it."
        ) from error
    except Exception as error:  # each store raises errors of its own; a failed listing must not count as an empty one
        raise InputError(
            f"captions.path: {pattern!r} could not be listed ({type(error).__name__}: {error}); "
            "check address and access."
        ) from error
    return [Shard(_key(match, path), match, _format(match), filesystem) for match in matches]


def _store(pattern: str) -> tuple[AbstractFileSystem, str]:
    """The file system and path of an address. Arrow's own client reads S3, because it decodes without Python; fsspec reads all other stores."""
    if not pattern.startswith("s3://"):
        return fsspec.core.url_to_fs(pattern)
    from pyarrow.fs import S3FileSystem, resolve_s3_region

    path = pattern.removeprefix("s3://")
    # Arrow reads keys and region from the environment and ~/.aws like other clients, but it does not read the endpoint.
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if not region and not endpoint:
        region = resolve_s3_region(path.split("/", 1)[0])
    return ArrowFSWrapper(S3FileSystem(endpoint_override=endpoint, region=region)), path


def _format(path: str) -> str:
    suffix = PurePosixPath(path).suffix.lower()
    if suffix not in _FORMATS:
        raise InputError(f"captions.path: {path} is neither .parquet nor .csv; narrow the pattern or convert the file.")
    return _FORMATS[suffix]


def _key(path: str, pattern: str) -> str:
    """`path` below the part of `pattern` without wildcards, as `[a-z0-9._-]+`. A hash is added if paths could get the same key."""
    fixed = os.path.dirname(re.split(r"[*?\[]", pattern, maxsplit=1)[0])
    relative = os.path.relpath(path, fixed or ".").replace(os.sep, "/")
    key = re.sub(r"[^a-z0-9._-]", "-", relative.lower()).lstrip(".-_")
    if key == relative and len(key) <= _LONGEST_KEY:
        return key
    digest = hashlib.sha256(relative.encode("utf-8", "surrogateescape")).hexdigest()[:12]
    return f"{key[-_LONGEST_KEY:].lstrip('.-_') or 'shard'}_{digest}"


def score_version(dataset: str | None) -> str | None:
    """The version of the aesthetic predictor that scored `dataset` ('v1', 'v2'), from its name; None if the name has none.

    Scores of the two versions are not comparable: 5.0 in V1 and 5.0 in V2 keep different images.
    """
    found = re.search(r"aesthetics?[-_ ]?v([12])(?![0-9])", (dataset or "").lower())
    return f"v{found.group(1)}" if found else None


def caption_batches(
    shard: Shard, filters: Filters = EVERYTHING, *, batch_rows: int = BATCH_ROWS
) -> Iterator[pa.RecordBatch]:
    """Every row of `shard`: `row` (int64, position in the file), `url`, `text`, `kept` (bool), and the scores that
    `filters` use.

    `kept` is false if the text is null or a filter rejects the row. Raises InputError that names the file if it is not
    readable, or if it lacks a column that is required or that a filter uses.
    """
    read = _parquet_batches if shard.format == "parquet" else _csv_batches
    yield from _numbered(shard, filters, read(shard, [*REQUIRED, *filters.needed()], batch_rows))


def sample_batches(shard: Shard, filters: Filters = EVERYTHING, *, batch_rows: int = 512) -> list[pa.RecordBatch]:
    """A few batches of `caption_batches`: from the beginning, the middle and the end of a parquet file, or the first of a CSV."""
    if shard.format != "parquet":
        return list(itertools.islice(caption_batches(shard, filters, batch_rows=batch_rows), 1))
    with _readable(shard), _parquet(shard) as parquet:
        rows = [parquet.metadata.row_group(group).num_rows for group in range(parquet.num_row_groups)]
    groups = sorted({0, len(rows) // 2, len(rows) - 1}) if rows else []
    found = []
    for group in groups:
        read = _parquet_batches(shard, [*REQUIRED, *filters.needed()], batch_rows, [group])
        found += list(itertools.islice(_numbered(shard, filters, read, sum(rows[:group])), 1))
    return found


def _numbered(
    shard: Shard, filters: Filters, batches: Iterator[pa.RecordBatch], start: int = 0
) -> Iterator[pa.RecordBatch]:
    with _readable(shard) as place:
        for batch in batches:
            columns = {"row": pa.arange(start, start + batch.num_rows), **_typed(shard, batch)}
            columns["kept"] = filters.kept(columns)
            yield pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))
            place.row = start = start + batch.num_rows


@dataclass
class _Place:
    row: int = 0


@contextmanager
def _readable(shard: Shard) -> Iterator[_Place]:
    """Turn an error of reading into an InputError that names the file and the last row that was read."""
    place = _Place()
    try:
        yield place
    except InputError:
        raise
    except (pa.ArrowException, OSError, Bomb) as error:
        what = str(error).strip() or type(error).__name__
        raise InputError(
            f"{shard.url}: not readable as {shard.format} after row {place.row} ({what}); fetch or write the file anew."
        ) from error
    except Exception as error:  # each store raises errors of its own
        if shard.is_local:
            raise
        what = f"{type(error).__name__}: {error}"
        raise InputError(f"{shard.url}: could not be read from its store ({what}); check your access to it.") from error


def _typed(shard: Shard, batch: pa.RecordBatch) -> dict[str, pa.Array]:
    """Columns in fixed types: text as `string` or `large_string`, scores as float64. The scan, not this function, checks UTF-8."""
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


def _find_columns(shard: Shard, there: list[str], needed: list[str], wanted: Sequence[str] = ()) -> dict[str, str]:
    """Our name -> the name in the file, for the needed columns of COLUMN_NAMES and for each wanted column that exists."""
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
    return {ours: name for ours, name in found.items() if ours in {*needed, *wanted}}


@dataclass(frozen=True)
class Declared:
    """What a file declares: its number of rows, and the smallest and greatest value of each score if they are known."""

    rows: int
    scores: dict[str, tuple[float, float]]


def declared(shard: Shard) -> Declared:
    """The declaration of a file: from the footer of a parquet file, without reading a row, or from a whole CSV file. InputError if it is not readable."""
    if shard.format != "parquet":
        return _declared_csv(shard)
    with _readable(shard), _parquet(shard) as parquet:
        found = _find_columns(shard, parquet.schema_arrow.names, [], wanted=SCORES)
        columns = {parquet.schema.column(i).path: i for i in range(len(parquet.schema))}
        scores: dict[str, tuple[float, float]] = {}
        for ours, name in found.items():
            groups = [parquet.metadata.row_group(g).column(columns[name]) for g in range(parquet.num_row_groups)]
            known = [group.statistics for group in groups if group.statistics and group.statistics.has_min_max]
            if known and len(known) == len(groups) and all(isinstance(s.min, int | float) for s in known):
                scores[ours] = (min(s.min for s in known) + 0.0, max(s.max for s in known) + 0.0)  # no -0.0
        return Declared(int(parquet.metadata.num_rows), scores)


def _declared_csv(shard: Shard) -> Declared:
    rows = 0
    scores: dict[str, tuple[float, float]] = {}
    with _readable(shard):
        for batch in _csv_batches(shard, [], BATCH_ROWS, wanted=SCORES):
            rows += batch.num_rows
            for name in set(SCORES) & set(batch.schema.names):
                ends = pc.min_max(batch.column(name)).as_py()
                if ends["min"] is not None:
                    low, high = scores.get(name, (ends["min"], ends["max"]))
                    scores[name] = (min(low, ends["min"]), max(high, ends["max"]))
    return Declared(rows, scores)


# The possible range of each score. The aesthetic predictor is linear, so its scores leave the scale of 1 to 10 by a little.
SCORE_RANGES = {"score": (-1, 11), "similarity": (-1, 1), "punsafe": (0, 1), "pwatermark": (0, 1)}


def out_of_range(scores: dict[str, tuple[float, float]]) -> list[str]:
    """One sentence per score that leaves its possible range, for example a percentage instead of a probability."""
    return [
        f"{name} is between {low:g} and {high:g}, and can only be between {SCORE_RANGES[name][0]} and {SCORE_RANGES[name][1]}"
        for name, (low, high) in scores.items()
        if low < SCORE_RANGES[name][0] or high > SCORE_RANGES[name][1]
    ]


def _opened(shard: Shard) -> IO[bytes]:
    try:
        return shard.filesystem.open(shard.url, "rb") if shard.filesystem else Path(shard.url).open("rb")
    except (OSError, ValueError) as error:
        raise InputError(f"{shard.url}: cannot be opened ({error}); check the path and your access to it.") from error


@contextmanager
def _parquet(shard: Shard) -> Iterator[pq.ParquetFile]:
    with _opened(shard) as file:
        if shard.is_local:
            source = pa.OSFile(shard.url)
        elif isinstance(shard.filesystem, ArrowFSWrapper):
            source = shard.filesystem.fs.open_input_file(shard.url)  # Arrow reads this file itself, not through Python
        else:
            source = pa.PythonFile(file, mode="r")
        # buffer_size bounds the memory per row group. Without it, Arrow reads a row group of a million rows at once.
        yield pq.ParquetFile(source, buffer_size=_PARQUET_BUFFER, pre_buffer=False)


def _parquet_batches(
    shard: Shard, needed: list[str], batch_rows: int, row_groups: list[int] | None = None
) -> Iterator[pa.RecordBatch]:
    with _parquet(shard) as parquet:
        found = _find_columns(shard, parquet.schema_arrow.names, needed)
        columns = list(found.values())
        if shard.is_local:
            check_file(Path(shard.url), batch_rows, columns)
        for batch in parquet.iter_batches(batch_rows, row_groups=row_groups, columns=columns, use_threads=False):
            yield pa.RecordBatch.from_arrays([batch.column(name) for name in columns], names=list(found))


def _csv_batches(
    shard: Shard, needed: list[str], batch_rows: int, wanted: Sequence[str] = ()
) -> Iterator[pa.RecordBatch]:
    with _opened(shard) as file:
        header = _csv_header(shard, file)
        found = _find_columns(shard, header, needed, wanted=wanted)
    types = {name: pa.float64() if ours in SCORES else pa.string() for ours, name in found.items()}
    with _opened(shard) as file:
        reader = pa.csv.open_csv(
            file,
            read_options=pa.csv.ReadOptions(use_threads=False, block_size=_CSV_BLOCK),
            parse_options=pa.csv.ParseOptions(newlines_in_values=True),
            convert_options=pa.csv.ConvertOptions(
                column_types=types, include_columns=list(found.values()) or header[:1], check_utf8=False
            ),
        )
        for block in reader:
            whole = block.rename_columns(list(found) or header[:1])
            for offset in range(0, whole.num_rows, batch_rows):
                yield whole.slice(offset, batch_rows)


def _csv_header(shard: Shard, file: IO[bytes]) -> list[str]:
    first = file.readline()
    if not first.strip():
        raise InputError(f"{shard.url}: the file is empty; fetch or write it anew.")
    try:
        return pa.csv.read_csv(pa.py_buffer(first)).column_names
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise InputError(f"{shard.url}, row 1: not readable as a CSV header ({error}).") from error
