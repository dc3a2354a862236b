"""The pages in Chromium: nothing leaves them, nothing fails, an accessibility checker finds nothing serious, 250 artists fit."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from audit_assets.publication.pages.artist import write_artist_page
from audit_assets.publication.pages.cover import Cover, Version, block
from audit_assets.publication.pages.index import write_index
from audit_assets.publication.pages.page import TEMPLATES
from audit_assets.publication.pages.report import write_report
from audit_assets.workspace import Workspace
from audit_assets_tests import browser
from audit_assets_tests.publication.world import HOSTILE, MODELS, World, picture, simulate

pytestmark = pytest.mark.long

MEGABYTES, WITH_ARTISTS = 20, 60
HIDDEN_COLUMNS = (
    "[...document.querySelectorAll('.wide')].filter(b => b.scrollWidth > b.clientWidth + 1).map(b => b.ariaLabel)"
)
"""Tables of which a column lies outside their box."""
BROKEN_WORDS = """() => [...document.querySelectorAll('h1, h2, h3, h4, p, li, figcaption, caption, dt, td:not(.code), thead th')].flatMap(e => {
  const found = [], walk = document.createTreeWalker(e, NodeFilter.SHOW_TEXT);
  for (let node; (node = walk.nextNode());) {
    if (node.parentElement.closest('code, bdi, svg, [hidden], .code, thead, .running, .skip')) continue;
    for (const match of node.data.matchAll(/[A-Za-z]{3,18}/g)) {
      const range = document.createRange();
      range.setStart(node, match.index); range.setEnd(node, match.index + match[0].length);
      const tops = new Set([...range.getClientRects()].filter(r => r.width > 0).map(r => Math.round(r.top)));
      if (tops.size > 1) found.push(match[0]);
    }
  }
  return found;
})"""
"""Words of up to 18 letters that stand on two lines. Names are strangers' text, and hashes and code may break."""


@dataclass
class Watched:
    """A page of the browser, what it said and what it asked for."""

    page: Page
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def open(self, path: Path) -> None:
        self.said.clear()
        self.asked.clear()
        self.page.goto(path.as_uri(), wait_until="load")
        assert self.asked == [path.as_uri()]
        assert self.said == []


@pytest.fixture(scope="module")
def watched() -> Iterator[Watched]:
    with browser.page(width=1280) as page:
        found = Watched(page)
        page.on("console", lambda message: found.said.append(message.text))
        page.on("pageerror", lambda error: found.said.append(str(error)))
        page.on("dialog", lambda dialog: found.said.append(dialog.message))
        page.on("request", lambda r: None if r.url.startswith("data:") else found.asked.append(r.url))
        yield found


@pytest.fixture(scope="module")
def reports(simulated: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reports")
    for model in MODELS:
        write_report(simulated.database, model, picture, folder / model)
    for artist in ("artist-0", "artist-3", "artist-7"):
        write_artist_page(simulated.database, artist, picture, folder / "artists")
    write_index(simulated.database, folder)
    return folder


def is_accessible(page: Page) -> None:
    violations = Axe().run(page).response["violations"]
    assert violations == [], [(v["id"], v["nodes"][0]["html"][:300]) for v in violations]


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "light"), (1280, "dark")])
@pytest.mark.parametrize(
    "address",
    [
        f"{MODELS[1]}/report.html",
        f"{MODELS[1]}/reliability.html",
        "index.html",
        "artists/artist-0.html",
        "artists/artist-3.html",
        "artists/artist-7.html",
    ],
)
def test_a_page_asks_for_nothing_fails_in_nothing_and_is_accessible(
    reports: Path, watched: Watched, address: str, width: int, scheme: Literal["light", "dark"]
) -> None:
    watched.page.set_viewport_size({"width": width, "height": 900})
    watched.page.emulate_media(color_scheme=scheme)
    watched.open(reports / address)
    is_accessible(watched.page)
    assert watched.page.evaluate("document.documentElement.scrollWidth") == width
    assert watched.page.evaluate(HIDDEN_COLUMNS) == []
    assert watched.page.evaluate(BROKEN_WORDS) == []
    background = watched.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light")


def test_the_block_with_root_and_hashes_fits_a_telephone(watched: Watched, tmp_path: Path) -> None:
    version = Version("first", "a" * 64, "2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04", "b" * 64, "0.1")
    style = (TEMPLATES / "page.css").read_text(encoding="utf-8")
    page = tmp_path / "cover.html"
    page.write_text(f"<!doctype html><style>{style}</style>{block(Cover('A', 'O', 'c' * 90, [version], 'check'))}")
    watched.page.set_viewport_size({"width": 380, "height": 900})
    watched.open(page)
    assert watched.page.evaluate("document.documentElement.scrollWidth") == 380


@pytest.mark.parametrize(
    "address", [f"{MODELS[1]}/report.html", f"{MODELS[1]}/reliability.html", "artists/artist-3.html"]
)
def test_a_printed_page_hides_no_column_and_is_dark_on_white(reports: Path, watched: Watched, address: str) -> None:
    watched.page.set_viewport_size({"width": 690, "height": 1000})  # A4 within its margins
    watched.open(reports / address)
    watched.page.emulate_media(media="print", color_scheme="dark")
    assert (
        watched.page.evaluate(
            "[...document.querySelectorAll('table')].filter(t => t.getBoundingClientRect().right > 691).length"
        )
        == 0
    )
    assert watched.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    watched.page.emulate_media(media="screen", color_scheme="light")


def test_the_contents_stay_in_sight(reports: Path, watched: Watched) -> None:
    for width in (1280, 1600):
        watched.page.set_viewport_size({"width": width, "height": 900})
        watched.open(reports / MODELS[1] / "report.html")
        watched.page.evaluate("document.getElementById('provenance').scrollIntoView()")
        box = watched.page.locator("nav").bounding_box()
        heading = watched.page.locator("#provenance").bounding_box()
        assert box is not None
        assert heading is not None
        assert 0 <= box["y"] < 60
        assert heading["y"] >= (box["y"] + box["height"] if width == 1280 else 0)


def test_artists_are_sorted_by_keyboard_and_by_the_number(reports: Path, watched: Watched) -> None:
    watched.page.set_viewport_size({"width": 1280, "height": 900})
    watched.open(reports / MODELS[1] / "report.html")
    table = watched.page.locator("table.sortable").first
    head = table.locator("thead th", has_text="Captions")
    head.locator("button").focus()
    watched.page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    captions = [int(text) for text in table.locator("tbody td:last-child").all_inner_texts()]
    assert captions == sorted(captions)
    watched.page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    assert [int(text) for text in table.locator("tbody td:last-child").all_inner_texts()] == captions[::-1]


def test_artists_are_filtered_by_name_in_table_and_pictures(reports: Path, watched: Watched) -> None:
    watched.open(reports / MODELS[1] / "report.html")
    watched.page.get_by_role("searchbox", name="Name").fill("onerror")
    shown = watched.page.locator(".filtered tbody tr[data-key]:visible, .filtered li[data-key]:visible")
    assert [e.get_attribute("data-key") for e in shown.all()] == ["artist-0", "artist-0"]
    assert watched.page.locator(".filter output").inner_text() == "1 shown"
    assert HOSTILE[0] in shown.first.inner_text()
    watched.page.get_by_role("searchbox", name="Name").fill("")
    verdict = watched.page.locator(".filtered tbody tr[data-key] td").first.inner_text()
    watched.page.get_by_role("combobox", name="Verdict").select_option(verdict)
    assert set(watched.page.locator(".filtered tr[data-key]:visible td:nth-child(2)").all_inner_texts()) == {verdict}
    is_accessible(watched.page)


def test_without_script_all_is_there_and_no_dead_control(reports: Path, watched: Watched) -> None:
    assert watched.page.context.browser
    context = watched.page.context.browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((reports / MODELS[1] / "report.html").as_uri())
    assert page.locator("table.sortable").first.locator("tbody tr").count() == World.artists
    assert page.locator("button, input:visible").count() == 0
    assert page.locator("svg[role=img]").count() >= 4
    context.close()


def test_a_report_of_250_artists_fits_and_opens(
    miniature: Path, watched: Watched, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("large")
    world = World(artists=250, untrained=10, controls=70, images=10, works=4, names=HOSTILE)
    ws = simulate(folder, miniature, world)
    report = write_report(ws.database, MODELS[0], picture, folder / MODELS[0])
    assert report.stat().st_size <= MEGABYTES * 1_000_000
    watched.open(report)
    assert watched.page.locator("li[data-key]").count() == 250
    assert watched.page.locator(".filtered tbody tr[data-key]").count() == 250
    is_accessible(watched.page)
