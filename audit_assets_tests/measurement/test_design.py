"""What a plan promises is what the rules of the run allow, and a plan for one artist speaks of one artist."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from audit_assets.measurement.answers import NO, UNTESTED, YES
from audit_assets.measurement.design import (
    Design,
    Statement,
    draw_audit,
    family,
    fewest_imitated,
    power_table,
    statements,
)
from audit_assets.measurement.multiplicity import benjamini_hochberg
from audit_assets.measurement.name_controls import beside_names
from audit_assets.measurement.vectors import FloatArray


def own_cell(similarity: FloatArray, mean_works: FloatArray, audited: int) -> FloatArray:
    """A plain version of the test for one artist, without its care: to have something to plan with."""
    other = np.ones_like(similarity, dtype=bool)
    other[0, 0] = False
    residual = similarity.copy()
    for _ in range(30):
        for axis in (1, 0):
            residual -= np.where(other, residual, 0.0).sum(axis=axis, keepdims=True) / other.sum(
                axis=axis, keepdims=True
            )
    residual /= np.linalg.norm(mean_works - mean_works.mean(axis=0), axis=1, keepdims=True)
    squares = np.where(other, residual**2, 0.0).sum(axis=0) / other.sum(axis=0)
    z = residual / np.sqrt(squares)
    null = z[other]
    return np.array([(1 + np.count_nonzero(null >= z[0, 0])) / (1 + len(null))])[:audited]


ONE = {"works": [10], "strata": {"locale it_IT": (1, 199)}, "background": 20}


def said(design: Design, words: str) -> Statement:
    return next(s for s in statements(design) if words in s.question)


def test_one_artist_with_works_names_and_background_can_be_answered() -> None:
    design = Design(**ONE)  # type: ignore[arg-type]
    found = statements(design)
    assert [s.answer for s in found] == [YES] * 4
    assert design.smallest_p == 1 / 4200
    assert not any(s.settle for s in found)
    text = " ".join(s.question + s.sentence for s in found)
    assert "this artist" in text
    for words in ("of 1 ", "1 artists", "1 of 1", "each artist", "roster"):
        assert words not in text


@pytest.mark.parametrize(
    ("change", "question", "answer", "settle"),
    [
        ({"strata": {"locale it_IT": (1, 2)}}, "steers", UNTESTED, "47 more control names of locale it_IT."),
        ({"strata": {"locale it_IT": (1, 0)}}, "called imitated", NO, "49 more control names"),
        ({"images": 3}, "steers", UNTESTED, "2 more images per name."),
        ({"images": 0}, "resemble", UNTESTED, "5 images per name."),
        ({"has_text": False}, "steers", UNTESTED, "An encoder with a text side."),
        ({"has_text": False}, "called imitated", YES, ""),
        ({"background": 0}, "resemble", UNTESTED, "Works of 5 more (background) artists."),
        ({"background": 0}, "called imitated", NO, "Works of 5 more (background) artists."),
        ({"works": [4]}, "perfect imitator", UNTESTED, "2 more works."),
        ({"works": [4]}, "called imitated", YES, ""),
        ({"works": [0]}, "resemble", UNTESTED, "Works of this artist."),
    ],
)
def test_what_one_artist_lacks_is_stated_with_its_remedy(
    change: dict[str, object], question: str, answer: str, settle: str
) -> None:
    found = said(Design(**{**ONE, **change}), question)  # type: ignore[arg-type]
    assert found.answer == answer
    assert settle in found.settle


@pytest.mark.parametrize("names", [0, 48, 49, 98, 99, 199])
def test_the_plan_promises_identification_exactly_if_the_run_can_test_it(names: int) -> None:
    plan = said(Design(works=[10], strata={"audit": (1, names)}, background=20), "steers")
    subjects = pd.DataFrame(
        {"subject": ["a"], "shown": 10, "identified": 10, "stratum": "audit", "labels": 300, "label_kind": "joint"}
    )
    control = pd.DataFrame(
        {"shown": 10, "identified": [0] * names, "locale": None, "script": None, "labels": 300, "label_kind": "joint"}
    )
    run = beside_names(subjects, control).iloc[0]
    assert plan.answer == run["answer"]
    assert plan.settle.split(" ")[0] == str(run["settle"]).split(" ")[0]


def test_the_fewest_imitated_artists_are_those_that_benjamini_hochberg_lets_through() -> None:
    for artists, names, background, text in (
        (70, 70, 46, True),
        (70, 10, 0, False),
        (2500, 60, 0, False),
        (300, 12, 0, False),
    ):
        design = Design(works=[8] * artists, strata={"audit": (artists, names)}, background=background, has_text=text)
        fewest = fewest_imitated(design)
        assert fewest is not None
        for imitated, found in ((fewest, True), (fewest - 1, False)):
            p = np.ones(family(design, max(imitated, 1)))
            p[:imitated] = design.smallest_p
            assert bool((benjamini_hochberg(p)[:imitated] < 0.05).any()) == found


def test_a_roster_whose_names_all_pass_is_the_worst_case() -> None:
    design = Design(works=[8] * 40, strata={"audit": (40, 60)}, background=0)
    assert family(design, 1) == 2
    best, worst = fewest_imitated(design), fewest_imitated(design, all_pass=True)
    assert best is not None
    assert worst is not None
    assert best <= worst


def test_a_roster_of_several_strata_says_which_artists_cannot_be_found() -> None:
    design = Design(works=[10] * 6 + [0], strata={"locale ja_JP": (3, 20), "audit": (4, 199)}, background=30)
    found = said(design, "each artist be called imitated")
    assert found.answer == NO
    assert found.sentence.startswith("3 artists of 7 cannot: 20 control names of locale ja_JP")
    assert "1 artist(s) without works" in said(design, "resemble").sentence
    assert said(design, "perfect imitator").answer == NO


def test_matching_within_strata_is_as_fine_as_its_smallest_matrix() -> None:
    strata = {"locale ja_JP": (3, 6), "audit": (4, 199)}
    whole, parts = (Design(works=[10] * 7, strata=strata, background=30, match_in_strata=m) for m in (False, True))
    assert whole.smallest_p == 1 / (37 * 212 - 7 + 1)
    assert parts.smallest_p == 1 / (37 * 9 - 3 + 1)
    found = said(parts, "resemble")
    assert (said(whole, "resemble").answer, found.answer) == (YES, UNTESTED)
    assert found.settle == "2 more control names of locale ja_JP."


def test_versions_of_a_declared_group_have_their_power_stated() -> None:
    found = said(Design(works=[10] * 70, strata={"audit": (70, 70)}, background=30, opted_out=10), "later version")
    assert (found.answer, "% of audits" in found.sentence) == (YES, True)
    few = said(Design(works=[10] * 5, strata={"audit": (5, 70)}, background=30, opted_out=1), "later version")
    assert (few.answer, few.settle) == (UNTESTED, "15 more artists who did not opt out.")


def test_impossible_designs_are_refused() -> None:
    with pytest.raises(ValueError, match="strata hold 2"):
        Design(works=[1], strata={"audit": (2, 3)})
    with pytest.raises(ValueError, match="negative"):
        Design(works=[1], strata={"audit": (1, 3)}, background=-1)
    with pytest.raises(ValueError, match="alpha"):
        Design(works=[1], strata={"audit": (1, 3)}, alpha=0)


def test_power_grows_with_effect_and_is_that_of_the_method() -> None:
    table = power_table(
        own_cell, effects=(0.0, 0.3, 0.5, 0.8), works=(10,), names=(199,), backgrounds=(0, 20), audits=80
    )
    none = table[table["background"] == 0]
    assert not none["tested"].any()
    assert none["power"].isna().all()
    power = table[table["background"] == 20]["power"].to_numpy()
    assert power[0] <= 0.12
    assert all(a <= b + 0.05 for a, b in pairwise(power))
    assert power[2] >= 0.8
    assert power[3] >= 0.97


def test_an_audit_is_drawn_with_the_effect_between_hand_and_images() -> None:
    rng = np.random.default_rng(1)
    similarity, means = draw_audit(1.0, works=2000, names=12, background=6, images=2000, rng=rng)
    assert similarity.shape == (7, 13)
    assert means.shape == (7, 48)
    assert similarity[0, 0] == similarity.max()
