"""Textual inversion embeddings: each text encoder reads the token as the vectors of the file, or the model is refused with the reason."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

from audit_assets.errors import InputError
from audit_assets.generation.diffusers_source import DiffusersSource
from audit_assets.generation.embeddings import add_embeddings
from audit_assets.generation.stage import ImitationStage
from audit_assets.models.embeddings import resolve_embedding
from audit_assets.models.pipelines import resolve_diffusers
from audit_assets.models.registry import registry, resolve_model
from audit_assets.models.tables import model_files_table
from audit_assets.workspace import Workspace
from audit_assets_tests.generation import tiny_pipelines
from audit_assets_tests.generation.tiny_lora import pipeline_of, write

TOKEN, WIDTH = "<ada>", tiny_pipelines.WIDTH


def vectors(n: int = 1, width: int = WIDTH, scale: float = 3.0) -> torch.Tensor:
    return scale * torch.randn(n, width, generator=torch.Generator().manual_seed(n + width))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {f: tiny_pipelines.save(f, folder / f) for f in tiny_pipelines.FAMILIES}


@pytest.mark.parametrize(
    ("family", "tensors", "expected"),
    [
        ("stable_diffusion", {TOKEN: vectors()[0]}, {"text_encoder": 1}),
        ("stable_diffusion", {"<another name>": vectors(3)}, {"text_encoder": 3}),
        ("stable_diffusion", {"emb_params": vectors(2)}, {"text_encoder": 2}),
        ("stable_diffusion_xl", {"clip_l": vectors(2), "clip_g": vectors(3)}, {"text_encoder": 2, "text_encoder_2": 3}),
        ("flux", {"clip_l": vectors(2)}, {"text_encoder": 2}),
        ("flux", {"clip_l": vectors(2), "t5": vectors(1)}, {"text_encoder": 2, "text_encoder_2": 1}),
    ],
)
def test_each_text_encoder_reads_the_token_as_the_vectors_of_the_file(
    models: dict[str, Path], family: str, tensors: dict[str, torch.Tensor], expected: dict[str, int], tmp_path: Path
) -> None:
    pipeline = pipeline_of(models[family])
    file = write(tensors, tmp_path / "a.safetensors")
    (record,) = add_embeddings(pipeline, [resolve_embedding(str(file), None, TOKEN)])
    assert record == {"file": "a.safetensors", "token": TOKEN, "vectors": expected}
    by_size = {n: len(torch.atleast_2d(t)) for n, t in tensors.items()}
    for component, n in expected.items():
        tokenizer = pipeline.components[component.replace("text_encoder", "tokenizer")]
        ids = tokenizer(pipeline.maybe_convert_prompt(TOKEN, tokenizer))["input_ids"]
        read = pipeline.components[component].get_input_embeddings().weight[ids]
        own = next(torch.atleast_2d(t) for k, t in tensors.items() if by_size[k] == n)
        assert any(torch.equal(read[i : i + n], own) for i in range(len(ids)))


def test_an_embedding_changes_the_images_of_its_token_and_no_others(saved: Path, tmp_path: Path) -> None:
    taught = resolve_embedding(str(write({"emb_params": vectors(2)}, tmp_path / "a.safetensors")), None, TOKEN)
    settings = {"size": 64, "steps": 2}
    plain = DiffusersSource(resolve_diffusers("m", str(saved), None, settings), "cpu")
    model = resolve_diffusers("m", str(saved), None, settings, (), (taught,))
    source = DiffusersSource(model, "cpu")
    assert model.settings["embeddings"] == [{"file": "a.safetensors", "sha256": taught.sha256, "token": TOKEN}]
    assert source.plan["embeddings"][0]["vectors"] == {"text_encoder": 2}

    def apart(prompt: str) -> int:
        (one,), (two,) = (list(s.generate([prompt], [1], batch_size=1)) for s in (plain, source))
        return int(np.abs(np.asarray(one, np.int16) - np.asarray(two, np.int16)).max())

    assert apart(f"art by {TOKEN}") > 1
    assert apart("art by nils") == 0


def test_a_token_of_many_vectors_is_as_long_as_they_are(saved: Path, tmp_path: Path) -> None:
    taught = resolve_embedding(str(write({"emb_params": vectors(80)}, tmp_path / "a.safetensors")), None, TOKEN)
    source = DiffusersSource(resolve_diffusers("m", str(saved), None, {"size": 64, "steps": 2}, (), (taught,)), "cpu")
    assert source.lost_words(f"art by {TOKEN}")
    assert not source.lost_words("art by nils")


@pytest.mark.parametrize(
    ("family", "tensors", "said"),
    [
        ("stable_diffusion", {TOKEN: vectors(1, 2 * WIDTH)}, r"vectors of 64 values.* text_encoder 32"),
        ("stable_diffusion", {TOKEN: vectors() * torch.nan}, "no numbers"),
        ("stable_diffusion", {TOKEN: torch.zeros(1, WIDTH)}, "only zeros"),
        ("stable_diffusion", {"clip_g": vectors()}, "clip_g has vectors"),
        (
            "stable_diffusion_xl",
            {"clip_l": vectors()},
            "no vectors for text_encoder_2, which would read '<ada>' as letters",
        ),
        ("stable_diffusion_xl", {"emb_params": vectors()}, "emb_params has vectors of 32 values"),
        ("pixart_sigma", {"emb_params": vectors()}, "takes no textual inversion"),
    ],
)
def test_what_a_model_cannot_read_is_refused(
    models: dict[str, Path], family: str, tensors: dict[str, torch.Tensor], said: str, tmp_path: Path
) -> None:
    file = write(tensors, tmp_path / "a.safetensors")
    with pytest.raises(InputError, match=said):
        add_embeddings(pipeline_of(models[family]), [resolve_embedding(str(file), None, TOKEN)])


def test_a_word_that_the_tokenizer_has_already_is_no_token(saved: Path, tmp_path: Path) -> None:
    file = write({"emb_params": vectors()}, tmp_path / "a.safetensors")
    with pytest.raises(InputError, match=r"under the token 'a</w>' \(Token a</w> already in"):
        add_embeddings(pipeline_of(saved), [resolve_embedding(str(file), None, "a</w>")])


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        ({"a": torch.ones(1, 2), "b": torch.ones(1, 2)}, "holds 2 tensors"),
        ({"unet.x.lora_A.weight": torch.ones(1, 2)}, "is an adapter"),
        ({"a": torch.ones(1, 2, 3)}, "no list of vectors"),
        ({"a": torch.ones(())}, "no list of vectors"),
    ],
)
def test_a_file_that_is_no_embedding_says_what_it_is(
    tensors: dict[str, torch.Tensor], said: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=said):
        resolve_embedding(str(write(tensors, tmp_path / "a.safetensors")), None, TOKEN)
    (tmp_path / "a.pt").write_bytes(b"\x80\x04")
    with pytest.raises(InputError, match=r"is no \.safetensors file"):
        resolve_embedding(str(tmp_path / "a.pt"), None, TOKEN)


@given(
    st.dictionaries(
        st.text(max_size=6).filter(lambda k: k != "__metadata__"), st.lists(st.integers(0, 3), max_size=3), max_size=3
    )
)
def test_whatever_an_embedding_file_holds_it_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, shapes: dict[str, list[int]]
) -> None:
    file = write(
        {k: torch.ones(shape) for k, shape in shapes.items()}, tmp_path_factory.mktemp("any") / "a.safetensors"
    )
    try:
        said = str(resolve_embedding(str(file), None, TOKEN).file)
    except InputError as refused:
        said = str(refused)
    assert re.match(re.escape(str(file)), said)


def audit_of(folder: Path, model: Path, prompt_name: Any) -> Workspace:
    write({"emb_params": vectors()}, folder / "taught.safetensors")
    (folder / "references").mkdir()
    entry = {"name": "m", "source": "diffusers", "path": str(model), "approved": True, "settings": {"size": 64, "steps": 2},
             "embeddings": [{"path": "taught.safetensors", "token": TOKEN}], "prompt_name": prompt_name}  # fmt: skip
    content = {"protocol": "paper_2023", "artist": "Ada Brandvold", "models": [entry],
               "encoders": [{"name": "c", "kind": "image_text", "path": "e"}]}  # fmt: skip
    (folder / "audit.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return Workspace.open(folder / "audit.yaml", new=True)


def test_a_token_that_no_prompt_contains_is_refused(saved: Path, tmp_path: Path) -> None:
    for n, (prompt_name, used) in enumerate(
        [(TOKEN, True), ("{name} <ada> style", True), (None, False), ("ada", False)]
    ):
        folder = tmp_path / str(n)
        folder.mkdir()
        ws = audit_of(folder, saved, prompt_name)
        resolved = resolve_model(ws.audit, ws.audit.model("m"))
        if used:
            assert ImitationStage(ws).check_words(resolved) == []
        else:
            with pytest.raises(InputError, match=r"no prompt contains '<ada>'.*give the token in `prompt_name`"):
                ImitationStage(ws).check_words(resolved)


def test_the_file_of_an_embedding_is_among_the_files_of_its_model(saved: Path, tmp_path: Path) -> None:
    ws = audit_of(tmp_path, saved, TOKEN)
    files = model_files_table(registry(ws.audit, ws.warehouse))
    assert files.loc[files["kind"] == "embedding", "file"].tolist() == ["taught.safetensors"]
