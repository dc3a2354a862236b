"""Commands before an audit: write its file, open all that it names, sort a download, and list what to ask by hand."""

import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
import typer.core
from rich.table import Table

from audit_assets.cli.app import DEFAULT, LEFT_OUT, Config, app, console, quiet, stop
from audit_assets.cli.audit import plan
from audit_assets.errors import InputError, command
from audit_assets.untrusted.terminal import one_line, printable


@app.command()
def init(
    works: Annotated[
        Path | None,
        typer.Option(help="the folder of one artist's works, or a folder with one folder of works per artist"),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(help="a model's folder, or a folder of saved images; several times for several models"),
    ] = None,
    encoder: Annotated[
        list[str] | None, typer.Option(help="an encoder's folder, such as CLIP; several times for several encoders")
    ] = None,
    artist: Annotated[str, typer.Option(help="the artist's name, if the works are those of one artist")] = "",
    background: Annotated[
        Path | None, typer.Option(help="works of other artists, one folder per artist; finds weaker imitations")
    ] = None,
    locale: Annotated[str, typer.Option(help="where the artists' names come from, such as no_NO")] = "",
    captions: Annotated[str, typer.Option(help="caption files, parquet or CSV; optional")] = "",
    revision: Annotated[
        str, typer.Option(help="the commit of each `hub:owner/name`; with several, write `hub:owner/name@commit`")
    ] = "",
    steps: Annotated[int | None, typer.Option(help="the sampler's steps; the default is the model's")] = None,
    guidance: Annotated[float | None, typer.Option(help="the default is the model's")] = None,
    size: Annotated[int | None, typer.Option(help="pixels, width and height; the default is the model's")] = None,
    thorough: Annotated[
        bool, typer.Option("--thorough", help="the paper's plan: ten images per name, and twice as many control names")
    ] = False,
    config: Annotated[Path, typer.Option(help="the audit file to write; an existing file is never overwritten")] = Path(
        "audit.yaml"
    ),
) -> None:
    """Write an audit file from a folder of works, a model and an encoder; list what was found; print what the audit can find."""
    from audit_assets.preparation.init import Wanted, has_one_artist, write_audit

    quiet()
    try:
        works = works or Path(_asked("The folder of the works", "--works"))
        if not artist and has_one_artist(works):
            artist = _asked("The artist's name", "--artist")
        models = model or [_asked("The model's folder", "--model")]
        encoders = encoder or [_asked("The encoder's folder, such as CLIP", "--encoder")]
        chosen = {"steps": steps, "guidance": guidance, "size": size}
        wanted = Wanted(
            works, models, encoders, artist, locale, background, captions, revision, thorough,
            {k: v for k, v in chosen.items() if v is not None},
        )  # fmt: skip
        found = write_audit(config, wanted)
    except (InputError, KeyboardInterrupt) as error:
        raise stop(error) from None
    for line in found.used:
        console.print(one_line(line))
    if found.not_used:
        console.print("\nnot used:", style="bold red")
        for line in found.not_used:
            console.print(one_line(line))
    console.print(f"\nwritten   {config}")
    plan(config)
    console.print(f"\nopen      {command('check', config)}   (draws one image; takes a minute)")
    console.print(f"next      {command('run', config)}")


def _asked(question: str, flag: str) -> str:
    """The answer of a person at a terminal. InputError names the flag if nobody can be asked."""
    if not sys.stdin.isatty():
        raise InputError(f"{flag}: is missing; give {question[0].lower()}{question[1:]}.")
    return str(typer.prompt(question)).strip()


@app.command()
def check(config: Config = DEFAULT) -> None:
    """Open everything that the audit names: draw one image per model, embed one work per encoder, decode every work. Exit with 3 if anything is refused."""
    from audit_assets.preparation.check import check as looked

    quiet()
    table = Table(show_lines=True)
    for heading in ("part", "name", "what was understood", "state"):
        table.add_column(heading, overflow="fold")  # a path is shown whole
    refused, needed = 0, 0
    try:
        for row in looked(config):
            state = "ok" if row.ok else "refused: " + "\n".join(row.problems)
            table.add_row(*(printable(cell) for cell in (row.part, row.name, row.understood, state)))
            refused += not row.ok
            needed += row.needed and not row.ok
    except (InputError, KeyboardInterrupt) as error:
        console.print(table)
        raise stop(error) from None
    console.print(table)
    if needed:
        console.print("The audit cannot run before these are repaired.", style="bold red")
        raise typer.Exit(2)
    if refused:
        console.print("The audit would leave out what is refused.", style="bold red")
        raise typer.Exit(LEFT_OUT)


@app.command()
def sort(
    download: Path,
    into: Annotated[Path, typer.Option(help="the folder of artists' folders, such as the path of an image_folder")],
    config: Config = DEFAULT,
    apply: Annotated[
        bool, typer.Option("--apply", help="copy the files; the default only shows what would be done")
    ] = False,
) -> None:
    """Sort a flat download of images into artists' folders, by the prompts in the files or else by their names, such as those of the prompt sheet."""
    from audit_assets.generation.sorting import copy_all, names_to_sort_by, prompts_to_sort_by, sorted_into
    from audit_assets.workspace import Workspace

    try:
        ws = Workspace.open(config)
        placed = sorted_into(download, into, names_to_sort_by(ws), prompts_to_sort_by(ws))
        table = Table()
        for heading in ("file", "to", "why"):
            table.add_column(heading, overflow="fold")  # a path is shown whole
        for one in placed:
            table.add_row(one_line(one.file.name), one_line(str(one.target or "stays")), one_line(one.why))
        console.print(table)
        wanted = sum(one.target is not None for one in placed)
        copied = copy_all(placed) if apply else 0
    except InputError as error:
        raise stop(error) from None
    console.print(
        f"{copied if apply else wanted} of {len(placed)} files {'were copied' if apply else 'would be copied; --apply copies them'}"
    )


@app.command()
def prompts(
    into: Annotated[Path, typer.Option(help="the folder for the sheet: prompts.csv and prompts.html")],
    images: Annotated[
        str, typer.Option(help="the folder in which the images will be saved, as the sheet names it")
    ] = "images",
    model: Annotated[
        str | None,
        typer.Option(
            help="a model of the audit file whose `prompt_name` the prompts use; the default is that of artists"
        ),
    ] = None,
    config: Config = DEFAULT,
) -> None:
    """Write a sheet of what to ask a model that has no API, in which order, and where to save each image.

    Give the folder of the images as the `path` of an image_folder afterwards.
    """
    from audit_assets.errors import writing
    from audit_assets.generation.prompt_sheet import arm_lines, lines, table
    from audit_assets.publication.pages.page import write
    from audit_assets.publication.pages.prompts import prompts_page
    from audit_assets.runs.driver import run_roster
    from audit_assets.runs.progress import shown
    from audit_assets.untrusted.spreadsheet import as_csv

    quiet()
    ws = run_roster(config, partial(shown, console)).ws
    asked = {subject: (p.called, p.indirect) for subject, p in ws.prompted(model).items()}
    found = lines(asked, ws.protocol)
    with writing(into):
        into.mkdir(parents=True, exist_ok=True)
    sheet = write(into / "prompts.csv", as_csv(table(found)))
    page = write(into / "prompts.html", prompts_page(found, ws.protocol.name, images))
    console.print(f"{len(found)} images to ask for")
    console.print(f"table     {sheet}")
    console.print(f"to print  {page}")
    if in_arms := arm_lines(ws.asked_in_arms(model or ws.audit.models[0].name), ws.protocol):
        sheet = write(into / "arms.csv", as_csv(table(in_arms)))
        page = write(into / "arms.html", prompts_page(in_arms, ws.protocol.name, f"{images}-arms"))
        console.print(f"{len(in_arms)} images of arms to ask for; give their folder as `arms` of the image_folder")
        console.print(f"table     {sheet}")
        console.print(f"to print  {page}")
