"""A real audit of the miniature, end to end, with the real models: what is made, what is skipped, what is caught."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
from dagster import AssetKey, DagsterInstance

from audit_assets.config import load_audit
from audit_assets.errors import InputError
from audit_assets.generation.stage import ImitationStage
from audit_assets.publication.stage import PublicationStage
from audit_assets.results.comparison import COMPARISON
from audit_assets.results.comparison import audited as audited_versions
from audit_assets.results.identification import IDENTIFICATION
from audit_assets.results.matching import MATCHING
from audit_assets.results.stage import RECIPES, ResultStage
from audit_assets.results.verdicts import VERDICTS
from audit_assets.roster.mentions import MentionScan
from audit_assets.warehouse.store import vectors
from audit_assets.workspace import Workspace
from audit_assets_tests.drive import drive


def workspace_of(config: Path) -> Workspace:
    return Workspace.open(config)


def files_of(folder: Path) -> dict[str, tuple[str, int]]:
    """Every file but locks, with its hash and time of change."""
    return {
        str(p.relative_to(folder)): (hashlib.sha256(p.read_bytes()).hexdigest(), p.stat().st_mtime_ns)
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.suffix != ".lock"
    }


def test_every_image_of_the_protocol_is_there_and_is_what_its_row_says(audited: Path) -> None:
    ws = workspace_of(audited)
    with duckdb.connect(str(ws.database), read_only=True) as connection:
        rows = connection.execute("SELECT subject, image_sha256, status FROM imitations").df()
    prompted = ws.subjects().query("kind != 'background'")
    assert len(rows) == len(prompted) * ws.protocol.trials
    assert set(rows["status"]) == {"ok"}
    for sha256 in rows["image_sha256"]:
        assert ws.images.get(sha256).size == (32, 32)


def test_what_a_batch_will_cost_is_said_in_images_and_in_minutes(audited: Path) -> None:
    ws = workspace_of(audited)
    made = sum(len(ws.warehouse.read(f"imitations/miniature-1/{s}")) for s in ImitationStage(ws).asked())
    said = ImitationStage(ws).cost(["miniature-2"], ["miniature-1"], 0.5)
    assert said.startswith(f"{2 * made} images to make: {made} of miniature-2, {made} of miniature-1; about ")
    assert f"about {2 * made * 0.5 / 60:.1f} minutes" in said
    assert "no earlier run" in ImitationStage(ws).cost(["miniature-2"], [], None)


def test_the_first_ui_after_a_finished_audit_announces_no_images_to_make(audited: Path) -> None:
    ws = workspace_of(audited)
    made = sum(ImitationStage(ws).asked().values())
    said = ImitationStage(ws).cost(["miniature-1"], [], 0.5)
    kept = f"{made} images are there, and are kept if they were made from the same inputs"
    assert said == f"0 images to make: 0 of miniature-1; {kept}"


def test_trained_artists_are_identified_far_more_often_than_names_nobody_trained_on(audited: Path) -> None:
    with duckdb.connect(str(workspace_of(audited).database), read_only=True) as connection:
        shares = dict(
            connection.execute(
                "SELECT label_set, image_accuracy FROM identification_summary WHERE (label_set, kind::VARCHAR) IN (('criteria', 'artist'), ('random_names', 'random_name'))"
            ).fetchall()
        )
    assert shares["criteria"] > 0.6
    assert shares["random_names"] < 0.15


def test_the_published_predictions_follow_from_the_published_embeddings(audited: Path) -> None:
    """Recomputed here in three lines of numpy, not by the code that made them."""
    with duckdb.connect(str(workspace_of(audited).database), read_only=True) as connection:
        trials = connection.execute(
            "SELECT t.subject, t.predicted_label, e.embedding FROM identification_trials t JOIN imitation_embeddings_miniature_clip e USING (model_version, subject, template, trial) WHERE label_set = 'criteria'"
        ).df()
        labels = connection.execute(
            "SELECT label, embedding FROM label_embeddings_miniature_clip WHERE label LIKE 'default:%' OR label IN (SELECT subject FROM subjects WHERE list_contains(rosters, 'criteria'))"
        ).df()
    cosine = (
        np.stack(trials["embedding"].to_list()).astype(float) @ np.stack(labels["embedding"].to_list()).astype(float).T
    )
    assert labels["label"].to_numpy()[cosine.argmax(axis=1)].tolist() == trials["predicted_label"].tolist()


def test_what_was_made_is_in_the_event_log_with_its_partition(audited: Path) -> None:
    home = load_audit(audited).dagster_home
    with DagsterInstance.from_config(str(home)) as instance:
        made = instance.get_materialized_partitions(AssetKey("imitations"))
        assert made == {
            f"miniature-1|{s}" for s in workspace_of(audited).subjects().query("kind != 'background'")["subject"]
        }
        assert instance.get_latest_materialization_event(AssetKey("audit_database")) is not None


def test_a_second_run_makes_nothing_new(copied: Path) -> None:
    before = files_of(copied.parent / "warehouse" / "imitations") | files_of(copied.parent / "warehouse" / "images")
    database = hashlib.sha256((copied.parent / "warehouse" / "audit.duckdb").read_bytes()).hexdigest()
    drive(copied)
    after = files_of(copied.parent / "warehouse" / "imitations") | files_of(copied.parent / "warehouse" / "images")
    assert after == before
    assert hashlib.sha256((copied.parent / "warehouse" / "audit.duckdb").read_bytes()).hexdigest() == database


def test_a_blocking_check_stops_what_is_downstream(copied: Path) -> None:
    """A summary that does not follow from its rows must not reach the database."""
    ws = workspace_of(copied)
    database = hashlib.sha256(ws.database.read_bytes()).hexdigest()
    table = "identification_summary/miniature-1"
    rows = ws.warehouse.read(table)
    rows["image_accuracy"] = rows["image_accuracy"] / 2
    ws.warehouse.write(table, rows, ws.warehouse.inputs(table) or "")
    with pytest.raises(InputError, match="identification_follows_from_the_images"):
        drive(copied)
    assert hashlib.sha256(ws.database.read_bytes()).hexdigest() == database


def test_only_the_subject_whose_images_were_lost_is_made_again_and_is_the_same(copied: Path) -> None:
    ws = workspace_of(copied)
    lost = ws.warehouse.read("imitations/miniature-1/nils-oduya")
    for sha256 in lost["image_sha256"]:
        ws.images.path(sha256).unlink()
    made = {s: new for s, _, new in ImitationStage(ws).make("miniature-1", ["nils-oduya", "clara-oduya"])}
    assert made == {"nils-oduya": True, "clara-oduya": False}
    again = ws.warehouse.read("imitations/miniature-1/nils-oduya")
    assert again["image_sha256"].tolist() == lost["image_sha256"].tolist()


def test_a_planted_error_in_an_aggregate_is_found(copied: Path) -> None:
    ws = workspace_of(copied)
    table = "name_controls/miniature-1"
    rows = ws.warehouse.read(table)
    rows["identified"] = rows["identified"] + (rows.index == 0)
    ws.warehouse.write(table, rows, ws.warehouse.inputs(table) or "")
    assert ResultStage(ws).searched(IDENTIFICATION, "miniature-1")
    assert not ResultStage(ws).searched(MATCHING, "miniature-1")
    assert ResultStage(ws).searched(VERDICTS, "miniature-1")  # drawn from the same rows


def next_artists_label(rows: pd.DataFrame) -> pd.DataFrame:
    """Every label shifted by one, before it was compared: rows that do not contradict themselves."""
    names = sorted(rows["subject"].unique())
    following = dict(zip(names, names[1:] + names[:1], strict=True))
    predicted = rows["predicted_label"].map(lambda label: following.get(label, label))
    return rows.assign(predicted_label=predicted, correct=predicted == rows["subject"])


@pytest.mark.parametrize(
    ("table", "plant"),
    [
        ("identification_trials", next_artists_label),
        pytest.param(
            "identification_trials",
            lambda t: pd.concat([t, t[t["subject"] == "nils-oduya"]], ignore_index=True),
            marks=pytest.mark.long,
        ),
        pytest.param(
            "identification_trials",
            lambda t: t.assign(rank_of_subject=t["rank_of_subject"] + 4),
            marks=pytest.mark.long,
        ),
        ("matching_by_subject", lambda t: t.assign(p_value=t["p_value"].shift(1, fill_value=0.5))),
        pytest.param("matching_by_subject", lambda t: t.assign(auc=1 - t["auc"]), marks=pytest.mark.long),
        pytest.param("matching_summary", lambda t: t.assign(significant=t["significant"] + 1), marks=pytest.mark.long),
        ("verdicts", lambda t: t.assign(verdict="imitated")),
    ],
)
def test_a_planted_error_is_found_by_the_checks(
    copied: Path, table: str, plant: Callable[[pd.DataFrame], pd.DataFrame]
) -> None:
    ws = workspace_of(copied)
    where = f"{table}/miniature-1"
    ws.warehouse.write(where, plant(ws.warehouse.read(where)), ws.warehouse.inputs(where) or "")
    recipe = next(r for r in RECIPES if table in r.tables)
    assert ResultStage(ws).searched(recipe, "miniature-1")
    database = hashlib.sha256(ws.database.read_bytes()).hexdigest()
    ws.warehouse.write("model_trends", ws.warehouse.read("model_trends"), "made anew")  # so that it is out of date
    for publish in (PublicationStage(ws).publish, lambda: PublicationStage(ws).report("miniature-1")):
        with pytest.raises(InputError, match="not replaced"):
            publish()
    assert hashlib.sha256(ws.database.read_bytes()).hexdigest() == database


@pytest.mark.long
def test_a_changed_test_regenerates_nothing(copied: Path, tmp_path: Path) -> None:
    ws = workspace_of(copied)
    before = files_of(ws.warehouse.root / "images")
    protocol = tmp_path / "protocol.yaml"
    protocol.write_text("name: other\ntemplates: ['Artwork from {name}']\ntrials: 5\nseed: 5\n")
    copied.write_text(copied.read_text().replace("protocol: paper_2023_small", f"protocol: {protocol}"))
    drive(copied)
    assert files_of(ws.warehouse.root / "images") == before
    with duckdb.connect(str(ws.database), read_only=True) as connection:
        assert connection.execute("SELECT DISTINCT protocol FROM identification_trials").fetchall() == [("other",)]


@pytest.mark.long
def test_a_name_from_the_web_stays_data_everywhere(
    small_audit: Callable[..., Path], miniature: Path, tmp_path: Path
) -> None:
    """Markup, quotes, a path, a pipe, an emoji and CJK, as artists of an audit of their own."""
    names = [
        "<img src=x onerror=alert(1)>",
        "Robert'); DROP TABLE subjects;--",
        "../../etc/passwd Smith",
        "A|B {name} Painter",
        "葛飾 北斎",
        "🎨 Zoë “Q” Ó'Brien",
        "x" * 200,
    ]
    # A name that looks like several, or like one with a remark, is accepted if what it would be without the mark is an alias.
    aliases = {
        names[0]: "<img src=x onerror=alert >",
        names[1]: "Robert' DROP TABLE subjects --",
        names[3]: "A|B Painter",
    }
    rows = pd.DataFrame({"name": names, "aliases": [aliases.get(name, "") for name in names]})
    rows.to_csv(tmp_path / "artists.csv", index=False)
    references = tmp_path / "references"
    from audit_assets.roster.slugs import slug

    sources = sorted((miniature / "generated" / "references").iterdir())
    for name, source in zip(names, sources, strict=False):
        shutil.copytree(source, references / slug(name))
    protocol = tmp_path / "protocol.yaml"
    protocol.write_text("name: tiny\ntemplates: ['Artwork from {name}']\ntrials: 2\n")
    config = small_audit(
        tmp_path / "audit",
        protocol=str(protocol),
        captions=None,
        roster={"artists": str(tmp_path / "artists.csv"), "criteria": 7, "most_mentioned": 0},
        controls={"random_names": 2},
        references=str(references),
    )
    ws = drive(config)
    with duckdb.connect(str(ws.database), read_only=True) as connection:
        stored = {n for (n,) in connection.execute("SELECT name FROM subjects WHERE kind = 'artist'").fetchall()}
    assert stored == set(names)
    page = (ws.warehouse.root / "reports" / "miniature-1" / "report.html").read_text(encoding="utf-8")
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert not (tmp_path.parent / "etc").exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"references": "nowhere/"}, "references"),
        ({"captions": {"path": "nowhere/*.parquet"}}, "nowhere"),
        ({"roster": {"artists": "nowhere.csv"}}, "nowhere.csv"),
        (
            {"models": [{"name": "m", "source": "diffusers", "path": "/nowhere/model", "approved": True}]},
            "/nowhere/model",
        ),
        ({"protocol": "no_such_protocol"}, "no_such_protocol"),
    ],
)
def test_a_missing_input_stops_before_anything_is_made(
    small_audit: Callable[..., Path], tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    config = small_audit(tmp_path, **changes)
    with pytest.raises(InputError, match=said):
        drive(config)
    assert not (tmp_path / "warehouse").exists()


@pytest.mark.long
def test_the_same_audit_from_scratch_gives_the_same_rows(
    audited: Path, small_audit: Callable[..., Path], tmp_path: Path
) -> None:
    again = drive(small_audit(tmp_path, verdicts=True))
    first = workspace_of(audited)
    with duckdb.connect(str(first.database), read_only=True) as connection:
        tables = [t for (t,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
    for table in tables:
        frames: list[pd.DataFrame] = []
        for ws in (first, again):
            with duckdb.connect(str(ws.database), read_only=True) as connection:
                frame = connection.table(table).df()
                if "embedding" in frame:
                    frame["embedding"] = [v.tobytes() for v in vectors(frame["embedding"])]
                frames.append(frame)
        pd.testing.assert_frame_equal(frames[0], frames[1])


def test_a_comparison_before_any_version_has_all_of_its_results_compares_nothing(copied: Path) -> None:
    ws = workspace_of(copied)
    assert audited_versions(ws) == ["miniature-1"]
    (copied.parent / "warehouse" / "arm_results" / "miniature-1.parquet").unlink()
    assert audited_versions(ws) == []
    for table in ResultStage(ws).make(COMPARISON, "").values():
        assert table.empty


@pytest.mark.long
def test_pages_of_artists_that_were_made_while_a_result_changed_are_made_again_with_the_next_database(
    copied: Path,
) -> None:
    ws = workspace_of(copied)
    stage = PublicationStage(ws)
    before = stage.artist_pages()
    ws.warehouse.write("model_trends", ws.warehouse.read("model_trends"), "made anew")  # by another run
    assert stage.artist_pages().equals(before)  # there is no other database yet
    (ws.warehouse.root / "artist_pages.parquet").unlink()
    assert stage.artist_pages().equals(before)
    stage.publish()
    after = stage.artist_pages()
    assert after["file"].tolist() == before["file"].tolist()
    assert (after["sha256"] != before["sha256"]).all()  # each page names the database that it is made from
    assert stage.artist_pages().equals(after)


def test_a_name_that_no_scan_looked_for_is_not_taken_for_one_that_no_caption_has(audited: Path) -> None:
    ws = workspace_of(audited)
    scan = MentionScan(ws.audit, ws.warehouse)
    assert scan.total(["Nils Oduya"]) == {"Nils Oduya": 234}
    with pytest.raises(InputError, match="Nobody Scanned"):
        scan.total(["Nils Oduya", "Nobody Scanned"])


def test_a_subject_drawn_again_has_the_same_images_and_another_is_seen(copied: Path) -> None:
    ws = workspace_of(copied)
    replayed = ImitationStage(ws).replay("miniature-1")
    assert len(replayed) == ws.protocol.trials
    assert (replayed["image_sha256"] == replayed["replayed_sha256"]).all()
    subject = replayed["subject"].iloc[0]
    table, other = f"imitations/miniature-1/{subject}", "nils-oduya" if subject != "nils-oduya" else "clara-oduya"
    rows = ws.warehouse.read(table)
    swapped = ws.warehouse.read(f"imitations/miniature-1/{other}")["image_sha256"].to_numpy()
    ws.warehouse.write(table, rows.assign(image_sha256=swapped), ws.warehouse.inputs(table) or "")
    again = ImitationStage(ws).replay("miniature-1")
    assert (again["image_sha256"] != again["replayed_sha256"]).all()
