"""Encoders with random weights, saved beside their processors as the real ones are."""

import string
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    BitImageProcessorPil,
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    Dinov2Config,
    Dinov2Model,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
    PreTrainedTokenizerFast,
    Siglip2Config,
    Siglip2ImageProcessorPil,
    Siglip2Model,
    Siglip2Tokenizer,
    SiglipConfig,
    SiglipImageProcessorPil,
    SiglipModel,
    ViTConfig,
    ViTImageProcessorPil,
    ViTModel,
)

from audit_assets_tests.generation.tiny_pipelines import clip_tokenizer

SMALL = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1}
VISION = {**SMALL, "image_size": 32, "patch_size": 8}


def clip(folder: Path) -> None:
    tokenizer = clip_tokenizer()
    special = {f"{t}_token_id": getattr(tokenizer, f"{t}_token_id") for t in ("bos", "eos", "pad")}
    text = {**SMALL, "vocab_size": len(tokenizer), **special}
    CLIPModel(CLIPConfig(text_config=text, vision_config=VISION, projection_dim=12)).save_pretrained(folder)
    CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=32).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _words() -> PreTrainedTokenizerFast:
    pieces = Tokenizer(models.WordLevel({"<pad>": 0, "<unk>": 1, "art": 2, "by": 3, "klee": 4, "miro": 5}, "<unk>"))
    pieces.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=pieces, pad_token="<pad>", unk_token="<unk>")


def siglip(folder: Path) -> None:
    text = {**SMALL, "vocab_size": 6, "max_position_embeddings": 16, "projection_size": 16}
    SiglipModel(SiglipConfig(text_config=text, vision_config=VISION)).save_pretrained(folder)
    SiglipImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    _words().save_pretrained(folder)


def siglip2(folder: Path) -> None:
    """The one with patches of any shape; those of a fixed size are SigLIP's class with other weights."""
    pieces = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "▁", *string.ascii_lowercase]
    tokenizer = Siglip2Tokenizer(vocab={piece: i for i, piece in enumerate(pieces)}, merges=[], padding_side="right")
    vision = {**SMALL, "num_patches": 16, "patch_size": 8}
    text = {**SMALL, "vocab_size": len(pieces), "max_position_embeddings": 24, "projection_size": 16}
    Siglip2Model(Siglip2Config(text_config=text, vision_config=vision)).save_pretrained(folder)
    Siglip2ImageProcessorPil(patch_size=8, max_num_patches=16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def openclip(folder: Path) -> None:
    """As a converted OpenCLIP is: another activation, widths of its own for each side, padding with the first token."""
    tokenizer = clip_tokenizer()
    special = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": 0}
    text = {**SMALL, "vocab_size": len(tokenizer), "hidden_act": "gelu", **special}
    vision = {**VISION, "hidden_size": 24, "num_attention_heads": 3, "hidden_act": "gelu"}
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=20)).save_pretrained(folder)
    CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=32).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def dinov2(folder: Path) -> None:
    config = {k: v for k, v in VISION.items() if k != "intermediate_size"}
    Dinov2Model(Dinov2Config(**config)).save_pretrained(folder)
    BitImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)


def vit(folder: Path) -> None:
    """Self-supervised models are often saved without the pooling layer, which was never trained."""
    ViTModel(ViTConfig(**VISION), add_pooling_layer=False).save_pretrained(folder)
    ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)


def dinov2_with_registers(folder: Path) -> None:
    config = {k: v for k, v in VISION.items() if k != "intermediate_size"}
    Dinov2WithRegistersModel(Dinov2WithRegistersConfig(**config)).save_pretrained(folder)
    BitImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)


_SAVED = {f.__name__: f for f in (clip, openclip, siglip, siglip2, dinov2, dinov2_with_registers, vit)}
KINDS = {name: "image_text" if "clip" in name or "siglip" in name else "image" for name in _SAVED}
TEXT = [name for name, kind in KINDS.items() if kind == "image_text"]


def save(family: str, folder: Path) -> Path:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        _SAVED[family](folder)
    return folder
