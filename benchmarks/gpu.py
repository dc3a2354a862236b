"""Measure a GPU on models with random weights: denoisers and decoders of diffusers, and image encoders of transformers.

    make bench-generation GPU=1                          at most eight minutes, on a machine with torch, diffusers and transformers
    python -m benchmarks.gpu --device cpu --scale 0.05   the same, small, to try it

This project need not be installed: only a clone is needed. The sizes are those of Stable Diffusion 1.5 (860 M parameters in the UNet), SDXL (2.6 B)
and the transformer of Stable Diffusion 3 (2 B). No weights are downloaded, because speed does not depend on their values. Prompts enter as
random embeddings: a text encoder runs once per prompt, and takes less than a hundredth of the time.

A call makes a batch as an audit does: one CPU generator per image, guidance by a negative prompt. The weights lie in channels_last, and once in the
plain layout. The time of a step is the difference of calls with few and with more steps; an image takes all steps and one decoding. Torch counts the
FLOPs. The bound is 800 TFLOP/s, an H100's data sheet less a fifth. Measurements that do not fit into the time, and models that fail, are listed by
name. `python -m benchmarks.page --gpu FILE` puts the result on the page.
"""

import argparse
import gc
import json
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.machine import load, machine
from benchmarks.results import FOLDER, Results

BOUND = 800e12
"""FLOP/s of an H100 in half precision, dense, as its data sheet has it less a fifth."""
BATCHES = (1, 2, 4, 8, 16, 32)
FEW, MORE = 2, 6
"""Steps of the two calls whose difference is the time of a step."""
Call = Callable[[int], object]


@dataclass(frozen=True)
class Size:
    """One kind of model: how it is built, the pixels and steps of an image, and the widths of its prompt embeddings."""

    build: Callable[[float], Any]
    pixels: int
    steps: int
    words: int
    tokens: int = 77
    pooled: int = 0


def _width(channels: int, scale: float, unit: int = 64) -> int:
    return max(unit, int(channels * scale) // unit * unit)


def _vae(scale: float, latents: int) -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=tuple(_width(c, scale) for c in (128, 256, 512, 512)),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
        latent_channels=latents,
        use_quant_conv=latents == 4,
        use_post_quant_conv=latents == 4,
    )


def _scheduler(kind: type[Any], **settings: Any) -> Any:
    """A scheduler whose tables lie in the CPU's memory, as those of a loaded pipeline do: some fail with tables on a GPU."""
    with torch.device("cpu"):
        return kind(**settings)


def stable_diffusion(scale: float) -> Any:
    """The shapes of Stable Diffusion 1.5, without its text encoder."""
    from diffusers import DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel

    unet = UNet2DConditionModel(
        sample_size=64,
        block_out_channels=tuple(_width(c, scale) for c in (320, 640, 1280, 1280)),
        cross_attention_dim=768,
        attention_head_dim=8,
    )
    return StableDiffusionPipeline(
        _vae(scale, 4),
        None,
        None,
        unet,
        _scheduler(DDIMScheduler, steps_offset=1, clip_sample=False),
        None,
        None,
        requires_safety_checker=False,
    )


def sdxl(scale: float) -> Any:
    """The shapes of Stable Diffusion XL, without its text encoders."""
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel

    widths = tuple(_width(c, scale) for c in (320, 640, 1280))
    unet = UNet2DConditionModel(
        sample_size=128,
        block_out_channels=widths,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 2, 10),
        attention_head_dim=tuple(max(1, w // 64) for w in widths),
        cross_attention_dim=2048,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=256,
        projection_class_embeddings_input_dim=2816,
    )
    return StableDiffusionXLPipeline(
        _vae(scale, 4), None, None, None, None, unet, _scheduler(EulerDiscreteScheduler), add_watermarker=False
    )


def dit(scale: float) -> Any:
    """The shapes of Stable Diffusion 3 medium, a diffusion transformer of 2 B parameters, without its text encoders."""
    from diffusers import FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel, StableDiffusion3Pipeline

    transformer = SD3Transformer2DModel(
        sample_size=128,
        num_layers=max(1, round(24 * scale)),
        num_attention_heads=max(1, round(24 * scale)),
        attention_head_dim=64,
        caption_projection_dim=64 * max(1, round(24 * scale)),
        joint_attention_dim=4096,
        pooled_projection_dim=2048,
        pos_embed_max_size=192,
    )
    scheduler = _scheduler(FlowMatchEulerDiscreteScheduler, shift=3.0)
    return StableDiffusion3Pipeline(transformer, scheduler, _vae(scale, 16), None, None, None, None, None, None)


SIZES = {
    "SD 1.5": Size(stable_diffusion, 512, 50, 768),
    "SDXL": Size(sdxl, 1024, 50, 2048, pooled=1280),
    "DiT of 2 B": Size(dit, 1024, 28, 4096, tokens=154, pooled=2048),
}


def _clip(scale: float) -> Any:
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    return CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=_width(1024, scale), intermediate_size=_width(4096, scale), num_hidden_layers=max(1, round(24 * scale)),
            num_attention_heads=_width(1024, scale) // 64, patch_size=14, image_size=224, projection_dim=768,
        )
    )  # fmt: skip


def _dinov2(scale: float) -> Any:
    from transformers import Dinov2Config, Dinov2Model

    return Dinov2Model(
        Dinov2Config(
            hidden_size=_width(1024, scale), num_hidden_layers=max(1, round(24 * scale)), num_attention_heads=_width(1024, scale) // 64,
            patch_size=14, image_size=224,
        )
    )  # fmt: skip


ENCODERS = {"CLIP ViT-L/14": _clip, "DINOv2 ViT-L/14": _dinov2}


class Budget:
    """The time that is left. What does not fit, and what fails, is remembered by name."""

    def __init__(self, minutes: float) -> None:
        self.ends, self.skipped, self.failed = time.monotonic() + 60 * minutes, list[str](), list[str]()

    def allows(self, what: str, seconds: float = 15) -> bool:
        if time.monotonic() + seconds <= self.ends:
            return True
        self.skipped.append(what)
        return False


def is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in str(error).lower()


def largest(call: Call, start: int) -> int:
    """The largest batch that fits: ``start``, halved until the call ends. RuntimeError if one image does not fit."""
    batch = start
    while True:
        try:
            call(batch)
            return batch
        except RuntimeError as error:
            if not is_out_of_memory(error) or batch == 1:
                raise
        # After the handler, because the error's traceback keeps the tensors in memory.
        batch //= 2
        _free()


def _free() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def seconds(call: Callable[[], object], device: str, turns: int = 2) -> float:
    """The fastest of some turns by the clock, after one that does not count."""

    def finished() -> float:
        call()
        if device.startswith("cuda"):
            torch.cuda.synchronize()
        return time.perf_counter()

    finished()
    times = []
    for _ in range(turns):
        began = time.perf_counter()
        times.append(finished() - began)
    return min(times)


class Drawn:
    """A pipeline with random weights on a device."""

    def __init__(self, size: Size, device: str, scale: float, pixels: int) -> None:
        torch.manual_seed(1)
        with torch.device(device):
            self.pipeline = size.build(scale)
        self.size, self.device, self.pixels = size, device, pixels
        self.pipeline.set_progress_bar_config(disable=True)
        self.network = getattr(self.pipeline, "unet", None) or self.pipeline.transformer

    def to(self, dtype: torch.dtype, memory_format: torch.memory_format = torch.channels_last) -> None:
        self.dtype = dtype
        self.pipeline.to(device=self.device, dtype=dtype)
        for part in (self.network, self.pipeline.vae):
            part.to(memory_format=memory_format)

    @torch.inference_mode()
    def latents(self, batch: int, steps: int) -> Any:
        some: dict[str, Any] = {"device": self.device, "dtype": self.dtype}
        words = torch.randn(batch, self.size.tokens, self.size.words, **some)
        asked: dict[str, Any] = {"prompt_embeds": words, "negative_prompt_embeds": words}
        if self.size.pooled:
            pooled = torch.randn(batch, self.size.pooled, **some)
            asked |= {"pooled_prompt_embeds": pooled, "negative_pooled_prompt_embeds": pooled}
        generators = [torch.Generator("cpu").manual_seed(seed) for seed in range(batch)]
        return self.pipeline(
            **asked, generator=generators, num_inference_steps=steps, guidance_scale=5.0,
            width=self.pixels, height=self.pixels, output_type="latent",
        ).images  # fmt: skip

    @torch.inference_mode()
    def decoded(self, latents: Any) -> Any:
        return self.pipeline.vae.decode(latents).sample

    def flops(self) -> float:
        """Of one image: all steps with guidance, and the decoding."""
        with FlopCounterMode(display=False) as of_a_step:
            latents = self.latents(1, 1)
        with FlopCounterMode(display=False) as of_decoding:
            self.decoded(latents)
        return float(self.size.steps * of_a_step.get_total_flops() + of_decoding.get_total_flops())

    def rate(self, batch: int) -> float:
        """Images per second, of batches."""
        few, more = (seconds(partial(self.latents, batch, n), self.device) for n in (FEW, MORE))
        step = max(more - few, 1e-9) / (MORE - FEW)
        latents = self.latents(batch, 1)
        decoding = seconds(lambda: self.decoded(latents), self.device)
        return batch / (few + step * (self.size.steps - FEW) + decoding)


def drawing(results: Results, budget: Budget, name: str, chosen: argparse.Namespace) -> None:
    """One kind of model in every precision and batch, and then compiled at the fastest batch."""
    drawn = Drawn(SIZES[name], chosen.device, chosen.scale, chosen.pixels or SIZES[name].pixels)
    parameters = sum(p.numel() for p in drawn.network.parameters()) / 1e6
    results.reported(f"{name}: million parameters of the denoiser", parameters)
    rates: dict[tuple[str, int], float] = {}
    flops = 0.0
    for precision in chosen.precisions:
        drawn.to(getattr(torch, precision))
        if not budget.allows(f"{name}, {precision}"):
            continue
        flops = flops or drawn.flops()
        most = largest(lambda batch: drawn.decoded(drawn.latents(batch, 1)), max(chosen.batches))
        results.reported(f"{name}, {precision}: largest batch that fits, of {max(chosen.batches)}", most)
        for batch in (b for b in chosen.batches if b <= most):
            what = f"{name}, {precision}, batch {batch}"
            if budget.allows(what):
                rates[precision, batch] = drawn.rate(batch)
                results.reported(f"{what}: images/s", rates[precision, batch])
    if not rates:
        return
    (precision, batch), eager = max(rates.items(), key=lambda item: item[1])
    what = f"{name}, {precision}, batch {batch}, without channels_last"
    if budget.allows(what):
        drawn.to(getattr(torch, precision), torch.contiguous_format)
        results.reported(f"{what}: images/s, beside with it", drawn.rate(batch), eager)
    what = f"{name}, {precision}, batch {batch}, compiled"
    best = eager
    if budget.allows(what, 75):
        drawn.to(getattr(torch, precision))
        drawn.network.compile(backend=chosen.backend)
        began = time.perf_counter()
        drawn.latents(batch, 1)
        results.reported(f"{what}: seconds of the first call", time.perf_counter() - began)
        rate = drawn.rate(batch)
        results.reported(f"{what}: images/s, beside not compiled", rate, eager)
        best = max(best, rate)
    results.reported(f"{name}: TFLOP an image", flops / 1e12)
    results.reported(f"{name}: share of 800 TFLOP/s", best * flops / BOUND)
    if (precision, 1) in rates:
        metric = f"{name}: best images/s against one image a call in {precision}"
        if chosen.scale == 1 and chosen.device.startswith("cuda"):
            results.ratio(metric, best, rates[precision, 1], best / rates[precision, 1], 1.0)
        else:
            results.reported(metric, best, rates[precision, 1])


@torch.inference_mode()
def encoding(results: Results, budget: Budget, name: str, chosen: argparse.Namespace) -> None:
    """Images of 224 pixels from tensors of bytes in the CPU's memory, without the decoding of files."""
    precision = chosen.precisions[-1]
    if not budget.allows(f"{name}, {precision}"):
        return
    torch.manual_seed(1)
    with torch.device(chosen.device):
        model = ENCODERS[name](chosen.scale)
    model = model.to(getattr(torch, precision)).eval()
    batch = 8 * max(chosen.batches)
    pixels = torch.randint(0, 256, (batch, 3, 224, 224), dtype=torch.uint8)

    def embedded(images: int) -> Any:
        shown = pixels[:images].to(chosen.device).to(getattr(torch, precision)) / 127.5 - 1
        return model(pixel_values=shown)[0].cpu()

    with FlopCounterMode(display=False) as counted:
        embedded(1)
    batch = largest(embedded, batch)
    rate = batch / seconds(lambda: embedded(batch), chosen.device)
    results.reported(f"{name}, {precision}, batch {batch}: images/s", rate)
    results.reported(f"{name}: share of 800 TFLOP/s", rate * counted.get_total_flops() / BOUND)


def measure(results: Results, budget: Budget, chosen: argparse.Namespace) -> None:
    """Measure every model. One that fails stops itself alone: what was measured before is kept."""
    parts: dict[str, Callable[..., None]] = {**dict.fromkeys(SIZES, drawing), **dict.fromkeys(ENCODERS, encoding)}
    for name, part in parts.items():
        if name in ENCODERS or budget.allows(name, 30):
            try:
                part(results, budget, name, chosen)
            except Exception as error:
                traceback.print_exc()
                budget.failed.append(f"{name} ({type(error).__name__}: {str(error).splitlines()[0]})")
        # After the handler, because the error's traceback keeps the tensors in memory.
        torch._dynamo.reset()
        _free()
    for what in budget.skipped:
        print(f"no time was left for: {what}", file=sys.stderr)
    for what in budget.failed:
        print(f"failed: {what}", file=sys.stderr)
    results.reported("measurements for which no time was left", len(budget.skipped))
    results.reported("models that failed", len(budget.failed))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1, mps, cpu")
    parser.add_argument("--scale", type=float, default=1.0, help="width and depth of every model")
    parser.add_argument("--pixels", type=int, help="of every image, in place of the model's own")
    parser.add_argument("--batches", type=int, nargs="+", default=list(BATCHES))
    parser.add_argument("--precisions", nargs="+", default=["float16", "bfloat16"])
    parser.add_argument("--backend", default="inductor", help="of torch.compile")
    parser.add_argument("--minutes", type=float, default=7.5, help="what does not fit into them is listed")
    parser.add_argument("--output", type=Path, default=FOLDER / "gpu.json")
    chosen = parser.parse_args()
    if chosen.device.startswith("cuda") and not torch.cuda.is_available():
        print("torch finds no CUDA device; give --device, or install a build of torch for CUDA.", file=sys.stderr)
        return 2
    began, before, budget = time.time(), load(), Budget(chosen.minutes)
    results = Results("gpu", "as said")
    measure(results, budget, chosen)
    code = results.finish(chosen.output)
    stage = {
        "machine": machine(),
        "started": time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(began)),
        "seconds": round(time.time() - began),
        "load_before": before,
        "finished": True,
        "met": code == 0 and not budget.failed,
        "not_run": [*budget.skipped, *budget.failed],
        "rows": json.loads(chosen.output.read_text(encoding="utf-8")),
    }
    chosen.output.write_text(json.dumps(stage, indent=1) + "\n", encoding="utf-8")
    return code or len(budget.failed)


if __name__ == "__main__":
    sys.exit(main())
