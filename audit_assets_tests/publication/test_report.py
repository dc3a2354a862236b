"""The page is true to the database, safe to open, and the same each time."""

import base64
import hashlib
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import duckdb
import matplotlib as mpl
import pytest
from PIL import Image

from audit_assets.errors import InputError
from audit_assets.publication.pages import report
from audit_assets.publication.pages.report import write_report
from audit_assets.publication.queries.model import ModelResults
from audit_assets.publication.words.headline import paper_comparison
from audit_assets.publication.words.model_tables import adapters, other_words
from audit_assets_tests.publication.conftest import ARTISTS, HOSTILE, MODELS

Load = Callable[[str], Image.Image]


class Elements(HTMLParser):
    """Every element with its attributes, and the text."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def parsed(page: str) -> Elements:
    found = Elements()
    found.feed(page)
    return found


@pytest.fixture(scope="module")
def shared_load() -> Load:
    return lambda digest: Image.new("RGB", (32, 32), f"#{digest[:6]}")


@pytest.fixture(scope="module")
def page(database: Path, tmp_path_factory: pytest.TempPathFactory, shared_load: Load) -> Path:
    return write_report(database, MODELS[0], shared_load, tmp_path_factory.mktemp("report"))


def rows_of(page: str, table: str) -> list[str]:
    """The keys of the rows of the table that stands at a place."""
    own = page[page.index(f'id="{table}-table"') if f'id="{table}-table"' in page else page.index("<table") :]
    return re.findall(r'<tr data-key="([^"]*)"', own[: own.index("</table>")])


@pytest.mark.long
def test_rows_beyond_those_of_one_page_are_on_further_pages_each_once(
    database: Path, tmp_path: Path, shared_load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = write_report(database, MODELS[0], shared_load, tmp_path / "whole")
    assert not list(whole.parent.glob("*-rows-*"))
    everybody = re.findall(r'<tr data-key="([^"]*)"', whole.read_text())
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / "artists-rows-99.html").write_text("of an earlier report")
    for module in ("page", "report"):
        monkeypatch.setattr(f"audit_assets.publication.pages.{module}.MOST_ROWS", 3)
    report = write_report(database, MODELS[0], shared_load, tmp_path / "cut")
    first = report.read_text()
    files = sorted(report.parent.glob("artists-rows-*.html"), key=lambda file: int(file.stem.split("-")[-1]))
    assert [file.name for file in files] == [f"artists-rows-{n}.html" for n in range(4, len(ARTISTS) + 1, 3)]
    found = rows_of(first, "artists") + [key for file in files for key in rows_of(file.read_text(), "artists")]
    assert found == everybody[: len(found)]
    assert len(set(found)) == len(found) == len(ARTISTS)
    for file in [report, *report.parent.glob("*-rows-*.html")]:
        html = file.read_text()
        assert HOSTILE not in html
        for link in re.findall(r'href="([a-z][^":]*)"', html):
            name, _, place = link.partition("#")
            target = (report.parent / name).read_text() if name.endswith(".html") else ""
            assert (report.parent / name).is_file(), link
            assert not place or f'id="{place}"' in target, link
    assert first.count('class="row"') == 3
    assert f"The pictures of the other {len(ARTISTS) - 3} artists are on their own pages" in first


def test_the_page_needs_no_other_file_and_lets_no_script_run_but_its_own(page: Path) -> None:
    html = page.read_text()
    elements = parsed(html).elements
    assert not {"link", "iframe", "object", "base"} & {tag for tag, _ in elements}
    assert not any(name.startswith("on") for _, attributes in elements for name in attributes)
    links = set(re.findall(r'(?:src|href)="(?!data:|#)([^"]*)', html))
    pages = {link for link in links if not link.startswith("../artists/") and not link.endswith(".csv")}
    assert pages == {"../index.html", "reliability.html"}
    assert all((page.parent / link).is_file() for link in links if link.endswith(".csv"))
    (script,) = re.findall(r"<script>(.*?)</script>", html, flags=re.DOTALL)
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = (a["content"] or "" for _, a in elements if a.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert f"script-src 'sha256-{allowed}';" in policy
    assert policy.count("script-src") == 1
    assert [tag for tag, _ in elements].count("script") == 1


def test_every_picture_and_chart_has_an_alternative_text(page: Path) -> None:
    elements = parsed(page.read_text()).elements
    images = [attributes for tag, attributes in elements if tag == "img"]
    assert len(images) == 1 + len(ARTISTS) * (2 + 4)
    assert all(image["alt"] and (image["src"] or "").startswith("data:image/webp") for image in images)
    charts = [attributes for tag, attributes in elements if tag == "svg"]
    assert len(charts) >= 3
    assert all(len(chart["aria-label"] or "") > 40 and chart["role"] == "img" for chart in charts)
    identifiers = [attributes["id"] for _, attributes in elements if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))


def test_the_papers_three_figures_lie_beside_the_page(page: Path) -> None:
    names = {path.name for path in page.parent.iterdir() if path.suffix != ".csv"}
    assert names == {"report.html", "reliability.html", "copies.html"} | {
        f"{name}.{end}" for name in ("sample_grid", "identification", "ranked_p_values") for end in ("png", "svg")
    }


def test_a_hostile_name_stays_text(page: Path) -> None:
    html = page.read_text()
    assert HOSTILE not in html
    assert HOSTILE in parsed(html).text


def test_the_page_says_what_it_does_not_prove(page: Path) -> None:
    text = " ".join(parsed(page.read_text()).text.split())
    assert "A capability, not an infringement" in text
    assert "it still calls 2.0 / 10 = 20.0 % of artists significant" in text
    for name in ("林風眠", "Zoë O'Hara", "Price $5 & $6", "m1", "g1", "clip-miniature"):
        assert name in text


@pytest.mark.parametrize(
    "own",
    [
        pytest.param({}, marks=pytest.mark.long),
        {"axes.facecolor": "black", "font.size": 20, "savefig.dpi": 30, "text.color": "red"},
    ],
)
def test_the_same_database_gives_the_same_bytes_whatever_a_matplotlibrc_says(
    page: Path, database: Path, tmp_path: Path, shared_load: Load, own: dict[Any, Any]
) -> None:
    with mpl.rc_context(own):
        again = write_report(database, MODELS[0], shared_load, tmp_path)
        assert own.items() <= mpl.rcParams.items()  # figures of the operator's own notebook stay as they were
    for path in sorted(page.parent.iterdir()):
        assert path.read_bytes() == (again.parent / path.name).read_bytes(), path.name


def test_the_headline_is_counted_by_image_and_by_name(database: Path) -> None:
    found = paper_comparison(database, MODELS[0])
    assert list(found.columns) == ["measure", "this_audit", "paper", "level"]
    assert found.set_index("measure")["this_audit"].to_dict() == {
        "images of artists identified": "92.5 % (87.5 – 97.5)",
        "artists that win a plurality of their images": "10 / 10 = 100.0 %",
        "images of random names identified": "6.2 % (1.2 – 11.2)",
        "random names that win a plurality of their images": "0 / 4 = 0.0 %",
        "images that chance alone identifies": "7.7 %",
        "images of untrained artists identified (joint labels)": "0.0 % (0.0 – 5.0)",
        "images of recombined names identified": "50.0 % (45.0 – 55.0)",
        "paper's matching test significant (two-sided)": "7 / 10 = 70.0 %",
        "paper's matching test significant (closer)": "7 / 10 = 70.0 %",
        "paper's matching test significant with re-assigned real works (two-sided)": "2.0 / 10 = 20.0 %",
        "paper's matching test significant with re-assigned real works (closer)": "1.0 / 10 = 10.0 %",
        "real works of artists identified": "not measured",
        "gap between artists and random names": "not measured",
        "ratio of imitations to real works identified": "not measured",
        "corrected matching test significant (own cell, not adjusted)": "not measured",
        "corrected matching test significant with re-assigned real works (own cell, not adjusted)": "not measured",
        "all artists together (pairing test), p": "not measured",
        "all artists together, within peers (pairing test), p": "not measured",
        "artists who are imitated, at least (with 95 % confidence)": "not measured",
        "artists with the verdict “imitated”": "not measured",
        "random names with the verdict “identified above controls”": "not measured",
    }


def test_the_positive_control_is_shown_where_it_was_measured(database_with_auditability: Path) -> None:
    found = paper_comparison(database_with_auditability, MODELS[0])
    assert found[found["level"] == "work"].iloc[0].tolist() == [
        "real works of artists identified",
        "29 / 30 = 96.7 %",
        "not done",
        "work",
    ]
    image_only = paper_comparison(database_with_auditability, MODELS[0], encoder="miniature-dino")
    assert image_only.loc[image_only["level"] == "work", "this_audit"].tolist() == ["not measured"]
    assert image_only["this_audit"].iloc[0] == "not measured"
    assert image_only["this_audit"].iloc[7] == "7 / 10 = 70.0 %"


@pytest.mark.long
def test_an_audit_without_controls_intervals_and_matching_is_still_reported(
    database_with_auditability: Path, tmp_path: Path, shared_load: Load
) -> None:
    with duckdb.connect(str(database_with_auditability)) as connection:
        connection.execute("DELETE FROM matching_summary; DELETE FROM matching_by_subject; DELETE FROM reference_works")
        connection.execute("DELETE FROM identification_summary WHERE label_set <> 'criteria'")
        connection.execute("UPDATE identification_summary SET image_accuracy_low = NULL, image_accuracy_high = NULL")
    html = write_report(database_with_auditability, MODELS[0], shared_load, tmp_path / "folder").read_text()
    assert "not measured" in html
    assert not re.search(r"\b(?:nan|NaN|None|NaT|NULL)\b|<NA>", parsed(html).text)


@pytest.mark.parametrize("arguments", [("no-such",), (MODELS[0], "no-such"), (MODELS[0], None, "no-such")])
def test_an_unknown_name_is_refused_with_a_remedy(database: Path, arguments: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match=r"no-such.*Remedy"):
        paper_comparison(database, *arguments)


def test_a_missing_or_broken_database_is_refused_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no published database"):
        paper_comparison(tmp_path / "audit.duckdb", MODELS[0])
    (tmp_path / "text.duckdb").write_text("not a database, but long enough to be read as one" * 100)
    with pytest.raises(InputError, match="not a readable DuckDB file"):
        paper_comparison(tmp_path / "text.duckdb", MODELS[0])


def test_a_report_says_of_an_adapter_what_it_states_and_what_it_changed() -> None:
    lora = {"file": "a.safetensors", "weight": 0.8, "kind": "LoRA", "alpha": "assumed to be the rank, because the file states none"}  # fmt: skip
    measured = {"file": "a.safetensors", "keys": 64, "keys_used": 64, "layers_changed": {"unet": "32 of 32"}}
    settings, plan = json.dumps({"lora": [{**lora, "trained_on": "sd_v1"}]}), json.dumps({"adapters": [measured]})
    assert adapters(settings, [plan]) == [
        "a.safetensors: LoRA, weight 0.8; alpha: assumed to be the rank, because the file states none; trained on sd_v1, as its "
        "file says; 64 of 64 keys used; changed: unet, 32 of 32 layers"
    ]
    assert adapters(settings, []) == adapters(settings, [json.dumps({"device": "cpu"})])
    assert adapters('{"steps": 8}', []) == adapters(None, []) == []


@pytest.mark.long
def test_files_that_were_not_read_are_named_in_the_report_of_their_version(
    database: Path, tmp_path: Path, shared_load: Load
) -> None:
    copy = tmp_path / "audit.duckdb"
    copy.write_bytes(database.read_bytes())
    with duckdb.connect(str(copy)) as connection:
        connection.execute(
            "INSERT INTO unread_files VALUES ('references', '<b>Carl</b>', 'this folder belongs to no subject'), (?, 'ada/x.psd', 'no format'), ('other', 'y', 'z')",
            [MODELS[0]],
        )
    text = parsed(write_report(copy, MODELS[0], shared_load, tmp_path / "report").read_text()).text
    assert "Files that were not read" in text
    assert "<b>Carl</b>" in text
    assert "ada/x.psd" in text
    assert (
        "Files that were not read"
        not in parsed(write_report(database, MODELS[0], shared_load, tmp_path / "other").read_text()).text
    )


def test_notes_on_inputs_are_on_the_report_of_the_version_that_they_concern(
    database: Path, tmp_path: Path, shared_load: Load
) -> None:
    copy = tmp_path / "audit.duckdb"
    copy.write_bytes(database.read_bytes())
    with duckdb.connect(str(copy)) as connection:
        connection.execute(
            "INSERT INTO notes VALUES ('artists and captions', 'captions: 3 of 20 files have no score'), (?, '<i>ana</i>: 3 images, not 10'), (?, 'of the other')",
            MODELS,
        )
    page = write_report(copy, MODELS[0], shared_load, tmp_path / "report").read_text()
    text = parsed(page).text
    assert "Notes on the inputs" in text
    assert "captions: 3 of 20 files have no score" in text
    assert "<i>ana</i>: 3 images, not 10" in text
    assert "of the other" not in text
    without = parsed(write_report(database, MODELS[0], shared_load, tmp_path / "other").read_text()).text
    assert "Notes on the inputs" not in without


def test_a_report_names_the_words_that_a_model_was_asked_by_if_they_are_not_the_name() -> None:
    with duckdb.connect() as connection:
        connection.execute(
            "CREATE TABLE protocols (protocol VARCHAR, generation_hash VARCHAR, measurement_hash VARCHAR, definition JSON)"
        )
        connection.execute(
            "INSERT INTO protocols VALUES ('p', '', '', ?)", [json.dumps({"templates": ["Art by {name}"]})]
        )
        connection.execute("CREATE TABLE subjects (subject VARCHAR, name VARCHAR, kind VARCHAR)")
        connection.execute(
            "CREATE TABLE imitations (model_version VARCHAR, subject VARCHAR, template INTEGER, trial INTEGER, prompt VARCHAR)"
        )
        for subject, kind, prompt in (
            ("ada", "artist", "Art by sks"),
            ("nils", "artist", "Art by nils"),
            ("x", "random_name", "Art by y"),
        ):
            connection.execute("INSERT INTO subjects VALUES (?, ?, ?)", [subject, subject, kind])
            connection.execute("INSERT INTO imitations VALUES ('m', ?, 0, 0, ?), ('other', ?, 0, 0, 'Art by z')", [subject, prompt, subject])  # fmt: skip
        assert other_words(ModelResults(connection, "p", "m", "clip")) == [
            "ada was asked for by 'Art by sks'; labels have the name"
        ]
        connection.execute("INSERT INTO subjects SELECT 's' || n, 's' || n, 'artist' FROM range(30) t(n)")
        connection.execute("INSERT INTO imitations SELECT 'm', 's' || n, 0, 0, 'Art by t' || n FROM range(30) t(n)")
        assert other_words(ModelResults(connection, "p", "m", "clip"))[20:] == [
            "and 11 more artists by other words than their names"
        ]


def test_artists_without_works_are_counted_by_what_can_be_said_of_them(database: Path) -> None:
    above = {"subject": "ada", "verdict": "identified above controls", "because": "The name passes."}
    said = report._of_one_artist([above], {"subject": "ada", "name": "Ada"})
    assert "The name Ada steers the model. There are no works" in said
    with duckdb.connect(str(database), read_only=True) as connection:
        results = ModelResults(connection, "paper_2023", MODELS[0], "clip")
        mixed = report._summary(results, [above, above, {"verdict": "imitated"}], None)
        assert "0 are not auditable, and 2 are identified above controls, without works" in mixed
        assert "none has a verdict yet" not in report._summary(results, [above], None)
        assert "none has a verdict yet" in report._summary(results, [{"verdict": "not measured"}], None)
