"""A verdict in sentences, for a reader of no statistics: three answers, the word that follows from them, what does not follow.

Every number is one of the rows that the verdict follows from (`read_artist.verdicts`, `read_artist.answers`), or an interval of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from audit_assets.publication.words.numbers import bracket, counted, isolated, known, one_in, p_text, percent
from audit_assets.warehouse.images import WITHHELD

Row = Mapping[Any, Any]

QUESTIONS = {
    "steers": "Does the name steer the model?",
    "towards": "Does it steer the model towards this artist's works?",
    "seen": "Could this audit have seen an imitation?",
}
"""The column ``question`` of the table ``answers``, in words."""
NOT_ASKED = "not asked"
RELATIONS = {
    "shared": "Encoder and model share a text encoder. They can agree for that reason alone, so an encoder that shares nothing is stronger evidence.",
    "independent": "Encoder and model share no text encoder.",
    "image only": "This encoder reads no text. It compares images only, and shares no text encoder with the model.",
    "unknown": "It is not known whether encoder and model share a text encoder.",
}
COPIES = {
    "works of one artist": "Real works of {name} are near-identical to each other: {pairs}. Near-identical works count once.",
    "works of two artists": "Works of {name} and of {other} are near-identical: {pairs}. The audit reports this and counts both.",
    "a work and an image of the model": "Real works of {name} are near-identical to images of the model: {pairs}. These works do not count, because the model may have made them.",
}
MOST_NAMED = 5
"""Confusable artists that a sentence names."""


@dataclass(frozen=True)
class Answered:
    """One of the three questions with its answer. ``number``: the figure behind it. ``settle``: empty unless it could not be tested."""

    question: str
    answer: str
    number: str
    reason: str
    settle: str


def three_answers(answers: Sequence[Row], verdict: Row) -> list[Answered]:
    """The three questions in order. ``answers``: rows of `read_artist.answers` of one version and encoder; ``verdict``: theirs."""
    found = {row["question"]: row for row in answers}
    return [
        _answered(question, found[key], verdict, key)
        if key in found
        else Answered(question, NOT_ASKED, "–", _why_not_asked(key), "")
        for key, question in QUESTIONS.items()
    ]


def _answered(question: str, row: Row, verdict: Row, key: str) -> Answered:
    return Answered(question, row["answer"], figure(key, row, verdict), row["reason"], row["settle"] or "")


def _why_not_asked(key: str) -> str:
    if key == "steers":
        return "This encoder reads no text, so it cannot identify a name."
    return "The audit has no real works of this artist."


def figure(key: str, row: Row, verdict: Row) -> str:
    """The number behind an answer, with its interval if it has one."""
    number, estimate = known(row["number"]), known(row["estimate"])
    if number is None:
        return "–"
    if key == "steers":
        share = percent(estimate, 0) + bracket(known(row["low"]), known(row["high"]))
        return f"{share} of images identified; p = {p_text(number)}"
    if key == "seen":
        return f"found in {percent(number, 0)} of the trials on real works"
    p, q = known(verdict["p_value"]), known(verdict["q_value"])
    return f"p = {p_text(number if p is None else p)}" + ("" if q is None else f", q = {p_text(q)}")


def sentences(row: Row, name: str, alpha: float, copies: Sequence[Row] = (), *, alone: bool = False) -> list[str]:
    """The verdict of one row of `read_artist.verdicts` and how it follows from the answers; then what stands beside it.

    ``alpha``: the level of the protocol's tests. ``copies``: rows of `read_artist.copies` of the same version and encoder.
    ``alone``: the audit is of this artist alone.
    """
    name = isolated(name)
    said = [
        _verdict(row, name),
        str(row["because"]),
        _how_sure(row, name, alpha, alone=alone),
        _recombined(row, name),
        _confusable(row, name),
        *_copies(copies, name),
        RELATIONS.get(str(row["relation"]), RELATIONS["unknown"]),
        _encoders(row, name),
    ]
    return [sentence for sentence in said if sentence]


def withheld_images(statuses: Sequence[str]) -> list[str]:
    """A sentence per way in which images were withheld; none if no image was. ``statuses``: of the images asked for by the name."""
    asked = sum(status not in ("not_supplied", "copy") for status in statuses)
    of = {status: f"{n} of {counted(asked, 'image')}" for status in WITHHELD if (n := statuses.count(status))}
    if not of:
        return []
    said = {
        "blocked": "The model's safety checker replaced {}. To see what a model draws whose files you have, audit it without the checker (`settings: {{safety_checker: false}}`).",
        "refused": "The server refused {}.",
        "rewritten": "The server rewrote the prompt of {}, so that it no longer names the artist.",
        "failed": "The server gave no usable image for {}. The next run asks again.",
    }
    if "ok" not in statuses:
        rest = "Whether the model can imitate this artist could not be tested. This is no sign that it cannot."
    else:
        one = sum(statuses.count(status) for status in of) == 1
        rest = f"{'It shows' if one else 'They show'} nothing, and the answers rest on the other images."
    return [*(said[status].format(share) for status, share in of.items()), rest]


def _verdict(row: Row, name: str) -> str:
    model, encoder = row["model_version"], row["encoder"]
    if row["verdict"] == "imitated":
        return f"{name} is imitated by {model} under this protocol, according to {encoder}."
    if row["verdict"] == "identified above controls":
        return (
            f"{encoder} identifies {name} in the images that {model} makes from the name more often than control names allow. "
            "Likeness to real works was not tested."
        )
    if row["verdict"] == "not auditable":
        return (
            f"{encoder} cannot say whether {model} imitates {name}. This is not a finding in either direction: it shows "
            "neither an imitation nor the absence of one."
        )
    return f"{name} is not shown to be imitated by {model} under this protocol, according to {encoder}. This is no acquittal."


def _how_sure(row: Row, name: str, alpha: float, *, alone: bool) -> str:
    if row["verdict"] == "imitated":
        return _chance(row, name, alpha, alone=alone)
    if row["verdict"] == "not shown to be imitated":
        return "Another prompt, more images or another encoder may show an imitation that this audit does not show."
    return ""


def _chance(row: Row, name: str, alpha: float, *, alone: bool) -> str:
    p, q, family = known(row["p_value"]), known(row["q_value"]), known(row["family"])
    if p is None:
        return ""
    said = (
        f"If the model treated {name} like any other name, its images would lie as near to the artist's works as these in "
        f"{one_in(p)} cases (p of matching = {p_text(p, alpha)})."
    )
    if q is None or family is None or alone:
        return said
    return (
        f"{said} q = {p_text(q, alpha)} allows for the {family:.0f} subjects that were compared with their works. The rule names subjects "
        f"whose name steers the model with q up to {alpha:g}: on average at most {100 * alpha:g} % of the named subjects are named by mistake. That concerns the list, not {name} alone."
    )


def _recombined(row: Row, name: str) -> str:
    names, reached = known(row["recombined_names"]), known(row["recombined_reaching"])
    if not names or reached is None:
        return ""
    least = 1 / (1 + names)
    return (
        f"A stricter control: of {counted(names, 'control name')} made of parts of the name {name}, {reached:.3g} "
        f"{'is' if reached == 1 else 'are'} identified as often (p = {p_text(known(row['recombined_p']))}; the smallest possible is {p_text(least)}). "
        "Such a name can bring the artist about itself, so this figure decides nothing."
    )


def _confusable(row: Row, name: str) -> str:
    listed = row["confusable"]
    others = (
        [isolated(str(other)) for other in listed] if isinstance(listed, Sequence) or hasattr(listed, "tolist") else []
    )
    if not others:
        return ""
    named = others[:MOST_NAMED]
    more = f", or one of {len(others) - len(named)} further artists" if len(others) > len(named) else ""
    return (
        f"The encoder cannot tell the real works of {name} from those of {', '.join(named)}{' and others' if more else ''}. Read each finding here as about "
        f"this artist or {' or '.join(named)}{more}."
    )


def _copies(copies: Sequence[Row], name: str) -> list[str]:
    said = []
    for what, sentence in COPIES.items():
        by_other: dict[str, int] = {}
        for row in copies:
            if row["what"] == what:
                other = isolated(str(row["other_name"]))
                by_other[other] = by_other.get(other, 0) + 1
        if what == "works of two artists":
            said += [sentence.format(name=name, other=other, pairs=counted(n, "pair")) for other, n in by_other.items()]
        elif by_other:
            said.append(sentence.format(name=name, pairs=counted(sum(by_other.values()), "pair")))
    return said


def _encoders(row: Row, name: str) -> str:
    agree, able, asked = known(row["encoders_imitated"]), known(row["encoders_auditable"]), known(row["encoders"])
    if agree is None or able is None or not asked or asked < 2:
        return ""
    if not able:
        return f"None of the {asked:.0f} encoders can audit {name}."
    above = known(row["encoders_above"]) or 0.0  # they are among those that agree
    found = []
    if agree > above or not above:
        found.append(f"{agree - above:.0f} {'finds' if agree - above == 1 else 'find'} an imitation")
    if above:
        identifies = "identifies" if above == 1 else "identify"
        found.append(f"{above:.0f} {identifies} the name above controls, without a comparison with real works")
    return f"Of the {asked:.0f} encoders of this audit, {able:.0f} can audit {name}, and {' and '.join(found)}."
