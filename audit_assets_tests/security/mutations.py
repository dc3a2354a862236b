"""Damage to files that others wrote: bytes at random places, and absurd values in fields of JSON."""

import copy
import json
import random
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

ABSURD: tuple[Any, ...] = (
    None, True, -1, 0, 10**9, 10**30, 1e308, -1e308, float("nan"), float("inf"), "", "x", "../../etc/passwd", "a\0b",
    "\ud800", "\N{SNOWMAN}" * 300, "[" * 2000, [], [None], [[]], ["x", 1], {}, {"a": None}, {"": {}}, [0] * 1000,
)  # fmt: skip
"""What a field may hold in place of its value: another type, a number without bounds, a text that leads elsewhere."""
_BYTES = (b"\0", b"\xff", b"\xc3", b'"', b"'", b"{", b"[", b",", b"\n", b"\r", b";", b"-", b"9" * 40, b"\x80" * 8)


def mutated(content: bytes, draws: random.Random) -> bytes:
    """One to four changes: a bit, a byte, a run of zeros, a piece that is gone, twice there or somewhere else, or the end gone."""
    out = bytearray(content)
    for _ in range(draws.choice((1, 1, 1, 2, 4))):
        if not out:
            return bytes(out)
        # The ends of a file hold its header or its footer, and decide more than its middle.
        size = len(out)
        place = draws.choice(
            (draws.randrange(size), draws.randrange(min(size, 200)), size - 1 - draws.randrange(min(size, 200)))
        )
        length = draws.choice((1, 4, 8, 64, 512))
        match draws.randrange(9):
            case 0:
                out[place] ^= 1 << draws.randrange(8)
            case 1:
                out[place] = draws.randrange(256)
            case 2:
                out[place : place + length] = bytes(len(out[place : place + length]))
            case 3:
                del out[place : place + length]
            case 4:
                out[place:place] = out[place : place + length]
            case 5:
                del out[place:]
            case 6:
                out[place:place] = draws.choice(_BYTES)
            case 7:
                out[place : place + length] = b"\xff" * len(out[place : place + length])
            case 8:
                other = draws.randrange(len(out))
                out[place : place + length] = out[other : other + length]
    return bytes(out)


def absurd(content: bytes, draws: random.Random) -> bytes:
    """A JSON text in which one or two fields hold another value, are gone, or have another name."""
    value = json.loads(content)
    for _ in range(draws.choice((1, 1, 2))):
        places = list(_places(value))
        if not places:
            break
        holder, key = draws.choice(places)
        match draws.randrange(8):
            case 0:
                del holder[key]
            case 1 if isinstance(holder, dict):
                holder[draws.choice(("", "x", "_class_name", "__metadata__"))] = holder.pop(key)
            case _:
                holder[key] = copy.deepcopy(draws.choice(ABSURD))
    return json.dumps(value).encode("utf-8", "surrogatepass")


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, own in list(items):
        yield value, key
        yield from _places(own)


@contextmanager
def bounded(more: int = 2 << 30) -> Iterator[None]:
    """MemoryError for whoever takes this many bytes more than the process has now."""
    with open("/proc/self/statm") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (now + more, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
