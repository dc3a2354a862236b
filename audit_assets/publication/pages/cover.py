"""The block of every page that says who made the audit, of what, when, and how to check it.

Its facts come from the manifests (`evidence/cover.py`), so the database and the hash of a page do not depend on them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from audit_assets.publication.pages.page import render

NOT_RECORDED = "not recorded"


@dataclass(frozen=True)
class Version:
    """One model version. Times are in UTC, to the second. ``root`` is empty if no manifest of what the page shows exists."""

    name: str
    revision: str
    first_image: str
    last_image: str
    measured: str
    reported: str
    root: str
    software: str


@dataclass(frozen=True)
class Cover:
    """``check``: the command that checks the page."""

    auditor: str
    organisation: str
    case: str
    versions: Sequence[Version]
    check: str


def block(cover: Cover) -> str:
    return render("cover.html.j2", cover=cover).strip()
