"""Caption metadata as LAION and others publish it, local, in S3 or on the hub, streamed in place.

A shard is one file. The scan never copies it. Each batch has the row numbers of the file, so that every figure can be
traced to a row. Rows that a filter rejects stay in the batch with a mark, so that one pass counts both the rows read and
the rows kept. What a file holds beside captions that can be counted is listed in `Seen` and `Declared`.
"""

import codecs
import glob
import hashlib
import itertools
import os
import re
from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from fsspec import AbstractFileSystem
from fsspec.implementations.arrow import ArrowFSWrapper

from audit_assets.errors import InputError
from audit_assets.roster.caption_columns import REQUIRED, SCORES, Columns, find_columns, lacks_value, typed
from audit_assets.roster.caption_files import (
    AS_FOUND,
    FORMATS,
    Reading,
    Shard,
    format_of,
    header_of,
    parquet,
    parquet_batches,
    parquet_columns,
    text_batches,
)
from audit_assets.untrusted.parquet import Bomb
from audit_assets.warehouse.places import endpoint

BATCH_ROWS = 65_536
FAILED = pa.array(["failed_to_download", "failed_to_resize"])
"""What img2dataset writes into the column status if it has no image."""
_STRAY = 2
"""Up to this many texts that are not UTF-8 count as stray bytes. More of them, in a file without UTF-8, mean another encoding."""
_LONGEST_KEY = 100


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


@dataclass
class Seen:
    """What the rows of a file turned out to be, counted while `caption_batches` reads them.

    `failed` counts rows that img2dataset could not download. `not_utf8` counts texts with bytes that are not UTF-8, and
    `beyond_ascii` the other texts that hold more than ASCII. `example` is a row of the first kind. `garbled` counts texts that
    audit.yaml says are in another encoding, but whose bytes are UTF-8. `unaddressed` counts rows whose column of addresses or
    identities is empty.
    """

    failed: int = 0
    not_utf8: int = 0
    beyond_ascii: int = 0
    example: tuple[int, bytes] | None = None
    garbled: int = 0
    unaddressed: int = 0


def caption_shards(pattern: str, base: Path, reading: Reading = AS_FOUND) -> list[Shard]:
    """The files that `pattern` (relative to `base`, or an address of a store) matches, in order of their keys.

    Raises InputError if it matches no file, if a file has a format that is not read, or if the library for the URL is missing.
    """
    if "://" in pattern:
        shards = _remote_shards(pattern, reading)
    else:
        found = {path: os.path.join(base, path) for path in glob.glob(pattern, root_dir=base, recursive=True)}
        files = {path: url for path, url in found.items() if os.path.isfile(url)}
        _check_passed_over(set(found.values()) - set(files.values()), files.values())
        shards = [Shard(_key(path, pattern), url, format_of(url), reading=reading) for path, url in files.items()]
    if not shards:
        raise InputError(f"captions.path: {pattern!r} matches no file (looked in {base}); correct the path or pattern.")
    return sorted(shards, key=lambda shard: shard.key)


def _check_passed_over(others: Iterable[str], files: Iterable[str]) -> None:
    """InputError for a match that is no file, but has captions by its name: a link that leads nowhere, a folder of parts."""
    read = [os.path.dirname(file) for file in files]
    for url in sorted(others):
        if not os.path.isdir(url):
            raise InputError(
                f"captions.path: {url} is a link that leads nowhere, or no file; copy the file itself there."
            )
        if Path(url).suffix.lower() in FORMATS and not any(os.path.commonpath([url, own]) == url for own in read):
            raise InputError(
                f"captions.path: {url} is a folder, whose files the pattern does not match; write a pattern such as "
                "'captions/**/*.parquet', or rename the folder."
            )


def new_shards(known: Container[str], found: Iterable[Shard]) -> list[str]:
    """The keys of the shards that are not in `known`, in order."""
    return [shard.key for shard in found if shard.key not in known]


def _remote_shards(pattern: str, reading: Reading) -> list[Shard]:
    try:
        filesystem, path = _store(pattern)
        matches = filesystem.glob(path) if glob.has_magic(path) else [path] * bool(filesystem.exists(path))
    except InputError:
        raise
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
    return [Shard(_key(match, path), match, format_of(match), filesystem, reading) for match in matches]


def _store(pattern: str) -> tuple[AbstractFileSystem, str]:
    """The file system and path of an address. Arrow's own client reads S3, because it decodes without Python; fsspec reads all other stores."""
    if not pattern.startswith("s3://"):
        return fsspec.core.url_to_fs(pattern)
    from pyarrow.fs import S3FileSystem, resolve_s3_region

    path = pattern.removeprefix("s3://")
    # Arrow reads keys and region from the environment and ~/.aws like other clients, but it does not read the endpoint.
    address = endpoint()
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if not region and not address:
        region = resolve_s3_region(path.split("/", 1)[0])
    return ArrowFSWrapper(S3FileSystem(endpoint_override=address, region=region)), path


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
    shard: Shard, filters: Filters = EVERYTHING, *, batch_rows: int = BATCH_ROWS, seen: Seen | None = None
) -> Iterator[pa.RecordBatch]:
    """Every row of `shard`: `row` (int64, position in the file), `url`, `text`, `kept` (bool), and the scores that
    `filters` use.

    `kept` is false if the text is null, a filter rejects the row, or its download failed. In a file without addresses, `url`
    is the place of the row, so that no two rows are one. Raises InputError that names the file if it is not readable, lacks a
    column that is required or that a filter uses, or is not UTF-8. A row whose address is empty has its identity or its place as `url`; the batch then has
    a further column `address`, with the addresses of the file.
    """
    seen = Seen() if seen is None else seen
    yield from _numbered(shard, filters, _batches(shard, filters, batch_rows), seen)
    if seen.example is not None and seen.not_utf8 > max(seen.beyond_ascii, _STRAY) and shard.reading.encoding is None:
        row, text = seen.example
        raise InputError(
            f"{shard.url}: {seen.not_utf8} captions hold letters that are not UTF-8, and only {seen.beyond_ascii} hold letters "
            f"that are, so names with accents cannot be found. Row {row} reads {_quoted(text)} in Windows-1252. Save the file as "
            "UTF-8, or name its encoding in audit.yaml (captions: {encoding: cp1252}); with `encoding: utf-8` these letters "
            "are left out."
        )
    if seen.garbled > max(seen.beyond_ascii - seen.garbled, _STRAY):
        raise InputError(
            f"{shard.url}: audit.yaml says that it is in {shard.reading.encoding}, but {seen.garbled} of {seen.beyond_ascii} captions "
            "with letters beyond ASCII are UTF-8, so names with accents cannot be found. Remove captions.encoding if all files "
            "are UTF-8; if only some are, save the others as UTF-8."
        )


def sample_batches(shard: Shard, filters: Filters = EVERYTHING, *, batch_rows: int = 512) -> list[pa.RecordBatch]:
    """A few batches of `caption_batches`: from the beginning, the middle and the end of a parquet file, or the first of a text file."""
    if shard.format != "parquet":
        return list(itertools.islice(caption_batches(shard, filters, batch_rows=batch_rows), 1))
    with _readable(shard), parquet(shard) as (file, _):
        rows = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
    groups = sorted({0, len(rows) // 2, len(rows) - 1}) if rows else []
    found = []
    for group in groups:
        read = _batches(shard, filters, batch_rows, [group])
        found += list(itertools.islice(_numbered(shard, filters, read, Seen(), sum(rows[:group])), 1))
    return found


def _batches(
    shard: Shard, filters: Filters, batch_rows: int, row_groups: list[int] | None = None
) -> Iterator[pa.RecordBatch]:
    needed = [*REQUIRED, *filters.needed()]
    wanted = [*needed, "status", "identity"]
    if shard.format == "parquet":
        return parquet_batches(shard, wanted, needed, batch_rows, row_groups)
    return text_batches(shard, wanted, needed, batch_rows)


def _numbered(
    shard: Shard, filters: Filters, batches: Iterator[pa.RecordBatch], seen: Seen, start: int = 0
) -> Iterator[pa.RecordBatch]:
    with _readable(shard) as place:
        for batch in batches:
            rows = pa.arange(start, start + batch.num_rows)
            columns = {"row": rows}
            if "url" not in batch.schema.names:
                columns["url"] = _places(shard, rows)
            columns |= {
                name: typed(shard.url, name, column)
                for name, column in zip(batch.schema.names, batch.columns, strict=True)
            }
            status, identity = columns.pop("status", None), columns.pop("identity", None)
            if "url" in batch.schema.names:
                columns |= _told_apart(shard, columns, identity, seen)
            columns["text"] = _decoded(shard, columns["text"])
            _look_at_bytes(columns["text"], start, seen)
            _look_for_utf8(columns["text"], shard.reading.encoding, seen)
            columns["kept"] = filters.kept(columns)
            if status is not None:
                failed = pc.is_in(status, FAILED)
                seen.failed += pc.sum(failed).as_py() or 0
                if shard.reading.failed_downloads == "leave_out":
                    columns["kept"] = pc.and_not(columns["kept"], failed)
            yield pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))
            place.row = start = start + batch.num_rows


def _places(shard: Shard, rows: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise(shard.key, rows.cast(pa.string()), "#")


def _told_apart(
    shard: Shard, columns: dict[str, pa.Array], identity: pa.Array | None, seen: Seen
) -> dict[str, pa.Array]:
    """`url` with the identity or the place of each row that has no address, and `address` with the addresses alone. Nothing if every row has one."""
    missing = lacks_value(columns["url"])
    if not (count := pc.sum(missing).as_py() or 0):
        return {}
    seen.unaddressed += count
    places = _places(shard, columns["row"])
    if identity is not None:
        places = pc.if_else(lacks_value(identity), places, identity.cast(pa.string()))
    address = pc.if_else(missing, None, columns["url"])
    return {"url": pc.coalesce(address, places.cast(address.type)), "address": address}


def _decoded(shard: Shard, texts: pa.Array) -> pa.Array:
    """The texts of a parquet file, if `audit.yaml` says that they are in another encoding than UTF-8."""
    encoding = shard.reading.encoding
    if shard.format != "parquet" or encoding is None or codecs.lookup(encoding).name == "utf-8":
        return texts
    return pa.array(
        [None if text is None else text.decode(encoding) for text in texts.cast(pa.large_binary()).to_pylist()],
        pa.large_string(),
    )


def _look_at_bytes(texts: pa.Array, start: int, seen: Seen) -> None:
    """Count in `seen` the texts beyond ASCII, by whether they are UTF-8."""
    ascii_only = pc.fill_null(pc.string_is_ascii(texts), True)
    if not (others := len(texts) - (pc.sum(ascii_only).as_py() or 0)):
        return
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid:
        for position in np.flatnonzero(~ascii_only.to_numpy(zero_copy_only=False)).tolist():
            text = texts[position].as_buffer().to_pybytes()
            if text != text.decode("utf-8", "replace").encode():
                others -= 1
                seen.not_utf8 += 1
                seen.example = seen.example or (start + position, text)
    seen.beyond_ascii += others


def _look_for_utf8(texts: pa.Array, encoding: str | None, seen: Seen) -> None:
    """Count in `seen` the texts that were UTF-8 before they were decoded in the encoding that audit.yaml names."""
    if encoding is None or codecs.lookup(encoding).name == "utf-8":
        return
    for text in texts.filter(pc.invert(pc.string_is_ascii(texts))).drop_null().to_pylist():
        with suppress(UnicodeError):
            content = text.encode(encoding)
            seen.garbled += not content.isascii() and bool(content.decode("utf-8"))


def _quoted(text: bytes) -> str:
    """The surroundings of the first byte that is not ASCII, as Windows-1252 reads them."""
    place = next(number for number, byte in enumerate(text) if byte > 0x7F)
    return repr(text[max(0, place - 20) : place + 20].decode("cp1252", "replace"))


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
    except (pa.ArrowException, OSError, UnicodeError, Bomb) as error:
        what = str(error).strip() or type(error).__name__
        remedy = "fetch or write the file anew"
        if shard.format == "jsonl" and re.search(r"Column\(|decimal128|Failed to convert", what):
            remedy = "write all values of a column as text, or all as whole numbers"
        if shard.format == "csv" and re.search(r"Expected \d+ columns", what):
            remedy = "put quotes around a cell that holds a delimiter, a line break or a quote, and double each quote within it"
        raise InputError(
            f"{shard.url}: not readable as {shard.format} after row {place.row} ({what}); {remedy}."
        ) from error
    except Exception as error:  # each store raises errors of its own
        if shard.is_local:
            raise
        what = f"{type(error).__name__}: {error}"
        raise InputError(f"{shard.url}: could not be read from its store ({what}); check your access to it.") from error


@dataclass(frozen=True)
class Declared:
    """What a file declares: its number of rows, its columns, and the smallest and greatest value of each score if they are known."""

    rows: int
    scores: dict[str, tuple[float, float]]
    columns: Columns


def declared(shard: Shard) -> Declared:
    """The declaration of a file: from the footer of a parquet file, without reading a row, or from a whole text file. InputError if it is not readable."""
    if shard.format != "parquet":
        return _declared_text(shard)
    with _readable(shard), parquet(shard) as (file, _):
        columns = parquet_columns(shard, file)
        places = {file.schema.column(i).path: i for i in range(len(file.schema))}
        scores: dict[str, tuple[float, float]] = {}
        for ours, name in columns.only(SCORES).items():
            if name not in places:
                continue  # a struct or a list, which declares no values of its own
            groups = [file.metadata.row_group(g).column(places[name]) for g in range(file.num_row_groups)]
            known = [group.statistics for group in groups if group.statistics and group.statistics.has_min_max]
            if known and len(known) == len(groups) and all(isinstance(s.min, int | float) for s in known):
                scores[ours] = (min(s.min for s in known) + 0.0, max(s.max for s in known) + 0.0)  # no -0.0
        return Declared(int(file.metadata.num_rows), scores, columns)


def _declared_text(shard: Shard) -> Declared:
    rows = 0
    scores: dict[str, tuple[float, float]] = {}
    with _readable(shard):
        columns = find_columns(shard.url, header_of(shard).names, shard.reading.columns)
        for batch in text_batches(shard, SCORES, (), BATCH_ROWS):
            rows += batch.num_rows
            for name in set(SCORES) & set(batch.schema.names):
                ends = pc.min_max(batch.column(name)).as_py()
                if ends["min"] is not None:
                    low, high = scores.get(name, (ends["min"], ends["max"]))
                    scores[name] = (min(low, ends["min"]), max(high, ends["max"]))
    return Declared(rows, scores, columns)


def notes(row: Any, failed_downloads: str) -> list[str]:
    """What a reader of the counts must know about a file, one sentence each. `row` is its row of the table `caption_shards`."""
    said = []
    if row.other_texts:
        said.append(
            f"the captions are those of column {row.text_column!r}; not read, though of the kind: {row.other_texts}."
        )
    if not row.url_column:
        said.append("no column tells images apart, so that every row counts, copies included.")
    elif not row.addresses:
        said.append(f"has no column of addresses; column {row.url_column!r} tells images apart.")
    if row.url_column and row.rows_unaddressed:
        said.append(
            f"{row.rows_unaddressed} rows have nothing in column {row.url_column!r}; they count by another identity or by their place."
        )
    if row.rows_failed:
        done = "are left out" if failed_downloads == "leave_out" else "count"
        said.append(f"{row.rows_failed} rows that could not be downloaded {done}.")
    if row.rows_not_utf8:
        said.append(f"{row.rows_not_utf8} captions hold bytes that are not UTF-8; these separate words.")
    return said


# The possible range of each score. The aesthetic predictor is linear, so its scores leave the scale of 1 to 10 by a little.
SCORE_RANGES = {"score": (-1, 11), "similarity": (-1, 1), "punsafe": (0, 1), "pwatermark": (0, 1)}


def out_of_range(scores: dict[str, tuple[float, float]]) -> list[str]:
    """One sentence per score that leaves its possible range, for example a percentage instead of a probability."""
    return [
        f"{name} is between {low:g} and {high:g}, and can only be between {SCORE_RANGES[name][0]} and {SCORE_RANGES[name][1]}"
        for name, (low, high) in scores.items()
        if low < SCORE_RANGES[name][0] or high > SCORE_RANGES[name][1]
    ]
