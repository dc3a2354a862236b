"""Does the evidence still hold? Every file read and hashed again, every figure computed again, some images drawn again.

Nothing is believed that can be computed: not that a table was checked before, not that an image has the name of its hash.
What cannot be checked here is said, and is no finding: a model that is not on this machine, files that an archive left out,
a difference that another kind of machine explains.
"""

import random
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from audit_assets.config import EncoderEntry, ModelEntry
from audit_assets.encoders.embed import embed_labels, embed_stored
from audit_assets.encoders.load import load
from audit_assets.encoders.stage import EmbeddingStage
from audit_assets.errors import InputError
from audit_assets.evidence.archive_file import LeftOut, left_out
from audit_assets.evidence.machine import differences, this_machine
from audit_assets.evidence.manifest import (
    Imitation,
    Manifest,
    ModelFile,
    Picture,
    StoredFile,
    Subject,
    manifest_file,
    portable,
    protocol_content,
    read_manifest,
    table_rows,
)
from audit_assets.generation.imitate import check_imitations, doubled
from audit_assets.generation.stage import ImitationStage
from audit_assets.generation.tables import redrawn_otherwise
from audit_assets.hashing import sha256
from audit_assets.models.files import read_files
from audit_assets.models.registry import folder_here, lora_file, resolve_encoder_entry
from audit_assets.publication.stage import PublicationStage
from audit_assets.results.stage import ResultStage
from audit_assets.roster.captions import caption_shards
from audit_assets.untrusted.folders import artist_folders, folder_files
from audit_assets.untrusted.images import open_image
from audit_assets.warehouse.contract import reading
from audit_assets.warehouse.database import publish, published_from
from audit_assets.warehouse.images import ImageStore
from audit_assets.warehouse.places import each, local_copy
from audit_assets.warehouse.store import vectors
from audit_assets.workspace import Workspace

SAME_MACHINE = 1e-6
ANY_MACHINE = 1e-3
"""Cosine distances: an embedding made again is nearer than this on the same kind of machine, and on any."""

MADE_AGAIN = "made again since the manifest, or altered; `audit-assets run` makes the manifest of what was made again"
RESTORE = "restore it from a backup or an archive, or delete it and run the audit again"


@dataclass
class Check:
    """One thing that was looked at: how much of it, what is wrong with which file, and what could not be looked at."""

    title: str
    seen: str = ""
    """Empty where nothing was."""
    findings: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)


def verify(ws: Workspace, model: str, *, replay: int = 1, sample: int = 20, root: str | None = None) -> Iterator[Check]:
    """Check after check; without a manifest that can be read, only the first.

    `replay`: subjects drawn again with all their images; `sample`: images, real works and labels embedded again by each
    encoder; chosen anew each time, so that nobody knows which will be looked at. `root`: the root hash that the manifest
    must have, from whoever keeps it elsewhere.
    """
    check, manifest = _manifest(ws, model, root)
    yield check
    if manifest is None:
        return
    left = left_out(ws.audit.base)
    elsewhere = differences(manifest.machine, this_machine())
    yield _audit_file(ws, manifest)
    yield _tables(ws, manifest, left)
    yield _pictures(ws, "imitations", manifest.imitations(), set())
    yield _pictures(ws, "real works", manifest.works(), left & {"real works"})
    yield _report(ws, manifest, left)
    yield _database_file(ws, manifest)
    yield _captions(ws, manifest)
    files = _model_files(ws, manifest)
    yield files
    yield _chain(ws, manifest)
    yield _database_rows(ws)
    yield _results(ws, model)
    yield _embeddings(ws, manifest, sample, elsewhere, left)
    yield _replay(ws, manifest, replay, [*elsewhere, *files.findings])


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number else ""


@contextmanager
def _finding(check: Check, what: str) -> Iterator[None]:
    """Whatever goes wrong inside is a finding: any file that is read there may have been tampered with."""
    try:
        yield
    except InputError as error:
        check.findings.append(str(error))
    except Exception as error:  # any library may stumble over any bytes
        check.findings.append(
            f"{what}: cannot be computed ({type(error).__name__}: {' '.join(str(error).split())[:300]})"
        )


def _manifest(ws: Workspace, model: str, root: str | None) -> tuple[Check, Manifest | None]:
    check = Check("manifest")
    path = manifest_file(ws.warehouse, model)
    try:
        manifest = read_manifest(path)
        left_out(ws.audit.base)
    except InputError as error:
        check.findings.append(str(error))
        return check, None
    check.seen = f"root {manifest.root}"
    if manifest.model_version != model:
        check.findings.append(f"{path}: is the manifest of {manifest.model_version!r}")
    if root is not None and root != manifest.root:
        check.findings.append(f"{path}: its root is {manifest.root}, not {root}: it is another manifest")
    return check, manifest


def _audit_file(ws: Workspace, manifest: Manifest) -> Check:
    """The fields that this model version's results depend on, and the protocol."""
    check = Check("audit file and protocol", ws.protocol.name)
    now, then = _without_places(portable(ws.audit)), _without_places(manifest.audit)
    for key in ("captions", "roster", "controls", "batch_size", "encoders"):
        if now.get(key) != then.get(key):
            check.findings.append(f"{ws.audit.file}, {key}: is not what the manifest has; {MADE_AGAIN}")
    mine, its = (_entry(content, manifest.model_version) for content in (now, then))
    if {**mine, "approved": None, "retired": None} != {**its, "approved": None, "retired": None}:
        check.findings.append(
            f"{ws.audit.file}, model {manifest.model_version!r}: is not what the manifest has; {MADE_AGAIN}"
        )
    if protocol_content(ws.protocol) != manifest.protocol:
        check.findings.append(f"{ws.audit.file}, protocol: is not the manifest's; {MADE_AGAIN}")
    return check


def _without_places(content: Mapping[str, Any]) -> dict[str, Any]:
    """Where models and encoders lie is nobody's evidence: their files are compared by their hashes."""
    entries = {
        kind: [{k: v for k, v in e.items() if k != "path"} for e in content.get(kind, [])]
        for kind in ("models", "encoders")
    }
    return {**content, **entries}


def _entry(content: Mapping[str, Any], model: str) -> dict[str, Any]:
    return next((dict(m) for m in content.get("models", []) if m.get("name") == model), {})


def _tables(ws: Workspace, manifest: Manifest, left: set[LeftOut]) -> Check:
    check, root = Check("tables"), ws.warehouse.root
    there = [t for t in manifest.tables if not (t.of_a_scan and "scan tables" in left and not (root / t.path).exists())]
    problems = each(root, lambda table: _altered(root / table.path, table), there)
    for table, problem in zip(there, problems, strict=True):
        path = root / table.path
        if problem is None:
            continue
        now = ws.warehouse.inputs(table.path.removesuffix(".parquet"))
        if now is not None and now != table.inputs:
            problem = (
                f"{path}: is another than the manifest's, and says that it was made from something else: {MADE_AGAIN}"
            )
        check.findings.append(problem)
    if "scan tables" in left:
        check.unchecked.append("tables of single caption files: the archive left them out")
    check.seen = f"{len(there)} files"
    return check


def _altered(path: Path, entry: StoredFile) -> str | None:
    """What is wrong with a file, in words."""
    try:
        size = path.stat().st_size
        if size != entry.bytes:
            return f"{path}: was altered, it has {size} bytes and not {entry.bytes}; {RESTORE}"
        if sha256(path) != entry.sha256:
            return f"{path}: was altered, its sha256 is not the manifest's {entry.sha256}; {RESTORE}"
    except OSError as error:
        return f"{path}: cannot be read ({error.strerror}); {RESTORE}"
    return None


def _pictures(ws: Workspace, title: str, pictures: Iterable[tuple[str, Picture]], left: set[LeftOut]) -> Check:
    check, root = Check(title), ws.warehouse.root
    there = [(subject, p) for subject, p in pictures if not left or (root / p.path).exists()]
    seen = {p.path: p.stored() for _, p in there}
    problems = dict(zip(seen, each(root, lambda file: _altered(root / file.path, file), seen.values()), strict=True))
    for subject, picture in there:
        if problem := problems[picture.path]:
            row = (
                f"template {picture.template}, trial {picture.trial}"
                if isinstance(picture, Imitation)
                else f"work {getattr(picture, 'work', '')}"
            )
            check.findings.append(f"{problem} ({subject}, {row})")
    check.seen = _count(len(seen), "images")
    check.unchecked += [f"the pixels of {kind}: the archive left them out" for kind in left]
    return check


def _report(ws: Workspace, manifest: Manifest, left: set[LeftOut]) -> Check:
    check = Check("report and figures", f"{len(manifest.report)} files")
    if "report" in left:
        return Check("report and figures", unchecked=["the report: the archive left it out"])
    problems = (_altered(ws.warehouse.root / file.path, file) for file in manifest.report)
    check.findings += [p for p in problems if p]
    return check


# ---- from row to row
def _chain(ws: Workspace, manifest: Manifest) -> Check:
    """Roster row, prompt, seed, image and embedding of every subject: the tables say what the manifest says, and the prompts
    and seeds are the protocol's."""
    check = Check("roster row to prompt, seed, image and embedding")
    images = 0
    with _finding(check, "subjects.parquet"):
        known = {row["subject"]: row for row in table_rows(ws.warehouse, "subjects")}
        for subject in manifest.subjects:
            images += len(subject.images)
            with _finding(check, subject.imitations):
                check.findings += _broken_links(ws, manifest, subject, known.get(subject.subject))
        for reference in manifest.references:
            with _finding(check, reference.reference_works):
                works = table_rows(ws.warehouse, f"reference_works/{reference.subject}")
                kept = [(w.work, w.image_sha256, w.source, w.licence) for w in reference.works]
                if kept != [(w["work"], w["image_sha256"], w["source"], w["licence"]) for w in works]:
                    check.findings.append(f"{reference.reference_works}: has other works than the manifest")
                hashes = [(w.work, w.image_sha256) for w in reference.works]
                check.findings += _unlike_images(ws, reference.embeddings, ("work",), hashes)
    check.seen = f"{len(manifest.subjects)} subjects, {images} rows"
    return check


def _broken_links(ws: Workspace, manifest: Manifest, subject: Subject, row: dict[str, Any] | None) -> list[str]:
    where = f"{subject.subject}"
    if row is None or (row["name"], row["kind"], row["mentions"]) != (subject.name, subject.kind, subject.mentions):
        return [f"subjects.parquet: the row of {where} is not the manifest's"]
    table = ws.warehouse.read(f"imitations/{manifest.model_version}/{subject.subject}")
    found = []
    rows = table_rows(ws.warehouse, f"imitations/{manifest.model_version}/{subject.subject}")
    for kept, image in zip(rows, subject.images, strict=True):
        said = {**image.model_dump(), "seed": None if image.seed is None else int(image.seed)}
        said.pop("bytes")
        if any(kept[key] != value for key, value in said.items()):
            found.append(f"{subject.imitations}: template {image.template}, trial {image.trial} is not the manifest's")
    if manifest.model.row.get("source") == "diffusers":
        found += [f"{subject.imitations}: {p}" for p in check_imitations(table, ws.protocol, subject.subject)]
        wordings = ws.protocol.wordings(subject.name, row.get("indirect_prompt") or "")
        found += [
            f"{subject.imitations}: template {i.template}, trial {i.trial} was asked with {i.prompt!r}, not with the protocol's prompt"
            for i in subject.images
            if i.image_sha256 and i.prompt != wordings.get(i.template, ("",))[0]
        ]
    else:
        found += [f"{subject.imitations}: {p}" for p in doubled(table, subject.subject)]
    hashes = [(i.template, i.trial, i.image_sha256) for i in subject.images if i.image_sha256]
    return found + _unlike_images(ws, subject.embeddings, ("template", "trial"), hashes)


def _unlike_images(
    ws: Workspace, embeddings: Mapping[str, str], keys: Sequence[str], hashes: Sequence[tuple[Any, ...]]
) -> list[str]:
    """Embedding tables whose rows are not of these images, in this order."""
    found = []
    for where in embeddings.values():
        table = ws.warehouse.read(where.removesuffix(".parquet"))
        rows = list(zip(*(table[c].tolist() for c in (*keys, "image_sha256")), strict=True))
        if rows != list(hashes):
            found.append(f"{ws.warehouse.root / where}: its rows are not of the images that the manifest has")
    return found


# ---- the database
def _database_file(ws: Workspace, manifest: Manifest) -> Check:
    check = Check("database file", "audit.duckdb")
    if problem := _altered(ws.database, manifest.database):
        found = published_from(ws.database)
        if found not in (None, manifest.database.published_from):
            problem = f"{ws.database}: was published again since the manifest, from other tables: {MADE_AGAIN}"
        check.findings.append(problem)
    return check


def _database_rows(ws: Workspace) -> Check:
    """Every row beside the rows that the tables of the warehouse give."""
    check = Check("rows of the database beside the warehouse's tables", "every table")
    with _finding(check, str(ws.database)):
        inputs = PublicationStage(ws).inputs()
        with reading(ws.database):
            pass
        if published_from(ws.database) not in (None, inputs):
            check.findings.append(
                f"{ws.database}: was published before a table of the warehouse was made again; `audit-assets run` publishes it"
            )
        else:
            check.findings += _unlike_tables(ws, inputs)
    return check


def _unlike_tables(ws: Workspace, inputs: str) -> list[str]:
    dimensions = ws.warehouse.read("encoders").set_index("encoder")["dimension"]
    with tempfile.TemporaryDirectory() as folder:
        again = Path(folder) / "again.duckdb"
        tables = PublicationStage(ws).rows(PublicationStage(ws).tables(), inputs)
        publish(again, tables, {str(e): int(d) for e, d in dimensions.items()})
        with reading(ws.database), duckdb.connect() as connection:  # the catalogue first: a view may answer as it likes
            for path, name in ((ws.database, "published"), (again, "again")):
                target = str(local_copy(path)).replace("'", "''")  # ATTACH takes no parameters
                connection.execute(f"ATTACH '{target}' AS {name} (READ_ONLY)")
            connection.execute("SET enable_external_access = false; SET lock_configuration = true")
            columns = (
                "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE database_name = ? ORDER BY ALL"
            )
            known, made = (connection.execute(columns, [n]).fetchall() for n in ("published", "again"))
            if known != made:
                other = sorted(set(known) ^ set(made))[0]
                return [f"{ws.database}, table {other[0]}: its columns are not the warehouse's (first: {other[1]})"]
            found = []
            for table in sorted({name for name, _, _ in made} - {"software"}):  # of the machine that published
                difference = _first_difference(connection, table)
                if difference:
                    found.append(f"{ws.database}, table {table}: {difference}")
            return found


def _first_difference(connection: duckdb.DuckDBPyConnection, table: str) -> str | None:
    published, again = (f'{database}."{table}"' for database in ("published", "again"))
    for one, other, what in (
        (published, again, "a row that the warehouse's tables do not give"),
        (again, published, "not a row that they give"),
    ):
        query = f"SELECT * FROM (FROM {one} EXCEPT ALL FROM {other}) LIMIT 1"  # noqa: S608 - names of the schema
        try:
            row = connection.execute(query).fetchone()
        except duckdb.Error as error:
            return f"cannot be read ({' '.join(str(error).split())[:200]})"
        if row is not None:
            return f"has {what}: {str(row)[:200]}"
    return None


# ---- where it all comes from
def _captions(ws: Workspace, manifest: Manifest) -> Check:
    check = Check("caption files")
    if ws.audit.captions is None or not manifest.captions:
        return Check("caption files", "none in this audit")
    if "://" in ws.audit.captions.path:
        return Check("caption files", unchecked=[f"{ws.audit.captions.path}: lies in a store, and is not read again"])
    try:
        shards = {s.key: s for s in caption_shards(ws.audit.captions.path, ws.audit.base)}
    except InputError as error:
        return Check("caption files", unchecked=[str(error)])
    seen = 0
    for row in manifest.captions:
        shard = shards.get(row["shard"])
        if shard is None:
            check.findings.append(f"{row['shard']}: the caption file is gone; {RESTORE}")
        else:
            seen += 1
            with _finding(check, shard.url):
                if sha256(Path(shard.url)) != row["sha256"]:
                    check.findings.append(f"{shard.url}: was altered, its sha256 is not the manifest's {row['sha256']}")
    check.findings += [
        f"{shards[key].url}: is no caption file of the roster; {MADE_AGAIN}"
        for key in sorted(shards.keys() - {row["shard"] for row in manifest.captions})
    ]
    check.seen = _count(seen, "files")
    return check


def _model_files(ws: Workspace, manifest: Manifest) -> Check:
    """Every file of the model and of the encoders, as far as they are on this machine."""
    check, seen = Check("files of model and encoders"), 0
    model = ws.audit.model(manifest.model_version)
    sources: list[tuple[ModelEntry | EncoderEntry, list[ModelFile]]] = [(model, manifest.model.files)]
    for source in manifest.encoders:
        with _finding(check, "encoders"):
            sources.append((ws.audit.encoder(str(source.row.get("encoder"))), source.files))
    for entry, files in sources:
        folder = folder_here(ws.audit, entry)
        if folder is None:
            check.unchecked.append(f"{entry.name}: its files are not on this machine ({entry.path})")
            continue
        own = [f for f in files if f.kind != "lora"]
        problems = [p for f in own if (p := _altered_file(folder / f.file, f))]
        extra = sorted({p.relative_to(folder).as_posix() for p in _readable(folder, entry)} - {f.file for f in own})
        problems += [f"{folder / name}: is not among the files that were audited" for name in extra]
        check.findings += problems
        seen += len(own)
        for adapter in (f for f in files if f.kind == "lora"):
            file = lora_file(ws.audit, entry, adapter.file) if isinstance(entry, ModelEntry) else None
            if file is None:
                check.unchecked.append(f"{entry.name}: its adapter {adapter.file} is not on this machine")
            elif problem := _altered_file(file, adapter):
                check.findings.append(problem)
    check.seen = _count(seen, "files")
    return check


def _readable(folder: Path, entry: ModelEntry | EncoderEntry) -> list[Path]:
    if isinstance(entry, ModelEntry) and entry.source == "image_folder":
        return [file for own in artist_folders(folder) for file in folder_files(own)]
    return read_files(folder)


def _altered_file(path: Path, file: ModelFile) -> str | None:
    try:
        if sha256(path) != file.sha256:
            return f"{path}: is not the file that was audited, its sha256 is not {file.sha256}; put that one back"
    except OSError as error:
        return f"{path}: cannot be read ({error.strerror}), and the model was audited with it; put it back"
    return None


# ---- computed again
def _results(ws: Workspace, model: str) -> Check:
    check = Check("results computed again from the image-level rows and embeddings", "every table")
    with _finding(check, "results"):
        check.findings += [f"{ws.warehouse.root}: {finding}" for finding in ResultStage(ws).recomputed(model)]
    with _finding(check, "label_embeddings"):
        texts = EmbeddingStage(ws).label_rows()
        for entry in ws.audit.encoders:
            if entry.kind == "image_text":
                kept = ws.warehouse.read(f"label_embeddings/{entry.name}")[list(texts.columns)]
                if kept.to_numpy().tolist() != texts.to_numpy().tolist():
                    check.findings.append(
                        f"label_embeddings/{entry.name}.parquet: has other labels than the protocol's"
                    )
    return check


def _embeddings(ws: Workspace, manifest: Manifest, sample: int, elsewhere: list[str], left: set[LeftOut]) -> Check:
    check, seen = Check("a sample embedded again"), 0
    if sample <= 0:
        return Check("a sample embedded again", unchecked=["nothing was asked for"])
    draw = random.SystemRandom()
    for entry in ws.audit.encoders:
        if folder_here(ws.audit, entry) is None:
            check.unchecked.append(f"{entry.name}: is not on this machine, so no embedding is made again")
            continue
        with _finding(check, entry.name):
            encoder = load(resolve_encoder_entry(ws.audit, entry))
            images = [s.embeddings[entry.name] for s in manifest.subjects if any(i.image_sha256 for i in s.images)]
            works = [r.embeddings[entry.name] for r in manifest.references]
            for tables in (images, [] if "real works" in left else works):
                rows = _some_rows(ws, tables, sample, draw)
                if len(rows):
                    again = embed_stored(encoder, rows.drop(columns="embedding"), ws.images)
                    seen += len(rows)
                    _compare(check, rows, again, elsewhere, _image)
            if entry.kind == "image_text":
                where = f"label_embeddings/{entry.name}"
                labels = ws.warehouse.read(where).drop(columns="lost")
                labels = labels.iloc[sorted(draw.sample(range(len(labels)), min(sample, len(labels))))]
                again = embed_labels(encoder, labels.drop(columns="embedding"))
                seen += len(labels)
                _compare(check, labels, again, elsewhere, partial(_label, where))
    check.seen = _count(seen, "images, works and labels")
    return check


def _image(row: dict[str, Any]) -> str:
    return f"{row['table']}, image {row['image_sha256']}"


def _label(table: str, row: dict[str, Any]) -> str:
    return f"{table}.parquet, label {row['label']}"


def _some_rows(ws: Workspace, tables: list[str], sample: int, draw: random.Random) -> pd.DataFrame:
    """Rows of embedding tables drawn at random, with the table that each is of."""
    chosen = draw.sample(tables, min(sample, len(tables)))
    frames = []
    for table in chosen:
        rows = ws.warehouse.read(table.removesuffix(".parquet"))
        each = -(-sample // len(chosen))
        frames.append(rows.iloc[draw.sample(range(len(rows)), min(each, len(rows)))].assign(table=table))
    frames = [f for f in frames if len(f)]
    return pd.concat(frames, ignore_index=True).head(sample) if frames else pd.DataFrame()


def _compare(
    check: Check,
    kept: pd.DataFrame,
    again: pd.DataFrame,
    elsewhere: list[str],
    name: Callable[[dict[str, Any]], str],
) -> None:
    one, other = (vectors(t["embedding"]).astype(np.float64) for t in (kept, again))
    distance = np.inf if one.shape != other.shape else 1 - np.sum(one * other, axis=1)
    distance = np.broadcast_to(np.nan_to_num(distance, nan=np.inf), len(kept))
    for row, apart in zip(kept.to_dict("records"), distance, strict=True):
        said = f"{name({str(k): v for k, v in row.items()})}: made again it is {apart:.2g} (cosine) from what is kept"
        if apart > ANY_MACHINE or (apart > SAME_MACHINE and not elsewhere):
            check.findings.append(said)
        elif apart > SAME_MACHINE:
            check.unchecked.append(f"{said}; the machine differs: {elsewhere[0]}")


def _replay(ws: Workspace, manifest: Manifest, subjects: int, elsewhere: list[str]) -> Check:
    """Whole subjects, since the batch plan decides the bytes."""
    model = manifest.model_version
    check = Check("images drawn again")
    entry = ws.audit.model(model)
    if subjects <= 0:
        return Check("images drawn again", unchecked=["none were asked for"])
    absent = folder_here(ws.audit, entry) is None
    if absent or entry.retired or not entry.approved:
        reason = "is not on this machine" if absent else "is retired or not approved"
        return Check("images drawn again", unchecked=[f"{model}: {reason}, so no image is drawn again"])
    with _finding(check, model), tempfile.TemporaryDirectory() as folder:
        stage = ImitationStage(ws)
        drawn = stage.drawn(model)
        if not drawn:
            return Check(check.title, unchecked=[f"{model}: has no images"])
        chosen = random.SystemRandom().sample(drawn, min(subjects, len(drawn)))
        store = ImageStore(Path(folder))
        table = stage.replay(model, chosen, store)
        check.seen = f"{len(table)} images of {', '.join(sorted(chosen))}"
        for row in redrawn_otherwise(table).to_dict("records"):
            apart = _apart(ws.images, store, row["image_sha256"], row["replayed_sha256"])
            said = f"imitations/{model}/{row['subject']}.parquet, template {row['template']}, trial {row['trial']}: drawn again, {apart}"
            why = (
                elsewhere
                if _same(row["plan"], row["replayed_plan"])
                else [f"drawn as {row['replayed_plan']}", *elsewhere]
            )
            if why:
                check.unchecked.append(f"{said}; not the same circumstances: {why[0]}")
            else:
                check.findings.append(said)
    if elsewhere:
        check.unchecked.append(f"the machine or its files are not those of the manifest: {'; '.join(elsewhere[:5])}")
    return check


def _same(one: Any, other: Any) -> bool:
    return (one is None or pd.isna(one)) if (other is None or pd.isna(other)) else one == other


def _apart(kept: ImageStore, drawn: ImageStore, one: Any, other: Any) -> str:
    """How far two images are apart, in words."""
    if not isinstance(one, str) or not isinstance(other, str):
        return "there is an image where there was none, or none where there was one"
    try:
        pixels = [
            np.asarray(open_image(local_copy(path)), dtype=np.int16) for path in (kept.path(one), drawn.path(other))
        ]
    except InputError as error:
        return str(error)
    if pixels[0].shape != pixels[1].shape:
        return f"it has another size ({pixels[0].shape} and {pixels[1].shape})"
    away = np.abs(pixels[0] - pixels[1])
    return f"it differs by up to {away.max()} grey levels, in {np.mean(away > 0):.2%} of its values"
