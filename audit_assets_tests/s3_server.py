"""An S3 server on loopback, and a gate in front of it where uploads can be held, slowed or refused."""

import http.client
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
from moto.server import ThreadedMotoServer

KEYS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@contextmanager
def s3_server(bucket: str) -> Iterator[tuple[dict[str, str], Any]]:
    """The environment of a client of a server with one empty bucket, and boto's client of it."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        environment = {**KEYS, "AWS_ENDPOINT_URL": f"http://{host}:{port}"}
        client = boto3.client(
            "s3",
            endpoint_url=environment["AWS_ENDPOINT_URL"],
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        client.create_bucket(Bucket=bucket)
        for left in keys(client, bucket):  # all servers of a process share what they hold
            client.delete_object(Bucket=bucket, Key=left)
        yield environment, client
    finally:
        server.stop()


def objects(client: Any, bucket: str) -> dict[str, bytes]:
    """Every object of a bucket and its bytes."""
    return {key: client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys(client, bucket)}


def keys(client: Any, bucket: str, prefix: str = "") -> list[str]:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return [found["Key"] for page in pages for found in page.get("Contents", [])]


class Gate(ThreadingHTTPServer):
    """Passes requests on to a server. `hold` takes so many bytes of a request's body and then waits until it is opened;
    `refuse` answers with that status and code of S3."""

    daemon_threads = True

    def __init__(self, behind: str) -> None:
        super().__init__(("127.0.0.1", 0), _Passing)
        # What is not read yet stays with the client: a killed one takes it along.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        self.behind = behind.removeprefix("http://")
        self.hold: int | None = None
        self.skip = 0
        """Uploads to let through before one is held."""
        self.refuse: tuple[int, str] | None = None
        self.held, self.opened = threading.Event(), threading.Event()
        self.uploaded: list[str] = []
        """Bucket and key of every object whose upload was answered well."""
        self.asked: list[str] = []
        """Method and address of every request that was passed on."""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def gate(behind: Mapping[str, str]) -> Iterator[tuple[dict[str, str], Gate]]:
    """A gate in front of the server of an environment, and the environment of a client that goes through it."""
    server = Gate(behind["AWS_ENDPOINT_URL"])
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield {**behind, "AWS_ENDPOINT_URL": server.address}, server
    finally:
        server.opened.set()
        server.shutdown()
        server.server_close()


class _Passing(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Gate

    def _pass(self) -> None:
        gate = self.server
        if gate.refuse:
            status, code = gate.refuse
            self._answer(status, {}, f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode())
            return
        gate.asked.append(f"{self.command} {self.path}")
        length = int(self.headers.get("Content-Length") or 0)
        if self.headers.get("Expect") == "100-continue":
            self.send_response_only(100)
            self.end_headers()
        behind = http.client.HTTPConnection(gate.behind)
        behind.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name != "Expect":
                behind.putheader(name, value)
        behind.endheaders()
        if not self._send_body(behind, length):
            behind.close()  # the client is gone, and so is its request
            self.close_connection = True
            return
        found = behind.getresponse()
        if self.command == "PUT" and found.status == 200:
            gate.uploaded.append(self.path.partition("?")[0].lstrip("/"))
        self._answer(found.status, dict(found.getheaders()), found.read())

    def _send_body(self, behind: http.client.HTTPConnection, left: int) -> bool:
        gate, sent = self.server, 0
        upload = self.command == "PUT" and left > 0
        holding = gate.hold is not None and upload and gate.skip <= 0
        gate.skip -= upload
        while left:
            block = self.rfile.read(min(left, 1 << 14))
            if not block:
                return False
            behind.send(block)
            left, sent = left - len(block), sent + len(block)
            if holding and sent >= (gate.hold or 0):
                gate.held.set()
                gate.opened.wait()
                holding = False
        return True

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        length = headers.get("Content-Length", str(len(body))) if self.command == "HEAD" else str(len(body))
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass

    def log_message(self, format: str, *args: object) -> None:
        pass
