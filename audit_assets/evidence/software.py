"""Which version of this package made evidence, and what another version may compute otherwise."""

from collections.abc import Collection, Mapping
from importlib.metadata import version

from audit_assets import encoders, generation, publication, references, results, roster
from audit_assets.config import PROTOCOLS
from audit_assets.evidence.check import Check
from audit_assets.hashing import digest, sha256
from audit_assets.warehouse.layout import LAYOUT
from audit_assets.warehouse.schema import SCHEMA_VERSION

FILES, PROTOCOL = "hashed files", "protocols"
RESTS_ON: Mapping[str, Collection[str]] = {
    "tables that the manifest must name": ("database", "results", "references", "roster", "report", "layout"),
    "rows of the database beside the warehouse's tables": ("database", "layout"),
    "roster, controls and subjects chosen again": ("roster", "controls", "layout"),
    "results computed again from the image-level rows and embeddings": ("results", "labels", "references", "roster"),
    "report made again": ("report", "database"),
    "cover blocks": ("report",),
    "a sample embedded again": ("embeddings", "labels"),
    "images drawn again": ("images", "supplied images"),
}
"""The title of each check that computes something again, and the parts of this package that it computes with."""


def this_version() -> dict[str, str]:
    """Return the version of this package, and of each of its parts on which tables depend."""
    parts = {
        "roster": roster.VERSION,
        "controls": roster.CONTROLS_VERSION,
        "references": references.VERSION,
        "images": generation.VERSION,
        "supplied images": generation.SUPPLIED_VERSION,
        "embeddings": encoders.VERSION,
        "labels": encoders.LABELS_VERSION,
        "results": results.VERSION,
        "database": f"{publication.VERSION}, schema {SCHEMA_VERSION}",
        "report": publication.REPORT_VERSION,
        "layout": LAYOUT,
        FILES: 1,
        PROTOCOL: digest(sorted((path.name, sha256(path)) for path in PROTOCOLS.glob("*.yaml"))),
    }
    return {"audit_assets": version("audit_assets"), **{name: str(number) for name, number in parts.items()}}


def changed(made_by: Mapping[str, str] | None) -> dict[str, str]:
    """Return each part whose version differs from the one that made the evidence, with words for it.

    Evidence of format 1 does not say which version made it, so every part may differ.
    """
    here = this_version()
    if made_by is None:
        return dict.fromkeys(here, "an older version made it (format 1), which does not say its number")
    return {
        part: f"another version made it ({part} {made_by.get(part, 'absent')} there, {here.get(part, 'absent')} here)"
        for part in sorted(here.keys() | made_by.keys())
        if here.get(part) != made_by.get(part)
    }


def made_by_words(made_by: Mapping[str, str] | None) -> str | None:
    """Say that another version made the evidence; None if this version did."""
    differs = changed(made_by)
    if not differs:
        return None
    why = next(iter(differs.values()))
    return (
        f"whether this version would make the same evidence: {why}. Hashes are checked all the same; what this version "
        "computes otherwise is named below. `audit-assets run` makes the audit by this version, and keeps finished images"
    )


def explain(check: Check, differs: Mapping[str, str]) -> None:
    """Turn what a check found into what it cannot tell, if another version made what the check makes again.

    A file with another hash than the manifest's stays a finding.
    """
    why = next((differs[part] for part in RESTS_ON.get(check.title, ()) if part in differs), None)
    if why is None or not check.findings:
        return
    first, more = check.findings[0], len(check.findings) - 1
    rest = f" (and {more} more)" if more else ""
    check.unchecked.append(f"made again by this version it differs, and {why}: {first}{rest}")
    check.findings, check.seen, check.by_another_version = [], "", True


def said_version(made_by: Mapping[str, str] | None) -> str:
    """Name the version that made evidence, and say whether it is another than this one."""
    name = (
        "an older version (format 1)"
        if made_by is None
        else f"audit_assets {made_by.get('audit_assets', 'of no version')}"
    )
    return f"{name}; `verify` lists what this version makes otherwise" if changed(made_by) else f"{name}, this version"
