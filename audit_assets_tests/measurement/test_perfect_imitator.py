"""The positive control: near the whole audit run again, blind where the encoder is blind, and stated where it cannot run."""

from typing import Any

import numpy as np
import pytest

from audit_assets.measurement.own_cell import OwnCells, own_cell
from audit_assets.measurement.perfect_imitator import Halves, halves, perfect_imitator
from audit_assets.measurement.similarities import Similarities, centred_lengths
from audit_assets.measurement.worlds import DrawnWorld, World, draw


def imitator(drawn: DrawnWorld, **given: Any) -> Any:
    matrix, own = drawn.cells()
    of_works = {name: given.pop(name, None) for name in ("groups", "weights")}
    split = halves(drawn.artist, np.arange(drawn.audited), images=10, seed=1, **of_works)
    return perfect_imitator(matrix, own, drawn.works, split, **({"needed_p": 0.05} | given))


def audit_run_again(drawn: DrawnWorld, matrix: Similarities, own: OwnCells, split: Halves, artist: int) -> float:
    """Median p over the splits, from the whole test on the whole matrix with row and column replaced."""
    p = []
    for row in range(artist * split.splits, (artist + 1) * split.splits):
        works, images = matrix.mean_works.copy(), matrix.mean_images.copy()
        works[own.rows[artist]] = (split.works[[row]] @ drawn.works)[0]
        images[own.columns[artist]] = (split.images[[row]] @ drawn.works)[0]
        p.append(own_cell(works @ images.T, centred_lengths(works), own).p_value[artist])
    return float(np.median(p))


@pytest.mark.parametrize(
    ("world", "apart"),
    [
        (World(work_alike=0.1), 0.05),
        (World(work_alike=0.05, audited=5), 0.05),
        (World(work_alike=0.1, shape="anisotropic", works=7), 0.05),
        (World(work_alike=0.1, background=5, names=20), 0.1),
    ],
)
def test_the_closed_form_is_near_the_whole_audit_run_again(world: World, apart: float) -> None:
    for seed in range(6):
        drawn = draw(world, np.random.default_rng(seed))
        matrix, own = drawn.cells()
        split = halves(drawn.artist, np.arange(world.audited), images=10, seed=1)
        found = perfect_imitator(matrix, own, drawn.works, split, needed_p=0.05)
        for a in range(min(2, world.audited)):
            assert found.p_value[a] == pytest.approx(audit_run_again(drawn, matrix, own, split, a), abs=apart, rel=0.1)


def test_a_perfect_imitator_is_seen_by_an_encoder_that_sees_hands_and_by_no_other() -> None:
    seen = np.mean([imitator(draw(World(), np.random.default_rng([1, i]))).auditable[0] for i in range(40)])
    blind = np.mean(
        [imitator(draw(World(work_alike=0.0), np.random.default_rng([2, i]))).auditable[0] for i in range(40)]
    )
    assert seen >= 0.95
    assert blind <= 0.05


def test_nobody_else_decides_whether_an_artist_is_auditable() -> None:
    """With one more artist in the background, whatever the artist's works, the audit still sees a perfect imitator."""
    world = World(work_alike=0.2)
    for seed in range(10):
        drawn = draw(world, np.random.default_rng([3, seed]))
        before = imitator(drawn)
        rng = np.random.default_rng([4, seed])
        for kind in ("twin", "mixed", "one work"):
            more = {
                "twin": drawn.works[drawn.artist == 0] + 0.3 * rng.normal(size=(10, 48)) / np.sqrt(48),
                "mixed": drawn.works[rng.choice(len(drawn.works), 4, replace=False)] + 1e-3,
                "one work": rng.normal(size=(1, 48)),
            }[kind]
            more = more / np.linalg.norm(more, axis=1, keepdims=True)
            larger = DrawnWorld(
                np.vstack([drawn.works, more]), np.append(drawn.artist, np.full(len(more), 21)), drawn.series, drawn.images,
                drawn.name, drawn.imitated, np.zeros(22, dtype=np.int64), drawn.origin_of_name,
            )  # fmt: skip
            after = imitator(larger)
            assert after.auditable[0] or not before.auditable[0], kind


def test_too_few_independent_works_are_a_stated_result() -> None:
    drawn = draw(World(audited=3), np.random.default_rng(5))
    groups = np.arange(len(drawn.artist))
    groups[:10] = [0, 0, 0, 0, 1, 1, 1, 2, 2, 3]
    groups[10:20] = [10, 10, 10, 10, 10, 11, 12, 13, 14, 15]
    found = imitator(drawn, groups=groups)
    assert found.independent.tolist() == [4, 6, 10]
    assert found.reason[0].startswith("The artist has 4 independent works; a perfect imitator needs 6. 2 more works")
    assert found.reason[1:] == ("", "")
    assert not found.auditable[0]
    assert np.isnan([found.p_value[0], found.called[0]]).all()
    assert found.stand_ins.tolist() == [0, 3, 5]
    assert found.remain.tolist() == [0, 3, 5]


def test_works_of_a_series_stay_on_one_side_and_no_more_stand_in_than_the_audit_shows() -> None:
    artist, groups = np.repeat([0, 1], 12), np.repeat(np.arange(12), 2)
    artist_of_nobody = np.append(artist, -1)
    split = halves(artist_of_nobody, [1, 0], images=2, seed=3, groups=np.append(groups, 99))
    assert split.independent.tolist() == [6, 6]
    assert split.stand_ins.tolist() == [2, 2]
    assert split.remain.tolist() == [4, 4]
    for side, count in ((split.images, 4), (split.works, 8)):
        dense = side.toarray()
        np.testing.assert_allclose(dense.sum(axis=1), 1)
        assert (np.count_nonzero(dense, axis=1) == count).all()
        assert (dense[:, 0:24:2] == dense[:, 1:24:2]).all()
        assert (dense[:, 24] == 0).all()
    assert (split.images.toarray() * split.works.toarray() == 0).all()
    alone = halves(artist, [1], images=2, seed=3, groups=groups)
    assert (alone.images.toarray() == split.images.toarray()[:9, :24]).all()
    assert len(np.unique(alone.images.toarray(), axis=0)) > 3


def test_weights_count_copies_once_on_either_side() -> None:
    weights = np.array([0.5, 0.5, 1, 1, 1, 1, 1, 0])
    split = halves(np.zeros(8, dtype=int), [0], images=9, seed=0, groups=[0, 0, 2, 3, 4, 5, 6, 7], weights=weights)
    assert split.independent[0] == 6
    dense = split.images.toarray() + split.works.toarray()
    np.testing.assert_allclose(dense[:, :2], 1 / 6)
    np.testing.assert_allclose(dense[:, 2:7], 1 / 3)
    assert (dense[:, 7] == 0).all()


def test_identification_must_find_the_imitator_too() -> None:
    drawn = draw(World(), np.random.default_rng(6))
    known = np.zeros(len(drawn.works), dtype=bool)
    assert imitator(drawn, identified=known, needed_share=0.0).auditable[0]
    none = imitator(drawn, identified=known, needed_share=0.3)
    assert not none.auditable[0]
    assert none.identified[0, 0] == none.called[0] == 0
    assert none.p_value[0] <= 0.05
    known[:10] = np.arange(10) < 5
    half = imitator(drawn, identified=known, needed_share=0.3)
    assert half.auditable[0]
    assert 0.3 <= half.identified[0, 0] <= 0.7


def test_an_imitator_must_pass_every_rank_of_identification() -> None:
    drawn = draw(World(), np.random.default_rng(6))
    known = np.ones((2, len(drawn.works)), dtype=bool)
    known[1, :10] = False
    for needed, called in ((np.array([[0.8], [0.0]]), 1), (np.array([[0.0], [0.3]]), 0)):
        found = imitator(drawn, needed_p=1.0, identified=known, needed_share=needed)
        assert found.identified.tolist() == [[1.0], [0.0]]
        assert found.called[0] == called


def test_copies_of_a_work_that_is_identified_do_not_make_an_imitator_identified() -> None:
    """Two of six works are identified, in twenty copies each: three of the six stand in, so two of three are identified at most."""
    drawn = draw(World(works=44), np.random.default_rng(6))
    groups, weights = np.arange(len(drawn.artist)), np.ones(len(drawn.artist))
    groups[:40], weights[:40] = np.repeat([0, 1], 20), 1 / 20
    known = np.arange(len(drawn.artist)) < 40
    found = imitator(drawn, groups=groups, weights=weights, needed_p=1.0, identified=known, needed_share=0.8)
    assert found.independent[0] == 6
    assert found.identified[0, 0] == pytest.approx([1 / 3, 2 / 3][int(found.identified[0, 0] > 0.5)])
    assert found.called[0] == 0


def test_a_decision_that_needs_a_smaller_p_makes_fewer_artists_auditable() -> None:
    called = [
        imitator(draw(World(work_alike=0.15), np.random.default_rng([7, i])), needed_p=needed).called[0]
        for needed in (0.05, 1e-3, 1e-9) for i in range(10)
    ]  # fmt: skip
    strict, stricter, never = np.reshape(called, (3, 10)).mean(axis=1)
    assert strict > stricter > never == 0


def test_without_an_own_cell_or_names_to_compare_with_nothing_could_be_seen() -> None:
    few = imitator(draw(World(names=6), np.random.default_rng(8)))
    assert "4 more control names would settle it" in few.reason[0]
    assert not few.auditable[0]
    drawn = draw(World(audited=2, origins=2, names=40), np.random.default_rng(9))
    matrix, _ = drawn.cells()
    own = OwnCells(np.array([0, -1]), np.array([0, -1]), ("", "The name has 0 shown images and needs 5."))
    split = halves(drawn.artist, [0, 1], images=10, seed=0)
    found = perfect_imitator(matrix, own, drawn.works, split, needed_p=0.05, stratum=drawn.origin_of_name)
    assert found.reason[1].startswith("The name has 0 shown images")
    assert found.reason[0] == ""
    with pytest.raises(ValueError, match="the same artists and works"):
        perfect_imitator(matrix, own, drawn.works[:-1], split, needed_p=0.05)
    with pytest.raises(ValueError, match="one per column"):
        perfect_imitator(matrix, own, drawn.works, split, needed_p=0.05, stratum=[0])
    with pytest.raises(ValueError, match="odd number"):
        halves(drawn.artist, [0], images=10, seed=0, splits=4)
    with pytest.raises(ValueError, match="one of each per work"):
        halves(drawn.artist, [0], images=10, seed=0, groups=[0])
