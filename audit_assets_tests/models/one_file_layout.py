"""Tiny models in one file, as their authors and most tools save them: the names of tensors of the original code.

`original` takes a saved pipeline of Stable Diffusion 1 or XL, `original_sd3` and `original_flux` one of these families.
"""

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
    if place == "add_embedding":
        return f"label_emb.0.{ {'linear_1': 0, 'linear_2': 2}[rest[0]] }.{rest[1]}"
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
    found = {f"model.diffusion_model.{_unet(name)}": t for name, t in _saved(pipeline, "unet").items()}
    if vae:
        found |= _vae_of(pipeline)
    if text and (pipeline / "text_encoder_2").exists():
        found |= _clip(pipeline, "text_encoder", "conditioner.embedders.0.transformer.")
        found |= _open_clip(_saved(pipeline, "text_encoder_2"), "conditioner.embedders.1.model.")
    elif text:
        found |= _clip(pipeline, "text_encoder", "cond_stage_model.transformer.")
    return {name: tensor.contiguous().clone() for name, tensor in found.items()}


def _saved(pipeline: Path, component: str) -> Tensors:
    (file,) = (pipeline / component).glob("*.safetensors")
    return dict(load_file(file))


def _vae_of(pipeline: Path) -> Tensors:
    moved = [_vae(name, tensor) for name, tensor in _saved(pipeline, "vae").items()]
    return {f"first_stage_model.{name}": tensor for name, tensor in moved}


def _clip(pipeline: Path, component: str, prefix: str) -> Tensors:
    """As CLIP's own library names them, with the tower `text_model` and a projection beside it."""
    whole = {n if n.startswith("text_") else f"text_model.{n}": t for n, t in _saved(pipeline, component).items()}
    return {f"{prefix}{name}": tensor for name, tensor in whole.items()}


_OPEN_CLIP = (
    ("text_model.encoder.layers.", "transformer.resblocks."), ("layer_norm1", "ln_1"), ("layer_norm2", "ln_2"),
    (".fc1.", ".c_fc."), (".fc2.", ".c_proj."), (".self_attn", ".attn"), ("text_model.final_layer_norm", "ln_final"),
    ("text_model.embeddings.token_embedding", "token_embedding"),
    ("text_model.embeddings.position_embedding.weight", "positional_embedding"),
    ("text_projection.weight", "text_projection"),
)  # fmt: skip


def _open_clip(saved: Tensors, prefix: str) -> Tensors:
    found = {}
    for name, tensor in saved.items():
        if ".q_proj." in name:
            tensor = torch.cat([saved[name.replace(".q_proj.", f".{one}_proj.")] for one in "qkv"])
            name = name.replace(".q_proj.", ".in_proj_")
        elif ".k_proj." in name or ".v_proj." in name:
            continue
        for theirs, own in _OPEN_CLIP:
            name = name.replace(theirs, own)
        found[prefix + name] = tensor.T if name == "text_projection" else tensor
    return found


_SD3 = (
    ("pos_embed.proj", "x_embedder.proj"), ("pos_embed.pos_embed", "pos_embed"),
    ("time_text_embed.timestep_embedder.linear_1", "t_embedder.mlp.0"),
    ("time_text_embed.timestep_embedder.linear_2", "t_embedder.mlp.2"),
    ("time_text_embed.text_embedder.linear_1", "y_embedder.mlp.0"),
    ("time_text_embed.text_embedder.linear_2", "y_embedder.mlp.2"),
    ("transformer_blocks.", "joint_blocks."), (".attn.to_out.0", ".x_block.attn.proj"),
    (".attn.to_add_out", ".context_block.attn.proj"), (".norm1.linear", ".x_block.adaLN_modulation.1"),
    (".norm1_context.linear", ".context_block.adaLN_modulation.1"), (".ff.net.0.proj", ".x_block.mlp.fc1"),
    (".ff.net.2", ".x_block.mlp.fc2"), (".ff_context.net.0.proj", ".context_block.mlp.fc1"),
    (".ff_context.net.2", ".context_block.mlp.fc2"), ("norm_out.linear", "final_layer.adaLN_modulation.1"),
    ("proj_out", "final_layer.linear"),
)  # fmt: skip


def original_sd3(pipeline: Path) -> Tensors:
    saved = _saved(pipeline, "transformer")
    last = max(int(name.split(".")[1]) for name in saved if name.startswith("transformer_blocks."))
    found = {}
    for name, tensor in saved.items():
        if name.startswith("norm_out.") or name.startswith(f"transformer_blocks.{last}.norm1_context."):
            tensor = _swapped(tensor)
        name, tensor = _joined(
            name, tensor, saved, {"to_q": "x_block.attn.qkv", "add_q_proj": "context_block.attn.qkv"}
        )
        for theirs, own in _SD3:
            name = name.replace(theirs, own)
        if name:
            found[f"model.diffusion_model.{name}"] = tensor
    found |= _vae_of(pipeline)
    found |= _clip(pipeline, "text_encoder", "text_encoders.clip_l.transformer.")
    found |= _clip(pipeline, "text_encoder_2", "text_encoders.clip_g.transformer.")
    t5 = _saved(pipeline, "text_encoder_3")
    found |= {f"text_encoders.t5xxl.transformer.{name}": tensor for name, tensor in t5.items()}
    return {name: tensor.contiguous().clone() for name, tensor in found.items()}


_FLUX = (
    ("time_text_embed.timestep_embedder.linear_1", "time_in.in_layer"),
    ("time_text_embed.timestep_embedder.linear_2", "time_in.out_layer"),
    ("time_text_embed.text_embedder.linear_1", "vector_in.in_layer"),
    ("time_text_embed.text_embedder.linear_2", "vector_in.out_layer"),
    ("time_text_embed.guidance_embedder.linear_1", "guidance_in.in_layer"),
    ("time_text_embed.guidance_embedder.linear_2", "guidance_in.out_layer"),
    ("context_embedder", "txt_in"), ("x_embedder", "img_in"), ("norm_out.linear", "final_layer.adaLN_modulation.1"),
)  # fmt: skip
_FLUX_DOUBLE = (
    ("transformer_blocks.", "double_blocks."), (".norm1.linear", ".img_mod.lin"), (".norm1_context.linear", ".txt_mod.lin"),
    (".attn.norm_q.weight", ".img_attn.norm.query_norm.scale"), (".attn.norm_k.weight", ".img_attn.norm.key_norm.scale"),
    (".attn.norm_added_q.weight", ".txt_attn.norm.query_norm.scale"),
    (".attn.norm_added_k.weight", ".txt_attn.norm.key_norm.scale"),
    (".ff.net.0.proj", ".img_mlp.0"), (".ff.net.2", ".img_mlp.2"), (".ff_context.net.0.proj", ".txt_mlp.0"),
    (".ff_context.net.2", ".txt_mlp.2"), (".attn.to_out.0", ".img_attn.proj"), (".attn.to_add_out", ".txt_attn.proj"),
)  # fmt: skip
_FLUX_SINGLE = (
    ("single_transformer_blocks.", "single_blocks."), (".norm.linear", ".modulation.lin"),
    (".attn.norm_q.weight", ".norm.query_norm.scale"), (".attn.norm_k.weight", ".norm.key_norm.scale"),
    (".proj_out", ".linear2"),
)  # fmt: skip


def original_flux(pipeline: Path) -> Tensors:
    """The denoiser alone, as `flux1-dev.safetensors` has it."""
    saved, found = _saved(pipeline, "transformer"), {}
    for name, tensor in saved.items():
        if name.startswith("norm_out."):
            tensor = _swapped(tensor)
        renamed: tuple[tuple[str, str], ...]
        if name.startswith("single_"):
            renamed, names = _FLUX_SINGLE, {"to_q": "linear1"}
            if ".proj_mlp." in name:
                continue
        elif name.startswith("transformer_blocks."):
            renamed, names = _FLUX_DOUBLE, {"to_q": "img_attn.qkv", "add_q_proj": "txt_attn.qkv"}
        else:
            renamed, names = (*_FLUX, ("proj_out", "final_layer.linear")), {}
        name, tensor = _joined(name, tensor, saved, names)
        for theirs, own in renamed:
            name = name.replace(theirs, own)
        if name:
            found[name] = tensor
    return {name: tensor.contiguous().clone() for name, tensor in found.items()}


def _joined(name: str, tensor: torch.Tensor, saved: Tensors, names: dict[str, str]) -> tuple[str, torch.Tensor]:
    """Queries, keys and values in one tensor under the name of the queries. The keys and values by themselves have no name."""
    place = next((part for part in name.split(".") if part in names), None)
    if place is not None:
        parts = [
            saved[name.replace("q", one) if place == "to_q" else name.replace("add_q", f"add_{one}")] for one in "qkv"
        ]
        if name.startswith("single_"):
            parts.append(saved[name.replace("attn.to_q", "proj_mlp")])
        return name.replace(f"attn.{place}", names[place]), torch.cat(parts)
    own = ("to_k", "to_v", "add_k_proj", "add_v_proj")
    return ("", tensor) if any(part in own for part in name.split(".")) else (name, tensor)


def _swapped(tensor: torch.Tensor) -> torch.Tensor:
    """Scale and shift, which the original code has in the other order."""
    return torch.cat(list(reversed(tensor.chunk(2, dim=0))))


def save_one_file(pipeline: Path, file: Path, **parts: bool) -> Path:
    save_file(original(pipeline, **parts), file)
    return file


def without_weights(folder: Path) -> Path:
    for file in folder.glob("*/*.safetensors"):
        file.unlink()
    return folder
