"""The one error that the user is meant to read and repair."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class InputError(ValueError):
    """bad input from the user's files: the message names file, field or row, and the remedy"""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Writing a file inside it: InputError where the disk is full or cannot be written."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({error.strerror or error}); make room, or correct the rights, and run again: what is finished is kept."
        ) from error
