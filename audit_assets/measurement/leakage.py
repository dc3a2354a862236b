"""Unprompted leakage: to whom do images fall that were asked for without an artist's name?

Such images are those of a prompt without a name, and those of invented names. If many fall to one artist, this artist is (part of)
the model's *house style*: every prompt yields the artist, so that the name explains nothing.

**What is expected.** Any label takes some images by chance, and some labels lie near to everything. So an artist's share is ranked among the
shares of *labels of invented names* on the same images: p = (1 + labels that reach the artist's share) / (1 + N), which is exact if the artist's
label is one more label to an encoder that sees nothing of the artist. The own images of a label do not count for it.

**Two more conditions,** because an encoder that knows an artist's name may prefer that label whatever the model draws. The share must be
above ``HOUSE_STYLE`` with its whole 95 % interval. And that interval must be above the 95 % interval of the share of *real works of other
artists* that the encoder takes for this artist's: what the encoder does with any art says nothing of the model.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from audit_assets.measurement.answers import NO, UNTESTED, YES, Finding
from audit_assets.measurement.intervals import exact_binomial, wilson_clustered
from audit_assets.measurement.name_controls import FEWEST_NAMES, FEWEST_SHOWN, level_of

HOUSE_STYLE = 0.05
"""An artist is called the model's house style only if more than this share of unprompted images falls to the artist."""

FEWEST_OTHERS = 2
"""Works of fewer other artists say nothing about how the encoder's habit varies over artists."""


@dataclass(frozen=True)
class Leak:
    """The unprompted images of one artist's label. Figures are NaN if nothing could be counted."""

    images: int
    fell: int
    share: float
    low: float
    high: float
    expected: float
    """The mean share of the labels of invented names."""
    controls: int
    reaching: int
    p_value: float
    level: float
    finding: Finding


def leak(
    fell: npt.ArrayLike,
    shown: npt.ArrayLike,
    own: npt.ArrayLike,
    label: int,
    controls: npt.ArrayLike,
    *,
    works: tuple[npt.ArrayLike, npt.ArrayLike] = ((), ()),
) -> Leak:
    """To how many images of all prompts does one label come, and is that more than labels of invented names get?

    ``fell`` (prompts, labels): the images of each prompt that fall to each label; ``shown`` (prompts,): its images that are not blank;
    ``own`` (labels,): the prompt that asks for the label itself, -1 if none. ``label``: the artist's; ``controls``: those of invented names.
    ``works``: of each other artist, how many real works the encoder takes for this artist's, and of how many; shape (others,).

    The interval of the share is exact (Clopper and Pearson 1934) for one prompt, whose images are independent, and clustered over prompts
    otherwise (``intervals.wilson_clustered``). Raises ValueError if the shapes do not fit.
    """
    counts, total = np.asarray(fell, dtype=np.int64), np.asarray(shown, dtype=np.int64)
    mine, others = np.asarray(own, dtype=np.int64), np.asarray(controls, dtype=np.int64)
    if counts.shape != (len(total), len(mine)) or (counts.sum(axis=1) > total).any():
        raise ValueError(
            f"Counts of shape {counts.shape} for {len(total)} prompts and {len(mine)} labels; count them again."
        )
    images, taken = np.full(len(mine), total.sum()), counts.sum(axis=0)
    asked = np.flatnonzero(mine >= 0)
    images[asked] -= total[mine[asked]]
    taken[asked] -= counts[mine[asked], asked]
    n, here = int(images[label]), int(taken[label])
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = taken[others] / images[others]
    shares = shares[images[others] > 0]
    limit = level_of(len(shares))
    expected = float(shares.mean()) if len(shares) else np.nan
    refused = _refused(n, len(shares))
    if refused is not None or n == 0:
        share = here / n if n else np.nan
        return Leak(n, here, share, np.nan, np.nan, expected, len(shares), 0, np.nan, limit, refused or _NOTHING)
    low, high = _interval(np.delete(counts[:, label], mine[label]) if mine[label] >= 0 else counts[:, label],
                          np.delete(total, mine[label]) if mine[label] >= 0 else total)  # fmt: skip
    reached = int((shares >= here / n - 1e-12).sum())
    p = (1 + reached) / (1 + len(shares))
    finding = _answer(here, n, (low, high), p, limit, len(shares), reached, works)
    return Leak(n, here, here / n, low, high, expected, len(shares), reached, p, limit, finding)


_NOTHING = Finding(
    UNTESTED,
    "No image was asked for without the artist's name.",
    settle="Images of invented names, or of a prompt without a name.",
)


def _refused(images: int, controls: int) -> Finding | None:
    if images < FEWEST_SHOWN:
        return Finding(
            UNTESTED,
            f"{images} shown images without the artist's name, fewer than {FEWEST_SHOWN}.",
            settle=_NOTHING.settle,
        )
    if controls < FEWEST_NAMES:
        return Finding(
            UNTESTED,
            f"{controls} labels of invented names compete; a test needs {FEWEST_NAMES}.",
            settle=f"{FEWEST_NAMES - controls} more control names.",
        )
    return None


def _interval(fell: npt.NDArray[np.int64], shown: npt.NDArray[np.int64]) -> tuple[float, float]:
    some = shown > 0
    if some.sum() == 1:
        exact = exact_binomial(int(fell[some][0]), int(shown[some][0]))
        return exact.low, exact.high
    clustered = wilson_clustered(fell[some], shown[some])
    return clustered.low, clustered.high


def _answer(
    here: int,
    images: int,
    interval: tuple[float, float],
    p: float,
    limit: float,
    labels: int,
    reached: int,
    works: tuple[npt.ArrayLike, npt.ArrayLike],
) -> Finding:
    low, high = interval
    said = (
        f"{here} of {images} images that were not asked for by this name fall to the artist ({100 * here / images:.1f} %, {100 * low:.1f} to "
        f"{100 * high:.1f}); {reached} of {labels} labels of invented names get as many, p = {p:.3g}."
    )
    figures: dict[str, Any] = {"number": p, "estimate": here / images, "low": low, "high": high}
    if p > limit + 1e-12 or high <= HOUSE_STYLE:
        return Finding(NO, said, **figures)
    if low <= HOUSE_STYLE:
        more = (
            int(np.ceil(images * max(0.0, ((high - low) / 2 / max(abs(here / images - HOUSE_STYLE), 0.01)) ** 2 - 1)))
            or images
        )
        return Finding(
            UNTESTED,
            f"{said} The interval holds {100 * HOUSE_STYLE:g} %, above which an artist counts as house style.",
            settle=f"About {more:,} more images without the artist's name.",
            **{**figures, "number": None},
        )
    taken, of = (np.asarray(counts, dtype=np.int64) for counts in works)
    # An encoder that takes one work of an artist for another's takes most of them, so the works are clustered over artists.
    most = wilson_clustered(taken, of).high if (of > 0).sum() >= FEWEST_OTHERS else 1.0
    if most >= low:
        habit = (
            f"The encoder takes {taken.sum()} of {of.sum()} real works of {(of > 0).sum()} other artists for this artist's, so up to {100 * most:.0f} % of all "
            "art, and this may be the encoder's habit and not the model's."
            if (of > 0).sum() >= FEWEST_OTHERS
            else f"Real works of {(of > 0).sum()} other artists do not show what the encoder does with any art; {FEWEST_OTHERS} are needed."
        )
        return Finding(
            UNTESTED,
            f"{said} {habit}",
            settle="Real works of more other artists, or an encoder that does not prefer this artist's label.",
            **{**figures, "number": None},
        )
    return Finding(YES, said, **figures)
