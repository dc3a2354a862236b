"""The cells that own cells are ranked among: the counts are those of a loop over all cells, with ties, flat columns and any grid of values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_assets.measurement.studentized import FLAT, OtherCells
from audit_assets.measurement.vectors import BoolArray, FloatArray, IntArray


def cells(seed: int, decimals: int) -> tuple[FloatArray, IntArray, BoolArray]:
    rng = np.random.default_rng(seed)
    rows, columns = int(rng.integers(1, 8)), int(rng.integers(2, 9))
    own_column = np.full(rows, -1)
    owners = rng.permutation(rows)[: rng.integers(0, min(rows, columns) + 1)]
    own_column[owners] = rng.permutation(columns)[: len(owners)]
    flat = rng.random(columns) < 0.2
    z = np.round(rng.normal(size=(rows, columns)), decimals)
    z[:, flat] = 0
    z[rng.random(rows) < 0.1] = 0
    return z, own_column, flat


def scale_by_brute_force(z: FloatArray, own_column: IntArray, flat: BoolArray, row: int, column: int) -> float:
    others = [z[row, c] for c in range(z.shape[1]) if c not in (column, own_column[row]) and not flat[c]]
    square = sum(v**2 for v in others) / max(len(others), 1)
    return float(np.sqrt(square)) if square > FLAT**2 else 1.0


@given(st.integers(0, 10_000), st.sampled_from([0, 9]), st.integers(0, 5))
def test_ranks_are_those_of_a_loop_over_all_cells(seed: int, decimals: int, each: int) -> None:
    z, own_column, flat = cells(seed, decimals)
    others = OtherCells(z, own_column, flat)
    counted = [(r, c) for r, c in np.ndindex(z.shape) if not flat[c] and c != own_column[r]]
    assert others.number == len(counted)
    rows, rng = np.flatnonzero(own_column >= 0), np.random.default_rng(seed)
    values: FloatArray = np.empty((len(rows), 1 + each))
    values[:, 0], values[:, 1:] = z[rows, own_column[rows]], rng.normal(size=(len(rows), each)) * 3
    values = values.round(decimals)
    found = others.ranks(rows, values)
    assert found.shape == values.shape
    for i, k in np.ndindex(values.shape):
        own = scale_by_brute_force(z, own_column, flat, int(rows[i]), int(own_column[rows[i]]))
        scaled = np.round(values[i, k] / own, 9)
        plain = sum(z[r, c] >= values[i, k] for r, c in counted)
        over = sum(np.round(z[r, c] / scale_by_brute_force(z, own_column, flat, r, c), 9) >= scaled for r, c in counted)
        assert found[i, k] == 1 + max(plain, over)


@given(st.integers(0, 10_000))
def test_scales_of_rows_leave_the_cell_itself_out(seed: int) -> None:
    z, own_column, flat = cells(seed, 9)
    others = OtherCells(z, own_column, flat)
    for column in range(z.shape[1]):
        wanted = [scale_by_brute_force(z, own_column, flat, row, column) for row in range(len(z))]
        np.testing.assert_allclose(others.row_scales(column), wanted, atol=1e-6)


@pytest.mark.parametrize("number", [1, 2, 500])
def test_values_that_are_all_equal_or_far_apart_are_counted(number: int) -> None:
    z = np.arange(1.0, 13).reshape(3, 4)
    others = OtherCells(z, np.array([-1, -1, 2]), np.zeros(4, dtype=bool))
    assert others.number == 11
    rows = np.full(number, 2)
    assert (others.ranks(rows, np.full(number, -1e300)) == 12).all()
    assert (others.ranks(rows, np.full(number, 1e300)) == 1).all()
    spread = others.ranks(rows, np.linspace(-1e12, 1e12, number))
    assert (np.diff(spread) <= 0).all()
    assert len(others.ranks(np.zeros(0, dtype=np.int64), np.zeros(0))) == 0
