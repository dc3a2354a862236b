"""Any text-to-image pipeline of diffusers as a source of imitations. This module imports torch: import it only to make images."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import torch
from diffusers.utils import logging as diffusers_logging
from PIL.Image import Image
from transformers.utils import logging as transformers_logging

from audit_assets.errors import InputError
from audit_assets.generation.adapters import add_adapters
from audit_assets.generation.embeddings import add_embeddings
from audit_assets.generation.imitate import Upload
from audit_assets.generation.noise import from_seeds
from audit_assets.generation.pictures import takes_one_at_a_time, taking_pictures, with_picture
from audit_assets.generation.pipeline import load_pipeline
from audit_assets.models.devices import best_device, dtype_for, is_cuda
from audit_assets.models.files import loading
from audit_assets.models.pipelines import ResolvedModel
from audit_assets.models.tokenizers import lost_words, text_before, tokenizer_lengths, unread_words
from audit_assets.warehouse.images import BLOCKED

diffusers_logging.disable_progress_bar()
transformers_logging.disable_progress_bar()
_DENOISERS = ("unet", "transformer")
SMALL = 256 * 2**20
"""Bytes of weights. On a CPU, a smaller model draws with one thread, and further processes draw beside it (`helpers.py`): its operations are so
short that the threads of one process wait for one another (`make bench-generation`). The size of the weights decides, so that a model draws with the
same number of threads, hence the same bytes, whatever the number of cores."""


class DiffusersSource:
    """A loaded pipeline. Each image has its own CPU generator, so that a seed gives the same noise on every device (in the same number type)."""

    def __init__(self, resolved: ResolvedModel, device: str | None = None) -> None:
        self.settings = resolved.settings
        self._folder, self._class = resolved.path, str(resolved.pipeline_class)
        self.device = device or best_device()
        self.dtype = dtype_for(self.device, self.settings["dtype"])
        self.largest_batch: int | None = None
        """The largest batch that fits into memory. None until a batch did not fit."""
        self.pipeline, self._unused = load_pipeline(resolved, self.dtype)
        self._arguments = resolved.arguments
        scheduler = self.settings["scheduler"]
        if scheduler and scheduler != type(getattr(self.pipeline, "scheduler", None)).__name__:
            self.pipeline.scheduler = _scheduler(scheduler, self.pipeline)
        self._adapters = add_adapters(self.pipeline, resolved.lora)
        self._embeddings = add_embeddings(self.pipeline, resolved.embeddings)
        lengths = tokenizer_lengths(self.pipeline, self._arguments.get("max_sequence_length"))
        tokenizers = [(self.pipeline.components[name], length) for name, length in lengths.items()]
        with loading(self._folder, self._class):
            self._tokenizers = [(own, length, text_before(self.pipeline, own)) for own, length in tokenizers]
        self._place()
        self.cores = torch.get_num_threads()
        self.in_one_thread = self.device == "cpu" and _bytes(self.pipeline) < SMALL

    def _place(self) -> None:
        """Move the pipeline to the device, and compile it if the settings ask for it.

        `benchmarks/gpu.py` found on an H100 that channels_last is slower unless the model is compiled, so only a compiled UNet has it.
        """
        self.pipeline.set_progress_bar_config(disable=True)
        self.pipeline.to(self.device)
        if not self.settings["compile"]:
            return
        for name in _DENOISERS:
            if (network := getattr(self.pipeline, name, None)) is not None:
                if is_cuda(self.device) and self._is_compiled_unet:
                    network.to(memory_format=torch.channels_last)
                network.compile()

    @property
    def threads(self) -> int:
        """The threads of torch with which an image is drawn."""
        return 1 if self.in_one_thread else torch.get_num_threads()

    @property
    def _is_compiled_unet(self) -> bool:
        return bool(self.settings["compile"]) and getattr(self.pipeline, "unet", None) is not None

    @cached_property
    def _from_pictures(self) -> Any:
        """The pipeline that draws from pictures, of the same components. InputError if the model takes none."""
        return taking_pictures(self.pipeline)

    @property
    def plan(self) -> dict[str, Any]:
        """The settings, in addition to model, prompt, seed and batch, on which the bytes of an image depend, what adapters changed, and which tensors of text encoders no prompt passes."""
        return {
            **({"adapters": self._adapters} if self._adapters else {}),
            **({"embeddings": self._embeddings} if self._embeddings else {}),
            **({"not_used": self._unused} if self._unused else {}),
            "device": self.device.split(":")[0],
            "dtype": str(self.dtype).removeprefix("torch."),
            "threads": self.threads,
            **({"layout": "channels_last" if self._is_compiled_unet else "plain"} if is_cuda(self.device) else {}),
        }

    def lost_words(self, prompt: str) -> list[str]:
        """The words of a prompt that a tokenizer of the pipeline cuts off, or that none knows; empty if the whole prompt is read."""
        for tokenizer, length, before in self._tokenizers:
            # A token of several vectors is several tokens.
            converted = getattr(self.pipeline, "maybe_convert_prompt", lambda prompt, tokenizer: prompt)(
                prompt, tokenizer
            )
            if words := lost_words(tokenizer, converted, length, before):
                return words
        return unread_words([tokenizer for tokenizer, _, _ in self._tokenizers], prompt)

    def generate(
        self, prompts: Sequence[str], seeds: Sequence[int], *, batch_size: int, upload: Upload | None = None
    ) -> Iterator[Image]:
        """One image per prompt and seed, in order, in batches of `batch_size`; with an `upload`, from this picture too.

        If a batch does not fit into memory, its size is halved for this and all later batches. No image is lost, and the
        next process finds the same size. InputError if not even one image fits.
        """
        if upload is not None and takes_one_at_a_time(self._from_pictures):
            batch_size = 1
        start = 0
        while start < len(prompts):
            size = min(batch_size, self.largest_batch or batch_size)
            images = self._drawn(prompts[start : start + size], seeds[start : start + size], upload)
            if images is None:
                if size == 1:
                    raise InputError(
                        f"settings: one image of {self.settings['size']} pixels does not fit into the memory of {self.device}; choose a smaller size or dtype, or a larger device."
                    )
                self.largest_batch = size // 2
                continue
            yield from images
            start += size

    @torch.inference_mode()
    def _drawn(self, prompts: Sequence[str], seeds: Sequence[int], upload: Upload | None = None) -> list[Image] | None:
        """One batch. If memory does not suffice, the memory is freed and the result is None."""
        pipeline, arguments = self.pipeline, dict(self._arguments)
        if upload is not None:
            pipeline = self._from_pictures
            arguments = with_picture(pipeline, arguments, upload, len(prompts))
        if "negative_prompt" in arguments:
            arguments["negative_prompt"] = [arguments["negative_prompt"]] * len(prompts)
        generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
        try:
            with _in_threads(self.threads), from_seeds(pipeline, generators, self.device):
                made = pipeline(prompt=list(prompts), generator=generators, output_type="pil", **arguments)
        except (InputError, MemoryError):
            raise
        except Exception as error:  # each pipeline raises its own
            if not _is_out_of_memory(error):
                said = next((line for line in str(error).splitlines() if line.strip()), "without a word")
                what = "from a prompt alone" if upload is None else f"from a picture as {type(pipeline).__name__}"
                raise InputError(
                    f"{self._folder}: {self._class} does not draw {what} with these settings "
                    f"({type(error).__name__}: {said}); correct `settings`, or give a text-to-image pipeline."
                ) from error
        else:
            return self._images(made, len(prompts))
        # This must come after the handler, because the error's traceback keeps the tensors in memory.
        if is_cuda(self.device):
            torch.cuda.empty_cache()
        return None

    def _images(self, made: Any, count: int) -> list[Image]:
        """The images of a call. InputError if it made something else, another number of images, or images of another size."""
        images = getattr(made, "images", getattr(made, "image", None))
        if not isinstance(images, list) or not all(isinstance(image, Image) for image in images):
            fields = ", ".join(made.keys()) if hasattr(made, "keys") else type(made).__name__
            raise InputError(
                f"{self._folder}: {self._class} returns {fields}, not a list of images; give a text-to-image pipeline."
            )
        if len(images) != count:
            raise InputError(f"{self._folder}: {self._class} drew {len(images)} images for {count} prompts.")
        asked = (self._arguments.get("width"), self._arguments.get("height"))
        other = next((image.size for image in images if None not in asked and image.size != asked), None)
        if other is not None:
            raise InputError(
                f"settings.size: {self._class} draws {other[0]} x {other[1]} pixels if it is asked for "
                f"{asked[0]} x {asked[1]}; give a size that it draws."
            )
        flagged = getattr(made, "nsfw_content_detected", getattr(made, "nsfw_detected", None))
        for image, blocked in zip(images, [False] * count if flagged is None else flagged, strict=True):
            if blocked:
                image.info[BLOCKED] = True
        return images


@contextmanager
def _in_threads(wanted: int) -> Iterator[None]:
    """Let torch use so many threads inside the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(wanted)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _bytes(pipeline: Any) -> int:
    """The size of all weights of a pipeline in memory. A weight that two parts share counts once."""
    networks = [part for part in pipeline.components.values() if isinstance(part, torch.nn.Module)]
    weights = {id(weight): weight for network in networks for weight in network.parameters()}
    return sum(weight.numel() * weight.element_size() for weight in weights.values())


def _is_out_of_memory(error: Exception) -> bool:
    """Whether memory did not suffice. CUDA has a class for this error; for MPS and CPU only the text of the error shows it."""
    said = str(error).lower()
    return isinstance(error, RuntimeError) and ("out of memory" in said or "can't allocate memory" in said)


def _scheduler(name: str, pipeline: Any) -> Any:
    """The scheduler of this name, with the configuration of the pipeline's own. InputError if it is of another kind than that."""
    import diffusers

    found = getattr(diffusers, name, None)
    if not isinstance(found, type) or not issubclass(found, diffusers.SchedulerMixin):
        raise InputError(
            f"settings.scheduler: diffusers has no scheduler {name!r}; give a class name such as DDIMScheduler."
        )
    own = pipeline.scheduler
    if _is_flow(type(own), own.config) != _is_flow(found, own.config):
        raise InputError(
            f"settings.scheduler: {name} does not fit a model that was saved with {type(own).__name__}: one of the two draws by "
            "flow matching, and the other does not; leave the setting out."
        )
    new: Any = found
    return new.from_config(own.config)


def _is_flow(scheduler: type[Any], config: Any) -> bool:
    """Whether a scheduler draws by flow matching. A model that was trained for it draws noise with any other, and the reverse."""
    by_its_configuration = config.get("use_flow_sigmas") or config.get("prediction_type") == "flow_prediction"
    return "FlowMatch" in scheduler.__name__ or bool(by_its_configuration)
