"""The caption scan: it counts the captions that name each subject, exactly as `normalise.py` defines it.

In this definition, every character is folded on its own: decomposition, case folding and the removal of marks never look
at a neighbour. Only the rules for the possessive and for the ends of words do, and they come after them. Therefore a table
from code point to folded characters, made by the reference itself, replaces normalisation. One compiled pass over the Arrow
buffers then does the following. It

1. decodes UTF-8 (invalid bytes separate, like the U+FFFD that a lenient decoder would put there),
2. folds and hashes word by word,
3. looks each word up among the tokens of the names, comparing characters, so that equal hashes cannot miscount,
4. walks a trie of token numbers from each word, and counts the names that end there, once per caption.

Captions with HTML entities are few. The reference itself unescapes them, and the compiled pass reads what it returns.

`scan_reference` does the same in plain Python with `names_in`. Tests and `make bench-roster` compare the two.
"""

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from audit_assets.roster.normalise import joined, names_in, tokens, unescaped, words
from audit_assets.roster.scan_pass import add_rows, match_rows
from audit_assets.roster.scan_tables import Trie, edge_table, fold_tables, lists, token_table

_ROOM = 1 << 16
_NOTHING = np.empty(0, np.int64)


@dataclass
class ScanResult:
    """`mentions` maps a key to the number of captions that name it.

    `rows_read` counts all rows. `rows_kept` counts the rows that pass the filters of `caption_batches`; only these are
    scanned. `rows_naming` counts the kept rows that contain at least one name.
    """

    mentions: dict[str, int] = field(default_factory=dict)
    rows_read: int = 0
    rows_kept: int = 0
    rows_naming: int = 0


def scan(batches: Iterable[pa.RecordBatch], names: Mapping[str, Sequence[str]]) -> ScanResult:
    """Count the captions that name each key of `names` (key -> its name and aliases), once per caption and key.

    `batches` have a string column `text` and may have `kept` (bool). A key whose names have no token has no mention. Memory does not grow with the rows.
    """
    matcher = Matcher(names)
    tally = Tally(matcher.keys)
    for batch in batches:
        tally.add(batch, *matcher.matches(batch))
    return tally.result()


class Tally:
    """The figures of `ScanResult`, summed per batch in arrays."""

    def __init__(self, keys: Sequence[str]) -> None:
        self.keys = keys
        self.rows_read = self.rows_kept = self.rows_naming = 0
        self._mentions = np.zeros(len(keys), np.int64)

    def add(self, batch: pa.RecordBatch, rows: np.ndarray, owners: np.ndarray) -> None:
        """Add the matches of one batch: positions of rows and indices into `keys`, ordered by position."""
        self.rows_read += batch.num_rows
        self.rows_kept += int(np.count_nonzero(_kept(batch)))
        self.rows_naming += add_rows(rows, owners, self._mentions)

    def result(self) -> ScanResult:
        mentions = dict(zip(self.keys, self._mentions.tolist(), strict=True))
        return ScanResult(mentions, self.rows_read, self.rows_kept, self.rows_naming)


def scan_reference(batches: Iterable[pa.RecordBatch], names: Mapping[str, Sequence[str]]) -> ScanResult:
    """The same as `scan`, written exactly as the definition. With a thousand names it takes about a millisecond per caption."""
    spellings = [(key, tuple(tokens(name))) for key, own in names.items() for name in own]
    by_spelling = {str(number): spelling for number, (_, spelling) in enumerate(spellings)}
    result = ScanResult(dict.fromkeys(names, 0))
    for batch in batches:
        result.rows_read += batch.num_rows
        for position in np.flatnonzero(_kept(batch)).tolist():
            result.rows_kept += 1
            found = names_in(caption_at(batch, position), by_spelling)
            named = {spellings[int(number)][0] for number in found}
            result.rows_naming += bool(named)
            for key in named:
                result.mentions[key] += 1
    return result


def caption_at(batch: pa.RecordBatch, position: int, column: str = "text") -> str:
    """One text of the batch, with any bytes; empty if it is null."""
    value = batch.column(column)[position].as_buffer()
    return "" if value is None else value.to_pybytes().decode("utf-8", "replace")


def row_ids(batch: pa.RecordBatch, start: int) -> np.ndarray:
    """The batch's `row` column, or positions counted from `start`."""
    if "row" in batch.schema.names:
        return batch.column("row").to_numpy(zero_copy_only=False)
    return np.arange(start, start + batch.num_rows, dtype=np.int64)


def _kept(batch: pa.RecordBatch) -> np.ndarray:
    kept = batch.column("text").is_valid()
    if "kept" in batch.schema.names:
        kept = pc.and_(kept, batch.column("kept").fill_null(False))
    return kept.to_numpy(zero_copy_only=False)


class Matcher:
    """Names compiled for the scan: a hash table of their tokens and a trie of token numbers."""

    def __init__(self, names: Mapping[str, Sequence[str]]) -> None:
        self.keys = list(names)
        trie = Trie()
        # White space always separates words, and names share words. With this cache, 20,000 names take a third of the time.
        words_of = functools.cache(words)
        for owner, own in enumerate(names.values()):
            if isinstance(own, str):
                raise TypeError(f"names[{self.keys[owner]!r}] is a string; give the name and its aliases as a sequence")
            for name in own:
                trie.add(joined(word for piece in name.split() for word in words_of(piece)), owner)
        vocabulary, nodes = trie.vocabulary, trie.nodes
        self._tokens = token_table(list(vocabulary))
        self._roots = np.full(len(vocabulary), -1, np.int32)  # the root's children by token; most tokens begin no name
        packed, children = np.fromiter(trie.edges, np.int64), np.fromiter(trie.edges.values(), np.int32)
        of_root = packed >> 32 == 0
        self._roots[packed[of_root]] = children[of_root]
        self._edges = edge_table(packed[~of_root], children[~of_root])
        self._ends = lists(nodes, np.fromiter(trie.ends, np.int64))
        self._also = lists(nodes, np.fromiter(trie.also, np.int64))
        # The last row in which each owner was found, so that an owner counts once per caption.
        self._last_row = np.full(len(self.keys), -1, np.int64)
        # Room for several captions that contain every name. The compiled pass stops if one more such caption might not fit.
        room = _ROOM + 2 * len(self.keys)
        self._rows, self._owners = np.empty(room, np.int64), np.empty(room, np.int64)

    def matches(self, batch: pa.RecordBatch) -> tuple[np.ndarray, np.ndarray]:
        """(positions of rows, indices into `keys`) for the kept rows of `batch`: each pair once, ordered by position."""
        data, offsets = text_buffers(batch.column("text"))
        escaped = np.zeros(batch.num_rows, bool)
        rows, owners = self._found(data, offsets, _kept(batch), escaped)
        if not escaped.any():
            return rows, owners
        positions = np.flatnonzero(escaped)
        texts = pa.array([unescaped(caption_at(batch, position)) for position in positions.tolist()], pa.large_string())
        # What was unescaped is read as it stands, so the second pass looks for no entity.
        more, their_owners = self._found(*text_buffers(texts), np.ones(len(texts), bool), np.zeros(0, bool))
        rows = np.concatenate([rows, positions[more]])
        order = np.argsort(rows, kind="stable")
        return rows[order], np.concatenate([owners, their_owners])[order]

    def _found(
        self, data: np.ndarray, offsets: np.ndarray, kept: np.ndarray, escaped: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        tables = (*fold_tables(), *self._tokens, self._roots, *self._edges, *self._ends, *self._also)
        self._last_row.fill(-1)
        rows, owners = [], []
        row = 0
        while row < len(kept):
            row, found = match_rows(
                data, offsets, kept, row, *tables, escaped, self._last_row, self._rows, self._owners
            )
            rows.append(self._rows[:found].copy())
            owners.append(self._owners[:found].copy())
        return np.concatenate(rows or [_NOTHING]), np.concatenate(owners or [_NOTHING])


def text_buffers(column: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Bytes and offsets of a string array, without a copy: row `i` is `data[offsets[i]:offsets[i + 1]]`."""
    width = np.int64 if pa.types.is_large_string(column.type) or pa.types.is_large_binary(column.type) else np.int32
    _, offsets, data = column.buffers()
    if offsets is None or len(column) == 0:
        return np.zeros(0, np.uint8), np.zeros(len(column) + 1, np.int64)
    bounds = np.frombuffer(offsets, width)[column.offset : column.offset + len(column) + 1].astype(np.int64)
    return np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(0, np.uint8), bounds
