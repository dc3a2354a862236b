"""The steps of an audit over the warehouse: what each table is made from, and so when it need not be made again.

Assets call these; nothing here knows of Dagster. `inputs` of a table is the hash of everything that it depends on.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout

from audit_assets.config import Audit, EncoderEntry, Protocol
from audit_assets.encoders.embed import embed_labels, embed_stored, label_rows
from audit_assets.encoders.sigmoid import COLUMNS as SIGMOID_COLUMNS
from audit_assets.encoders.sigmoid import sigmoid_scores
from audit_assets.errors import InputError, writing
from audit_assets.generation import image_folder
from audit_assets.generation.makers import Maker, maker
from audit_assets.generation.tables import absent_rows, imitation_table, origins
from audit_assets.hashing import digest, sha256, sha256_once
from audit_assets.models.registry import folder_here, register, resolve_encoder_entry, resolve_model
from audit_assets.references.works import fingerprint, reference_works
from audit_assets.results.stage import COMPARISON_TABLES, CONTROL_TABLES, MODEL_TABLES, MeasurementSteps
from audit_assets.roster.subjects import CONTROL_KINDS, prompted
from audit_assets.untrusted.folders import works_of
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
from audit_assets.warehouse.images import ImageStore
from audit_assets.warehouse.places import each, local_copy, lock_folder, whole_files
from audit_assets.warehouse.store import Warehouse

if TYPE_CHECKING:
    from audit_assets.encoders.encoder import Encoder

ROSTER_TABLES = ("caption_shards", "artist_mentions", "artist_roster", "roster_attrition", "controls")
VERSION = 1
LABELS_VERSION = 2
REPORT_VERSION = 3
"""Raise them where the same inputs give other rows."""


class AuditSteps:
    """One audit's tables. Models and encoders are loaded when the first of their work is not done yet, and once."""

    def __init__(self, audit: Audit, protocol: Protocol, warehouse: Warehouse) -> None:
        self.audit, self.protocol, self.warehouse = audit, protocol, warehouse
        self.images = ImageStore(warehouse.root / "images")

    # ---- subjects
    def subjects(self) -> pd.DataFrame:
        return self.warehouse.read("subjects")

    def referenced(self) -> list[str]:
        """Subjects that real works were given for, in the order of the subjects.

        Where their folder is not on this machine (an imported audit) those whose works are in the warehouse.
        """
        folder = self.audit.local(self.audit.references)
        own = self.subjects()
        own = own[~own["kind"].isin(CONTROL_KINDS)]
        if not folder.is_dir():
            return [str(s) for s in own["subject"] if self.warehouse.inputs(f"reference_works/{s}")]
        return [s for s, name in zip(own["subject"], own["name"], strict=True) if works_of(folder, s, name)]

    # ---- imitations
    def make_imitations(self, model: str, subjects: list[str]) -> Iterator[tuple[str, pd.DataFrame, bool]]:
        """For each subject its rows and whether they were made now. The pipeline is loaded once, and only if needed.

        What another process is making comes last, so that several processes share the work.
        """
        names, indirect = self._prompted_names(), self._indirect_prompts()
        known = {f"imitations/{model}/{s}": s for s in subjects if s in names}  # others have left the roster
        if self.audit.model(model).retired:
            yield from ((s, self._retired(model, where, s), False) for where, s in known.items())
            return
        if self.audit.model(model).source == "image_folder":
            image_folder.check_names(resolve_model(self.audit, self.audit.model(model)).path, names)
        with self._maker(model) as maker:
            for where in self._in_turn(list(known)):
                subject = known[where]
                inputs = maker.inputs(subject, names[subject], indirect[subject])
                rows = self._done_with_images(where, inputs)
                made_now = rows is None
                if rows is None:
                    rows = maker.make(subject, names[subject], indirect[subject])
                    if problems := maker.check(rows, subject):
                        raise ValueError("; ".join(problems))
                    self.warehouse.write(where, rows, inputs)
                register(self.audit, maker.resolved)
                yield subject, rows, made_now

    def first_images(self, model: str, artists: int = 12) -> list[str]:
        """The hash of the first image of each of the first artists that have one, to look at."""
        subjects = self.subjects()
        own = subjects.loc[subjects["kind"] == "artist", "subject"].astype(str)
        tables = [self.warehouse.read(f"imitations/{model}/{s}") for s in own[:artists]]
        return [str(found.iloc[0]) for t in tables if len(found := t["image_sha256"].dropna())]

    def images_asked(self) -> dict[str, int]:
        """Subject -> images that the protocol asks of one model version, with prompts that do not name the artist."""
        names, indirect = self._prompted_names(), self._indirect_prompts()
        return {s: len(self.protocol.wordings(n, indirect[s])) * self.protocol.trials for s, n in names.items()}

    def cost_preview(self, models: list[str], seconds_an_image: float | None) -> str:
        """How many images some model versions ask for, and how long that takes at a pace that is known from earlier ones."""
        if not models:
            return "no images to make"
        if self.warehouse.inputs("subjects") is None:
            return "subjects are not chosen yet"
        each = sum(self.images_asked().values())
        images = f"{each * len(models)} images to make: {each} for each of {', '.join(models)}"
        if seconds_an_image is None:
            return f"{images}; no earlier run says how long that takes"
        return f"{images}; about {each * len(models) * seconds_an_image / 60:.1f} minutes at the pace of the last run that made some"

    def drawn(self, model: str) -> list[str]:
        """Subjects that have images of a model version, in the order of the subjects."""
        return [
            s
            for s in self._prompted_names()
            if self.warehouse.read(f"imitations/{model}/{s}")["image_sha256"].notna().any()
        ]

    def replay(
        self, model: str, subjects: Sequence[str] | None = None, store: ImageStore | None = None
    ) -> pd.DataFrame:
        """Some subjects' images drawn again into `store`, by default the audit's: model_version, subject, template, trial,
        image_sha256, plan, replayed_sha256, replayed_plan.

        By default every hundredth subject, in order of the hash of its key with the model's name, so that nobody chooses; a
        whole subject, since the batch plan decides the bytes.
        """
        names, indirect = self._prompted_names(), self._indirect_prompts()
        if subjects is None:
            made = self.drawn(model)
            subjects = sorted(made, key=lambda s: digest([model, s]))[: max(1, len(made) // 100)]
        columns = ["model_version", "subject", "template", "trial", "image_sha256", "plan"]
        replayed = {"image_sha256": "replayed_sha256", "plan": "replayed_plan"}
        tables = [pd.DataFrame(columns=[*columns, *replayed.values()])]
        with self._maker(model, store) as maker:
            for subject in subjects:
                kept = self.warehouse.read(f"imitations/{model}/{subject}")[columns]
                again = maker.make(subject, names[subject], indirect[subject])[["template", "trial", *replayed]]
                tables.append(kept.merge(again.rename(columns=replayed), on=["template", "trial"], how="left"))
        return pd.concat([t for t in tables if len(t)] or tables, ignore_index=True)

    def _prompted_names(self) -> dict[str, str]:
        table = prompted(self.subjects())
        return dict(zip(table["subject"].astype(str), table["name"].astype(str), strict=True))

    def _indirect_prompts(self) -> dict[str, str]:
        table = prompted(self.subjects())
        return dict(zip(table["subject"].astype(str), table["indirect_prompt"].fillna("").astype(str), strict=True))

    def _retired(self, model: str, where: str, subject: str) -> pd.DataFrame:
        """What a retired model version made; a subject that came later has no images, and nothing is loaded for it."""
        if self.warehouse.inputs(where) is None:
            problem = f"the model version {model} is retired"
            rows = imitation_table(absent_rows(self.protocol, model_version=model, subject=subject, problem=problem))
            self.warehouse.write(where, rows, digest(problem))
        return self.warehouse.read(where)

    def _maker(self, model: str, store: ImageStore | None = None) -> Maker:
        if not self.audit.model(model).approved:
            raise InputError(f"{self.audit.file}, model {model!r}: is not approved; set `approved: true` to audit it.")
        resolved = resolve_model(self.audit, self.audit.model(model))
        return maker(resolved, self.protocol, store or self.images, self.audit.batch_size)

    def check_imitations(self, model: str, rows: pd.DataFrame) -> list[str]:
        """What is wrong with the rows of some subjects, in words; those of a retired model version are what they are."""
        if self.audit.model(model).retired:
            return []
        with self._maker(model) as maker:
            return [problem for s, own in rows.groupby("subject") for problem in maker.check(own, str(s))]

    def deviations(self, model: str, rows: pd.DataFrame) -> list[str]:
        """How the images of a folder differ from the protocol, in words; a model that is asked does not."""
        entry = self.audit.model(model)
        if entry.source != "image_folder" or rows.empty:
            return []
        folder = resolve_model(self.audit, entry).path
        return [
            *image_folder.unclaimed(folder, self._prompted_names()),
            *image_folder.deviations(rows, self.protocol, self.subjects()),
        ]

    def refused_subjects(self, model: str) -> list[str]:
        """The problem of each subject that has no images because its name or its files could not be taken."""
        tables = [self.warehouse.read(f"imitations/{model}/{s}", ["problem"]) for s in self._prompted_names()]
        return [str(problem) for t in tables for problem in t["problem"].dropna().unique()]

    def imitations_are_done(self, model: str) -> bool:
        """Whether every prompted subject has its images and embeddings, made from what the audit file says now."""
        names, indirect = self._prompted_names(), self._indirect_prompts()
        with self._maker(model) as maker:
            made = all(
                self._done_with_images(f"imitations/{model}/{s}", maker.inputs(s, name, indirect[s])) is not None
                for s, name in names.items()
            )
            if made:
                register(self.audit, maker.resolved)
        return made and self._is_embedded("imitation", [f"imitations/{model}/{s}" for s in names])

    def _done_with_images(self, table: str, inputs: str) -> pd.DataFrame | None:
        """The rows, if they were made from these inputs and every image that they name is there."""
        rows = self._done(table, inputs)
        return rows if rows is not None and self.images.has(rows["image_sha256"].dropna()) else None

    def _done(self, table: str, inputs: str) -> pd.DataFrame | None:
        return self.warehouse.read(table) if self.warehouse.inputs(table) == inputs else None

    def _in_turn(self, tables: list[str]) -> Iterator[str]:
        """Each table under its lock: first those that no other process is at, then, when they are free, the rest."""
        for patience in (0, -1):
            busy = []
            for table in tables:
                try:
                    with self._lock(table).acquire(timeout=patience):
                        yield table
                except Timeout:
                    busy.append(table)
            tables = busy

    def _lock(self, table: str) -> FileLock:
        """A lock a cell: of two drivers the second waits, then finds the work done."""
        path = lock_folder(self.warehouse.root) / f"{table}.lock"
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return FileLock(path)

    # ---- real works
    def make_reference_works(self, subjects: list[str]) -> Iterator[tuple[str, pd.DataFrame]]:
        names = self.subjects().set_index("subject")["name"]
        for subject in subjects:
            where, files, inputs = self._reference(subject, str(names.get(subject, "")))
            rows = self._done_with_images(where, inputs)
            if rows is None:
                rows = reference_works(files, subject, self.images)
                self.warehouse.write(where, rows, inputs)
            yield subject, rows

    def _reference(self, subject: str, name: str) -> tuple[str, list[Path], str]:
        """The table of a subject's real works, the files that it is made of, and their hash."""
        files = works_of(self.audit.local(self.audit.references), subject, name)
        return f"reference_works/{subject}", files, digest([subject, fingerprint(files), VERSION])

    def references_are_done(self) -> bool:
        """Whether every subject's real works are read and embedded as they lie in the folder now."""
        names = self.subjects().set_index("subject")["name"]
        found = [self._reference(s, str(names[s])) for s in self.referenced()]
        return all(self._done_with_images(where, inputs) is not None for where, _, inputs in found) and (
            self._is_embedded("reference", [where for where, _, _ in found])
        )

    # ---- embeddings
    def embed(self, kind: str, sources: list[str]) -> Iterator[tuple[str, str, pd.DataFrame]]:
        """`kind` is 'imitation' or 'reference'; `sources` are tables with `image_sha256`. Yields (encoder, table, rows)."""
        images = self._images_named(sources)
        for entry in self.audit.encoders:
            encoder = None
            wanted = {where: (source, inputs) for source, where, inputs in self._embeddings(kind, entry, images)}
            for where in self._in_turn(list(wanted)):
                source, inputs = wanted[where]
                made = self._done(where, inputs)
                if made is None:
                    if encoder is None:
                        encoder = self._encoder(entry)
                    rows = self.warehouse.read(source)
                    keys = [
                        c
                        for c in ("model_version", "subject", "template", "trial", "work", "status", "image_sha256")
                        if c in rows
                    ]
                    made = embed_stored(encoder, rows[rows["image_sha256"].notna()][keys], self.images)
                    self.warehouse.write(where, made, inputs)
                yield entry.name, where, made

    def _images_named(self, sources: list[str]) -> dict[str, list[str]]:
        """The hashes of the images of each table."""
        return {s: self.warehouse.read(s, ["image_sha256"])["image_sha256"].dropna().tolist() for s in sources}

    def _embeddings(
        self, kind: str, entry: EncoderEntry, images: Mapping[str, list[str]]
    ) -> Iterator[tuple[str, str, str]]:
        """For each table of images the table of its embeddings and the hash of what they are made from."""
        files_sha256 = resolve_encoder_entry(self.audit, entry).files_sha256
        for source, hashes in images.items():
            where = f"{kind}_embeddings/{entry.name}/{source.split('/', 1)[1]}"
            yield source, where, digest([files_sha256, hashes, VERSION])

    def _is_embedded(self, kind: str, sources: list[str]) -> bool:
        images = self._images_named(sources)
        for entry in self.audit.encoders:
            if any(
                self.warehouse.inputs(where) != inputs for _, where, inputs in self._embeddings(kind, entry, images)
            ):
                return False
            register(self.audit, resolve_encoder_entry(self.audit, entry))
        return True

    def _encoder(self, entry: EncoderEntry) -> "Encoder":
        from audit_assets.encoders.encoder import Encoder

        resolved = resolve_encoder_entry(self.audit, entry)
        encoder = Encoder(resolved)
        register(self.audit, resolved)
        return encoder

    def make_label_embeddings(self) -> dict[str, pd.DataFrame]:
        """Labels of every prompted subject and of everyone with real works, and the default labels, by encoder."""
        rows = self.label_rows()
        tables = {}
        for entry in self._text_encoders():
            where = f"label_embeddings/{entry.name}"
            inputs = digest([resolve_encoder_entry(self.audit, entry).files_sha256, rows.to_json(), LABELS_VERSION])
            made = self._done(where, inputs)
            if made is None:
                made = embed_labels(self._encoder(entry), rows)
                self.warehouse.write(where, made, inputs)
            tables[entry.name] = made
        return tables

    def label_rows(self) -> pd.DataFrame:
        own = self.subjects()
        named = own[(own["kind"] != "background") | own["subject"].isin(self.referenced())]
        return label_rows(self.protocol, list(zip(named["subject"], named["name"], strict=True)))

    def make_sigmoid_scores(self, model: str) -> pd.DataFrame:
        """What encoders trained with a sigmoid say of each image and its own label: table sigmoid_scores, maybe empty."""
        where, names = f"sigmoid_scores/{model}", self._prompted_names()
        images = {
            e.name: [f"imitation_embeddings/{e.name}/{model}/{s}" for s in names] for e in self._sigmoid_encoders()
        }
        labels = {encoder: f"label_embeddings/{encoder}" for encoder in images}
        sources = [[labels[encoder], *tables] for encoder, tables in images.items()]
        inputs = digest([[self.warehouse.all_inputs(ts) for ts in sources], self.protocol.name, VERSION])
        made = self._done(where, inputs)
        if made is None:
            made = pd.DataFrame(columns=SIGMOID_COLUMNS)
            for encoder, tables in images.items():
                scale, bias = self.logit(self.audit.encoder(encoder))
                scores = sigmoid_scores(
                    self.warehouse.read_all(tables),
                    self.warehouse.read(labels[encoder]),
                    protocol=self.protocol.name,
                    model_version=model,
                    encoder=encoder,
                    logit_scale=scale or 1.0,
                    logit_bias=bias or 0.0,
                )
                made = scores if made.empty else pd.concat([made, scores], ignore_index=True)
            self.warehouse.write(where, made, inputs)
        return made

    def _sigmoid_encoders(self) -> list[EncoderEntry]:
        return [e for e in self._text_encoders() if self.logit(e)[1] is not None]

    def logit(self, entry: EncoderEntry) -> tuple[float | None, float | None]:
        """Scale and bias of an encoder; as the table `encoders` has them where its files are not on this machine."""
        if folder_here(self.audit, entry):
            resolved = resolve_encoder_entry(self.audit, entry)
            return resolved.logit_scale, resolved.logit_bias
        said = self.warehouse.read("encoders").set_index("encoder")[["logit_scale", "logit_bias"]].astype("float64")
        scale, bias = said.loc[entry.name].to_numpy(dtype="float64")
        return None if np.isnan(scale) else float(scale), None if np.isnan(bias) else float(bias)

    def _text_encoders(self) -> list[EncoderEntry]:
        return [e for e in self.audit.encoders if e.kind == "image_text"]

    # ---- measurement
    @property
    def measurement(self) -> MeasurementSteps:
        return MeasurementSteps(self)

    # ---- publication
    @property
    def database(self) -> Path:
        return self.warehouse.root / "audit.duckdb"

    def audited(self) -> list[str]:
        """Model versions whose results are there, in the order of audit.yaml. InputError where one is damaged."""
        return [
            m.name for m in self.audit.models if all(self.warehouse.made(f"{table}/{m.name}") for table in MODEL_TABLES)
        ]

    def published_tables(self) -> dict[str, list[str]]:
        """Each table of the database and the warehouse tables that it is made of."""
        audited = self.audited()
        own = prompted(self.subjects())["subject"].tolist()
        referenced = self.referenced()
        tables = {name: [name] for name in ("subjects", "model_versions", "encoders", *ROSTER_TABLES, *CONTROL_TABLES)}
        tables["model_files"] = ["model_files", "encoder_files"]
        tables["mined_names"] = ["mined_names"] if self.warehouse.made("mined_names") else []
        tables["imitations"] = [f"imitations/{m}/{s}" for m in audited for s in own]
        tables["reference_works"] = [f"reference_works/{s}" for s in referenced]
        for e in self.audit.encoders:
            suffix = table_suffix(e.name)
            tables[f"imitation_embeddings_{suffix}"] = [
                f"imitation_embeddings/{e.name}/{m}/{s}" for m in audited for s in own
            ]
            tables[f"reference_embeddings_{suffix}"] = [f"reference_embeddings/{e.name}/{s}" for s in referenced]
            tables[f"label_embeddings_{suffix}"] = [f"label_embeddings/{e.name}"] if e.kind == "image_text" else []
        if self._sigmoid_encoders():
            tables["sigmoid_scores"] = [f"sigmoid_scores/{m}" for m in audited]
        for name in COMPARISON_TABLES:
            tables[name] = [name] if self.warehouse.made(name) else []
        for name in MODEL_TABLES:
            tables[name] = [f"{name}/{m}" for m in audited]
        return tables

    def published_inputs(self) -> str:
        return digest(
            [
                {name: self.warehouse.all_inputs(tables) for name, tables in self.published_tables().items()},
                self.protocol.model_dump(),
                SCHEMA_VERSION,
                VERSION,
            ]
        )

    def publish(self) -> tuple[Path, dict[str, int], list[str]]:
        """Write `audit.duckdb` unless it is already made of the same tables: its path, rows a table, and what differs.

        InputError where results do not follow from what they are made of, whoever asks: the database stays as it was.
        """
        inputs = self.published_inputs()
        sources = self.published_tables()
        if published_from(self.database) != inputs or not self._database_is_whole(inputs):
            if wrong := [finding for model in self.audited() for finding in self.measurement.findings(model)]:
                raise InputError(
                    f"{self.database}: not replaced, since {len(wrong)} results do not follow from what they are made of "
                    f"(first: {wrong[0]}); delete that file and materialize its asset again."
                )
            dimensions = self.warehouse.read("encoders").set_index("encoder")["dimension"]
            publish(
                self.database, self.rows_to_publish(sources, inputs), {str(e): int(d) for e, d in dimensions.items()}
            )
            whole = pd.DataFrame({"file_sha256": [sha256_once(local_copy(self.database))]})
            self.warehouse.write("published", whole, inputs)
        counts = row_counts(self.database)
        wanted = {
            name: sum(each(self.warehouse.root, self.warehouse.row_count, parts)) for name, parts in sources.items()
        }
        return (
            self.database,
            counts,
            [f"{n}: {counts.get(n)} rows, not {w}" for n, w in wanted.items() if counts.get(n) != w],
        )

    def _database_is_whole(self, inputs: str) -> bool:
        """Whether the database has the bytes that were published."""
        if self.warehouse.inputs("published") != inputs:
            return False
        return sha256_once(local_copy(self.database)) == self.warehouse.read("published")["file_sha256"].iloc[0]

    def rows_to_publish(self, sources: dict[str, list[str]], inputs: str) -> dict[str, pd.DataFrame]:
        """The rows of every table, with the columns of the schema; tables beyond the schema as they are."""
        columns = schema_columns({e.name: 1 for e in self.audit.encoders})
        tables = {name: self.warehouse.read_all(parts) for name, parts in sources.items() if parts}
        if "imitations" in tables:
            tables |= origins(tables["imitations"])
        p = self.protocol
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

    def make_report(self, model: str) -> tuple[Path, pd.DataFrame]:
        """The report's path, and its files with their sha256: table audit_report. Made from the published database alone."""
        folder = self.warehouse.root / "reports" / model
        report, where, inputs = (
            folder / "report.html",
            f"audit_report/{model}",
            digest([self.published_inputs(), REPORT_VERSION]),
        )
        done = self._done(where, inputs)
        if done is not None and all(
            _sha256(folder / name) == sha256 for name, sha256 in zip(done["file"], done["sha256"], strict=True)
        ):
            return report, done
        from audit_assets.publication.pages.report import write_report  # matplotlib

        # Nothing where it is up to date; a run beside this one may have published before these results were there.
        self.publish()
        with whole_files(folder) as files_here:
            write_report(self.database, model, self.images.get, files_here)
        self.make_index()
        files = sorted(p for p in folder.iterdir() if p.is_file())
        table = pd.DataFrame({"file": [p.name for p in files], "sha256": [_sha256(p) for p in files]})
        self.warehouse.write(where, table, inputs)
        return report, table

    def make_index(self) -> Path:
        """`reports/index.html`, over every model version of the published database and the artists' pages that are there."""
        from audit_assets.publication.pages.index import write_index

        return write_index(self.database, self.warehouse.root / "reports")

    def make_artist_page(self, artist: str) -> Path:
        """One artist's page, by slug or name, from the published database; the index then leads to it."""
        from audit_assets.publication.pages.artist import write_artist_page
        from audit_assets.publication.pages.index import ARTISTS

        page = write_artist_page(self.database, artist, self.images.get, self.warehouse.root / "reports" / ARTISTS)
        self.make_index()
        return page


def _sha256(file: Path) -> str | None:
    return sha256(file) if file.is_file() else None
