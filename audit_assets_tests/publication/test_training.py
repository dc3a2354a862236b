"""The captions that name an artist, on the artist's page: counted, with the addresses of their images as text, and no link to any."""

import shutil
import unicodedata
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import duckdb
import pypdf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit_assets.publication.pages import printed
from audit_assets.publication.pages.artist import write_artist_page
from audit_assets.publication.pages.page import _environment
from audit_assets.publication.queries import database as read
from audit_assets.publication.sealed import filled
from audit_assets.publication.words.training import Captions, _places, captions
from audit_assets.untrusted.terminal import one_line
from audit_assets.workspace import Workspace
from audit_assets_tests.publication.test_report import parsed
from audit_assets_tests.publication.world import picture

Sample = dict[str, Any]
HOSTILE = [
    "javascript:alert(1)",
    "https://example.org/a.jpg\nThe audit found nothing",
    "https://example.org/\u202egpj.exe",
    '"><img src=x onerror=alert(1)><a href="https://example.org',
    "data:text/html,<script>alert(1)</script>",
    "//example.org/protocol-relative.png",
    "http://example.org/\0\x1b]0;title\x07",
    "https://example.org/" + "a" * 1000,
]


def sample(number: int, url: str | None, caption: str = "Hill by Artist 9") -> Sample:
    return {"shard": "part-0.parquet", "row": number, "url": url, "caption": caption}


@pytest.fixture
def told(simulated: Workspace, tmp_path: Path) -> Callable[..., Path]:
    """A copy of the simulated database that has counted captions of artist 9."""

    def copy(samples: list[Sample], mentions: int = 0, **addresses: bool) -> Path:
        path = Path(shutil.copy(simulated.database, tmp_path / "audit.duckdb"))
        with duckdb.connect(str(path)) as connection:
            for shard, there in (addresses or {"part-0": True}).items():
                connection.execute(
                    "INSERT INTO caption_shards (shard, dataset, sha256, rows_kept, rows_naming, url_column, addresses) "
                    "VALUES ($shard, 'some captions', 'ab', 1000, 40, $column, $there)",
                    {"shard": f"{shard}.parquet", "column": "URL" if there else "uid", "there": there},
                )
            connection.execute(
                "INSERT INTO artist_mentions SELECT 'Artist 9', 'artist', $mentions, 2, $samples, ''",
                {"mentions": mentions or len(samples), "samples": samples},
            )
        return path

    return copy


def said(database: Path) -> Captions:
    with read.opened(database) as connection:
        return captions(connection, {"subject": "artist-9", "name": "Artist 9"})


def test_the_page_has_captions_and_addresses_and_says_how_they_were_chosen(
    told: Callable[..., Path], tmp_path: Path
) -> None:
    database = told([sample(n, f"https://example.org/{n}.jpg") for n in range(5)], mentions=412)
    page = write_artist_page(database, "artist-9", picture, tmp_path / "pages").read_text()
    text = " ".join(parsed(page).text.split())
    assert (
        "Of 1,000 scanned captions, 412 name Artist 9. Copies of the same address and text count once (2 further copies)."
        in text
    )
    assert "The table shows 5 of these captions: those with the smallest hash of address and text." in text
    assert "The audit opened no address" in text
    assert all(f"https://example.org/{n}.jpg" in text for n in range(5))
    assert "carry no addresses" not in text
    assert 'href="https://example.org' not in page


def test_all_captions_of_a_rare_name_are_shown(told: Callable[..., Path]) -> None:
    assert "The table shows all of these captions." in said(told([sample(0, "https://example.org/0.jpg")])).sentences


def test_captions_without_addresses_say_so(told: Callable[..., Path]) -> None:
    found = said(told([sample(0, None)], **{"part-0": False}))
    assert (
        "The captions carry no addresses: no scanned file has a column of them. The file and the row show where each caption is."
        in found.sentences
    )
    assert [row[1] for row in found.places.rows] == ["none"]
    assert [row[4] for row in found.files.rows] == ["none"]


def test_the_files_without_addresses_are_named_beside_those_that_have_them(told: Callable[..., Path]) -> None:
    found = said(told([sample(0, "u")], **{"part-0": True, "part-1": False, "part-2": False}))
    assert any("Captions of part-1.parquet and 1 more carry no addresses" in sentence for sentence in found.sentences)
    assert [row[4] for row in found.files.rows] == ["URL", "none", "none"]


def test_a_name_without_a_caption_has_no_table(told: Callable[..., Path]) -> None:
    found = said(told([]))
    assert found.sentences[0].startswith("Of 1,000 scanned captions, 0 name Artist 9.")
    assert found.places.rows == []
    assert not any("address" in sentence for sentence in found.sentences[1:])


def test_hostile_addresses_and_captions_stay_text(told: Callable[..., Path], tmp_path: Path) -> None:
    names = range(len(HOSTILE))
    clean = told([sample(n, f"https://example.org/{n}.jpg") for n in names])
    before = parsed(write_artist_page(clean, "artist-9", picture, tmp_path / "clean").read_text(encoding="utf-8"))
    hostile = told([sample(n, HOSTILE[n], HOSTILE[n]) for n in names])
    page = write_artist_page(hostile, "artist-9", picture, tmp_path / "hostile").read_text(encoding="utf-8")
    assert parsed(page).elements == before.elements
    assert not set("\0\x1b\x07\u202e") & set(page)
    for address in HOSTILE:
        assert one_line(address) in parsed(page).text
    assert "https://example.org/\\u202egpj.exe" in parsed(page).text


class _Cells(HTMLParser):
    """The texts of the cells of a page's first table, as a browser reads them."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._open = False

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag in ("td", "th"):
            self._open = True
            self.texts.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._open = False

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts[-1] += data


@settings(max_examples=40, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_any_address_is_one_cell_without_a_character_that_a_screen_obeys(url: str) -> None:
    macros: Any = _environment().get_template("macros.html.j2").module
    cells = _Cells()
    cells.feed(str(macros.table(_places([sample(3, url)]))))
    assert cells.texts[4:] == ["Hill by Artist 9", one_line(url), "part-0.parquet", "3"]
    assert not any(unicodedata.category(c) == "Cc" and c != "\t" for c in cells.texts[5])


@pytest.mark.long
def test_the_print_has_the_same_addresses_and_leads_to_none(told: Callable[..., Path], tmp_path: Path) -> None:
    addresses = ["https://example.org/1.jpg", *(address for address in HOSTILE if "\0" not in address)]
    database = told([sample(n, address) for n, address in enumerate(addresses)])
    page = filled(write_artist_page(database, "artist-9", picture, tmp_path).read_bytes(), "")
    reader = pypdf.PdfReader(printed.write_pdf(page, tmp_path / "artist-9.pdf"))
    text = "".join("".join(sheet.extract_text() for sheet in reader.pages).split())
    for row in said(database).places.rows:
        assert "".join(row[1].split()) in text
    annotations: list[Any] = [note.get_object() for sheet in reader.pages for note in sheet.get("/Annots", [])]
    assert not any("example" in str(note.get("/A")) or "javascript" in str(note.get("/A")) for note in annotations)
