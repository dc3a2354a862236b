"""Caption files as they are found: names of columns, types, stores, and what is wrong with them."""

from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from audit_assets.errors import InputError
from audit_assets.roster.captions import (
    Filters,
    Shard,
    caption_batches,
    caption_shards,
    declared,
    new_shards,
    out_of_range,
    sample_batches,
    score_version,
)
from audit_assets.roster.scan import caption_at, scan
from audit_assets_tests.roster.real_data import real_captions, real_captions_file


def parquet(path: Path, **columns: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path


def only(pattern: str, base: Path) -> Shard:
    (shard,) = caption_shards(pattern, base)
    return shard


def read(shard: Shard, **filters: float) -> list[dict]:
    return [row for batch in caption_batches(shard, Filters(**filters)) for row in batch.to_pylist()]


def test_shards_are_keyed_by_their_path_alone(tmp_path: Path) -> None:
    for name in ("captions/part-1.parquet", "captions/b/part-1.parquet", "captions/Part 2.parquet", "captions/c.csv"):
        parquet(tmp_path / name, URL=["u"], TEXT=["t"])
    keys = [shard.key for shard in caption_shards("captions/**/*.parquet", tmp_path)]
    assert keys[1] == "part-1.parquet"
    assert keys[0].startswith("b-part-1.parquet_")
    assert keys[2].startswith("part-2.parquet_")
    assert (
        only("captions/part-1.parquet", tmp_path).key == only("captions/*-1.parquet", tmp_path).key == "part-1.parquet"
    )
    (tmp_path / "captions/part-0.parquet").write_bytes(b"")
    assert keys == [s.key for s in caption_shards("captions/**/*.parquet", tmp_path) if s.key != "part-0.parquet"]
    (tmp_path / "captions/readme.txt").write_text("x")
    with pytest.raises(InputError, match=r"readme.txt is neither .parquet nor .csv"):
        caption_shards("captions/*", tmp_path)
    with pytest.raises(InputError, match=r"'nowhere/.*' matches no file"):
        caption_shards("nowhere/*.csv", tmp_path)


def test_only_files_without_a_partition_are_new(tmp_path: Path) -> None:
    for name in ("a.parquet", "b.parquet", "c.parquet"):
        parquet(tmp_path / name, URL=["u"], TEXT=["t"])
    assert new_shards({"b.parquet", "gone.parquet"}, caption_shards("*", tmp_path)) == ["a.parquet", "c.parquet"]


def test_a_folder_with_a_pattern_in_its_name_is_only_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "audit [1]*"
    parquet(folder / "captions/a.parquet", URL=["u"], TEXT=["t"])
    assert [shard.key for shard in caption_shards("captions/*.parquet", folder)] == ["a.parquet"]
    assert only(str(tmp_path / "*/captions/a.parquet"), tmp_path).key.startswith("audit--1---captions-a.parquet_")


def test_columns_are_found_in_any_case_and_spelling(tmp_path: Path) -> None:
    parquet(tmp_path / "a.parquet", width=[1], url=["u"], Caption=["c"], aesthetic=[6.5], hash=[1])
    assert read(only("a.parquet", tmp_path), minimum_score=6.0) == [
        {"row": 0, "url": "u", "text": "c", "score": 6.5, "kept": True}
    ]
    parquet(tmp_path / "b.parquet", caption=["no"], TEXT=["yes"], Url=["u"])
    assert read(only("b.parquet", tmp_path)) == [{"row": 0, "url": "u", "text": "yes", "kept": True}]


def test_filters_mark_rows_and_an_unknown_score_does_not_pass(tmp_path: Path) -> None:
    parquet(
        tmp_path / "a.parquet",
        URL=["u"] * 6,
        TEXT=["a", None, "c", "d", "e", "f"],
        AESTHETIC_SCORE=pa.array([6, 7, 5, None, 9, 6], pa.float32()),
        punsafe=[0.1, 0.1, 0.1, 0.1, 0.9, 0.1],
        pwatermark=[0.1, 0.1, 0.1, 0.1, 0.1, None],
    )
    shard = only("a.parquet", tmp_path)
    assert [row["kept"] for row in read(shard)] == [True, False, True, True, True, True]
    assert [row["kept"] for row in read(shard, minimum_score=6.0)] == [True, False, False, False, True, True]
    strict = read(shard, minimum_score=6.0, maximum_punsafe=0.5, maximum_pwatermark=0.5)
    assert [row["row"] for row in strict if row["kept"]] == [0]


def test_rows_are_numbered_through_the_batches(tmp_path: Path) -> None:
    parquet(tmp_path / "a.parquet", URL=["u"] * 10, TEXT=list("abcdefghij"))
    (tmp_path / "b.csv").write_text("URL,TEXT\n" + "".join(f"u,{c}\n" for c in "abcdefghij"))
    for name in ("a.parquet", "b.csv"):
        batches = list(caption_batches(only(name, tmp_path), batch_rows=4))
        assert [batch.num_rows for batch in batches] == [4, 4, 2]
        assert [row for batch in batches for row in batch.column("row").to_pylist()] == list(range(10))


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.binary(), pa.dictionary(pa.int32(), pa.string())])
def test_text_columns_of_every_type(tmp_path: Path, kind: pa.DataType) -> None:
    texts = pa.array(["by Ada", None, "ADA"], pa.string()).cast(kind)
    parquet(tmp_path / "a.parquet", URL=["u"] * 3, TEXT=texts)
    assert scan(caption_batches(only("a.parquet", tmp_path)), {"ada": ["Ada"]}).mentions == {"ada": 2}


def test_text_that_is_not_utf8_is_kept_and_separates(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b'URL,TEXT\nu,"ada\xff lovelace"\nu,"x\x00ada"\nu,"line\nada"\n')
    texts = pa.array([b"ada\xff lovelace", b"x\x00ada", b"line\nada"], pa.binary()).view(pa.string())
    parquet(tmp_path / "a.parquet", URL=["u"] * 3, TEXT=texts)
    for name in ("a.csv", "a.parquet"):
        batches = list(caption_batches(only(name, tmp_path)))
        assert caption_at(batches[0], 0) == "ada\ufffd lovelace"
        assert scan(batches, {"a": ["ada"], "al": ["ada lovelace"]}).mentions == {"a": 3, "al": 1}


def test_a_csv_row_of_a_megabyte_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f'URL,TEXT\nu,"{"y, " * 400_000} ada"\nu,ada\n')
    assert scan(caption_batches(only("a.csv", tmp_path)), {"ada": ["ada"]}).mentions == {"ada": 2}


def test_captions_in_a_store_are_read_where_they_are(tmp_path: Path) -> None:
    local = parquet(tmp_path / "a.parquet", URL=["u"], TEXT=["by Ada"])
    store = fsspec.filesystem("memory")
    store.pipe("/roster-bucket/x/a.parquet", local.read_bytes())
    store.pipe("/roster-bucket/x/b.csv", b"url,caption\nu,by Ada\n")
    try:
        shards = caption_shards("memory://roster-bucket/x/*", tmp_path)
        assert [shard.key for shard in shards] == ["a.parquet", "b.csv"]
        for shard in shards:
            assert scan(caption_batches(shard), {"ada": ["Ada"]}).mentions == {"ada": 1}
            assert len(shard.fingerprint()) == 64
        with pytest.raises(InputError, match="matches no file"):
            caption_shards("memory://roster-bucket/y/*", tmp_path)
        assert only("memory://roster-bucket/x/b.csv", tmp_path).key == "b.csv"
    finally:
        store.rm("/roster-bucket", recursive=True)


def test_an_unknown_store_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'nosuch://x/\\*' is not an address"):
        caption_shards("nosuch://x/*", tmp_path)


def test_a_fingerprint_follows_the_content(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", URL=["u"], TEXT=["t"])
    before = only("a.parquet", tmp_path).fingerprint()
    assert only("a.parquet", tmp_path).fingerprint() == before
    parquet(path, URL=["u"], TEXT=["s"])
    assert only("a.parquet", tmp_path).fingerprint() != before


def broken(folder: Path) -> dict[str, str]:
    """file -> the message it must give."""
    whole = parquet(folder / "whole.parquet", URL=["u"] * 5000, TEXT=[f"caption {i}" for i in range(5000)]).read_bytes()
    (folder / "truncated.parquet").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.parquet").write_bytes(b"")
    (folder / "foreign.parquet").write_bytes(b"<html>404</html>" * 100)
    (folder / "damaged.parquet").write_bytes(whole[:100] + b"\xff" * 5000 + whole[5100:])
    parquet(folder / "no_text.parquet", URL=["u"], title=["t"])
    parquet(folder / "two_urls.parquet", URL=["u"], url=["u"], TEXT=["t"])
    parquet(folder / "numbers.parquet", URL=["u"], TEXT=[3])
    parquet(folder / "words.parquet", URL=["u"], TEXT=["t"], AESTHETIC_SCORE=["high"])
    parquet(folder / "unscored.parquet", URL=["u"], TEXT=["t"])
    (folder / "empty.csv").write_bytes(b"")
    (folder / "ragged.csv").write_bytes(b"URL,TEXT\nu,t\nu,t,extra\n")
    (folder / "words.csv").write_bytes(b"URL,TEXT,aesthetic\nu,t,high\n")
    return {
        "truncated.parquet": "not readable as parquet",
        "empty.parquet": "not readable as parquet",
        "foreign.parquet": "not readable as parquet",
        "damaged.parquet": "not readable as parquet",
        "no_text.parquet": "no column 'text' or 'caption' .*'URL', 'title'",
        "two_urls.parquet": r"\['URL', 'url'\] differ only in case",
        "numbers.parquet": "column text: holds int64, not text",
        "words.parquet": "column score: holds string, not numbers",
        "unscored.parquet": "no column 'aesthetic_score' or 'aesthetic'.*or remove the filter",
        "empty.csv": "the file is empty",
        "ragged.csv": "not readable as csv",
        "words.csv": "not readable as csv",
    }


def test_a_broken_shard_fails_alone_and_is_named(tmp_path: Path) -> None:
    for name, message in broken(tmp_path).items():
        shard = only(name, tmp_path)
        with pytest.raises(InputError, match=message) as caught:
            read(shard, **({"minimum_score": 6.0} if name.startswith(("unscored", "words")) else {}))
        assert str(tmp_path / name) in str(caught.value)
    assert len(read(only("whole.parquet", tmp_path))) == 5000


def test_a_file_that_vanishes_is_named(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", URL=["u"], TEXT=["t"])
    shard = only("a.parquet", tmp_path)
    path.unlink()
    with pytest.raises(InputError, match=r"a.parquet: cannot be opened"):
        read(shard)


def test_real_captions_are_read_as_the_csv_module_reads_them() -> None:
    path = real_captions_file()
    assert [row["text"] for row in read(only(path.name, path.parent))] == real_captions()


@pytest.mark.parametrize(
    ("dataset", "version"),
    [("laion-aesthetics-v2-6plus", "v2"), ("LAION_Aesthetics_V1", "v1"), ("relaion2B-en-research", None), (None, None)],
)
def test_the_version_of_the_scores_is_known_by_the_data_set(dataset: str | None, version: str | None) -> None:
    assert score_version(dataset) == version


def test_the_rows_that_a_file_declares_are_the_rows_that_are_read(tmp_path: Path) -> None:
    parquet(tmp_path / "a.parquet", URL=["u"] * 7, TEXT=["t", None, "", "x", "y", "z", "t"])
    (tmp_path / "b.csv").write_text('URL,TEXT\nu,"two\nlines"\nu,one\n')
    for name, rows in (("a.parquet", 7), ("b.csv", 2)):
        shard = only(name, tmp_path)
        assert declared(shard).rows == rows == len(read(shard))
        assert declared(shard).scores == {}


def test_a_truncated_file_declares_no_rows(tmp_path: Path) -> None:
    whole = parquet(tmp_path / "a.parquet", URL=["u"], TEXT=["t"]).read_bytes()
    (tmp_path / "a.parquet").write_bytes(whole[:-9])
    with pytest.raises(InputError, match=r"a\.parquet"):
        declared(only("a.parquet", tmp_path))


def test_scores_beyond_what_they_can_be_are_named(tmp_path: Path) -> None:
    scores = {"aesthetic": [None, 4.5, 6.25], "punsafe": [0.0, 35.0, 99.0], "similarity": [0.1, 0.2, 0.3]}
    parquet(tmp_path / "a.parquet", URL=["u"] * 3, TEXT=["t"] * 3, hash=[1, 2, 3], **scores)
    (tmp_path / "b.csv").write_text(
        "URL,TEXT,punsafe,similarity,aesthetic\nu,t,0,0.1,\nu,t,35,0.2,4.5\nu,t,99,0.3,6.25\n"
    )
    for name in ("a.parquet", "b.csv"):
        found = declared(only(name, tmp_path)).scores
        assert found == {"score": (4.5, 6.25), "similarity": (0.1, 0.3), "punsafe": (0, 99)}
        assert out_of_range(found) == ["punsafe is between 0 and 99, and can only be between 0 and 1"]


def test_a_sample_is_from_the_beginning_the_middle_and_the_end_with_its_row_numbers(tmp_path: Path) -> None:
    table = pa.table({"URL": ["u"] * 10, "TEXT": list("abcdefghij"), "punsafe": [0.0, 1.0] * 5})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=2)
    found = [row for batch in sample_batches(only("a.parquet", tmp_path)) for row in batch.to_pylist()]
    assert [(row["row"], row["text"]) for row in found] == [(0, "a"), (1, "b"), (4, "e"), (5, "f"), (8, "i"), (9, "j")]
    some = sample_batches(only("a.parquet", tmp_path), Filters(maximum_punsafe=0.5), batch_rows=1)
    assert [batch.to_pylist()[0]["row"] for batch in some] == [0, 4, 8]
    (tmp_path / "b.csv").write_text("URL,TEXT\n" + "".join(f"u,{c}\n" for c in "abcdefghij"))
    (batch,) = sample_batches(only("b.csv", tmp_path), batch_rows=3)
    assert batch.column("row").to_pylist() == [0, 1, 2]


def test_a_stamp_follows_the_file_without_reading_it(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", URL=["u"], TEXT=["t"])
    before = only("a.parquet", tmp_path).stamp()
    assert only("a.parquet", tmp_path).stamp() == before
    parquet(path, URL=["u"], TEXT=["s"])
    assert only("a.parquet", tmp_path).stamp() != before
