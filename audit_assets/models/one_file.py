"""A model in one .safetensors file, as most tools exchange them: which parts it has, and what else is needed to load it.

The file has weights and nothing else. Its configuration, tokenizers and scheduler come from a folder that `config:` names, because
there may be no network to ask for them.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from audit_assets.errors import InputError
from audit_assets.untrusted.layout import problem_of_other_formats
from audit_assets.untrusted.weights import check_number_types, check_safetensors

_DENOISERS = ("unet", "transformer")
_VAE = ("first_stage_model.", "vae.")
_CLIP = {
    "text_encoder": ("cond_stage_model.", "conditioner.embedders.0.", "text_encoders.clip_l."),
    "text_encoder_2": ("conditioner.embedders.1.", "text_encoders.clip_g."),
}
_T5 = ("text_encoders.t5xxl.",)
_FAMILIES = (
    ("stabilityai/stable-diffusion-xl-base-1.0", "conditioner.embedders.1."),
    ("stabilityai/stable-diffusion-2-1", "cond_stage_model.model."),
    ("stable-diffusion-v1-5/stable-diffusion-v1-5", "cond_stage_model.transformer."),
    ("stabilityai/stable-diffusion-3.5-large", "model.diffusion_model.joint_blocks.37."),
    ("stabilityai/stable-diffusion-3.5-large", "joint_blocks.37."),
    ("stabilityai/stable-diffusion-3-medium-diffusers", "model.diffusion_model.joint_blocks."),
    ("stabilityai/stable-diffusion-3-medium-diffusers", "joint_blocks."),
    ("black-forest-labs/FLUX.1-dev, or FLUX.1-schnell", "model.diffusion_model.double_blocks."),
    ("black-forest-labs/FLUX.1-dev, or FLUX.1-schnell", "double_blocks."),
)
"""Repositories with the configuration of the families that are most often exchanged in one file, by the names of their tensors."""


def check_one_file(file: Path, config: str | None) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the tensors of a model in one file, by name.

    InputError if the file is an adapter, is quantized, has another format or is damaged, or if no `config` is named.
    """
    if file.suffix != ".safetensors":
        raise InputError(
            problem_of_other_formats(file.parent, [file.name], file)
            or f"{file}: is no folder of a pipeline and no .safetensors file; correct the path."
        )
    header = {name: tensor for name, tensor in check_safetensors(file).items() if name != "__metadata__"}
    if any("lora" in name.lower() or ".hada_" in name or ".lokr_" in name for name in header):
        raise InputError(f"{file}: is an adapter; name it under `lora` of the model that it was trained on.")
    check_number_types(file, header)
    if config is None:
        family = next(
            (f" This file looks like one of {name}." for name, mark in _FAMILIES if _has(header, (mark,))), ""
        )
        raise InputError(
            f"{file}: is a model in one file, which has no configuration and no tokenizer; add `config: <folder>` to its entry in "
            f"audit.yaml, a folder with model_index.json and the components' configurations and tokenizers.{family}"
        )
    return {name: tuple(tensor["shape"]) for name, tensor in header.items()}


def _has(names: Iterable[str], prefixes: tuple[str, ...]) -> bool:
    return any(name.startswith(prefixes) for name in names)


def is_in_file(component: str, class_name: str, names: Collection[str]) -> bool:
    """Return whether the weights of a component are taken from the one file. Else they come from the folder `config`."""
    if component in _DENOISERS:
        return True
    if component == "vae":
        return _has(names, _VAE)
    if class_name.startswith("CLIPTextModel"):
        return _has(names, _CLIP.get(component, ()) or ("-",))
    return class_name == "T5EncoderModel" and _has(names, _T5)


def tensors_of(component: str, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the tensors in one file that belong to a component, without copies that only training needs."""
    if component in _DENOISERS:
        own = [name for name in shapes if name.startswith(_WHOLE)]
        own = own or [name for name in shapes if "." in name and not name.startswith(_OTHERS)]
    else:
        own = [name for name in shapes if name.startswith({"vae": _VAE, **_CLIP}.get(component, ()) or _T5)]
    return {name: shapes[name] for name in own if not _FOR_TRAINING.search(name)}


_WHOLE = "model.diffusion_model."
_OTHERS = (*_VAE, *(prefix for prefixes in _CLIP.values() for prefix in prefixes), *_T5, "model_ema.", "denoiser.")
_FOR_TRAINING = re.compile(r"\.(loss|model_ema)\.")
_LAYER = re.compile(r"\.(?:layers|resblocks|block)\.(\d+)\.")
_LAST_IS_UNUSED = "cond_stage_model.model."
"""Stable Diffusion 2 reads the last layer but one. Its configuration has no more than that."""


def text_layers(own: Iterable[str]) -> int:
    """Return the number of layers that a text encoder in one file is read with."""
    numbers = [(name, int(found[1])) for name in own if (found := _LAYER.search(name))]
    last, name = max(((number, name) for name, number in numbers), default=(-1, ""))
    return last if name.startswith(_LAST_IS_UNUSED) else last + 1


def not_used(shapes: Mapping[str, tuple[int, ...]], in_file: Iterable[str]) -> dict[str, int]:
    """Return the groups of tensors of one file that no component takes, each with its number of tensors."""
    used = {name for component in in_file for name in tensors_of(component, shapes)}
    return dict(sorted(Counter(name.split(".")[0] for name in shapes if name not in used).items()))


def check_scheduler(file: Path, names: Collection[str], scheduler: Path, config: Mapping[str, Any]) -> None:
    """Raise InputError if the file is marked as trained for another prediction than the scheduler of `config` expects."""
    if "v_pred" in names and config.get("prediction_type") != "v_prediction":
        raise InputError(
            f"{scheduler}, prediction_type: is {config.get('prediction_type', 'epsilon')!r}, and {file.name} is marked as trained "
            "to predict the velocity (v_pred); write 'v_prediction' there, or name another folder as `config`."
        )
    if "ztsnr" in names and config.get("rescale_betas_zero_snr") is not True:
        raise InputError(
            f"{scheduler}, rescale_betas_zero_snr: is not true, and {file.name} is marked as trained with a last step of pure noise "
            "(ztsnr); write true there, and 'trailing' as timestep_spacing, or name another folder as `config`."
        )
