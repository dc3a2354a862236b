"""Examples of captions are those with the smallest digests, however the rows are read, and each is what its file has at its place."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit_assets.config import load_audit
from audit_assets.errors import InputError
from audit_assets.roster.caption_columns import holds_addresses
from audit_assets.roster.duplicates import digest, scan_shard
from audit_assets.roster.examples import LONGEST, shortened
from audit_assets.roster.mentions import MentionScan
from audit_assets.roster.normalise import names_in, tokens
from audit_assets.warehouse.store import Warehouse

NAMES = {"ada": ["Ada"], "bea": ["Bea", "Ada Bea"], "none": ["Nobody"]}
Rows = list[tuple[str | None, str]]


def found(folder: Path, rows: Rows, size: int) -> dict[str, list[dict]]:
    urls, texts = pa.array([row[0] for row in rows], pa.string()), pa.array([row[1] for row in rows], pa.string())
    whole = pa.record_batch({"url": urls, "text": texts, "row": pa.array(np.arange(len(rows)), pa.int64())})
    batches = [whole.slice(start, size) for start in range(0, len(rows), size)]
    return scan_shard(batches, NAMES, folder / "a.parquet")[1].found()


def smallest(rows: Rows, name: str, most: int = 5) -> list[tuple[int, str | None, str]]:
    """The definition in plain Python: row, url and caption of the smallest digests, each at the first of its copies."""
    spellings = {own: tuple(tokens(own)) for own in NAMES[name]}
    chosen: dict[tuple[int, int], tuple[int, str | None, str]] = {}
    for row, (url, text) in enumerate(rows):
        if names_in(text, spellings):
            own = (url or "").encode()
            key = digest(len(own).to_bytes(8, "little") + own + text.encode())
            chosen.setdefault(key, (row, url or None, text))
    return [chosen[key] for key in sorted(chosen)[:most]]


texts = st.sampled_from(["Ada", "ada bea", "Bea's", "x", "Ada\x00", "é Ada", "nobody"])
urls = st.one_of(st.none(), st.sampled_from(["", "u", "javascript:alert(1)", "h\nx"]), st.text(max_size=4))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(urls, texts), max_size=60), st.integers(1, 61))
def test_the_smallest_digests_are_chosen_whatever_the_batches(
    tmp_path_factory: pytest.TempPathFactory, rows: Rows, size: int
) -> None:
    examples = found(tmp_path_factory.mktemp("shard"), rows, size)
    for name in NAMES:
        assert [(e["row"], e["url"], e["caption"]) for e in examples[name]] == smallest(rows, name)


def test_many_copies_and_many_rows_leave_five(tmp_path: Path) -> None:
    rows: Rows = [(f"https://example.org/{n % 700}.jpg", "by Ada") for n in range(7000)]
    assert [(e["row"], e["url"], e["caption"]) for e in found(tmp_path, rows, 1000)["ada"]] == smallest(rows, "ada")
    assert len(smallest(rows, "ada")) == 5


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (None, None),
        (b"", ""),
        (b"caf\xe9", "caf�"),
        ("é".encode() * LONGEST, "é" * LONGEST),
        (b"x" * 1_000_001, "x" * LONGEST + "… (1,000,001 characters)"),
    ],
)
def test_a_text_is_kept_whole_or_cut_with_its_length(value: bytes | None, kept: str | None) -> None:
    assert shortened(value) == kept


@pytest.mark.parametrize(
    ("column", "named", "addresses"),
    [
        ("URL", {}, True),
        ("image_url", {}, True),
        ("uid", {}, False),
        ("", {}, False),
        ("link", {"url": "link"}, True),
        ("uid", {"url": "uid"}, False),
        ("", {"url": ""}, False),
    ],
)
def test_a_column_of_addresses_is_known_by_its_name_or_by_the_audit_file(
    column: str, named: dict[str, str], addresses: bool
) -> None:
    assert holds_addresses(column, named) is addresses


def test_examples_of_all_files_have_addresses_only_where_their_file_has_them(
    small_audit: Callable[..., Path], tmp_path: Path
) -> None:
    config = small_audit(
        tmp_path,
        captions={"path": "captions/*", "dataset": "x"},
        roster={"artists": "artists.csv", "criteria": 1, "most_mentioned": 1, "minimum_mentions": 1},
    )
    (tmp_path / "artists.csv").write_text("name\nAda Brandvold\nBruno Eklund\n")
    (tmp_path / "captions").mkdir()
    tables = {
        "a": {"URL": ["javascript:alert(1)", "u"], "TEXT": ["by Ada Brandvold", "x"]},
        "b": {"URL": ["javascript:alert(1)", ""], "TEXT": ["by Ada Brandvold", "Ada Brandvold, river"]},
        "c": {"uid": ["17"], "caption": ["hill by Ada Brandvold"]},
        "d": {"caption": ["tree by Ada Brandvold"]},
    }
    for name, content in tables.items():
        pq.write_table(pa.table(content), tmp_path / "captions" / f"{name}.parquet")
    scan = MentionScan(load_audit(config), Warehouse(tmp_path / "warehouse"))
    for key in scan.shards:
        scan.scan(key)
    row = scan.merged.set_index("name").loc["Ada Brandvold"]
    assert (row["mentions"], row["duplicates"]) == (4, 1)
    assert sorted(row["samples"], key=lambda s: (s["shard"], s["row"])) == [
        {"shard": "a.parquet", "row": 0, "url": "javascript:alert(1)", "caption": "by Ada Brandvold"},
        {"shard": "b.parquet", "row": 1, "url": None, "caption": "Ada Brandvold, river"},
        {"shard": "c.parquet", "row": 0, "url": None, "caption": "hill by Ada Brandvold"},
        {"shard": "d.parquet", "row": 0, "url": None, "caption": "tree by Ada Brandvold"},
    ]
    assert scan.shards_table.set_index("shard")["addresses"].to_dict() == {
        "a.parquet": True, "b.parquet": True, "c.parquet": False, "d.parquet": False,
    }  # fmt: skip
    assert [len(own) for own in scan.merged.loc[scan.merged["name"] == "Bruno Eklund", "samples"]] == [0]

    counted = scan.warehouse.read("artist_mentions/d.parquet")
    attributes = dict(counted.attrs)
    counted["samples"] = [[] for _ in range(len(counted))]
    counted.attrs = attributes
    scan.warehouse.write("artist_mentions/d.parquet", counted, attributes["inputs"])
    scan.warehouse.path("artist_mentions").unlink()
    again = MentionScan(load_audit(config), Warehouse(tmp_path / "warehouse"))
    with pytest.raises(
        InputError, match=r"artist_mentions/d\.parquet\.parquet: lacks the caption in row 0 that names 'Ada Brandvold'"
    ):
        _ = again.merged
