"""Run experiment 2 on an audit's tables: the paper's test, the exact test, and the two tests that stay valid.

Each test stands beside its control.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from audit_assets.config import Protocol
from audit_assets.measurement import matching
from audit_assets.measurement.effect_sizes import Auc, auc_intervals
from audit_assets.measurement.exact_rank_sum import rank_sum_exact_table
from audit_assets.measurement.matching import BY_SUBJECT_COLUMNS, Ranked, matching_summary
from audit_assets.measurement.multiplicity import Adjustment
from audit_assets.measurement.vectors import BoolArray, FloatArray, IntArray, same_dimension, unit_rows
from audit_assets.measurement.verification import matching_findings, rank_sum_embedding_findings
from audit_assets.results.copies import copies_of, images_that_count
from audit_assets.results.label_sets import in_roster
from audit_assets.results.matched import Matched, matched
from audit_assets.results.own_cells import matrix_rows
from audit_assets.results.recipe import Recipe, images_of, together, works_of
from audit_assets.results.rows import Writer
from audit_assets.roster.strata import TESTED
from audit_assets.warehouse.images import SHOW_NOTHING
from audit_assets.warehouse.store import vectors
from audit_assets.workspace import Workspace

_ARTISTS_AT_ONCE = 32
CONTROLS = (("reassigned", True), ("deranged", False))
"""Real works given to artists at random: by any permutation, as the paper allows, and by one that gives
no artist their own."""


ALTERNATIVES: tuple[matching.Alternative, ...] = ("two_sided", "closer")


@dataclass(frozen=True)
class Group:
    """Subjects of one kind that have real works and images, and the images that the tests compare.

    `index` (n,) has the position of each image's subject among `members`, -1 for images of other subjects.
    """

    kind: str
    members: list[str]
    images: pd.DataFrame
    index: IntArray

    @property
    def blank(self) -> BoolArray:
        return self.images["status"].isin(SHOW_NOTHING).to_numpy()

    @property
    def shown(self) -> BoolArray:
        return ~self.blank


def matching_rows(
    images: pd.DataFrame,
    references: pd.DataFrame,
    subjects: pd.DataFrame,
    *,
    protocol: Protocol,
    model_version: str,
    encoder: str,
    found: Matched | None,
) -> pd.DataFrame:
    """Run experiment 2 for one model and encoder: make the table `matching_by_subject`.

    The rank-sum tests compare each artist of the `criteria` roster with the other artists' images (in the paper, 10
    against 690). The own-cell test, its companions and the pairing test use every prompted artist with real works, in
    the matrix ``found`` of all works and all shown images. Untrained artists are tested one kind at a time.
    """
    real = _in_order(references)
    out = Writer(protocol, model_version, encoder)
    for group in _rank_sum_groups(images, real, subjects):
        _rank_sums(out, group, real, protocol)
    if found is not None:
        matrix_rows(out, found, subjects, protocol)
    if not out.tables:
        return pd.DataFrame(columns=list(matching.BY_SUBJECT_COLUMNS))
    return pd.concat(out.tables, ignore_index=True)


def paper_test_findings(
    rows: pd.DataFrame, images: pd.DataFrame, references: pd.DataFrame, subjects: pd.DataFrame
) -> list[str]:
    """List where the paper's test in `rows` (one model version and encoder) differs from scipy's on the embeddings."""
    real = _in_order(references)
    found = []
    for group in _rank_sum_groups(images, real, subjects):
        first = real.drop_duplicates("subject").set_index("subject").loc[group.members]
        found += rank_sum_embedding_findings(
            rows[(rows["test"] == "rank_sum_asymptotic") & (rows["kind"] == group.kind)],
            subjects=group.members,
            references=vectors(first["embedding"]),
            imitations=vectors(group.images["embedding"]),
            subject_of_imitation=group.index,
            blank=group.blank,
        )
    return found


def _supplied(images: pd.DataFrame) -> pd.DataFrame:
    """Return the images of prompts that name the subject."""
    return images[(images["status"] != "not_supplied") & (images["template"] >= 0)]


def _in_order(references: pd.DataFrame) -> pd.DataFrame:
    return references.sort_values(["subject", "work"], kind="stable")


def _rank_sum_groups(images: pd.DataFrame, real: pd.DataFrame, subjects: pd.DataFrame) -> Iterator[Group]:
    """Group the artists of the roster among themselves, and untrained artists against the roster."""
    roster = subjects.loc[(subjects["kind"] == "artist") & in_roster(subjects, "criteria"), "subject"].tolist()
    for kind in TESTED:
        tested = roster if kind == "artist" else subjects.loc[subjects["kind"] == kind, "subject"].tolist()
        if group := _group(kind, tested, roster, _supplied(images), real):
            yield group


def _group(
    kind: str, candidates: Sequence[str], others: Sequence[str], supplied: pd.DataFrame, real: pd.DataFrame
) -> Group | None:
    """Return None if no subject can be tested, or if no subject exists to compare with."""
    with_works, with_images = set(real["subject"]), set(supplied["subject"])
    members = [s for s in candidates if s in with_works and s in with_images]
    rows = supplied[supplied["subject"].isin({*members, *others})].sort_values(["subject", "template", "trial"])
    index = _positions(rows["subject"], members)
    return Group(kind, members, rows, index) if members and len(set(rows["subject"])) > 1 else None


def _positions(subjects: pd.Series, members: Sequence[str]) -> IntArray:
    """Return the position of each subject among the members, -1 if the subject is not a member."""
    places = subjects.map({s: i for i, s in enumerate(members)}).fillna(-1)
    return np.asarray(places.to_numpy(), dtype=np.int64)


def _rank_sums(out: Writer, group: Group, real: pd.DataFrame, protocol: Protocol) -> None:
    """Run the paper's test with each artist's first work, and the exact test with the mean distance to all works."""
    works = real[real["subject"].isin(group.members)]
    artist = _positions(works["subject"], group.members)
    made, of_image = unit_rows(vectors(group.images["embedding"])[group.shown], "imitation"), group.index[group.shown]
    (by_first, auc_of_first), (by_mean, auc_of_all) = _ranked(vectors(works["embedding"]), artist, made, of_image)
    for alternative in ALTERNATIVES:
        table = matching.rank_sum_table(by_first, alternative=alternative)
        _rank_sum(out, group, "rank_sum_asymptotic", alternative, table, auc_of_first, 1, protocol)
        del table  # of thousands of artists, a table takes hundreds of megabytes
    del by_first
    used = np.bincount(artist, minlength=len(group.members))
    for alternative in ALTERNATIVES:
        table = rank_sum_exact_table(by_mean, alternative=alternative)
        _rank_sum(out, group, "rank_sum_exact", alternative, table, auc_of_all, used, protocol)
        del table


def _ranked(
    works: FloatArray, artist: IntArray, made: FloatArray, of_image: IntArray
) -> tuple[tuple[Ranked, Auc], tuple[Ranked, Auc]]:
    """Rank the images by their distance to each artist's first work, and by the mean distance to all works, with the AUC over these works.

    The distances of all works to all images, which are gigabytes for thousands of artists, exist for a few artists at once.
    """
    real, n = unit_rows(works, "reference"), int(artist.max()) + 1
    same_dimension(real, made, "reference and imitation")
    firsts: list[tuple[Ranked, Auc]] = []
    means: list[tuple[Ranked, Auc]] = []
    for start in range(0, n, _ARTISTS_AT_ONCE):
        block = np.arange(start, min(start + _ARTISTS_AT_ONCE, n))
        own = np.flatnonzero(np.isin(artist, block))
        distances = real[own] @ made.T
        np.subtract(1.0, distances, out=distances)
        first = distances[[np.flatnonzero(artist[own] == s)[0] for s in block]]
        mean = np.stack([distances[artist[own] == s].mean(axis=0) for s in block])
        for parts, values, of_work, ranked in ((firsts, first, block, first), (means, distances, artist[own], mean)):
            auc = auc_intervals(values, of_work, of_image, subjects=n)
            parts.append((matching.rank_sums(ranked, of_image, n), auc))
    return _joined(firsts), _joined(means)


def _joined(parts: Sequence[tuple[Ranked, Auc]]) -> tuple[Ranked, Auc]:
    ranked, aucs = [part for part, _ in parts], [auc for _, auc in parts]
    having = [auc.works > 0 for auc in aucs]
    auc, low, high = (
        np.select(having, [getattr(part, name) for part in aucs], np.nan) for name in ("auc", "low", "high")
    )
    return Ranked.joined(ranked), Auc(auc, low, high, np.sum([part.works for part in aucs], axis=0))


def _rank_sum(
    out: Writer,
    group: Group,
    test: str,
    alternative: str,
    table: matching.RankSumTable,
    auc: Auc,
    references_used: npt.ArrayLike,
    protocol: Protocol,
) -> None:
    found = matching.paper_test(table, alpha=protocol.matching.alpha)
    common = {"references_used": references_used, "images": table.images, "others": table.others}
    out.add(
        group.kind,
        group.members,
        test,
        alternative,
        "none",
        "bonferroni",
        statistic=found.ranks.statistic,
        p_value=found.ranks.p_value,
        p_floor=found.ranks.p_floor,
        **common,
        p_adjusted=found.p_adjusted,
        significant=found.significant.astype(float),
        unreachable=found.unreachable,
        auc=auc.auc,
        auc_low=auc.low,
        auc_high=auc.high,
    )
    _reassigned(out, group, test, alternative, "bonferroni", table, protocol, p_floor=found.ranks.p_floor, **common)


def _reassigned(
    out: Writer,
    group: Group,
    test: str,
    alternative: str,
    adjustment: Adjustment,
    table: matching.RankSumTable,
    protocol: Protocol,
    **columns: Any,
) -> None:
    if np.count_nonzero(~np.isnan(np.diagonal(table.ranks.p_value))) < 2:
        return
    settings = protocol.matching
    for control, fixed_points in CONTROLS:
        again = matching.reassigned(
            table,
            assignments=settings.reassignments,
            rng=np.random.default_rng([protocol.seed, len(group.members)]),
            fixed_points=fixed_points,
            adjustment=adjustment,
            alpha=settings.alpha,
        )
        out.add(
            group.kind,
            group.members,
            test,
            alternative,
            control,
            adjustment,
            **columns,
            statistic=again.statistic,
            p_value=again.p_value,
            p_adjusted=again.p_adjusted,
            significant=again.share_significant,
            unreachable=False,
            auc=again.auc,
        )


def _sources(ws: Workspace, model: str) -> list[str]:
    return [*images_of(ws, ws.encoders(model), model), copies_of(model), *works_of(ws, ws.encoders(model))]


def _make(ws: Workspace, model: str) -> dict[str, pd.DataFrame]:
    subjects = ws.subjects()
    rows = together(
        [
            matching_rows(
                images,
                real,
                subjects,
                protocol=ws.protocol,
                model_version=model,
                encoder=encoder,
                found=matched(ws, model, ws.audit.encoder(encoder)),
            )
            for encoder, images, real in _embeddings(ws, model)
        ],
        BY_SUBJECT_COLUMNS,
    )
    return {"matching_by_subject": rows, "matching_summary": matching_summary(rows)}


def _embeddings(ws: Workspace, model: str) -> Iterator[tuple[str, pd.DataFrame, pd.DataFrame]]:
    """Return, for each encoder, the embeddings of images and of real works, if real works exist."""
    for e in ws.encoders(model):
        if real := works_of(ws, [e]):
            yield e.name, images_that_count(ws, e, model), ws.warehouse.read_all(real)


def _findings(ws: Workspace, model: str) -> list[str]:
    """List rows that do not follow from each other, and where the paper's test differs from scipy's."""
    rows, summary = (ws.warehouse.read(f"{t}/{model}") for t in MATCHING.tables)
    found = matching_findings(rows, summary, alpha=ws.protocol.matching.alpha)
    for encoder, images, real in _embeddings(ws, model):
        found += paper_test_findings(rows[rows["encoder"] == encoder], images, real, ws.subjects())
    return found


MATCHING = Recipe(("matching_by_subject", "matching_summary"), _sources, _make, _findings)
"""Experiment 2 for every encoder, by the paper's test and by those that stay valid."""
