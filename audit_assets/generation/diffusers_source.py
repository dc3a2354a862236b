"""Any text-to-image pipeline of diffusers as a source of imitations. Imports torch: load it only to make images."""

import inspect
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from diffusers import DiffusionPipeline
from diffusers.utils import logging as diffusers_logging
from PIL.Image import Image
from transformers.utils import logging as transformers_logging

from audit_assets.errors import InputError
from audit_assets.generation.registry import ResolvedModel, left_out
from audit_assets.model_files import tokenizers_of

diffusers_logging.disable_progress_bar()
transformers_logging.disable_progress_bar()
_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def best_device() -> str:
    return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"


def dtype_for(device: str, name: str) -> torch.dtype:
    """`auto`: bfloat16 where the GPU has it, float16 on an older one, float32 on a CPU (half types fail in its layers)."""
    if name != "auto":
        if name not in _DTYPES:
            raise InputError(f"settings.dtype: {name!r} is not one of auto, {', '.join(_DTYPES)}.")
        return _DTYPES[name]
    if device == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return torch.float32


class DiffusersSource:
    """A loaded pipeline. One CPU generator an image, so that a seed means the same on every device."""

    def __init__(self, resolved: ResolvedModel, device: str | None = None) -> None:
        self.settings = resolved.settings
        self.device = device or best_device()
        dtype = dtype_for(self.device, self.settings["dtype"])
        with tokenizers_of(resolved.path):
            self.pipeline = DiffusionPipeline.from_pretrained(
                resolved.path,
                dtype=dtype,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                **dict.fromkeys(left_out(resolved.path)),
            )
        self.pipeline.set_progress_bar_config(disable=True)
        self.pipeline.to(self.device)
        if scheduler := self.settings["scheduler"]:
            self.pipeline.scheduler = _scheduler(scheduler).from_config(self.pipeline.scheduler.config)
        for name in ("unet", "vae"):
            if self.device == "cuda" and getattr(self.pipeline, name, None) is not None:
                getattr(self.pipeline, name).to(memory_format=torch.channels_last)
        self._takes = set(inspect.signature(self.pipeline.__call__).parameters)
        if "prompt" not in self._takes:
            raise InputError(
                f"{resolved.path}: {type(self.pipeline).__name__} takes no prompt, so a name cannot be asked for."
            )
        self.plan = {"device": self.device, "dtype": str(dtype), "threads": torch.get_num_threads()}

    def _arguments(self) -> dict[str, Any]:
        s = self.settings
        wanted = {
            "num_inference_steps": s["steps"],
            "guidance_scale": s["guidance"],
            "width": s["size"],
            "height": s["size"],
            "negative_prompt": s["negative_prompt"],
            "max_sequence_length": s["max_sequence_length"],
            # PixArt would draw at the nearest size it was trained on, and rewrite the prompt where Beautiful Soup is there.
            "use_resolution_binning": False,
            "clean_caption": False,
        }
        return {k: v for k, v in wanted.items() if k in self._takes and v is not None}

    @torch.inference_mode()
    def generate(self, prompts: Sequence[str], seeds: Sequence[int], *, batch_size: int) -> Iterator[Image]:
        """One image a prompt and seed, in order, `batch_size` at a time; the batch is halved where a GPU runs out of memory."""
        arguments = self._arguments()
        start = 0
        while start < len(prompts):
            batch = slice(start, start + batch_size)
            generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds[batch]]
            extra = (
                {"negative_prompt": [arguments["negative_prompt"]] * len(generators)}
                if "negative_prompt" in arguments
                else {}
            )
            try:
                images = self.pipeline(
                    prompt=list(prompts[batch]), generator=generators, output_type="pil", **{**arguments, **extra}
                ).images
            except torch.OutOfMemoryError:
                if batch_size == 1:
                    raise
                torch.cuda.empty_cache()
                batch_size //= 2
                continue
            yield from images
            start += batch_size


def _scheduler(name: str) -> Any:
    import diffusers

    found = getattr(diffusers, name, None)
    if found is None or not hasattr(found, "from_config"):
        raise InputError(
            f"settings.scheduler: diffusers has no scheduler {name!r}; give a class name such as DDIMScheduler."
        )
    return found
