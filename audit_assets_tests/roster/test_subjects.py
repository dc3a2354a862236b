"""Who is audited, and against whom."""

import pandas as pd
import pytest

from audit_assets.config import Controls
from audit_assets.errors import InputError
from audit_assets.results.stage import planned_strata
from audit_assets.roster.controls import choose_controls, draw_controls, draw_recombined
from audit_assets.roster.strata import strata_of
from audit_assets.roster.subjects import COLUMNS, prompted, subjects_table

ROSTER = ["Ada Brandvold", "Bruno Eklund", "Clara Farkas", "Dario Oduya"]


def artists() -> pd.DataFrame:
    names = [*ROSTER, "Una West", "Walt Ash", "Left Out"]
    kinds = ["artist"] * 4 + ["untrained_artist", "background", "artist"]
    return pd.DataFrame(
        {"name": names, "kind": kinds, "aliases": [[] for _ in names], "opted_out": [True] + [False] * 6,
         "indirect_prompt": "", "locale": "", "peers": "", "prompt_name": "", "indirect_prompts": [[] for _ in names],
         "translated": "", "titles": [["Fjord"], *([] for _ in names[1:])], "described_as": ""}
    )  # fmt: skip


def controls(mentions: dict[str, int] | None = None) -> pd.DataFrame:
    wanted = Controls(random_names=2, recombined_names=2, nonsense=1)
    drawn = pd.concat(
        [
            draw_controls(artists(), wanted),
            draw_recombined(artists(), wanted, ROSTER, pd.DataFrame({"name": [], "pool": []})),
        ]
    )
    table = choose_controls(drawn.reset_index(drop=True), mentions, artists()[:5], wanted, 9)
    return table[table["status"] == "used"]


def test_the_table_has_one_row_a_subject_and_leaves_out_artists_of_no_roster() -> None:
    table = subjects_table(
        artists(), {"criteria": ROSTER, "most_mentioned": ROSTER[:1]}, {ROSTER[0]: 9}, controls({}), "en_US"
    )
    assert list(table) == COLUMNS
    assert table["subject"].is_unique
    assert "Left Out" not in table["name"].tolist()
    ada = table.set_index("subject").loc["ada-brandvold"]
    assert ada["rosters"] == ["criteria", "most_mentioned"]
    assert ada["mentions"] == 9
    assert ada["opted_out"]
    assert ada["titles"] == ["Fjord"]
    is_control = table["kind"].isin(["random_name", "nonsense"])
    assert table["kind"].value_counts()[["random_name", "nonsense"]].tolist() == [4, 1]
    assert table.loc[is_control, "shares_name_parts"].tolist() == [False, False, False, True, True]
    assert table.loc[~is_control, "shares_name_parts"].isna().all()


def test_without_captions_mentions_are_unknown_and_not_zero() -> None:
    assert subjects_table(artists(), {"criteria": ROSTER}, None, controls(), "en_US")["mentions"].isna().all()


def test_the_background_is_never_prompted() -> None:
    table = subjects_table(artists(), {"criteria": ROSTER}, {}, controls({}), "en_US")
    assert set(table["kind"]) - set(prompted(table)["kind"]) == {"background"}


def test_two_names_for_one_subject_are_refused() -> None:
    control = controls({}).head(1).assign(name="ADA  brandvold")
    with pytest.raises(InputError, match="cannot be told apart"):
        subjects_table(artists(), {"criteria": ROSTER}, {}, control, "en_US")


def test_nobody_is_an_empty_table_with_all_columns() -> None:
    table = subjects_table(artists().head(1), {"criteria": []}, {}, controls({}).iloc[:0], "en_US")
    assert table.empty
    assert list(table) == COLUMNS


def test_an_artist_without_a_locale_shares_the_names_of_the_locale_that_another_artist_declares() -> None:
    """One set of names is drawn for both, and the row of the second artist must not take it from the first."""
    table = artists()
    table.loc[1, "locale"] = "en_US"
    names = controls({}).assign(locale="en_US")
    found = subjects_table(table, {"criteria": ROSTER}, {}, names, "en_US")
    strata = strata_of(found)
    of = found.set_index("name")["subject"]
    assert strata[of["Ada Brandvold"]] == strata[of["Bruno Eklund"]] == "locale en_US"
    assert strata[of["Una West"]] == "locale en_US"
    assert {strata[s] for s in found.loc[found["kind"] == "random_name", "subject"]} == {"locale en_US"}
    other = subjects_table(table, {"criteria": ROSTER}, {}, names.assign(locale="de_DE"), "de_DE")
    assert strata_of(other)[of["Ada Brandvold"]] == "script Latin"  # names of de_DE, which nobody declares


def test_a_name_without_letters_has_the_control_names_of_most_that_are_drawn() -> None:
    """It has no script of its own. In a stratum of its own, it would have no control name."""
    table = artists()
    table.loc[1, "name"] = "1984"
    roster = ["Ada Brandvold", "1984"]
    names = controls({}).assign(locale="en_US")
    found = subjects_table(table, {"criteria": roster}, {}, names, "en_US")
    assert strata_of(found)["1984"] == "script Latin"
    assert planned_strata(found, {})["script Latin"].names == 3  # two random names and one invented
    none = subjects_table(table, {"criteria": roster}, {}, names.iloc[:0], "en_US")
    assert strata_of(none)["1984"] == "audit"
    table.loc[1, "locale"] = "no_NO"
    assert strata_of(subjects_table(table, {"criteria": roster}, {}, names, "en_US"))["1984"] == "locale no_NO"
