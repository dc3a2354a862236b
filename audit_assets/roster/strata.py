"""The stratum of every prompted subject: which control names it is compared with."""

import pandas as pd

from audit_assets.measurement.strata import script_of, stratum_of

TESTED = ("artist", "untrained_artist")
"""The kinds of subjects that are tested, each with its own multiplicity."""


def strata_of(subjects: pd.DataFrame) -> dict[str, str]:
    """Return the stratum of every prompted subject: the locale if an artist declares it, else the script of the name.

    If no artist declares the locale of a control name, the name belongs to its script, as artists without a locale do.
    """
    own = subjects[subjects["kind"].isin(TESTED)]
    declared = {str(locale) for locale in own["locale"] if locale}
    return {
        str(s): stratum_of(str(locale) if locale in declared else None, script_of(str(name)))
        for s, name, locale in zip(subjects["subject"], subjects["name"], subjects["locale"].fillna(""), strict=True)
    }
