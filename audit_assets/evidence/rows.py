"""Check that each row follows from the one before it.

The chain goes from the roster to prompt, seed, image and embedding, and from the tables to the database.
"""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from audit_assets.evidence import listed
from audit_assets.evidence.check import MADE_AGAIN, Check, finding
from audit_assets.evidence.machine import libraries
from audit_assets.evidence.manifest import Manifest, manifest_file, sources, table_rows
from audit_assets.evidence.parts import Imitation, InArm, Subject
from audit_assets.generation.answers import check_answers
from audit_assets.generation.imitate import check_imitations, doubled
from audit_assets.publication.stage import PublicationStage
from audit_assets.roster.arms import Asked, literal
from audit_assets.warehouse import large_tables
from audit_assets.warehouse.contract import reading
from audit_assets.warehouse.database import publish, published_from
from audit_assets.warehouse.places import local_copy
from audit_assets.workspace import Prompted, Workspace


def chain(ws: Workspace, manifest: Manifest) -> Check:
    """Check roster row, prompt, seed, image and embedding of every subject.

    The manifest must list all of them, the tables must agree with it, and the prompts and seeds must be those of the
    protocol.
    """
    check = Check("roster row to prompt, seed, image and embedding")
    images = 0
    with finding(check, "model_versions.parquet"):
        check.findings += _unlike_sources(ws, manifest)
    with finding(check, "subjects.parquet"):
        check.findings += _unlike_lists(ws, manifest)
    with finding(check, "subjects.parquet"):
        known = {row["subject"]: row for row in table_rows(ws.warehouse, "subjects")}
        asked = ws.prompted(manifest.model_version)
        for subject in manifest.subjects:
            images += len(subject.images)
            with finding(check, subject.imitations):
                check.findings += _broken_links(
                    ws, manifest, subject, known.get(subject.subject), asked.get(subject.subject)
                )
        in_arms = {
            (arm, one.subject): one for arm, of in ws.asked_in_arms(manifest.model_version).items() for one in of
        }
        for cell in manifest.arms:
            images += len(cell.images)
            with finding(check, cell.arm_images):
                check.findings += _broken_arm(ws, manifest, cell, in_arms.get((cell.arm, cell.subject)))
        for reference in manifest.references:
            with finding(check, reference.reference_works):
                works = table_rows(ws.warehouse, f"reference_works/{reference.subject}")
                kept = [(w.work, w.image_sha256, w.source, w.licence) for w in reference.works]
                if kept != [(w["work"], w["image_sha256"], w["source"], w["licence"]) for w in works]:
                    check.findings.append(f"{reference.reference_works}: has other works than the manifest")
                hashes = [(w.work, w.image_sha256) for w in reference.works]
                check.findings += _unlike_images(ws, reference.embeddings, ("work",), hashes)
    check.seen = f"{len(manifest.subjects)} subjects, {images} rows"
    return check


def _unlike_lists(ws: Workspace, manifest: Manifest) -> list[str]:
    """List where the manifest has other subjects, works and arms, or other tables of these, than the audit has."""
    model = manifest.model_version
    subjects = [(s.subject, listed.Tables(s.imitations, s.embeddings)) for s in manifest.subjects]
    works = [(r.subject, listed.Tables(r.reference_works, r.embeddings)) for r in manifest.references]
    cells = [(f"{a.subject} in arm {a.arm}", listed.Tables(a.arm_images, a.embeddings)) for a in manifest.arms]
    in_arms = {f"{subject} in arm {arm}": own for (arm, subject), own in listed.cells(ws, model).items()}
    found = listed.unlike("subjects", subjects, listed.subjects(ws, model))
    found += listed.unlike("artists with real works", works, listed.references(ws, model))
    found += listed.unlike("subjects in arms", cells, in_arms)
    return [f"{manifest_file(ws.warehouse, model)}: {one}: {MADE_AGAIN}" for one in found]


def named_tables(ws: Workspace, manifest: Manifest) -> Check:
    """Compare the tables that the manifest names with those that the database is made from."""
    check, model = Check("tables that the manifest must name", f"{len(manifest.tables)} tables"), manifest.model_version
    with finding(check, "tables"):
        must = {f"{table}.parquet": name for table, name in listed.tables(ws, model).items()}
        may = {f"{table}.parquet" for table in listed.below(ws, model)}  # an archive may have left them out
        must |= {table.path: None for table in manifest.tables if table.path in may}
        found = listed.unlike("tables", [(table.path, table.published_as) for table in manifest.tables], must)
        check.findings += [f"{manifest_file(ws.warehouse, model)}: {one}: {MADE_AGAIN}" for one in found]
    return check


def _unlike_sources(ws: Workspace, manifest: Manifest) -> list[str]:
    """List where the manifest differs from its source tables on captions, model and encoders."""
    again = json.loads(json.dumps(sources(ws, manifest.model_version), ensure_ascii=False))
    tables = {
        "captions": "caption_shards",
        "model": "model_versions and model_files",
        "encoders": "encoders and encoder_files",
    }
    kept = manifest.model_dump(mode="json")
    return [
        f"{tables[key]}: are not what the manifest says of {key}" for key, value in again.items() if kept[key] != value
    ]


def _broken_links(
    ws: Workspace, manifest: Manifest, subject: Subject, row: dict[str, Any] | None, asked: Prompted | None
) -> list[str]:
    where = f"{subject.subject}"
    if row is None or (row["name"], row["kind"], row["mentions"]) != (subject.name, subject.kind, subject.mentions):
        return [f"subjects.parquet: the row of {where} is not the manifest's"]
    table = ws.warehouse.read(f"imitations/{manifest.model_version}/{subject.subject}")
    found = _unlike_rows(ws, subject.imitations, subject.images)
    if (source := manifest.model.row.get("source")) in ("diffusers", "api"):
        bits = json.loads(manifest.model.row.get("generation_settings") or "{}").get("seed_bits")
        problems = (
            check_imitations(table, ws.protocol, subject.subject)
            if source == "diffusers"
            else check_answers(table, ws.protocol, subject.subject, bits)
        )
        found += [f"{subject.imitations}: {p}" for p in problems]
        wordings = ws.protocol.wordings(asked.called, asked.indirect) if asked else {}
        found += [
            f"{subject.imitations}: template {i.template}, trial {i.trial} was asked with {i.prompt!r}, not with the protocol's prompt"
            for i in subject.images
            if i.image_sha256 and i.prompt != wordings.get(i.template, ("",))[0]
        ]
    else:
        found += [f"{subject.imitations}: {p}" for p in doubled(table, subject.subject)]
    hashes = [(i.template, i.trial, i.image_sha256) for i in subject.images if i.image_sha256]
    return found + _unlike_images(ws, subject.embeddings, ("template", "trial"), hashes)


def _broken_arm(ws: Workspace, manifest: Manifest, cell: InArm, asked: Asked | None) -> list[str]:
    """List where the images of an arm differ from the manifest, from the prompts that the arm asks by, and from their seeds."""
    if asked is None:
        return [f"{cell.arm_images}: the protocol has no such arm, or the arm does not ask {cell.subject}"]
    found = _unlike_rows(ws, cell.arm_images, cell.images)
    arm = next(arm for arm in ws.protocol.arms if arm.name == cell.arm)
    table = ws.warehouse.read(cell.arm_images.removesuffix(".parquet"))
    if manifest.model.row.get("source") == "diffusers" and not table["problem"].notna().all():
        problems = check_imitations(table, literal(arm, asked), cell.subject)
        found += [f"{cell.arm_images}: {p}" for p in problems]
    if asked.uploads:
        given = dict(enumerate(asked.uploads))
        other = table[table["image_sha256"].notna() & (table["upload_sha256"] != table["template"].map(given))]
        found += [f"{cell.arm_images}: the model was given another work than the arm gives"] if len(other) else []
    found += [
        f"{cell.arm_images}: template {i.template}, trial {i.trial} was asked with {i.prompt!r}, not with the arm's prompt"
        for i in cell.images
        if i.image_sha256 and (i.template >= len(asked.prompts) or i.prompt != asked.prompts[i.template])
        if manifest.model.row.get("source") in ("diffusers", "api")
    ]
    hashes = [(i.template, i.trial, i.image_sha256) for i in cell.images if i.image_sha256]
    return found + _unlike_images(ws, cell.embeddings, ("template", "trial"), hashes)


def _unlike_rows(ws: Workspace, where: str, images: Sequence[Imitation]) -> list[str]:
    """List the rows of a table of images that are not the manifest's."""
    found = []
    for kept, image in zip(table_rows(ws.warehouse, where.removesuffix(".parquet")), images, strict=True):
        said = {**image.model_dump(), "seed": None if image.seed is None else int(image.seed)}
        said.pop("bytes")
        if any(kept[key] != value for key, value in said.items()):
            found.append(f"{where}: template {image.template}, trial {image.trial} is not the manifest's")
    return found


def _unlike_images(
    ws: Workspace, embeddings: Mapping[str, str], keys: Sequence[str], hashes: Sequence[tuple[Any, ...]]
) -> list[str]:
    """List the embedding tables whose rows are not of these images in this order."""
    found = []
    for where in embeddings.values():
        table = ws.warehouse.read(where.removesuffix(".parquet"))
        rows = list(zip(*(table[c].tolist() for c in (*keys, "image_sha256")), strict=True))
        if rows != list(hashes):
            found.append(f"{ws.warehouse.root / where}: its rows are not of the images that the manifest has")
    return found


def database_rows(ws: Workspace, manifest: Manifest) -> Check:
    """Compare every row of the database with the rows that the tables of the warehouse give.

    The table `software` describes the machine that published, which is compared with the machine of the manifest.
    """
    check = Check("rows of the database beside the warehouse's tables", "every table")
    with finding(check, str(ws.database)):
        inputs = PublicationStage(ws).inputs()
        with reading(ws.database):
            pass
        if published_from(ws.database) not in (None, inputs):
            check.findings.append(
                f"{ws.database}: was published before a table of the warehouse was made again; `audit-assets run` publishes it"
            )
        else:
            check.findings += _unlike_tables(ws, inputs)
            check.unchecked += _unlike_software(ws, manifest)
    return check


def _unlike_software(ws: Workspace, manifest: Manifest) -> list[str]:
    """Say where the database names other libraries than the manifest.

    It may be published before a library is renewed and the manifest made after it, so that this is no finding.
    """
    with reading(ws.database) as connection:
        found = dict(connection.execute("SELECT package, version FROM software").fetchall())
    kept = libraries(manifest.machine)
    other = [name for name in sorted(found.keys() | kept.keys()) if found.get(name) != kept.get(name)]
    return [
        f"{ws.database}, table software: names {name} {found.get(name, 'in no version')}, and the manifest "
        f"{kept.get(name, 'in no version')}: the database was published before the library was renewed, or on another machine, "
        "or it was altered; the root does not cover it"
        for name in other
    ]


def _unlike_tables(ws: Workspace, inputs: str) -> list[str]:
    with published_again(ws, inputs) as again, reading(ws.database), duckdb.connect() as connection:
        for path, name in ((ws.database, "published"), (again, "again")):
            target = str(local_copy(path)).replace("'", "''")  # ATTACH takes no parameters
            connection.execute(f"ATTACH '{target}' AS {name} (READ_ONLY)")
        views = {name: large_tables.views(connection, name) for name in ("published", "again")}
        large_tables.let_read(
            connection,
            {
                f"{name}_{table}": (large_tables.folder_beside(path), sql)
                for path, name in ((ws.database, "published"), (again, "again"))
                for table, sql in views[name].items()
            },
        )
        columns = "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE database_name = ? ORDER BY ALL"
        known, made = (connection.execute(columns, [n]).fetchall() for n in ("published", "again"))
        if known != made:
            other = sorted(set(known) ^ set(made))[0]
            return [f"{ws.database}, table {other[0]}: its columns are not the warehouse's (first: {other[1]})"]
        found = []
        for table in sorted({name for name, _, _ in made} - {"software"}):  # of the machine that published
            view = views["published"].get(table)
            if view and view == views["again"].get(table):
                continue  # views of files with the same bytes, which the check of the database's file compares with their names
            published, remade = (
                f"{name}_{table}" if table in found_views else f'{name}."{table}"'
                for name, found_views in views.items()
            )
            difference = _first_difference(connection, published, remade)
            if difference:
                found.append(f"{ws.database}, table {table}: {difference}")
        return found


@contextmanager
def published_again(ws: Workspace, inputs: str) -> Iterator[Path]:
    """Make a database from the warehouse's tables now. It exists until the block ends."""
    dimensions = ws.warehouse.read("encoders").set_index("encoder")["dimension"]
    with tempfile.TemporaryDirectory() as folder:
        again, stage = Path(folder) / "again.duckdb", PublicationStage(ws)
        sources = stage.tables()
        encoders = {str(e): int(d) for e, d in dimensions.items()}
        publish(again, stage.rows(sources, inputs), encoders, large=stage.is_large(sources))
        yield again


def _first_difference(connection: duckdb.DuckDBPyConnection, published: str, again: str) -> str | None:
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
