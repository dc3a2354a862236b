"""One artist's evidence in the order of an argument, in sentences for a reader of no statistics.

What was asked, what came, how often a name that means nothing does as well, whether the test could have seen an imitation. Every number
is one of the rows that the verdict follows from (`read_artist.verdicts`, `read_artist.answers`).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from audit_assets.measurement.answers import NO, UNTESTED, YES
from audit_assets.publication.words import sent
from audit_assets.publication.words.numbers import counted, isolated, known, one_in, p_text, percent
from audit_assets.publication.words.verdicts import QUESTIONS
from audit_assets.warehouse.images import WITHHELD

Row = Mapping[Any, Any]

CONCLUSIONS = {
    "imitated": "By this audit, the model {model} imitates {name} when it is asked for {name}.",
    "not shown to be imitated": "This audit does not show that the model {model} imitates {name}. It does not prove the opposite.",
    "not auditable": "This audit cannot say whether the model {model} imitates {name}. It shows neither an imitation nor the absence of one.",
    "identified above controls": "The name {name} steers the model {model}. Nothing was compared with the artist's works.",
}


MORE_THAN_THE_HAND = "Real works also show the artist's subjects and all periods, so a model that imitates only the hand or one period is harder to find."


def conclusion(row: Row, name: str) -> str:
    """The verdict of one row of `read_artist.verdicts` as a sentence."""
    words = CONCLUSIONS.get(str(row["verdict"]), "The verdict on {name} and {model} is: " + str(row["verdict"]) + ".")
    return words.format(model=isolated(str(row["model_version"])), name=isolated(name))


def three_sentences(row: Row, answers: Sequence[Row], name: str, alpha: float) -> list[tuple[str, str, str]]:
    """(question, answer, sentence) for each of the three questions. ``answers``: rows of `read_artist.answers` of the same encoder."""
    found = {answer["question"]: answer for answer in answers}
    words = {"steers": steers, "towards": _towards, "seen": could_see}
    return [
        (QUESTIONS[key], *_answered(found.get(key), row, isolated(name), alpha, words[key], key)) for key in QUESTIONS
    ]


def counted_answers(
    questions: Sequence[str], answers: Sequence[str], *, by_names_alone: bool = False
) -> list[tuple[str, str, str]]:
    """(question, '', sentence): of how many artists each answer is true. A question that was asked of nobody is left out.

    ``by_names_alone``: every artist is compared with control names alone.
    """
    others = _OTHERS_ALONE if by_names_alone else _OTHERS
    called = "recognised the artist" if by_names_alone else "called the artist imitated"
    meaning = {
        "steers": "The encoder recognised the name more often in its images than invented names of the same origin in theirs",
        "towards": f"The images lie nearer to the artist's works than {others}",
        "seen": f"With half of the artist's real works in place of the images, the audit {called} in more than half of the trials",
    }
    told = []
    for key, question in QUESTIONS.items():
        own = Counter(a for q, a in zip(questions, answers, strict=True) if q == key)
        total = sum(own.values())
        if total:
            rest = [f"no for {own[NO]}"] if own[NO] else []
            rest += [f"could not be tested for {own[UNTESTED]}"] if own[UNTESTED] else []
            told.append(
                (
                    question,
                    "",
                    f"{meaning[key]}: yes for {own[YES]} of {counted(total, 'artist')}{''.join(f', {r}' for r in rest)}.",
                )
            )
    return told


_OTHERS = "images of other names lie to works of other artists"
_OTHERS_ALONE = "images of other names do"


def _answered(answer: Row | None, row: Row, name: str, alpha: float, words: Any, key: str) -> tuple[str, str]:
    if answer is None:
        if key == "steers":
            return "not asked", "This encoder reads no text, so it cannot recognise a name."
        return "not asked", f"The audit has no works of {name}, so no image could be compared with them."
    if answer["answer"] == UNTESTED:
        remedy = str(answer["settle"] or "").replace(" would settle it", "")  # a reason can end with the same words
        settle = f" This would settle it: {remedy}" if remedy else ""
        return UNTESTED, f"{answer['reason']}{settle}"
    return str(answer["answer"]), words(answer, row, name, alpha)


def steers(answer: Row, row: Row, name: str, alpha: float) -> str:
    """The first answer: images identified, and how many control names reach as many."""
    del alpha
    identified, shown = known(row["identified"]), known(row["images"])
    if identified is None or shown is None:
        return str(answer["reason"])
    share = f"The encoder took {identified:.0f} of {counted(shown, 'image')} for {name}."
    return f"{share} {beside_names(row)}".strip()


def beside_names(row: Row) -> str:
    """How many names that mean nothing to the model do as well; empty if none was compared."""
    names, reaching = known(row["names"]), known(row["names_reaching"])
    if not names or reaching is None:
        return ""
    who = f"Of {counted(names, 'invented name')} of the same origin"
    did = "none was recognised as well in its own images" if not reaching else _reached(reaching)
    by_label = known(row["label_reaching"])
    if by_label and not known(row["identified"]):
        return f"{who}, each did at least as well, so this shows nothing."
    if by_label:
        did += f", and images of {by_label:.3g} were taken for this name as often"
    return f"{who}, {did}. If the name meant nothing to the model, that would occur in {one_in(known(row['name_p']) or 1)} cases."


def _reached(reaching: float) -> str:
    if reaching == round(reaching):
        return f"{reaching:.0f} {'was' if reaching == 1 else 'were'} recognised at least as well in {'its' if reaching == 1 else 'their'} own images"
    return f"{reaching:.3g} on average were recognised at least as well in the same number of images"


def _towards(answer: Row, row: Row, name: str, alpha: float) -> str:
    """The second answer: how often an unknown name would give images as near to the works."""
    p, q = known(row["p_value"]), known(row["q_value"])
    p = known(answer["number"]) if p is None else p
    if p is None:
        return str(answer["reason"])
    said = (
        f"If the model treated {name} like any other name, images at least as near to the artist's works would come in {one_in(p)} cases "
        f"(p = {p_text(p, alpha)})."
    )
    limit = f"The audit answers yes if p is at most {alpha:g}."
    if q is not None:
        limit = f"Because many artists were tested, the audit corrects this figure (q = {p_text(q, alpha)}), and answers yes if q is at most {alpha:g}."
    # The name test alone needs no other artist, and often no other artist has works.
    others = _OTHERS_ALONE if row["test"] == "name_test" else _OTHERS
    compared = {
        YES: f"The images lie nearer to the works of {name} than {others}.",
        NO: f"The images do not lie clearly nearer to the works of {name} than {others}.",
    }
    return f"{compared[answer['answer']]} {said} {limit}"


def could_see(answer: Row, row: Row, name: str, alpha: float) -> str:
    """The third answer: how often real works in place of images would have been called imitated, or recognised if nothing more can be tried."""
    del alpha
    share = known(answer["number"])
    if share is None:
        return str(answer["reason"])
    often = "more than" if answer["answer"] == YES else "no more than"
    again = f"The audit was repeated with half of the real works of {name} in place of the images, as if the model were a perfect imitator."
    if row["test"] == "name_test":
        return (
            f"{again} The encoder recognised the artist in {percent(share, 0)} of these trials, {often} half of them. Whether the audit would have "
            "found a perfect imitator near to the works is not known, because too few other artists have works."
        )
    said = f"{again} It called the artist imitated in {percent(share, 0)} of these trials, {often} half of them."
    return f"{said} {MORE_THAN_THE_HAND}" if answer["answer"] == YES else said


def asked(images: pd.DataFrame, name: str, version: Row) -> list[str]:
    """What was asked. ``images``: rows of `imitations` of one version and artist. ``version``: the version's row of `model_versions`.

    An image that was not supplied was not asked for, as far as the audit knows.
    """
    images = images[images["status"] != "not_supplied"]
    named, described = images[images["template"] >= 0], images[images["template"] < 0]
    artist, model = isolated(name), isolated(str(version["model_version"]))
    said, instead = [], False
    for prompt, rows in named.groupby("prompt", sort=False, dropna=False):
        if pd.isna(prompt):
            said.append(f"With which words {model} was asked for {counted(len(rows), 'image')} is not known.")
            continue
        other = "; the name is not among them" if sent.in_place_of_name(str(prompt), name) else ""
        instead |= bool(other)
        said.append(f"{model} was asked {_times(len(rows))} with the words “{isolated(str(prompt))}”{other}.")
    if instead:
        said.append("What this page says of the name was found with these words.")
    if len(described):
        said.append(f"It was asked {_times(len(described))} in other words, which decide nothing here.")
    if said:
        said.append(sent.besides(version))
    if version["source"] != sent.SUPPLIED and named["seed"].notna().any():
        said.append(
            "Each time it began from another random number (seed), which was fixed before the audit. The appendix names it."
        )
    return said or [f"{model} was not asked for {artist}."]


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def came(images: pd.DataFrame) -> str:
    """What came: counts by the state of an image, of prompts that name the artist."""
    states = Counter(images.loc[images["template"] >= 0, "status"].astype(str))
    words = {
        "ok": ("shows something", "show something"),
        "blank": ("is blank", "are blank"),
        "not_supplied": ("was not supplied", "were not supplied"),
        "copy": ("repeats another image and counts once", "repeat another image and count once"),
        **dict.fromkeys(WITHHELD, ("was withheld", "were withheld")),
    }
    told: Counter[tuple[str, str]] = Counter()
    for status, number in states.items():
        told[words.get(status, (f"has the state “{status}”", f"have the state “{status}”"))] += number
    parts = [f"{number} {one if number == 1 else many}" for (one, many), number in told.items()]
    return f"Of {counted(sum(states.values()), 'image')} that the audit asked for, {'; '.join(parts)}." if parts else ""


def nothing_does_as_well(row: Row, name: str) -> list[str]:
    """How often a name that means nothing does as well, and what names of the same parts do."""
    name = isolated(name)
    said = []
    if beside := beside_names(row):
        said.append(
            f"Invented names show what a model draws for a name that it was not taught. They come from the same place or script as {name}, and share no part with it. {beside}"
        )
    names, reached = known(row["recombined_names"]), known(row["recombined_reaching"])
    if names and reached is not None:
        said.append(
            f"{counted(names, 'further name')} {'has' if names == 1 else 'have'} parts of artists' names. {reached:.3g} of them "
            f"{'does' if reached == 1 else 'do'} as well. Such a name can bring an artist about itself, so this figure decides nothing."
        )
    return said or ["No invented name was compared with this name."]
