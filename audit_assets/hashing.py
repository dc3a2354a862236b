"""These functions compute the hashes that tie results to their inputs. Each hash is SHA-256, in hexadecimal."""

import hashlib
import json
import os
import time
from collections.abc import Callable
from functools import lru_cache, wraps
from pathlib import Path
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar

from audit_assets.errors import InputError, unreadable

P = ParamSpec("P")
T = TypeVar("T")
_TICK = 3.0
"""Seconds. Every usual filesystem records the time of a change more finely."""


class State(NamedTuple):
    """This identifies a file or folder as it is. If it changes, its state is another.

    No program can set the time of change (ctime), unless it sets the machine's clock. A folder's state covers the names in
    it, and neither the content of its files nor what lies in its folders.
    """

    path: str
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


def _state_of(path: Path) -> State | None:
    """Return the state of a file or folder. It is None for some seconds after a change: a second change may leave the times as they are."""
    stat = os.stat(path)
    if abs(time.time() - max(stat.st_mtime, stat.st_ctime)) < _TICK:
        return None
    return State(os.fspath(path), stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


def once_while_unchanged(most: int) -> Callable[[Callable[Concatenate[Path, P], T]], Callable[Concatenate[Path, P], T]]:
    """Decorate a function that reads a local file or folder: a process keeps what it returned for `most` states.

    The caller must not change what it gets. If the path cannot be looked at, the function is called, and says why. For an object in
    S3, it is called each time.
    """

    def decorated(read: Callable[Concatenate[Path, P], T]) -> Callable[Concatenate[Path, P], T]:
        @lru_cache(maxsize=most)
        def kept(state: State, *args: P.args, **kwargs: P.kwargs) -> T:
            return read(Path(state.path), *args, **kwargs)

        @wraps(read)
        def asked(path: Path, *args: P.args, **kwargs: P.kwargs) -> T:
            try:
                state = _state_of(path)
            except (OSError, TypeError):  # the second: an object in S3 is no path of the system
                state = None
            if state is None:
                return read(path, *args, **kwargs)
            return kept(state, *args, **kwargs)  # type: ignore[arg-type]  # the further arguments can be hashed

        return asked

    return decorated


def digest(value: Any) -> str:
    """Return the hash of a value's canonical JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False, default=str).encode()).hexdigest()


def sha256(file: Path) -> str:
    """Return the hash of a file's bytes. If the file lies in S3, it is read as a stream."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_once(file: Path) -> str:
    """Return the hash of a local file's bytes, which a process reads once while the file is unchanged.

    InputError is raised if the file cannot be read.
    """
    try:
        return _sha256_once(file)
    except OSError as error:
        raise InputError(f"{unreadable(file, error)}.") from None


@once_while_unchanged(65536)
def _sha256_once(file: Path) -> str:
    return sha256(file)
