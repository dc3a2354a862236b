"""A few captions per name, with address and text, that no person chose: those whose digest of (URL, text) is the smallest.

The same captions are chosen whatever the order of rows, batches and files, and all copies of one (URL, text) are one caption.
Memory grows with the number of names, not with the rows.
"""

from bisect import insort
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

EXAMPLES = 5
"""Captions that are kept of each name."""
LONGEST = 1000
"""Characters of an address or a text that are kept. The mark behind a cut says how many it had."""

_Held = tuple[int, int, int, str | None, str | None]


class Examples:
    """The captions with the smallest digests of each of `keys`, from batches in any order."""

    def __init__(self, keys: Sequence[str], most: int = EXAMPLES) -> None:
        self.keys, self.most = keys, most
        self._held: dict[int, list[_Held]] = {}
        # A digest whose upper half is above this one is not among the smallest of its owner.
        self._greatest = np.full(len(keys), np.iinfo(np.uint64).max, np.uint64)

    def add(
        self,
        batch: pa.RecordBatch,
        ids: np.ndarray,
        rows: np.ndarray,
        owners: np.ndarray,
        high: np.ndarray,
        low: np.ndarray,
    ) -> None:
        """Add the mentions of one batch: positions of rows, indices into `keys`, and the two halves of each digest. `ids` numbers the rows."""
        near = np.flatnonzero(high <= self._greatest[owners])
        near = near[np.lexsort((rows[near], low[near], high[near], owners[near]))]
        copies = np.zeros(len(near), bool)
        copies[1:] = np.logical_and.reduce([c[near][1:] == c[near][:-1] for c in (owners, high, low)])
        near = near[~copies]
        of = owners[near]
        near = near[np.arange(len(of)) - np.searchsorted(of, of) < self.most]
        places = rows[near]
        url_of = "address" if "address" in batch.schema.names else "url"
        urls, texts = (_bytes(batch.column(name), places) for name in (url_of, "text"))
        digests = zip(high[near].tolist(), low[near].tolist(), strict=True)
        for owner, digest, row, url, text in zip(
            owners[near].tolist(), digests, ids[places].tolist(), urls, texts, strict=True
        ):
            held = self._held.setdefault(owner, [])
            if any(own[:2] == digest for own in held):
                continue
            insort(held, (*digest, row, shortened(url), shortened(text)))
            del held[self.most :]
            if len(held) == self.most:
                self._greatest[owner] = held[-1][0]

    def found(self) -> dict[str, list[dict[str, int | str | None]]]:
        """Key -> row, url and caption of each example, the smallest digest first. An empty address is None."""
        return {
            key: [{"row": row, "url": url or None, "caption": text} for _, _, row, url, text in self._held.get(n, [])]
            for n, key in enumerate(self.keys)
        }


def shortened(value: bytes | None) -> str | None:
    """At most LONGEST characters of a text with any bytes, and how many it had if there are more."""
    if value is None:
        return None
    text = value.decode("utf-8", "replace")
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text):,} characters)"


def _bytes(column: pa.Array, places: np.ndarray) -> list[bytes | None]:
    kind = pa.large_binary() if pa.types.is_large_string(column.type) else pa.binary()
    found: list[bytes | None] = pc.cast(column.take(pa.array(places, pa.int64())), kind).to_pylist()
    return found
