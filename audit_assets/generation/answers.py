"""What the answers of a model behind an API must agree with: the protocol's prompts and seeds, and the name that was asked for; and who passed them on."""

import re
from collections.abc import Sequence

import pandas as pd

from audit_assets.config import INDIRECT, Protocol
from audit_assets.generation.imitate import doubled
from audit_assets.generation.seeds import image_seed
from audit_assets.roster.normalise import names_in, tokens

CAME_THROUGH = "came through"
"""The reason of an image that a gateway passed on begins so; its name and version follow."""
_SURNAME = 3
"""A last name of this many letters or more identifies its artist without the first name."""


def seed_for(subject: str, text: str, trial: int, bits: int | None) -> int | None:
    """The seed that a server is sent: the lowest bits of the audit's own."""
    return None if bits is None else image_seed(subject, text, trial) & ((1 << bits) - 1)


def rewritten(revised: str | None, names: Sequence[str], called: str = "") -> bool:
    """Whether a server's own wording of a prompt no longer names the artist.

    It names the artist if it has all words of the name or an alias, one after the other or surname first, or the last name alone
    with a capital letter, or all words by which the model was asked for the artist (`called`). A house of weathered wood names no
    Grant Wood. A script without capital letters has no such rule.
    """
    if revised is None:
        return False
    whole: set[tuple[str, ...]] = {tuple(tokens(called))}
    last: set[tuple[str, ...]] = set()
    for name in names:
        own = tuple(tokens(name))
        whole |= {own, (*own[-1:], *own[:-1])}
        if len(own) > 1 and len(own[-1]) >= _SURNAME:
            last.add(own[-1:])
    capitals = " ".join(word for word in re.findall(r"\w+", revised) if not word[0].islower())
    return not _names(revised, whole) and not _names(capitals, last)


def _names(text: str, spellings: set[tuple[str, ...]]) -> bool:
    return bool(names_in(text, {" ".join(spelling): spelling for spelling in spellings}))


def passed_on(rows: pd.DataFrame) -> list[str]:
    """A note for each gateway that images of these rows came through: it may hide what its backend said of them."""
    reasons = rows.loc[rows["image_sha256"].notna(), "reason"].dropna().astype("str")
    found = reasons.str.extract(rf"^{CAME_THROUGH} ([^;]+)")[0].dropna()
    return [
        f"{count} image{'' if count == 1 else 's'} {CAME_THROUGH} {gateway}, a proxy that leaves out whether its backend filtered an image, and error codes; an image that was "
        "filtered may count as one that was made, so ask the backend itself if you can."
        for gateway, count in found.value_counts(sort=False).items()
    ]


def check_answers(rows: pd.DataFrame, protocol: Protocol, subject: str, bits: int | None) -> list[str]:
    """One sentence per problem of a subject's rows: images that were not asked for, and wrong seeds."""
    problems = doubled(rows, subject)
    templates = {*range(len(protocol.templates)), *({INDIRECT} & set(rows["template"]))}
    wanted = {(t, k) for t in templates for k in range(protocol.trials)}
    if missing := sorted(wanted - set(zip(rows["template"], rows["trial"], strict=True))):
        problems.append(f"{subject}: no row for (template, trial) {missing[0]}")
    texts = dict(enumerate(protocol.templates))
    for row in rows.to_dict("records"):
        text = texts.get(row["template"], str(row["prompt"]))
        seed = None if pd.isna(row["seed"]) else int(row["seed"])
        if row["status"] != "not_supplied" and seed != seed_for(subject, text, row["trial"], bits):
            problems.append(f"{subject}: the seed of ({row['template']}, {row['trial']}) is not the protocol's")
            break
    return problems
