"""How a model is asked for an artist: by the artist's name, or by the words that the model was taught for the artist.

A DreamBooth model, an adapter with a trigger word and a textual inversion embedding know an artist under another word than the name. Only
prompts use that word. Labels, tables and pages keep the artist's name.
"""

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from audit_assets.config import Audit, ModelEntry
from audit_assets.errors import InputError
from audit_assets.roster.normalise import tokens


def called(audit: Audit, entry: ModelEntry | None, name: str, own: str = "") -> str:
    """What stands in a prompt in place of {name}. `own` is the subject's prompt_name in the table of artists; control names have none.

    The model's entry decides before the table. Words around {name} are for every subject, control names included, because then
    prompts differ in the name alone. Words in place of a name are for that artist alone.
    """
    said = None if entry is None else entry.prompt_name
    if isinstance(said, str) and ("{name}" in said or (audit.artist is not None and audit.artist.name == name)):
        return said.replace("{name}", name)
    if isinstance(said, Mapping):
        for spelt, words in said.items():
            if tokens(spelt) == tokens(name):
                return words.replace("{name}", name)
    return own or name


def check_prompt_names(audit: Audit, entry: ModelEntry, artists: pd.DataFrame) -> None:
    """InputError if the entry names an artist that no row has, or if the model would be asked for two artists by the same words."""
    asked = artists[artists["kind"] != "background"]
    known = {tuple(tokens(str(name))) for name in asked["name"]}
    if isinstance(entry.prompt_name, Mapping):
        for name in entry.prompt_name:
            if tuple(tokens(name)) not in known:
                raise InputError(
                    f"{audit.file}, model {entry.name!r}, prompt_name: {name!r} is the name of no artist; write the name as in the table of artists."
                )
    first: dict[tuple[str, ...], str] = {}
    for name, words in spoken(audit, entry, asked):
        other = first.setdefault(tuple(tokens(words)), name)
        if other != name:
            raise InputError(
                f"{audit.file}, model {entry.name!r}, prompt_name: {words!r} stands for {other!r} and for {name!r}; the images of one would be "
                "those of the other. Give each artist words of their own."
            )


def spoken(audit: Audit, entry: ModelEntry, artists: pd.DataFrame) -> list[tuple[str, str]]:
    """(name, what the model is asked for) of each row."""
    own = artists["prompt_name"] if "prompt_name" in artists else pd.Series("", artists.index)
    return [(str(n), called(audit, entry, str(n), str(o))) for n, o in zip(artists["name"], own, strict=True)]


def unspoken(words: Sequence[str], prompts: Iterable[str]) -> list[str]:
    """The words that no prompt contains."""
    prompts = list(prompts)
    return [word for word in words if not any(word in prompt for prompt in prompts)]
