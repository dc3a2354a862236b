"""From tables of embeddings to the result tables: which images, labels and real works enter which experiment."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from audit_assets.config import Protocol
from audit_assets.measurement import auditability, identification, matching
from audit_assets.warehouse.store import vectors


def label_sets(subjects: pd.DataFrame) -> dict[str, list[str]]:
    """The subjects of every label set, as the published schema defines them; empty sets are left out."""
    prompted = subjects[subjects["kind"] != "background"]
    control = prompted["kind"] == "random_name"
    shares = prompted["shares_name_parts"].astype("boolean").fillna(False).astype(bool)
    sets = {
        "criteria": prompted["rosters"].map(lambda r: "criteria" in list(r)),
        "most_mentioned": prompted["rosters"].map(lambda r: "most_mentioned" in list(r)),
        "random_names": control & ~shares,
        "recombined_names": control & shares,
        "joint": prompted["kind"].notna(),
    }
    named = {name: prompted.loc[mask.astype(bool), "subject"].tolist() for name, mask in sets.items()}
    return {name: members for name, members in named.items() if members}


def _labels(labels: pd.DataFrame, members: Sequence[str], template: int) -> tuple[list[str], np.ndarray]:
    """The names (members, then defaults) and embeddings of one label set for one template."""
    default = labels["label"].str.startswith("default:")
    own = labels[(labels["template"] == template) & ~default].set_index("label").loc[list(members)].reset_index()
    chosen = pd.concat([own, labels[default]], ignore_index=True)
    return chosen["label"].tolist(), vectors(chosen["embedding"])


def identification_trials(
    images: pd.DataFrame,
    labels: pd.DataFrame,
    subjects: pd.DataFrame,
    *,
    protocol: Protocol,
    model_version: str,
    encoder: str,
    logit_scale: float,
    logit_bias: float,
) -> pd.DataFrame:
    """Experiment 1 for one model and encoder: every label set, every image whose subject is among its labels.

    `images`: subject, template, trial, status, embedding. `labels`: label, template, embedding. Section 2.1 of the paper.
    """
    kinds = subjects.set_index("subject")["kind"]
    supplied = images[images["status"] != "not_supplied"]
    tables = []
    for label_set, members in label_sets(subjects).items():
        for template in range(len(protocol.templates)):
            rows = supplied[(supplied["template"] == template) & supplied["subject"].isin(members)].sort_values(
                ["subject", "trial"]
            )
            if rows.empty:
                continue
            names, embeddings = _labels(labels, members, template)
            probabilities = identification.class_probabilities(
                vectors(rows["embedding"]), embeddings, logit_scale, logit_bias
            )
            trials = identification.identify(
                probabilities,
                identification.own_labels(rows["subject"].tolist(), names),
                blank=(rows["status"] == "blank").to_numpy(),
            )
            tables.append(
                identification.trials_table(
                    trials,
                    protocol=protocol.name,
                    model_version=model_version,
                    encoder=encoder,
                    label_set=label_set,
                    labels=names,
                    subject=rows["subject"].tolist(),
                    kind=kinds.loc[rows["subject"]].tolist(),
                    template=rows["template"].to_numpy(),
                    label_template=rows["template"].to_numpy(),
                    trial=rows["trial"].to_numpy(),
                )
            )
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(identification.TRIALS_COLUMNS))


def label_counts(subjects: pd.DataFrame, protocol: Protocol) -> dict[str, int]:
    """Labels in each set, defaults included: the paper's 73."""
    return {name: len(members) + len(protocol.default_labels) for name, members in label_sets(subjects).items()}


def matching_rows(
    images: pd.DataFrame,
    references: pd.DataFrame,
    subjects: pd.DataFrame,
    *,
    protocol: Protocol,
    model_version: str,
    encoder: str,
) -> pd.DataFrame:
    """Experiment 2 for one model and encoder: the paper's test and its re-assignment control, both alternatives.

    Artists of the roster are tested against each other's imitations (the paper's 10 against 690). Untrained artists are
    tested one kind at a time with the artists' imitations as the others, and do not enter the artists' test. The first
    real work in order is the one that is used. Section 2.2 of the paper.
    """
    supplied = images[(images["status"] != "not_supplied")]
    first = references[references["work"] == references.groupby("subject")["work"].transform("min")].set_index(
        "subject"
    )
    tables = []
    for kind in ("artist", "untrained_artist"):
        members = [
            s
            for s in subjects.loc[_tested(subjects, kind), "subject"]
            if s in first.index and (supplied["subject"] == s).any()
        ]
        if not members:
            continue
        others = subjects.loc[_tested(subjects, "artist"), "subject"].tolist()
        rows = supplied[supplied["subject"].isin(dict.fromkeys([*members, *others]))].sort_values(
            ["subject", "template", "trial"]
        )
        position = {s: i for i, s in enumerate(members)}
        index = rows["subject"].map(position).fillna(-1).astype(int).to_numpy()
        if len(set(index)) < 2:
            continue
        for alternative in ("two_sided", "closer"):
            tables += _paper_test(
                rows,
                index,
                vectors(first.loc[members, "embedding"]),
                members,
                kind,
                alternative,
                protocol,
                model_version,
                encoder,
            )
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(matching.BY_SUBJECT_COLUMNS))


def _tested(subjects: pd.DataFrame, kind: str) -> pd.Series:
    """Artists of the `criteria` roster, as in the paper; every untrained artist."""
    return (subjects["kind"] == kind) & ((kind != "artist") | subjects["rosters"].map(lambda r: "criteria" in list(r)))


def _paper_test(
    rows: pd.DataFrame,
    index: np.ndarray,
    works: np.ndarray,
    members: list[str],
    kind: str,
    alternative: matching.Alternative,
    protocol: Protocol,
    model_version: str,
    encoder: str,
) -> list[pd.DataFrame]:
    settings = protocol.matching
    test = matching.paper_test(
        references=works,
        imitations=vectors(rows["embedding"]),
        subject_of_imitation=index,
        blank=(rows["status"] == "blank").to_numpy(),
        alternative=alternative,
        alpha=settings.alpha,
    )

    def table(
        control: str,
        statistic: np.ndarray,
        p_value: np.ndarray,
        p_adjusted: np.ndarray,
        significant: np.ndarray,
        auc: np.ndarray,
    ) -> pd.DataFrame:
        return matching.matching_by_subject(
            protocol=protocol.name,
            model_version=model_version,
            encoder=encoder,
            test="rank_sum_asymptotic",
            alternative=alternative,
            control=control,
            adjustment="bonferroni",
            subject=members,
            kind=[kind] * len(members),
            references_used=1,
            images=test.images,
            others=test.others,
            statistic=statistic,
            p_value=p_value,
            p_floor=test.ranks.p_floor,
            p_adjusted=p_adjusted,
            significant=significant,
            unreachable=test.unreachable,
            auc=auc,
        )

    tables = [
        table(
            "none",
            test.ranks.statistic,
            test.ranks.p_value,
            test.p_adjusted,
            test.significant.astype(float),
            test.ranks.auc,
        )
    ]
    if len(members) > 1:
        rng = np.random.default_rng([protocol.seed, len(members)])
        again = matching.reassigned(
            test.table,
            assignments=settings.reassignments,
            rng=rng,
            fixed_points=settings.fixed_points,
            alpha=settings.alpha,
        )
        tables.append(
            table("reassigned", again.statistic, again.p_value, again.p_adjusted, again.share_significant, again.auc)
        )
    return tables


def auditability_rows(
    references: pd.DataFrame,
    labels: pd.DataFrame | None,
    subjects: pd.DataFrame,
    *,
    protocol: Protocol,
    encoder: str,
    logit_scale: float,
) -> pd.DataFrame:
    """The positive control, one row an artist with real works: how often the encoder recognises the artist in them, and how
    much more they resemble each other than the most similar other artist's.

    Recognised among every artist with works plus the default labels; NULL for an encoder without text (`labels` None).
    Columns: encoder, subject, kind, real_works, correct, accuracy, gap, gap_low, nearest_subject, auditable.
    """
    members = references["subject"].drop_duplicates().tolist()
    if len(members) < 2:
        return pd.DataFrame(
            columns=[
                "encoder",
                "subject",
                "kind",
                "real_works",
                "correct",
                "accuracy",
                "gap",
                "gap_low",
                "nearest_subject",
                "auditable",
            ]
        )
    who = references["subject"].map({s: i for i, s in enumerate(members)}).to_numpy()
    works = vectors(references["embedding"])
    gap = auditability.discrimination_gap(
        works, who, artists=len(members), rng=np.random.default_rng([protocol.seed, 1])
    )
    count = np.bincount(who, minlength=len(members))
    table = pd.DataFrame(
        {
            "encoder": encoder,
            "subject": members,
            "kind": subjects.set_index("subject").loc[members, "kind"].tolist(),
            "real_works": count,
        }
    )
    if labels is None:
        correct = pd.array([pd.NA] * len(members), dtype="Int64")
    else:
        _, embeddings = _labels(labels, members, 0)
        recognised = auditability.real_work_accuracy(
            works, who, embeddings, artists=len(members), logit_scale=logit_scale
        )
        correct = pd.array(recognised.correct, dtype="Int64")
    table["correct"], table["accuracy"] = correct, correct / count
    table["gap"], table["gap_low"] = gap.gap, gap.low
    table["nearest_subject"] = [members[i] if i >= 0 else None for i in gap.nearest]
    table["auditable"] = gap.auditable
    return table
