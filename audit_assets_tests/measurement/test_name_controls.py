"""Identification beside control names: exact by brute force, fair to unequal numbers of images, and silent without names."""

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from audit_assets.measurement.name_controls import (
    UNREAD,
    beside_names,
    beside_recombined,
    label_set_to_use,
    level_of,
    reaching,
)
from audit_assets.measurement.strata import in_stratum, script_of, stratum_of


def names(identified: list[int], shown: int | list[int] = 10, **more: object) -> pd.DataFrame:
    table = {"shown": shown, "identified": identified, "locale": "it_IT", "script": "Latin", "labels": 203}
    return pd.DataFrame({**table, "label_kind": "joint", **more})


def artist(identified: int, shown: int = 10, **more: object) -> pd.DataFrame:
    row = {"subject": "artist", "shown": shown, "identified": identified, "stratum": "locale it_IT", "labels": 203}
    return pd.DataFrame([{**row, "label_kind": "joint", **more}])


def one(subjects: pd.DataFrame, control: pd.DataFrame) -> pd.Series:
    return beside_names(subjects, control).iloc[0]


def test_p_is_the_rank_of_the_artist_among_the_names_with_ties_against_it() -> None:
    row = one(artist(7), names([9, 7] + [0] * 197))
    assert (row["names"], row["names_reaching"], row["p_value"], row["level"]) == (199, 2, 3 / 200, 0.01)
    assert (row["answer"], row["needed"]) == ("no", 8)
    passed = one(artist(8), names([9, 7] + [0] * 197))
    assert (passed["answer"], passed["p_value"]) == ("yes", 2 / 200)
    assert passed["settle"] == ""
    assert "1 of 199 control names (locale it_IT, 203 labels)" in passed["reason"]


def test_a_name_that_is_not_read_is_neither_tested_nor_a_control() -> None:
    control = names([9, 7] + [0] * 197)
    row = one(artist(8, unread=True), control)
    assert (row["answer"], row["reason"], row["settle"]) == ("could not be tested", *UNREAD)
    assert one(artist(8, unread=False), control)["answer"] == "yes"
    silent = one(artist(8), control.assign(unread=[False] * 150 + [True] * 49))
    assert (silent["names"], silent["p_value"]) == (150, 2 / 151)
    few = one(artist(8), control.assign(unread=[False] * 48 + [True] * 151))
    assert few["answer"] == "could not be tested"
    assert few["settle"] == "1 more control names of locale it_IT."


def test_with_seventy_names_none_may_reach_and_the_level_is_stated() -> None:
    control = names([3] + [0] * 69)
    assert one(artist(3), control)["answer"] == "no"
    row = one(artist(4), control)
    assert (row["answer"], row["level"], row["p_value"]) == ("yes", 1 / 71, 1 / 71)
    assert level_of(99) == 0.01
    assert level_of(49) == 0.02


@pytest.mark.parametrize(("shown", "theirs"), [(6, 10), (10, 6), (7, 7), (5, 9)])
def test_unequal_numbers_of_images_are_compared_at_the_smaller_one(shown: int, theirs: int) -> None:
    def every_choice(identified: int, images: int, chosen: int) -> list[int]:
        marks = [1] * identified + [0] * (images - identified)
        return [sum(choice) for choice in combinations(marks, chosen)]

    common = min(shown, theirs)
    for own in range(shown + 1):
        mine = every_choice(own, shown, common)
        expected = [
            np.mean([b >= a for a in mine for b in every_choice(name, theirs, common)]) for name in range(theirs + 1)
        ]
        found = reaching(own, shown, range(theirs + 1), [theirs] * (theirs + 1))
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_six_of_six_beside_ten_images_is_not_taken_for_ten_of_ten() -> None:
    control = names([8] * 10 + [0] * 189)
    ten, six = one(artist(10), control), one(artist(6, 6), control)
    assert ten["names_reaching"] == 0
    assert six["names_reaching"] == pytest.approx(10 * 28 / 210)
    assert (ten["answer"], six["answer"]) == ("yes", "could not be tested")


@pytest.mark.parametrize(
    ("subject", "control", "reason", "settle"),
    [
        (artist(10), names([]), "No control name of locale it_IT exists.", "49 more control names of locale it_IT; 99"),
        (artist(10), names([0, 0]), "2 control names of locale it_IT", "47 more control names"),
        (artist(10).assign(stratum="audit"), names([]), "No control name exists.", "49 more control names; 99"),
        (artist(10), names([0] * 199, locale="ja_JP"), "No control name of", "49 more"),
        (artist(4, 4), names([0] * 199), "4 shown images, fewer than 5", "1 more images"),
        (artist(0, 0), names([0] * 199), "0 shown images", "5 more images"),
        (artist(10), names([0] * 199, shown=4), "0 control names", "49 more"),
        (artist(10, labels=4), names([0] * 199), "Chances differ", "`joint`"),
        (artist(10, label_kind="own"), names([0] * 199), "Chances differ", "`joint`"),
        (artist(10, labels=None), names([0] * 199), "no labels", "text side"),
        (artist(10), names([10] * 60 + [0] * 139), "Even 10 of 10", "Neither more names nor"),
        (artist(10), names([10] * 1 + [0] * 69), "Even 10 of 10", "more images of every name"),
    ],
)
def test_what_cannot_be_tested_says_why_and_what_would_settle_it(
    subject: pd.DataFrame, control: pd.DataFrame, reason: str, settle: str
) -> None:
    row = one(subject, control)
    assert row["answer"] == "could not be tested"
    assert reason in row["reason"]
    assert settle in row["settle"]
    assert pd.isna(row["needed"])


def test_more_names_settle_it_if_a_small_share_of_them_wins_every_image() -> None:
    row = one(artist(10), names([10] * 2 + [0] * 248))
    assert row["answer"] == "could not be tested"
    names_more = int(row["settle"].split("About ")[1].split(" more control")[0].replace(",", ""))
    total = 250 + names_more
    assert (1 + 2 / 250 * total) / (1 + total) <= 0.01
    assert (1 + 2 / 250 * (total - 2)) / (1 + total - 2) > 0.01


def test_equal_shares_are_ranked_by_margin_and_a_missing_margin_counts_against_the_artist() -> None:
    control = names([10] * 5 + [0] * 194, margin=[0.5, 0.4, np.nan, 0.3, 0.2] + [-0.3] * 194)
    row = one(artist(10, margin=0.45), control)
    assert (row["names_reaching"], row["answer"]) == (2, "could not be tested")
    row = one(artist(10, margin=0.6), control)
    assert (row["names_reaching"], row["p_value"], row["answer"]) == (1, 0.01, "yes")
    assert one(artist(10, margin=np.nan), control)["names_reaching"] == 5
    assert one(artist(10), control)["names_reaching"] == 5
    assert one(artist(9, margin=0.9), control)["names_reaching"] == 5


@pytest.mark.parametrize(("few", "said"), [(0, ""), (1, "1 more name has"), (3, "3 more names have")])
def test_names_with_too_few_images_are_told_beside_those_that_count(few: int, said: str) -> None:
    control = names([0] * 199)
    control.loc[: few - 1, "shown"] = 4
    row = one(artist(10), control)
    assert (row["names"], row["answer"]) == (199 - few, "yes")
    assert row["reason"].endswith(
        f"passes. {said} fewer than 5 shown images, and no part in this." if few else "passes."
    )


def test_a_tie_of_unequal_numbers_of_images_counts_against_the_artist_whatever_the_margin() -> None:
    """The margin of nine identified images of ten is not that of the five among them that equal the artist's five of five."""
    control = names([9] * 199, margin=0.8)
    for margin in (0.0, 0.81, 1.0):
        row = one(artist(5, 5, margin=margin), control)
        assert (
            row["names_reaching"] == pytest.approx(reaching(5, 5, [9] * 199, [10] * 199).sum()) == pytest.approx(99.5)
        )
    assert one(artist(9, margin=0.81), control)["names_reaching"] == 0


@pytest.mark.parametrize(
    ("own", "theirs"),
    [*(pytest.param(*numbers, marks=pytest.mark.long) for numbers in ((10, 10), (5, 10), (5, 20))), (5, 40)],
)
def test_of_names_that_are_all_alike_one_in_a_hundred_passes_whatever_the_numbers_of_images(
    own: int, theirs: int
) -> None:
    rng = np.random.default_rng(7)

    def drawn(number: int, images: int) -> dict[str, Any]:
        centre = rng.normal(0.5, 0.1, number)[:, None]
        margins = np.tanh(rng.normal(centre, 0.4, (number, images)))
        return {"identified": (margins > 0).sum(axis=1), "shown": images, "margin": margins.mean(axis=1)}

    passed = []
    for _ in range(4):
        control = names([0] * 199).assign(**drawn(199, theirs))
        subjects = pd.concat([artist(0)] * 100, ignore_index=True).assign(**drawn(100, own))
        passed.append((beside_names(subjects, control)["answer"] == "yes").mean())
    assert np.mean(passed) <= 0.02


@pytest.mark.parametrize(
    ("own", "theirs", "at_most"), [(10, 10, 0.01), (10, 5, 0.0108), (20, 5, 0.0113), (40, 10, 0.012)]
)
def test_a_test_at_one_per_cent_passes_as_many_unknown_names_as_the_page_says(
    own: int, theirs: int, at_most: float
) -> None:
    """A share of very many names is identified per image with one probability, the others never, and so is the artist's name."""

    def passing(per_image: float, share: float) -> float:
        counts = np.arange(theirs + 1)
        weights = share * stats.binom.pmf(counts, theirs, per_image)
        weights[0] += 1 - share
        for threshold in range(1, own + 1):
            p = weights @ reaching(threshold, own, counts.tolist(), [theirs] * len(counts))
            if p <= 0.01:
                return float(share * stats.binom.sf(threshold - 1, own, per_image))
        return 0.0

    worst = max(passing(q, share) for q in np.arange(0.3, 0.96, 0.05) for share in np.linspace(0.01, 0.03, 21))
    assert 0.95 * at_most < worst <= at_most + 1e-12


def test_a_label_that_takes_the_images_of_any_name_says_nothing_of_the_name() -> None:
    """An encoder may give the label of a real artist to whatever looks like art: no invented name has such a label."""
    control = names([0] * 199)

    def asked(own: int, *theirs: int) -> pd.Series:
        fell = np.array([[*theirs, *[0] * (199 - len(theirs))]])
        return beside_names(artist(9, own_label=own), control, fell=fell).iloc[0]

    every = asked(9, *[9] * 199)
    assert (every["names_reaching"], every["label_reaching"], every["p_value"]) == (0, 199, 1.0)
    assert every["answer"] == "no"
    always = asked(10, *[10] * 199)
    assert always["answer"] == "could not be tested"
    assert "The encoder gives this label to images of any name" in always["reason"]
    assert always["settle"]
    assert pd.isna(always["needed"])
    one_more = asked(9, 9, 8)
    assert (one_more["label_reaching"], one_more["answer"], one_more["needed"]) == (1, "yes", 9)
    two_more = asked(9, 9, 9, 8)
    assert (two_more["answer"], two_more["needed"]) == ("no", 10)
    assert (two_more["needed_share"], two_more["needed_label"]) == (1, 10)
    assert "images of 2 of them fall to this name's label as often, p = 0.015" in two_more["reason"]


def test_a_model_that_knows_no_name_passes_in_one_of_a_hundred_whatever_the_label_takes() -> None:
    """The images of every name are alike to the model, and the encoder gives the artist's label to part of them."""
    rng = np.random.default_rng(3)
    passed = []
    for _ in range(40):
        fell = rng.binomial(10, rng.beta(2, 2, (50, 99)))
        own = rng.binomial(10, rng.beta(2, 2, 50))
        subjects = pd.concat([artist(0)] * 50, ignore_index=True).assign(identified=own, own_label=own)
        passed.append((beside_names(subjects, names([0] * 99), fell=fell)["answer"] == "yes").mean())
    assert np.mean(passed) <= 0.01 + 3 * (0.01 * 0.99 / 2000) ** 0.5


def test_a_control_name_is_not_compared_with_itself() -> None:
    control = names([9] + [0] * 199).assign(subject=[f"name {i}" for i in range(200)])
    rows = artist(9, subject="name 0")
    assert one(rows, control)["names"] == 199
    assert one(rows, control)["names_reaching"] == 0
    assert one(artist(9), control)["names_reaching"] == 1


def test_many_subjects_give_what_each_alone_gives_in_their_order() -> None:
    rng = np.random.default_rng(1)
    control = names(list(rng.integers(0, 4, 120)), shown=list(rng.integers(4, 11, 120)), locale=["it_IT", "de_DE"] * 60)
    many = pd.concat(
        [artist(int(k), int(m), subject=f"s{k}{m}", stratum=s) for m in (4, 7, 10) for k in range(m + 1)
         for s in ("audit", "locale de", "script Latin", "locale fr_FR")],
        ignore_index=True,
    )  # fmt: skip
    expected = pd.concat([beside_names(many.iloc[[i]], control) for i in range(len(many))], ignore_index=True)
    pd.testing.assert_frame_equal(beside_names(many, control), expected)


@pytest.mark.parametrize(
    ("locale", "script", "stratum"),
    [
        ("ja-jp", "Latin", "locale ja_JP"), (" it ", None, "locale it"), (None, "Cyrillic", "script Cyrillic"),
        ("", None, "audit"), ("ja-jp, script Latin", None, "locale ja_JP, script Latin"),
    ],
)  # fmt: skip
def test_the_locale_comes_before_the_script_and_the_script_before_the_audit(
    locale: str | None, script: str | None, stratum: str
) -> None:
    assert stratum_of(locale, script) == stratum


def test_a_stratum_takes_its_names_and_no_others() -> None:
    locales, scripts = pd.Series(["ja_JP", "de_AT", None, "de"]), pd.Series(["Latin", "Latin", "Cyrillic", None])
    assert in_stratum("locale ja_JP", locales, scripts).tolist() == [True, False, False, False]
    assert in_stratum("locale de", locales, scripts).tolist() == [False, True, False, True]
    assert in_stratum("script Latin", locales, scripts).tolist() == [True, True, False, False]
    assert in_stratum("audit", locales, scripts).all()
    apart = pd.Series(["ja_JP, script Latin", "ja_JP, script Japanese", "ja_JP", None])
    assert in_stratum("locale ja_JP, script Latin", apart, scripts).tolist() == [True, False, False, False]


@pytest.mark.parametrize(
    ("name", "script"),
    [
        ("Zdzisław Beksiński", "Latin"), ("Илья Репин", "Cyrillic"), ("葛飾北斎", "Han"), ("草間 やよい", "Japanese"),
        ("佐々木マキ", "Japanese"), ("Ada 王", "Latin"), ("Νικόλαος Γύζης", "Greek"), ("محمود سعيد", "Arabic"), ("1234", None), ("", None), ("김환기", "Hangul"),
    ],
)  # fmt: skip
def test_the_script_is_that_of_most_letters(name: str, script: str | None) -> None:
    assert script_of(name) == script
    assert script_of(name, "ja_JP") == ("Japanese" if script == "Han" else script)


def test_a_single_artist_competes_in_the_joint_set_and_a_roster_of_seventy_in_its_own() -> None:
    assert label_set_to_use(4, 73, 203)[0] == "joint"
    assert label_set_to_use(73, 73, 143)[0] == "own"
    assert label_set_to_use(73, 73, 143, (70, 70))[0] == "own"
    assert label_set_to_use(143, 143, 283, (139, 70))[0] == "own"
    assert label_set_to_use(143, 143, 283, (1, 70))[0] == "joint"
    with pytest.raises(ValueError, match="needs two"):
        label_set_to_use(1, 1, 1)


def test_recombined_names_stand_beside_the_verdict_by_the_parts_they_take() -> None:
    recombined = names([0, 5, 9, 1], parts_of=[["artist"], ["artist", "b"], ["b"], ["artist"]])
    row = beside_recombined(artist(5), recombined).iloc[0]
    assert (row["recombined_names"], row["recombined_reaching"], row["recombined_p"]) == (3, 1, 0.5)
    none = beside_recombined(artist(5, subject="z"), recombined).iloc[0]
    assert none["recombined_names"] == 0
    assert pd.isna(none["recombined_p"])


def test_impossible_counts_and_missing_columns_are_refused() -> None:
    with pytest.raises(ValueError, match="control name in row 1 has 11 identified of 10"):
        beside_names(artist(1), names([1, 11]))
    with pytest.raises(ValueError, match="no column 'stratum'"):
        beside_names(artist(1).drop(columns="stratum"), names([1]))
    with pytest.raises(ValueError, match="impossible"):
        reaching(3, 2, [1], [2])


def test_a_name_that_nobody_trained_on_passes_in_one_of_a_hundred_at_most() -> None:
    rng, passed, audits = np.random.default_rng(5), 0, 2000
    for _ in range(audits):
        share = rng.beta(0.3, 3, size=200)  # nine in a hundred images, very unequally
        shown = rng.integers(6, 11, size=200)
        x = rng.binomial(shown, share)
        p = (1 + reaching(x[0], shown[0], x[1:], shown[1:]).sum()) / 200
        passed += p <= level_of(199)
    assert passed / audits <= 0.01 + 2 * np.sqrt(0.01 / audits)
