"""The compiled pass of the caption scan, over the bytes of captions and the tables of `scan_tables.py`.

Numba compiles these functions. They hold no rule of their own: `normalise.py` defines what a word and a name are.
"""

import numba
import numpy as np

# Classes of folded characters. Any larger number is a letter or digit, which has one of the two flags if it continues a word
# or begins a word of its own. Accents fold to no character.
SEPARATOR, APOSTROPHE, UNDERSCORE, AMPERSAND = 0, 1, 2, 3
CONTINUES, ALONE = 1 << 24, 1 << 25
SIEVE_BITS = 17
_S, _HASH, _NINE = map(ord, "s#9")
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_SEED, _ONE, _THREE, _SEVEN, _SHIFT, _SIEVE_SHIFT, _FIFTY_SEVEN = map(np.uint64, (1, 1, 3, 7, 32, 64 - SIEVE_BITS, 57))


@numba.njit(cache=True)
def _hashed(code: np.uint64, character: int | np.signedinteger) -> np.uint64:
    """`code` with one more character. This takes two cycles, a multiplication would take four. `_spread` mixes once per token."""
    return ((code << _SEVEN) | (code >> _FIFTY_SEVEN)) ^ np.uint64(character)


@numba.njit(cache=True)
def _spread(code: np.uint64) -> np.uint64:
    """A hash whose lowest bits depend on all of `code`."""
    code = code * _GOLDEN
    return code ^ (code >> _SHIFT)


@numba.njit(cache=True)
def fill_token_table(
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
def fill_edge_table(keys: np.ndarray, children: np.ndarray, packed: np.ndarray, targets: np.ndarray) -> None:
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
def add_rows(rows: np.ndarray, owners: np.ndarray, mentions: np.ndarray) -> int:
    """Count the matches of each owner. Returns the number of different rows."""
    naming, previous = 0, -1
    for index in range(len(rows)):
        row = rows[index]
        mentions[owners[index]] += 1
        naming += row != previous
        previous = row
    return naming


@numba.njit(cache=True)
def match_rows(
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
    also_starts: np.ndarray,
    also: np.ndarray,
    escaped: np.ndarray,
    last_row: np.ndarray,
    found_rows: np.ndarray,
    found_owners: np.ndarray,
) -> tuple[int, int]:
    """Fill `found_rows` and `found_owners` from `first_row` on. Returns (the next row to read, number found).

    A row that may have an HTML entity is marked in `escaped`, and nothing is found in it. If `escaped` is empty, no entity is
    looked for.

    The function binds no array to a new name: numba would then count references in the inner loop, which makes it ten times
    slower.
    """
    longest = 1
    for number in range(len(token_starts) - 1):
        longest = max(longest, token_starts[number + 1] - token_starts[number])
    token = np.empty(longest, np.int32)
    ascii_classes = np.zeros(256, np.int32)
    ascii_classes[:128] = folded[:128]
    # Trie nodes to which the words so far lead, each once: a name's tokens can be read back from its end in one way only.
    active, spelled_out = np.empty(len(end_starts) + 1, np.int32), np.empty(len(end_starts) + 1, np.int32)
    found = 0
    for row in range(first_row, len(offsets) - 1):
        if found + len(last_row) > len(found_rows):
            return row, found
        if not kept[row]:
            continue
        at, end, found_before = offsets[row], offsets[row + 1], found
        pending, pending_end = 0, 0  # the remaining characters to which the last code point folds
        paths, length, code = 0, 0, _SEED
        after_apostrophe, token_after_apostrophe, at_end = False, False, False
        alone, again = False, np.int32(SEPARATOR)  # whether the word is of one letter; a class to read once more
        while not at_end:
            if again > AMPERSAND:
                kind, again = again, np.int32(SEPARATOR)
            elif pending < pending_end:
                kind = folded[pending]
                pending += 1
            elif at < end:
                if data[at] < 0x80:
                    kind = folded[data[at]]
                    at += 1
                    if (
                        kind == AMPERSAND
                        and at < end
                        and len(escaped)
                        and (data[at] == _HASH or (ascii_classes[data[at]] > AMPERSAND and data[at] > _NINE))
                    ):
                        escaped[row], found = True, found_before
                        break
                else:
                    point, at = _decode(data, at, end)
                    pending, pending_end = fold_starts[point], fold_starts[point + 1]
                    continue
            else:
                kind, at_end = np.int32(SEPARATOR), True
            if kind >= CONTINUES or (alone and kind > AMPERSAND):
                if kind >= CONTINUES and kind < ALONE:
                    if length == 0:
                        kind = np.int32(SEPARATOR)  # a mark without a letter
                elif length > 0:
                    kind, again = np.int32(SEPARATOR), kind  # the word before ends here
            if kind > AMPERSAND:
                if length == 0:
                    token_after_apostrophe = after_apostrophe
                    alone = bool(kind >= ALONE)
                if length < longest:
                    token[length] = kind
                length += 1
                code = _hashed(code, kind)
                if pending == pending_end and not alone:
                    while at < end:  # the rest of an ASCII token, which is the common case
                        kind = ascii_classes[data[at]]
                        if kind <= AMPERSAND:
                            break
                        if length < longest:
                            token[length] = kind
                        length += 1
                        code = _hashed(code, kind)
                        at += 1
                continue
            if length > 0:
                # "'s" without a following word character is the possessive, which is dropped.
                possessive = length == 1 and token[0] == _S and token_after_apostrophe and kind != UNDERSCORE
                if not possessive:
                    number = -1
                    if length <= longest:
                        number = _token_number(code, token, length, sieve, hashes, numbers, characters, token_starts)
                    if number < 0:
                        paths = 0
                    else:
                        active[paths] = 0
                        still, more = 0, 0
                        for path in range(paths + 1):
                            if active[path] == 0:
                                node = roots[number]
                            else:
                                node = _child(active[path], number, edge_keys, edge_children)
                            if node < 0:
                                continue
                            active[still] = node
                            still += 1
                            for index in range(also_starts[node], also_starts[node + 1]):
                                spelled_out[more] = also[index]
                                more += 1
                        for index in range(more):
                            active[still] = spelled_out[index]
                            still += 1
                        paths = still
                        for path in range(paths):
                            node = active[path]
                            for index in range(end_starts[node], end_starts[node + 1]):
                                owner = end_owners[index]
                                if last_row[owner] != row:
                                    last_row[owner] = row
                                    found_rows[found], found_owners[found] = row, owner
                                    found += 1
                length, code, alone = 0, _SEED, False
            after_apostrophe = kind == APOSTROPHE
    return len(offsets) - 1, found
