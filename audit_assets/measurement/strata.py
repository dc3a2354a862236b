"""Strata: with which control names an artist is compared, by the locale or the script of the name."""

import unicodedata
from collections import Counter

import numpy as np
import numpy.typing as npt
import pandas as pd

_LOCALE, _SCRIPT, _IN_IT = "locale ", "script ", ", script "
KANA = frozenset({"Hiragana", "Katakana"})
JAPANESE = KANA | {"Han"}
"""The scripts in which Japanese names are written."""


def letters_of(name: str) -> str | None:
    """The script of most letters of a name ("Latin", "Cyrillic", "Han", "Hiragana", ...), None for a name without letters.

    From the names of the characters in the Unicode database, whose first word is the script. Ties go to the script that comes
    first in the name.
    """
    return next((script for script, _ in _scripts(name).most_common(1)), None)


def script_of(name: str, locale: str = "") -> str | None:
    """The script in which a name is written: ``letters_of``, and "Japanese" for a name with kana, whatever its Han characters.

    If ``locale`` is Japanese, a name in Han characters alone is Japanese too.
    """
    japanese = JAPANESE if locale.partition("_")[0] == "ja" else KANA
    found = letters_of(name)
    return "Japanese" if found in japanese or KANA & _scripts(name).keys() else found


def _scripts(name: str) -> Counter[str]:
    words = [unicodedata.name(c, "").split(" ")[0].split("-")[0] for c in name if unicodedata.category(c)[0] == "L"]
    words = [word for word in words if word and word not in {"FULLWIDTH", "MODIFIER", "FEMININE", "MASCULINE"}]
    return Counter("Han" if word == "CJK" else word.capitalize() for word in words)


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
