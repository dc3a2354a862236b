"""The tables at the end of an artist's page: the tests, and the origin of every image, work, model and encoder."""

from typing import Any

import pandas as pd

from audit_assets.publication.queries import database as read
from audit_assets.publication.words import report_tables as tables
from audit_assets.publication.words import version_tables as versions
from audit_assets.publication.words.numbers import (
    ADJUSTMENTS,
    ALTERNATIVES,
    TESTS,
    known,
    p_text,
    percent,
    shown,
    true,
    yes,
)
from audit_assets.publication.words.table import Table, columns


def tests(rows: pd.DataFrame) -> Table:
    return Table(
        "Every matching test on this artist. Re-assigned: how often the same test is significant with works that were assigned to this artist at "
        "random. The paper's rank sum does not keep its level if images of one artist resemble each other. Own cell decides, or the name test if fewer than five other artists have works; the name test "
        "and own rank assume less and see less. Not tested because: why a test did not run, and what would settle it.",
        columns(
            "Version", "Encoder", "Test", "Alternative", "Adjustment", "Real works", "p", "p adjusted", "Significant", "Re-assigned", "Not tested because",
            number=("Real works", "p", "p adjusted", "Re-assigned"),
        ),
        [
            (
                row["model_version"],
                row["encoder"],
                TESTS.get(row["test"], row["test"]),
                ALTERNATIVES.get(row["alternative"], row["alternative"]),
                ADJUSTMENTS.get(row["adjustment"], row["adjustment"]),
                shown(row["references_used"]).removesuffix(".0"),
                p_text(known(row["p_value"])),
                p_text(known(row["p_adjusted"])),
                _significant(row),
                "–" if known(row["reassigned"]) is None else percent(known(row["reassigned"])),
                shown(row["reason"]) or "–",
            )
            for row in rows.to_dict("records")
        ],
    )  # fmt: skip


def _significant(row: dict[Any, Any]) -> str:
    if known(row["p_value"]) is None:
        return "not tested"
    return "cannot be" if true(row["unreachable"]) else yes(row["significant"])


def images(known_versions: pd.DataFrame, rows: pd.DataFrame) -> Table:
    return Table(
        "Every image of this artist's prompts, with the prompt, the seed and the SHA-256 of its file.",
        columns(
            "Version", "Revision", "Prompt", "Trial", "Seed", "Size", "State", "SHA-256 of the image", "Generation hash",
            number=("Trial",), code=("Revision", "Seed", "SHA-256 of the image", "Generation hash"),
        ),
        [
            (
                row["model_version"],
                shown(known_versions["revision"].get(row["model_version"])) or "local files, see below",
                shown(row["prompt"]) or "–",
                str(row["trial"]),
                "–" if pd.isna(row["seed"]) else str(int(row["seed"])),
                "–" if pd.isna(row["width"]) else f"{row['width']:.0f} × {row['height']:.0f}",
                row["status"].replace("_", " "),
                shown(row["image_sha256"]) or "–",
                shown(row["generation_hash"])[:16] or "–",
            )
            for row in rows.to_dict("records")
        ],
    )  # fmt: skip


def real_works(works: pd.DataFrame) -> Table:
    return Table(
        "The real works that the images were compared with.",
        columns(
            "Work", "Source", "Licence", "SHA-256 of the image", number=("Work",), code=("SHA-256 of the image",)
        ),
        [
            (str(w["work"]), shown(w["source"]) or "–", shown(w["licence"]) or "–", w["image_sha256"])
            for w in works.to_dict("records")
        ],
    )  # fmt: skip


def provenance(known_versions: pd.DataFrame) -> Table:
    return Table(
        "Model versions.",
        columns("Version", "Source", "State", "Revision", "SHA-256 of files", "Settings", code=("Revision", "SHA-256 of files", "Settings")),
        [
            (
                row["model_version"],
                row["source"],
                versions.state(row),
                shown(row["revision"]) or "–",
                shown(row["files_sha256"]) or "–",
                shown(row["generation_settings"]) or "–",
            )
            for row in known_versions.to_dict("records")
        ],
    )  # fmt: skip


def encoders(connection: read.Connection) -> Table:
    found = read.encoders(connection).to_dict("records")
    rows = [
        (row["encoder"], row["kind"].replace("_", "-"), version, tables.shares_family(relations, row["encoder"]),
         shown(row["revision"]) or "–", shown(row["files_sha256"]) or "–")
        for version in read.audited_versions(connection)
        for relations in [read.encoder_relations(connection, version)]
        for row in found
    ]  # fmt: skip
    return Table(
        "Encoders, and whether the model was built with the same family. Such an encoder can agree with the model for that reason alone.",
        columns(
            "Encoder", "Kind", "Version", "Family shared", "Revision", "SHA-256 of files",
            code=("Revision", "SHA-256 of files"),
        ),
        rows,
    )  # fmt: skip
