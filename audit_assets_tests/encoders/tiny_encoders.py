"""Encoders with random weights, saved beside their processors as the real ones are."""

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
    PreTrainedTokenizerFast,
    SiglipConfig,
    SiglipImageProcessorPil,
    SiglipModel,
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


def siglip(folder: Path) -> None:
    pieces = Tokenizer(models.WordLevel({"<pad>": 0, "<unk>": 1, "art": 2, "by": 3, "klee": 4, "miro": 5}, "<unk>"))
    pieces.pre_tokenizer = pre_tokenizers.Whitespace()
    text = {**SMALL, "vocab_size": 6, "max_position_embeddings": 16, "projection_size": 16}
    SiglipModel(SiglipConfig(text_config=text, vision_config=VISION)).save_pretrained(folder)
    SiglipImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=pieces, pad_token="<pad>", unk_token="<unk>").save_pretrained(folder)


def dinov2(folder: Path) -> None:
    config = {k: v for k, v in VISION.items() if k != "intermediate_size"}
    Dinov2Model(Dinov2Config(**config)).save_pretrained(folder)
    BitImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)


KINDS = {"clip": "image_text", "siglip": "image_text", "dinov2": "image"}


def save(family: str, folder: Path) -> Path:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        {"clip": clip, "siglip": siglip, "dinov2": dinov2}[family](folder)
    return folder
