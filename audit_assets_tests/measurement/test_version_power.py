"""The power that a plan states is how often the rule of the run calls the declared group moved."""

import numpy as np
import pytest

from audit_assets.measurement.version_power import MOST_DRAWN
from audit_assets.measurement.version_power import power_of_difference_in_differences as power
from audit_assets.measurement.versions import difference_in_differences, log_odds_differences, moved


def by_the_run(effect: float, *, group: int, others: int, images: int, audits: int = 200) -> float:
    """The share of drawn audits in which the run says that the group moved; of 80 % of images, retraining moves each artist by 10 points."""
    rng, found, chosen = np.random.default_rng(1), 0, np.arange(group + others) < group
    m = np.full(len(chosen), images)
    for _ in range(audits):
        later = np.clip(0.8 - effect * chosen + 0.1 * rng.normal(size=len(chosen)), 0, 1)
        y, later_y = rng.binomial(images, 0.8, len(chosen)), rng.binomial(images, later)
        points, log_odds = (
            difference_in_differences(d, chosen, permutations=199, rng=rng)
            for d in ((later_y - y) / images, log_odds_differences(y, m, later_y, m))
        )
        found += bool(moved(points, log_odds, alpha=0.05))
    return found / audits


@pytest.mark.parametrize(
    ("group", "others", "images", "effect"),
    [(1, 69, 5, 0.4), (3, 20, 10, 0.4), (4, 4, 10, 0.4), (20, 3, 10, 0.4), (10, 60, 10, 0.2), (12, 9, 10, 0.2)],
)
def test_the_power_of_a_plan_is_that_of_the_run(group: int, others: int, images: int, effect: float) -> None:
    """By the noncentral t in points alone, 1 beside 69 artists had a power of 42 % in a plan, and 16 % in a run."""
    said = power(effect, group=group, others=others, images=images, share=0.8, movement=0.1)
    assert abs(said - by_the_run(effect, group=group, others=others, images=images)) < 0.1
    assert said == power(effect, group=group, others=others, images=images, share=0.8, movement=0.1)


def test_without_an_effect_the_power_is_at_most_the_level() -> None:
    for group in (2, 8, 12):
        assert power(0.0, group=group, others=32, images=10, share=0.6) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 400)


def test_groups_that_cannot_reach_the_level_have_no_power_and_impossible_ones_are_refused() -> None:
    assert power(0.5, group=3, others=3, images=10, share=0.6) == 0.0
    assert power(0.5, group=1, others=5, images=10, share=0.6) == 0.0
    assert power(0.5, group=1, others=19, images=10, share=0.6) > 0.0
    with pytest.raises(ValueError, match="after the effect"):
        power(0.7, group=8, others=32, images=10, share=0.6)


def test_artists_beyond_a_thousand_are_not_drawn() -> None:
    assert power(0.2, group=9, others=10_000, images=10, share=0.8, movement=0.1) == power(
        0.2, group=9, others=MOST_DRAWN, images=10, share=0.8, movement=0.1
    )
    assert power(0.2, group=5_000, others=5_000, images=10, share=0.8, movement=0.1) == power(
        0.2, group=MOST_DRAWN, others=MOST_DRAWN, images=10, share=0.8, movement=0.1
    )
