"""A tiny Stable Diffusion 1 in one file, as its authors and most tools save it: the names of tensors of the original code."""

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

Tensors = dict[str, torch.Tensor]

_RESNET = {
    "norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0", "conv2": "out_layers.3", "conv_shortcut": "skip_connection",
}  # fmt: skip
_BLOCKS = 2
_LAYERS = 1


def _unet(name: str) -> str:
    place, *rest = name.split(".")
    if place in ("conv_in", "conv_norm_out", "conv_out"):
        return ".".join([{"conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2"}[place], *rest])
    if place == "time_embedding":
        return f"time_embed.{ {'linear_1': 0, 'linear_2': 2}[rest[0]] }.{rest[1]}"
    if place == "mid_block":
        kind, number, *rest = rest
        return f"middle_block.{1 if kind == 'attentions' else 2 * int(number)}." + _part(kind, rest)
    block, kind, number, *rest = rest
    if place == "down_blocks":
        if kind == "downsamplers":
            return f"input_blocks.{(int(block) + 1) * (_LAYERS + 1)}.0.op.{rest[1]}"
        where = f"input_blocks.{1 + int(block) * (_LAYERS + 1) + int(number)}"
    else:
        if kind == "upsamplers":
            attention = int(block) == 0  # of the tiny model, whose first block upwards has attention
            return f"output_blocks.{int(block) * (_LAYERS + 1) + _LAYERS}.{2 if attention else 1}.conv.{rest[1]}"
        where = f"output_blocks.{int(block) * (_LAYERS + 1) + int(number)}"
    return f"{where}.{1 if kind == 'attentions' else 0}." + _part(kind, rest)


def _part(kind: str, rest: list[str]) -> str:
    return ".".join([_RESNET[rest[0]], *rest[1:]] if kind == "resnets" else rest)


_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out": "proj_out"}


def _vae(name: str, tensor: torch.Tensor) -> tuple[str, torch.Tensor]:
    side, *rest = name.split(".")
    if side in ("quant_conv", "post_quant_conv"):
        return name, tensor
    if rest[0] == "conv_norm_out":
        return f"{side}.norm_out.{rest[1]}", tensor
    if rest[0] == "mid_block":
        if rest[1] == "attentions":
            own = rest[3:]
            new = f"{side}.mid.attn_1.{_ATTENTION[own[0]]}.{own[-1]}"
            return new, tensor[..., None, None] if tensor.ndim == 2 else tensor
        return f"{side}.mid.block_{int(rest[2]) + 1}." + ".".join(rest[3:]), tensor
    if rest[0] in ("down_blocks", "up_blocks"):
        down = rest[0] == "down_blocks"
        block = int(rest[1]) if down else _BLOCKS - 1 - int(rest[1])
        where = f"{side}.{'down' if down else 'up'}.{block}"
        if rest[2] == "resnets":
            own = ["nin_shortcut" if r == "conv_shortcut" else r for r in rest[4:]]
            return f"{where}.block.{rest[3]}." + ".".join(own), tensor
        return f"{where}.{'downsample' if down else 'upsample'}." + ".".join(rest[4:]), tensor
    return name, tensor


def original(pipeline: Path, *, text: bool = True, vae: bool = True) -> Tensors:
    """The tensors of a saved tiny pipeline under their original names."""
    (unet_file,) = (pipeline / "unet").glob("*.safetensors")
    found = {f"model.diffusion_model.{_unet(name)}": t for name, t in load_file(unet_file).items()}
    if vae:
        (vae_file,) = (pipeline / "vae").glob("*.safetensors")
        moved = [_vae(name, tensor) for name, tensor in load_file(vae_file).items()]
        found |= {f"first_stage_model.{name}": tensor for name, tensor in moved}
    if text:
        (text_file,) = (pipeline / "text_encoder").glob("*.safetensors")
        for name, tensor in load_file(text_file).items():
            found[f"cond_stage_model.transformer.text_model.{name.removeprefix('text_model.')}"] = tensor
    return {name: tensor.contiguous().clone() for name, tensor in found.items()}


def save_one_file(pipeline: Path, file: Path, **parts: bool) -> Path:
    save_file(original(pipeline, **parts), file)
    return file


def without_weights(folder: Path) -> Path:
    for file in folder.glob("*/*.safetensors"):
        file.unlink()
    return folder
