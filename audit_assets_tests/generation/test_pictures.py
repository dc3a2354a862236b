"""Models that are given a picture beside the prompt: which take one, and what they draw from it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from audit_assets.config import ApiEntry
from audit_assets.generation.imitate import Upload
from audit_assets.models.pipelines import ResolvedModel, resolve_diffusers
from audit_assets.models.takes_pictures import picture_class, takes_no_pictures

SETTINGS = {"steps": 8, "guidance": 3.0, "size": 32}
WORK = Image.fromarray(np.kron(np.array([[0, 200], [90, 255]], np.uint8), np.ones((24, 32), np.uint8))).convert("RGB")


@pytest.mark.parametrize(
    ("pipeline", "taking"),
    [
        ("StableDiffusionPipeline", "StableDiffusionImg2ImgPipeline"),
        ("FluxPipeline", "FluxImg2ImgPipeline"),
        ("FluxKontextPipeline", "FluxKontextPipeline"),
        ("HunyuanDiTPipeline", None),
        ("NoPipelineAtAll", None),
    ],
)
def test_the_class_that_takes_pictures_is_found_without_torch(pipeline: str, taking: str | None) -> None:
    assert picture_class(pipeline) == taking


def resolved(source: str, pipeline: str | None = None, api: ApiEntry | None = None) -> ResolvedModel:
    return ResolvedModel("m", source, Path(), pipeline, None, "", (), {}, api=api)


def test_a_model_that_takes_no_pictures_says_so_and_what_would_settle_it() -> None:
    assert "no image-to-image class for HunyuanDiTPipeline;" in takes_no_pictures(
        resolved("diffusers", "HunyuanDiTPipeline")
    )
    assert "set `api.edits`" in takes_no_pictures(resolved("api", api=ApiEntry()))
    assert takes_no_pictures(resolved("api", api=ApiEntry(edits=True))) == ""
    assert takes_no_pictures(resolved("diffusers", "StableDiffusionPipeline")) == ""
    assert "do not say which work" in takes_no_pictures(resolved("image_folder"))


def distance(one: Image.Image, other: Image.Image) -> float:
    return float(np.abs(np.asarray(one, float) - np.asarray(other, float)).mean())


def test_the_weaker_the_strength_the_nearer_to_the_given_work(miniature: Path) -> None:
    from audit_assets.generation.diffusers_source import DiffusersSource

    source = DiffusersSource(resolve_diffusers("m", str(miniature / "models" / "miniature-1"), None, SETTINGS))
    (alone,) = source.generate(["Artwork"], [1], batch_size=1)
    near, far = (
        next(source.generate(["Artwork"], [1], batch_size=1, upload=Upload(WORK, strength))) for strength in (0.3, 0.9)
    )
    given = WORK.resize((32, 32))
    assert near.size == far.size == (32, 32)  # the work is cut to the size that the model draws
    assert distance(near, given) < distance(far, given) < distance(alone, given)
    (again,) = source.generate(["Artwork"], [1], batch_size=1)
    assert distance(alone, again) == 0  # the pipeline for pictures leaves the other as it was
