"""Check that the evidence still holds: hash every file again, compute every figure again, draw some images again.

Everything that can be computed is computed: `verify` trusts neither an earlier check of a table nor the name of an
image for its hash. It reports what cannot be checked here, and does not count it as a finding. Examples are a model
that is not on this machine, files that an archive left out, and a difference that another kind of machine explains.
"""

from collections.abc import Iterator
from pathlib import Path

from audit_assets.errors import InputError
from audit_assets.evidence import again, files, recomputed, redrawn, rows
from audit_assets.evidence.archive_file import archive_root, imported, left_out
from audit_assets.evidence.check import Check as Check
from audit_assets.evidence.machine import differences, this_machine
from audit_assets.evidence.manifest import Manifest, manifest_file, read_manifest
from audit_assets.evidence.signature import said, stamped_when, unsigned
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
    left = left_out(ws.audit.base)
    elsewhere = differences(manifest.machine, this_machine())
    yield files.audit_file(ws, manifest)
    yield files.tables(ws, manifest, left)
    yield files.pictures(ws, "imitations", manifest.imitations(), set())
    yield files.pictures(ws, "real works", manifest.works(), left & {"real works"})
    yield files.report(ws, manifest, left)
    yield files.database_file(ws, manifest)
    yield files.captions(ws, manifest)
    of_model = files.model_files(ws, manifest)
    yield of_model
    yield rows.chain(ws, manifest)
    yield rows.database_rows(ws)
    yield again.roster(ws, left)
    yield recomputed.results(ws, model)
    yield again.report(ws, manifest, left, elsewhere)
    yield recomputed.embeddings(ws, manifest, sample, elsewhere, left)
    yield redrawn.replay(ws, manifest, replay, [*elsewhere, *of_model.findings])


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
    if manifest.model_version != model:
        check.findings.append(f"{path}: is the manifest of {manifest.model_version!r}")
    vouched = [manifest.root, *([archive_root(archive)] if archive else [])]
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
    if archive and archive.left_out and root != vouched[-1]:
        check.unchecked.append(
            f"that its maker left out {', '.join(archive.left_out)}: only the root of the archive, which `export` prints, vouches for that"
        )
    return check, manifest
