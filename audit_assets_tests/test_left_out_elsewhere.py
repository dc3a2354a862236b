"""One bad part stops itself alone too if the warehouse is in S3 and Dagster's event log in Postgres."""

import shutil
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path

import pandas as pd
import pytest
import yaml
from dagster import AssetKey, DagsterInstance
from typer.testing import CliRunner

from audit_assets.cli import LEFT_OUT, app
from audit_assets.warehouse.places import local_copy
from audit_assets.workspace import Workspace
from audit_assets_tests.postgres_server import postgres
from audit_assets_tests.s3_server import s3_server
from audit_assets_tests.test_left_out import GOOD, model_that_fails_at_the_first_image, models_left_out, query

pytestmark = pytest.mark.long(minutes=6)
ARTIST = "nils-oduya"
IMAGES = "SELECT * FROM imitations ORDER BY model_version, subject, template, trial"
SETTINGS = Path(__file__).parents[1] / "docker" / "dagster.yaml"


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A Dagster home with the settings of the service. The warehouse `s3://audits/team/` and the database exist for the test."""
    home, logs = tmp_path / "home", tmp_path / "logs"
    for folder in (home, logs):
        folder.mkdir()
    shutil.copy(SETTINGS, home / "dagster.yaml")
    with s3_server("audits") as (bucket, _), postgres() as database:
        own = {"DAGSTER_LOGS": str(logs), "AUDIT_DAGSTER_HOME": str(home)}
        for name, value in {**bucket, **database, **own}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        yield home


def test_a_model_and_an_artist_that_fail_are_left_out_and_made_once_they_are_repaired(
    elsewhere: Path, small_audit: Callable[..., Path], miniature: Path, tmp_path: Path
) -> None:
    models = yaml.safe_load((miniature / "small.yaml").read_text(encoding="utf-8"))["models"]
    quick = {**models[0]["settings"], "steps": 2}
    good = {**models[0], "path": str(miniature / models[0]["path"]), "approved": True, "settings": quick}
    broken = model_that_fails_at_the_first_image(tmp_path / "broken", miniature)
    references = Path(shutil.copytree(miniature / "generated" / "references", tmp_path / "references"))
    link = references / ARTIST / "link.png"
    link.symlink_to("/etc/hostname")
    config = small_audit(
        tmp_path / "audit",
        models=[{**deepcopy(good), "name": "broken", "path": str(broken)}, good],
        references=str(references),
        warehouse="s3://audits/team/",
    )

    shown = CliRunner().invoke(app, ["run", "--config", str(config)])
    assert shown.exit_code == LEFT_OUT, shown.output
    last = " ".join(shown.output.split("not audited:")[-1].split())
    assert "imitations of broken" in last
    assert f"artist {ARTIST}" in last
    ws = Workspace.open(config)
    assert set(models_left_out(ws)) == {"broken"}
    database = local_copy(ws.database)
    left = query(database, "SELECT part, model_version, subject FROM left_out ORDER BY part")
    assert left.fillna("").to_numpy().tolist() == [["artist", "", ARTIST], ["model version", "broken", ""]]
    drawn = query(database, IMAGES)
    assert set(drawn["model_version"]) == {GOOD}
    works = query(database, "SELECT DISTINCT subject FROM reference_works")["subject"]
    assert ARTIST not in set(works)
    assert len(works) > 1
    with DagsterInstance.from_config(str(elsewhere)) as instance:
        cells = instance.get_materialized_partitions(AssetKey("imitations"))
    assert {cell.split("|")[0] for cell in cells} == {GOOD}

    link.unlink()
    for file in ("text_encoder/model.safetensors", "text_encoder/config.json"):
        shutil.copy(miniature / "models" / GOOD / file, broken / file)
    shown = CliRunner().invoke(app, ["run", "--config", str(config)])
    assert shown.exit_code == 0, shown.output
    database = local_copy(Workspace.open(config).database)
    assert query(database, "SELECT * FROM left_out").empty
    again = query(database, IMAGES)
    pd.testing.assert_frame_equal(again[again["model_version"] == GOOD].reset_index(drop=True), drawn)
    assert set(again["model_version"]) == {GOOD, "broken"}
    assert ARTIST in set(query(database, "SELECT DISTINCT subject FROM reference_works")["subject"])
    assert not (config.parent / "warehouse").exists()
    assert not (config.parent / ".dagster").exists()
