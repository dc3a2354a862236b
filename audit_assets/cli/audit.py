"""Commands that plan an audit, make it, and serve it."""

import os
import time
from collections.abc import Sequence
from functools import partial
from typing import Annotated

import typer
import typer.core
from rich.table import Table

from audit_assets.cli.app import DEFAULT, LEFT_OUT, Config, app, console, quiet
from audit_assets.cli.results import show_results
from audit_assets.errors import InputError, Unwritable, command
from audit_assets.untrusted.terminal import one_line, printable
from audit_assets.warehouse.left_out import LeftOut

MOST_LINES = 15
"""Of parts that are left out, in `status`."""


@app.command()
def run(config: Config = DEFAULT) -> None:
    """Make every part of the audit that is not made yet, then print the results beside the paper's."""
    from audit_assets.runs.driver import run_audit
    from audit_assets.runs.progress import shown
    from audit_assets.runs.remarks import deviations, label_notes

    quiet()
    started = time.monotonic()
    driver = run_audit(config, partial(shown, console), _line)
    published = [m for m in driver.models() if m in driver.results.audited()]
    show_results(driver.ws.database, published)
    home = driver.audit.dagster_home
    console.print(f"\ndone in {time.monotonic() - started:.0f} s")
    console.print(f"database  {driver.ws.database}")
    for model in published:
        console.print(f"report    {driver.ws.warehouse.root / 'reports' / model / 'report.html'}")
    console.print(f"index     {driver.ws.warehouse.root / 'reports' / 'index.html'}")
    console.print(f"UI        {command('dev', config)}   (it reads the records in {home})")
    for note in label_notes(driver.ws):
        _line(f"note: {note}")
    if found := deviations(driver.ws, driver.models()):
        console.print("\nsupplied images differ from the protocol:", style="bold")
        for line in found:
            _line(line)
    if problems := driver.problems():
        console.print("\nnot audited:", style="bold red")
        for problem in problems:
            _line(problem)
        console.print("Repair these, and run the same command: it tries them again, and keeps what is finished.")
        raise typer.Exit(LEFT_OUT)


@app.command()
def plan(config: Config = DEFAULT) -> None:
    """Read the captions and the roster, and print what an audit of this size can find, before any image is made."""
    from audit_assets.measurement.design import statements
    from audit_assets.results.stage import ResultStage
    from audit_assets.runs import remarks
    from audit_assets.runs.driver import driver as opened
    from audit_assets.runs.progress import shown
    from audit_assets.workspace import Workspace

    quiet()
    try:
        with opened(config) as driver:
            for problem in driver.preflight():
                _line(f"not audited: {problem}")
            for note in driver.notes:
                _line(f"note: {note}")
            for step in driver.roster_steps():
                driver.run_or_refuse(step, partial(shown, console))
            of_labels, not_read = remarks.label_words(driver.ws)
            notes = [*remarks.roster_notes(driver.ws), *of_labels]
            models = driver.models()
            unread = [
                *remarks.unread(driver.ws, models),
                *driver.imitations.lacking(models),
                *driver.imitations.bills(models),
            ]
            unread += [*remarks.works_left_out(driver.ws), *remarks.arms_asked(driver.ws, models)]
            design = driver.results.design(not_read)
    except Unwritable as error:
        ws = Workspace.existing(config)
        if ws.warehouse.inputs("subjects") is None:
            raise
        of_labels, not_read = remarks.label_words(ws)
        notes = [
            f"the roster is the one that was made before, because nothing can be written here: {error}",
            *remarks.shortages(ws),
            *of_labels,
        ]
        unread = []
        design = ResultStage(ws).design(not_read)
    if design is None:
        raise InputError(f"{config}: no artist is audited; see the table roster_attrition.")
    _notes(notes)
    for line in unread:
        _line(line)
    table = Table("question", "answer", "what would settle it", title_justify="left", show_lines=True)
    for one in statements(design):
        table.add_row(printable(one.question), printable(f"{one.answer}. {one.sentence}"), printable(one.settle))
    console.print(table)


@app.command()
def roster(config: Config = DEFAULT) -> None:
    """Scan the captions, and choose artists and controls, without opening a model. If no table of artists exists, propose one."""
    from audit_assets.runs.driver import run_roster
    from audit_assets.runs.progress import shown
    from audit_assets.runs.remarks import roster_notes

    quiet()
    started = time.monotonic()
    driver = run_roster(config, partial(shown, console))
    warehouse = driver.ws.warehouse
    _notes(roster_notes(driver.ws))
    table = Table("roster", "criterion", "removed", "remaining", "note")
    for row in warehouse.read("roster_attrition").itertuples():
        table.add_row(str(row.roster), str(row.criterion), str(row.removed), str(row.remaining), str(row.note))
    console.print(table)
    console.print(f"done in {time.monotonic() - started:.0f} s")
    for name in ("artist_roster", "artist_mentions", "controls", "mined_names"):
        console.print(f"{name:<16}{warehouse.path(name)}")


def _notes(notes: list[str]) -> None:
    for note in notes:
        _line(f"note: {note}")


def _line(text: str) -> None:
    """Print a text that may hold names of files and artists, on one line."""
    console.print(one_line(text))


@app.command()
def status(config: Config = DEFAULT) -> None:
    """Show what is made, missing and left out, the roots, and the room on the disk, on one screen. It only reads, also during a run."""
    from audit_assets.runs.status import status_of

    found = status_of(config)
    console.print(f"audit      {found.file}")
    if not found.made:
        console.print(f"warehouse  {found.warehouse}: not made yet; `{command('run', config)}` makes it")
        return
    room = " + ".join(f"{kind} {_megabytes(size)}" for kind, size in found.room.items())
    total = f"{_megabytes(sum(found.room.values()))} = {room}" if room else "in S3, where its size is not asked for"
    total += f"; {_megabytes(found.free)} free" if found.free is not None else ""
    console.print(f"warehouse  {found.warehouse}")
    console.print(f"room       {total}")
    console.print(f"runs       {found.running or 'none'} of the command line at work")
    kinds = ", ".join(f"{number:,} {kind}" for kind, number in found.subjects.items())
    console.print(f"subjects   {kinds or 'not chosen yet'}")
    have = f"{found.works} artists have a folder"
    if found.works.wanted == 1:
        have = f"the artist has {'a' if found.works.made else 'no'} folder"
    console.print(f"real works {have} of works")
    console.print(f"missing    {', '.join(found.missing) or 'nothing that an audit has once'}")
    table = Table("model version", "state", "images", "embeddings", "results", "report")
    for one in found.versions:
        counts = (str(one.images), str(one.embeddings), str(one.results))
        table.add_row(one.name, one.state, *counts, "made" if one.report else "none")
    console.print(table)
    for one in found.versions:
        console.print(f"root       {one.name}: {one_line(one.root)}")
    console.print(
        "Parts are counted by name; `run` also compares what each was made from, and makes what differs again."
    )
    _left_out(found.left_out)


def _left_out(parts: Sequence[LeftOut]) -> None:
    if not parts:
        console.print("left out   nothing")
        return
    console.print(f"left out   {len(parts)}; the next run tries each again", style="bold red")
    for part in parts[:MOST_LINES]:
        console.print(f"  {part.part} {part.name}: {one_line(part.reason)}")
    if len(parts) > MOST_LINES:
        console.print(f"  and {len(parts) - MOST_LINES} more; the table left_out of the database names them all")


def _megabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


@app.command()
def dev(
    config: Config = DEFAULT,
    port: Annotated[int, typer.Option(help="the port; one that is taken is an error")] = 3000,
    host: Annotated[
        str, typer.Option(help="the address of this machine to listen on; every program that reaches it can start runs")
    ] = "127.0.0.1",
) -> None:
    """Serve the Dagster UI over this audit's own Dagster home, by default to this machine alone, and to no page of another site."""
    from audit_assets.config import load_audit
    from audit_assets.runs.lost_runs import hold_ui
    from audit_assets.runs.ui import address_of, check_port, serve_ui

    audit = load_audit(config)
    address = address_of(host)
    check_port(port, address)
    home = hold_ui(audit, console.print)
    environment = {**os.environ, "AUDIT_CONFIG": str(audit.file), "DAGSTER_HOME": str(home)}
    code = serve_ui(environment, port, console.print, address)
    raise typer.Exit(code)


@app.command()
def code_server(host: str = "127.0.0.1", port: int = 4000) -> None:
    """Serve the definitions to a webserver and a daemon, and run their runs. Only one such server may run at a time.

    The server ends the runs that died with the server before it. The service in `docker/` uses this command; `dev` starts
    webserver, daemon and code server together.
    """
    from audit_assets.runs.lost_runs import serve

    raise typer.Exit(serve(host, port, console.print))
