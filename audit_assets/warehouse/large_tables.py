"""In a large audit, the embeddings of images and works lie as parquet files beside `audit.duckdb`, with a view in the place of each table.

A query is the same, and the database stays small. The name of a file is the sha256 of
its bytes, and the view names the file, so the bytes of the database vouch for all of them. A view gives a path below the folder of the
database, and no path of one machine. So a program of one's own runs in this folder, or sets DuckDB's `file_search_path` to it.
"""

import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from audit_assets.errors import InputError, writing
from audit_assets.hashing import sha256, sha256_once
from audit_assets.warehouse.places import ObjectPath, footer, local_copy, whole

LARGE = 1_000_000
"""Above this number of embeddings of images and works, they lie beside the database.

As files, a million takes a seventh of the time to publish and half of the disk (`make bench-store`).
"""

FOLDER = "audit.embeddings"
"""The folder of the files, beside the database."""

REMEDY = "delete audit.duckdb and run `audit-assets run`, which publishes both anew"
_TABLE = re.compile(r"(?:imitation|arm|reference|blurred)_embeddings_\w+")
_NAME = re.compile(r"\w+-([0-9a-f]{64})\.parquet")
_SCRATCH = re.compile(r"\..+\.tmp")
_COLUMN = r"CAST\(\w+ AS [A-Z]+(?:\[\d+\])?\) AS \w+"
_SELECT = rf"SELECT {_COLUMN}(?:, {_COLUMN})*"
_VIEW = re.compile(rf"CREATE VIEW (\w+) AS {_SELECT} FROM read_parquet\('{FOLDER}/(\1-[0-9a-f]{{64}}\.parquet)'\);")


def folder_beside(database: Path) -> Path:
    return database.with_name(FOLDER)


def holds_embeddings(table: str) -> bool:
    """Return whether a table of the schema holds embeddings of images or works. Those of labels are few, and stay."""
    return _TABLE.fullmatch(table) is not None


def statement(table: str, columns: Mapping[str, str], file: str) -> str:
    """Return the statement of a view, as `views` does. `columns` has the type of each; `file` is a name in FOLDER."""
    typed = ", ".join(f"CAST({column} AS {type_}) AS {column}" for column, type_ in columns.items())
    return f"CREATE VIEW {table} AS SELECT {typed} FROM read_parquet('{FOLDER}/{file}');"  # noqa: S608 - names of the schema


def views(connection: duckdb.DuckDBPyConnection, database: str | None = None) -> dict[str, str]:
    """Return the statement of each view of the opened or the attached database, by name, without quotes around words such as `work`.

    A view that a connection made for itself is not one.
    """
    query = """SELECT view_name, sql FROM duckdb_views()
        WHERE NOT internal AND NOT temporary AND database_name = coalesce(?, current_database()) ORDER BY view_name"""
    return {str(name): str(sql).replace('"', "") for name, sql in connection.execute(query, [database]).fetchall()}


def file_of(name: str, sql: str) -> str | None:
    """Return the file that a view reads. It is None if the view does anything but read a file that `write` could have made."""
    form = _VIEW.fullmatch(sql)
    return form[2] if form and form[1] == name and holds_embeddings(name) else None


def files(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Return the file of each table that lies beside the opened database, whose catalogue was checked."""
    found = {name: file_of(name, sql) for name, sql in views(connection).items()}
    return {name: file for name, file in found.items() if file}


def sha256_in(name: str) -> str | None:
    """Return the sha256 that the name of a file has, None if it is no name that `write` gives."""
    known = _NAME.fullmatch(name)
    return known[1] if known else None


def row_count(folder: Path, file: str) -> int:
    """Return the number of rows of a file from its footer. InputError is raised if it is missing or damaged."""
    with _named(folder / file):
        return int(pq.read_metadata(footer(folder / file)).num_rows)


def altered(folder: Path, names: Iterable[str], *, anew: bool = False) -> list[str]:
    """Say of each file whether it is missing or has other bytes than its name says. `anew` hashes what is known to be unchanged too."""
    found = []
    for name in names:
        try:
            here = _here(folder / name)
            if (sha256(here) if anew else sha256_once(here)) != sha256_in(name):
                found.append(f"{folder / name}: was altered, its sha256 is not its name; {REMEDY}")
        except FileNotFoundError:
            found.append(f"{folder / name}: is missing; {REMEDY}")
    return found


def let_read(connection: duckdb.DuckDBPyConnection, views_of: Mapping[str, tuple[Path, str]]) -> None:
    """Let a connection that was just opened read the files of these views and nothing else, wherever the process runs.

    `views_of` has, by the name that the connection shall use, the folder of the files and the statement of the view in a checked
    catalogue. InputError is raised if a file is missing or damaged.
    """
    selected, paths = {}, {}
    for name, (folder, sql) in views_of.items():
        form = _VIEW.fullmatch(sql)
        assert form is not None, "the catalogue was checked"
        with _named(folder / form[2]):
            paths[name] = _here(folder / form[2])
        selected[name] = sql.removeprefix(f"CREATE VIEW {form[1]} AS").replace(
            f"'{FOLDER}/{form[2]}'", _quoted(paths[name])
        )
    allowed = ", ".join(map(_quoted, paths.values()))
    connection.execute(
        f"SET allowed_paths = [{allowed}]; SET enable_external_access = false; SET lock_configuration = true"
    )
    for name, query in selected.items():
        with _named(paths[name]):
            # In a query, a temporary view comes before the database's own of the same name.
            connection.execute(f"CREATE TEMPORARY VIEW {name} AS{query}")


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def _here(path: Path) -> Path:
    """Return the whole path of a local file with these bytes. FileNotFoundError if there is none."""
    copy = local_copy(path).absolute()
    copy.stat()
    return copy


@contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise InputError(f"{path}: is missing; {REMEDY}.") from None
    except (OSError, pa.ArrowException, duckdb.Error) as error:
        raise InputError(f"{path}: cannot be read ({' '.join(str(error).split())[:200]}); {REMEDY}.") from None


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """Give a local folder for files that are not in place yet. It lies where a move to `folder` copies nothing."""
    if not isinstance(folder, ObjectPath):
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
    beside = None if isinstance(folder, ObjectPath) else folder
    with tempfile.TemporaryDirectory(prefix=".", suffix=".tmp", dir=beside) as made:
        yield Path(made)


def write(scratch_folder: Path, table: str, blocks: Iterable[pa.Table]) -> str | None:
    """Write the blocks of a table into a scratch folder, and return the file's name. It is None if there is no row."""
    unnamed, writer = scratch_folder / f"{table}.parquet", None
    try:
        for block in blocks:
            if not block.num_rows:
                continue
            if writer is None:
                texts = [field.name for field in block.schema if pa.types.is_string(field.type)]
                # Bits of random numbers do not compress, and dictionaries of them are larger.
                packed = {field.name: "zstd" for field in block.schema if field.name != "embedding"}
                writer = pq.ParquetWriter(unnamed, block.schema, use_dictionary=texts, compression=packed)
            writer.write_table(block)
    finally:
        if writer is not None:
            writer.close()
    if writer is None:
        return None
    name = f"{table}-{sha256(unnamed)}.parquet"
    unnamed.rename(unnamed.with_name(name))
    return name


@contextmanager
def stand_in(file: Path) -> Iterator[Path]:
    """Give a folder with FOLDER, in which a file has the name and the columns of `file` and no rows.

    DuckDB makes a view only if it finds the file, in one of the folders of `file_search_path`, between which it expects
    commas. InputError is raised if the path of temporary files has one.
    """
    with tempfile.TemporaryDirectory(prefix="audit-assets-") as made:
        if "," in made:
            raise InputError(
                f"{made}: DuckDB finds no file below a path with a comma; set TMPDIR to a folder without one."
            )
        (Path(made) / FOLDER).mkdir()
        pq.write_table(pq.read_schema(file).empty_table(), Path(made) / FOLDER / file.name)
        yield Path(made)


def place(scratch_folder: Path, folder: Path, names: Iterable[str]) -> None:
    """Move files from a scratch folder to `folder`. A file of this name that is there has these bytes, or is replaced."""
    for name in names:
        with whole(folder / name) as file:
            os.replace(scratch_folder / name, file)


def remove_others(folder: Path, kept: Iterable[str]) -> None:
    """Remove the files of earlier publications, and what a publication left that was killed a day ago or earlier."""
    stay, long_ago = set(kept), time.time() - 86_400
    for file in folder.iterdir():
        if _SCRATCH.fullmatch(file.name) and file.stat().st_mtime < long_ago:
            shutil.rmtree(file, ignore_errors=True)
        if sha256_in(file.name) and file.name not in stay:
            with suppress(FileNotFoundError):
                file.unlink()
