"""Shapes in which people have models: each is drawn with the weights that it holds, or refused with what to do."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from audit_assets.errors import InputError
from audit_assets.generation.diffusers_source import DiffusersSource
from audit_assets.models.files import read_files
from audit_assets.models.pipelines import ResolvedModel, resolve_diffusers
from audit_assets_tests.generation import tiny_pipelines
from audit_assets_tests.models.one_file_layout import original, save_one_file, without_weights
from audit_assets_tests.models.opens import opened

Weights = dict[str, torch.Tensor]


def resolved(path: Path, *, variant: str | None = None, config: str | None = None, **more: object) -> ResolvedModel:
    settings = {"steps": 2, "guidance": 3.0, "size": 32, **more}
    return resolve_diffusers("tiny", str(path), None, settings, variant=variant, config=config)


def draw(model: ResolvedModel) -> np.ndarray:
    (image,) = DiffusersSource(model, "cpu").generate(["art by anna"], [7], batch_size=1)
    return np.asarray(image, dtype=np.int16)


def weights_of(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/*.safetensors"))


def renamed(folder: Path, change: Callable[[Weights], Weights], variant: str, *, keep: bool) -> None:
    for file in weights_of(folder):
        save_file(change(load_file(file)), file.with_suffix(f".{variant}.safetensors"), metadata={"format": "pt"})
        if not keep:
            file.unlink()


def halves(tensors: Weights) -> Weights:
    return {name: tensor.half() for name, tensor in tensors.items()}


def zeros(tensors: Weights) -> Weights:
    return {name: torch.zeros_like(tensor) for name, tensor in tensors.items()}


def test_a_half_precision_variant_alone_is_drawn_and_recorded(stable_diffusion: Path) -> None:
    whole = draw(resolved(stable_diffusion))
    renamed(stable_diffusion, halves, "fp16", keep=False)
    model = resolved(stable_diffusion)
    assert model.settings["variant"] == "fp16"
    assert set(model.variants) == {"unet", "vae", "text_encoder"}
    with opened(stable_diffusion) as files:
        image = draw(model)
    assert files <= set(read_files(stable_diffusion))
    assert np.abs(image - whole).max() <= 8
    assert image.std() > 0


def test_the_plain_weights_are_drawn_unless_a_variant_is_chosen(stable_diffusion: Path) -> None:
    whole = draw(resolved(stable_diffusion))
    renamed(stable_diffusion, zeros, "ema", keep=True)
    (stable_diffusion / "unet" / "LICENSE").touch()  # diffusers takes every name apart at its dot
    plain, chosen = resolved(stable_diffusion), resolved(stable_diffusion, variant="ema")
    assert "variant" not in plain.settings
    assert chosen.settings["variant"] == "ema"
    assert plain.files_sha256 != chosen.files_sha256
    assert not any("ema" in file.name for file in read_files(stable_diffusion))
    assert np.array_equal(draw(plain), whole)
    assert not np.array_equal(draw(chosen), whole)


def test_a_variant_of_some_components_is_taken_for_these_alone(stable_diffusion: Path) -> None:
    renamed(stable_diffusion, halves, "fp16", keep=True)
    next((stable_diffusion / "vae").glob("*.fp16.safetensors")).unlink()
    model = resolved(stable_diffusion, variant="fp16")
    assert set(model.variants) == {"unet", "text_encoder"}
    assert draw(model).std() > 0


def test_a_variant_that_is_not_there_or_not_chosen_is_named(stable_diffusion: Path) -> None:
    with pytest.raises(InputError, match="no weights of the variant 'fp16'"):
        resolved(stable_diffusion, variant="fp16")
    renamed(stable_diffusion, halves, "fp16", keep=True)
    renamed(stable_diffusion, halves, "ema", keep=True)
    for file in weights_of(stable_diffusion):
        if file.name.count(".") == 1:
            file.unlink()
    with pytest.raises(InputError, match="variants ema, fp16"):
        resolved(stable_diffusion)


@pytest.mark.parametrize("variant", [None, "fp16"])
def test_weights_in_several_parts_are_drawn(tmp_path: Path, variant: str | None) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        pipeline = tiny_pipelines.stable_diffusion()
    pipeline.save_pretrained(tmp_path / "whole")
    options = {"variant": variant} if variant else {}
    pipeline.save_pretrained(tmp_path / "parts", max_shard_size="20KB", **options)
    assert len(list((tmp_path / "parts/unet").glob("*.safetensors"))) > 1
    assert len(list((tmp_path / "parts/text_encoder").glob("*.safetensors"))) > 1
    model = resolved(tmp_path / "parts")
    with opened(tmp_path / "parts") as files:
        assert np.array_equal(draw(model), draw(resolved(tmp_path / "whole")))
    assert files <= set(read_files(tmp_path / "parts"))
    for index in (tmp_path / "parts/unet").glob("*.index*.json"):
        index.unlink()
    with pytest.raises(InputError, match=r"one of several parts, and their index .* is missing"):
        resolved(tmp_path / "parts")


def test_a_part_with_an_odd_name_is_refused_because_it_would_not_be_hashed(stable_diffusion: Path) -> None:
    (file,) = (stable_diffusion / "unet").glob("*.safetensors")
    tensors = load_file(file)
    index = {"metadata": {}, "weight_map": dict.fromkeys(tensors, "elsewhere.safetensors")}
    save_file(tensors, file.with_name("elsewhere.safetensors"), metadata={"format": "pt"})
    file.unlink()
    file.with_name(f"{file.name}.index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match=r"'elsewhere\.safetensors' is no usual name of a part"):
        resolved(stable_diffusion)


@pytest.mark.parametrize("tokenizer", [True, False])
def test_stable_diffusion_3_without_its_largest_text_encoder_is_drawn(tmp_path: Path, tokenizer: bool) -> None:
    folder = tiny_pipelines.save("stable_diffusion_3", tmp_path)
    whole = draw(resolved(folder))
    index = json.loads((folder / "model_index.json").read_text())
    index["text_encoder_3"] = [None, None]
    shutil.rmtree(folder / "text_encoder_3")
    if not tokenizer:
        index["tokenizer_3"] = [None, None]
        shutil.rmtree(folder / "tokenizer_3")
    (folder / "model_index.json").write_text(json.dumps(index))
    model = resolved(folder)
    assert model.text_encoder_families == ("clip_text_model-32", "clip_text_model-32")
    assert not np.array_equal(draw(model), whole)


def test_a_model_in_one_file_draws_what_its_folder_draws(stable_diffusion: Path, tmp_path: Path) -> None:
    whole = draw(resolved(stable_diffusion))
    file = save_one_file(stable_diffusion, tmp_path / "pruned.safetensors")
    model = resolved(file, config=str(without_weights(stable_diffusion)))
    assert model.settings["one_file"] == {"file": "pruned.safetensors", "components": ["text_encoder", "unet", "vae"]}
    with opened(tmp_path) as files:
        assert np.array_equal(draw(model), whole)
    assert files <= {file, *read_files(stable_diffusion, None, model.in_file)}
    tensors = load_file(file)
    save_file(zeros(tensors), file)
    assert resolved(file, config=str(stable_diffusion)).files_sha256 != model.files_sha256


def test_what_one_file_lacks_comes_from_the_folder_of_its_configuration(stable_diffusion: Path, tmp_path: Path) -> None:
    """Files of large models are often the denoiser alone."""
    whole = draw(resolved(stable_diffusion))
    file = save_one_file(stable_diffusion, tmp_path / "denoiser.safetensors", text=False, vae=False)
    next((stable_diffusion / "unet").glob("*.safetensors")).unlink()
    model = resolved(file, config=str(stable_diffusion))
    assert model.in_file == ("unet",)
    assert np.array_equal(draw(model), whole)
    next((stable_diffusion / "vae").glob("*.safetensors")).unlink()
    with pytest.raises(InputError, match=r"has no weights of vae, and neither has .*vae; copy the vae of its family"):
        resolved(file, config=str(stable_diffusion))


def test_the_weights_of_one_file_count_even_beside_a_whole_model(stable_diffusion: Path, tmp_path: Path) -> None:
    """The folder of the configuration may be a whole model, whose own weights are not those that are audited."""
    whole = draw(resolved(stable_diffusion))
    tensors = original(stable_diffusion)
    save_file({n: t * 0.5 if "diffusion_model" in n else t for n, t in tensors.items()}, tmp_path / "tuned.safetensors")
    model = resolved(tmp_path / "tuned.safetensors", config=str(stable_diffusion))
    assert not np.array_equal(draw(model), whole)
    next((stable_diffusion / "unet").glob("*.safetensors")).unlink()
    assert resolved(tmp_path / "tuned.safetensors", config=str(stable_diffusion)).files_sha256 == model.files_sha256


def test_one_file_in_the_layout_of_diffusers_is_drawn(tmp_path: Path) -> None:
    folder = tiny_pipelines.save("flux", tmp_path / "flux")
    whole = draw(resolved(folder))
    file = tmp_path / "flux1-tuned.safetensors"
    next((folder / "transformer").glob("*.safetensors")).rename(file)
    assert np.array_equal(draw(resolved(file, config=str(folder))), whole)


def test_one_file_without_a_configuration_says_what_to_give(stable_diffusion: Path, tmp_path: Path) -> None:
    file = save_one_file(stable_diffusion, tmp_path / "pruned.safetensors")
    with pytest.raises(InputError) as refused:
        resolved(file)
    assert "add `config: <folder>`" in str(refused.value)
    assert "looks like one of stable-diffusion-v1-5/stable-diffusion-v1-5" in str(refused.value)
    assert "\n" not in str(refused.value)
    with pytest.raises(InputError, match="is no model in one file, which alone takes a `config`"):
        resolved(stable_diffusion, config=str(stable_diffusion))
    shutil.move(file, stable_diffusion / "pruned.safetensors")
    (stable_diffusion / "model_index.json").unlink()
    with pytest.raises(InputError, match=r"if pruned\.safetensors is a model in one file, give that file as `path`"):
        resolved(stable_diffusion)


def test_the_configuration_of_another_family_is_refused(stable_diffusion: Path, tmp_path: Path) -> None:
    file = save_one_file(stable_diffusion, tmp_path / "pruned.safetensors")
    other = tiny_pipelines.save("stable_diffusion_xl", tmp_path / "xl")
    with pytest.raises(InputError, match=r"cannot be loaded|has no weights of text_encoder_2|the weights lack"):
        draw(resolved(file, config=str(without_weights(other))))


def test_one_file_that_lacks_a_tensor_is_refused(stable_diffusion: Path, tmp_path: Path) -> None:
    for name in ("time_embed.0.weight", "final_layer_norm.weight", "decoder.conv_in.weight"):
        tensors = {n: t for n, t in original(stable_diffusion).items() if not n.endswith(name)}
        save_file(tensors, tmp_path / "cut.safetensors")
        with pytest.raises(InputError, match=r"cannot be loaded|the weights lack"):
            draw(resolved(tmp_path / "cut.safetensors", config=str(stable_diffusion)))


def test_a_file_that_was_trained_for_another_prediction_is_refused(stable_diffusion: Path, tmp_path: Path) -> None:
    save_file({**original(stable_diffusion), "v_pred": torch.zeros(0)}, tmp_path / "v.safetensors")
    with pytest.raises(InputError, match=r"prediction_type: is 'epsilon', and v\.safetensors is marked"):
        resolved(tmp_path / "v.safetensors", config=str(stable_diffusion))
    file = stable_diffusion / "scheduler/scheduler_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "prediction_type": "v_prediction"}))
    assert resolved(tmp_path / "v.safetensors", config=str(stable_diffusion))


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ("bitsandbytes", "quantized with 'bitsandbytes'; install the package bitsandbytes"),
        ("torchao", "install the package torchao"),
        ("quanto", "install the package optimum-quanto"),
        ("svdquant", "'svdquant', which is not loaded; give the weights that they were quantized from"),
    ],
)
def test_a_quantized_component_says_what_it_needs(
    stable_diffusion: Path, method: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("bitsandbytes", "torchao", "optimum"):
        monkeypatch.setitem(sys.modules, module, None)
    file = stable_diffusion / "unet/config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "quantization_config": {"quant_method": method}}))
    with pytest.raises(InputError, match=rf"unet/config\.json, quantization_config: .*{said}"):
        resolved(stable_diffusion)


@pytest.mark.parametrize("extra", ["scale_weight", "qweight", "absmax"])
def test_quantized_weights_that_do_not_say_so_are_refused(stable_diffusion: Path, tmp_path: Path, extra: str) -> None:
    """Loaded as plain numbers, without their scales, they are noise."""
    (file,) = (stable_diffusion / "unet").glob("*.safetensors")
    tensors = load_file(file)
    save_file({**tensors, f"conv_in.{extra}": torch.ones(1)}, file, metadata={"format": "pt"})
    with pytest.raises(InputError, match="the weights are quantized, and no quantization_config says how"):
        resolved(stable_diffusion)
    save_file({**tensors, "conv_in.weight": torch.ones((4, 4), dtype=torch.uint8)}, file, metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"conv_in\.weight: the weights are quantized"):
        resolved(stable_diffusion)
    packed = {**original_of_nothing(), f"model.diffusion_model.out.0.{extra}": torch.ones(1)}
    save_file(packed, tmp_path / "scaled.safetensors")
    with pytest.raises(InputError, match="the weights are quantized"):
        resolved(tmp_path / "scaled.safetensors", config=str(stable_diffusion))


def original_of_nothing() -> Weights:
    return {"model.diffusion_model.out.0.weight": torch.ones(2)}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("model.onnx", "an export for ONNX Runtime; give the weights that it was exported from"),
        ("openvino_model.bin", "an export for OpenVINO; give the weights that it was exported from"),
        ("model-Q4_K.gguf", "quantized to GGUF; give the weights that they were quantized from"),
        ("flax_model.msgpack", "weights of Flax; .*from_flax=True"),
        ("tf_model.h5", "weights of TensorFlow; .*from_tf=True"),
        (
            "diffusion_pytorch_model.bin",
            r"a pickle, .*DiffusionPipeline\.from_pretrained\('.*', use_safetensors=False\)",
        ),
        ("diffusion_pytorch_model.ckpt", "a pickle, which can run code"),
        ("unet.safetensors", r"has not the name of weights that are loaded; rename it to"),
        ("notes.txt", r"holds no \.safetensors weights"),
    ],
)
def test_weights_of_another_format_are_named_with_the_remedy(stable_diffusion: Path, name: str, said: str) -> None:
    (file,) = (stable_diffusion / "unet").glob("*.safetensors")
    (file.parent / name).write_bytes(b"1")
    assert resolved(stable_diffusion).files_sha256  # beside whole safetensors they are not looked at
    file.rename(file.parent / name)
    with pytest.raises(InputError, match=said):
        resolved(stable_diffusion)


@pytest.mark.parametrize(
    "name", ["OnnxStableDiffusionPipeline", "OVStableDiffusionPipeline", "FlaxStableDiffusionPipeline"]
)
def test_a_pipeline_of_another_runtime_is_named(stable_diffusion: Path, name: str) -> None:
    file = stable_diffusion / "model_index.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "_class_name": name}))
    with pytest.raises(InputError, match=f"{name} is no pipeline of PyTorch; give the model as PyTorch saves it"):
        resolved(stable_diffusion)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("v1-5.ckpt", "is a pickle, which can run code"),
        ("flux1-Q4_0.gguf", "quantized to GGUF; give the weights"),
        ("v1-5.zip", r"is no folder of a pipeline and no \.safetensors file"),
    ],
)
def test_a_file_of_another_format_is_named(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / name).write_bytes(b"1")
    with pytest.raises(InputError, match=said):
        resolved(tmp_path / name, config=str(tmp_path))


def test_an_adapter_is_no_model(tmp_path: Path) -> None:
    save_file({"lora_unet_down.lora_down.weight": torch.zeros(2, 2)}, tmp_path / "painter.safetensors")
    with pytest.raises(InputError, match="is an adapter; name it under `lora`"):
        resolved(tmp_path / "painter.safetensors", config=str(tmp_path))
