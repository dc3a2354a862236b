"""Control names: nobody the model could have learnt.

Two pools, because the names decide the control. *Random names* share no part with a known artist: what identifies
them is chance. *Recombined names* are put together from the parts of artists' names: what identifies them is a
surname that belongs to one artist. The draw is stored by the caller, since Faker's lists change between versions; the
version is in every row.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pandas as pd
from faker import VERSION as FAKER_VERSION
from faker import Faker

from audit_assets.errors import InputError
from audit_assets.roster.normalise import tokens
from audit_assets.roster.parts import name_parts, parts_of

COLUMNS = ("name", "shares_name_parts", "faker_version", "locale", "seed", "why")
# Draws a wanted name before the pool counts as exhausted: Faker's lists hold some hundreds of surnames.
_PATIENCE = 400


def random_names(
    n: int,
    *,
    locale: str = "en_US",
    seed: int,
    known: Iterable[str],
    token_counts: Sequence[int] = (2,),
    share_parts: bool = False,
) -> pd.DataFrame:
    """`n` names from Faker with COLUMNS, the same for the same arguments and Faker version, no two alike.

    Their numbers of tokens follow the proportions of `token_counts` (one entry a roster name, say). None equals a
    known name; unless `share_parts`, none shares a part with one either. Raises InputError where the locale is
    unknown or its lists hold too few names that pass.
    """
    try:
        faker = Faker(locale)
    except AttributeError as error:
        raise InputError(f"controls.locale: {locale!r} is not a locale of Faker {FAKER_VERSION}; try en_US.") from error
    faker.seed_instance(seed)
    known = list(known)
    known_parts, taken = parts_of(known), {tuple(tokens(name)) for name in known}
    rows: list[tuple] = []
    refused: Counter[str] = Counter()
    for wanted in _proportional(n, token_counts):
        for _ in range(_PATIENCE):
            name = _draw(faker, wanted)
            spelling = tuple(tokens(name))
            shares = not name_parts(name).isdisjoint(known_parts)
            if len(spelling) != wanted:
                refused["has another number of tokens"] += 1
            elif spelling in taken:
                refused["is a known or drawn name"] += 1
            elif shares and not share_parts:
                refused["shares a part with a known name"] += 1
            else:
                break
        else:
            reasons = ", ".join(f"{reason}: {count}" for reason, count in refused.most_common())
            raise InputError(
                f"controls.random_names: only {len(rows)} of {n} names of {wanted} tokens could be drawn from Faker's "
                f"{locale} lists (refused draws: {reasons}); ask for fewer, or set controls.locale to another language."
            )
        taken.add(spelling)
        why = f"not among {len(known)} known names" + ("" if shares else "; shares no part with any of them")
        rows.append((name, shares, FAKER_VERSION, locale, seed, why))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def recombined_names(n: int, artists: Sequence[str], seed: int, known: Iterable[str]) -> pd.DataFrame:
    """`recombinations` with the columns of `random_names`; raises InputError where there are fewer than `n`."""
    known = list(known)
    names = recombinations(n, artists, seed, known)
    if len(names) < n:
        raise InputError(
            f"controls.random_names: only {len(names)} of {n} names can be recombined from the parts of "
            f"{len(artists)} artists' names; ask for fewer, or add artists."
        )
    why = f"not among {len(known)} known names; made of parts of artists' names"
    rows = [(name, True, FAKER_VERSION, "", seed, why) for name in names]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def recombinations(n: int, artists: Sequence[str], seed: int, known: Iterable[str]) -> list[str]:
    """At most `n` names of one artist's first word and another's remaining words, the same for the same arguments.

    Artists are used as evenly as the screening allows. None equals an artist's or a known name, no two are alike.
    """
    halves = [(words[0], " ".join(words[1:])) for words in map(str.split, dict.fromkeys(artists)) if len(words) > 1]
    taken = {tuple(tokens(name)) for name in (*known, *artists)}
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(halves))
    names: list[str] = []
    # Each shift uses every first word and every remainder once; all shifts are all pairs.
    for shift in generator.permutation(np.arange(1, max(len(halves), 1))):
        for first, second in zip(order, np.roll(order, shift), strict=True):
            name = f"{halves[first][0]} {halves[second][1]}"
            spelling = tuple(tokens(name))
            if len(names) < n and spelling not in taken:
                taken.add(spelling)
                names.append(name)
    return names


def _proportional(n: int, token_counts: Sequence[int]) -> list[int]:
    """`n` numbers of tokens in the proportions of `token_counts`, by largest remainder, ascending."""
    shares = Counter(max(1, count) for count in token_counts) or Counter({2: 1})
    total = shares.total()
    whole = {count: n * share // total for count, share in shares.items()}
    by_remainder = sorted(shares, key=lambda count: (-(n * shares[count] % total), count))
    for count in by_remainder[: n - sum(whole.values())]:
        whole[count] += 1
    return [count for count in sorted(whole) for _ in range(whole[count])]


def _draw(faker: Faker, wanted: int) -> str:
    """First names and one last name; a single token is a last name, as in mononyms."""
    firsts: list[Callable[[], str]] = [faker.first_name] * (wanted - 1)
    return " ".join(part() for part in [*firsts, faker.last_name])
