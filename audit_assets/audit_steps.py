"""The steps of an audit over the warehouse: what each table is made from, and so when it need not be made again.

Assets call these; nothing here knows of Dagster. `inputs` of a table is the hash of everything that it depends on.
"""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from filelock import FileLock

from audit_assets.config import Audit, EncoderEntry, ModelEntry, Protocol, digest
from audit_assets.encoders.embed import embed_labels, embed_stored, label_rows
from audit_assets.generation.images import ImageStore
from audit_assets.generation.imitate import check_imitations, imitations
from audit_assets.measurement import audit_tables, identification, matching
from audit_assets.model_registry import resolve_encoder_entry, resolve_model
from audit_assets.references import fingerprint, reference_works, works_of
from audit_assets.roster.subjects import CONTROL_KINDS, prompted
from audit_assets.warehouse.publish import as_json, publish, published_from, row_counts, schema_columns, table_suffix
from audit_assets.warehouse.store import Warehouse

if TYPE_CHECKING:
    from audit_assets.encoders.encoder import Encoder
    from audit_assets.generation.diffusers_source import DiffusersSource

ROSTER_TABLES = ("caption_shards", "artist_mentions", "artist_roster", "roster_attrition", "controls")
VERSION = 1
"""Raise it where the same inputs give other rows."""


class AuditSteps:
    """One audit's tables. Models and encoders are loaded when the first of their work is not done yet, and once."""

    def __init__(self, audit: Audit, protocol: Protocol, warehouse: Warehouse) -> None:
        self.audit, self.protocol, self.warehouse = audit, protocol, warehouse
        self.images = ImageStore(warehouse.root / "images")

    # ---- subjects
    def subjects(self) -> pd.DataFrame:
        return self.warehouse.read("subjects")

    def referenced(self) -> list[str]:
        """Subjects that real works were given for, in the order of the subjects."""
        folder = self.audit.local(self.audit.references)
        own = self.subjects()
        own = own[~own["kind"].isin(CONTROL_KINDS)]
        return [s for s, name in zip(own["subject"], own["name"], strict=True) if works_of(folder, s, name)]

    # ---- imitations
    def make_imitations(self, model: str, subjects: list[str]) -> Iterator[tuple[str, pd.DataFrame, bool]]:
        """For each subject its rows and whether they were made now. The pipeline is loaded once, and only if needed."""
        entry = self.audit.model(model)
        table = prompted(self.subjects()).set_index("subject")
        plan = self._plan(entry)
        source = None
        with ThreadPoolExecutor(1) as writer:
            for subject in subjects:
                if subject not in table.index:
                    continue  # a key whose subject left the roster
                where, inputs = f"imitations/{model}/{subject}", digest([plan, subject, table.at[subject, "name"]])
                with self._lock(where):
                    done = self._done_with_images(where, inputs)
                    if done is not None:
                        yield subject, done, False
                        continue
                    if source is None:
                        source = self._source(entry)
                    rows = imitations(
                        source,
                        self.protocol,
                        model_version=model,
                        subject=subject,
                        name=str(table.at[subject, "name"]),
                        batch_size=self.audit.batch_size,
                        store=self.images,
                        writer=writer,
                    )
                    if problems := check_imitations(rows, self.protocol, subject):
                        raise ValueError("; ".join(problems))
                    self.warehouse.write(where, rows, inputs)
                yield subject, rows, True

    def imitations_are_done(self, model: str) -> bool:
        """Whether every prompted subject has its images and embeddings, made from what the audit file says now."""
        table = prompted(self.subjects())
        plan = self._plan(self.audit.model(model))
        return all(
            self._done_with_images(f"imitations/{model}/{s}", digest([plan, s, name])) is not None
            for s, name in zip(table["subject"], table["name"], strict=True)
        ) and self._is_embedded("imitation", [f"imitations/{model}/{s}" for s in table["subject"]])

    def _plan(self, entry: ModelEntry) -> str:
        """The hash of what an image depends on, beside its subject."""
        resolved = resolve_model(self.audit, entry)
        return digest(
            [resolved.files_sha256, resolved.settings, self.protocol.generation_hash, self.audit.batch_size, VERSION]
        )

    def _done_with_images(self, table: str, inputs: str) -> pd.DataFrame | None:
        """The rows, if they were made from these inputs and every image that they name is there."""
        rows = self._done(table, inputs)
        if rows is None or not all(self.images.path(sha256).exists() for sha256 in rows["image_sha256"].dropna()):
            return None
        return rows

    def _source(self, entry: ModelEntry) -> "DiffusersSource":
        from audit_assets.generation.diffusers_source import DiffusersSource

        return DiffusersSource(resolve_model(self.audit, entry))

    def _done(self, table: str, inputs: str) -> pd.DataFrame | None:
        return self.warehouse.read(table) if self.warehouse.inputs(table) == inputs else None

    def _lock(self, table: str) -> FileLock:
        """A lock a cell: of two drivers the second waits, then finds the work done."""
        path = self.warehouse.root / ".locks" / f"{table}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
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
        for entry in self.audit.encoders:
            encoder = None
            for source, where, inputs in self._embeddings(kind, entry, sources):
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

    def _embeddings(self, kind: str, entry: EncoderEntry, sources: list[str]) -> Iterator[tuple[str, str, str]]:
        """For each source the table of its embeddings and the hash of what they are made from."""
        files_sha256 = resolve_encoder_entry(self.audit, entry).files_sha256
        for source in sources:
            images = self.warehouse.read(source)["image_sha256"].tolist()
            where = f"{kind}_embeddings/{entry.name}/{source.split('/', 1)[1]}"
            yield source, where, digest([files_sha256, images, VERSION])

    def _is_embedded(self, kind: str, sources: list[str]) -> bool:
        return all(
            self.warehouse.inputs(where) == inputs
            for entry in self.audit.encoders
            for _, where, inputs in self._embeddings(kind, entry, sources)
        )

    def _encoder(self, entry: EncoderEntry) -> "Encoder":
        from audit_assets.encoders.encoder import Encoder

        return Encoder(resolve_encoder_entry(self.audit, entry))

    def make_label_embeddings(self) -> dict[str, pd.DataFrame]:
        """Labels of every prompted subject and of everyone with real works, and the default labels, by encoder."""
        own = self.subjects()
        named = own[(own["kind"] != "background") | own["subject"].isin(self.referenced())]
        rows = label_rows(self.protocol, list(zip(named["subject"], named["name"], strict=True)))
        tables = {}
        for entry in self._text_encoders():
            where = f"label_embeddings/{entry.name}"
            inputs = digest([resolve_encoder_entry(self.audit, entry).files_sha256, rows.to_json(), VERSION])
            made = self._done(where, inputs)
            if made is None:
                made = embed_labels(self._encoder(entry), rows)
                self.warehouse.write(where, made, inputs)
            tables[entry.name] = made
        return tables

    def _text_encoders(self) -> list[EncoderEntry]:
        return [e for e in self.audit.encoders if e.kind == "image_text"]

    # ---- measurement
    def _embedded(self, encoder: str, model: str) -> list[str]:
        return [f"imitation_embeddings/{encoder}/{model}/{s}" for s in prompted(self.subjects())["subject"]]

    def _real(self, encoder: str) -> list[str]:
        return [f"reference_embeddings/{encoder}/{s}" for s in self.referenced()]

    def _inputs(self, tables: list[str]) -> str:
        return digest(
            [
                [self.warehouse.inputs(t) for t in tables],
                self.warehouse.inputs("subjects"),
                self.protocol.measurement_hash,
                self.protocol.name,
                VERSION,
            ]
        )

    def make_identification(self, model: str) -> dict[str, pd.DataFrame]:
        """Experiment 1 for every encoder that reads text: tables identification_trials, _by_subject, _summary."""
        encoders = self._text_encoders()
        inputs = self._inputs(
            [t for e in encoders for t in [f"label_embeddings/{e.name}", *self._embedded(e.name, model)]]
        )
        names = ("identification_trials", "identification_by_subject", "identification_summary")
        if (done := self._all_done(names, model, inputs)) is not None:
            return done
        subjects = self.subjects()
        trials = pd.concat(
            [
                audit_tables.identification_trials(
                    self.warehouse.read_all(self._embedded(e.name, model)),
                    self.warehouse.read(f"label_embeddings/{e.name}"),
                    subjects,
                    protocol=self.protocol,
                    model_version=model,
                    encoder=e.name,
                    logit_scale=self._logit(e)[0],
                    logit_bias=self._logit(e)[1],
                )
                for e in encoders
            ],
            ignore_index=True,
        )
        return self._keep_identification(trials, subjects, model, inputs)

    def _keep_identification(
        self, trials: pd.DataFrame, subjects: pd.DataFrame, model: str, inputs: str
    ) -> dict[str, pd.DataFrame]:
        by_subject = identification.by_subject(trials)
        summary = identification.summary(
            trials, by_subject, subjects, labels=audit_tables.label_counts(subjects, self.protocol)
        )
        return self._keep(
            {
                "identification_trials": trials,
                "identification_by_subject": by_subject,
                "identification_summary": summary,
            },
            model,
            inputs,
        )

    def _logit(self, entry: EncoderEntry) -> tuple[float, float]:
        resolved = resolve_encoder_entry(self.audit, entry)
        return float(resolved.logit_scale or 1.0), float(resolved.logit_bias or 0.0)

    def make_matching(self, model: str) -> dict[str, pd.DataFrame]:
        """Experiment 2 for every encoder: tables matching_by_subject, matching_summary."""
        inputs = self._inputs(
            [t for e in self.audit.encoders for t in [*self._real(e.name), *self._embedded(e.name, model)]]
        )
        if (done := self._all_done(("matching_by_subject", "matching_summary"), model, inputs)) is not None:
            return done
        subjects = self.subjects()
        rows = pd.concat(
            [
                audit_tables.matching_rows(
                    self.warehouse.read_all(self._embedded(e.name, model)),
                    self.warehouse.read_all(self._real(e.name)),
                    subjects,
                    protocol=self.protocol,
                    model_version=model,
                    encoder=e.name,
                )
                for e in self.audit.encoders
                if self._real(e.name)
            ]
            or [pd.DataFrame(columns=list(matching.BY_SUBJECT_COLUMNS))],
            ignore_index=True,
        )
        return self._keep(
            {"matching_by_subject": rows, "matching_summary": matching.matching_summary(rows)}, model, inputs
        )

    def make_auditability(self) -> pd.DataFrame:
        """The positive control of every encoder: table auditability."""
        inputs = self._inputs(
            [t for e in self.audit.encoders for t in self._real(e.name)]
            + [f"label_embeddings/{e.name}" for e in self._text_encoders()]
        )
        done = self._done("auditability", inputs)
        if done is not None:
            return done
        subjects = self.subjects()
        tables = []
        for e in self.audit.encoders:
            if real := self._real(e.name):
                labels = self.warehouse.read(f"label_embeddings/{e.name}") if e.kind == "image_text" else None
                scale = self._logit(e)[0] if e.kind == "image_text" else 1.0
                tables.append(
                    audit_tables.auditability_rows(
                        self.warehouse.read_all(real),
                        labels,
                        subjects,
                        protocol=self.protocol,
                        encoder=e.name,
                        logit_scale=scale,
                    )
                )
        table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["encoder", "subject"])
        self.warehouse.write("auditability", table, inputs)
        return table

    def _all_done(self, names: tuple[str, ...], model: str, inputs: str) -> dict[str, pd.DataFrame] | None:
        if all(self.warehouse.inputs(f"{name}/{model}") == inputs for name in names):
            return {name: self.warehouse.read(f"{name}/{model}") for name in names}
        return None

    def _keep(self, tables: dict[str, pd.DataFrame], model: str, inputs: str) -> dict[str, pd.DataFrame]:
        for name, table in tables.items():
            self.warehouse.write(f"{name}/{model}", table, inputs)
        return tables

    def recomputed(self, model: str, experiment: str) -> list[str]:
        """Recompute the aggregates of 'identification' or 'matching' from the rows below them; what differs, in words."""
        wrong = []
        for name, table in self._aggregates(model, experiment).items():
            kept = self.warehouse.read(f"{name}/{model}")
            try:
                pd.testing.assert_frame_equal(
                    kept.reset_index(drop=True), table.reset_index(drop=True), check_dtype=False, rtol=1e-9
                )
            except AssertionError as error:
                wrong.append(f"{name}/{model}: {' '.join(str(error).split())[:200]}")
        return wrong

    def _aggregates(self, model: str, experiment: str) -> dict[str, pd.DataFrame]:
        if experiment == "matching":
            return {"matching_summary": matching.matching_summary(self.warehouse.read(f"matching_by_subject/{model}"))}
        subjects = self.subjects()
        trials = self.warehouse.read(f"identification_trials/{model}")
        by_subject = identification.by_subject(trials)
        summary = identification.summary(
            trials, by_subject, subjects, labels=audit_tables.label_counts(subjects, self.protocol)
        )
        return {"identification_by_subject": by_subject, "identification_summary": summary}

    # ---- publication
    @property
    def database(self) -> Path:
        return self.warehouse.root / "audit.duckdb"

    def audited(self) -> list[str]:
        """Model versions whose results are there, in the order of audit.yaml."""
        return [
            m.name
            for m in self.audit.models
            if self.warehouse.inputs(f"identification_trials/{m.name}")
            and self.warehouse.inputs(f"matching_by_subject/{m.name}")
        ]

    def _published_tables(self) -> dict[str, list[str]]:
        """Each table of the database and the warehouse tables that it is made of."""
        audited = self.audited()
        own = prompted(self.subjects())["subject"].tolist()
        referenced = self.referenced()
        tables = {name: [name] for name in ("subjects", "model_versions", "encoders", "auditability", *ROSTER_TABLES)}
        tables["mined_names"] = ["mined_names"] if self.warehouse.inputs("mined_names") else []
        tables["imitations"] = [f"imitations/{m}/{s}" for m in audited for s in own]
        tables["reference_works"] = [f"reference_works/{s}" for s in referenced]
        for e in self.audit.encoders:
            suffix = table_suffix(e.name)
            tables[f"imitation_embeddings_{suffix}"] = [
                f"imitation_embeddings/{e.name}/{m}/{s}" for m in audited for s in own
            ]
            tables[f"reference_embeddings_{suffix}"] = [f"reference_embeddings/{e.name}/{s}" for s in referenced]
            tables[f"label_embeddings_{suffix}"] = [f"label_embeddings/{e.name}"] if e.kind == "image_text" else []
        for name in (
            "identification_trials",
            "identification_by_subject",
            "identification_summary",
            "matching_by_subject",
            "matching_summary",
        ):
            tables[name] = [f"{name}/{m}" for m in audited]
        return tables

    def published_inputs(self) -> str:
        return digest(
            [
                {name: [self.warehouse.inputs(t) for t in tables] for name, tables in self._published_tables().items()},
                self.protocol.model_dump(),
                VERSION,
            ]
        )

    def publish(self) -> tuple[Path, dict[str, int], list[str]]:
        """Write `audit.duckdb` unless it is already made of the same tables: its path, rows a table, and what differs."""
        inputs = self.published_inputs()
        sources = self._published_tables()
        if published_from(self.database) != inputs:
            dimensions = self.warehouse.read("encoders").set_index("encoder")["dimension"]
            publish(
                self.database, self._rows_to_publish(sources, inputs), {str(e): int(d) for e, d in dimensions.items()}
            )
        counts = row_counts(self.database)
        wanted = {name: sum(self.warehouse.row_count(t) for t in parts) for name, parts in sources.items()}
        return (
            self.database,
            counts,
            [f"{n}: {counts.get(n)} rows, not {w}" for n, w in wanted.items() if counts.get(n) != w],
        )

    def _rows_to_publish(self, sources: dict[str, list[str]], inputs: str) -> dict[str, pd.DataFrame]:
        """The rows of every table, with the columns of the schema; tables beyond the schema as they are."""
        columns = schema_columns({e.name: 1 for e in self.audit.encoders})
        tables = {name: self.warehouse.read_all(parts) for name, parts in sources.items() if parts}
        p = self.protocol
        tables["protocols"] = pd.DataFrame(
            {
                "protocol": [p.name],
                "generation_hash": [p.generation_hash],
                "measurement_hash": [p.measurement_hash],
                "definition": [as_json(p.model_dump())],
            }
        )
        tables["published_from"] = pd.DataFrame({"inputs_sha256": [inputs]})
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
            digest([self.published_inputs(), VERSION]),
        )
        done = self._done(where, inputs)
        if done is not None and all(
            _sha256(folder / name) == sha256 for name, sha256 in zip(done["file"], done["sha256"], strict=True)
        ):
            return report, done
        from audit_assets.publication.report import write_report  # matplotlib

        write_report(self.database, model, self.images.get, folder)
        files = sorted(p for p in folder.iterdir() if p.is_file())
        table = pd.DataFrame({"file": [p.name for p in files], "sha256": [_sha256(p) for p in files]})
        self.warehouse.write(where, table, inputs)
        return report, table


def _sha256(file: Path) -> str | None:
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else None
