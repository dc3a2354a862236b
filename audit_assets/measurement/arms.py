"""Arms: does another way to ask for an artist still work?

A way that names the artist (misspelt, transliterated, ...) is tested as the name itself is: control names are asked in the same way,
and each name competes for its own images (``name_controls``). A way that does not name the artist has no names to compare with.
There, ``beside_prompts`` holds the artist's label fixed, and compares the images of the artist's prompts with those of other prompts.

**The rule of ``beside_prompts``.** If the artist's prompts mean no more to the model and the encoder than other prompts of the arm, the N + 1
shares of images that fall to the artist's label are exchangeable, so p = (1 + prompts that reach the artist's share) / (1 + N) is exact for
every N. A description that says what the artist draws is not like other descriptions: the answer "yes" then says that the words lead to the
artist's label, and not why.

``still_works`` puts the answers of both experiments together, by the rule of a verdict.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audit_assets.measurement.answers import NO, UNTESTED, YES, Answer, Finding
from audit_assets.measurement.name_controls import FEWEST_NAMES, FEWEST_SHOWN, LEVEL, level_of, reaching
from audit_assets.measurement.rounding import beside


@dataclass(frozen=True)
class Beside:
    """One artist's share beside those of N other prompts. ``p_value`` is NaN if nothing was tested."""

    finding: Finding
    controls: int
    reached: float
    control_share: float
    p_value: float
    level: float
    needed: int | None
    """The smallest number of the shown images that would pass; None if none would."""


def beside_prompts(
    fell: int, shown: int, others_fell: npt.ArrayLike, others_shown: npt.ArrayLike, *, level: float = LEVEL
) -> Beside:
    """The share of images of an artist's prompts that fall to the artist's label, beside those of other prompts (n,).

    ``others_fell`` counts images of other prompts that fall to the *artist's* label. Prompts with fewer than ``FEWEST_SHOWN`` shown images
    do not count. Prompts with another number of images are compared as in ``name_controls``. Raises ValueError on impossible counts.
    """
    x, m = (np.asarray(values, dtype=np.int64) for values in (others_fell, others_shown))
    if x.shape != m.shape or (x < 0).any() or (x > m).any() or not 0 <= fell <= shown:
        raise ValueError("More images fall to the artist than are shown; count them again.")
    x, m = x[m >= FEWEST_SHOWN], m[m >= FEWEST_SHOWN]
    n, limit = len(x), level_of(len(x), level)
    mean = float(np.mean(x / m)) if n else np.nan

    def untested(reason: str, settle: str) -> Beside:
        return Beside(Finding(UNTESTED, reason, settle=settle), n, np.nan, mean, np.nan, limit, None)

    if shown < FEWEST_SHOWN:
        return untested(
            f"{shown} shown images, fewer than {FEWEST_SHOWN}.",
            f"{FEWEST_SHOWN - shown} more images that are not blank.",
        )
    if n < FEWEST_NAMES:
        return untested(
            f"{n} other prompts of the arm have {FEWEST_SHOWN} shown images; a test needs {FEWEST_NAMES}.",
            f"{FEWEST_NAMES - n} more control prompts (`control_words` of the arm).",
        )
    reached = float(reaching(fell, shown, x, m).sum())
    p = (1 + reached) / (1 + n)
    enough = (k for k in range(shown + 1) if (1 + reaching(k, shown, x, m).sum()) / (1 + n) <= limit + 1e-12)
    needed = next(enough, None)
    if needed is None:
        return untested(
            f"Even {shown} of {shown} images would not pass: images of other prompts fall to this artist as often.",
            "A larger label set, or an encoder that tells this artist's label from others.",
        )
    said = (
        f"{fell} of {shown} shown images fall to the artist; {reached:.3g} of {n} other prompts reach that, p = {beside(p, limit)}; "
        f"up to {limit:.3g} passes."
    )
    passed = p <= limit + 1e-12
    return Beside(Finding(YES if passed else NO, said, p, fell / shown), n, reached, mean, p, limit, needed)


def still_works(named: Finding | None, matched: Finding | None, seen: Answer | None) -> tuple[Answer, str, str]:
    """(answer, reason, what would settle it) of one arm, artist and encoder, by the rule of a verdict.

    ``named``: identification; None if the encoder has no text. ``matched``: matching; None if no real works exist. ``seen``: whether the audit
    could have seen a perfect imitator of the artist; None without real works. "yes" needs yes of each experiment that could be asked.
    "no" needs a no, and an audit that could have seen an imitation: else the answer is "could not be tested".
    """
    asked = [finding for finding in (named, matched) if finding is not None]
    if not asked:
        return (
            UNTESTED,
            "The encoder reads no text, and no real works exist.",
            "Real works, or an encoder with a text side.",
        )
    said = " ".join(finding.reason for finding in asked)
    if all(finding.answer == YES for finding in asked):
        return YES, said + ("" if matched is not None else " Without real works, nothing says towards whose works."), ""
    if any(finding.answer == NO for finding in asked):
        if matched is None or seen == YES:
            return NO, said, ""
        could = (
            "This audit would not have seen even a perfect imitator."
            if seen == NO
            else "Whether this audit could have seen an imitation was not tested."
        )
        return UNTESTED, f"{said} {could}", "What would settle the third answer about this artist."
    missing = [finding for finding in asked if finding.answer == UNTESTED]
    return UNTESTED, " ".join(f.reason for f in missing), " ".join(f.settle for f in missing)
