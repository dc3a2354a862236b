"""What human raters say, beside the encoders: their answers, their agreement, and their verdict on each artist."""

import numpy as np
import pandas as pd

from audit_assets.measurement.ratings import Agreement, agreement, passes, said_of_artist
from audit_assets.results.rating_answers import answers_of
from audit_assets.results.rating_questions import key_of
from audit_assets.results.recipe import Recipe
from audit_assets.warehouse.database import columns
from audit_assets.workspace import Workspace


def rated(key: pd.DataFrame, answers: pd.DataFrame) -> pd.DataFrame:
    """One row per rater and question that was answered; `counted` is false for attention checks and for raters who missed too many of them."""
    rows = key.merge(answers[["packet", "position", "side"]], on=["packet", "position"])
    rows["chose_image"] = rows["side"] == rows["image_side"]
    checks = rows[rows["is_check"]].groupby("rater")["chose_image"].agg(["sum", "size"])
    good = [
        int(rater)
        for rater, right, n in zip(checks.index, checks["sum"], checks["size"], strict=True)
        if passes(int(right), int(n))
    ]
    rows["counted"] = rows["rater"].isin(good) & ~rows["is_check"]
    return rows.sort_values(["rater", "question"], ignore_index=True)


def agreed(key: pd.DataFrame, rows: pd.DataFrame, seed: int) -> pd.DataFrame:
    """One row: how many raters answered and count, and how far they agree."""
    counted = rows[rows["counted"]]
    failed = sorted(set(rows["rater"]) - set(counted["rater"]))
    # The options of a question are named by chance, not by what they show (measurement.ratings.agreement).
    first = (counted["chose_image"] == counted["named_first"]).astype(float)
    choices = counted.assign(first=first).pivot_table(index="rater", columns="question", values="first")
    found = (
        agreement(choices.to_numpy(), seed=seed)
        if len(choices)
        else Agreement(np.nan, np.nan, np.nan, "No rater answered.")
    )
    return pd.DataFrame(
        [
            {
                "packets": key["packet"].nunique(), "raters": rows["rater"].nunique(), "counted": counted["rater"].nunique(),
                "failed_raters": failed, "questions": int(key.loc[~key["is_check"], "question"].nunique()),
                "checks": int(key.loc[key["is_check"], "question"].nunique()), "alpha": found.alpha, "low": found.low, "high": found.high,
                "reason": found.reason or None,
            }
        ]
    )  # fmt: skip


def verdicts_of_raters(key: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """One row per artist who was asked about: the raters' answer, with the share of questions that the artist's image won."""
    counted = rows[rows["counted"]]
    lines = []
    for subject in key.loc[~key["is_check"], "subject"].drop_duplicates().sort_values():
        own = counted[counted["subject"] == subject]
        votes = own.assign(vote=own["chose_image"].astype(float)).pivot_table(
            index="rater", columns="question", values="vote"
        )
        beside = own.drop_duplicates("question").set_index("question")["other_subject"].astype(str)
        found = said_of_artist(votes.to_numpy(), beside.reindex(votes.columns).tolist())
        lines.append(
            {
                "subject": subject, "raters": len(votes), "questions": found.questions, "won": found.won, "share": found.share, "low": found.low,
                "high": found.high, "names": found.names, "beaten": found.beaten, "p_value": found.p_value, "answer": found.answer,
                "reason": found.reason, "settle": found.settle or None,
            }
        )  # fmt: skip
    return pd.DataFrame(lines)


def _sources(ws: Workspace, model: str) -> list[str]:
    return [key_of(model), answers_of(model)]


def _make(ws: Workspace, model: str) -> dict[str, pd.DataFrame]:
    tables = {name: pd.DataFrame(columns=columns(name)) for name in RATINGS.tables}
    if not (ws.warehouse.made(key_of(model)) and ws.warehouse.made(answers_of(model))):
        return tables
    key, answers = ws.warehouse.read(key_of(model)), ws.warehouse.read(answers_of(model))
    rows = rated(key, answers)
    found = {
        "ratings": rows,
        "rater_agreement": agreed(key, rows, ws.protocol.seed),
        "rater_verdicts": verdicts_of_raters(key, rows),
    }
    about = {"protocol": ws.protocol.name, "model_version": model}
    return {name: table.assign(**about)[columns(name)] for name, table in found.items()}


RATINGS = Recipe(("ratings", "rater_agreement", "rater_verdicts"), _sources, _make)
"""What human raters say of each artist; no rows before answers are imported."""
