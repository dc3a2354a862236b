"""The rows of `imitations`: the columns of the published schema, and further columns that only the warehouse has."""

from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from audit_assets.config import Protocol

PUBLISHED = [
    "model_version",
    "subject",
    "template",
    "trial",
    "prompt",
    "seed",
    "generation_hash",
    "image_sha256",
    "width",
    "height",
    "status",
]
COLUMNS = [*PUBLISHED, "file", "date", "origin", "model", "problem", "plan"]
"""`file`, `date`, `origin` (of prompt and seed) and `model` (that the file names) belong to an image that an operator supplied. `problem` is the reason why a subject has no images. `plan` is JSON
of device, dtype, threads and batch size, on which the bytes of an image depend."""

ANSWERED = ["code", "reason", "revised_prompt", "answer_sha256"]
"""Further columns of a model behind an API. `model` and `date` are then what the server says of itself. `code` is the server's code of an
error, `reason` says in words what came of the call, and `answer_sha256` is the hash of the image file that the server sent."""


_WHOLE_NUMBERS: dict[str, Any] = {
    "template": "int32",
    "trial": "int32",
    "seed": "UInt64",
    "width": "Int32",
    "height": "Int32",
}


def imitation_table(rows: Sequence[dict[str, Any]], more: Sequence[str] = ()) -> pd.DataFrame:
    """COLUMNS and `more` in order of template and trial. A missing value is NULL.

    Each column gets its type before pandas guesses one. Otherwise a seed beside a NULL would become a float and lose digits.
    """
    columns = {
        c: pd.Series([row.get(c) for row in rows], dtype=object).astype(_WHOLE_NUMBERS.get(c, "str"))
        for c in [*COLUMNS, *more]
    }
    return pd.DataFrame(columns).sort_values(["template", "trial"], ignore_index=True)


def no_rows() -> pd.DataFrame:
    """The empty table."""
    return imitation_table([])


def origins(imitations: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The published tables on the origin of images, from columns that the published `imitations` does not have.

    `generation_plans` has device, dtype, threads and batch size (JSON), and the number of images that each model version made
    with them. `supplied_images` has the file of each image that an operator supplied, the date that its manifest gives, where prompt and seed
    were found, and the model that the file names. `api_answers` has what the server of a model said of each image.
    """
    made = imitations[imitations["plan"].notna()]
    supplied = imitations[imitations["file"].notna()].reindex(columns=[*_IMAGE, "file", "date", "origin", "model"])
    plans = made.groupby(["model_version", "plan"], sort=True).size().rename("images").reset_index()
    answers = imitations.reindex(columns=[*_IMAGE, "status", "model", "date", *ANSWERED])
    answers = answers[answers["code"].notna() | answers["answer_sha256"].notna()]
    answers = answers.rename(columns={"model": "answered_by", "date": "created"})
    return {
        "generation_plans": plans,
        "supplied_images": supplied.reset_index(drop=True),
        "api_answers": answers.reset_index(drop=True),
    }


_IMAGE = ["model_version", "subject", "template", "trial"]


def absent_rows(
    protocol: Protocol,
    *,
    model_version: str,
    subject: str,
    problem: str | None = None,
    templates: Iterable[int] | None = None,
) -> list[dict[str, Any]]:
    """One `not_supplied` row per image that the protocol asks for (for all templates by default); `problem` is the reason."""
    return [
        {
            "model_version": model_version,
            "subject": subject,
            "template": template,
            "trial": trial,
            "generation_hash": protocol.generation_hash,
            "status": "not_supplied",
            "problem": problem,
        }
        for template in (range(len(protocol.templates)) if templates is None else templates)
        for trial in range(protocol.trials)
    ]


def redrawn_otherwise(replayed: pd.DataFrame) -> pd.DataFrame:
    """The rows of a replay whose images differ, or of which only one exists. If an image was not supplied, both are missing, which is no difference."""
    kept, again = replayed["image_sha256"].fillna(""), replayed["replayed_sha256"].fillna("")
    return replayed[kept != again]
