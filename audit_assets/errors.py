"""The one error whose message an operator can act on, and what one part's failure says to the others."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class InputError(ValueError):
    """Bad input from the operator's files. The message names file, field or row, and the remedy."""


class Unwritable(InputError):
    """A file cannot be written. This concerns the whole audit, and no single part of it is to blame."""


def said(error: BaseException) -> str:
    """What an error says, for the list of what was left out. An error that is not about input begins with its kind."""
    text = " ".join(str(error).split()) if not isinstance(error, InputError) else str(error)
    return text if isinstance(error, InputError) else f"{type(error).__name__}: {text[:500] or 'no message'}"


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Write a file inside this block. InputError if the disk is full or not writable, or if something else is in the file's place."""
    try:
        yield
    except (IsADirectoryError, NotADirectoryError) as error:
        raise Unwritable(
            f"{path}: cannot be written ({error.strerror}); move away what lies in its place or above it, and run again. Finished work is kept."
        ) from error
    except OSError as error:
        raise Unwritable(
            f"{path}: cannot be written ({error.strerror or error}); make room, or correct the rights, and run again. Finished work is kept."
        ) from error
