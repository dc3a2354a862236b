"""A warehouse in S3 keeps what a folder keeps, against a server of that protocol on loopback."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from audit_assets.errors import InputError
from audit_assets.evidence.again import _Aside
from audit_assets.publication.queries import database as read
from audit_assets.warehouse import large_tables, places
from audit_assets.warehouse.contract import reading
from audit_assets.warehouse.database import SCHEMA_VERSION, files_beside, publish, published_from, row_counts
from audit_assets.warehouse.images import ImageStore
from audit_assets.warehouse.places import check, local_copy, lock_folder, place, whole_files
from audit_assets.warehouse.store import Warehouse
from audit_assets_tests import s3_server
from audit_assets_tests.s3_server import gate

FRAME = pd.DataFrame({"subject": ["a", "b"], "embedding": [np.arange(3, dtype=np.float32)] * 2})
BUCKET = "audits"


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[dict[str, str], Any]]:
    with s3_server.s3_server(BUCKET) as found:
        yield found


@pytest.fixture
def root(
    server: tuple[dict[str, str], Any], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, tmp_path: Path
) -> Path:
    """A prefix of the test's own."""
    for name, value in server[0].items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return place(f"s3://{BUCKET}/{request.node.name.replace('[', '-').rstrip(']')}/", Path())


@pytest.fixture
def client(server: tuple[dict[str, str], Any]) -> Any:
    return server[1]


def keys(client: Any, root: Path) -> list[str]:
    prefix = str(root).removeprefix(f"s3://{BUCKET}/") + "/"
    return [key.removeprefix(prefix) for key in s3_server.keys(client, BUCKET, prefix)]


def test_a_table_in_s3_has_the_bytes_that_it_has_in_a_folder(root: Path, client: Any, tmp_path: Path) -> None:
    there, here = Warehouse(root), Warehouse(tmp_path)
    for warehouse in (there, here):
        assert warehouse.inputs("x/y") is None
        warehouse.write("x/y", FRAME, "one")
        warehouse.write("x/z", FRAME.iloc[:1], "two")
    assert there.path("x/y").read_bytes() == here.path("x/y").read_bytes()
    assert there.all_inputs(["x/z", "x/y", "x/none"]) == ["two", "one", None]
    assert there.row_count("x/y") == 2
    pd.testing.assert_frame_equal(there.read_all(["x/y", "x/z"]), here.read_all(["x/y", "x/z"]))
    assert sorted(keys(client, root)) == ["x/y.parquet", "x/z.parquet"]
    assert sorted(p.stem for p in (root / "x").glob("*.parquet")) == ["y", "z"]
    assert list((root / "none").glob("*.parquet")) == []


def test_embeddings_beside_a_database_in_s3_are_read_from_copies(root: Path, client: Any) -> None:
    table, version = (
        "reference_embeddings_e",
        pd.DataFrame({"inputs_sha256": ["x"], "schema_version": [SCHEMA_VERSION]}),
    )
    for works in (1, 2, 3):
        rows = pd.concat([FRAME.assign(work=work) for work in range(works)])
        publish(root / "audit.duckdb", {table: rows, "published_from": version}, {"e": 3}, large=True)
        names = list(files_beside(root / "audit.duckdb").values())
        assert large_tables.altered(root / large_tables.FOLDER, names, anew=True) == []
        assert row_counts(root / "audit.duckdb")[table] == 2 * works
        with reading(root / "audit.duckdb", embeddings=True) as connection:
            query = f"SELECT count(*) FROM {table} WHERE embedding[3] = 2"  # noqa: S608
            assert connection.execute(query).fetchall() == [(2 * works,)]
    kept = [key for key in keys(client, root) if key.startswith(large_tables.FOLDER)]
    assert len(kept) == 2, "those of this publication and of the one before"
    assert f"{large_tables.FOLDER}/{names[0]}" in kept
    (root / large_tables.FOLDER / names[0]).unlink()
    assert "is missing" in large_tables.altered(root / large_tables.FOLDER, names)[0]
    with pytest.raises(InputError, match=f"{names[0]}: is missing"), reading(root / "audit.duckdb", embeddings=True):
        pass


def test_tables_that_are_made_aside_are_asked_about_beside_those_in_the_store(root: Path, tmp_path: Path) -> None:
    kept = Warehouse(root)
    for name in ("x/0", "x/1"):
        kept.write(name, FRAME, f"{name} as it was")
    aside = _Aside(root, tmp_path, lambda table: table == "x/0")
    aside.write("x/0", FRAME.iloc[:1], "x/0 again")
    assert aside.all_inputs(["x/0", "x/1", "x/2"]) == ["x/0 again", "x/1 as it was", None]
    assert aside.all_row_counts(["x/0", "x/1"]) == [1, 2]
    assert kept.all_inputs(["x/0", "x/1"]) == ["x/0 as it was", "x/1 as it was"]


def test_unchanged_objects_are_read_once_and_changed_ones_again(
    root: Path, server: tuple[dict[str, str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"x/{n}" for n in range(30)]
    with gate(server[0]) as (through, asked):
        monkeypatch.setenv("AWS_ENDPOINT_URL", through["AWS_ENDPOINT_URL"])
        warehouse = Warehouse(place(str(root), Path()))
        for n, name in enumerate(names):
            warehouse.write(name, FRAME, f"made from {n}")
        wanted: list[str | None] = [f"made from {n}" for n in range(30)]
        assert warehouse.all_inputs(names) == wanted
        before = warehouse.all_sha256(names)
        assert warehouse.all_row_counts(names) == [2] * 30

        asked.asked.clear()
        assert warehouse.all_inputs([*names, "x/none", "y/none"]) == [*wanted, None, None]
        assert warehouse.all_sha256(names) == before
        assert warehouse.all_row_counts(names) == [2] * 30
        assert all(one.startswith("GET") and "list-type=2" in one for one in asked.asked), asked.asked
        assert len(asked.asked) <= 5  # a prefix without objects is looked for in its parent's list too

        other = Warehouse(place(str(root), Path()))  # as another process would, and back again
        for content, count in ((FRAME.iloc[:1], 1), (FRAME, 2)):
            other.write(names[3], content, f"of {count}")
            other.path(names[4]).unlink(missing_ok=True)
            assert warehouse.all_inputs(names[2:6]) == ["made from 2", f"of {count}", None, "made from 5"]
            assert warehouse.all_row_counts(names[2:6]) == [2, count, None, 2]
            assert warehouse.all_sha256(names[2:6])[1] != before[3]
        other.path(names[5]).write_bytes(b"PAR1")
        assert warehouse.all_inputs(names[5:7]) == [None, "made from 6"]


def test_records_below_a_prefix_are_found_at_any_depth(root: Path) -> None:
    for name in ("left_out/a.parquet", "left_out/b/c/d.parquet", "left_out/b/note.txt", "left_out_not/e.parquet"):
        (root / name).write_bytes(b"x")
    found = sorted(p.relative_to(root).as_posix() for p in (root / "left_out").rglob("*.parquet"))
    assert found == ["left_out/a.parquet", "left_out/b/c/d.parquet"]
    assert list((root / "none").rglob("*.parquet")) == []


def test_a_footer_longer_than_one_read_is_read(root: Path) -> None:
    warehouse = Warehouse(root)
    warehouse.write("wide", pd.DataFrame({f"column_{n}": [n] for n in range(2000)}), "h")
    assert warehouse.inputs("wide") == "h"
    assert warehouse.row_count("wide") == 1


def test_what_is_missing_or_damaged_in_s3_is_named(root: Path) -> None:
    warehouse = Warehouse(root)
    with pytest.raises(InputError, match=r"s3://audits/.*/t\.parquet: not made yet"):
        warehouse.read("imitations/t")
    warehouse.write("t", FRAME, "h")
    path = warehouse.path("t")
    whole = path.read_bytes()
    for content in (b"", b"PAR1", whole[: len(whole) // 2], whole[:-1]):
        path.write_bytes(content)
        assert warehouse.inputs("t") is None
        with pytest.raises(InputError, match=r"s3://audits/.*/t\.parquet: damaged"):
            warehouse.read("t")
    with pytest.raises(ValueError, match="outside the warehouse"):
        warehouse.path("../x")
    path.unlink()
    assert not path.exists()


def test_images_in_s3_are_named_by_their_hash_and_put_once(root: Path, client: Any) -> None:
    store = ImageStore(root / "images")
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (8, 8, 3), np.uint8))
    sha256 = store.put(image)
    written = client.head_object(Bucket=BUCKET, Key=str(store.path(sha256)).removeprefix(f"s3://{BUCKET}/"))
    assert store.put(image) == sha256
    assert store.has([sha256])
    assert not store.has([sha256, "0" * 64])
    assert np.array_equal(np.asarray(store.get(sha256)), np.asarray(image))
    again = client.head_object(Bucket=BUCKET, Key=str(store.path(sha256)).removeprefix(f"s3://{BUCKET}/"))
    assert again["LastModified"] == written["LastModified"]
    store.path(sha256).write_bytes(b"x")
    with pytest.raises(InputError, match="was altered"):
        store.get(sha256)
    with pytest.raises(InputError, match="is missing"):
        store.get("0" * 64)


def made_from(inputs: str) -> dict[str, pd.DataFrame]:
    return {"published_from": pd.DataFrame({"inputs_sha256": [inputs], "schema_version": [SCHEMA_VERSION]})}


@pytest.mark.long
def test_the_database_is_uploaded_whole_and_a_reader_keeps_its_snapshot(root: Path, client: Any) -> None:
    path = root / "audit.duckdb"
    assert published_from(path) is None
    publish(path, made_from("one"), {"clip": 3})
    assert published_from(path) == "one"
    with read.opened(path) as reader:
        publish(path, made_from("two"), {"clip": 3})
        assert reader.execute("SELECT inputs_sha256 FROM published_from").fetchall() == [("one",)]
    assert published_from(path) == "two"
    assert row_counts(path)["published_from"] == 1
    assert local_copy(path) == local_copy(path)  # not fetched again
    for n in range(3):
        publish(path, made_from(str(n)), {"clip": 3})
        assert published_from(path) == str(n)
    assert len(list(local_copy(path).parent.iterdir())) <= 3
    with pytest.raises((ValueError, duckdb.Error)):
        publish(path, {"subjects": pd.DataFrame({"name": ["a"]})}, {"clip": 3})
    assert published_from(path) == "2"
    assert keys(client, root) == ["audit.duckdb"]
    with pytest.raises(InputError, match="no published database"), read.opened(root / "none.duckdb"):
        pass


def test_a_report_s_files_are_uploaded_when_all_are_written(root: Path, client: Any) -> None:
    def failing() -> None:
        with whole_files(root / "reports" / "m") as folder:
            (folder / "report.html").write_text("<p>")
            raise RuntimeError("no figure")

    with pytest.raises(RuntimeError, match="no figure"):
        failing()
    assert keys(client, root) == []
    with whole_files(root / "reports" / "m") as folder:
        (folder / "report.html").write_text("<p>")
        (folder / "a.png").write_bytes(b"p")
    assert keys(client, root) == ["reports/m/a.png", "reports/m/report.html"]
    assert sorted(p.name for p in (root / "reports" / "m").iterdir()) == ["a.png", "report.html"]


def test_locks_of_a_warehouse_in_s3_are_on_this_machine(root: Path, tmp_path: Path) -> None:
    assert lock_folder(root).is_relative_to(tmp_path)
    assert lock_folder(root) != lock_folder(root / "other")
    assert lock_folder(tmp_path / "w") == tmp_path / "w" / ".locks"


# ---- a worker that is killed
WRITE = """
import sys
from pathlib import Path
import numpy as np, pandas as pd
from audit_assets.warehouse.places import place
from audit_assets.warehouse.store import Warehouse
frame = pd.DataFrame({"n": np.random.default_rng(int(sys.argv[3])).integers(0, 1 << 62, int(sys.argv[2]) // 8)})
Warehouse(place(sys.argv[1], Path())).write("t", frame, sys.argv[3])
"""


def killed_in_mid_upload(root: Path, environment: dict[str, str], size: int, skip: int = 0) -> None:
    """Another process writes a table of so many bytes, and is killed when the server has half a megabyte of one request."""
    with gate(environment) as (through, server):
        server.hold, server.skip = 500_000, skip
        process = subprocess.Popen(
            [sys.executable, "-c", WRITE, str(root), str(size), "2"], env={**os.environ, **through}
        )
        assert server.held.wait(60)
        assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
        server.opened.set()
        time.sleep(0.5)  # for the server to see that the client is gone


@pytest.mark.long
def test_a_worker_killed_in_mid_upload_leaves_nothing_half(
    root: Path, server: tuple[dict[str, str], Any], client: Any
) -> None:
    environment, warehouse = server[0], Warehouse(root)
    killed_in_mid_upload(root, environment, 16_000_000)
    assert keys(client, root) == []
    warehouse.write("t", FRAME, "old")
    before = warehouse.path("t").read_bytes()
    killed_in_mid_upload(root, environment, 16_000_000)
    assert keys(client, root) == ["t.parquet"]
    assert warehouse.path("t").read_bytes() == before
    arguments = [sys.executable, "-c", WRITE, str(root), "16000000", "2"]
    subprocess.run(arguments, env={**os.environ, **environment}, check=True)
    assert warehouse.inputs("t") == "2"
    assert len(warehouse.read("t")) == 2_000_000


@pytest.mark.long
def test_a_worker_killed_between_the_parts_of_a_large_upload_leaves_nothing_half(
    root: Path, server: tuple[dict[str, str], Any], client: Any
) -> None:
    environment, warehouse = server[0], Warehouse(root)
    warehouse.write("t", FRAME, "old")
    killed_in_mid_upload(root, environment, 160_000_000, skip=1)
    assert client.list_multipart_uploads(Bucket=BUCKET)["Uploads"]  # for the bucket's lifecycle rule to remove
    assert keys(client, root) == ["t.parquet"]
    assert warehouse.inputs("t") == "old"
    arguments = [sys.executable, "-c", WRITE, str(root), "160000000", "3"]
    subprocess.run(arguments, env={**os.environ, **environment}, check=True)
    assert warehouse.row_count("t") == 20_000_000


def test_the_lifecycle_rule_of_the_page_is_one_that_a_bucket_takes(client: Any) -> None:
    page = (Path(__file__).parents[2] / "docs" / "deployment.md").read_text(encoding="utf-8")
    (command,) = (line for line in page.splitlines() if line.startswith("aws s3api put-bucket-lifecycle-configuration"))
    rules = json.loads(shlex.split(command)[-1])
    client.put_bucket_lifecycle_configuration(Bucket=BUCKET, LifecycleConfiguration=rules)
    (rule,) = client.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]
    assert rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 2}


# ---- what is wrong with a bucket
def test_a_bucket_that_is_not_there_is_named(root: Path) -> None:
    nowhere = place("s3://no-such-bucket/prefix", Path())
    with pytest.raises(InputError, match=r"s3://no-such-bucket/prefix: there is no such bucket; make it"):
        check(nowhere)
    with pytest.raises(InputError, match=r"s3://no-such-bucket/prefix/t\.parquet: there is no such bucket"):
        Warehouse(nowhere).write("t", FRAME, "h")
    check(root)


def test_a_key_without_rights_is_told_which_it_needs(
    root: Path, server: tuple[dict[str, str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse = Warehouse(root)
    warehouse.write("t", FRAME, "h")
    with gate(server[0]) as (through, refusing):
        monkeypatch.setenv("AWS_ENDPOINT_URL", through["AWS_ENDPOINT_URL"])
        fresh = Warehouse(place(str(root), Path()))
        assert fresh.inputs("t") == "h"
        refusing.refuse = (403, "AccessDenied")
        for ask in (
            lambda: check(fresh.root),
            lambda: fresh.inputs("t"),  # no answer is not "there is none"
            lambda: fresh.read("t"),
            lambda: fresh.write("t", FRAME, "h"),
            lambda: fresh.path("t").exists(),
        ):
            with pytest.raises(InputError, match=r"s3://audits/.*: access denied .* needs s3:ListBucket, s3:GetObject"):
                ask()


def test_without_the_extra_it_is_named(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['s3fs'] = None; from pathlib import Path;"
        "from audit_assets.warehouse.places import check, place; check(place('s3://audits/x', Path()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "InputError: s3://audits/x: needs `pip install 'audit_assets[s3]'`" in done.stderr


def test_an_endpoint_that_is_gone_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setitem(places.SETTINGS, "config_kwargs", {"retries": {"max_attempts": 0}})
    fresh = Warehouse(place(str(root), Path()))
    with pytest.raises(InputError, match=r"could not be reached .*AWS_ENDPOINT_URL \(http://127\.0\.0\.1:9\)"):
        fresh.inputs("t")
