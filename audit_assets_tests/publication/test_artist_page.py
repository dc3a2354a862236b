"""One artist's page tells the truth of the database, keeps names as text, and refuses whom it cannot speak of."""

import os
import shutil
from pathlib import Path

import duckdb
import numpy as np
import pytest
from typer.testing import CliRunner

from audit_assets.cli import app
from audit_assets.errors import InputError
from audit_assets.publication.pages.artist import write_artist_page, write_artist_pages
from audit_assets.publication.pages.index import write_index
from audit_assets.publication.pages.report import write_report
from audit_assets.publication.queries import artist as read_artist
from audit_assets.publication.queries import database as read
from audit_assets.publication.queries.embedded import Embedded
from audit_assets.publication.queries.model import ModelResults
from audit_assets.workspace import Workspace
from audit_assets_tests.publication.test_report import parsed
from audit_assets_tests.publication.world import HOSTILE, MODELS, World, picture, simulate


@pytest.fixture(scope="module")
def page(simulated: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_artist_page(simulated.database, "artist-0", picture, tmp_path_factory.mktemp("pages"))


def test_every_image_stands_in_the_appendix_with_prompt_seed_revision_and_hash(
    simulated: Workspace, page: Path
) -> None:
    text = parsed(page.read_text()).text
    with duckdb.connect(str(simulated.database), read_only=True) as connection:
        images = connection.execute(
            "SELECT prompt, seed, image_sha256, revision FROM imitations JOIN model_versions USING (model_version) WHERE subject = 'artist-0'"
        ).fetchall()
        works = connection.execute("SELECT image_sha256 FROM reference_works WHERE subject = 'artist-0'").fetchall()
    assert len(images) == 2 * 6
    for prompt, seed, sha256, revision in images:
        assert prompt in text
        assert str(seed) in text
        assert sha256 in text
        assert revision in text
    assert all(sha256 in text for (sha256,) in works)


def test_hostile_names_stay_text_on_the_page(page: Path) -> None:
    found = parsed(page.read_text())
    assert HOSTILE[0] in found.text
    assert [tag for tag, _ in found.elements].count("script") == 1
    assert not any(a.startswith("on") for _, attributes in found.elements for a in attributes)
    assert all((a["src"] or "").startswith("data:image/") for tag, a in found.elements if tag == "img")
    links = {str(a["href"]) for tag, a in found.elements if tag == "a" and (a.get("href") or "#")[0] != "#"}
    assert links == {"../index.html", f"../{MODELS[0]}/reliability.html", "artist-0.html"}


def test_the_nearest_work_is_the_nearest_by_cosine(simulated: Workspace) -> None:
    with read.opened(simulated.database) as connection:
        found = Embedded(connection).nearest_works("artist-3", MODELS[0], "sim-vision")
        real = read.embeddings(connection, "reference_embeddings", "sim-vision")
        made = read.embeddings(connection, "imitation_embeddings", "sim-vision")
    image = made[(made["subject"] == "artist-3") & (made["model_version"] == MODELS[0]) & (made["trial"] == 2)]
    own = real[real["subject"] == "artist-3"]
    likeness = [float(np.dot(image["embedding"].iloc[0].astype(float), w.astype(float))) for w in own["embedding"]]
    assert found[0, 2].own_similarity == pytest.approx(max(likeness), abs=1e-6)
    assert found[0, 2].own_work == int(own["work"].iloc[int(np.argmax(likeness))])
    assert found[0, 2].other_name != "Artist 3"


def test_probabilities_beside_the_background_are_those_of_the_trials(simulated: Workspace) -> None:
    with read.opened(simulated.database) as connection:
        found = Embedded(connection).background_probabilities("artist-2", MODELS[0], "sim-clip", "criteria")
        kept = read.rows(
            connection,
            "SELECT probability_of_subject AS p FROM identification_trials WHERE subject = 'artist-2' AND encoder = 'sim-clip' "
            "AND model_version = $version AND label_set = 'criteria' ORDER BY trial",
            {"version": MODELS[0]},
        )
    assert found["imitations"]["value"].tolist() == pytest.approx(kept["p"].tolist(), rel=1e-9)
    assert {whose: len(rows) for whose, rows in found.items()} == {
        "imitations": 6, "real works": 8, "other artists": 23 * 6 - 1, "random names": 68 * 6,
    }  # fmt: skip


def test_the_page_tells_versions_apart(simulated: Workspace, tmp_path: Path) -> None:
    text = parsed(write_artist_page(simulated.database, "artist-11", picture, tmp_path).read_text()).text
    assert "has opted out" in text
    for model in MODELS:
        assert f"Image 1 that {model} made in the name of" in (tmp_path / "artist-11.html").read_text()
    with duckdb.connect(str(simulated.database), read_only=True) as connection:
        verdicts = connection.execute(
            "SELECT model_version, verdict FROM verdicts WHERE subject = 'artist-11' AND encoder = 'sim-clip'"
        ).fetchall()
    assert len(verdicts) == 2
    assert all(f"{model}: {verdict}" in text for model, verdict in verdicts)


def test_the_same_database_gives_the_same_page(simulated: Workspace, page: Path, tmp_path: Path) -> None:
    assert write_artist_page(simulated.database, "Artist-0", picture, tmp_path).read_bytes() == page.read_bytes()


@pytest.mark.parametrize(
    ("artist", "slug"),
    [
        ("artist-9", "artist-9"),
        ("ARTIST 9", "artist-9"),
        (HOSTILE[0], "artist-0"),
        ("林風眠", "artist-6"),
        ("  artist, 9 ", "artist-9"),
    ],
)
def test_an_artist_is_found_by_slug_or_by_name_as_people_write_it(simulated: Workspace, artist: str, slug: str) -> None:
    with read.opened(simulated.database) as connection:
        assert read_artist.find(connection, artist)["subject"] == slug


@pytest.mark.parametrize(
    ("artist", "said"),
    [
        ("artst 14", r"not in the audit.*did you mean 'Artist 14'"),
        ("Nobody Whatsoever", r"not in the audit.*add the artist"),
        ("x' OR 1=1; --", r"not in the audit"),
        (os.fsdecode(b"caf\xe9"), r"'caf.*xe9' is not in the audit"),
        ("control-30", r"is a control \(random_name\)"),
    ],
)
def test_whom_the_audit_does_not_know_as_an_artist_is_refused(simulated: Workspace, artist: str, said: str) -> None:
    with read.opened(simulated.database) as connection, pytest.raises(InputError, match=said):
        read_artist.find(connection, artist)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE subjects SET retired = true WHERE subject = 'artist-9'", "has left the roster"),
        (
            "UPDATE model_versions SET retired = true; DELETE FROM imitations WHERE subject = 'artist-9'",
            r"no model version was asked for.*retired, no longer audited: first-version, second-version",
        ),
        ("DELETE FROM verdicts; DELETE FROM identification_summary", "no model version was asked for"),
        ("UPDATE subjects SET name = 'Artist 10' WHERE subject = 'artist-9'", r"several subjects.*artist-10, artist-9"),
    ],
)  # fmt: skip
def test_what_cannot_be_shown_is_refused_and_the_old_page_stays(
    simulated: Workspace, tmp_path: Path, change: str, said: str
) -> None:
    database = Path(shutil.copy(simulated.database, tmp_path / "audit.duckdb"))
    with duckdb.connect(str(database)) as connection:
        connection.execute(change)
    (tmp_path / "artist-9.html").write_text("the page of yesterday")
    wanted = "Artist 10" if "several" in said else "artist-9"
    with pytest.raises(InputError, match=said):
        write_artist_page(database, wanted, picture, tmp_path)
    assert (tmp_path / "artist-9.html").read_text() == "the page of yesterday"


def test_a_retired_version_with_images_is_shown_as_retired(simulated: Workspace, tmp_path: Path) -> None:
    database = Path(shutil.copy(simulated.database, tmp_path / "audit.duckdb"))
    with duckdb.connect(str(database)) as connection:
        connection.execute(
            "UPDATE model_versions SET retired = true WHERE model_version = $version", {"version": MODELS[0]}
        )
    text = parsed(write_artist_page(database, "artist-9", picture, tmp_path).read_text()).text
    assert f"{MODELS[0]} (retired)" in " ".join(text.split())


@pytest.mark.long
def test_every_template_has_its_pictures_and_images_are_counted_once(miniature: Path, tmp_path: Path) -> None:
    world = World(artists=12, images=3, templates=("Artwork from {name}", "Painting by {name}"))
    ws = simulate(tmp_path / "audit", miniature, world)
    html = write_artist_page(ws.database, "artist-3", picture, tmp_path / "pages").read_text()
    assert html.count("(template 1, trial 2)") == 2
    assert html.count("Likeness to work") == 2 * 2 * 3
    assert "Painting by Artist 3" in html
    with read.opened(ws.database) as connection:
        labels = ModelResults(connection, "paper_2023", MODELS[0], "sim-clip").confusion()
    assert labels["images"].sum() == 12 * 2 * 3
    report = write_report(ws.database, MODELS[0], picture, tmp_path / "report").read_text()
    assert "of 6" in report


# ---- the index
def test_the_index_leads_to_every_report_and_page_and_says_what_changed(simulated: Workspace, tmp_path: Path) -> None:
    index = write_index(simulated.database, tmp_path)
    found = parsed(index.read_text())
    links = [a["href"] for tag, a in found.elements if tag == "a"]
    for address in [*(f"{m}/report.html" for m in MODELS), "artists/artist-0.html", "artists/artist-1.html"]:
        assert address in links
    text = " ".join(found.text.split())
    assert "From first-version to second-version, according to sim-clip, the verdict changed for" in text
    with duckdb.connect(str(simulated.database), read_only=True) as connection:
        changed = connection.execute(
            "SELECT name FROM model_comparison_by_subject c JOIN subjects USING (subject) WHERE changed AND c.kind = 'artist'"
        ).fetchall()
    assert len(changed) >= 2
    assert all(" ".join(name.split()) in text for (name,) in changed)
    assert write_index(simulated.database, tmp_path).read_bytes() == index.read_bytes()


def test_a_version_without_results_is_listed_and_leads_nowhere(simulated: Workspace, tmp_path: Path) -> None:
    database = Path(shutil.copy(simulated.database, tmp_path / "audit.duckdb"))
    with duckdb.connect(str(database)) as connection:
        connection.execute(
            "INSERT INTO model_versions BY NAME SELECT '<b>next</b>' AS model_version, 'image_folder' AS source, false AS approved, false AS retired"
        )
    found = parsed(write_index(database, tmp_path).read_text())
    assert "not approved, no results yet" in found.text
    assert "b" not in {tag for tag, _ in found.elements}
    assert not [a for _, a in found.elements if "next" in str(a.get("href"))]
    with duckdb.connect(str(database)) as connection:
        connection.execute("DELETE FROM verdicts; DELETE FROM identification_summary")
    before = (tmp_path / "index.html").read_bytes()
    with pytest.raises(InputError, match="no model version has results"):
        write_index(database, tmp_path)
    assert (tmp_path / "index.html").read_bytes() == before


# ---- the command
def test_the_command_makes_a_page_and_says_where_or_why_not(
    simulated: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audit_assets.warehouse.images.ImageStore.get", lambda self, sha256: picture(sha256))
    arguments = ["report", "--config", str(simulated.audit.file), "--artist"]
    made = CliRunner().invoke(app, [*arguments, "artist 9"])
    page = simulated.warehouse.root / "reports" / "artists" / "artist-9.html"
    assert made.exit_code == 0, made.output
    assert str(page) in made.output
    assert page.is_file()
    assert "artists/artist-9.html" in (simulated.warehouse.root / "reports" / "index.html").read_text()
    refused = CliRunner().invoke(app, [*arguments, "artst 9"])
    assert refused.exit_code == 2
    assert "did you mean 'Artist 9'" in refused.output


# ---- the pages of everybody
@pytest.mark.long
def test_everybody_has_a_page_and_every_link_of_the_pages_leads_to_one(simulated: Workspace, tmp_path: Path) -> None:
    few = Path(shutil.copy(simulated.database, tmp_path / "audit.duckdb"))
    with duckdb.connect(str(few)) as connection:
        connection.execute(
            "UPDATE subjects SET retired = true WHERE kind IN ('artist', 'untrained_artist') AND subject NOT IN ('artist-8', 'artist-9', 'untrained-21')"
        )
    pages = list(write_artist_pages(few, picture, tmp_path / "artists"))
    assert {page.stem for page in pages} == {"artist-8", "artist-9", "untrained-21"}
    for page in pages:  # as if each were asked for alone
        assert page.read_bytes() == write_artist_page(few, page.stem, picture, tmp_path / "alone").read_bytes()
    made = [write_index(few, tmp_path), write_report(few, MODELS[0], picture, tmp_path / MODELS[0]), *pages]
    linked = {
        (page.parent / str(a["href"])).resolve()
        for page in made
        for tag, a in parsed(page.read_text()).elements
        if tag == "a" and str(a.get("href")).endswith(".html")
    }
    assert {page for page in linked if page.parent.name == "artists"} == {page.resolve() for page in pages}


def test_an_artist_without_works_has_a_page_that_says_so(simulated: Workspace, tmp_path: Path) -> None:
    database = Path(shutil.copy(simulated.database, tmp_path / "audit.duckdb"))
    with duckdb.connect(str(database)) as connection:
        connection.execute("DELETE FROM reference_works WHERE subject = 'artist-9'")
        connection.execute("DELETE FROM answers WHERE subject = 'artist-9' AND question <> 'steers'")
    text = parsed(write_artist_page(database, "artist-9", picture, tmp_path).read_text()).text
    assert "The audit has no works of Artist 9, so no image could be compared with them." in text
    assert "The audit has no real works of this artist." in text


def test_an_artist_of_whom_every_image_was_refused_has_a_page_that_says_so(
    simulated: Workspace, tmp_path: Path
) -> None:
    database = Path(shutil.copy(simulated.database, tmp_path / "audit.duckdb"))
    with duckdb.connect(str(database)) as connection:
        connection.execute("UPDATE imitations SET image_sha256 = NULL, status = 'refused' WHERE subject = 'artist-9'")
    text = " ".join(parsed(write_artist_page(database, "artist-9", picture, tmp_path).read_text()).text.split())
    assert "Of 6 images that the audit asked for, 6 were withheld." in text
    assert "could not be tested. This is no sign that it cannot." in text
