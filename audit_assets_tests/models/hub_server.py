"""A hub on this machine, which the real client of the hub talks to: the listing of a repository, and its files."""

import hashlib
import json
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

COMMIT = "a" * 40
TOKEN = "hf_of_an_account_that_accepted"


@contextmanager
def hub(
    repositories: Mapping[str, Path], *, gated: Collection[str] = (), disabled: Collection[str] = ()
) -> Iterator[tuple[str, list[str]]]:
    """The address of a hub that has these folders as repositories at COMMIT, and the files that it was asked for.

    A gated one gives its files to TOKEN alone. The hub lists the files of a gated repository to everybody.
    """
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            path = unquote(self.path.partition("?")[0]).strip("/")
            parts = path.removeprefix("api/models/").split("/")
            if not ({"tree", "resolve"} & set(parts[2:3])):  # the client also asks for what no repository has
                self.answer(404)
                return
            name, revision, file = "/".join(parts[:2]), parts[3], "/".join(parts[4:])
            token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
            folder = repositories.get(name)
            if token and not token.startswith("hf_"):
                self.answer(401, X_Error_Message="Invalid credentials in Authorization header")
            elif folder is None:
                self.answer(404 if token else 401, X_Error_Code="RepoNotFound")
            elif name in disabled:
                self.answer(403, X_Error_Message="Access to this resource is disabled.")
            elif revision != COMMIT:
                self.answer(404, X_Error_Code="RevisionNotFound")
            elif path.startswith("api/models/"):
                rows = [_row(p, folder) for p in sorted(folder.rglob("*")) if p.is_file()]
                self.answer(200, json.dumps(rows).encode(), Content_Type="application/json")
            elif name in gated and token != TOKEN:
                self.answer(403 if token else 401, X_Error_Code="GatedRepo")
            elif not (folder / file).is_file():
                self.answer(404, X_Error_Code="EntryNotFound")
            else:
                if self.command == "GET":
                    asked.append(file)
                headers = {"ETag": f'"{_oid(folder / file)}"', "X_Repo_Commit": COMMIT}
                self.answer(200, (folder / file).read_bytes(), **headers)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


def _row(file: Path, folder: Path) -> dict[str, object]:
    path = file.relative_to(folder).as_posix()
    return {"type": "file", "path": path, "size": file.stat().st_size, "oid": _oid(file)}


def _oid(file: Path) -> str:
    return hashlib.sha1(file.read_bytes()).hexdigest()
