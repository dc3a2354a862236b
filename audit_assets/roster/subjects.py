"""Who is audited or compared: artists of the roster, artists the model never saw, the background, and control names.

The table that everything later is keyed by; `kind` and `rosters` as in the published schema.
"""

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from audit_assets.errors import InputError
from audit_assets.roster.parts import shares_name_parts
from audit_assets.roster.random_names import random_names, recombined_names
from audit_assets.roster.slugs import slugs

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
]
_MARGINS = (6, 3, 1)  # candidates drawn for each control wanted: some are somebody's name and fall to the captions


def control_candidates(artists: pd.DataFrame, *, random: int, recombined: int, locale: str, seed: int) -> pd.DataFrame:
    """More control names than wanted, screened against the artists' table; the captions are still to be asked.

    Columns of `random_names` and `pool` ('random_names' or 'recombined_names'). The same arguments and Faker version
    give the same names. `recombined_names` are made of the parts of names of kind `artist`.
    """
    known = [*artists["name"], *(alias for aliases in artists["aliases"] for alias in aliases)]
    own = artists.loc[artists["kind"] == "artist", "name"].tolist()
    pools = []
    if random:
        pools.append(
            random_names(random * _MARGINS[1], locale=locale, seed=seed, known=known).assign(pool="random_names")
        )
    if recombined:
        pools.append(_as_many(own, recombined, seed, known).assign(pool="recombined_names"))
    return pd.concat(pools, ignore_index=True) if pools else pd.DataFrame({"name": [], "pool": []}, dtype="str")


def _as_many(own: Sequence[str], wanted: int, seed: int, known: Iterable[str]) -> pd.DataFrame:
    known = list(known)
    for margin in _MARGINS:
        try:
            return recombined_names(wanted * margin, own, seed, known)
        except InputError:
            if margin == _MARGINS[-1]:
                raise
    raise AssertionError("unreachable")


def choose_controls(
    candidates: pd.DataFrame, mentions: Mapping[str, int] | None, roster: Sequence[str], *, random: int, recombined: int
) -> pd.DataFrame:
    """The first candidates of each pool that no caption names: columns of `candidates`, `mentions`,
    `shares_name_parts`.

    A recombined name must share a part with an artist of the roster, a random name must not. Raises InputError where
    too few are left.
    """
    chosen = []
    for pool, wanted, shares in (("random_names", random, False), ("recombined_names", recombined, True)):
        names = candidates[candidates["pool"] == pool]
        counts = pd.Series(
            [0 if mentions is None else mentions.get(name, 0) for name in names["name"]],
            index=names.index,
            dtype="int64",
        )
        kept = names[
            (counts == 0)
            & pd.Series([shares_name_parts(n, roster) == shares for n in names["name"]], index=names.index, dtype=bool)
        ]
        if len(kept) < wanted:
            raise InputError(
                f"controls.{pool}: {wanted} wanted, but of {len(names)} candidates only {len(kept)} are named by no caption; ask for fewer, or change the seed or locale."
            )
        chosen.append(kept.head(wanted).assign(mentions=None if mentions is None else 0, shares_name_parts=shares))
    return pd.concat(chosen, ignore_index=True)


def subjects_table(
    artists: pd.DataFrame,
    rosters: Mapping[str, Sequence[str]],
    mentions: Mapping[str, int] | None,
    controls: pd.DataFrame,
) -> pd.DataFrame:
    """One row a subject, COLUMNS. Artists of no roster are left out. Raises InputError where two names mean one subject."""
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
            }
        )
    for control in controls.itertuples():
        rows.append(
            {
                "name": control.name,
                "kind": "random_name",
                "shares_name_parts": bool(control.shares_name_parts),
                "rosters": [],
                "mentions": None if mentions is None else control.mentions,
                "opted_out": False,
                "indirect_prompt": "",
            }
        )
    table = pd.DataFrame(rows, columns=[c for c in COLUMNS if c not in ("subject", "retired")])
    table["subject"] = table["name"].map(slugs(table["name"].tolist()))
    table["retired"] = False
    table["mentions"] = table["mentions"].astype("Int64")
    table["shares_name_parts"] = table["shares_name_parts"].astype("boolean")
    return table[COLUMNS]


def prompted(subjects: pd.DataFrame) -> pd.DataFrame:
    """The subjects that images are made of: all but the background."""
    return subjects[subjects["kind"] != "background"]
