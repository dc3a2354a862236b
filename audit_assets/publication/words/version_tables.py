"""Tables that compare model versions, for the report, the index and an artist's page."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from audit_assets.measurement.name_controls import UNREAD
from audit_assets.publication.words.measures import COMPARED, IDENTIFIED
from audit_assets.publication.words.numbers import (
    KINDS,
    count,
    counted,
    isolated,
    known,
    p_text,
    percent,
    points,
    shown,
    true,
    yes,
)
from audit_assets.publication.words.table import Name, Table, columns


def state(row: Mapping[Any, Any]) -> str:
    """A row of ``model_versions`` in a word."""
    return "retired" if true(row["retired"]) else "approved" if true(row["approved"]) else "not approved"


def what_changed(found: pd.DataFrame, encoder: str) -> list[str]:
    """Rows of `across_models.verdict_changes`: one sentence per pair of versions."""
    return [
        _what_changed(str(earlier), str(later), rows, encoder)
        for (earlier, later), rows in found.groupby(["model_version", "later_version"], sort=False)
    ]


def _what_changed(earlier: str, later: str, rows: pd.DataFrame, encoder: str) -> str:
    artists = int(rows["artists"].sum())
    other = rows[rows["verdict"] != rows["later_verdict"]].sort_values("artists", ascending=False, kind="stable")
    changed = int(other["artists"].sum())
    between = f"From {isolated(earlier)} to {isolated(later)}, according to {isolated(encoder)}"
    if artists == 1:
        row = rows.to_dict("records")[0]
        words = (
            f"changed from “{row['verdict']}” to “{row['later_verdict']}”" if changed else f"stayed “{row['verdict']}”"
        )
        if row["not_compared"]:
            return f"{between}, the verdict {words}. The shares of identified images could not be compared. {row['reason']}"
        return f"{between}, the verdict {words}, and the share of identified images {_share_changed(row)}."
    how = "; ".join(f"{row.artists} from “{row.verdict}” to “{row.later_verdict}”" for row in other.itertuples())
    moved, within, missing = (int(rows[column].sum()) for column in ("changed", "within", "not_compared"))
    margin = f"{100 * rows['margin'].iloc[0]:g} points"
    neither = f", and for {left} neither is shown" if (left := artists - moved - within - missing) else ""
    unknown = f"; for {missing} it could not be compared" if missing else ""
    verdicts_changed = f"the verdict changed for {changed} of {artists} artists{f' ({how})' if how else ''}"
    return (
        f"{between}, {verdicts_changed}. With 95 % confidence, the share of identified images changed by more than {margin} for {moved} and "
        f"by less for {within}{neither}{unknown}."
    )


def _share_changed(row: Mapping[Any, Any]) -> str:
    """How far the share of one artist's identified images moved, and whether this is shown to be more or less than the margin."""
    difference, low, high, margin = (100 * float(row[column]) for column in ("difference", "low", "high", "margin"))
    size = f"{abs(difference):.1f}"
    moved = "did not change" if size == "0.0" else f"{'rose' if difference > 0 else 'fell'} by {size} points"
    beside = "more than" if row["changed"] else "less than" if row["within"] else "not shown to be more or less than"
    return f"{moved} (95 % interval {low:+.1f} to {high:+.1f}): {beside} the margin of {margin:g} points"


def changes(compared: pd.DataFrame) -> Table:
    """Rows of `model_comparison`: mean change per kind of subject from one version to another."""
    return Table(
        "Mean change over the same subjects, prompts and seeds (later minus earlier version), with its 95 % interval; p by permutation. "
        "Within the margin: the mean share of these very subjects moved by less than the margin, with 95 % confidence. It says nothing of "
        "other subjects: if the model lost one artist whole, the mean of the others may still lie within the margin. Changed: subjects whose whole 95 % interval lies beyond the "
        "protocol's margin. Not compared: subjects of whom too few images show something in one of the two versions, or whose names the encoder does not read; blank and blocked images are no evidence.",
        columns(
            "From", "To", "Encoder", "Of", "Measure", "Mean change", "p", "Within the margin", "Changed", "Not compared", "Verdicts changed",
            number=("Mean change", "p", "Changed", "Not compared", "Verdicts changed"),
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
                _within(row),
                "–" if pd.isna(row["changed"]) else count(row["changed"], row["subjects"]),
                "–" if pd.isna(row["not_compared"]) else str(row["not_compared"]),
                str(row["verdicts_changed"]),
            )
            for row in compared.to_dict("records")
        ],
    )  # fmt: skip


def _change(row: dict[Any, Any]) -> str:
    if row["measure"] == "accuracy":
        return points(row["difference"], row["low"], row["high"])
    value, low, high = (known(row[column]) for column in ("difference", "low", "high"))
    if value is None:
        return "–"
    return f"{value:+.2f}" + ("" if low is None or high is None else f" ({low:+.2f} to {high:+.2f})")


def _within(row: dict[Any, Any]) -> str:
    if pd.isna(row["equivalent"]):
        return "not tested"
    return f"{'yes' if true(row['equivalent']) else 'not shown'} (margin {percent(row['equivalence_margin'], 0)})"


GROUPS = {"opted_out": ("who opted out", "artists who did not opt out")}
"""A declared group in words, and the others."""


def groups(found: pd.DataFrame) -> list[str]:
    """Rows of `model_comparison_groups`: one statement per pair of versions and encoder on the artists of a declared group."""
    keys = ["model_version", "later_version", "encoder", "declared_group"]
    return [_group(rows.set_index("measure").to_dict("index")) for _, rows in found.groupby(keys, sort=False)]


def _group(measures: Mapping[Any, Mapping[Any, Any]]) -> str:
    row, odds = measures["share"], measures["log_odds"]
    who, others = GROUPS.get(row["declared_group"], (f"of the group “{row['declared_group']}”", "the other artists"))
    between = f"From {row['model_version']} to {row['later_version']}, according to {row['encoder']}"
    p, effect = known(row["p_value"]), known(row["difference"])
    artists, rest = counted(row["artists"], "artist"), _others(row["others"], others)
    unknown = _not_compared(row, who, others)
    if p is None or effect is None:
        return f"{between}: it could not be tested whether the artists {who} moved further than the {others}. {row['reason']} {row['settle']}{unknown}".strip()
    low, high = known(row["low"]), known(row["high"])
    interval = "" if low is None or high is None else f"; 95 % interval {100 * low:+.1f} to {100 * high:+.1f} points"
    effects = (
        f"{between}: the mean share of identified images of the {artists} {who} {_moved(effect)} that of the "
        f"{rest} (difference in differences{interval}; p = {p_text(p)}, in log odds p = {p_text(known(odds['p_value']))}, by permuting artists).{unknown}"
    )
    if true(row["moved"]):
        return (
            f"{effects} The artists {who} moved differently from the others by both measures. This does not prove that opting out is the cause: anything "
            "else that happened to these artists only would show the same."
        )
    contradiction = ""
    if effect * (known(odds["difference"]) or 0.0) < 0:
        fell, rose = ("fell", "rose") if effect < 0 else ("rose", "fell")
        contradiction = (
            f" The two measures contradict each other: compared with the others, the artists {who} {fell} in points and {rose} in log odds, "
            "as can happen if the shares of the two groups differed before."
        )
    return f"{effects}{contradiction} This does not show that the artists {who} moved differently from the others, and it does not prove that they did not."


def _moved(effect: float) -> str:
    points = f"{100 * abs(effect):.1f}"
    if points == "0.0":
        return "did not change beside"
    return f"{'rose' if effect > 0 else 'fell'} by {points} points compared with"


def _others(number: float, others: str) -> str:
    """'1 artist who did not opt out', '2 artists who did not opt out'."""
    return f"{number:.0f} {others.replace('artists', 'artist', 1) if number == 1 else others}"


def _not_compared(row: Mapping[Any, Any], who: str, others: str) -> str:
    """A sentence that starts with a space; empty if all artists could be compared."""
    of_group, of_others = (int(known(row[column]) or 0) for column in ("not_compared", "others_not_compared"))
    if not of_group + of_others:
        return ""
    whose = [f"{counted(of_group, 'artist')} {who}"] * bool(of_group) + [_others(of_others, others)] * bool(of_others)
    because = list(row["because"])
    withheld = (
        "" if because == [UNREAD[0]] else " Images that a version withholds are no evidence that it cannot imitate."
    )
    return f" {' and '.join(whose)} could not be compared. {' '.join(because)}{withheld}"


def changed_subjects(compared: pd.DataFrame, caption: str) -> Table:
    """Rows of `model_comparison_by_subject`: one row per subject, with the interval of the difference."""
    return Table(
        f"{caption} Beyond retraining: p of the movement beside those of a version that was trained again on the same data (– if audit.yaml declares none).",
        columns(
            "Subject", "Of", "From", "To", "Encoder", IDENTIFIED.capitalize(), "Difference (95 %)", "q", "Changed", "Beyond retraining", "Verdict", "Not compared because",
            number=("Difference (95 %)", "q"),
        ),
        [
            (
                Name(row["name"] + (" (opted out)" if true(row["opted_out"]) else ""), str(row["subject"])),
                KINDS.get(row["kind"], row["kind"]),
                row["model_version"],
                row["later_version"],
                row["encoder"],
                before_and_after(row),
                points(row["difference"], row["low"], row["high"]),
                p_text(known(row["p_adjusted"])),
                "–" if pd.isna(row["difference"]) else yes(row["changed"]),
                _beyond(row),
                verdicts(row),
                shown(row["reason"]) or "–",
            )
            for row in compared.to_dict("records")
        ],
        keys=compared["subject"].astype(str).tolist(),
    )  # fmt: skip


def _beyond(row: dict[Any, Any]) -> str:
    p = known(row["p_beyond_retraining"])
    return "–" if p is None else f"p = {p_text(p)}"


def before_and_after(row: dict[Any, Any]) -> str:
    if not shown(row["label_set"]):
        return "no text side"
    before, after = (
        "nothing shown" if (share := known(row[column])) is None else percent(share)
        for column in ("accuracy", "later_accuracy")
    )
    return f"{before} → {after}"


def verdicts(row: dict[Any, Any]) -> str:
    same = row["verdict"] == row["later_verdict"]
    return f"{row['verdict']}, as before" if same else f"{row['verdict']} → {row['later_verdict']}"


def trends(found: pd.DataFrame) -> Table:
    return Table(
        "Three versions or more: the mean change from one version to the next. The last column states why no test was made.",
        columns(
            "Encoder",
            "Of",
            "Measure",
            "Versions",
            "Mean change per version",
            "p",
            "Not tested because",
            number=("Versions", "p"),
        ),
        [
            (
                row["encoder"],
                KINDS.get(row["kind"], row["kind"]),
                COMPARED.get(row["measure"], row["measure"]),
                str(row["versions"]),
                points(row["slope"])
                if row["measure"] == "accuracy" or known(row["slope"]) is None
                else f"{row['slope']:+.2f}",
                "could not be tested" if known(row["p_value"]) is None else p_text(known(row["p_value"])),
                row["reason"] or "–",
            )
            for row in found.to_dict("records")
        ],
    )


def withheld(rows: pd.DataFrame) -> Table:
    """Images of artists that a version withheld. ``rows``: `across_models.withheld`."""
    numbers = ("Artists asked for", "Of whom nothing is shown", "Refused", "Rewritten", "Blocked", "Failed")
    fields = ("artists", "untested", "refused", "rewritten", "blocked", "failed")
    return Table(
        "Images of artists that were withheld. An artist of whom nothing is shown could not be tested: a version that refuses is not one that cannot imitate.",
        columns("Version", *numbers, number=numbers),
        [(row["model_version"], *(f"{row[field]:.0f}" for field in fields)) for row in rows.to_dict("records")],
    )
