"""What human raters say, beside the encoders: their answers, their agreement, and their verdict on each artist."""

from dataclasses import replace

import numpy as np
import pandas as pd

from audit_assets.measurement.answers import UNTESTED
from audit_assets.measurement.ratings import Agreement, Said, agreement, passes, said_of_artist
from audit_assets.results.copies import copies_of
from audit_assets.results.rating_answers import answers_of
from audit_assets.results.rating_questions import key_of, shown_to_raters
from audit_assets.results.recipe import Recipe
from audit_assets.warehouse.database import columns
from audit_assets.workspace import Workspace

OTHER_PICTURES = "The images that raters saw are not this version's any more"
NEW_PACKETS = "New packets (`audit-assets ratings export --replace`), and what raters answer to them."


def still_shown(
    key: pd.DataFrame, images: pd.DataFrame, works: pd.DataFrame, copied: pd.DataFrame, protocol: str
) -> pd.Series:
    """Whether each row of the key shows what the version has now (bool, by the index of the key).

    Both images must be shown images of their subjects, the works above them must be works of the artist, and the protocol must be that of the key. An
    attention check stays one: it says how the rater looked at the pictures of then.
    """
    shown = shown_to_raters(images, copied)
    made = set(zip(shown["subject"], shown["image_sha256"], strict=True))
    real = set(zip(works["subject"], works["image_sha256"], strict=True))
    return pd.Series(
        [
            bool(row["is_check"])
            or (
                row["protocol"] == protocol
                and (row["subject"], row["image_sha256"]) in made
                and (row["other_subject"], row["other_sha256"]) in made
                and all((row["subject"], work) in real for work in row["works"])
            )
            for row in key.to_dict("records")
        ],
        index=key.index,
        dtype=bool,
    )


def rated(key: pd.DataFrame, answers: pd.DataFrame) -> pd.DataFrame:
    """One row per rater and question that was answered.

    `counted` is false for attention checks, for raters who missed too many of them (`passed` is false), and for questions that do not show what the version
    has now. The key may say so of each row in `still_shown`; without this column, all do.
    """
    rows = key.merge(answers[["packet", "position", "side"]], on=["packet", "position"])
    rows["chose_image"] = rows["side"] == rows["image_side"]
    checks = rows[rows["is_check"]].groupby("rater")["chose_image"].agg(["sum", "size"])
    good = [
        int(rater)
        for rater, right, n in zip(checks.index, checks["sum"], checks["size"], strict=True)
        if passes(int(right), int(n))
    ]
    rows["passed"] = rows["rater"].isin(good)
    rows["counted"] = rows["passed"] & ~rows["is_check"] & rows.get("still_shown", True)
    return rows.sort_values(["rater", "question"], ignore_index=True)


def agreed(key: pd.DataFrame, rows: pd.DataFrame, seed: int) -> pd.DataFrame:
    """One row: how many raters answered and count, and how far they agree."""
    counted, passed = rows[rows["counted"]], set(rows.loc[rows["passed"], "rater"])
    failed = sorted(set(rows["rater"]) - passed)
    # The options of a question are named by chance, not by what they show (measurement.ratings.agreement).
    first = (counted["chose_image"] == counted["named_first"]).astype(float)
    choices = counted.assign(first=first).pivot_table(index="rater", columns="question", values="first")
    found = (
        agreement(choices.to_numpy(), seed=seed)
        if len(choices)
        else Agreement(np.nan, np.nan, np.nan, "No answer counts.")
    )
    return pd.DataFrame(
        [
            {
                "packets": key["packet"].nunique(), "raters": rows["rater"].nunique(), "counted": len(passed),
                "failed_raters": failed, "questions": int(key.loc[~key["is_check"], "question"].nunique()),
                "checks": int(key.loc[key["is_check"], "question"].nunique()), "alpha": found.alpha, "low": found.low, "high": found.high,
                "reason": found.reason or None,
            }
        ]
    )  # fmt: skip


def verdicts_of_raters(key: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """One row per artist who was asked about: the raters' answer, with the share of questions that the artist's image won.

    Questions that do not show what the version has now are left out; `reason` says how many these are.
    """
    counted = rows[rows["counted"]]
    lines = []
    for subject in key.loc[~key["is_check"], "subject"].drop_duplicates().sort_values():
        own = counted[counted["subject"] == subject]
        votes = own.assign(vote=own["chose_image"].astype(float)).pivot_table(
            index="rater", columns="question", values="vote"
        )
        beside = own.drop_duplicates("question").set_index("question")["other_subject"].astype(str)
        found = said_of_artist(votes.to_numpy(), beside.reindex(votes.columns).tolist())
        found = _without_old_pictures(found, key[(key["subject"] == subject) & ~key["is_check"]])
        lines.append(
            {
                "subject": subject, "raters": len(votes), "questions": found.questions, "won": found.won, "share": found.share, "low": found.low,
                "high": found.high, "names": found.names, "beaten": found.beaten, "p_value": found.p_value, "answer": found.answer,
                "reason": found.reason, "settle": found.settle or None,
            }
        )  # fmt: skip
    return pd.DataFrame(lines)


def _without_old_pictures(found: Said, asked: pd.DataFrame) -> Said:
    """Say how many of the questions that were asked about an artist are left out. If all are, nothing could be tested."""
    if "still_shown" not in asked or asked["still_shown"].all():
        return found
    number, gone = asked["question"].nunique(), asked.loc[~asked["still_shown"], "question"].nunique()
    if gone == number:
        reason = f"{OTHER_PICTURES}, or not under the works of then: none of {number} questions counts."
        return Said(UNTESTED, 0, 0, np.nan, np.nan, np.nan, 0, 0, np.nan, reason, NEW_PACKETS)
    reason = f"{gone} of {number} questions are left out, because their pictures are not this version's any more. {found.reason}"
    return replace(found, reason=reason)


def _judged(ws: Workspace, model: str) -> tuple[list[str], list[str]]:
    """List the tables of images and of real works of the subjects whom the key names, as far as the audit has them."""
    named = set(ws.warehouse.values(key_of(model), "subject"))
    beside = named | set(ws.warehouse.values(key_of(model), "other_subject"))
    return (
        [f"imitations/{model}/{s}" for s in ws.prompted() if s in beside],
        [f"reference_works/{s}" for s in ws.referenced() if s in named],
    )


def _sources(ws: Workspace, model: str) -> list[str]:
    own = [key_of(model), answers_of(model)]
    if None in ws.warehouse.all_inputs(own):
        return own
    images, works = _judged(ws, model)
    return [*own, copies_of(model), *images, *works]


def _make(ws: Workspace, model: str) -> dict[str, pd.DataFrame]:
    tables = {name: pd.DataFrame(columns=columns(name)) for name in RATINGS.tables}
    if not (ws.warehouse.made(key_of(model)) and ws.warehouse.made(answers_of(model))):
        return tables
    key, answers = ws.warehouse.read(key_of(model)), ws.warehouse.read(answers_of(model))
    images, works = (_together(ws, parts) for parts in _judged(ws, model))
    key["still_shown"] = still_shown(key, images, works, ws.warehouse.read(copies_of(model)), ws.protocol.name)
    rows = rated(key, answers)
    found = {
        "ratings": rows,
        "rater_agreement": agreed(key, rows, ws.protocol.seed),
        "rater_verdicts": verdicts_of_raters(key, rows),
    }
    about = {"protocol": ws.protocol.name, "model_version": model}
    return {name: table.assign(**about)[columns(name)] for name, table in found.items()}


def _together(ws: Workspace, tables: list[str]) -> pd.DataFrame:
    """The rows of the tables that are made; an artist who is new in the audit has none yet."""
    kept = [table for table in tables if ws.warehouse.made(table)]
    empty = pd.DataFrame(columns=["subject", "template", "status", "image_sha256"])
    return ws.warehouse.read_all(kept) if kept else empty


RATINGS = Recipe(("ratings", "rater_agreement", "rater_verdicts"), _sources, _make)
"""What human raters say of each artist; no rows before answers are imported."""
