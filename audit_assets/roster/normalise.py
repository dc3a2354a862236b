"""The reference for "this caption names this artist": what every faster implementation must equal.

A text becomes tokens: compatibility-decomposed, case-folded, marks stripped, letters without a decomposition folded
by FOLD, a possessive 's dropped; every other character that is not a letter or a digit separates. A name is in a
caption when its tokens occur there in a row. Overlapping names all count; each name counts once a caption.
"""

import re
import unicodedata

FOLD = str.maketrans(
    {"ł": "l", "ø": "o", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i", "ħ": "h", "ŧ": "t", "ŋ": "n"}  # noqa: RUF001
)
_APOSTROPHES = dict.fromkeys(map(ord, "\u2019\u2018\u02bc\uff07`\u00b4"), "'")
_POSSESSIVE = re.compile(r"'s\b")


def tokens(text: str) -> list[str]:
    text = unicodedata.normalize("NFKD", text.translate(_APOSTROPHES)).casefold()
    text = unicodedata.normalize("NFKD", text)  # folding case can compose anew
    text = "".join(c for c in text if not unicodedata.combining(c)).translate(FOLD)
    text = _POSSESSIVE.sub("", text)
    return "".join(c if c.isalnum() else " " for c in text).split()


def names_in(caption: str, names: dict[str, tuple[str, ...]]) -> set[str]:
    """Keys of `names` (key -> its tokens) that `caption` names."""
    row = tokens(caption)
    return {
        key
        for key, name in names.items()
        if name and any(tuple(row[i : i + len(name)]) == name for i in range(len(row) - len(name) + 1))
    }
