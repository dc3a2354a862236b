"""Check that the evidence still holds: hash every file again, compute every figure again, draw some images again.

Everything that can be computed is computed: `verify` trusts neither an earlier check of a table nor the name of an
image for its hash. It reports what cannot be checked here, and does not count it as a finding. Examples are a model
that is not on this machine, files that an archive left out, and a difference that another kind of machine explains.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace as changed_to
from pathlib import Path

from audit_assets.errors import InputError
from audit_assets.evidence import again, cover, files, recomputed, redrawn, rows
from audit_assets.evidence.archive_file import imported, left_out, printed, roots
from audit_assets.evidence.audit_file import protocol_of
from audit_assets.evidence.check import Check as Check
from audit_assets.evidence.machine import differences, this_machine
from audit_assets.evidence.manifest import Manifest, manifest_file, read_manifest
from audit_assets.evidence.signature import said, stamped_when, unsigned
from audit_assets.evidence.software import changed, explain, made_by_words
from audit_assets.results.stage import ResultStage
from audit_assets.workspace import Workspace


def verify(
    ws: Workspace,
    model: str,
    *,
    replay: int = 1,
    sample: int = 20,
    root: str | None = None,
    signer: Path | None = None,
    timestamp: Path | None = None,
) -> Iterator[Check]:
    """Run one check after the other. If the manifest cannot be read, run only the first.

    `replay` is the number of subjects to draw again with all their images. `sample` is the number of images, real works
    and labels that each encoder embeds again. Both are chosen anew each time, so a forger cannot predict them. `root`
    is the root hash that the manifest must have, as it was kept elsewhere. `signer` is the public key that must have
    signed it. `timestamp` is a file of certificates, of which one must vouch for the signature's timestamp.
    """
    check, manifest = _manifest(ws, model, root, signer, timestamp)
    yield check
    if manifest is None:
        return
    differs = changed(manifest.made_by)
    yield files.audit_file(ws, manifest, differs)
    kept = protocol_of(manifest.protocol.get("definition"))
    if kept is not None and files.other_protocol(ws, manifest, differs):
        ws = changed_to(ws, protocol=kept)
    yield from _of_files(ws, manifest, differs)
    yield rows.chain(ws, manifest)
    for made_again in _made_again(ws, manifest, replay, sample):
        explain(made_again, differs)
        yield made_again


def with_evidence(ws: Workspace) -> list[str]:
    """List the model versions that have a manifest, by any version of this package, or results by this one."""
    audited = ResultStage(ws).audited()
    return [m.name for m in ws.audit.models if m.name in audited or manifest_file(ws.warehouse, m.name).is_file()]


def _of_files(ws: Workspace, manifest: Manifest, differs: Mapping[str, str]) -> Iterator[Check]:
    left = left_out(ws.audit.base)
    yield files.tables(ws, manifest, left)
    yield files.pictures(ws, "imitations", manifest.imitations(), set())
    yield files.pictures(ws, "real works", manifest.works(), left & {"real works"})
    yield files.report(ws, manifest, left)
    yield cover.check(ws, manifest)
    yield files.database_file(ws, manifest)
    yield files.captions(ws, manifest)
    yield files.model_files(ws, manifest, differs)


def _made_again(ws: Workspace, manifest: Manifest, replay: int, sample: int) -> Iterator[Check]:
    left = left_out(ws.audit.base)
    elsewhere = differences(manifest.machine, this_machine())
    yield rows.named_tables(ws, manifest)
    yield rows.database_rows(ws, manifest)
    yield again.roster(ws, left)
    yield recomputed.results(ws, manifest.model_version)
    yield again.report(ws, manifest, left, elsewhere)
    yield recomputed.embeddings(ws, manifest, sample, elsewhere, left)
    other_files = files.model_files(ws, manifest, {}).findings if replay else []
    yield redrawn.replay(ws, manifest, replay, [*elsewhere, *other_files])


def _manifest(
    ws: Workspace, model: str, root: str | None, signer: Path | None, timestamp: Path | None
) -> tuple[Check, Manifest | None]:
    check = Check("manifest")
    path = manifest_file(ws.warehouse, model)
    try:
        manifest = read_manifest(path)
        archive = imported(ws.audit.base)
    except InputError as error:
        check.findings.append(str(error))
        return check, None
    check.seen = f"root {manifest.root}"
    if older := made_by_words(manifest.made_by):
        check.unchecked.append(older)
    if manifest.model_version != model:
        check.findings.append(f"{path}: is the manifest of {manifest.model_version!r}")
    vouched = roots(archive.model_copy(update={"root": manifest.root})) if archive else (manifest.root,) * 3
    if signer is not None and (problem := unsigned(ws.warehouse, manifest, signer)):
        check.findings.append(problem)
    if signer is not None:
        when = stamped_when(ws.warehouse, manifest, timestamp)
        check.seen += f", signed before {said(when.seen)}" if when.seen else ""
        check.findings += [when.problem] if when.problem else []
        check.unchecked += [when.unchecked] if when.unchecked else []
    if root is None and signer is None:
        check.unchecked.append(
            "nothing outside this folder vouches for the manifest: a person who can write here can write one that agrees with "
            "what they wrote. Give --root the root that was kept elsewhere, or --signer the key of who signed it"
        )
    elif root is not None and root not in vouched:
        check.findings.append(f"{path}: its root is {manifest.root}, not {root}: it is another manifest")
    outside: list[str] = []
    if archive and archive.left_out and root not in vouched[1:]:
        outside.append(f"that its maker left out {', '.join(archive.left_out)}")
    if archive and root != vouched[2]:
        outside += [f"that its maker printed {file.path}" for file in printed(archive)]
    check.unchecked += [
        f"{one}: only the root of the archive, which `export` prints, vouches for that" for one in outside
    ]
    return check, manifest
