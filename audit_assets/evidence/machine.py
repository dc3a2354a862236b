"""On what kind of machine, with which libraries: images and embeddings are the same bytes only on the same kind."""

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

import numpy as np

LIBRARIES = (
    "audit_assets",
    "dagster",
    "diffusers",
    "duckdb",
    "numba",
    "numpy",
    "pandas",
    "pillow",
    "pyarrow",
    "safetensors",
    "scipy",
    "tokenizers",
    "torch",
    "transformers",
)


def this_machine() -> dict[str, str]:
    """System, processor with the widest of its vector units, Python, and the version of every library that counts."""
    found = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    return {
        "system": platform.system(),
        "processor": " ".join([platform.machine(), *found]),
        "python": platform.python_version(),
        **{name: known for name in LIBRARIES if (known := _version(name))},
    }


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None


def differences(there: Mapping[str, str], here: Mapping[str, str]) -> list[str]:
    """What is not the same on two machines, in words."""
    return [
        f"{what} {there.get(what, 'absent')} there, {here.get(what, 'absent')} here"
        for what in sorted(there.keys() | here.keys())
        if there.get(what) != here.get(what)
    ]
