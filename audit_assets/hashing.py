"""These functions compute the hashes that tie results to their inputs. Each hash is SHA-256, in hexadecimal."""

import hashlib
import json
import os
import time
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from audit_assets.errors import InputError, unreadable

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


def state_of(path: Path) -> State | None:
    """Return the state of a file or folder. It is None for some seconds after a change: a second change may leave the times as they are.

    OSError is raised if it does not exist, or nobody may look at it.
    """
    stat = os.stat(path)
    if abs(time.time() - max(stat.st_mtime, stat.st_ctime)) < _TICK:
        return None
    return State(os.fspath(path), stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


def digest(value: Any) -> str:
    """Return the hash of a value's canonical JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False, default=str).encode()).hexdigest()


def sha256(file: Path) -> str:
    """Return the hash of a file's bytes. If the file lies in S3, it is read as a stream."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_once(file: Path) -> str:
    """Return the hash of a local file's bytes.

    A process reads the file once while its size and its time of change stay the same. Evidence is checked with
    ``sha256``, because a forger can set the time of change. InputError is raised if the file cannot be read.
    """
    try:
        stat = file.stat()
        return _sha256_once(os.fspath(file), stat.st_size, stat.st_mtime_ns)
    except OSError as error:
        raise InputError(f"{unreadable(file, error)}.") from None


@lru_cache(maxsize=65536)
def _sha256_once(file: str, size: int, mtime_ns: int) -> str:
    return sha256(Path(file))
