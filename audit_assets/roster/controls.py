"""Controls: names that identify nobody, each with the reason why it is clean.

More names are drawn than wanted; all are scanned in the same pass as the roster (`names_to_scan`), and
`choose_controls` takes the first that no caption mentions. What is refused stays in the table with its reason: the
draw is evidence too.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from audit_assets.errors import InputError
from audit_assets.roster.normalise import tokens
from audit_assets.roster.parts import name_parts, parts_of
from audit_assets.roster.random_names import COLUMNS, random_names, recombinations, recombined_names

OVERSAMPLING = 3
_ONSETS = [*"bdfgjklmnprstvz", "br", "dr", "fl", "gl", "kl", "pl", "sk", "sl", "st", "tr"]
_VOWELS = [*"aeiou"]
_CODAS = ["", "", *"nrlsmk"]
_PATIENCE = 1000


def draw_controls(
    roster: Sequence[str], known: Iterable[str], n: int, *, locale: str = "en_US", seed: int, share_parts: bool = False
) -> pd.DataFrame:
    """Three times `n` random names matched to the roster's numbers of tokens, and as many recombined ones where
    possible.

    Columns of `random_names`, pool ('random_names' or 'recombined_names') and shared_parts (list: the parts that
    occur in names of the roster). `known` is every name to screen against, beside the roster.
    """
    everybody = [*roster, *known]
    lengths = [len(tokens(name)) for name in roster] or [2]
    drawn = random_names(
        OVERSAMPLING * n, locale=locale, seed=seed, known=everybody, token_counts=lengths, share_parts=share_parts
    )
    # The names of each length are drawn in a block; any part of the table should hold them in proportion.
    order = np.random.default_rng(seed).permutation(len(drawn))
    pools = [drawn.iloc[order].assign(pool="random_names")]
    possible = len(recombinations(OVERSAMPLING * n, roster, seed, everybody))
    pools.append(recombined_names(possible, roster, seed, everybody).assign(pool="recombined_names"))
    table = pd.concat(pools, ignore_index=True)
    artists_parts = parts_of(roster)
    table["shared_parts"] = [sorted(name_parts(name) & artists_parts) for name in table["name"]]
    return table


def names_to_scan(drawn: pd.DataFrame) -> dict[str, tuple[str, ...]]:
    """The names of the draw as `scan` takes them, keyed by themselves."""
    return {name: (name,) for name in drawn["name"]}


def choose_controls(
    drawn: pd.DataFrame, mentions: Mapping[str, int] | None, n: int, *, captions: int = 0
) -> pd.DataFrame:
    """`drawn` with columns mentions, status and why, `n` of each pool 'used', the rest 'spare' or 'refused'.

    A name with a mention is refused. `captions` is the number of captions scanned; where none were (None), mentions are
    null and that is said. Raises InputError where fewer than `n` random names remain; of recombined names there may be
    fewer, since a small roster allows few.
    """
    table = drawn.copy()
    if mentions is None:
        counts = pd.Series([pd.NA] * len(table), index=table.index, dtype="Int64")
    else:
        counts = table["name"].map(lambda name: int(mentions.get(name, 0))).astype("Int64")
    clean = ~(counts > 0).fillna(False).astype(bool)
    place = clean.groupby(table["pool"]).cumsum()
    table["mentions"] = counts
    table["status"] = np.where(~clean, "refused", np.where(place <= n, "used", "spare"))
    scanned = "no captions were scanned" if mentions is None else f"0 of {captions} captions name it"
    table["why"] = [
        f"{why}; {scanned}" if is_clean else f"{count} of {captions} captions name it"
        for why, is_clean, count in zip(table["why"], clean, counts, strict=True)
    ]
    random = table["pool"] == "random_names"
    if (found := int(clean[random].sum())) < n:
        raise InputError(
            f"controls.random_names: {found} of the {random.sum()} random names drawn are in no caption, {n} are "
            "wanted; ask for fewer, or set another controls.seed or controls.locale."
        )
    return table


def nonsense_words(
    n: int, *, seed: int, known: Iterable[str], pieces: Callable[[str], int] | None = None, most_pieces: int = 6
) -> pd.DataFrame:
    """`n` pronounceable names of two invented words, with the columns of `random_names`, kind of control `nonsense`.

    `pieces` counts the tokens that the model's tokenizer makes of a text: names of more than `most_pieces` are refused,
    since a name in crumbs is another prompt, not another name. None shares a part with a known name.
    """
    generator = np.random.default_rng(seed)
    known = list(known)
    taken = set(parts_of(known))
    rows: list[tuple] = []
    for _ in range(n * _PATIENCE):
        if len(rows) == n:
            break
        words = ["".join(_syllable(generator) for _ in range(2)).capitalize() for _ in range(2)]
        name = " ".join(words)
        parts = name_parts(name)
        count = pieces(name) if pieces else None
        if len(parts) == 2 and parts.isdisjoint(taken) and (count is None or count <= most_pieces):
            taken |= parts
            why = f"invented; shares no part with any of {len(known)} known names"
            rows.append((name, False, "", "", seed, why + (f"; {count} tokens" if count is not None else "")))
    if len(rows) < n:
        raise InputError(
            f"controls: only {len(rows)} of {n} nonsense names of at most {most_pieces} tokens were found; ask for fewer."
        )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _syllable(generator: np.random.Generator) -> str:
    return "".join(str(generator.choice(sounds)) for sounds in (_ONSETS, _VOWELS, _CODAS))
