"""The web server of the image browser: the app, its small pictures, and the same guard as the Dagster UI has."""

import os
import sys
from contextlib import suppress
from pathlib import Path

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from audit_assets.errors import InputError
from audit_assets.runs.guard import guards

APP = Path(__file__).with_name("app.py")
SECONDS_TO_END = 3


def serve(config: Path, port: int) -> None:
    """Serve the app on loopback until the process is asked to end. InputError if marimo is not installed."""
    import uvicorn  # comes with Dagster's webserver

    os.environ["AUDIT_CONFIG"] = str(config)
    served = application()
    with suppress(KeyboardInterrupt):
        uvicorn.run(served, host="127.0.0.1", port=port, log_level="warning", timeout_graceful_shutdown=SECONDS_TO_END)
    # For a page that was open, a thread of marimo waits for the next message, and Python would wait for this thread for ever.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def application() -> Starlette:
    """The pictures and the app behind the guard."""
    os.environ["MARIMO_SKIP_UPDATE_CHECK"] = "1"
    try:
        import marimo
    except ImportError:
        raise InputError("browse: needs marimo; install it with `pip install 'audit_assets[browse]'`.") from None
    app = marimo.create_asgi_app(include_code=False, quiet=True).with_app(path="", root=str(APP)).build()
    routes = [Route("/image/{sha256}", _image), Mount("/", app)]
    return Starlette(routes=routes, middleware=guards())


async def _image(request: Request) -> Response:
    from audit_assets.browse.view import picture

    content = await run_in_threadpool(picture, request.path_params["sha256"])
    if content is None:
        return PlainTextResponse("no such image", status_code=404)
    return Response(content, media_type="image/webp", headers={"Cache-Control": "private, max-age=86400"})
