"""The published database keeps the contract of `schema.sql`, whatever happens while it is written."""

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from audit_assets.errors import InputError
from audit_assets.generation import tables as imitations
from audit_assets.references import works
from audit_assets.roster import controls
from audit_assets.warehouse.database import (
    SCHEMA,
    SCHEMA_VERSION,
    columns,
    publish,
    published_from,
    row_counts,
    schema,
    schema_columns,
    schema_version,
    table_suffix,
)

ENCODERS = {"clip.b-32": 3}
TABLE = "reference_embeddings_clip_b_32"


def subjects(*names: str, kind: str = "artist") -> pd.DataFrame:
    return pd.DataFrame(
        {"name": names, "subject": names, "kind": kind, "shares_name_parts": None, "rosters": [["criteria"]] * len(names),
         "mentions": None, "opted_out": False, "retired": False, "locale": "", "peers": ""}
    )  # fmt: skip


@pytest.mark.parametrize(
    ("table", "written"),
    [("controls", controls.COLUMNS), ("reference_works", works.COLUMNS), ("imitations", imitations.PUBLISHED)],
)
def test_a_stage_that_does_not_load_the_database_writes_the_columns_of_the_schema(
    table: str, written: Sequence[str]
) -> None:
    assert list(written) == columns(table)


def test_tables_and_columns_are_those_of_the_schema_in_its_order_and_types(tmp_path: Path) -> None:
    path = tmp_path / "audit.duckdb"
    publish(path, {"subjects": subjects("a")}, ENCODERS)
    query = "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE NOT internal ORDER BY ALL"
    with duckdb.connect() as contract, duckdb.connect(str(path), read_only=True) as published:
        text = SCHEMA.read_text().replace("<encoder>", "clip_b_32").replace("FLOAT[d]", "FLOAT[3]")
        contract.execute(text)
        assert published.execute(query).fetchall() == contract.execute(query).fetchall()
        assert published.execute("SELECT rosters, mentions FROM subjects").fetchall() == [(["criteria"], None)]
        (kind,) = published.execute("SELECT typeof(kind) FROM subjects").fetchone() or ("",)
    assert "ENUM" in kind or kind == "subject_kind"
    assert set(schema_columns(ENCODERS)) == set(row_counts(path))
    assert "<encoder>" not in schema(ENCODERS)
    assert table_suffix("clip.b-32") == "clip_b_32"
    assert table_suffix("CLIP.b-32") == "_____b_32"  # the contract, to the letter


def test_embeddings_are_stored_bit_for_bit_and_an_empty_table_too(tmp_path: Path) -> None:
    path = tmp_path / "audit.duckdb"
    values = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    values[0] = np.array([1e-45, -0.0, np.finfo(np.float32).max], dtype=np.float32)
    frame = pd.DataFrame({"embedding": list(values), "work": range(5), "subject": "a"})
    publish(path, {TABLE: frame}, ENCODERS)
    with duckdb.connect(str(path), read_only=True) as connection:
        back = connection.execute(f"SELECT embedding FROM {TABLE} ORDER BY work").fetchnumpy()["embedding"]  # noqa: S608
    assert np.array(back.tolist(), np.float32).tobytes() == values.tobytes()
    publish(path, {TABLE: frame.iloc[:0]}, ENCODERS)
    assert row_counts(path)[TABLE] == 0


def test_rows_in_blocks_are_published_as_those_at_once(tmp_path: Path) -> None:
    values = np.random.default_rng(1).normal(size=(7, 3)).astype(np.float32)
    frame = pd.DataFrame({"embedding": list(values), "work": range(7), "subject": "a"})
    stored = []
    for name, rows in (("once", frame), ("blocks", iter([frame[:3], frame[:0], frame[3:]])), ("none", iter([]))):
        publish(tmp_path / name, {TABLE: rows}, ENCODERS)
        with duckdb.connect(str(tmp_path / name), read_only=True) as connection:
            stored.append(connection.execute(f"FROM {TABLE} ORDER BY work").fetchall())
    assert stored[0] == stored[1]
    assert len(stored[0]) == 7
    assert stored[2] == []


def test_a_block_that_cannot_be_read_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "audit.duckdb"
    publish(path, {"subjects": subjects("a")}, ENCODERS)
    frame = pd.DataFrame({"embedding": [np.zeros(3, np.float32)], "work": [0], "subject": "a"})

    def damaged() -> Iterator[pd.DataFrame]:
        yield frame
        raise InputError("x.parquet: damaged")

    with pytest.raises(InputError, match="damaged"):
        publish(path, {"subjects": subjects("b"), TABLE: damaged()}, ENCODERS)
    assert [p.name for p in tmp_path.iterdir()] == ["audit.duckdb"]
    assert row_counts(path)["subjects"] == 1
    assert row_counts(path)[TABLE] == 0


def test_a_table_that_the_schema_does_not_have_is_not_published(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"schema\.sql has no table 'beyond'"):
        publish(tmp_path / "audit.duckdb", {"beyond": subjects("a")}, ENCODERS)
    assert list(tmp_path.iterdir()) == []


def test_an_open_reader_keeps_its_snapshot_while_a_new_file_is_swapped_in(tmp_path: Path) -> None:
    path = tmp_path / "audit.duckdb"
    publish(path, {"subjects": subjects("a")}, ENCODERS)
    with duckdb.connect(str(path), read_only=True) as reader:
        publish(path, {"subjects": subjects("b", "c")}, ENCODERS)
        assert reader.execute("SELECT subject FROM subjects").fetchall() == [("a",)]
    assert row_counts(path)["subjects"] == 2
    assert [p.name for p in tmp_path.iterdir()] == ["audit.duckdb"]


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        (subjects("a").drop(columns="retired"), "the column 'retired' of schema.sql is missing"),
        (subjects("a").assign(extra=1), "schema.sql has no column 'extra'"),
        (subjects("a").assign(**{"x; DROP": 1}), "schema.sql has no column 'x; DROP'"),
        (subjects("a", "a"), "(?i)duplicate|constraint"),
        (subjects("a", kind="sculptor"), "(?i)sculptor"),
    ],
)
def test_a_failure_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path, frame: pd.DataFrame, error: str) -> None:
    path = tmp_path / "audit.duckdb"
    publish(path, {"subjects": subjects("old")}, ENCODERS)
    before = path.read_bytes()
    with pytest.raises((ValueError, duckdb.Error), match=error):
        publish(path, {"subjects": frame}, ENCODERS)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["audit.duckdb"]


_WITH_LITTLE_ROOM = """
import resource, signal, sys
from pathlib import Path
from audit_assets.errors import InputError
from audit_assets.warehouse.database import publish
from audit_assets_tests.warehouse.test_database import ENCODERS, subjects
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write beyond the limit fails then, as on a full disk
path, many = Path(sys.argv[1]), subjects(*(f"name {n} {'x' * 40}" for n in range(4000)))
for kilobytes in map(int, sys.argv[2:]):
    resource.setrlimit(resource.RLIMIT_FSIZE, (kilobytes * 1024, resource.RLIM_INFINITY))
    try:
        publish(path, {"subjects": many}, ENCODERS)
        print(kilobytes, "written")
    except InputError as error:
        print(kilobytes, error)
"""


def test_a_database_that_finds_no_room_is_named_and_the_old_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "audit.duckdb"
    publish(path, {"subjects": subjects("old")}, ENCODERS)
    before = path.read_bytes()
    rooms = [str(room) for room in (0, 8, 40, 300)]
    done = subprocess.run(
        [sys.executable, "-c", _WITH_LITTLE_ROOM, str(path), *rooms], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert len(said) == len(rooms)
    for line in said:
        assert f"{path}: cannot be written (" in line
        assert "check the folder's rights and free space" in line
    assert len({re.sub(r"[0-9a-f]{32}|[0-9]+", "", line) for line in said}) > 1  # it fails at more than one step
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["audit.duckdb"]


def test_a_folder_with_quotes_in_its_name_is_only_a_folder(tmp_path: Path) -> None:
    path = tmp_path / "o'brien'; DROP" / "audit.duckdb"
    publish(path, {"subjects": subjects("a")}, ENCODERS)
    assert row_counts(path)["subjects"] == 1


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"audit\.duckdb: cannot be written"):
        publish(tmp_path / "file" / "audit.duckdb", {}, ENCODERS)
    (tmp_path / "taken" / "below").mkdir(parents=True)
    with pytest.raises(InputError, match="taken: cannot be written"):
        publish(tmp_path / "taken", {}, ENCODERS)


def test_the_hash_it_was_made_from_is_read_back_or_is_none(tmp_path: Path) -> None:
    path = tmp_path / "audit.duckdb"
    assert published_from(path) is None
    assert schema_version(path) is None
    path.write_bytes(b"not a database")
    assert published_from(path) is None
    publish(
        path, {"published_from": pd.DataFrame({"inputs_sha256": ["abc"], "schema_version": [SCHEMA_VERSION]})}, ENCODERS
    )
    assert published_from(path) == "abc"
    assert schema_version(path) == SCHEMA_VERSION


def test_the_storage_version_is_one_that_older_clients_read(tmp_path: Path) -> None:
    path = tmp_path / "audit.duckdb"
    publish(path, {}, ENCODERS)
    header = path.read_bytes()[:20]
    assert header[8:12] == b"DUCK"
    assert int.from_bytes(header[12:20], "little") <= 65  # 64: up to 1.1; 65: 1.2
