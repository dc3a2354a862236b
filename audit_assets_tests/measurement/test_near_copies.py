"""Copies of a work are found, count once, and are told apart from works that are merely alike."""

import hashlib

import numpy as np
import pytest

from audit_assets.measurement import near_copies as module
from audit_assets.measurement.near_copies import (
    contaminated,
    independent_groups,
    near_copies,
    order_of,
    same_pictures,
    shared_between,
    shared_share,
    weights_of,
)
from audit_assets.measurement.vectors import FloatArray
from audit_assets_tests.measurement.worlds import artists_world, unit

ZERO = np.zeros(64)


def key(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def copied(rng: np.random.Generator) -> FloatArray:
    """Forty works of ten artists; work 5 is work 0 again, 9 is 5 again, 30 is 20 again, each a little changed."""
    works = artists_world(rng, artists=10, each=4)[0]
    works[[5, 9, 30]] = works[[0, 0, 20]]
    works[[5, 9, 30]] += rng.normal(size=(3, 64)) * 0.01
    return unit(works)


def test_copies_form_groups_and_works_of_one_artist_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    works = copied(np.random.default_rng(0))
    found = near_copies(works, centre=works.mean(axis=0))
    assert found.groups() == [[0, 5, 9], [20, 30]]
    assert found.pairs.tolist() == [[0, 5], [0, 9], [5, 9], [20, 30]]
    assert (found.cosine > 0.98).all()
    monkeypatch.setattr(module, "BLOCK", 7)
    again = near_copies(works, centre=works.mean(axis=0))
    assert again.pairs.tolist() == found.pairs.tolist()


def test_equal_files_and_pictures_of_almost_equal_colours_are_one_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(0)
    pictures = draw.integers(0, 256, (12, 768), dtype=np.uint8)
    pictures[5] = pictures[0] // 2  # darker
    pictures[9] = np.clip(pictures[5] + draw.integers(-2, 3, 768), 0, 255)
    pictures[[3, 4]] = 77  # of one colour
    keys = [key(str(i)) for i in (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 2, 11)]
    of = same_pictures([p.tobytes() for p in pictures], keys)
    assert of.tolist() == [0, 1, 2, 3, 4, 0, 5, 6, 7, 0, 2, 8]
    monkeypatch.setattr(module, "BLOCK", 5)
    assert (same_pictures([p.tobytes() for p in pictures], keys) == of).all()
    assert same_pictures([], []).tolist() == []
    with pytest.raises(ValueError, match="one per picture"):
        same_pictures([b"1"], [])


def test_a_chain_of_copies_is_one_group_though_its_ends_differ() -> None:
    angles = np.arccos(0.98) * np.arange(4)
    chain = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    found = near_copies(chain, centre=[0, 0])
    assert found.pairs.tolist() == [[0, 1], [1, 2], [2, 3]]
    assert found.groups() == [[0, 1, 2, 3]]


def test_unrelated_works_of_an_encoder_with_a_large_common_part_are_no_copies() -> None:
    rng = np.random.default_rng(1)
    works = unit(rng.normal(size=(200, 64)) * 0.05 + 1)
    assert (works @ works.T).min() > module.THRESHOLD
    assert near_copies(works, centre=works.mean(axis=0)).groups() == []


def test_equal_files_are_copies_whatever_their_embeddings() -> None:
    works = unit(np.random.default_rng(2).normal(size=(5, 64)))
    found = near_copies(works, [key("a"), key("b"), key("a"), key("c"), key("a")], centre=ZERO)
    assert found.groups() == [[0, 2, 4]]
    assert found.cosine.tolist() == [1, 1]


def test_copies_count_as_one_work_of_each_artist_who_has_them() -> None:
    works = copied(np.random.default_rng(3))
    artist = np.repeat(np.arange(10), 4)
    artist[5] = 0
    found = near_copies(works, centre=ZERO)
    weights = weights_of(found, artist)
    assert weights[[0, 5]].tolist() == [0.5, 0.5]
    assert weights[9] == 1
    sums = np.bincount(artist, weights=weights)
    assert sums[0] == 4
    assert shared_between(found, artist) == [(0, 2), (5, 7)]
    assert shared_share(found, artist) == 5 / 40


def test_works_all_the_same_are_one_work() -> None:
    works = np.repeat(unit(np.ones((1, 64))), 6, axis=0)
    found = near_copies(works, centre=ZERO)
    assert found.groups() == [list(range(6))]
    assert weights_of(found, np.zeros(6)).sum() == pytest.approx(1)


def test_a_work_that_is_an_image_of_the_model_is_found_by_sight_or_by_file() -> None:
    rng = np.random.default_rng(4)
    works, images = unit(rng.normal(size=(6, 64))), unit(rng.normal(size=(9, 64)))
    works[2] = unit(images[4] + rng.normal(size=64) * 0.01)
    nearest, cosine = contaminated(works, images, centre=ZERO)
    assert nearest.tolist() == [-1, -1, 4, -1, -1, -1]
    assert cosine[2] > 0.99
    assert (np.delete(cosine, 2) < 0.9).all()
    keys = [key(f"work {i}") for i in range(5)] + [key("image 7")]
    by_file, ones = contaminated(
        works, images, work_keys=keys, image_keys=[key(f"image {i}") for i in range(9)], centre=ZERO
    )
    assert by_file.tolist() == [-1, -1, 4, -1, -1, 7]
    assert ones[5] == 1
    assert contaminated(works, np.zeros((0, 64)), centre=ZERO)[0].tolist() == [-1] * 6
    labels = ([0, 0, 1, 1, 2, 2], [0, 0, 0, 1, 1, 1, 3, 3, 3])
    assert contaminated(works, images, within=labels, centre=ZERO)[0].tolist() == [-1, -1, 4, -1, -1, -1]
    apart = ([0, 0, 0, 1, 2, 2], labels[1])
    without, cosines = contaminated(works, images, within=apart, centre=ZERO)
    assert without.tolist() == [-1] * 6
    assert cosines[4:].tolist() == [-1, -1]
    with pytest.raises(ValueError, match="one per work and per image"):
        contaminated(works, images, within=([0], [0]), centre=ZERO)


def test_works_that_share_a_series_or_a_copy_are_one_group() -> None:
    copies, series = np.array([0, 1, 0, 2, 3, 4]), np.array([-1, 7, 7, -1, -1, 2])
    assert independent_groups(copies).tolist() == [0, 1, 0, 2, 3, 4]
    assert independent_groups(copies, series).tolist() == [0, 0, 0, 1, 2, 3]
    assert independent_groups(np.full(3, -1)).tolist() == [0, 1, 2]
    assert independent_groups(np.zeros(0, dtype=int)).tolist() == []
    with pytest.raises(ValueError, match="one label per work"):
        independent_groups([0], [0, 1])


def test_works_are_taken_in_the_order_of_their_hash_and_not_of_their_name() -> None:
    keys = [key(str(i)) for i in range(20)]
    order = order_of(keys)
    assert [keys[i] for i in order] == sorted(keys)
    shuffled = np.random.default_rng(5).permutation(20)
    again = order_of([keys[i] for i in shuffled])
    assert shuffled[again].tolist() == order.tolist()
    with pytest.raises(ValueError, match="64 hexadecimal digits"):
        order_of(["01.jpg"])


def test_what_cannot_be_compared_is_refused() -> None:
    works = unit(np.ones((2, 4)))
    with pytest.raises(ValueError, match="one per work"):
        near_copies(works, ["a"], centre=np.zeros(4))
    with pytest.raises(ValueError, match="one per dimension"):
        near_copies(works, centre=np.zeros(3))
    with pytest.raises(ValueError, match="up to 1"):
        near_copies(works, centre=np.zeros(4), threshold=1.5)
    with pytest.raises(ValueError, match="pass 5 finite numbers"):
        contaminated(works, unit(np.ones((2, 5))), centre=np.zeros(4))
    with pytest.raises(ValueError, match="one key per work"):
        contaminated(works, works, work_keys=["a"], image_keys=["b", "c"], centre=np.zeros(4))
