"""Commands about human raters: write their packets, and take their answers."""

from pathlib import Path
from typing import Annotated

import typer

from audit_assets.cli.app import DEFAULT, LEFT_OUT, Config, app, console, quiet
from audit_assets.errors import InputError, command
from audit_assets.untrusted.terminal import one_line

ratings = typer.Typer(no_args_is_help=True, help="Human raters: write blinded packets, and take the answers.")
app.add_typer(ratings, name="ratings")


@ratings.command("export")
def export_packets(
    model: Annotated[str, typer.Option(help="the model version")],
    into: Annotated[Path, typer.Option(help="the folder for the packets: one page per rater")],
    raters: Annotated[int, typer.Option(min=1, max=100, help="number of raters")] = 5,
    questions: Annotated[
        int, typer.Option(min=1, max=100, help="number of questions per artist, each beside another control name")
    ] = 19,
    artist: Annotated[
        list[str] | None,
        typer.Option(help="the slug of an artist to ask about; several times for several; all by default"),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="decides questions, order and sides; it is recorded")] = 0,
    replace: Annotated[
        bool,
        typer.Option(
            "--replace", help="give up the packets that were exported before: no answers to them can be taken"
        ),
    ] = False,
    config: Config = DEFAULT,
) -> None:
    """Write one page per rater, which asks what is nearer to an artist's works: an image of the artist's name, or one of a control name.

    The key stays in the warehouse. Give each rater one page; it works without a network, and saves the answers as a file.
    """
    from audit_assets.measurement.ratings import FEWEST_RATERS, MORE_NAMES
    from audit_assets.publication.packets import export
    from audit_assets.results.rating_questions import Wanted, key_of, without_answer
    from audit_assets.workspace import Workspace

    quiet()
    ws = Workspace.existing(config)
    ws.audit.model(model)
    pages, passed_over = export(ws, model, into, Wanted(raters, questions, tuple(artist or ()), seed), replace=replace)
    for page in pages:
        console.print(f"packet    {page}   {page.stat().st_size / 1e6:.1f} MB")
    key = ws.warehouse.read(key_of(model))
    for reason in dict.fromkeys(passed_over.values()):
        own = [artist for artist, why in passed_over.items() if why == reason]
        console.print(one_line(f"not asked about: {', '.join(own)}: {reason}"))
    if unanswered := without_answer(key):
        console.print(
            f"could not be tested: of {len(unanswered)} of {key['subject'].nunique()} artists in the packets, raters can give a share and no answer. {MORE_NAMES}",
        )
    if raters < FEWEST_RATERS:
        console.print(f"could not be tested: an answer needs {FEWEST_RATERS} raters, and {raters} are asked.")
    console.print(
        "The key is in the warehouse, in the table rating_questions. Give it to no rater, and take the answers with:"
    )
    console.print(command("ratings import ANSWERS...", config))


@ratings.command("import")
def import_answers(
    files: Annotated[list[Path], typer.Argument(help="files of answers that the pages saved")],
    config: Config = DEFAULT,
) -> None:
    """Check the answers of raters, and publish what they say beside the encoders. Exit with 3 if a file was refused, and with 2 if all were."""
    from audit_assets.publication.packets import publish_answers
    from audit_assets.results.rating_answers import take
    from audit_assets.workspace import Workspace

    quiet()
    ws = Workspace.existing(config)
    taken = take(ws, files)
    for line in (*taken.notes, *taken.refused):
        console.print(one_line(line), style="red" if line in taken.refused else None)
    if taken.refused and not taken.models:
        raise InputError("no file of answers could be taken; each is named above.")
    for model in taken.models:
        new = len(taken.accepted.get(model, []))
        console.print(f"{model}: answers of {new} packet{'' if new == 1 else 's'} taken")
        for line in publish_answers(ws, model):  # nothing is made that is there
            console.print(line)
    if taken.models:
        console.print("`audit-assets run` renews the manifest, so that `verify` covers the answers too.")
    if taken.refused:
        raise typer.Exit(LEFT_OUT)
