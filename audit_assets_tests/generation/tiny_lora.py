"""LoRA adapters made by peft and saved as diffusers saves them; with `scale` they change what is drawn visibly."""

from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict


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
