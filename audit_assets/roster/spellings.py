"""Other spellings of a name, made by stated rules, so that a control name is respelt exactly as an artist's name is."""

import hashlib
import unicodedata
from collections.abc import Collection, Iterator

from anyascii import anyascii

from audit_assets.roster.normalise import tokens

SHORTEST = 3
"""Letters of a word that may be misspelt. A shorter word becomes another word."""


def misspelt(name: str, *, seed: int, taken: Collection[tuple[str, ...]] = ()) -> str | None:
    """The name with one error of a typist: two neighbouring letters exchanged, or one letter lost.

    The first letter of a word stays. ``seed`` and the name decide by a hash first which of the two errors it is, and then
    where. A letter is taken with its marks. The result has other tokens than the name, and none of ``taken`` (the tokens of other names).
    None if no word has SHORTEST letters, or if every error gives a name that is taken.
    """
    name = unicodedata.normalize("NFC", name)
    drawn = hashlib.sha256(f"{seed}\0{name}".encode("utf-8", "surrogatepass")).digest()
    kinds = [list(dict.fromkeys(found)) for found in (_exchanged(name), _lost(name))]
    if drawn[0] % 2:
        kinds.reverse()
    for found in kinds:
        usable = [one for one in found if tokens(one) and _other(one, name) and tuple(tokens(one)) not in taken]
        if usable:
            return usable[int.from_bytes(drawn[1:9], "big") % len(usable)]
    return None


def transliterated(name: str) -> str:
    """The name in letters of ASCII, by the table of anyascii. A name of such letters stays as it is."""
    return " ".join(anyascii(unicodedata.normalize("NFC", name)).split())


def _other(one: str, name: str) -> bool:
    return tuple(tokens(one)) != tuple(tokens(name))


def _exchanged(name: str) -> Iterator[str]:
    for before, letters, after in _words(name):
        for i in range(1, len(letters) - 1):
            yield before + "".join([*letters[:i], letters[i + 1], letters[i], *letters[i + 2 :]]) + after


def _lost(name: str) -> Iterator[str]:
    for before, letters, after in _words(name):
        for i in range(1, len(letters)):
            yield before + "".join([*letters[:i], *letters[i + 1 :]]) + after


def _words(name: str) -> Iterator[tuple[str, list[str], str]]:
    """Each run of SHORTEST letters or more, with what stands before and after it."""
    letters: list[str] = []
    for c in name:
        if letters and unicodedata.category(c)[0] == "M":
            letters[-1] += c
        else:
            letters.append(c)
    start = 0
    for end in range(len(letters) + 1):
        if end < len(letters) and letters[end][0].isalpha():
            continue
        if end - start >= SHORTEST:
            yield "".join(letters[:start]), letters[start:end], "".join(letters[end:])
        start = end + 1
