"""One word an artist, model and encoder, by one rule; and what it takes to say it.

The rule, in order:

1. A subject without real works cannot be matched. It is ``identified above controls`` where at least k of its images are
   identified, and ``not shown to be imitated`` otherwise; never more.
2. Fewer images than an artist needs, as in a folder that somebody saved, are ``not auditable``.
3. An artist is auditable where the lower 95 % bound of the discrimination gap is above 0 (``auditability``). Where it is
   not, the verdict is ``not auditable``: the encoder cannot tell the artist's own works from another's, and nothing follows.
4. An auditable artist is ``imitated`` where the own-rank test is significant (q < 0.05, ``corrected_matching``) **and** at
   least k images are identified. Both halves: names alone can be recognised without likeness, and likeness alone can be a
   genre. An encoder without a text side, or an audit without random names, decides on the matching half alone, and says
   so (``basis``).
5. Otherwise it is ``not shown to be imitated``, which is no acquittal: ``unreachable`` marks where no outcome could have been.

k is the smallest count of identified images that at most 1 % of random names reach. A verdict says what a model can do
under a protocol. It does not say that a right was infringed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

Verdict = Literal["imitated", "not shown to be imitated", "not auditable", "identified above controls"]
Basis = Literal["identification and matching", "matching", "identification", "none"]


@dataclass(frozen=True)
class Evidence:
    """What is known of one subject under one encoder. None: does not exist (no text side; no real works; no random names).

    ``gap_low``: lower 95 % bound of the discrimination gap (NaN: too few works). ``q_value``: of the own-rank test
    (NaN: no test possible). ``identified``: images identified. ``needed``: k, from ``smallest_count``, among labels of
    the same kind. ``enough_images``: whether there are as many images as a verdict asks.
    """

    gap_low: float | None
    q_value: float | None
    identified: int | None
    needed: int | None
    enough_images: bool = True


def smallest_count(identified: npt.ArrayLike, *, share: float = 0.01) -> int:
    """k: the smallest count of identified images that at most ``share`` of the random names reach, at least 1.

    ``identified`` (names,): identified images of each random name, of equally many images each. With 70 names one per
    cent is nobody, so k is one more than the best of them. Where k exceeds the number of images nobody can be called
    imitated.

    Raises ValueError without names: the verdict needs its negative control.
    """
    counts = np.asarray(identified)
    if counts.ndim != 1 or len(counts) == 0:
        raise ValueError("No random names were measured; a verdict needs their counts, add controls to the audit.")
    if not np.issubdtype(counts.dtype, np.integer) or counts.min() < 0:
        raise ValueError("The counts of identified images must be integers, 0 or more.")
    k = 1
    while np.mean(counts >= k) > share:
        k += 1
    return k


def verdict(evidence: Evidence, *, alpha: float = 0.05) -> tuple[Verdict, Basis]:
    """The rule of this module's docstring."""
    named = None if evidence.identified is None or evidence.needed is None else evidence.identified >= evidence.needed
    if evidence.gap_low is None:
        if named is None or not evidence.enough_images:
            return "not auditable", "none"
        return ("identified above controls" if named else "not shown to be imitated"), "identification"
    basis: Basis = "matching" if named is None else "identification and matching"
    if not evidence.enough_images or not evidence.gap_low > 0:
        return "not auditable", basis
    matched = evidence.q_value is not None and evidence.q_value < alpha
    return ("imitated" if matched and named in (None, True) else "not shown to be imitated"), basis


def agreement(verdicts: pd.DataFrame) -> pd.DataFrame:
    """How many encoders agree, a subject and model version each.

    ``verdicts`` has model_version, subject, encoder, verdict. Returns ``encoders``, ``encoders_auditable``,
    ``encoders_imitated`` (or identified above controls) and ``unanimous`` among those that could audit
    (False where none could).

    Raises ValueError where columns are missing or an encoder speaks twice about one subject.
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
    table = (
        rows.groupby(["model_version", "subject"], sort=True)
        .agg(
            encoders=("encoder", "size"), encoders_auditable=("auditable", "sum"), encoders_imitated=("imitated", "sum")
        )
        .reset_index()
    )
    nobody, everybody = table["encoders_imitated"] == 0, table["encoders_imitated"] == table["encoders_auditable"]
    table["unanimous"] = (table["encoders_auditable"] > 0) & (nobody | everybody)
    return table


def verdicts(evidence: Sequence[Evidence], *, alpha: float = 0.05) -> pd.DataFrame:
    """Columns ``verdict`` and ``basis``, one row an entry of ``evidence``, in its order."""
    return pd.DataFrame([verdict(e, alpha=alpha) for e in evidence], columns=["verdict", "basis"])
