"""The one error that the user is meant to read and repair."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class InputError(ValueError):
    """bad input from the user's files: the message names file, field or row, and the remedy"""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Writing a file inside it: InputError where the disk is full or cannot be written, or something else is in its place."""
    try:
        yield
    except (IsADirectoryError, NotADirectoryError) as error:
        raise InputError(
            f"{path}: cannot be written ({error.strerror}); move away what lies in its place or above it, and run again: what is finished is kept."
        ) from error
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({error.strerror or error}); make room, or correct the rights, and run again: what is finished is kept."
        ) from error
