"""The sources of control names: Faker's lists, and the parts of the artists' own names.

The caller stores the draw, because Faker's lists change between versions.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence

import numpy as np
from anyascii import anyascii
from faker import VERSION as FAKER_VERSION
from faker import Faker

from audit_assets.errors import InputError
from audit_assets.measurement.strata import script_of
from audit_assets.roster.normalise import tokens
from audit_assets.roster.parts import name_parts, parts_of, pieces_of

__all__ = ["FAKER_VERSION", "proportional", "random_names", "recombinations", "recombinations_with"]

# Draws per name before the pool counts as exhausted. Faker's lists have some hundreds of surnames.
_PATIENCE = 400
_SURNAME_FIRST = frozenset({"ja", "ko", "zh"})


def random_names(
    n: int,
    *,
    locale: str = "en_US",
    seed: int,
    known: Iterable[str],
    token_counts: Sequence[int] = (2,),
    share_parts: bool = False,
    latin: bool = False,
) -> list[str]:
    """At most `n` different names from Faker. The same arguments and Faker version give the same names.

    Their numbers of words follow the proportions of `token_counts` (for example one entry per roster name). No name equals
    a known name; unless `share_parts` is set, no name shares a part with one. The result has fewer names if the lists of the
    locale are exhausted. Raises InputError if the locale is unknown.
    """
    try:
        faker = Faker(locale)
    except AttributeError as error:
        raise InputError(f"controls.locale: {locale!r} is not a locale of Faker {FAKER_VERSION}; try en_US.") from error
    faker.seed_instance(seed)
    known = list(known)
    forbidden = frozenset() if share_parts else parts_of(known)
    taken = {tuple(tokens(name)) for name in known}
    names: list[str] = []
    exhausted: set[int] = set()
    for wanted in proportional(n, token_counts):
        for _ in range(0 if wanted in exhausted else _PATIENCE):
            name = _draw(faker, wanted, surname_first=locale.split("_")[0] in _SURNAME_FIRST, latin=latin)
            spelling = tuple(tokens(name))
            if len(pieces_of(name)) == wanted and spelling not in taken and name_parts(name).isdisjoint(forbidden):
                taken.add(spelling)
                names.append(name)
                break
        else:
            exhausted.add(wanted)
    return names


def recombinations(
    n: int, artists: Sequence[str], seed: int, known: Iterable[str], among: Collection[str] | None = None
) -> list[str]:
    """At most `n` different names made of one artist's first word and another artist's remaining words.

    The same arguments give the same names. Artists are used as evenly as the screening allows. No name equals an artist's
    name or a known name. If `among` is given, both artists are in it; the order of the draw still follows all `artists`.
    """
    people = [name for name in dict.fromkeys(artists) if len(name.split()) > 1]
    halves = [(words[0], " ".join(words[1:])) for words in map(str.split, people)]
    taken = {tuple(tokens(name)) for name in (*known, *artists)}
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(halves))
    chosen = np.array([among is None or name in among for name in people], bool)[order]
    names: list[str] = []
    # Each shift uses every first word and every remainder once. All shifts together give all pairs.
    for shift in generator.permutation(np.arange(1, max(len(halves), 1))):
        pairs = np.stack([order, np.roll(order, shift)], axis=1)[chosen & np.roll(chosen, shift)]
        for first, second in pairs.tolist():
            if len(names) == n:
                return names
            name = f"{halves[first][0]} {halves[second][1]}"
            spelling = tuple(tokens(name))
            if spelling not in taken:
                taken.add(spelling)
                names.append(name)
    return names


def recombinations_with(
    n: int, artists: Sequence[str], partners: Sequence[str], seed: int, known: Iterable[str]
) -> list[str]:
    """At most `n` names of one half of an artist's name and the other half of a partner's, the same for the same arguments.

    For an audit with fewer than two artists, which has no other artist to recombine a name with. First words and remaining
    words of the artist take turns.
    """
    halves = [(words[0], " ".join(words[1:])) for words in map(str.split, artists) if len(words) > 1]
    others = [(words[0], " ".join(words[1:])) for words in map(str.split, partners) if len(words) > 1]
    taken = {tuple(tokens(name)) for name in (*known, *artists)}
    names: list[str] = []
    for place, number in enumerate(np.random.default_rng(seed).permutation(len(others))):
        first, rest = others[number]
        for own_first, own_rest in halves:
            name = f"{own_first} {rest}" if place % 2 else f"{first} {own_rest}"
            spelling = tuple(tokens(name))
            if len(names) < n and spelling not in taken:
                taken.add(spelling)
                names.append(name)
    return names


def proportional(n: int, counts: Sequence[int]) -> list[int]:
    """`n` numbers in the proportions of `counts` (only 2 if `counts` is empty), by largest remainder, ascending."""
    shares = Counter(max(1, count) for count in counts) or Counter({2: 1})
    total = shares.total()
    whole = {count: n * share // total for count, share in shares.items()}
    by_remainder = sorted(shares, key=lambda count: (-(n * shares[count] % total), count))
    for count in by_remainder[: n - sum(whole.values())]:
        whole[count] += 1
    return [count for count in sorted(whole) for _ in range(whole[count])]


def _draw(faker: Faker, wanted: int, *, surname_first: bool = False, latin: bool = False) -> str:
    """First names and one last name, which comes first in some languages. A single token is a last name, as in mononyms, or, in these
    languages, the last name and the first name without a space. With `latin`, in Latin letters and their order whatever the locale."""
    first: Callable[[], str] = faker.first_name
    last: Callable[[], str] = faker.last_name
    if latin:
        first = getattr(faker, "first_romanized_name", first)
        last = getattr(faker, "last_romanized_name", last)
    elif surname_first:
        return f"{last()}{first()}" if wanted == 1 else " ".join(part() for part in [last, *([first] * (wanted - 1))])
    name = " ".join(part() for part in [*([first] * (wanted - 1)), last])
    return name if not latin or script_of(name) == "Latin" else anyascii(name).title()
