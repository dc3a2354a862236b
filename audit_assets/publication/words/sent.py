"""What a model was given, in sentences: the prompts that ask for artists, and what was sent beside them.

Prompts and settings are those that the database records as sent. What else those who drew supplied images gave the model is not known,
so no sentence claims that it was nothing.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from audit_assets.publication.words.numbers import counted, isolated
from audit_assets.roster.normalise import words

SUPPLIED = "image_folder"
NEGATIVE = "negative_prompt"
SHOWN_TEMPLATES = 3
_NO_WORDS = {"model", "size", "response_format", "output_format", "seed_bits"}
"""Texts among the settings of a served model that say which model and which file is wanted."""


def in_place_of_name(prompt: str, name: str) -> bool:
    """Whether a prompt does not contain the name, as captions contain it (`roster.normalise`)."""
    return name not in prompt and f" {' '.join(words(name))} " not in f" {' '.join(words(prompt))} "


def besides(version: Mapping[Any, Any]) -> str:
    """What the model was given beside its prompts, as one sentence or two. ``version``: a row of `model_versions`."""
    if version["source"] == SUPPLIED:
        return (
            "These images were supplied: the audit has words and seeds from those who drew them. It does not know what else the model was "
            "given, such as a negative prompt."
        )
    said = version["generation_settings"]
    if not isinstance(said, str):
        return "The database does not record what else the audit sent."
    return _of_settings(json.loads(said), served=version["source"] == "api")


def _of_settings(settings: Mapping[str, Any], *, served: bool) -> str:
    negative = settings.get(NEGATIVE)
    parts = (
        [f"the negative prompt “{isolated(negative)}”, which says what images should not show"]
        if isinstance(negative, str) and negative.strip()
        else []
    )
    if served:  # a setting of a server can be words that its model reads
        parts += [
            f"the setting {name} “{isolated(value)}”"
            for name, value in settings.items()
            if isinstance(value, str) and value.strip() and name not in {NEGATIVE, *_NO_WORDS}
        ]
    sent = f"With each prompt the audit sent {' and '.join(parts)}." if parts else "The audit sent no other words."
    return f"{sent} What the server adds to them is not known." if served else sent


def lead(
    prompts: pd.DataFrame, templates: Sequence[str], version: Mapping[Any, Any], *, one: str | None = None
) -> list[str]:
    """How a model version was asked for the artists of a report.

    ``prompts``: columns name and prompt, one row per artist and prompt that asks for the artist. ``templates``: of the protocol.
    ``version``: its row of `model_versions`. ``one``: the name of the only artist.
    """
    beside = besides(version)
    if version["source"] == SUPPLIED:
        return [beside]
    asked = prompts.dropna(subset=["prompt"])
    if asked.empty:
        return ["The database does not record with which words the model was asked."]
    written = {template.replace("{name}", name) for name in asked["name"] for template in templates}
    other = asked[~asked["prompt"].isin(written)].drop_duplicates("name")
    lacks = [in_place_of_name(prompt, name) for prompt, name in zip(other["prompt"], other["name"], strict=True)]
    instead, more = other[lacks], other[[not one for one in lacks]]
    said = []
    if as_written := asked["name"].nunique() - len(other):
        shown = [f"“{t if one is None else t.replace('{name}', isolated(one))}”" for t in templates[:SHOWN_TEMPLATES]]
        shown += [f"{len(templates) - len(shown)} further prompts"] if len(templates) > len(shown) else []
        who = "the artist" if one else counted(as_written, "artist") if len(other) else "each artist"
        of = "" if one else ", where {name} is the artist's name"
        said.append(f"The model was asked for {who} with the words {' and '.join(shown)}{of}.")
    if len(more):
        said.append(f"{_whom(more, one)} the audit file adds words to the name: {_first(more)}.")
    if len(instead):
        said.append(
            f"{_whom(instead, one)} the audit file has other words in place of the name: {_first(instead)}. "
            "What this report says of such a name was found with these words."
        )
    return [*said, beside]


def _whom(found: pd.DataFrame, one: str | None) -> str:
    return "For the artist," if one else f"For {counted(len(found), 'artist')},"


def _first(found: pd.DataFrame) -> str:
    name, prompt = found.iloc[0][["name", "prompt"]]
    return f"the model was asked for {isolated(name)} with “{isolated(prompt)}”"
