"""Stable Diffusion XL, Stable Diffusion 3 and FLUX in one file, in the layout of the code that trained them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from audit_assets.errors import InputError
from audit_assets_tests.generation import tiny_pipelines as tiny
from audit_assets_tests.models.one_file_layout import original, original_flux, original_sd3, without_weights
from audit_assets_tests.models.test_checkpoints import draw, resolved


def saved(pipeline: Any, folder: Path) -> Path:
    pipeline.save_pretrained(folder)
    return folder


@pytest.fixture
def xl(tmp_path: Path) -> Path:
    """The two text encoders have two widths, as the real ones, by which diffusers tells them apart."""
    torch.manual_seed(1)
    parts = tiny.stable_diffusion_xl().components
    parts["text_encoder_2"] = tiny._clip(projection=True, hidden_act="gelu", width=2 * tiny.WIDTH)
    parts["unet"] = tiny._unet(
        cross_attention_dim=3 * tiny.WIDTH, addition_embed_type="text_time", addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + 2 * tiny.WIDTH, use_linear_projection=True,
    )  # fmt: skip
    return saved(tiny.StableDiffusionXLPipeline(**parts), tmp_path / "xl")


@pytest.fixture
def sd3(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    parts = tiny.stable_diffusion_3().components
    parts["text_encoder_2"] = tiny._clip(projection=True, hidden_act="gelu", width=2 * tiny.WIDTH)
    with torch.no_grad():
        parts["text_encoder"].text_projection.weight.copy_(torch.eye(tiny.WIDTH))  # as that of Stable Diffusion 3
    parts["transformer"] = tiny.SD3Transformer2DModel(
        sample_size=32, patch_size=1, in_channels=4, num_layers=2, attention_head_dim=8, num_attention_heads=4,
        caption_projection_dim=32, joint_attention_dim=4 * tiny.WIDTH, pooled_projection_dim=3 * tiny.WIDTH, out_channels=4,
    )  # fmt: skip
    parts["text_encoder_3"] = tiny.T5EncoderModel(
        tiny.T5Config(
            vocab_size=len(tiny.t5_tokenizer()), d_model=4 * tiny.WIDTH, d_kv=8, d_ff=32, num_layers=1, num_heads=2
        )
    )
    return saved(tiny.StableDiffusion3Pipeline(**parts), tmp_path / "sd3")


def test_stable_diffusion_xl_in_one_file_draws_what_its_folder_draws(xl: Path, tmp_path: Path) -> None:
    whole = draw(resolved(xl))
    file = tmp_path / "xl.safetensors"
    save_file({**original(xl), "model_ema.decay": torch.ones(1)}, file)
    model = resolved(file, config=str(without_weights(xl)))
    assert model.in_file == ("text_encoder", "text_encoder_2", "unet", "vae")
    assert model.settings["one_file"]["not_used"] == {"model_ema": 1}
    assert np.array_equal(draw(model), whole)


def test_stable_diffusion_3_in_one_file_draws_what_its_folder_draws(sd3: Path, tmp_path: Path) -> None:
    whole = draw(resolved(sd3))
    tensors = original_sd3(sd3)
    file = tmp_path / "sd3_medium_incl_clips_t5xxl.safetensors"
    save_file(tensors, file)
    model = resolved(file, config=str(without_weights(sd3)))
    assert model.in_file == ("text_encoder", "text_encoder_2", "text_encoder_3", "transformer", "vae")
    assert np.array_equal(draw(model), whole)
    shared = "text_encoders.t5xxl.transformer.shared.weight"
    again = {shared.replace("shared", "encoder.embed_tokens"): tensors[shared].clone()}
    save_file({**tensors, **again}, file)  # as the published files have it
    assert np.array_equal(draw(resolved(file, config=str(sd3))), whole)


def test_a_projection_that_diffusers_would_replace_is_refused(sd3: Path, tmp_path: Path) -> None:
    tensors = original_sd3(sd3)
    name = "text_encoders.clip_l.transformer.text_projection.weight"
    save_file({**tensors, name: 2 * tensors[name]}, tmp_path / "sd3.safetensors")
    with pytest.raises(InputError, match=rf"diffusers does not use {name}"):
        draw(resolved(tmp_path / "sd3.safetensors", config=str(sd3)))


def test_a_configuration_that_leaves_out_a_part_of_the_file_is_refused(xl: Path, tmp_path: Path) -> None:
    """diffusers renames the tensors that the configuration describes, and is silent on the others."""
    tensors = original(xl)
    further = {
        "model.diffusion_model.input_blocks.1.0.further.weight": ("unet", "weights"),
        "first_stage_model.encoder.mid.block_3.conv1.weight": ("vae", "weights"),
        "conditioner.embedders.0.transformer.text_model.encoder.layers.2.layer_norm1.weight": (
            "text_encoder",
            "layers",
        ),
        "conditioner.embedders.1.model.transformer.resblocks.2.ln_1.weight": ("text_encoder_2", "layers"),
    }
    for name, (component, what) in further.items():
        save_file({**tensors, name: torch.ones(8)}, tmp_path / "more.safetensors")
        with pytest.raises(InputError, match=rf"more\.safetensors: has \d+ {what} of the {component}, and"):
            draw(resolved(tmp_path / "more.safetensors", config=str(xl)))


def test_a_file_that_was_trained_with_a_last_step_of_noise_needs_such_a_scheduler(xl: Path, tmp_path: Path) -> None:
    save_file({**original(xl), "ztsnr": torch.zeros(0)}, tmp_path / "z.safetensors")
    with pytest.raises(InputError, match=r"rescale_betas_zero_snr: is not true, and z\.safetensors is marked"):
        resolved(tmp_path / "z.safetensors", config=str(xl))


@pytest.mark.long
def test_flux_in_one_file_draws_what_its_folder_draws(tmp_path: Path) -> None:
    """diffusers reads FLUX's own layout at its real width alone: one block of each kind has 480 million weights."""
    torch.manual_seed(1)
    parts = tiny.flux().components
    with torch.device("meta"):
        transformer = tiny.FluxTransformer2DModel(
            patch_size=1, in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=128, num_attention_heads=24,
            joint_attention_dim=tiny.WIDTH, pooled_projection_dim=tiny.WIDTH, axes_dims_rope=(16, 56, 56), guidance_embeds=True,
        )  # fmt: skip
    transformer = transformer.to(torch.bfloat16).to_empty(device="cpu")
    for parameter in transformer.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    folder = saved(tiny.FluxPipeline(**{**parts, "transformer": transformer}), tmp_path / "flux")
    whole = draw(resolved(folder, dtype="bfloat16"))
    file = tmp_path / "flux1-dev.safetensors"
    save_file(original_flux(folder), file)
    model = resolved(file, config=str(folder), dtype="bfloat16")
    assert model.in_file == ("transformer",)
    (weights,) = (folder / "transformer").glob("*.safetensors")
    save_file({"x": torch.zeros(1)}, weights)
    assert np.array_equal(draw(model), whole)


def test_a_flux_of_another_width_in_its_own_layout_is_refused(tmp_path: Path) -> None:
    folder = tiny.save("flux", tmp_path / "flux")
    save_file(original_flux(folder), tmp_path / "flux1.safetensors")
    with pytest.raises(InputError, match="FluxPipeline cannot be loaded"):
        draw(resolved(tmp_path / "flux1.safetensors", config=str(folder)))


def test_the_layout_of_a_file_is_that_of_its_authors(xl: Path, sd3: Path) -> None:
    """The names by which other tools know these families."""
    assert "conditioner.embedders.1.model.transformer.resblocks.0.attn.in_proj_weight" in original(xl)
    assert "model.diffusion_model.label_emb.0.0.weight" in original(xl)
    assert "model.diffusion_model.joint_blocks.0.context_block.attn.qkv.weight" in original_sd3(sd3)
    (file,) = (sd3 / "transformer").glob("*.safetensors")
    assert sum(t.numel() for t in load_file(file).values()) == sum(
        t.numel() for n, t in original_sd3(sd3).items() if n.startswith("model.")
    )
