"""Fill the block of every page from the manifests: who made the audit, of what, when, with which root, and how to check it."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from audit_assets.errors import InputError, command
from audit_assets.evidence.check import Check, count
from audit_assets.evidence.manifest import Manifest, manifest_file
from audit_assets.publication import ARTISTS
from audit_assets.publication.pages.cover import NOT_RECORDED, Cover, Version, block
from audit_assets.publication.sealed import filled, is_page
from audit_assets.untrusted.json_text import read_json
from audit_assets.warehouse.cells import Cells
from audit_assets.warehouse.database import published_from
from audit_assets.warehouse.places import whole
from audit_assets.workspace import Workspace


def stamp(ws: Workspace) -> None:
    """Fill the block of every page that exists. Two processes do it one after the other."""
    for _ in Cells(ws.warehouse, ws.images).in_turn(["cover"]):
        fill(ws)


def fill(ws: Workspace) -> None:
    for page, new in _changed(_expected(ws)):
        with whole(page) as file:
            file.write_bytes(new)


def is_stamped(ws: Workspace) -> bool:
    """Say whether the block of every page says what the manifests say, so that `stamp` would write nothing."""
    return next(_changed(_expected(ws)), None) is None


def _changed(blocks: Mapping[Path, str]) -> Iterator[tuple[Path, bytes]]:
    """Give each page that has another block than it should have, and its content with the right one."""
    for page, text in blocks.items():
        content = page.read_bytes()
        if (new := filled(content, text)) != content:
            yield page, new


def with_block(ws: Workspace, page: bytes, models: Sequence[str] = ()) -> bytes:
    """A page with the block about these model versions, by default all that have a manifest."""
    published = published_from(ws.database)
    facts = {
        m: found for m in models or [m.name for m in ws.audit.models] if (found := _facts(ws, m, published)) is not None
    }
    return filled(page, block(_cover(ws, facts))) if facts else page


def check(ws: Workspace, manifest: Manifest) -> Check:
    """Compare the block of every page with what the manifests say."""
    found = Check("cover blocks")
    pages = _expected(ws)
    for page, _ in _changed(pages):
        found.findings.append(
            f"{page}: its cover block does not say what the manifest of {manifest.model_version} and the others say; `audit-assets report` writes it anew"
        )
    found.seen = count(len(pages), "pages")
    if manifest.dated is not None:
        found.unchecked.append(
            "who made the audit and when, as the manifest and the blocks say it: neither the root nor a signature covers this"
        )
    prints = sum(1 for folder in {page.parent for page in pages} for _ in folder.glob("*.pdf"))
    if prints:
        found.unchecked.append(f"{count(prints, 'PDFs')} of pages: a print is not compared with its page, word by word")
    if not pages:
        found.unchecked.append("no page is here")
    return found


def _expected(ws: Workspace) -> dict[Path, str]:
    """Every page below `reports/` that exists, and its block."""
    reports, published = ws.warehouse.root / "reports", published_from(ws.database)
    facts = {m.name: _facts(ws, m.name, published) for m in ws.audit.models}
    known = {name: content for name, content in facts.items() if content is not None}
    found: dict[Path, str] = {}
    for name, content in known.items():
        own = block(_cover(ws, {name: content}))
        found |= dict.fromkeys(_pages(reports / name), own)
    if known:
        together = block(_cover(ws, known))
        found |= dict.fromkeys([*_pages(reports / ARTISTS), *_pages(reports, "index.html")], together)
    return found


def _pages(folder: Path, pattern: str = "*.html") -> list[Path]:
    return sorted(path for path in folder.glob(pattern) if is_page(path)) if folder.is_dir() else []


def _facts(ws: Workspace, model: str, published: str | None) -> dict[str, Any] | None:
    """The manifest of a model version without its rows; None if none exists. Its root is left out if it is of other tables than the pages."""
    path = manifest_file(ws.warehouse, model)
    if not path.is_file():
        return None
    try:
        content = read_json(path.read_text(encoding="utf-8"))
        current = content["database"]["published_from"] == published
        return {
            "root": str(content["root"]) if current else "",
            "revision": content["model"]["row"].get("revision")
            or f"files {content['model']['row'].get('files_sha256')}",
            "software": str((content.get("made_by") or {}).get("audit_assets", "of an older version")),
            "dated": content.get("dated") or {},
        }
    except (OSError, ValueError, LookupError, AttributeError, TypeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); restore it, or take it away and run again.") from None


def _cover(ws: Workspace, facts: dict[str, dict[str, Any]]) -> Cover:
    """What the manifests say; who made the audit is what the newest report says."""
    newest = max((f["dated"] for f in facts.values()), key=lambda d: d.get("reported") or "")
    versions = [
        Version(
            name,
            str(content["revision"]),
            _time(content["dated"].get("first_image")),
            _time(content["dated"].get("last_image")),
            _time(content["dated"].get("measured")),
            _time(content["dated"].get("reported")),
            content["root"],
            content["software"],
        )
        for name, content in facts.items()
    ]
    only = f" --model {versions[0].name}" if len(versions) == 1 else ""
    root = f" --root {versions[0].root}" if len(versions) == 1 and versions[0].root else ""
    return Cover(
        str(newest.get("auditor") or ""),
        str(newest.get("organisation") or ""),
        str(newest.get("case_number") or ""),
        versions,
        command("verify", ws.audit.file.name, f"{only}{root}"),
    )


def _time(value: str | None) -> str:
    return value.replace("T", " ").replace("+00:00", " UTC") if value else NOT_RECORDED
