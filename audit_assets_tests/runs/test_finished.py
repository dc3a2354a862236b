"""A step that would make nothing new is not run again; whatever of it is missing, altered or unknown to Dagster makes it run."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import chain
from pathlib import Path

import pytest
import yaml
from dagster import AssetCheckEvaluation, AssetCheckSeverity, AssetKey, DagsterInstance

from audit_assets.config import load_audit
from audit_assets.defs.conditions import LATE
from audit_assets.generation.stage import ImitationStage
from audit_assets.roster.stage import RosterStage
from audit_assets.runs.driver import LOGGED_AGAIN, Driver, driver
from audit_assets.runs.steps import Step
from audit_assets.warehouse.left_out import MODEL, LeftOut, leave_out, take_back
from audit_assets_tests.drive import drive

CAPTIONS, ROSTER, REGISTRY, WORKS = "captions", "roster and subjects", "models and encoders", "real works"
IMITATIONS, CONTROL, EXPERIMENTS = "imitations of miniature-1", "positive control", "experiments on miniature-1"
COMPARISON, DATABASE, REPORT = "comparison of versions", "database", "report of miniature-1"


def first_to_run(d: Driver) -> str | None:
    """The first step that is not done."""
    return next((s.title for s in steps_of(d) if not d.is_done(s)), None)


def steps_of(d: Driver) -> Iterator[Step]:
    return chain(d.roster_steps(), d.registry_steps(), d.reference_steps(), d.audit_steps())


@contextmanager
def changed(file: Path, change: Callable[[bytes], bytes] | None) -> Iterator[None]:
    """Change a file's bytes inside the block; without `change`, it is away."""
    content = file.read_bytes()
    if change is None:
        file.unlink()
    else:
        file.write_bytes(change(content))
    yield
    file.write_bytes(content)


def in_words(before: str, after: str) -> Callable[[bytes], bytes]:
    def change(content: bytes) -> bytes:
        assert before.encode() in content
        return content.replace(before.encode(), after.encode())

    return change


def without_times(content: bytes) -> bytes:
    manifest = json.loads(content)
    assert manifest.pop("dated")
    return json.dumps(manifest).encode()


def without_a_time(content: bytes) -> bytes:
    manifest = json.loads(content)
    assert manifest["dated"]["measured"]
    return json.dumps({**manifest, "dated": {**manifest["dated"], "measured": None}}).encode()


def test_each_step_runs_again_if_something_of_it_is_missing_or_altered(copied: Path) -> None:
    with driver(copied) as d:
        warehouse, images = d.ws.warehouse, d.ws.images
        root = warehouse.root
        assert first_to_run(d) is None
        steps = {step.title: step for step in steps_of(d)}
        drawn = warehouse.values("imitations/miniature-1/nils-oduya", "image_sha256")[0]
        drawn_first = ImitationStage(d.ws).first_images("miniature-1")[0]
        work = warehouse.values("reference_works/nils-oduya", "image_sha256")[0]
        page = next((root / "reports" / "artists").glob("*.html"))
        for file, change, step in [
            (images.path(work), None, WORKS),
            (root / "reference_embeddings/miniature-clip/nils-oduya.parquet", None, WORKS),
            (images.path(drawn), None, IMITATIONS),
            (root / "imitation_embeddings/miniature-vision/miniature-1/nils-oduya.parquet", None, IMITATIONS),
            (root / "label_embeddings/miniature-clip.parquet", None, CONTROL),
            (root / "calibration.parquet", None, CONTROL),
            (root / "auditability.parquet", lambda b: b[:-20], CONTROL),
            (root / "image_texts/miniature-1.parquet", None, EXPERIMENTS),
            (root / "sigmoid_scores/miniature-1.parquet", None, EXPERIMENTS),
            (root / "rater_verdicts/miniature-1.parquet", None, EXPERIMENTS),
            (root / "verified/matching_by_subject/miniature-1.parquet", None, EXPERIMENTS),
            (root / "model_trends.parquet", None, COMPARISON),
            (root / "verified/model_comparison.parquet", None, COMPARISON),
            (root / "audit.duckdb", None, DATABASE),
            (root / "audit.duckdb", lambda b: b + b"\0", DATABASE),
            (root / "reports/miniature-1/report.html", in_words("<h1", "<h2"), REPORT),
            (page, None, REPORT),
            (page, in_words("Auditor", "Author"), REPORT),
            (root / "manifests/miniature-1.json", None, REPORT),
            (root / "manifests/miniature-1.json", without_a_time, REPORT),
            (root / "manifests/miniature-1.json", without_times, REPORT),
            (root / "manifests/miniature-1.json", lambda b: b"{", REPORT),
            (images.path(drawn_first), lambda b: b + b" ", EXPERIMENTS),
        ]:  # fmt: skip
            with changed(file, change):
                assert not d.is_done(steps[step]), file
        assert first_to_run(d) is None


@pytest.fixture
def own_inputs(copied: Path, miniature: Path, tmp_path: Path) -> Path:
    """The finished audit with captions, artists, works, model and encoders in the folder of the test, which may spoil them."""
    said = yaml.safe_load(copied.read_text(encoding="utf-8"))
    inputs = Path(shutil.copytree(miniature / "generated", tmp_path / "generated"))
    for entry in (*said["models"], *said["encoders"]):
        entry["path"] = str(shutil.copytree(entry["path"], tmp_path / entry["name"]))
    said["captions"]["path"] = str(inputs / "captions" / "*.parquet")
    said["roster"]["artists"] = str(inputs / "artists_small.csv")
    said["references"] = str(inputs / "references")
    copied.write_text(yaml.safe_dump(said, allow_unicode=True), encoding="utf-8")
    return copied


@pytest.mark.long
def test_whatever_people_wrote_anew_is_read_again(own_inputs: Path, tmp_path: Path) -> None:
    with driver(own_inputs) as d:
        assert first_to_run(d) is None
        steps = {step.title: step for step in steps_of(d)}
        root, inputs = d.ws.warehouse.root, tmp_path / "generated"
        shard = next(iter(RosterStage(d.audit, d.ws.warehouse).scan.shards))
        for file, change, step in [
            (root / f"captions/{shard}.parquet", None, CAPTIONS),
            (root / f"artist_mentions/{shard}.parquet", None, CAPTIONS),
            (root / f"mention_rows/{shard}.parquet", None, CAPTIONS),
            (root / f"mention_recounts/{shard}.parquet", None, CAPTIONS),
            (inputs / "captions" / shard, lambda b: b"PAR1", CAPTIONS),
            (inputs / "artists_small.csv", in_words("Nils Oduya", "Nils Oduja"), CAPTIONS),
            (root / f"more_mentions/{shard}.parquet", None, ROSTER),
            (root / "artist_mentions.parquet", None, ROSTER),
            (root / "caption_shards.parquet", None, ROSTER),
            (root / "artist_roster.parquet", None, ROSTER),
            (root / "roster_attrition.parquet", None, ROSTER),
            (root / "name_collisions.parquet", None, ROSTER),
            (root / "controls.parquet", None, ROSTER),
            (root / "subjects.parquet", None, ROSTER),
            (root / "subjects.parquet", lambda b: b[:-20], ROSTER),
            (root / "unread_works.parquet", None, ROSTER),
            (root / "notes/real_works.parquet", None, ROSTER),
            (root / "notes/artists_and_captions.parquet", None, ROSTER),
            (root / "mined_names.parquet", None, ROSTER),
            (root / "mined_names.csv", lambda b: b + b"x", ROSTER),
            (root / "model_versions.parquet", None, REGISTRY),
            (root / "model_files.parquet", None, REGISTRY),
            (root / "encoders.parquet", None, REGISTRY),
            (root / "encoder_files.parquet", None, REGISTRY),
            (tmp_path / "miniature-1" / "model_index.json", lambda b: b + b" ", REGISTRY),
            (tmp_path / "miniature-vision" / "config.json", None, REGISTRY),
        ]:  # fmt: skip
            with changed(file, change):
                assert not d.is_done(steps[step]), file
        assert first_to_run(d) is None
        for table, column, value in [
            (f"captions/{shard}", "problem", "a score is out of range"),
            (f"mention_recounts/{shard}", "differences", ["row 1: Nils Oduya"]),
        ]:
            rows, made_from = d.ws.warehouse.read(table), d.ws.warehouse.inputs(table) or ""
            wrong = rows.copy()
            wrong[column] = [value]
            d.ws.warehouse.write(table, wrong, made_from)
            assert first_to_run(d) == CAPTIONS
            d.ws.warehouse.write(table, rows, made_from)
        again = inputs / "captions" / "zz-another.parquet"
        shutil.copy(inputs / "captions" / shard, again)
        assert first_to_run(d) == CAPTIONS
        again.unlink()
        stray = inputs / "references" / "notes.txt"
        stray.write_text("", encoding="utf-8")
        assert first_to_run(d) == ROSTER
        stray.unlink()
        leave_out(
            d.ws.warehouse, "models", [LeftOut(MODEL, "a reason", "registration", model_version="x")], d.audit.base
        )
        assert first_to_run(d) == REGISTRY
        take_back(d.ws.warehouse, "models")
        for partition, key, step in [
            ("subject", "nils-oduya", ROSTER),
            ("referenced_subject", "nils-oduya", ROSTER),
            ("model_version", "miniature-1", REGISTRY),
        ]:
            d.instance.delete_dynamic_partition(partition, key)
            assert first_to_run(d) == step
            d.instance.add_dynamic_partitions(partition, [key])
        assert first_to_run(d) is None


@pytest.mark.long
def test_a_result_that_is_another_or_recorded_as_wrong_runs_its_step_again(copied: Path) -> None:
    with driver(copied) as d:
        warehouse = d.ws.warehouse
        table = "identification_summary/miniature-1"
        rows, inputs = warehouse.read(table), warehouse.inputs(table) or ""
        warehouse.write(table, rows.assign(image_accuracy=rows["image_accuracy"] / 2), inputs)
        assert first_to_run(d) == EXPERIMENTS
        warehouse.write(table, rows, inputs)
        assert first_to_run(d) is None
        where = "results/miniature-1/verdicts"
        leave_out(warehouse, where, [LeftOut(MODEL, "a reason", "results", model_version="miniature-1")], d.audit.base)
        assert first_to_run(d) == EXPERIMENTS
        take_back(warehouse, where)
        assert first_to_run(d) is None


def test_labels_that_are_no_unit_vectors_are_embedded_again(copied: Path) -> None:
    with driver(copied) as d:
        table = "label_embeddings/miniature-clip"
        rows, inputs = d.ws.warehouse.read(table), d.ws.warehouse.inputs(table) or ""
        d.ws.warehouse.write(table, rows.assign(embedding=[2 * e for e in rows["embedding"]]), inputs)
        assert first_to_run(d) == CONTROL


@pytest.mark.long
def test_the_database_says_again_what_happened_if_a_step_of_a_version_ran(copied: Path) -> None:
    with driver(copied) as d:
        marker = d.ws.warehouse.path("verified/verdicts/miniature-1")
        marker.unlink()
        d.run(next(s for s in d.audit_steps() if s.title == EXPERIMENTS))
        assert marker.exists()
        assert first_to_run(d) == DATABASE


@pytest.mark.long
def test_a_warning_of_the_roster_is_repeated_by_the_run_and_an_error_runs_the_step_again(copied: Path) -> None:
    with driver(copied) as d:
        for severity, step in ((AssetCheckSeverity.ERROR, ROSTER), (AssetCheckSeverity.WARN, None)):
            for asset, check in (("subjects", "controls_are_present"), ("artist_roster", "no_shard_is_missing")):
                found = AssetCheckEvaluation(AssetKey(asset), check, False, {}, severity=severity)
                d.instance.report_runless_asset_event(found)
            assert first_to_run(d) == step
        checked = AssetCheckEvaluation(AssetKey("encoders"), "every_encoder_can_embed", False, {}, severity=severity)
        d.instance.report_runless_asset_event(checked)
        assert first_to_run(d) == REGISTRY


@pytest.mark.long
def test_what_dagster_does_not_know_or_knows_as_failed_is_run_again(copied: Path) -> None:
    with driver(copied) as d:
        for passed, step in ((False, DATABASE), (True, None)):
            found = AssetCheckEvaluation(
                AssetKey("audit_database"), "no_partition_failed", passed, {}, severity=AssetCheckSeverity.WARN
            )
            d.instance.report_runless_asset_event(found)
            assert first_to_run(d) == step
        lost = next(s for s in d.audit_steps() if s.title == EXPERIMENTS)
        failing = d.ws.warehouse.path("rater_verdicts/miniature-1")
        content = failing.read_bytes()
        failing.unlink()
        failing.mkdir()
        with pytest.raises(Exception, match="rater_verdicts"):
            d.run(lost)
        failing.rmdir()
        failing.write_bytes(content)
        take_back(d.ws.warehouse, "results/miniature-1/ratings")
        assert first_to_run(d) == EXPERIMENTS  # its last run failed, although every table is there
        d.run(lost)
        d.worked = False
        assert first_to_run(d) is None
        for asset, step in [("sensitivity", EXPERIMENTS), ("model_comparison", COMPARISON), ("audit_report", REPORT)]:
            d.instance.wipe_assets([AssetKey(asset)])
            assert first_to_run(d) == step
            d.run(next(s for s in d.audit_steps() if s.title == step))
            d.worked = False
            assert first_to_run(d) is None


@pytest.mark.long
def test_another_auditor_is_on_the_pages_after_the_next_run(copied: Path) -> None:
    said = yaml.safe_load(copied.read_text(encoding="utf-8"))
    copied.write_text(yaml.safe_dump({**said, "auditor": "Somebody Else"}), encoding="utf-8")
    with driver(copied) as d:
        assert first_to_run(d) == REPORT
    report = drive(copied).warehouse.root / "reports" / "miniature-1" / "report.html"
    assert "Somebody Else" in report.read_text(encoding="utf-8")
    with driver(copied) as d:
        assert first_to_run(d) is None


@pytest.mark.long
def test_after_a_week_the_log_says_again_that_somebody_looked(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with driver(copied) as d:
        assert first_to_run(d) is None
        monkeypatch.setattr("audit_assets.runs.driver.LOGGED_AGAIN", timedelta(0))
        assert first_to_run(d) == ROSTER
    assert LOGGED_AGAIN < LATE


def test_a_second_run_starts_no_run_of_dagster(copied: Path) -> None:
    def runs() -> int:
        with DagsterInstance.from_config(str(load_audit(copied).dagster_home)) as instance:
            return instance.get_runs_count()

    before = runs()
    drive(copied)
    assert runs() == before
