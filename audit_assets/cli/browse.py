"""The command that shows every image of an audit: in a browser on this machine, or as one file to hand over."""

from pathlib import Path
from typing import Annotated

import typer

from audit_assets.cli.app import DEFAULT, Config, app, console, quiet
from audit_assets.errors import InputError, command


@app.command()
def browse(
    config: Config = DEFAULT,
    port: Annotated[int, typer.Option(help="the port; one that is taken is an error")] = 3002,
    out: Annotated[
        Path | None,
        typer.Option(
            help="write a gallery to this file instead, which needs no program; an existing file is never overwritten"
        ),
    ] = None,
    images: Annotated[
        int | None,
        typer.Option(min=1, help="the first images of each name and version in the gallery; the default is all"),
    ] = None,
) -> None:
    """Filter, sort and compare every image of the audit, to this machine alone (needs the extra `browse`); or write a gallery as one file."""
    from audit_assets.publication.pages.gallery import write_gallery
    from audit_assets.workspace import Workspace

    quiet()
    ws = Workspace.existing(config)
    if out is None:
        from audit_assets.browse.server import serve
        from audit_assets.runs.ui import check_port

        check_port(port)
        if not ws.database.exists():
            raise InputError(f"{ws.database}: is not made yet; run `{command('run', config)}`.")
        console.print(f"images    http://127.0.0.1:{port}   (Ctrl-C ends it)")
        serve(ws.audit.file, port)
        return
    if out.exists():
        raise InputError(f"--out {out}: exists; name another file.")
    write_gallery(ws.database, ws.images.get, out, images)
    console.print(f"gallery   {out}: {out.stat().st_size / 1e6:.1f} MB")
