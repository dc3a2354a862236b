"""What each arm of a protocol asks: the prompts of artists, and those of its controls, which are made in the same way.

Nothing is drawn here. A subject that an arm cannot ask has no prompt, and a sentence that says why and what would settle it.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

import pandas as pd

from audit_assets.config import UNPROMPTED, Arm, Protocol
from audit_assets.hashing import digest
from audit_assets.roster.normalise import names_in, tokens
from audit_assets.roster.spellings import misspelt, transliterated
from audit_assets.roster.strata import TESTED, strata_of

PROMPT = "prompt."
CONTROL_PROMPT = "control_prompt"
"""The kind of a prompt that belongs to no subject: a control of an arm without names, or a prompt of the unprompted arm."""


BACKGROUND = "background"
FEWEST_LEFT = 3
"""The fewest works of an artist that are compared with images made from the artist's other works."""
NOT_READ = ""
"""Stands for the hash of a work that is not read yet."""


class Asked(NamedTuple):
    """What one subject is asked by in one arm."""

    subject: str
    """The slug of a subject, or `prompt.001` of a prompt that belongs to none. No slug has a dot."""
    kind: str
    prompts: tuple[str, ...]
    words: str
    """What stands in the prompts in place of the name; empty if no name is in them."""
    problem: str
    """Why the subject cannot be asked in this way; empty if it can."""
    uploads: tuple[str, ...] = ()
    """Per prompt the hash of the work that the model is given; ``NOT_READ`` if the works are not read yet. Empty in ways without a picture."""

    @property
    def inputs(self) -> list:
        """What its images depend on. A way without pictures has the inputs that it had before there were any."""
        return list(self if self.uploads else self[:-1])


def asked_in(
    arm: Arm,
    subjects: pd.DataFrame,
    protocol: Protocol,
    wrapped: Callable[[str], str] = lambda name: name,
    works: Mapping[str, Sequence[str]] | None = None,
) -> list[Asked]:
    """Every subject of an arm: artists and untrained artists in the order of ``subjects``, then the controls.

    ``subjects`` is the table of that name. ``wrapped`` gives the words around a name that a model is asked for every subject by.
    ``works`` has the hashes of each artist's real works, in the order of their numbers.
    """
    if arm.way == UNPROMPTED:
        return [_prompt(n, (template,)) for n, template in enumerate(arm.templates, 1)]
    if arm.uploads:
        return _uploaded(arm, subjects, works or {})
    own = [_Subject(row) for row in subjects[subjects["kind"].isin(TESTED)].to_dict("records")]
    if arm.names_the_artist:
        ways = _Ways(arm, subjects, protocol.seed)
        everyone = [*own, *_controls(arm, subjects)]
        return [_named(arm, one, ways, wrapped) for one in everyone]
    found = [_described(arm, one) for one in own]
    taken = {_plain(prompt) for one in found for prompt in one.prompts}
    prompts = [tuple(t.replace("{name}", words) for t in arm.templates) for words in arm.control_words]
    free = [one for one in prompts if not any(_plain(prompt) in taken for prompt in one)]
    return [*found, *(_prompt(n, one) for n, one in enumerate(free, 1))]


def literal(arm: Arm, asked: Asked) -> Protocol:
    """A protocol whose templates are the prompts of one subject, for the makers of images."""
    return _Literal.model_construct(
        name=arm.name,
        templates=asked.prompts,
        trials=arm.trials,
        indirect=False,
        arms=(),
        uploads=asked.uploads,
        given_strength=arm.strength or 0.0,
    )


def images_in(protocol: Protocol, found: Mapping[str, Sequence[Asked]]) -> dict[str, int]:
    """The number of images that each arm asks of one model version."""
    trials = {arm.name: arm.trials for arm in protocol.arms}
    return {arm: trials[arm] * sum(len(one.prompts) for one in of_arm) for arm, of_arm in found.items()}


class _Literal(Protocol):
    """Templates that are prompts already. Whatever looks like a place in them is part of a name."""

    uploads: tuple[str, ...] = ()
    given_strength: float = 0.0

    @property
    def strength(self) -> float:
        return self.given_strength

    @cached_property
    def generation_hash(self) -> str:
        drawn = {"templates": self.templates, "trials": self.trials, "indirect": self.indirect}
        given = {"uploads": self.uploads, "strength": self.strength} if self.uploads else {}
        return digest({**drawn, **given})

    def upload(self, template: int) -> str:
        return self.uploads[template] if self.uploads else ""

    def prompt(self, template: int, name: str) -> str:
        return self.templates[template]


class _Subject:
    def __init__(self, row: dict) -> None:
        self.subject, self.name, self.kind = str(row["subject"]), str(row["name"]), str(row["kind"])
        self.translated, self.described_as = _text(row, "translated"), _text(row, "described_as")
        self.titles = _list(row, "titles")
        first = _text(row, "indirect_prompt")
        self.descriptions = list(dict.fromkeys([*([first] if first else []), *_list(row, "indirect_prompts")]))
        self.is_control = self.kind not in TESTED
        self._names = {name: tuple(tokens(name)) for name in (self.name, _text(row, "prompt_name"), self.translated)}

    def is_named_in(self, prompt: str) -> bool:
        """Whether a prompt names the subject, as a caption would. The aliases are compared where the table of artists is read."""
        return bool(names_in(prompt, self._names))


class _Ways:
    """The words by which an arm asks for a name."""

    def __init__(self, arm: Arm, subjects: pd.DataFrame, seed: int) -> None:
        self.arm, self.seed = arm, seed
        self.taken = {tuple(tokens(str(name))) for name in subjects["name"]}
        rows = subjects[subjects["kind"].isin(TESTED)].to_dict("records")
        self.titles = list(dict.fromkeys(title for row in rows for title in _list(row, "titles")))

    def words(self, one: _Subject) -> tuple[str, str]:
        """(words, problem) of which one is empty."""
        if self.arm.way == "misspelt":
            other = misspelt(one.name, seed=self.seed, taken=self.taken)
            why = "No word of the name has three letters, or each misspelling is another name; ask by another way."
            return (other, "") if other else ("", why)
        if self.arm.way == "transliterated":
            other = transliterated(one.name)
            if not tokens(other):
                return "", "No letter of the name can be transliterated; ask by another way."
            if other == one.name and not one.is_control:
                return "", "The name is written in ASCII, so nothing changes; the headline asks by it."
            return other, ""
        if self.arm.way == "translated" and not one.is_control:
            if not one.translated:
                return "", "No translation of the name is given; write one in the column `translated` of artists.csv."
            if one.translated == one.name:
                return "", "The translation is the name itself, so nothing changes; the headline asks by it."
            return one.translated, ""
        return one.name, ""

    def titles_of(self, one: _Subject) -> Sequence[str]:
        """The artist's titles. A control name gets one title of the artists, by a hash of the name, so that titles do not differ in kind."""
        if not one.is_control:
            return one.titles
        if not self.titles:
            return ()
        drawn = hashlib.sha256(f"{self.seed}\0{one.subject}".encode()).digest()
        return (self.titles[int.from_bytes(drawn[:8], "big") % len(self.titles)],)


def _named(arm: Arm, one: _Subject, ways: _Ways, wrapped: Callable[[str], str]) -> Asked:
    words, problem = ways.words(one)
    titles: Sequence[str] = ("",)
    if arm.way == "titled" and not (titles := ways.titles_of(one)):
        problem = "No title of a work is given; write one in the column `titles` of artists.csv."
    if problem:
        return Asked(one.subject, one.kind, (), "", problem)
    words = wrapped(words)
    prompts = [_filled(template, words, title) for title in titles for template in arm.templates]
    return Asked(one.subject, one.kind, tuple(dict.fromkeys(prompts)), words, "")


def _described(arm: Arm, one: _Subject) -> Asked:
    all_words = one.descriptions if arm.way == "described" else [one.described_as] if one.described_as else []
    if not all_words:
        column = "indirect_prompt" if arm.way == "described" else "described_as"
        what = "description" if arm.way == "described" else "class"
        return Asked(
            one.subject, one.kind, (), "", f"No {what} is given; write one in the column `{column}` of artists.csv."
        )
    prompts = tuple(dict.fromkeys(_filled(template, words) for words in all_words for template in arm.templates))
    if named := next((prompt for prompt in prompts if one.is_named_in(prompt)), None):
        why = f"The words {named[:60]!r} name the artist, so they show nothing of a prompt without the name; write others."
        return Asked(one.subject, one.kind, (), "", why)
    return Asked(one.subject, one.kind, prompts, "", "")


def _uploaded(arm: Arm, subjects: pd.DataFrame, works: Mapping[str, Sequence[str]]) -> list[Asked]:
    """The first works of each artist, which no person chose: works are numbered in the order of their hashes."""
    assert arm.works is not None
    found, controls = [], 0
    own = subjects[subjects["kind"].isin((*TESTED, BACKGROUND))]
    for row in sorted(own.to_dict("records"), key=lambda row: row["kind"] == BACKGROUND):
        subject, kind = str(row["subject"]), str(row["kind"])
        real = works.get(subject, ())
        if kind == BACKGROUND and (controls >= arm.controls or len(real) < arm.works + FEWEST_LEFT):
            continue
        controls += kind == BACKGROUND
        if len(real) < arm.works + FEWEST_LEFT:
            why = (
                f"{len(real)} real works; the arm gives the model {arm.works} and compares its images with {FEWEST_LEFT} others or more; "
                f"add {arm.works + FEWEST_LEFT - len(real)} works."
            )
            found.append(Asked(subject, kind, (), "", why))
            continue
        pairs = [(template, work) for work in real[: arm.works] for template in arm.templates]
        found.append(Asked(subject, kind, tuple(t for t, _ in pairs), "", "", tuple(w for _, w in pairs)))
    return found


def _controls(arm: Arm, subjects: pd.DataFrame) -> Iterator[_Subject]:
    """The first control names of each stratum. Names that share a part with an artist's are none."""
    shares = subjects["shares_name_parts"].astype("boolean").fillna(False).astype(bool)
    strata, taken = strata_of(subjects), dict[str, int]()
    tested = {strata[str(s)] for s in subjects.loc[subjects["kind"].isin(TESTED), "subject"]}
    for row in subjects[(subjects["kind"] == "random_name") & ~shares].to_dict("records"):
        stratum = strata[str(row["subject"])]
        if stratum in tested and taken.get(stratum, 0) < arm.controls:
            taken[stratum] = taken.get(stratum, 0) + 1
            yield _Subject(row)


def _prompt(number: int, prompts: tuple[str, ...]) -> Asked:
    return Asked(f"{PROMPT}{number:03d}", CONTROL_PROMPT, prompts, "", "")


def _filled(template: str, words: str, title: str = "") -> str:
    """The template is no format string, because words are data. A title may hold the text of a place, so it comes last."""
    before, place, after = template.partition("{name}")
    return "".join((before.replace("{title}", title), words if place else "", after.replace("{title}", title)))


def _plain(prompt: str) -> str:
    return " ".join(prompt.split()).casefold()


def _text(row: dict, column: str) -> str:
    value = row.get(column)
    return value.strip() if isinstance(value, str) else ""


def _list(row: dict, column: str) -> list[str]:
    value = row.get(column)
    return [] if value is None or isinstance(value, (str, float)) else [str(one) for one in value]
