"""Models of timm, with the packages timm and torchvision installed into a folder of the test's own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ARCHITECTURES = ("resnet10t", "vit_tiny_patch16_224")


def torchvision() -> str:
    """The version that belongs to the installed torch: 0.28 to 2.13."""
    minor = int(torch.__version__.split(".")[1])
    return f"torchvision==0.{minor + 15}.*"


@pytest.mark.long
def test_a_model_of_timm_has_the_vectors_that_timm_gives_it(tmp_path: Path) -> None:
    packages = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(tmp_path / "packages")]
    said = subprocess.run([*packages, "timm>=1.0.20", torchvision()], capture_output=True, text=True)
    if said.returncode:
        pytest.skip(f"timm and {torchvision()} cannot be installed: {said.stderr.strip().splitlines()[-1:]}")
    path = os.pathsep.join([str(Path(__file__).parents[2]), str(tmp_path / "packages")])
    command = [sys.executable, "-m", "audit_assets_tests.encoders.timm_models", str(tmp_path), *ARCHITECTURES]
    shown = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path})
    assert shown.returncode == 0, shown.stderr[-3000:]
    found = json.loads(shown.stdout.splitlines()[-1])
    assert set(found) == set(ARCHITECTURES)
    assert all(cosine > 0.9999 for cosines in found.values() for cosine in cosines)
