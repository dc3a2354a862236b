"""Describe the machine of a figure: processor, memory, load, and the versions that decide speed."""

import os
import platform
import re
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "diffusers", "transformers", "numpy", "scipy", "numba", "pandas", "pyarrow", "duckdb", "dagster")


def machine() -> dict[str, Any]:
    """Return the properties that do not change while benchmarks run."""
    return {
        "processor": _first(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo")) or platform.processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(int(_first(r"MemTotal:\s*(\d+)", Path("/proc/meminfo")) or 0) / 1e6, 1),
        "gpu": _gpu(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": {name: number for name in PACKAGES if (number := _version(name))},
    }


def load() -> float:
    """Return the mean number of other runnable threads in the last minute.

    If it is above a half, figures by the clock are too low.
    """
    return round(os.getloadavg()[0], 2)


def _version(package: str) -> str:
    """Empty if the package is not installed: the benchmark of a GPU needs torch, diffusers and transformers alone."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _first(pattern: str, file: Path) -> str:
    found = re.search(pattern, file.read_text()) if file.exists() else None
    return found[1].strip() if found else ""


def _gpu() -> str:
    try:
        names = subprocess.run(
            ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"], capture_output=True, text=True
        )
    except FileNotFoundError:
        return ""
    return ", ".join(names.stdout.split("\n")).strip(", ")
