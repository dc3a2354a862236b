"""Reference images: the share of nearness that is kept, and its rank among those of artists of whom nothing is claimed."""

import numpy as np
import pytest

from audit_assets.measurement.answers import NO, UNTESTED, YES
from audit_assets.measurement.uploads import beside_uploads, kept

AXES = np.eye(4)


def unit(*values: float) -> np.ndarray:
    return np.asarray(values) / np.linalg.norm(values)


def test_images_that_are_the_given_works_keep_all_and_images_of_another_hand_nothing() -> None:
    given = np.stack([unit(2, 0, 1, 0), unit(2, 0, 0, 1)])
    assert kept(given, given, AXES[0], AXES[1]) == pytest.approx(1)
    assert kept(given, np.stack([AXES[2], AXES[3]]), AXES[0], AXES[1]) == pytest.approx(0)
    assert kept(given, np.stack([unit(1, 1, 0, 0)] * 2), AXES[0], AXES[1]) == pytest.approx(0)
    assert kept(given, np.stack([AXES[0]] * 2), AXES[0], AXES[1]) > 1


def test_works_that_are_not_nearer_to_the_artist_leave_nothing_to_keep() -> None:
    assert np.isnan(kept(AXES[1:2], AXES[:1], AXES[0], AXES[1]))
    assert np.isnan(kept(np.zeros((0, 4)), np.zeros((0, 4)), AXES[0], AXES[1]))


def test_one_work_belongs_to_each_image() -> None:
    with pytest.raises(ValueError, match="one work per image"):
        kept(AXES[:1], AXES[:2], AXES[0], AXES[1])


def test_an_artist_who_keeps_more_than_all_others_passes() -> None:
    found = beside_uploads(0.9, 10, np.linspace(0, 0.8, 19), level=0.05)
    assert (found.finding.answer, found.p_value, found.reached) == (YES, 0.05, 0)


def test_an_artist_who_keeps_what_anybody_keeps_does_not() -> None:
    found = beside_uploads(0.8, 10, np.linspace(0, 0.8, 19), level=0.05)  # a tie counts against the artist
    assert (found.finding.answer, found.p_value) == (NO, 0.1)


@pytest.mark.parametrize(
    ("own", "shown", "others", "reason", "settle"),
    [
        (0.9, 4, 19, "4 shown images", "1 more"),
        (np.nan, 10, 19, "no nearer to the artist's other works", "More works"),
        (0.9, 10, 18, "18 other artists", "1 more artists"),
        (0.9, 10, 0, "0 other artists", "19 more artists"),
    ],
)
def test_what_cannot_be_told_says_why(own: float, shown: int, others: int, reason: str, settle: str) -> None:
    found = beside_uploads(own, shown, np.zeros(others), level=0.05).finding
    assert found.answer == UNTESTED
    assert reason in found.reason
    assert settle in found.settle


def test_artists_without_a_share_are_no_controls() -> None:
    assert beside_uploads(0.9, 10, [np.nan, *np.zeros(19)], level=0.05).controls == 19


def test_the_level_is_kept_if_the_artist_is_like_the_others() -> None:
    rng = np.random.default_rng(0)
    shares = rng.standard_t(2, (4_000, 40))
    passed = sum(beside_uploads(own[0], 10, own[1:], level=0.05).finding.answer == YES for own in shares)
    assert passed / 4_000 <= 0.06
