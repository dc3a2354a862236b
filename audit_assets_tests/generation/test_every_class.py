"""Every text-to-image class of the installed diffusers that can be built tiny is registered, draws, and comes to a verdict."""

from pathlib import Path

import duckdb
import pytest

from audit_assets.errors import InputError
from audit_assets.models.pipeline_size import own_size
from audit_assets.models.pipeline_source import pipeline_source
from audit_assets.workspace import Workspace
from audit_assets_tests.generation.every_class import (
    audit_all,
    came_of,
    on_page,
    save,
    statuses,
    table,
    without_settings,
)
from audit_assets_tests.generation.tiny_classes import CLASSES


@pytest.mark.parametrize(
    ("name", "guidance"),
    [
        ("StableDiffusionSAGPipeline", "7.5, as `guidance_scale`"),
        ("QwenImagePipeline", "4, as `true_cfg_scale`"),
        ("ZImagePipeline", "5, as `guidance_scale`"),
        ("Flux2KleinKVPipeline", "not sent"),
    ],
)
def test_a_class_without_a_row_draws_with_its_own_defaults(name: str, guidance: str, tmp_path: Path) -> None:
    assert statuses(name, tmp_path) == {"ok"}
    assert without_settings(tmp_path / "model")[1] == guidance


def test_a_class_that_begins_with_an_image_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="needs an image to begin with"):
        statuses("StableDiffusionInpaintPipeline", tmp_path)
    assert without_settings(save("StableDiffusionInpaintPipeline", tmp_path / "again")) == ("–", "–", "–")


@pytest.fixture(scope="module")
def audits(tmp_path_factory: pytest.TempPathFactory) -> list[Workspace]:
    return audit_all(tmp_path_factory.mktemp("classes"))


@pytest.mark.long(minutes=5)
def test_at_least_twenty_five_classes_come_to_a_verdict(audits: list[Workspace]) -> None:
    found = came_of(audits)
    assert set(found) == set(CLASSES)
    judged = {name for name, tried in found.items() if tried.result == "20 images, ok; not auditable"}
    assert len(judged) >= 25
    assert found["LuminaPipeline"].result == "20 images, blank; not auditable"
    refused = {name for name, tried in found.items() if tried.result.startswith("refused: ")}
    assert {"FluxControlPipeline", "StableDiffusionInpaintPipeline"} <= refused
    assert set(found) == judged | refused | {"LuminaPipeline"}


@pytest.mark.long
def test_every_answer_about_every_class_is_given_or_could_not_be_tested(audits: list[Workspace]) -> None:
    for ws in audits:
        check_answers(ws)


def check_answers(ws: Workspace) -> None:
    with duckdb.connect(str(ws.database), read_only=True) as connection:
        answers = connection.execute("SELECT * FROM answers WHERE kind = 'artist'").df()
        classes = dict(connection.execute("SELECT model_version, pipeline_class FROM model_versions").fetchall())
        left_out = {model for (model,) in connection.execute("SELECT model_version FROM left_out").fetchall()}
    reports = ws.warehouse.root / "reports"
    asked = {model.name for model in ws.audit.models} - left_out
    assert set(answers["model_version"]) == asked == {file.parent.name for file in reports.glob("*/report.html")}
    for model, own in answers.groupby("model_version"):
        assert set(own["question"]) == {"steers", "towards", "seen"}
        assert set(own["answer"]) == {"could not be tested"}  # three control names are too few
        assert own["settle"].str.len().min() > 0
        assert classes[model] in (reports / str(model) / "report.html").read_text(encoding="utf-8")


@pytest.mark.long
def test_the_page_has_the_table_that_the_audits_make(audits: list[Workspace]) -> None:
    assert on_page() == table(came_of(audits))


@pytest.mark.long
@pytest.mark.parametrize(
    "name", ["StableDiffusionPipeline", "StableDiffusionXLPipeline", "FluxPipeline", "Lumina2Pipeline"]
)
def test_the_size_that_is_worked_out_is_the_size_that_the_pipeline_draws_unasked(name: str) -> None:
    pipeline = CLASSES[name]()
    source = pipeline_source(name)
    assert source is not None
    denoiser = "unet" if "unet" in pipeline.components else "transformer"
    parts = {part: dict(pipeline.components[part].config) for part in (denoiser, "vae")}
    image = pipeline("a prompt", num_inference_steps=1).images[0]
    assert own_size(source, {}, parts) == image.size
