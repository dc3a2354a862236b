"""The subjects that are audited or compared: artists of the roster, untrained artists, the background, and control names.

The key of this table identifies the rows of all later tables. `kind` and `rosters` are as in the published schema.
"""

from collections.abc import Mapping, Sequence

import pandas as pd

from audit_assets.roster.artist_rows import OTHER_WAYS
from audit_assets.roster.controls import POOLS
from audit_assets.roster.origins import locale_of
from audit_assets.roster.slugs import slugs
from audit_assets.roster.strata import TESTED

CONTROL_KINDS = ("random_name", "nonsense")
COLUMNS = [
    "subject",
    "name",
    "kind",
    "shares_name_parts",
    "rosters",
    "mentions",
    "opted_out",
    "retired",
    "indirect_prompt",
    "locale",
    "peers",
    "prompt_name",
    *OTHER_WAYS,
]

_NO_OTHER_WAYS = {"indirect_prompts": [], "translated": "", "titles": [], "described_as": ""}


def subjects_table(
    artists: pd.DataFrame,
    rosters: Mapping[str, Sequence[str]],
    mentions: Mapping[str, int] | None,
    controls: pd.DataFrame,
    locale: str,
) -> pd.DataFrame:
    """One row per subject, with COLUMNS. Artists of no roster are left out. Raises InputError if two names mean one subject.

    `controls` are the used controls of `choose_controls`. Untrained artists come from the artists' table. `locale` is that of the
    control names of artists who declare none. If another artist declares it, one set of names serves both, so the artist gets it
    too: names that another artist's row takes away would leave this artist without a control.
    """
    rows = []
    for artist in artists.itertuples():
        member = [roster for roster, names in rosters.items() if artist.name in names]
        if artist.kind == "artist" and not member:
            continue
        rows.append(
            {
                "name": artist.name,
                "kind": artist.kind,
                "shares_name_parts": None,
                "rosters": member,
                "mentions": None if mentions is None else mentions.get(str(artist.name), 0),
                "opted_out": bool(artist.opted_out),
                "indirect_prompt": artist.indirect_prompt,
                "locale": artist.locale,
                "peers": artist.peers,
                "prompt_name": artist.prompt_name,
                **{column: getattr(artist, column) for column in OTHER_WAYS},
            }
        )
    for control in controls[controls["pool"].isin(POOLS)].itertuples():
        rows.append(
            {
                "name": control.name,
                "kind": control.kind,
                "shares_name_parts": bool(control.shares_name_parts),
                "rosters": [],
                "mentions": control.mentions,
                "opted_out": False,
                "indirect_prompt": "",
                "locale": control.locale or "",
                "peers": "",
                "prompt_name": "",
                **_NO_OTHER_WAYS,
            }
        )
    declared = {row["locale"] for row in rows if row["kind"] in TESTED}
    for row in rows:
        if row["kind"] in TESTED and (shared := locale_of(row["name"], row["locale"], locale)) in declared:
            row["locale"] = shared
    table = pd.DataFrame(rows, columns=[c for c in COLUMNS if c not in ("subject", "retired")])
    table["subject"] = table["name"].map(slugs(table["name"].tolist()))
    table["retired"] = False
    table["mentions"] = table["mentions"].astype("Int64")
    table["shares_name_parts"] = table["shares_name_parts"].astype("boolean")
    return table[COLUMNS]


def prompted(subjects: pd.DataFrame) -> pd.DataFrame:
    """The subjects for whose names images are made: all except the background."""
    return subjects[subjects["kind"] != "background"]
