"""Make the rows of the tests that decide matching: own cell, its two companions, and pairing of the whole roster."""

import warnings
from collections.abc import Iterable, Sequence
from math import ceil

import numpy as np
import numpy.typing as npt
import pandas as pd

from audit_assets.config import Protocol
from audit_assets.measurement.own_cell import (
    FEWEST_ROWS,
    FLAT_COLUMN,
    SAME_IMAGES,
    OwnCell,
    OwnCells,
    distinct_table,
    own_cell_in_strata,
    split_by_stratum,
)
from audit_assets.measurement.own_cell_companions import (
    Ranks,
    name_test,
    name_test_alone,
    own_rank,
    pairing,
)
from audit_assets.measurement.vectors import BoolArray, IntArray
from audit_assets.results.matched import Matched
from audit_assets.results.rows import Writer
from audit_assets.roster.strata import TESTED

REASSIGNED_TIMES = 20
"""Times that the own-cell test is repeated with works of other artists."""
REASSIGNED_LARGE, REASSIGNED_CELLS = 3, 2_500
"""In a matrix of more than two million cells it is repeated less: until so many own cells are re-assigned, at most three times. The
share of false findings, 5 %, then has a standard error of half a point (simulated with 600 artists, 20 times each)."""


def matrix_rows(out: Writer, found: Matched, subjects: pd.DataFrame, protocol: Protocol) -> None:
    """Run the own-cell test with its two companions per artist, and the pairing test of all artists together."""
    for test, ranks in _tests(found, subjects).items():
        for kind in TESTED:
            _ranked(out, found, kind, test, "none", ranks, protocol)
    reassigned = _reassigned_cells(found, protocol)
    for kind in TESTED:
        _ranked(out, found, kind, "own_cell", "reassigned", reassigned, protocol)
    _pairings(out, found, subjects, protocol)


def _tests(found: Matched, subjects: pd.DataFrame) -> dict[str, OwnCell | Ranks]:
    """Compute p per tested subject by each test, among the names of the subject's own stratum."""
    cells, own = found.cells, found.own
    lengths, strata = cells.lengths(), found.column_strata
    peers = _peer_groups(found.works.pool, subjects)[cells.row_of >= 0]
    return {
        "own_cell": own_cell_in_strata(cells.similarity, lengths, own, strata),
        "name_test": names_in_strata(found, subjects),
        "own_rank": own_rank(cells.similarity, lengths, own, peers=peers),
    }


def names_in_strata(found: Matched, subjects: pd.DataFrame) -> Ranks:
    """Run the name test of each subject among control names of its stratum.

    If too few other artists have works, run the name test that needs no other artist, and give its reason if it does not run.
    """
    cells, own = found.cells, found.own
    n, strata, lengths = len(found.tested), found.column_strata, cells.lengths()
    controls = found.columns_of(("random_name", "nonsense"), subjects)
    p, rank, others, floor = np.full(n, np.nan), np.full(n, np.nan), np.zeros(n, np.int64), np.full(n, np.nan)
    reasons = list(own.missing)
    for columns, members in split_by_stratum(own, strata):
        of_stratum = controls[np.isin(controls, columns)]
        part = OwnCells(own.rows[members], own.columns[members], tuple(own.missing[i] for i in members))
        test = name_test(cells.similarity, lengths, part, of_stratum)
        # As the test counts them: artists of other strata who repeat another's works are one row.
        alone = any(test.reason) and len(distinct_table(cells.similarity, lengths, part).similarity) - 1 < FEWEST_ROWS
        for at, i in enumerate(members):
            p[i], rank[i], others[i], floor[i] = test.p_value[at], test.rank[at], test.others[at], test.p_floor[at]
            reasons[i] = test.reason[at]
            if alone:
                mine, theirs = cells.mean_images[own.columns[i]], cells.mean_images[of_stratum]
                found_alone = name_test_alone(cells.mean_works[own.rows[i]], mine, theirs)
                p[i], rank[i], others[i] = found_alone.p_value, found_alone.rank, found_alone.others
                reasons[i] = found_alone.reason
                floor[i] = np.nan if reasons[i] else 1 / (1 + others[i])
    return Ranks(p, rank, others, floor, tuple(reasons))


def decided_by_names(own_p: npt.ArrayLike, own_reason: Iterable[str], names_p: npt.ArrayLike) -> BoolArray:
    """Say of which subjects the name test without other artists decides: the own-cell test lacks other artists, and the name test ran.

    Images that are equally near to the works of all artists say nothing by either test.
    """
    flat = np.array([why == FLAT_COLUMN for why in own_reason], dtype=np.bool_)
    own, names = (np.asarray(p, dtype=np.float64) for p in (own_p, names_p))
    return np.isnan(own) & ~np.isnan(names) & ~flat


def why_not_matched(own_reason: str, names_reason: str) -> str:
    """Return why neither test of matching ran: that other names have the same images comes first, since no other artist's works mend it."""
    return names_reason if SAME_IMAGES in names_reason else own_reason


def _peer_groups(pool: Sequence[str], subjects: pd.DataFrame) -> IntArray:
    """Return the group of each artist by the column `peers`, -1 for an artist without a group."""
    named = subjects.set_index("subject")["peers"].fillna("").reindex(list(pool)).fillna("").astype(str)
    codes = pd.factorize(named)[0]
    return np.where(named.to_numpy() == "", -1, codes).astype(np.int64)


def _reassigned_cells(found: Matched, protocol: Protocol) -> list[OwnCell]:
    """Repeat the own-cell test with works assigned to other artists: this gives its own share of false findings."""
    own = found.own
    exists = np.flatnonzero(own.rows >= 0)
    if len(exists) < 2:
        return []
    rng = np.random.default_rng([protocol.seed, 9])
    again = []
    for _ in range(reassignments(found.cells.similarity.size, len(exists))):
        rows = own.rows.copy()
        rows[exists] = own.rows[exists][np.roll(np.arange(len(exists)), int(rng.integers(1, len(exists))))]
        moved = OwnCells(rows, own.columns, own.missing)
        again.append(own_cell_in_strata(found.cells.similarity, found.cells.lengths(), moved, found.column_strata))
    return again


def reassignments(cells: int, artists: int) -> int:
    """Return how often works of other artists are tested in a matrix of so many cells and own cells."""
    if cells < 2_000_000:
        return REASSIGNED_TIMES
    return min(REASSIGNED_LARGE, ceil(REASSIGNED_CELLS / artists))


def _ranked(
    out: Writer,
    found: Matched,
    kind: str,
    test: str,
    control: str,
    ranks: OwnCell | Ranks | list[OwnCell],
    protocol: Protocol,
) -> None:
    """One row per tested subject of a kind. Several re-assignments give means."""
    several = ranks if isinstance(ranks, list) else [ranks]
    members = [i for i, k in enumerate(found.kinds) if k == kind]
    if not members or not several:
        return
    alpha = protocol.matching.alpha
    p, rank, others, floor = (
        np.stack([getattr(r, name)[members].astype(float) for r in several])
        for name in ("p_value", "rank", "others", "p_floor")
    )
    share = np.where(np.isnan(p), np.nan, (p <= alpha).astype(float))
    position = {name: i for i, name in enumerate(found.names)}
    images = [int(found.cells.images[position[found.tested[i]]]) for i in members]
    used = np.bincount(found.works.artist[found.weights > 0], minlength=len(found.works.pool))
    place = {name: i for i, name in enumerate(found.works.pool)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a subject that was never tested has no mean
        mean_p, auc, significant = (
            np.nanmean(values, axis=0) for values in (p, 1 - (rank - 1) / np.maximum(others, 1), share)
        )
    out.add(
        kind,
        [found.tested[i] for i in members],
        test,
        "closer",
        control,
        "none",
        references_used=[int(used[place[found.tested[i]]]) for i in members],
        images=images,
        others=others[0].astype(int),
        statistic=rank[0] if control == "none" else np.full(len(members), np.nan),
        p_value=mean_p,
        p_floor=floor[0],
        p_adjusted=mean_p,
        significant=np.nan_to_num(significant),
        unreachable=np.nan_to_num(floor[0], nan=1.0) > alpha,
        auc=auc,
        reason=[several[0].reason[i] for i in members],
    )


def _pairings(out: Writer, found: Matched, subjects: pd.DataFrame, protocol: Protocol) -> None:
    """Make one row about all artists together, and one row within peers if the artists' table names peers."""
    members = np.array([i for i, k in enumerate(found.kinds) if k == "artist"], dtype=np.int64)
    own = OwnCells(found.own.rows[members], found.own.columns[members], tuple(found.own.missing[i] for i in members))
    groups = _peer_groups([found.tested[i] for i in members], subjects)
    settings = protocol.matching
    for test, peers in (("pairing", None), ("pairing_within_peers", groups)):
        if not len(members) or (peers is not None and (peers < 0).all()):
            continue
        result = pairing(
            found.cells.similarity,
            own,
            permutations=settings.permutations,
            rng=np.random.default_rng([protocol.seed, 4]),
            peers=peers,
        )
        tested = not np.isnan(result.p_value)
        out.add(
            "artist",
            [None],
            test,
            "closer",
            "none",
            "none",
            references_used=int((found.weights > 0).sum()),
            images=int(found.cells.images.sum()),
            others=result.artists,
            statistic=result.statistic,
            p_value=result.p_value,
            p_floor=result.p_floor,
            p_adjusted=result.p_value,
            significant=float(tested and result.p_value <= settings.alpha),
            unreachable=bool(tested and result.p_floor > settings.alpha),
            auc=np.nan,
            reason=result.reason,
        )
