"""A verdict in sentences, for somebody who reads no statistics: what was found, how sure that is, what does not follow.

Every number is one of the row that the verdict follows from (`read_artist.verdicts`), or an interval of it.
"""

from collections.abc import Mapping
from typing import Any

from audit_assets.publication.words.numbers import (
    LABEL_SETS,
    auc,
    counted,
    images_interval,
    isolated,
    known,
    p_text,
    percent,
    true,
)

Row = Mapping[Any, Any]


def sentences(row: Row, name: str, alpha: float) -> list[str]:
    """One row of `read_artist.verdicts`, in the order in which the rule asks. ``alpha``: the level of the protocol's tests."""
    name = isolated(name)
    said = [
        _answer(row, name),
        _can_see(row, name),
        _named(row, name),
        _matched(row, name, alpha),
        _how_sure(row, name, alpha),
    ]
    return [sentence for sentence in said if sentence]


def _answer(row: Row, name: str) -> str:
    model, encoder = row["model_version"], row["encoder"]
    if row["verdict"] == "imitated":
        return f"{model} can imitate {name} by name under this protocol, as far as {encoder} can tell."
    if row["verdict"] == "identified above controls":
        return f"Images that {model} makes from the name are identified as {name} by {encoder} above the controls; likeness to real works was not tested."
    if row["verdict"] == "not auditable":
        return (
            f"{encoder} can say nothing on whether {model} imitates {name}. That is not a finding in either direction."
        )
    return f"{encoder} does not show that {model} imitates {name}. That is no acquittal."


def _can_see(row: Row, name: str) -> str:
    gap, low = known(row["gap"]), known(row["gap_low"])
    if gap is None or low is None:
        return f"There are too few real works of {name} to see whether the encoder can tell them from others'."
    works = counted(row["real_works"], "real work")
    nearest = isolated(str(row["nearest_name"]))
    if low > 0:
        return (
            f"It can tell the {works} apart from those of {nearest}, who is hardest to tell from {name}: works of one artist are {gap:.2f} "
            f"more alike than works of both (95 % bound: at least {low:.2f}, which is above 0)."
        )
    return (
        f"It cannot tell the {works} apart from those of {nearest}: works of one artist are {gap:.2f} more alike than works of both, "
        f"but the 95 % bound ({low:.2f}) is not above 0."
    )


def _named(row: Row, name: str) -> str:
    found, images, needed = known(row["identified"]), known(row["images"]), known(row["identified_needed"])
    if found is None or not images:
        return "It has no text side, so it cannot name what it sees; this verdict rests on likeness alone."
    low, high = images_interval(found, images)
    labels = LABEL_SETS.get(row["label_set"], row["label_set"])
    among = "" if known(row["labels"]) is None else f" and the labels that name nobody ({row['labels']:.0f} labels)"
    asked = (
        ""
        if needed is None
        else f" A verdict asks for at least {needed:.0f}: at most one random name in a hundred reaches that."
    )
    return (
        f"Of {counted(images, 'image')} made from the name, it took {found:.0f} for {name} among {labels}{among}: {percent(found / images, 0)}, "
        f"95 % interval {100 * low:.0f} to {100 * high:.0f} %.{asked}"
    )


def _matched(row: Row, name: str, alpha: float) -> str:
    p, q = known(row["own_rank_p"]), known(row["own_rank_q"])
    if p is None or q is None:
        return "The corrected matching test could not be made."
    likeness = "" if known(row["auc"]) is None else f" Likeness to the images (AUC, 0.5: none): {auc(row)}."
    if true(row["unreachable"]):
        return (
            f"Whether the real works of {name} rank among the likest to these images cannot be tested with so few artists: even the "
            f"first place would not count (p = {p_text(p)}, q = {p_text(q)}).{likeness}"
        )
    verb = "rank" if q < alpha else "do not rank"
    return (
        f"The real works of {name} {verb} among the likest to these images of everyone's works: p = {p_text(p)}, q = {p_text(q)} after allowing "
        f"for all artists asked about (below {alpha:g} counts).{likeness}"
    )


def _how_sure(row: Row, name: str, alpha: float) -> str:
    agree, able = known(row["encoders_imitated"]), known(row["encoders_auditable"])
    others = (
        ""
        if agree is None or not able
        else f" {agree:.0f} of {counted(able, 'encoder')} that can audit {name} {'finds' if agree == 1 else 'find'} an imitation."
    )
    if row["verdict"] == "imitated":
        left_out = known(row["p_leave_one_out"])
        rests = (
            ""
            if left_out is None
            else f" With any one real work of every artist left out, p is at most {p_text(left_out)}."
        )
        return f"How sure: among all artists so found, at most {100 * alpha:g} in 100 are expected to be found by mistake.{rests}{others}"
    if true(row["unreachable"]):
        return f"How sure: no outcome could have said otherwise; more artists with real works are needed.{others}"
    if row["verdict"] == "not auditable":
        return f"How sure: more real works, or another encoder, may make {name} auditable.{others}"
    return f"How sure: another prompt, more images or another encoder may show what this one does not.{others}"
