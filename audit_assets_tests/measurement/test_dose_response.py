"""Change points on simulated doses."""

import numpy as np
import pytest
from scipy import stats

from audit_assets.measurement.dose_response import DoseResponse, dose_response
from audit_assets.measurement.vectors import FloatArray


def simulated(rng: np.random.Generator, *, above: float, artists: int = 100) -> tuple[FloatArray, FloatArray]:
    """Artists with 3 to 3,000 mentions; 10 % of ten images identified below 100 mentions, ``above`` beyond."""
    mentions = np.exp(rng.uniform(np.log(3), np.log(3000), size=artists)).round().astype(np.float64)
    chance = np.where(mentions < 100, 0.1, above)
    own = rng.beta(chance * 5, (1 - chance) * 5)
    return mentions, rng.binomial(10, own) / 10


def test_the_split_has_the_least_sum_of_squares_of_all() -> None:
    mentions, response = simulated(np.random.default_rng(0), above=0.8)
    found = dose_response(mentions, response, permutations=99, rng=np.random.default_rng(1))

    def squares(threshold: float) -> float:
        low, high = response[mentions <= threshold], response[mentions > threshold]
        return float(low.var() * len(low) + high.var() * len(high))

    least = min(squares(t) for t in np.sort(mentions)[9:90])
    assert squares(found.threshold) == pytest.approx(least)
    assert found.below == pytest.approx(response[mentions <= found.threshold].mean())
    assert found.above == pytest.approx(response[mentions > found.threshold].mean())
    assert found.low <= found.threshold <= found.high
    assert found.p_value == 1 / 100
    assert found.spearman == pytest.approx(stats.spearmanr(mentions, response).statistic)


def run(rng: np.random.Generator, above: float) -> DoseResponse:
    return dose_response(*simulated(rng, above=above), permutations=99, rng=rng)


def test_the_interval_holds_the_true_change_point() -> None:
    rng = np.random.default_rng(2)
    for above in (0.4, 0.8):
        held = 0
        for _ in range(200):
            found = run(rng, above)
            held += found.low <= 100 and found.high >= 99
        assert held / 200 >= 0.93


def test_nothing_is_known_between_two_artists_with_nobody_between_them() -> None:
    mentions = np.r_[np.arange(1, 31), np.arange(1001, 1031)]
    found = dose_response(mentions, (mentions > 500).astype(float), permutations=99, rng=np.random.default_rng(0))
    assert (found.low, found.high) == (30, 1001)
    assert 30 < found.threshold < 1001


def test_no_change_is_called_a_change_in_one_case_of_twenty() -> None:
    rng = np.random.default_rng(3)
    false = np.mean([run(rng, 0.1).p_value <= 0.05 for _ in range(300)])
    assert false <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 300)


def test_a_constant_response_has_no_change_and_no_correlation() -> None:
    found = dose_response(np.arange(20), np.zeros(20), permutations=19, rng=np.random.default_rng(0))
    assert found.p_value == 1.0
    assert np.isnan(found.spearman)
    assert (found.below, found.above) == (0.0, 0.0)


def test_doses_without_a_place_for_a_change_are_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="no place for a change point"):
        dose_response(np.full(20, 7), np.arange(20), permutations=9, rng=rng)
    with pytest.raises(ValueError, match="at least ten"):
        dose_response([1, 2], [0, 1], permutations=9, rng=rng)
    with pytest.raises(ValueError, match="must be finite"):
        dose_response(np.arange(20), np.full(20, np.nan), permutations=9, rng=rng)
