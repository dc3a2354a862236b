"""The definition of "this caption names this artist". Every faster implementation must give the same result.

A text becomes words:

* HTML entities become the characters that they stand for.
* Each character is decomposed for compatibility and case-folded. Accents and characters that show nothing (soft hyphens,
  joiners, marks of direction) are removed, and so are the strokes that lengthen an Arabic word. FOLD folds letters without a
  decomposition. What transliterations write for a consonant or a soft sign without a letter of its own (half rings, the
  okina, primes) is an apostrophe. A possessive 's is dropped.
* A letter of a script that writes no space between words is a word of its own: 天野喜孝展 is five words. Korean belongs to
  these scripts, because it writes particles without a space after a name.
* Other letters and digits that touch each other are one word. Every other character separates.

The tokens of a name are its words; two to four letters in a row ("J. C.") are one token ("jc").

A caption contains a name if the name's tokens occur in its words one after the other. A token of two to four letters also
occurs if the caption writes its letters as single words ("J. C." for "JC"). Overlapping names all count. Each name counts
once per caption.
"""

import functools
import html
import itertools
import re
import unicodedata
from collections.abc import Iterable, Sequence
from html.entities import html5

FOLD = str.maketrans(
    {"ł": "l", "ø": "o", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i", "ħ": "h", "ŧ": "t", "ŋ": "n"}  # noqa: RUF001
)
APOSTROPHES = dict.fromkeys(
    map(
        ord,
        "\u2019\u2018\u201b\uff07`\u00b4\u2032"
        "\u02bb\u02bc\u02bd\u02be\u02bf\u02c0\u02c1\u02ee\u0559\ua78b\ua78c"  # okina, half rings, glottal stops, saltillo
        "\u02b9\u02ba\u02c8\u02ca\u02cb",  # primes, and what is written for them
    ),
    "'",
)
"""Unicode counts those of the last two lines as letters, but a name is written with them, with an apostrophe, or without."""
MOST_INITIALS = 4
"""More single letters in a row are no initials ("A B C D E")."""

_UNSPACED = (
    (0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1100, 0x115E), (0x1780, 0x17FF), (0x1950, 0x19DF), (0x1A20, 0x1AAF),
    (0x1B00, 0x1B7F), (0x2E80, 0x2FDF), (0x3005, 0x3007), (0x3021, 0x3029), (0x3038, 0x312F), (0x31A0, 0x31FF),
    (0x3400, 0x4DBF), (0x4E00, 0xA4CF), (0xA960, 0xA97C), (0xA980, 0xA9FF), (0xAA60, 0xAADF), (0xF900, 0xFAFF),
    (0x11700, 0x1174F), (0x16FE0, 0x18DFF), (0x1AFF0, 0x1B2FF), (0x20000, 0x3FFFF),
)  # fmt: skip
"""Code points of scripts without spaces: Thai, Lao, Burmese, Korean, Khmer, Tai, Balinese, Javanese, Chinese, Japanese, Yi, Tangut."""
_WITHIN = ((0x1161, 0x11FF), (0xD7B0, 0xD7FB))
"""Vowels and finals of Korean syllables. They continue the word that the syllable's first consonant begins."""
_SHOW_NOTHING = (
    (0x034F, 0x034F), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x3164, 0x3164), (0xFE00, 0xFE0F),
    (0xFFA0, 0xFFA0), (0xE0000, 0xE0FFF),
)  # fmt: skip
"""Default-ignorable code points beside those of category Cf."""
_LENGTHENING = "\u0640\u07fa\u180a"
"""Strokes that make a word of Arabic, N'Ko or Mongolian longer and no other word: tatweel, lajanyalan, nirugu."""


def _among(code: int, ranges: Iterable[tuple[int, int]]) -> bool:
    return any(first <= code <= last for first, last in ranges)


def shows_nothing(character: str) -> bool:
    """Whether a reader sees nothing of this character: soft hyphen, zero-width space, joiner, variation selector, mark of direction."""
    return unicodedata.category(character) == "Cf" or _among(ord(character), _SHOW_NOTHING)


@functools.cache
def continues(character: str) -> bool:
    """Whether a folded character belongs to the letter before it: a vowel sign, a voicing mark of Japanese, a part of a Korean syllable.

    Accents do not: they are removed. Characters with these two combining classes are never reordered by a decomposition.
    """
    return _among(ord(character), _WITHIN) or (
        unicodedata.category(character) in ("Mn", "Mc") and unicodedata.combining(character) in (0, 8)
    )


@functools.cache
def stands_alone(character: str) -> bool:
    """Whether a folded letter begins a word of its own, because its script writes no space between words."""
    return _among(ord(character), _UNSPACED) and not continues(character)


@functools.cache
def removed(character: str) -> bool:
    """Whether a decomposed character is dropped: an accent, an enclosing mark, a stroke that lengthens, or one that shows nothing."""
    return (
        shows_nothing(character)
        or character in _LENGTHENING
        or (unicodedata.category(character) in ("Mn", "Mc", "Me") and not continues(character))
    )


_ENTITY = re.compile(
    r"&(?:amp;)*(#[0-9]{1,7}(?:;|(?![0-9]))|#[xX][0-9a-fA-F]{1,6};|[A-Za-z][A-Za-z0-9]{1,31}(?:;|(?![^\W_]|[;\u0345])))"
)
"""U+0345 is the only mark that folds to a letter."""


def unescaped(text: str) -> str:
    """`text` with the characters that HTML entities stand for, also if they were escaped twice (`&amp;#39;`).

    A name without a semicolon counts only if HTML knows it so and no letter follows: `&amp George`, but not `&degas`.
    Behind an escaped `&` that no entity follows, the rest stays: `&amp;Sons` is `&Sons`.
    """
    return _ENTITY.sub(_character, text) if "&" in text else text


def _character(entity: re.Match[str]) -> str:
    known = entity[1] in html5 or entity[1].startswith("#")
    return html.unescape(f"&{entity[1]}") if known else f"&{entity[1]}"


def folded(text: str) -> str:
    """`text` in the letters that are compared, before the possessive rule. Each character is folded on its own."""
    return "".join(map(_folded, text.translate(APOSTROPHES)))


@functools.cache
def _folded(character: str) -> str:
    """One character in the letters that are compared. A whole text would be reordered: the mark U+0345 folds to a letter."""
    text = unicodedata.normalize("NFKD", character).casefold()
    text = unicodedata.normalize("NFKD", text)  # case folding can compose characters again
    return "".join(c for c in text if not removed(c)).translate(FOLD | APOSTROPHES)


def words(text: str) -> list[str]:
    """The words of a caption. White space always separates: they are the words of its pieces, in order."""
    found: list[str] = []
    before = ""  # the last letter, if the next one may touch it
    for character in _POSSESSIVE.sub(_within_a_word, folded(unescaped(text))):
        if continues(character):
            if before:
                found[-1] += character
        elif not character.isalnum():
            before = ""
        elif before and not stands_alone(before) and not stands_alone(character):
            found[-1] += character
        else:
            found.append(character)
            before = character
    return found


_POSSESSIVE = re.compile("'s(?=(.?))", re.DOTALL)


def _within_a_word(found: re.Match[str]) -> str:
    """The 's that is no possessive, because its word goes on."""
    after = found[1]
    goes_on = after != "" and (after == "_" or continues(after) or (after.isalnum() and not stands_alone(after)))
    return found[0] if goes_on else ""


def tokens(text: str) -> list[str]:
    """The tokens of a name: its words, with two to four single letters in a row as one token."""
    return joined(words(text))


def joined(row: Iterable[str]) -> list[str]:
    """`row` with two to four single letters in a row as one token."""
    found: list[str] = []
    for single, run in itertools.groupby(row, is_initial):
        letters = list(run)
        found += ["".join(letters)] if single and 1 < len(letters) <= MOST_INITIALS else letters
    return found


@functools.cache
def is_initial(word: str) -> bool:
    """Whether the word is one letter, of a script that writes words of several letters."""
    return len(word) == 1 and word.isalpha() and not stands_alone(word)


def spelled(token: str) -> bool:
    """Whether a caption may write the token letter by letter ("J. C." for "jc")."""
    return 2 <= len(token) <= MOST_INITIALS and all(map(is_initial, token))


def end_of(name: Sequence[str], row: Sequence[str], at: int) -> int:
    """The place after the tokens of `name` in the words `row` if they stand there from place `at` on, else -1."""
    for token in name:
        if at < len(row) and row[at] == token:
            at += 1
        elif row[at : at + len(token)] == list(token) and spelled(token):
            at += len(token)
        else:
            return -1
    return at


def names_in(caption: str, names: dict[str, tuple[str, ...]]) -> set[str]:
    """The keys of `names` (key -> its tokens) that `caption` names."""
    row = words(caption)
    places: dict[str, list[int]] = {}
    for at, word in enumerate(row):
        places.setdefault(word, []).append(at)
    return {
        key
        for key, name in names.items()
        if name and any(end_of(name, row, at) >= 0 for start in {name[0], name[0][0]} for at in places.get(start, ()))
    }
