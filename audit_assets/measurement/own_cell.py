"""Matching: do an artist's works belong to the images of the artist's own name? One cell of a matrix against all others.

The matrix has a row per artist with works (audited artists and background) and a column per name with images (audited
artists and control names). Its entries are mean cosines (``similarities``). The *own cell* of an audited artist is where the
artist's row meets the column of the artist's name. If the model does not imitate the artist, the own cell is a cell like any
other, once row, column and their scales are taken out. ``own_cell`` ranks it among all cells that are no subject's own, so one
artist beside twenty others and 199 control names can reach p = 1/4,200.

The assumption: images of an unknown name are like images of other names up to location and scale, and works of one artist
are like those of others up to location and length. Two companions in ``own_cell_companions`` assume less, and see less.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from audit_assets.measurement.similarities import Similarities
from audit_assets.measurement.studentized import FLAT, OtherCells, studentized
from audit_assets.measurement.vectors import BoolArray, FloatArray, IntArray

FEWEST_COLUMNS = 10
"""Other names with images of their own. With fewer, one odd control name decides what counts as usual."""

FEWEST_ROWS = 5
"""Other artists with works. The scale of a column comes from them; below five it has fewer than four degrees of freedom."""

SAME = 1e-5
"""Cosines of two rows or columns that differ by less everywhere are those of the same works or images."""

BLOCK = 256
"""Columns that are handled at a time, so that what is made on the way stays small."""


@dataclass(frozen=True)
class OwnCells:
    """The own cells of n artists in a matrix (rows, columns): integer arrays of shape (n,), -1 where one does not exist.

    ``missing``: why not, per artist; empty if the cell exists.
    """

    rows: IntArray
    columns: IntArray
    missing: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """What the tests work on: the rows and columns that differ, and where the own cells are in them.

    ``similarity`` (rows, columns); ``lengths`` (rows,). ``rows``, ``columns`` (n,): own cells, -1 for an artist without.
    ``kept_rows``, ``kept_columns``: positions in the matrix that was given. ``same_rows``, ``same_columns``: how many rows and
    columns were left out because an earlier one is the same. ``same_as_own`` (n,): how many of these columns have the images of the
    own name. ``given_rows``: rows of the matrix that was given.
    """

    similarity: FloatArray
    lengths: FloatArray
    rows: IntArray
    columns: IntArray
    missing: tuple[str, ...]
    kept_rows: IntArray
    kept_columns: IntArray
    same_rows: int
    same_columns: int
    same_as_own: IntArray
    given_rows: int


@dataclass(frozen=True)
class OwnCell:
    """The test per artist, arrays of shape (n,).

    ``p_value`` = ``rank`` / (``others`` + 1); ``rank``: 1 + other cells at least as large, a tie counts against the artist;
    ``z``: the own cell in units of its column's scale. All three are NaN if the artist was not tested, and ``reason`` says
    why and what would settle it; it is empty otherwise. ``others``: cells that are no subject's own. ``p_floor`` = 1 / (others + 1).
    ``same_columns``, ``same_rows``: names and artists left out as copies of others.
    """

    p_value: FloatArray
    z: FloatArray
    rank: FloatArray
    reason: tuple[str, ...]
    others: IntArray
    p_floor: FloatArray
    same_rows: IntArray
    same_columns: IntArray


def own_cells(cells: Similarities, artists: npt.ArrayLike, names: npt.ArrayLike) -> OwnCells:
    """The own cells of audited artists: ``artists`` (n,) in the pool and ``names`` (n,), each artist's name.

    Raises ValueError if the shapes differ, or an artist or a name occurs twice.
    """
    who, called = np.asarray(artists, dtype=np.int64), np.asarray(names, dtype=np.int64)
    if who.shape != called.shape or who.ndim != 1:
        raise ValueError(f"{who.shape} artists and {called.shape} names; pass one name per artist.")
    if len(np.unique(who)) < len(who) or len(np.unique(called)) < len(called):
        raise ValueError("An artist or a name occurs twice among the audited; pass one own cell per artist and name.")
    missing = tuple(cells.missing(int(a), int(s)) for a, s in zip(who, called, strict=True))
    exists = np.array([not why for why in missing], dtype=np.bool_)
    return OwnCells(np.where(exists, cells.row_of[who], -1), np.where(exists, cells.column_of[called], -1), missing)


def own_cell(similarity: npt.ArrayLike, lengths: npt.ArrayLike, own: OwnCells) -> OwnCell:
    """Rank of each own cell among all cells of the matrix that are nobody's own.

    ``similarity`` (rows, columns): mean cosines, audited artists and background by audited and control names.
    ``lengths`` (rows,): length of each artist's mean work less the mean over artists (``Similarities.lengths``).

    1. *Row effects.* From column s, take the row effects of the additive two-way model with missing cells (Yates 1933,
       *Empire Journal of Experimental Agriculture* 1, 129-142), fitted without own cells and without column s.
    2. *Lengths.* The spread of a row is proportional to the length of its centred mean work: an artist whose works resemble
       each other has larger residuals of either sign. Without this step, 11 % of such artists had p <= 0.05 (simulated).
    3. *Columns.* Each cell less the mean of its column, over the column's scale; neither uses the own cell, nor the cell itself,
       so that any other cell is measured exactly as an own cell is (``studentized``), nor the largest fifth of the others.
    4. *Rows.* The cells as they are, and a second time over the root mean square of the other cells of their row (``OtherCells``),
       in which the own cell takes no part. The own cell is ranked in both, and the larger rank counts: it must be rare in both. Each alone
       calls too many who are not imitated, the first if mean works are long where images do not vary, the second if control names vary in
       fewer directions than the artist's own name.
    5. p = (1 + other cells >= own) / (1 + other cells).

    Rows and columns that repeat an earlier one count once. An artist is not tested, with the reason, if the own cell does not
    exist, if fewer than ``FEWEST_COLUMNS`` other names or ``FEWEST_ROWS`` other artists remain, if the mean work equals that
    of the pool, if a name that is nobody's own has the same images as the artist's, or if these are equally near to all artists.

    Time and memory grow with rows x columns. Raises ValueError on shapes that do not fit and values that are not finite.
    """
    table = distinct_table(similarity, lengths, own)
    n = len(own.rows)
    reasons = [why or too_few(table, i) or not_told_apart(table, i) for i, why in enumerate(table.missing)]
    mine, rank, number = np.full(n, np.nan), np.full(n, np.nan), 0
    if not all(reasons):
        z, flat = z_scores(table)
        for i in np.flatnonzero(table.rows >= 0):
            reasons[i] = reasons[i] or (FLAT_COLUMN if flat[table.columns[i]] else "")
        tested = np.array([not why for why in reasons], dtype=np.bool_)
        mine[tested] = z[table.rows[tested], table.columns[tested]]
        others = other_cells(table, z, flat)
        rank[tested], number = others.ranks(table.rows[tested], mine[tested]), others.number
    return OwnCell(
        p_value=rank / (1 + number),
        z=mine,
        rank=rank,
        reason=tuple(reasons),
        others=np.full(n, number),
        p_floor=np.full(n, 1 / (1 + number)),
        same_rows=np.full(n, table.same_rows),
        same_columns=np.full(n, table.same_columns),
    )


def own_cell_in_strata(
    similarity: npt.ArrayLike, lengths: npt.ArrayLike, own: OwnCells, stratum: npt.ArrayLike
) -> OwnCell:
    """``own_cell`` for each artist among the names of the artist's own stratum only: one origin, script or locale.

    ``stratum`` (columns,): the stratum of each name. Names of one origin suggest the same subjects, and works of artists of that
    origin show them. Among names of all origins, an own cell is then large without imitation; among names of its own origin,
    all names suggest the same, and the row effect takes it out.

    Raises ValueError as ``own_cell``, and if ``stratum`` does not have one value per column.
    """
    values, of = np.asarray(similarity, dtype=np.float64), np.asarray(stratum)
    if of.shape != values.shape[1:]:
        raise ValueError(f"The strata of names have shape {of.shape}; pass {values.shape[1]}, one per column.")
    n = len(own.rows)
    numbers, reasons = np.full((7, n), np.nan), list(own.missing)
    numbers[3:] = 0
    for names, members in split_by_stratum(own, of):
        inside = np.full(len(of), -1)
        inside[names] = np.arange(len(names))
        part = OwnCells(own.rows[members], inside[own.columns[members]], tuple(own.missing[i] for i in members))
        found = own_cell(values[:, names], lengths, part)
        numbers[:, members] = (
            found.p_value, found.z, found.rank, found.others, found.p_floor, found.same_rows, found.same_columns,
        )  # fmt: skip
        for i, why in zip(members, found.reason, strict=True):
            reasons[i] = why
    p, z, rank, others, floor, same_rows, same_columns = numbers
    counts = (others.astype(np.int64), same_rows.astype(np.int64), same_columns.astype(np.int64))
    return OwnCell(p, z, rank, tuple(reasons), counts[0], floor, counts[1], counts[2])


def split_by_stratum(own: OwnCells, stratum: npt.NDArray[Any]) -> Iterator[tuple[IntArray, IntArray]]:
    """The columns of each stratum that has an own cell, and which artists those are."""
    exists = np.flatnonzero(np.asarray(own.rows) >= 0)
    of_artist = stratum[np.asarray(own.columns)[exists]]
    for value in np.unique(of_artist):
        yield np.flatnonzero(stratum == value), exists[of_artist == value]


FLAT_COLUMN = "The images of this name are equally near to the works of all artists, so nothing follows; another encoder may see a difference."  # fmt: skip


def too_few(table: Table, artist: int) -> str:
    """Why this artist cannot be tested in this table, and what would settle it; empty if nothing is in the way."""
    rows, columns = table.similarity.shape
    if table.rows[artist] < 0:
        return own_row_missing(table)
    copies = f", not counting {table.same_columns} with the same images as another" if table.same_columns else ""
    if columns - 1 < FEWEST_COLUMNS:
        return (
            f"{columns - 1} other names have images of their own{copies}; the test needs {FEWEST_COLUMNS}. "
            f"{FEWEST_COLUMNS + 1 - columns} more control names would settle it."
        )
    return _too_few_rows(table, rows - 1)


def not_told_apart(table: Table, artist: int) -> str:
    """Why images that other names have too say nothing of this name: as one column, they would count once and as the artist's."""
    return same_images(int(table.same_as_own[artist]))


SAME_IMAGES = "the same images as this name, so the model does not tell them apart. Images that the model draws for each name anew would settle it."  # fmt: skip


def same_images(names: int) -> str:
    """Why an artist is not tested if so many other names have the images of the artist's name; empty if none has."""
    return f"{names} of the other names {'has' if names == 1 else 'have'} {SAME_IMAGES}" if names else ""


def own_row_missing(table: Table) -> str:
    """Why an artist with works has no row in the table: without other artists, every mean of the pool is the artist's own."""
    same = "The mean of the artist's works equals the mean of all artists' works; add works that differ from theirs."
    return _too_few_rows(table, table.given_rows - 1) or same


def _too_few_rows(table: Table, others: int) -> str:
    copies = f", not counting {table.same_rows} with the same works as another" if table.same_rows else ""
    if others >= FEWEST_ROWS:
        return ""
    return (
        f"{others} other artists have works{copies}; the test needs {FEWEST_ROWS}. "
        f"{FEWEST_ROWS - others} more background artists would settle it."
    )


def distinct_table(similarity: npt.ArrayLike, lengths: npt.ArrayLike, own: OwnCells) -> Table:
    """The matrix without rows of length 0 and without rows and columns that repeat an earlier one; own ones stay.

    Raises ValueError on shapes that do not fit, values that are not finite, and own cells outside or used twice.
    """
    values, length = np.asarray(similarity, dtype=np.float64), np.asarray(lengths, dtype=np.float64)
    if values.ndim != 2 or length.shape != values.shape[:1]:
        raise ValueError(
            f"Similarities of shape {values.shape} with lengths of shape {length.shape}; pass one per row."
        )
    if not np.isfinite(values).all() or not np.isfinite(length).all():
        raise ValueError(
            "A similarity or a length is not finite; embed that artist's works and that name's images again."
        )
    rows, columns = np.asarray(own.rows, dtype=np.int64), np.asarray(own.columns, dtype=np.int64)
    _check_own(rows, columns, values.shape)
    exists = rows >= 0
    real = length > FLAT
    first_rows = first_of_equals(values, np.isin(np.arange(len(values)), rows[exists]))[0] & real
    first_columns, repeated = first_of_equals(values.T, np.isin(np.arange(values.shape[1]), columns[exists]))
    kept_rows, kept_columns = np.flatnonzero(first_rows), np.flatnonzero(first_columns)
    # The last place answers for -1, an own cell that does not exist.
    row_of = np.append(np.where(first_rows, np.cumsum(first_rows) - 1, -1), -1)
    column_of = np.append(np.where(first_columns, np.cumsum(first_columns) - 1, -1), -1)
    new_rows = row_of[rows]
    whole = first_rows.all() and first_columns.all()
    return Table(
        similarity=values if whole else values[np.ix_(kept_rows, kept_columns)],
        lengths=length[kept_rows],
        rows=new_rows,
        columns=np.where(new_rows >= 0, column_of[columns], -1),
        missing=own.missing,
        kept_rows=kept_rows,
        kept_columns=kept_columns,
        same_rows=int((real & ~first_rows).sum()),
        same_columns=int((~first_columns).sum()),
        same_as_own=np.where(exists, np.append(repeated, 0)[columns], 0),
        given_rows=len(values),
    )


def _check_own(rows: IntArray, columns: IntArray, shape: tuple[int, int]) -> None:
    exists = rows >= 0
    if rows.shape != columns.shape or ((rows >= 0) != (columns >= 0)).any():
        raise ValueError("An own cell has a row without a column; pass -1 for both if it does not exist.")
    if (rows >= shape[0]).any() or (columns >= shape[1]).any():
        raise ValueError(f"An own cell lies outside the matrix of {shape[0]} rows and {shape[1]} columns.")
    if len(np.unique(rows[exists])) < exists.sum() or len(np.unique(columns[exists])) < exists.sum():
        raise ValueError("Two own cells share a row or a column; pass one own cell per artist and name.")


_FEW = 32


def first_of_equals(values: FloatArray, always: BoolArray) -> tuple[BoolArray, IntArray]:
    """Which rows of (n, m) stay if equal ones, up to ``SAME``, count once: those ``always`` kept, else the first of each group.

    Also says of each row how many equal ones are left out.

    Equal rows have equal projections, so only neighbours in the order of one projection are compared: first by few values, for few
    rows are equal in these and not in all.
    """
    order = np.argsort(values @ np.cos(np.arange(values.shape[1]) ** 2), kind="stable")
    new = np.ones(len(order), dtype=np.bool_)
    few = np.abs(np.diff(values[:, :_FEW][order], axis=0)).max(axis=1, initial=0.0) <= SAME
    for i in np.flatnonzero(few) + 1:
        new[i] = np.abs(values[order[i]] - values[order[i - 1]]).max(initial=0.0) > SAME
    group = np.empty(len(order), dtype=np.int64)
    group[order] = np.cumsum(new) - 1
    first = np.zeros(len(order), dtype=np.bool_)
    first[np.unique(group, return_index=True)[1]] = True
    stays = always | (first & ~np.isin(group, group[always]))
    return stays, np.bincount(group, weights=~stays, minlength=1).astype(np.int64)[group]


@dataclass(frozen=True)
class RowEffects:
    """Row effects of the additive model without own cells, for any block of columns left out in turn.

    Each row and each column lacks at most one cell, so for column effects that sum to 0 the normal equations are diagonal but
    for one constant, and the effects are sums over rows and columns: rows x columns steps in all.
    """

    similarity: FloatArray
    rows: IntArray
    columns: IntArray
    row_sums: FloatArray
    column_sums: FloatArray
    weight: FloatArray

    @classmethod
    def of(cls, similarity: FloatArray, rows: IntArray, columns: IntArray) -> "RowEffects":
        """``rows``, ``columns`` (k,): the own cells that exist."""
        height, width = similarity.shape
        mine = similarity[rows, columns]
        row_sums, column_sums = similarity.sum(axis=1), similarity.sum(axis=0)
        row_sums[rows] -= mine
        column_sums[columns] -= mine
        per_column = np.full(width, float(height))
        per_column[columns] -= 1 + 1 / (width - 2)
        return cls(similarity, rows, columns, row_sums, column_sums, 1 / per_column)

    def without(self, block: IntArray) -> FloatArray:
        """Effects of the rows, each column of ``block`` (b,) left out in turn: (rows, b)."""
        height, width = self.similarity.shape
        lacking = np.zeros(height)
        lacking[self.rows] = 1
        own_of = np.full(height, -1)
        own_of[self.rows] = self.columns
        inside = (own_of[:, None] == block) & (own_of >= 0)[:, None]
        cells = width - lacking[:, None] - ~inside
        effects = (self.row_sums[:, None] - np.where(inside, 0.0, self.similarity[:, block])) / cells
        if len(self.rows) == 0:
            return np.asarray(effects)
        own_means, is_self = effects[self.rows], inside[self.rows]
        weight = self.weight[self.columns][:, None]
        column_means = effects.sum(axis=0)
        weights_left = self.weight.sum() - self.weight[block]
        weighted = self.weight * self.column_sums
        right = weighted.sum() - weighted[block] - column_means * weights_left
        right = right + np.where(is_self, 0.0, weight * own_means).sum(axis=0)
        column = (self.column_sums[self.columns][:, None] - column_means + own_means - right / weights_left) * weight
        effects[self.rows] += np.where(is_self, 0.0, column) / cells[self.rows]
        return np.asarray(effects)


def other_cells(table: Table, z: FloatArray, flat: BoolArray) -> OtherCells:
    """What the own cells of a table are ranked among; ``z`` and ``flat`` as ``z_scores`` returns them."""
    own_column, exists = np.full(len(z), -1, dtype=np.int64), table.rows >= 0
    own_column[table.rows[exists]] = table.columns[exists]
    return OtherCells(z, own_column, flat)


def z_scores(table: Table) -> tuple[FloatArray, BoolArray]:
    """Residuals standardized by column (rows, columns), and which columns are flat (columns,): those have z = 0."""
    exists = table.rows >= 0
    effects = RowEffects.of(table.similarity, table.rows[exists], table.columns[exists])
    z, flat = np.empty_like(table.similarity), np.zeros(table.similarity.shape[1], dtype=np.bool_)
    own_row = np.full(table.similarity.shape[1], -1)
    own_row[table.columns[exists]] = table.rows[exists]
    for start in range(0, table.similarity.shape[1], BLOCK):
        block = np.arange(start, min(start + BLOCK, table.similarity.shape[1]))
        residual = table.similarity[:, block] - effects.without(block)
        z[:, block], flat[block] = studentized(residual, table.lengths, own_row[block])
    return z, flat
