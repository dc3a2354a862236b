"""The warehouse: whole files or none, and damage that is named."""

import errno
import os
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit_assets import hashing
from audit_assets.errors import InputError
from audit_assets.warehouse import store
from audit_assets.warehouse.seal import Damaged, check_file, seal_file, sealed
from audit_assets.warehouse.store import Warehouse, vectors

FRAME = pd.DataFrame({"subject": ["a", "b"], "n": [1, 2]})
FLOATS = st.lists(st.floats(width=32, allow_nan=False), min_size=3, max_size=3)


@given(st.lists(st.tuples(st.text(st.characters(exclude_categories=["Cs"])), FLOATS), min_size=1, max_size=5))
@settings(max_examples=25, deadline=None)
def test_texts_and_embeddings_come_back_bit_for_bit(rows: list[tuple[str, list[float]]]) -> None:
    embeddings = np.array([e for _, e in rows], np.float32)
    frame = pd.DataFrame({"label": [t for t, _ in rows], "embedding": list(embeddings)})
    with TemporaryDirectory() as folder:
        warehouse = Warehouse(Path(folder))
        warehouse.write("t", frame, "h")
        back = warehouse.read("t")
    assert back["label"].tolist() == frame["label"].tolist()
    assert vectors(back["embedding"]).tobytes() == embeddings.tobytes()


def test_a_table_carries_the_hash_of_its_inputs(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path)
    assert warehouse.inputs("x/y") is None
    warehouse.write("x/y", FRAME, "one")
    warehouse.write("x/y", FRAME.iloc[:0], "two")
    assert warehouse.inputs("x/y") == "two"
    assert len(warehouse.read("x/y")) == 0


def test_a_failed_write_leaves_the_old_file_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse = Warehouse(tmp_path)
    warehouse.write("t", FRAME, "old")

    def full(path: Path, content: bytes) -> None:
        with open(path, "wb") as file:
            file.write(content[:10])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match=r"t\.parquet: cannot be written \(No space left on device\); make room"):
        warehouse.write("t", FRAME, "new")
    assert warehouse.inputs("t") == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["t.parquet"]


def test_every_changed_bit_of_a_file_is_noticed(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path)
    warehouse.write("t", FRAME.assign(f=[0.1, 0.2]), "h")
    path = warehouse.path("t")
    whole = path.read_bytes()
    assert warehouse.read("t")["f"].tolist() == [0.1, 0.2]
    for n, byte in enumerate(whole):
        path.write_bytes(whole[:n] + bytes([byte ^ (1 << n % 8)]) + whole[n + 1 :])
        with pytest.raises(InputError, match="damaged"):
            warehouse.read("t")


def test_the_seal_of_a_streamed_file_is_that_of_one_written_at_once(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    FRAME.to_parquet(path)
    whole = path.read_bytes()
    check_file(path)  # a file without a seal is taken as it is
    seal_file(path)
    assert path.read_bytes() == sealed(whole)
    pd.testing.assert_frame_equal(pd.read_parquet(path), FRAME)
    check_file(path)
    path.write_bytes(path.read_bytes().replace(b"subject", b"Subject"))
    with pytest.raises(Damaged):
        check_file(path)


def test_damage_is_not_absence(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path)
    assert not warehouse.made("t")
    warehouse.write("t", FRAME, "h")
    assert warehouse.made("t")
    warehouse.path("t").write_bytes(b"PAR1")
    assert warehouse.inputs("t") is None
    with pytest.raises(InputError, match="damaged"):
        warehouse.made("t")


def test_a_damaged_or_truncated_file_is_named(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path)
    warehouse.write("t", FRAME, "h")
    path = warehouse.path("t")
    whole = path.read_bytes()
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    damaged = whole[:footer] + b"\xff" * (len(whole) - 8 - footer) + whole[-8:]
    for content in (b"", b"PAR1", whole[: len(whole) // 2], whole[:-1], b"\0" * len(whole), damaged):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"(?s)t\.parquet: damaged .*materialize t again"):
            warehouse.read("t")
        assert warehouse.inputs("t") is None


def test_a_missing_table_says_what_to_materialize(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing\.parquet: not made yet; materialize imitations first"):
        Warehouse(tmp_path).read("imitations/missing")


@pytest.mark.parametrize("table", ["../x", "a/../../x", "/etc/x"])
def test_a_path_outside_the_warehouse_is_refused(tmp_path: Path, table: str) -> None:
    with pytest.raises(ValueError, match="outside the warehouse"):
        Warehouse(tmp_path / "w").path(table)


def test_several_tables_are_read_in_the_order_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    warehouse = Warehouse(tmp_path)
    warehouse.write("a", FRAME, "h")
    warehouse.write("b", FRAME.assign(n=[3, 4]), "h")
    warehouse.write("empty", FRAME.iloc[:0], "h")
    assert warehouse.read_all(["b", "empty", "a"])["n"].tolist() == [3, 4, 1, 2]
    assert list(warehouse.read_all(["empty"])) == ["subject", "n"]
    assert warehouse.read_all([]).empty
    monkeypatch.setattr(store, "AT_ONCE", 2)
    assert [block["n"].tolist() for block in warehouse.blocks(["b", "empty", "a"])] == [[3, 4], [1, 2]]
    assert list(warehouse.blocks([])) == []


def test_a_table_whose_description_is_no_json_is_named_among_several(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path)
    warehouse.write("t/a", FRAME, "h")
    strange = pa.Table.from_pandas(FRAME).replace_schema_metadata({b"pandas": b"no JSON"})
    pq.write_table(strange, tmp_path / "t" / "b.parquet")
    with pytest.raises(InputError, match=r"t/b\.parquet: damaged"):
        warehouse.read_all(["t/a", "t/b"])


COLUMNS = st.sampled_from(
    [
        pd.Series([1, 2]),
        pd.Series([1.5, None]),
        pd.Series([None, None], dtype="float64"),
        pd.Series([3, None], dtype="Int32"),
        pd.Series([4, 5], dtype="int32"),
        pd.Series([True, False]),
        pd.Series([True, None], dtype="boolean"),
        pd.Series(["a", "é"]),
        pd.Series(["a", None]),
        pd.Series([None, None], dtype="object"),
        pd.Series([[0.5, 1.0], [2.0]]),
        pd.Series([pd.Timestamp("2026-01-01"), pd.NaT]),
        pd.Series(["a", "b"], dtype="category"),
    ]
)


@settings(max_examples=60, deadline=None)
@given(frames=st.lists(st.tuples(COLUMNS, COLUMNS, st.integers(0, 2)), max_size=4))
def test_several_tables_read_at_once_are_what_pandas_makes_of_each_one(
    frames: list[tuple[pd.Series, pd.Series, int]],
) -> None:
    """Tables of one kind are joined before pandas takes them, and tables of other kinds after."""
    with TemporaryDirectory() as folder:
        warehouse = Warehouse(Path(folder))
        for number, (one, other, rows) in enumerate(frames):
            warehouse.write(f"t/{number}", pd.DataFrame({"one": one, "other": other}).iloc[:rows], "h")
        each = [warehouse.read(f"t/{number}") for number in range(len(frames))]
        filled = [frame for frame in each if len(frame)] or each[:1]
        expected = pd.concat(filled, ignore_index=True) if filled else pd.DataFrame()
        pd.testing.assert_frame_equal(warehouse.read_all([f"t/{number}" for number in range(len(frames))]), expected)


def test_what_a_process_knows_of_a_table_ends_with_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "_TICK", 0.0)  # so that it is kept at once
    warehouse = Warehouse(tmp_path)
    for rows in (2, 3):
        warehouse.write("x", pd.DataFrame({"n": range(rows)}), f"{rows} rows")
        for _ in range(2):
            assert warehouse.inputs("x") == f"{rows} rows"
            assert warehouse.row_count("x") == rows
            assert warehouse.values("x", "n") == list(range(rows))
            warehouse.values("x", "n").clear()  # the caller's own
    damaged = bytearray(warehouse.path("x").read_bytes())
    damaged[10] ^= 1
    warehouse.path("x").write_bytes(damaged)
    assert warehouse.inputs("x") is None
    with pytest.raises(InputError, match="damaged"):
        warehouse.values("x", "n")
