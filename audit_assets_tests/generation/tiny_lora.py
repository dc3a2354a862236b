"""LoRA adapters, made by peft and saved as diffusers saves them, and in the layouts of other trainers. They change what is drawn visibly."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline, StableDiffusionPipeline
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors.torch import save_file

ATTENTION = ("to_q", "to_k", "to_v", "to_out.0", "q_proj", "k_proj", "v_proj", "out_proj", ".q", ".k", ".v", ".o")
Tensors = dict[str, torch.Tensor]


def save(model: Path, folder: Path, *, seed: int = 1, scale: float = 3.0, rank: int = 2) -> Path:
    """An adapter of the attention layers of the pipeline's UNet. Returns its file."""
    pipeline = StableDiffusionPipeline.from_pretrained(model, use_safetensors=True, local_files_only=True)
    pipeline.unet.add_adapter(LoraConfig(r=rank, target_modules=["to_q", "to_k", "to_v", "to_out.0"]))
    generator = torch.Generator().manual_seed(seed)
    for name, weights in pipeline.unet.named_parameters():
        if "lora" in name:
            weights.data = scale * torch.randn(weights.shape, generator=generator)
    folder.mkdir(parents=True, exist_ok=True)
    StableDiffusionPipeline.save_lora_weights(folder, unet_lora_layers=get_peft_model_state_dict(pipeline.unet))
    (file,) = folder.glob("*.safetensors")
    return file


def pipeline_of(model: Path) -> Any:
    return DiffusionPipeline.from_pretrained(model, use_safetensors=True, local_files_only=True)


def attention(part: torch.nn.Module) -> dict[str, tuple[int, int]]:
    """Outputs and inputs of every attention layer of a component, by path."""
    return {
        path: (int(module.weight.shape[0]), int(module.weight.shape[1]))
        for path, module in part.named_modules()
        if isinstance(module, torch.nn.Linear) and f".{path}".endswith(ATTENTION)
    }


def pairs(shapes: Mapping[str, tuple[int, ...]], *, rank: int = 2, scale: float = 1.0, seed: int = 1) -> dict[str, Any]:
    """Random factors (down, up) of each layer."""
    source = torch.Generator().manual_seed(seed)
    return {
        name: (scale * torch.randn(rank, i, generator=source), scale * torch.randn(o, rank, generator=source))
        for name, (o, i) in shapes.items()
    }


def kohya(factors: Mapping[str, Any], prefix: str, alpha: float | None = 2.0) -> Tensors:
    """The tensors as kohya's scripts name them: `lora_unet_down_blocks_0_....lora_down.weight`, and an alpha of each layer."""
    found: Tensors = {}
    for name, (down, up) in factors.items():
        key = f"{prefix}{name.replace('.', '_')}"
        found |= {f"{key}.lora_down.weight": down, f"{key}.lora_up.weight": up}
        found |= {} if alpha is None else {f"{key}.alpha": torch.tensor(alpha)}
    return found


def peft(factors: Mapping[str, Any], prefix: str) -> Tensors:
    """The tensors as PEFT and diffusers name them: `<prefix>down_blocks.0. ... .lora_A.weight`."""
    sides: Iterable[tuple[str, int]] = (("A", 0), ("B", 1))
    return {f"{prefix}{name}.lora_{side}.weight": pair[n] for name, pair in factors.items() for side, n in sides}


def write(tensors: Tensors, file: Path, metadata: dict[str, str] | None = None) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file({k: v.contiguous() for k, v in tensors.items()}, file, metadata={"format": "pt", **(metadata or {})})
    return file
