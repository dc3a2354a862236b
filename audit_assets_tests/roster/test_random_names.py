"""Control names: screened, matched in length, the same for the same seed."""

import random

import numpy as np
import pytest

from audit_assets.errors import InputError
from audit_assets.measurement.strata import script_of
from audit_assets.roster.normalise import tokens
from audit_assets.roster.parts import name_parts, shares_name_parts, word_count
from audit_assets.roster.random_names import proportional, random_names, recombinations

KNOWN = ["Michael Smith", "Jennifer Jones", "Ada de Brandvold", "J. Johnson"]


def test_random_names_share_no_part_with_a_known_name() -> None:
    names = random_names(70, locale="en_US", seed=7, known=KNOWN, token_counts=[2, 2, 2, 3, 1])
    assert len({tuple(tokens(name)) for name in names}) == 70
    assert not any(shares_name_parts(name, KNOWN) for name in names)
    assert sorted(len(tokens(name)) for name in names) == [1] * 14 + [2] * 42 + [3] * 14


def test_the_draw_depends_on_its_seed_alone() -> None:
    first = random_names(20, locale="en_US", seed=7, known=KNOWN)
    random.seed(1)
    np.random.default_rng(1)
    assert random_names(20, locale="en_US", seed=7, known=KNOWN[::-1]) == first
    assert random_names(20, locale="en_US", seed=8, known=KNOWN) != first


def test_parts_may_be_shared_where_allowed() -> None:
    names = random_names(200, locale="en_US", seed=1, known=KNOWN, share_parts=True)
    assert any(shares_name_parts(name, KNOWN) for name in names)
    assert not set(names) & set(KNOWN)


def test_an_exhausted_locale_gives_what_it_has() -> None:
    assert 300 < len(random_names(5000, locale="en_US", seed=1, known=[], token_counts=[1])) < 5000
    with pytest.raises(InputError, match="'xx_XX' is not a locale"):
        random_names(1, locale="xx_XX", seed=1, known=[])


def test_names_of_another_script() -> None:
    names = random_names(10, locale="ja_JP", seed=1, known=["王 小明"])
    assert {script_of(name, "ja_JP") for name in names} == {"Japanese"}


@pytest.mark.parametrize("locale", ["ja_JP", "ko_KR", "zh_CN"])
def test_the_surname_comes_first_in_the_letters_of_a_language_that_writes_it_first(locale: str) -> None:
    together, spaced = (random_names(60, locale=locale, seed=2, known=[], token_counts=[n]) for n in (1, 2))
    assert [name.replace(" ", "") for name in spaced] == together
    romanised = random_names(20, locale=locale, seed=2, known=[], token_counts=[2], latin=True)
    assert {script_of(name) for name in romanised} == {"Latin"}


def test_recombined_names_are_made_of_artists_parts_and_are_no_artists() -> None:
    artists = [f"F{i} L{i}" for i in range(10)] + ["Mononym"]
    names = recombinations(70, artists, 7, known=["F1 L2", "f2-l1"])
    assert len(set(names)) == 70
    assert not set(names) & {*artists, "F1 L2", "F2 L1"}
    assert all(shares_name_parts(name, artists) for name in names)
    firsts = [name.split()[0] for name in names]
    assert max(map(firsts.count, firsts)) - min(map(firsts.count, firsts)) <= 3
    assert recombinations(70, artists, 7, known=["F1 L2", "f2-l1"]) == names
    assert recombinations(30, artists, 7, known=["F1 L2", "f2-l1"]) == names[:30]
    assert recombinations(70, artists, 8, known=[]) != names


def test_few_artists_give_few_names() -> None:
    assert len(recombinations(3, ["A B", "C D"], 1, known=[])) == 2
    assert recombinations(1, ["Mononym"], 1, known=[]) == []


def test_proportions_go_by_the_largest_remainder() -> None:
    assert proportional(7, [2, 2, 3]) == [2, 2, 2, 2, 2, 3, 3]
    assert proportional(3, []) == [2, 2, 2]


def test_an_apostrophe_makes_no_word_and_a_long_name_is_cut() -> None:
    assert list(map(word_count, ["Ada", "Clara O'Corvin", "a b c d e f"])) == [1, 2, 4]


def test_an_initial_is_no_part_but_a_han_character_is() -> None:
    assert name_parts("J. M. W. Turner") == {"turner"}
    assert shares_name_parts("王 X", ["王 小明"])
    assert not shares_name_parts("J. Doe", ["J. Johnson"])
    assert not shares_name_parts("", ["..."])
