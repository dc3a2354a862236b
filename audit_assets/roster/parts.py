"""Names and their parts. A part is a word by which one name can be mistaken for another.

If a control has the surname of an artist, a text encoder can take it for that artist. Controls are therefore compared by
part and not only by whole name. An initial (one ASCII letter) identifies no person and is not a part. Letters without a
space between them are one part in every script (山田太郎), because most single characters are shared by many names. One Han
character that stands alone can be a surname and is a part.
"""

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from audit_assets.roster.normalise import joined, stands_alone, tokens, words


def pieces_of(name: str) -> list[str]:
    """The words of `name` as people write it: letters of scripts without spaces that touch each other are one."""
    found: list[str] = []
    for written in name.split():
        for alone, run in itertools.groupby(words(written), lambda word: stands_alone(word[0])):
            own = list(run)
            found += ["".join(own)] if alone else own
    return found


def parts_in_any_order(name: str) -> tuple[str, ...]:
    """The parts of a name, sorted. The marks by which people separate them in the name of a folder are spaces."""
    return tuple(sorted(joined(pieces_of(re.sub(r"[_.,\uff0c\u3001\u30fb-]", " ", name)))))


def name_parts(name: str) -> frozenset[str]:
    """The pieces of `name` that could identify a person."""
    return frozenset(piece for piece in pieces_of(name) if len(piece) > 1 or not piece.isascii())


def unread(name: str, text: str, lost: str) -> bool:
    """Whether a tokenizer reads no word of a name in a text. `lost` has the words of the text that it does not read."""
    own, said, not_read = (Counter(words(one)) for one in (name, text, lost))
    return bool(own) and all(0 < said[word] <= not_read[word] for word in own)


def parts_of(names: Iterable[str]) -> frozenset[str]:
    """Every part of every name."""
    return frozenset().union(*map(name_parts, names))


def shares_name_parts(name: str, artists: Iterable[str]) -> bool:
    """Whether `name` shares a part with any of `artists`."""
    own = name_parts(name)
    return any(not own.isdisjoint(name_parts(artist)) for artist in artists)


def countable(names: Mapping[str, Sequence[str]]) -> tuple[dict[str, tuple[str, ...]], dict[str, str]]:
    """(`names` without the spellings that cannot be counted, key -> why some of its spellings were refused).

    A spelling without letters or digits occurs in no caption. A single letter occurs in nearly every caption, and a single
    character of a script without spaces occurs within other words. If all spellings of a key are refused, the key keeps none and the scan does not count it. The other keys are not affected.
    """
    accepted, refused = {}, {}
    for key, own in names.items():
        spelled = {name: tokens(name) for name in own}
        empty = [name for name, spelling in spelled.items() if not spelling]
        letters = [name for name, spelling in spelled.items() if len(spelling) == 1 and _is_one_letter(spelling[0])]
        accepted[key] = tuple(name for name in spelled if name not in empty and name not in letters)
        reasons = [f"{name!r} has no letter or digit" for name in empty]
        reasons += [f"{name!r} is one letter, which captions are full of" for name in letters]
        if reasons or not own:
            refused[key] = "; ".join(reasons or ["it has no name"]) + "; list a longer name or alias"
    return accepted, refused


def _is_one_letter(token: str) -> bool:
    return stands_alone(token[0]) or (len(token) == 1 and token.isascii())


def word_count(name: str) -> int:
    """The number of words of a name as people write it, at most four. The apostrophe of O'Keeffe starts no new word."""
    return min(len(name.split()), 4)
