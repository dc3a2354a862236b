"""A printable page of what to ask a model that has no API: one line per image, with a box to tick."""

from collections.abc import Sequence
from typing import Any

from audit_assets.publication.pages.page import render


def prompts_page(lines: Sequence[Any], protocol: str, images: str) -> str:
    """The page. ``lines`` have number, prompt, folder and file; ``images`` is the folder of the artists' folders."""
    return render("prompts.html.j2", lines=lines, protocol=protocol, images=images)
