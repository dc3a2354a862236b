"""Name parts: the tokens by which one name can be mistaken for another.

A control that carries a surname of an artist can *be* that artist to a text encoder, so controls are screened by part
and not only by whole name. An initial (one ASCII letter) identifies nobody and is no part; one Han character can be a
surname.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable

from audit_assets.roster.normalise import tokens


def name_parts(name: str) -> frozenset[str]:
    """The tokens of `name` that could identify a person."""
    return frozenset(token for token in tokens(name) if len(token) > 1 or not token.isascii())


def parts_of(names: Iterable[str]) -> frozenset[str]:
    """Every part of every name."""
    return frozenset().union(*map(name_parts, names))


def shares_name_parts(name: str, artists: Iterable[str]) -> bool:
    """Whether `name` has a part in common with any of `artists`."""
    own = name_parts(name)
    return any(not own.isdisjoint(name_parts(artist)) for artist in artists)


def word_count(name: str) -> int:
    """Words of a name as people write it, at most four: the apostrophe of O'Keeffe makes it no longer."""
    return min(len(name.split()), 4)


def script(name: str) -> str:
    """The script of most of the name's letters, by their Unicode names: LATIN, CYRILLIC, CJK; empty without letters."""
    scripts = Counter(unicodedata.name(letter, "").partition(" ")[0] for letter in name if letter.isalpha())
    return scripts.most_common(1)[0][0] if scripts else ""
