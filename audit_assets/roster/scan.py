"""The caption scan: it counts the captions that name each subject, exactly as `normalise.py` defines it.

In this definition, every character is folded on its own: decomposition, case folding and the removal of marks never look
at a neighbour. Only the rule for the possessive does, and it comes after them. Therefore a table from code point to folded
characters, made by the reference itself, replaces normalisation. One compiled pass over the Arrow buffers then does the
following. It

1. decodes UTF-8 (invalid bytes separate, like the U+FFFD that a lenient decoder would put there),
2. folds and hashes token by token,
3. looks each token up among the tokens of the names, comparing characters, so that equal hashes cannot miscount,
4. walks a trie of token numbers from each token, and counts the names that end there, once per caption.

`scan_reference` does the same in plain Python with `names_in`. Tests and `make bench-roster` compare the two.
"""

import functools
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numba
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from audit_assets.roster.normalise import _APOSTROPHES, FOLD, names_in, tokens

SAMPLES = 10

# Classes of folded characters. Any larger number is a letter or digit. Marks fold to no character.
_SEPARATOR, _APOSTROPHE, _UNDERSCORE = 0, 1, 2
_S = ord("s")
_ROOM = 1 << 16
_NOTHING = np.empty(0, np.int64)
_CODE_POINTS = sys.maxunicode + 1
_LETTERLESS = 0x40000
_HANGUL_SYLLABLES = range(0xAC00, 0xD7A4)  # a rule decomposes these, not a table
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_SIEVE_BITS = 17
_SEED, _ONE, _THREE, _SEVEN, _SHIFT, _SIEVE_SHIFT, _FIFTY_SEVEN = map(np.uint64, (1, 1, 3, 7, 32, 64 - _SIEVE_BITS, 57))


@dataclass
class ScanResult:
    """`mentions` maps a key to the number of captions that name it; `samples` maps it to their first row ids, in the order read.

    `rows_read` counts all rows. `rows_kept` counts the rows that pass the filters of `caption_batches`; only these are
    scanned. `rows_naming` counts the kept rows that contain at least one name.
    """

    mentions: dict[str, int] = field(default_factory=dict)
    samples: dict[str, list[int]] = field(default_factory=dict)
    rows_read: int = 0
    rows_kept: int = 0
    rows_naming: int = 0


def scan(
    batches: Iterable[pa.RecordBatch], names: Mapping[str, Sequence[str]], *, samples: int = SAMPLES
) -> ScanResult:
    """Count the captions that name each key of `names` (key -> its name and aliases), once per caption and key.

    `batches` have a string column `text` and may have `kept` (bool) and `row` (int64; without it, rows are numbered
    from 0 in the order read). A key whose names have no token has no mention. Memory does not grow with the rows.
    """
    matcher = Matcher(names)
    tally = Tally(matcher.keys, samples)
    for batch in batches:
        tally.add(batch, *matcher.matches(batch))
    return tally.result()


class Tally:
    """The figures of `ScanResult`, summed per batch in arrays."""

    def __init__(self, keys: Sequence[str], samples: int) -> None:
        self.keys = keys
        self.rows_read = self.rows_kept = self.rows_naming = 0
        self._mentions = np.zeros(len(keys), np.int64)
        self._samples = np.zeros((len(keys), samples), np.int64)

    def add(self, batch: pa.RecordBatch, rows: np.ndarray, owners: np.ndarray) -> None:
        """Add the matches of one batch: positions of rows and indices into `keys`, ordered by position."""
        ids = row_ids(batch, self.rows_read)
        self.rows_read += batch.num_rows
        self.rows_kept += int(np.count_nonzero(_kept(batch)))
        self.rows_naming += _add(rows, owners, ids, self._mentions, self._samples)

    def result(self) -> ScanResult:
        counts = self._mentions.tolist()
        mentions = dict(zip(self.keys, counts, strict=True))
        places = zip(self.keys, self._samples.tolist(), counts, strict=True)
        samples = {key: rows[:count] for key, rows, count in places}
        return ScanResult(mentions, samples, self.rows_read, self.rows_kept, self.rows_naming)


def scan_reference(
    batches: Iterable[pa.RecordBatch], names: Mapping[str, Sequence[str]], *, samples: int = SAMPLES
) -> ScanResult:
    """The same as `scan`, written exactly as the definition. With a thousand names it takes about a millisecond per caption."""
    spellings = [(key, tuple(tokens(name))) for key, own in names.items() for name in own]
    by_spelling = {str(number): spelling for number, (_, spelling) in enumerate(spellings)}
    result = ScanResult(dict.fromkeys(names, 0), {key: [] for key in names})
    for batch in batches:
        ids = row_ids(batch, result.rows_read)
        result.rows_read += batch.num_rows
        for position in np.flatnonzero(_kept(batch)).tolist():
            result.rows_kept += 1
            found = names_in(caption_at(batch, position), by_spelling)
            named = {spellings[int(number)][0] for number in found}
            result.rows_naming += bool(named)
            for key in named:
                result.mentions[key] += 1
                if len(result.samples[key]) < samples:
                    result.samples[key].append(int(ids[position]))
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
        vocabulary: dict[str, int] = {}
        # Each pair is packed into one integer: a hundred thousand tuples and lists would keep the garbage collector busy.
        edges: dict[int, int] = {}  # node << 32 | token number -> child
        ends: dict[int, None] = {}  # node << 32 | owner, in order
        nodes = 1
        # White space always separates tokens, and names share words. With this cache, 20,000 names take a third of the time.
        tokens_of = functools.cache(tokens)
        for owner, own in enumerate(names.values()):
            if isinstance(own, str):
                raise TypeError(f"names[{self.keys[owner]!r}] is a string; give the name and its aliases as a sequence")
            for name in own:
                node = 0
                for token in (token for word in name.split() for token in tokens_of(word)):
                    number = vocabulary.setdefault(token, len(vocabulary))
                    edge = node << 32 | number
                    child = edges.get(edge)
                    if child is None:
                        child = edges[edge] = nodes
                        nodes += 1
                    node = child
                if node:
                    ends[node << 32 | owner] = None
        self._tokens = _token_table(list(vocabulary))
        self._roots = np.full(len(vocabulary), -1, np.int32)  # the root's children by token; most tokens begin no name
        packed, children = np.fromiter(edges, np.int64), np.fromiter(edges.values(), np.int32)
        of_root = packed >> 32 == 0
        self._roots[packed[of_root]] = children[of_root]
        self._edges = _edge_table(packed[~of_root], children[~of_root])
        self._ends = _end_lists(nodes, np.fromiter(ends, np.int64))
        # The last row in which each owner was found, so that an owner counts once per caption.
        self._last_row = np.full(len(self.keys), -1, np.int64)
        # Room for several captions that contain every name. The compiled pass stops if one more such caption might not fit.
        room = _ROOM + 2 * len(self.keys)
        self._rows, self._owners = np.empty(room, np.int64), np.empty(room, np.int64)

    def matches(self, batch: pa.RecordBatch) -> tuple[np.ndarray, np.ndarray]:
        """(positions of rows, indices into `keys`) for the kept rows of `batch`: each pair once, ordered by position."""
        data, offsets = text_buffers(batch.column("text"))
        kept, tables = _kept(batch), (*_fold_tables(), *self._tokens, self._roots, *self._edges, *self._ends)
        self._last_row.fill(-1)
        rows, owners = [], []
        row = 0
        while row < batch.num_rows:
            row, found = _match(data, offsets, kept, row, *tables, self._last_row, self._rows, self._owners)
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


def fold(text: str) -> str:
    """The folding of the reference before the possessive rule. It folds each character of a text on its own."""
    text = unicodedata.normalize("NFKD", text.translate(_APOSTROPHES)).casefold()
    text = unicodedata.normalize("NFKD", text)
    return "".join(c for c in text if not unicodedata.combining(c)).translate(FOLD)


@functools.cache
def _fold_tables() -> tuple[np.ndarray, np.ndarray]:
    """(`starts`, `folded`): code point c folds to the classes `folded[starts[c]:starts[c + 1]]`.

    Each ASCII character folds to one class, so `folded[c]` is the class of an ASCII character c. Unicode has no letters
    beyond the third plane; characters there separate tokens.
    """
    special = {"'": _APOSTROPHE, "_": _UNDERSCORE}
    starts = np.arange(_CODE_POINTS + 1, dtype=np.int32)
    classes: list[int] = []
    for point in range(_LETTERLESS):
        starts[point] = len(classes)
        character = chr(point)
        category = unicodedata.category(character)
        if category in ("Cn", "Co", "Cs"):
            classes.append(_SEPARATOR)
        elif category == "Lo" and not unicodedata.decomposition(character) and point not in _HANGUL_SYLLABLES:
            classes.append(point)  # letters of scripts without case, which are most of Unicode, fold to themselves
        else:
            classes += [ord(c) if c.isalnum() else special.get(c, _SEPARATOR) for c in fold(character)]
    starts[_LETTERLESS:] += len(classes) - _LETTERLESS
    folded = np.zeros(starts[-1], np.int32)
    folded[: len(classes)] = classes
    return starts, folded


def _token_table(vocabulary: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(`sieve`, `hashes`, `numbers`, `characters`, `starts`): an open-addressed table. A free slot has number -1.

    `sieve` has one bit for the high bits of each token's hash. Its 16 KB stay in the first-level cache and reject most
    tokens of a caption before the table is read.
    """
    sieve = np.zeros(1 << (_SIEVE_BITS - 3), np.uint8)
    slots = _slots(len(vocabulary))
    hashes, numbers = np.zeros(slots, np.uint64), np.full(slots, -1, np.int32)
    starts = np.zeros(len(vocabulary) + 1, np.int32)
    np.cumsum([len(token) for token in vocabulary], out=starts[1:])
    characters = np.array([ord(c) for token in vocabulary for c in token], np.int32)
    _fill_token_table(sieve, hashes, numbers, characters, starts)
    return sieve, hashes, numbers, characters, starts


def _edge_table(packed: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(`keys`, `children`): node << 32 | token number to the child. A free slot has key -1."""
    slots = _slots(len(packed))
    keys, children = np.full(slots, -1, np.int64), np.zeros(slots, np.int32)
    _fill_edge_table(keys, children, packed, targets)
    return keys, children


def _end_lists(nodes: int, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(`starts`, `owners`): the owners of the names that end at node n are `owners[starts[n]:starts[n + 1]]`.

    `ends` are node << 32 | owner, the owners of a node in order.
    """
    starts = np.zeros(nodes + 1, np.int32)
    np.cumsum(np.bincount(ends >> 32, minlength=nodes), out=starts[1:])
    order = np.argsort(ends >> 32, kind="stable")
    return starts, (ends & 0xFFFFFFFF)[order].astype(np.int32)


def _slots(entries: int) -> int:
    """A power of two that leaves at least three quarters of the slots free, because most tokens of a caption are in no name."""
    return 1 << max(4, (4 * entries - 1).bit_length())


@numba.njit(cache=True)
def _hashed(code: np.uint64, character: int) -> np.uint64:
    """`code` with one more character. This takes two cycles, a multiplication would take four. `_spread` mixes once per token."""
    return ((code << _SEVEN) | (code >> _FIFTY_SEVEN)) ^ np.uint64(character)


@numba.njit(cache=True)
def _spread(code: np.uint64) -> np.uint64:
    """A hash whose lowest bits depend on all of `code`."""
    code = code * _GOLDEN
    return code ^ (code >> _SHIFT)


@numba.njit(cache=True)
def _fill_token_table(
    sieve: np.ndarray, hashes: np.ndarray, numbers: np.ndarray, characters: np.ndarray, starts: np.ndarray
) -> None:
    mask = np.uint64(len(numbers) - 1)
    for number in range(len(starts) - 1):
        code = _SEED
        for index in range(starts[number], starts[number + 1]):
            code = _hashed(code, characters[index])
        spread = _spread(code)
        sieve[spread >> _SIEVE_SHIFT >> _THREE] |= _ONE << (spread >> _SIEVE_SHIFT & _SEVEN)
        slot = spread & mask
        while numbers[slot] >= 0:
            slot = (slot + _ONE) & mask
        hashes[slot], numbers[slot] = code, number


@numba.njit(cache=True)
def _fill_edge_table(keys: np.ndarray, children: np.ndarray, packed: np.ndarray, targets: np.ndarray) -> None:
    mask = np.uint64(len(keys) - 1)
    for index in range(len(packed)):
        slot = _spread(np.uint64(packed[index])) & mask
        while keys[slot] >= 0:
            slot = (slot + _ONE) & mask
        keys[slot], children[slot] = packed[index], targets[index]


@numba.njit(cache=True)
def _child(node: int, number: int, keys: np.ndarray, children: np.ndarray) -> int:
    """The trie node to which `number` leads from `node`, or -1."""
    key = np.int64(node) << 32 | np.int64(number)
    mask = np.uint64(len(keys) - 1)
    slot = _spread(np.uint64(key)) & mask
    while keys[slot] >= 0:
        if keys[slot] == key:
            return children[slot]
        slot = (slot + _ONE) & mask
    return -1


@numba.njit(cache=True)
def _token_number(
    code: np.uint64,
    token: np.ndarray,
    length: int,
    sieve: np.ndarray,
    hashes: np.ndarray,
    numbers: np.ndarray,
    characters: np.ndarray,
    starts: np.ndarray,
) -> int:
    """The number of the name token with these characters (not only with this hash), or -1."""
    spread = _spread(code)
    if not sieve[spread >> _SIEVE_SHIFT >> _THREE] >> (spread >> _SIEVE_SHIFT & _SEVEN) & _ONE:
        return -1
    mask = np.uint64(len(numbers) - 1)
    slot = spread & mask
    while numbers[slot] >= 0:
        number = numbers[slot]
        if hashes[slot] == code and starts[number + 1] - starts[number] == length:
            start = starts[number]
            same = 0
            while same < length and characters[start + same] == token[same]:
                same += 1
            if same == length:
                return number
        slot = (slot + _ONE) & mask
    return -1


@numba.njit(cache=True)
def _decode(data: np.ndarray, at: int, end: int) -> tuple[int, int]:
    """(code point, next index) of the UTF-8 sequence at `at`; an invalid byte is one U+FFFD."""
    first = data[at]
    if 0xC2 <= first < 0xE0:
        need, point, low, high = 1, int(first & 0x1F), 0x80, 0xBF
    elif 0xE0 <= first < 0xF0:
        need, point = 2, int(first & 0x0F)
        low, high = (0xA0 if first == 0xE0 else 0x80), (0x9F if first == 0xED else 0xBF)
    elif 0xF0 <= first < 0xF5:
        need, point = 3, int(first & 0x07)
        low, high = (0x90 if first == 0xF0 else 0x80), (0x8F if first == 0xF4 else 0xBF)
    else:
        return 0xFFFD, at + 1
    if at + need >= end:
        return 0xFFFD, at + 1
    for index in range(at + 1, at + 1 + need):
        byte = data[index]
        if byte < low or byte > high:
            return 0xFFFD, at + 1
        low, high = 0x80, 0xBF
        point = point << 6 | int(byte & 0x3F)
    return point, at + 1 + need


@numba.njit(cache=True)
def _add(rows: np.ndarray, owners: np.ndarray, ids: np.ndarray, mentions: np.ndarray, samples: np.ndarray) -> int:
    """Count the matches and keep the first ids of each owner. Returns the number of different rows."""
    naming, previous = 0, -1
    for index in range(len(rows)):
        row, owner = rows[index], owners[index]
        if mentions[owner] < samples.shape[1]:
            samples[owner, mentions[owner]] = ids[row]
        mentions[owner] += 1
        naming += row != previous
        previous = row
    return naming


@numba.njit(cache=True)
def _match(
    data: np.ndarray,
    offsets: np.ndarray,
    kept: np.ndarray,
    first_row: int,
    fold_starts: np.ndarray,
    folded: np.ndarray,
    sieve: np.ndarray,
    hashes: np.ndarray,
    numbers: np.ndarray,
    characters: np.ndarray,
    token_starts: np.ndarray,
    roots: np.ndarray,
    edge_keys: np.ndarray,
    edge_children: np.ndarray,
    end_starts: np.ndarray,
    end_owners: np.ndarray,
    last_row: np.ndarray,
    found_rows: np.ndarray,
    found_owners: np.ndarray,
) -> tuple[int, int]:
    """Fill `found_rows` and `found_owners` from `first_row` on. Returns (the next row to read, number found).

    The function binds no array to a new name: numba would then count references in the inner loop, which makes it ten times
    slower.
    """
    longest = 1
    for number in range(len(token_starts) - 1):
        longest = max(longest, token_starts[number + 1] - token_starts[number])
    token = np.empty(longest, np.int32)
    ascii_classes = np.zeros(256, np.int32)
    ascii_classes[:128] = folded[:128]
    active = np.empty(
        len(end_starts), np.int32
    )  # trie nodes to which the tokens so far lead; never more than the depth of the trie
    found = 0
    for row in range(first_row, len(offsets) - 1):
        if found + len(last_row) > len(found_rows):
            return row, found
        if not kept[row]:
            continue
        at, end = offsets[row], offsets[row + 1]
        pending, pending_end = 0, 0  # the remaining characters to which the last code point folds
        paths, length, code = 0, 0, _SEED
        after_apostrophe, token_after_apostrophe, at_end = False, False, False
        while not at_end:
            if pending < pending_end:
                kind = folded[pending]
                pending += 1
            elif at < end:
                if data[at] < 0x80:
                    kind = folded[data[at]]
                    at += 1
                else:
                    point, at = _decode(data, at, end)
                    pending, pending_end = fold_starts[point], fold_starts[point + 1]
                    continue
            else:
                kind, at_end = np.int32(_SEPARATOR), True
            if kind > _UNDERSCORE:
                if length == 0:
                    token_after_apostrophe = after_apostrophe
                if length < longest:
                    token[length] = kind
                length += 1
                code = _hashed(code, kind)
                if pending == pending_end:
                    while at < end:  # the rest of an ASCII token, which is the common case
                        kind = ascii_classes[data[at]]
                        if kind <= _UNDERSCORE:
                            break
                        if length < longest:
                            token[length] = kind
                        length += 1
                        code = _hashed(code, kind)
                        at += 1
                continue
            if length > 0:
                # "'s" without a following word character is the possessive, which is dropped.
                possessive = length == 1 and token[0] == _S and token_after_apostrophe and kind != _UNDERSCORE
                if not possessive:
                    number = -1
                    if length <= longest:
                        number = _token_number(code, token, length, sieve, hashes, numbers, characters, token_starts)
                    if number < 0:
                        paths = 0
                    else:
                        active[paths] = 0
                        still = 0
                        for path in range(paths + 1):
                            if active[path] == 0:
                                node = roots[number]
                            else:
                                node = _child(active[path], number, edge_keys, edge_children)
                            if node < 0:
                                continue
                            active[still] = node
                            still += 1
                            for index in range(end_starts[node], end_starts[node + 1]):
                                owner = end_owners[index]
                                if last_row[owner] != row:
                                    last_row[owner] = row
                                    found_rows[found], found_owners[found] = row, owner
                                    found += 1
                        paths = still
                length, code = 0, _SEED
            after_apostrophe = kind == _APOSTROPHE
    return len(offsets) - 1, found
