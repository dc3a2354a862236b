"""A safety checker's images show nothing of what the model can draw, so they must not decide against an imitation.

A `no` that the blocked images could have overturned becomes `could not be tested`.
"""

from dataclasses import replace

import pandas as pd

from audit_assets.config import INDIRECT, EncoderEntry
from audit_assets.measurement.answers import NO, UNTESTED, Finding
from audit_assets.workspace import Workspace

SETTLE = "Images that the safety checker does not replace: audit the model with `settings: {safety_checker: false}`."


def blocked_and_shown(ws: Workspace, encoder: EncoderEntry, model: str, subject: str) -> tuple[int, int]:
    """Return how many of a subject's images the model's safety checker replaced, and how many show something."""
    table = f"imitation_embeddings/{encoder.name}/{model}/{subject}"
    rows = ws.warehouse.read(table, ["template", "status"])
    statuses = rows.loc[rows["template"] != INDIRECT, "status"]
    return int((statuses == "blocked").sum()), int((statuses == "ok").sum())


def identified_but_for(finding: Finding, name: pd.Series, blocked: int) -> Finding:
    """The first answer: `no` only if it would be `no` even if every blocked image were identified.

    ``name``: the subject's row of `name_controls`, with `needed` as the smallest number of the `shown` images that passes.
    """
    shown, needed = int(name["shown"]), name["needed"]
    overturned = (
        bool(shown) and not pd.isna(needed) and (name["identified"] + blocked) * shown >= needed * (shown + blocked)
    )
    return _untested(finding, blocked, shown) if blocked and overturned else finding


def matched_but_for(finding: Finding, blocked: int, shown: int) -> Finding:
    """The second answer: `no` only if more images are shown than blocked, since likeness is judged by the average image."""
    return _untested(finding, blocked, shown) if blocked and blocked >= shown else finding


def _untested(finding: Finding, blocked: int, shown: int) -> Finding:
    if finding.answer != NO:
        return finding
    said = f"The model's safety checker replaced {blocked} of {blocked + shown} images, and the others do not suffice for a no."
    return replace(finding, answer=UNTESTED, reason=f"{said} Without them: {finding.reason}", settle=SETTLE)
