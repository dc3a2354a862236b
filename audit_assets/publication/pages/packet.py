"""The page of one human rater: questions, pictures and a script that saves the answers, in one file that needs no network.

Nothing in it says which picture is which: no name, no file name, no hash, and no metadata. Both pictures of a question are written in the same way.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from markupsafe import Markup

from audit_assets.publication.pages.page import TEMPLATES, Load, render, thumbnail, write
from audit_assets.results.rating_questions import SIDES

SIZE = 384
"""Pixels of a picture."""


def write_packet(rows: pd.DataFrame, load: Load, folder: Path) -> Path:
    """Write the page of one rater, ``rater-<n>.html``. ``rows``: the rater's rows of `rating_questions`."""
    own = rows.sort_values("position")
    return write(folder / f"rater-{int(own['rater'].iloc[0])}.html", packet_page(own, load))


def packet_page(rows: pd.DataFrame, load: Load) -> str:
    """The page. Pictures are numbered in an order that says nothing about them."""
    packet = str(rows["packet"].iloc[0])
    hashes = sorted({*rows["image_sha256"], *rows["other_sha256"], *(w for works in rows["works"] for w in works)})
    order = np.random.default_rng(int(packet, 16)).permutation(len(hashes))
    number = {hashes[at]: place for place, at in enumerate(order)}
    questions = [_question(row, number) for row in rows.to_dict("records")]
    # One picture at a time: a packet of hundreds of questions needs no more memory than its own text.
    pictures = [thumbnail(load(hashes[at]), "", SIZE, quality=85).source for at in order]
    script = (TEMPLATES / "packet.js").read_text(encoding="utf-8")
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    content = json.dumps({"packet": packet, "questions": questions, "pictures": pictures})
    return render(
        "packet.html.j2",
        questions=questions,
        content=Markup(content),
        script=Markup(script),
        allowed=f"sha256-{allowed}",
    )


def _question(row: dict[object, object], number: dict[str, int]) -> dict[str, object]:
    sides: Sequence[str] = SIDES if row["image_side"] == SIDES[0] else SIDES[::-1]
    works: Sequence[str] = row["works"]  # type: ignore[assignment]
    shown = {sides[0]: number[str(row["image_sha256"])], sides[1]: number[str(row["other_sha256"])]}
    return {"above": [number[str(work)] for work in works], **{side: shown[side] for side in SIDES}}
