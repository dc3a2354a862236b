"""Mean cosines: the same as over all pairs, and nothing that is blank or weightless counts."""

import numpy as np
import pytest

from audit_assets.measurement import similarities as module
from audit_assets.measurement.similarities import similarities
from audit_assets_tests.measurement.worlds import unit


def test_similarities_are_means_over_all_pairs_of_works_and_shown_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", 7)
    rng = np.random.default_rng(0)
    works, artist = unit(rng.normal(size=(40, 8))), rng.integers(-1, 5, size=40)
    images, name = unit(rng.normal(size=(60, 8))), rng.integers(-1, 6, size=60)
    shown = rng.random(60) < 0.8
    found = similarities(works, artist, images, name, pool=5, names=6, shown=shown, fewest_images=1)
    for a in range(5):
        for s in range(6):
            pairs = works[artist == a] @ images[(name == s) & shown].T
            assert found.similarity[found.row_of[a], found.column_of[s]] == pytest.approx(pairs.mean(), abs=1e-14)
    assert found.works.tolist() == [int((artist == a).sum()) for a in range(5)]
    assert found.images.tolist() == [int(((name == s) & shown).sum()) for s in range(6)]
    expected = [works[artist == a].mean(axis=0) for a in range(5)]
    np.testing.assert_allclose(found.lengths(), np.linalg.norm(expected - np.mean(expected, axis=0), axis=1))


def test_copies_of_a_work_that_share_its_weight_change_nothing() -> None:
    rng = np.random.default_rng(1)
    works, artist = unit(rng.normal(size=(6, 8))), np.array([0, 0, 0, 1, 1, 1])
    images, name = unit(rng.normal(size=(10, 8))), np.repeat([0, 1], 5)
    once = similarities(works, artist, images, name, pool=2, names=2)
    copied = similarities(
        works[[0, 0, 0, *range(1, 6)]], artist[[0, 0, 0, *range(1, 6)]], images, name, pool=2, names=2,
        weights=[1 / 3, 1 / 3, 1 / 3, 1, 1, 1, 1, 1],
    )  # fmt: skip
    np.testing.assert_allclose(copied.similarity, once.similarity, atol=1e-15)
    weightless = similarities(works, artist, images, name, pool=2, names=2, weights=[1, 1, 1, 0, 0, 0])
    assert weightless.row_of.tolist() == [0, -1]


def test_half_precision_embeddings_are_taken_as_they_are() -> None:
    rng = np.random.default_rng(2)
    works = unit(rng.normal(size=(20, 64))).astype(np.float16)
    found = similarities(works, np.arange(20) % 4, works, np.arange(20) % 4, pool=4, names=4)
    assert found.similarity.dtype == np.float64
    assert found.similarity[0, 0] == pytest.approx((works[::4].astype(float) @ works[::4].astype(float).T).mean())


def test_what_cannot_be_compared_is_refused() -> None:
    two, three = unit(np.ones((5, 2))), unit(np.ones((5, 3)))
    who = np.zeros(5, dtype=int)
    with pytest.raises(ValueError, match="2 and 3 dimensions"):
        similarities(two, who, three, who, pool=1, names=1)
    with pytest.raises(ValueError, match="pass one per row"):
        similarities(two[:4], who, two, who, pool=1, names=1)
    with pytest.raises(ValueError, match="finite numbers of 0 or more"):
        similarities(two, who, two, who, pool=1, names=1, weights=[-1] * 5)
    with pytest.raises(ValueError, match="one image or more"):
        similarities(two, who, two, who, pool=1, names=1, fewest_images=0)
    with pytest.raises(ValueError, match="not 1"):
        similarities(two * 2, who, two, who, pool=1, names=1)
