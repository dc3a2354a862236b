"""Near copies side by side with the works that they copy, the most similar first: a page of each model version, and a section of its report."""

from pathlib import Path
from typing import Any

import pandas as pd

from audit_assets.publication.pages.page import Load, render, thumbnail, write
from audit_assets.publication.queries import database as read
from audit_assets.publication.queries import images
from audit_assets.publication.queries.model import ModelResults
from audit_assets.publication.words import copies as words
from audit_assets.publication.words.numbers import KINDS

PAGE = "copies.html"
SIZE = 224
MOST = 500
"""Pairs on the page, so that it stays below 15 MB. The table has all."""
FIRST = 6
"""Pairs in the report, which leads to the page."""


def write_copies(results: ModelResults, load: Load, folder: Path) -> Path:
    """Write the page of near copies of a model version into ``folder``."""
    found = images.copies_of_works(results)
    page = render(
        "copies.html.j2",
        model_version=results.model_version,
        protocol=results.protocol,
        said=said(results),
        pairs=pairs(results, load, MOST),
        more=max(0, len(found) - MOST),
        made_from=read.made_from(results.connection),
    )
    return write(folder / PAGE, page)


def said(results: ModelResults) -> list[str]:
    """How near copies were looked for in this version, and what was found."""
    return words.found(images.copy_detection(results))


def pairs(results: ModelResults, load: Load, most: int = FIRST) -> list[dict[str, Any]]:
    """The first pairs, the most similar first: both pictures, the names, and how alike they are."""
    rows = images.copies_of_works(results).head(most)
    return [
        {
            "image": thumbnail(load(row["image_sha256"]), f"Image that was made for the name {row['name']}", SIZE),
            "work": thumbnail(load(row["work_sha256"]), f"Real work {row['work']} of {row['other']}", SIZE),
            "row": row,
            "kind": KINDS.get(row["kind"], row["kind"]).removesuffix("s"),
        }
        for row in rows.to_dict("records")
    ]


def pairs_of_artist(rows: pd.DataFrame, name: str, load: Load) -> list[dict[str, Any]]:
    """Near copies that concern the artist in a version, from the rows of `queries.artist.copied`, side by side."""
    return [
        {
            "image": thumbnail(load(row["image_sha256"]), f"Image that was made for the name {row['name']}", SIZE),
            "work": thumbnail(load(row["work_sha256"]), f"Real work {row['work']} of {row['other']}", SIZE),
            "said": words.of_artist({str(k): v for k, v in row.items()}, name),
        }
        for row in rows.to_dict("records")
    ]
