"""Origins: from which locale the control names of each artist are drawn, and in which letters."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from audit_assets.measurement.strata import script_of
from audit_assets.roster.strata import TESTED

_OF_SCRIPT = {
    "Arabic": "ar_AA", "Armenian": "hy_AM", "Bengali": "bn_BD", "Han": "zh_CN", "Cyrillic": "ru_RU", "Devanagari": "hi_IN",
    "Georgian": "ka_GE", "Greek": "el_GR", "Hangul": "ko_KR", "Hebrew": "he_IL", "Japanese": "ja_JP",
    "Tamil": "ta_IN", "Thai": "th_TH",
}  # fmt: skip


class Origin(NamedTuple):
    """Where one set of control names comes from."""

    locale: str
    """A locale of Faker."""
    latin: bool
    """Whether the names are in Latin letters; else they are in those of the locale."""


def locale_of(name: str, locale: str, default: str) -> str:
    """The locale that control names for an artist are drawn from: the artist's own, else one of the name's script (Japanese if it has
    kana), else the audit's."""
    return locale or _OF_SCRIPT.get(script_of(name) or "", default)


def locales_of(tested: pd.DataFrame, default: str) -> dict[str, list[str]]:
    """Each locale that control names are drawn from, and the artists whose names come from there, untrained ones among them."""
    own = tested[tested["kind"].isin(TESTED)]
    found: dict[str, list[str]] = {}
    for name, locale in zip(own["name"], own["locale"], strict=True):
        found.setdefault(locale_of(name, locale, default), []).append(name)
    return found or {default: []}


def origins_of(artists: pd.DataFrame, default: str) -> dict[Origin, list[str]]:
    """Each origin that control names are drawn from, and the artists whose numbers of words they take.

    Artists of one locale whose names are in Latin and in other letters have names of their own each. A name without letters is
    with the larger part. Untrained artists whose names come from the audit's own locale take the names of other artists there,
    and have an origin of their own, after all others, if there are none.
    """
    tested = artists[artists["kind"].isin(TESTED)]
    of = [locale_of(n, locale, default) for n, locale in zip(tested["name"], tested["locale"], strict=True)]
    first = tested[(tested["kind"] == "artist") | (pd.Series(of, tested.index, dtype=object) != default)]
    found = _in_letters(locales_of(first, default)) if len(first) else {}
    return found | {o: names for o, names in _in_letters(locales_of(tested, default)).items() if o not in found}


def _in_letters(locales: Mapping[str, Sequence[str]]) -> dict[Origin, list[str]]:
    found: dict[Origin, list[str]] = {}
    for locale, names in locales.items():
        scripts = {name: script_of(name) for name in names}
        lettered = [script == "Latin" for script in scripts.values() if script]
        most = not names or sum(lettered) * 2 >= len(lettered) > 0
        for latin in (True, False):
            part = [name for name in names if (scripts[name] == "Latin" if scripts[name] else most) == latin]
            if part or (not names and latin):
                found[Origin(locale, latin)] = part
    return found
