"""Merge adapters into a pipeline, and measure what they changed. This module imports torch: import it only to make images.

The change of a layer's weights is computed from the file itself. diffusers' own loader is not used for it: it drops a kohya file's
`dora_scale`, some of its alphas and, for FLUX, the text encoder's half, and only logs keys that have no place in the model.
Its converters serve for one thing alone, the names of layers in files of other layouts.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.utils import (
    convert_state_dict_to_diffusers,
    convert_state_dict_to_peft,
    convert_unet_state_dict_to_peft,
)
from safetensors.torch import load_file

from audit_assets.errors import InputError
from audit_assets.models.adapters import ResolvedLora, part_of, peft_scale, share_of_keys

DENOISERS = ("transformer", "unet", "prior")
_KOHYA = {
    "lora_unet_": DENOISERS,
    "lora_transformer_": DENOISERS,
    "lycoris_": DENOISERS,
    "lora_te_": ("text_encoder",),
    "lora_te1_": ("text_encoder",),
    "lora_te2_": ("text_encoder_2",),
    "lora_te3_": ("text_encoder_3", "text_encoder_2"),  # kohya counts FLUX's T5 as the third, diffusers as the second
}
"""The component that a prefix of kohya's file names."""
_ORIGINAL = ("diffusion_model.", "model.diffusion_model.")
_NEVER = {"vae", "safety_checker", "image_encoder"}


@dataclass
class Layer:
    """One layer of an adapter's file: its tensors by part, and its keys in the file."""

    name: str
    tensors: dict[str, torch.Tensor]
    keys: dict[str, str]

    def scale(self, adapter: ResolvedLora) -> float:
        """What the layer's product is multiplied with: alpha over rank. Without an alpha, alpha is the rank."""
        t = self.tensors
        ranked = next(
            (t[p] for p in ("lokr_t2", "hada_t1", "down", "hada_w1_b", "lokr_w1_b", "lokr_w2_b") if p in t), None
        )
        rank = None if ranked is None else ranked.shape[0]
        if "alpha" in t:
            # LyCORIS ignores alpha if its Kronecker factors are whole, because they have no rank.
            return 1.0 if rank is None else float(t["alpha"]) / rank
        if (said := peft_scale(adapter.file, adapter.peft, self.name, rank)) is not None:
            return said
        return 1.0 if adapter.alpha is None or rank is None else adapter.alpha / rank

    def shape(self) -> torch.Size:
        """Outputs and inputs of the layer, with the size of a kernel if the file tells it. Nothing is computed for it."""
        return self.product("meta").shape

    def product(self, device: str = "cpu") -> torch.Tensor:
        """The change of the weights at scale 1, as wide as the layer. RuntimeError or LookupError if the tensors do not fit each other."""
        t = {part: tensor.to(device, torch.float32) for part, tensor in self.tensors.items()}
        if "down" in t:
            up, down = t["up"].flatten(1), t["down"]
            if "mid" in t:
                return torch.einsum("op,pqkl,qi->oikl", up, t["mid"], down.flatten(1))
            return (up @ down.flatten(1)).reshape(up.shape[0], *down.shape[1:])
        if "hada_w1_a" in t:
            one, two = (_product(t, f"hada_w{n}", f"hada_t{n}") for n in (1, 2))
            return one * two
        one = t["lokr_w1"] if "lokr_w1" in t else t["lokr_w1_a"] @ t["lokr_w1_b"]
        two = t["lokr_w2"] if "lokr_w2" in t else _product(t, "lokr_w2", "lokr_t2")
        return torch.kron(one.reshape(*one.shape, *(1,) * (two.ndim - one.ndim)), two.contiguous())


def _product(t: Mapping[str, torch.Tensor], name: str, core: str) -> torch.Tensor:
    """The product of two factors, or of three if a Tucker core lies between them."""
    a, b = t[f"{name}_a"], t[f"{name}_b"]
    return torch.einsum("ijkl,ip,jr->prkl", t[core], a, b) if core in t else a @ b


@dataclass(frozen=True)
class Place:
    """Rows of a layer of the file, and the layer of the pipeline that they belong to, in this order."""

    component: str
    path: str
    rows: torch.Tensor | None = None


def add_adapters(pipeline: Any, adapters: Sequence[ResolvedLora]) -> list[dict[str, Any]]:
    """Merge adapters in turn. Returns what each changed: keys of its file, and layers of each component whose weights differ now.

    InputError if a key of a file is not used, if two of its layers are one layer of the model, if a file holds a value that is no
    number, or if a component that a file has keys for is the same as before.
    """
    names = _Names(pipeline)
    return [_add(pipeline, names, adapter) for adapter in adapters]


def _add(pipeline: Any, names: "_Names", adapter: ResolvedLora) -> dict[str, Any]:
    layers = _layers(adapter)
    keys = [key for layer in layers for key in layer.keys.values()]
    places = _places(pipeline, names, layers)
    where = type(pipeline).__name__
    trained = f" It was trained on {adapter.trained_on}, as its file says." if adapter.trained_on else ""
    if lost := [key for layer in layers if layer.name not in places for key in layer.keys.values()]:
        raise InputError(
            f"{adapter.file}: {share_of_keys(lost, keys)} have no place in {where}, so the adapter would be drawn in part or not "
            f"at all.{trained} Give the model that it was trained on."
        )
    changed: dict[str, list[int]] = {}
    taken: dict[tuple[str, str], Layer] = {}
    for layer in layers:
        for place in places[layer.name]:
            other = taken.setdefault((place.component, place.path), layer)
            if other is not layer:
                raise InputError(
                    f"{adapter.file}: {next(iter(other.keys.values()))} and {next(iter(layer.keys.values()))} are of one layer of "
                    f"{place.component}, which would be changed twice; delete the keys of one of the two spellings."
                )
            module = pipeline.components[place.component].get_submodule(place.path)
            counts = changed.setdefault(place.component, [0, 0])
            counts[0] += _merge(module, layer, place, adapter, where, trained)
            counts[1] += 1
    if adapter.weight:
        for component, (differ, _) in changed.items():
            if not differ:
                raise InputError(
                    f"{adapter.file}: changes no weight of {component}, though the file has keys for it; its tensors are zeros, or "
                    "too small for the model's number type. Give an adapter that was trained, or take these keys out of the file."
                )
    return {
        "file": adapter.file.name,
        "keys": len(keys),
        "keys_used": len(keys),
        "layers_changed": {c: f"{differ} of {all_}" for c, (differ, all_) in sorted(changed.items())},
    }


def _layers(adapter: ResolvedLora) -> list[Layer]:
    layers: dict[str, Layer] = {}
    for key, tensor in load_file(adapter.file).items():
        found = part_of(key)
        if found is None:
            raise InputError(f"{adapter.file}: {key} is no tensor of an adapter; the file was changed, copy it again.")
        if not torch.isfinite(tensor.to(torch.float32)).all():
            raise InputError(
                f"{adapter.file}: {key} holds values that are no numbers (NaN or infinite); train the adapter again."
            )
        layer = layers.setdefault(found[0], Layer(found[0], {}, {}))
        if found[1] in layer.tensors:
            raise InputError(
                f"{adapter.file}: {key} and {layer.keys[found[1]]} are the same part of one layer; delete one."
            )
        layer.tensors[found[1]], layer.keys[found[1]] = tensor, key
    for layer in layers.values():
        _check_parts(adapter, layer)
    return list(layers.values())


_WHOLE = (
    ({"down", "up"}, {"mid"}),
    ({"hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"}, set()),
    ({"hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "hada_t1", "hada_t2"}, set()),
    *(
        ({*one, *two}, {"lokr_t2"} if "lokr_w2_a" in two else set())
        for one in (("lokr_w1",), ("lokr_w1_a", "lokr_w1_b"))
        for two in (("lokr_w2",), ("lokr_w2_a", "lokr_w2_b"))
    ),
)
"""The parts that a layer must have, and those that it may have besides an alpha and a magnitude."""


def _check_parts(adapter: ResolvedLora, layer: Layer) -> None:
    parts = layer.tensors.keys() - {"alpha", "magnitude"}
    if not any(must <= parts <= must | may for must, may in _WHOLE):
        raise InputError(
            f"{adapter.file}: {layer.name} has only the parts {', '.join(sorted(layer.keys.values()))}, which make no whole layer of an adapter; copy the file again."
        )
    if "alpha" in layer.tensors and layer.tensors["alpha"].numel() != 1:
        raise InputError(f"{adapter.file}: {layer.keys['alpha']} holds more than one number; copy the file again.")
    try:
        layer.shape()
    except (RuntimeError, LookupError) as error:
        said = str(error).splitlines()[0]
        raise InputError(
            f"{adapter.file}: the tensors of {layer.name} do not fit each other ({said}); copy the file again."
        ) from None


@torch.no_grad()
def _merge(module: Any, layer: Layer, place: Place, adapter: ResolvedLora, pipeline: str, trained: str) -> bool:
    """Add the layer's change to the module's weights. Returns whether they differ from before."""
    product = layer.product()
    change = layer.scale(adapter) * (product if place.rows is None else product[place.rows])
    weight = module.weight
    before = weight.to(torch.float32)
    if change.shape[0] != before.shape[0] or change.numel() != before.numel():
        raise InputError(
            f"{adapter.file}: does not fit {pipeline}: {layer.name} changes weights of {tuple(change.shape)}, and the model's are "
            f"{tuple(before.shape)}.{trained} Give the model that it was trained on."
        )
    after = before + change.reshape(before.shape).to(before.device)
    if "magnitude" in layer.tensors:
        after = _decomposed(after, layer, place, adapter)
    merged = (before + adapter.weight * (after - before)).to(weight.dtype)
    if not torch.isfinite(merged).all():
        raise InputError(
            f"{adapter.file}: {layer.name} makes weights that are no numbers, or that {weight.dtype} cannot hold; give the model that "
            "it was trained on, a smaller `weight`, or `settings: {dtype: float32}`."
        )
    differs = not torch.equal(merged, weight)
    weight.copy_(merged)
    return differs


def _decomposed(weights: torch.Tensor, layer: Layer, place: Place, adapter: ResolvedLora) -> torch.Tensor:
    """DoRA: the direction of the changed weights at the magnitude that was trained, per output or (LyCORIS) per input."""
    magnitude = layer.tensors["magnitude"].to(weights)
    flat = weights.flatten(2) if weights.ndim > 2 else weights[:, :, None]
    per_input = magnitude.ndim > 1 and magnitude.shape[0] == 1 and magnitude.shape[1] == magnitude.numel()
    if (
        per_input
        and magnitude.numel() == weights.shape[1]
        and not layer.keys["magnitude"].count("lora_magnitude_vector")
    ):
        if place.rows is not None:
            raise InputError(f"{adapter.file}: {layer.keys['magnitude']} is a magnitude per input of a layer that diffusers splits; merge the adapter into the model, and audit the merged model.")  # fmt: skip
        norm = flat.norm(dim=(0, 2))
        scale = (magnitude.flatten() / norm)[None, :]
    else:
        own = magnitude.flatten() if place.rows is None else magnitude.flatten()[place.rows]
        if own.shape[0] != weights.shape[0]:
            raise InputError(f"{adapter.file}: {layer.keys['magnitude']} has {own.shape[0]} values for {weights.shape[0]} outputs; copy the file again.")  # fmt: skip
        norm = flat.norm(dim=(1, 2))
        scale = (own / norm)[:, None]
    return weights * scale.reshape(*scale.shape, *(1,) * (weights.ndim - 2))


# ---- where the layers of a file belong
class _Names:
    """The layers of a pipeline by name, as diffusers writes it, and as kohya does (`_` for every `.`)."""

    def __init__(self, pipeline: Any) -> None:
        self.paths: dict[str, dict[str, list[str]]] = {}
        for component, part in pipeline.components.items():
            if isinstance(part, torch.nn.Module) and component not in _NEVER:
                own = self.paths.setdefault(component, {})
                for path, module in part.named_modules():
                    if getattr(getattr(module, "weight", None), "ndim", 0) >= 2:
                        own.setdefault(path.replace(".", "_"), []).append(path)

    def find(self, name: str) -> tuple[str, str] | None:
        """Component and path of the layer of that name. None if no layer has it, or more than one."""
        name = name.removeprefix("base_model.model.").replace(".processor.", ".")
        found = {place for component, path in self._readings(name) for place in self._places(component, path)}
        return found.pop() if len(found) == 1 else None

    def _readings(self, name: str) -> list[tuple[str, str]]:
        for prefix, components in _KOHYA.items():
            if name.startswith(prefix):
                return [(c, name.removeprefix(prefix)) for c in components]
        for prefix in _ORIGINAL:
            if name.startswith(prefix):
                return [(c, name.removeprefix(prefix)) for c in DENOISERS]
        if own := [c for c in self.paths if name.startswith(f"{c}.")]:
            return [(c, name.removeprefix(f"{c}.")) for c in own]
        return [(c, name) for c in self.paths]

    def _places(self, component: str, path: str) -> list[tuple[str, str]]:
        own = self.paths.get(component, {})
        plain = path.replace(".", "_")
        for spelling in (plain, plain.removeprefix("text_model_"), f"text_model_{plain}"):
            if paths := own.get(spelling):
                return [(component, p) for p in paths]
        return []


def _places(pipeline: Any, names: _Names, layers: Sequence[Layer]) -> dict[str, list[Place]]:
    """The places of each layer that has any: by its name, otherwise by the name that diffusers' converter gives it."""
    found = {layer.name: [Place(*place)] for layer in layers if (place := names.find(layer.name))}
    return found | _converted(pipeline, names, [layer for layer in layers if layer.name not in found])


_ADAPTER = re.compile(r"(?<=lora_[AB])\.\w+(\.weight)$")
_CODE = 1 << 24
"""The converter gets, in place of tensors, numbers that name the layer and count its inputs and outputs, exact in float64."""


def _converted(pipeline: Any, names: _Names, layers: Sequence[Layer]) -> dict[str, list[Place]]:
    """Where diffusers' converter for this pipeline puts layers of another layout (FLUX's original names, SDXL's blocks, ...).

    It renames layers, and splits or reorders their outputs (query, key and value in one). Each number of what it returns says
    from which layer and output it came, so that nothing can be lost or scaled on the way unseen. A layer that it does not return
    whole has no place.
    """
    if not layers or not hasattr(pipeline, "lora_state_dict"):
        return {}
    coded, codes = {}, {}
    for n, layer in enumerate(layers, 1):
        outputs, *inputs = layer.shape()
        codes[n] = n * _CODE + torch.arange(math.prod(inputs), dtype=torch.float64).reshape(1, *inputs)
        counted = torch.arange(1, outputs + 1, dtype=torch.float64)
        coded[_ADAPTER.sub(r"\1", layer.keys.get("down", f"{layer.name}.lora_down.weight"))] = codes[n].clone()
        coded[_ADAPTER.sub(r"\1", layer.keys.get("up", f"{layer.name}.lora_up.weight"))] = counted.reshape(
            outputs, *(1,) * len(inputs)
        )
    options = {"unet_config": pipeline.unet.config} if getattr(pipeline, "unet", None) is not None else {}
    try:
        converted = pipeline.lora_state_dict(coded, **options)
        pairs = _pairs(converted[0] if isinstance(converted, tuple) else converted)
    except Exception:  # each converter raises its own, of names that it does not know; these layers have no place
        return {}
    rows: dict[int, list[Place]] = {}
    for target, parts in pairs.items():
        place = names.find(target)
        if place is None or parts.keys() != {"down", "up"}:
            continue
        n = int(parts["down"].flatten()[0]) // _CODE
        if n in codes and torch.equal(parts["down"], codes[n]):
            rows.setdefault(n, []).append(Place(*place, parts["up"].flatten().long() - 1))
    return {
        layer.name: places
        for n, layer in enumerate(layers, 1)
        if (places := rows.get(n))
        and torch.equal(
            torch.cat([p.rows for p in places if p.rows is not None]).sort().values, torch.arange(layer.shape()[0])
        )
    }


def _pairs(converted: Mapping[str, torch.Tensor]) -> dict[str, dict[str, torch.Tensor]]:
    """The two factors of each layer that a converter names, under PEFT's name of the layer."""
    text = {k: v for k, v in converted.items() if k.startswith("text_encoder")}
    rest = {k: v for k, v in converted.items() if k not in text}
    if any("lora_A" not in k and "lora_B" not in k for k in rest):
        rest = convert_unet_state_dict_to_peft(rest)
    if text:
        text = convert_state_dict_to_peft(convert_state_dict_to_diffusers(text))
    pairs: dict[str, dict[str, torch.Tensor]] = {}
    for key, tensor in {**rest, **text}.items():
        if part := part_of(key):
            pairs.setdefault(part[0], {})[part[1]] = tensor
    return pairs
