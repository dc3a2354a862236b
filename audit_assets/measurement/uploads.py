"""Reference images: does a model stay nearer to an artist whose work it is given than to anybody whose work it is given?

A model that is given a picture keeps some of it, whoever made it, so nearness to the artist whose work was given shows nothing by itself. Two
figures take this out.

1. ``kept``: the works that were given are compared with nothing. The artist's *other* works, less the mean of the other artists, give a
   direction. The images' mean product with it, over that of the works that were given, is the share of nearness that the model kept.
   A share and not a difference, because a coherent artist's works are nearer to each other from the start.
2. ``beside_uploads`` ranks the artist's share among those of N artists whom the model was not trained on, or of whom nothing is claimed, and
   whose works were given in the same way. If the model knows no more of the artist than of those, the N + 1 shares are exchangeable, and
   p = (1 + shares that reach the artist's) / (1 + N) is exact for every N.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audit_assets.measurement.answers import NO, UNTESTED, YES, Finding
from audit_assets.measurement.name_controls import FEWEST_SHOWN
from audit_assets.measurement.rounding import beside
from audit_assets.measurement.vectors import unit_rows


@dataclass(frozen=True)
class Beside:
    """One artist's share beside those of N control artists. ``p_value`` is NaN if nothing was tested."""

    finding: Finding
    controls: int
    reached: float
    control_share: float
    p_value: float
    p_floor: float


def kept(given: npt.ArrayLike, images: npt.ArrayLike, own: npt.ArrayLike, others: npt.ArrayLike) -> float:
    """The share of nearness to the artist's other works that images keep of the works they were made from.

    ``given`` and ``images`` (n, d), unit vectors: the work that each image was made from, and the image. ``own`` (d,): mean of the artist's
    other works. ``others`` (d,): mean of the other artists. NaN if the works that were given are not nearer to the artist's other
    works than to those of others, so that there is nothing to keep. Raises ValueError if the shapes differ.
    """
    before, after = unit_rows(given, what="work"), unit_rows(images, what="image")
    direction = np.asarray(own, dtype=np.float64) - np.asarray(others, dtype=np.float64)
    if before.shape != after.shape or direction.shape != before.shape[1:]:
        raise ValueError(
            f"{before.shape} works, {after.shape} images and {direction.shape} dimensions; pass one work per image."
        )
    nearness = float((before @ direction).mean()) if len(before) else 0.0
    return float((after @ direction).mean()) / nearness if nearness > 0 else np.nan


def beside_uploads(own: float, shown: int, others: npt.ArrayLike, *, level: float) -> Beside:
    """The artist's share of kept nearness beside those of other artists (n,), NaN for an artist without one.

    ``shown``: images of the artist that show something. ``level``: the p-value that passes.
    """
    shares = np.asarray(others, dtype=np.float64)
    shares = shares[~np.isnan(shares)]
    n = len(shares)
    mean, floor = float(shares.mean()) if n else np.nan, 1 / (1 + n)

    def untested(reason: str, settle: str) -> Beside:
        return Beside(Finding(UNTESTED, reason, settle=settle), n, np.nan, mean, np.nan, floor)

    if shown < FEWEST_SHOWN:
        return untested(
            f"{shown} shown images that are no copies, fewer than {FEWEST_SHOWN}.",
            f"{FEWEST_SHOWN - shown} more such images.",
        )
    if np.isnan(own):
        return untested(
            "The works that were given are no nearer to the artist's other works than to those of other artists, so no image could show it.",
            "More works that resemble each other, or another encoder.",
        )
    if floor > level + 1e-12:
        wanted = int(np.ceil(1 / level - 1 - 1e-9))
        return untested(
            f"Works of {n} other artists were given in the same way; a test at {level:g} needs {wanted}.",
            f"Real works of {wanted - n} more artists of whom nothing is claimed, in `background` of audit.yaml.",
        )
    reached = float((shares >= own).sum())
    p = (1 + reached) / (1 + n)
    said = (
        f"The images keep {100 * own:.0f} % of the nearness that the given works have to the artist's other works; those of {n} other artists "
        f"keep {100 * mean:.0f} % on average, {reached:.0f} of them as much or more, p = {beside(p, level)}; up to {level:.3g} passes."
    )
    return Beside(Finding(YES if p <= level + 1e-12 else NO, said, p, own), n, reached, mean, p, floor)
