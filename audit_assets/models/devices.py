"""These functions choose the device that a process works on and its number type. One process has one device."""

import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from audit_assets.errors import InputError

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
_SECONDS_BETWEEN_LOOKS = 1.0
_held: dict[str, FileLock] = {}
"""This process holds the device that it took until it ends. The system gives the lock back even after kill -9."""


def best_device() -> str:
    """Return `AUDIT_DEVICE` if it is set, else a GPU that no other process of this machine has taken, else the CPU.

    Several GPUs need several processes (runs of the UI, or `audit-assets run` more than once). Each process takes one
    device and the cells that no other process works on. InputError is raised if `AUDIT_DEVICE` names no device of this
    machine.
    """
    if chosen := os.environ.get("AUDIT_DEVICE"):
        return _existing(chosen)
    if torch.cuda.is_available():
        count = torch.cuda.device_count()
        return "cuda" if count == 1 else free_device([f"cuda:{n}" for n in range(count)])
    return "mps" if torch.backends.mps.is_available() else "cpu"


def free_device(devices: Sequence[str], folder: Path | None = None) -> str:
    """Return the first device that no other process holds, and hold it until this process ends.

    It waits while all devices are taken.
    """
    if _held:
        return next(iter(_held))
    folder = folder or Path(tempfile.gettempdir()) / f"audit_assets-devices-{os.getuid()}"
    folder.mkdir(parents=True, exist_ok=True)
    while True:
        for device in devices:
            lock = FileLock(folder / f"{device.replace(':', '-')}.lock")
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue
            _held[device] = lock
            return device
        time.sleep(_SECONDS_BETWEEN_LOOKS)


def _existing(device: str) -> str:
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"AUDIT_DEVICE: {device!r} is no device of this machine ({str(error).splitlines()[0]}); unset it, or give cpu, mps or cuda:<number>."
        ) from None
    return device


def is_cuda(device: str) -> bool:
    return device.split(":")[0] == "cuda"


def dtype_for(device: str, name: str) -> torch.dtype:
    """Return the number type of that name.

    `auto` means bfloat16 if the GPU has it, float16 on an older GPU, and float32 on a CPU (half types fail in its
    layers).
    """
    if name != "auto":
        if name not in DTYPES:
            raise InputError(f"settings.dtype: {name!r} is not one of auto, {', '.join(DTYPES)}.")
        return DTYPES[name]
    if is_cuda(device):
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    return torch.float32
