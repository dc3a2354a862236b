"""A print is a tagged PDF with title, page numbers, and case and root at the head of each sheet; it is known of which page it is."""

import zipfile
from io import BytesIO
from pathlib import Path

import pypdf
import pytest

from audit_assets.errors import InputError
from audit_assets.evidence.archive import export
from audit_assets.publication.pages import printed
from audit_assets.publication.pages.artist import write_artist_page
from audit_assets.publication.pages.cover import Cover, Version, block
from audit_assets.publication.sealed import filled
from audit_assets.publication.stage import PublicationStage
from audit_assets.workspace import Workspace
from audit_assets_tests.evidence.forging import MODEL, workspace_of
from audit_assets_tests.publication.test_report import parsed
from audit_assets_tests.publication.world import MODELS, picture

ROOT = "ab" * 32


def cover(*, case: str = "12 O 345/26") -> str:
    times = ("2026-11-24 10:00:00 UTC",) * 4
    return block(
        Cover("Ola", "Institute", case, [Version(MODELS[0], "rev", *times, ROOT, "0.1.0")], "audit-assets verify")
    )


def tags(reader: pypdf.PdfReader) -> set[str]:
    found, open_ = set(), [reader.trailer["/Root"]["/StructTreeRoot"]]
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
    page = filled(write_artist_page(simulated.database, "artist-9", picture, tmp_path).read_bytes(), cover())
    out = printed.write_pdf(page, tmp_path / "artist-9.pdf")
    reader = pypdf.PdfReader(out)
    root = reader.trailer["/Root"]
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


@pytest.mark.long
def test_an_archive_packs_pages_and_prints_and_every_link_in_it_resolves(copied: Path, tmp_path: Path) -> None:
    ws = workspace_of(copied)
    stage = PublicationStage(ws)
    page = stage.artists_folder / "nils-oduya.html"
    stage.artist_print("nils-oduya", page)
    stage.report_print(ws.warehouse.root / "reports" / MODEL / "report.html")
    export(ws, MODEL, tmp_path / "e.zip")
    packed = zipfile.ZipFile(tmp_path / "e.zip")
    names = set(packed.namelist())
    assert {f"warehouse/reports/{MODEL}/report.pdf", "warehouse/reports/artists/nils-oduya.pdf"} <= names
    pages = [name for name in names if name.endswith(".html")]
    assert {f"warehouse/reports/{MODEL}/reliability.html", "warehouse/reports/index.html"} <= set(pages)
    for name in pages:
        text = packed.read(name).decode()
        assert read_root(ws) in text
        found = parsed(text)
        identifiers = {a["id"] for _, a in found.elements if "id" in a}
        for _, attributes in found.elements:
            if (link := attributes.get("href")) is None:
                continue
            place, _, anchor = str(link).partition("#")
            if place:
                there = (Path("/") / name).parent / place
                assert str(there.resolve())[1:] in names, (name, link)
            else:
                assert anchor in identifiers, (name, link)
    page.write_bytes(page.read_bytes().replace(b"</body>", b" </body>"))
    with pytest.raises(InputError, match=r"nils-oduya\.pdf: is no print of the page"):
        export(ws, MODEL, tmp_path / "f.zip")
    assert pypdf.PdfReader(BytesIO(packed.read("warehouse/reports/artists/nils-oduya.pdf"))).pages


def read_root(ws: Workspace) -> str:
    from audit_assets.evidence.manifest import manifest_file, read_manifest

    return read_manifest(manifest_file(ws.warehouse, MODEL)).root
