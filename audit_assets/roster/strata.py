"""The stratum of every prompted subject: which control names it is compared with."""

from collections import Counter

import pandas as pd

from audit_assets.measurement.strata import script_of, stratum_of

TESTED = ("artist", "untrained_artist")
"""The kinds of subjects that are tested, each with its own multiplicity."""


def strata_of(subjects: pd.DataFrame) -> dict[str, str]:
    """Return the stratum of every prompted subject: the locale if an artist declares it, else the script of the name.

    If no artist declares the locale of a control name, the name belongs to its script, as artists without a locale do. A name
    without letters, such as "1984", has no script of its own, so it takes the script of most of these control names.
    """
    own = subjects[subjects["kind"].isin(TESTED)]
    declared = {str(locale) for locale in own["locale"] if locale}
    rows = list(
        zip(subjects["subject"], subjects["name"], subjects["locale"].fillna(""), subjects["kind"], strict=True)
    )
    names = [str(name) for _, name, locale, kind in rows if kind == "random_name" and locale not in declared]
    scripts = Counter(script for name in names if (script := script_of(name)))
    most = next(iter(scripts.most_common(1)), (None,))[0]
    return {
        str(s): stratum_of(str(locale) if locale in declared else None, script_of(str(name)) or most)
        for s, name, locale, _ in rows
    }
