"""What is hashed is what is used: every file that loading opens is in the hash of a model or an encoder, and no other is."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from audit_assets.encoders.load import load
from audit_assets.errors import InputError
from audit_assets.generation.diffusers_source import DiffusersSource
from audit_assets.models.encoders import resolve_encoder
from audit_assets.models.files import files_sha256, read_files
from audit_assets.models.pipelines import resolve_diffusers
from audit_assets_tests.encoders import tiny_encoders
from audit_assets_tests.generation import tiny_pipelines
from audit_assets_tests.models.opens import opened


def load_pipeline(folder: Path) -> DiffusersSource:
    return DiffusersSource(resolve_diffusers("tiny", str(folder), None, {"size": 32, "steps": 1}), "cpu")


def load_encoder(kind: str) -> Callable[[Path], object]:
    return lambda folder: load(resolve_encoder("tiny", kind, str(folder)), "cpu")


def clutter(folder: Path) -> None:
    """What lies in a repository beside the files that are read."""
    for name in (
        "README.md",
        "LICENSE",
        ".gitattributes",
        "sample.png",
        "v1-pruned.ckpt",
        "onnx/model.onnx",
        "onnx/config.json",
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"x")


@pytest.mark.parametrize("family", tiny_pipelines.FAMILIES)
def test_every_file_that_a_pipeline_opens_is_in_its_hash(family: str, tmp_path: Path) -> None:
    folder = tiny_pipelines.save(family, tmp_path / "model")
    (tokenizer, *_) = sorted(folder.glob("tokenizer*"))
    (tokenizer / "chat_template.jinja").write_text("{{ messages }}")
    clutter(folder)
    model = resolve_diffusers("tiny", str(folder), None, {})
    read = set(read_files(folder))
    with opened(folder) as files:
        DiffusersSource(model, "cpu")
    assert files >= {folder / "model_index.json", tokenizer / "chat_template.jinja", *folder.glob("*/*.safetensors")}
    assert files <= read
    assert {file.suffix for file in read - files} <= {".json"}  # such as generation_config.json


@pytest.mark.parametrize("family", tiny_encoders.KINDS)
def test_every_file_that_an_encoder_opens_is_in_its_hash(family: str, tmp_path: Path) -> None:
    folder = tiny_encoders.save(family, tmp_path / "encoder")
    clutter(folder)
    found = resolve_encoder("tiny", tiny_encoders.KINDS[family], str(folder))
    with opened(folder) as files:
        load(found, "cpu")
    assert files >= {folder / "config.json", folder / "model.safetensors"}
    assert files <= set(read_files(folder))
    assert not {folder / "onnx/config.json", folder / "README.md", folder / "LICENSE"} & set(read_files(folder))


@pytest.mark.parametrize("name", ["chat_template.jinja", "additional_chat_templates/rag.jinja", "words.tiktoken"])
def test_a_file_of_a_kind_that_tokenizers_read_changes_the_hash(stable_diffusion: Path, name: str) -> None:
    before = files_sha256(stable_diffusion)
    file = stable_diffusion / "tokenizer" / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("first")
    first = files_sha256(stable_diffusion)
    file.write_text("second")
    assert len({before, first, files_sha256(stable_diffusion)}) == 3


def test_what_is_not_opened_changes_no_hash(stable_diffusion: Path) -> None:
    before = files_sha256(stable_diffusion)
    clutter(stable_diffusion)
    shutil.copytree(stable_diffusion / "unet", stable_diffusion / "unet_of_another_model")
    shutil.copy(next(stable_diffusion.glob("unet/*.safetensors")), stable_diffusion / "whole.safetensors")
    assert files_sha256(stable_diffusion) == before


def test_a_folder_that_is_a_link_is_hashed_as_it_is_loaded(stable_diffusion: Path, tmp_path: Path) -> None:
    """Large components are often shared between models by a link."""
    before = files_sha256(stable_diffusion)
    (stable_diffusion / "unet").rename(tmp_path / "shared")
    (stable_diffusion / "unet").symlink_to(tmp_path / "shared")
    assert files_sha256(stable_diffusion) == before
    (tmp_path / "shared" / "round").symlink_to(stable_diffusion)  # a circle ends
    assert files_sha256(stable_diffusion) == before
    load_pipeline(stable_diffusion)
    (file,) = (tmp_path / "shared").glob("*.safetensors")
    file.unlink()
    file.symlink_to(tmp_path / "gone")
    with pytest.raises(InputError, match=r"safetensors: is a link to a file that is gone"):
        read_files(stable_diffusion)


def slow_tokenizer(folder: Path) -> None:
    """As tokenizers were saved before tokenizer.json: a vocabulary and merges."""
    content = json.loads((folder / "tokenizer.json").read_text())["model"]
    (folder / "vocab.json").write_text(json.dumps(content["vocab"]))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "tokenizer.json").unlink()


def test_a_tokenizer_without_its_vocabulary_is_refused(stable_diffusion: Path) -> None:
    """transformers makes one of an empty vocabulary, to which all names are the same."""
    tokenizer = stable_diffusion / "tokenizer"
    slow_tokenizer(tokenizer)
    assert len(set(load_pipeline(stable_diffusion).pipeline.tokenizer("abc")["input_ids"])) == 5
    (tokenizer / "merges.txt").rename(tokenizer / "merges")
    with pytest.raises(InputError, match=r"tokenizer/merges\.txt: is missing"):
        load_pipeline(stable_diffusion)
    (tokenizer / "vocab.json").unlink()
    with pytest.raises(InputError, match=r"tokenizer/vocab\.json: is missing"):
        load_pipeline(stable_diffusion)


def test_an_encoder_without_a_vocabulary_is_refused(tmp_path: Path) -> None:
    folder = tiny_encoders.save("siglip", tmp_path)
    (folder / "tokenizer.json").rename(folder / "vocab.json")  # of another class of tokenizers
    with pytest.raises(InputError, match=r"tokenizer"):
        load_encoder("image_text")(folder)


@pytest.mark.parametrize("field", ["vocab", "merges"])
def test_a_tokenizer_that_names_files_elsewhere_is_refused(stable_diffusion: Path, tmp_path: Path, field: str) -> None:
    """The library opens what these fields name, and nothing of it would be in the hash."""
    slow_tokenizer(stable_diffusion / "tokenizer")
    file = stable_diffusion / "tokenizer" / "tokenizer_config.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps({**content, field: {"a": 0} if field == "vocab" else []}))
    resolve_diffusers("tiny", str(stable_diffusion), None, {})
    file.write_text(json.dumps({**content, field: str(tmp_path / "elsewhere")}))
    with pytest.raises(InputError, match=rf"tokenizer_config\.json, {field}: .*elsewhere' is a file"):
        resolve_diffusers("tiny", str(stable_diffusion), None, {})
