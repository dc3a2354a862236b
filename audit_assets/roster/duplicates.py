"""Exact duplicates of (URL, text), within a shard and across shards, count once.

Only captions that name a subject can change a count, so only these are stored. The scan of a shard streams one row per
caption and subject, with a 128-bit digest of (URL, text), into a parquet file. DuckDB counts distinct digests over the
files of all shards. The memory of the scan does not grow, each shard can be scanned again alone, and DuckDB writes to disk
what does not fit in memory.
"""

import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import duckdb
import numba
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from audit_assets.errors import InputError, unreadable
from audit_assets.roster.examples import EXAMPLES, Examples
from audit_assets.roster.scan import Matcher, ScanResult, Tally, row_ids, text_buffers
from audit_assets.warehouse.places import whole
from audit_assets.warehouse.seal import Damaged, check_file, seal_file

SCHEMA = pa.schema(
    [
        ("key", pa.dictionary(pa.int32(), pa.string())),
        ("row", pa.int64()),
        ("digest_high", pa.uint64()),
        ("digest_low", pa.uint64()),
    ]
)
# Number of mentions held in memory before they are written, as a row group of 6 MB.
_ROW_GROUP = 1 << 18

_C1, _C2 = np.uint64(0x87C37B91114253D5), np.uint64(0x4CF5AD432745937F)
_M1, _M2 = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)


def scan_shard(
    batches: Iterable[pa.RecordBatch],
    names: Mapping[str, Sequence[str]],
    path: Path,
    *,
    metadata: Mapping[bytes, bytes] | None = None,
) -> tuple[ScanResult, Examples]:
    """Run `scan` and write every mention to the parquet file `path` (SCHEMA), which appears whole or not at all.

    `batches` have columns `url` and `text`, and may have `row` (int64; without it, rows are numbered from 0 in the order read).
    The file gets `metadata`. The result counts duplicates; `count_mentions` over the files does not. The examples are those of
    this shard.
    """
    matcher = Matcher(names)
    tally, examples = Tally(matcher.keys), Examples(matcher.keys)
    with whole(path) as file:
        with pq.ParquetWriter(file, SCHEMA.with_metadata(metadata), compression="zstd") as writer:
            _write_mentions(writer, batches, matcher, tally, examples)
        seal_file(file)
    return tally.result(), examples


def _write_mentions(
    writer: pq.ParquetWriter, batches: Iterable[pa.RecordBatch], matcher: Matcher, tally: Tally, examples: Examples
) -> None:
    dictionary = pa.array(matcher.keys, pa.string())
    held: list[pa.RecordBatch] = []
    for batch in batches:
        rows, owners = matcher.matches(batch)
        if len(rows):
            high, low = _digests(batch, rows)
            keys = pa.DictionaryArray.from_arrays(pa.array(owners, pa.int32()), dictionary)
            ids = row_ids(batch, tally.rows_read)
            examples.add(batch, ids, rows, owners, high, low)
            held.append(pa.record_batch([keys, pa.array(ids[rows]), pa.array(high), pa.array(low)], schema=SCHEMA))
        tally.add(batch, rows, owners)
        if sum(part.num_rows for part in held) >= _ROW_GROUP:
            writer.write_table(pa.Table.from_batches(held))
            held = []
    writer.write_table(pa.Table.from_batches(held, SCHEMA))


def check_mentions(path: str | os.PathLike[str]) -> None:
    """InputError if a file of `scan_shard` is missing, or if its bytes differ from those that were written."""
    try:
        check_file(Path(path))
    except FileNotFoundError:
        raise InputError(f"{path}: the mentions of a shard are missing; scan the shard again.") from None
    except OSError as error:
        raise InputError(f"{unreadable(path, error)}.") from None
    except Damaged as error:
        raise InputError(f"{path}: damaged ({error}); delete the file and materialize artist_mentions again.") from None


def count_mentions(
    files: Mapping[str, str | os.PathLike[str]],
    *,
    samples: int = EXAMPLES,
    memory_limit: str = "200MB",
) -> pd.DataFrame:
    """Mentions over all shards, each (URL, text) counted once: columns key, mentions, duplicates, samples; ordered by key.

    `files` maps shard keys to files of `scan_shard`; InputError names a missing or damaged file. `duplicates` counts the
    further copies. `samples` has the (shard, row) pairs with the smallest digests as dictionaries, each at the first of its copies.
    A key without mentions has no row. DuckDB keeps data above `memory_limit` in a temporary folder beside the first file.
    """
    if not files:
        return pd.DataFrame({"key": [], "mentions": [], "duplicates": [], "samples": []})
    shards = sorted(files)
    paths = [str(files[shard]) for shard in shards]
    for path in paths:
        check_mentions(path)
    with (
        tempfile.TemporaryDirectory(prefix=".spill-", dir=Path(paths[0]).parent) as folder,
        duckdb.connect(config={"memory_limit": memory_limit, "threads": 1, "temp_directory": folder}) as connection,
    ):
        connection.execute("CREATE TABLE files AS SELECT unnest(?) AS filename, unnest(?) AS shard", [paths, shards])
        try:
            return connection.execute(_COUNT, {"paths": paths, "samples": samples}).df()
        except (duckdb.IOException, duckdb.InvalidInputException) as error:
            raise InputError(f"the mentions of a shard are not readable ({error}); scan that shard again.") from error


_COUNT = """
WITH first_copies AS (
  SELECT key::VARCHAR AS key, digest_high, digest_low, count(*) AS copies, min((shard, "row")) AS place
  FROM read_parquet($paths, filename = true) JOIN files USING (filename)
  GROUP BY ALL)
SELECT key, count(*)::BIGINT AS mentions, (sum(copies) - count(*))::BIGINT AS duplicates,
  [{'shard': s[3][1], 'row': s[3][2]} for s in min((digest_high, digest_low, place), $samples)] AS samples
FROM first_copies GROUP BY key ORDER BY key
"""


def _digests(batch: pa.RecordBatch, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """128 bits of (URL, text) for each position of `rows`, in two halves. `caption_batches` gives each row a URL."""
    return _digest_rows(*text_buffers(batch.column("url")), *text_buffers(batch.column("text")), rows)


def digest(data: bytes) -> tuple[int, int]:
    """MurmurHash3_x64_128 of `data`, seed 0: the digest's two halves."""
    high, low = _murmur(np.frombuffer(data, np.uint8), len(data))
    return int(high), int(low)


@numba.njit(cache=True)
def _digest_rows(
    urls: np.ndarray, url_offsets: np.ndarray, texts: np.ndarray, text_offsets: np.ndarray, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    high, low = np.empty(len(rows), np.uint64), np.empty(len(rows), np.uint64)
    joined = np.empty(1024, np.uint8)
    previous = -1
    for index in range(len(rows)):
        row = rows[index]
        if row == previous:
            high[index], low[index] = high[index - 1], low[index - 1]
            continue
        previous = row
        url_start, text_start = url_offsets[row], text_offsets[row]
        url_length, text_length = url_offsets[row + 1] - url_start, text_offsets[row + 1] - text_start
        length = 8 + url_length + text_length
        if length > len(joined):
            joined = np.empty(2 * length, np.uint8)
        # The length of the URL goes first; otherwise ("a", "bc") and ("ab", "c") would have the same digest.
        for byte in range(8):
            joined[byte] = (url_length >> (8 * byte)) & 0xFF
        joined[8 : 8 + url_length] = urls[url_start : url_start + url_length]
        joined[8 + url_length : length] = texts[text_start : text_start + text_length]
        high[index], low[index] = _murmur(joined, length)
    return high, low


@numba.njit(cache=True)
def _word(data: np.ndarray, start: int, length: int) -> np.uint64:
    word = np.uint64(0)
    for byte in range(length):
        word |= np.uint64(data[start + byte]) << np.uint64(8 * byte)
    return word


@numba.njit(cache=True)
def _rotated(word: np.uint64, bits: int) -> np.uint64:
    return (word << np.uint64(bits)) | (word >> np.uint64(64 - bits))


@numba.njit(cache=True)
def _mixed(word: np.uint64) -> np.uint64:
    word = (word ^ (word >> np.uint64(33))) * _M1
    word = (word ^ (word >> np.uint64(33))) * _M2
    return word ^ (word >> np.uint64(33))


@numba.njit(cache=True)
def _murmur(data: np.ndarray, length: int) -> tuple[np.uint64, np.uint64]:
    one, two = np.uint64(0), np.uint64(0)
    blocks = length // 16
    for block in range(blocks):
        first, second = _word(data, 16 * block, 8), _word(data, 16 * block + 8, 8)
        one ^= _rotated(first * _C1, 31) * _C2
        one = (_rotated(one, 27) + two) * np.uint64(5) + np.uint64(0x52DCE729)
        two ^= _rotated(second * _C2, 33) * _C1
        two = (_rotated(two, 31) + one) * np.uint64(5) + np.uint64(0x38495AB5)
    start, rest = 16 * blocks, length - 16 * blocks
    if rest > 8:
        two ^= _rotated(_word(data, start + 8, rest - 8) * _C2, 33) * _C1
    if rest > 0:
        one ^= _rotated(_word(data, start, min(rest, 8)) * _C1, 31) * _C2
    one ^= np.uint64(length)
    two ^= np.uint64(length)
    one += two
    two += one
    one, two = _mixed(one), _mixed(two)
    one += two
    two += one
    return one, two
