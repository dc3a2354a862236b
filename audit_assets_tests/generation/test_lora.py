"""Adapters: each makes another model version, known by its file's hash and its weight."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL.Image import Image
from safetensors.numpy import load_file, save_file

from audit_assets.config import load_audit
from audit_assets.errors import InputError
from audit_assets.generation.diffusers_source import DiffusersSource
from audit_assets.models.adapters import resolve_lora
from audit_assets.models.pipelines import ResolvedModel, resolve_diffusers
from audit_assets.models.registry import resolve_model
from audit_assets.warehouse.images import image_bytes
from audit_assets_tests.generation import tiny_lora, tiny_pipelines

SETTINGS: dict[str, Any] = {"size": 64, "steps": 2}


@pytest.fixture(scope="module")
def adapter(saved: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_lora.save(saved, tmp_path_factory.mktemp("adapter"))


def resolved(model: Path, *adapters: tuple[Path, float]) -> ResolvedModel:
    lora = tuple(resolve_lora(str(file), None, weight) for file, weight in adapters)
    return resolve_diffusers("tiny", str(model), None, SETTINGS, lora)


def drawn(model: ResolvedModel) -> list[Image]:
    source = DiffusersSource(model, "cpu")
    return list(source.generate(["a painting by klee"] * 2, [1, 2], batch_size=2))


def pixels(images: list[Image]) -> np.ndarray:
    return np.stack([np.asarray(image, np.int16) for image in images])


def test_an_adapter_changes_what_is_drawn_by_its_weight_and_the_same_each_time(saved: Path, adapter: Path) -> None:
    plain = pixels(drawn(resolved(saved)))
    full = drawn(resolved(saved, (adapter, 1.0)))
    assert np.abs(pixels(full) - plain).max() > 5
    assert [image_bytes(i) for i in drawn(resolved(saved, (adapter, 1.0)))] == [image_bytes(i) for i in full]
    assert np.abs(pixels(drawn(resolved(saved, (adapter, 0.5)))) - pixels(full)).max() > 1
    assert np.abs(pixels(drawn(resolved(saved, (adapter, 0.0)))) - plain).max() <= 1


def test_an_adapter_draws_merged_what_it_draws_beside_the_model(saved: Path, adapter: Path) -> None:
    merged = pixels(drawn(resolved(saved, (adapter, 0.7))))
    beside = DiffusersSource(resolved(saved), "cpu")
    beside.pipeline.load_lora_weights(str(adapter.parent), weight_name=adapter.name, adapter_name="own")
    beside.pipeline.set_adapters(["own"], [0.7])
    images = list(beside.generate(["a painting by klee"] * 2, [1, 2], batch_size=2))
    assert np.abs(pixels(images) - merged).max() <= 1


def test_two_adapters_add_up(saved: Path, adapter: Path, tmp_path: Path) -> None:
    other = tiny_lora.save(saved, tmp_path, seed=2)
    both = pixels(drawn(resolved(saved, (adapter, 1.0), (other, 1.0))))
    for one in (adapter, other):
        assert np.abs(pixels(drawn(resolved(saved, (one, 1.0)))) - both).max() > 1


def test_file_and_weight_are_recorded_and_no_path(saved: Path, adapter: Path) -> None:
    model = resolved(saved, (adapter, 0.5))
    (recorded,) = model.settings["lora"]
    assert recorded["file"] == adapter.name
    assert recorded["weight"] == 0.5
    assert len(recorded["sha256"]) == 64
    assert model.files_sha256 == resolved(saved).files_sha256
    assert "lora" not in resolved(saved).settings


def test_a_folder_with_one_adapter_stands_for_it(adapter: Path, tmp_path: Path) -> None:
    assert resolve_lora(str(adapter.parent), None, 1.0) == resolve_lora(str(adapter), None, 1.0)
    for name in ("a", "b"):
        (tmp_path / f"{name}.safetensors").write_bytes(adapter.read_bytes())
    with pytest.raises(InputError, match=r"holds 2 \.safetensors files; give the path"):
        resolve_lora(str(tmp_path), None, 1.0)


def test_a_file_that_is_no_adapter_is_refused_before_anything_is_loaded(
    saved: Path, adapter: Path, tmp_path: Path
) -> None:
    pickled = tmp_path / "pytorch_lora_weights.bin"
    pickled.write_bytes(b"\x80\x04")
    for path in (pickled, tmp_path):
        with pytest.raises(InputError, match=r"pytorch_lora_weights\.bin: is no \.safetensors file"):
            resolve_lora(str(path), None, 1.0)
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(adapter.read_bytes()[:-3])
    with pytest.raises(InputError, match=r"cut\.safetensors: .*truncated"):
        resolve_lora(str(cut), None, 1.0)
    (whole,) = (saved / "unet").glob("*.safetensors")
    with pytest.raises(InputError, match="holds no tensor of an adapter"):
        resolve_lora(str(whole), None, 1.0)


def test_an_adapter_of_another_model_is_bad_input(saved: Path, adapter: Path, tmp_path: Path) -> None:
    tensors = load_file(adapter)
    wide = {k: np.concatenate([v, v], axis=1) if "lora_A" in k else v for k, v in tensors.items()}
    save_file(wide, tmp_path / "wide.safetensors")
    save_file({k.replace("unet.", "prior."): v for k, v in tensors.items()}, tmp_path / "prior.safetensors")
    save_file(
        {f"unet.nowhere.{n}.lora_A.weight": v for n, v in enumerate(tensors.values())}, tmp_path / "odd.safetensors"
    )
    for name in ("wide", "prior", "odd"):
        file = tmp_path / f"{name}.safetensors"
        with pytest.raises(
            InputError, match=rf"{name}\.safetensors: (does not fit|64 of 64 keys .* have no place|.* make no whole)"
        ):
            DiffusersSource(resolved(saved, (file, 1.0)), "cpu")


def test_an_adapter_of_another_family_has_no_place(adapter: Path, tmp_path: Path) -> None:
    model = tiny_pipelines.save("pixart_sigma", tmp_path)
    with pytest.raises(InputError, match=r"64 of 64 keys \(100%.*have no place in PixArtSigmaPipeline"):
        DiffusersSource(resolved(model, (adapter, 1.0)), "cpu")


def test_what_an_adapter_changed_is_in_the_plan_of_its_images(saved: Path, adapter: Path) -> None:
    assert "adapters" not in DiffusersSource(resolved(saved), "cpu").plan
    (measured,) = DiffusersSource(resolved(saved, (adapter, 1.0)), "cpu").plan["adapters"]
    assert measured == {
        "file": adapter.name,
        "keys": 64,
        "keys_used": 64,
        "layers_changed": {"unet": "32 of 32"},
    }


def test_audit_yaml_names_adapters_by_paths_beside_it(saved: Path, adapter: Path, tmp_path: Path) -> None:
    (tmp_path / "adapter.safetensors").write_bytes(adapter.read_bytes())
    (tmp_path / "audit.yaml").write_text(
        "protocol: paper_2023\nroster: {artists: a.csv}\nencoders: [{name: c, kind: image_text, path: e}]\nmodels:\n"
        f"  - {{name: plain, source: diffusers, path: {saved}, approved: true}}\n"
        f"  - {{name: tuned, source: diffusers, path: {saved}, approved: true, lora: [{{path: adapter.safetensors, weight: 0.8}}]}}\n"
    )
    audit = load_audit(tmp_path / "audit.yaml")
    plain, tuned = (resolve_model(audit, entry) for entry in audit.models)
    assert plain.files_sha256 == tuned.files_sha256
    assert tuned.lora[0].weight == 0.8
    assert plain.settings != tuned.settings
