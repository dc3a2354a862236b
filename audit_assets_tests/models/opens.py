"""Which files are opened, as Linux itself reports it: also those that Rust and C++ open without telling Python."""

import ctypes
import os
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_OPENED = 0x20
_EVENT = struct.Struct("iIII")


@contextmanager
def opened(folder: Path) -> Iterator[set[Path]]:
    """The files below a folder that are opened inside this block. The set is filled when the block ends."""
    if not sys.platform.startswith("linux"):
        pytest.skip("inotify is Linux's")
    libc, found = ctypes.CDLL(None, use_errno=True), set[Path]()
    watch = libc.inotify_init1(os.O_NONBLOCK)
    assert watch >= 0, os.strerror(ctypes.get_errno())
    folders = {
        libc.inotify_add_watch(watch, os.fsencode(parent), _OPENED): Path(parent)
        for parent, _, _ in os.walk(folder, followlinks=True)
    }
    assert min(folders) >= 0
    try:
        yield found
        while True:
            try:
                events = os.read(watch, 1 << 20)
            except BlockingIOError:
                break
            start = 0
            while start < len(events):
                number, _, _, length = _EVENT.unpack_from(events, start)
                name = events[start + _EVENT.size : start + _EVENT.size + length].rstrip(b"\0")
                file = folders[number] / os.fsdecode(name)
                if name and not file.is_dir():
                    found.add(file)
                start += _EVENT.size + length
    finally:
        os.close(watch)
