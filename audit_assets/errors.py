"""The one error whose message an operator can act on."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class InputError(ValueError):
    """Bad input from the operator's files. The message names file, field or row, and the remedy."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Write a file inside this block. InputError if the disk is full or not writable, or if something else is in the file's place."""
    try:
        yield
    except (IsADirectoryError, NotADirectoryError) as error:
        raise InputError(
            f"{path}: cannot be written ({error.strerror}); move away what lies in its place or above it, and run again. Finished work is kept."
        ) from error
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({error.strerror or error}); make room, or correct the rights, and run again. Finished work is kept."
        ) from error
