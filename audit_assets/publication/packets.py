"""Packets of human raters, from the key in the warehouse to pages, and from their answers to the published tables."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from audit_assets.errors import InputError, writing
from audit_assets.hashing import digest, sha256
from audit_assets.publication.pages.packet import write_packet
from audit_assets.publication.stage import PublicationStage
from audit_assets.results.rating_answers import answers_of
from audit_assets.results.rating_questions import Wanted, ask_the_same, drawn, key_of
from audit_assets.results.ratings import RATINGS
from audit_assets.workspace import Workspace


def export(
    ws: Workspace, model: str, into: Path, wanted: Wanted, *, replace: bool = False
) -> tuple[list[Path], dict[str, str]]:
    """Write the pages into an empty or new folder, and the key into the warehouse. Return the pages, and why each other wanted artist is not asked about.

    InputError if the version has no results, or if other packets of it were exported: without their key, no answer to them can be taken. ``replace`` gives
    their key up, unless answers to them were taken.
    """
    if not PublicationStage(ws).results.has_results(model):
        raise InputError(f"{model}: has no results yet; run the audit first.")
    key, passed_over = drawn(ws, model, wanted)
    _check_earlier(ws, model, key, replace)
    if into.exists() and any(into.iterdir()):
        raise InputError(f"{into}: is not empty; give a new folder, so that no page of other packets lies among these.")
    with writing(into):
        into.mkdir(parents=True, exist_ok=True)
    pages = {}
    for packet, rows in key.groupby("packet", sort=False):
        pages[str(packet)] = write_packet(rows, ws.images.get, into)
    key["page_sha256"] = key["packet"].map({packet: sha256(page) for packet, page in pages.items()})
    ws.warehouse.write(key_of(model), key, digest(key.to_json()))
    return list(pages.values()), passed_over


def _check_earlier(ws: Workspace, model: str, key: pd.DataFrame, replace: bool) -> None:
    """InputError if the key of other packets would be lost."""
    if not ws.warehouse.made(key_of(model)) or ask_the_same(ws.warehouse.read(key_of(model)), key):
        return
    if ws.warehouse.made(answers_of(model)):
        raise InputError(
            f"{model}: raters answered other packets of this version. Export with the options of then, or delete "
            f"{ws.warehouse.path(answers_of(model))} and export with --replace to begin anew."
        )
    if not replace:
        raise InputError(
            f"{model}: other packets of this version were exported, and answers to them could not be taken without their key. Export with the options of then "
            "(all artists in one export), or with --replace if no rater has these packets."
        )


def publish_answers(ws: Workspace, model: str) -> list[str]:
    """Make the tables of ratings, the database and the report again; return what the raters say, one sentence each."""
    stage = PublicationStage(ws)
    tables = stage.results.make(RATINGS, model)
    stage.publish()
    report, _ = stage.report(model)
    return [*in_words(tables), f"report    {report}"]


def in_words(tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """What raters say, one sentence each, from the tables of `RATINGS`."""
    agreed, rows = tables["rater_agreement"].iloc[0], tables["ratings"]
    said = [
        f"{agreed['counted']} of {agreed['raters']} raters passed the attention checks; {agreed['packets']} packets were exported"
    ]
    gone = rows[~rows["is_check"] & ~rows["counted"] & ~rows["rater"].isin(agreed["failed_raters"])]
    if len(gone):
        said.append(
            f"{gone['question'].nunique()} of {agreed['questions']} questions are left out, because their pictures are not this version's any more: the "
            "report says of which artists"
        )
    answers = tables["rater_verdicts"]["answer"].value_counts()
    return said + [f"nearer to the artist's works: {answer}, {number} artists" for answer, number in answers.items()]
