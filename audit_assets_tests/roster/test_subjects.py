"""Who is audited, and against whom."""

import pandas as pd
import pytest

from audit_assets.errors import InputError
from audit_assets.roster.parts import shares_name_parts
from audit_assets.roster.subjects import COLUMNS, choose_controls, control_candidates, prompted, subjects_table

ROSTER = ["Ada Brandvold", "Bruno Eklund", "Clara Farkas", "Dario Oduya"]


def artists() -> pd.DataFrame:
    names = [*ROSTER, "Una West", "Walt Ash", "Left Out"]
    kinds = ["artist"] * 4 + ["untrained_artist", "background", "artist"]
    return pd.DataFrame(
        {"name": names, "kind": kinds, "aliases": [[] for _ in names], "opted_out": [True] + [False] * 6,
         "indirect_prompt": ""}
    )  # fmt: skip


def controls(mentions: dict[str, int] | None = None) -> pd.DataFrame:
    drawn = control_candidates(artists(), random=2, recombined=2, locale="en_US", seed=7)
    return choose_controls(drawn, mentions, ROSTER, random=2, recombined=2)


def test_the_same_seed_draws_the_same_candidates_and_none_is_an_artist() -> None:
    first, second = (control_candidates(artists(), random=2, recombined=2, locale="en_US", seed=7) for _ in range(2))
    pd.testing.assert_frame_equal(first, second)
    assert not set(first["name"]) & set(artists()["name"])
    assert control_candidates(artists(), random=0, recombined=0, locale="en_US", seed=7).empty


def test_a_random_name_shares_no_part_with_the_roster_and_a_recombined_name_does() -> None:
    table = controls({})
    assert table["pool"].value_counts().to_dict() == {"random_names": 2, "recombined_names": 2}
    assert [shares_name_parts(n, ROSTER) for n in table["name"]] == table["shares_name_parts"].tolist()


def test_a_candidate_that_a_caption_names_is_passed_over() -> None:
    named = str(controls({})["name"].iloc[0])
    assert named not in controls({named: 1})["name"].tolist()


def test_too_few_controls_are_counted_in_the_error() -> None:
    drawn = control_candidates(artists(), random=1, recombined=0, locale="en_US", seed=7)
    with pytest.raises(InputError, match=r"controls\.random_names: 1 wanted.*only 0 are named by no caption; ask"):
        choose_controls(drawn, dict.fromkeys(drawn["name"], 5), ROSTER, random=1, recombined=0)


def test_the_table_has_one_row_a_subject_and_leaves_out_artists_of_no_roster() -> None:
    table = subjects_table(artists(), {"criteria": ROSTER, "most_mentioned": ROSTER[:1]}, {ROSTER[0]: 9}, controls({}))
    assert list(table) == COLUMNS
    assert table["subject"].is_unique
    assert "Left Out" not in table["name"].tolist()
    ada = table.set_index("subject").loc["ada-brandvold"]
    assert ada["rosters"] == ["criteria", "most_mentioned"]
    assert ada["mentions"] == 9
    assert ada["opted_out"]
    assert table.loc[table["kind"] == "random_name", "shares_name_parts"].notna().all()
    assert table.loc[table["kind"] != "random_name", "shares_name_parts"].isna().all()


def test_without_captions_mentions_are_unknown_and_not_zero() -> None:
    assert subjects_table(artists(), {"criteria": ROSTER}, None, controls())["mentions"].isna().all()


def test_the_background_is_never_prompted() -> None:
    table = subjects_table(artists(), {"criteria": ROSTER}, {}, controls({}))
    assert set(table["kind"]) - set(prompted(table)["kind"]) == {"background"}


def test_two_names_for_one_subject_are_refused() -> None:
    control = controls({}).head(1).assign(name="ADA  brandvold")
    with pytest.raises(InputError, match="cannot be told apart"):
        subjects_table(artists(), {"criteria": ROSTER}, {}, control)


def test_nobody_is_an_empty_table_with_all_columns() -> None:
    table = subjects_table(artists().head(1), {"criteria": []}, {}, controls({}).iloc[:0])
    assert table.empty
    assert list(table) == COLUMNS
