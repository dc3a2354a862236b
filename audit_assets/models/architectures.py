"""This table says which encoders are understood, and how the output of each becomes one vector per image.

An architecture is a `model_type` of transformers. Most have more than one output that looks like a vector: a class token, a
pooling layer that may not have been saved, the first of many patches. Only the ways below are used, each as the model's
own library or authors define it. Every other architecture is refused.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from audit_assets.errors import InputError

Output = Literal["get_image_features", "image_embeds", "pooler_output", "class token", "mean of patches"]
"""These are the outputs that can be the vector of an image.

`get_image_features` is the library's feature function for images beside texts, `image_embeds` the projection of a vision
tower alone. The last two are taken from `last_hidden_state`.
"""


@dataclass(frozen=True)
class Pooling:
    """One way from an image to a vector. It applies if the weights have `layer`, the last layer of this way that has weights.

    `*` in `layer` stands for a number, the highest of which counts. `loaded_by` is a class of transformers, and `options` are
    arguments of its loading.
    """

    output: Output
    layer: str
    loaded_by: str = "AutoModel"
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Architecture:
    """A `model_type`: its ways to a vector, the first of which that the weights allow is taken.

    `scale` names the tensor with the scale of an encoder that also reads text. `lower_case` says that it was trained on labels
    in lower case, whatever its tokenizer does. `without` says what to do if no way is possible.
    """

    poolings: tuple[Pooling, ...]
    scale: Literal["logit_scale", "temperature"] | None = None
    lower_case: bool = False
    without: str = "copy the model again"


def _text(layer: str, scale: Literal["logit_scale", "temperature"] = "logit_scale", **more: Any) -> Architecture:
    return Architecture((Pooling("get_image_features", layer),), scale, **more)


def _pooled(layer: str, **more: Any) -> Architecture:
    return Architecture((Pooling("pooler_output", layer),), **more)


def _vision_tower(name: str) -> Architecture:
    """The vision tower of a CLIP alone, with the projection if the weights have it."""
    projected = Pooling("image_embeds", "visual_projection", f"{name}VisionModelWithProjection")
    return Architecture((projected, Pooling("pooler_output", "post_layernorm", f"{name}VisionModel")))


_POOLER_OR_CLASS_TOKEN = Architecture(
    (
        Pooling("pooler_output", "pooler.dense"),
        Pooling("class token", "layernorm", options={"add_pooling_layer": False}),
    )
)
_HEAD = "take the vision tower of a whole SigLIP, which has its pooling head"
_FINE_TUNED = "take a checkpoint that was fine-tuned or saved with its pooling layer"

ARCHITECTURES: Mapping[str, Architecture] = {
    "clip": _text("visual_projection"),
    "siglip": _text("head.mlp.fc2", lower_case=True, without=_HEAD),
    "siglip2": _text("head.mlp.fc2", lower_case=True, without=_HEAD),
    "metaclip_2": _text("visual_projection"),
    "align": _text("encoder.blocks.*.projection.project_bn", "temperature"),
    "altclip": _text("visual_projection"),
    "chinese_clip": _text("visual_projection"),
    "groupvit": _text("visual_projection.*"),
    "clip_vision_model": _vision_tower("CLIP"),
    "metaclip_2_vision_model": _vision_tower("MetaClip2"),
    "siglip_vision_model": _pooled("head.mlp.fc2", without=_HEAD),
    "siglip2_vision_model": _pooled("head.mlp.fc2", without=_HEAD),
    "chinese_clip_vision_model": _pooled("post_layernorm"),
    "mlcd_vision_model": _pooled("post_layernorm"),
    "dinov2": _pooled("layernorm"),
    "dinov2_with_registers": _pooled("layernorm"),
    "dinov3_vit": _pooled("norm"),
    "dinov3_convnext": _pooled("layer_norm"),
    "vit": _POOLER_OR_CLASS_TOKEN,
    "deit": _POOLER_OR_CLASS_TOKEN,
    "vit_mae": Architecture((Pooling("class token", "layernorm", options={"mask_ratio": 0.0}),)),
    "vit_msn": Architecture((Pooling("class token", "layernorm"),)),
    "ijepa": Architecture((Pooling("mean of patches", "layernorm"),)),
    "beit": _pooled("pooler.layernorm", without=_FINE_TUNED),
    "data2vec-vision": Architecture(
        (Pooling("pooler_output", "pooler.layernorm", options={"add_pooling_layer": True}),), without=_FINE_TUNED
    ),
    "swin": _pooled("layernorm"),
    "swinv2": _pooled("layernorm"),
    "focalnet": _pooled("layernorm"),
    "hiera": _pooled("pooler.layernorm", without=_FINE_TUNED),
    "convnext": _pooled("layernorm"),
    "convnextv2": _pooled("layernorm"),
    "resnet": _pooled("encoder.stages.*.layers.*.layer.*.normalization"),
    "regnet": _pooled("encoder.stages.*.layers.*.layer.*.normalization"),
    "efficientnet": _pooled("encoder.top_bn"),
    "mobilenet_v2": _pooled("conv_1x1.normalization"),
    "timm_wrapper": _pooled("forward_head"),
}

REFUSED: Mapping[str, str] = {
    "blip": "its vision tower is trained to write captions, and no function of transformers gives features that names can be compared with",
    "blip-2": "its features are 32 vectors per image, of which no rule makes one",
    "flava": "its feature function returns one vector per patch, of which no rule makes one",
    "clipseg": "it is trained to cut out objects; give the CLIP that it was made from",
    "owlvit": "it is trained to find objects; give the CLIP that it was made from",
    "owlv2": "it is trained to find objects; give the CLIP that it was made from",
    "xclip": "it reads videos",
    "videomae": "it reads videos",
    "vivit": "it reads videos",
    "timesformer": "it reads videos",
    "vjepa2": "it reads videos",
    "imagegpt": "it predicts pixels, and which of its layers describes an image is not settled",
    "sam": "it cuts out objects, and has no vector of a whole image",
    "segformer": "it cuts out objects, and has no vector of a whole image",
    "vision-text-dual-encoder": "its two towers can be of any architecture, so no rule says which output is the feature",
}
"""The reason why an architecture that people ask for has no row above."""

PLUG_IN = "or write a plug-in, which says in code what the vector is (docs/models.md)"


def architecture_of(file: Path, config: Mapping[str, Any], kind: str) -> tuple[str, Architecture]:
    """Return the `model_type` of an encoder's config.json and its row. InputError says why an architecture is refused."""
    name = str(config.get("model_type") or "")
    if not name:
        raise InputError(
            f"{file}: names no model_type, so it is no model of transformers; save it with transformers, {PLUG_IN}."
        )
    found = ARCHITECTURES.get(name)
    if found is None:
        reason = REFUSED.get(name, "no rule says how its output becomes one vector per image")
        raise InputError(
            f"{file}: the architecture {name!r} is not used as an encoder: {reason}; choose one of the table in "
            f"docs/models.md, {PLUG_IN}."
        )
    if kind == "image_text" and found.scale is None:
        raise InputError(f"{file}: {name!r} reads no text, so it has no logit_scale; give it `kind: image`.")
    return name, found


def pooling_of(
    folder: Path, name: str, found: Architecture, shapes: Mapping[str, tuple[int, ...]]
) -> tuple[Pooling, str, int]:
    """Return the way to a vector that the weights allow, the name of its last layer in them, and the vector's dimension.

    ``shapes`` are those of the weights' tensors by name. InputError names the layers that the weights lack.
    """
    for pooling in found.poolings:
        if (layer := _last(pooling.layer, shapes)) is not None:
            return pooling, layer, shapes[f"{layer}.weight"][0]
    wanted = " and ".join(p.layer for p in found.poolings)
    raise InputError(
        f"{folder}: the weights lack {wanted}, from which {name!r} takes the vector of an image; {found.without}."
    )


_OTHER_PARTS = r"(?:text_model|embeddings|encoder|decoder|pooler)\."
"""A layer of one of these parts is not the last layer of the whole."""


def _last(layer: str, shapes: Mapping[str, tuple[int, ...]]) -> str | None:
    """Return the layer's name in the weights, with the name of the model or of its vision tower if that stands before it."""
    pattern = re.compile(rf"(?:(?!{_OTHER_PARTS})\w+\.)?" + re.escape(layer).replace(r"\*", r"\d+") + r"\.weight")
    names = [name for name, shape in shapes.items() if shape and pattern.fullmatch(name)]
    return max(names, key=_numbers).removesuffix(".weight") if names else None


def _numbers(name: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"(?<=\.)\d+(?=\.)", name))
