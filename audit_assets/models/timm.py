"""Models of timm, in a repository of timm's own or saved by TimmWrapperModel of transformers. The package timm loads them."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from audit_assets.errors import InputError

TIMM = "timm_wrapper"
"""The `model_type` under which transformers loads a model of timm."""
NEEDED = ("timm", "torchvision")


def timm_config(config: dict[str, Any]) -> dict[str, Any]:
    """Return a config.json with the `model_type` of timm's models, if it is one of timm's own, which has none."""
    own = "model_type" not in config and isinstance(config.get("architecture"), str) and "pretrained_cfg" in config
    return {**config, "model_type": TIMM} if own else config


def check_timm(folder: Path) -> None:
    """Raise InputError if a package that loads timm's models is missing."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise InputError(
            f"{folder}: is a model of timm, and needs the {'packages' if len(missing) > 1 else 'package'} {' and '.join(missing)}; "
            "install them with `pip install 'audit_assets[timm]'`."
        )


def timm_features(file: Path, config: Mapping[str, Any]) -> tuple[str, int]:
    """Return what a model of timm pools, in words, and the number of its features."""
    dimension = config.get("num_features")
    if not isinstance(dimension, int) or isinstance(dimension, bool) or dimension <= 0:
        raise InputError(
            f"{file}: names no num_features, the number of values per image; copy the file from timm's repository."
        )
    return f"forward_head of {config.get('architecture')}, before its classifier", dimension


def classifiers(config: Mapping[str, Any]) -> list[str]:
    """Return the names of the layers that classify, which each architecture of timm calls otherwise. No vector passes them."""
    pretrained = config.get("pretrained_cfg")
    named = pretrained.get("classifier") if isinstance(pretrained, dict) else None
    return [name for name in (named if isinstance(named, list) else [named]) if isinstance(name, str) and name]
