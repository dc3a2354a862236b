"""The stratum of every prompted subject: which control names it is compared with."""

from collections import Counter
from collections.abc import Iterable

import pandas as pd

from audit_assets.measurement.strata import script_of, stratum_of

TESTED = ("artist", "untrained_artist")
"""The kinds of subjects that are tested, each with its own multiplicity."""


def strata_of(subjects: pd.DataFrame) -> dict[str, str]:
    """Return the stratum of every prompted subject: the locale if an artist declares it, else the script of the name.

    The script is part of a locale's stratum if artists of this locale are written in several ("locale ja_JP, script Latin").
    If no artist declares the locale of a control name, the name belongs to its script, as artists without a locale do. A name
    without letters, such as "1984", has no script of its own, so it takes the script of most of the control names that it could have.
    """
    rows = list(
        zip(subjects["subject"], subjects["name"], subjects["locale"].fillna(""), subjects["kind"], strict=True)
    )
    declared: dict[str, list[str]] = {}
    for _, name, locale, kind in rows:
        if kind in TESTED and locale:
            declared.setdefault(locale, []).append(str(name))
    apart = {locale: scripts_apart(names, locale) for locale, names in declared.items()}
    scripts: dict[str, Counter[str]] = {}
    for _, name, locale, kind in rows:
        if kind == "random_name" and (script := script_of(str(name), locale)):
            scripts.setdefault(locale if locale in declared else "", Counter())[script] += 1
    most = {locale: next(iter(found.most_common(1)))[0] for locale, found in scripts.items()}

    def stratum(name: str, locale: str) -> str:
        own = locale if locale in declared else ""
        script = script_of(name, locale) or most.get(own)
        return stratum_of(f"{own}, script {script}" if apart.get(own) and script else own, script)

    return {str(s): stratum(str(name), locale) for s, name, locale, _ in rows}


def scripts_apart(names: Iterable[str], locale: str) -> tuple[str, ...]:
    """The scripts of the names of artists of one locale if they are several, in which case each has control names of its own; empty if
    it is one."""
    found = tuple(dict.fromkeys(script for name in names if (script := script_of(name, locale))))
    return found if len(found) > 1 else ()
