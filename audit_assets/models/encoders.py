"""Resolve an encoder before anything expensive starts.

Its family, dimension and scale are read from its files without torch.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open

from audit_assets.errors import InputError
from audit_assets.models.files import (
    KNOWN_FAMILIES,
    TRANSFORMERS,
    WEIGHTS,
    files_sha256,
    local_folder,
    text_encoder_family,
)
from audit_assets.models.pretrained import check_configuration
from audit_assets.models.tokenizers import check_tokenizer_config
from audit_assets.untrusted.weights import (
    check_configured_size,
    check_processor_size,
    check_weights,
    read_json,
)


@dataclass(frozen=True)
class ResolvedEncoder:
    """This is an encoder as its results will cite it.

    `logit_scale` is the factor itself (100 for CLIP ViT-L/14). It is None if the encoder reads no text.
    """

    name: str
    kind: str
    path: Path
    family: str
    revision: str | None
    files_sha256: str
    dimension: int
    logit_scale: float | None
    logit_bias: float | None
    processor: str
    format: str = TRANSFORMERS
    """The format of its files names the row of `encoders.load.LOADERS` that loads them."""


def resolve_encoder(
    name: str, kind: str, path: str, revision: str | None = None, processor: str = "pil"
) -> ResolvedEncoder:
    """Raise InputError if the folder is not an encoder of this kind, or a file is a pickle, truncated or missing."""
    folder, found = local_folder(path, revision)
    config = read_json(folder / "config.json")
    kind_of_weights = str(config.get("model_type"))
    if kind_of_weights not in WEIGHTS:
        kind_of_weights = TRANSFORMERS
        check_configuration(folder / "config.json", config)
        check_configured_size(folder / "config.json", config, check_weights(folder))
    elif not any(folder.glob(f"*{WEIGHTS[kind_of_weights]}")):
        raise InputError(f"{folder}: holds no {WEIGHTS[kind_of_weights]} weights; copy the encoder again.")
    names = ("preprocessor_config.json", "processor_config.json")
    processor_file = next((folder / n for n in names if (folder / n).exists()), folder / names[-1])
    check_processor_size(processor_file, read_json(processor_file))
    scale = _number(folder, "logit_scale")
    if kind == "image_text" and scale is None:
        raise InputError(f"{folder}: has no logit_scale, so it is no image-text encoder; give it `kind: image`.")
    named = text_encoder_family(config.get("text_config") or {})
    family = named if named in KNOWN_FAMILIES else str(config.get("model_type", "unknown"))
    if kind == "image_text" and not any(
        (folder / f).exists() for f in ("tokenizer.json", "vocab.json", "spiece.model", "tokenizer.model")
    ):
        raise InputError(f"{folder}: has no tokenizer, which labels need; save the tokenizer beside the model.")
    check_tokenizer_config(folder)
    return ResolvedEncoder(
        name,
        kind,
        folder,
        family,
        found,
        files_sha256(folder),
        _dimension(folder, config, scale is not None),
        math.exp(scale) if kind == "image_text" and scale is not None else None,
        _number(folder, "logit_bias") if kind == "image_text" else None,
        processor,
        kind_of_weights,
    )


def _number(folder: Path, tensor: str) -> float | None:
    """Return a scalar of the weights, by name."""
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="numpy") as weights:
            if tensor in weights.keys():  # noqa: SIM118 - this is not a mapping
                return float(weights.get_tensor(tensor).reshape(-1)[0])
    return None


def _dimension(folder: Path, config: dict[str, Any], has_text: bool) -> int:
    vision = config.get("vision_config") or {}
    candidates: tuple[Any, ...] = (
        (config.get("projection_dim"), vision.get("projection_dim"), vision.get("hidden_size"))
        if has_text
        else (config.get("hidden_size"), vision.get("hidden_size"))
    )
    if config.get("model_type", "").startswith("siglip"):
        candidates = (vision.get("hidden_size"),)
    for value in candidates:
        if isinstance(value, int) and value > 0:
            return value
    raise InputError(f"{folder / 'config.json'}: names no dimension of embeddings (projection_dim or hidden_size).")
