"""The compiled scan against the reference, on text made to differ and on real captions."""

import itertools
import unicodedata
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from audit_assets.roster import scan as scanning
from audit_assets.roster import scan_tables
from audit_assets.roster.normalise import names_in, removed, tokens, words
from audit_assets.roster.parts import countable
from audit_assets.roster.scan import scan, scan_reference
from audit_assets_tests.roster.real_data import real_captions, real_names

# Letters that fold to several, to nothing or to an apostrophe; marks that reorder; separators that are word characters.
ALPHABET = (
    "aAsSxéÉe'`_ -.,/|İłŁøæÆþœßŉΣς王小한½²①🎨\u017f\u0131\u0130\u01c5"
    "\u0301\u0345\u0323\u0b4d\u2019\u2018\u02bc\uff07\u00b4\u1fef\uff40\uff3f"
    "\u02bb\u02be\u02bf\u02b9\u02c1\ua78b\u1e9a\u0640\u07fa\u180a\u0645"
    "\u1100\u1161\ufb01\ufdfa\u3220\u00a0\u200d\u202e\x00"
    # Letters that stand alone, marks that continue them, characters that show nothing, and pieces of HTML entities.
    "天野ガが゛゙ピー々〇ถวั้ำ한ᅡรव\u093f\u0915\u094d\u00ad\u200b\u2060\ufeff\ufe0f\u034f\u20e3\U000e0100\U0001f3a8&#;39x"
)
ENTITIES = [
    "&amp;",
    "&#39;",
    "&#x27;",
    "&nbsp;",
    "&shy;",
    "&eacute;",
    "&#22825;",
    "&amp;#39;",
    "&amp",
    "&degas",
    "&;",
    "&#;",
    "&notin;",
    "&#0;",
]
texts = st.one_of(st.text(alphabet=ALPHABET, max_size=12), st.sampled_from(ENTITIES), st.sampled_from(list("abcJ.")))
phrases = st.lists(st.lists(texts, max_size=4).map("".join), max_size=4).map(" ".join)


def batch(captions: Sequence[str | bytes | None], **columns: object) -> pa.RecordBatch:
    encoded = [caption.encode() if isinstance(caption, str) else caption for caption in captions]
    text = pa.array(encoded, pa.binary()).view(pa.string())
    return pa.RecordBatch.from_pydict({"text": text, **columns})


@settings(max_examples=400, deadline=None)
@given(st.lists(st.one_of(phrases, st.text(max_size=20)), max_size=6), st.lists(phrases, min_size=1, max_size=5))
@example(
    ["j c l", "jc l", "J. C.L", "x j c l", "天野喜孝展", "Monet's展 's天", "a&#39;s b", "&amp;#39;"],
    ["JC L", "天 野", "a's b", "j c l"],
)
@example(["\u0345\u3099", "x\u0345\u3099", "\u1fb3\u3099"], ["\u0345\u3099", "\u03b9"])
@example(
    ["a b c", "ab c", "a bc", "abc", "a b c d e", "x y ab c"], ["ab c", "a bc", "abc", "ab", "bc", "a b c d e", "c"]
)
@example(
    ["Ada's_ x", "'s's s", "a''s", "Ada\u2019\u0301s!", "ada's's brandvold"], ["ada", "s", "ada brandvold", "ada s"]
)
def test_the_compiled_scan_equals_the_reference_on_any_text(captions: list[str], spellings: list[str]) -> None:
    pieces = [caption + " " + name for caption, name in zip(captions, itertools.cycle(spellings), strict=False)]
    names = {str(number): [name, spellings[0]][: 1 + number % 2] for number, name in enumerate(spellings)}
    rows = [batch([*captions, *pieces, None])]
    assert scan(rows, names) == scan_reference(rows, names)


@settings(max_examples=300, deadline=None)
@given(st.one_of(phrases, st.text(max_size=20)))
@example("a\u2003'sb \u0301c\x1cd's 's e")
def test_white_space_always_separates(text: str) -> None:
    """Which lets names be put into words piece by piece."""
    assert words(text) == [word for piece in text.split() for word in words(piece)]


@settings(max_examples=400, deadline=None)
@given(st.one_of(phrases, st.text(max_size=20)))
@example("A B C D E f. g. ﬁ ß İ")
@example("&amp;ß")
@example("&ampß")
@example("&amp\u0345")
def test_tokens_of_tokens_are_the_same_tokens(text: str) -> None:
    assert tokens(" ".join(tokens(text))) == tokens(text)
    assert tokens(text.upper().lower()) == tokens(text.lower())


@settings(max_examples=300, deadline=None)
@given(phrases, phrases, st.text(max_size=20))
def test_a_caption_that_holds_a_name_as_written_names_it(name: str, before: str, after: str) -> None:
    assert names_in(f"{before} {name} {after}", {"it": tuple(tokens(name))}) == ({"it"} if tokens(name) else set())


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=12), max_size=8))
@example([b"\xc3", b"\xe2\x82", b"\xed\xa0\x80ada", b"\xf0\x80\x80\x80ada", b"a\xf4\x90\x80\x80da ada\xc3"])
@example([b"\xe2\x82ada", b"ada\xffs", b"ada\xe1\x80\xe2\xf0\x91\x92\xf1\xbfada", b"\xc0\x80ada"])
def test_invalid_utf8_separates_like_a_lenient_decoder(captions: list[bytes]) -> None:
    rows = [batch([b + b"ada" for b in captions] + [b"ada" + b for b in captions])]
    names = {"ada": ["ada"], "a": ["a"], "s": ["s"]}
    assert scan(rows, names) == scan_reference(rows, names)


@pytest.mark.long
def test_every_code_point_folds_as_the_reference_does() -> None:
    starts, folded = scan_tables.fold_tables()
    assert (np.diff(starts[:129]) == 1).all(), "ASCII characters must fold to one class each"
    for point in set(range(scan_tables.CODE_POINTS)) - set(range(0xD800, 0xE000)):
        classes = folded[starts[point] : starts[point + 1]].tolist()
        if point < scan_tables.LETTERLESS:
            spelled = "".join(chr(kind & 0xFFFFFF) if kind > 2 else " '_"[kind] for kind in classes)
            assert words(f"x'{chr(point)}x x'{chr(point)}") == words(f"x'{spelled}x x'{spelled}"), hex(point)
        else:
            assert classes == ([] if removed(chr(point)) else [0]), hex(point)
            assert not chr(point).isalnum(), hex(point)
            assert removed(chr(point)) or not unicodedata.combining(chr(point)), hex(point)


def test_equal_token_hashes_cannot_miscount() -> None:
    # The hash turns by 7 of 64 bits a character, so that characters 64 places apart can change places.
    one, two, three = ("x" + "b" * 63 + "y", "y" + "b" * 63 + "x", "x" + "b" * 63 + "yb")
    _, hashes, numbers, _, _ = scanning.Matcher({"one": [one], "two": [two]})._tokens
    assert len(set(hashes[numbers >= 0].tolist())) == 1
    assert scan([batch([one, one, two, three])], {"one": [one], "two": [two]}).mentions == {"one": 2, "two": 1}
    assert scan([batch([one, one, two, three])], {"two": [two]}).mentions == {"two": 1}


def test_a_caption_counts_once_for_an_artist_whatever_the_aliases() -> None:
    rows = [batch(["Ada Brandvold (adab), ADA BRANDVOLD's work", "adab", "Ada Brandvoldt", "bada brandvold"])]
    result = scan(rows, {"ada": ["Ada Brandvold", "adab", "ada brandvold"], "none": ["", "…"], "bea": []})
    assert result.mentions == {"ada": 2, "none": 0, "bea": 0}
    assert (result.rows_read, result.rows_kept, result.rows_naming) == (4, 4, 2)


def test_overlapping_and_shared_names_all_count() -> None:
    names = {
        "long": ["a b c"],
        "middle": ["b c d"],
        "short": ["c"],
        "twin": ["C"],
        "prefix": ["a b"],
        "repeat": ["c c d"],
    }
    assert scan([batch(["a b c c d", "b c d"])], names).mentions == {
        "long": 1, "middle": 1, "short": 2, "twin": 2, "prefix": 1, "repeat": 1,
    }  # fmt: skip


def test_rows_that_a_filter_turned_away_are_read_but_not_scanned() -> None:
    rows = [
        batch(["ada", "ada", None], kept=[True, False, True], row=[7, 8, 9]),
        batch(["ada"] * 4, kept=[None, True, True, True], row=[10, 11, 12, 13]),
    ]
    result = scan(rows, {"ada": ["ada"]})
    assert result == scan_reference(rows, {"ada": ["ada"]})
    assert (result.rows_read, result.rows_kept, result.mentions["ada"]) == (7, 4, 4)


def test_batches_of_slices_large_strings_and_nothing() -> None:
    captions = ["x", "ada", "Ada!", None, "ada"]
    plain = batch(captions)
    large = pa.RecordBatch.from_pydict({"text": pa.array(captions, pa.large_string())})
    empty = pa.RecordBatch.from_pydict({"text": pa.array([], pa.string())})
    nulls = pa.RecordBatch.from_pydict({"text": pa.array([None, ""], pa.string())})
    rows = [plain.slice(1, 2), large.slice(2), empty, nulls, plain.slice(4)]
    assert scan(rows, {"ada": ["ada"]}) == scan_reference(rows, {"ada": ["ada"]})
    assert scan(rows, {"ada": ["ada"]}).mentions == {"ada": 5}
    assert scan(rows, {}).rows_read == 8


def test_a_caption_of_a_megabyte_with_the_name_at_its_end() -> None:
    rows = [batch(["ﷺ" * 350_000 + " ada", "y" * 1_000_000 + " ada\x00lovelace"])]
    assert scan(rows, {"ada": ["ada"], "both": ["Ada Lovelace"]}).mentions == {"ada": 2, "both": 1}


def test_more_matches_than_fit_in_one_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanning, "_ROOM", 7)
    names = {str(number): ["ada"] for number in range(50)}
    result = scan([batch(["ada", "bea"] * 100)], names)
    assert set(result.mentions.values()) == {100}
    assert result.rows_naming == 100


def test_real_captions_with_real_names_count_as_by_the_reference() -> None:
    captions, names = real_captions(), {name: (name,) for name in real_names()[::25]}
    rows = [batch(captions[start : start + 1500]) for start in range(0, 3000, 1500)]
    result = scan(rows, names)
    assert result == scan_reference(rows, names)
    assert result.rows_naming >= 1


@pytest.mark.long
def test_all_real_captions_with_all_real_names_count_as_by_the_reference() -> None:
    names = {name: (name,) for name in real_names()}
    rows = [batch(real_captions())]
    assert scan(rows, names) == scan_reference(rows, names)


def test_names_that_cannot_be_counted_are_refused_alone() -> None:
    names = {"ada": ["Ada"], "c": ["C"], "mixed": ["B.", "Bea", "…"], "none": [], "han": ["王"], "hans": ["王維"]}
    accepted, refused = countable(names)
    assert accepted == {"ada": ("Ada",), "c": (), "mixed": ("Bea",), "none": (), "han": (), "hans": ("王維",)}
    assert set(refused) == {"c", "mixed", "none", "han"}
    assert "'C' is one letter" in refused["c"]
    assert scan([batch(["C b Ada Bea 王維"])], accepted).mentions == {
        "ada": 1, "c": 0, "mixed": 1, "none": 0, "han": 0, "hans": 1,
    }  # fmt: skip


SPELLINGS = [
    ("Georgia O'Keeffe", "Georgia O&#39;Keeffe poster", True),
    ("Georgia O'Keeffe", "Georgia O&amp;#39;Keeffe poster", True),
    ("Gilbert & George", "Gilbert &amp; George, 1971", True),
    ("Gilbert & George", "Gilbert &amp George, 1971", True),
    ("Gilbert &amp; George", "Gilbert & George", True),
    ("Edgar Degas", "Monet&edgar degas", True),
    ("Camille Pissarro", "camille&nbsp;pissarro", True),
    ("Gilbert George", "Gilbert amp George", False),
    ("歌川広重", "歌川広重展", True),
    ("歌川 広重", "浮世絵師歌川広重の作品", True),
    ("歌川広重", "歌川国貞と広重", False),
    ("クロード・モネ", "クロード・モネ展覧会", True),
    ("モネ", "モネの庭", True),
    ("ハハ", "パパ", False),
    ("김홍도", "김홍도의 그림", True),
    ("김홍도", "김홍", False),
    ("สุนทรภู่", "ภาพวาดของสุนทรภู่ในวัง", True),
    ("राजा रवि वर्मा", "चित्रकार राजा रवि वर्मा", True),
    ("राजा रवि वर्मा", "रजा रव वरम", False),
    ("Claude Monet", "Claude Mo\u00adnet", True),
    ("Claude Monet", "Claude\u200b Mo\u200dnet\ufeff", True),
    ("葛飾北斎", "葛\U000e0100飾北斎", True),
    ("J.C. Leyendecker", "JC Leyendecker cover", True),
    ("JC Leyendecker", "painting by J.C. Leyendecker", True),
    ("JC Leyendecker", "J. C. Leyendecker", True),
    ("JC Leyendecker", "a y J. C. Leyendecker", True),
    ("C. Leyendecker", "J. C. Leyendecker", True),
    ("JC Leyendecker", "Jo C. Leyendecker", False),
    ("J.M.W. Turner", "JMW Turner", True),
    ("J.M.W. Turner", "J.M. Turner", False),
    ("М. К. Чюрлёнис", "МК Чюрленис", True),  # noqa: RUF001
    ("Monet", "Monet's展", True),
    ("ʿAbd al-Raḥmān Example", "Portrait by Abd al-Rahman Example", True),
    ("Abd al-Rahman Example", "Portrait by ʿAbd al-Raḥmān Example", True),
    ("\u02bdAbd al-Raḥmān Example", "\u2018Abd al-Rahman Example", True),
    ("Kamāl al-Dīn Exampl\u02be", "by Kamal al-Din Exampl", True),
    ("Keli\u02bbi Example", "Lithograph by Keli'i Example", True),
    ("Keli’i Example", "Lithograph by Keli\u02bbi Example", True),
    ("Igor\u02b9 Example", "Igor Example", True),
    ("Tat\u02b9iana Example", "Tat'iana Example", True),
    ("Ada Example", "Ada Example\u2032s barn", True),
    ("\u0645\u062d\u0645\u062f", "\u0645\u062d\u0640\u0640\u0645\u062f", True),
    ("\u0645\u062d\u0640\u0645\u062f", "\u0645\u062d\u0645\u062f", True),
]


@pytest.mark.parametrize(("name", "caption", "found"), SPELLINGS)
def test_a_name_is_found_as_people_write_it(name: str, caption: str, found: bool) -> None:
    names = {"it": [name]}
    assert scan([batch([caption])], names) == scan_reference([batch([caption])], names)
    assert scan([batch([caption])], names).mentions == {"it": int(found)}


def test_a_string_in_place_of_a_list_of_names_is_refused() -> None:
    with pytest.raises(TypeError, match=r"'ada'.* is a string"):
        scan([], {"ada": "Ada"})
