"""Tables that compare model versions, for the report, the index and an artist's page."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from audit_assets.publication.words.measures import COMPARED, IDENTIFIED
from audit_assets.publication.words.numbers import KINDS, count, known, p_text, percent, points, true, yes
from audit_assets.publication.words.table import Table, columns


def state(row: Mapping[Any, Any]) -> str:
    """A row of ``model_versions`` in a word."""
    return "retired" if true(row["retired"]) else "approved" if true(row["approved"]) else "not approved"


def changes(compared: pd.DataFrame) -> Table:
    """Rows of `model_comparison`: mean change per kind of subject from one version to another."""
    return Table(
        "Mean change over the same subjects, prompts and seeds (later minus earlier version), with its 95 % interval; p by permutation. "
        "Equivalent: the test shows that the change is smaller than the margin. Changed: subjects whose whole 95 % interval lies beyond the "
        "protocol's margin.",
        columns(
            "From", "To", "Encoder", "Of", "Measure", "Mean change", "p", "Equivalent", "Changed", "Verdicts changed",
            number=("Mean change", "p", "Changed", "Verdicts changed"),
        ),
        [
            (
                row["model_version"],
                row["later_version"],
                row["encoder"],
                KINDS.get(row["kind"], row["kind"]),
                COMPARED.get(row["measure"], row["measure"]),
                _change(row),
                p_text(known(row["p_value"])),
                f"{'yes' if true(row['equivalent']) else 'not shown'} (margin {_margin(row)})",
                "–" if pd.isna(row["changed"]) else count(row["changed"], row["subjects"]),
                str(row["verdicts_changed"]),
            )
            for row in compared.to_dict("records")
        ],
    )  # fmt: skip


def _change(row: dict[Any, Any]) -> str:
    if row["measure"] == "accuracy":
        return points(row["difference"], row["low"], row["high"])
    return f"{row['difference']:+.2f} ({row['low']:+.2f} to {row['high']:+.2f})"


def _margin(row: dict[Any, Any]) -> str:
    margin = row["equivalence_margin"]
    return percent(margin, 0) if row["measure"] == "accuracy" else f"{margin:g}"


def changed_subjects(compared: pd.DataFrame, caption: str) -> Table:
    """Rows of `model_comparison_by_subject`: one row per subject, with the interval of the difference."""
    return Table(
        caption,
        columns(
            "Subject", "Of", "From", "To", "Encoder", IDENTIFIED.capitalize(), "Difference (95 %)", "q", "Changed", "Verdict",
            number=("Difference (95 %)", "q"),
        ),
        [
            (
                row["name"] + (" (opted out)" if true(row["opted_out"]) else ""),
                KINDS.get(row["kind"], row["kind"]),
                row["model_version"],
                row["later_version"],
                row["encoder"],
                before_and_after(row),
                points(row["difference"], row["low"], row["high"]),
                p_text(known(row["p_adjusted"])),
                "–" if pd.isna(row["difference"]) else yes(row["changed"]),
                verdicts(row),
            )
            for row in compared.to_dict("records")
        ],
        keys=compared["subject"].astype(str).tolist(),
    )  # fmt: skip


def before_and_after(row: dict[Any, Any]) -> str:
    before, after = known(row["accuracy"]), known(row["later_accuracy"])
    return "no text side" if before is None or after is None else f"{percent(before)} → {percent(after)}"


def verdicts(row: dict[Any, Any]) -> str:
    same = row["verdict"] == row["later_verdict"]
    return f"{row['verdict']}, as before" if same else f"{row['verdict']} → {row['later_verdict']}"


def trends(found: pd.DataFrame) -> Table:
    return Table(
        "Three versions or more: the mean change from one version to the next; p by permuting the versions of each subject.",
        columns("Encoder", "Of", "Measure", "Versions", "Mean change per version", "p", number=("Versions", "p")),
        [
            (
                row["encoder"],
                KINDS.get(row["kind"], row["kind"]),
                COMPARED.get(row["measure"], row["measure"]),
                str(row["versions"]),
                points(row["slope"]) if row["measure"] == "accuracy" else f"{row['slope']:+.2f}",
                p_text(known(row["p_value"])),
            )
            for row in found.to_dict("records")
        ],
    )
