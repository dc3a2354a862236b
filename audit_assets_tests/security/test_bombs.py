"""Small files that would become large in memory are refused by what their headers declare."""

import resource
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from audit_assets.errors import InputError
from audit_assets.roster.captions import Shard, caption_batches
from audit_assets.untrusted.parquet import Bomb, check_declared
from audit_assets.warehouse.seal import sealed
from audit_assets.warehouse.store import Warehouse

ROWS = 65_000


def texts(length: int, rows: int = ROWS) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array(["x" * length]))


def written(path: Path, **columns: pa.Array) -> Path:
    pq.write_table(pa.table(columns), path, compression="zstd", store_schema=False)
    return path


def test_a_caption_file_that_is_a_bomb_is_refused_before_it_is_read(tmp_path: Path) -> None:
    """Less than a kilobyte would become nine gigabytes."""
    path = written(tmp_path / "a.parquet", url=texts(1), text=texts(140_000))
    assert path.stat().st_size < 1000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match=r"a\.parquet: .*rows of its column 'text' are 9100000000 bytes"):
        list(caption_batches(Shard("a", str(path), "parquet")))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # kilobytes


def test_a_table_that_is_a_bomb_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = written(tmp_path / "a.parquet", text=texts(140_000))
    path.write_bytes(sealed(path.read_bytes()))
    with pytest.raises(InputError, match=r"a\.parquet: damaged \(65000 rows of its column"):
        Warehouse(tmp_path).read("a")


def test_many_rows_or_bytes_in_a_small_file_are_refused(tmp_path: Path) -> None:
    rows = tmp_path / "rows.parquet"
    pq.write_table(
        pa.table({"number": np.zeros(30_000_000, np.int8)}), rows, compression="zstd", row_group_size=1 << 26
    )
    with pytest.raises(Bomb, match="declares 30000000 rows"):
        check_declared(str(rows), 3_400, 1)
    plain = tmp_path / "plain.parquet"
    pq.write_table(pa.table({"text": ["x" * 100_000_000]}), plain, compression="zstd", use_dictionary=False)
    with pytest.raises(Bomb, match="its column 'text' declares 100"):
        check_declared(str(plain), plain.stat().st_size, 1)


def test_captions_that_repeat_are_no_bomb(tmp_path: Path) -> None:
    path = written(tmp_path / "a.parquet", url=texts(60), text=texts(200))
    assert sum(len(b) for b in caption_batches(Shard("a", str(path), "parquet"))) == ROWS
