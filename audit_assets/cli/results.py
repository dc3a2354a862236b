"""Commands that read the results of an audit."""

import io
import os
import pydoc
import shutil
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
import typer.core
from rich.cells import cell_len
from rich.table import Table

from audit_assets.cli.app import DEFAULT, Config, app, console, quiet
from audit_assets.errors import InputError, Unwritable, command
from audit_assets.untrusted.terminal import Screen, printable


def show_results(database: Path, models: list[str]) -> None:
    from audit_assets.publication.words.headline import paper_comparison

    for model in models:
        table = Table(
            "measure",
            "this audit",
            "paper (SD 1.5, 2023)",
            "level",
            title=f"\n{model}",
            title_justify="left",
            title_style="bold",
        )
        for row in paper_comparison(database, model).itertuples():
            table.add_row(str(row.measure), str(row.this_audit), str(row.paper), str(row.level))
        console.print(table)
    console.print("These figures measure a capability. They do not show whether a use of it infringes any right.")


@app.command()
def report(
    artist: Annotated[
        str | None,
        typer.Option(help="the slug or the name of one artist; makes a page with the evidence on this artist"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="the folder for the artist's page, such as one beside an audit that cannot be written"),
    ] = None,
    pdf: Annotated[bool, typer.Option("--pdf", help="print what is made to PDF too, beside it")] = False,
    config: Config = DEFAULT,
) -> None:
    """Make each report that is out of date, and the index, from existing results; or make the page of one artist."""
    from audit_assets.evidence.archive_file import imported
    from audit_assets.evidence.cover import stamp, with_block
    from audit_assets.evidence.nothing import why_nothing
    from audit_assets.publication.pages.printed import check_possible
    from audit_assets.publication.stage import PublicationStage
    from audit_assets.workspace import Workspace

    quiet()
    publication = PublicationStage(Workspace.open(config))
    archive, reports = imported(publication.ws.audit.base), publication.ws.warehouse.root / "reports"
    if artist is not None:
        page = publication.artist_page(artist, out)
        if out is None:
            stamp(publication.ws)
        else:
            page.write_bytes(with_block(publication.ws, page.read_bytes()))
        console.print(f"page      {page}")
        if pdf:
            console.print(f"PDF       {publication.artist_print(artist, page)}")
        return
    if out is not None:
        raise InputError("--out: is the folder of one artist's page; name the artist with --artist.")
    if pdf:
        check_possible()
    if archive and (page := reports / archive.model_version / "report.html").is_file():
        console.print(f"report    {page}   (as the archive has it; an archive's files stay as they are)")
        if pdf:
            console.print(f"PDF       {publication.report_print(page)}")
        return
    if not (versions := publication.results.audited()):
        raise InputError(why_nothing(publication.ws))
    for version in versions:
        console.print(f"report    {publication.report(version)[0]}")
    try:
        console.print(f"index     {publication.index()}")
        stamp(publication.ws)
    except Unwritable as error:  # every report is up to date
        console.print(f"index     is kept as it is: {error}")
    for version in versions if pdf else ():
        console.print(f"PDF       {publication.report_print(reports / version / 'report.html')}")


@app.command()
def sql(
    query: Annotated[
        str | None, typer.Argument(help="one query; `-`, or no query, reads it from standard input")
    ] = None,
    file: Annotated[Path | None, typer.Option(help="a file that holds the query")] = None,
    form: Annotated[
        Literal["table", "csv", "json", "parquet"],
        typer.Option("--format", help="the form of the answer; redirect parquet to a file with `>`"),
    ] = "table",
    config: Config = DEFAULT,
) -> None:
    """Run one query on the published database, and print every row. It reads these tables, no other file, and changes nothing.

    On a terminal, an answer that is larger than the screen opens in the pager (PAGER, by default less).
    """
    import duckdb

    from audit_assets.publication.queries.asked import answer, as_table, write
    from audit_assets.warehouse.contract import reading

    asked = _query(query, file)
    if form == "parquet" and sys.stdout.isatty():
        raise InputError("--format parquet: is not text; send it to a file, such as `> answer.parquet`.")
    try:
        with reading(_database(config), embeddings=True) as connection:
            found = answer(connection, asked)
            if form == "table" and sys.stdout.isatty():
                _paged(as_table(found))
            elif sys.stdout.isatty():  # a name in the answer can hold a command to the terminal
                shown = io.BytesIO()
                write(found, form, shown)
                typer.echo(printable(shown.getvalue().decode("utf-8")), nl=False)
            else:
                write(found, form, typer.get_binary_stream("stdout"))
    except duckdb.Error as error:
        Screen(stderr=True).print(str(error), style="red")
        raise typer.Exit(2) from None


def _query(query: str | None, file: Path | None) -> str:
    """The text of the query, from the argument, from a file or from standard input."""
    if query is not None and file is not None:
        raise InputError("sql: got a query and --file; give one of them.")
    if query is not None and query != "-":
        return query
    if file is None and query is None and sys.stdin.isatty():
        raise InputError(
            'sql: got no query; give one, such as "SELECT * FROM verdicts", or --file, or send it to standard input.'
        )
    content = file.read_bytes() if file else typer.get_binary_stream("stdin").read()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{file or 'standard input'}: byte {error.start + 1} is not UTF-8; save the query as UTF-8."
        ) from None


def _database(config: Path) -> Path:
    """The published database of an audit. A person is told if it keeps another version of the tables' contract."""
    from audit_assets.config import load_audit
    from audit_assets.evidence.nothing import why_nothing
    from audit_assets.warehouse.database import SCHEMA_VERSION, schema_version
    from audit_assets.warehouse.layout import refuse_another
    from audit_assets.workspace import Workspace

    audit = load_audit(config)
    root = audit.local(audit.warehouse)
    refuse_another(root, audit.file)
    database = root / "audit.duckdb"
    if not database.exists():
        raise InputError(f"{database}: is not made yet. {why_nothing(Workspace.of(audit))}")
    if (version := schema_version(database)) != SCHEMA_VERSION:
        keeps = "no version" if version is None else f"version {version}"
        Screen(stderr=True).print(
            f"{database}: keeps {keeps} of the tables' contract, not {SCHEMA_VERSION}, so tables and columns may differ from "
            f"docs/sql.md. Where the audit was made, `{command('run', config)}` publishes it by this version.",
        )
    return database


def _paged(text: str) -> None:
    """Print a text, or open it in the pager if it is larger than the screen. `less` then moves sideways and wraps no line."""
    lines, screen = text.splitlines(), shutil.get_terminal_size()
    if len(lines) < screen.lines and max(map(cell_len, lines)) <= screen.columns:
        typer.echo(text)
        return
    os.environ.setdefault("LESS", "-S")
    pydoc.pager(f"{text}\n")
