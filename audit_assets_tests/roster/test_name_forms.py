import ast
import re

import pytest
from faker import Faker
from hypothesis import given, settings
from hypothesis import strategies as st

from audit_assets.roster.name_forms import mended, misread, numbered

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
    "Example, Ada, 1840-1926": "Ada Example",
    "Example, Ada (1862-1918)": "Ada Example",
    '"Example, Ada"': "Ada Example",
    "Ada Example 1840-1926": "Ada Example",
    "Ada Example 1840 – 1926": "Ada Example",
    "Ada Example, 1950-": "Ada Example",
    "Ada Example b. 1950": "Ada Example",
    "Ada Example, born 1950": "Ada Example",
    "Ada Example *1950": "Ada Example",
    "Ada Example † 1926": "Ada Example",
    "Ada Example *12.03.1840 †02.04.1926": "Ada Example",
    "Ada Example 1862": "Ada Example",
    "Ada Example, c. 1862": "Ada Example",
    "Ada Example, French, 1840-1926": "Ada Example",
    "Ada Example, Painter": "Ada Example",
    "1 Ada Example": "Ada Example",
    "2. Ada Example": "Ada Example",
    "3) Ada": "Ada",
    "#4 Ada Example": "Ada Example",
    "• Ada Example": "Ada Example",
    "•Ada •": "Ada",
    "- Ada Example": "Ada Example",
    "* Ada": "Ada",
    "- [ ] Ada Example": "Ada Example",
    "Ada%20Example": "Ada Example",
    "Ad%C3%A8le": "Adèle",
    "Ad\\u00e8le": "Adèle",
    "Ada_Example": "Ada Example",
    "<b>Ada</b>": "Ada",
    "Ada Example*": "Ada Example",
    "Ada Example¹": "Ada Example",
    "Davis, Sammy, Jr.": "Sammy Davis, Jr.",
    "Davis, Jr., Sammy": "Sammy Davis, Jr.",
    "Davis, Sammy Jr.": "Sammy Davis Jr.",
    "Bruegel, Pieter, the Elder": "Pieter Bruegel, the Elder",
    "Bruegel, Pieter the Elder": "Pieter Bruegel the Elder",
    "Gogh, Vincent van": "Vincent van Gogh",
    "Leonardo, da Vinci": "Leonardo da Vinci",
    "Examples, The": "The Examples",
    "Example,": "Example",
    "Ada Example ;": "Ada Example",
    "Example, Ada, 1471-1528.": "Ada Example",
    "Ada<br>Example": "Ada Example",
    "Ada&nbsp;Example": "Ada Example",
    "1)Ada": "Ada",
    "1.Ada Example": "Ada Example",
    "01 Ada": "Ada",
    "→ Ada": "Ada",
    '"Ada Example': "Ada Example",
    "Ada Example @ada": "Ada Example",
    "\u0410da Example": "Ada Example",  # the first letter is Cyrillic
    "Илья \u0420e\u043fин": "Илья \u0420\u0435пин",  # the e is Latin
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
        ("Ren? Example", "lost a letter"),
        ("Ada Exampl?", "lost a letter"),
        ("?da Example", "lost a letter"),
        ("??? Example", "lost a letter"),
        ("Who?", "lost a letter"),
        ("Ada Exampl\u25a1", "lost a letter"),
        ("2020-05-01", "a date"),
        ("01/05/2020", "a date"),
        ("Mar-05", "a date"),
        ("05-Mrz", "a date"),
        ("1. Mai", "a date"),
        ("1840-1926", "a date"),
        ("1.2E+10", "a number"),
        ("05/2020", "a date"),
        ("12:30", "a date"),
        ("example.com", "an address"),
        ("n.n.", "names nobody"),
        ("Ada Sample/Cy Zee", "several people"),
        ("=A1", "a formula"),
        ('=HYPERLINK("x";"Ada")', "a formula"),
        ("#VALUE!", "a formula or an error"),
        ("#DIV/0!", "a formula or an error"),
        ("Unknown artist", "names nobody"),
        ("# not this one", "like a comment; delete the row"),
        ("// Ada", "like a comment; delete the row"),
        ("Ada Sample; Cy Zee", "several people; write the name alone, as people say it, and one artist per row"),
        ("Ada Sample | Cy Zee", "several people"),
        ("Ada Sample / Cy Zee", "several people"),
        ("Earth, Wind and Fire", "between several people"),
        ("Ada, Ben, Cy, Dora", "between several people"),
        ("Example, seller of dogs", "between several people"),
        ("Ada Sample - Wikipedia", "a dash between spaces"),
        ("attributed to Sample", "an attribution"),
        ("Ada (Sample", "one bracket"),
        ("example.org/ada", "an address"),
    ],
)
def test_what_is_no_name_is_refused(name: str, said: str) -> None:
    assert said in (misread(name, ["Ada Example"]) or "")


@pytest.mark.parametrize(
    "name",
    [
        "Ada Example, Jr.", "Gilbert & George", "Nan Goldin", "O'Keeffe", "Ada “Bee” Example", "Ångström Öz", "Å",
        "天野喜孝", "Łukasz Żółć", "Ñandú Ü", "1010", "Ad√le", "M/M", "JR", "Ç É",
        "2Pac", "50 Cent", "3D", "KAWS", "Banksy", "El Lissitzky", "Ai Weiwei", "Jean-Michel Basquiat", "Anna-Eva Bergman", "Sammy Davis Jr.",
        "Sammy Davis, Jr.", "Smith & Wesson, Inc.", "Pieter Bruegel, the Elder", "J. M. W. Turner", "will.i.am", "Ke$ha", "A+B", "M.C. Escher",
        "=LOVE", "100%", "1984", "Studio 1984", "The 1975", "10,000 Maniacs", "Blink-182", "Utagawa Kunisada II", "Louis XIV", "Front 242",
        "Marianne von Werefkin", "Hans Holbein d. J.", "Sol LeWitt", "f.marquespenteado", "May Ray", "Juni Mars", "Mar Dec", "AT&T", "Ōkubo", "B 52",
        "D'Arcy", "N. C. Wyeth", "-tsx-", "b|c", "Tyler, the Maker", "Ada/Ben", "N. C.", 'Ada "B" Example', "Ada S.", "Jr.", "1900", "Илья", "Анна II",
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
        if misread(name) is None:
            assert f"write {name!r}" in (misread(read) or "")


def test_a_question_mark_that_belongs_to_a_name_is_said_by_an_alias() -> None:
    assert "add 'Who' to the aliases" in (misread("Who?") or "")
    assert misread("Who?", ["Who"]) is None
    assert misread("Who?", ["Who?"]) is not None  # the letter is lost there too
    assert misread("Wh\ufffd", ["Wh"]) is not None


PIECES = [
    "Ada", "Example", "van", "de", "the Elder", "Jr.", "II", "Inc.", "painter", "French", "1840-1926", "b. 1950", "1862", "(", ")", "[1]", ",", ", ", ";",
    " | ", " - ", "#", "1.", "2", "•", "*", "?", "_", "%20", "&amp;", "Ã©", "“", "”", "'", "&", " and ", "/", "@", "=", "A1", "<b>", "\\u00e9", "\ufffd", "田中", "nan",
]  # fmt: skip


@settings(deadline=None, max_examples=400)
@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=7), st.sampled_from(["", " "]))
def test_every_remedy_is_itself_accepted(pieces: list[str], between: str) -> None:
    name = between.join(pieces).strip()
    said = misread(name)
    form = mended(name)
    if form is not None:
        assert said is not None
        assert f"write {form!r}" in said
        assert misread(form) is None
    if said is not None and (found := re.search(r"keep it and add (.*) to the aliases$", said)):
        assert misread(name, [ast.literal_eval(found[1])]) is None


@given(st.text(max_size=40))
def test_any_text_has_a_form_or_a_remedy(name: str) -> None:
    form = mended(name)
    assert form is None or misread(form) is None


def test_rows_that_count_up_are_a_list() -> None:
    assert numbered(["49 Ada", "50 Ben", "Cy", "50 Cent"]) == {0, 1}
    assert numbered(["50 Cent", "3D", "2Pac", "1984"]) == set()
