"""Adapters in the layouts of their trainers: each is merged whole, beside a library that can do it, or refused with the reason."""

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import peft
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from audit_assets.errors import InputError
from audit_assets.generation.adapters import add_adapters
from audit_assets.models.adapters import part_of, resolve_lora
from audit_assets_tests.generation import tiny_lora, tiny_pipelines
from audit_assets_tests.generation.tiny_lora import Tensors, attention, kohya, pairs, pipeline_of, write

Weights = dict[tuple[str, str], torch.Tensor]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {f: tiny_pipelines.save(f, folder / f) for f in tiny_pipelines.FAMILIES}


def weights_of(pipeline: Any) -> Weights:
    parts = {n: p for n, p in pipeline.components.items() if isinstance(p, torch.nn.Module)}
    return {(n, k): v.clone() for n, p in parts.items() for k, v in p.state_dict().items()}


def merged(model: Path, file: Path, weight: float = 1.0, **options: Any) -> tuple[Weights, Weights, dict[str, Any]]:
    """The weights before and after, and what the record says."""
    pipeline = pipeline_of(model)
    before = weights_of(pipeline)
    (record,) = add_adapters(pipeline, [resolve_lora(str(file), None, weight, **options)])
    return before, weights_of(pipeline), record


def change(found: tuple[Weights, Weights, dict[str, Any]], component: str, path: str) -> torch.Tensor:
    before, after, _ = found
    return after[component, f"{path}.weight"] - before[component, f"{path}.weight"]


def changed(found: tuple[Weights, Weights, dict[str, Any]]) -> set[tuple[str, str]]:
    before, after, _ = found
    return {k for k in before if not torch.equal(before[k], after[k])}


# ---- every component that a file has keys for
TEXT = {"lora_te1_": "text_encoder"}


@pytest.mark.parametrize(
    ("family", "prefixes"),
    [
        ("stable_diffusion", {"lora_unet_": "unet", "lora_te_": "text_encoder"}),
        ("stable_diffusion_xl", {"lora_unet_": "unet", **TEXT, "lora_te2_": "text_encoder_2"}),
        ("flux", {"lora_unet_": "transformer", **TEXT, "lora_te3_": "text_encoder_2"}),
        ("flux", {"lycoris_": "transformer", **TEXT}),
        ("stable_diffusion_3", {"lora_unet_": "transformer", **TEXT, "lora_te2_": "text_encoder_2", "lora_te3_": "text_encoder_3"}),
        ("pixart_sigma", {"lora_unet_": "transformer", "lora_te_": "text_encoder"}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("old_names", [False, True])
def test_every_half_of_a_kohya_file_is_merged(
    models: dict[str, Path], family: str, prefixes: dict[str, str], old_names: bool, tmp_path: Path
) -> None:
    pipeline, tensors = pipeline_of(models[family]), Tensors()
    expected: dict[tuple[str, str], torch.Tensor] = {}
    for n, (prefix, component) in enumerate(prefixes.items()):
        factors = pairs(attention(pipeline.components[component]), seed=n)
        clip = "CLIP" in type(pipeline.components[component]).__name__
        # Older releases of transformers put `text_model.` before the layers of CLIP.
        has = hasattr(pipeline.components[component], "text_model")
        spelt = {
            (k.removeprefix("text_model.") if has else f"text_model.{k}") if old_names and clip else k: v
            for k, v in factors.items()
        }
        tensors |= kohya(spelt, prefix, alpha=4.0)
        expected |= {(component, path): 2 * up @ down for path, (down, up) in factors.items()}
    found = merged(models[family], write(tensors, tmp_path / "a.safetensors"))
    assert found[2]["keys"] == found[2]["keys_used"] == len(tensors)
    assert set(found[2]["layers_changed"]) == set(prefixes.values())
    assert changed(found) == {(c, f"{p}.weight") for c, p in expected}
    for (component, path), delta in expected.items():
        assert torch.allclose(change(found, component, path), delta, atol=1e-5)


@pytest.mark.parametrize(
    "prefix", ["transformer.", "diffusion_model.", "base_model.model.transformer.", "base_model.model.", ""]
)
def test_names_with_dots_are_found_under_every_prefix(models: dict[str, Path], prefix: str, tmp_path: Path) -> None:
    factors = pairs(attention(pipeline_of(models["flux"]).transformer))
    found = merged(models["flux"], write(tiny_lora.peft(factors, prefix), tmp_path / "a.safetensors"))
    assert changed(found) == {("transformer", f"{p}.weight") for p in factors}


def test_an_adapter_of_diffusers_itself_changes_what_diffusers_changes(saved: Path, tmp_path: Path) -> None:
    file, pipeline = tiny_lora.save(saved, tmp_path), pipeline_of(saved)
    pipeline.load_lora_weights(tmp_path, weight_name=file.name, adapter_name="a")
    pipeline.fuse_lora(adapter_names=["a"])
    pipeline.unload_lora_weights()
    _, ours, _ = merged(saved, file)
    theirs = weights_of(pipeline)
    assert all(torch.allclose(ours[k], theirs[k], atol=1e-5) for k in theirs)


def test_the_names_of_diffusers_first_releases_are_found(saved: Path, tmp_path: Path) -> None:
    factors = pairs(attention(pipeline_of(saved).unet))
    tensors = Tensors()
    for path, (down, up) in factors.items():
        block, _, layer = path.rpartition(".to_")
        key = f"unet.{block}.processor.to_{layer.removesuffix('.0')}_lora"
        tensors |= {f"{key}.down.weight": down, f"{key}.up.weight": up}
    found = merged(saved, write(tensors, tmp_path / "a.safetensors"))
    assert changed(found) == {("unet", f"{p}.weight") for p in factors}


# ---- layouts that split a layer, or number blocks in another way
def test_flux_in_its_original_names_reaches_query_key_and_value_apart(models: dict[str, Path], tmp_path: Path) -> None:
    width = 32
    shapes = {
        "double_blocks_0_img_attn_qkv": (3 * width, width),
        "double_blocks_0_txt_attn_proj": (width, width),
        "double_blocks_0_img_mlp_0": (4 * width, width),
    }
    factors = pairs(shapes)
    tensors = kohya(factors, "lora_unet_", alpha=6.0)
    text = pairs(attention(pipeline_of(models["flux"]).text_encoder))
    found = merged(models["flux"], write(tensors | kohya(text, "lora_te1_"), tmp_path / "a.safetensors"))
    down, up = factors["double_blocks_0_img_attn_qkv"]
    for path, delta in zip(("to_q", "to_k", "to_v"), (3 * up @ down).split(width), strict=True):
        assert torch.allclose(change(found, "transformer", f"transformer_blocks.0.attn.{path}"), delta, atol=1e-5)
    assert found[2]["layers_changed"] == {"text_encoder": f"{len(text)} of {len(text)}", "transformer": "5 of 5"}


def test_the_last_layer_of_flux_has_its_halves_in_another_order_and_keeps_its_alpha(
    models: dict[str, Path], tmp_path: Path
) -> None:
    factors = pairs({"final_layer_adaLN_modulation_1": (64, 32)})
    found = merged(models["flux"], write(kohya(factors, "lora_unet_", alpha=6.0), tmp_path / "a.safetensors"))
    ((down, up),) = factors.values()
    shift, scale = (3 * up @ down).chunk(2)
    assert torch.allclose(change(found, "transformer", "norm_out.linear"), torch.cat([scale, shift]), atol=1e-5)


@pytest.mark.parametrize("kind", ["lora", "loha"])
def test_the_block_numbers_of_sdxl_are_translated_for_every_kind(
    models: dict[str, Path], kind: str, tmp_path: Path
) -> None:
    unet = pipeline_of(models["stable_diffusion_xl"]).unet
    ours = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"
    theirs = "lora_unet_input_blocks_3_1_transformer_blocks_0_attn1_to_q"
    o, i = unet.get_submodule(ours).weight.shape
    ((down, up),) = pairs({ours: (o, i)}).values()
    tensors = {f"{theirs}.lora_down.weight": down, f"{theirs}.lora_up.weight": up}
    if kind == "loha":
        tensors = {f"{theirs}.hada_w{n}_{x}": t.clone() for n in "12" for x, t in (("a", up), ("b", down))}
    found = merged(models["stable_diffusion_xl"], write(tensors, tmp_path / "a.safetensors"))
    delta = up @ down
    assert torch.allclose(change(found, "unet", ours), delta if kind == "lora" else delta * delta, atol=1e-5)


# ---- the strength
def test_the_alpha_of_keys_of_metadata_of_a_folder_and_of_the_audit_file_is_one(saved: Path, tmp_path: Path) -> None:
    factors = pairs(attention(pipeline_of(saved).unet))
    naked = tiny_lora.peft(factors, "unet.")
    said = {"unet.r": 2, "unet.lora_alpha": 6, "unet.target_modules": ["to_q", "to_k", "to_v", "to_out.0"]}
    folder = tmp_path / "peft"
    write(tiny_lora.peft(factors, "base_model.model."), folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps(peft.LoraConfig(r=2, lora_alpha=6).to_dict(), default=list))
    keys = kohya(factors, "lora_unet_", alpha=6.0)
    metadata = {"lora_adapter_metadata": json.dumps(said)}
    cases = {
        "the file's alphas": (write(keys, tmp_path / "keys.safetensors"), None),
        "lora_adapter_metadata": (write(naked, tmp_path / "meta.safetensors", metadata), None),
        "adapter_config.json": (folder, None),
        "6, from audit.yaml": (write(naked, tmp_path / "naked.safetensors"), 6.0),
    }
    for source, (file, alpha) in cases.items():
        adapter = resolve_lora(str(file), None, 1.0, alpha)
        assert adapter.record()["alpha"] == source
        assert adapter.notes() == []
        found = merged(saved, file, alpha=alpha)
        for path, (down, up) in factors.items():
            assert torch.allclose(change(found, "unet", path), 3 * up @ down, atol=1e-5), source
    with pytest.raises(InputError, match=r"keys\.safetensors: states its alpha .*; delete `alpha`"):
        resolve_lora(str(tmp_path / "keys.safetensors"), None, 1.0, 6.0)


def test_an_alpha_that_is_nowhere_written_is_said_to_be_assumed(saved: Path, tmp_path: Path) -> None:
    factors = pairs(attention(pipeline_of(saved).unet))
    file = write(tiny_lora.peft(factors, "unet."), tmp_path / "a.safetensors")
    adapter = resolve_lora(str(file), None, 1.0)
    assert adapter.record()["alpha"] == "assumed to be the rank, because the file states none"
    (note,) = adapter.notes()
    assert re.search(r"a\.safetensors: the alpha .* assumed to be the rank.*give `alpha`", note)
    found = merged(saved, file)
    for path, (down, up) in factors.items():
        assert torch.allclose(change(found, "unet", path), up @ down, atol=1e-5)


def test_layers_without_an_alpha_beside_layers_with_one_are_counted(saved: Path, tmp_path: Path) -> None:
    tensors = kohya(pairs(attention(pipeline_of(saved).unet)), "lora_unet_")
    first = next(k for k in tensors if k.endswith("alpha"))
    file = write({k: v for k, v in tensors.items() if k != first}, tmp_path / "a.safetensors")
    assert re.fullmatch(r"assumed .* for 1 of \d+ layers, which the file's alphas leave out", resolve_lora(str(file), None, 1.0).alpha_from)  # fmt: skip


def test_alpha_patterns_and_rank_stabilised_alphas_are_those_of_peft(saved: Path, tmp_path: Path) -> None:
    pipeline = pipeline_of(saved)
    config = peft.LoraConfig(
        r=2, lora_alpha=8, use_rslora=True, target_modules=["to_q", "to_v"],
        alpha_pattern={"attn1.to_q": 3}, rank_pattern={"attn1.to_q": 4}, init_lora_weights=False,
    )  # fmt: skip
    tuner = peft.get_peft_model(pipeline.unet, config)
    tuner.save_pretrained(str(tmp_path / "own"))
    tuner.merge_and_unload()
    theirs = {("unet", k): v for k, v in pipeline.unet.state_dict().items()}
    before, ours, _ = merged(saved, tmp_path / "own")
    assert all(torch.allclose(ours[k], theirs[k], atol=1e-5) for k in theirs)
    assert sum(not torch.equal(ours[k], before[k]) for k in theirs) == 2 * len(
        [k for k in theirs if k[1].endswith("attn1.to_q.weight")]
    ) + 2 * len([k for k in theirs if k[1].endswith("attn1.to_v.weight")])


# ---- other kinds, beside PEFT
@pytest.mark.parametrize(
    "name", ["LoRA with DoRA", "LoHa", "LoHa, effective", "LoKr", "LoKr, decomposed", "LoKr, effective"]
)
@pytest.mark.parametrize("layout", ["peft", "kohya"])
def test_dora_loha_and_lokr_are_those_of_peft(saved: Path, name: str, layout: str, tmp_path: Path) -> None:
    targets = ["to_q", "to_k", "to_v", "to_out.0", "conv1"]
    configs: dict[str, Any] = {
        "LoRA with DoRA": lambda: peft.LoraConfig(r=2, lora_alpha=3, use_dora=True, target_modules=targets, init_lora_weights=False),
        "LoHa": lambda: peft.LoHaConfig(r=2, alpha=3, target_modules=targets, init_weights=False),
        "LoHa, effective": lambda: peft.LoHaConfig(r=2, alpha=3, target_modules=targets, init_weights=False, use_effective_conv2d=True),
        "LoKr": lambda: peft.LoKrConfig(r=2, alpha=3, target_modules=targets, init_weights=False),
        "LoKr, decomposed": lambda: peft.LoKrConfig(r=1, alpha=3, target_modules=targets, init_weights=False, decompose_both=True),
        "LoKr, effective": lambda: peft.LoKrConfig(r=2, alpha=3, target_modules=targets, init_weights=False, use_effective_conv2d=True),
    }  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(3)
        pipeline = pipeline_of(saved)
        tuner = peft.get_peft_model(pipeline.unet, configs[name]())
    for key, tensor in tuner.named_parameters():
        if "magnitude" in key:
            tensor.data *= 1 + torch.rand(tensor.shape, generator=torch.Generator().manual_seed(4))
    tensors = dict(peft.get_peft_model_state_dict(tuner))
    if layout == "peft":
        tuner.save_pretrained(str(tmp_path / "own"))
        file = tmp_path / "own"
    else:
        file = write(_as_lycoris(tensors, alpha=3.0), tmp_path / "a.safetensors")
    base = tuner.base_model
    theirs = {("unet", k): v for k, v in base.merge_and_unload().state_dict().items()}
    before, ours, record = merged(saved, file)
    assert resolve_lora(str(file), None, 1.0).kind == name.split(",")[0]
    for k in theirs:
        # LyCORIS ignores alpha if both Kronecker factors are whole; PEFT does not.
        if layout == "peft" or "LoKr" not in name:
            assert torch.allclose(ours[k], theirs[k], atol=1e-4), k
    assert record["layers_changed"] == {"unet": f"{len({part_of(t)[0] for t in tensors})} of {len({part_of(t)[0] for t in tensors})}"}  # type: ignore[index]  # fmt: skip
    assert any(not torch.equal(ours[k], before[k]) for k in theirs)


def _as_lycoris(tensors: Tensors, alpha: float) -> Tensors:
    """The names of LyCORIS and kohya: underscores, a dora_scale per output, an alpha per layer."""
    found = Tensors()
    spelt = {"lora_A.weight": "lora_down.weight", "lora_B.weight": "lora_up.weight"}
    for key, tensor in tensors.items():
        layer, part = key.removeprefix("base_model.model."), ""
        for own in (*spelt, "lora_magnitude_vector.weight", "lora_magnitude_vector"):
            if layer.endswith(f".{own}"):
                layer, part = layer.removesuffix(f".{own}"), spelt.get(own, "dora_scale")
        if not part:
            layer, _, part = layer.rpartition(".")
        name = f"lora_unet_{layer.replace('.', '_')}"
        shaped = (
            tensor.reshape(tensor.numel(), *(1,) * (3 if "conv" in layer else 1)) if part == "dora_scale" else tensor
        )
        found |= {f"{name}.{part}": shaped, f"{name}.alpha": torch.tensor(alpha)}
    return found


def test_the_magnitudes_of_lycoris_may_be_per_input(saved: Path, tmp_path: Path) -> None:
    path = "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"
    weight = pipeline_of(saved).unet.get_submodule(path).weight.detach()
    ((down, up),) = pairs({path: (weight.shape[0], weight.shape[1])}).values()
    magnitude = 1 + torch.rand(1, weight.shape[1], generator=torch.Generator().manual_seed(1))
    key = f"lora_unet_{path.replace('.', '_')}"
    tensors = {f"{key}.lora_down.weight": down, f"{key}.lora_up.weight": up, f"{key}.dora_scale": magnitude}
    found = merged(saved, write(tensors, tmp_path / "a.safetensors"))
    whole = weight + up @ down
    assert torch.allclose(found[1]["unet", f"{path}.weight"], whole * magnitude / whole.norm(dim=0), atol=1e-5)
    assert torch.allclose(found[1]["unet", f"{path}.weight"].norm(dim=0), magnitude[0], atol=1e-4)


def test_a_tucker_core_between_the_factors_is_a_convolution_after_a_convolution(saved: Path, tmp_path: Path) -> None:
    conv = pipeline_of(saved).unet.down_blocks[0].resnets[0].conv1
    o, i = conv.weight.shape[:2]
    source = torch.Generator().manual_seed(1)
    down, mid, up = (torch.randn(s, generator=source) for s in ((2, i, 1, 1), (2, 2, 3, 3), (o, 2, 1, 1)))
    key = "lora_unet_down_blocks_0_resnets_0_conv1"
    tensors = {f"{key}.lora_down.weight": down, f"{key}.lora_mid.weight": mid, f"{key}.lora_up.weight": up}
    found = merged(saved, write(tensors, tmp_path / "a.safetensors"))
    x = torch.randn(1, i, 5, 5, generator=source)
    f = torch.nn.functional.conv2d
    expected = f(f(f(x, down), mid, padding=1), up)
    assert torch.allclose(f(x, change(found, "unet", "down_blocks.0.resnets.0.conv1"), padding=1), expected, atol=1e-4)


@pytest.mark.parametrize("weight", [0.0, 0.5, 1.0, -1.0])
def test_the_weight_goes_from_the_plain_model_to_the_adapted_one(saved: Path, weight: float, tmp_path: Path) -> None:
    tensors = kohya(pairs(attention(pipeline_of(saved).unet)), "lora_unet_")
    tensors |= {k.replace("alpha", "dora_scale"): torch.ones(len(tensors[k.replace("alpha", "lora_up.weight")]), 1) for k in tensors if k.endswith("alpha")}  # fmt: skip
    file = write(tensors, tmp_path / "a.safetensors")
    before, whole, _ = merged(saved, file)
    _, part, record = merged(saved, file, weight)
    assert all(torch.allclose(part[k], before[k] + weight * (whole[k] - before[k]), atol=1e-5) for k in before)
    assert (record["layers_changed"]["unet"][0] == "0") == (weight == 0)


# ---- what cannot be used is an error
def test_a_layer_that_a_file_has_under_two_names_is_not_changed_twice(saved: Path, tmp_path: Path) -> None:
    factors = pairs(attention(pipeline_of(saved).unet))
    path, (down, up) = next(iter(factors.items()))
    again = tiny_lora.peft({path: (down.clone(), up.clone())}, "unet.")
    file = write(kohya(factors, "lora_unet_") | again, tmp_path / "a.safetensors")
    with pytest.raises(InputError, match=r"lora_unet_\w+\.\S+ and unet\..*are of one layer of unet"):
        merged(saved, file)


def test_keys_without_a_place_are_counted_and_named_with_the_model_of_the_training(saved: Path, tmp_path: Path) -> None:
    tensors = kohya(pairs(attention(pipeline_of(saved).unet)), "lora_unet_")
    deeper = {k.replace("up_blocks_0", "up_blocks_7"): v for k, v in tensors.items()}
    lost = sum("up_blocks_7" in k for k in deeper)
    assert 0 < lost < len(deeper)
    file = write(deeper, tmp_path / "a.safetensors", {"ss_base_model_version": "sdxl_base_v1-0"})
    said = rf"a\.safetensors: {lost} of {len(deeper)} keys \(\d+%; such as lora_unet_up_blocks_7.*have no place in StableDiffusionPipeline.*trained on sdxl_base_v1-0"
    with pytest.raises(InputError, match=said):
        merged(saved, file)


def test_a_text_encoder_that_the_model_lacks_is_not_left_out_in_silence(saved: Path, tmp_path: Path) -> None:
    pipeline = pipeline_of(saved)
    tensors = kohya(pairs(attention(pipeline.unet)), "lora_unet_") | kohya(
        pairs(attention(pipeline.text_encoder)), "lora_te2_"
    )
    with pytest.raises(InputError, match=r"such as lora_te2_.*have no place"):
        merged(saved, write(tensors, tmp_path / "a.safetensors"))


def test_an_adapter_of_another_width_names_both_shapes(saved: Path, tmp_path: Path) -> None:
    factors = pairs({p: (o, 2 * i) for p, (o, i) in attention(pipeline_of(saved).unet).items()})
    with pytest.raises(
        InputError,
        match=r"does not fit StableDiffusionPipeline: .*changes weights of \(16, 32\), and the model's are \(16, 16\)",
    ):
        merged(saved, write(kohya(factors, "lora_unet_"), tmp_path / "a.safetensors"))


@pytest.mark.parametrize(
    ("spoilt", "said"),
    [
        (torch.nan, r"lora_down\.weight holds values that are no numbers"),
        (torch.inf, r"lora_down\.weight holds values that are no numbers"),
        (0.0, "changes no weight of unet"),
    ],
)
def test_values_that_change_nothing_or_are_no_numbers_are_refused(
    saved: Path, spoilt: float, said: str, tmp_path: Path
) -> None:
    tensors = kohya(pairs(attention(pipeline_of(saved).unet)), "lora_unet_")
    tensors = {k: torch.full_like(v, spoilt) if "lora_down" in k else v for k, v in tensors.items()}
    with pytest.raises(InputError, match=said):
        merged(saved, write(tensors, tmp_path / "a.safetensors"))


def test_weights_that_the_number_type_cannot_hold_are_refused(saved: Path, tmp_path: Path) -> None:
    pipeline = pipeline_of(saved)
    file = write(kohya(pairs(attention(pipeline.unet)), "lora_unet_", alpha=1e6), tmp_path / "a.safetensors")
    add_adapters(pipeline, [resolve_lora(str(file), None, 1.0)])
    with pytest.raises(InputError, match=r"makes weights that are no numbers, or that torch\.float16 cannot hold"):
        add_adapters(pipeline_of(saved).to(torch.float16), [resolve_lora(str(file), None, 1.0)])


def test_a_magnitude_of_an_output_without_weights_is_refused(saved: Path, tmp_path: Path) -> None:
    """The direction of a weight of length 0 is 0 / 0."""
    pipeline = pipeline_of(saved)
    path, (down, up) = next(iter(pairs(attention(pipeline.unet)).items()))
    weight = pipeline.unet.get_submodule(path).weight
    weight.data[0], up[0] = 0, 0
    tensors = kohya({path: (down, up)}, "lora_unet_")
    tensors |= {next(iter(tensors)).partition(".")[0] + ".dora_scale": torch.ones(len(weight), 1)}
    with pytest.raises(InputError, match="makes weights that are no numbers"):
        add_adapters(pipeline, [resolve_lora(str(write(tensors, tmp_path / "a.safetensors")), None, 1.0)])


def test_one_component_of_zeros_beside_one_that_changes_is_named(saved: Path, tmp_path: Path) -> None:
    pipeline = pipeline_of(saved)
    text = {k: torch.zeros_like(v) for k, v in kohya(pairs(attention(pipeline.text_encoder)), "lora_te_").items()}
    with pytest.raises(InputError, match="changes no weight of text_encoder"):
        merged(saved, write(kohya(pairs(attention(pipeline.unet)), "lora_unet_") | text, tmp_path / "a.safetensors"))


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("lora_unet_a.diff", "1 of 3 keys .* full differences of weights, and are not applied"),
        ("lora_unet_a.oft_blocks", "OFT"),
        ("unet.a.lora_B.bias", "biases"),
        ("unet.a.a1.weight", "GLoRA"),
        ("lora_unet_a.w_norm", "normalisation layers"),
        ("lora_unet_a.on_input", "IA3"),
        ("bundle_emb.<word>.clip_l", "textual inversion"),
        ("lora_unet_a.lora_down.scale_weight", "1 of 3 keys .* belong to no kind of adapter that is known"),
    ],
)
def test_tensors_that_are_not_applied_are_named_before_anything_is_loaded(key: str, said: str, tmp_path: Path) -> None:
    tensors = {"lora_unet_b.lora_down.weight": torch.ones(1, 1), "lora_unet_b.lora_up.weight": torch.ones(1, 1), key: torch.ones(1)}  # fmt: skip
    with pytest.raises(InputError, match=said):
        resolve_lora(str(write(tensors, tmp_path / "a.safetensors")), None, 1.0)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"peft_type": "IA3"}, "adapter of the kind IA3"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights: 'pissa' is a setting that is not applied"),
        ({"modules_to_save": ["conv_in"]}, "modules_to_save"),
        ({"bias": "all"}, "bias: 'all'"),
        ({"setting_of_tomorrow": 1}, "setting_of_tomorrow"),
        ({"lora_alpha": "much"}, "lora_alpha: 'much' is no number"),
        ({"alpha_pattern": {"(a+)+b": 1}}, "is a pattern, not a layer's name"),
    ],
)
def test_settings_of_peft_that_are_not_applied_are_named(setting: dict[str, Any], said: str, tmp_path: Path) -> None:
    write(tiny_lora.peft({"a": (torch.ones(1, 1), torch.ones(1, 1))}, ""), tmp_path / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": 1, "lora_alpha": 2, **setting}
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=re.escape(said)):
        resolve_lora(str(tmp_path), None, 1.0)


def test_a_folder_with_an_adapter_for_each_component_names_them(saved: Path, tmp_path: Path) -> None:
    for component in ("unet", "text_encoder"):
        factors = pairs(attention(pipeline_of(saved).components[component]))
        write(tiny_lora.peft(factors, "base_model.model."), tmp_path / component / "adapter_model.safetensors")
        (tmp_path / component / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 2, "lora_alpha": 2}')
        assert set(merged(saved, tmp_path / component)[2]["layers_changed"]) == {component}
    with pytest.raises(InputError, match="one adapter for each of text_encoder, unet; list each"):
        resolve_lora(str(tmp_path), None, 1.0)


def test_half_precision_keeps_what_it_can_hold(saved: Path, tmp_path: Path) -> None:
    pipeline = pipeline_of(saved).to(torch.bfloat16)
    tensors = {k: v.to(torch.bfloat16) for k, v in kohya(pairs(attention(pipeline.unet)), "lora_unet_").items()}
    file = write(tensors, tmp_path / "a.safetensors")
    (record,) = add_adapters(pipeline, [resolve_lora(str(file), None, 1.0)])
    n = len(tensors) // 3
    assert record["layers_changed"] == {"unet": f"{n} of {n}"}
    tiny = {k: v * 1e-6 if "alpha" not in k else v for k, v in tensors.items()}
    with pytest.raises(InputError, match="too small for the model's number type"):
        add_adapters(pipeline, [resolve_lora(str(write(tiny, tmp_path / "b.safetensors")), None, 1.0)])


# ---- whatever a file holds
LAYERS = ("lora_unet_a", "unet.b.c", "x")
SUFFIXES = (
    "lora_down.weight", "lora_up.weight", "lora_mid.weight", "lora_A.weight", "lora_B.default.weight", "alpha", "dora_scale",
    "hada_w1_a", "lokr_w2", "lora_magnitude_vector", "weight", "bias", "diff", "lora_down.bias",
)  # fmt: skip


@given(
    st.lists(st.tuples(st.sampled_from(LAYERS), st.one_of(st.sampled_from(SUFFIXES), st.text(max_size=8))), max_size=6)
)
def test_whatever_keys_a_file_has_it_is_known_or_refused_in_words(
    tmp_path_factory: pytest.TempPathFactory, keys: list[tuple[str, str]]
) -> None:
    file = tmp_path_factory.mktemp("any") / "a.safetensors"
    names = {f"{layer}.{suffix}" for layer, suffix in keys if "\0" not in suffix}
    write({name: torch.ones(1, 1) for name in names}, file)
    try:
        adapter = resolve_lora(str(file), None, 1.0)
    except InputError as refused:
        said = str(refused)
    else:
        assert all(part_of(name) for name in names)
        said = f"{file}: {adapter.alpha_from}"
    assert re.match(rf"{re.escape(str(file))}: \w", said)


@given(st.integers(1, 5), st.integers(1, 5), st.floats(0.1, 10), st.sampled_from(["alpha", "metadata", "none"]))
def test_the_scale_is_alpha_over_rank_whatever_the_rank(
    tmp_path_factory: pytest.TempPathFactory, rank: int, width: int, alpha: float, source: str
) -> None:
    factors = pairs({"a": (width, width)}, rank=rank)
    file = tmp_path_factory.mktemp("any") / "a.safetensors"
    metadata = {"lora_adapter_metadata": json.dumps({"m.lora_alpha": alpha})} if source == "metadata" else None
    tensors = tiny_lora.peft(factors, "m.") | ({"m.a.alpha": torch.tensor(alpha)} if source == "alpha" else {})
    adapter = resolve_lora(str(write(tensors, file, metadata)), None, 1.0)

    layer = torch.nn.Linear(width, width)
    pipeline = SimpleNamespace(components={"m": torch.nn.ModuleDict({"a": layer})})
    before = layer.weight.detach().clone()
    add_adapters(pipeline, [adapter])
    ((down, up),) = factors.values()
    scale = 1.0 if source == "none" else alpha / rank
    assert torch.allclose(layer.weight - before, scale * up @ down, atol=1e-3)
