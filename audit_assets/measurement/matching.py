"""Experiment 2 of Casper et al. (2023, section 2.2): do real works lie closer to imitations of their own artist?

The paper takes one real work per artist, its cosine distances to the ten imitations of that artist and to the 690 of
the others, and a rank-sum test with Bonferroni's factor 70. Its control re-assigns the real works at random, and still
finds 22.8 % of artists significant. The reason is that the rank-sum test treats ten imitations of one artist as ten
independent observations, but they resemble each other. This module computes the test as the paper does, and its
control.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy

from audit_assets.measurement.multiplicity import Adjustment, adjust, unreachable
from audit_assets.measurement.typed import typed
from audit_assets.measurement.vectors import BoolArray, FloatArray, IntArray, indices, same_dimension, unit_rows

Alternative = Literal["two_sided", "closer"]

SMALLEST_P = float(np.finfo(np.float64).tiny)
"""A p-value is never 0. If the normal tail underflows, the p-value is this number."""

BY_SUBJECT_COLUMNS = (
    "protocol", "model_version", "encoder", "test", "alternative", "control", "subject", "kind", "references_used",
    "images", "others", "statistic", "p_value", "p_floor", "adjustment", "p_adjusted", "significant", "unreachable",
    "auc", "auc_low", "auc_high", "reason",
)  # fmt: skip
SUMMARY_COLUMNS = (
    "protocol", "model_version", "encoder", "test", "alternative", "control", "adjustment", "kind", "subjects",
    "significant", "share",
)  # fmt: skip


@dataclass(frozen=True)
class RankSum:
    """Rank-sum tests; the fields are arrays of one shape.

    ``statistic`` is standard normal under the hypothesis. It is negative if own imitations are closer.
    ``p_floor`` is the smallest ``p_value`` that these sample sizes can give. In the asymptotic test it depends on these
    ties too.
    ``auc`` is the probability that an own imitation is closer than one of another subject; a tie counts half.
    """

    statistic: FloatArray
    p_value: FloatArray
    p_floor: FloatArray
    auc: FloatArray


@dataclass(frozen=True)
class RankSumTable:
    """Tests of each real work against each subject, arrays of shape (references, subjects).

    Entry (r, s) tests whether real work r lies closer to the imitations of subject s than to all other imitations. The
    diagonal is the paper's test. A re-assignment of real works chooses other entries.
    ``images`` and ``others`` (subjects,) are the sample sizes without blank images.
    """

    ranks: RankSum
    images: IntArray
    others: IntArray


@dataclass(frozen=True)
class PaperTest:
    """The paper's test; the fields are arrays of shape (subjects,).

    ``p_adjusted`` is Bonferroni's p-value. A subject is ``significant`` if it is at most alpha. A subject without images
    has NaN figures, still counts in Bonferroni's factor, and is not significant. ``unreachable``: no images could have
    made it significant.
    """

    ranks: RankSum
    p_adjusted: FloatArray
    significant: BoolArray
    unreachable: BoolArray


@dataclass(frozen=True)
class Reassigned:
    """The paper's control; the arrays (subjects,) hold means over random re-assignments of the real works.

    ``share_significant`` is the share of assignments in which the subject was significant. ``share`` is its mean over
    subjects (the paper prints 22.8 %).
    """

    statistic: FloatArray
    p_value: FloatArray
    p_adjusted: FloatArray
    auc: FloatArray
    share_significant: FloatArray
    share: float
    assignments: int


def cosine_distances(references: npt.ArrayLike, imitations: npt.ArrayLike) -> FloatArray:
    """Return 1 - cosine of embeddings of unit length in float64, shape (references, imitations).

    Section 2.2 of the paper uses this distance.

    Raises ValueError if embeddings are not finite, not of unit length, or of different dimension.
    """
    real, made = unit_rows(references, "reference"), unit_rows(imitations, "imitation")
    same_dimension(real, made, "reference and imitation")
    distances: FloatArray = real @ made.T
    np.subtract(1.0, distances, out=distances)
    return distances


_ROWS_AT_ONCE = 128


@dataclass(frozen=True)
class Ranked:
    """The ranks of real works' distances to images, which serve both tests and every alternative.

    ``sums`` (references, subjects): of the midranks of each subject's images within a row. ``ties`` (references,): the sum of t^3 - t over the
    groups of t equal distances. ``tied`` (references, subjects), sparse because ties are rare: pairs of a subject's image and another image that are equally far.
    ``images`` and ``others`` (subjects,): the subject's images, and all other images.
    """

    sums: FloatArray
    ties: FloatArray
    tied: "scipy.sparse.csr_array"
    images: IntArray
    others: IntArray

    @classmethod
    def joined(cls, parts: Sequence["Ranked"]) -> "Ranked":
        """Join the ranks of several blocks of works among the same images."""
        sums, ties = (np.concatenate([getattr(part, name) for part in parts]) for name in ("sums", "ties"))
        tied = scipy.sparse.csr_array(scipy.sparse.vstack([part.tied for part in parts]))
        return cls(sums, ties, tied, parts[0].images, parts[0].others)


def rank_sums(distances: npt.ArrayLike, subject_of_image: npt.ArrayLike, subjects: int) -> Ranked:
    """Rank the images within each row of ``distances`` (references, n), and add the ranks of each subject's images.

    ``subject_of_image`` (n,) holds integers below ``subjects``. The index -1 marks an image of an untested subject, which belongs to the
    others of each subject. Ties get their mean rank, as in ``scipy.stats.rankdata``. Ranks are whole or half numbers, so the sums are exact
    in any order. Few rows are ranked at once, to save memory.

    Raises ValueError if distances are not finite, indices are out of range, or fewer than two subjects are given and no
    image is of an untested subject.
    """
    from audit_assets.measurement import kernels

    d = np.asarray(distances, dtype=np.float64)
    if d.ndim != 2:
        raise ValueError(f"The distances have shape {d.shape}; pass (references, images).")
    _check_distances(d)
    who = indices(subject_of_image, length=d.shape[1], below=subjects, what="The subject of the image")
    if subjects < 2 and not (who < 0).any():
        raise ValueError("One subject alone has no others to compare with; audit at least two subjects.")
    sums, ties, tied = np.empty((len(d), subjects)), np.empty(len(d)), [scipy.sparse.csr_array((0, subjects))]
    for start in range(0, len(d), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        sums[rows], ties[rows], pairs = kernels.rank_sums(d[rows], who, subjects)
        tied.append(scipy.sparse.csr_array(pairs))
    images = np.bincount(who[who >= 0], minlength=subjects)
    return Ranked(sums, ties, scipy.sparse.csr_array(scipy.sparse.vstack(tied)), images, d.shape[1] - images)


def rank_sum_table(ranked: Ranked, *, alternative: Alternative) -> RankSumTable:
    """Compute Wilcoxon's rank-sum test by normal approximation, of each real work (row) against each subject.

    ``closer`` tests whether own distances are smaller. ``two_sided`` tests whether they differ, so an artist whose imitations lie
    *farther* away than those of all others is also significant.

    The test has no continuity correction. Ties get midranks, and the variance is corrected for them (Lehmann 1975,
    *Nonparametrics*, section 1.4). Each entry therefore equals ``scipy.stats.mannwhitneyu(method="asymptotic",
    use_continuity=False)``. If no distances are equal, it also equals ``scipy.stats.ranksums``, the plain "rank sum
    test" of Casper et al. (2023). If all distances are equal, the statistic is 0 and p is 1. A subject without images,
    or without others, has no test and gets NaN.
    """
    n1, n2 = ranked.images.astype(np.float64), ranked.others.astype(np.float64)

    def of_rows(rows: slice) -> RankSum:
        u = ranked.sums[rows] - n1 * (n1 + 1) / 2
        return _from_u(u, n1[None, :], n2[None, :], ranked.ties[rows, None], alternative)

    return RankSumTable(in_blocks(ranked.sums.shape, of_rows), ranked.images, ranked.others)


def in_blocks(shape: tuple[int, ...], of_rows: Callable[[slice], RankSum]) -> RankSum:
    """Compute tests of this shape for few rows at once, because what is made on the way takes more memory than the result."""
    found = RankSum(*(np.empty(shape) for _ in range(4)))
    for start in range(0, shape[0], _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        for whole, part in zip(_fields(found), _fields(of_rows(rows)), strict=True):
            whole[rows] = part
    return found


def paper_test(table: RankSumTable, *, alpha: float) -> PaperTest:
    """Run the test of Casper et al. (2023, section 2.2) with Bonferroni: each artist's real work against the artist's own images.

    ``table`` is square: one real work per subject, in the order of the subjects.
    """
    own = RankSum(*(np.diagonal(values).copy() for values in _fields(table.ranks)))
    adjusted = adjust(own.p_value, "bonferroni")
    return PaperTest(own, adjusted, adjusted <= alpha, unreachable(own.p_value, own.p_floor, "bonferroni", alpha=alpha))


def reassigned(
    table: RankSumTable,
    *,
    assignments: int,
    rng: np.random.Generator,
    fixed_points: bool,
    adjustment: Adjustment = "bonferroni",
    alpha: float = 0.05,
) -> Reassigned:
    """Run the control of section 2.2: give each artist a real work at random, and count the significant artists.

    ``table`` is square and has one real work per subject. Each assignment is a uniformly random permutation of the
    works. ``fixed_points`` says whether an artist may draw its own work back. The paper does not say. With fixed
    points, about one artist per assignment draws its own work, and that artist is no control. Without fixed points, the
    permutation is a uniformly random derangement.

    A subject without a test (no usable real work, or no image) gives and gets no work. Its figures are NaN. It counts
    among the tests that p-values are adjusted for and among the subjects of ``share``.

    Raises ValueError if the table is not square, ``assignments`` is not positive, or ``fixed_points`` is False and only
    one subject exists.
    """
    p = table.ranks.p_value
    if p.shape[0] != p.shape[1]:
        raise ValueError(f"The table is {p.shape}; re-assignment needs one real work a subject, so a square table.")
    subjects = np.arange(p.shape[0])
    tested = np.flatnonzero(~np.isnan(p).all(axis=1) & ~np.isnan(p).all(axis=0))
    works = np.tile(subjects, (assignments, 1))
    drawn = random_assignments(len(tested), assignments, rng=rng, fixed_points=fixed_points)
    works[:, tested] = tested[drawn]
    p_drawn = p[works, subjects]
    adjusted = _adjust_rows(p_drawn, adjustment)
    significant = (adjusted <= alpha).mean(axis=0)
    return Reassigned(
        statistic=table.ranks.statistic[works, subjects].mean(axis=0),
        p_value=p_drawn.mean(axis=0),
        p_adjusted=adjusted.mean(axis=0),
        auc=table.ranks.auc[works, subjects].mean(axis=0),
        share_significant=significant,
        share=float(significant.mean()),
        assignments=assignments,
    )


def random_assignments(works: int, assignments: int, *, rng: np.random.Generator, fixed_points: bool) -> IntArray:
    """Draw uniformly random permutations of 0..works-1, shape (assignments, works).

    Without ``fixed_points`` the permutations are derangements. The function draws them by rejection: one permutation in
    e = 2.718 is a derangement, for any number of works.

    Raises ValueError if ``assignments`` is not positive, or ``fixed_points`` is False and only one work exists.
    """
    if assignments < 1:
        raise ValueError(f"{assignments} assignments: pass at least one, 1,000 for a figure to print.")
    if works < 1 or (works == 1 and not fixed_points):
        raise ValueError(f"{works} real work(s) cannot be re-assigned; audit at least two artists with real works.")
    identity = np.arange(works)
    drawn = rng.permuted(np.tile(identity, (assignments, 1)), axis=1)
    again = np.flatnonzero((drawn == identity).any(axis=1)) if not fixed_points else np.empty(0, dtype=np.int64)
    while len(again):
        drawn[again] = rng.permuted(drawn[again], axis=1)
        again = again[(drawn[again] == identity).any(axis=1)]
    return drawn.astype(np.int64)


def matching_by_subject(
    *,
    protocol: str,
    model_version: str,
    encoder: str,
    test: str,
    alternative: str,
    control: str,
    adjustment: str,
    subject: Sequence[str | None],
    kind: Sequence[str | None],
    references_used: npt.ArrayLike,
    images: npt.ArrayLike,
    others: npt.ArrayLike,
    statistic: npt.ArrayLike,
    p_value: npt.ArrayLike,
    p_floor: npt.ArrayLike,
    p_adjusted: npt.ArrayLike,
    significant: npt.ArrayLike,
    unreachable: npt.ArrayLike,
    auc: npt.ArrayLike,
    auc_low: npt.ArrayLike | None = None,
    auc_high: npt.ArrayLike | None = None,
    reason: Sequence[str] | str = "",
) -> pd.DataFrame:
    """Return rows of table ``matching_by_subject`` of the published schema, sorted by subject. NaN becomes NULL.

    ``test`` is 'rank_sum_asymptotic', 'rank_sum_exact', 'own_cell', 'name_test', 'own_rank', 'pairing' or
    'pairing_within_peers'. ``control`` is 'none', or 'reassigned' or a variant of it, whose figures are means over
    assignments. A sequence has one entry per subject. A single value applies to all subjects.

    Raises ValueError if a subject occurs twice, a length differs, or a p-value is 0.
    """
    names = list(subject)
    columns: dict[str, Any] = {
        "protocol": protocol, "model_version": model_version, "encoder": encoder, "test": test,
        "alternative": alternative, "control": control, "subject": names, "kind": list(kind),
        "references_used": references_used, "images": images, "others": others, "statistic": statistic,
        "p_value": p_value, "p_floor": p_floor, "adjustment": adjustment, "p_adjusted": p_adjusted,
        "significant": significant, "unreachable": unreachable, "auc": auc,
        "auc_low": np.nan if auc_low is None else auc_low, "auc_high": np.nan if auc_high is None else auc_high,
        "reason": reason,
    }  # fmt: skip
    for name, values in columns.items():
        if np.ndim(values) and len(values) != len(names):
            raise ValueError(f"{len(values)} values of {name} for {len(names)} subjects; pass one a subject.")
    rows = pd.DataFrame(columns, index=range(len(names)))
    twice = rows["subject"].duplicated()
    if twice.any():
        raise ValueError(f"The subject {rows.loc[twice, 'subject'].iloc[0]!r} occurs twice; pass one row a subject.")
    if (rows["p_value"] == 0).any():
        raise ValueError(
            "A p-value is 0; a test of finitely many images or permutations cannot give that. Use its floor."
        )
    return _typed(rows, BY_SUBJECT_COLUMNS).sort_values("subject", ignore_index=True)


def matching_summary(by_subject: pd.DataFrame) -> pd.DataFrame:
    """Compute table ``matching_summary`` from the rows by subject alone. It counts the significant subjects per kind.

    ``significant`` is a sum, so a re-assignment control gives the mean number of artists (the paper has 16 of 70).
    ``share`` is ``significant`` / ``subjects``, NULL if there are none. A subject for which no test was possible has no p-value and
    is not counted: otherwise a control that never ran would show an error rate of 0 %. The global pairing test is one row about all
    subjects and has no share. It stays in the table by subject.

    Raises ValueError if columns are missing or a subject occurs twice in one test.
    """
    missing = [column for column in BY_SUBJECT_COLUMNS if column not in by_subject.columns]
    if missing:
        raise ValueError(f"The table matching_by_subject has no column {missing[0]!r}; pass all columns of schema.sql.")
    keys = ["protocol", "model_version", "encoder", "test", "alternative", "control", "adjustment", "kind"]
    rows = by_subject[by_subject["subject"].notna()]
    twice = rows.duplicated([*keys, "subject"])
    if twice.any():
        raise ValueError(f"The subject {rows.loc[twice, 'subject'].iloc[0]!r} occurs twice in one test; remove a row.")
    tested = rows.assign(significant=rows["significant"].where(rows["p_value"].notna()))
    groups = tested.groupby(keys, sort=True, observed=True)["significant"]
    table = groups.agg(subjects="count", significant="sum").reset_index()
    table["share"] = table["significant"] / table["subjects"]
    return _typed(table, SUMMARY_COLUMNS)


def _from_u(u: FloatArray, n1: FloatArray, n2: FloatArray, ties: FloatArray, alternative: Alternative) -> RankSum:
    if alternative not in ("two_sided", "closer"):
        raise ValueError(f"Unknown alternative {alternative!r}; choose 'two_sided' or 'closer'.")
    n = n1 + n2
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = n1 * n2 / 12 * (n + 1 - ties / (n * (n - 1)))
        z = np.where(variance > 0, (u - n1 * n2 / 2) / np.sqrt(variance), 0.0)
        # Complete separation means U = 0, with the ties that exist. The ties shrink the variance, and so the floor.
        farthest = np.where(variance > 0, -n1 * n2 / 2 / np.sqrt(variance), 0.0)
        auc = 1 - u / (n1 * n2)
    untested = np.broadcast_to((n1 == 0) | (n2 == 0), z.shape)
    floor = np.broadcast_to(_normal_p(farthest, alternative), z.shape)
    return RankSum(*(np.where(untested, np.nan, v) for v in (z, _normal_p(z, alternative), floor, auc)))


def _normal_p(z: FloatArray, alternative: Alternative) -> FloatArray:
    p = scipy.special.ndtr(z) if alternative == "closer" else 2 * scipy.special.ndtr(-np.abs(z))
    return np.maximum(p, SMALLEST_P)


def _adjust_rows(p: FloatArray, adjustment: Adjustment) -> FloatArray:
    if adjustment == "bonferroni":
        return np.minimum(1.0, p * p.shape[1])
    return np.stack([adjust(row, adjustment) for row in p])


def _fields(ranks: RankSum) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    return ranks.statistic, ranks.p_value, ranks.p_floor, ranks.auc


def _check_distances(distances: FloatArray) -> None:
    bad = ~np.isfinite(distances).all(axis=1)
    if bad.any():
        raise ValueError(f"The distances in row {int(np.argmax(bad))} hold NaN or infinity; embed those images again.")


_DOUBLES = (
    "statistic", "p_value", "p_floor", "p_adjusted", "significant", "auc", "auc_low", "auc_high", "share",
)  # fmt: skip


def _typed(table: pd.DataFrame, columns: tuple[str, ...]) -> pd.DataFrame:
    integers = ("references_used", "images", "others", "subjects")
    return typed(table, columns, integers=integers, booleans=("unreachable",), doubles=_DOUBLES)
