"""The tables of the caption scan: characters folded one by one, and names as a trie of their tokens."""

import functools
import sys
import unicodedata
from collections.abc import Sequence

import numpy as np

from audit_assets.roster.normalise import continues, folded, removed, spelled, stands_alone
from audit_assets.roster.scan_pass import (
    ALONE,
    AMPERSAND,
    APOSTROPHE,
    CONTINUES,
    SEPARATOR,
    SIEVE_BITS,
    UNDERSCORE,
    fill_edge_table,
    fill_token_table,
)

CODE_POINTS = sys.maxunicode + 1
LETTERLESS = 0x40000
_SHOWING_NOTHING = range(0xE0000, 0xE1000)  # beyond the letters, only these do not separate
_HANGUL_SYLLABLES = range(0xAC00, 0xD7A4)  # a rule decomposes these, not a table


def _class(character: str) -> int:
    """The class of a folded character."""
    if continues(character):
        return ord(character) | CONTINUES
    if not character.isalnum():
        return {"'": APOSTROPHE, "_": UNDERSCORE, "&": AMPERSAND}.get(character, SEPARATOR)
    return ord(character) | (ALONE if stands_alone(character) else 0)


@functools.cache
def fold_tables() -> tuple[np.ndarray, np.ndarray]:
    """(`starts`, `folded`): code point c folds to the classes `folded[starts[c]:starts[c + 1]]`.

    Each ASCII character folds to one class, so `folded[c]` is the class of an ASCII character c. Unicode has no letters
    beyond the third plane; characters there separate words or show nothing.
    """
    starts = np.arange(CODE_POINTS + 1, dtype=np.int32)
    classes: list[int] = []
    for point in range(LETTERLESS):
        starts[point] = len(classes)
        character = chr(point)
        category = unicodedata.category(character)
        if category in ("Cn", "Co", "Cs"):
            classes.append(SEPARATOR)
        elif category == "Lo" and not unicodedata.decomposition(character) and point not in _HANGUL_SYLLABLES:
            if not removed(character):  # letters of scripts without case, which are most of Unicode, fold to themselves
                classes.append(_class(character))
        else:
            classes += map(_class, folded(character))
    widths = np.ones(CODE_POINTS - LETTERLESS, np.int32)
    widths[_SHOWING_NOTHING.start - LETTERLESS : _SHOWING_NOTHING.stop - LETTERLESS] = 0
    starts[LETTERLESS] = len(classes)
    starts[LETTERLESS + 1 :] = len(classes) + np.cumsum(widths)
    found = np.zeros(starts[-1], np.int32)
    found[: len(classes)] = classes
    return starts, found


class Trie:
    """The tokens of all names. An edge leads from a node by a token to a child.

    Letters that spell a token also lead to its child: `also` links the node after the last letter to it. Each pair is packed
    into one integer, because a hundred thousand tuples and lists would keep the garbage collector busy.
    """

    def __init__(self) -> None:
        self.vocabulary: dict[str, int] = {}
        self.edges: dict[int, int] = {}  # node << 32 | token number -> child
        self.ends: dict[int, None] = {}  # node << 32 | owner, in order
        self.also: dict[int, None] = {}  # node << 32 | node
        self.nodes = 1

    def add(self, name: Sequence[str], owner: int) -> None:
        node = 0
        for token in name:
            before, known = node, self.nodes
            node = self._step(before, token)
            if node == known and spelled(token):  # a new child
                self.also[functools.reduce(self._step, token, before) << 32 | node] = None
        if node:
            self.ends[node << 32 | owner] = None

    def _step(self, node: int, token: str) -> int:
        edge = node << 32 | self.vocabulary.setdefault(token, len(self.vocabulary))
        if edge not in self.edges:
            self.edges[edge] = self.nodes
            self.nodes += 1
        return self.edges[edge]


def token_table(vocabulary: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(`sieve`, `hashes`, `numbers`, `characters`, `starts`): an open-addressed table. A free slot has number -1.

    `sieve` has one bit for the high bits of each token's hash. Its 16 KB stay in the first-level cache and reject most
    tokens of a caption before the table is read.
    """
    sieve = np.zeros(1 << (SIEVE_BITS - 3), np.uint8)
    slots = _slots(len(vocabulary))
    hashes, numbers = np.zeros(slots, np.uint64), np.full(slots, -1, np.int32)
    starts = np.zeros(len(vocabulary) + 1, np.int32)
    np.cumsum([len(token) for token in vocabulary], out=starts[1:])
    characters = np.array([_class(c) for token in vocabulary for c in token], np.int32)
    fill_token_table(sieve, hashes, numbers, characters, starts)
    return sieve, hashes, numbers, characters, starts


def edge_table(packed: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(`keys`, `children`): node << 32 | token number to the child. A free slot has key -1."""
    slots = _slots(len(packed))
    keys, children = np.full(slots, -1, np.int64), np.zeros(slots, np.int32)
    fill_edge_table(keys, children, packed, targets)
    return keys, children


def lists(nodes: int, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(`starts`, `values`): the values of node n are `values[starts[n]:starts[n + 1]]`.

    `pairs` are node << 32 | value, the values of a node in order.
    """
    starts = np.zeros(nodes + 1, np.int32)
    np.cumsum(np.bincount(pairs >> 32, minlength=nodes), out=starts[1:])
    order = np.argsort(pairs >> 32, kind="stable")
    return starts, (pairs & 0xFFFFFFFF)[order].astype(np.int32)


def _slots(entries: int) -> int:
    """A power of two that leaves at least three quarters of the slots free, because most tokens of a caption are in no name."""
    return 1 << max(4, (4 * entries - 1).bit_length())
