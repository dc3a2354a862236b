"""A web page that somebody has open cannot drive the UI on the same machine."""

import json
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect
from typer.testing import CliRunner

from audit_assets.browse.server import application
from audit_assets.cli import app
from audit_assets.errors import InputError
from audit_assets.runs.guard import refusal
from audit_assets.runs.ui import address_of, check_port
from audit_assets_tests.browser import page, served, serving
from audit_assets_tests.processes import free_port

OWN = {"host": "127.0.0.1:3000"}
JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("kind", "method", "headers", "query"),
    [
        ("http", "POST", {"origin": "http://127.0.0.1:3000", "sec-fetch-site": "same-origin"}, b""),
        ("http", "POST", JSON, b""),  # a program
        ("http", "GET", {"sec-fetch-site": "none", "sec-fetch-dest": "document"}, b""),
        ("http", "GET", {"sec-fetch-site": "cross-site", "sec-fetch-dest": "document"}, b"asset=x"),  # a link to the UI
        ("http", "GET", {"sec-fetch-site": "same-origin", "sec-fetch-dest": "script"}, b""),
        ("websocket", "GET", {"origin": "http://127.0.0.1:3000"}, b""),
    ],
)
def test_the_uis_own_pages_links_and_programs_are_let_through(
    kind: str, method: str, headers: dict[str, str], query: bytes
) -> None:
    assert refusal(kind, method, {**OWN, **headers}, query) is None


@pytest.mark.parametrize(
    ("kind", "method", "headers", "query"),
    [
        ("http", "POST", {"origin": "http://evil.example"}, b""),
        ("http", "POST", {"origin": "null"}, b""),
        ("http", "POST", {"origin": "https://127.0.0.1:3000"}, b""),
        ("http", "POST", {"origin": "http://127.0.0.1:3001"}, b""),
        ("http", "POST", {"origin": "http://127.0.0.1:3000.evil.example"}, b""),
        ("http", "POST", {"sec-fetch-site": "cross-site", "sec-fetch-dest": "document"}, b""),  # a form
        ("http", "GET", {"sec-fetch-site": "cross-site", "sec-fetch-dest": "image"}, b""),
        ("http", "GET", {"sec-fetch-site": "same-site", "sec-fetch-dest": "iframe"}, b""),
        ("http", "GET", {}, b"query=mutation%7Bx%7D"),  # an image of a browser that says nothing of itself
        ("http", "GET", {"sec-fetch-site": "none", "sec-fetch-dest": "document"}, b"a=1&query=%7Bversion%7D"),
        ("http", "HEAD", {}, b"query=x"),
        ("websocket", "GET", {"origin": "http://evil.example"}, b""),
        ("websocket", "GET", {"sec-fetch-site": "cross-site"}, b""),
    ],
)
def test_what_a_page_of_another_site_can_send_is_refused(
    kind: str, method: str, headers: dict[str, str], query: bytes
) -> None:
    assert refusal(kind, method, {**OWN, **headers}, query) is not None


def test_the_image_browser_refuses_what_a_page_of_another_site_can_send(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARIMO_SKIP_UPDATE_CHECK", "1")  # the browser sets it, and it is taken back here
    monkeypatch.setattr("audit_assets.browse.view.picture", lambda sha256: None)
    client = TestClient(application(), base_url="http://127.0.0.1:3002")
    own = client.get("/image/x", headers={"origin": "http://127.0.0.1:3002"})
    assert (own.status_code, own.text) == (404, "no such image")
    foreign = {"origin": "http://foreign.example"}
    for path in ("/", "/image/x"):
        assert client.get(path, headers={"host": "foreign.example"}).status_code == 400
        assert client.get(path, headers=foreign).status_code == 403
    with (
        pytest.raises(WebSocketDisconnect) as closed,
        client.websocket_connect("ws://127.0.0.1:3002/ws", headers=foreign),
    ):
        pass
    assert closed.value.reason == "this UI takes no requests from pages of another origin"


def test_a_port_that_is_taken_is_named_and_nothing_is_started(
    small_audit: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audit_assets.runs.ui._started", lambda *_: pytest.fail("a process was started"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = CliRunner().invoke(app, ["dev", "--config", str(small_audit(tmp_path)), "--port", str(port)])
    assert done.exit_code == 2
    assert f"--port {port}: cannot be listened on" in done.output
    with pytest.raises(InputError, match="--port 70000"):
        check_port(70_000)


@pytest.mark.parametrize("host", ["0.0.0.0", "::1", "audits.example", ""])
def test_a_host_that_the_guard_could_not_know_is_refused(host: str) -> None:
    with pytest.raises(InputError, match="--host"):
        address_of(host)


@pytest.mark.long
def test_the_ui_answers_to_the_address_that_it_was_given_and_to_no_other_name(copied: Path, tmp_path: Path) -> None:
    with serving(copied, tmp_path / "ui.log", host="127.0.0.2") as (_, address):
        assert address.startswith("http://127.0.0.2:")
        request = urllib.request.Request(f"{address}/server_info", headers={"Host": "audits.example"})
        with pytest.raises(urllib.error.HTTPError, match="400"):
            urllib.request.urlopen(request, timeout=10)


# The location has the name of the folder of `copied`.
ADD = (
    'mutation { addDynamicPartition(partitionKey: "hostile", partitionsDefName: "subject", repositorySelector: '
    '{repositoryName: "__repository__", repositoryLocationName: "audit"}) { __typename } }'
)
WIPE = 'mutation { wipeAssets(assetPartitionRanges: [{assetKey: {path: ["imitations"]}}]) { __typename } }'
ATTACK = """<!DOCTYPE html><body><script>
const ui = {ui}, queries = {queries};
const tried = [];
function attempt(work) {{ tried.push(Promise.race([Promise.resolve().then(work).catch(() => null),
                                                  new Promise(done => setTimeout(done, 4000))])); }}
for (const query of queries) {{
  attempt(() => new Promise(done => {{ const image = new Image(); image.onload = image.onerror = done;
                                       image.src = ui + "/graphql?query=" + encodeURIComponent(query); }}));
  attempt(() => fetch(ui + "/graphql", {{method: "POST", mode: "no-cors", headers: {{"Content-Type": "text/plain"}},
                                         body: JSON.stringify({{query}})}}));
  attempt(() => fetch(ui + "/graphql", {{method: "POST", headers: {{"Content-Type": "application/json"}},
                                         body: JSON.stringify({{query}})}}));
  attempt(() => {{ const frame = document.createElement("iframe"); frame.name = "f"; document.body.append(frame);
                   const form = document.createElement("form"); form.method = "POST"; form.target = "f";
                   form.action = ui + "/graphql"; const field = document.createElement("input");
                   field.name = "query"; field.value = query; form.append(field); document.body.append(form); form.submit(); }});
  attempt(() => new Promise(done => {{
    const socket = new WebSocket(ui.replace("http", "ws") + "/graphql", "graphql-ws");
    socket.onopen = () => {{ socket.send(JSON.stringify({{type: "connection_init"}}));
      socket.send(JSON.stringify({{type: "start", id: "1", payload: {{query}}}})); setTimeout(done, 1500); }};
    socket.onerror = done; }}));
}}
attempt(() => fetch(ui + "/report_asset_materialization/imitations?partition=x", {{method: "POST", mode: "no-cors"}}));
attempt(() => navigator.sendBeacon(ui + "/report_asset_materialization/imitations", "x"));
Promise.all(tried).then(() => document.title = "tried");
</script></body>"""


@contextmanager
def hostile_site(content: str) -> Iterator[int]:
    """A web server on this machine, under any name that leads here: its port."""

    class Site(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(content.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", free_port()), Site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()


def asked(address: str, query: str) -> dict[str, Any]:
    request = urllib.request.Request(f"{address}/graphql", json.dumps({"query": query}).encode(), JSON)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return dict(json.loads(answer.read())["data"])


STATE = "{ assetNodes { assetKey { path } assetMaterializations(limit: 3) { timestamp } partitionKeys } }"


def attacked(address: str) -> dict[str, object]:
    """What the page tries to change. A sensor of the UI itself may materialize other assets meanwhile."""
    nodes = {"/".join(n["assetKey"]["path"]): n for n in asked(address, STATE)["assetNodes"]}
    return {"imitations": nodes["imitations"], "keys": {name: n["partitionKeys"] for name, n in nodes.items()}}


@pytest.mark.long
def test_a_hostile_page_in_a_browser_changes_nothing_and_the_ui_still_works(copied: Path, tmp_path: Path) -> None:
    with served(copied, tmp_path / "ui.log") as address:
        before = attacked(address)
        assert "hostile" not in json.dumps(before)
        content = ATTACK.format(ui=json.dumps(address), queries=json.dumps([ADD, WIPE]))
        with hostile_site(content) as port, page() as tab:
            for site in (f"http://localhost:{port}", f"http://127.0.0.1:{port}", f"http://hostile.localhost:{port}"):
                tab.goto(site)
                tab.wait_for_function("document.title === 'tried'", timeout=60_000)
            tab.goto(f"{address}/graphql?query={quote(ADD)}")
            tab.goto("about:blank")
            assert attacked(address) == before
            tab.goto(f"{address}/assets")
            tab.get_by_text("imitations").first.wait_for(timeout=60_000)
