"""What somebody does who wants evidence to say something else: flip bits, or write everything anew so that it agrees."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from audit_assets.evidence.cover import stamp
from audit_assets.evidence.manifest import Manifest, manifest_file, manifest_text, read_manifest, root_hash, stored_file
from audit_assets.evidence.verify import Check, verify
from audit_assets.workspace import Workspace

MODEL = "miniature-1"
FILES = (
    "manifest",
    "audit file and protocol",
    "tables",
    "imitations",
    "real works",
    "report, artists' pages and figures",
    "cover blocks",
    "database file",
    "caption files",
    "files of model and encoders",
)
"""The checks that only read files, in their order: they come first, and take a fraction of a second."""


def workspace_of(config: Path) -> Workspace:
    return Workspace.open(config)


def read(config: Path) -> Manifest:
    return read_manifest(manifest_file(workspace_of(config).warehouse, MODEL))


def files_checked(config: Path) -> list[Check]:
    checks = verify(workspace_of(config), MODEL)
    return [check for _, check in zip(FILES, checks, strict=False)]


def findings(checks: list[Check]) -> list[str]:
    return [line for check in checks for line in check.findings]


@contextmanager
def flipped(file: Path, byte: int, bit: int = 0) -> Iterator[None]:
    """One bit of a file, put back afterwards."""
    content = file.read_bytes()
    changed = bytearray(content)
    changed[byte] ^= 1 << bit
    file.write_bytes(changed)
    try:
        yield
    finally:
        file.write_bytes(content)


def forge_manifest(config: Path, change: Callable[[dict[str, Any]], object] = lambda content: None) -> None:
    """A manifest that agrees with the files as they are now, and with `change`: what only the root hash, or computing again, betrays."""
    root = workspace_of(config).warehouse.root
    content = json.loads(manifest_file(workspace_of(config).warehouse, MODEL).read_text())
    for file in (*content["tables"], *content["report"]):
        file.update(stored_file(root, file["path"]))
    content["database"].update(stored_file(root, "audit.duckdb"))
    change(content)
    content["root"] = root_hash(content)
    forged = Manifest.model_validate(content)
    manifest_file(workspace_of(config).warehouse, MODEL).write_text(manifest_text(forged))
    stamp(workspace_of(config))
