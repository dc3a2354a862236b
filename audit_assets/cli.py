"""`audit-assets`: a thin command line over the same assets."""

import os
import sys
import time
import warnings
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core
from rich.table import Table

from audit_assets.errors import InputError, unreadable
from audit_assets.untrusted.terminal import Screen, one_line, printable


class _Commands(typer.core.TyperGroup):
    """Every command ends here if its input is bad or the system refuses it: with a sentence and no traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (InputError, KeyboardInterrupt) as error:
            raise _stop(error) from None
        except OSError as error:
            if error.filename is None:  # of no file: a fault of the program
                raise
            raise _stop(InputError(f"{unreadable(os.fsdecode(error.filename), error)}.")) from None


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Can this image model imitate this artist?",
)
console = Screen()

Config = Annotated[Path, typer.Option(help="the audit file", envvar="AUDIT_CONFIG")]
DEFAULT = Path("data/miniature/audit.yaml")
LEFT_OUT = 3
"""The exit code of a command that finished, and left out a model, an encoder, an artist or a real work that it lists."""
TimestampCertificate = Annotated[
    Path | None, typer.Option(help="certificates (PEM) of the timestamp authority that must have seen the signature")
]


def _stop(error: InputError | KeyboardInterrupt) -> typer.Exit:
    """The exit code: 2 after bad input, 130 after Ctrl-C, as in shells."""
    if isinstance(error, KeyboardInterrupt):
        console.print("\nstopped: finished work is kept; the same command continues from there")
        return typer.Exit(130)
    console.print("cannot audit:", style="bold red")
    console.print(str(error), markup=False)
    return typer.Exit(2)


@app.callback()
def _terminal() -> None:
    """A character that the terminal's encoding lacks is shown as a question mark."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


@app.command()
def run(config: Config = DEFAULT) -> None:
    """Make every part of the audit that is not made yet, then print the results beside the paper's."""
    from audit_assets.runs.driver import run_audit
    from audit_assets.runs.progress import shown

    _quiet()
    started = time.monotonic()
    driver = run_audit(config, partial(shown, console), partial(console.print, markup=False))
    published = [m for m in driver.models() if m in driver.results.audited()]
    _results(driver.ws.database, published)
    home = driver.audit.dagster_home
    console.print(f"\ndone in {time.monotonic() - started:.0f} s")
    console.print(f"database  {driver.ws.database}", markup=False)
    for model in published:
        console.print(f"report    {driver.ws.warehouse.root / 'reports' / model / 'report.html'}", markup=False)
    console.print(f"index     {driver.ws.warehouse.root / 'reports' / 'index.html'}", markup=False)
    console.print(f"UI        audit-assets dev --config {config}   (it reads the records in {home})", markup=False)
    if deviations := driver.deviations():
        console.print("\nsupplied images differ from the protocol:", style="bold")
        for line in deviations:
            console.print(line, markup=False)
    if problems := driver.problems():
        console.print("\nnot audited:", style="bold red")
        for problem in problems:
            console.print(problem, markup=False)
        console.print("Repair these, and run the same command: it tries them again, and keeps what is finished.")
        raise typer.Exit(LEFT_OUT)


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
    revision: Annotated[str, typer.Option(help="the commit of a `hub:owner/name`")] = "",
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

    _quiet()
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
        raise _stop(error) from None
    for line in found.used:
        console.print(one_line(line), markup=False)
    if found.not_used:
        console.print("\nnot used:", style="bold red")
        for line in found.not_used:
            console.print(one_line(line), markup=False)
    console.print(f"\nwritten   {config}", markup=False)
    plan(config)
    console.print(f"\nopen      audit-assets check --config {config}   (draws one image; takes a minute)", markup=False)
    console.print(f"next      audit-assets run --config {config}", markup=False)


def _asked(question: str, flag: str) -> str:
    """The answer of a person at a terminal. InputError names the flag if nobody can be asked."""
    if not sys.stdin.isatty():
        raise InputError(f"{flag}: is missing; give {question[0].lower()}{question[1:]}.")
    return str(typer.prompt(question)).strip()


@app.command()
def check(config: Config = DEFAULT) -> None:
    """Open everything that the audit names: draw one image per model, embed one work per encoder, decode every work. Exit with 3 if anything is refused."""
    from audit_assets.preparation.check import check as looked

    _quiet()
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
        raise _stop(error) from None
    console.print(table)
    if needed:
        console.print("The audit cannot run before these are repaired.", style="bold red")
        raise typer.Exit(2)
    if refused:
        console.print("The audit would leave out what is refused.", style="bold red")
        raise typer.Exit(LEFT_OUT)


@app.command()
def plan(config: Config = DEFAULT) -> None:
    """Read the captions and the roster, and print what an audit of this size can find, before any image is made."""
    from audit_assets.measurement.design import statements
    from audit_assets.runs.driver import driver as opened
    from audit_assets.runs.progress import shown

    _quiet()
    with opened(config) as driver:
        for problem in driver.preflight():
            console.print(f"not audited: {problem}", markup=False)
        for note in driver.notes:
            console.print(f"note: {note}", markup=False)
        for step in driver.roster_steps():
            driver.run_or_refuse(step, partial(shown, console))
        notes, unread = driver.roster_notes(), driver.unread()
        design = driver.results.design()
    if design is None:
        raise InputError(f"{config}: no artist is audited; see the table roster_attrition.")
    _notes(notes)
    for line in unread:
        console.print(line, markup=False)
    table = Table("question", "answer", "what would settle it", title_justify="left", show_lines=True)
    for one in statements(design):
        table.add_row(printable(one.question), printable(f"{one.answer}. {one.sentence}"), printable(one.settle))
    console.print(table)


@app.command()
def roster(config: Config = DEFAULT) -> None:
    """Scan the captions, and choose artists and controls, without opening a model. If no table of artists exists, propose one."""
    from audit_assets.runs.driver import run_roster
    from audit_assets.runs.progress import shown

    _quiet()
    started = time.monotonic()
    driver = run_roster(config, partial(shown, console))
    warehouse = driver.ws.warehouse
    _notes(driver.roster_notes())
    table = Table("roster", "criterion", "removed", "remaining", "note")
    for row in warehouse.read("roster_attrition").itertuples():
        table.add_row(str(row.roster), str(row.criterion), str(row.removed), str(row.remaining), str(row.note))
    console.print(table)
    console.print(f"done in {time.monotonic() - started:.0f} s")
    for name in ("artist_roster", "artist_mentions", "controls", "mined_names"):
        console.print(f"{name:<16}{warehouse.path(name)}", markup=False)


def _notes(notes: list[str]) -> None:
    for note in notes:
        console.print(f"note: {one_line(note)}", markup=False)


def _quiet() -> None:
    """Dagster would print every event on stderr. The event log has the events in any case."""
    import atexit
    import logging

    # When the interpreter ends, DuckDB's bindings count their remaining objects. If a step loaded a model, they print dozens of
    # lines about these objects, which tell the operator nothing.
    atexit.register(lambda: os.dup2(os.open(os.devnull, os.O_WRONLY), 2))

    os.environ.setdefault(
        "TRANSFORMERS_VERBOSITY", "error"
    )  # otherwise transformers warns that torchvision is missing, which is intended
    logging.getLogger("dagster").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=DeprecationWarning)


def _results(database: Path, models: list[str]) -> None:
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

    _quiet()
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
def dev(config: Config = DEFAULT, port: int = 3000) -> None:
    """Serve the Dagster UI over this audit's own Dagster home, to this machine alone and to no page of another site."""
    from audit_assets.config import load_audit
    from audit_assets.runs.lost_runs import hold_ui
    from audit_assets.runs.ui import check_port, serve_ui

    audit = load_audit(config)
    check_port(port)
    home = hold_ui(audit)
    environment = {**os.environ, "AUDIT_CONFIG": str(audit.file), "DAGSTER_HOME": str(home)}
    code = serve_ui(environment, port, lambda line: console.print(line, markup=False))
    raise typer.Exit(code)


@app.command()
def code_server(host: str = "127.0.0.1", port: int = 4000) -> None:
    """Serve the definitions to a webserver and a daemon, and run their runs. Only one such server may run at a time.

    The server ends the runs that died with the server before it. The service in `docker/` uses this command; `dev` starts
    webserver, daemon and code server together.
    """
    from audit_assets.runs.lost_runs import serve

    raise typer.Exit(serve(host, port, lambda line: console.print(line, markup=False)))


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


@app.command()
def verify(
    config: Config = DEFAULT,
    model: Annotated[
        str | None,
        typer.Option(
            help="one model version; the default is every audited version, or the version of an imported archive"
        ),
    ] = None,
    replay: Annotated[int, typer.Option(min=0, help="number of subjects whose images are drawn again")] = 1,
    no_replay: Annotated[bool, typer.Option("--no-replay", help="draw no image again, and load no model")] = False,
    sample: Annotated[
        int,
        typer.Option(min=0, help="number of images, of real works and of labels that are embedded again, per encoder"),
    ] = 20,
    root: Annotated[str | None, typer.Option(help="the root hash that the manifest must have; needs --model")] = None,
    signer: Annotated[
        Path | None, typer.Option(help="the public key (PEM) that must have signed each manifest")
    ] = None,
    timestamp_certificate: TimestampCertificate = None,
) -> None:
    """Hash every file again, compute every figure again, and draw some images again. Print what does not hold; exit with 1 if anything does not."""
    from audit_assets.evidence.archive_file import imported
    from audit_assets.evidence.verify import verify as checks
    from audit_assets.results.stage import ResultStage
    from audit_assets.workspace import Workspace

    _quiet()
    ws = Workspace.existing(config)
    if model is not None:
        ws.audit.model(model)
    elif root is not None:
        raise InputError("--root: is the hash of one manifest; name its model version with --model.")
    # An archive has the evidence of one model version, and the tables of all versions.
    archive = imported(ws.audit.base)
    models = [model] if model else [archive.model_version] if archive else ResultStage(ws).audited()
    if not models:
        raise InputError(f"{config}: no model version is audited yet; run `audit-assets run --config {config}`.")
    if signer is not None and not signer.is_file():
        raise InputError(f"--signer {signer}: there is no such file; give the signer's public key.")
    if timestamp_certificate is not None and signer is None:
        raise InputError("--timestamp-certificate: a timestamp is about a signature; name its signer with --signer.")
    wrong, unchecked = 0, 0
    for name in models:
        console.print(f"\n{name}", style="bold", markup=False)
        for check in checks(
            ws,
            name,
            replay=0 if no_replay else replay,
            sample=sample,
            root=root,
            signer=signer,
            timestamp=timestamp_certificate,
        ):
            wrong += len(check.findings)
            unchecked += len(check.unchecked)
            state, style = ("holds", "green") if check.seen else ("not checked", "yellow")
            state, style = ("DOES NOT HOLD", "bold red") if check.findings else (state, style)
            console.print(f"  {state:<15}", style=style, end="")
            console.print(f"{check.title}{': ' if check.seen else ''}{one_line(check.seen)}", markup=False)
            for line in check.findings:
                console.print(f"      {one_line(line)}", style="red", markup=False)
            for line in check.unchecked:
                console.print(f"      not checked: {one_line(line)}", markup=False)
    if wrong:
        console.print(
            f"\n{wrong} findings: the files differ from the evidence that the manifest describes.", style="bold red"
        )
        raise typer.Exit(1)
    rest = f" {unchecked} things were not checked; each is named above." if unchecked else ""
    console.print(f"\nAll of it holds, as far as it was checked.{rest}")


@app.command()
def sort(
    download: Path,
    into: Annotated[Path, typer.Option(help="the folder of artists' folders, such as the path of an image_folder")],
    config: Config = DEFAULT,
    apply: Annotated[
        bool, typer.Option("--apply", help="copy the files; the default only shows what would be done")
    ] = False,
) -> None:
    """Sort a flat download of images into artists' folders, by the prompts in the files or else by their names."""
    from audit_assets.generation.sorting import copy_all, names_to_sort_by, sorted_into
    from audit_assets.workspace import Workspace

    try:
        placed = sorted_into(download, into, names_to_sort_by(Workspace.open(config)))
        table = Table("file", "to", "why")
        for one in placed:
            table.add_row(one_line(one.file.name), one_line(str(one.target or "stays")), one_line(one.why))
        console.print(table)
        wanted = sum(one.target is not None for one in placed)
        copied = copy_all(placed) if apply else 0
    except InputError as error:
        raise _stop(error) from None
    console.print(
        f"{copied if apply else wanted} of {len(placed)} files {'were copied' if apply else 'would be copied; --apply copies them'}"
    )


@app.command()
def sign(
    model: Annotated[str, typer.Option(help="the model version")],
    key: Annotated[Path, typer.Option(help="a private Ed25519 key (PEM, without a password)")],
    timestamp_authority: Annotated[
        str | None,
        typer.Option(help="address of an RFC 3161 authority that states the time", envvar="AUDIT_TIMESTAMP_AUTHORITY"),
    ] = None,
    config: Config = DEFAULT,
) -> None:
    """Sign the root of a model version's manifest. `verify` first: a signature vouches for what is there now."""
    from audit_assets.evidence.manifest import manifest_file, read_manifest
    from audit_assets.evidence.signature import sign as signed
    from audit_assets.workspace import Workspace

    ws = Workspace.existing(config)
    ws.audit.model(model)
    manifest = read_manifest(manifest_file(ws.warehouse, model))
    console.print(f"signature {signed(ws.warehouse, manifest, key, timestamp_authority)}", markup=False)
    console.print(f"root      {manifest.root}")


@app.command()
def export(
    model: Annotated[str, typer.Option(help="the model version")],
    out: Annotated[
        Path, typer.Option(help="the archive to write, such as evidence.zip; an existing file is never overwritten")
    ],
    config: Config = DEFAULT,
    with_references: Annotated[
        bool, typer.Option("--with-references", help="pack the artists' real works too")
    ] = False,
    without_report: Annotated[
        bool, typer.Option("--without-report", help="leave out the report; its figures show real works")
    ] = False,
    without_scans: Annotated[
        bool, typer.Option("--without-scans", help="leave out the tables of single caption files")
    ] = False,
) -> None:
    """Pack the evidence of one model version into one archive. A recipient can verify it without the model."""
    from audit_assets.evidence.archive import export as pack
    from audit_assets.evidence.archive_file import archive_root
    from audit_assets.workspace import Workspace

    _quiet()
    ws = Workspace.existing(config)
    ws.audit.model(model)
    archive = pack(ws, model, out, references=with_references, report=not without_report, scans=not without_scans)
    console.print(f"{out}: {out.stat().st_size / 1e6:.1f} MB", markup=False)
    console.print(f"root      {archive_root(archive)}   (give it to the verifier by another way than the archive)")
    if archive.left_out:
        console.print(
            f"          of this archive, without {', '.join(archive.left_out)}; the evidence itself has {archive.root}"
        )
    else:
        console.print("left out  nothing")
    if not with_references and not without_report:
        console.print("The report's figures show small pictures of real works. --without-report leaves the report out.")


@app.command("import")
def import_(
    archive: Path,
    folder: Path,
    root: Annotated[str | None, typer.Option(help="the root hash that the archive must have")] = None,
    signer: Annotated[Path | None, typer.Option(help="the public key (PEM) that must have signed the manifest")] = None,
    timestamp_certificate: TimestampCertificate = None,
) -> None:
    """Unpack an archive into a new folder. Refuse the archive if any byte differs from its manifest."""
    from audit_assets.evidence.archive import import_archive

    _quiet()
    found = import_archive(archive, folder, root=root, signer=signer, timestamp=timestamp_certificate)
    console.print(f"model     {found.model_version}", markup=False)
    console.print(f"root      {found.root}")
    console.print(f"left out  {', '.join(found.left_out) or 'nothing'}")
    if found.signature and signer is None:
        console.print("signed    by a key that was not named: give `verify` --signer")
    console.print(
        f"verify    audit-assets verify --config {folder / 'audit.yaml'} --model {found.model_version}", markup=False
    )


if __name__ == "__main__":
    app()
