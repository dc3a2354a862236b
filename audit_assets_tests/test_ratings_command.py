"""`audit-assets ratings`: packets of a finished audit, and the raters' answers beside the encoders'."""

import json
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

from audit_assets.cli import app
from audit_assets.publication import packets
from audit_assets.results.rating_answers import checksum, take
from audit_assets.results.rating_questions import key_of
from audit_assets.results.stage import ResultStage
from audit_assets.workspace import Workspace
from audit_assets_tests.results.test_ratings import answered, answers_by_packet, asked, saved

__all__ = ["asked"]  # a fixture

RUN = CliRunner()
MODEL = "miniature-1"


def called(*words: object) -> tuple[int, str]:
    found = RUN.invoke(app, [str(word) for word in words])
    return found.exit_code, found.output


def test_an_audit_without_results_or_packets_says_so(tmp_path: Path, small_audit) -> None:  # type: ignore[no-untyped-def]
    config = small_audit(tmp_path / "audit")
    code, said = called("ratings", "export", "--model", MODEL, "--into", tmp_path / "packets", "--config", config)
    assert code == 2
    assert "no warehouse yet" in said
    (tmp_path / "audit" / "warehouse").mkdir()
    Workspace.open(config, new=True)
    code, said = called("ratings", "import", tmp_path / "none.json", "--config", config)
    assert code == 2
    assert "has no packet" in said


def test_an_import_that_was_interrupted_is_published_by_the_same_command(
    asked: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    files = [saved(folder, packet, given) for packet, given in answers_by_packet(asked).items()]
    take(asked, files[:3])  # and then it ended
    published: list[str] = []

    def publish(ws: Workspace, model: str) -> list[str]:
        published.append(model)
        return []

    monkeypatch.setattr(packets, "publish_answers", publish)
    code, said = called("ratings", "import", *files[:3], "--config", asked.audit.file)
    assert code == 0, said
    assert said.count("they count once") == 3
    assert published == [MODEL]
    bad = folder / "bad.json"
    bad.write_text("{}")
    assert called("ratings", "import", bad, "--config", asked.audit.file)[0] == 2
    assert published == [MODEL]


def test_an_export_lists_artists_whom_it_cannot_ask_about(
    asked: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ResultStage, "has_results", lambda *_: True)
    page = tmp_path / "page.html"
    page.write_text("a page")
    monkeypatch.setattr(packets, "write_packet", lambda rows, load, folder: page)
    works = asked.warehouse.read("reference_works/artist-1")
    asked.warehouse.write("reference_works/artist-1", works[:2], "two works")
    named = ("--artist", "artist-0", "--artist", "artist-1", "--replace", "--config", asked.audit.file)
    code, said = called("ratings", "export", "--model", MODEL, "--into", tmp_path / "packets", *named)
    assert code == 0, said
    assert "not asked about: artist-1: fewer than 3 real works" in said


@pytest.mark.long
def test_raters_are_asked_and_their_answers_are_published(copied: Path, tmp_path: Path) -> None:
    pages_of = tmp_path / "packets"
    export = ("ratings", "export", "--model", MODEL, "--into", pages_of, "--config", copied)
    code, exported = called(*export)
    assert code == 0, exported
    ws = Workspace.existing(copied)
    key = ws.warehouse.read(key_of(MODEL))
    pages = sorted(pages_of.glob("*.html"))
    assert len(pages) == key["page_sha256"].nunique() == 5
    assert called(*export)[0] == 2  # the folder has pages already
    files = []
    for packet, rows in answered(key).groupby("packet"):
        given = {str(p): str(s) for p, s in zip(rows["position"], rows["side"], strict=True)}
        file = tmp_path / f"{packet}.json"
        file.write_text(
            json.dumps({"format": 1, "packet": packet, "answers": given, "checksum": checksum(str(packet), given)})
        )
        files.append(file)
    bad = tmp_path / "bad.json"
    bad.write_text("{}")
    code, said = called("ratings", "import", *files, bad, "--config", copied)
    assert code == 3, said
    assert "bad.json" in said
    with duckdb.connect(str(ws.database), read_only=True) as connection:
        answers = connection.sql("SELECT DISTINCT answer FROM rater_verdicts").fetchall()
        alpha = connection.sql("SELECT alpha, counted FROM rater_agreement").fetchall()
    asked = key[~key["is_check"]].groupby("subject")["other_subject"].nunique()
    assert answers == [("could not be tested",)]
    assert (asked < 19).all()  # the small audit has eight control names
    assert exported.count(f"could not be tested: of {len(asked)} of {len(asked)} artists") == 1
    assert alpha == [(1.0, 5)]
    report = (ws.warehouse.root / "reports" / MODEL / "report.html").read_text(encoding="utf-8")
    assert "Krippendorff's alpha is 1.00" in report.replace("&#39;", "'")
    artist = str(key["subject"].iloc[0])
    page = called("report", "--artist", artist, "--config", copied)
    assert page[0] == 0, page[1]
    assert "Human raters: could not be tested." in (
        ws.warehouse.root / "reports" / "artists" / f"{artist}.html"
    ).read_text(encoding="utf-8")
    other = ("ratings", "export", "--model", MODEL, "--into", tmp_path / "more", "--seed", "9", "--config", copied)
    code, said = called(*other)
    assert code == 2
    assert "raters answered other packets" in said
