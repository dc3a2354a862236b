"""Resolve an adapter before anything expensive starts.

This finds the kind of an adapter, the strength that its file states, and the model that it was trained on. No torch is
needed.
"""

import json
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from audit_assets.errors import InputError
from audit_assets.hashing import sha256_once
from audit_assets.models.files import local_folder
from audit_assets.untrusted.layout import PEFT_CONFIG, PEFT_WEIGHTS, PICKLES
from audit_assets.untrusted.weights import check_safetensors, read_json

_KEY = re.compile(
    r"(?P<layer>.+?)[._](?:"
    r"(?P<lora>lora_down|lora_up|lora_mid|lora_A|lora_B|lora\.down|lora\.up|lora_linear_layer\.down|lora_linear_layer\.up)(?:\.\w+)?\.weight"
    r"|(?P<magnitude>lora_magnitude_vector)(?:\.\w+){0,2}"
    r"|(?P<other>dora_scale|alpha|hada_w[12]_[ab]|hada_t[12]|lokr_w[12](?:_[ab])?|lokr_t2)"
    r")"
)
_NAMES = {"lora_A": "down", "lora_B": "up", "lora_magnitude_vector": "magnitude", "dora_scale": "magnitude"}
_OTHERS = {
    "a textual inversion embedding, which `embeddings` takes": r"(.*[._])?(emb_params|string_to_param.*|bundle_emb.*)",
    "full differences of weights": r".*\.diff(_b)?",
    "an OFT or BOFT adapter": r".*[._](oft_|boft_)\w+(\..*)?",
    "a GLoRA adapter": r".*\.(a1|a2|b1|b2|bm1|bm2)\.weight",
    "an IA3 adapter": r".*\.(on_input|ia3_l(\..*)?)",
    "normalisation layers": r".*\.(w_norm|b_norm)",
    "biases": r".*lora_B(\.\w+)?\.bias",
    "an IP-Adapter, which needs an image": r"(image_proj|ip_adapter)\..*",
}
"""These are tensors of adapters that are named and not applied: what they are, and how their keys look."""

_UNDERSTOOD = {
    *("peft_type", "task_type", "inference_mode", "auto_mapping", "base_model_name_or_path", "revision", "peft_version"),
    *("r", "lora_alpha", "alpha", "rank_pattern", "alpha_pattern", "use_rslora", "use_dora", "target_modules"),
    *("exclude_modules", "layers_to_transform", "layers_pattern", "lora_dropout", "rank_dropout", "module_dropout"),
    *("rank_dropout_scale", "decompose_both", "decompose_factor", "use_effective_conv2d", "megatron_core", "qalora_group_size"),
    *("eva_config",),
}  # fmt: skip
"""These fields of PEFT are applied, or change only how an adapter was trained. Another field must be off."""
_PLAIN_STARTS = {"true", "false", "gaussian", "eva", "orthogonal", "lycoris"}
"""These ways to begin a training leave the weights of the base model as they are."""


@dataclass(frozen=True)
class ResolvedLora:
    """This is an adapter file, the weight that it is added with, and what the file states about itself."""

    file: Path
    weight: float
    sha256: str
    kind: str = "LoRA"
    alpha: float | None = None
    """This is the alpha that audit.yaml gives, for a file that states none."""
    peft: Mapping[str, Any] = field(default_factory=dict)
    """These are PEFT's settings of the adapter, from its adapter_config.json or from its metadata."""
    config: Path | None = None
    trained_on: str | None = None
    trigger: str | None = None
    alpha_from: str = ""

    @property
    def files(self) -> list[Path]:
        """Return every file that the adapter is made of."""
        return [self.file, *([self.config] if self.config else [])]

    def record(self) -> dict[str, Any]:
        """Return what a model version's settings record of the adapter: no path of one machine."""
        said = {"config_sha256": sha256_once(self.config)} if self.config else {}
        said |= {"trained_on": self.trained_on} if self.trained_on else {}
        said |= {"trigger": self.trigger} if self.trigger else {}
        return {
            "file": self.file.name,
            "sha256": self.sha256,
            "weight": self.weight,
            "kind": self.kind,
            "alpha": self.alpha_from if self.alpha is None else f"{self.alpha:g}, from audit.yaml",
            **said,
        }

    def notes(self) -> list[str]:
        """Return a sentence for each thing that the file does not state, and that was therefore assumed."""
        if self.alpha_from.startswith("assumed") and self.alpha is None:
            return [
                f"{self.file.name}: the alpha of this adapter is {self.alpha_from}. If it was trained with another alpha, it "
                "is drawn with the wrong strength: give `alpha` beside its path."
            ]
        return []


def part_of(key: str) -> tuple[str, str] | None:
    """Return the layer that a key of an adapter belongs to, and its part of that layer; None for any other key."""
    found = _KEY.fullmatch(key)
    if found is None:
        return None
    part = found["lora"] or found["magnitude"] or found["other"]
    return found["layer"], _NAMES.get(part, part.removeprefix("lora_").removeprefix("lora.").split(".")[-1])


def resolve_lora(path: str, revision: str | None, weight: float, alpha: float | None = None) -> ResolvedLora:
    """Resolve an adapter: a .safetensors file, or a folder or hub id that holds one, in the layout of any trainer.

    InputError names what the path is instead, or which tensors of the file no adapter has.
    """
    file = adapter_file(path, revision)
    header = check_safetensors(file)
    metadata = header.pop("__metadata__", None) or {}
    config = file.parent / PEFT_CONFIG
    beside = config if file.name == PEFT_WEIGHTS and config.is_file() else None
    peft = read_json(beside) if beside else _metadata(file, metadata)
    _check_peft(beside or file, peft)
    kind = _kind(file, list(header))
    alpha_from = _alpha_from(file, list(header), peft, beside)
    if alpha is not None and not alpha_from.startswith("assumed"):
        raise InputError(f"{file}: states its alpha ({alpha_from}); delete `alpha` beside its path.")
    return ResolvedLora(
        file,
        weight,
        sha256_once(file),
        kind,
        alpha,
        peft,
        beside,
        _first(metadata, peft, "ss_base_model_version", "modelspec.architecture", "base_model_name_or_path", "base_model"),
        _first(metadata, peft, "modelspec.trigger_phrase", "trigger_word", "instance_prompt"),
        alpha_from,
    )  # fmt: skip


def adapter_file(path: str, revision: str | None) -> Path:
    """Return the file of an adapter or an embedding, which may be the only one of a folder or of a hub id."""
    file = Path(path)
    if not file.is_file():
        folder, _ = local_folder(path, revision, "adapter")
        found = sorted(folder.glob("*.safetensors"))
        if (folder / PEFT_WEIGHTS).is_file():
            found = [folder / PEFT_WEIGHTS]
        if len(found) == 1:
            file = found[0]
        elif inside := sorted(p.parent.name for p in folder.glob(f"*/{PEFT_WEIGHTS}")):
            raise InputError(
                f"{folder}: holds one adapter for each of {', '.join(inside)}; list each of these folders under `lora`."
            )
        elif not found and (pickles := [p for p in sorted(folder.iterdir()) if p.suffix.lower() in PICKLES]):
            file = pickles[0]
        else:
            raise InputError(
                f"{folder}: holds {len(found)} .safetensors files; give the path of the adapter's own file."
            )
    if file.suffix.lower() != ".safetensors":
        raise InputError(
            f"{file}: is no .safetensors file, and other formats can run code when they are opened; convert the adapter."
        )
    return file


def _metadata(file: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    """Return PEFT's settings that diffusers writes into the file: `unet.r`, `unet.lora_alpha`, and so on."""
    text = metadata.get("lora_adapter_metadata")
    if text is None:
        return {}
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise InputError(f"{file}: its lora_adapter_metadata is no JSON object; save the adapter again.")
    return said


def _check_peft(file: Path, peft: Mapping[str, Any]) -> None:
    """Raise InputError if PEFT's settings ask for something that is not applied."""
    for name, value in peft.items():
        setting = name.rpartition(".")[2]
        if setting == "peft_type" and str(value).upper() not in ("LORA", "LOHA", "LOKR"):
            raise InputError(f"{file}: is an adapter of the kind {value}, which is not applied; {MERGE}.")
        if setting == "bias" and value in ("none", None, False):
            continue
        if setting in ("init_lora_weights", "init_weights") and str(value).lower() in _PLAIN_STARTS:
            continue
        if value and setting not in _UNDERSTOOD:
            raise InputError(f"{file}, {name}: {value!r} is a setting that is not applied; {MERGE}.")


MERGE = "merge it into the model with the tool that made it, and audit the merged model"


def _kind(file: Path, keys: list[str]) -> str:
    """Return the adapter's kind. Raise InputError if a key belongs to no kind that is applied."""
    parts = {key: part_of(key) for key in keys}
    unknown = [key for key, part in parts.items() if part is None]
    known = {part[1] for part in parts.values() if part}
    for what, pattern in _OTHERS.items():
        if own := [key for key in unknown if re.fullmatch(pattern, key)]:
            raise InputError(f"{file}: {_share(own, keys)} are of {what}, and are not applied; {MERGE}.")
    if not known - {"alpha"}:
        raise InputError(f"{file}: holds no tensor of an adapter; give a whole model as a model of its own.")
    if unknown:
        raise InputError(
            f"{file}: {_share(unknown, keys)} belong to no kind of adapter that is known, so they would be lost; {MERGE}."
        )
    kinds = [("hada", "LoHa"), ("lokr", "LoKr"), ("down", "LoRA")]
    found = [kind for start, kind in kinds if any(part.startswith(start) for part in known)]
    return " and ".join(found) + (" with DoRA" if "magnitude" in known else "")


def _share(own: Collection[str], keys: Collection[str]) -> str:
    """Return how many keys of all keys these are, with examples."""
    return f"{len(own)} of {len(keys)} keys ({len(own) / len(keys):.0%}; such as {', '.join(sorted(own)[:3])})"


share_of_keys = _share


def _alpha_from(file: Path, keys: list[str], peft: Mapping[str, Any], config: Path | None) -> str:
    layers: dict[str, set[str]] = {}
    for key in keys:
        if part := part_of(key):
            layers.setdefault(part[0], set()).add(part[1])
    layers = {layer: parts for layer, parts in layers.items() if not {"lokr_w1", "lokr_w2"} <= parts}  # has no rank
    own = {layer for layer, parts in layers.items() if "alpha" in parts}
    stated = {layer for layer in layers if peft_scale(file, peft, layer, 1) is not None}
    missing = len(layers) - len(own | stated)
    named = config.name if config else "lora_adapter_metadata"
    said = " and ".join(["the file's alphas"] * bool(own) + [named] * bool(stated - own)) or "no alpha"
    if not layers:
        return "none needed"
    if missing == len(layers):
        return "assumed to be the rank, because the file states none"
    if missing:
        return f"assumed to be the rank for {missing} of {len(layers)} layers, which {said} leave out"
    return said


def peft_scale(file: Path, peft: Mapping[str, Any], layer: str, rank: int | None) -> float | None:
    """Return what PEFT's settings multiply a layer's product with: alpha over the rank, or over its root.

    Without a rank in the tensors (`rank` is None) it is the rank of the settings. None if they say nothing of the layer.
    """
    layer = layer.removeprefix("base_model.model.")
    for name in peft:
        prefix, _, setting = name.rpartition(".")
        start = f"{prefix}." if prefix else ""
        if setting not in ("lora_alpha", "alpha") or not layer.startswith(start):
            continue
        alpha = _setting(file, peft, start, setting, "alpha_pattern", layer)
        rank = rank or int(_setting(file, peft, start, "r", "rank_pattern", layer))
        if rank < 1:
            raise InputError(f"{file}, {start}r: {rank} is no rank; save the adapter again.")
        return alpha / (rank**0.5 if peft.get(f"{start}use_rslora") else rank)
    return None


def _setting(file: Path, peft: Mapping[str, Any], start: str, name: str, patterns: str, layer: str) -> float:
    """Return a number of PEFT's settings for a layer: its own if `patterns` has one, else that of all layers."""
    value = peft.get(f"{start}{name}")
    own = peft.get(f"{start}{patterns}") or {}
    if not isinstance(own, Mapping):
        raise InputError(f"{file}, {start}{patterns}: is no mapping; save the adapter again.")
    for pattern in own:
        plain = pattern.removeprefix("^")
        if re.search(r"[^\w.-]", plain):
            raise InputError(f"{file}, {start}{patterns}: {pattern!r} is a pattern, not a layer's name; {MERGE}.")
        if f".{layer}".endswith(f".{plain}"):
            value = own[pattern]
            break
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(f"{file}, {start}{name}: {value!r} is no number; save the adapter again.")
    return float(value)


def _first(metadata: Mapping[str, Any], peft: Mapping[str, Any], *names: str) -> str | None:
    for name in names:
        for said in (metadata.get(name), peft.get(name)):
            if isinstance(said, str) and said.strip():
                return said.strip()[:200]
    return None
