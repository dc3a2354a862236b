"""Unprompted leakage in worlds whose truth is known: a house style, none, and what cannot be told."""

import numpy as np
import pytest

from audit_assets.measurement.answers import NO, UNTESTED, YES
from audit_assets.measurement.leakage import Leak, leak

NAMES, ARTISTS = 99, 5


def world(
    house: float, *, names: int = NAMES, images: int = 10, seed: int = 1
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Images of invented names fall to the first artist with the probability `house`, else to any label by chance."""
    rng = np.random.default_rng(seed)
    labels = ARTISTS + names
    fell = np.zeros((names, labels), dtype=int)
    for prompt in range(names):
        for _ in range(images):
            fell[prompt, 0 if rng.random() < house else rng.integers(labels)] += 1
    own = np.r_[np.full(ARTISTS, -1), np.arange(names)]
    return fell, np.full(names, images), own, np.arange(ARTISTS, labels)


def of(house: float, label: int = 0, works: int = 0, **more: int) -> Leak:
    """The encoder takes `works` of 200 works by 40 other artists for this artist's, one of each artist first."""
    fell, shown, own, controls = world(house, **more)
    return leak(fell, shown, own, label, controls, works=(spread(works), np.full(40, 5)))


def spread(works: int) -> np.ndarray:
    return np.bincount(np.arange(works) % 40, minlength=40)


def test_an_artist_whom_every_prompt_yields_is_found_and_no_other() -> None:
    assert of(0.4).finding.answer == YES
    assert [of(0.4, label).finding.answer for label in range(1, ARTISTS)] == [NO] * (ARTISTS - 1)


def test_no_artist_is_found_if_labels_are_taken_by_chance() -> None:
    found = of(0.0)
    assert found.finding.answer == NO
    assert found.high < 0.05


def test_a_share_on_the_margin_is_told_with_more_images_alone() -> None:
    assert of(0.04, names=60).finding.answer == UNTESTED
    assert of(0.2, names=60).finding.answer == YES


def test_too_few_invented_names_tell_nothing() -> None:
    found = of(0.9, names=48).finding
    assert found.answer == UNTESTED
    assert found.settle == "1 more control names."


def test_no_image_tells_nothing() -> None:
    _, _, own, controls = world(0.0)
    found = leak(np.zeros((0, ARTISTS + NAMES)), np.zeros(0), np.full(len(own), -1), 0, controls)
    assert found.finding.answer == UNTESTED
    assert np.isnan(found.share)


def test_an_encoder_that_takes_all_art_for_this_artists_is_no_evidence() -> None:
    found = of(0.4, works=90).finding
    assert found.answer == UNTESTED
    assert "encoder's habit" in found.reason
    assert of(0.4, works=4).finding.answer == YES


def test_works_that_are_all_of_one_artist_count_as_one_habit() -> None:
    """Eighteen works of one artist whom the encoder confuses with this one say less of all art than two works of each of nine artists."""
    fell, shown, own, controls = world(0.22)
    of_each = np.full(11, 18)
    together, apart = np.r_[18, np.zeros(10, dtype=int)], np.r_[np.full(9, 2), 0, 0]
    assert leak(fell, shown, own, 0, controls, works=(together, of_each)).finding.answer == UNTESTED
    assert leak(fell, shown, own, 0, controls, works=(apart, of_each)).finding.answer == YES


@pytest.mark.parametrize("others", [0, 1])
def test_without_works_of_others_the_encoders_habit_is_not_known(others: int) -> None:
    fell, shown, own, controls = world(0.4)
    found = leak(fell, shown, own, 0, controls, works=([0] * others, [50] * others)).finding
    assert found.answer == UNTESTED
    assert f"works of {others} other artists do not show" in found.reason


def test_the_own_images_of_a_name_do_not_count_for_its_label() -> None:
    fell, shown, own, controls = world(0.0)
    fell[:, :] = 0
    fell[np.arange(NAMES), controls] = 10  # each invented name is found again, and nothing leaks
    found = leak(fell, shown, own, 0, controls)
    assert found.expected == 0.0
    assert (found.images, found.fell) == (990, 0)


def test_one_prompt_has_an_exact_interval() -> None:
    fell = np.zeros((1, ARTISTS + NAMES), dtype=int)
    fell[0, 0] = 60
    found = leak(
        fell,
        [100],
        np.full(ARTISTS + NAMES, -1),
        0,
        np.arange(ARTISTS, ARTISTS + NAMES),
        works=(spread(1), np.full(40, 5)),
    )
    assert (found.low, found.high) == pytest.approx((0.4972, 0.6967), abs=1e-3)
    assert found.finding.answer == YES


def test_more_images_of_a_prompt_than_were_shown_are_refused() -> None:
    with pytest.raises(ValueError, match="count them again"):
        leak(np.full((1, 3), 2), [5], [-1, -1, -1], 0, [1, 2])
