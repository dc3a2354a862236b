"""Experiment 2, corrected: tests that keep their level when imitations of one artist resemble each other.

The rank-sum test of Casper et al. (2023, section 2.2) counts images. Images of one artist are not independent, so what
it finds significant at random grows with their correlation. The tests here count *artists*. Given an artist's
imitations, whatever they are, the question is where the artist's own real works stand among the real works of others:
were the imitations unrelated to the artist, its works could stand anywhere. That is exact for every correlation
(permutation of labels: Fisher 1935, *The design of experiments*; Phipson and Smyth 2010, *Statistical Applications in
Genetics and Molecular Biology* 9, article 39, for p-values that are never 0).

``own_rank`` answers for each artist, and needs a background of further artists to reach small p-values: a rank among
110 works has no p below 1/110. ``pairing_test`` answers for all artists at once and is the headline.
"""

from dataclasses import dataclass
from math import factorial
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from audit_assets.measurement.matching import RankSum, RankSumTable, random_assignments
from audit_assets.measurement.multiplicity import adjust, unreachable
from audit_assets.measurement.vectors import BoolArray, FloatArray, IntArray, indices, mask, same_dimension, unit_rows


@dataclass(frozen=True)
class WorksBySubject:
    """Mean similarity of every artist's real works to every subject's imitations.

    ``similarity`` (pool, subjects): the first rows are the subjects themselves in their order, then the background. A
    row is NaN where an artist has too few works, a column where a subject has no image to show. ``works_each``: works
    used of every artist, the same number for all; ``images`` (subjects,): images used.
    """

    similarity: FloatArray
    works_each: int
    images: IntArray


@dataclass(frozen=True)
class OwnRank:
    """The corrected test an artist, arrays of shape (subjects,).

    ``rank``: of the artist's own works among ``pool`` artists, 1 = most similar; NaN where no test was possible.
    ``p_value`` = rank / pool; ``p_floor`` = 1 / pool. ``q_value``: Benjamini-Hochberg; ``holm``: Holm.
    ``significant``: q below alpha; ``unreachable``: even rank 1 would not have been, the others as they are.
    ``auc``: share of the other artists whose works are less similar.
    ``table``: rank and p of the works of subject r in place of the own works of subject s, entry (r, s), for
    ``matching.reassigned``.
    """

    rank: FloatArray
    p_value: FloatArray
    p_floor: FloatArray
    q_value: FloatArray
    holm: FloatArray
    significant: BoolArray
    unreachable: BoolArray
    auc: FloatArray
    pool: int
    table: RankSumTable


@dataclass(frozen=True)
class Pairing:
    """The global test. ``statistic``: mean similarity of own works less the mean of all pairs, in units of cosine."""

    statistic: float
    p_value: float
    p_floor: float
    permutations: int
    subjects: int


def works_by_subject(
    *,
    references: npt.ArrayLike,
    artist_of_reference: npt.ArrayLike,
    pool: int,
    imitations: npt.ArrayLike,
    subject_of_imitation: npt.ArrayLike,
    subjects: int,
    blank: npt.ArrayLike | None = None,
    works_each: int | None = None,
) -> WorksBySubject:
    """Mean cosine between the works of each artist in the pool and the imitations of each subject.

    ``references`` (r, d) with ``artist_of_reference`` (r,), indices below ``pool``: 0..subjects-1 are the subjects, the
    rest is background. ``imitations`` (n, d) with ``subject_of_imitation`` (n,), -1 for images of nobody tested.
    ``blank`` (n,): images left out.

    ``works_each`` works are used of every artist, the first in their order, and artists with fewer are left out: the
    mean of two works scatters more than the mean of ten, so artists with few works would take the first and the last
    ranks. By default it is the smallest positive number of works among the subjects.

    Raises ValueError on bad embeddings, indices out of range, a pool smaller than the subjects, and no real works.
    """
    real, made = unit_rows(references, "reference"), unit_rows(imitations, "imitation")
    same_dimension(real, made, "reference and imitation")
    if not 1 <= subjects <= pool:
        raise ValueError(f"{subjects} subjects in a pool of {pool}; the pool holds the subjects and the background.")
    artist = indices(artist_of_reference, length=len(real), below=pool, what="The artist of the real work")
    who = indices(subject_of_imitation, length=len(made), below=subjects, what="The subject of the imitation")
    shown = ~mask(blank, length=len(made), what="The mask of blank images") & (who >= 0)
    works = np.bincount(artist[artist >= 0], minlength=pool)
    have = works[:subjects][works[:subjects] > 0]
    if len(have) == 0:
        raise ValueError("No subject has a real work; matching needs real works of at least some subjects.")
    each = int(have.min()) if works_each is None else works_each
    if each < 1:
        raise ValueError(f"works_each is {each}; pass at least one real work an artist.")
    mean_works = np.full((pool, real.shape[1]), np.nan)
    mean_works[works >= each] = real[_first_works(artist, works, each)].mean(axis=1)
    images = np.bincount(who[shown], minlength=subjects)
    membership = (np.arange(subjects)[:, None] == who[shown]).astype(np.float64)
    with np.errstate(invalid="ignore"):
        mean_images = membership @ made[shown] / images[:, None]
    return WorksBySubject(mean_works @ mean_images.T, each, images)


def _first_works(artist: IntArray, works: IntArray, each: int) -> IntArray:
    """Positions of the first works of every artist who has enough, shape (artists with enough, each)."""
    order = np.argsort(artist, kind="stable")
    first = np.searchsorted(artist[order], np.flatnonzero(works >= each))
    return np.asarray(order[first[:, None] + np.arange(each)])


def double_centred(similarity: npt.ArrayLike) -> FloatArray:
    """Similarities (pool, subjects) less the effects of works and of images, each column by effects fitted without it.

    Some works are near to everything (hubs), and some imitations too; taking both effects away leaves what is special
    to a pair (Suzuki et al. 2013, *Centering similarity measures to reduce hubs*, EMNLP). The effects are those of the
    additive two-way model with missing cells, by least squares (Yates 1933, *Empire Journal of Experimental
    Agriculture* 1, 129-142), with two kinds of cells left out:

    * own cells (s, s): else the more artists are imitated, the lower *their* rows would be in the columns of others,
      and an artist who is not imitated would rank too high;
    * for the ranks in column s, column s itself. A work's effect that was fitted with the very cell it is taken from
      shrinks that cell towards 0. It would do so for the background, whose cell is in the fit, and not for the artist,
      whose own cell is not, so that the artist's residual would be the wider one: simulated, 13 % of p-values were at
      or below 0.05 with three subjects, 7.4 % with eight. Without the column, artist and background are treated alike,
      and the rank among them is exactly uniform; another subject's row has one cell less, which is on the safe side.

    NaN rows and columns stay NaN. Values are rounded to 12 decimals, so that equal similarities stay ties.

    Raises ValueError where fewer than three rows or three columns hold values, and on a NaN among values.
    """
    values = np.asarray(similarity, dtype=np.float64)
    rows, columns = ~np.isnan(values).all(axis=1), ~np.isnan(values).all(axis=0)
    if rows.sum() < 3 or columns.sum() < 3:
        raise ValueError(
            f"{rows.sum()} artists with real works and {columns.sum()} subjects with images; centring needs three of each."
        )
    own = np.arange(values.shape[0])[:, None] == np.arange(values.shape[1])
    held = values[np.ix_(rows, columns)]
    if np.isnan(held).any():
        raise ValueError("A similarity is NaN though its artist has works and its subject images; embed them again.")
    kept = (~own[np.ix_(rows, columns)]).astype(np.float64)
    row = _row_effects(held, kept)
    column = ((held - row) * kept).sum(axis=0) / kept.sum(axis=0)
    centred = np.full(values.shape, np.nan)
    centred[np.ix_(rows, columns)] = np.round(held - row - column, 12)
    return centred


def _row_effects(held: FloatArray, kept: FloatArray) -> FloatArray:
    """Entry (r, s): the effect of row r in the additive model of the cells ``kept``, column s left out.

    A row and a column lack at most one cell each (``kept``, 1 or 0), so the normal equations of the column effects are,
    for effects that sum to 0, diagonal but for one constant, and all columns are left out in two matrix products.
    """
    in_row = kept.sum(axis=1, keepdims=True) - kept
    row_means = ((held * kept).sum(axis=1, keepdims=True) - held * kept) / in_row
    # Axis 0: the column whose effect is fitted; axis 1: the column left out.
    right = (held * kept).sum(axis=0)[:, None] - kept.T @ row_means
    lacking = len(kept) - kept.sum(axis=0)
    weight = (1 - np.eye(kept.shape[1])) / (kept.sum(axis=0) - lacking / (kept.shape[1] - 2))[:, None]
    column = (right - (right * weight).sum(axis=0) / weight.sum(axis=0)) * weight
    return np.asarray(row_means - kept @ column / in_row)


def own_rank(works: WorksBySubject, *, alpha: float = 0.05) -> OwnRank:
    """Rank of each artist's own real works among those of all artists, by similarity to the artist's imitations.

    p = rank / pool = (1 + artists at least as similar) / (1 + other artists); ties count against the artist. Where an
    artist is not imitated, and its works are not otherwise special among those of the pool, each rank is equally
    likely, whatever the imitations look like, so the level holds for every intra-artist correlation (a permutation
    test of the label "own": Phipson and Smyth 2010). Benjamini-Hochberg and Holm over the artists; ``unreachable``
    says where no rank could have passed.

    Raises ValueError where centring is impossible (``double_centred``).
    """
    centred = double_centred(works.similarity)
    subjects = centred.shape[1]
    valid = ~np.isnan(centred).all(axis=1)
    pool = int(valid.sum())
    ranks = np.full(centred.shape, np.nan)
    shown = ~np.isnan(centred[valid]).all(axis=0)
    ranks[np.ix_(valid, shown)] = stats.rankdata(-centred[np.ix_(valid, shown)], method="max", axis=0)
    square = ranks[:subjects]
    floor = np.where(np.isnan(square), np.nan, 1 / pool)
    table = RankSumTable(
        RankSum(square, square / pool, floor, (pool - square) / (pool - 1)), works.images, np.full(subjects, pool - 1)
    )
    rank, p, floors, auc = (np.diagonal(v).copy() for v in (square, square / pool, floor, table.ranks.auc))
    q = adjust(p, "benjamini_hochberg")
    return OwnRank(
        rank=rank,
        p_value=p,
        p_floor=floors,
        q_value=q,
        holm=adjust(p, "holm"),
        significant=q < alpha,
        unreachable=unreachable(p, floors, "benjamini_hochberg", alpha=alpha),
        auc=auc,
        pool=pool,
        table=table,
    )


def own_rank_leave_one_out(
    *,
    references: npt.ArrayLike,
    artist_of_reference: npt.ArrayLike,
    pool: int,
    imitations: npt.ArrayLike,
    subject_of_imitation: npt.ArrayLike,
    subjects: int,
    blank: npt.ArrayLike | None = None,
    works_each: int | None = None,
) -> FloatArray:
    """Does a result hang on one work? P-values of ``own_rank`` without the j-th work of every artist, (works, subjects).

    Arguments and errors as in ``works_by_subject``; row j leaves out the j-th of the works that it uses. The largest
    value of a column is the weakest case that the artist's works make (the jackknife's leave-one-out: Efron and
    Tibshirani 1993, *An introduction to the bootstrap*, chapter 11); it describes, and is no test of its own.

    Raises ValueError as well where the artists have a single work each, which cannot be left out.
    """
    artist: IntArray = np.asarray(artist_of_reference)
    chosen: dict[str, Any] = {
        "references": references, "pool": pool, "imitations": imitations, "subjects": subjects, "blank": blank,
        "subject_of_imitation": subject_of_imitation,
    }  # fmt: skip
    whole = works_by_subject(artist_of_reference=artist, works_each=works_each, **chosen)
    if whole.works_each < 2:
        raise ValueError("One real work an artist cannot be left out; add works, or ask works_each of two or more.")
    works = np.bincount(artist[artist >= 0], minlength=pool)
    used = _first_works(artist, works, whole.works_each)
    p_values = []
    for j in range(whole.works_each):
        kept = np.delete(used, j, axis=1)
        without = np.full(len(artist), -1)
        without[kept] = artist[kept]
        fewer = works_by_subject(artist_of_reference=without, works_each=whole.works_each - 1, **chosen)
        p_values.append(own_rank(fewer).p_value)
    return np.stack(p_values)


def pairing_test(works: WorksBySubject, *, permutations: int, rng: np.random.Generator) -> Pairing:
    """Do artists' works belong to their own imitations, all artists together? The headline of matching.

    The sum over artists of the similarity between own works and own imitations, against the same sum with the works
    given to artists at random; p = (1 + #{permuted >= observed}) / (1 + permutations), one-sided. Every row and every
    column is used once in each permutation, so row and column means cancel: centring changes nothing here, nor do
    hubs. Subjects without works or images are left out.

    Raises ValueError where fewer than two subjects remain or ``permutations`` is not positive.
    """
    square = _complete_square(works.similarity)
    subjects = len(square)
    null = _permuted(square, permutations, rng)
    observed = float(np.trace(square))
    p = _p_from(np.array([observed]), null, square)[0]
    return Pairing(
        statistic=observed / subjects - float(square.mean()),
        p_value=float(p),
        p_floor=_pairing_floor(subjects, permutations),
        permutations=permutations,
        subjects=subjects,
    )


def pairing_reassigned(
    works: WorksBySubject, *, assignments: int, permutations: int, rng: np.random.Generator, fixed_points: bool
) -> FloatArray:
    """The control of the global test: its p-value under each of random re-assignments of the works, (assignments,).

    A valid test gives p-values at or below 0.05 in at most 5 % of assignments (with fixed points; without them, artists
    never get their own works, which makes large sums rarer still).

    Raises ValueError as ``pairing_test`` and ``matching.random_assignments``.
    """
    square = _complete_square(works.similarity)
    drawn = random_assignments(len(square), assignments, rng=rng, fixed_points=fixed_points)
    sums = square[drawn, np.arange(len(square))].sum(axis=1)
    return _p_from(sums, _permuted(square, permutations, rng), square)


def _complete_square(similarity: FloatArray) -> FloatArray:
    subjects = similarity.shape[1]
    square = similarity[:subjects]
    kept = ~np.isnan(square).all(axis=1) & ~np.isnan(square).all(axis=0)
    if kept.sum() < 2:
        raise ValueError(f"{kept.sum()} subjects have both real works and images; pairing needs at least two.")
    return np.ascontiguousarray(square[np.ix_(kept, kept)])


def _permuted(square: FloatArray, permutations: int, rng: np.random.Generator) -> FloatArray:
    from audit_assets.measurement.kernels import permuted_traces

    if permutations < 1:
        raise ValueError(f"{permutations} permutations: pass at least one, 10,000 for a figure to print.")
    return permuted_traces(square, permutations, int(rng.integers(2**32)))


def _p_from(observed: FloatArray, null: FloatArray, square: FloatArray) -> FloatArray:
    # The same sum in another order differs by rounding; without a tolerance the identity would not tie with itself.
    tolerance = 1e-12 * len(square) * float(np.abs(square).max())
    ordered = np.sort(null)
    at_least = len(null) - np.searchsorted(ordered, observed - tolerance, side="left")
    return np.asarray((1 + at_least) / (1 + len(null)), dtype=np.float64)


def _pairing_floor(subjects: int, permutations: int) -> float:
    orders = factorial(subjects) if subjects < 20 else np.inf
    return float(max(1 / (1 + permutations), 1 / orders))
