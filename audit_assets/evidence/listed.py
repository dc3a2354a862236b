"""List what the manifest of a model version must name: the tables of each subject, arm and artist with real works, and all tables.

A manifest is made of these lists, and `verify` holds a manifest to them: nothing would check what a forger left out of it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeVar

from audit_assets.publication.stage import ARTIST_PAGES, PublicationStage
from audit_assets.workspace import Workspace

SCANS = ("captions", "artist_mentions", "mention_rows", "mention_recounts", "more_mentions")
"""Tables of single caption files, below the published ones."""
DRAWS = ("control_candidates", "random_names", "name_collisions")
T = TypeVar("T")


class Tables(NamedTuple):
    """The files of one subject: the rows of its images or works, and their embeddings by encoder."""

    rows: str
    embeddings: dict[str, str]


def subjects(ws: Workspace, model: str) -> dict[str, Tables]:
    """Return the files of every prompted subject."""
    names = [e.name for e in ws.encoders(model)]
    return {
        s: Tables(
            f"imitations/{model}/{s}.parquet", {e: f"imitation_embeddings/{e}/{model}/{s}.parquet" for e in names}
        )
        for s in ws.prompted()
    }


def references(ws: Workspace, model: str) -> dict[str, Tables]:
    """Return the files of every artist who has real works."""
    names = [e.name for e in ws.encoders(model)]
    return {
        s: Tables(f"reference_works/{s}.parquet", {e: f"reference_embeddings/{e}/{s}.parquet" for e in names})
        for s in ws.referenced()
    }


def cells(ws: Workspace, model: str) -> dict[tuple[str, str], Tables]:
    """Return the files of every arm and subject, with the embeddings that were made."""
    names = [e.name for e in ws.encoders(model)]
    found = {}
    for arm, of_arm in ws.asked_in_arms(model).items():
        for one in of_arm:
            cell = f"{model}/{arm}/{one.subject}"
            embedded = {e: f"arm_embeddings/{e}/{cell}" for e in names}
            found[arm, one.subject] = Tables(
                f"arm_images/{cell}.parquet", {e: f"{t}.parquet" for e, t in embedded.items() if ws.warehouse.made(t)}
            )
    return found


def tables(ws: Workspace, model: str) -> dict[str, str | None]:
    """Return every table that the database is made from, and the tables that those are made from.

    Each comes with its table of the database, or None if only published tables are made from it.
    The list has all model versions, because the database has all.
    """
    found: dict[str, str | None] = {table: name for name, own in PublicationStage(ws).tables().items() for table in own}
    found |= {table: None for table in below(ws, model) if ws.warehouse.inputs(table)}
    return dict(sorted(found.items()))


def below(ws: Workspace, model: str) -> list[str]:
    """Return every table that is not published itself and may exist."""
    shards = ws.warehouse.read("caption_shards")["shard"]
    return [*(f"{scan}/{shard}" for scan in SCANS for shard in shards), *DRAWS, f"audit_report/{model}", ARTIST_PAGES]


def unlike(what: str, named: Iterable[tuple[str, T]], must: Mapping[str, T]) -> list[str]:
    """Say in words how the entries of a manifest differ from those that it must have."""
    entries = list(named)
    counts = Counter(name for name, _ in entries)
    differences = {
        f"leaves out {{}} of the {what} that the audit has": [name for name in must if name not in counts],
        f"names {{}} {what} that the audit does not have": [name for name in counts if name not in must],
        f"names {{}} of the {what} twice": [name for name, times in counts.items() if times > 1],
        f"names other tables for {{}} of the {what}": [n for n, own in entries if n in must and own != must[n]],
    }
    return [f"{how.format(len(names))} (first: {names[0]})" for how, names in differences.items() if names]
