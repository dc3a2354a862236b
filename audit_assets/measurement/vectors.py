"""This module checks embeddings: they must be finite and of unit length, and they are compared in float64.

All results of Casper et al. (2023) rest on the cosine between two embeddings. A zero vector, a NaN or a vector that was
never normalised still gives a number. This module therefore refuses each of them, and names its row, before a
measurement computes a number.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

UNIT_TOLERANCE = 1e-3
"""Largest allowed deviation of a norm from 1.

Half precision deviates by up to 5e-4. A forgotten normalisation deviates by more.
"""


def unit_rows(vectors: npt.ArrayLike, what: str, *, first_row: int = 0) -> FloatArray:
    """Check rows of shape (n, d) and return them as float64, unchanged in value.

    ``what`` names the rows in messages ("imitation", "label"). ``first_row`` is the number of the first row, if the
    rows are a block of a longer array.

    Raises ValueError if the array is not two-dimensional, or if a row is not finite or not of unit length.
    """
    rows = np.asarray(vectors, dtype=np.float64)
    if rows.ndim != 2 or rows.shape[1] == 0:
        raise ValueError(f"The {what} embeddings have shape {rows.shape}; pass one row an item: (n, dimension).")
    squares = np.vecdot(rows, rows)
    # One pass over the data is enough, because one NaN or infinity in a row makes its sum of squares not finite.
    bad = ~(np.abs(np.sqrt(squares) - 1.0) <= UNIT_TOLERANCE)
    if bad.any():
        row = int(np.argmax(bad))
        if not np.isfinite(rows[row]).all():
            raise ValueError(
                f"The {what} embedding in row {first_row + row} holds NaN or infinity; embed that image or text again."
            )
        raise ValueError(
            f"The {what} embedding in row {first_row + row} has norm {np.sqrt(squares[row]):.6g}, not 1; "
            "divide every embedding by its norm before measuring (a norm of 0 means that the encoder failed)."
        )
    return rows


def same_dimension(left: FloatArray, right: FloatArray, names: str) -> None:
    """Raise ValueError if two sets of embeddings, called ``names`` in the message, differ in dimension."""
    if left.shape[1] != right.shape[1]:
        raise ValueError(
            f"The {names} embeddings have {left.shape[1]} and {right.shape[1]} dimensions; "
            "compare embeddings of one encoder only."
        )


def indices(values: npt.ArrayLike, *, length: int, below: int, what: str) -> IntArray:
    """Check integer indices of shape (length,) from -1 ("none of them") to ``below`` - 1, and return them as int64.

    Raises ValueError if shape, type or range differ.
    """
    array: npt.NDArray[Any] = np.asarray(values)
    if array.shape != (length,):
        raise ValueError(f"{what} has shape {array.shape}, expected ({length},): one index a row.")
    if length and not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"{what} is of type {array.dtype}; pass integers, -1 for a row that belongs to none.")
    if length and (array.min() < -1 or array.max() >= below):
        row = int(np.argmax((array < -1) | (array >= below)))
        raise ValueError(f"{what} is {array[row]} in row {row}; it must lie between -1 and {below - 1}.")
    return array.astype(np.int64)


def mask(values: npt.ArrayLike | None, *, length: int, what: str) -> BoolArray:
    """Check a mask of shape (length,) and return it. None gives a mask that is False everywhere.

    Raises ValueError if the shape or the type differs.
    """
    if values is None:
        return np.zeros(length, dtype=np.bool_)
    array: npt.NDArray[Any] = np.asarray(values)
    if array.shape != (length,) or (length and array.dtype != np.bool_):
        raise ValueError(f"{what} has shape {array.shape} and type {array.dtype}, expected ({length},) and bool.")
    return array.astype(np.bool_)
