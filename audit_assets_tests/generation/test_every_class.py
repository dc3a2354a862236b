"""Every text-to-image class of the installed diffusers that can be built tiny is registered, draws, and has statuses."""

from pathlib import Path

import pytest

from audit_assets.models.pipeline_size import own_size
from audit_assets.models.pipeline_source import pipeline_source
from audit_assets_tests.generation.every_class import Tried, on_page, sweep, table, try_class
from audit_assets_tests.generation.tiny_classes import CLASSES

DRAWN = "2 images, ok"


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
    found = try_class(name, tmp_path)
    assert (found.guidance, found.result) == (guidance, DRAWN)


def test_a_class_that_begins_with_an_image_is_refused_in_words(tmp_path: Path) -> None:
    found = try_class("StableDiffusionInpaintPipeline", tmp_path)
    assert "needs an image to begin with" in found.result


@pytest.fixture(scope="module")
def swept() -> dict[str, Tried]:
    return sweep()


@pytest.mark.long
def test_at_least_twenty_five_classes_draw(swept: dict[str, Tried]) -> None:
    drawn = [name for name, found in swept.items() if found.result == DRAWN]
    assert len(drawn) >= 25
    assert all(found.result.startswith(("2 images", "refused: ")) for found in swept.values())


@pytest.mark.long
def test_the_page_has_the_table_that_the_sweep_makes(swept: dict[str, Tried]) -> None:
    assert on_page() == table(swept)


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
