"""Two versions of a model, from the tables of each: what moved, what did not, and what could not be compared."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from audit_assets.config import Protocol
from audit_assets.measurement.name_controls import UNREAD
from audit_assets.publication.words import version_tables
from audit_assets.results.beside_names import beside_control_names
from audit_assets.results.comparison import by_subject, declared_groups, overall, scores, trends

PROTOCOL = Protocol(name="one", templates=("art by {name}",))


def scored(counts: Sequence[tuple[Sequence[int], Sequence[int]]]) -> pd.DataFrame:
    """Rows of ``scores``: per version the identified and the shown images of each artist."""
    tables = [
        pd.DataFrame(
            {
                "model_version": f"v{v}", "encoder": "e", "subject": [f"a{i:02}" for i in range(len(shown))], "kind": "artist",
                "label_set": "criteria", "images": shown, "correct": correct, "auc": np.nan, "verdict": "imitated",
            }
        )
        for v, (correct, shown) in enumerate(counts, 1)
    ]  # fmt: skip
    return pd.concat(tables, ignore_index=True)


def group(counts: Sequence[tuple[Sequence[int], Sequence[int]]], opted_out: int) -> pd.DataFrame:
    """Rows of `model_comparison_groups` by measure, if the first artists opted out."""
    compared = by_subject(scored(counts), ["v1", "v2"], protocol=PROTOCOL)
    subjects = pd.DataFrame({"subject": compared["subject"], "opted_out": np.arange(len(compared)) < opted_out})
    return declared_groups(compared, subjects, protocol=PROTOCOL).set_index("measure")


NOBODY: dict[str, set[str]] = {}


def test_a_name_that_the_encoder_does_not_read_is_not_compared_between_versions() -> None:
    both = scored([([9, 5], [10, 10]), ([0, 5], [10, 10])])
    verdicts = both.rename(columns={"correct": "identified"}).drop(columns="auc")
    matching = pd.DataFrame(columns=["model_version", "encoder", "subject", "test", "alternative", "control", "auc"])
    read, unread = (
        by_subject(scores(matching, verdicts, names), ["v1", "v2"], protocol=PROTOCOL).set_index("subject")
        for names in (NOBODY, {"e": {"a00"}})
    )
    assert (read.loc["a00", "changed"], read.loc["a01", "changed"]) == (True, False)
    assert unread.loc["a00", "reason"] == UNREAD[0]
    assert unread.loc["a00", ["accuracy", "difference", "changed"]].isna().all()
    assert unread["changed"].tolist()[1] is False


@pytest.mark.parametrize(
    ("opted_out", "others", "lost", "moved"),
    [(1, 19, 9, True), (1, 19, 0, False), (3, 3, 9, None), (1, 3, 9, None)],
)
def test_a_group_moved_if_p_is_at_most_the_level(opted_out: int, others: int, lost: int, moved: bool | None) -> None:
    """One of twenty who moves furthest has p = 0.05; three of six have p = 0.1 at best, and four artists 0.25."""
    n = opted_out + others
    later = np.where(np.arange(n) < opted_out, 9 - lost, 8 + np.arange(n) % 2)
    found = group([([9] * n, [10] * n), (list(later), [10] * n)], opted_out)
    if moved is None:
        assert found["moved"].isna().all()
        assert found["reason"].str.contains("p cannot be below").all()
    else:
        assert found["moved"].tolist() == [moved] * 2
        assert found["p_floor"].tolist() == [0.05] * 2


def test_a_group_that_lost_more_in_points_and_less_in_log_odds_is_not_said_to_have_moved() -> None:
    """Ten of 70 fall from five images of ten to three, the others from ten to nine. Both p-values are as small as they can be."""
    out = np.arange(70) < 10
    counts = [np.where(out, 5 + np.arange(70) % 2, 10), np.where(out, 3 + np.arange(70) % 2, 9)]
    found = group([(count.tolist(), [10] * 70) for count in counts], 10)
    assert (found["p_value"] <= 0.001).all()
    assert found["difference"].gt(0).to_dict() == {"share": False, "log_odds": True}
    assert found["moved"].tolist() == [False, False]
    (said,) = version_tables.groups(found.reset_index().assign(because=None))
    assert "the artists who opted out fell in points and rose in log odds" in said
    assert "moved differently from the others by both measures" not in said


ARTISTS, OPTED_OUT, IMAGES = 30, 8, 10
PEOPLE = pd.DataFrame(
    {
        "subject": [f"a{i:02}" for i in range(ARTISTS)], "name": [f"Artist {i}" for i in range(ARTISTS)], "kind": "artist", "locale": "",
        "shares_name_parts": None, "rosters": [[]] * ARTISTS, "opted_out": [i < OPTED_OUT for i in range(ARTISTS)],
    }
)  # fmt: skip


def images(version: str, *, withheld: int = 0, lost: int = 0, seed: int = 0) -> pd.DataFrame:
    """Image-level rows of a version: of each artist nine images of ten are identified.

    Of the artists who opted out, the last ``withheld`` images are blank, and the first ``lost`` are not identified.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for subject, out in zip(PEOPLE["subject"], PEOPLE["opted_out"], strict=True):
        wrong = rng.integers(IMAGES)
        for trial in range(IMAGES):
            blank = bool(out and trial >= IMAGES - withheld)
            right = not blank and trial != wrong and not (out and trial < lost)
            rows.append(
                {
                    "protocol": "one", "model_version": version, "encoder": "e", "label_set": "joint", "subject": subject, "kind": "artist",
                    "template": 0, "label_template": 0, "trial": trial, "predicted_label": None if blank else subject if right else "another",
                    "correct": right, "margin": -1.0 if blank else 0.5,
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def compared_versions(**of_versions: dict[str, int]) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """`model_comparison_by_subject`, `model_comparison_groups` and the rows of ``scores``, from image-level rows."""
    named = [
        beside_control_names(
            images(version, seed=i, **given), PEOPLE.drop(columns="opted_out"), protocol=PROTOCOL, unread={}
        )
        for i, (version, given) in enumerate(of_versions.items())
    ]
    verdicts = pd.concat(named).rename(columns={"shown": "images"}).assign(verdict="imitated")
    matching = pd.DataFrame(columns=["model_version", "encoder", "subject", "test", "alternative", "control", "auc"])
    rows = scores(matching, verdicts)
    compared = by_subject(rows, list(of_versions), protocol=PROTOCOL)
    return compared, declared_groups(compared, PEOPLE, protocol=PROTOCOL).set_index("measure"), rows


def test_images_that_a_version_withholds_move_nobody() -> None:
    """The later version only has a safety checker: it replaces four of ten images of the artists who opted out."""
    compared, groups, _ = compared_versions(v1={}, v2={"withheld": 4})
    out = compared[compared["subject"].isin(PEOPLE.loc[PEOPLE["opted_out"], "subject"])]
    assert (out["images"] == 10).all()
    assert (out["later_images"] == 6).all()
    assert (out["later_accuracy"] > 0.8).all()
    assert not compared["changed"].any()
    assert compared["reason"].isna().all()
    assert groups["moved"].tolist() == [False, False]
    assert groups["not_compared"].tolist() == [0, 0]


def test_a_group_that_is_no_longer_identified_moved() -> None:
    compared, groups, _ = compared_versions(v1={}, v2={"lost": 9})
    assert compared.loc[compared["changed"], "subject"].tolist() == PEOPLE.loc[PEOPLE["opted_out"], "subject"].tolist()
    assert groups["moved"].tolist() == [True, True]


@pytest.mark.parametrize(("withheld", "shown"), [(6, 4), (10, 0)])
def test_an_artist_with_too_few_shown_images_could_not_be_compared(withheld: int, shown: int) -> None:
    compared, groups, rows = compared_versions(v1={}, v2={"withheld": withheld}, v3={})
    pair = compared[(compared["model_version"] == "v1") & (compared["later_version"] == "v2")].set_index("subject")
    out = pair.loc[PEOPLE.loc[PEOPLE["opted_out"], "subject"]]
    assert set(out["reason"]) == {f"{shown} images of v2 show something; a comparison needs 5."}
    assert out[["difference", "p_value", "p_adjusted", "changed"]].isna().all(axis=None)
    assert pair.drop(out.index)["reason"].isna().all()
    told = groups[(groups["model_version"] == "v1") & (groups["later_version"] == "v2")]
    assert told["moved"].isna().all()
    assert told["not_compared"].tolist() == [OPTED_OUT] * 2
    assert told["reason"].str.startswith("No artist of the declared group").all()
    pairs = ["model_version", "later_version", "subjects", "not_compared"]
    counts = [tuple(row) for row in overall(compared, protocol=PROTOCOL)[pairs].to_numpy().tolist()]
    assert set(counts) == {
        ("v1", "v2", ARTISTS - OPTED_OUT, OPTED_OUT), ("v1", "v3", ARTISTS, 0), ("v2", "v3", ARTISTS - OPTED_OUT, OPTED_OUT),
    }  # fmt: skip
    assert trends(rows, ["v1", "v2", "v3"], protocol=PROTOCOL)["slope"].abs().max() < 0.02


def test_if_nobody_can_be_compared_the_rows_say_so() -> None:
    few = scored([([4] * 3, [4] * 3)] * 3)
    compared = by_subject(few, ["v1", "v2", "v3"], protocol=PROTOCOL)
    mean = overall(compared, protocol=PROTOCOL)
    assert mean["difference"].isna().all()
    assert mean["equivalent"].isna().all()
    assert mean["not_compared"].tolist() == [3] * 3
    found = trends(few, ["v1", "v2", "v3"], protocol=PROTOCOL)
    assert found["reason"].tolist() == ["Fewer than two subjects have 5 images that show something in every version."]
    assert found["slope"].isna().all()


def test_an_encoder_without_text_compares_no_shares() -> None:
    rows = scored([([9] * 3, [10] * 3)] * 2).assign(label_set=None, images=None, correct=None, auc=0.7)
    compared = by_subject(rows, ["v1", "v2"], protocol=PROTOCOL)
    assert compared["reason"].str.startswith("The encoder classified no image of v1").all()
    assert compared["changed"].isna().all()
    assert overall(compared, protocol=PROTOCOL)["measure"].tolist() == ["auc"]
