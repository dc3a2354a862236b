"""Images that were withheld show nothing of what the model can draw, so they must not decide against an imitation.

A safety checker replaced them, a server refused them or rewrote their prompt, or a call failed. A `no` that they could have
overturned becomes `could not be tested`, and an answer without images says that they were withheld.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from audit_assets.measurement.answers import NO, UNTESTED, YES, Finding
from audit_assets.warehouse.images import WITHHELD
from audit_assets.workspace import Workspace

_SAID = {
    "blocked": "the model's safety checker replaced {}",
    "refused": "the server refused {}",
    "rewritten": "the server rewrote the prompt, so that it no longer names the artist, of {}",
    "failed": "the server gave no usable image for {}",
}
_SETTLE = {
    "blocked": "Images that the safety checker does not replace: audit the model with `settings: {safety_checker: false}`.",
    "refused": "Images that the server does not refuse: another wording of the prompt, or access without its filter.",
    "rewritten": "Images of the prompt as it was sent: a setting of the server, or access without its rewriting.",
    "failed": "The images that failed: the next run asks for them again.",
}


@dataclass(frozen=True)
class Withheld:
    """How many of the images that were asked for by a subject's name were withheld, by status, and how many others are evidence.

    ``shown`` counts the images that show something and are no near copies of a work, which count in neither experiment.
    """

    counts: dict[str, int]
    shown: int
    asked: int

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    def __str__(self) -> str:
        said = [_SAID[status].format(f"{n} of {self.asked}") for status, n in self.counts.items()]
        text = "; ".join(said)
        return text[:1].upper() + text[1:]

    @property
    def settle(self) -> str:
        return " ".join(_SETTLE[status] for status in self.counts)


def withheld_of(statuses: Sequence[str], copies: int = 0) -> Withheld:
    """Count the statuses of the images that were asked for by one name. ``copies``: how many of the shown ones are near copies of a work."""
    found = list(statuses)
    counts = {status: n for status in WITHHELD if (n := found.count(status))}
    return Withheld(counts, found.count("ok") - copies, sum(s not in ("not_supplied", "copy") for s in found))


def statuses_of(ws: Workspace, model: str) -> dict[str, list[str]]:
    """Return the statuses of the images that the name of each subject was asked for."""
    rows = ws.warehouse.read_all([f"imitations/{model}/{s}" for s in ws.prompted()])
    return {str(s): own.tolist() for s, own in rows[rows["template"] >= 0].groupby("subject")["status"]}


def identified_but_for(finding: Finding | None, at_best: object, found: Withheld) -> Finding | None:
    """The first answer: `no` only if it would be `no` even if every image that was withheld were identified.

    ``at_best``: the answer in that case, by the same test at the larger number of images; missing if nothing was withheld.
    """
    if finding is None or finding.answer != NO:
        return _explained(finding, found)
    return _untested(finding, found) if at_best == YES else finding


def matched_but_for(finding: Finding | None, found: Withheld) -> Finding | None:
    """The second answer: `no` only if more images are shown than withheld, since likeness is judged by the average image."""
    if finding is None or finding.answer != NO:
        return _explained(finding, found)
    return _untested(finding, found) if found.total and found.total >= found.shown else finding


def _explained(finding: Finding | None, found: Withheld) -> Finding | None:
    """An answer that could not be tested says that images were withheld, since that may be why."""
    if finding is None or finding.answer == YES or not found.total:
        return finding
    return replace(finding, reason=f"{found}. {finding.reason}", settle=f"{found.settle} {finding.settle}")


def _untested(finding: Finding, found: Withheld) -> Finding:
    said = f"{found}, and the other images do not suffice for a no."
    return replace(finding, answer=UNTESTED, reason=f"{said} Without them: {finding.reason}", settle=found.settle)
