"""The definition of "this caption names this artist". Every faster implementation must give the same result.

A text becomes tokens. It is decomposed for compatibility and case-folded, and its marks are removed. FOLD folds letters
without a decomposition. A possessive 's is dropped. Every other character that is not a letter or a digit separates tokens.
A caption contains a name if the name's tokens occur in it one after the other. Overlapping names all count. Each name
counts once per caption.
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
    text = unicodedata.normalize("NFKD", text)  # case folding can compose characters again
    text = "".join(c for c in text if not unicodedata.combining(c)).translate(FOLD)
    text = _POSSESSIVE.sub("", text)
    return "".join(c if c.isalnum() else " " for c in text).split()


def names_in(caption: str, names: dict[str, tuple[str, ...]]) -> set[str]:
    """The keys of `names` (key -> its tokens) whose tokens occur in `caption`."""
    row = tokens(caption)
    return {
        key
        for key, name in names.items()
        if name and any(tuple(row[i : i + len(name)]) == name for i in range(len(row) - len(name) + 1))
    }
