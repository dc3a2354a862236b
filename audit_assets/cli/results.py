"""Commands that read the results of an audit."""

from pathlib import Path
from typing import Annotated

import typer
import typer.core
from rich.table import Table

from audit_assets.cli.app import DEFAULT, Config, app, console, quiet
from audit_assets.errors import InputError
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
    config: Config = DEFAULT,
) -> None:
    """Make each report that is out of date, and the index, from existing results; or make the page of one artist."""
    from audit_assets.publication.stage import PublicationStage
    from audit_assets.workspace import Workspace

    quiet()
    publication = PublicationStage(Workspace.open(config))
    if artist is not None:
        console.print(f"page      {publication.artist_page(artist)}", markup=False)
        return
    if not (versions := publication.results.audited()):
        raise InputError(f"{config}: no model version has results; run `audit-assets run --config {config}` first.")
    for version in versions:
        console.print(f"report    {publication.report(version)[0]}", markup=False)
    console.print(f"index     {publication.index()}", markup=False)


@app.command()
def sql(query: str, config: Config = DEFAULT) -> None:
    """Run one query on the published database. It reads these tables, and no other file."""
    import duckdb

    from audit_assets.config import load_audit
    from audit_assets.warehouse.contract import reading
    from audit_assets.warehouse.database import SCHEMA_VERSION, schema_version

    try:
        audit = load_audit(config)
        database = audit.local(audit.warehouse) / "audit.duckdb"
        if not database.exists():
            raise InputError(f"{database}: not made yet; run `audit-assets run --config {config}` first.")
        if (version := schema_version(database)) != SCHEMA_VERSION:
            Screen(stderr=True).print(
                f"{database}: keeps version {version} of the tables' contract, not {SCHEMA_VERSION}; "
                f"`audit-assets run --config {config}` publishes it anew.",
                markup=False,
            )
        with reading(database) as connection:
            console.print(printable(str(connection.sql(query))), markup=False)
    except duckdb.Error as error:
        console.print(str(error), style="red", markup=False)
        raise typer.Exit(2) from None
