"""Partition keys: pure, bounded, safe as folder names, and never shared."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_assets.errors import InputError
from audit_assets.roster.normalise import tokens
from audit_assets.roster.slugs import LONGEST_SLUG, slug, slugs

names = st.one_of(
    st.text(max_size=30), st.text(alphabet="aA-_. 's/|éß王🎨", max_size=12), st.text(min_size=150, max_size=200)
)


@given(names)
def test_a_slug_is_a_short_safe_key(name: str) -> None:
    assert re.fullmatch(r"[a-z0-9][a-z0-9._-]*", slug(name))
    assert len(slug(name)) <= LONGEST_SLUG


@given(st.lists(names, max_size=12, unique_by=lambda name: tuple(tokens(name)) or name), st.randoms())
def test_slugs_are_injective_and_do_not_depend_on_the_others(several: list[str], random: object) -> None:
    distinct = list({slug(name): name for name in several if tokens(name)}.values())
    keys = slugs(distinct)
    assert len(set(keys.values())) == len(distinct) == sum(1 for name in several if tokens(name))
    assert slugs(distinct[::-1]) == keys
    assert all(keys[name] == slug(name) for name in distinct)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("Ada Brandvold", "ada-brandvold"),
        ("Vincent van Gogh", "vincent-van-gogh"),
        ("Édouard Manet", "edouard-manet"),
        ("Georgia O'Keeffe", "georgia-o-keeffe"),
        ("ʿAbd al-Raḥmān", "abd-al-rahman"),
        ("Keli\u02bbi Example", slug("Keli'i Example")),
        ("../../etc/passwd", "etc-passwd"),
        ("a|bc", "a-bc"),
        ("J.C. Leyendecker", "jc-leyendecker"),
        ("JC Leyendecker", "jc-leyendecker"),
        ("_name_", "name"),
    ],
)
def test_slugs_read_like_the_names(name: str, key: str) -> None:
    assert slug(name) == key


def test_what_ascii_loses_is_told_apart_by_a_hash() -> None:
    hashed = ["王小明", "王小红", "王 Wang", "李 Wang", "🎨", "..", ".", "x" * 200, "x" * 199 + "y"]
    keys = [slug(name) for name in hashed]
    assert len(set(keys)) == len(hashed)
    assert all(re.search("_[0-9a-f]{12}$", key) for key in keys)
    assert keys[2].startswith("wang_")


@pytest.mark.parametrize(
    "pair", [("Ada", "ada"), ("Ada  B", "ada-b"), ("Édouard", "Edouard"), ("Ada", "Ada"), ("a_b", "a b")]
)
def test_names_that_captions_cannot_tell_apart_are_refused_by_name(pair: tuple[str, str]) -> None:
    with pytest.raises(InputError, match="cannot be told apart") as caught:
        slugs(pair)
    assert all(repr(name) in str(caught.value) for name in pair)
