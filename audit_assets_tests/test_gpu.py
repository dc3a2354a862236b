"""What the product promises of a GPU, on a real one: bytes, memory, precision and verdicts. Without a GPU these tests are skipped."""

from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import numpy as np
import pytest
import torch
from PIL.Image import Image

from audit_assets.encoders.encoder import TransformersEncoder
from audit_assets.generation.diffusers_source import DiffusersSource
from audit_assets.models.devices import best_device
from audit_assets.models.encoders import resolve_encoder
from audit_assets.models.pipelines import resolve_diffusers
from audit_assets.warehouse.images import image_bytes
from audit_assets.workspace import Workspace
from audit_assets_tests.conftest import MINIATURE
from audit_assets_tests.drive import drive

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU here")

PROMPTS = [f"Artwork from {name}" for name in ("Mara Ulvang", "Hilma af Klint", "nobody at all", "Rembrandt")]


def source_on(device: str, dtype: str = "auto") -> DiffusersSource:
    settings = {"steps": 15, "guidance": 3.0, "size": 32, "dtype": dtype}
    model = MINIATURE / "models" / "miniature-1"
    return DiffusersSource(resolve_diffusers("miniature-1", str(model), None, settings), device)


def drawn(source: DiffusersSource, repeats: int = 1, batch_size: int = 4) -> list[Image]:
    prompts = PROMPTS * repeats
    return list(source.generate(prompts, range(len(prompts)), batch_size=batch_size))


def pixels(images: list[Image]) -> np.ndarray:
    return np.stack([np.asarray(image, np.float64) for image in images])


def test_the_gpu_is_taken_without_being_asked_for_and_draws_in_half_precision() -> None:
    assert best_device().startswith("cuda")
    source = source_on(best_device())
    assert source.plan["device"] == "cuda"
    assert source.plan["dtype"] in ("bfloat16", "float16")


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_the_same_seed_gives_the_same_bytes_on_one_gpu(dtype: str) -> None:
    first = [image_bytes(image) for image in drawn(source_on("cuda", dtype))]
    assert first == [image_bytes(image) for image in drawn(source_on("cuda", dtype))]
    assert len(set(first)) == len(PROMPTS)


@pytest.mark.parametrize(("dtype", "apart"), [("float32", 1.0), ("float16", 8.0), ("bfloat16", 25.0)])
def test_a_seed_draws_the_same_picture_on_a_gpu_and_on_a_cpu(dtype: str, apart: float) -> None:
    """In the mean of the pixels' 256 steps. The type is the same on both, because noise is drawn in it: another type draws other noise."""
    cpu = pixels(drawn(source_on("cpu", dtype)))
    distances = np.abs(cpu - pixels(drawn(source_on("cuda", dtype)))).mean(axis=(1, 2, 3))
    others = np.abs(cpu - np.roll(cpu, 1, axis=0)).mean(axis=(1, 2, 3))
    assert (distances <= apart).all(), distances
    assert (2 * distances < others).all(), (distances, others)


@pytest.fixture
def little_memory() -> Iterator[None]:
    """A GPU of which this process may use 600 MB more than it holds."""
    torch.cuda.empty_cache()
    whole = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 600e6) / whole)
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)


@pytest.mark.usefixtures("little_memory")
def test_a_batch_that_does_not_fit_is_halved_and_no_image_is_lost() -> None:
    source = source_on("cuda", "float32")
    images = drawn(source, repeats=512, batch_size=2048)
    assert len(images) == 4 * 512
    assert source.largest_batch is not None
    assert 1 <= source.largest_batch < 2048
    few = drawn(source_on("cuda", "float32"), repeats=2)
    assert (np.abs(pixels(few) - pixels(images[:8])).mean(axis=(1, 2, 3)) <= 1).all()


@pytest.mark.parametrize("name", ["clip", "vision"])
def test_an_encoder_sees_the_same_in_half_precision_on_a_gpu(name: str) -> None:
    folder = MINIATURE / "encoders" / name
    resolved = resolve_encoder(name, "image_text" if name == "clip" else "image", str(folder))
    images = drawn(source_on("cpu"))
    cpu, gpu = (TransformersEncoder(resolved, device) for device in ("cpu", "cuda"))
    assert (np.sum(cpu.embed_images(images) * gpu.embed_images(images), axis=1) > 0.999).all()
    if name == "clip":
        assert (np.sum(cpu.embed_texts(PROMPTS) * gpu.embed_texts(PROMPTS), axis=1) > 0.999).all()


def test_an_audit_has_the_same_verdicts_on_a_gpu_and_on_a_cpu(
    small_audit: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {}
    for device in ("cpu", "cuda"):
        monkeypatch.setenv("AUDIT_DEVICE", device)
        audit = small_audit(tmp_path / device, verdicts=True)
        drive(audit)
        with duckdb.connect(str(Workspace.open(audit).database), read_only=True) as connection:
            found[device] = connection.execute(
                "SELECT subject, encoder, kind, steers, towards, seen, verdict FROM verdicts ORDER BY ALL"
            ).fetchall()
            assert connection.execute("SELECT DISTINCT status FROM imitations").fetchall() == [("ok",)]
    assert len(found["cpu"]) > 2
    assert found["cpu"] == found["cuda"]
