"""Files that the user of a test may not read. Root may read all, so the test becomes another user for a while."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65534


@contextmanager
def without_rights(place: Path) -> Iterator[None]:
    """Run the block as a user without the rights of root, to whom `place` and all below it belong."""
    if os.geteuid() != 0:
        yield
        return
    give_to_nobody(place)
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


def give_to_nobody(place: Path) -> None:
    for path in (place, *place.rglob("*")):
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
