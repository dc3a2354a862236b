"""One audit of every family of pipelines, an adapter and a folder of images, by four encoders, end to end."""

import shutil
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest
import yaml
from PIL import Image

from audit_assets.runs.driver import Driver
from audit_assets_tests.defs.test_any_model_any_encoder import drive
from audit_assets_tests.encoders import tiny_encoders
from audit_assets_tests.generation import tiny_lora, tiny_pipelines

NAMES = ["Nils Oduya", "Clara Oduya", "Ada Brand"]
SETTINGS = {"size": 64, "steps": 2}
TRIALS = 5
ENCODERS = ("clip", "siglip", "siglip2", "dinov2")
"""`encoders/test_every_encoder.py` has the others."""


def write_audit(folder: Path, miniature: Path) -> Path:
    """Three artists with real works and two control names; what draws and what looks has random weights."""
    (folder / "artists.csv").write_text("name\n" + "\n".join(NAMES) + "\n")
    works = sorted((miniature / "generated" / "references").iterdir())
    for name, source in zip(NAMES, works, strict=False):
        shutil.copytree(source, folder / "references" / name)
        shutil.copytree(source, folder / "closed" / name)
    (folder / "protocol.yaml").write_text(f"name: tiny\ntemplates: ['art by {{name}}']\ntrials: {TRIALS}\n")
    models: list[dict[str, Any]] = [
        {"name": family.replace("_", "-"), "source": "diffusers", "approved": True, "settings": dict(SETTINGS)}
        | {"path": str(tiny_pipelines.save(family, folder / "models" / family))}
        for family in tiny_pipelines.FAMILIES
    ]
    adapter = tiny_lora.save(folder / "models" / "stable_diffusion", folder / "models" / "adapter")
    models.append(
        {**models[0], "settings": dict(SETTINGS), "name": "fine-tuned", "lora": [{"path": str(adapter), "weight": 0.8}]}
    )
    models.append({"name": "closed", "source": "image_folder", "path": "closed", "approved": True})
    encoders = [
        {"name": kind.replace("_", "-"), "kind": tiny_encoders.KINDS[kind]}
        | {"path": str(tiny_encoders.save(kind, folder / "encoders" / kind))}
        for kind in ENCODERS
    ]
    content = {
        "protocol": "protocol.yaml",
        "roster": {"artists": "artists.csv", "criteria": 3, "most_mentioned": 0},
        "controls": {"random_names": 2},
        "models": models,
        "encoders": encoders,
    }
    (folder / "audit.yaml").write_text(yaml.safe_dump(content))
    return folder / "audit.yaml"


@pytest.fixture(scope="module")
def driver(miniature: Path, tmp_path_factory: pytest.TempPathFactory) -> Driver:
    return drive(write_audit(tmp_path_factory.mktemp("families"), miniature))


def query(driver: Driver, sql: str) -> pd.DataFrame:
    with duckdb.connect(str(driver.ws.database), read_only=True) as connection:
        return connection.execute(sql).df()


@pytest.mark.long
def test_every_family_is_audited_by_every_encoder(driver: Driver) -> None:
    models, encoders = driver.models(), driver.audit.encoders
    assert driver.problems() == []
    assert len(models) == 8
    assert (
        len(query(driver, "SELECT DISTINCT pipeline_class FROM model_versions")) == 6
    )  # SD 1 and 2 share one; NULL is one
    counts = query(driver, "SELECT model_version, status, count(*) AS n FROM imitations GROUP BY ALL")
    drawn = counts[counts["model_version"] != "closed"]
    assert drawn["n"].sum() == 7 * len(driver.ws.prompted()) * TRIALS
    assert set(drawn["status"]) == {"ok"}
    # The closed model's images are the artists' own works: near copies, which count in no experiment.
    copies = query(driver, "SELECT DISTINCT model_version, is_copy FROM image_copies").set_index("model_version")
    assert copies.index[copies["is_copy"]].tolist() == ["closed"]
    matched = query(driver, "SELECT DISTINCT model_version, encoder FROM matching_by_subject")
    assert len(matched) == (len(models) - 1) * len(encoders)
    identified = query(driver, "SELECT DISTINCT model_version, encoder FROM identification_by_subject")
    assert len(identified) == (len(models) - 1) * sum(kind in tiny_encoders.TEXT for kind in ENCODERS)
    answers = query(driver, "SELECT DISTINCT answer FROM answers WHERE model_version = 'closed' AND encoder = 'clip'")
    assert answers["answer"].tolist() == ["could not be tested"]
    for model in models:
        assert (driver.ws.warehouse.root / "reports" / model / "report.html").stat().st_size > 10_000


@pytest.mark.long
def test_what_was_asked_is_what_the_table_of_families_says(driver: Driver) -> None:
    rows = query(
        driver, "SELECT model_version, generation_settings->>'guidance' AS guidance FROM model_versions"
    ).set_index("model_version")["guidance"]
    assert float(rows["stable-diffusion"]) == 7.5
    assert float(rows["stable-diffusion-xl"]) == 5.0
    assert float(rows["flux"]) == 3.5
    (lora,) = query(
        driver,
        "SELECT generation_settings->'lora'->0->>'weight' AS w FROM model_versions WHERE model_version = 'fine-tuned'",
    )["w"]
    assert float(lora) == 0.8


@pytest.mark.long
def test_only_encoders_trained_with_a_sigmoid_have_sigmoid_scores(driver: Driver) -> None:
    scores = query(
        driver, "SELECT encoder, count(*) AS n, min(score) AS low, max(score) AS high FROM sigmoid_scores GROUP BY 1"
    )
    assert set(scores["encoder"]) == {"siglip", "siglip2"}
    assert scores["low"].min() > 0
    assert scores["high"].max() < 1


@pytest.mark.long
def test_two_models_draw_different_images_of_one_name(driver: Driver) -> None:
    hashes = query(driver, "SELECT image_sha256 FROM imitations WHERE status = 'ok' AND model_version <> 'closed'")
    assert hashes["image_sha256"].is_unique
    (first,) = query(driver, "SELECT min(image_sha256) AS s FROM imitations WHERE model_version = 'flux'")["s"]
    assert isinstance(driver.ws.images.get(first), Image.Image)
