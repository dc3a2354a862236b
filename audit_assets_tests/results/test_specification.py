"""Verdicts by other choices: which artists change, and why."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from audit_assets.measurement.answers import NO, UNTESTED, YES
from audit_assets.results.matched import Works
from audit_assets.results.specification import (
    JOINT,
    OWN,
    ROSTER,
    WORKS,
    Choice,
    by_choice,
    by_tests,
    half_of_the_roster,
    half_of_works,
    judged,
)
from audit_assets.workspace import Workspace

IMITATED, NOT_SHOWN, MUTE = "imitated", "not shown to be imitated", "not auditable"


def artists(**columns: list[Any]) -> pd.DataFrame:
    same: dict[str, Any] = {
        "withheld": [False] * 3,
        "steers": [YES] * 3,
        "towards": [YES] * 3,
        "seen": [YES] * 3,
        "finds": [None] * 3,
    }
    return pd.DataFrame({"subject": ["a", "b", "c"], "kind": "artist", **same, **columns})


def test_another_choice_changes_only_the_artists_whose_answer_it_changes() -> None:
    own = artists()
    p = {"a": 0.001, "b": 0.9, "c": float("nan")}
    assert by_choice(own, Choice(WORKS, (p,)), alpha=0.05)["verdict"].tolist() == [IMITATED, NOT_SHOWN, MUTE]
    every = dict.fromkeys("abc", 0.001)
    same = by_choice(own, Choice(WORKS, (every,)), alpha=0.05)
    assert same["verdict"].tolist() == [IMITATED] * 3
    labels = by_choice(own, Choice(JOINT, (every,), {"a": YES, "b": NO, "c": UNTESTED}), alpha=0.05)
    assert labels["verdict"].tolist() == [IMITATED, NOT_SHOWN, MUTE]


def test_a_perfect_imitator_that_was_identified_and_not_matched_explains_no_choice_in_which_the_name_steers() -> None:
    """Too few other artists have works. Only the first artist's name steers the model in the audit, and no artist's does with other labels."""
    own = artists(steers=[YES, NO, NO], seen=[UNTESTED, YES, NO], finds=[True, True, False])
    p = dict.fromkeys("abc", 0.9)
    assert by_choice(own, Choice(WORKS, (p,)), alpha=0.05)["verdict"].tolist() == [MUTE, NOT_SHOWN, MUTE]
    for answer, verdicts in ((NO, [NOT_SHOWN, NOT_SHOWN, MUTE]), (YES, [MUTE] * 3)):
        found = by_choice(own, Choice(JOINT, (p,), dict.fromkeys("abc", answer)), alpha=0.05)
        assert found["verdict"].tolist() == verdicts


def test_each_half_of_the_roster_is_adjusted_by_itself() -> None:
    own = artists()
    together = Choice(ROSTER, ({"a": 0.03, "b": 0.9, "c": 0.9},))
    apart = Choice(ROSTER, ({"a": 0.03}, {"b": 0.9, "c": 0.9}))
    assert by_choice(own, together, alpha=0.05)["verdict"].tolist()[0] == NOT_SHOWN
    assert by_choice(own, apart, alpha=0.05)["verdict"].tolist()[0] == IMITATED


def test_an_artist_in_no_family_could_not_be_tested() -> None:
    assert by_choice(artists(), Choice(ROSTER, ()), alpha=0.05)["verdict"].tolist() == [MUTE] * 3


def test_a_no_that_withheld_images_left_open_is_no_no_in_another_choice() -> None:
    p = dict.fromkeys("abc", 0.9)
    for withheld, verdict in ((True, MUTE), (False, NOT_SHOWN)):
        own = artists(withheld=[withheld] * 3, steers=[UNTESTED] * 3, towards=[UNTESTED] * 3)
        found = by_choice(own, Choice(JOINT, (p,), dict.fromkeys("abc", NO)), alpha=0.05)
        assert found["verdict"].tolist() == [verdict] * 3
        assert (
            by_choice(own, Choice(JOINT, (dict.fromkeys("abc", 0.001),), dict.fromkeys("abc", YES)), alpha=0.05)[
                "verdict"
            ].tolist()
            == [IMITATED] * 3
        )


def test_an_encoder_without_text_decides_by_matching_alone() -> None:
    own = artists(steers=[None, None, None])
    found = by_choice(own, Choice(WORKS, ({"a": 0.001, "b": 0.9, "c": 0.9},)), alpha=0.05)
    assert found["verdict"].tolist() == [IMITATED, NOT_SHOWN, NOT_SHOWN]


def test_the_first_setting_is_the_verdict_itself_and_the_papers_test_is_adjusted_by_bonferroni() -> None:
    tests = pd.DataFrame(
        {
            "subject": ["a", "b", "c"] * 2, "control": "none", "test": ["own_cell"] * 3 + ["rank_sum_asymptotic"] * 3,
            "alternative": ["closer"] * 3 + ["two_sided"] * 3,
            "p_value": [np.nan] * 3 + [0.01, 0.04, 0.001], "p_adjusted": [np.nan] * 3 + [0.03, 0.12, 0.003],
            "p_floor": [np.nan] * 3 + [0.001] * 3,
        }
    )  # fmt: skip
    found = by_tests(artists(), tests, alpha=0.05)
    assert found["setting"].unique().tolist() == [OWN, "rank_sum_asymptotic"]
    assert found["verdict"].tolist() == [IMITATED] * 3 + [IMITATED, NOT_SHOWN, IMITATED]


def test_a_test_that_can_never_say_yes_says_no_to_nobody() -> None:
    """With twelve control names, p of the name test is at least 1 / 13, even for an artist who is first among all."""
    tests = pd.DataFrame(
        {
            "subject": ["a", "b", "c"],
            "control": "none",
            "test": "name_test",
            "alternative": "closer",
            "p_adjusted": np.nan,
        }
    )
    for names, verdict in ((12, None), (30, IMITATED)):
        found = by_tests(artists(), tests.assign(p_value=1 / (1 + names), p_floor=1 / (1 + names)), alpha=0.05)
        of_test = found[found["setting"] == "name_test"]["verdict"].tolist()
        assert of_test == ([] if verdict is None else [verdict] * 3)
    one_cannot = tests.assign(p_value=[1 / 13, 0.9, 0.001], p_floor=[1 / 13, 0.001, 0.001])
    found = by_tests(artists(), one_cannot, alpha=0.05)
    assert found[found["setting"] == "name_test"]["verdict"].tolist() == [MUTE, NOT_SHOWN, IMITATED]


def some_works() -> Works:
    subjects = ["a"] * 5 + ["b"] + ["c"] * 2
    rows = pd.DataFrame({"subject": subjects, "work": [0, 1, 2, 3, 4, 0, 0, 1]})
    return Works(rows, np.arange(16.0).reshape(8, 2), ["a", "b", "c"], np.array([0] * 5 + [1, 2, 2]))


def test_half_of_the_works_are_the_first_of_each_artist_and_at_least_one() -> None:
    half = half_of_works(some_works())
    assert half.rows["subject"].tolist() == ["a", "a", "a", "b", "c"]
    assert half.embeddings[:, 0].tolist() == [0, 2, 4, 10, 12]
    assert half.artist.tolist() == [0, 0, 0, 1, 2]


def test_half_of_the_roster_keeps_every_second_artist_and_all_control_names() -> None:
    subjects = pd.DataFrame({"subject": ["a", "b", "c", "name"]})
    first, kept = half_of_the_roster(some_works(), subjects, 0)
    second, others = half_of_the_roster(some_works(), subjects, 1)
    assert (first.pool, kept["subject"].tolist()) == (["a", "c"], ["a", "c", "name"])
    assert (second.pool, others["subject"].tolist()) == (["b"], ["b", "name"])
    assert first.artist.tolist() == [0] * 5 + [1] * 2


def test_every_choice_stands_in_the_table_of_an_audit_and_the_primary_encoder_is_the_baseline(audited: Path) -> None:
    ws = Workspace.existing(audited)
    model = ws.audit.models[0].name
    read = ws.warehouse.read
    flips = read(f"verdict_flips/{model}")
    primary = ws.audit.deciding_encoder.name
    assert set(flips["baseline"]) == {f"{primary} | {OWN}"}
    choices = set(flips["setting"].str.partition(" | ")[2])
    assert {JOINT, WORKS, ROSTER} <= choices
    verdicts = read(f"verdicts/{model}")
    again = judged(ws, model, verdicts, read(f"matching_by_subject/{model}"), read(f"identification_trials/{model}"))
    of_artists = verdicts[(verdicts["kind"] == "artist") & (verdicts["encoder"] == primary)].set_index("subject")[
        "verdict"
    ]
    baseline = again[again["setting"] == f"{primary} | {OWN}"].set_index("subject")["verdict"]
    assert baseline.to_dict() == of_artists.reindex(baseline.index).to_dict()
