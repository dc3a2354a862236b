"""Which output of an encoder is the vector of an image: stated per architecture, equal to the library's own features, or refused."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from audit_assets.encoders.encoder import TransformersEncoder
from audit_assets.errors import InputError
from audit_assets.models.architectures import ARCHITECTURES, REFUSED
from audit_assets.models.encoders import resolve_encoder
from audit_assets.models.timm import TIMM
from audit_assets_tests.encoders.sweep import PAGE, pictures, section, table, tried
from audit_assets_tests.encoders.tiny_encoders import TINY, VISION, save


@pytest.mark.parametrize("family", TINY)
def test_the_vector_of_an_image_is_the_librarys_own_feature_of_it(tmp_path: Path, family: str) -> None:
    found = tried(family, tmp_path)
    assert found.cosine > 0.9999
    assert f".{found.resolved.layer}".endswith(
        f".{found.last_layer}"
    )  # the weights may have the model's name before it
    assert found.model_type in ARCHITECTURES


@pytest.mark.long
def test_every_architecture_of_the_table_is_tried_and_the_page_says_what_came_of_it() -> None:
    made = table()
    assert section(PAGE.read_text(encoding="utf-8")) == made
    assert [name for name in ARCHITECTURES if f"| `{name}` | " not in made] == [TIMM]  # which needs packages of its own
    assert not ARCHITECTURES.keys() & REFUSED.keys()


@pytest.mark.parametrize("name", [*REFUSED, "yolos", "bert", "no-such-architecture"])
def test_an_architecture_whose_pooling_is_not_known_is_refused_by_name(tmp_path: Path, name: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": name}))
    reason = REFUSED.get(name, "no rule says how its output becomes one vector per image")
    with pytest.raises(InputError) as refused:
        resolve_encoder("e", "image", str(tmp_path))
    assert f"the architecture {name!r} is not used as an encoder: {reason}" in str(refused.value)


def test_a_first_patch_is_not_the_vector_of_an_image(tmp_path: Path) -> None:
    """I-JEPA has no class token: what stands first is the upper left corner. The lower right half must count."""
    encoder = TransformersEncoder(resolve_encoder("e", "image", str(save("ijepa", tmp_path))), "cpu")
    with torch.inference_mode():
        inputs = encoder.processor(images=pictures(), return_tensors="pt")
        patches = encoder.model(**inputs).last_hidden_state.numpy()
    first = patches[:, 0] / np.linalg.norm(patches[:, 0], axis=1, keepdims=True)
    assert not np.allclose(encoder.embed_images(pictures()), first, atol=1e-2)
    mean = patches.mean(axis=1)
    assert np.allclose(encoder.embed_images(pictures()), mean / np.linalg.norm(mean, axis=1, keepdims=True), atol=1e-5)


def test_a_masked_autoencoder_reads_whole_images(tmp_path: Path) -> None:
    """By default it hides three quarters of the patches, at random."""
    encoder = TransformersEncoder(resolve_encoder("e", "image", str(save("vit_mae", tmp_path))), "cpu")
    assert np.allclose(encoder.embed_images(pictures()), encoder.embed_images(pictures()), atol=1e-5)


@pytest.mark.parametrize("family", ["siglip2_of_a_fixed_size", "siglip", "siglip2"])
def test_an_encoder_trained_on_small_letters_is_given_small_letters(tmp_path: Path, family: str) -> None:
    encoder = TransformersEncoder(resolve_encoder("e", "image_text", str(save(family, tmp_path))), "cpu")
    capitals, small = encoder.embed_texts(["Art by KLEE", "art by klee"])
    assert np.allclose(capitals, small, atol=1e-6)
    klee, miro = encoder.embed_texts(["art by klee", "art by miro"])
    assert not np.allclose(klee, miro, atol=1e-4)


def test_an_encoder_trained_on_text_as_written_is_given_text_as_written(tmp_path: Path) -> None:
    encoder = TransformersEncoder(resolve_encoder("e", "image_text", str(save("altclip", tmp_path))), "cpu")
    capitals, small = encoder.embed_texts(["art by KLEE", "art by klee"])
    assert not np.allclose(capitals, small, atol=1e-4)


def test_gemmas_tokenizer_ends_a_label_and_pads_it_as_siglip_2_was_trained(tmp_path: Path) -> None:
    encoder = TransformersEncoder(
        resolve_encoder("e", "image_text", str(save("siglip2_of_a_fixed_size", tmp_path))), "cpu"
    )
    assert encoder.tokenizer is not None
    tokens = encoder.tokenizer.own("art", padding="max_length", max_length=8)["input_ids"]
    assert tokens[3:] == [encoder.tokenizer.own.eos_token_id, *[encoder.tokenizer.own.pad_token_id] * 4]


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda f: transformers.BeitForMaskedImageModeling(transformers.BeitConfig(**VISION)).save_pretrained(f), "saved with its pooling layer"),
        (lambda f: transformers.SiglipVisionModel(transformers.SiglipVisionConfig(**VISION, vision_use_head=False)).save_pretrained(f), "which has its pooling head"),
    ],
    ids=["BEiT before it was fine-tuned", "the SigLIP of a language model"],
)  # fmt: skip
def test_an_encoder_that_was_saved_without_its_pooling_layer_is_refused(tmp_path: Path, made: Any, said: str) -> None:
    made(tmp_path)
    with pytest.raises(InputError, match=f"the weights lack .*{said}"):
        resolve_encoder("e", "image", str(tmp_path))


def test_weights_that_the_configuration_does_not_describe_are_not_left_out_in_silence(tmp_path: Path) -> None:
    file = save("dinov2", tmp_path) / "model.safetensors"
    tensors = load_file(file)
    save_file({**tensors, "classifier.weight": torch.zeros(2, 16)}, file, {"format": "pt"})
    TransformersEncoder(
        resolve_encoder("e", "image", str(tmp_path)), "cpu"
    )  # a head for classes is no part of the vector
    save_file({**tensors, "encoder.layer.1.norm1.weight": torch.zeros(16)}, file, {"format": "pt"})
    with pytest.raises(
        InputError, match=r"1 tensors that Dinov2Model does not know, such as encoder\.layer\.1\.norm1\.weight"
    ):
        TransformersEncoder(resolve_encoder("e", "image", str(tmp_path)), "cpu")


def test_a_text_tower_of_fewer_layers_than_its_weights_is_refused(tmp_path: Path) -> None:
    file = save("clip", tmp_path) / "model.safetensors"
    more = {"text_model.encoder.layers.1.layer_norm1.weight": torch.zeros(16)}
    save_file({**load_file(file), **more}, file, {"format": "pt"})
    with pytest.raises(
        InputError, match=r"1 tensors that CLIPModel does not know, such as text_model\.encoder\.layers\.1"
    ):
        TransformersEncoder(resolve_encoder("e", "image_text", str(tmp_path)), "cpu")


def test_towers_of_two_dimensions_are_refused_before_the_work_starts(tmp_path: Path) -> None:
    """SigLIP has no projection of images, so its text tower must end in the width of its image tower."""
    text = {**VISION, "vocab_size": 6, "max_position_embeddings": 16, "projection_size": 24}
    save("siglip", tmp_path)
    transformers.SiglipModel(transformers.SiglipConfig(text_config=text, vision_config=VISION)).save_pretrained(
        tmp_path
    )
    resolved = resolve_encoder("e", "image_text", str(tmp_path))
    with pytest.raises(
        InputError, match=r"one text has the shape \(1, 24\), and vision_model\.head\.mlp\.fc2 has 16 outputs"
    ):
        TransformersEncoder(resolved, "cpu")
    TransformersEncoder(resolve_encoder("e", "image", str(tmp_path)), "cpu")  # images alone have one dimension


def test_a_processor_of_another_size_is_refused_before_the_work_starts(tmp_path: Path) -> None:
    save("clip", tmp_path)
    transformers.CLIPImageProcessorPil(size={"shortest_edge": 64}, crop_size=64).save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"the encoder cannot be used .*64"):
        TransformersEncoder(resolve_encoder("e", "image", str(tmp_path)), "cpu")


def test_an_image_processor_that_only_torchvision_has_is_refused_by_name(tmp_path: Path) -> None:
    save("vit", tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"image_processor_type": "Sam3ImageProcessor"}))
    with pytest.raises(InputError, match="Sam3ImageProcessor"):
        TransformersEncoder(resolve_encoder("e", "image", str(tmp_path)), "cpu")


def test_a_scale_in_bfloat16_is_read(tmp_path: Path) -> None:
    file = save("clip", tmp_path) / "model.safetensors"
    save_file({name: tensor.bfloat16() for name, tensor in load_file(file).items()}, file, {"format": "pt"})
    assert resolve_encoder("e", "image_text", str(tmp_path)).logit_scale == pytest.approx(14.29, rel=0.01)


def test_a_repository_of_openclip_alone_is_named(tmp_path: Path) -> None:
    save("clip", tmp_path)
    (tmp_path / "open_clip_config.json").write_text("{}")
    resolve_encoder("e", "image_text", str(tmp_path))  # many have the conversion beside it
    shutil.move(tmp_path / "model.safetensors", tmp_path / "open_clip_model.safetensors")
    with pytest.raises(InputError, match="has the weights of OpenCLIP alone; take a repository with the conversion"):
        resolve_encoder("e", "image_text", str(tmp_path))


def test_an_encoder_in_half_precision_alone_is_loaded(tmp_path: Path) -> None:
    whole = save("clip", tmp_path / "whole")
    half = shutil.copytree(whole, tmp_path / "half")
    (half / "model.safetensors").rename(half / "model.fp16.safetensors")
    ours, theirs = (TransformersEncoder(resolve_encoder("e", "image_text", str(f)), "cpu") for f in (whole, half))
    assert np.array_equal(ours.embed_images(pictures()), theirs.embed_images(pictures()))
    shutil.copy(half / "model.fp16.safetensors", half / "model.bf16.safetensors")
    with pytest.raises(
        InputError, match="holds the variants bf16, fp16 of its weights; copy the encoder with one of them"
    ):
        resolve_encoder("e", "image_text", str(half))


def test_an_encoder_in_shards_is_read_like_one_file(tmp_path: Path) -> None:
    whole = resolve_encoder("e", "image_text", str(save("clip", tmp_path / "whole")))
    save("clip", tmp_path / "shards")
    model = transformers.CLIPModel.from_pretrained(tmp_path / "shards")
    (tmp_path / "shards" / "model.safetensors").unlink()
    model.save_pretrained(tmp_path / "shards", max_shard_size="10KB")
    shards = resolve_encoder("e", "image_text", str(tmp_path / "shards"))
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 1
    assert (shards.layer, shards.dimension, shards.logit_scale) == (whole.layer, whole.dimension, whole.logit_scale)
    ours, theirs = (TransformersEncoder(e, "cpu").embed_images(pictures()) for e in (whole, shards))
    assert np.allclose(ours, theirs, atol=1e-6)
