"""Encoders with random weights, saved beside their processors as the real ones are: one function per architecture or layout."""

import json
import string
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers as t
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from audit_assets_tests.generation.tiny_pipelines import clip_tokenizer

SMALL = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1}
VISION = {**SMALL, "image_size": 32, "patch_size": 8}
DINO = {k: v for k, v in VISION.items() if k != "intermediate_size"}
SWIN = {"image_size": 32, "patch_size": 4, "embed_dim": 8, "depths": [1, 1], "num_heads": [2, 2], "window_size": 4}
CONVNEXT = {"hidden_sizes": [8, 8, 8, 16], "depths": [1, 1, 1, 1]}
RESNET = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [2, 2]}


@dataclass(frozen=True)
class TinyEncoder:
    """How it is saved, and how the library itself gives the features of its images, from its folder and its processor's output."""

    save: Callable[[Path], None]
    kind: str
    own: Callable[[Path, dict[str, Any]], torch.Tensor]
    own_name: str


TINY: dict[str, TinyEncoder] = {}


def _tiny(kind: str, model_class: str, output: str, **options: Any) -> Callable[..., Callable[[Path], None]]:
    """Register a tiny encoder, whose features are `output` of the named class of transformers."""

    def own(folder: Path, inputs: dict[str, Any]) -> torch.Tensor:
        model = getattr(t, model_class).from_pretrained(folder, **options).eval()
        with torch.inference_mode():
            if output == "get_image_features":
                return model.get_image_features(**inputs).pooler_output
            found = model(**inputs)
            if output == "class token":
                return found.last_hidden_state[:, 0]
            if output == "mean of patches":
                return found.last_hidden_state.mean(dim=1)
            return getattr(found, output).flatten(1)

    def register(save: Callable[[Path], None]) -> Callable[[Path], None]:
        TINY[save.__name__] = TinyEncoder(save, kind, own, f"{model_class}, {output}")
        return save

    return register


def _clip_towers(**more: Any) -> dict[str, Any]:
    tokenizer = clip_tokenizer()
    special = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("bos", "eos", "pad")}
    return {"text_config": {**SMALL, "vocab_size": len(tokenizer), **special, **more}, "vision_config": VISION}


def _clip_processor(folder: Path) -> None:
    t.CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=32).save_pretrained(folder)


def _square_processor(folder: Path, processor: str = "ViTImageProcessorPil") -> None:
    getattr(t, processor)(size={"height": 32, "width": 32}).save_pretrained(folder)


def _bit_processor(folder: Path) -> None:
    t.BitImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)


def _convnext_processor(folder: Path) -> None:
    t.ConvNextImageProcessorPil(size={"shortest_edge": 32}, crop_pct=0.875).save_pretrained(folder)


def _lively(model: Any, network: Any = None) -> Any:
    """A network of convolutions with the statistics of its own signal, which dies out between its first weights otherwise."""
    for module in (network or model).modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.ones_(module.weight)
            module.momentum = None  # the mean over all batches
    with torch.no_grad():
        (network or model).train()(pixel_values=torch.randn(8, 3, 32, 32))
    return model.eval()


@_tiny("image_text", "CLIPModel", "get_image_features")
def clip(folder: Path) -> None:
    t.CLIPModel(t.CLIPConfig(**_clip_towers(), projection_dim=12)).save_pretrained(folder)
    _clip_processor(folder)
    clip_tokenizer().save_pretrained(folder)


@_tiny("image_text", "CLIPModel", "get_image_features")
def openclip(folder: Path) -> None:
    """As a converted OpenCLIP is: another activation, widths of its own for each side, padding with the first token."""
    towers = _clip_towers(hidden_act="gelu", pad_token_id=0)
    towers["vision_config"] = {**VISION, "hidden_size": 24, "num_attention_heads": 3, "hidden_act": "gelu"}
    t.CLIPModel(t.CLIPConfig(**towers, projection_dim=20)).save_pretrained(folder)
    _clip_processor(folder)
    clip_tokenizer().save_pretrained(folder)


@_tiny("image", "CLIPVisionModelWithProjection", "image_embeds")
def clip_vision_with_projection(folder: Path) -> None:
    """As the image encoders of IP-Adapter and of pipelines are: their `model_type` is that of the tower without projection."""
    config = t.CLIPVisionConfig(**VISION, projection_dim=12)
    t.CLIPVisionModelWithProjection(config).save_pretrained(folder)
    _clip_processor(folder)


@_tiny("image", "CLIPVisionModel", "pooler_output")
def clip_vision(folder: Path) -> None:
    t.CLIPVisionModel(t.CLIPVisionConfig(**VISION)).save_pretrained(folder)
    _clip_processor(folder)


def _words() -> t.PreTrainedTokenizerFast:
    pieces = Tokenizer(models.WordLevel({"<pad>": 0, "<unk>": 1, "art": 2, "by": 3, "klee": 4, "miro": 5}, "<unk>"))
    pieces.pre_tokenizer = pre_tokenizers.Whitespace()
    return t.PreTrainedTokenizerFast(tokenizer_object=pieces, pad_token="<pad>", unk_token="<unk>")


@_tiny("image_text", "SiglipModel", "get_image_features")
def siglip(folder: Path) -> None:
    text = {**SMALL, "vocab_size": 6, "max_position_embeddings": 16, "projection_size": 16}
    t.SiglipModel(t.SiglipConfig(text_config=text, vision_config=VISION)).save_pretrained(folder)
    _square_processor(folder, "SiglipImageProcessorPil")
    _words().save_pretrained(folder)


@_tiny("image_text", "SiglipModel", "get_image_features")
def siglip_as_published(folder: Path) -> None:
    """As `google/siglip-base-patch16-224` is: its configuration has only what differs from the defaults, and no width."""
    text = {"vocab_size": 6, "max_position_embeddings": 16, "num_hidden_layers": 1, "intermediate_size": 16}
    vision = {"num_hidden_layers": 1, "intermediate_size": 16, "image_size": 32}
    t.SiglipModel(t.SiglipConfig(text_config=text, vision_config=vision)).half().save_pretrained(folder)
    said = {
        "model_type": "siglip",
        "architectures": ["SiglipModel"],
        "initializer_factor": 1.0,
        "torch_dtype": "float32",
    }
    towers = {"text_config": {"model_type": "siglip_text_model", **text}}
    towers["vision_config"] = {"model_type": "siglip_vision_model", **vision}
    (folder / "config.json").write_text(json.dumps({**said, **towers}))
    _square_processor(folder, "SiglipImageProcessorPil")
    _words().save_pretrained(folder)


def gemma_tokenizer() -> Tokenizer:
    """A tokenizer.json as Gemma has it: pieces of text as written, capitals apart from small letters, no text lower-cased."""
    pieces = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "▁", *string.ascii_letters]
    own = Tokenizer(models.BPE({p: i for i, p in enumerate(pieces)}, [], unk_token="<unk>", fuse_unk=True))
    own.normalizer = normalizers.Replace(" ", "▁")
    own.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    own.add_special_tokens(pieces[:5])
    own.post_processor = processors.TemplateProcessing(single="$A <eos>", special_tokens=[("<eos>", 1)])
    return own


GEMMA = {
    "tokenizer_class": "GemmaTokenizer",
    "add_bos_token": False,
    "add_eos_token": True,
    "padding_side": "right",
    "model_max_length": 64,
    **{f"{name}_token": f"<{name}>" for name in ("pad", "eos", "bos", "unk")},
}


@_tiny("image_text", "SiglipModel", "get_image_features")
def siglip2_of_a_fixed_size(folder: Path) -> None:
    """As `google/siglip2-base-patch16-224` is: SigLIP's classes, and Gemma's tokenizer, which keeps capitals."""
    text = {**SMALL, "vocab_size": 58, "max_position_embeddings": 64, "projection_size": 16}
    t.SiglipModel(t.SiglipConfig(text_config=text, vision_config=VISION)).save_pretrained(folder)
    _square_processor(folder, "SiglipImageProcessorPil")
    gemma_tokenizer().save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(GEMMA))


@_tiny("image_text", "Siglip2Model", "get_image_features")
def siglip2(folder: Path) -> None:
    """The one with patches of any shape (NaFlex)."""
    pieces = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "▁", *string.ascii_lowercase]
    tokenizer = t.Siglip2Tokenizer(vocab={piece: i for i, piece in enumerate(pieces)}, merges=[], padding_side="right")
    vision = {**SMALL, "num_patches": 16, "patch_size": 8}
    text = {**SMALL, "vocab_size": len(pieces), "max_position_embeddings": 24, "projection_size": 16}
    t.Siglip2Model(t.Siglip2Config(text_config=text, vision_config=vision)).save_pretrained(folder)
    t.Siglip2ImageProcessorPil(patch_size=8, max_num_patches=16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _bert_tokenizer(folder: Path) -> int:
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "art", "by", "klee", "miro"]
    (folder / "vocab.txt").write_text("\n".join(pieces))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 64})
    )
    return len(pieces)


def _xlm_tokenizer(folder: Path) -> int:
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "▁art", "▁by", "▁klee", "▁miro", "▁", *string.ascii_letters, "<mask>"]
    tokenizer = t.XLMRobertaTokenizer(vocab=[(piece, -float(i)) for i, piece in enumerate(pieces)])
    tokenizer.model_max_length = 60
    tokenizer.save_pretrained(folder)
    return len(tokenizer)


@_tiny("image_text", "AlignModel", "get_image_features")
def align(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    text = {**SMALL, "vocab_size": _bert_tokenizer(folder), "max_position_embeddings": 64}
    config = t.AlignConfig(text_config=text, vision_config=_EFFICIENT, projection_dim=16, temperature_init_value=0.5)
    model = t.AlignModel(config)
    _lively(model, model.vision_model).save_pretrained(folder)
    _square_processor(folder, "EfficientNetImageProcessorPil")


_EFFICIENT = {
    "image_size": 32, "width_coefficient": 1.0, "depth_coefficient": 1.0, "depth_divisor": 8, "in_channels": [32, 16],
    "out_channels": [16, 16], "kernel_sizes": [3, 3], "strides": [1, 2], "num_block_repeats": [1, 1], "expand_ratios": [1, 2],
    "depthwise_padding": [], "hidden_dim": 1024,
}  # fmt: skip


@_tiny("image_text", "AltCLIPModel", "get_image_features")
def altclip(folder: Path) -> None:
    text = {**SMALL, "vocab_size": _xlm_tokenizer(folder), "max_position_embeddings": 64, "project_dim": 16}
    special = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2}
    config = t.AltCLIPConfig(text_config={**text, **special}, vision_config=VISION, projection_dim=12)
    t.AltCLIPModel(config).save_pretrained(folder)
    _clip_processor(folder)


@_tiny("image_text", "ChineseCLIPModel", "get_image_features")
def chinese_clip(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    text = {**SMALL, "vocab_size": _bert_tokenizer(folder), "max_position_embeddings": 64}
    t.ChineseCLIPModel(t.ChineseCLIPConfig(text_config=text, vision_config=VISION, projection_dim=12)).save_pretrained(
        folder
    )
    t.ChineseCLIPImageProcessorPil(size={"height": 32, "width": 32}, crop_size=32).save_pretrained(folder)


@_tiny("image_text", "MetaClip2Model", "get_image_features")
def metaclip_2(folder: Path) -> None:
    text = {**SMALL, "vocab_size": _xlm_tokenizer(folder), "max_position_embeddings": 64, "eos_token_id": 2}
    config = t.MetaClip2Config(text_config=text, vision_config=VISION, projection_dim=12)
    t.MetaClip2Model(config).save_pretrained(folder)
    _clip_processor(folder)


@_tiny("image", "SiglipVisionModel", "pooler_output")
def siglip_vision(folder: Path) -> None:
    t.SiglipVisionModel(t.SiglipVisionConfig(**VISION)).save_pretrained(folder)
    _square_processor(folder, "SiglipImageProcessorPil")


@_tiny("image", "Dinov2Model", "pooler_output")
def dinov2(folder: Path) -> None:
    t.Dinov2Model(t.Dinov2Config(**DINO)).save_pretrained(folder)
    _bit_processor(folder)


@_tiny("image", "Dinov2WithRegistersModel", "pooler_output")
def dinov2_with_registers(folder: Path) -> None:
    t.Dinov2WithRegistersModel(t.Dinov2WithRegistersConfig(**DINO)).save_pretrained(folder)
    _bit_processor(folder)


def _dinov3_processor(folder: Path) -> None:
    usual = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225], "rescale_factor": 1 / 255}
    steps = {"do_resize": True, "do_rescale": True, "do_normalize": True, "do_center_crop": None, "crop_size": None}
    own = {"image_processor_type": "DINOv3ViTImageProcessorFast", "size": {"height": 32, "width": 32}, "resample": 2}
    (folder / "preprocessor_config.json").write_text(json.dumps({**usual, **steps, **own, "default_to_square": True}))


@_tiny("image", "DINOv3ViTModel", "pooler_output")
def dinov3_vit(folder: Path) -> None:
    """Its image processor exists for torchvision alone."""
    t.DINOv3ViTModel(t.DINOv3ViTConfig(**VISION, num_register_tokens=4)).save_pretrained(folder)
    _dinov3_processor(folder)


@_tiny("image", "DINOv3ConvNextModel", "pooler_output")
def dinov3_convnext(folder: Path) -> None:
    t.DINOv3ConvNextModel(t.DINOv3ConvNextConfig(**CONVNEXT)).save_pretrained(folder)
    _dinov3_processor(folder)


@_tiny("image", "ViTModel", "class token", add_pooling_layer=False)
def vit(folder: Path) -> None:
    """Self-supervised models are often saved without the pooling layer, which was never trained."""
    t.ViTModel(t.ViTConfig(**VISION), add_pooling_layer=False).save_pretrained(folder)
    _square_processor(folder)


@_tiny("image", "ViTModel", "pooler_output")
def vit_with_pooler(folder: Path) -> None:
    """As `google/vit-base-patch16-224-in21k` is."""
    t.ViTModel(t.ViTConfig(**VISION)).save_pretrained(folder)
    _square_processor(folder)


@_tiny("image", "ViTModel", "class token", add_pooling_layer=False)
def vit_that_classifies(folder: Path) -> None:
    """As `google/vit-base-patch16-224` is: a head for classes, and no pooling layer."""
    t.ViTForImageClassification(t.ViTConfig(**VISION)).save_pretrained(folder)
    _square_processor(folder)


@_tiny("image", "ViTModel", "class token", add_pooling_layer=False)
def vit_mae(folder: Path) -> None:
    """The whole masked autoencoder, as `facebook/vit-mae-base` is. Without a mask its encoder is a ViT, which is compared."""
    decoder = {"decoder_num_attention_heads": 2, "decoder_hidden_size": 16, "decoder_num_hidden_layers": 1}
    t.ViTMAEForPreTraining(t.ViTMAEConfig(**VISION, **decoder, decoder_intermediate_size=16)).save_pretrained(folder)
    _square_processor(folder)


@_tiny("image", "ViTMSNModel", "class token")
def vit_msn(folder: Path) -> None:
    t.ViTMSNModel(t.ViTMSNConfig(**VISION)).save_pretrained(folder)
    _square_processor(folder)


@_tiny("image", "DeiTModel", "class token", add_pooling_layer=False)
def deit(folder: Path) -> None:
    """As `facebook/deit-base-distilled-patch16-224` is: two heads, and no pooling layer."""
    t.DeiTForImageClassificationWithTeacher(t.DeiTConfig(**VISION)).save_pretrained(folder)
    t.DeiTImageProcessorPil(size={"height": 32, "width": 32}, crop_size=32).save_pretrained(folder)


@_tiny("image", "IJepaModel", "mean of patches", add_pooling_layer=False)
def ijepa(folder: Path) -> None:
    t.IJepaModel(t.IJepaConfig(**VISION), add_pooling_layer=False).save_pretrained(folder)
    _square_processor(folder)


@_tiny("image", "BeitModel", "pooler_output")
def beit(folder: Path) -> None:
    t.BeitForImageClassification(t.BeitConfig(**VISION)).save_pretrained(folder)
    t.BeitImageProcessorPil(size={"height": 32, "width": 32}, crop_size=32).save_pretrained(folder)


@_tiny("image", "Data2VecVisionModel", "pooler_output", add_pooling_layer=True)
def data2vec_vision(folder: Path) -> None:
    """As `facebook/data2vec-vision-base-ft1k` is."""
    t.Data2VecVisionForImageClassification(t.Data2VecVisionConfig(**VISION)).save_pretrained(folder)
    t.BeitImageProcessorPil(size={"height": 32, "width": 32}, crop_size=32).save_pretrained(folder)


@_tiny("image", "SwinModel", "pooler_output")
def swin(folder: Path) -> None:
    t.SwinForImageClassification(t.SwinConfig(**SWIN)).save_pretrained(folder)
    _square_processor(folder)


@_tiny("image", "Swinv2Model", "pooler_output")
def swinv2(folder: Path) -> None:
    t.Swinv2Model(t.Swinv2Config(**SWIN)).save_pretrained(folder)
    _square_processor(folder)


@_tiny("image", "ConvNextModel", "pooler_output")
def convnext(folder: Path) -> None:
    t.ConvNextForImageClassification(t.ConvNextConfig(**CONVNEXT)).save_pretrained(folder)
    _convnext_processor(folder)


@_tiny("image", "ConvNextV2Model", "pooler_output")
def convnextv2(folder: Path) -> None:
    t.ConvNextV2Model(t.ConvNextV2Config(**CONVNEXT)).save_pretrained(folder)
    _convnext_processor(folder)


@_tiny("image", "ResNetModel", "pooler_output")
def resnet(folder: Path) -> None:
    t.ResNetForImageClassification(t.ResNetConfig(**RESNET)).save_pretrained(folder)
    _convnext_processor(folder)


@_tiny("image", "RegNetModel", "pooler_output")
def regnet(folder: Path) -> None:
    t.RegNetModel(t.RegNetConfig(**RESNET, groups_width=8)).save_pretrained(folder)
    _convnext_processor(folder)


@_tiny("image", "EfficientNetModel", "pooler_output")
def efficientnet(folder: Path) -> None:
    """Its configuration has no `hidden_size`, and its pooling layer is an average over everything."""
    _lively(
        t.EfficientNetForImageClassification(t.EfficientNetConfig(**{**_EFFICIENT, "hidden_dim": 1280}))
    ).save_pretrained(folder)
    _square_processor(folder, "EfficientNetImageProcessorPil")


@_tiny("image", "MobileNetV2Model", "pooler_output")
def mobilenet_v2(folder: Path) -> None:
    _lively(t.MobileNetV2Model(t.MobileNetV2Config(image_size=32, depth_multiplier=0.25))).save_pretrained(folder)
    t.MobileNetV2ImageProcessorPil(size={"shortest_edge": 32}, crop_size=32).save_pretrained(folder)


@_tiny("image", "FocalNetModel", "pooler_output")
def focalnet(folder: Path) -> None:
    small = {"image_size": 32, "embed_dim": 8, "hidden_sizes": [8, 16], "depths": [1, 1]}
    t.FocalNetModel(t.FocalNetConfig(**small, focal_levels=[1, 1], focal_windows=[3, 3])).save_pretrained(folder)
    _bit_processor(folder)


@_tiny("image", "HieraModel", "pooler_output")
def hiera(folder: Path) -> None:
    small = {"image_size": [32, 32], "embed_dim": 16, "depths": [1, 1], "num_heads": [1, 2], "patch_stride": [4, 4]}
    config = t.HieraConfig(**small, query_stride=[2, 2], masked_unit_size=[2, 2], num_query_pool=1)
    t.HieraModel(config).save_pretrained(folder)
    _bit_processor(folder)


@_tiny("image", "MLCDVisionModel", "pooler_output")
def mlcd(folder: Path) -> None:
    t.MLCDVisionModel(t.MLCDVisionConfig(**VISION)).save_pretrained(folder)
    _clip_processor(folder)


@_tiny("image", "ChineseCLIPVisionModel", "pooler_output")
def chinese_clip_vision(folder: Path) -> None:
    t.ChineseCLIPVisionModel(t.ChineseCLIPVisionConfig(**VISION)).save_pretrained(folder)
    _clip_processor(folder)


@_tiny("image", "MetaClip2VisionModelWithProjection", "image_embeds")
def metaclip_2_vision_with_projection(folder: Path) -> None:
    config = t.MetaClip2VisionConfig(**VISION, projection_dim=12)
    t.MetaClip2VisionModelWithProjection(config).save_pretrained(folder)
    _clip_processor(folder)


@_tiny("image", "Siglip2VisionModel", "pooler_output")
def siglip2_vision(folder: Path) -> None:
    t.Siglip2VisionModel(t.Siglip2VisionConfig(**SMALL, num_patches=16, patch_size=8)).save_pretrained(folder)
    t.Siglip2ImageProcessorPil(patch_size=8, max_num_patches=16).save_pretrained(folder)


@_tiny("image_text", "GroupViTModel", "get_image_features")
def groupvit(folder: Path) -> None:
    tokenizer = clip_tokenizer()
    text = {
        **SMALL,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 64,
        "eos_token_id": tokenizer.eos_token_id,
    }
    vision = {**VISION, "depths": [1, 1, 1], "num_hidden_layers": 3, "num_group_tokens": [4, 2, 0]}
    config = t.GroupViTConfig(
        text_config=text, vision_config={**vision, "num_output_groups": [4, 2, 0]}, projection_dim=12
    )
    t.GroupViTModel(config).save_pretrained(folder)
    _clip_processor(folder)
    tokenizer.save_pretrained(folder)


KINDS = {name: tiny.kind for name, tiny in TINY.items()}
TEXT = [name for name, kind in KINDS.items() if kind == "image_text"]


def save(family: str, folder: Path) -> Path:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        TINY[family].save(folder)
    return folder
