"""Before anyone pays for the images: how many artists, images and background artists does an audit take?

Everything here takes the intra-artist correlation (ICC) as an input; ``intervals.intra_subject_correlation`` measures
it in an audit that exists. Casper et al. (2023) chose 70 artists and ten images without saying for what effect.
"""

from collections.abc import Callable

import numpy as np
from scipy import stats

from audit_assets.measurement.intervals import wilson_interval
from audit_assets.measurement.multiplicity import benjamini_hochberg

LARGEST_AUDIT = 1_000_000


def expected_design_effect(images: int, icc: float) -> float:
    """1 + (images - 1) x ICC: what ten images of one artist are worth (Kish 1965, *Survey sampling*, section 5.4)."""
    if images < 1 or not 0 <= icc <= 1:
        raise ValueError(f"{images} images at an ICC of {icc}; pass at least one image and an ICC between 0 and 1.")
    return 1 + (images - 1) * icc


def accuracy_half_width(share: float, *, artists: int, images: int, icc: float, confidence: float = 0.95) -> float:
    """Expected half width of the interval of an accuracy (``intervals.wilson_clustered``).

    At 81 %, 70 artists x 10 images: 2.9 points at ICC 0, 6.8 at 0.5. Raises ValueError on impossible arguments.
    """
    if artists < 2 or not 0 <= share <= 1:
        raise ValueError(
            f"{artists} artists and a share of {share}; pass at least two artists, a share between 0 and 1."
        )
    effective = artists * images / expected_design_effect(images, icc)
    low, high = wilson_interval(share, effective, float(stats.t.ppf((1 + confidence) / 2, artists - 1)))
    return (high - low) / 2


def artists_for_half_width(share: float, *, half_width: float, images: int, icc: float) -> int:
    """Smallest number of artists whose accuracy is known to ``half_width`` (a share: 0.05 = 5 points).

    Raises ValueError where more than a million artists would be needed.
    """
    return _smallest(lambda artists: accuracy_half_width(share, artists=artists, images=images, icc=icc) <= half_width)


def gap_power(
    share: float, control: float, *, artists: int, controls: int, images: int, icc: float, alpha: float = 0.05
) -> float:
    """Power of a two-sided test that artists are identified more often than controls, clustered, normal approximation.

    Donner and Klar (2000, *Design and analysis of cluster randomization trials*, section 5.2.1): two independent
    shares, each with its binomial variance times the design effect. Raises ValueError on impossible arguments.
    """
    if artists < 2 or controls < 2 or not (0 <= share <= 1 and 0 <= control <= 1):
        raise ValueError("Pass at least two artists and two controls, and shares between 0 and 1.")
    effect = expected_design_effect(images, icc)
    variance = effect * (share * (1 - share) / artists + control * (1 - control) / controls) / images
    if variance == 0:
        return float(share != control)
    z = abs(share - control) / np.sqrt(variance)
    critical = stats.norm.ppf(1 - alpha / 2)
    return float(stats.norm.sf(critical - z) + stats.norm.cdf(-critical - z))


def artists_for_gap(share: float, control: float, *, images: int, icc: float, power: float = 0.8) -> int:
    """Smallest number of artists, with as many controls, that shows a gap with the power asked. See ``gap_power``."""
    if share == control:
        raise ValueError("The share equals the control's; no number of artists shows a gap that is not there.")
    return _smallest(lambda n: gap_power(share, control, artists=n, controls=n, images=images, icc=icc) >= power)


def pool_for_own_rank(*, artists: int, imitated: int, alpha: float = 0.05) -> int:
    """Smallest pool (artists and background together) with which q < alpha is within reach of the corrected test.

    With ``imitated`` of ``artists`` tested at the floor 1 / pool, Benjamini-Hochberg makes it artists / (imitated x
    pool). With 3 of 70 imitated that takes a pool of 467; with the 110 of a small background no image could show it.

    Raises ValueError unless 1 <= imitated <= artists and 0 < alpha < 1.
    """
    if not 1 <= imitated <= artists or not 0 < alpha < 1:
        raise ValueError(f"{imitated} of {artists} artists at alpha {alpha}; pass 1 <= imitated <= artists.")
    pool = max(artists, 2, int(artists / (imitated * alpha)) - 1)
    while not artists / (imitated * pool) < alpha:
        pool += 1
    return pool


def reliability(observations: int, icc: float) -> float:
    """Squared correlation of the mean of some observations with the mean of infinitely many.

    Spearman (1910) and Brown (1910, *British Journal of Psychology* 3): n ICC / (1 + (n - 1) ICC). An artist's mean
    imitation of ten images at an ICC of 0.3 has 0.81.
    """
    return observations * icc / expected_design_effect(observations, icc)


def own_rank_power(
    effect: float,
    *,
    artists: int,
    imitated: int,
    pool: int,
    images: int,
    icc: float,
    audits: int,
    rng: np.random.Generator,
    alpha: float = 0.05,
) -> float:
    """Share of imitated artists that the corrected test finds (q < alpha), by simulated ranks.

    ``effect``: how far an imitated artist's own works stand above the works of others in the centred similarity, in
    standard deviations of the latter, were there infinitely many images. With ``images`` it shrinks by the square
    root of their ``reliability``. Others are normal, so that given its own value an artist's rank less 1 is binomial.

    Raises ValueError on impossible numbers.
    """
    if not 1 <= imitated <= artists <= pool or pool < 2 or audits < 1:
        raise ValueError(
            f"{imitated} imitated of {artists} artists in a pool of {pool}; pass imitated <= artists <= pool."
        )
    shrunk = effect * np.sqrt(reliability(images, icc))
    own = rng.normal(size=(audits, artists)) + shrunk * (np.arange(artists) < imitated)
    above = rng.binomial(pool - 1, stats.norm.sf(own))
    found = [benjamini_hochberg(p)[:imitated] < alpha for p in (1 + above) / pool]
    return float(np.mean(found))


def _smallest(enough: Callable[[int], bool]) -> int:
    high = 2
    while not enough(high):
        high *= 2
        if high > LARGEST_AUDIT:
            raise ValueError("More than a million artists would be needed; ask for less precision or power.")
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
