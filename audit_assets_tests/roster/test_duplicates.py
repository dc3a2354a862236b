"""Exact duplicates of (URL, text) count once, wherever they are."""

import itertools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit_assets.errors import InputError
from audit_assets.roster.duplicates import count_mentions, digest, scan_shard
from audit_assets.roster.scan import scan

NAMES = {"ada": ["Ada"], "bea": ["Bea", "Ada Bea"], "none": ["Nobody"]}
Rows = list[tuple[str | None, str]]


def batches(rows: Rows, size: int = 3) -> list[pa.RecordBatch]:
    urls, texts = pa.array([row[0] for row in rows], pa.string()), pa.array([row[1] for row in rows], pa.string())
    whole = pa.record_batch({"url": urls, "text": texts, "row": pa.array(np.arange(len(rows)), pa.int64())})
    return [whole.slice(start, size) for start in range(0, len(rows), size)]


def counted(folder: Path, shards: dict[str, Rows], samples: int = 10) -> dict[str, dict]:
    files = {}
    for key, rows in shards.items():
        files[key] = folder / f"{key}.parquet"
        assert scan_shard(batches(rows), NAMES, files[key])[0] == scan(batches(rows), NAMES)
    return {row["key"]: row for row in count_mentions(files, samples=samples).to_dict("records")}


def test_the_digest_is_murmur3() -> None:
    assert digest(b"") == (0, 0)
    assert digest(b"hello") == (0xCBD8A7B341BD9B02, 0x5B1E906A48AE1D19)
    fox = b"The quick brown fox jumps over the lazy dog"
    assert digest(fox) == (0xE34BBC7BBC071B6C, 0x7A433CA9C49A9347)
    assert len({digest(bytes(n)) for n in range(100)}) == 100


def test_copies_count_once_within_and_across_shards(tmp_path: Path) -> None:
    shards: dict[str, Rows] = {
        "b": [("u", "Ada"), ("v", "Ada"), ("u", "ada"), (None, "Ada"), (None, "Ada")],
        "a": [("u", "nobody's"), ("u", "Ada"), ("u", "Ada"), ("w", "Ada Bea")],
    }
    found = counted(tmp_path, shards, samples=3)
    assert {key: (row["mentions"], row["duplicates"]) for key, row in found.items()} == {
        "ada": (5, 3), "bea": (1, 0), "none": (1, 0),
    }  # fmt: skip
    first_copies = {("a", 1), ("a", 3), ("b", 1), ("b", 2), ("b", 3)}
    places = [(place["shard"], place["row"]) for place in found["ada"]["samples"]]
    assert len(places) == 3
    assert set(places) < first_copies


def test_url_and_text_are_not_run_together(tmp_path: Path) -> None:
    assert counted(tmp_path, {"a": [("u", "1 ada"), ("u1", " ada")]})["ada"]["mentions"] == 2


texts = st.sampled_from(["Ada", "ada bea", "Bea's", "x", "Ada\x00", "é Ada"])
rows_of_a_shard = st.lists(st.tuples(st.sampled_from(["u", "v", "", None]), texts), max_size=8)


@settings(max_examples=25, deadline=None)
@given(st.lists(rows_of_a_shard, min_size=1, max_size=3))
def test_counts_equal_a_set_of_pairs(tmp_path_factory: pytest.TempPathFactory, shards: list[Rows]) -> None:
    found = counted(tmp_path_factory.mktemp("shards"), {str(number): rows for number, rows in enumerate(shards)})
    expected: Counter[str] = Counter()
    for url, text in {(url or "", text) for url, text in itertools.chain(*shards)}:
        expected.update(key for key, n in scan(batches([(url, text)]), NAMES).mentions.items() if n)
    assert {key: row["mentions"] for key, row in found.items()} == dict(expected)


def test_a_million_copies_are_one(tmp_path: Path) -> None:
    one = pa.record_batch({"url": pa.repeat("u", 65_536), "text": pa.repeat("by Ada", 65_536)})
    result, _ = scan_shard(itertools.repeat(one, 16), NAMES, tmp_path / "a.parquet")
    assert result.mentions["ada"] == 16 * 65_536
    (row,) = count_mentions({"a": tmp_path / "a.parquet"}).to_dict("records")
    assert (row["mentions"], row["duplicates"]) == (1, 16 * 65_536 - 1)
    assert (tmp_path / "a.parquet").stat().st_size < 8_000_000


def test_a_scan_that_fails_leaves_no_file(tmp_path: Path) -> None:
    def failing() -> Iterator[pa.RecordBatch]:
        yield from batches([("u", "Ada")])
        raise InputError("the shard is damaged")

    with pytest.raises(InputError, match="damaged"):
        scan_shard(failing(), NAMES, tmp_path / "a.parquet")
    assert list(tmp_path.iterdir()) == []


def test_missing_and_damaged_mentions_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a.parquet: the mentions of a shard are missing"):
        count_mentions({"a": tmp_path / "a.parquet"})
    file = tmp_path / "a.parquet"
    scan_shard(batches([("u", "Ada")] * 50), NAMES, file)
    whole = file.read_bytes()
    changed = [whole[:n] + bytes([whole[n] ^ 1]) + whole[n + 1 :] for n in range(0, len(whole), 97)]
    for content in (b"nonsense", whole[:-9], *changed):
        file.write_bytes(content)
        with pytest.raises(InputError, match=r"a\.parquet: damaged .*materialize artist_mentions again"):
            count_mentions({"a": file})
    assert count_mentions({}).empty
