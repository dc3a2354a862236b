"""Caption files of many makers: which column is read, in which encoding, dialect and compression, and what is said of it."""

import bz2
import csv
import gzip
import io
import json
import resource
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from audit_assets.errors import InputError
from audit_assets.roster.caption_columns import MISSING, lacks_value
from audit_assets.roster.caption_files import Reading
from audit_assets.roster.captions import (
    Declared,
    Filters,
    Seen,
    caption_batches,
    caption_shards,
    declared,
    notes,
)
from audit_assets.roster.scan import scan
from audit_assets.untrusted import parquet as bounds
from audit_assets.untrusted.parquet import Bomb
from audit_assets.untrusted.text_files import as_utf8

ADA = {"ada": ["Ada Example"]}


def read(path: Path, seen: Seen | None = None, **reading: Any) -> list[dict]:
    (shard,) = caption_shards(path.name, path.parent, Reading(**reading))
    batches = caption_batches(shard, seen=seen or Seen())
    return [row for batch in batches for row in batch.to_pylist()]


def rows_read(path: Path, seen: Seen | None = None, **reading: Any) -> int:
    (shard,) = caption_shards(path.name, path.parent, Reading(**reading))
    return sum(batch.num_rows for batch in caption_batches(shard, seen=seen))


def texts(path: Path, **reading: Any) -> list[str]:
    return [row["text"] for row in read(path, **reading)]


def declared_of(path: Path, **reading: Any) -> Declared:
    (shard,) = caption_shards(path.name, path.parent, Reading(**reading))
    return declared(shard)


def table(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


SETS: list[tuple[str, dict[str, Any], str, str | None, tuple[str, ...]]] = [
    ("DiffusionDB", {"image_name": ["a"], "prompt": ["by Ada Example"], "image_nsfw": [0.1], "prompt_nsfw": [0.1]}, "prompt", "image_name", ()),
    ("COYO", {"id": [1], "url": ["u"], "text": ["by Ada Example"], "text_length": [14], "image_phash": ["x"]}, "text", "url", ()),
    ("DataComp", {"uid": ["x"], "url": ["u"], "text": ["by Ada Example"], "clip_l14_similarity_score": [0.3]}, "text", "url", ()),
    ("recaptioned", {"url": ["u"], "org_caption": ["by Ada Example"], "re_caption": ["a river"]}, "org_caption", "url", ("re_caption",)),
    ("two texts", {"URL": ["u"], "TEXT": ["by Ada Example"], "caption": ["a river"]}, "TEXT", "URL", ("caption",)),
    ("img2dataset", {"url": ["u"], "caption": ["by Ada Example"], "key": ["0"], "status": ["success"]}, "caption", "url", ()),
    ("a list of texts", {"id": [7], "text": ["by Ada Example"]}, "text", "id", ()),
    ("texts alone", {"text": ["by Ada Example"]}, "text", None, ()),
    ("an image of bytes", {"image": [{"bytes": b"x"}], "text": ["by Ada Example"]}, "text", None, ()),
]  # fmt: skip


@pytest.mark.parametrize(("name", "columns", "text", "url", "others"), SETS, ids=[row[0] for row in SETS])
def test_the_columns_of_published_sets_are_known(
    tmp_path: Path, name: str, columns: dict[str, Any], text: str, url: str | None, others: tuple[str, ...]
) -> None:
    path = table(tmp_path / "a.parquet", **columns)
    found = declared_of(path).columns
    assert (found.ours["text"], found.ours.get("url"), found.other_texts) == (text, url, others), name
    assert texts(path) == ["by Ada Example"]


def test_another_column_is_read_if_audit_yaml_names_it(tmp_path: Path) -> None:
    path = table(tmp_path / "a.parquet", URL=["u"], TEXT=["alt"], caption=["by Ada Example"], mine=[6.5])
    assert texts(path) == ["alt"]
    assert texts(path, columns={"text": "caption"}) == ["by Ada Example"]
    assert declared_of(path, columns={"text": "caption"}).columns.other_texts == ("TEXT",)
    (shard,) = caption_shards(path.name, tmp_path, Reading({"score": "mine"}))
    (batch,) = caption_batches(shard, Filters(minimum_score=7.0))
    assert batch.column("kept").to_pylist() == [False]
    with pytest.raises(InputError, match=r"a\.parquet: has no column 'nowhere', which captions\.columns .* for text"):
        texts(path, columns={"text": "nowhere"})
    with pytest.raises(InputError, match="column text: holds double, not text; name the right column"):
        texts(path, columns={"text": "mine"})


def test_rows_without_an_address_do_not_become_one(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "by Ada Example"}\n{"text": "by Ada Example"}\n')
    assert len({row["url"] for row in read(tmp_path / "a.jsonl")}) == 2
    ids = table(tmp_path / "b.parquet", id=[7, 8], text=["a", "b"])
    assert [row["url"] for row in read(ids)] == ["7", "8"]


@pytest.mark.parametrize("nothing", ["", " ", "NULL", "nan", "\\N", None])
def test_a_row_without_an_address_counts_by_its_identity_or_by_its_place(tmp_path: Path, nothing: str | None) -> None:
    """Many rows without an address and with one caption are not one image, unless their identities say so."""
    addresses = ["http://a/1", nothing, nothing, nothing, "http://a/1"]
    seen = Seen()
    places = [row["url"] for row in read(table(tmp_path / "a.parquet", url=addresses, text=["by Ada"] * 5), seen)]
    assert (places[0], places[4], len(set(places)), seen.unaddressed) == ("http://a/1", "http://a/1", 4, 3)
    names = ["x.png", "y.png", "y.png", None, "z.png"]
    named = table(tmp_path / "b.parquet", url=addresses, text=["by Ada"] * 5, image_name=names)
    rows = read(named)
    assert [row["url"] for row in rows][:3] == ["http://a/1", "y.png", "y.png"]
    assert rows[3]["url"] not in {row["url"] for row in rows[:3]}
    assert [row["address"] for row in rows] == ["http://a/1", None, None, None, "http://a/1"]
    if nothing is not None:
        lines = "".join(f"{address},by Ada\n" for address in addresses)
        (tmp_path / "c.csv").write_text(f"url,text\n{lines}")
        assert len({row["url"] for row in read(tmp_path / "c.csv")}) == 4
        (tmp_path / "d.csv").write_text("uid,url,text\n" + "".join(f"{n % 2},{a},by Ada\n" for n, a in enumerate(addresses)))  # fmt: skip
        assert [row["url"] for row in read(tmp_path / "d.csv")][1:4] == ["1", "0", "1"]
    records = [{"url": address, "text": "by Ada", "uid": n if n else "first"} for n, address in enumerate(addresses)]
    (tmp_path / "e.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    assert len({row["url"] for row in read(tmp_path / "e.jsonl")}) == 4


@pytest.mark.parametrize("addresses", [["http://a/1", "https://b/2"], ["http://a/1", "null-island.org/2"]])
def test_files_in_which_every_row_has_an_address_read_no_other_identity(tmp_path: Path, addresses: list[str]) -> None:
    seen = Seen()
    path = table(tmp_path / "a.parquet", url=addresses, text=["a", "b"], uid=["same"] * 2)
    rows = read(path, seen)
    assert [row["url"] for row in rows] == addresses
    assert "address" not in rows[0]
    assert seen.unaddressed == 0


@given(st.lists(st.one_of(st.none(), st.text(max_size=14)), min_size=1, max_size=8))
def test_no_row_without_an_address_is_one_with_another(addresses: list[str | None]) -> None:
    missing = lacks_value(pa.array(addresses, pa.string())).to_pylist()
    for address, without in zip(addresses, missing, strict=True):
        assert without == (address is None or address.strip(" \t\n\v\f\r").lower() in MISSING)


def said(**row: Any) -> list[str]:
    known = {
        "text_column": "TEXT",
        "url_column": "URL",
        "other_texts": "",
        "rows_failed": 0,
        "rows_not_utf8": 0,
        "rows_unaddressed": 0,
    }
    known |= {"addresses": row.get("url_column", "URL") == "URL"}
    return notes(type("Row", (), {**known, **row}), "leave_out")


def test_what_is_special_about_a_file_is_said_and_nothing_else() -> None:
    assert said() == []
    assert said(other_texts="caption") == [
        "the captions are those of column 'TEXT'; not read, though of the kind: caption."
    ]
    assert "every row counts" in said(url_column="")[0]
    assert "'image_name' tells images apart" in said(url_column="image_name")[0]
    assert said(rows_unaddressed=9, url_column="uid")[-1].startswith(
        "9 rows have nothing in column 'uid'; they count by"
    )
    assert said(rows_failed=3, rows_not_utf8=1) == [
        "3 rows that could not be downloaded are left out.",
        "1 captions hold bytes that are not UTF-8; these separate words.",
    ]


def test_rows_that_were_never_downloaded_are_counted_apart(tmp_path: Path) -> None:
    status = ["success", "failed_to_download", "failed_to_resize", None, "archived"]
    path = table(tmp_path / "a.parquet", url=list("abcde"), caption=["by Ada Example"] * 5, status=status)
    seen = Seen()
    assert [row["kept"] for row in read(path, seen)] == [True, False, False, True, True]
    assert seen.failed == 2
    assert all(row["kept"] for row in read(path, failed_downloads="count"))
    (tmp_path / "b.csv").write_text("url,caption,status\na,by Ada Example,failed_to_download\nb,x,success\n")
    assert [row["kept"] for row in read(tmp_path / "b.csv")] == [False, True]


@pytest.mark.parametrize("status", [[200, 404], [True, False], [0.5, None]], ids=str)
def test_a_status_of_numbers_is_another_column(tmp_path: Path, status: list[Any]) -> None:
    """It was refused, and with it the roster, though a CSV with the same column was read."""
    path = table(tmp_path / "a.parquet", url=list("ab"), text=["by Ada Example"] * 2, status=status)
    assert [row["kept"] for row in read(path)] == [True, True]
    assert "status" not in declared_of(path).columns.ours
    with pytest.raises(InputError, match=r"column status: holds .*, not text; name the right column"):
        read(path, columns={"status": "status"})
    if status == [200, 404]:
        rows = [{"url": u, "text": "by Ada", "status": s} for u, s in zip("ab", status, strict=True)]
        (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        assert [row["kept"] for row in read(tmp_path / "a.jsonl")] == [True, True]


KINDS = [
    pa.string_view(), pa.binary_view(), pa.large_binary(), pa.dictionary(pa.int8(), pa.string()),
    pa.dictionary(pa.int32(), pa.large_string()),
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_text_of_every_type_is_read(tmp_path: Path, kind: pa.DataType) -> None:
    made = pa.array(["by Ada Example", None, "é"]).cast(kind)
    path = table(tmp_path / "a.parquet", url=made, text=made)
    (shard,) = caption_shards(path.name, tmp_path)
    assert scan(caption_batches(shard), ADA).mentions == {"ada": 1}


def test_a_score_within_a_struct_is_ignored_or_named(tmp_path: Path) -> None:
    path = table(tmp_path / "a.parquet", url=["u"], text=["t"], aesthetic=pa.array([{"score": 5.0}]))
    assert declared_of(path).scores == {}
    assert texts(path) == ["t"]
    (shard,) = caption_shards(path.name, tmp_path)
    with pytest.raises(InputError, match=r"column score: holds struct<score: double>, not numbers"):
        list(caption_batches(shard, Filters(minimum_score=5.0)))


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".zst": lambda data: pa.compress(data, "zstd", asbytes=True),
}  # fmt: skip
caption = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"], exclude_characters="\x85"), max_size=20)
rows_of = st.lists(st.tuples(st.uuids().map(str), caption), min_size=1, max_size=8)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=rows_of,
    delimiter=st.sampled_from(",;\t|"),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
    packed=st.sampled_from(list(PACKED)),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_a_csv_is_read_as_it_was_written(
    tmp_path: Path, rows: list[tuple[str, str]], delimiter: str, encoding: str, packed: str, end: str
) -> None:
    written = io.StringIO()
    writer = csv.writer(written, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([("URL", "TEXT"), *rows])
    path = tmp_path / f"a.csv{packed}"
    path.write_bytes(PACKED[packed](written.getvalue().encode(encoding)))
    assert texts(path) == [text for _, text in rows]
    assert declared_of(path).rows == len(rows)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=rows_of, escaped=st.booleans(), packed=st.sampled_from(list(PACKED)))
def test_json_lines_are_read_as_they_were_written(
    tmp_path: Path, rows: list[tuple[str, str]], escaped: bool, packed: str
) -> None:
    lines = [json.dumps({"more": [1], "url": url, "text": text}, ensure_ascii=escaped) for url, text in rows]
    path = tmp_path / f"a.jsonl{packed}"
    path.write_bytes(PACKED[packed]("\n".join(lines).encode()))
    assert texts(path) == [text for _, text in rows]


def _is_utf8(content: bytes) -> bool:
    with suppress(UnicodeDecodeError):
        content.decode("utf-8")
        return True
    return False


LATIN = st.text(
    st.characters(codec="cp1252", exclude_categories=["Cc"], exclude_characters="\x81\x8d\x8f\x90\x9d"), max_size=9
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.lists(LATIN, min_size=1, max_size=9), suffix=st.sampled_from([".csv", ".tsv", ".jsonl"]))
def test_a_file_in_windows_1252_is_read_once_the_encoding_is_named(
    tmp_path: Path, names: list[str], suffix: str
) -> None:
    names = [name.replace('"', "").replace(",", "") for name in names]
    # Letters that are UTF-8 as well, such as "Â" before a hard space, are refused if they are most of a file's.
    assume(not any(not name.isascii() and _is_utf8(name.encode("cp1252")) for name in names))
    if suffix == ".jsonl":
        content = "".join(json.dumps({"url": "u", "text": f"by {n}"}, ensure_ascii=False) + "\n" for n in names)
    else:
        mark = "," if suffix == ".csv" else "\t"
        content = f"URL{mark}TEXT\n" + "".join(f"u{mark}by {name}\n" for name in names)
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content.encode("cp1252"))
    assert texts(path, encoding="cp1252") == [f"by {name}" for name in names]


def test_a_file_in_windows_1252_is_refused_and_a_few_stray_bytes_are_counted(tmp_path: Path) -> None:
    """With the letters left out, no caption would name an artist with an accent, and nobody would know."""
    lines = [f"u{n},painting by Adèle Example\n" for n in range(100)]
    (tmp_path / "a.csv").write_bytes(("URL,TEXT\n" + "".join(lines)).encode("cp1252"))
    binary = pa.array([f"by Adèle Example {n}".encode("cp1252") for n in range(9)], pa.binary())
    table(tmp_path / "b.parquet", URL=["u"] * 9, TEXT=binary)
    for name in ("a.csv", "b.parquet"):
        with pytest.raises(
            InputError, match=r"hold letters that are not UTF-8.*Row 0 reads '.*by Adèle Exa.*encoding: cp1252"
        ):
            rows_read(tmp_path / name)
        (shard,) = caption_shards(name, tmp_path, Reading(encoding="cp1252"))
        assert scan(caption_batches(shard), {"adele": ["Adèle Example"]}).mentions["adele"] in (9, 100)
        seen = Seen()
        rows_read(tmp_path / name, seen, encoding="utf-8")
        assert seen.not_utf8 in (9, 100)
    mixed = "URL,TEXT\n" + "".join(lines)
    (tmp_path / "c.csv").write_bytes(mixed.encode() + "u,Björn\n".encode("cp1252") * 5)
    seen = Seen()
    assert rows_read(tmp_path / "c.csv", seen) == 105
    assert (seen.not_utf8, seen.beyond_ascii) == (5, 100)


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "gb18030"])
def test_a_file_in_utf_8_is_refused_under_another_encoding(tmp_path: Path, encoding: str) -> None:
    """Of many files one was in Windows-1252, and audit.yaml then named that encoding for all of them."""
    lines = "".join(f"u{n},painting by Adèle Muñoz\n" for n in range(50))
    (tmp_path / "a.csv").write_bytes(("URL,TEXT\n" + lines).encode())
    table(tmp_path / "b.parquet", URL=["u"] * 9, TEXT=["by Adèle Muñoz"] * 8 + [None])
    for name in ("a.csv", "b.parquet"):
        with pytest.raises(
            InputError, match=rf"says that it is in {encoding}, but (50 of 50|8 of 8) captions .* are UTF-8"
        ):
            rows_read(tmp_path / name, encoding=encoding)
        assert rows_read(tmp_path / name, encoding="utf_8") in (50, 9)
    seen = Seen()
    right = "é 天野" if encoding == "gb18030" else "Adèle"
    (tmp_path / "c.csv").write_bytes(("URL,TEXT\n" + f"u,by {right}\n" * 9).encode(encoding) + "u,è\n".encode() * 2)
    assert rows_read(tmp_path / "c.csv", seen, encoding=encoding) == 11
    assert (seen.garbled, seen.beyond_ascii) == (2, 11)


def test_the_wrong_encoding_is_named_with_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"URL,TEXT\nu,caf\x81\n")
    with pytest.raises(InputError, match=r"a\.csv: not readable as csv after row 0 \(.*cp1252|charmap"):
        texts(tmp_path / "a.csv", encoding="cp1252")


def test_quotes_in_a_tsv_are_text(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text('caption\turl\n"Untitled, by Ada Example\tu\n5" print\tv\n')
    assert texts(tmp_path / "a.tsv") == ['"Untitled, by Ada Example', '5" print']


@pytest.mark.parametrize("head", ["url,text", "text,url", "id;url;text"])
def test_rows_within_a_quote_that_nothing_ends_are_not_lost(tmp_path: Path, head: str) -> None:
    mark = ";" if ";" in head else ","
    cells = {"url": "https://example.org/{}.jpg", "id": "{}", "text": "by Ada Example {}"}

    def rows(text: str, n: int) -> str:
        return "".join(
            mark.join({**cells, "text": text}[c].format(k) for c in head.split(mark)) + "\n" for k in range(n)
        )

    path = tmp_path / "a.csv"
    for good in ("by Ada Example {}", '"two\nlines, by Ada Example {}"', '5" print', '"see\nhttps://example.org"'):
        path.write_text(f"{head}\n{rows(good, 5)}")
        assert rows_read(path) == 5
    for end in ("", rows('5" print', 1), rows('a "print"', 1)):
        path.write_text(f"{head}\n{rows('x', 2)}{rows(chr(34) + 'Untitled', 1)}{rows('by Ada Example', 9)}{end}")
        open_to_the_end = head == "text,url" and not end  # the address is within the quote too, so that columns lack
        message = (
            "(?s)Expected . columns.*double each quote"
            if open_to_the_end
            else "column text, row 2: one cell holds further rows"
        )
        with pytest.raises(InputError, match=message):
            rows_read(path)


OPEN_QUOTES: list[tuple[str, str, str]] = [
    ("file names", "file_name,text\n00199.jpg,a\n00200.jpg,\"The River\n00201.jpg,by Ada\n00202.jpg,b 5\" x\n", "text, row 1: one cell holds"),
    ("words", "file_name,text\nriver.jpg,\"The River\nlake.jpg,by Ada \"x\"\n", "text, row 0: one cell holds"),
    ("paths", "url,text\nimg/1.jpg,\"Untitled\nimg/2.jpg,by Ada \"x\"\n", "text, row 0: one cell holds"),
    ("running numbers", "id,text\n7,a\n8,\"The River\n9,by Ada\n10,b \"x\"\n", "text, row 1: one cell holds"),
    ("numbers", "id,text\n70000,\"The River\n13000,by Ada \"x\"\n", "text, row 0: one cell holds"),
    ("hashes", f"md5,text\n{'a1' * 16},\"x\n{'b2' * 16},by \"Ada\"\n", "text, row 0: one cell holds"),
    ("the row's own end", "text,file_name\n\"Untitled,1.jpg\n\"by Ada\",2.jpg\n", "text, row 0: one cell holds"),
    ("the next row's start", "id,text,w\n20000,\"Untitled,5\n20001,\"by Ada\",6\n", "text, row 0: one cell holds"),
    ("a column that is not read", "file_name,text,notes\n1.jpg,a,\"x\n2.jpg,by Ada,y\n3.jpg,c,5\" x\n", "notes, row 0: one cell holds"),
    ("to the end", "name,text\nriver,a\nlake,\"The River\nhill,by Ada\n", "text, row 1: this cell goes on to the end of the file"),
    ("no identities", "text\na\n\"The River\nby Ada", "text, row 1: this cell goes on to the end of the file"),
    ("too few columns", "text,name\na,b\n\"The River,lake\nby Ada,hill\n", "Expected 2 columns.*double each quote"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "message"), [row[1:] for row in OPEN_QUOTES], ids=[row[0] for row in OPEN_QUOTES])
def test_a_quote_that_nothing_ends_is_found_whatever_tells_rows_apart(
    tmp_path: Path, content: str, message: str
) -> None:
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(InputError, match=rf"(?s)a\.csv.*{message}"):
        texts(tmp_path / "a.csv")


def test_a_file_that_ends_within_a_quote_is_refused_before_it_is_scanned(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('text\na\n"by Ada\n')
    with pytest.raises(InputError, match="goes on to the end of the file"):
        declared_of(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("head", "row"),
    [
        ("file_name,text", '{}.jpg,"The River\nby Ada Example, oil\nsee river.jpg"'),
        ("id,text", '{},"The River\n1984, oil on canvas\n1986, paper"'),
        ("text,id", '"The River, oil\nby Ada Example\n1984",{}'),
        ("url,text,notes", 'https://example.org/{}.jpg,"a\n\nb","https://example.org\nhttps://example.com"'),
    ],
)
@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n"])
def test_captions_of_several_lines_are_read(tmp_path: Path, head: str, row: str, end: str) -> None:
    rows = [row.format(n) for n in range(1970, 1980)]
    (tmp_path / "a.csv").write_text("\n".join([head, *rows]) + end, newline="")
    assert rows_read(tmp_path / "a.csv") == 10
    assert declared_of(tmp_path / "a.csv").rows == 10


BROKEN: list[tuple[str, bytes, str]] = [
    ("headless.tsv", b"by Ada Example\thttps://example.org/1.jpg\n", "no column 'text' or .*'by Ada Example'.*needs a first row"),
    ("array.json", b'[{"text": "a"}]\n', "row 1: is no JSON object; write one object per line"),
    ("lines.jsonl", b'{"text": "a"}\nby Ada\n', "row 2: is no JSON .*write one object per line"),
    ("numbers.jsonl", b'{"text": 5, "url": "u"}\n', "column text: holds whole numbers, not text"),
    ("mixed.jsonl", b'{"text": "a", "id": 5}\n' * 300 + b'{"text": "a", "id": "a7"}\n', "not readable as jsonl.*'a7'.*write all values of a column as text"),
    ("mac.csv", b"url,text\ru,t\r", "row 1: ends its lines with the character CR alone.*save the file with line ends LF"),
    ("late.jsonl", b'{"text": "a"}\n' * 300 + b'{"text": {"a": 1}}\n', "not readable as jsonl"),
    ("ragged.tsv", b"url\ttext\nu\tt\tmore\n", "not readable as tsv"),
    ("cut.csv.gz", gzip.compress(b"url,text\n" + b"u,t\n" * 9999)[:-9], "not readable as csv.*Truncated compressed stream"),
    ("no.csv.gz", b"url,text\nu,t\n", "not readable as csv"),
    ("sixteen.csv", "url,text\nu,t\n".encode("utf-16-le"), r"row 1: holds NUL .*encoding: utf-16-le"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "message"), BROKEN, ids=[row[0] for row in BROKEN])
def test_a_broken_text_file_is_named_with_its_remedy(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        texts(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)


def test_numbers_of_twenty_digits_tell_rows_apart_as_they_stand(tmp_path: Path) -> None:
    """The keys of images in some collections are larger than an int64, also behind rows whose keys are small."""
    keys = [*range(300), 2**64 + 5, 10**37]
    (tmp_path / "a.jsonl").write_text("".join(f'{{"key": {key}, "text": "by Ada"}}\n' for key in keys))
    (tmp_path / "a.csv").write_text("key,text\n" + "".join(f"{key},by Ada\n" for key in keys))
    for name in ("a.jsonl", "a.csv"):
        (shard,) = caption_shards(name, tmp_path)
        found = [url for batch in caption_batches(shard) for url in batch.column("url").to_pylist()]
        assert found == list(map(str, keys))


@pytest.mark.parametrize(
    ("rows", "kept"),
    [
        ("a;5,75;u\nb;4,1;v\nc;;w\n", ["a"]),
        ('a;"5,75";u\nb;4,1;v\n', ["a"]),
        ("a;5.75;u\nb;4.1;v\n", ["a"]),
        ("a;6;u\nb;4;v\n", ["a"]),
        ("a;6;1,024\nb;.4;2,048\n", ["a"]),
    ],
)
def test_scores_with_a_decimal_comma_are_numbers(tmp_path: Path, rows: str, kept: list[str]) -> None:
    (tmp_path / "a.csv").write_text("text;aesthetic;url\n" + rows)
    (shard,) = caption_shards("a.csv", tmp_path)
    read = [row for batch in caption_batches(shard, Filters(minimum_score=5.0)) for row in batch.to_pylist()]
    assert [row["text"] for row in read if row["kept"]] == kept


def test_a_column_with_both_kinds_of_decimals_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text;aesthetic;url\na;5,75;u\nb;4.1;v\n")
    (shard,) = caption_shards("a.csv", tmp_path)
    with pytest.raises(InputError, match="5,75"):
        list(caption_batches(shard, Filters(minimum_score=5.0)))


def test_formats_that_are_not_read_are_named(tmp_path: Path) -> None:
    for name in ("a.arrow", "a.tar", "a.txt", "a.parquet.gz", "a.xlsx", "a"):
        (tmp_path / name).write_bytes(b"x")
        with pytest.raises(InputError, match=r"is neither \.parquet nor \.csv"):
            caption_shards(name, tmp_path)


def test_a_folder_with_the_name_of_a_file_and_a_link_to_nothing_are_not_passed_over(tmp_path: Path) -> None:
    """Spark writes a folder `a.parquet` of parts; a cache is full of links to files that may be gone."""
    for folder in (tmp_path, tmp_path / "parts.parquet"):
        folder.mkdir(exist_ok=True)
        table(folder / "a.parquet", url=["u"], text=["t"])
    with pytest.raises(InputError, match=r"parts\.parquet is a folder, whose files the pattern does not match"):
        caption_shards("*.parquet", tmp_path)
    assert len(caption_shards("**/*.parquet", tmp_path)) == 2
    assert len(caption_shards("**", tmp_path)) == 2
    (tmp_path / "b.parquet").symlink_to(tmp_path / "a.parquet")
    assert len(caption_shards("**/*.parquet", tmp_path)) == 3
    (tmp_path / "c.parquet").symlink_to(tmp_path / "gone")
    with pytest.raises(InputError, match=r"c\.parquet is a link that leads nowhere"):
        caption_shards("**/*.parquet", tmp_path)


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@pytest.mark.parametrize("line", [b"u,a\n", b"y"], ids=["many rows", "one row"])
def test_compressed_text_is_bounded_by_what_was_read_of_it(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "a.csv.gz"
    with gzip.open(path, "wb", 9) as file:
        file.write(b"url,text\n")
        for _ in range(400):
            file.write(line * ((1 << 20) // len(line)))
    before = peak()
    with pytest.raises(InputError, match=r"a\.csv\.gz: not readable as csv"):
        rows_read(path)
    assert peak() - before < 500_000  # kilobytes


def test_a_compressed_file_that_becomes_too_large_is_a_bomb(tmp_path: Path) -> None:
    packed = io.BytesIO(pa.compress(b"u,a\n" * (1 << 26), "zstd", asbytes=True))
    with as_utf8(packed, "zstd", None) as stream, pytest.raises(Bomb, match="compressed bytes become more than"):
        list(iter(lambda: stream.read(1 << 20), b""))


def bomb(path: Path, longest: int = 140_000, rows: int = 65_000) -> Path:
    """A column whose dictionary has one long text, which every row but the first repeats."""
    indices = np.ones(rows, np.int32)
    indices[0] = 0
    texts = pa.DictionaryArray.from_arrays(pa.array(indices), pa.array(["a", "x" * longest]))
    pq.write_table(pa.table({"url": texts, "text": texts}), path, compression="zstd", store_schema=False)
    return path


def test_a_parquet_file_in_a_store_is_bounded_as_a_local_one(tmp_path: Path) -> None:
    store = fsspec.filesystem("memory")
    store.pipe("/bombs/a.parquet", bomb(tmp_path / "a.parquet").read_bytes())
    try:
        (shard,) = caption_shards("memory://bombs/a.parquet", tmp_path)
        with pytest.raises(InputError, match=r"a\.parquet: .*rows of its column 'url' are"):
            list(caption_batches(shard))
    finally:
        store.rm("/bombs", recursive=True)


def test_a_large_parquet_file_is_read_in_batches_that_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file too large to be looked through first: its footer and its dictionary bound the rows that are read at once."""
    monkeypatch.setattr(bounds, "_SMALL", 0)
    monkeypatch.setattr(bounds, "LARGEST_BATCH", 1 << 24)
    path = bomb(tmp_path / "a.parquet", rows=2000)
    (shard,) = caption_shards(path.name, tmp_path)
    batches = caption_batches(shard)
    sizes = [(batch.num_rows, pc.sum(pc.binary_length(batch.column("text"))).as_py()) for batch in batches]
    assert sum(rows for rows, _ in sizes) == 2000
    assert max(size for _, size in sizes) <= 1 << 24
    pq.write_table(
        pa.table({"url": ["u"] * 200, "text": ["x" * 200_000] * 200}), path, use_dictionary=False, compression="zstd"
    )
    (shard,) = caption_shards(path.name, tmp_path)
    with pytest.raises(
        InputError, match=r"a row group of its column 'text' declares 40.* bytes; write smaller row groups"
    ):
        list(caption_batches(shard))


def test_texts_that_repeat_the_one_before_are_bounded_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "_SMALL", 0)
    monkeypatch.setattr(bounds, "LARGEST_BATCH", 1 << 22)
    path = tmp_path / "a.parquet"
    columns = pa.table({"url": ["u"] * 500, "text": ["x" * 100_000] * 500})
    encoding = {"text": "DELTA_BYTE_ARRAY", "url": "PLAIN"}
    pq.write_table(columns, path, use_dictionary=False, column_encoding=encoding)
    (shard,) = caption_shards(path.name, tmp_path)
    sizes = [batch.num_rows for batch in caption_batches(shard)]
    assert sum(sizes) == 500
    assert max(sizes) <= 41
