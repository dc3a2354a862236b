"""Strata: with which control names an artist is compared, by the locale or the script of the name."""

import unicodedata
from collections import Counter

import numpy as np
import numpy.typing as npt
import pandas as pd

_LOCALE, _SCRIPT, _IN_IT = "locale ", "script ", ", script "
_JAPANESE = {"HIRAGANA", "KATAKANA"}


def script_of(name: str, locale: str = "") -> str | None:
    """The script of most letters of a name ("Latin", "Cyrillic", "Han", "Japanese", ...), None for a name without letters.

    From the names of the characters in the Unicode database, whose first word is the script. A name with kana is Japanese,
    whatever its Han characters, and so is a name in Han characters if its ``locale`` is Japanese. Ties go to the script that
    comes first in the name.
    """
    words = [unicodedata.name(c, "").split(" ")[0].split("-")[0] for c in name if unicodedata.category(c)[0] == "L"]
    words = [word for word in words if word and word not in {"FULLWIDTH", "MODIFIER", "FEMININE", "MASCULINE"}]
    if not words:
        return None
    if _JAPANESE & set(words):
        return "Japanese"
    word = Counter(words).most_common(1)[0][0]
    if word == "CJK":
        return "Japanese" if locale.partition("_")[0] == "ja" else "Han"
    return word.capitalize()


def stratum_of(locale: str | None, script: str | None, default: str = "audit") -> str:
    """The stratum whose control names an artist is compared with: its locale, else the script of its name, else
    ``default``.

    "ja-JP" and "ja_jp" are one locale. "ja_JP, script Latin" stands for the names of a locale in one of its scripts. The result
    names what was matched, and is what ``in_stratum`` reads.
    """
    if locale and locale.strip():
        place, *script_in_it = locale.strip().split(_IN_IT)
        language, _, region = place.replace("-", "_").partition("_")
        return _IN_IT.join(
            [_LOCALE + (f"{language.lower()}_{region.upper()}" if region else language.lower()), *script_in_it]
        )
    return _SCRIPT + script if script else default


def in_stratum(stratum: str, locales: pd.Series, scripts: pd.Series) -> npt.NDArray[np.bool_]:
    """Which control names belong to a stratum. ``locales`` and ``scripts`` (names,) may hold missing values.

    A name of locale ja_JP in Latin script belongs to "locale ja_JP", to "script Latin" and to "audit". A stratum
    "locale ja" takes every region.
    """
    if stratum.startswith(_LOCALE):
        of_names = [stratum_of(None if pd.isna(one) else str(one), None, "") for one in locales]
        exact = np.array([one == stratum for one in of_names], dtype=np.bool_)
        return exact | np.array([one.startswith(f"{stratum}_") for one in of_names], dtype=np.bool_)
    if stratum.startswith(_SCRIPT):
        return np.asarray(scripts.fillna("").astype(str) == stratum.removeprefix(_SCRIPT), dtype=np.bool_)
    return np.ones(len(locales), dtype=np.bool_)


def of_stratum(stratum: str) -> str:
    """What stands behind "control names" in a sentence: " of locale ja_JP", and nothing for ``default``, whose control names are all."""
    return f" of {stratum}" if stratum.startswith((_LOCALE, _SCRIPT)) else ""
