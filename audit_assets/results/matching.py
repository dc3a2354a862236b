"""Experiment 2 over an audit's tables: the paper's test, the exact one, and the two that stay valid, each beside its control."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from audit_assets.config import INDIRECT, MatchingTests, Protocol
from audit_assets.measurement import matching
from audit_assets.measurement.corrected_matching import (
    WorksBySubject,
    own_rank,
    own_rank_leave_one_out,
    pairing_reassigned,
    pairing_test,
    works_by_subject,
)
from audit_assets.measurement.effect_sizes import Auc, auc_intervals
from audit_assets.measurement.exact_rank_sum import rank_sum_exact_table
from audit_assets.measurement.matching import BY_SUBJECT_COLUMNS, matching_summary
from audit_assets.measurement.multiplicity import Adjustment, adjust, unreachable
from audit_assets.measurement.vectors import BoolArray, FloatArray, IntArray
from audit_assets.measurement.verification import matching_findings, rank_sum_embedding_findings
from audit_assets.results.label_sets import in_roster
from audit_assets.results.recipe import Recipe, images_of, together, works_of
from audit_assets.warehouse.store import vectors
from audit_assets.workspace import Workspace

CONTROLS = (("reassigned", True), ("deranged", False))
"""Real works given to artists at random: by any permutation, which the paper does not exclude, and by one that gives nobody
their own."""

KINDS = ("artist", "untrained_artist")

ALTERNATIVES: tuple[matching.Alternative, ...] = ("two_sided", "closer")


@dataclass(frozen=True)
class Group:
    """Subjects of one kind that have real works and images, and the images that they are tested among.

    `index` (n,): the position of each image's subject among `members`, -1 for images of others.
    """

    kind: str
    members: list[str]
    images: pd.DataFrame
    index: IntArray

    @property
    def blank(self) -> BoolArray:
        return (self.images["status"] == "blank").to_numpy()

    @property
    def shown(self) -> BoolArray:
        return ~self.blank


class Writer:
    """Rows of one model version by one encoder under one protocol."""

    def __init__(self, protocol: Protocol, model_version: str, encoder: str) -> None:
        self.keys = {"protocol": protocol.name, "model_version": model_version, "encoder": encoder}
        self.tables: list[pd.DataFrame] = []

    def add(
        self,
        kind: str,
        subject: Sequence[str | None],
        test: str,
        alternative: str,
        control: str,
        adjustment: str,
        **columns: Any,
    ) -> None:
        """One row a subject; None stands for all of them together. `columns` as in `matching.matching_by_subject`."""
        self.tables.append(
            matching.matching_by_subject(
                **self.keys,
                test=test,
                alternative=alternative,
                control=control,
                adjustment=adjustment,
                subject=subject,
                kind=[kind] * len(subject),
                **columns,
            )
        )


def matching_rows(
    images: pd.DataFrame,
    references: pd.DataFrame,
    subjects: pd.DataFrame,
    *,
    protocol: Protocol,
    model_version: str,
    encoder: str,
) -> pd.DataFrame:
    """Experiment 2 for one model and encoder: table `matching_by_subject`.

    Rank-sum tests: artists of the `criteria` roster against each other's imitations (the paper's 10 against 690). The
    corrected tests: every prompted artist with real works, ranked among everyone with real works. Untrained artists are
    tested one kind at a time, with the artists' imitations as the others, and do not enter the artists' tests.
    """
    real = _in_order(references)
    out = Writer(protocol, model_version, encoder)
    for group in _rank_sum_groups(images, real, subjects):
        _rank_sums(out, group, real, protocol)
    for kind in KINDS:
        tested = subjects.loc[subjects["kind"] == kind, "subject"].tolist()
        if corrected := _group(kind, tested, [], _supplied(images), real):
            _corrected(out, corrected, real, protocol)
    if not out.tables:
        return pd.DataFrame(columns=list(matching.BY_SUBJECT_COLUMNS))
    return pd.concat(out.tables, ignore_index=True)


def paper_test_findings(
    rows: pd.DataFrame, images: pd.DataFrame, references: pd.DataFrame, subjects: pd.DataFrame
) -> list[str]:
    """Where the paper's test in `rows` (one model version and encoder) differs from scipy's over the embeddings."""
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
    """Images of prompts that name the subject."""
    return images[(images["status"] != "not_supplied") & (images["template"] != INDIRECT)]


def _in_order(references: pd.DataFrame) -> pd.DataFrame:
    return references.sort_values(["subject", "work"], kind="stable")


def _rank_sum_groups(images: pd.DataFrame, real: pd.DataFrame, subjects: pd.DataFrame) -> Iterator[Group]:
    """Artists of the roster among themselves; untrained artists against them."""
    roster = subjects.loc[(subjects["kind"] == "artist") & in_roster(subjects, "criteria"), "subject"].tolist()
    for kind in KINDS:
        tested = roster if kind == "artist" else subjects.loc[subjects["kind"] == kind, "subject"].tolist()
        if group := _group(kind, tested, roster, _supplied(images), real):
            yield group


def _group(
    kind: str, candidates: Sequence[str], others: Sequence[str], supplied: pd.DataFrame, real: pd.DataFrame
) -> Group | None:
    """None where nobody could be tested, or there is nobody to compare with."""
    with_works, with_images = set(real["subject"]), set(supplied["subject"])
    members = [s for s in candidates if s in with_works and s in with_images]
    rows = supplied[supplied["subject"].isin({*members, *others})].sort_values(["subject", "template", "trial"])
    index = _positions(rows["subject"], members)
    return Group(kind, members, rows, index) if members and len(set(rows["subject"])) > 1 else None


def _positions(subjects: pd.Series, members: Sequence[str]) -> IntArray:
    """The place of each subject among the members, -1 where it is not one."""
    places = subjects.map({s: i for i, s in enumerate(members)}).fillna(-1)
    return np.asarray(places.to_numpy(), dtype=np.int64)


def _rank_sums(out: Writer, group: Group, real: pd.DataFrame, protocol: Protocol) -> None:
    """The paper's test with the first work of each artist, and the exact test with the mean distance to all of them."""
    works = real[real["subject"].isin(group.members)]
    first = works.drop_duplicates("subject").set_index("subject").loc[group.members]
    made = vectors(group.images["embedding"])
    settings = protocol.matching
    to_first = matching.cosine_distances(vectors(first["embedding"]), made)
    of_first = _auc(to_first, np.arange(len(group.members)), group)
    for alternative in ALTERNATIVES:
        test = matching.paper_test(
            references=vectors(first["embedding"]),
            imitations=made,
            subject_of_imitation=group.index,
            blank=group.blank,
            alternative=alternative,
            alpha=settings.alpha,
        )
        _rank_sum(out, group, "rank_sum_asymptotic", alternative, test.table, of_first, 1, protocol)

    distances = matching.cosine_distances(vectors(works["embedding"]), made)
    artist = _positions(works["subject"], group.members)
    count = np.bincount(artist, minlength=len(group.members))
    mean = (np.arange(len(group.members))[:, None] == artist) @ distances / count[:, None]
    of_all = _auc(distances, artist, group)
    for alternative in ALTERNATIVES:
        table = rank_sum_exact_table(
            mean[:, group.shown], group.index[group.shown], len(group.members), alternative=alternative
        )
        _rank_sum(out, group, "rank_sum_exact", alternative, table, of_all, count, protocol)


def _auc(distances: FloatArray, artist: IntArray, group: Group) -> Auc:
    return auc_intervals(distances[:, group.shown], artist, group.index[group.shown], subjects=len(group.members))


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
    own = {name: np.diagonal(getattr(table.ranks, name)) for name in ("statistic", "p_value", "p_floor")}
    adjusted = adjust(own["p_value"], "bonferroni")
    common = {"references_used": references_used, "images": table.images, "others": table.others}
    out.add(
        group.kind,
        group.members,
        test,
        alternative,
        "none",
        "bonferroni",
        **own,
        **common,
        p_adjusted=adjusted,
        significant=(adjusted < protocol.matching.alpha).astype(float),
        unreachable=unreachable(own["p_value"], own["p_floor"], "bonferroni", alpha=protocol.matching.alpha),
        auc=auc.auc,
        auc_low=auc.low,
        auc_high=auc.high,
    )
    _reassigned(out, group, test, alternative, "bonferroni", table, protocol, p_floor=own["p_floor"], **common)


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


def _corrected(out: Writer, group: Group, real: pd.DataFrame, protocol: Protocol) -> None:
    """Own rank by Benjamini-Hochberg and by Holm, and the global pairing test."""
    chosen = _pool(group, real, protocol.matching)
    works = works_by_subject(**chosen)
    rows, columns = (~np.isnan(works.similarity).all(axis=axis) for axis in (1, 0))
    if min(rows.sum(), columns.sum()) < 3:  # centring needs three of each
        return
    without_one = own_rank_leave_one_out(**chosen).max(axis=0) if works.works_each > 1 else None
    test = own_rank(works, alpha=protocol.matching.alpha)
    common: dict[str, Any] = {
        "references_used": works.works_each,
        "images": works.images,
        "others": test.pool - 1,
        "p_floor": test.p_floor,
    }
    corrections: tuple[tuple[Adjustment, FloatArray], ...] = (
        ("benjamini_hochberg", test.q_value),
        ("holm", test.holm),
    )
    for adjustment, adjusted in corrections:
        out.add(
            group.kind,
            group.members,
            "own_rank",
            "closer",
            "none",
            adjustment,
            **common,
            statistic=test.rank,
            p_value=test.p_value,
            p_adjusted=adjusted,
            significant=(adjusted < protocol.matching.alpha).astype(float),
            unreachable=unreachable(test.p_value, test.p_floor, adjustment, alpha=protocol.matching.alpha),
            auc=test.auc,
            p_leave_one_out=without_one,
        )
        _reassigned(out, group, "own_rank", "closer", adjustment, test.table, protocol, **common)
    _pairing(out, group, works, protocol)


def _pool(group: Group, real: pd.DataFrame, settings: MatchingTests) -> dict[str, Any]:
    """Arguments of `works_by_subject`: the members first, then everyone else with real works."""
    others = real.loc[~real["subject"].isin(group.members), "subject"].drop_duplicates().tolist()
    pool = [*group.members, *others]
    return {
        "references": vectors(real["embedding"]),
        "artist_of_reference": _positions(real["subject"], pool),
        "pool": len(pool),
        "imitations": vectors(group.images["embedding"]),
        "subject_of_imitation": group.index,
        "subjects": len(group.members),
        "blank": group.blank,
        "works_each": settings.works,
    }


def _pairing(out: Writer, group: Group, works: WorksBySubject, protocol: Protocol) -> None:
    """One row about all members together, and one for each control: the mean p, and the share of assignments below alpha."""
    settings = protocol.matching
    try:
        found = pairing_test(works, permutations=settings.permutations, rng=np.random.default_rng([protocol.seed, 4]))
    except ValueError:  # fewer than two members have both works and images
        return
    common = {
        "references_used": works.works_each,
        "images": int(works.images.sum()),
        "others": found.subjects,
        "p_floor": found.p_floor,
        "auc": np.nan,
    }
    out.add(
        group.kind,
        [None],
        "pairing",
        "closer",
        "none",
        "none",
        **common,
        statistic=found.statistic,
        p_value=found.p_value,
        p_adjusted=found.p_value,
        significant=float(found.p_value < settings.alpha),
        unreachable=bool(found.p_floor >= settings.alpha),
    )
    for control, fixed_points in CONTROLS:
        p = pairing_reassigned(
            works,
            assignments=settings.reassignments,
            permutations=settings.permutations,
            rng=np.random.default_rng([protocol.seed, 5]),
            fixed_points=fixed_points,
        )
        out.add(
            group.kind,
            [None],
            "pairing",
            "closer",
            control,
            "none",
            **common,
            statistic=np.nan,
            p_value=float(p.mean()),
            p_adjusted=float(p.mean()),
            significant=float((p < settings.alpha).mean()),
            unreachable=False,
        )


def _sources(ws: Workspace, model: str) -> list[str]:
    return [*images_of(ws, ws.audit.encoders, model), *works_of(ws, ws.audit.encoders)]


def _make(ws: Workspace, model: str) -> dict[str, pd.DataFrame]:
    subjects = ws.subjects()
    rows = together(
        [
            matching_rows(images, real, subjects, protocol=ws.protocol, model_version=model, encoder=encoder)
            for encoder, images, real in _embeddings(ws, model)
        ],
        BY_SUBJECT_COLUMNS,
    )
    return {"matching_by_subject": rows, "matching_summary": matching_summary(rows)}


def _embeddings(ws: Workspace, model: str) -> Iterator[tuple[str, pd.DataFrame, pd.DataFrame]]:
    """Of each encoder the embeddings of images and of real works, if real works exist."""
    for e in ws.audit.encoders:
        if real := works_of(ws, [e]):
            yield e.name, ws.warehouse.read_all(images_of(ws, [e], model)), ws.warehouse.read_all(real)


def _findings(ws: Workspace, model: str) -> list[str]:
    """Rows that do not follow from each other, and the paper's test beside scipy's over the embeddings."""
    rows, summary = (ws.warehouse.read(f"{t}/{model}") for t in MATCHING.tables)
    found = matching_findings(rows, summary, alpha=ws.protocol.matching.alpha)
    for encoder, images, real in _embeddings(ws, model):
        found += paper_test_findings(rows[rows["encoder"] == encoder], images, real, ws.subjects())
    return found


MATCHING = Recipe(("matching_by_subject", "matching_summary"), _sources, _make, _findings)
"""Experiment 2 for every encoder, by the paper's test and by those that stay valid."""
