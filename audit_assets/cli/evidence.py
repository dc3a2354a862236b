"""Commands about evidence: verify it, sign it, and hand it on."""

from pathlib import Path
from typing import Annotated

import typer
import typer.core

from audit_assets.cli.app import DEFAULT, LEFT_OUT, Config, TimestampCertificate, app, console, quiet
from audit_assets.errors import InputError, command
from audit_assets.untrusted.terminal import one_line


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
    """Hash every file again, compute every figure again, and draw some images again. Print what does not hold; exit with 1 if anything does not, and with 3 if another version made what this one makes otherwise."""
    from audit_assets.evidence.archive_file import imported
    from audit_assets.evidence.nothing import why_nothing
    from audit_assets.evidence.verify import verify as checks
    from audit_assets.evidence.verify import with_evidence
    from audit_assets.workspace import Workspace

    quiet()
    ws = Workspace.existing(config)
    if model is not None:
        ws.audit.model(model)
    elif root is not None:
        raise InputError("--root: is the hash of one manifest; name its model version with --model.")
    # An archive has the evidence of one model version, and the tables of all versions.
    archive = imported(ws.audit.base)
    models = [model] if model else [archive.model_version] if archive else with_evidence(ws)
    if not models:
        raise InputError(why_nothing(ws))
    if signer is not None and not signer.is_file():
        raise InputError(f"--signer {signer}: there is no such file; give the signer's public key.")
    if timestamp_certificate is not None and signer is None:
        raise InputError("--timestamp-certificate: a timestamp is about a signature; name its signer with --signer.")
    wrong, unchecked, untold = 0, 0, 0
    for name in models:
        console.print(f"\n{name}", style="bold")
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
            untold += check.by_another_version
            state, style = ("holds", "green") if check.seen else ("not checked", "yellow")
            state, style = ("DOES NOT HOLD", "bold red") if check.findings else (state, style)
            console.print(f"  {state:<15}", style=style, end="")
            console.print(f"{check.title}{': ' if check.seen else ''}{one_line(check.seen)}")
            for line in check.findings:
                console.print(f"      {one_line(line)}", style="red")
            for line in check.unchecked:
                console.print(f"      not checked: {one_line(line)}")
    if wrong:
        console.print(f"\n{wrong} findings: what is named above does not hold.", style="bold red")
        raise typer.Exit(1)
    rest = f" {unchecked} things were not checked; each is named above." if unchecked else ""
    if untold:
        console.print(
            f"\nEvery file is the manifest's. Another version of audit_assets made the evidence, and this one makes {untold} parts "
            f"otherwise: they hold only for that version.{rest}"
        )
        raise typer.Exit(LEFT_OUT)
    console.print(f"\nAll of it holds, as far as it was checked.{rest}")


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
    console.print(f"signature {signed(ws.warehouse, manifest, key, timestamp_authority)}")
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

    quiet()
    ws = Workspace.existing(config)
    ws.audit.model(model)
    archive = pack(ws, model, out, references=with_references, report=not without_report, scans=not without_scans)
    console.print(f"{out}: {out.stat().st_size / 1e6:.1f} MB")
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
    from audit_assets.evidence.archive import INDEX, import_archive
    from audit_assets.evidence.archive_file import archive_root, printed
    from audit_assets.evidence.manifest import read_manifest
    from audit_assets.evidence.software import changed, said_version

    quiet()
    found = import_archive(archive, folder, root=root, signer=signer, timestamp=timestamp_certificate)
    console.print(f"model     {found.model_version}")
    console.print(f"root      {found.root}")
    console.print(f"left out  {', '.join(found.left_out) or 'nothing'}")
    made = read_manifest(folder / "warehouse" / "manifests" / f"{found.model_version}.json")
    console.print(f"made by   {said_version(made.made_by)}")
    if printed(found) and root != archive_root(found):
        console.print("prints    not vouched for: only the root that `export` printed covers the PDF files")
    if changed(made.made_by) and any(file.path == INDEX for file in found.beside or []):
        console.print("index     not checked: another version made it; `verify` and the reports do not rest on it")
    if found.signature and signer is None:
        console.print("signed    by a key that was not named: give `verify` --signer")
    console.print(f"verify    {command('verify', folder / 'audit.yaml', f' --model {found.model_version}')}")
