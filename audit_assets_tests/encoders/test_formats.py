"""An encoder of another format of weights goes the whole way: the recipe of CONTRIBUTING.md, followed."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from audit_assets.encoders import load as loading
from audit_assets.encoders.embed import embed_stored
from audit_assets.errors import InputError
from audit_assets.models import files
from audit_assets.models.encoders import ResolvedEncoder, resolve_encoder
from audit_assets.warehouse.images import ImageStore


class MatrixEncoder:
    """A linear map of 8 x 8 grey values, in a numpy file: another format, and no torch."""

    def __init__(self, found: ResolvedEncoder, device: str | None = None) -> None:
        self.matrix = np.load(next(found.path.glob("*.npy")), allow_pickle=False)

    def embed_images(self, images: Sequence[Image.Image], batch_size: int = 50) -> np.ndarray:
        grey = np.stack([np.asarray(i.convert("L").resize((8, 8)), dtype=np.float32).ravel() for i in images])
        rows = grey @ self.matrix
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        raise ValueError("an image-only encoder embeds no text")

    def lost_words(self, text: str) -> list[str]:
        return []


@pytest.fixture
def matrix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(files, "WEIGHTS", {**files.WEIGHTS, "matrix": ".npy"})
    monkeypatch.setattr("audit_assets.models.encoders.WEIGHTS", files.WEIGHTS)
    monkeypatch.setattr(loading, "LOADERS", {**loading.LOADERS, "matrix": MatrixEncoder})
    folder = tmp_path / "matrix"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "matrix", "hidden_size": 16}))
    (folder / "preprocessor_config.json").write_text("{}")
    np.save(folder / "weights.npy", np.random.default_rng(0).normal(size=(64, 16)).astype(np.float32))
    return folder


def test_an_encoder_of_another_format_is_resolved_hashed_loaded_and_embeds(matrix: Path, tmp_path: Path) -> None:
    found = resolve_encoder("m", "image", str(matrix))
    assert (found.format, found.dimension) == ("matrix", 16)
    store = ImageStore(tmp_path / "images")
    sha256 = store.put(Image.linear_gradient("L").convert("RGB"))
    rows = embed_stored(loading.load(found, "cpu"), pd.DataFrame({"image_sha256": [sha256]}), store)
    assert np.linalg.norm(rows["embedding"][0]) == pytest.approx(1)
    np.save(matrix / "weights.npy", np.eye(64, 16, dtype=np.float32))
    assert resolve_encoder("m", "image", str(matrix)).files_sha256 != found.files_sha256


def test_a_folder_without_the_weights_of_its_format_is_refused(matrix: Path) -> None:
    (matrix / "weights.npy").unlink()
    with pytest.raises(InputError, match=r"holds no \.npy weights; copy the encoder again"):
        resolve_encoder("m", "image", str(matrix))
