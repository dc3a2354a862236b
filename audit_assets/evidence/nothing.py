"""Say why an audit has no results to show, and what helps. `audit-assets run` helps only if it was not run yet."""

from audit_assets.errors import command
from audit_assets.evidence.archive_file import imported
from audit_assets.warehouse.left_out import MODEL
from audit_assets.workspace import Workspace


def why_nothing(ws: Workspace) -> str:
    """Return the reason and the remedy, for an audit of which no model version has all results of this version."""
    file = ws.audit.file
    if archive := imported(ws.audit.base):
        page = ws.warehouse.root / "reports" / archive.model_version / "report.html"
        kept = f"read {page}, which that version made" if page.is_file() else "install that version"
        return f"{file}: another version of audit_assets made the results of this archive, and an archive cannot be run again; {kept}."
    if not any(m.approved and not m.retired for m in ws.audit.models):
        return f"{file}, models: no model is approved; set `approved: true` for the model to audit, and run `{command('run', file)}`."
    left = [part for parts in ws.left_out().values() for part in parts if part.part == MODEL]
    if left:
        reasons = "\n".join(f"{part.model_version}: {part.reason}" for part in left)
        return f"{file}: the last run left out every model version. Repair what it says, and run `{command('run', file)}`:\n{reasons}"
    return (
        f"{file}: no model version has all results of this version; run `{command('run', file)}` first. It keeps finished "
        "images, of an older version too."
    )
