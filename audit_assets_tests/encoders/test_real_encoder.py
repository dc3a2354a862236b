"""An encoder that others trained, on photographs."""

from pathlib import Path

import matplotlib.cbook
import pytest
import torch
from PIL import Image

from audit_assets.encoders.load import load
from audit_assets.models.encoders import resolve_encoder
from audit_assets_tests.encoders import real_encoder

MILITARY_UNIFORM = 652


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, torch.Tensor]:
    folder = tmp_path_factory.mktemp("efficientnet")
    head = real_encoder.save(real_encoder.installed_weights(tmp_path_factory.mktemp("package")), folder)
    return folder, head


@pytest.mark.long
def test_the_vectors_are_those_that_the_network_was_trained_to_give(real: tuple[Path, torch.Tensor]) -> None:
    """A photograph of Grace Hopper, which matplotlib ships, shows a military uniform: it is among the first five of a thousand classes."""
    folder, head = real
    found = resolve_encoder("lite0", "image", str(folder))
    assert (found.dimension, found.layer) == (1280, "efficientnet.encoder.top_bn")
    with Image.open(matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)) as photograph:
        (vector,) = load(found, "cpu").embed_images([photograph.convert("RGB")])
    assert MILITARY_UNIFORM in (head @ torch.from_numpy(vector)).topk(5).indices.tolist()
