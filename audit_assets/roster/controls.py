"""Controls: names that belong to no artist, each with the reason why it is clean.

Three pools exist, because the kind of name decides what the control shows. *Random names* share no part with an artist of
the roster; if an encoder identifies them, it does so by chance. *Recombined names* are made of the parts of the roster's
names; an encoder may identify them by a surname that belongs to one artist. *Nonsense* is not a name. A fourth pool has
artists on whom, as the operator knows, the model was not trained; they come from the artists' table.

More names are drawn than needed, because captions name some of them. `draw_controls` runs before the scan, which looks
for all drawn names in the same pass as for the artists. `draw_recombined` runs when the roster is known.
`choose_controls` runs when all names are counted. Refused names stay in the table with their reason, because the draw is
part of the evidence.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd

from audit_assets.config import Controls
from audit_assets.measurement.strata import JAPANESE, letters_of, script_of
from audit_assets.roster.normalise import words
from audit_assets.roster.origins import Origin, locales_of, origins_of
from audit_assets.roster.parts import name_parts, parts_of, word_count
from audit_assets.roster.random_names import (
    FAKER_VERSION,
    proportional,
    random_names,
    recombinations,
    recombinations_with,
)
from audit_assets.roster.strata import scripts_apart

POOLS = ("random_names", "recombined_names", "nonsense")
DRAWN = ("name", "pool", "kind", "pieces", "known_names", "faker_version", "locale", "seed")
COLUMNS = (
    "name", "pool", "kind", "status", "why", "mentions", "captions", "known_names", "shares_name_parts", "shared_parts",
    "words", "script", "pieces", "faker_version", "locale", "seed",
)  # fmt: skip
# The first two: names drawn per name needed. The third: nonsense names invented per name drawn.
_MARGIN, _RECOMBINED_MARGIN, _CHOICE = 3, 6, 20
_SANE_PIECES = 8  # tokens of two invented words, four per word
_ONSETS = [*"bdfgjklmnprstvz", "br", "dr", "fl", "gl", "kl", "pl", "sk", "sl", "st", "tr"]
_VOWELS = [*"aeiou"]
_CODAS = ["", "", *"nrlsmk"]
_PATIENCE = 1000


def draw_controls(
    artists: pd.DataFrame, controls: Controls, pieces: Callable[[str], int] | None = None
) -> pd.DataFrame:
    """Random names and nonsense, as many as `controls` may need, with columns DRAWN. The same arguments and Faker version
    give the same names.

    `artists` is the table of `read_artists`; no candidate equals a name or alias in it. `pieces` counts the tokens that
    a tokenizer makes of a text, for nonsense.
    """
    own, known = artists.loc[artists["kind"] == "artist", "name"].tolist(), known_names(artists)
    pools = [*_random_of_each_origin(artists, controls, known), _nonsense(controls, own, known, pieces)]
    return pd.concat(pools, ignore_index=True).assign(known_names=len(known), seed=controls.seed)[list(DRAWN)]


def draw_recombined(
    artists: pd.DataFrame, controls: Controls, roster: Collection[str], drawn: pd.DataFrame
) -> pd.DataFrame:
    """Names put together from two artists of the roster, columns as of `draw_controls`; `drawn` are other controls.
    With one artist, from the artist's name and random names.

    No part comes from an artist whom a criterion removed. With such a part, the result would not show whether the encoder
    identified an artist of the roster.
    """
    own, known = artists.loc[artists["kind"] == "artist", "name"].tolist(), known_names(artists)
    wanted, taken = _RECOMBINED_MARGIN * controls.recombined_names, [*known, *drawn["name"]]
    names = recombinations(wanted, own, controls.seed, taken, among=roster)
    if len(roster) == 1:
        partners = drawn.loc[drawn["pool"] == "random_names", "name"].tolist()
        names = recombinations_with(wanted, list(roster), partners, controls.seed, taken)
    table = _pool(names, "recombined_names", "random_name")
    return table.assign(known_names=len(known), seed=controls.seed)[list(DRAWN)]


def known_names(artists: pd.DataFrame) -> list[str]:
    """Every name and alias of the artists' table."""
    return list(dict.fromkeys([*artists["name"], *(alias for aliases in artists["aliases"] for alias in aliases)]))


def _random_of_each_origin(artists: pd.DataFrame, controls: Controls, known: Sequence[str]) -> list[pd.DataFrame]:
    tables: list[pd.DataFrame] = []
    for origin, own in origins_of(artists, controls.locale).items():
        taken = [name for table in tables for name in table["name"]]
        tables.append(_random(controls, origin, own, [*known, *taken]))
    return tables


def _random(controls: Controls, origin: Origin, own: Sequence[str], known: Sequence[str]) -> pd.DataFrame:
    """Names that share no part with a known artist's name; if an origin has too few, also names that do, after them."""
    wanted = _MARGIN * controls.random_names
    draw = partial(
        random_names,
        locale=origin.locale,
        latin=origin.latin,
        seed=controls.seed,
        token_counts=[word_count(name) for name in own],
    )
    names = draw(wanted, known=known, share_parts=controls.share_name_parts)
    # Most of these names share a part with the roster and are refused later, so more of them are drawn.
    names += draw(_MARGIN * (wanted - len(names)), known=[*known, *names], share_parts=True)
    return _pool(names, "random_names", "random_name").assign(faker_version=FAKER_VERSION, locale=origin.locale)


def _nonsense(
    controls: Controls, own: Sequence[str], known: Sequence[str], pieces: Callable[[str], int] | None
) -> pd.DataFrame:
    """Of many invented names, those with the fewest tokens, and none with many more tokens than an artist's name has. A name
    that splits into many tokens would be another kind of prompt."""
    wanted = _MARGIN * controls.nonsense
    if pieces is None:
        return _pool(nonsense_words(wanted, seed=controls.seed, known=known), "nonsense", "nonsense")
    counts = {name: pieces(name) for name in nonsense_words(_CHOICE * wanted, seed=controls.seed, known=known)}
    most = max(_SANE_PIECES, *map(pieces, own))
    names = [name for name in sorted(counts, key=lambda name: counts[name]) if counts[name] <= most][:wanted]
    return _pool(names, "nonsense", "nonsense").assign(pieces=[counts[name] for name in names])


def _pool(names: Sequence[str], pool: str, kind: str) -> pd.DataFrame:
    table = pd.DataFrame({"name": pd.Series(names, dtype="str"), "pool": pool, "kind": kind})
    return table.assign(pieces=pd.Series(None, table.index, dtype="Int64"), faker_version=None, locale=None)


def choose_controls(
    drawn: pd.DataFrame, mentions: Mapping[str, int] | None, tested: pd.DataFrame, controls: Controls, captions: int
) -> pd.DataFrame:
    """`drawn` with all COLUMNS. In each pool, as many names as asked for are 'used', the others 'spare' or 'refused'; `why`
    has the reason.

    `tested` has name, kind and locale of every artist of a roster and of every untrained artist, `captions` is the number scanned;
    where none were (None), mentions are null and that is said. Random names take the roster's numbers of words in proportion, for
    each locale, and for each script of its artists. If too few of a pool are clean, fewer are used, and `shortages` says so.
    """
    roster = tested.loc[tested["kind"] == "artist", "name"].tolist()
    locales = locales_of(tested, controls.locale)
    letters = {locale: _letters(names) for locale, names in locales.items()} | {"": _letters(roster)}
    screen = _Screen(mentions, roster, controls, captions, letters)
    table = drawn.copy()
    table["mentions"] = pd.array([screen.count(name) for name in table["name"]], "Int64")
    table["captions"] = pd.NA if mentions is None else captions
    table["shared_parts"] = [screen.shared(name) for name in table["name"]]
    table["shares_name_parts"] = table["shared_parts"].map(bool).astype(bool)
    table["words"] = table["name"].map(word_count).astype("int64")
    table["script"] = [
        script_of(name, locale) or "" for name, locale in zip(table["name"], table["locale"].fillna(""), strict=True)
    ]
    places = zip(table["name"], table["pool"], table["locale"].fillna(""), strict=True)
    reasons = [screen.refusal(name, pool, locale) for name, pool, locale in places]
    table["status"] = ["refused" if any(reason) else "spare" for reason in reasons]
    table["why"] = [
        reason[1] if any(reason) else screen.why_clean(row)
        for reason, row in zip(reasons, table.to_dict("records"), strict=True)
    ]
    for (pool, *_), drawn_here in table.groupby(["pool", *_sets(table, tested, controls)], sort=False):
        wanted = int(getattr(controls, str(pool)))
        clean = drawn_here[drawn_here["status"] == "spare"]
        matched = _in_proportion(clean["words"], wanted, roster) if pool == "random_names" else clean.index[:wanted]
        table.loc[matched, "status"] = "used"
    return table[list(COLUMNS)]


def _sets(table: pd.DataFrame, tested: pd.DataFrame, controls: Controls) -> list[pd.Series]:
    """Locale and script of each control name, by which names are chosen. The script is empty if the locale's artists have one."""
    apart = {locale: scripts_apart(names, locale) for locale, names in locales_of(tested, controls.locale).items()}
    locales = table["locale"].fillna("").astype(str)
    scripts = [
        (script_of(name, locale) or "") if apart.get(locale) else ""
        for name, locale in zip(table["name"], locales, strict=True)
    ]
    return [locales, pd.Series(scripts, table.index, dtype=object)]


def shortages(table: pd.DataFrame, controls: Controls, tested: pd.DataFrame) -> list[str]:
    """A sentence for each pool, and each locale and script of random names, that has fewer names than audit.yaml asks for.

    `table` is that of `choose_controls`; `tested` as there.
    """
    found = []
    locales, scripts = _sets(table, tested, controls)
    wanted = [
        ("random_names", locale, letters)
        for locale, names in locales_of(tested, controls.locale).items()
        for letters in scripts_apart(names, locale) or [""]
    ]
    for pool, locale, letters in [*wanted, ("recombined_names", "", ""), ("nonsense", "", "")]:
        own = table[(table["pool"] == pool) & (locales == locale) & (scripts == letters)]
        used, asked = int((own["status"] == "used").sum()), int(getattr(controls, pool))
        if used < asked:
            refused = own.loc[own["status"] == "refused", "why"]
            first = f"; the first refused: {refused.iloc[0]}" if len(refused) else ""
            of = f" of {locale}" * bool(locale) + f", script {letters}" * bool(letters)
            remedy = "Ask for fewer, or set another controls.seed or locale."
            if letters and own.empty:
                remedy = "Faker writes no names of this locale in this script; give the artist another locale, or the name in Latin letters."
            found.append(
                f"controls.{pool}{of}: {used} names of the {asked} asked for; {len(own)} were drawn and {len(refused)} "
                f"refused{first}. {remedy}"
            )
    return found


class _Screen:
    """The checks of a control name, and the sentence with the result. `letters` are the scripts that names of a locale may have."""

    def __init__(
        self,
        mentions: Mapping[str, int] | None,
        roster: Sequence[str],
        controls: Controls,
        captions: int,
        letters: Mapping[str, Collection[str | None]],
    ) -> None:
        self.mentions, self.captions, self.controls = mentions, captions, controls
        self.artists, self.parts = len(roster), parts_of(roster)
        self.letters = letters

    def count(self, name: str) -> int | None:
        return None if self.mentions is None else self.mentions.get(name, 0)

    def shared(self, name: str) -> list[str]:
        return sorted(name_parts(name) & self.parts)

    def refusal(self, name: str, pool: str, locale: str) -> tuple[str, str]:
        """(kind of reason, sentence); both are empty if the name is clean."""
        if count := self.count(name):
            return "are named by captions", f"{count} of {self.captions} captions name it"
        may_share = pool == "recombined_names" or (pool == "random_names" and self.controls.share_name_parts)
        if (shared := self.shared(name)) and not may_share:
            return "share a part with the roster", f"shares {_listed(shared)} with an artist of the roster"
        if locale not in self.letters:
            return "are of a locale of no artist's", f"no artist who is tested has control names of {locale}"
        scripts, own = self.letters[locale], letters_of(name)
        if None not in scripts and own not in scripts:  # "1984" has no script: any is as near to it
            of = f" who is tested with names of {locale}" if locale else " of the roster"
            return "are in a script of no artist's", f"no artist{of} is written in its script, {own}"
        return "", ""

    def why_clean(self, row: Mapping) -> str:
        shared = _listed(row["shared_parts"]) if row["shared_parts"] else "no part"
        made = {
            "random_names": f"drawn by Faker {row['faker_version']} ({row['locale']}, seed {row['seed']})",
            "recombined_names": "put together from two artists of the roster",
            "nonsense": "invented" + (f", {row['pieces']} tokens" if pd.notna(row["pieces"]) else ""),
        }[row["pool"]]
        scanned = "no captions were scanned" if self.mentions is None else f"0 of {self.captions} captions name it"
        return (
            f"{made}; equals none of {row['known_names']} known names; "
            f"shares {shared} with the roster's {self.artists} artists; {scanned}"
        )


def _letters(names: Sequence[str]) -> set[str | None]:
    """The scripts in which control names beside these are written: one that most letters of a name have, and beside a name with kana,
    those of all Japanese names."""
    kana = any(script_of(name) == "Japanese" for name in names)
    return {letters_of(name) for name in names} | (JAPANESE if kana else set())


def _listed(parts: Iterable[str]) -> str:
    return ", ".join(repr(part) for part in parts)


def _in_proportion(words: pd.Series, wanted: int, roster: Sequence[str]) -> list:
    """The first `wanted` entries of the index in proportion to the roster's numbers of words. If a number of words has too few names, the first
    other names fill the gap."""
    left = Counter(proportional(wanted, [word_count(name) for name in roster]))
    matched = []
    for index, count in words.items():
        if left[count] > 0:
            left[count] -= 1
            matched.append(index)
    taken = set(matched)
    others = [index for index in words.index if index not in taken]
    return matched + others[: wanted - len(matched)]


def untrained_controls(
    artists: pd.DataFrame, mentions: Mapping[str, int] | None, roster: Sequence[str], captions: int
) -> pd.DataFrame:
    """COLUMNS for the artists on whom, as the operator's table states, no model was trained. Captions may name them."""
    own = artists[artists["kind"] == "untrained_artist"]
    screen = _Screen(mentions, roster, Controls(), captions, {})
    rows = []
    for name, source in zip(own["name"], own["source"], strict=True):
        count, shared = screen.count(name), screen.shared(name)
        scanned = "no captions were scanned" if count is None else f"{count} of {captions} captions name it"
        why = f"the artists' table says that no model was trained on it (source: {source or 'none given'}); {scanned}"
        rows.append(
            dict.fromkeys(COLUMNS)
            | {"name": name, "pool": "untrained_artists", "kind": "untrained_artist", "status": "used", "why": why}
            | {"mentions": count, "captions": None if count is None else captions, "shared_parts": shared}
            | {"shares_name_parts": bool(shared), "words": word_count(name), "script": script_of(name) or ""}
        )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def nonsense_words(n: int, *, seed: int, known: Iterable[str]) -> list[str]:
    """At most `n` pronounceable names of two invented words. No name shares a part with a known name or with another of them."""
    generator = np.random.default_rng(seed)
    taken = set(parts_of(known))
    names: list[str] = []
    for _ in range(n * _PATIENCE):
        if len(names) == n:
            break
        name = " ".join("".join(_syllable(generator) for _ in range(2)).capitalize() for _ in range(2))
        parts = name_parts(name)
        if len(parts) == len(words(name)) == 2 and parts.isdisjoint(taken):
            taken |= parts
            names.append(name)
    return names


def _syllable(generator: np.random.Generator) -> str:
    return "".join(str(generator.choice(sounds)) for sounds in (_ONSETS, _VOWELS, _CODAS))
