"""The report's tables about artists: their figures and verdicts, the three answers, whom each can be confused with."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from audit_assets.measurement.answers import UNTESTED
from audit_assets.publication.queries import images, matching
from audit_assets.publication.queries.model import ModelResults
from audit_assets.publication.words.numbers import (
    KINDS,
    NOT_MEASURED,
    auc,
    bracket,
    images_interval,
    known,
    p_text,
    percent,
    shown,
    true,
)
from audit_assets.publication.words.table import Name, Table, columns
from audit_assets.publication.words.verdicts import three_answers


def artist_rows(results: ModelResults) -> list[dict[str, Any]]:
    """One row per artist of the roster, by name: this encoder's figures, verdict and AUC."""
    verdicts = results.verdicts_by_artist().set_index("subject").to_dict("index")
    aucs = matching.auc_by_subject(results).set_index("subject").to_dict("index")
    fields = ("identified_needed", "steers", "towards", "seen", "name_p", "matching_p", "q_value", "called")
    nothing: dict[Any, Any] = {"verdict": NOT_MEASURED, **dict.fromkeys(fields)}
    no_auc = {"auc": None, "auc_low": None, "auc_high": None}
    return [
        _shown_images(
            {str(k): v for k, v in row.items()}
            | dict(verdicts.get(row["subject"]) or nothing)
            | dict(aucs.get(row["subject"]) or no_auc)
        )
        for row in results.by_artist().to_dict("records")
    ]


def _shown_images(row: dict[str, Any]) -> dict[str, Any]:
    """``correct`` and ``images`` as the verdict counts them, or None: identified images of those that are not blank."""
    decided = known(row.get("identified")) is not None
    correct, images = (row["identified"], row["shown"]) if decided else (row["correct"], row["images"])
    counts = (known(correct), known(images))
    row["correct"], row["images"] = (None if count is None else int(count) for count in counts)
    return row


def identified(row: Mapping[str, Any]) -> str:
    """'8 of 10', or that the encoder has no text."""
    return "no text side" if row["correct"] is None else f"{row['correct']} of {row['images']}"


def answers(results: ModelResults) -> Table:
    """The three answers about every artist of the roster by one encoder."""
    verdicts = (
        results.verdicts_by_artist().assign(p_value=lambda v: v["matching_p"]).set_index("subject").to_dict("index")
    )
    rows = []
    asked = results.answers()
    for subject, own in asked.groupby("subject", sort=False):
        for found in three_answers(own.to_dict("records"), verdicts[subject]):
            rows.append(
                (
                    Name(own["name"].iloc[0], str(subject)),
                    found.question,
                    found.answer,
                    found.number,
                    found.reason,
                    found.settle or "–",
                )
            )
        rows.append(
            (
                Name(own["name"].iloc[0], str(subject)),
                "Verdict",
                verdicts[subject]["verdict"],
                "–",
                verdicts[subject]["because"],
                "–",
            )
        )
    return Table(
        "Three questions per artist, and the verdict that follows from the answers. The last column states what would settle a question that could not "
        "be tested.",
        columns("Artist", "Question", "Answer", "Number", "Reason", "What would settle it"),
        rows,
    )


def confusable(results: ModelResults) -> Table:
    return Table(
        "Artists whose real works the encoder cannot tell apart. Read the verdict on one of them as “this artist or the other”. Gap: how much more alike "
        "works of one artist are than works of both; in brackets the lower end of its 95 % interval.",
        columns("Artist", "Cannot be told from", "Gap", number=("Gap",)),
        [
            (
                Name(row["name"], row["subject"]),
                Name(row["other"], row["other_subject"]),
                f"{row['gap']:.3f} ({row['gap_low']:.3f})",
            )
            for row in matching.confusable(results).to_dict("records")
        ],
    )


def copies(results: ModelResults) -> Table:
    return Table(
        "Near-identical images. Works of one artist count once. A work that is near-identical to an image of the model does not count, because the model "
        "may have made it. Cosine: 1 for equal pixels.",
        columns("Artist", "What", "Other artist", "Cosine", "SHA-256", "SHA-256 of the other", number=("Cosine",), code=("SHA-256", "SHA-256 of the other")),
        [
            (Name(row["name"], row["subject"]), row["what"], "–" if row["other_subject"] == row["subject"] or not shown(row["other"]) else Name(row["other"], row["other_subject"]), f"{row['cosine']:.4f}",
             row["image_sha256"], row["other_sha256"])
            for row in images.copies(results).to_dict("records")
        ],
    )  # fmt: skip


def roster(results: ModelResults) -> Table:
    """What holds for the artists together; no row in an audit of one artist."""
    rows = [row for row in matching.roster(results).to_dict("records") if row["subjects"] > 1]
    return Table(
        "All artists together. Steered: the name steers the model. At least: the number of subjects that are imitated is at least this one, with the stated "
        "confidence. The statement holds for the number, not for a list of names.",
        columns(
            "Of", "Subjects", "Steered", "Imitated", "At least", "Confidence", "Not shown", "Not auditable",
            number=("Subjects", "Steered", "Imitated", "At least", "Not shown", "Not auditable"),
        ),
        [
            (KINDS.get(row["kind"], row["kind"]), *(str(row[c]) for c in ("subjects", "steered", "imitated", "at_least")),
             percent(row["confidence"], 0), str(row["not_shown"]), str(row["not_auditable"]))
            for row in rows
        ],
    )  # fmt: skip


def artists(rows: list[dict[str, Any]]) -> Table:
    return Table(
        "One row per artist. Steers: whether the name steers the model, with p beside control names. Towards: whether towards the artist's works, with p of "
        "matching. Seen: whether this audit would have found a perfect imitator, with the share of trials in which it did. q: p of matching, adjusted over all "
        "artists with works; one whose name does not steer the model has none. Encoders: those that find an imitation (of an artist without works: those that "
        "identify the name above controls) / those that can audit the artist. Images: "
        "those for which the artist's own name is the likeliest label, of the images that are not blank; identified: their share with its 95 % interval. "
        "Plurality: the label that most images received. AUC: likeness of the images to the artist's real works (0.5: none, 1: always the nearest).",
        columns(
            "Artist", "Verdict", "Steers", "Towards", "Seen", "q", "Encoders", "Images", "Identified (95 %)", "Plurality", "AUC (95 %)", "Captions",
            number=("q", "Encoders", "Images", "Identified (95 %)", "AUC (95 %)", "Captions"),
        ),
        [
            (
                Name(row["name"] + (" (opted out)" if true(row["opted_out"]) else ""), row["subject"]),
                row["verdict"],
                _short(row["steers"], "p = " + p_text(known(row["name_p"]))),
                _short(row["towards"], "p = " + p_text(known(row["matching_p"]))),
                _short(row["seen"], percent(known(row["called"]), 0)),
                p_text(known(row["q_value"])),
                f"{row['encoders_imitated']} / {row['encoders_auditable']}" if "encoders" in row else "–",
                identified(row),
                _share_of_images(row),
                _plurality(row),
                auc(row),
                "–" if pd.isna(row["mentions"]) else f"{row['mentions']:.0f}",
            )
            for row in rows
        ],
        keys=[row["subject"] for row in rows],
    )  # fmt: skip


def _share_of_images(row: Mapping[Any, Any]) -> str:
    if not row["images"] or row["correct"] is None:
        return "–"
    return f"{percent(row['correct'] / row['images'], 0)}{bracket(*images_interval(row['correct'], row['images']))}"


def _short(answer: Any, number: str) -> str:
    """An answer with its number in a cell."""
    if answer is None or pd.isna(answer):
        return "–"
    return str(answer) if answer == UNTESTED else f"{answer} ({number})"


def _plurality(row: Mapping[str, Any]) -> str:
    if row["correct"] is None:
        return "–"
    if pd.isna(row["plurality_name"]):
        return "tie"
    return Name(_label(row["plurality_name"]), str(row["plurality_label"]))


def _label(name: Any) -> str:
    return str(name).removeprefix("default:")
