"""The companions of ``own_cell``: they assume less, and see less.

``name_test`` holds the artist's works fixed and asks whether the images of the artist's name are nearer to them than the images
of control names are. ``own_rank`` holds the images fixed and asks whether the artist's works are nearer to them than the works
of other artists are. ``pairing`` asks both at once, for all audited artists together. Each is a permutation test (Fisher 1935,
*The design of experiments*), with p-values that are never 0 (Phipson and Smyth 2010, *Statistical Applications in Genetics and
Molecular Biology* 9, article 39).
"""

from dataclasses import dataclass
from math import lgamma, log

import numpy as np
import numpy.typing as npt

from audit_assets.measurement.own_cell import (
    BLOCK,
    FEWEST_ROWS,
    OwnCells,
    RowEffects,
    Table,
    distinct_table,
    first_of_equals,
    not_told_apart,
    other_cells,
    own_row_missing,
    same_images,
    z_scores,
)
from audit_assets.measurement.studentized import FLAT
from audit_assets.measurement.vectors import FloatArray, IntArray

FEWEST_NAMES = 10
"""Control names; with fewer, the smallest p-value of the name test is above 0.09."""


@dataclass(frozen=True)
class Ranks:
    """One rank per artist, arrays of shape (n,). ``p_value`` = ``rank`` / (``others`` + 1); rank 1 is the most similar.

    Rank and p are NaN if the artist was not tested; ``reason`` says why and what would settle it, and is empty otherwise.
    """

    p_value: FloatArray
    rank: FloatArray
    others: IntArray
    p_floor: FloatArray
    reason: tuple[str, ...]


@dataclass(frozen=True)
class Pairing:
    """The test of the whole roster.

    ``statistic``: mean cosine of own works and own images, less the mean over the pairs of each group, in units of cosine.
    ``artists``: how many take part; ``alone``: how many are the only one of their group, and so contribute nothing.
    ``p_value`` and ``p_floor`` are NaN, and ``statistic`` too, if the test could not run; ``reason`` says why.
    """

    statistic: float
    p_value: float
    p_floor: float
    permutations: int
    artists: int
    alone: int
    reason: str


def name_test(similarity: npt.ArrayLike, lengths: npt.ArrayLike, own: OwnCells, controls: npt.ArrayLike) -> Ranks:
    """Rank of the images of the artist's name among those of control names, by similarity to the artist's works.

    ``similarity``, ``lengths`` and ``own`` as in ``own_cell``; ``controls`` (k,): the columns of the control names.

    The value of a name is its cell in the artist's row, double-centred over the control names and the artist's own, divided by
    the root mean square of the name's cells in the rows of the other artists. The own name takes part in the centring exactly as
    a control name does, so each rank is equally likely if the artist's name is exchangeable with the control names, whatever
    the works are. Columns are scaled because control names that draw nearly the same images would otherwise leave the own name
    the first or the last place.

    An artist is not tested if the own cell does not exist, if another name has the same images, or with fewer than ``FEWEST_NAMES``
    control names or ``FEWEST_ROWS`` other artists. Raises ValueError as ``own_cell``, and on control columns outside the matrix or among the own ones.
    """
    table = distinct_table(similarity, lengths, own)
    columns = _controls(controls, np.asarray(similarity).shape[1], own)
    kept = np.flatnonzero(np.isin(table.kept_columns, columns))
    reasons = _reasons(table, len(kept), "control names have images of their own", "control names", FEWEST_NAMES)
    reasons = [why or not_told_apart(table, i) for i, why in enumerate(reasons)]
    height = len(table.similarity)
    if height - 1 < FEWEST_ROWS:
        reasons = [why or _few_rows(height - 1) for why in reasons]
    tested = np.flatnonzero([not why for why in reasons])
    rank = np.full(len(own.rows), np.nan)
    if len(tested):
        centred = table.similarity - table.similarity.mean(axis=0)
        centred /= table.lengths[:, None]
        of_controls = centred[:, kept]
        for start in range(0, len(tested), BLOCK):
            some = tested[start : start + BLOCK]
            mine, theirs = _name_scores(of_controls, centred[:, table.columns[some]], table.rows[some])
            rank[some] = 1 + (np.round(theirs, 9) >= np.round(mine, 9)).sum(axis=0)
    return _ranks(rank, np.full(len(rank), len(kept)), reasons)


def _name_scores(controls: FloatArray, own: FloatArray, rows: IntArray) -> tuple[FloatArray, FloatArray]:
    """Scaled double-centred values in row ``rows[i]``: of own column i (n,), and of every control column (k, n).

    ``controls`` (rows, k), ``own`` (rows, n). For artist i the names are the controls and own column i, the row effects are means
    over those k + 1, and the column's mean and scale come from all rows but the artist's. Variances and covariances of all
    rows come from two matrix products; the artist's row is then taken out of each.
    """
    height, k = controls.shape
    shared = controls.mean(axis=1)
    mean_mine = (k * shared[rows] + own[rows, np.arange(len(rows))]) / (k + 1)
    # Sums over all rows of products with the row effect (k shared + own) / (k + 1), per artist.
    effect_square = (k**2 * shared @ shared + 2 * k * (shared @ own) + (own**2).sum(axis=0)) / (k + 1) ** 2
    effect_sum = (k * shared.sum() + own.sum(axis=0)) / (k + 1)
    with_controls = (k * (controls.T @ shared)[:, None] + controls.T @ own) / (k + 1)
    with_own = (k * (shared @ own) + (own**2).sum(axis=0)) / (k + 1)

    def scaled(square: FloatArray, product: FloatArray, total: FloatArray, here: FloatArray) -> FloatArray:
        residual_here = here - mean_mine
        squares = square - 2 * product + effect_square - residual_here**2
        mean = (total - effect_sum - residual_here) / (height - 1)
        variance = np.maximum(squares / (height - 1) - mean**2, FLAT**2)
        return np.asarray((residual_here - mean) / np.sqrt(variance))

    theirs = scaled((controls**2).sum(axis=0)[:, None], with_controls, controls.sum(axis=0)[:, None], controls[rows].T)
    mine = scaled((own**2).sum(axis=0), with_own, own.sum(axis=0), own[rows, np.arange(len(rows))])
    return mine, theirs


def own_rank(
    similarity: npt.ArrayLike, lengths: npt.ArrayLike, own: OwnCells, *, peers: npt.ArrayLike | None = None
) -> Ranks:
    """Rank of the artist's own works among those of other artists, by similarity to the images of the artist's name.

    ``similarity``, ``lengths`` and ``own`` as in ``own_cell``. Row effects are fitted without own cells and without the column,
    rows are divided by their lengths and by their scales in other columns. Each rank is then equally likely if the artist is
    not imitated and the works are like those of others up to location and scale, whatever the images look like.

    ``peers`` (rows,): the group of each row, -1 for none. An artist with a group is ranked among its members only (one origin,
    school and medium), so that a shared genre does not count as imitation; an artist without a group among all rows.

    An artist is not tested if the own cell does not exist, or with fewer than ``FEWEST_ROWS`` others. Raises ValueError as
    ``own_cell``, and if ``peers`` does not have one group per row.
    """
    table = distinct_table(similarity, lengths, own)
    group = _groups(peers, len(np.asarray(lengths)))[table.kept_rows]
    reasons = _reasons(table, table.similarity.shape[1] - 1, "other names have images of their own", "control names", 2)
    exists = table.rows >= 0
    rank, others = np.full(len(own.rows), np.nan), np.zeros(len(own.rows), dtype=np.int64)
    effects = cells = None
    for i in np.flatnonzero([not why for why in reasons]):
        row, column = table.rows[i], table.columns[i]
        among = np.ones(len(group), bool) if group[row] < 0 else group == group[row]
        others[i] = among.sum() - 1
        if others[i] < FEWEST_ROWS:
            reasons[i] = _few_rows(int(others[i]), " of the artist's peers" if group[row] >= 0 else "")
            continue
        if effects is None or cells is None:
            effects = RowEffects.of(table.similarity, table.rows[exists], table.columns[exists])
            cells = other_cells(table, *z_scores(table))
        residual = table.similarity[:, column] - effects.without(np.array([column]))[:, 0]
        value = (
            (residual - np.average(residual, weights=table.lengths**-2.0)) / table.lengths / cells.row_scales(column)
        )
        value = np.round(value, 12)
        rank[i] = (value[among] >= value[row]).sum()
    return _ranks(rank, others, reasons)


def pairing(
    similarity: npt.ArrayLike,
    own: OwnCells,
    *,
    permutations: int,
    rng: np.random.Generator,
    peers: npt.ArrayLike | None = None,
) -> Pairing:
    """Do artists' works belong to the images of their own names, all audited artists together?

    The mean similarity of own works and own images, against the same mean with works given to artists at random;
    p = (1 + permuted means >= observed) / (1 + permutations), one-sided. Each row and column is used once per permutation, so
    row and column effects cancel. Rejecting means that works and names are related, for which a genre that both share is
    enough. ``peers`` (n,): group of each audited artist, -1 for none; works then change places within groups only, which takes
    the share of the groups out. An artist alone in a group, or in none, contributes nothing.

    Raises ValueError on permutations below 1, an own cell outside the matrix, and groups that are not one per artist.
    """
    from audit_assets.measurement.kernels import permuted_traces

    if permutations < 1:
        raise ValueError(f"{permutations} permutations: pass at least one, 10,000 for a figure to print.")
    values = np.asarray(similarity, dtype=np.float64)
    rows, columns = np.asarray(own.rows), np.asarray(own.columns)
    whole = peers is None
    group = np.zeros(len(rows), dtype=np.int64) if whole else _groups(peers, len(rows))
    exists = rows >= 0
    sizes = {int(g): int((exists & (group == g)).sum()) for g in np.unique(group[exists & (group >= 0)])}
    together = {g: size for g, size in sizes.items() if size > 1}
    artists = sum(together.values())
    alone = int(exists.sum()) - artists
    if artists < 2:
        among = "" if whole else " in one group of peers"
        why = f"No two audited artists{among} have both works and images; pairing needs two, and five for p below 0.01."
        return Pairing(np.nan, np.nan, np.nan, permutations, artists, alone, why)
    observed = size = 0.0
    null = np.zeros(permutations)
    for g in together:
        members = exists & (group == g)
        square = np.ascontiguousarray(values[np.ix_(rows[members], columns[members])])
        square = square - square.mean()
        observed += float(np.trace(square))
        null += permuted_traces(square, permutations, int(rng.integers(2**32)))
        size = max(size, float(np.abs(square).max()))
    # The same sum in another order differs by rounding; without a tolerance the identity would not tie with itself.
    at_least = int((null >= observed - 1e-12 * artists * size).sum())
    orders = sum(lgamma(count + 1) for count in together.values())
    floor = max(1 / (1 + permutations), float(np.exp(-min(orders, log(1e300)))))
    return Pairing(observed / artists, (1 + at_least) / (1 + permutations), floor, permutations, artists, alone, "")


def _ranks(rank: FloatArray, others: IntArray, reasons: list[str]) -> Ranks:
    floor = np.where(np.isnan(rank), np.nan, 1 / (1 + others))
    return Ranks(rank / (1 + others), rank, others, floor, tuple(reasons))


def _reasons(table: Table, count: int, have: str, what: str, needed: int) -> list[str]:
    few = "" if count >= needed else _few_names(count, have, what, needed)
    return [
        why or few or (own_row_missing(table) if row < 0 else "")
        for why, row in zip(table.missing, table.rows, strict=True)
    ]


def _few_names(count: int, have: str, what: str, needed: int, copies: int = 0) -> str:
    same = f", not counting {copies} with the same images as another" if copies else ""
    return f"{count} {have}{same}; the test needs {needed}. {needed - count} more {what} would settle it."


def _few_rows(others: int, of: str = "") -> str:
    return (
        f"{others} other artists{of} have works; the test needs {FEWEST_ROWS}. "
        f"{FEWEST_ROWS - others} more would settle it."
    )


def _controls(controls: npt.ArrayLike, width: int, own: OwnCells) -> IntArray:
    columns = np.asarray(controls, dtype=np.int64)
    if columns.ndim != 1 or (len(columns) and (columns.min() < 0 or columns.max() >= width)):
        raise ValueError(f"Control columns lie outside the matrix of {width} columns; pass positions of control names.")
    if np.isin(columns, np.asarray(own.columns)[np.asarray(own.columns) >= 0]).any():
        raise ValueError("A control name is the name of an audited artist; leave it out of the controls.")
    return np.unique(columns)


def _groups(peers: npt.ArrayLike | None, length: int) -> IntArray:
    if peers is None:
        return np.full(length, -1, dtype=np.int64)
    group = np.asarray(peers, dtype=np.int64)
    if group.shape != (length,):
        raise ValueError(f"The groups of peers have shape {group.shape}; pass {length}, one per artist, -1 for none.")
    return group


@dataclass(frozen=True)
class NameRank:
    """The name test of one artist without other artists.

    ``p_value`` = ``rank`` / (``others`` + 1), with ``others`` the control names that have images of their own. Rank and p are NaN if the
    artist was not tested; ``reason`` says why and what would settle it, and is empty otherwise.
    """

    p_value: float
    rank: float
    others: int
    reason: str


def name_test_alone(mean_work: npt.ArrayLike, own: npt.ArrayLike, controls: npt.ArrayLike) -> NameRank:
    """The name test without other artists: rank of the own images among those of control names.

    ``mean_work`` (d,): mean of the artist's works. ``own`` (d,): mean image of the artist's name; ``controls`` (k, d): mean images of
    control names. The value of a name is the inner product of the mean work with the name's mean image, less the mean over all
    names, over its length. All names are treated alike, so each rank is equally likely if the artist's name is
    exchangeable with the control names, whatever the works are.

    The centring matters if it is not: an artist's name may draw images that are more alike than those of invented names. With
    uncentred cosines, a name that steers strongly but not to these works had p <= 0.05 in 23 to 38 % of simulated audits, and
    has so in 4 to 7 % here. What other artists' works would show, names whose images are near to all works, stays unseen.

    Control names with the same images count once, as in ``name_test``. They are compared by their mean images: near one mean work,
    names of different images can have the same cosine. An artist is not tested if a control name has the same images as the
    artist's, or with fewer than ``FEWEST_NAMES`` control names. Raises ValueError on shapes that do not fit.
    """
    work, mine, theirs = (np.asarray(v, dtype=np.float64) for v in (mean_work, own, controls))
    if theirs.ndim != 2 or work.shape != theirs.shape[1:] or mine.shape != work.shape:
        raise ValueError(
            f"Mean work {work.shape}, own images {mine.shape}, control names {theirs.shape}; pass (d,), (d,) and (k, d)."
        )
    names = np.vstack([mine, theirs])
    stays, repeated = first_of_equals(names, np.arange(len(names)) == 0)
    names = names[stays]
    others, copies = len(names) - 1, len(stays) - len(names)
    few = (
        ""
        if others >= FEWEST_NAMES
        else _few_names(others, "control names have images of their own", "control names", FEWEST_NAMES, copies)
    )
    if reason := same_images(int(repeated[0])) or few:
        return NameRank(np.nan, np.nan, others, reason)
    names -= names.mean(axis=0)
    score = np.round(names @ work / np.maximum(np.linalg.norm(names, axis=1), FLAT), 9)
    rank = 1 + int((score[1:] >= score[0]).sum())
    return NameRank(rank / len(names), rank, others, "")
