"""AUC: plain counts, and the coverage of their intervals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from audit_assets.measurement.effect_sizes import auc_intervals
from audit_assets.measurement.kernels import placements


@given(st.integers(0, 2**32), st.integers(1, 4), st.integers(1, 6), st.integers(1, 9), st.integers(1, 5))
def test_pairs_are_counted_as_a_table_of_all_pairs_counts_them(
    seed: int, works: int, own: int, others: int, levels: int
) -> None:
    """Few levels make many ties, which count half. The own images lie anywhere among the others."""
    rng = np.random.default_rng(seed)
    distances = rng.integers(0, levels, (works, own + others)).astype(float)
    mine = np.sort(rng.permutation(own + others)[:own])
    theirs = np.setdiff1d(np.arange(own + others), mine)
    left, right = distances[:, mine][:, :, None], distances[:, theirs][:, None]
    pairs = 2 * (left < right) + (left == right)
    by_work, by_own, by_image = placements(distances, mine)
    assert by_work.tolist() == pairs.sum(axis=(1, 2)).tolist()
    assert by_own.tolist() == pairs.sum(axis=(0, 2)).tolist()
    assert by_image[theirs].tolist() == pairs.sum(axis=(0, 1)).tolist()


def test_the_auc_is_the_share_of_pairs_in_which_the_own_image_is_closer() -> None:
    rng = np.random.default_rng(0)
    distances = rng.integers(0, 9, size=(4, 30)).astype(float)
    who = np.repeat(np.arange(-1, 5), 5)
    found = auc_intervals(distances, [0, 0, 3, -1], who, subjects=5)
    own, other = distances[:2, who == 0], distances[:2, who != 0]
    pairs = [(o < x) + 0.5 * (o == x) for w in range(2) for o in own[w] for x in other[w]]
    assert found.auc[0] == pytest.approx(np.mean(pairs))
    u = stats.mannwhitneyu(distances[2, who == 3], distances[2, who != 3]).statistic
    assert found.auc[3] == pytest.approx(1 - u / (5 * 25))
    assert np.isnan(found.auc[[1, 2, 4]]).all()
    assert found.works.tolist() == [2, 0, 0, 1, 0]
    assert found.low[0] <= found.auc[0] <= found.high[0]


def test_perfect_likeness_is_as_sure_as_the_number_of_own_images_allows() -> None:
    distances = np.arange(700.0)[None]
    found = auc_intervals(distances, [0], np.repeat(np.arange(70), 10), subjects=70)
    assert found.auc[0] == found.high[0] == 1.0
    assert 0.6 < found.low[0] < 0.75
    ties = auc_intervals(np.ones((1, 700)), [0], np.repeat(np.arange(70), 10), subjects=70)
    assert ties.auc[0] == 0.5
    assert ties.low[0] < 0.4


def test_one_image_has_an_auc_but_no_interval() -> None:
    found = auc_intervals([[0.1, 0.2, 0.3]], [0], [0, 1, 1], subjects=2)
    assert found.auc[0] == 1.0
    assert np.isnan(found.low[0])
    with pytest.raises(ValueError, match="must be finite"):
        auc_intervals([[np.nan, 0.2]], [0], [0, 1], subjects=2)


def coverage(rng: np.random.Generator, *, alike: float, shift: float, audits: int) -> float:
    truth = stats.norm.cdf(shift / np.sqrt(2))
    who = np.repeat(np.arange(70), 10)
    held = 0
    for _ in range(audits):
        others = rng.normal(size=(69, 1)) * np.sqrt(alike) + rng.normal(size=(69, 10)) * np.sqrt(1 - alike)
        distances = np.concatenate([rng.normal(size=10) - shift, others.ravel()])[None]
        found = auc_intervals(distances, [0], who, subjects=70)
        held += found.low[0] <= truth <= found.high[0]
    return held / audits


def test_the_interval_covers_the_truth_when_images_of_others_resemble_each_other() -> None:
    assert coverage(np.random.default_rng(1), alike=0.5, shift=1.0, audits=300) >= 0.93


@pytest.mark.long
@pytest.mark.parametrize("alike", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("shift", [0.0, 1.0, 2.0])
def test_the_interval_covers_at_every_likeness(alike: float, shift: float) -> None:
    assert coverage(np.random.default_rng(2), alike=alike, shift=shift, audits=1000) >= 0.935


def test_the_interval_covers_the_auc_of_all_works_where_two_disagree() -> None:
    # With the degrees of freedom of the images alone 86 %; two works that agree by accident still hide that others do not.
    rng = np.random.default_rng(4)
    truth = stats.norm.cdf(1 / np.sqrt(3))
    who = np.repeat(np.arange(70), 10)
    held = 0
    for _ in range(600):
        distances = np.repeat(rng.normal(size=(1, 700)), 2, axis=0)
        distances[:, :10] -= 1 + rng.normal(size=(2, 1))
        found = auc_intervals(distances, [0] * 2, who, subjects=70)
        held += found.low[0] <= truth <= found.high[0]
    assert held / 600 >= 0.9


def test_works_that_disagree_widen_the_interval() -> None:
    rng = np.random.default_rng(3)
    who = np.repeat(np.arange(70), 10)
    own = who == 0
    alike = rng.random((4, 700)) * 0.1 + rng.random(700) - 0.3 * own
    apart = alike.copy()
    apart[:2] -= 0.3 * own
    apart[2:] += 0.3 * own
    same, different = (auc_intervals(d, [0] * 4, who, subjects=70) for d in (alike, apart))
    assert different.high[0] - different.low[0] > 1.2 * (same.high[0] - same.low[0])
