import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from diffusers.pipelines import pag, stable_diffusion_xl
from PIL.Image import Image
from safetensors.numpy import load_file, save_file

from audit_assets.errors import InputError
from audit_assets.generation.diffusers_source import DiffusersSource
from audit_assets.generation.pictures import taking_pictures
from audit_assets.generation.pipeline import is_of_quantization
from audit_assets.models.devices import dtype_for
from audit_assets.models.pipelines import resolve_diffusers
from audit_assets.warehouse.images import image_bytes
from audit_assets_tests.generation.tiny_classes import CLASSES
from audit_assets_tests.generation.tiny_pipelines import FAMILIES, save

Draw = Callable[..., list[Image]]
PROMPT = "a painting by hilma af klint"


@pytest.fixture(scope="module", params=FAMILIES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(request.param, tmp_path_factory.mktemp(request.param))


def source_of(folder: Path, **settings: Any) -> DiffusersSource:
    return DiffusersSource(resolve_diffusers("tiny", str(folder), None, {"size": 64, "steps": 2, **settings}), "cpu")


def draw(source: DiffusersSource, prompt: str = PROMPT, batch_size: int = 3) -> list[Image]:
    return list(source.generate([prompt] * 3, [11, 12, 13], batch_size=batch_size))


def difference(a: list[Image], b: list[Image]) -> int:
    return max(int(np.abs(np.asarray(x, np.int16) - np.asarray(y, np.int16)).max()) for x, y in zip(a, b, strict=True))


def test_each_family_of_pipelines_draws_what_its_prompt_and_seed_say(folder: Path) -> None:
    source = source_of(folder)
    images = draw(source)
    assert [i.size for i in images] == [(64, 64)] * 3
    assert [image_bytes(i) for i in draw(source)] == [image_bytes(i) for i in images]
    assert [image_bytes(i) for i in draw(source_of(folder))] == [image_bytes(i) for i in images]
    assert len({image_bytes(i) for i in images}) == 3
    assert difference(images, draw(source, "rembrandt")) > 0
    for batch_size in (1, 2, 50):
        assert difference(images, draw(source, batch_size=batch_size)) <= 1


def test_settings_reach_the_pipeline(stable_diffusion: Path) -> None:
    plain = draw(source_of(stable_diffusion))
    assert difference(plain, draw(source_of(stable_diffusion, guidance=30.0))) > 0
    assert difference(plain, draw(source_of(stable_diffusion, negative_prompt="a frame"))) > 0
    assert difference(plain, draw(source_of(stable_diffusion, steps=3))) > 0
    other = source_of(stable_diffusion, scheduler="EulerDiscreteScheduler")
    assert type(other.pipeline.scheduler).__name__ == "EulerDiscreteScheduler"
    assert difference(plain, draw(other)) > 0


@pytest.fixture
def small_memory(stable_diffusion: Path) -> DiffusersSource:
    """A source whose pipeline has memory for three images at once."""
    source = source_of(stable_diffusion)

    class Small(type(source.pipeline)):  # type: ignore[misc]
        calls: ClassVar[list[int]] = []

        def __call__(self, prompt: list[str], **arguments: Any) -> Any:
            self.calls.append(len(prompt))
            if len(prompt) > 3:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return super().__call__(prompt, **arguments)

    source.pipeline.__class__ = Small
    return source


def test_a_batch_that_does_not_fit_is_halved_and_no_image_is_lost(
    small_memory: DiffusersSource, stable_diffusion: Path
) -> None:
    seeds = list(range(20, 30))
    images = list(small_memory.generate([PROMPT] * 10, seeds, batch_size=10))
    assert small_memory.pipeline.calls == [10, 5, 2, 2, 2, 2, 2]
    assert small_memory.largest_batch == 2
    plain = source_of(stable_diffusion)
    assert [image_bytes(i) for i in plain.generate([PROMPT] * 10, seeds, batch_size=2)] == [
        image_bytes(i) for i in images
    ]
    list(small_memory.generate([PROMPT] * 3, seeds[:3], batch_size=10))
    assert small_memory.pipeline.calls[7:] == [2, 1]


def test_memory_that_runs_out_in_the_middle_loses_nothing(small_memory: DiffusersSource) -> None:
    """The first batches were drawn and given on; the rest is drawn in smaller ones."""
    drawn = small_memory.generate([PROMPT] * 6, range(6), batch_size=3)
    first = [next(drawn) for _ in range(3)]
    original, small_memory.pipeline.calls[:] = type(small_memory.pipeline).__mro__[1].__call__, []

    def fails_once(self: Any, prompt: list[str], **arguments: Any) -> Any:
        self.calls.append(len(prompt))
        if len(self.calls) == 1:
            raise RuntimeError("MPS backend out of memory (MPS allocated: 5 GB)")
        return original(self, prompt, **arguments)

    type(small_memory.pipeline).__call__ = fails_once
    images = [*first, *drawn]
    assert small_memory.pipeline.calls == [3, 1, 1, 1]
    assert len({image_bytes(i) for i in images}) == 6


def test_an_image_that_does_not_fit_at_all_is_bad_input_and_other_errors_pass(small_memory: DiffusersSource) -> None:
    def fails(said: str) -> Any:
        def call(self: Any, **arguments: Any) -> Any:
            raise RuntimeError(said)

        return call

    type(small_memory.pipeline).__call__ = fails("DefaultCPUAllocator: can't allocate memory: you tried to allocate")
    with pytest.raises(InputError, match="one image of 64 pixels does not fit into the memory of cpu"):
        list(small_memory.generate([PROMPT] * 4, range(4), batch_size=4))
    type(small_memory.pipeline).__call__ = fails("mat1 and mat2 shapes cannot be multiplied")
    with pytest.raises(InputError, match=r"does not draw from a prompt alone .* mat1 and mat2"):
        list(small_memory.generate([PROMPT], [1], batch_size=1))


def test_flux_reads_a_negative_prompt_with_a_second_guidance(tmp_path: Path) -> None:
    folder = save("flux", tmp_path)
    plain = draw(source_of(folder))
    assert difference(plain, draw(source_of(folder, true_cfg_scale=6.0))) == 0
    negative = draw(source_of(folder, negative_prompt="a frame"))
    assert difference(plain, negative) > 0
    assert difference(negative, draw(source_of(folder, negative_prompt="a frame", true_cfg_scale=6.0))) > 0


@pytest.mark.long
def test_another_batch_plan_changes_one_value_in_ten_thousand_by_one_grey_level(miniature: Path) -> None:
    """On trained weights: what a different batch size costs in reproducibility. The same plan costs nothing."""
    model = resolve_diffusers("m", str(miniature / "models" / "miniature-1"), None, {"size": 32, "steps": 8})
    source = DiffusersSource(model, "cpu")
    plans = [list(source.generate(["Artwork from Nils Oduya"] * 12, range(12), batch_size=n)) for n in (6, 6, 4)]
    assert [image_bytes(i) for i in plans[0]] == [image_bytes(i) for i in plans[1]]
    first, other = (np.stack([np.asarray(i, np.int16) for i in images]) for images in (plans[0], plans[2]))
    assert np.abs(first - other).max() <= 1
    assert (first != other).mean() <= 1e-4


@pytest.mark.long
def test_a_compiled_model_draws_the_same(stable_diffusion: Path) -> None:
    compiled = source_of(stable_diffusion, compile=True)
    images = draw(compiled)
    assert difference(draw(source_of(stable_diffusion)), images) <= 1
    assert compiled.pipeline.unet._compiled_call_impl is not None
    assert [image_bytes(i) for i in draw(compiled)] == [image_bytes(i) for i in images]


def test_a_negative_prompt_goes_with_a_last_batch_that_is_not_full(stable_diffusion: Path) -> None:
    assert len(draw(source_of(stable_diffusion, negative_prompt="a frame"), batch_size=2)) == 3


@pytest.mark.parametrize("component", ["unet", "vae", "text_encoder"])
def test_weights_that_lack_a_tensor_are_not_filled_in_at_random(stable_diffusion: Path, component: str) -> None:
    (file,) = (stable_diffusion / component).glob("*.safetensors")
    tensors = load_file(file)
    del tensors[sorted(tensors)[3]]
    save_file(tensors, file, {"format": "pt"})
    with pytest.raises(InputError, match=rf"{component}: the weights lack"):
        source_of(stable_diffusion)


@pytest.mark.parametrize(
    ("pipeline", "tensor", "is_missed"),
    [
        ("Flux2KleinPipeline", "vae/bn.running_var", True),
        ("Flux2KleinPipeline", "vae/bn.num_batches_tracked", False),
        pytest.param("Flux2KleinPipeline", "vae/bn.running_mean", True, marks=pytest.mark.long),
        pytest.param("StableDiffusion3Pipeline", "transformer/pos_embed.pos_embed", False, marks=pytest.mark.long),
    ],
)
def test_statistics_of_training_must_be_there_and_what_a_configuration_gives_need_not(
    pipeline: str, tensor: str, is_missed: bool, tmp_path: Path
) -> None:
    """The autoencoder of FLUX.2 would draw with a mean of 0 and a variance of 1."""
    CLASSES[pipeline]().save_pretrained(tmp_path)
    component, name = tensor.split("/")
    (file,) = (tmp_path / component).glob("*.safetensors")
    tensors = load_file(file)
    del tensors[name]
    save_file(tensors, file, {"format": "pt"})
    with pytest.raises(InputError, match=rf"{component}: the weights lack {name};") if is_missed else nullcontext():
        source_of(tmp_path)


@pytest.mark.parametrize("component", ["unet", "vae", "text_encoder"])
def test_a_tensor_that_the_configuration_does_not_use_is_bad_input(stable_diffusion: Path, component: str) -> None:
    """diffusers and transformers would draw without it, and only log it."""
    add_tensor(stable_diffusion / component, "encoder.further.weight")
    with pytest.raises(
        InputError, match=rf"{component}: .* without a place in .* \(1, such as encoder\.further\.weight\)"
    ):
        source_of(stable_diffusion)


def test_a_text_encoder_of_fewer_layers_than_its_weights_is_bad_input(stable_diffusion: Path) -> None:
    """The trick by which some people leave out the last layer: it is another model, so its weights must be saved as such."""
    file = stable_diffusion / "text_encoder" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "num_hidden_layers": 1}))
    with pytest.raises(InputError, match=r"text_encoder: .* such as .*layers\.1\."):
        source_of(stable_diffusion)


def test_a_head_beside_a_text_encoder_is_recorded_and_changes_no_image(stable_diffusion: Path) -> None:
    before = [image_bytes(i) for i in draw(source_of(stable_diffusion))]
    add_tensor(stable_diffusion / "text_encoder", "text_projection.weight")
    source = source_of(stable_diffusion)
    assert source.plan["not_used"] == {"text_encoder": ["text_projection.weight"]}
    assert [image_bytes(i) for i in draw(source)] == before


def test_the_numbers_of_quantized_layers_are_no_unused_tensors() -> None:
    """As bitsandbytes saves them in four and in eight bits. A layer that the model does not have is none of these."""
    modules = {"", "blocks", "blocks.0", "blocks.0.to_q"}
    for name in ("weight.absmax", "weight.quant_map", "weight.quant_state.bitsandbytes__nf4", "SCB", "weight_format"):
        assert is_of_quantization(f"blocks.0.to_q.{name}", modules)
        assert not is_of_quantization(f"blocks.7.to_q.{name}", modules)
    for name in ("blocks.0.to_q.weight", "blocks.0.new.weight", "blocks.0.to_q.bias"):
        assert not is_of_quantization(name, modules)


def add_tensor(component: Path, name: str) -> None:
    (file,) = component.glob("*.safetensors")
    save_file({**load_file(file), name: np.ones((2, 2), np.float32)}, file, {"format": "pt"})


@pytest.mark.parametrize(
    ("file", "field", "value"),
    [
        ("model_index.json", "_class_name", "MyPipeline"),
        ("model_index.json", "unet", ["diffusers", "NoSuchModel"]),
        ("unet/config.json", "block_out_channels", [16, 16]),
        ("text_encoder/config.json", "hidden_size", 64),
    ],
)
def test_a_model_that_cannot_be_loaded_is_bad_input(
    stable_diffusion: Path, file: str, field: str, value: object
) -> None:
    content = json.loads((stable_diffusion / file).read_text())
    (stable_diffusion / file).write_text(json.dumps({**content, field: value}))
    with pytest.raises(
        InputError,
        match=r"Pipeline cannot be loaded \(.*\); copy it again|has no model, .* 'NoSuchModel'|has no pipeline 'MyPipeline'",
    ):
        source_of(stable_diffusion)


def test_a_scheduler_that_diffusers_lacks_is_bad_input(stable_diffusion: Path) -> None:
    for name in ("NoSuchScheduler", "utils"):
        with pytest.raises(InputError, match=f"has no scheduler '{name}'"):
            source_of(stable_diffusion, scheduler=name)


def test_a_cpu_takes_float32_and_an_unknown_type_is_bad_input() -> None:
    assert str(dtype_for("cpu", "auto")) == "torch.float32"
    assert str(dtype_for("cpu", "bfloat16")) == "torch.bfloat16"
    with pytest.raises(InputError, match=r"settings\.dtype: 'int8' is not one of auto, float32"):
        dtype_for("cpu", "int8")


def test_a_model_without_its_safety_checker_still_draws(stable_diffusion: Path) -> None:
    index = stable_diffusion / "model_index.json"
    content = json.loads(index.read_text())
    content["safety_checker"] = ["stable_diffusion", "StableDiffusionSafetyChecker"]
    content["feature_extractor"] = ["transformers", "CLIPImageProcessor"]
    index.write_text(json.dumps(content))
    assert len(draw(source_of(stable_diffusion))) == 3


def test_a_tokenizer_that_needs_sentencepiece_says_so(tmp_path: Path) -> None:
    folder = save("pixart_sigma", tmp_path)
    for file in (folder / "tokenizer").glob("*"):
        if file.name != "tokenizer_config.json":
            file.unlink()
    (folder / "tokenizer" / "spiece.model").write_bytes(b"\x0a\x0e\x0a\x05<unk>\x15\x00\x00\x00\x00\x18\x02")
    with pytest.raises(InputError, match="sentencepiece"):
        source_of(folder)


def with_noise_in_its_steps(family: str, folder: Path) -> Path:
    file = save(family, folder) / "scheduler/scheduler_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "stochastic_sampling": True}))
    return folder


@pytest.mark.parametrize(
    ("family", "scheduler"),
    [
        ("flux", "FlowMatchLCMScheduler"),
        pytest.param("flux", None, marks=pytest.mark.long),
        pytest.param("stable_diffusion_3", "FlowMatchLCMScheduler", marks=pytest.mark.long),
        pytest.param("stable_diffusion_3", None, marks=pytest.mark.long),
    ],
)
def test_noise_that_a_step_draws_is_of_the_seed_if_the_pipeline_hands_on_no_generator(
    family: str, scheduler: str | None, tmp_path: Path
) -> None:
    folder = with_noise_in_its_steps(family, tmp_path) if scheduler is None else save(family, tmp_path)
    source = source_of(folder, steps=4, scheduler=scheduler)
    assert source.settings["noise_of_steps"] == "from the seed"
    images, state = draw(source), torch.get_rng_state()
    torch.manual_seed(1)
    assert [image_bytes(i) for i in draw(source)] == [image_bytes(i) for i in images]
    assert difference(images, draw(source, batch_size=1)) <= 1
    assert "step" not in vars(source.pipeline.scheduler)
    torch.set_rng_state(state)
    draw(source)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_generator_that_the_pipeline_hands_on_is_kept(stable_diffusion: Path) -> None:
    source = source_of(stable_diffusion, scheduler="EulerAncestralDiscreteScheduler")
    assert "noise_of_steps" not in source.settings
    call = {"num_inference_steps": 2, "guidance_scale": 7.5, "width": 64, "height": 64}
    alone = source.pipeline(PROMPT, generator=[torch.Generator("cpu").manual_seed(11)], **call).images
    assert image_bytes(next(iter(draw(source, batch_size=1)))) == image_bytes(alone[0])


def test_a_scheduler_that_takes_no_generator_is_refused(stable_diffusion: Path) -> None:
    with pytest.raises(InputError, match=r"settings\.scheduler: DPMSolverSDEScheduler takes no generator"):
        resolve_diffusers("tiny", str(stable_diffusion), None, {"scheduler": "DPMSolverSDEScheduler"})
    index = stable_diffusion / "model_index.json"
    content = {**json.loads(index.read_text()), "scheduler": ["diffusers", "DPMSolverSDEScheduler"]}
    index.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"model_index\.json, scheduler: DPMSolverSDEScheduler takes no generator"):
        resolve_diffusers("tiny", str(stable_diffusion), None, {})
    assert resolve_diffusers("tiny", str(stable_diffusion), None, {"scheduler": "DDIMScheduler"})


class Marker:
    """Stands for the watermark of diffusers on a machine that has the package invisible-watermark."""

    def apply_watermark(self, images: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(images)


@pytest.mark.parametrize(
    ("pipeline", "module"),
    [
        ("StableDiffusionXLPipeline", stable_diffusion_xl.pipeline_stable_diffusion_xl),
        pytest.param("StableDiffusionXLPAGPipeline", pag.pipeline_pag_sd_xl, marks=pytest.mark.long),
    ],
)
def test_no_watermark_is_written_whatever_is_installed(
    pipeline: str, module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from_pictures = stable_diffusion_xl.pipeline_stable_diffusion_xl_img2img
    folder = save("stable_diffusion_xl", tmp_path)
    index = folder / "model_index.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), "_class_name": pipeline}))
    for place in (module, from_pictures):
        monkeypatch.setattr(place, "is_invisible_watermark_available", lambda: True)
        monkeypatch.setattr(place, "StableDiffusionXLWatermarker", Marker, raising=False)
    marked = getattr(module, pipeline).from_pretrained(folder)
    assert isinstance(marked.watermark, Marker)
    source = source_of(folder)
    assert source.pipeline.watermark is None
    if module is not pag.pipeline_pag_sd_xl:
        assert taking_pictures(source.pipeline).watermark is None
