"""What to ask a model that has no API, in which order, and under which name to save each image.

A person asks by hand and saves what comes. The name of a file says which prompt it answers, by a hash of the prompt, so that
the folder is read as it is, and an image in the wrong folder is noticed.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from audit_assets.config import INDIRECT, Protocol
from audit_assets.errors import InputError
from audit_assets.hashing import digest
from audit_assets.roster.arms import Asked

ORIGIN = "file name of the prompt sheet"
_NAME = re.compile(r"prompt-(?:\d+|described)-image-\d+-([0-9a-f]{8})(?![0-9a-f])", re.I)


class Line(NamedTuple):
    """One image to ask for."""

    number: int
    prompt: str
    folder: str
    file: str
    """The name of the file without its suffix. The suffix follows from the format that the model saves."""


def lines(asked: Mapping[str, tuple[str, str]], protocol: Protocol) -> list[Line]:
    """Every image that the protocol asks for, by subject -> (what stands in prompts for the name, indirect prompt).

    Each round has one image of every prompt, in an order that is drawn anew, so that artists and control names alternate and a
    collection that ends early has as many images of each. The same audit has the same order.
    """
    return _in_rounds(
        (subject, template, prompt, trial)
        for subject, names in asked.items()
        for template, (prompt, _) in protocol.wordings(*names).items()
        for trial in range(protocol.trials)
    )


def arm_lines(asked: Mapping[str, Sequence[Asked]], protocol: Protocol) -> list[Line]:
    """Every image that the arms of the protocol ask for, by arm; the folders are `<arm>/<subject>`.

    An arm that gives the model a work is not on the sheet, because a saved image does not say which work that was.
    """
    return _in_rounds(
        (f"{arm.name}/{one.subject}", template, prompt, trial)
        for arm in protocol.arms
        for one in asked[arm.name]
        if not one.uploads
        for template, prompt in enumerate(one.prompts)
        for trial in range(arm.trials)
    )


def _in_rounds(images: Iterable[tuple[str, int, str, int]]) -> list[Line]:
    """The images, (folder, template, prompt, trial), one round after the other."""
    wanted = list(images)
    wanted.sort(key=lambda one: (one[3], digest([one[0], one[1], one[3]])))
    return [
        Line(number, prompt, subject, file_name(template, trial, prompt))
        for number, (subject, template, prompt, trial) in enumerate(wanted, 1)
    ]


def table(found: Iterable[Line]) -> pd.DataFrame:
    return pd.DataFrame(found, columns=list(Line._fields))


def file_name(template: int, trial: int, prompt: str) -> str:
    which = "described" if template == INDIRECT else str(template + 1)
    return f"prompt-{which}-image-{trial + 1:02d}-{_hash(prompt)}"


def answered(stem: str, prompts: Iterable[str]) -> str | None:
    """The prompt that a file answers by its name, of a subject's `prompts`. None if its name is not from a sheet.

    InputError if it answers a prompt of another subject, or of another protocol.
    """
    found = _NAME.search(stem)
    if found is None:
        return None
    prompt = next((p for p in prompts if _hash(p) == found[1].lower()), None)
    if prompt is None:
        raise InputError(
            "its name says that it answers a prompt that this name is not asked with; move it to its own folder (see the prompt sheet), or rename it."
        )
    return prompt


def subjects_answered(stem: str, prompts: Mapping[str, Iterable[str]]) -> list[str] | None:
    """The subjects whose prompt a file answers by its name, by subject -> prompts. None if its name is not from a sheet."""
    found = _NAME.search(stem)
    if found is None:
        return None
    return [subject for subject, own in prompts.items() if found[1].lower() in map(_hash, own)]


def _hash(prompt: str) -> str:
    return hashlib.sha256(prompt.encode()).hexdigest()[:8]
