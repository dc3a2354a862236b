"""Whole audits of other sources than one good pipeline: saved images, refused models, an encoder that comes later."""

import hashlib
import html
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pandas as pd
import pytest
import yaml
from dagster import AssetKey, DagsterInstance

from audit_assets.cli import LEFT_OUT
from audit_assets.config import load_audit
from audit_assets.definitions import defs
from audit_assets.errors import InputError
from audit_assets.evidence.verify import verify
from audit_assets.generation.stage import ImitationStage
from audit_assets.results.stage import ResultStage
from audit_assets.runs.driver import Driver, run_audit
from audit_assets.runs.remarks import deviations, unread
from audit_assets.runs.steps import Step
from audit_assets.workspace import Workspace
from audit_assets_tests.encoders import tiny_encoders


def drive(config: Path) -> Driver:
    @contextmanager
    def quietly(step: Step) -> Iterator[None]:
        yield

    return run_audit(config, quietly)


def workspace_of(config: Path) -> Workspace:
    return Workspace.open(config)


def query(ws: Workspace, sql: str) -> pd.DataFrame:
    with duckdb.connect(str(ws.database), read_only=True) as connection:
        return connection.execute(sql).df()


def checks_of(config: Path, asset: str) -> dict[str, bool]:
    """The last outcome of each check of an asset."""
    with DagsterInstance.from_config(str(load_audit(config).dagster_home)) as instance:
        found = {}
        for run in reversed(instance.get_runs()):
            for event in instance.all_logs(run.run_id):
                if event.dagster_event and event.dagster_event.event_type_value == "ASSET_CHECK_EVALUATION":
                    evaluation = event.dagster_event.asset_check_evaluation_data
                    if evaluation.asset_key == AssetKey(asset):
                        found[evaluation.check_name] = evaluation.passed
        return found


@pytest.fixture(scope="module")
def saved_images(audited: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a person saved of a closed model: 5, 3, 1 and 0 images per artist, one file cut short, no control names."""
    ws = workspace_of(audited)
    folder = tmp_path_factory.mktemp("saved")
    artists = ws.subjects().query("kind == 'artist'")["subject"].tolist()
    for subject, count in zip(artists, (5, 3, 1, 0, 5, 5), strict=False):
        for n, sha256 in enumerate(ws.warehouse.read(f"imitations/miniature-1/{subject}")["image_sha256"][:count]):
            (folder / subject).mkdir(exist_ok=True)
            shutil.copy(ws.images.path(sha256), folder / subject / f"{n}.png")
    cut = folder / artists[4] / "2.png"
    cut.write_bytes(cut.read_bytes()[:-200])
    shutil.copytree(folder / artists[0], folder / "Carl Nobody")
    shutil.copy(folder / artists[0] / "1.png", folder / artists[5] / "copy of another.png")
    shutil.copy(folder / artists[0] / "1.png", folder / artists[5] / "the same again.png")
    (folder / artists[5] / "notes.txt").write_text("x")
    (folder / artists[5] / "._0.png").write_bytes(b"\0\5\26\7")
    (folder / artists[5]).rename(folder / artists[5].replace("-", " ").upper())
    return folder


@pytest.fixture(scope="module")
def closed(
    saved_images: Path, small_audit: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Driver]:
    """The audit of those images, beside a model whose folder is not there."""
    models = [
        {"name": "gone", "source": "diffusers", "path": "/nowhere/model", "approved": True},
        {"name": "closed", "source": "image_folder", "path": str(saved_images), "approved": True},
    ]
    config = small_audit(tmp_path_factory.mktemp("closed"), models=models)
    return config, drive(config)


def artists_of(ws: Workspace) -> list[str]:
    return [str(s) for s in ws.subjects().query("kind == 'artist'")["subject"]]


@pytest.mark.long
def test_images_of_a_closed_model_go_through_the_same_tables(closed: tuple[Path, Driver]) -> None:
    ws = closed[1].ws
    artists = artists_of(ws)
    rows = query(ws, "SELECT * FROM imitations")
    supplied = rows[rows["status"] == "ok"].groupby("subject").size().to_dict()
    assert supplied == dict(zip([artists[n] for n in (0, 1, 2, 5)], (5, 3, 1, 6), strict=True))
    absent = rows[rows["status"] == "not_supplied"]
    assert absent[["image_sha256", "seed", "prompt", "width"]].isna().all(axis=None)
    assert set(rows["subject"]) == set(ws.subjects().query("kind != 'background'")["subject"])
    counted = query(
        ws,
        "SELECT subject, images FROM identification_by_subject WHERE label_set = 'criteria' AND encoder = 'miniature-clip'",
    )
    assert dict(zip(counted["subject"], counted["images"], strict=True)) == supplied
    matched = query(
        ws,
        "SELECT DISTINCT subject, images FROM matching_by_subject WHERE control = 'none' AND test = 'rank_sum_asymptotic'",
    )
    assert dict(zip(matched["subject"], matched["images"], strict=True)) == supplied
    judged = query(ws, "SELECT DISTINCT subject, images, verdict FROM verdicts WHERE kind = 'artist'")
    few = judged[judged["images"] < ws.protocol.trials]  # a verdict needs five
    assert set(few["verdict"]) == {"not auditable"}
    assert set(few["subject"]) == set(artists) - {s for s, n in supplied.items() if n >= 5}
    assert (ws.warehouse.root / "reports" / "closed" / "report.html").exists()


@pytest.mark.long
def test_what_was_not_read_is_said_by_the_run_the_database_and_the_report(closed: tuple[Path, Driver]) -> None:
    driver = closed[1]
    spelt = artists_of(driver.ws)[5].replace("-", " ").upper()
    expected = {"Carl Nobody", f"{spelt}/notes.txt", f"{spelt}/", f"{spelt}/the same again.png"}
    said = " ".join(unread(driver.ws, driver.models()))
    found = query(driver.ws, "SELECT place, file, why FROM unread_files")
    assert set(found.loc[found["place"] == "closed", "file"]) == expected
    assert all(f"not read: closed: {file}: " in said for file in expected)
    page = (driver.ws.warehouse.root / "reports" / "closed" / "report.html").read_text()
    assert "Files that were not read" in page
    assert "Carl Nobody" in page


@pytest.mark.long
def test_how_supplied_images_differ_is_said_by_the_run_the_database_and_the_report(
    closed: tuple[Path, Driver], audited: Path
) -> None:
    driver = closed[1]
    few, copied = artists_of(driver.ws)[1], artists_of(driver.ws)[5]
    expected = [
        f"{copied}: 7 images, 6 different; copies count once",
        f"{few}: 3 images, not 5; not auditable",
        "no control name was supplied",
        "images have no known seed",
    ]
    kept = query(driver.ws, "SELECT note FROM notes WHERE place = 'closed'")["note"].tolist()
    page = html.unescape((driver.ws.warehouse.root / "reports" / "closed" / "report.html").read_text())
    for sentence in expected:
        assert any(sentence in said for said in deviations(driver.ws, driver.models()))
        assert any(sentence in note for note in kept)
        assert sentence in page
    assert {f"closed: {note}" for note in kept} < set(
        deviations(driver.ws, driver.models())
    )  # which names the files that are not read too
    assert query(workspace_of(audited), "SELECT * FROM notes WHERE place = 'miniature-1'").empty


@pytest.mark.long
def test_every_supplied_image_is_published_with_its_file_and_every_made_one_with_its_plan(
    closed: tuple[Path, Driver], audited: Path
) -> None:
    ws, first = closed[1].ws, artists_of(closed[1].ws)[0]
    files = query(ws, "SELECT subject, file FROM supplied_images ORDER BY subject, trial")
    assert files.loc[files["subject"] == first, "file"].tolist() == [f"{first}/{n}.png" for n in range(5)]
    assert query(ws, "SELECT * FROM generation_plans").empty
    (plan,) = query(workspace_of(audited), "SELECT plan FROM generation_plans")["plan"]
    assert json.loads(plan).keys() == {"batch_size", "device", "dtype", "threads"}
    assert json.loads(plan)["dtype"] == "float32"
    assert query(workspace_of(audited), "SELECT * FROM supplied_images").empty


@pytest.mark.long
def test_the_images_are_the_ones_that_were_supplied(closed: tuple[Path, Driver], audited: Path) -> None:
    ws, first = closed[1].ws, artists_of(closed[1].ws)[0]
    saved = workspace_of(audited).warehouse.read(f"imitations/miniature-1/{first}")["image_sha256"]
    kept = ws.warehouse.read(f"imitations/closed/{first}")["image_sha256"]
    assert kept.tolist() == saved.tolist()  # both are stored as PNG of the pixels alone


@pytest.mark.long
def test_the_evidence_of_supplied_images_holds(closed: tuple[Path, Driver]) -> None:
    checks = list(verify(closed[1].ws, "closed", replay=2, sample=2))
    assert [line for check in checks for line in check.findings] == []


@pytest.mark.long
def test_a_model_that_is_refused_stops_neither_the_other_nor_its_artists(closed: tuple[Path, Driver]) -> None:
    config, driver = closed
    cut = artists_of(driver.ws)[4]
    gone, refused = driver.problems()
    assert "/nowhere/model" in gone
    assert f"{cut}/2.png: cannot be read as an image" in refused
    assert query(driver.ws, "SELECT DISTINCT model_version FROM identification_trials")["model_version"].tolist() == [
        "closed"
    ]
    versions = query(driver.ws, "SELECT model_version, files_sha256 FROM model_versions ORDER BY 1")
    assert versions["files_sha256"].isna().tolist() == [False, True]
    assert checks_of(config, "model_versions") == {"every_approved_model_can_be_audited": False}
    assert checks_of(config, "imitations") == {
        "every_image_is_there_with_its_seed": True,
        "no_image_is_blank": True,
        "every_subject_could_be_asked": False,
        "supplied_images_follow_the_protocol": False,
    }


@pytest.mark.long
def test_a_model_whose_only_fault_shows_when_it_is_loaded_stops_itself_alone(
    small_audit: Callable[..., Path], saved_images: Path, miniature: Path, tmp_path: Path
) -> None:
    """A scheduler that diffusers does not have is known only to diffusers."""
    models = [
        {
            "name": "odd",
            "source": "diffusers",
            "path": str(miniature / "models" / "miniature-1"),
            "approved": True,
            "settings": {"scheduler": "NoSuchScheduler"},
        },
        {"name": "closed", "source": "image_folder", "path": str(saved_images), "approved": True},
    ]
    driver = drive(small_audit(tmp_path, models=models))
    assert "NoSuchScheduler" in driver.refused["odd"]
    assert driver.models() == ["closed"]
    assert ResultStage(driver.ws).audited() == ["closed"]


@pytest.mark.long
def test_an_encoder_added_later_embeds_what_is_there_and_generates_nothing(copied: Path, tmp_path: Path) -> None:
    ws = workspace_of(copied)
    made = {p: p.stat().st_mtime_ns for d in ("imitations", "images") for p in (ws.warehouse.root / d).rglob("*.p*")}
    content = yaml.safe_load(copied.read_text())
    later = {"name": "later", "kind": "image", "path": str(tiny_encoders.save("dinov2", tmp_path / "dinov2"))}
    copied.write_text(yaml.safe_dump({**content, "encoders": [*content["encoders"], later]}))
    driver = drive(copied)
    assert {
        p: p.stat().st_mtime_ns for d in ("imitations", "images") for p in (ws.warehouse.root / d).rglob("*.p*")
    } == made
    embedded = query(driver.ws, "SELECT subject, trial FROM imitation_embeddings_later")
    assert len(embedded) == len(query(driver.ws, "SELECT subject FROM imitations WHERE status = 'ok'"))
    assert len(embedded) > 0
    assert "later" in query(driver.ws, "SELECT DISTINCT encoder FROM matching_by_subject")["encoder"].tolist()


def test_a_folder_of_images_takes_no_settings(small_audit: Callable[..., Path], tmp_path: Path) -> None:
    closed = {"name": "c", "source": "image_folder", "path": "x", "approved": True, "settings": {"steps": 3}}
    with pytest.raises(InputError, match="an image_folder takes no settings"):
        load_audit(small_audit(tmp_path, models=[closed]))


@pytest.mark.long
def test_every_file_of_a_model_is_published_with_its_hash(closed: tuple[Path, Driver], miniature: Path) -> None:
    files = query(closed[1].ws, "SELECT * FROM model_files")
    weights = miniature / "encoders" / "clip" / "model.safetensors"
    found = files[(files["name"] == "miniature-clip") & (files["file"] == "model.safetensors")]
    assert found["sha256"].tolist() == [hashlib.sha256(weights.read_bytes()).hexdigest()]
    assert found["bytes"].tolist() == [weights.stat().st_size]
    assert (
        len(files[files["name"] == "closed"]) == 26
    )  # the images, with the one that is cut short and those that nobody is asked for


def test_a_retired_model_version_keeps_its_images_and_meets_new_subjects_without_being_loaded(copied: Path) -> None:
    ws = workspace_of(copied)
    copied.write_text(copied.read_text().replace("approved: true", "approved: true\n  retired: true"))
    kept, lost = (f"imitations/miniature-1/{s}" for s in ("nils-oduya", "clara-oduya"))
    before = ws.warehouse.read(kept)
    ws.warehouse.path(lost).unlink()
    content = yaml.safe_load(copied.read_text())
    assert content["models"][0]["retired"] is True
    content["models"][0]["path"] = "/nowhere"
    copied.write_text(yaml.safe_dump(content))
    made = list(ImitationStage(workspace_of(copied)).make("miniature-1", ["nils-oduya", "clara-oduya"]))
    pd.testing.assert_frame_equal(made[0][1], before)
    assert set(made[1][1]["status"]) == {"not_supplied"}
    assert set(made[1][1]["problem"]) == {"the model version miniature-1 is retired"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda models: [{**models[0], "approved": False, "path": "/nowhere"}, *models[1:]], "is not approved"),
        pytest.param(lambda models: models[1:], "is not in the audit file any more", marks=pytest.mark.long),
    ],
)
def test_a_model_version_that_is_not_approved_or_gone_keeps_its_images_and_fails_no_run(
    copied: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[list[Any]], list[Any]], said: str
) -> None:
    """Its partition is never deleted, so conditions request its cells, its report and its manifest."""
    ws = workspace_of(copied)
    kept, lost = (f"imitations/miniature-1/{s}" for s in ("nils-oduya", "clara-oduya"))
    before = ws.warehouse.read(kept)
    ws.warehouse.path(lost).unlink()
    content = yaml.safe_load(copied.read_text())
    copied.write_text(yaml.safe_dump({**content, "models": change(content["models"])}))
    monkeypatch.setenv("AUDIT_CONFIG", str(copied))
    assets = ("imitations", "imitation_embeddings", "arm_images", "arm_embeddings", "replayed_imitations", "audit_report", "evidence_manifest")  # fmt: skip
    job = defs().get_repository_def().get_implicit_global_asset_job_def()
    with DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("subject", ["nils-oduya", "clara-oduya"])
        instance.add_dynamic_partitions("model_version", ["miniature-1"])
        told = {}
        for asset in assets:
            of_grid = asset in ("imitations", "imitation_embeddings")
            ends = {"start": "nils-oduya", "end": "clara-oduya"}
            tags = {f"dagster/asset_partition_range_{end}": f"miniature-1|{s}" for end, s in ends.items()}
            run = job.execute_in_process(
                instance=instance,
                asset_selection=[dg.AssetKey(asset)],
                tags=tags if of_grid else {},
                partition_key=None if of_grid else "miniature-1",
            )
            told[asset] = run.asset_materializations_for_node(asset)[-1].metadata
    ws = workspace_of(copied)
    pd.testing.assert_frame_equal(ws.warehouse.read(kept), before)
    assert set(ws.warehouse.read(lost)["problem"]) == {f"the model version miniature-1 {said}"}
    assert said in str(told["replayed_imitations"]["not_drawn"].value)
    assert said in str(told["arm_images"]["not_asked"].value)
    for asset in ("audit_report", "evidence_manifest"):
        assert said in str(told[asset]["not_made"].value)
    assert ws.left_out() == {}
    with pytest.raises(InputError, match="is not approved" if "approved" in said else "has no model 'miniature-1'"):
        ImitationStage(ws).maker("miniature-1")


@pytest.mark.long
def test_the_command_line_says_what_was_not_audited_and_fails(copied: Path) -> None:
    content = yaml.safe_load(copied.read_text())
    content["models"].append({"name": "gone", "source": "diffusers", "path": "/nowhere/model", "approved": True})
    copied.write_text(yaml.safe_dump(content))
    command = [sys.executable, "-m", "audit_assets.cli", "run", "--config", str(copied)]
    shown = subprocess.run(command, capture_output=True, text=True)
    assert shown.returncode == LEFT_OUT
    assert "These figures measure a capability" in shown.stdout
    first, _, last = shown.stdout.split("not audited:")
    for said in (shown.stdout.removeprefix(first)[:300], last):  # before anything starts, and again at the end
        assert "model 'gone': /nowhere/model: there is no such folder" in said
