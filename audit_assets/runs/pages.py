"""The audit's own files beside Dagster's UI, so that the UI can link to reports, manifests and proposed names.

A report may be another person's, from an archive that was imported. The browser therefore opens each file in a sandbox: its script
belongs to no site, so the guard refuses whatever it sends to the UI.
"""

import mimetypes
import os
import re
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from audit_assets.config import load_audit
from audit_assets.defs.resources import PAGES
from audit_assets.errors import InputError

_NAME = r"[A-Za-z0-9_-][A-Za-z0-9._-]*"
_SERVED = re.compile(rf"reports/(?:{_NAME}/)?{_NAME}|manifests/{_NAME}\.json|mined_names\.csv")
HEADERS = {
    "Content-Security-Policy": "sandbox allow-scripts allow-popups allow-downloads",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


class Pages:
    """Answers requests below `PAGES` with files of the warehouse; passes every other request on."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(PAGES):
            await self.app(scope, receive, send)
            return
        answer = await run_in_threadpool(_answer, scope["method"], scope["path"].removeprefix(PAGES))
        await answer(scope, receive, send)


def _answer(method: str, place: str) -> Response:
    if method not in ("GET", "HEAD"):
        return PlainTextResponse("files of an audit are only read here", status_code=405)
    if not _SERVED.fullmatch(place):
        return PlainTextResponse("no such file of the audit", status_code=404)
    try:
        audit = load_audit(Path(os.environ["AUDIT_CONFIG"]))
        content = (audit.local(audit.warehouse) / place).read_bytes()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return PlainTextResponse("no such file of the audit; it may not be made yet", status_code=404)
    except (InputError, OSError) as error:
        return PlainTextResponse(f"cannot be read: {error}", status_code=500)
    kind = mimetypes.guess_type(place)[0] or "application/octet-stream"
    return Response(content, media_type=kind, headers=HEADERS)
