"""Rosters from the criteria table and the captions: the paper's 70 artists by four criteria, and its 250 by number of captions.

The table of attrition lists the artists that each criterion removed, because a roster also depends on the artists left out.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pandas as pd

from audit_assets.roster.artist_rows import PLATFORMS
from audit_assets.roster.slugs import slug

# An artist born earlier counts as dead, even if the table has no year of death.
_EARLIEST_BIRTH_OF_THE_LIVING = 1910


@dataclass(frozen=True)
class Choice:
    """`rosters` maps 'criteria' and 'most_mentioned' to the names in order of rank.

    `attrition` has one row per criterion in the order applied, with columns roster, criterion, skipped (bool), removed
    (int), removed_names (list), remaining (int), note (why the criterion was skipped, or that a roster is too small).
    """

    rosters: dict[str, list[str]]
    attrition: pd.DataFrame


def choose(
    artists: pd.DataFrame,
    mentions: Mapping[str, int] | None,
    *,
    criteria: int,
    most_mentioned: int,
    minimum_mentions: int | None,
) -> Choice:
    """The rosters of at most `criteria` and `most_mentioned` artists, most mentioned first, ties by name.

    `artists` is the table of `read_artists`; only kind `artist` is eligible. `mentions` maps names to
    numbers; a missing name has none. If no captions were scanned (None), `criteria` has every artist of the table in its
    order, even if more than the size asked for, and `most_mentioned` is empty. A criterion is skipped if its columns are empty for
    every artist.
    """
    eligible = artists[artists["kind"] == "artist"].reset_index(drop=True)
    steps: list[dict] = []
    if mentions is None:
        note = "no captions were scanned: every artist of the table, in its order"
        steps.append(_step("criteria", "mentions", eligible, eligible, note))
        nobody = eligible.iloc[:0]
        steps.append(
            _step("most_mentioned", "mentions", nobody, nobody, "no captions were scanned, so no artist can be ranked")
        )
        return Choice({"criteria": eligible["name"].tolist(), "most_mentioned": []}, pd.DataFrame(steps))

    counts = eligible["name"].map(lambda name: int(mentions.get(name, 0))).astype("int64")
    ranked = eligible.assign(mentions=counts).sort_values(["mentions", "name"], ascending=[False, True], kind="stable")
    left = ranked
    for criterion, columns, qualifies in _CRITERIA:
        before = left
        known = [column for column in columns if _says_anything(eligible[column])]
        if not known:
            steps.append(
                _step("criteria", criterion, before, before, f"skipped: {', '.join(columns)} empty for every artist")
            )
            continue
        left = before[qualifies(eligible)[before.index]]
        steps.append(_step("criteria", criterion, before, left))
    if minimum_mentions is None:
        steps.append(_step("criteria", "minimum_mentions", left, left, "skipped: no minimum is set"))
    else:
        before, left = left, left[left["mentions"] >= minimum_mentions]
        steps.append(_step("criteria", "minimum_mentions", before, left))
    chosen = left.head(criteria)
    steps.append(_step("criteria", "size", left, chosen, _short(len(chosen), criteria)))

    mentioned = ranked[ranked["mentions"] > 0]
    steps.append(_step("most_mentioned", "mentioned", ranked, mentioned))
    most = mentioned.head(most_mentioned)
    steps.append(_step("most_mentioned", "size", mentioned, most, _short(len(most), most_mentioned)))
    return Choice({"criteria": chosen["name"].tolist(), "most_mentioned": most["name"].tolist()}, pd.DataFrame(steps))


def roster_table(choice: Choice, artists: pd.DataFrame, merged: pd.DataFrame, collisions: pd.DataFrame) -> pd.DataFrame:
    """The published table `artist_roster`: one row per artist and roster, with the counts from the captions.

    `merged` is the table of mentions; `collisions` is the table of `roster.proposals.collisions`, whose key is the name.
    """
    rows = [
        {"subject": slug(name), "name": name, "roster": roster, "rank": rank}
        for roster, names in choice.rosters.items()
        for rank, name in enumerate(names, 1)
    ]
    table = pd.DataFrame(rows, columns=["subject", "name", "roster", "rank"])
    table = table.merge(merged[["name", "mentions", "duplicates"]], on="name", how="left")
    table = table.merge(artists[["name", "opted_out", "opted_out_on", "source"]], on="name", how="left")
    beside = collisions.rename(
        columns={
            "key": "name",
            "flagged": "name_collision",
            "examined": "captions_examined",
            "samples": "sample_captions",
        }
    )
    return table.merge(beside, on="name", how="left")


def _alive(table: pd.DataFrame) -> pd.Series:
    """Whether the artist has no year of death and a possible year of birth. If no artist has a year of birth, it is not checked."""
    plausible = (table["born"] >= _EARLIEST_BIRTH_OF_THE_LIVING).fillna(bool(table["born"].isna().all())).astype(bool)
    return table["died"].isna() & plausible


def _on_all_platforms(table: pd.DataFrame) -> pd.Series:
    return (table[list(PLATFORMS)] != "").all(axis=1)


def _sells_work(table: pd.DataFrame) -> pd.Series:
    return table["sells_work"].fillna(False).astype(bool)


_CRITERIA: tuple[tuple[str, tuple[str, ...], Callable[[pd.DataFrame], pd.Series]], ...] = (
    ("alive", ("born", "died"), _alive),
    ("on_three_platforms", PLATFORMS, _on_all_platforms),
    ("sells_work", ("sells_work",), _sells_work),
)


def _says_anything(column: pd.Series) -> bool:
    return bool((column.notna() & (column != "").fillna(False)).any())


def _step(roster: str, criterion: str, before: pd.DataFrame, after: pd.DataFrame, note: str = "") -> dict:
    removed = before.loc[~before.index.isin(after.index), "name"].tolist()
    return {
        "roster": roster,
        "criterion": criterion,
        "skipped": note.startswith("skipped"),
        "removed": len(removed),
        "removed_names": removed,
        "remaining": len(after),
        "note": note,
    }


def _short(found: int, wanted: int) -> str:
    return f"{found} of the {wanted} asked for" if found < wanted else ""
