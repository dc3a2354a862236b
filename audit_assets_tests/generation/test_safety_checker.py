"""A safety checker of diffusers, built from a configuration, that replaces every image, no image, or some."""

import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from diffusers import StableDiffusionPipeline
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from PIL import Image
from transformers import CLIPConfig, CLIPImageProcessorPil

from audit_assets.config import Protocol
from audit_assets.errors import InputError
from audit_assets.generation.makers import AskedModel
from audit_assets.models.pipelines import resolve_diffusers
from audit_assets.warehouse.images import ImageStore, status_of
from audit_assets_tests.generation import tiny_pipelines
from audit_assets_tests.models.one_file_layout import save_one_file, without_weights

PROTOCOL = Protocol(name="one", templates=("art by {name}",), trials=4)


def save(folder: Path, threshold: float) -> Path:
    """A pipeline whose checker replaces the images that lie nearer to its concepts than `threshold`, a cosine."""
    small = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1}
    config = CLIPConfig(
        text_config=small, vision_config={**small, "image_size": 32, "patch_size": 8}, projection_dim=16
    )
    with torch.random.fork_rng():
        torch.manual_seed(1)
        checker = StableDiffusionSafetyChecker(config)
        checker.concept_embeds_weights.data.fill_(threshold)
        checker.special_care_embeds_weights.data.fill_(2.0)
        own = tiny_pipelines.stable_diffusion()
        parts = {n: own.components[n] for n in ("vae", "text_encoder", "tokenizer", "unet", "scheduler")}
        extractor = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
        pipeline = StableDiffusionPipeline(**parts, safety_checker=checker, feature_extractor=extractor)
    pipeline.save_pretrained(folder)
    return folder


def drawn(folder: Path, root: Path, **settings: Any) -> pd.DataFrame:
    resolved = resolve_diffusers("tiny", str(folder), None, {"size": 32, "steps": 1, **settings})
    with AskedModel(resolved, PROTOCOL, ImageStore(root), 4) as maker:
        return maker.make("ada", "Ada")


def test_what_the_checker_replaced_is_blocked_and_not_blank(tmp_path: Path) -> None:
    everything = drawn(save(tmp_path / "model", -2.0), tmp_path / "images")
    assert everything["status"].tolist() == ["blocked"] * 4
    assert len(set(everything["image_sha256"])) == 1


def test_what_the_checker_lets_through_is_ok(tmp_path: Path) -> None:
    assert drawn(save(tmp_path / "model", 2.0), tmp_path / "images")["status"].tolist() == ["ok"] * 4


def test_a_setting_leaves_the_checker_out_and_is_recorded(tmp_path: Path) -> None:
    folder = save(tmp_path / "model", -2.0)
    assert drawn(folder, tmp_path / "images", safety_checker=False)["status"].tolist() == ["ok"] * 4
    recorded = resolve_diffusers("tiny", str(folder), None, {"safety_checker": False}).recorded
    assert (recorded["safety_checker"], recorded["origins"]["safety_checker"]) == (False, "audit.yaml")
    assert resolve_diffusers("tiny", str(folder), None, {}).recorded["safety_checker"] is True


def test_a_model_without_a_checker_says_so(tmp_path: Path) -> None:
    folder = tiny_pipelines.save("stable_diffusion", tmp_path)
    with pytest.raises(InputError, match=r"settings\.safety_checker: the model has no safety checker"):
        resolve_diffusers("tiny", str(folder), None, {"safety_checker": True})
    found = resolve_diffusers("tiny", str(folder), None, {"safety_checker": False})
    assert found.recorded["safety_checker"] is None
    assert "has no safety checker" in found.not_sent["safety_checker"]


def in_one_file(folder: Path, root: Path, config: Path, **settings: Any) -> list[str]:
    file = save_one_file(folder, root / "one.safetensors")
    resolved = resolve_diffusers("tiny", str(file), None, {"size": 32, "steps": 1, **settings}, config=str(config))
    with AskedModel(resolved, PROTOCOL, ImageStore(root / "images"), 4) as maker:
        return [str(resolved.recorded["safety_checker"]), *maker.make("ada", "Ada")["status"]]


def test_a_model_in_one_file_has_the_checker_of_its_configuration_or_says_that_it_has_none(tmp_path: Path) -> None:
    folder = save(tmp_path / "model", -2.0)
    assert in_one_file(folder, tmp_path, folder) == ["True", *["blocked"] * 4]
    assert in_one_file(folder, tmp_path, folder, safety_checker=False) == ["False", *["ok"] * 4]
    bare = without_weights(shutil.copytree(folder, tmp_path / "bare"))
    assert in_one_file(folder, tmp_path, bare) == ["None", *["ok"] * 4]
    assert in_one_file(folder, tmp_path, bare, safety_checker=False) == ["None", *["ok"] * 4]
    with pytest.raises(InputError, match=r"settings\.safety_checker: the model has no safety checker"):
        in_one_file(folder, tmp_path, bare, safety_checker=True)


def test_a_black_image_that_no_checker_owns_up_to_is_blank() -> None:
    assert status_of(Image.new("RGB", (8, 8))) == "blank"
    assert status_of(Image.linear_gradient("L")) == "ok"
