"""Captions in S3 and on the hub, read where they are: each store's own protocol, served on loopback."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from audit_assets.errors import InputError
from audit_assets.roster.captions import caption_batches, caption_shards, declared
from audit_assets.roster.scan import scan


def shard_bytes(caption: str, rows: int = 1000) -> bytes:
    sink = pa.BufferOutputStream()
    table = pa.table({"URL": ["u"] * rows, "TEXT": [caption, *["nobody"] * (rows - 1)], "punsafe": [0.5] * rows})
    pq.write_table(table, sink, row_group_size=200)
    return sink.getvalue().to_pybytes()


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator:
    """An S3 server, and a client of it with the bucket `laion`."""
    boto3 = pytest.importorskip("boto3")
    server_module = pytest.importorskip("moto.server")
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    try:
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="laion")
        yield client
    finally:
        server.stop()


def test_captions_in_s3_are_scanned_in_place_and_a_new_file_is_a_new_shard(bucket, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    bucket.put_object(Bucket="laion", Key="captions/part-0.parquet", Body=shard_bytes("by Ada"))
    bucket.put_object(Bucket="laion", Key="captions/more/part-1.csv", Body=b"url,caption\nu,by Ada\n")
    bucket.put_object(Bucket="laion", Key="captions/readme.md", Body=b"x")
    (first,) = caption_shards("s3://laion/captions/*.parquet", tmp_path)
    assert first.key == "part-0.parquet"
    assert scan(caption_batches(first), {"ada": ["Ada"]}).mentions == {"ada": 1}
    assert (declared(first).rows, declared(first).scores) == (1000, {"punsafe": (0.5, 0.5)})
    (other,) = caption_shards("s3://laion/captions/**/*.csv", tmp_path)
    assert scan(caption_batches(other), {"ada": ["Ada"]}).mentions == {"ada": 1}

    before = first.stamp()
    assert caption_shards("s3://laion/captions/*.parquet", tmp_path)[0].stamp() == before
    bucket.put_object(Bucket="laion", Key="captions/part-0.parquet", Body=shard_bytes("by Ada", 1001))
    bucket.put_object(Bucket="laion", Key="captions/part-2.parquet", Body=shard_bytes("by Bea"))
    shards = caption_shards("s3://laion/captions/*.parquet", tmp_path)
    assert [shard.key for shard in shards] == ["part-0.parquet", "part-2.parquet"]
    assert shards[0].stamp() != before
    assert shards[0].fingerprint() == shards[0].stamp()


def test_what_is_wrong_with_a_bucket_is_said(bucket, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=r"s3://nobody/\*.parquet' (could not be listed|matches no file)"):
        caption_shards("s3://nobody/*.parquet", tmp_path)
    with pytest.raises(InputError, match="matches no file"):
        caption_shards("s3://laion/*.parquet", tmp_path)
    bucket.put_object(Bucket="laion", Key="a.parquet", Body=shard_bytes("by Ada")[:-100])
    (shard,) = caption_shards("s3://laion/a.parquet", tmp_path)
    with pytest.raises(InputError, match=r"laion/a\.parquet: not readable as parquet"):
        declared(shard)
    bucket.delete_object(Bucket="laion", Key="a.parquet")
    with pytest.raises(InputError, match=r"laion/a\.parquet"):
        list(caption_batches(shard))


class Hub(BaseHTTPRequestHandler):
    """As much of the hub as a listing and a read need: the data set laion/captions with one file."""

    data: bytes

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if "/resolve/" in path:
            self._send(self.data, ETag='"x"')
        elif path.endswith("/tree/main"):
            self._send(json.dumps([{"type": "directory", "path": "data", "oid": "d", "size": 0}]).encode())
        elif "/tree/main/" in path:
            oid = hashlib.sha1(self.data).hexdigest()
            entry = {"type": "file", "path": "data/part-0.parquet", "size": len(self.data), "oid": oid}
            self._send(json.dumps([entry]).encode())
        else:
            self._send(json.dumps({"id": "laion/captions", "sha": "a" * 40, "siblings": []}).encode())

    do_HEAD = do_GET

    def _send(self, body: bytes, **headers: str) -> None:
        self.send_response(200)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


READ_FROM_HUB = """
from pathlib import Path
from audit_assets.roster.captions import caption_batches, caption_shards
(shard,) = caption_shards("hf://datasets/laion/captions/data/*.parquet", Path("."))
print(shard.key, sum(batch.num_rows for batch in caption_batches(shard)), len(shard.stamp()))
"""


def test_captions_on_the_hub_are_read_in_place(tmp_path: Path) -> None:
    """In a process of its own, since the client takes the hub's address when it is imported."""
    Hub.data = shard_bytes("by Ada")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    hub = {
        "HF_ENDPOINT": f"http://127.0.0.1:{server.server_address[1]}",
        "HF_HUB_OFFLINE": "0",
        "HF_HOME": str(tmp_path),
    }
    try:
        shown = subprocess.run(
            [sys.executable, "-c", READ_FROM_HUB], env={**os.environ, **hub}, capture_output=True, text=True, check=True
        )
    finally:
        server.shutdown()
    assert shown.stdout.split() == ["part-0.parquet", "1000", "64"]


def test_an_offline_machine_says_that_it_is_offline(tmp_path: Path) -> None:
    shown = subprocess.run(
        [sys.executable, "-c", READ_FROM_HUB], env={**os.environ, "HF_HUB_OFFLINE": "1"}, capture_output=True, text=True
    )
    assert "InputError: captions.path: 'hf://datasets/laion" in shown.stderr
    assert "HF_HUB_OFFLINE" in shown.stderr
