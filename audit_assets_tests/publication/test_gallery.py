"""The images of an audit: filtered, sorted and beside each other, in the image browser and in the gallery that is one file."""

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Page, expect
from typer.testing import CliRunner

from audit_assets.browse import view
from audit_assets.cli import app
from audit_assets.errors import InputError
from audit_assets.publication.pages.gallery import SIDE, write_gallery
from audit_assets.publication.queries import database as read
from audit_assets.publication.queries import gallery
from audit_assets.publication.queries.gallery import Choice, beside_each_other, chosen
from audit_assets.workspace import Workspace
from audit_assets_tests.browser import page
from audit_assets_tests.publication.world import MODELS, picture

HOSTILE = "</script><script>alert(1)</script>"


@pytest.fixture(scope="module")
def table(simulated: Workspace) -> pd.DataFrame:
    with read.opened(simulated.database) as connection:
        return gallery.images(connection)


def test_every_image_has_one_row_with_its_whole_seed(simulated: Workspace, table: pd.DataFrame) -> None:
    with read.opened(simulated.database) as connection:
        rows = read.rows(connection, "SELECT *, seed::VARCHAR AS whole FROM imitations WHERE image_sha256 IS NOT NULL")
        taken = read.rows(
            connection,
            "SELECT t.* FROM identification_trials t JOIN verdicts v USING (protocol, model_version, encoder, subject, label_set) "
            "WHERE v.kind = 'artist' AND t.template = t.label_template AND NOT t.correct AND t.predicted_label IS NOT NULL",
        )
    assert len(table) == len(rows)
    assert sorted(table["seed"]) == sorted(rows["whole"])
    assert max(map(int, table["seed"])) > 2**53
    artists = table[table["kind"] == "artist"]
    assert artists["mistaken_for"].notna().sum() == len(taken) > 0
    assert artists["similarity"].between(-1.001, 1.001).all()
    assert table.loc[table["kind"] == "random_name", "similarity"].isna().all()


def test_similarity_is_the_cosine_to_the_nearest_work(simulated: Workspace, table: pd.DataFrame) -> None:
    row = table[(table["subject"] == "artist-2") & (table["model_version"] == MODELS[0])].iloc[0]
    with read.opened(simulated.database) as connection:
        made = read.embeddings(connection, "imitation_embeddings", "sim-clip")
        works = read.embeddings(connection, "reference_embeddings", "sim-clip")
    own = made[
        (made["model_version"] == MODELS[0]) & (made["subject"] == "artist-2")
        & (made["template"] == row["template"]) & (made["trial"] == row["trial"])
    ]  # fmt: skip
    nearest = max(
        float(np.dot(own["embedding"].iloc[0], w)) for w in works.loc[works["subject"] == "artist-2", "embedding"]
    )
    assert row["similarity"] == pytest.approx(nearest, abs=1e-5)


def test_a_choice_has_what_was_asked_for_and_nothing_else(table: pd.DataFrame) -> None:
    name = str(table["name"].iloc[0])
    assert set(chosen(table, Choice(artist=name.upper()))["name"]) == {
        n for n in table["name"].unique() if name.casefold() in n.casefold()
    }
    taken = str(table["mistaken_for"].dropna().iloc[0])
    wanted = table[(table["mistaken_for"] == taken) & (table["model_version"] == MODELS[1])]
    found = chosen(table, Choice(mistaken_for=taken, version=MODELS[1]))
    assert sorted(found["image_sha256"]) == sorted(wanted["image_sha256"])
    assert len(chosen(table, Choice(artist="nobody is called this"))) == 0
    assert set(chosen(table, Choice(verdict="imitated"))["verdict"]) <= {"imitated"}


@pytest.mark.parametrize("by", ["probability", "similarity"])
def test_images_are_sorted_and_those_without_a_value_stand_last(table: pd.DataFrame, by: str) -> None:
    for sort, sign in ((f"{by}, highest first", -1), (f"{by}, lowest first", 1)):
        found = chosen(table, Choice(sort=sort))[by]
        values = sign * found.dropna().to_numpy()
        assert (np.diff(values) >= 0).all()
        assert len(found) == len(table)
        assert found.iloc[: len(values)].notna().all()


def test_the_same_subject_prompt_and_trial_of_all_versions_stand_together(table: pd.DataFrame) -> None:
    rows = chosen(table, Choice(artist=str(table["name"].iloc[0]), version=MODELS[1]))
    gone = table.drop(rows.index[:1])
    found = beside_each_other(gone, rows, MODELS)
    assert len(found) == len(rows.drop_duplicates(gallery.KEYS))
    assert found[0].images[1] is None
    for one in found[1:]:
        first, second = one.images
        assert first is not None
        assert second is not None
        assert (first["model_version"], second["model_version"]) == MODELS
        assert all(first[key] == second[key] for key in gallery.KEYS)


def test_a_filter_over_25000_images_answers_in_half_a_second(table: pd.DataFrame) -> None:
    many = pd.concat([table] * (25_000 // len(table) + 1), ignore_index=True)
    choice = Choice(artist="artist", verdict="imitated", sort="similarity, highest first")
    seconds = []
    for _ in range(5):
        before = time.process_time()
        assert len(view.as_tiles(chosen(many, choice), 1)) > 1000
        seconds.append(time.process_time() - before)
    assert min(seconds) <= 0.5


def test_a_tile_shows_names_as_text(table: pd.DataFrame) -> None:
    hostile = table.head(1).assign(name=HOSTILE, mistaken_for=HOSTILE, prompt=HOSTILE)
    shown = view.as_tiles(hostile, 1)
    assert "<script" not in shown
    assert "&lt;script" in shown
    assert type(shown) is str
    assert "no image" in view.as_versions(hostile, hostile, [*MODELS, "third"], 1)


def refusing(sha256: str) -> Image.Image:
    raise InputError(f"{sha256}: was altered")


@pytest.fixture(scope="module")
def written(simulated: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    small: dict[str, Image.Image] = {}

    def load(
        sha256: str,
    ) -> Image.Image:  # of the first hashes another picture each, so that the test does not take minutes
        return small.setdefault(sha256[0], picture(sha256)).copy()

    return write_gallery(simulated.database, load, tmp_path_factory.mktemp("gallery") / "gallery.html")


def data_of(file: Path) -> dict[str, list[list[object]]]:
    text = file.read_text(encoding="utf-8")
    return dict(json.loads(re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[0]))


def test_the_gallery_is_one_file_with_every_image_and_no_name_ends_its_script(
    written: Path, table: pd.DataFrame
) -> None:
    data = data_of(written)
    assert len(data["rows"]) == len(table)
    assert written.read_text(encoding="utf-8").count("<script") == 2
    assert not re.findall(r'(?:src|href)="(?!data:|#)', written.read_text(encoding="utf-8"))
    assert SIDE**2 * len(data["pictures"]) > 0
    bytes_of_25000 = 25_000 * (written.stat().st_size / len(table))
    assert bytes_of_25000 <= 80e6  # pictures of this test are noise, which WebP makes larger than a drawing


def test_the_first_images_of_each_subject_and_missing_ones_are_told(simulated: Workspace, tmp_path: Path) -> None:
    file = write_gallery(simulated.database, refusing, tmp_path / "gallery.html", per_subject=1)
    data = data_of(file)
    assert set(data["pictures"]) == {None}
    keys = [tuple(row[:2]) for row in data["rows"]]
    assert len(keys) == len(set(keys))
    assert "the first of each subject and version" in file.read_text(encoding="utf-8")


def test_a_gallery_never_replaces_a_file(simulated: Workspace, tmp_path: Path) -> None:
    (tmp_path / "mine.html").write_text("mine")
    done = CliRunner().invoke(
        app, ["browse", "--config", str(simulated.audit.file), "--out", str(tmp_path / "mine.html")]
    )
    assert done.exit_code == 2
    assert (tmp_path / "mine.html").read_text() == "mine"


@pytest.fixture
def tab() -> Iterator[Page]:
    with page(1280, 900) as found:
        yield found


@pytest.mark.long
def test_the_gallery_filters_sorts_and_compares_by_mouse_and_by_keyboard(
    written: Path, table: pd.DataFrame, tab: Page
) -> None:
    said: list[str] = []
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("console", lambda message: said.append(message.text))
    tab.on("request", lambda r: None if r.url.startswith(("data:", "file:")) else said.append(r.url))
    tab.goto(written.as_uri())
    found = tab.locator("#found")
    expect(found).to_have_text(f"{len(table)} of {len(table)} images")
    tab.keyboard.press("/")
    name = str(table.loc[table["kind"] == "untrained_artist", "name"].iloc[0])
    tab.keyboard.type(name)
    expect(found).to_have_text(f"{len(chosen(table, Choice(artist=name)))} of {len(table)} images")
    tab.keyboard.press("Escape")
    tab.keyboard.press("v")
    versions = tab.locator("#tiles > li").first.locator(".tile")
    assert [v in versions.nth(i).inner_text() for i, v in enumerate(MODELS)] == [True, True]
    tab.keyboard.press("x")
    expect(found).to_have_text(f"{len(table)} of {len(table)} images")
    tab.select_option("#sort", "similarity, highest first")
    best = f"{chosen(table, Choice(sort='similarity, highest first'))['similarity'].iloc[0]:.3f}"
    assert f"similarity {best}" in tab.locator(".tile").first.inner_text()
    tab.locator("#sort").blur()
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("Enter")
    expect(tab.locator("#known")).to_contain_text("seed")
    tab.keyboard.press("Escape")
    expect(tab.locator("#known")).not_to_be_visible()
    assert not Axe().run(tab).response["violations"]
    assert said == []


@pytest.mark.long
def test_the_image_browser_filters_in_a_browser_and_asks_no_other_machine(
    copied: Path, tmp_path: Path, tab: Page, browsing: Callable[[Path], str]
) -> None:
    address = browsing(copied)
    asked: set[str] = set()
    tab.on("request", lambda r: asked.add(r.url.split("/")[2]) if r.url.startswith("http") else None)
    tab.goto(address)
    tab.locator(".tiles img").first.wait_for(timeout=120_000)
    tab.get_by_label("Artist or name").fill("Nils Oduya")
    expect(tab.locator(".tiles figure")).to_have_count(5, timeout=60_000)
    assert "Nils Oduya" in tab.locator(".tiles").inner_text()
    assert tab.locator(".tiles img").first.evaluate("i => i.decode().then(() => i.naturalWidth)") > 0
    assert asked == {address.split("/")[2]}
