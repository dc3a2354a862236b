"""A loaded encoder, which turns images, and for some kinds texts, into unit vectors. This module imports torch: import it only to embed."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

import numpy as np
import torch
import transformers
from PIL import Image
from transformers import AutoConfig, AutoImageProcessor
from transformers.image_processing_backends import PilBackend
from transformers.utils import logging as transformers_logging

from audit_assets.errors import InputError
from audit_assets.models.architectures import Output
from audit_assets.models.devices import best_device, is_cuda
from audit_assets.models.encoders import ResolvedEncoder, processor_settings
from audit_assets.models.files import loading
from audit_assets.models.pretrained import SAFE, SAFE_WEIGHTS
from audit_assets.models.timm import TIMM, classifiers
from audit_assets.models.tokenizers import LabelTokenizer
from audit_assets.untrusted.layout import used_variant, weights_by_variant
from audit_assets.untrusted.weights import read_json

transformers_logging.disable_progress_bar()
P = ParamSpec("P")
R = TypeVar("R")


class _HasFolder(Protocol):
    folder: Path


T = TypeVar("T", bound=_HasFolder)


def _names_its_folder(method: Callable[Concatenate[T, P], R]) -> Callable[Concatenate[T, P], R]:
    """Turn every error of the libraries into an InputError: a tokenizer or processor can load and still fail at its first text or image."""

    @wraps(method)
    def used(self: T, *args: P.args, **kwargs: P.kwargs) -> R:
        with loading(self.folder, "the encoder", "used"):
            return method(self, *args, **kwargs)

    return used


class TransformersEncoder:
    """An encoder in half precision on a GPU and in float32 on a CPU; the type in the file does not matter. Its processor uses PIL, because torchvision gives other values."""

    def __init__(self, resolved: ResolvedEncoder, device: str | None = None, dtype: torch.dtype | None = None) -> None:
        self.kind = resolved.kind
        self.folder = resolved.path
        self.device = device or best_device()
        self.dtype = dtype or (torch.float16 if is_cuda(self.device) else torch.float32)
        if resolved.pooling is None:
            raise ValueError(f"{resolved.path} is a plug-in, which transformers does not load")
        self.pooling = resolved.pooling
        with loading(resolved.path, "the encoder"):
            loads = getattr(transformers, self.pooling.loaded_by)
            variant = used_variant(weights_by_variant(p.name for p in resolved.path.iterdir()), None)
            model, loaded = loads.from_pretrained(
                resolved.path,
                dtype=self.dtype,
                variant=variant,
                output_loading_info=True,
                **({"config": _of_timm(resolved.path)} if resolved.family == TIMM else {}),
                **self.pooling.options,
                **SAFE_WEIGHTS,
            )
            _check_loaded(resolved, type(model).__name__, loaded)
            self.processor = _pil_processor(resolved)
            self.tokenizer = (
                LabelTokenizer(resolved.path, lower_case=resolved.lower_case) if self.kind == "image_text" else None
            )
        self.model = model.to(self.device).eval()
        with loading(resolved.path, "the encoder"):
            self._check_one(resolved)

    def _check_one(self, resolved: ResolvedEncoder) -> None:
        """Embed one image and one text, so that an encoder whose parts do not fit one another is refused before the work starts."""
        found = {"image": self.embed_images([Image.new("RGB", (64, 48), "grey")])}
        if self.tokenizer is not None:
            found["text"] = self.embed_texts(["art"])
        for what, vector in found.items():
            if vector.shape != (1, resolved.dimension):
                raise InputError(
                    f"{resolved.path}: the vector of one {what} has the shape {vector.shape}, and {resolved.layer} has {resolved.dimension} "
                    "outputs; copy the encoder again."
                )

    @_names_its_folder
    @torch.inference_mode()
    def embed_images(self, images: Sequence[Image.Image], batch_size: int = 50) -> np.ndarray:
        """Unit vectors (n, d), float32."""
        out = []
        for start in range(0, len(images), batch_size):
            prepared = self.processor(images=list(images[start : start + batch_size]), return_tensors="pt")
            # SigLIP 2 also has a mask and shapes in addition to its patches; only floating-point tensors get the dtype.
            inputs = {
                k: v.to(self.device, self.dtype if v.is_floating_point() else v.dtype) for k, v in prepared.items()
            }
            out.append(_unit(OUTPUTS[self.pooling.output](self.model, inputs)))
        return np.concatenate(out) if out else np.zeros((0, 0), np.float32)

    @_names_its_folder
    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors (n, d), float32. Every text is padded to the full length, so that its vector does not depend on the other texts of the batch."""
        if self.tokenizer is None:
            raise InputError(f"{self.folder}: an image-only encoder embeds no text; use an encoder of kind image_text")
        tokens = self.tokenizer.own(
            [self.tokenizer.as_trained(text) for text in texts],
            padding="max_length",
            truncation=True,
            max_length=self.tokenizer.length,
            return_tensors="pt",
        ).to(self.device)
        wanted = {k: v for k, v in tokens.items() if k in ("input_ids", "attention_mask")}
        if str(self.model.config.model_type).startswith("siglip"):
            wanted.pop("attention_mask", None)  # SigLIP was trained to read its padding
        return _unit(self.model.get_text_features(**wanted).pooler_output)

    @_names_its_folder
    def lost_words(self, text: str) -> list[str]:
        """The words of a text that the encoder does not read: the tokenizer does not know them, or cuts them off."""
        return [] if self.tokenizer is None else self.tokenizer.lost_words(text)


OUTPUTS: Mapping[Output, Callable[[Any, Mapping[str, torch.Tensor]], torch.Tensor]] = {
    "get_image_features": lambda model, inputs: model.get_image_features(**inputs).pooler_output,
    "image_embeds": lambda model, inputs: model(**inputs).image_embeds,
    "pooler_output": lambda model, inputs: model(**inputs).pooler_output.flatten(1),
    "class token": lambda model, inputs: model(**inputs).last_hidden_state[:, 0],
    "mean of patches": lambda model, inputs: model(**inputs).last_hidden_state.mean(dim=1),
}
"""How each output of `models.architectures` is read from a model."""

_PREPARES_PIL_IMAGES = {"TimmWrapperImageProcessor"}
"""Processors that need torchvision, and resize with PIL because they are given images of PIL."""
_PIL_IN_PLACE_OF = {"DINOv3ViTImageProcessor": "ViTImageProcessorPil"}
"""Image processors that transformers has for torchvision alone, and the PIL processor with the same steps."""


def _pil_processor(resolved: ResolvedEncoder) -> Any:
    said = str(processor_settings(resolved.path).get("image_processor_type") or "").removesuffix("Fast")
    if said in _PIL_IN_PLACE_OF:
        processor = getattr(transformers, _PIL_IN_PLACE_OF[said]).from_pretrained(resolved.path, **SAFE)
    else:
        processor = AutoImageProcessor.from_pretrained(resolved.path, backend="pil", **SAFE)
    if not isinstance(processor, PilBackend) and type(processor).__name__ not in _PREPARES_PIL_IMAGES:
        raise InputError(
            f"{resolved.path}: its image processor {type(processor).__name__} works with torchvision alone, whose pixels differ from "
            "those of PIL that all encoders of an audit are given; give another encoder, or write a plug-in (docs/models.md)."
        )
    return processor


_NOT_USED = re.compile(
    r"(\w+\.)?(classifier|cls_classifier|distillation_classifier|head|lm_head|decoder|decode_head|auxiliary_head|fpn|pooler|mask_token)(\.|$)"
)
"""Parts of a checkpoint that no vector passes: heads for other tasks."""
_OF_TEXTS = re.compile(r"(\w+\.)?(text_model|text_projection|logit_scale|logit_bias)(\.|$)")
"""The text tower beside a vision tower. An encoder that reads names passes it."""


def _of_timm(folder: Path) -> Any:
    """The configuration of a model of timm. timm writes the number of classes twice, and transformers sets it itself."""
    config = AutoConfig.from_pretrained(folder, **SAFE)
    arguments = dict(getattr(config, "model_args", None) or {})
    arguments.pop("num_classes", None)
    config.model_args = arguments or None
    return config


def _check_loaded(resolved: ResolvedEncoder, loaded_as: str, loaded: dict[str, Any]) -> None:
    """InputError if the weights lack a tensor that the vector passes, which transformers draws at random, or have one that no part of the model takes."""
    if missing := sorted(loaded["missing_keys"]):
        raise InputError(
            f"{resolved.path}: the weights lack {missing[0]}; copy the model again, or correct config.json."
        )
    unused = (_NOT_USED,) if resolved.kind == "image_text" else (_NOT_USED, _OF_TEXTS)
    if resolved.family == TIMM:
        heads = classifiers(read_json(resolved.path / "config.json"))
        unused = (*unused, *(re.compile(rf"(timm_model\.)?{re.escape(head)}\.") for head in heads))
    unknown = [name for name in sorted(loaded["unexpected_keys"]) if not any(part.match(name) for part in unused)]
    if unknown:
        raise InputError(
            f"{resolved.path}: the weights have {len(unknown)} tensors that {loaded_as} does not know, such as {unknown[0]}; config.json "
            "describes another model, so copy the one that belongs to these weights."
        )


def _unit(features: torch.Tensor) -> np.ndarray:
    return torch.nn.functional.normalize(features.float(), dim=-1).cpu().numpy()
