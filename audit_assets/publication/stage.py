"""The stage that publishes: the database of all tables, and from it the reports, their index and the artists' pages."""

from pathlib import Path

import pandas as pd

from audit_assets.encoders.stage import EmbeddingStage
from audit_assets.errors import InputError
from audit_assets.generation.tables import origins
from audit_assets.hashing import digest, sha256, sha256_once
from audit_assets.publication import REPORT_VERSION, VERSION
from audit_assets.results.auditability import AUDITABILITY
from audit_assets.results.comparison import COMPARISON, MODEL_TABLES
from audit_assets.results.stage import ResultStage
from audit_assets.warehouse.cells import Cells
from audit_assets.warehouse.database import (
    SCHEMA_VERSION,
    as_json,
    library_versions,
    publish,
    published_from,
    row_counts,
    schema_columns,
    table_suffix,
)
from audit_assets.warehouse.places import each, local_copy, whole_files
from audit_assets.workspace import Workspace

ROSTER_TABLES = ("caption_shards", "artist_mentions", "artist_roster", "roster_attrition", "controls")


class PublicationStage:
    """The published files of one audit. Each is made again only if what it is made from has changed."""

    def __init__(self, ws: Workspace) -> None:
        self.ws = ws
        self.results = ResultStage(ws)

    def tables(self) -> dict[str, list[str]]:
        """Each table of the database and the warehouse tables that it is made of."""
        ws, audited = self.ws, self.results.audited()
        own, referenced = list(ws.prompted()), ws.referenced()
        once = ("subjects", "model_versions", "encoders", *ROSTER_TABLES, *AUDITABILITY.tables)
        tables = {name: [name] for name in once}
        tables["model_files"] = ["model_files", "encoder_files"]
        tables["mined_names"] = ["mined_names"] if ws.warehouse.made("mined_names") else []
        unread = ["unread_works", *(f"unread_images/{m.name}" for m in ws.audit.models if m.name in audited)]
        tables["unread_files"] = [name for name in unread if ws.warehouse.made(name)]
        tables["imitations"] = [f"imitations/{m}/{s}" for m in audited for s in own]
        tables["reference_works"] = [f"reference_works/{s}" for s in referenced]
        for e in ws.audit.encoders:
            suffix = table_suffix(e.name)
            tables[f"imitation_embeddings_{suffix}"] = [
                f"imitation_embeddings/{e.name}/{m}/{s}" for m in audited for s in own
            ]
            tables[f"reference_embeddings_{suffix}"] = [f"reference_embeddings/{e.name}/{s}" for s in referenced]
            tables[f"label_embeddings_{suffix}"] = [f"label_embeddings/{e.name}"] if e.kind == "image_text" else []
        if EmbeddingStage(ws).sigmoid_encoders():
            tables["sigmoid_scores"] = [f"sigmoid_scores/{m}" for m in audited]
        for name in COMPARISON.tables:
            tables[name] = [name] if ws.warehouse.made(name) else []
        for name in MODEL_TABLES:
            tables[name] = [f"{name}/{m}" for m in audited]
        return tables

    def inputs(self) -> str:
        """The hash of everything that the database is made of."""
        made_of = {name: self.ws.warehouse.all_inputs(tables) for name, tables in self.tables().items()}
        return digest([made_of, self.ws.protocol.model_dump(), SCHEMA_VERSION, VERSION])

    def publish(self) -> tuple[Path, dict[str, int], list[str]]:
        """Write `audit.duckdb` unless it is made of the same tables already: its path, rows per table, and what differs.

        InputError if results do not follow from what they are made of, whichever command asks: the database stays as it was.
        """
        ws, database = self.ws, self.ws.database
        inputs, sources = self.inputs(), self.tables()
        if published_from(database) != inputs or not self._is_whole(inputs):
            if wrong := [finding for model in self.results.audited() for finding in self.results.findings(model)]:
                raise InputError(
                    f"{database}: not replaced, since {len(wrong)} results do not follow from what they are made of "
                    f"(first: {wrong[0]}); delete that file and materialize its asset again."
                )
            dimensions = ws.warehouse.read("encoders").set_index("encoder")["dimension"]
            publish(database, self.rows(sources, inputs), {str(e): int(d) for e, d in dimensions.items()})
            ws.warehouse.write("published", pd.DataFrame({"file_sha256": [_once(database)]}), inputs)
        counts = row_counts(database)
        wanted = {name: sum(each(ws.warehouse.root, ws.warehouse.row_count, parts)) for name, parts in sources.items()}
        return (
            database,
            counts,
            [f"{n}: {counts.get(n)} rows, not {w}" for n, w in wanted.items() if counts.get(n) != w],
        )

    def _is_whole(self, inputs: str) -> bool:
        """Whether the database has the bytes that were published."""
        if self.ws.warehouse.inputs("published") != inputs:
            return False
        return _once(self.ws.database) == self.ws.warehouse.read("published")["file_sha256"].iloc[0]

    def rows(self, sources: dict[str, list[str]], inputs: str) -> dict[str, pd.DataFrame]:
        """The rows of every table, with the columns of the schema. Tables beyond the schema keep all their columns."""
        columns = schema_columns({e.name: 1 for e in self.ws.audit.encoders})
        tables = {name: self.ws.warehouse.read_all(parts) for name, parts in sources.items() if parts}
        if "imitations" in tables:
            tables |= origins(tables["imitations"])
        p = self.ws.protocol
        tables["protocols"] = pd.DataFrame(
            {
                "protocol": [p.name],
                "generation_hash": [p.generation_hash],
                "measurement_hash": [p.measurement_hash],
                "definition": [as_json(p.model_dump())],
            }
        )
        tables["software"] = pd.DataFrame(library_versions(), columns=["package", "version"])
        tables["published_from"] = pd.DataFrame({"inputs_sha256": [inputs], "schema_version": [SCHEMA_VERSION]})
        return {
            name: table[[c for c in table.columns if name not in columns or c in columns[name]]]
            for name, table in tables.items()
        }

    def report(self, model: str) -> tuple[Path, pd.DataFrame]:
        """The report's path, and its files with their sha256: table audit_report. Made from the published database alone."""
        ws = self.ws
        folder = ws.warehouse.root / "reports" / model
        report, where = folder / "report.html", f"audit_report/{model}"
        inputs = digest([self.inputs(), REPORT_VERSION])
        done = Cells(ws.warehouse, ws.images).done(where, inputs)
        if done is not None and all(
            _of(folder / name) == sha256 for name, sha256 in zip(done["file"], done["sha256"], strict=True)
        ):
            return report, done
        from audit_assets.publication.pages.report import write_report  # matplotlib

        # Nothing if it is up to date; a run beside this one may have published before these results existed.
        self.publish()
        with whole_files(folder) as files_here:
            write_report(ws.database, model, ws.images.get, files_here)
        self.index()
        files = sorted(p for p in folder.iterdir() if p.is_file())
        table = pd.DataFrame({"file": [p.name for p in files], "sha256": [_of(p) for p in files]})
        ws.warehouse.write(where, table, inputs)
        return report, table

    def index(self) -> Path:
        """`reports/index.html`, over every model version of the published database and every artist's page that exists."""
        from audit_assets.publication.pages.index import write_index

        return write_index(self.ws.database, self.ws.warehouse.root / "reports")

    def artist_page(self, artist: str) -> Path:
        """One artist's page, by slug or name, from the published database. The index then leads to it."""
        from audit_assets.publication.pages.artist import write_artist_page
        from audit_assets.publication.pages.index import ARTISTS

        page = write_artist_page(
            self.ws.database, artist, self.ws.images.get, self.ws.warehouse.root / "reports" / ARTISTS
        )
        self.index()
        return page


def _once(database: Path) -> str:
    return sha256_once(local_copy(database))


def _of(file: Path) -> str | None:
    return sha256(file) if file.is_file() else None
