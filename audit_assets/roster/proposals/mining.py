"""Candidate artists from the captions themselves, if the operator has no list.

Captions attribute works: "painting by X", "by artist X", "in the style of X", "X's painting". The following words are read as
a name, up to punctuation, a stop word or, if the caption has capitals, a lower-case word. A stop word that is also a name
(August, Close) and an initial count as names by their capitals and their neighbours. Counting decides how many of the
words belong to the name: a further word belongs to it if four in five captions have that word.

A mined name is a proposal, in a form that the criteria table accepts. It enters a roster only if the criteria table has it.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from audit_assets.errors import InputError
from audit_assets.roster.artist_rows import Row
from audit_assets.roster.name_forms import mended
from audit_assets.roster.normalise import joined, tokens
from audit_assets.roster.proposals.contexts import (
    ART,
    BRANDS,
    FIRST_NAMES,
    LAST_NAMES,
    MONTHS,
    ORGANISATIONS_AND_PLACES,
    OTHER_WORKS,
    PARTICLES,
    ROLES,
    STOP,
    Word,
    has_case,
    words_of,
)
from audit_assets.roster.scan import caption_at, row_ids
from audit_assets.untrusted.tables import clean

LONGEST_NAME_IN_TOKENS = 4
SAMPLES = 5
# If at least this share of the captions has the next word, that word is part of the name.
_CONTINUES = 0.8
# Candidates kept in memory (about 1 GB at 2 M). Above this number, candidates seen once are dropped, and the result counts them.
_MOST_CANDIDATES = 2_000_000
_TRIGGER = r"(?i)\bby\b|style of\b|['’]s\s+(?:painting|artwork|art|drawing|portrait|illustration|sculpture|print)"
_AROUND = ',;:|/\\()[]{}<>"“”«»!?*•–—-_#~+=…©®™\ufffd'
_INITIAL = re.compile(r"(?<![^\W_])[^\W\d_](?=\.)")
_ENDING = re.compile(r"['\u2019]s$|(?<=\w{4})\.$", re.IGNORECASE)
"""A possessive, or the full stop of a sentence, which no initial and no "Jr." has before it."""
_POSSESSED = frozenset(
    ["art", "artwork", "drawing", "drawings", "illustration", "painting", "paintings", "portrait", "print", "sculpture"]
)
# The weight of each context as evidence for an artist. The weights are judged, not measured. They order proposals and mark doubtful ones.
_WEIGHTS = {"art": 0.95, "plain": 0.6, "other": 0.05}


@dataclass
class _Evidence:
    contexts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_WEIGHTS, 0))
    written: str = ""
    samples: list[int] = field(default_factory=list)

    @property
    def captions(self) -> int:
        return sum(self.contexts.values())

    def add(self, context: str, written: str, row: int) -> None:
        self.contexts[context] += 1
        if not self.written or (written != self.written and _quality(written) > _quality(self.written)):
            self.written = written
        if len(self.samples) < SAMPLES:
            self.samples.append(row)


def _quality(written: str) -> tuple[bool, bool]:
    """The better of two spellings has no marks in it, and then capitals as a name has them."""
    plain = all(c.isalpha() or c in " .'\u2019-" for c in written)
    return plain, not (written.islower() or written.isupper())


@dataclass
class Mined:
    """`candidates` has one row per name, the most probable first; columns name, captions (that attribute something to it),
    art, plain, other (contexts), probability, proposed (bool), why, samples (row ids).

    `precision_estimate` is the mean probability of the proposed names. `dropped` counts rare candidates that were dropped to
    save memory.
    """

    candidates: pd.DataFrame
    precision_estimate: float
    dropped: int

    def names(self) -> list[str]:
        """The proposed names, the most probable first."""
        return self.candidates.loc[self.candidates["proposed"], "name"].tolist()


def mine(
    batches: Iterable[pa.RecordBatch],
    *,
    minimum_captions: int = 10,
    minimum_probability: float = 0.5,
    most_candidates: int = _MOST_CANDIDATES,
) -> Mined:
    """Names to which at least `minimum_captions` captions attribute a work, with the evidence for each.

    All spellings of a name count together ("J. C." and "JC"), and `name` is one that a table of artists accepts.
    `batches` come from `caption_batches`. Names of one token are not proposed, because too many words of other kinds follow
    "by".
    """
    evidence: dict[tuple[str, ...], _Evidence] = {}
    read = dropped = 0
    for batch in batches:
        ids = row_ids(batch, read)
        read += batch.num_rows
        for position in _attributing(batch):
            seen = set()
            for name, context in attributions(words_of(caption_at(batch, position))):
                for spelling, written in _prefixes(name):
                    if spelling not in seen:
                        seen.add(spelling)
                        evidence.setdefault(spelling, _Evidence()).add(context, written, int(ids[position]))
        if len(evidence) > most_candidates:
            rare = [spelling for spelling, found in evidence.items() if found.captions == 1]
            dropped += len(rare)
            for spelling in rare:
                del evidence[spelling]
    continuations = _longest_continuations(evidence)
    rows = [
        _row(spelling, found, minimum_probability)
        for spelling, found in evidence.items()
        if found.captions >= minimum_captions and _is_whole(spelling, found.captions, evidence, continuations)
    ]
    columns = ["name", "captions", *_WEIGHTS, "probability", "proposed", "why", "samples"]
    table = pd.DataFrame(rows, columns=columns).sort_values(
        ["proposed", "probability", "captions", "name"], ascending=[False, False, False, True], ignore_index=True
    )
    proposed = table.loc[table["proposed"].astype(bool), "probability"]
    return Mined(table, float(proposed.mean()) if len(proposed) else 0.0, dropped)


def with_mentions(mined: Mined, mentions: Mapping[str, int], *, minimum_share: float = 0.05) -> Mined:
    """`mined` with columns mentions and attributed_share, after a scan of the candidates.

    If captions name a person much more often than they attribute a work to them, the person is known for something else. A
    proposal below `minimum_share` is therefore withdrawn.
    """
    table = mined.candidates.copy()
    table["mentions"] = table["name"].map(lambda name: int(mentions.get(name, 0))).astype("int64")
    table["attributed_share"] = table["captions"] / table["mentions"].clip(lower=1)
    elsewhere = table["proposed"].astype(bool) & (table["attributed_share"] < minimum_share)
    table.loc[elsewhere, "why"] = "mostly named without a work"
    table["proposed"] = table["proposed"].astype(bool) & ~elsewhere
    proposed = table.loc[table["proposed"], "probability"]
    return Mined(table, float(proposed.mean()) if len(proposed) else 0.0, mined.dropped)


def attributions(words: list[Word]) -> Iterator[tuple[list[Word], str]]:
    """(words of a name, context) for every attribution in the caption."""
    cased = has_case(words)
    for at, word in enumerate(words):
        last = word.tokens[-1:] or ("",)
        if last[0] == "by" and not word.closes:
            start, role = at + 1, False
            while start < len(words) and words[start].tokens[-1:] and words[start].tokens[-1] in ROLES | {"the"}:
                role |= words[start].tokens[-1] in ROLES
                start += 1
            before = words[at - 1].tokens[-1] if at and words[at - 1].tokens else ""
            # "by the artist X" is an attribution, "by the lake" is not.
            if start == at + 1 or role:
                name = _name_from(words, start, cased)
                yield name, "art" if role else _context(before, name)
        elif last[0] == "of" and at and words[at - 1].tokens[-1:] == ("style",):
            yield _name_from(words, at + 1, cased), "art"
        elif word.written.lower().endswith(("'s", "’s")) and _begins_with(words[at + 1 : at + 2], _POSSESSED):
            yield _name_until(words, at, cased), "art"


def _begins_with(words: list[Word], first: frozenset[str]) -> bool:
    return bool(words) and bool(words[0].tokens) and words[0].tokens[0] in first


def _attributing(batch: pa.RecordBatch) -> list[int]:
    """Positions of kept rows that may contain an attribution. The regular expression saves Python the other rows."""
    text = batch.column("text")
    try:
        hit = pc.match_substring_regex(text, _TRIGGER)
    except pa.ArrowInvalid:  # bytes that are not UTF-8
        hit = pa.array([True] * len(text))
    if "kept" in batch.schema.names:
        hit = pc.and_(hit, batch.column("kept"))
    return pc.indices_nonzero(hit.fill_null(False)).to_pylist()


def _context(before: str, name: list[Word]) -> str:
    """The context by the word before "by". A slash after the name credits a photographer of a press agency ("X/Getty Images")."""
    if before in ART:
        return "art"
    return "other" if before in OTHER_WORKS or (name and name[-1].written.endswith("/")) else "plain"


def _fits(words: list[Word], at: int, cased: bool, *, inside: bool) -> bool:
    """Whether `words[at]` can be part of a name; `inside`: a word of the name stands before it."""
    word = words[at]
    if _is_ordinary(word):
        return not cased or word.capitalised or word.tokens[0] in PARTICLES
    return cased and word.capitalised and len(word.tokens) == 1 and _is_a_name_here(words, at, inside)


def _is_a_name_here(words: list[Word], at: int, inside: bool) -> bool:
    """Whether the capitalised stop word or word of art is a name by its neighbours: "August Macke", "David A Hardy", "Chuck Close,"."""
    word, token = words[at], words[at].tokens[0]
    after = words[at + 1] if at + 1 < len(words) and not (word.closes or words[at + 1].opens) else None
    next_token = after.tokens[0] if after is not None and after.tokens else ""
    if after is not None and _is_ordinary(after) and (after.capitalised or next_token in PARTICLES - {"of"}):
        if inside:
            return token in MONTHS or (word.written == "A" and len(next_token) > 1)
        return token in FIRST_NAMES
    dated = token in MONTHS and next_token.isdigit()
    titled = after is not None and after.capitalised  # "Ada Example Black Canvas Print" has capitals throughout
    return inside and not dated and not titled and token in LAST_NAMES


def _is_ordinary(word: Word) -> bool:
    """Whether no stop word and no word of art is in it. A letter before a dot is an initial, and not the word "a" or "I"."""
    initials = {letter.lower() for letter in _INITIAL.findall(word.written)}
    others = [token for token in word.tokens if token not in initials]
    return bool(word.tokens) and all(map(str.isalpha, word.tokens)) and not any(t in STOP or t in ART for t in others)


def _name_from(words: list[Word], start: int, cased: bool) -> list[Word]:
    name: list[Word] = []
    for at in range(start, len(words)):
        word = words[at]
        if (name and word.opens) or not _fits(words, at, cased, inside=bool(name)):
            break
        name.append(word)
        if word.closes or len(_spelling(name)) >= LONGEST_NAME_IN_TOKENS:
            break
    return _trimmed(name)


def _name_until(words: list[Word], last: int, cased: bool) -> list[Word]:
    """The name that ends with the possessive `words[last]`. Only capitals show its first word."""
    name: list[Word] = []
    upto = words[: last + 1]
    for at in range(last, -1, -1):
        before = words[at - 1] if at and not (words[at - 1].closes or words[at].opens) else None
        inside = before is not None and before.capitalised and _is_ordinary(before)
        if not cased or not _fits(upto, at, cased, inside=inside) or (name and words[at].closes):
            break
        name.insert(0, words[at])
        if len(_spelling(name)) >= LONGEST_NAME_IN_TOKENS:
            break
    return _trimmed(name)


def _trimmed(name: list[Word]) -> list[Word]:
    while name and name[-1].tokens[-1] in PARTICLES:
        name = name[:-1]
    return name


def _spelling(name: list[Word]) -> tuple[str, ...]:
    """The tokens of the name, in which "J. C." and "JC" are one."""
    return tuple(joined(token for word in name for token in word.tokens))


def _prefixes(name: list[Word]) -> Iterator[tuple[tuple[str, ...], str]]:
    """(tokens, as written) of the name's first word, its first two, and so on. None of them ends within a row of initials."""
    spellings = [_spelling(name[:count]) for count in range(1, len(name) + 1)]
    for count, spelling in enumerate(spellings, start=1):
        if len(spelling) > LONGEST_NAME_IN_TOKENS:
            return
        if count == len(name) or spellings[count][: len(spelling)] == spelling:
            yield spelling, _ENDING.sub("", " ".join(piece.written for piece in name[:count]).strip(_AROUND))


def _form(spelling: tuple[str, ...], written: str) -> str:
    """The name as the table of artists wants it, if it has the same tokens so."""
    plain, _ = clean(written)
    return next((form for form in (mended(plain), plain) if form and tuple(tokens(form)) == spelling), written)


class _Proposal(Row):
    """A row of the table that is to be proposed. Its errors say only what is wrong."""

    def error(self, column: str, what: str) -> InputError:
        return InputError(what)


def _refusal(name: str) -> str:
    """Why the table of artists would refuse the name; empty if it accepts it."""
    try:
        _Proposal(Path(), 1, {"name": name}).parsed()
    except InputError as error:
        return str(error)
    return ""


def _longest_continuations(evidence: Mapping[tuple[str, ...], _Evidence]) -> dict[tuple[str, ...], int]:
    """Spelling -> captions of the most frequent name that continues it by one word, or by a particle and one word."""
    longest: dict[tuple[str, ...], int] = {}
    for spelling, found in evidence.items():
        for shorter in (spelling[:-1], spelling[:-2]):  # as in "van Gogh": a particle never ends a name
            longest[shorter] = max(longest.get(shorter, 0), found.captions)
    return longest


def _is_whole(
    spelling: tuple[str, ...],
    captions: int,
    evidence: Mapping[tuple[str, ...], _Evidence],
    continuations: Mapping[tuple[str, ...], int],
) -> bool:
    """Whether the name ends here: it does not continue, and its last word belongs to it."""
    if len(spelling) < 2 or spelling[-1] in PARTICLES:
        return False
    shorter = evidence.get(spelling[:-1])
    if len(spelling) > 2 and spelling[-2] not in PARTICLES and shorter and captions < _CONTINUES * shorter.captions:
        return False
    return continuations.get(spelling, 0) < _CONTINUES * captions


def _row(spelling: tuple[str, ...], found: _Evidence, minimum_probability: float) -> dict:
    weighed = sum(_WEIGHTS[context] * count for context, count in found.contexts.items())
    # The doubt of one caption is added, because few captions give no certainty.
    probability = (weighed + 0.3) / (found.captions + 1)
    name = _form(spelling, found.written)
    why = ""
    if spelling[:2] in BRANDS:
        why = "a brand"
    elif organisation := [token for token in spelling if token in ORGANISATIONS_AND_PLACES]:
        why = f"an organisation or a place ({organisation[0]})"
    elif probability < minimum_probability:
        why = "what is attributed to it is not art"
    elif refusal := _refusal(name):
        why = f"no table of artists has it so: {refusal}"
    return {
        "name": name,
        "captions": found.captions,
        **found.contexts,
        "probability": probability,
        "proposed": not why,
        "why": why,
        "samples": found.samples,
    }
