"""These functions say which files of a saved model are read when it is loaded, from the names of its files alone.

The files that are hashed, checked, fetched from the hub and loaded are chosen here, so that they are the same files.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from audit_assets.errors import InputError

INDEX = "model_index.json"
"""The file of a pipeline of diffusers that names its components. Each has a folder of its own."""
PEFT_WEIGHTS, PEFT_CONFIG = "adapter_model.safetensors", "adapter_config.json"
"""The files of an adapter in a folder of PEFT."""
TEMPLATES = "additional_chat_templates"
"""A tokenizer or a processor reads this folder beside its other files."""
_WEIGHTS = re.compile(
    r"(?:model|diffusion_pytorch_model)(?:\.(?P<variant>\w+))?(?:-[\w-]+)?\.safetensors(?:\.index(?:\.(?P<of>\w+))?\.json)?"
)
"""`model.safetensors`, `model.fp16.safetensors`, `model-00001-of-00002.safetensors`, `model.safetensors.index.fp16.json`."""

PICKLES = {".bin", ".ckpt", ".pt", ".pth", ".pkl", ".pickle"}
_EXPORTED = "give the weights that it was exported from, in safetensors, as PyTorch reads them"
_FORMATS: Mapping[str, tuple[str, str]] = {
    ".onnx": ("an export for ONNX Runtime", _EXPORTED),
    ".onnx_data": ("an export for ONNX Runtime", _EXPORTED),
    ".pb": ("an export of TensorFlow or for ONNX Runtime", _EXPORTED),
    ".engine": ("an export for TensorRT", _EXPORTED),
    ".plan": ("an export for TensorRT", _EXPORTED),
    ".tflite": ("an export of TensorFlow", _EXPORTED),
    ".mlmodel": ("an export for Core ML", _EXPORTED),
    ".gguf": ("weights that were quantized to GGUF", "give the weights that they were quantized from, in safetensors"),
    ".msgpack": (
        "weights of Flax",
        "give the model as PyTorch saves it; diffusers up to 0.35 and transformers up to version 4 read Flax's weights with "
        "`from_flax=True`, and `save_pretrained` then writes safetensors",
    ),
    ".h5": (
        "weights of TensorFlow",
        "give the model as PyTorch saves it; transformers up to version 4 reads TensorFlow's weights with `from_tf=True`, and "
        "`save_pretrained` then writes safetensors",
    ),
}
_NEVER_READ = {
    *PICKLES, *_FORMATS, ".md", ".html", ".pdf", ".ipynb", ".py", ".xml", ".ot",
    ".png", ".jpg", ".jpeg", ".webp", ".gif", ".svg", ".mp4", ".zip", ".gz", ".tar", ".lock", "",
}  # fmt: skip
"""A name without a suffix is that of a licence or a notice. No tokenizer of transformers has a file of such a name."""


def components(index: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the library and the class of each component that model_index.json names. Absent ones (`null`) are left out."""
    return {
        name: (value[0], value[1])
        for name, value in index.items()
        if not name.startswith("_") and isinstance(value, list) and len(value) == 2 and value[0] is not None
    }


def read_names(names: Iterable[str], index: Mapping[str, Any] | None, variant: str | None = None) -> list[str]:
    """Return which of a model's files loading may read, in order of path. Paths are relative, with `/`.

    A pipeline (`index` is its model_index.json) reads the folders of its components. An encoder, a tokenizer or an
    adapter reads its own folder. What lies beside these files is not
    read: another variant, a checkpoint in one file, an export, a picture.
    """
    folders: dict[str, list[str]] = {}
    for name in names:
        path = PurePosixPath(name)
        parent = path.parent if path.parent.name != TEMPLATES else path.parent.parent
        folders.setdefault("" if str(parent) == "." else str(parent), []).append(name)
    if index is None:
        chosen = _read_in(folders.get("", []), variant)
    else:
        own = [name for component in components(index) for name in _read_in(folders.get(component, []), variant)]
        chosen = [name for name in folders.get("", []) if name == INDEX] + own
    return sorted(chosen)


def _read_in(names: list[str], variant: str | None) -> list[str]:
    """Return the files of one folder that loading may read. Without known weights, all safetensors are among them."""
    weights = weights_by_variant(names)
    loaded = weights.get(used_variant(weights, variant), []) if weights else None
    return [
        name
        for name in names
        if not PurePosixPath(name).name.startswith(".")
        and PurePosixPath(name).suffix.lower() not in _NEVER_READ
        and (loaded is None or not is_weight(name) or name in loaded)
    ]


def is_weight(name: str) -> bool:
    """Return whether a file has weights in safetensors, or is their index."""
    return name.endswith(".safetensors") or ".safetensors." in name


def weights_by_variant(names: Iterable[str]) -> dict[str | None, list[str]]:
    """Return the safetensors files and their indexes by variant. None stands for the weights without one."""
    found: dict[str | None, list[str]] = {}
    for name in names:
        if match := _WEIGHTS.fullmatch(PurePosixPath(name).name):
            found.setdefault(match["variant"] or match["of"], []).append(name)
    return found


def used_variant(found: Collection[str | None], wanted: str | None) -> str | None:
    """Return the variant of one folder's weights that is loaded: the wanted one, else the plain one, else the only one.

    If several exist and none is chosen, the result is the first in order. `check_variant` refuses this.
    """
    if wanted in found:
        return wanted
    if None in found:
        return None
    return min((v for v in found if v is not None), default=None)


def check_variant(folder: Path, found: Collection[str | None], wanted: str | None, *, of_pipeline: bool) -> None:
    """Raise InputError if several variants exist, none is plain, and none is chosen. Only a pipeline's can be chosen."""
    if wanted not in found and None not in found and len(found) > 1:
        remedy = (
            "choose one with `variant:` in the entry of audit.yaml"
            if of_pipeline
            else "copy the encoder with one of them into a folder of its own, and give its path"
        )
        raise InputError(
            f"{folder}: holds the variants {', '.join(sorted(str(v) for v in found))} of its weights; {remedy}."
        )


def problem_of_other_formats(folder: Path, names: Iterable[str], pipeline: Path | str | None = None) -> str | None:
    """Return in what other format the weights of a folder are, and what to do. None if no file of another format is named.

    `pipeline` is the pipeline that the folder is a component of, if it is one.
    """
    by_suffix = {PurePosixPath(name).suffix.lower(): name for name in sorted(names, reverse=True)}
    exported = next((n for n in sorted(names) if PurePosixPath(n).name.startswith("openvino")), None)
    if exported is not None:
        return f"{folder / exported}: is an export for OpenVINO; {_EXPORTED}."
    pickle = next((by_suffix[suffix] for suffix in sorted(PICKLES) if suffix in by_suffix), None)
    if pickle is not None:
        return f"{folder / pickle}: {conversion(pipeline or folder, pipeline=pipeline is not None)}"
    for suffix, (what, remedy) in _FORMATS.items():
        if suffix in by_suffix:
            return f"{folder / by_suffix[suffix]}: is {what}; {remedy}."
    return None


def conversion(saved: Path | str, *, pipeline: bool) -> str:
    """Return how pickled weights are converted: the sentence after the name of the file."""
    library, loader = ("diffusers", "DiffusionPipeline") if pipeline else ("transformers", "AutoModel")
    return (
        "is a pickle, which can run code when it is opened; convert the model to safetensors on a machine that may run "
        f"code of its authors: `from {library} import {loader}; {loader}.from_pretrained('{saved}', "
        "use_safetensors=False).save_pretrained('<another folder>')`, and copy the tokenizer and the processor beside them."
    )
