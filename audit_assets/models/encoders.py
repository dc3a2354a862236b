"""Resolve an encoder before anything expensive starts.

Its family, pooling, dimension and scale are read from its files without torch.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from audit_assets.errors import InputError
from audit_assets.models.architectures import PLUG_IN, Pooling, architecture_of, pooling_of
from audit_assets.models.files import KNOWN_FAMILIES, files_sha256, local_folder, read_files, text_encoder_family
from audit_assets.models.plug_ins import code_of, plug_in_files, plug_in_sha256, stated
from audit_assets.models.pretrained import check_configuration
from audit_assets.models.timm import TIMM, check_timm, timm_config, timm_features
from audit_assets.models.tokenizers import check_tokenizer_config
from audit_assets.untrusted.layout import PICKLES, weights_by_variant
from audit_assets.untrusted.weights import (
    check_configured_size,
    check_processor_size,
    check_safetensors,
    check_weights,
    is_torchscript,
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
    pooling: Pooling | None
    """The output that is the vector of an image. None if a plug-in makes the vector."""
    layer: str
    """The last layer with weights that an image passes, as the weights name it. A plug-in describes it in words."""
    lower_case: bool = False
    """Whether the audit writes labels in lower case, as this encoder was trained."""
    code: str | None = None
    """The file of the plug-in, in `path`."""

    def files(self) -> list[Path]:
        """Return the files that the encoder is loaded from."""
        return encoder_files(self.path, self.code)


def encoder_files(folder: Path, code: str | None) -> list[Path]:
    """Return the files that an encoder is loaded from: those that transformers may open, or all of a plug-in's."""
    return read_files(folder) if code is None else plug_in_files(folder)


def resolve_plug_in(name: str, kind: str, folder: Path, code: str, revision: str | None = None) -> ResolvedEncoder:
    """Resolve an encoder that a plug-in runs. Its code is read and not run. InputError names what it does not state."""
    said = stated(code_of(folder, code), kind)
    return ResolvedEncoder(
        name=name,
        kind=kind,
        path=folder,
        family=f"plug-in {code}",
        revision=revision,
        files_sha256=plug_in_sha256(folder, code),
        dimension=said.dimension,
        logit_scale=said.logit_scale if kind == "image_text" else None,
        logit_bias=said.logit_bias if kind == "image_text" else None,
        processor="plug-in",
        pooling=None,
        layer=said.layer,
        code=code,
    )


def resolve_encoder(
    name: str, kind: str, path: str, revision: str | None = None, processor: str = "pil"
) -> ResolvedEncoder:
    """Raise InputError if the folder is not an encoder of this kind, or a file is a pickle, truncated or missing."""
    folder, found = local_folder(path, revision, "encoder")
    _check_library(folder)
    config = timm_config(read_json(folder / "config.json"))
    check_configuration(folder / "config.json", config)
    model_type, architecture = architecture_of(folder / "config.json", config, kind)
    shapes = check_weights(folder)
    check_configured_size(folder / "config.json", config, shapes)
    if model_type == TIMM:
        check_timm(folder)
        pooling, layer, dimension = architecture.poolings[0], *timm_features(folder / "config.json", config)
    else:
        pooling, layer, dimension = pooling_of(folder, model_type, architecture, shapes)
    tensors = _tensors(folder)
    processor_settings(folder)
    scale = _scale(folder, tensors, architecture.scale) if kind == "image_text" else None
    if kind == "image_text":
        _check_tokenizer(folder)
    text = config.get("text_config") or {}
    if not isinstance(text, dict):
        raise InputError(
            f"{folder / 'config.json'}, text_config: {str(text)[:100]!r} is no configuration; copy the encoder again."
        )
    named = text_encoder_family(text)
    check_tokenizer_config(folder)
    return ResolvedEncoder(
        name=name,
        kind=kind,
        path=folder,
        family=named if named in KNOWN_FAMILIES else model_type,
        revision=found,
        files_sha256=files_sha256(folder),
        dimension=dimension,
        logit_scale=scale,
        logit_bias=_number(tensors, "logit_bias") if kind == "image_text" else None,
        processor=processor,
        pooling=pooling,
        layer=layer,
        lower_case=architecture.lower_case,
    )


def _check_library(folder: Path) -> None:
    """Raise InputError if the folder is a repository of OpenCLIP alone, whose weights transformers does not read."""
    names = [p.name for p in folder.iterdir()]
    if "open_clip_config.json" in names and not weights_by_variant(names):
        raise InputError(
            f"{folder}: has the weights of OpenCLIP alone; take a repository with the conversion for transformers (config.json and "
            f"model.safetensors), {PLUG_IN}."
        )
    exported = next(
        (p for p in sorted(folder.iterdir()) if p.suffix in (".pt", ".pth", ".ts") and is_torchscript(p)), None
    )
    alone = next((name for name in sorted(names) if PurePosixPath(name).suffix in PICKLES), None)
    if exported is not None and not weights_by_variant(names):
        raise InputError(
            f"{exported}: is TorchScript, which is code; take the model's weights in safetensors, {PLUG_IN}."
        )
    if alone is not None and "config.json" not in names and not weights_by_variant(names):
        raise InputError(
            f"{folder / alone}: is a checkpoint of another library than transformers, and a pickle, which can run code; take a "
            f"conversion for transformers (config.json and model.safetensors), {PLUG_IN}."
        )


@dataclass(frozen=True)
class _Tensor:
    file: Path
    dtype: str
    shape: tuple[int, ...]
    begin: int
    """The first byte of its values in the file."""


def _tensors(folder: Path) -> dict[str, _Tensor]:
    """Return the tensors, by name, of the files that transformers opens."""
    files = [file for file in read_files(folder) if file.suffix == ".safetensors"]
    found = {}
    for file in files:
        start = _start(file)
        for name, tensor in check_safetensors(file).items():
            if name != "__metadata__":
                begin = start + int(tensor["data_offsets"][0])
                found[name] = _Tensor(file, tensor["dtype"], tuple(tensor["shape"]), begin)
    return found


def _start(file: Path) -> int:
    """Return where the values begin in a safetensors file, after its header."""
    with open(file, "rb") as stream:
        return 8 + int.from_bytes(stream.read(8), "little")


def processor_settings(folder: Path) -> dict[str, Any]:
    """Return what the encoder's files say of how images are prepared. InputError if they do not say it."""
    names = ("preprocessor_config.json", "processor_config.json")
    file = next((folder / n for n in names if (folder / n).exists()), None)
    if timm_config(read_json(folder / "config.json")).get("model_type") == TIMM:
        file = file or folder / "config.json"  # timm writes how images are prepared beside the architecture
    if file is None:
        raise InputError(
            f"{folder}: has neither {names[0]} nor {names[1]}, which say how images are prepared; copy the file of the model "
            "that this encoder was trained from."
        )
    content = read_json(file)
    check_processor_size(file, content)
    nested = content.get("image_processor")
    return nested if isinstance(nested, dict) else content


def _check_tokenizer(folder: Path) -> None:
    files = ("tokenizer.json", "vocab.json", "vocab.txt", "spiece.model", "tokenizer.model", "sentencepiece.bpe.model")
    if not any((folder / f).exists() for f in files):
        raise InputError(f"{folder}: has no tokenizer, which labels need; save the tokenizer beside the model.")


def _scale(folder: Path, tensors: Mapping[str, _Tensor], name: str | None) -> float:
    """Return the factor of the cosines, which CLIP keeps as a logarithm (`logit_scale`) and ALIGN as a divisor (`temperature`)."""
    value = None if name is None else _number(tensors, name)
    if value is None:
        raise InputError(f"{folder}: has no {name}, so it is no image-text encoder; give it `kind: image`.")
    return 1 / value if name == "temperature" else math.exp(value)


_NUMBERS: Mapping[str, Any] = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}


def _number(tensors: Mapping[str, _Tensor], name: str) -> float | None:
    """Return a scalar of the weights, by name. numpy has no bfloat16, which is the upper half of a float32."""
    tensor = tensors.get(name)
    if tensor is None:
        return None
    if tensor.dtype not in _NUMBERS or math.prod(tensor.shape) != 1:
        raise InputError(
            f"{tensor.file}, {name}: is {tensor.dtype} {list(tensor.shape)}, not one number; copy the encoder again."
        )
    kind = np.dtype(_NUMBERS[tensor.dtype])
    with open(tensor.file, "rb") as stream:
        stream.seek(tensor.begin)
        value = np.frombuffer(stream.read(kind.itemsize), kind)
    if tensor.dtype == "BF16":
        value = (value.astype(np.uint32) << 16).view(np.float32)
    return float(value[0])
