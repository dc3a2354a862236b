"""A print is a tagged PDF with title, page numbers, and case and root at the head of each sheet; it is known of which page it is."""

from pathlib import Path
from typing import Any

import pypdf
import pytest

from audit_assets.errors import InputError
from audit_assets.publication.pages import printed
from audit_assets.publication.pages.artist import write_artist_page
from audit_assets.publication.sealed import filled
from audit_assets.workspace import Workspace
from audit_assets_tests.publication.world import picture

ROOT = "ab" * 32


HEAD = f'<p class="running" aria-hidden="true">Case 12 O 345/26, root {ROOT}</p>'


def tags(reader: pypdf.PdfReader) -> set[str]:
    root: Any = reader.trailer["/Root"]
    found, open_ = set(), [root["/StructTreeRoot"]]
    while open_:
        node = open_.pop().get_object()
        if isinstance(node, list):
            open_ += node
        elif isinstance(node, dict):
            found.add(str(node.get("/S")))
            open_ += [node["/K"]] if "/K" in node else []
    return found


@pytest.mark.long
def test_a_page_of_an_artist_becomes_a_tagged_pdf(simulated: Workspace, tmp_path: Path) -> None:
    page = filled(write_artist_page(simulated.database, "artist-9", picture, tmp_path).read_bytes(), HEAD)
    out = printed.write_pdf(page, tmp_path / "artist-9.pdf")
    reader = pypdf.PdfReader(out)
    root: Any = reader.trailer["/Root"]
    assert root["/MarkInfo"]["/Marked"]
    assert root["/Lang"] == "en"
    assert root["/ViewerPreferences"]["/DisplayDocTitle"]
    assert reader.metadata is not None
    assert reader.metadata.title == "Artist 9: imitation audit"
    assert b"pdfuaid" in root["/Metadata"].get_object().get_data()
    assert {"/H1", "/H2", "/P", "/Table", "/TH", "/TD", "/Figure"} <= tags(reader)
    texts = [sheet.extract_text() for sheet in reader.pages]
    for number, text in enumerate(texts, 1):
        assert f"Page {number} of {len(texts)}" in text
        assert "Case 12 O 345/26" in text
        assert ROOT in text.replace("\n", "")
    for text in texts:  # no heading is the last line of a sheet
        last = [line for line in text.splitlines() if line.strip() and "Page " not in line][-1]
        assert last not in (
            "What was asked",
            "The tests",
            "Could the test have seen an imitation?",
            "Every encoder's answers",
        )
    assert printed.write_pdf(page, tmp_path / "again.pdf").read_bytes() == out.read_bytes()


@pytest.mark.long
def test_a_print_is_known_of_which_page_it_is(tmp_path: Path) -> None:
    page = b"<!doctype html><html lang=en><title>x</title><body><h1>A</h1><a href='../index.html'>b</a></body></html>"
    pdf = printed.write_pdf(page, tmp_path / "x.pdf").read_bytes()
    assert printed.is_print_of(pdf, page)
    assert not printed.is_print_of(pdf, page + b" ")
    other = printed.write_pdf(page, tmp_path / "y.pdf", of=b"the page with small pictures").read_bytes()
    assert printed.is_print_of(other, b"the page with small pictures")
    assert str(tmp_path).encode() not in pdf


def test_without_the_library_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(printed, "PACKAGE", "a_package_that_nobody_has")
    with pytest.raises(InputError, match=r"--pdf: needs WeasyPrint.*pip install 'audit_assets\[pdf\]'"):
        printed.check_possible()
