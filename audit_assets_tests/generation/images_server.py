"""A server of an images API on loopback. It answers from a function, and counts what it was asked."""

import base64
import email
import io
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from PIL import Image

from audit_assets.generation.seeds import image_seed

KEY = "sk-never-to-be-kept-0123456789"
Body = dict[str, Any]


def png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def pattern(text: str, size: int = 32) -> Image.Image:
    """A picture that depends on a text."""
    seed = image_seed(text, "", 0)
    return Image.effect_noise((size, size), 40 + seed % 40).convert("RGB")


def made(image: Image.Image, **more: Any) -> Body:
    encoded = base64.b64encode(png(image)).decode()
    return {"created": 1_790_000_000, "model": "tiny-2026-10", "data": [{"b64_json": encoded, **more}]}


def error(code: str | None, message: str, **more: Any) -> Body:
    return {"error": {"code": code, "message": message, "type": "invalid_request_error", **more}}


class Reply:
    """A status, headers, and a body: JSON, bytes, or a function that writes to the socket."""

    def __init__(self, body: Any, status: int = 200, **headers: str) -> None:
        self.body, self.status = body, status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class ImagesServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, answer: Callable[[Body, int], Any]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer
        self.asked: list[Body] = []
        self.authorized: list[str | None] = []
        self.headers: list[dict[str, str]] = []
        self.files: dict[str, Reply] = {}
        self.fetched: list[str] = []
        self.lock = threading.Lock()
        self.at_once = self.most_at_once = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class _Handler(BaseHTTPRequestHandler):
    server: ImagesServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.read_body()
        own = self.server
        with own.lock:
            own.asked.append(body)
            own.authorized.append(self.headers.get("Authorization"))
            own.headers.append(dict(self.headers))
            number = len(own.asked) - 1
            own.at_once += 1
            own.most_at_once = max(own.most_at_once, own.at_once)
        try:
            found = own.answer(body, number)
            self.reply(found if isinstance(found, Reply) else Reply(found))
        finally:
            with own.lock:
                own.at_once -= 1

    def read_body(self) -> Body:
        """JSON, or of /images/edits the fields of a form, with the bytes of its file."""
        content = self.rfile.read(int(self.headers["Content-Length"]))
        kind = self.headers["Content-Type"]
        if not kind.startswith("multipart/form-data"):
            return {} if self.path.split("?")[0].endswith("/edits") else json.loads(content)
        message = email.message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + content)
        found: Body = {"path": self.path}
        for part in message.walk():
            if not part.is_multipart():
                value = bytes(part.get_payload(decode=True))
                name = str(part.get_param("name", header="content-disposition"))
                found[name] = value if part.get_filename() else value.decode()
        return found

    def do_GET(self) -> None:
        self.server.fetched.append(self.path)
        self.server.authorized.append(self.headers.get("Authorization"))
        self.reply(self.server.files.get(self.path, Reply({}, 404)))

    def reply(self, reply: Reply) -> None:
        try:
            if callable(reply.body):
                reply.body(self)
                return
            content = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            self.send_response(reply.status)
            for name, value in {"Content-Type": "application/json", **reply.headers}.items():
                self.send_header(name, value)
            if "Content-Length" not in reply.headers:
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def serving(answer: Callable[[Body, int], Any]) -> Iterator[ImagesServer]:
    with ImagesServer(answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
