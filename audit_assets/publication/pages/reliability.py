"""`reliability.html` beside each report: tests, error rates, standards and literature in the order in which a court asks, and a draft certification.

The program fills in the facts of the audit. The page says that law is left to the lawyer.
"""

from pathlib import Path

from audit_assets.publication.pages.page import render, write
from audit_assets.publication.queries import artist as read_artist
from audit_assets.publication.queries import database as read
from audit_assets.publication.queries.design import Design, design
from audit_assets.publication.queries.model import ModelResults
from audit_assets.publication.words import reliability as words
from audit_assets.publication.words.numbers import counted, percent, shown


def write_reliability(results: ModelResults, folder: Path) -> Path:
    found = design(results.connection, results.protocol, results.model_version, results.encoder)
    protocols = read.protocols(results.connection).set_index("protocol")
    row = read.model_version_row(results.connection, results.model_version)
    page = render(
        "reliability.html.j2",
        paged=frozenset(read_artist.with_page(results.connection)["subject"]),
        version=results.model_version,
        revision=shown(row["revision"]) or "not stated",
        files=shown(row["files_sha256"]) or "not known",
        encoder=results.encoder,
        protocol=results.protocol,
        generation_hash=shown(protocols["generation_hash"].get(results.protocol)),
        measurement_hash=shown(protocols["measurement_hash"].get(results.protocol)),
        design=found,
        words=_words(found),
        wrongly=words.wrongly_found(found),
        missed=words.missed(found),
        base=words.base_rates(),
        simulated=len(words.simulated()),
        studies=words.simulated()["study"].nunique(),
        made_from=read.made_from(results.connection),
    )
    return write(folder / "reliability.html", page)


def _words(found: Design) -> str:
    parts = [
        counted(found.artists, "artist"),
        f"control names per artist: {found.names or 'none'}",
        f"images per name that show something: {found.images or 'none'}",
        f"independent works per artist: {found.works or 'none'}",
        f"{counted(found.others, 'other artist')} with works",
        f"level of the tests {percent(found.alpha, 0)}",
    ]
    return "; ".join(parts)
