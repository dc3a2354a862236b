"""Could this audit have seen it? The audit itself, run on a perfect imitator.

Half of the artist's real works stand in for the model's images, and the other half are the works. If that is not called imitated,
nothing follows from an artist who is not called either: the encoder, the works or the control names do not suffice. The gate
concerns the artist's own works and the same controls only, so another artist in the background moves it no more than it
moves the test itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy

from audit_assets.measurement.own_cell import (
    OwnCells,
    RowEffects,
    Table,
    distinct_table,
    other_cells,
    split_by_stratum,
    too_few,
    z_scores,
)
from audit_assets.measurement.similarities import Similarities
from audit_assets.measurement.studentized import own_scores
from audit_assets.measurement.vectors import BoolArray, FloatArray, IntArray, mask, unit_rows

FEWEST_WORKS = 6
"""Independent works: three stand in for images and three remain. With fewer, one work decides."""

SPLITS = 9
"""Random halves per artist; odd, so that more than half of them decide."""

BLOCK = 64
"""Artists whose imitators are compared with the table at a time."""


@dataclass(frozen=True)
class Halves:
    """The splits of n artists: two sparse matrices (n x splits, works) of weights that add up to 1 per row.

    ``images``: works that stand in for images; ``works``: works that remain. ``stand_ins``, ``remain`` (n,): independent works on
    either side. ``independent`` (n,): independent works of the artist. Rows of artists with fewer than ``FEWEST_WORKS`` are 0.
    """

    images: "scipy.sparse.csr_array"
    works: "scipy.sparse.csr_array"
    stand_ins: IntArray
    remain: IntArray
    independent: IntArray
    splits: int


@dataclass(frozen=True)
class PerfectImitator:
    """What the audit says of a perfect imitator, per artist, arrays of shape (n,).

    ``auditable``: it is called imitated in more than half of the splits. ``called``: share of splits in which it is.
    ``p_value``: median p of its own cell. ``identified`` (ranks, n): median share of stand-ins that are identified, NaN if that was not
    asked. ``stand_ins``, ``remain``: independent works on either side. If ``reason`` is not empty, the artist could not be
    tested: it says why and what would settle it, figures are NaN, and ``auditable`` is False.
    """

    auditable: BoolArray
    called: FloatArray
    p_value: FloatArray
    identified: FloatArray
    stand_ins: IntArray
    remain: IntArray
    independent: IntArray
    reason: tuple[str, ...]


def halves(
    artist: npt.ArrayLike,
    artists: npt.ArrayLike,
    *,
    images: npt.ArrayLike,
    seed: int,
    groups: npt.ArrayLike | None = None,
    weights: npt.ArrayLike | None = None,
    splits: int = SPLITS,
) -> Halves:
    """Random halves of the independent works of each of ``artists`` (n,), ``splits`` times.

    ``artist`` (w,): the artist of each work, in an order that no person chose (``near_copies.order_of``). ``groups`` (w,): works that
    are not independent, which stay on one side (``near_copies.independent_groups``); by default each work is its own.
    ``weights`` (w,) as in ``similarities``. ``images``: images that the audit shows of the artist, one number or (n,). No more
    groups than that stand in, and no more than half; if half the works are fewer than the images, the imitator shows fewer,
    its mean image is the noisier, and the gate errs towards "not auditable".

    The draw depends on ``seed`` and on the artist's number of groups, and not on who else is audited.

    Raises ValueError on an even or non-positive number of splits and arrays of other lengths.
    """
    who = np.asarray(artist, dtype=np.int64)
    if splits < 1 or splits % 2 == 0:
        raise ValueError(f"{splits} splits: pass an odd number, so that more than half of them decide.")
    together = np.arange(len(who)) if groups is None else np.asarray(groups, dtype=np.int64)
    each = np.ones(len(who)) if weights is None else np.asarray(weights, dtype=np.float64)
    audited = np.asarray(artists, dtype=np.int64)
    shown = np.broadcast_to(np.asarray(images, dtype=np.int64), audited.shape)
    if together.shape != who.shape or each.shape != who.shape:
        raise ValueError(f"{len(who)} works, {len(together)} groups, {len(each)} weights; pass one of each per work.")
    order = np.argsort(who, kind="stable")
    start, stop = (np.searchsorted(who[order], audited, side=side) for side in ("left", "right"))
    independent, stand_ins = np.zeros(len(audited), np.int64), np.zeros(len(audited), np.int64)
    sides: list[list[tuple[IntArray, IntArray, FloatArray]]] = [[], []]
    for i in range(len(audited)):
        own = order[start[i] : stop[i]]
        own = own[each[own] > 0]
        group = np.unique(together[own], return_inverse=True)[1]
        independent[i] = count = int(group.max(initial=-1)) + 1
        if count < FEWEST_WORKS:
            continue
        stand_ins[i] = min(int(shown[i]), count // 2)
        rng = np.random.default_rng([seed, count])
        places = rng.permuted(np.tile(np.arange(count), (splits, 1)), axis=1)[:, group]
        for side, chosen in zip(sides, (places < stand_ins[i], places >= stand_ins[i]), strict=True):
            split, member = np.nonzero(chosen)
            weight = each[own[member]]
            total = np.bincount(split, weights=weight, minlength=splits)[split]
            side.append((split + i * splits, own[member], weight / np.where(total > 0, total, 1)))
    shape = (len(audited) * splits, len(who))
    left, right = (_matrix(side, shape) for side in sides)
    enough = independent >= FEWEST_WORKS
    return Halves(left, right, stand_ins, np.where(enough, independent - stand_ins, 0), independent, splits)


def _matrix(parts: list[tuple[IntArray, IntArray, FloatArray]], shape: tuple[int, int]) -> "scipy.sparse.csr_array":
    if not parts:
        return scipy.sparse.csr_array(shape)
    row, column, weight = (np.concatenate(part) for part in zip(*parts, strict=True))
    return scipy.sparse.csr_array((weight, (row, column)), shape=shape)


def perfect_imitator(
    cells: Similarities,
    own: OwnCells,
    works: npt.ArrayLike,
    split: Halves,
    *,
    needed_p: npt.ArrayLike,
    stratum: npt.ArrayLike | None = None,
    identified: npt.ArrayLike | None = None,
    needed_share: npt.ArrayLike = 0.0,
) -> PerfectImitator:
    """Would the audit have called a perfect imitator of each audited artist?

    ``cells`` and ``own``: the audit as it is (``similarities``, ``own_cells``). ``works`` (w, d): the embeddings of the works from
    which it was made, and ``split``: their ``halves``, in the order of the artists of ``own``. ``needed_p``: the p-value at which the
    decision calls, one number or (n,), for instance ``filtered_bh(...).needed``. ``stratum`` (columns,) as in ``own_cell_in_strata``.
    ``identified`` (w,): whether identification finds the artist in each real work, for encoders with text; ``needed_share``: the
    share of images that must be identified, one number or (n,). If identification has several ranks, all of which must pass, they are
    (ranks, w) and (ranks, n). A work counts in the share with its weight in the half, as in matching.

    Row and column of the artist are replaced by the two halves, and the own cell is computed in closed form from products of the
    halves with the other artists' mean works and the other names' mean images. What the other cells are ranked by, the scale
    of the artist's row, and the effects of the other rows stay those of the audit, although one row and one column would differ. Against the whole
    test run again, the median p is off by less than 0.05 or a tenth of it with 20 others, and by less than 0.1 with five.

    Raises ValueError as ``own_cell``, and on arrays of other lengths.
    """
    rows = unit_rows(works, "work")
    n = len(own.rows)
    if split.images.shape != (n * split.splits, len(rows)):
        raise ValueError(
            f"The halves are those of {split.images.shape[1]} works in {split.images.shape[0]} splits; there are "
            f"{len(rows)} works and {n} artists. Pass the halves of the same artists and works."
        )
    limit = np.broadcast_to(np.asarray(needed_p, dtype=np.float64), (n,))
    reasons = [why or _too_few_works(int(k)) for why, k in zip(own.missing, split.independent, strict=True)]
    p = np.full((n, split.splits), np.nan)
    for columns, members in _parts(own, cells.similarity.shape[1], stratum):
        _fill(p, reasons, cells, own, columns, members, rows, split)
    passes, shares = np.ones(p.shape, dtype=np.bool_), np.full((1, *p.shape), np.nan)
    if identified is not None:
        shares = shares_of(split.images, identified).reshape(-1, *p.shape)
        needed = np.broadcast_to(np.asarray(needed_share, dtype=np.float64), shares.shape[:2])
        passes = np.all(shares >= needed[..., None] - 1e-12, axis=0)
    tested = np.array([not why for why in reasons], dtype=np.bool_)
    called = np.where(tested, ((p <= limit[:, None]) & passes).mean(axis=1), np.nan)
    return PerfectImitator(
        auditable=tested & (called > 0.5),
        called=called,
        p_value=np.where(tested, np.median(p, axis=1), np.nan),
        identified=np.where(tested, np.median(shares, axis=2), np.nan),
        stand_ins=split.stand_ins,
        remain=split.remain,
        independent=split.independent,
        reason=tuple(reasons),
    )


def shares_of(images: "scipy.sparse.csr_array", identified: npt.ArrayLike) -> FloatArray:
    """Share of identified stand-ins (ranks, splits), from the weights of one side of the halves and ``identified`` (w,) or (ranks, w)."""
    known = [
        mask(rank, length=images.shape[1], what="Which works are identified") for rank in np.atleast_2d(identified)
    ]
    return np.asarray((images @ np.array(known, dtype=np.float64).T).T)


def _too_few_works(independent: int) -> str:
    if independent >= FEWEST_WORKS:
        return ""
    return (
        f"The artist has {independent} independent works; a perfect imitator needs {FEWEST_WORKS}. "
        f"{FEWEST_WORKS - independent} more works that are no copies and of no known series would settle it."
    )


def _parts(own: OwnCells, width: int, stratum: npt.ArrayLike | None) -> Iterator[tuple[IntArray, IntArray]]:
    if stratum is None:
        yield np.arange(width), np.flatnonzero(np.asarray(own.rows) >= 0)
        return
    of = np.asarray(stratum)
    if of.shape != (width,):
        raise ValueError(f"The strata of names have shape {of.shape}; pass {width}, one per column.")
    yield from split_by_stratum(own, of)


def _fill(
    p: FloatArray,
    reasons: list[str],
    cells: Similarities,
    own: OwnCells,
    columns: IntArray,
    members: IntArray,
    works: FloatArray,
    split: Halves,
) -> None:
    """Write the p-values of ``members`` in the table of ``columns``, or why there are none."""
    inside = np.full(cells.similarity.shape[1], -1)
    inside[columns] = np.arange(len(columns))
    part = OwnCells(own.rows[members], inside[own.columns[members]], tuple(reasons[i] for i in members))
    whole = len(columns) == cells.similarity.shape[1]
    table = distinct_table(cells.similarity if whole else cells.similarity[:, columns], cells.lengths(), part)
    for j, i in enumerate(members):
        reasons[i] = reasons[i] or too_few(table, j)
    tested = np.flatnonzero([not reasons[i] for i in members])
    if len(tested) == 0:
        return
    scores, flat = z_scores(table)
    others = other_cells(table, scores, flat)
    exists = table.rows >= 0
    effects = RowEffects.of(table.similarity, table.rows[exists], table.columns[exists])
    mean_works, mean_images = cells.mean_works[table.kept_rows], cells.mean_images[columns[table.kept_columns]]
    z = np.empty((len(tested), split.splits))
    for start in range(0, len(tested), BLOCK):
        some = tested[start : start + BLOCK]
        at = (members[some][:, None] * split.splits + np.arange(split.splits)).ravel()
        made, left = (np.asarray(side[at] @ works) for side in (split.images, split.works))
        z[start : start + BLOCK] = _z_of_imitators(table, effects, mean_works, mean_images, some, made, left)
    p[members[tested]] = others.ranks(table.rows[tested], z) / (1 + others.number)


def _z_of_imitators(
    table: Table,
    effects: RowEffects,
    mean_works: FloatArray,
    mean_images: FloatArray,
    some: IntArray,
    made: FloatArray,
    left: FloatArray,
) -> FloatArray:
    """z of the own cells of ``some`` artists with row and column replaced by ``left`` and ``made`` (some x splits, d): (some, splits)."""
    splits = len(made) // len(some)
    height, width = table.similarity.shape
    row, column = np.repeat(table.rows[some], splits), np.repeat(table.columns[some], splits)
    # Without the own column the row effect is the mean over all other names: their effects add up to 0.
    other_images = (mean_images.sum(axis=0) - mean_images[column]) / (width - 1)
    own = np.vecdot(left, made) - np.vecdot(left, other_images)
    middle = mean_works.mean(axis=0) + (left - mean_works[row]) / height
    length = np.maximum(np.linalg.norm(left - middle, axis=1), np.finfo(float).tiny)
    theirs = mean_works @ made.T - np.repeat(effects.without(table.columns[some]), splits, axis=1)
    z = own_scores(theirs, table.lengths, row, own, length)
    return np.asarray(z.reshape(len(some), splits))
