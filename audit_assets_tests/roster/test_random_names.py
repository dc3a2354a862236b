"""Control names: screened, matched in length, the same for the same seed."""

import random

import numpy as np
import pytest

from audit_assets.errors import InputError
from audit_assets.roster.normalise import tokens
from audit_assets.roster.parts import name_parts, shares_name_parts
from audit_assets.roster.random_names import COLUMNS, FAKER_VERSION, random_names, recombined_names

KNOWN = ["Michael Smith", "Jennifer Jones", "Ada de Brandvold", "J. Johnson"]


def test_random_names_share_no_part_with_a_known_name() -> None:
    table = random_names(70, locale="en_US", seed=7, known=KNOWN, token_counts=[2, 2, 2, 3, 1])
    assert tuple(table.columns) == COLUMNS
    assert len({tuple(tokens(name)) for name in table.name}) == 70
    assert not any(shares_name_parts(name, KNOWN) for name in table.name)
    assert not table.shares_name_parts.any()
    assert set(table.faker_version) == {FAKER_VERSION}
    assert (set(table.locale), set(table.seed)) == ({"en_US"}, {7})
    assert table.why.str.contains("4 known names").all()
    lengths = table.name.map(lambda name: len(tokens(name)))
    assert lengths.value_counts().to_dict() == {2: 42, 3: 14, 1: 14}


def test_the_draw_depends_on_its_seed_alone() -> None:
    first = random_names(20, locale="en_US", seed=7, known=KNOWN)
    random.seed(1)
    np.random.default_rng(1)
    assert random_names(20, locale="en_US", seed=7, known=KNOWN[::-1]).equals(first)
    assert not random_names(20, locale="en_US", seed=8, known=KNOWN).name.equals(first.name)


def test_parts_may_be_shared_where_allowed_and_it_is_said() -> None:
    table = random_names(200, locale="en_US", seed=1, known=KNOWN, share_parts=True)
    assert table.shares_name_parts.tolist() == [shares_name_parts(name, KNOWN) for name in table.name]
    assert table.shares_name_parts.any()


def test_an_exhausted_locale_says_how_many_it_gave() -> None:
    with pytest.raises(InputError, match=r"only \d+ of 5000 names of 1 tokens .*controls.locale"):
        random_names(5000, locale="en_US", seed=1, known=[], token_counts=[1])
    with pytest.raises(InputError, match="'xx_XX' is not a locale"):
        random_names(1, locale="xx_XX", seed=1, known=[])


def test_names_of_another_script() -> None:
    table = random_names(10, locale="ja_JP", seed=1, known=["王 小明"])
    assert all(not name.isascii() for name in table.name)


def test_recombined_names_are_made_of_artists_parts_and_are_no_artists() -> None:
    artists = [f"F{i} L{i}" for i in range(10)] + ["Mononym"]
    table = recombined_names(70, artists, 7, known=["F1 L2", "f2-l1"])
    assert len(set(table.name)) == 70
    assert not set(table.name) & {*artists, "F1 L2", "F2 L1"}
    assert table.shares_name_parts.all()
    assert all(shares_name_parts(name, artists) for name in table.name)
    counts = table.name.str.split().str[0].value_counts()
    assert counts.max() - counts.min() <= 3
    assert recombined_names(70, artists, 7, known=["F1 L2", "f2-l1"]).equals(table)
    assert not recombined_names(70, artists, 8, known=[]).name.equals(table.name)


def test_too_few_artists_to_recombine_are_named() -> None:
    with pytest.raises(InputError, match="only 2 of 3 names can be recombined from the parts of 2 artists"):
        recombined_names(3, ["A B", "C D"], 1, known=[])
    with pytest.raises(InputError, match="only 0 of 1"):
        recombined_names(1, ["Mononym"], 1, known=[])


def test_an_initial_is_no_part_but_a_han_character_is() -> None:
    assert name_parts("J. M. W. Turner") == {"turner"}
    assert shares_name_parts("王 X", ["王 小明"])
    assert not shares_name_parts("J. Doe", ["J. Johnson"])
    assert not shares_name_parts("", ["..."])
