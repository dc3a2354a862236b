"""The one error whose message an operator can act on, and what one part's failure says to the others."""

import errno
import os
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def in_utf8(text: str) -> str:
    """Write each byte of a file's name that is not UTF-8 as its code, such as `\\xe9`: tables and hashes hold UTF-8 alone."""
    return _NOT_UTF8.sub(
        lambda found: (
            f"\\x{ord(found[0]) - 0xDC00:02x}" if 0xDC80 <= ord(found[0]) <= 0xDCFF else f"\\u{ord(found[0]):04x}"
        ),
        text,
    )


_NOT_UTF8 = re.compile("[\ud800-\udfff]")
_ADDRESS = re.compile(r" (?:object )?at 0x[0-9a-fA-F]+")


def without_addresses(text: str) -> str:
    """A library's message without the addresses of objects in memory, which differ from run to run."""
    return _ADDRESS.sub("", text)


def command(name: str, config: str | Path, rest: str = "") -> str:
    """A command of this program for an audit file, as a person can paste it into a shell."""
    return f"audit-assets {name} --config {shlex.quote(str(config))}{rest}"


class InputError(ValueError):
    """Bad input from the operator's files. The message names file, field or row, and the remedy."""

    def __init__(self, message: str) -> None:
        super().__init__(in_utf8(message))


class Unwritable(InputError):
    """A file cannot be written. This concerns the whole audit, and no single part of it is to blame."""


class Stopped(InputError):
    """A model version cannot go on, whatever subject comes next. No subject is to blame, and finished work is kept."""


def said(error: BaseException) -> str:
    """What an error says, for the list of what was left out. An error that is not about input begins with its kind."""
    if isinstance(error, OSError) and isinstance(error.filename, str) and error.errno in _READ_REMEDIES:
        return in_utf8(f"{unreadable(error.filename, error)}.")
    text = " ".join(in_utf8(str(error)).split()) if not isinstance(error, InputError) else str(error)
    return text if isinstance(error, InputError) else f"{type(error).__name__}: {text[:500] or 'no message'}"


def unreadable(path: str | os.PathLike[str], error: OSError) -> str:
    """Say in words why an existing file cannot be read, and what to do. A file that cannot be read need not be damaged.

    The sentence has no full stop, so that a caller can continue it.
    """
    said = error.strerror or str(error)
    return f"{path}: cannot be read ({said}); {_READ_REMEDIES.get(error.errno or 0, 'mend that, and run again')}"


_FAILING = "its disk or its network mount fails: mend or mount it again, and run again. The file need not be damaged: delete nothing"
_READ_REMEDIES = {
    errno.EACCES: "give yourself the right to read it, and to enter each folder above it",
    errno.EPERM: "give yourself the right to read it, and to enter each folder above it",
    errno.EIO: _FAILING,
    errno.ESTALE: _FAILING,
    errno.ETIMEDOUT: _FAILING,
    errno.ENOTCONN: _FAILING,
    errno.EREMOTEIO: _FAILING,
    errno.ENOENT: "put it there, or correct the path",
    errno.EISDIR: "a folder is in its place: move the folder away",
    errno.ENOTDIR: "a file is in the place of a folder above it: move that file away",
    errno.ELOOP: "its links lead in a circle: correct them",
    errno.ENAMETOOLONG: "its name is longer than the filesystem allows: shorten it",
    errno.EMFILE: "this process has too many files open: raise the limit (`ulimit -n`), and run again",
    errno.ENFILE: "the machine has too many files open: end other programs, and run again",
}


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
        if error.errno == errno.ENAMETOOLONG:
            raise InputError(
                f"{path}: cannot be written, because its name is longer than this filesystem allows; shorten it."
            ) from error
        raise Unwritable(
            f"{path}: cannot be written ({error.strerror or error}); make room, or correct the rights, and run again. Finished work is kept."
        ) from error
