"""What stands between browsers and Dagster's webserver on loopback.

Dagster's UI has no accounts, and answers every caller that reaches it. On loopback that is every web page that a browser on the machine
shows: a page can send requests to 127.0.0.1, and can name its own server 127.0.0.1 after it was loaded. Four rules refuse
what a page of another site can send:

* a host that is not this machine's own loopback name, or the address that the operator named;
* an origin that is not the UI's own, whether of a request or of a websocket;
* a query in an address, since an image or a link sends it without an origin;
* a frame around the UI.

Programs such as curl send no origin, and are let through: they run as a user of this machine already.
"""

from collections.abc import Mapping
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("127.0.0.1", "localhost")
ADDED = {
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
"""Headers of every answer. With them, no other site shows the UI in a frame or reads its answers."""
_READING = {"GET", "HEAD"}


def guards(address: str = LOOPBACK[0]) -> list[Middleware]:
    """The middleware, from the outermost. ``address``: where the UI listens."""
    hosts = sorted({*LOOPBACK, address})
    return [Middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False), Middleware(OwnPages)]


class OwnPages:
    """Lets through what the UI's own pages send, a link to the UI, and what programs send; refuses what other sites can send."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        refused = refusal(scope["type"], scope.get("method", "GET"), Headers(scope=scope), scope["query_string"])
        if refused is None:
            await self.app(scope, receive, _headed(send))
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": refused})
        else:
            await PlainTextResponse(refused, status_code=403)(scope, receive, send)


def refusal(kind: str, method: str, headers: Mapping[str, str], query: bytes = b"") -> str | None:
    """Why a request is refused, in words; None if it is let through. ``kind`` is `http` or `websocket`."""
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    if origin is not None and origin != f"http://{headers.get('host')}":
        return "this UI takes no requests from pages of another origin"
    opened = kind == "http" and method in _READING and headers.get("sec-fetch-dest") == "document"
    if site in ("cross-site", "same-site") and not opened:
        return "this UI takes no requests from pages of another site"
    if (
        kind == "http"
        and method in _READING
        and {"query", "mutation", "extensions"} & parse_qs(query.decode("latin-1")).keys()
    ):
        return "this UI takes a query in the body of a POST, not in the address"
    return None


def _headed(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in ADDED.items():
                if name == "Content-Security-Policy" and name in headers:
                    headers[name] = f"{headers[name].rstrip('; ')}; {value}"
                else:
                    headers[name] = value
        await send(message)

    return sent
