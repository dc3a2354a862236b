"""`reports/index.html`: every model version of the warehouse with its headline, what changed between versions, and the artists' pages.

The database records no dates except those that the operator gave to supplied images. Versions are in the order of audit.yaml.
"""

from pathlib import Path
from typing import Any
from urllib.parse import quote

from duckdb import DuckDBPyConnection

from audit_assets.errors import InputError
from audit_assets.publication import ARTISTS
from audit_assets.publication.pages.page import render, write
from audit_assets.publication.queries import across_models, matching
from audit_assets.publication.queries import artist as read_artist
from audit_assets.publication.queries import database as read
from audit_assets.publication.queries.model import ModelResults
from audit_assets.publication.words import headline
from audit_assets.publication.words import report_tables as tables
from audit_assets.publication.words import version_tables as versions
from audit_assets.publication.words.measures import heading
from audit_assets.publication.words.numbers import NOT_MEASURED, shown
from audit_assets.publication.words.table import Name, Table, columns

HEADLINE = ("artists_images", "random_images", "own_cell", "own_cell_reassigned", "pairing", "at_least", "imitated")
"""Keys of the measures that the index shows."""


def write_index(database: Path, folder: Path, protocol: str | None = None, only: str | None = None) -> Path:
    """Write ``index.html`` into ``folder``, the folder of the reports and the artists' pages; return its path.

    ``only``: the model version whose report exists, in an archive; the others are named and not linked. Raises InputError if no model version has results yet.
    """
    with read.opened(database) as connection:
        audited = read.audited_versions(connection)
        if not audited:
            raise InputError(f"{database}: no model version has results. Remedy: run `audit-assets run`.")
        protocols = {v: read.primary_protocol(connection, v, protocol) for v in audited}
        main, encoder = protocols[audited[0]], read.primary_encoder(connection)
        everybody = read_artist.with_page(connection)
        page = render(
            "index.html.j2",
            protocols=sorted(set(protocols.values())),
            encoder=encoder,
            one=read.only_artist(connection),
            statements=_statements(connection, protocols),
            moved=_moved(connection, main),
            what_changed=versions.what_changed(
                across_models.verdict_changes(connection, main, encoder), encoder
            ),
            paged=frozenset(everybody["subject"]),
            artists_at=f"{ARTISTS}/",
            versions=[_version(connection, row, protocols, only) for row in read.versions(connection).to_dict("records")],
            measures=_measures(connection, protocols),
            changes=versions.changes(across_models.comparisons(connection, main)),
            changed=versions.changed_subjects(
                across_models.compared_subjects(connection, main), "Artists whose share of identified images changed, or whose verdict changed, from one version to another."
            ),
            withheld=versions.withheld(across_models.withheld(connection)),
            trends=versions.trends(across_models.trends(connection, main)),
            pages=[Name(str(n), str(s)) for s, n in zip(everybody["subject"], everybody["name"], strict=True)],
            left_out=tables.left_out(connection),
            made_from=read.made_from(connection),
        )  # fmt: skip
    return write(folder / "index.html", page)


def _version(
    connection: DuckDBPyConnection, row: dict[Any, Any], protocols: dict[str, str], only: str | None
) -> dict[str, str]:
    name = row["model_version"]
    dates = read.supplied_dates(connection, name)
    state = versions.state(row)
    return {
        "name": name,
        # Quoted: a version's name is a slug, but it comes from a file that people write.
        "address": f"{quote(name, safe='')}/report.html" if name in protocols and only in (None, name) else "",
        "state": state if name in protocols else f"{state}, no results yet",
        "source": row["source"].replace("_", " ") + (f", images of {dates}" if dates else ""),
        "revision": shown(row["revision"]) or "–",
        "files": shown(row["files_sha256"])[:16] or "–",
    }


def _measures(connection: DuckDBPyConnection, protocols: dict[str, str]) -> Table:
    """The headline, one row per version."""
    encoder = read.primary_encoder(connection)
    if read.only_artist(connection) is not None:
        return _measures_of_one(connection, protocols, encoder)
    found = {v: headline.figures(ModelResults(connection, protocol, v, encoder)) for v, protocol in protocols.items()}
    return Table(
        f"Headline by the encoder {encoder}. In brackets: 95 % intervals.",
        columns("Version", "Protocol", *(heading(key) for key in HEADLINE)),
        [(version, protocols[version], *(figures[key] for key in HEADLINE)) for version, figures in found.items()],
    )


def _measures_of_one(connection: DuckDBPyConnection, protocols: dict[str, str], encoder: str) -> Table:
    """The headline of an audit of one artist, one row per figure and one column per version."""
    compared = {v: headline.comparison(ModelResults(connection, p, v, encoder)) for v, p in protocols.items()}
    names = [str(words) for words in next(iter(compared.values()))["measure"]]
    found = {v: dict(zip(table["measure"], table["this_audit"], strict=True)) for v, table in compared.items()}
    return Table(
        f"Headline by the encoder {encoder}. In brackets: 95 % intervals.",
        columns("Measure", *found),
        [(name, *(figures.get(name, NOT_MEASURED) for figures in found.values())) for name in names],
    )


def _statements(connection: DuckDBPyConnection, protocols: dict[str, str]) -> list[tuple[str, str]]:
    """Of each version, what holds for the roster, by the primary encoder: (version, sentence)."""
    encoder = read.primary_encoder(connection)
    found = [
        (v, headline.roster_sentence(matching.roster(ModelResults(connection, p, v, encoder))))
        for v, p in protocols.items()
    ]
    return [(version, sentence) for version, sentence in found if sentence]


def _moved(connection: DuckDBPyConnection, protocol: str) -> list[str]:
    """Whether artists who opted out moved further than the others, by the primary encoder."""
    if read.only_artist(connection) is not None:
        return []
    found = across_models.groups(connection, protocol)
    return versions.groups(found[found["encoder"] == read.primary_encoder(connection)])
