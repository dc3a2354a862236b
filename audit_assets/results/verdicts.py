"""Verdicts over an audit's tables: the evidence of each subject brought together, and the rule of ``measurement.verdicts``."""

import pandas as pd

from audit_assets.config import FEWEST_IMAGES
from audit_assets.measurement.verdicts import Evidence, agreement, smallest_count, verdicts
from audit_assets.results.recipe import Recipe
from audit_assets.warehouse.database import columns
from audit_assets.workspace import Workspace


def verdict_rows(
    by_subject: pd.DataFrame,
    matching: pd.DataFrame,
    auditability: pd.DataFrame,
    images: pd.DataFrame,
    subjects: pd.DataFrame,
    *,
    encoder: str,
    protocol_images: int,
    alpha: float,
) -> pd.DataFrame:
    """One row a prompted subject, for one model version and encoder.

    `by_subject`, `matching`, `auditability`: the rows of this encoder (no rows of `by_subject`: an encoder without text).
    `images`: subject and status of every image asked for by name. The count that the verdict needs, k, is that of random
    names in the subject's own kind of label set: `random_names` for artists of a roster, `joint` for everybody else.
    """
    prompted = subjects[subjects["kind"] != "background"]
    supplied = images[images["status"] != "not_supplied"].groupby("subject").size()
    gap = auditability.set_index("subject")["gap_low"]
    rank = matching[
        (matching["test"] == "own_rank")
        & (matching["control"] == "none")
        & (matching["adjustment"] == "benjamini_hochberg")
    ].set_index("subject")
    counts = by_subject.set_index(["label_set", "subject"])["correct"]
    needed = {own: _needed(by_subject, control) for own, control in _CONTROL_SET.items()}
    lines, evidence = [], []
    for subject, kind in zip(prompted["subject"], prompted["kind"], strict=True):
        label_set = next((s for s in _OWN_SETS if (s, subject) in counts.index), None)
        identified = None if label_set is None else int(counts[label_set, subject])
        k = None if label_set is None else needed[label_set]
        number = int(supplied.get(subject, 0))
        q = rank["p_adjusted"].get(subject)
        evidence.append(
            Evidence(
                gap_low=None if subject not in gap.index else float(gap[subject]),
                q_value=None if q is None or pd.isna(q) else float(q),
                identified=identified,
                needed=k,
                enough_images=number >= min(FEWEST_IMAGES, protocol_images),
            )
        )
        lines.append(
            (subject, kind, number, identified, k, label_set, gap.get(subject), rank["p_value"].get(subject), q,
             rank["unreachable"].get(subject))
        )  # fmt: skip
    table = pd.DataFrame(
        lines,
        columns=["subject", "kind", "images", "identified", "identified_needed", "label_set", "gap_low", "own_rank_p",
                 "own_rank_q", "unreachable"],
    )  # fmt: skip
    table[["verdict", "basis"]] = verdicts(evidence, alpha=alpha)
    table["encoder"] = encoder
    return table.astype({"identified": "Int32", "identified_needed": "Int32", "unreachable": "boolean"})


_OWN_SETS = ("criteria", "random_names", "recombined_names", "most_mentioned", "joint")
_CONTROL_SET = {
    "criteria": "random_names",
    "most_mentioned": "random_names",
    "random_names": "random_names",
    "recombined_names": "random_names",
    "joint": "joint",
}


def _needed(by_subject: pd.DataFrame, control_set: str) -> int | None:
    """k among this label set's random names that share no part with an artist's; None where there are none."""
    free = set(by_subject.loc[by_subject["label_set"] == "random_names", "subject"])
    control = by_subject[(by_subject["label_set"] == control_set) & by_subject["subject"].isin(free)]
    return None if control.empty else smallest_count(control["correct"].to_numpy(dtype=int))


def _imitations(ws: Workspace, model: str) -> list[str]:
    return [f"imitations/{model}/{s}" for s in ws.prompted()]


def _sources(ws: Workspace, model: str) -> list[str]:
    results = [f"identification_by_subject/{model}", f"matching_by_subject/{model}", "auditability"]
    return [*results, *_imitations(ws, model)]


def _make(ws: Workspace, model: str) -> dict[str, pd.DataFrame]:
    by_subject, tests = (
        ws.warehouse.read(f"{t}/{model}") for t in ("identification_by_subject", "matching_by_subject")
    )
    control = ws.warehouse.read("auditability")
    images = ws.warehouse.read_all(_imitations(ws, model))
    tables = [
        verdict_rows(
            by_subject[by_subject["encoder"] == e.name],
            tests[tests["encoder"] == e.name],
            control[control["encoder"] == e.name],
            images[images["template"] >= 0],
            ws.subjects(),
            encoder=e.name,
            protocol_images=ws.protocol.trials * len(ws.protocol.templates),
            alpha=ws.protocol.matching.alpha,
        ).assign(protocol=ws.protocol.name, model_version=model)
        for e in ws.audit.encoders
    ]
    rows = pd.concat(tables, ignore_index=True)[columns("verdicts")]
    agreed = agreement(rows).assign(protocol=ws.protocol.name)
    return {"verdicts": rows, "verdict_agreement": agreed[["protocol", *agreed.columns.drop("protocol")]]}


VERDICTS = Recipe(("verdicts", "verdict_agreement"), _sources, _make)
"""One word per artist and encoder, and how many encoders agree."""
