"""A plan says what is out of reach before the images are made, and agrees with the tests that come after them."""

import numpy as np
import pytest

from audit_assets.measurement.multiplicity import benjamini_hochberg
from audit_assets.measurement.planning import Size, fewest_imitated, own_rank_in_reach, plan


@pytest.mark.parametrize(("artists", "pool"), [(70, 110), (70, 114), (8, 118), (70, 1401), (10, 100), (250, 5001)])
def test_the_fewest_imitated_artists_are_those_that_benjamini_and_hochberg_let_pass(artists: int, pool: int) -> None:
    def passes(imitated: int) -> bool:
        p = np.r_[np.full(imitated, 1 / pool), np.ones(artists - imitated)]
        return bool((benjamini_hochberg(p)[:imitated] < 0.05).all())

    assert fewest_imitated(artists=artists, pool=pool) == next(n for n in range(1, artists + 1) if passes(n))


def test_a_pool_that_is_too_small_is_said_before_anything_is_made() -> None:
    three_of_seventy = own_rank_in_reach(Size(70, 70, 10, 110, 0.5, False))
    assert "at least 13 of 70" in three_of_seventy
    assert "1,291 more" in three_of_seventy
    assert "cannot reach" in own_rank_in_reach(Size(8, 8, 10, 15, 0.5, False))
    assert "single imitated artist" in own_rank_in_reach(Size(8, 8, 10, 200, 0.5, False))
    assert "No artist" in own_rank_in_reach(Size(0, 8, 10, 0, 0.5, False))


def test_a_plan_says_that_a_few_imitated_artists_are_out_of_reach_of_a_small_pool() -> None:
    def found(pool: int) -> list[str]:
        return [a for q, a in plan(Size(70, 70, 10, pool, 0.5, True)) if q.startswith("imitated artists")]

    few, many = found(110)
    assert few == "0%"  # 7 of 70 at the floor of 1 / 110 have q = 0.09
    assert int(many.rstrip("%")) > 30
    assert int(found(2000)[0].rstrip("%")) > 20


def test_a_plan_repeats_the_papers_precision() -> None:
    answers = dict(plan(Size(70, 70, 10, 110, 0.5, True)))
    assert answers["an accuracy of 80% is known to"] == "± 7.0 points"
    assert answers["images of one artist resemble each other with a correlation of"] == "0.50 (measured)"
