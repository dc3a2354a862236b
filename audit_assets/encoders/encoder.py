"""A loaded encoder: images, and for some kinds texts, to unit vectors. Imports torch: load it only to embed."""

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL.Image import Image
from transformers import AutoImageProcessor, AutoModel, AutoTokenizer
from transformers.utils import logging as transformers_logging

from audit_assets.encoders.registry import ResolvedEncoder
from audit_assets.generation.diffusers_source import best_device

transformers_logging.disable_progress_bar()


class Encoder:
    """Half precision on a GPU, float32 on a CPU whatever the file holds. The processor's backend is PIL: torchvision's differs."""

    def __init__(self, resolved: ResolvedEncoder, device: str | None = None) -> None:
        self.kind = resolved.kind
        self.device = device or best_device()
        dtype = torch.float16 if self.device == "cuda" else torch.float32
        options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        self.model = (
            AutoModel.from_pretrained(resolved.path, dtype=dtype, use_safetensors=True, **options)
            .to(self.device)
            .eval()
        )
        self.processor = _pil_processor(resolved, options)
        self.tokenizer = AutoTokenizer.from_pretrained(resolved.path, **options) if self.kind == "image_text" else None
        self.dtype = dtype

    @torch.inference_mode()
    def embed_images(self, images: Sequence[Image], batch_size: int = 50) -> np.ndarray:
        """Unit vectors (n, d), float32."""
        out = []
        for start in range(0, len(images), batch_size):
            pixels = self.processor(images=list(images[start : start + batch_size]), return_tensors="pt")[
                "pixel_values"
            ].to(self.device, self.dtype)
            features = (
                self.model.get_image_features(pixel_values=pixels)
                if self.kind == "image_text"
                else self.model(pixel_values=pixels)
            )
            out.append(_unit(_pooled(features)))
        return np.concatenate(out) if out else np.zeros((0, 0), np.float32)

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors (n, d), float32. Every text is padded to the full length, so that no text depends on its neighbours."""
        if self.tokenizer is None:
            raise ValueError("an image-only encoder embeds no text")
        length = min(self.tokenizer.model_max_length, self.model.config.text_config.max_position_embeddings)
        tokens = self.tokenizer(
            list(texts), padding="max_length", truncation=True, max_length=length, return_tensors="pt"
        ).to(self.device)
        wanted = {k: v for k, v in tokens.items() if k in ("input_ids", "attention_mask")}
        if str(self.model.config.model_type).startswith("siglip"):
            wanted.pop("attention_mask", None)  # SigLIP was trained to read its padding
        return _unit(_pooled(self.model.get_text_features(**wanted)))


def _pil_processor(resolved: ResolvedEncoder, options: dict[str, Any]) -> Any:
    processor = AutoImageProcessor.from_pretrained(resolved.path, backend="pil", **options)
    name = type(processor).__name__
    if not name.endswith("Pil") and hasattr(importlib.import_module("transformers"), f"{name}Pil"):
        raise ValueError(f"{resolved.path}: the image processor {name} is not the PIL backend")
    return processor


def _pooled(features: Any) -> torch.Tensor:
    """What the model calls the image's or text's features: a tensor, the pooled output, or the class token."""
    if isinstance(features, torch.Tensor):
        return features
    pooled = getattr(features, "pooler_output", None)
    return pooled if pooled is not None else features.last_hidden_state[:, 0]


def _unit(features: torch.Tensor) -> np.ndarray:
    return torch.nn.functional.normalize(features.float(), dim=-1).cpu().numpy()
