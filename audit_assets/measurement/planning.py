"""What an audit of this size can find, said before anyone pays for its images. Sentences from ``power``, for one audit."""

from dataclasses import dataclass

import numpy as np

from audit_assets.measurement.power import (
    accuracy_half_width,
    artists_for_half_width,
    gap_power,
    own_rank_power,
    pool_for_own_rank,
)

ASSUMED_CORRELATION = 0.5
"""Of two images of one artist, where no audit has measured it: the middle of what the paper's control suggests."""
ACCURACY = 0.8
"""The accuracy that a plan is made for; the paper's was 0.81."""
CLEAR_EFFECT = 3.0
"""Own works above the works of others, in standard deviations of the latter: rank 1 among some hundreds, were there many images."""


@dataclass(frozen=True)
class Size:
    """``artists`` of the roster with real works, ``controls``, ``images`` each, ``pool``: everyone with real works.

    ``correlation`` of two images of one artist (ICC), ``measured`` in an audit or assumed.
    """

    artists: int
    controls: int
    images: int
    pool: int
    correlation: float
    measured: bool


def fewest_imitated(*, artists: int, pool: int, alpha: float = 0.05) -> int | None:
    """The smallest number of imitated artists with which own rank can reach q < alpha at all; None where none can.

    Benjamini-Hochberg over ``artists`` tests, each with a floor of 1 / ``pool``: artists / (number x pool) < alpha.
    """
    return next(
        (n for n in range(1, artists + 1) if pool_for_own_rank(artists=artists, imitated=n, alpha=alpha) <= pool), None
    )


def own_rank_in_reach(size: Size, *, alpha: float = 0.05) -> str:
    """Whether few imitated artists can be found, and how many further artists with real works it would take."""
    if size.artists < 1:
        return "No artist of the roster has real works: nothing can be matched, and no verdict says more than 'identified above controls'."
    fewest = fewest_imitated(artists=size.artists, pool=size.pool, alpha=alpha)
    single = pool_for_own_rank(artists=size.artists, imitated=1, alpha=alpha)
    more = f"for a single one, real works of {single - size.pool:,} more (background) artists are needed"
    if fewest is None:
        return f"Own rank among {size.pool} artists cannot reach q < {alpha} for anybody: {more}."
    if fewest == 1:
        return f"Own rank among {size.pool} artists can find a single imitated artist."
    return f"Own rank among {size.pool} artists can reach q < {alpha} only where at least {fewest} of {size.artists} are imitated; {more}."


def plan(size: Size) -> list[tuple[str, str]]:
    """Questions and answers for a planned audit. Every answer holds for ``size.correlation``."""
    found = [
        (
            "images of one artist resemble each other with a correlation of",
            f"{size.correlation:.2f} ({'measured' if size.measured else 'assumed'})",
        )
    ]
    icc = min(1.0, max(0.0, size.correlation))
    if size.artists >= 2:
        half = accuracy_half_width(ACCURACY, artists=size.artists, images=size.images, icc=icc)
        found += [
            (f"an accuracy of {ACCURACY:.0%} is known to", f"± {100 * half:.1f} points"),
            (
                "artists for ± 5 points",
                f"{artists_for_half_width(ACCURACY, half_width=0.05, images=size.images, icc=icc):,}",
            ),
        ]
    if size.artists >= 2 and size.controls >= 2:
        for share in (0.05, 0.1, 0.2):
            power = gap_power(share, 0.01, artists=size.artists, controls=size.controls, images=size.images, icc=icc)
            found.append((f"power to tell {share:.0%} from controls at 1 %", f"{power:.0%}"))
    for share in (0.1, 0.5) if size.artists >= 2 and size.pool >= size.artists else ():
        power = own_rank_power(
            CLEAR_EFFECT,
            artists=size.artists,
            imitated=max(1, round(share * size.artists)),
            pool=size.pool,
            images=size.images,
            icc=icc,
            audits=200,
            rng=np.random.default_rng(0),
        )
        found.append((f"imitated artists that own rank finds, where {share:.0%} are imitated clearly", f"{power:.0%}"))
    found.append(("matching of each artist", own_rank_in_reach(size)))
    return found
