"""These functions read a file of another person, if it is a file and not too large for what it is said to be."""

import os
import stat
from pathlib import Path

from audit_assets.errors import InputError


def check_is_file(file: Path) -> os.stat_result:
    """Return a file's status. InputError names a pipe or a device, which may never end. OSError is raised if there is no such file."""
    status = file.stat()
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        raise InputError(f"{file}: is a pipe or a device, and not a file; copy what it holds to a file.")
    return status


def read_bounded(file: Path, largest: int, what: str) -> bytes:
    """Return the bytes of a file.

    InputError names a pipe or a device, and a file of more than `largest` bytes, as no `what` has. OSError is raised if
    the file cannot be read.
    """
    status = check_is_file(file)
    if status.st_size > largest:
        raise InputError(
            f"{file}: has more than {largest} bytes, as no {what} has; give the right file, or a part of it."
        )
    return file.read_bytes()
