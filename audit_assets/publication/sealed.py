"""A page as its hash covers it: without the block that says who made the audit, when, and what its root is.

The root of an audit covers its pages, so no page can hold its own root before it is hashed. Each page has one place for the block. The
hash of a page is of the page with this place empty. `evidence/cover.py` fills the place from the manifest.
"""

import hashlib
import re
from pathlib import Path

from audit_assets.hashing import sha256

START, END = b"<!-- cover -->", b"<!-- end of cover -->"
_BLOCK = re.compile(re.escape(START) + b".*?" + re.escape(END), re.DOTALL)
MOST = 1 << 18
"""A block has at most this many bytes."""


def sealed(page: bytes) -> bytes:
    """The page with the place of its block empty. A page without the place stays as it is. Names cannot hold the marks: they are escaped."""
    return _BLOCK.sub(START + END, page, count=1)


def filled(page: bytes, block: str) -> bytes:
    """The page with this block in its place."""
    return _BLOCK.sub(lambda _: START + b"\n" + block.encode() + b"\n" + END, page, count=1)


def same_block(page: bytes, like: bytes) -> bytes:
    """``page`` with the block of ``like``."""
    found = _BLOCK.search(like)
    return page if found is None else _BLOCK.sub(lambda _: found[0], page, count=1)


def is_page(path: Path) -> bool:
    return path.suffix == ".html"


def sealed_file(path: Path) -> tuple[int, str]:
    """Bytes and sha256 of a file as the manifest has them: of a page with the place of its block empty, else of the file."""
    if not is_page(path):
        return path.stat().st_size, sha256(path)
    content = sealed(path.read_bytes())
    return len(content), hashlib.sha256(content).hexdigest()
