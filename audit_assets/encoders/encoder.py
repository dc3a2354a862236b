"""A loaded encoder, which turns images, and for some kinds texts, into unit vectors. This module imports torch: import it only to embed."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL.Image import Image
from transformers import AutoImageProcessor, AutoModel, AutoTokenizer
from transformers.image_processing_backends import PilBackend
from transformers.utils import logging as transformers_logging

from audit_assets.errors import InputError
from audit_assets.models.devices import best_device, is_cuda
from audit_assets.models.encoders import ResolvedEncoder
from audit_assets.models.files import loading
from audit_assets.models.pretrained import SAFE, SAFE_WEIGHTS
from audit_assets.models.tokenizers import check_vocabulary, lost_words

transformers_logging.disable_progress_bar()


class TransformersEncoder:
    """An encoder in half precision on a GPU and in float32 on a CPU; the type in the file does not matter. Its processor uses PIL, because torchvision gives other values."""

    def __init__(self, resolved: ResolvedEncoder, device: str | None = None, dtype: torch.dtype | None = None) -> None:
        self.kind = resolved.kind
        self.device = device or best_device()
        self.dtype = dtype or (torch.float16 if is_cuda(self.device) else torch.float32)
        with loading(resolved.path, "the encoder"):
            model, loaded = AutoModel.from_pretrained(
                resolved.path, dtype=self.dtype, output_loading_info=True, **SAFE_WEIGHTS
            )
            self._pools = _check_loaded(resolved, loaded)
            self.processor = _pil_processor(resolved)
            self.tokenizer: Any = (
                AutoTokenizer.from_pretrained(resolved.path, **SAFE) if self.kind == "image_text" else None
            )
            if self.tokenizer is not None:
                check_vocabulary(resolved.path, self.tokenizer)
        self.model = model.to(self.device).eval()

    @torch.inference_mode()
    def embed_images(self, images: Sequence[Image], batch_size: int = 50) -> np.ndarray:
        """Unit vectors (n, d), float32."""
        out = []
        for start in range(0, len(images), batch_size):
            prepared = self.processor(images=list(images[start : start + batch_size]), return_tensors="pt")
            # SigLIP 2 also has a mask and shapes in addition to its patches; only floating-point tensors get the dtype.
            inputs = {
                k: v.to(self.device, self.dtype if v.is_floating_point() else v.dtype) for k, v in prepared.items()
            }
            encode = getattr(self.model, "get_image_features", self.model)
            out.append(_unit(_pooled(encode(**inputs), self._pools)))
        return np.concatenate(out) if out else np.zeros((0, 0), np.float32)

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors (n, d), float32. Every text is padded to the full length, so that its vector does not depend on the other texts of the batch."""
        if self.tokenizer is None:
            raise ValueError("an image-only encoder embeds no text; use an encoder of kind image_text")
        tokens = self.tokenizer(
            list(texts), padding="max_length", truncation=True, max_length=self._text_length, return_tensors="pt"
        ).to(self.device)
        wanted = {k: v for k, v in tokens.items() if k in ("input_ids", "attention_mask")}
        if str(self.model.config.model_type).startswith("siglip"):
            wanted.pop("attention_mask", None)  # SigLIP was trained to read its padding
        return _unit(_pooled(self.model.get_text_features(**wanted)))

    @property
    def _text_length(self) -> int:
        return int(min(self.tokenizer.model_max_length, self.model.config.text_config.max_position_embeddings))

    def lost_words(self, text: str) -> list[str]:
        """The words of a text that the tokenizer cuts off; empty if it reads all of them."""
        return [] if self.tokenizer is None else lost_words(self.tokenizer, text, self._text_length)


def _pil_processor(resolved: ResolvedEncoder) -> Any:
    processor = AutoImageProcessor.from_pretrained(resolved.path, backend="pil", **SAFE)
    if not isinstance(processor, PilBackend):
        raise InputError(
            f"{resolved.path}: its image processor {type(processor).__name__} has no PIL backend; give another encoder."
        )
    return processor


def _check_loaded(resolved: ResolvedEncoder, loaded: dict[str, Any]) -> bool:
    """Whether the file has the weights of the pooling layer. InputError if it lacks other weights, because transformers would draw them at random."""
    missing = sorted(loaded["missing_keys"])
    if others := [name for name in missing if not name.startswith("pooler.")]:
        raise InputError(
            f"{resolved.path}: the weights lack {others[0]}; copy the model again, or correct config.json."
        )
    return not missing


def _pooled(features: Any, pools: bool = True) -> torch.Tensor:
    """The features of the image or text in the model's output: a tensor, the pooled output, or the class token."""
    if isinstance(features, torch.Tensor):
        return features
    pooled = getattr(features, "pooler_output", None)
    return pooled if pooled is not None and pools else features.last_hidden_state[:, 0]


def _unit(features: torch.Tensor) -> np.ndarray:
    return torch.nn.functional.normalize(features.float(), dim=-1).cpu().numpy()
