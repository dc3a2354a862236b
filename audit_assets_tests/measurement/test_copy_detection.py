"""Near copies are found, images in the style of an artist are not called copies, and without a background nothing is promised."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from audit_assets.measurement.copy_detection import (
    LEAST_SCORE,
    RATE,
    Nearest,
    Threshold,
    is_copy,
    nearest_embeddings,
    nearest_pictures,
    threshold,
)
from audit_assets.measurement.intervals import exact_binomial
from audit_assets_tests.measurement.planted import PLANTED, grey

FLOOR = Threshold(LEAST_SCORE, 0, 0, 0.0)


@pytest.fixture(scope="module")
def artists(miniature: Path) -> list[list[Image.Image]]:
    """Ten works of each of twelve artists of the miniature, in every second of which ground and layout are the same."""
    folders = sorted(p for p in (miniature / "generated" / "references").iterdir() if p.is_dir())[:24:2]
    return [[Image.open(f).convert("RGB") for f in sorted(folder.glob("*.png"))] for folder in folders]


def test_planted_copies_of_real_works_are_found_with_the_work_that_they_copy(artists: list[list[Image.Image]]) -> None:
    works = [work for own in artists for work in own]
    draw = np.random.default_rng(5)
    origin = draw.integers(0, len(works), (len(PLANTED), 6))
    made = [change(works[i], draw) for change, row in zip(PLANTED.values(), origin, strict=True) for i in row]
    found = nearest_pictures(grey(made), grey(works))
    called = is_copy(found, FLOOR)
    assert called.mean() >= 0.95, dict(zip(PLANTED, called.reshape(origin.shape).mean(axis=1), strict=True))
    assert (found.work == origin.ravel())[called].mean() >= 0.98


def test_another_work_of_the_same_artist_and_noise_are_no_copies(artists: list[list[Image.Image]]) -> None:
    held_out = [own[0] for own in artists]
    works = [work for own in artists for work in own[1:]]
    noise = [Image.fromarray(np.random.default_rng(i).integers(0, 256, (32, 32, 3), dtype=np.uint8)) for i in range(5)]
    flat = [Image.new("RGB", (32, 32), "grey")]
    found = nearest_pictures(grey([*held_out, *noise, *flat]), grey(works))
    assert is_copy(found, FLOOR)[: len(held_out)].sum() <= 1
    assert not is_copy(found, FLOOR)[len(held_out) :].any()


def test_a_work_that_is_there_three_times_is_still_found(artists: list[list[Image.Image]]) -> None:
    works, draw = [work for own in artists for work in own], np.random.default_rng(0)
    again = [PLANTED["colour"](works[3], draw), PLANTED["crop"](works[3], draw)]
    found = nearest_pictures(grey([PLANTED["jpeg"](works[3], draw)]), grey([*works, *again]))
    assert is_copy(found, FLOOR).all()


@pytest.mark.parametrize("times", [4, 12])
def test_a_work_that_is_there_more_often_is_found_if_its_pictures_are_grouped(
    artists: list[list[Image.Image]], times: int
) -> None:
    works, draw = [work for own in artists[:4] for work in own], np.random.default_rng(0)
    again = [works[3].resize((64 + n, 64 + n), Image.Resampling.BICUBIC) for n in range(times - 1)]
    group = np.append(np.arange(len(works)), np.full(times - 1, 3))
    copy, among = grey([PLANTED["crop"](works[3], draw)]), grey([*works, *again])
    order = draw.permutation(len(among))  # the pictures of a work do not lie side by side
    found = nearest_pictures(copy, among[order], groups=group[order])
    assert is_copy(found, FLOOR).all()
    assert group[order][found.work] == 3
    once = nearest_pictures(copy, grey(works))
    np.testing.assert_allclose(found.score, once.score, atol=0.5)
    assert (nearest_pictures(copy, among).score < LEAST_SCORE).all()


def test_with_groups_the_nearest_picture_of_each_counts_in_any_block(
    artists: list[list[Image.Image]], monkeypatch: pytest.MonkeyPatch
) -> None:
    works = grey([work for own in artists[:4] for work in own])
    group, label = np.arange(len(works)) % 11, np.arange(len(works)) // 10
    whole = nearest_pictures(works[::3], works, groups=group, apart=(label[::3], label))
    monkeypatch.setattr("audit_assets.measurement.copy_detection.WORKS", 7)
    blocks = nearest_pictures(works[::3], works, groups=group, apart=(label[::3], label))
    assert (blocks.work == whole.work).all()
    np.testing.assert_allclose(blocks.score, whole.score, atol=1e-5)
    draw = np.random.default_rng(0)
    images, real = draw.normal(size=(2, 60, 16))
    cosine = np.where(label[:, None] == label[None, :], -1.0, images[:40] @ real[:40].T)
    scale = np.abs(cosine).max() * 2
    found = nearest_embeddings(images[:40] / scale, real[:40], groups=group, apart=(label, label))
    best = np.stack([np.max(cosine[:, group == g], axis=1) for g in range(11)], axis=1)
    best = np.where(best == -1.0, -1.0, best / scale)
    ranked = -np.sort(-best, axis=1)
    np.testing.assert_allclose(found.similarity, ranked[:, 0], rtol=1e-5)
    score = np.log((1.003 - np.maximum(ranked[:, 3], 0)) / (1.003 - ranked[:, 0]))
    np.testing.assert_allclose(found.score, np.maximum(score, 0), atol=1e-5)


def test_an_image_is_not_compared_with_works_of_its_own_label(artists: list[list[Image.Image]]) -> None:
    works = [work for own in artists for work in own[:3]]
    label = np.repeat(np.arange(len(artists)), 3)
    found = nearest_pictures(grey(works), grey(works), apart=(label, label))
    assert (label[found.work] != label).all()
    alone = nearest_pictures(grey(works[:3]), grey(works[:3]), apart=(label[:3], label[:3]))
    assert (alone.work == -1).all()
    assert not is_copy(alone, FLOOR).any()


def test_blocks_change_nothing(artists: list[list[Image.Image]], monkeypatch: pytest.MonkeyPatch) -> None:
    works = grey([work for own in artists[:4] for work in own])
    whole = nearest_pictures(works[::3], works)
    for name, size in (("IMAGES", 5), ("WORKS", 7), ("PAIRS", 11), ("AT_ONCE", 10)):
        monkeypatch.setattr(f"audit_assets.measurement.copy_detection.{name}", size)
    blocks = nearest_pictures(works[::3], works)
    assert (blocks.work == whole.work).all()
    np.testing.assert_allclose(blocks.score, whole.score, atol=1e-5)


def test_embeddings_of_a_copy_detector_are_scored_in_the_same_way() -> None:
    draw = np.random.default_rng(1)
    works = draw.normal(size=(50, 32))
    works /= np.linalg.norm(works, axis=1, keepdims=True)
    copy = works[7] + 0.05 * draw.normal(size=32)
    other = draw.normal(size=32)
    images = np.stack([copy / np.linalg.norm(copy), other / np.linalg.norm(other)])
    found = nearest_embeddings(images, works)
    assert found.work[0] == 7
    assert is_copy(found, FLOOR, least_similarity=0.0).tolist() == [True, False]


@pytest.mark.parametrize("units", [299, 2000])
def test_at_most_one_image_in_a_hundred_is_called_a_copy_if_there_is_none(units: int) -> None:
    """In 95 % of audits the share of scores above the threshold is below the rate, whatever the distribution is."""
    draw = np.random.default_rng(units)
    shares = []
    for _ in range(200):
        at = threshold(LEAST_SCORE + draw.exponential(size=units))
        shares.append(np.exp(-(at.score - LEAST_SCORE)))  # the share of an exponential distribution above the threshold
        assert at.bound <= RATE
        assert at.bound == pytest.approx(exact_binomial(at.above, units, confidence=0.9).high)
    assert np.mean(np.array(shares) > RATE) <= 0.10


def test_without_enough_images_that_cannot_be_copies_no_threshold_is_set() -> None:
    at = threshold(np.zeros(298))
    assert at.score == np.inf
    assert "needs 299" in at.reason
    assert not threshold(np.zeros(299)).reason
    assert threshold(np.zeros(299)).score == LEAST_SCORE
    # Pictures that are the same are copies all the same, and nothing else is.
    found = Nearest(np.array([0, 0]), np.array([0.999, 0.98]), np.array([4.0, 4.0]), np.array([True, False]))
    assert is_copy(found, at).tolist() == [True, False]


def test_same_pictures_among_those_that_cannot_be_copies_count_in_the_bound() -> None:
    scores, same = np.linspace(0, 2, 1000), np.zeros(1000, dtype=bool)
    plain = threshold(scores)
    same[:3] = True  # of low score, but called copies all the same
    few = threshold(scores, same)
    assert few.above == ((scores >= few.score) | same).sum() == plain.above
    assert few.score > plain.score
    assert few.bound <= RATE
    same[:50] = True
    many = threshold(scores, same)
    assert many.above == 50
    assert many.bound == pytest.approx(exact_binomial(50, 1000, confidence=0.9).high)
    assert threshold(scores, np.ones(1000, dtype=bool)).bound == 1.0


def test_scores_without_works_and_bad_labels() -> None:
    pictures = np.zeros((2, 32, 32), dtype=np.uint8)
    none = nearest_pictures(pictures, pictures[:0])
    assert none.work.tolist() == [-1, -1]
    assert not is_copy(none, FLOOR).any()
    with pytest.raises(ValueError, match="one per image and per work"):
        nearest_pictures(pictures, pictures, apart=([0], [0, 1]))
    with pytest.raises(ValueError, match="one per work"):
        nearest_pictures(pictures, pictures, groups=[0])
    with pytest.raises(ValueError, match="NaN"):
        threshold([np.nan])
