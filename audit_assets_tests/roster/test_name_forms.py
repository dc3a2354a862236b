import pytest
from faker import Faker
from hypothesis import given
from hypothesis import strategies as st

from audit_assets.roster.name_forms import misread

WRITTEN = {
    "Example, Ada": "Ada Example",
    "AdÃ¨le Example": "Adèle Example",  # UTF-8 that Excel read as Windows-1252
    "Ad√®le Example": "Adèle Example",  # that an old Mac read
    "Ad├¿le Example": "Adèle Example",  # that a console of Windows read
    "O&#39;Keeffe Example": "O'Keeffe Example",
    "Ada &amp; Ben": "Ada & Ben",
    "“Ada Example”": "Ada Example",
    '"Ada Example"': "Ada Example",
    "「田中 絵美」": "田中 絵美",
    "Ada Example (1950–2001)": "Ada Example",
    "Ada (painter) Example": "Ada Example",
    "Ben Sample [artist]": "Ben Sample",
}


@pytest.mark.parametrize(("written", "meant"), list(WRITTEN.items()))
def test_a_name_that_a_program_or_a_catalogue_changed_is_refused_with_the_form_that_is_meant(
    written: str, meant: str
) -> None:
    said = misread(written)
    assert said is not None
    assert f"write {meant!r}" in said
    assert misread(written, [meant]) is None  # the artist is called so
    assert misread(meant) is None


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nan", "an empty cell"),
        ("#N/A", "an empty cell"),
        ("@adaexample", "a handle or an address"),
        ("ada@example.org", "a handle or an address"),
        ("https://example.org/ada", "a handle or an address"),
        ("Ad\ufffdle Example", "lost a letter"),
        ("Ad?le Example", "lost a letter"),
    ],
)
def test_what_is_no_name_is_refused(name: str, said: str) -> None:
    assert said in (misread(name, ["Ada Example"]) or "")


@pytest.mark.parametrize(
    "name",
    [
        "Ada Example, Jr.", "Gilbert & George", "Nan Goldin", "O'Keeffe", "Who?", "Ada “Bee” Example", "Ångström Öz", "Å",
        "天野喜孝", "Łukasz Żółć", "Ñandú Ü", "1010", "Ad√le", "M/M", "JR", "Ç É",
    ],
)  # fmt: skip
def test_a_name_as_people_write_it_stays(name: str) -> None:
    assert misread(name) is None


def test_the_names_of_every_origin_stay() -> None:
    for locale in (
        "de_DE",
        "fr_FR",
        "pl_PL",
        "cs_CZ",
        "tr_TR",
        "el_GR",
        "ru_RU",
        "ja_JP",
        "zh_CN",
        "fa_IR",
        "he_IL",
        "vi_VN",
        "hu_HU",
    ):
        faker = Faker(locale)
        faker.seed_instance(1)
        names = [f"{faker.first_name()} {faker.last_name()}" for _ in range(200)]
        assert [name for name in names if misread(name)] == []


@given(st.text(st.characters(min_codepoint=0xC0, max_codepoint=0x17F, categories=["L"]), min_size=1, max_size=12))
def test_letters_that_were_read_in_another_encoding_are_never_taken_for_a_name(name: str) -> None:
    for encoding in ("cp1252", "mac_roman", "cp437"):
        try:
            read = name.encode().decode(encoding)
        except UnicodeError:
            continue
        assert f"write {name!r}" in (misread(read) or "")
