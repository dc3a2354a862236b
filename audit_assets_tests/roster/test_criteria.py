"""Rosters and their attrition, on tables small enough to check by eye."""

from pathlib import Path

import pandas as pd

from audit_assets.roster.artists import read_artists
from audit_assets.roster.criteria import Choice, choose


def table(folder: Path, text: str) -> pd.DataFrame:
    path = folder / "artists.csv"
    path.write_text(text)
    return read_artists(path)


FULL = """name,kind,born,died,instagram,deviantart,artstation,sells_work
Old,artist,1850,,a,b,c,yes
Dead,artist,1940,2001,a,b,c,yes
Unknown,artist,,,a,b,c,yes
Offline,artist,1970,,a,no,c,yes
Keeps,artist,1970,,a,b,c,
Rare,artist,1970,,a,b,c,yes
Zoe,artist,1970,,a,b,c,yes
Ada,artist,1970,,a,b,c,yes
Bea,artist,1970,,a,b,c,yes
Other,untrained_artist,1970,,a,b,c,yes
Back,background,1970,,a,b,c,yes
"""
MENTIONS = dict.fromkeys(["Old", "Dead", "Unknown", "Offline", "Keeps", "Other", "Back"], 900) | {
    "Rare": 2, "Zoe": 50, "Ada": 50, "Bea": 70,
}  # fmt: skip


def attrition(choice: Choice, roster: str) -> dict[str, list[str]]:
    rows = choice.attrition[choice.attrition.roster == roster]
    return dict(zip(rows.criterion, rows.removed_names, strict=True))


def test_each_criterion_removes_whom_it_says(tmp_path: Path) -> None:
    choice = choose(table(tmp_path, FULL), MENTIONS, criteria=2, most_mentioned=3, minimum_mentions=10)
    assert choice.rosters == {"criteria": ["Bea", "Ada"], "most_mentioned": ["Dead", "Keeps", "Offline"]}
    assert attrition(choice, "criteria") == {
        "alive": ["Dead", "Old", "Unknown"],
        "on_three_platforms": ["Offline"],
        "sells_work": ["Keeps"],
        "minimum_mentions": ["Rare"],
        "size": ["Zoe"],
    }
    rows = choice.attrition[choice.attrition.roster == "criteria"]
    assert rows.remaining.tolist() == [6, 5, 4, 3, 2]
    assert (rows.removed == rows.removed_names.map(len)).all()


def test_the_order_of_the_table_decides_no_tie(tmp_path: Path) -> None:
    forwards = table(tmp_path, FULL)
    options = {"criteria": 3, "most_mentioned": 4, "minimum_mentions": 10}
    expected = choose(forwards, MENTIONS, **options).rosters
    assert choose(forwards.iloc[::-1], MENTIONS, **options).rosters == expected


def test_criteria_of_which_the_table_says_nothing_are_skipped_and_said_so(tmp_path: Path) -> None:
    choice = choose(
        table(tmp_path, "name\nAda\nBea\n"), {"Bea": 3}, criteria=5, most_mentioned=5, minimum_mentions=None
    )
    assert choice.rosters == {"criteria": ["Bea", "Ada"], "most_mentioned": ["Bea"]}
    skipped = choice.attrition[choice.attrition.skipped]
    assert skipped.criterion.tolist() == ["alive", "on_three_platforms", "sells_work", "minimum_mentions"]
    assert choice.attrition.note.iloc[-1] == "1 of the 5 asked for"


def test_without_any_year_of_birth_the_year_of_death_alone_decides(tmp_path: Path) -> None:
    text = "name,died\nAda,\nBea,1990\n"
    choice = choose(table(tmp_path, text), {"Ada": 1, "Bea": 1}, criteria=5, most_mentioned=1, minimum_mentions=1)
    assert choice.rosters["criteria"] == ["Ada"]


def test_nobody_is_left_out_where_no_captions_were_scanned(tmp_path: Path) -> None:
    choice = choose(table(tmp_path, FULL), None, criteria=2, most_mentioned=3, minimum_mentions=10)
    assert choice.rosters["criteria"] == ["Old", "Dead", "Unknown", "Offline", "Keeps", "Rare", "Zoe", "Ada", "Bea"]
    assert choice.rosters["most_mentioned"] == []


def test_a_table_without_artists_gives_empty_rosters(tmp_path: Path) -> None:
    artists = table(tmp_path, "name,kind\nAda,background\n")
    none_found: dict[str, int] = {}
    for mentions in (None, none_found):
        assert choose(artists, mentions, criteria=1, most_mentioned=1, minimum_mentions=1).rosters == {
            "criteria": [], "most_mentioned": [],
        }  # fmt: skip


def test_opting_out_excludes_nobody(tmp_path: Path) -> None:
    artists = table(tmp_path, "name,opted_out\nAda,yes\n")
    assert choose(artists, {"Ada": 1}, criteria=1, most_mentioned=1, minimum_mentions=1).rosters["criteria"] == ["Ada"]
