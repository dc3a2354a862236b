"""The stage that publishes: the database of all tables, and from it the reports, their index and the artists' pages."""

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from audit_assets.encoders.stage import EmbeddingStage
from audit_assets.errors import InputError, Unwritable, said
from audit_assets.generation.tables import origins
from audit_assets.hashing import digest, sha256_once
from audit_assets.publication import ARTISTS, REPORT_VERSION, VERSION
from audit_assets.publication.sealed import same_block, sealed_file
from audit_assets.results.auditability import AUDITABILITY
from audit_assets.results.comparison import COMPARISON, MODEL_TABLES
from audit_assets.results.stage import ResultStage
from audit_assets.warehouse import large_tables
from audit_assets.warehouse.cells import Cells
from audit_assets.warehouse.database import (
    SCHEMA_VERSION,
    Rows,
    as_json,
    files_beside,
    library_versions,
    publish,
    published_from,
    row_counts,
    schema_columns,
    table_suffix,
)
from audit_assets.warehouse.left_out import ARTIST, COLUMNS, ENCODER, MODEL, WORK, LeftOut, leave_out, portable_reason
from audit_assets.warehouse.notes import LABELS, ROSTER, WORKS, notes_on
from audit_assets.warehouse.places import local_copy, whole_files
from audit_assets.workspace import Workspace

PARTS = (MODEL, ENCODER, ARTIST, WORK)
ARTIST_PAGES = "artist_pages"
"""The table of the pages of all artists, which are made once for all model versions."""
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
        notes = [notes_on(place) for place in (ROSTER, WORKS, LABELS, *audited)]
        tables["notes"] = [name for name in notes if ws.warehouse.made(name)]
        tables["imitations"] = [f"imitations/{m}/{s}" for m in audited for s in own]
        tables["arm_images"] = [table for m in audited for table in ws.arm_tables(m)]
        tables["reference_works"] = [f"reference_works/{s}" for s in referenced]
        embedded = {m: {e.name for e in ws.encoders(m)} for m in audited}
        for e in ws.encoders():
            suffix = table_suffix(e.name)
            tables[f"imitation_embeddings_{suffix}"] = [
                f"imitation_embeddings/{e.name}/{m}/{s}" for m in audited if e.name in embedded[m] for s in own
            ]
            tables[f"arm_embeddings_{suffix}"] = [
                table
                for m in audited
                if e.name in embedded[m]
                for table in ws.arm_tables(m, f"arm_embeddings/{e.name}")
                if ws.warehouse.made(table)
            ]
            tables[f"reference_embeddings_{suffix}"] = [f"reference_embeddings/{e.name}/{s}" for s in referenced]
            if ws.audit.text_in_images:
                blurred = [f"blurred_embeddings/{e.name}/{m}" for m in audited if e.name in embedded[m]]
                tables[f"blurred_embeddings_{suffix}"] = [place for place in blurred if ws.warehouse.made(place)]
            tables[f"label_embeddings_{suffix}"] = [f"label_embeddings/{e.name}"] if e.kind == "image_text" else []
        if EmbeddingStage(ws).sigmoid_encoders():
            tables["sigmoid_scores"] = [f"sigmoid_scores/{m}" for m in audited]
        for name in COMPARISON.tables:
            tables[name] = [name] if ws.warehouse.made(name) else []
        for name in ("image_texts", "rating_questions", "rating_answers"):
            tables[name] = [f"{name}/{m}" for m in audited if ws.warehouse.made(f"{name}/{m}")]
        for name in MODEL_TABLES:
            tables[name] = [f"{name}/{m}" for m in audited]
        tables["left_out"] = list(ws.left_out())
        return tables

    def inputs(self) -> str:
        """The hash of everything that the database is made of."""
        return self._inputs(self.tables())

    def _inputs(self, sources: dict[str, list[str]]) -> str:
        made_of = {name: self.ws.warehouse.all_inputs(tables) for name, tables in sources.items()}
        return digest([made_of, self.ws.protocol.model_dump(), SCHEMA_VERSION, VERSION])

    def publish(self) -> tuple[Path, dict[str, int], list[str]]:
        """Write `audit.duckdb` unless it is made of the same tables already: its path, rows per table, and what differs.

        InputError if results do not follow from what they are made of, whichever command asks: the database stays as it was.
        """
        ws, database = self.ws, self.ws.database
        inputs, sources = self.inputs(), self.tables()
        if published_from(database) != inputs or not self._is_whole(inputs):
            self._leave_out_what_does_not_follow()
            inputs, sources = self.inputs(), self.tables()
            dimensions = ws.warehouse.read("encoders").set_index("encoder")["dimension"]
            encoders = {str(e): int(d) for e, d in dimensions.items()}
            publish(database, self.rows(sources, inputs), encoders, large=self.is_large(sources))
            ws.warehouse.write("published", pd.DataFrame({"file_sha256": [_once(database)]}), inputs)
        return database, *self._counted(sources)

    def is_large(self, sources: dict[str, list[str]]) -> bool:
        """Whether there are so many embeddings of images and works that they lie beside the database."""
        parts = [table for name, own in sources.items() if large_tables.holds_embeddings(name) for table in own]
        return sum(rows or 0 for rows in self.ws.warehouse.all_row_counts(parts)) > large_tables.LARGE

    def done(self) -> bool:
        """Whether `publish` would write nothing and find no difference."""
        sources = self.tables()
        inputs = self._inputs(sources)
        if published_from(self.ws.database) != inputs or not self._is_whole(inputs):
            return False
        return not self._counted(sources)[1]

    def _counted(self, sources: dict[str, list[str]]) -> tuple[dict[str, int], list[str]]:
        """The rows of every table of the database, and where they are not those of its parquet files."""
        counts, in_files = row_counts(self.ws.database), self.ws.warehouse.all_row_counts
        parts = {name: own for name, own in sources.items() if name != "left_out"}  # has more than the records' rows
        wanted = {name: sum(rows or 0 for rows in in_files(own)) for name, own in parts.items()}
        return counts, [f"{n}: {counts.get(n)} rows, not {w}" for n, w in wanted.items() if counts.get(n) != w]

    def _leave_out_what_does_not_follow(self) -> None:
        """Leave out each model version whose results do not follow from what they are made of. InputError if none is left."""
        reasons = {model: why for model in self.results.audited() if (why := self._does_not_follow(model))}
        if reasons and len(reasons) == len(self.results.audited()):
            raise InputError(f"{self.ws.database}: not replaced, since {next(iter(reasons.values()))}")
        for model, reason in reasons.items():
            part = LeftOut(MODEL, reason, "results", model_version=model)
            leave_out(self.ws.warehouse, f"results/{model}/publication", [part], self.ws.audit.base)

    def _does_not_follow(self, model: str) -> str | None:
        try:
            if self._drawn_by_another_protocol(model):
                again = (
                    "it is retired, and is drawn no more"
                    if self.ws.audit.model(model).retired
                    else "run the audit again"
                )
                return (
                    "its images were drawn by another protocol (other templates, trials or indirect prompts) than the audit has now; "
                    f"{again}."
                )
            wrong = self.results.findings(model)
        except Unwritable:
            raise
        except Exception as error:  # tables of one version that are missing or damaged stop this version alone
            wrong = [said(error)]
        if not wrong:
            return None
        return (
            f"{len(wrong)} results do not follow from what they are made of (first: {wrong[0]}); delete that file and materialize its "
            "asset again."
        )

    def _drawn_by_another_protocol(self, model: str) -> bool:
        """Whether any image is of another protocol: somebody edited it, and another process measured before the images followed."""
        tables = (self.ws.warehouse.read(f"imitations/{model}/{s}", ["generation_hash"]) for s in self.ws.prompted())
        own = self.ws.protocol.generation_hash
        return any((table["generation_hash"].dropna() != own).any() for table in tables)

    def _is_whole(self, inputs: str) -> bool:
        """Whether the database has the bytes that were published, and the files beside it too."""
        if self.ws.warehouse.inputs("published") != inputs:
            return False
        if _once(self.ws.database) != self.ws.warehouse.read("published")["file_sha256"].iloc[0]:
            return False
        return not large_tables.altered(
            large_tables.folder_beside(self.ws.database), files_beside(self.ws.database).values()
        )

    def rows(self, sources: dict[str, list[str]], inputs: str) -> dict[str, Rows]:
        """The rows of every table, with the columns of the schema. Those of embeddings, most of an audit, are read in blocks."""
        columns = schema_columns({e.name: 1 for e in self.ws.audit.encoders})
        blocks = {name: parts for name, parts in sources.items() if "embeddings" in name and parts}
        tables = {
            name: self.ws.warehouse.read_all(parts) for name, parts in sources.items() if parts and name not in blocks
        }
        if "imitations" in tables:
            tables |= origins(tables["imitations"])
        if "arm_images" in tables and "upload_sha256" not in tables["arm_images"]:  # of an earlier version
            tables["arm_images"] = tables["arm_images"].assign(upload_sha256=None)
        tables["left_out"] = self._left_out(tables)
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
        rows: dict[str, Rows] = {name: _published([table], columns[name]) for name, table in tables.items()}
        for name, parts in blocks.items():
            rows[name] = _published(self.ws.warehouse.blocks(parts), columns[name])
        return rows

    def left_out(self) -> list[LeftOut]:
        """Everything that is left out now, in the order of the parts."""
        parts = [part for found in self.ws.left_out().values() for part in found]
        whole = {part.encoder for part in parts if part.part == ENCODER and not part.model_version}
        parts = [p for p in parts if p.part != ENCODER or not p.model_version or p.encoder not in whole]
        first = {p.encoder: p for p in reversed(parts) if p.part == ENCODER and not p.model_version}
        parts = [p for p in parts if p.part != ENCODER or p.model_version or p is first[p.encoder]]
        named = {*self.results.audited(), *(p.model_version for p in parts if p.part == MODEL)}
        older = "its results were made from other inputs than the audit has now; they are kept, and are not published."
        parts += [
            LeftOut(MODEL, older, "results", model_version=m.name)
            for m in self.ws.audit.models
            if m.name not in named and self.results.has_results(m.name)
        ]
        return sorted(dict.fromkeys(parts), key=lambda p: (PARTS.index(p.part), p.name, p.stage))

    def _left_out(self, tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
        """The published table `left_out`: the records, and subjects without images because their name or files were refused."""
        parts = self.left_out()
        if "imitations" in tables and len(tables["imitations"]):
            refused = tables["imitations"][["model_version", "subject", "problem"]].dropna().drop_duplicates()
            parts += [
                LeftOut(
                    ARTIST,
                    portable_reason(str(row.problem)),
                    "imitations",
                    str(row.model_version),
                    subject=str(row.subject),
                )
                for row in refused.itertuples()
            ]
        rows = [asdict(part) for part in parts]
        table = pd.DataFrame(rows, columns=list(COLUMNS)).astype("str").drop_duplicates()
        keys = ["model_version", "encoder", "subject"]
        return table.assign(**{key: table[key].where(table[key] != "", None) for key in keys})

    def report(self, model: str) -> tuple[Path, pd.DataFrame]:
        """The report's path, and its files with their sha256: table audit_report. Made from the published database alone."""
        ws = self.ws
        folder = ws.warehouse.root / "reports" / model
        report, where = folder / "report.html", f"audit_report/{model}"
        inputs = self._report_inputs()
        done = self._report_as_it_is(model, inputs)
        if done is not None:
            if ws.warehouse.inputs(ARTIST_PAGES) is not None:  # an archive has the pages of its report alone
                self.artist_pages()
            return report, done
        from audit_assets.publication.pages.report import write_report  # matplotlib

        # Nothing if it is up to date; a run beside this one may have published before these results existed.
        self.publish()
        with whole_files(folder) as files_here:
            write_report(ws.database, model, ws.images.get, files_here)
        self.artist_pages()
        self.index()
        # A print follows from a page as it stands with its block, so it is no file of the report.
        files = sorted(p for p in folder.iterdir() if p.is_file() and p.suffix != ".pdf")
        table = pd.DataFrame({"file": [p.name for p in files], "sha256": [_of(p) for p in files]})
        ws.warehouse.write(where, table, inputs)
        return report, table

    def report_done(self, model: str) -> bool:
        """Whether `report` would write nothing, neither the report nor a page of an artist."""
        pages = self._pages_as_they_are(self._pages_inputs())
        return pages is not None and self._report_as_it_is(model, self._report_inputs()) is not None

    def _report_inputs(self) -> str:
        return digest([self.inputs(), REPORT_VERSION])

    def _report_as_it_is(self, model: str, inputs: str) -> pd.DataFrame | None:
        """The files of a report that was made from these inputs, and has not changed since; else None."""
        made = Cells(self.ws.warehouse, self.ws.images).done(f"audit_report/{model}", inputs)
        folder = self.ws.warehouse.root / "reports" / model
        return made if made is not None and not _altered(folder, made) else None

    def index(self) -> Path:
        """`reports/index.html`, over every model version of the published database and everybody who has a page."""
        from audit_assets.publication.pages.index import write_index

        return write_index(self.ws.database, self.ws.warehouse.root / "reports")

    def artist_page(self, artist: str, out: Path | None = None) -> Path:
        """One artist's page, by slug or name, from the published database. The index then leads to it.

        If `out` is given, the page is written to that folder, and nothing in the warehouse changes.
        """
        from audit_assets.publication.pages.artist import write_artist_page

        page = write_artist_page(self.ws.database, artist, self.ws.images.get, out or self.artists_folder)
        if out is None:
            self.index()
        return page

    def artist_print(self, artist: str, page: Path) -> Path:
        """The artist's page as PDF beside it, with pictures for print."""
        from audit_assets.publication.pages import printed
        from audit_assets.publication.pages.artist import PRINTED, ArtistPages
        from audit_assets.publication.queries.database import opened

        printed.check_possible()
        kept = page.read_bytes()
        with tempfile.TemporaryDirectory() as folder, opened(self.ws.database) as connection:
            pages = ArtistPages(connection, self.ws.images.get, size=PRINTED)
            large = pages.written(artist, Path(folder)).read_bytes()
        return printed.write_pdf(same_block(large, kept), page.with_suffix(".pdf"), of=kept)

    def report_print(self, report: Path) -> Path:
        """The report of a model version as PDF beside it."""
        from audit_assets.publication.pages import printed

        return printed.write_pdf(report.read_bytes(), report.with_suffix(".pdf"))

    def artist_pages(self) -> pd.DataFrame:
        """The pages of all artists with their sha256: table `artist_pages`. Made from the published database alone.

        Their inputs are those of this database. Results that another run makes meanwhile are in the next one, with which the pages are made again.
        """
        ws, folder = self.ws, self.artists_folder
        inputs = self._pages_inputs()
        made = self._pages_as_they_are(inputs)
        if made is not None:
            return made  # without a lock, which an audit that cannot be written does not give
        for cell in Cells(ws.warehouse, ws.images).in_turn([ARTIST_PAGES]):
            if self._pages_as_they_are(inputs) is None:
                from audit_assets.publication.pages.artist import write_artist_pages  # matplotlib

                with whole_files(folder) as here:
                    pages = [page.name for page in write_artist_pages(ws.database, ws.images.get, here)]
                for old in folder.glob("*.html"):  # of artists who have left the roster
                    if old.name not in pages:
                        old.unlink()
                hashes = [_of(folder / page) for page in pages]
                ws.warehouse.write(cell, pd.DataFrame({"file": pages, "sha256": hashes}, dtype="str"), inputs)
        return ws.warehouse.read(ARTIST_PAGES)

    def _pages_inputs(self) -> str:
        return digest([published_from(self.ws.database) or self.inputs(), REPORT_VERSION])

    def _pages_as_they_are(self, inputs: str) -> pd.DataFrame | None:
        """The artists' pages, if they were made from these inputs and have not changed since; else None."""
        made = Cells(self.ws.warehouse, self.ws.images).done(ARTIST_PAGES, inputs)
        return made if made is not None and not _altered(self.artists_folder, made) else None

    @property
    def artists_folder(self) -> Path:
        return self.ws.warehouse.root / "reports" / ARTISTS


def _published(tables: Iterable[pd.DataFrame], columns: set[str]) -> Iterator[pd.DataFrame]:
    for table in tables:
        yield table[[c for c in table.columns if c in columns]]


def _altered(folder: Path, files: pd.DataFrame) -> list[str]:
    """Files of a table of files that are not as it has them."""
    return [n for n, sha256 in zip(files["file"], files["sha256"], strict=True) if _of(folder / n) != sha256]


def _once(database: Path) -> str:
    return sha256_once(local_copy(database))


def _of(file: Path) -> str | None:
    return sealed_file(file)[1] if file.is_file() else None
