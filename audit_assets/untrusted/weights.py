"""These functions read the files of a model that others made.

They accept only safetensors files that are whole, and JSON and model cards of bounded size.
"""

import importlib.util
import json
import re
import struct
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from safetensors import safe_open

from audit_assets.errors import InputError, unreadable
from audit_assets.untrusted import yaml as safe_yaml
from audit_assets.untrusted.bounded import check_is_file, read_bounded
from audit_assets.untrusted.layout import (
    check_variant,
    problem_of_other_formats,
    used_variant,
    weights_by_variant,
)

LARGEST_JSON = 100_000_000
"""A JSON file may have this many bytes. The largest tokenizers have some thirty million."""


def read_json(file: Path) -> dict[str, Any]:
    """Return a JSON object. InputError names the file."""
    try:
        content = json.loads(read_bounded(file, LARGEST_JSON, "configuration").decode("utf-8"))
    except FileNotFoundError:
        raise InputError(f"{file}: is missing; the folder is not a saved model, or was copied in part.") from None
    except OSError as error:
        raise InputError(f"{unreadable(file, error)}.") from None
    except (ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{file}: is not JSON ({error}); copy the model again.") from None
    if not isinstance(content, dict):
        raise InputError(f"{file}: holds no JSON object; copy the model again.")
    return content


def check_weights(
    folder: Path, variant: str | None = None, *, pipeline: Path | None = None
) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor by its name, from the files that loading reads. Only whole safetensors are accepted.

    InputError names weights in another format, a truncated or missing file, or a folder without weights. `pipeline` is
    the folder of the pipeline that `folder` is a component of.
    """
    names = sorted(p.name for p in folder.iterdir() if not p.is_dir())
    found = weights_by_variant(names)
    check_variant(folder, found, variant, of_pipeline=pipeline is not None)
    files = [folder / name for name in found.get(used_variant(found, variant), [])]
    weights = [file for file in files if file.suffix == ".safetensors"]
    indexes = [file for file in files if file.suffix == ".json"]
    if not files:
        unknown = next((name for name in names if name.endswith(".safetensors")), None)
        raise InputError(
            f"{folder / unknown}: has not the name of weights that are loaded; rename it to `model.safetensors` (transformers) "
            "or `diffusion_pytorch_model.safetensors` (diffusers)."
            if unknown
            else problem_of_other_formats(folder, names, pipeline)
            or f"{folder}: holds no .safetensors weights; copy the model again, or convert it."
        )
    quantized = check_quantization(folder / "config.json")
    shapes: dict[str, tuple[int, ...]] = {}
    for index in indexes:
        shards = read_json(index).get("weight_map")
        for shard in shards.values() if isinstance(shards, dict) else []:
            if not isinstance(shard, str) or not shard or Path(shard).name != shard:
                raise InputError(f"{index}: {shard!r} is no name of a file beside it; copy the model again.")
            if index.parent / shard not in weights and (index.parent / shard).exists():
                raise InputError(f"{index}: {shard!r} is no usual name of a part of weights; save the model again.")
            if not (index.parent / shard).is_file():
                raise InputError(f"{index.parent / shard}: is missing, and {index.name} names it; copy it again.")
    for file in weights:
        header = check_safetensors(file)
        if not quantized:
            check_number_types(file, header)
        shapes |= {name: tuple(t["shape"]) for name, t in header.items() if name != "__metadata__"}
    if not indexes and not any("-" not in file.name for file in weights):
        raise InputError(
            f"{weights[0]}: is one of several parts, and their index (*.safetensors.index.json) is missing; copy it beside them."
        )
    return shapes


_QUANTIZERS: Mapping[str, tuple[str, str]] = {
    "bitsandbytes": ("bitsandbytes", "bitsandbytes"),
    "torchao": ("torchao", "torchao"),
    "quanto": ("optimum", "optimum-quanto"),
    "gguf": ("gguf", "gguf"),
    "gptq": ("gptqmodel", "gptqmodel"),
    "awq": ("gptqmodel", "gptqmodel"),
    "compressed-tensors": ("compressed_tensors", "compressed-tensors"),
    "modelopt": ("modelopt", "nvidia-modelopt"),
    "sdnq": ("sdnq", "sdnq"),
}
"""Method of a quantization -> module and package that it needs."""
_UNQUANTIZED = "or give the weights that they were quantized from"


def check_quantization(config: Path) -> bool:
    """Return whether a configuration says that its weights are quantized. InputError names the package that is missing."""
    said = (read_json(config) if config.exists() else {}).get("quantization_config")
    if not isinstance(said, Mapping):
        return False
    method = str(said.get("quant_method", "an unknown method"))
    where = f"{config}, quantization_config: the weights are quantized with {method!r}"
    if method not in _QUANTIZERS:
        raise InputError(f"{where}, which is not loaded; give the weights that they were quantized from.")
    module, package = _QUANTIZERS[method]
    if importlib.util.find_spec(module) is None:
        raise InputError(f"{where}; install the package {package}, which most methods need a GPU for, {_UNQUANTIZED}.")
    return True


_SCALES = (
    "scale_weight",
    "weight_scale",
    "scale_input",
    "input_scale",
    "weight_scale_inv",
    "scaled_fp8",
    "comfy_quant",
)


def check_number_types(file: Path, header: Mapping[str, Any]) -> None:
    """Raise InputError if tensors are quantized and nothing beside them says how. Loaded as plain numbers, they are noise."""
    for name, tensor in header.items():
        if name == "__metadata__":
            continue
        last = name.split(".")[-1]
        packed = (
            str(tensor.get("dtype")) in ("U8", "I8", "F4", "F6_E2M3", "F6_E3M2", "F8_E8M0") and len(tensor["shape"]) > 1
        )
        if packed or last in _SCALES or last in ("qweight", "absmax", "quant_map"):
            raise InputError(
                f"{file}, {name}: the weights are quantized, and no quantization_config says how; give the weights that they "
                "were quantized from, or save the model with the library that quantized it."
            )


_COUNT = re.compile(r"(num|n)_(\w+_)?(layers?|blocks?)|layers_per_block|depths?|num_single_layers")
_WIDTH = {"hidden_size", "intermediate_size", "d_model", "d_ff", "embed_dim", "hidden_dim", "ffn_dim"}
_NARROW = 1024
"""A width up to this needs a few megabytes per layer, whatever the weights are."""
_MOST_PIXELS = 4096
"""An encoder may read images of this width or height. The largest encoders today read 1,024."""
_MOST_PATCHES = 1 << 16


def check_configured_size(file: Path, config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raise InputError if a configuration asks for a model that its weights cannot fill, before any of it is built.

    A layer has at least one tensor, and a width is a dimension of some tensor. ``shapes`` are the weights' tensors.
    """
    widest = max(_NARROW, *(max(shape, default=0) for shape in shapes.values()))
    for field, value in _numbers(config):
        name = field[-1]
        if _COUNT.fullmatch(name) and value > len(shapes):
            most, what = len(shapes), "tensors in its weights"
        elif name in _WIDTH and value > widest:
            most, what = widest, "as the largest dimension of its weights"
        elif name == "image_size" and value > _MOST_PIXELS:
            most, what = _MOST_PIXELS, "pixels, the most that are read"
        else:
            continue
        raise InputError(f"{file}, {'.'.join(field)}: {value} is more than the {most} {what}; copy the model again.")


def check_processor_size(file: Path, config: Mapping[str, Any]) -> None:
    """Raise InputError if a processor would enlarge images beyond what any encoder reads, before one is read."""
    for field, value in _numbers(config):
        if {"size", "crop_size", "pad_size"} & set(field) and value > _MOST_PIXELS:
            raise InputError(
                f"{file}, {'.'.join(field)}: {value} is more than the {_MOST_PIXELS} pixels that are read at most; "
                "copy the encoder again."
            )
        if field[-1] in ("max_num_patches", "num_patches") and value > _MOST_PATCHES:
            raise InputError(
                f"{file}, {'.'.join(field)}: {value} is more than {_MOST_PATCHES}; copy the encoder again."
            )


def _numbers(value: Any, field: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], float]]:
    """Yield every number in a JSON object, with the names of the fields that lead to it."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _numbers(item, (*field, str(key)))
    elif isinstance(value, list):
        for item in value:
            yield from _numbers(item, field)
    elif isinstance(value, int | float) and not isinstance(value, bool) and field:
        yield field, value


def check_safetensors(file: Path) -> dict[str, Any]:
    """Return a safetensors file's header. The file must be as long as the header says, and the library must take it."""
    try:
        size = check_is_file(file).st_size
        with open(file, "rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > min(size, LARGEST_JSON):
                raise ValueError("the header is longer than the file")
            header = json.loads(stream.read(length))
            end = max((int(t["data_offsets"][1]) for name, t in header.items() if name != "__metadata__"), default=0)
    except OSError as error:
        raise InputError(f"{unreadable(file, error)}.") from None
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, struct.error) as error:
        raise InputError(f"{file}: is not a safetensors file ({error}); copy it again.") from None
    if 8 + length + end != size:
        raise InputError(
            f"{file}: has {size} bytes and should have {8 + length + end}: it is truncated or damaged; copy it again."
        )
    try:
        with safe_open(file, framework="numpy"):  # this reads only the header, and compares it with the file
            pass
    except Exception as error:  # SafetensorError derives from Exception alone
        raise InputError(f"{file}: its header does not fit its bytes ({error}); copy it again.") from None
    return dict(header)


def is_torchscript(file: Path) -> bool:
    """Return whether a file is a program that torch saved. It is a ZIP archive with a folder `code`; nothing is unpacked."""
    try:
        check_is_file(file)
        with zipfile.ZipFile(file) as archive:
            return any(name.split("/")[1:2] == ["code"] for name in archive.namelist())
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
        return False


_CARD = 100_000
"""This many characters of a model card are read."""


def licence(folder: Path) -> str | None:
    """Return the model card's licence (`license` in the head of README.md).

    It returns None if no card exists, or if the card does not state one.
    """
    try:
        check_is_file(folder / "README.md")
        with open(folder / "README.md", encoding="utf-8") as card:
            text = card.read(_CARD)
        head = safe_yaml.load(text.split("---")[1]) if text.startswith("---") else None
    except (OSError, ValueError, IndexError, yaml.YAMLError):
        return None
    if not isinstance(head, dict):
        return None
    said = head.get("license_name") or head.get("license")
    return said[:200] if isinstance(said, str) else None  # a list of aliases of lists would fill the memory as a text
