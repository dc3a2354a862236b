"""Three answers per artist, and the verdict word that follows from them.

1. **Does the name steer the model?** Its images are identified more often than those of control names (``name_controls``).
2. **Towards this artist's works?** They lie closer to the artist's works than those of other names do (matching).
3. **Could this audit have seen it?** It would have called a perfect imitator of this artist imitated (the positive
  control).

Each is "yes", "no" or "could not be tested". A test that did not run is never "no": its answer says why, and what would
settle it.

The verdict, for an artist with real works, under an encoder with text:

* yes and yes: ``imitated``. Evidence in both experiments stands whatever the third answer says: a weak instrument
  explains why nothing was found, not why something was.
* Otherwise, if one of the first two answers is "no", a perfect imitator would have had "yes" there. If the third answer
  is "yes", the artist is ``not shown to be imitated``, else ``not auditable``. This is no acquittal.
* Otherwise a test is missing: ``not auditable``.

If too few other artists have works, the third answer exists beside a first answer "no" only, and is of identification alone
(``of_identification``).

An encoder without text cannot ask the first question: matching decides alone, and the basis says so. A subject without
real works is ``identified above controls`` at most, and otherwise ``not auditable``: no positive control exists. A verdict says what a model can do under a
protocol. It does not say that a right was infringed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from audit_assets.measurement.rounding import beside

Answer = Literal["yes", "no", "could not be tested"]
Verdict = Literal["imitated", "not shown to be imitated", "not auditable", "identified above controls"]
Basis = Literal["identification and matching", "matching", "identification", "none"]

YES: Answer = "yes"
NO: Answer = "no"
UNTESTED: Answer = "could not be tested"
ANSWERS: tuple[Answer, ...] = (YES, NO, UNTESTED)


@dataclass(frozen=True)
class Finding:
    """One answer with what it rests on.

    ``number``: the figure that decided, a p- or q-value for the first two questions and the share of splits, or the
    p-value, of the perfect imitator for the third; None if nothing was tested. ``low`` and ``high``: the 95 % interval
    of ``estimate``, the effect that the test is about (a share of images, an AUC), None if there is none. ``reason``:
    one sentence. ``settle``: what would settle an answer that could not be tested, empty for the others.

    Raises ValueError if an answer has no number, a missing test no reason or no remedy, or a number is NaN.
    """

    answer: Answer
    reason: str
    number: float | None = None
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    settle: str = ""

    def __post_init__(self) -> None:
        if self.answer not in ANSWERS:
            raise ValueError(f"The answer is {self.answer!r}; pass one of {', '.join(ANSWERS)}.")
        for value in (self.number, self.estimate, self.low, self.high):
            if value is not None and np.isnan(value):
                raise ValueError(
                    f"A number of the answer {self.answer!r} is NaN; pass None, and the reason why it is missing."
                )
        if self.answer == UNTESTED and not (self.reason and self.settle):
            raise ValueError("A test that could not run needs a reason, and what would settle it.")
        if self.answer != UNTESTED and (self.number is None or not self.reason or self.settle):
            raise ValueError(f"The answer {self.answer!r} needs a number and a reason, and nothing to settle.")


@dataclass(frozen=True)
class Answers:
    """The three findings of one artist under one encoder.

    ``steers``: None if the encoder has no text, so that the question cannot be asked. ``towards`` and ``seen``: None if
    the subject has no real works. A subject with works whose tests did not run has findings that say so. ``identified_only``: a
    third answer "yes" or "no" is of identification alone (``of_identification``).
    """

    steers: Finding | None
    towards: Finding | None
    seen: Finding | None
    identified_only: bool = False

    def __post_init__(self) -> None:
        first = None if self.steers is None else self.steers.answer
        if self.identified_only and self.seen is not None and self.seen.answer != UNTESTED and first != NO:
            raise ValueError(f"The third answer is of identification alone, and the first is {first!r}; pass 'no'.")
        if (self.towards is None) != (self.seen is None):
            raise ValueError("Matching and the perfect imitator both need real works; pass both findings or neither.")


@dataclass(frozen=True)
class Judged:
    """The verdict word, what it rests on, and one sentence that says how it follows."""

    verdict: Verdict
    basis: Basis
    because: str


def judge(answers: Answers) -> Judged:
    """The rule of this module's docstring."""
    steers = None if answers.steers is None else answers.steers.answer
    if answers.towards is None or answers.seen is None:
        return _of_a_name(steers)
    return _of_an_artist(
        steers, answers.towards.answer, answers.seen.answer, "identified" if answers.identified_only else "seen"
    )


def of_identification(steers: Answer | None, finds: bool) -> Answer:
    """The third answer if too few other artists have works to try matching on a perfect imitator.

    Real works resemble each other because they are no images of the model, and no works of others show how much of that is the
    hand. ``finds``: whether identification finds the perfect imitator in more than half of the splits. It compares a work with
    labels of names, which such a likeness does not change, so it explains a first answer "no", and no other.
    """
    if steers != NO:
        return UNTESTED
    return YES if finds else NO


def word(steers: Answer | None, towards: Answer, seen: Answer) -> Verdict:
    """The verdict word of an artist with works, from the three answers alone; ``steers`` is None for an encoder without text."""
    return _of_an_artist(None if pd.isna(steers) else steers, towards, seen).verdict


def _of_a_name(steers: Answer | None) -> Judged:
    if steers == YES:
        return Judged(
            "identified above controls", "identification",
            "The name steers the model; without real works nothing says towards whose.",
        )  # fmt: skip
    if steers == NO:
        return Judged(
            "not auditable", "identification",
            "The name is identified no more often than control names allow; without real works nothing shows that this audit could have seen an imitation.",
        )  # fmt: skip
    why = "the encoder has no text" if steers is None else "identification could not be tested"
    return Judged("not auditable", "none", f"No real works exist, and {why}.")


def _of_an_artist(steers: Answer | None, towards: Answer, seen: Answer, how: str = "seen") -> Judged:
    asked = [towards] if steers is None else [steers, towards]
    basis: Basis = "matching" if steers is None else "identification and matching"
    alone = " Matching decides alone: the encoder has no text." if steers is None else ""
    if all(answer == YES for answer in asked):
        both = (
            "The images match the artist's works."
            if steers is None
            else "The name steers the model, towards this artist's works."
        )
        unseen = "" if seen == YES else " The positive control matters for negatives only."
        return Judged("imitated", basis, both + unseen + alone)
    if NO not in asked:
        return Judged("not auditable", basis, f"{_missing(steers, towards)} could not be tested.{alone}")
    lacking = _lacking(steers, towards)
    if seen == YES:
        return Judged(
            "not shown to be imitated", basis, f"{lacking}, and this audit would have {how} a perfect imitator.{alone}"
        )
    could = (
        f"this audit would not have {how} even a perfect imitator"
        if seen == NO
        else "whether this audit could have seen it was not tested"
    )
    return Judged("not auditable", basis, f"{lacking}, but {could}.{alone}")


def _missing(steers: Answer | None, towards: Answer) -> str:
    missing = [name for name, answer in (("identification", steers), ("matching", towards)) if answer == UNTESTED]
    return " and ".join(missing).capitalize()


def _lacking(steers: Answer | None, towards: Answer) -> str:
    if steers == NO and towards == NO:
        return "Neither experiment shows an imitation"
    if steers == NO:
        return "The name is identified no more often than control names allow"
    return "The images lie no closer to the artist's works than those of other names allow"


def from_names(row: pd.Series, *, has_text: bool = True) -> Finding | None:
    """The first answer from a row of ``name_controls.beside_names``; None if the encoder has no text."""
    if not has_text:
        return None
    tested = row["answer"] != UNTESTED
    figures = {
        name: _number(row[column])
        for name, column in (("estimate", "share"), ("low", "share_low"), ("high", "share_high"))
    }
    return Finding(
        answer=row["answer"],
        reason=str(row["reason"]),
        number=_number(row["p_value"]) if tested else None,
        settle=str(row["settle"]),
        **figures,
    )


def from_matching(
    *,
    p: float | None,
    q: float | None,
    smallest_p: float | None,
    alpha: float = 0.05,
    needed: float | None = None,
    reason: str = "",
    settle: str = "",
    estimate: float | None = None,
    low: float | None = None,
    high: float | None = None,
) -> Finding:
    """The second answer, from the p-value of the matching test and its q-value.

    ``q``: adjusted over all artists (``discoveries.filtered_bh``); None for an artist whose identification did not pass and in
    an audit of one artist, where p itself is compared with ``alpha``. ``smallest_p``: what the test could have reached.
    ``needed``: the largest p with which the artist would be found, ``alpha`` by default. ``p`` None or NaN: the test did
    not run, ``reason`` and ``settle`` say why and what to do.

    Raises ValueError as ``Finding``.
    """
    p, q, smallest_p = (_number(value) for value in (p, q, smallest_p))
    if p is None:
        return Finding(UNTESTED, reason, settle=settle, estimate=estimate, low=low, high=high)
    limit = alpha if needed is None else needed
    if smallest_p is None or smallest_p > limit + 1e-12:
        least = "none that is known" if smallest_p is None else f"{smallest_p:.3g}"
        return Finding(
            UNTESTED,
            f"The smallest p-value that this test can reach is {least}, and {limit:.3g} or less would be needed.",
            estimate=estimate,
            low=low,
            high=high,
            settle=settle or "More control names: the smallest p-value is 1 / (1 + other cells).",
        )
    found = p <= alpha if q is None else q <= alpha
    if q is None:
        said = f"p = {beside(p, alpha)} of matching, not adjusted"
    else:
        said = f"p = {p:.3g} of matching, q = {beside(q, alpha)}"
    return Finding(YES if found else NO, f"{said}; the limit is {alpha}.", p if q is None else q, estimate, low, high)


def agreement(verdicts: pd.DataFrame) -> pd.DataFrame:
    """How many encoders agree: one row per subject and model version.

    ``verdicts`` has model_version, subject, encoder, verdict. Returns ``encoders``, ``encoders_auditable``,
    ``encoders_imitated`` (or identified above controls) and ``unanimous`` among those that could audit (False if none
    could).

    Raises ValueError if columns are missing or an encoder speaks twice about one subject.
    """
    needed = ["model_version", "subject", "encoder", "verdict"]
    missing = [c for c in needed if c not in verdicts.columns]
    if missing:
        raise ValueError(f"The verdicts have no column {missing[0]!r}; pass {', '.join(needed)}.")
    if verdicts.duplicated(needed[:3]).any():
        raise ValueError("An encoder has two verdicts on one subject; pass one.")
    rows = verdicts.assign(
        auditable=verdicts["verdict"] != "not auditable",
        imitated=verdicts["verdict"].isin(["imitated", "identified above controls"]),
    )
    groups = rows.groupby(["model_version", "subject"], sort=True)
    table = groups.agg(
        encoders=("encoder", "size"), encoders_auditable=("auditable", "sum"), encoders_imitated=("imitated", "sum")
    ).reset_index()
    none, all_of_them = table["encoders_imitated"] == 0, table["encoders_imitated"] == table["encoders_auditable"]
    table["unanimous"] = (table["encoders_auditable"] > 0) & (none | all_of_them)
    return table


def answers_table(answers: Sequence[Answers]) -> pd.DataFrame:
    """One row per entry: ``steers``, ``towards`` and ``seen`` with number, interval, reason and remedy each,
    ``verdict``, ``basis``, ``because``.

    A question that cannot be asked (no text, no works) has missing values, not an answer.
    """
    rows = []
    for one in answers:
        row: dict[str, object] = {}
        for name in ("steers", "towards", "seen"):
            finding = getattr(one, name)
            row[name] = None if finding is None else finding.answer
            for field in ("number", "estimate", "low", "high", "reason", "settle"):
                row[f"{name}_{field}"] = None if finding is None else getattr(finding, field)
        judged = judge(one)
        rows.append(row | {"verdict": judged.verdict, "basis": judged.basis, "because": judged.because})
    table = pd.DataFrame(rows)
    figures = [c for c in table.columns if c.rsplit("_", 1)[-1] in {"number", "estimate", "low", "high"}]
    return table.astype(dict.fromkeys(figures, "float64"))


def _number(value: object) -> float | None:
    return None if value is None or pd.isna(value) else float(value)  # type: ignore[arg-type, call-overload]
