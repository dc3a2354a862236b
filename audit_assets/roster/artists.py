"""The criteria table, `artists.csv`: the artists who may be audited, and the facts known about them.

| column | cell |
|---|---|
| `name` | required, at most 200 characters, one row per name |
| `kind` | `artist` (default), `untrained_artist`, `background` |
| `aliases` | other names, separated by `;` |
| `born`, `died` | years, or full dates, of which the year counts; `died` empty for the living |
| `instagram`, `deviantart`, `artstation` | a handle, an address or `yes`; empty or `no` if the artist is absent there |
| `sells_work` | `yes`, `no`, or the address of the shop |
| `source` | the source of the row's facts |
| `opted_out` | `yes`, `no`, or the day of the opting out, which means yes; recorded, never a reason for exclusion |
| `opted_out_on` | that day, as it is written; it is also taken from `opted_out` |
| `indirect_prompt` | a description that does without the name |
| `locale` | the origin of the name, as a locale of Faker (`no_NO`): control names are drawn from there |
| `prompt_name` | how models are asked for the artist, if they were taught another word than the name (a trigger word) |
| `indirect_prompts` | further such descriptions, separated by an upright stroke |
| `translated` | the name in another language or script |
| `titles` | titles of works, separated by an upright stroke |
| `described_as` | a class that the artist belongs to (`a Norwegian illustrator`) |
| `peers` | a group of artists of one origin, school and medium; its members are compared with each other |

A column of another name is not read. What was not read, or was read in another form than it was written, is listed by
`notes_of`.
"""

import difflib
import itertools
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from audit_assets.config import Audit
from audit_assets.errors import InputError
from audit_assets.hashing import once_while_unchanged
from audit_assets.roster.artist_rows import COLUMNS, FolderRow, OneRow, Row
from audit_assets.roster.name_forms import numbered
from audit_assets.roster.normalise import tokens
from audit_assets.roster.parts import parts_in_any_order
from audit_assets.untrusted.folders import artist_folders
from audit_assets.untrusted.tables import clean, read_rows

_NO_COLUMN = ("", "unnamed: 0", "index", "#")
"""Columns of row numbers, and those without a name. They are passed over in silence only if they hold nothing but numbers."""
SHOWN = 50
"""Wrong rows that one error lists. A list of thousands of names has dozens, and nobody corrects them one run after the other."""


def artists_of(audit: Audit) -> pd.DataFrame:
    """The artists of an audit, with all of COLUMNS: the table of its file, or its one artist and the background's folders.

    Raises InputError as ``read_artists``, and if a folder of the background has a name that cannot be an artist's.
    """
    if audit.roster.artists is not None:
        table, where = read_artists(audit.local(audit.roster.artists)), audit.local(audit.roster.artists)
    else:
        table, where = _table([OneRow(audit).parsed()]), audit.file
    if audit.background is None:
        return table
    folder = audit.local(audit.background)
    if not folder.is_dir():
        raise InputError(f"{audit.file}, background: there is no folder {folder}; make it, with one folder per artist.")
    named = [name for names in ([table["name"]], table["aliases"]) for own in names for name in own]
    known = {parts_in_any_order(name): name for name in named} | {tuple(tokens(name)): name for name in named}
    rows = []
    for own in artist_folders(folder):
        if same := known.get(tuple(tokens(own.name))) or known.get(parts_in_any_order(own.name)):
            raise InputError(
                f"{own}: has the name {same!r} of {where}, or its parts in another order; move these works to that artist. If they "
                "are another artist's, rename the folder, for example with a middle name."
            )
        rows.append(FolderRow(own, own.name, "background").parsed())
    return pd.concat([table, _table(rows)], ignore_index=True) if rows else table


def check_folder(folder: Path, name: str) -> None:
    """InputError that names the folder if no table of artists can have the name that is taken from it."""
    FolderRow(folder, name, "artist").parsed()


def notes_of(audit: Audit) -> list[str]:
    """What of the file of artists was not read, or was read in another form than it was written, one sentence each."""
    if audit.roster.artists is not None:
        return notes_on(audit.local(audit.roster.artists))
    row = OneRow(audit)
    row.parsed()
    return row.notes


def notes_on(path: str | os.PathLike[str]) -> list[str]:
    """`notes_of` for the table at `path`. Raises InputError as ``read_artists``."""
    return list(_read(Path(path))[1])


def read_artists(path: str | os.PathLike[str]) -> pd.DataFrame:
    """The table at `path`, one row per artist in the order of the file, with all of COLUMNS.

    `aliases` holds lists of strings; `born` and `died` are Int64; `sells_work` and `opted_out` are nullable booleans
    (`opted_out` is never null); every other column holds strings, empty if unknown. Raises InputError that names file, row
    (the line of the file; the header is 1) and column.
    """
    return _read(Path(path))[0].copy()


@once_while_unchanged(8)
def _read(path: Path) -> tuple[pd.DataFrame, list[str]]:
    rows, notes = list[dict[str, Any]](), list[str]()
    first_line: dict[tuple[str, ...], tuple[int, str]] = {}
    lines, wrong = list[int](), list[str]()
    records = list(_records(path, notes))
    listed = numbered([cells["name"].strip() for _, cells in records])
    for place, (line, cells) in enumerate(records):
        one = Row(path, line, cells)
        if cells["name"].strip() and all(clean(cell)[0].lower() in ("", column) for column, cell in cells.items()):
            wrong.append(f"{path}, row {line}: repeats the header; delete the row.")
            continue
        if place in listed:
            wrong.append(str(one.error("name", f"{cells['name']!r} has the number of a list; write the name alone")))
            continue
        try:
            row = one.parsed()
        except InputError as error:
            wrong.append(str(error))
            continue
        notes += one.notes
        same = first_line.setdefault(tuple(tokens(row["name"])), (line, row["name"]))
        if same[0] != line:
            wrong.append(
                f"{path}, row {line}, column name: {row['name']!r} is the same name as {same[1]!r} in row {same[0]} "
                "(case, accents and punctuation do not distinguish names); remove one of the rows, or make it an alias."
            )
        rows.append(row)
        lines.append(line)
    if wrong:
        raise InputError(
            "\n".join(
                [
                    *wrong[:SHOWN],
                    *([f"{path}: {len(wrong) - SHOWN} more rows are wrong."] if len(wrong) > SHOWN else []),
                ]
            )
        )
    if not rows:
        raise InputError(f"{path}: the table has a header but no artist; add at least one row.")
    notes += _shared_aliases(path, rows, lines, first_line)
    return _table(rows), notes


def _shared_aliases(
    path: Path, rows: list[dict[str, Any]], lines: list[int], names: dict[tuple[str, ...], tuple[int, str]]
) -> Iterator[str]:
    """A sentence per alias that two artists have. InputError if an alias is the name of another artist: captions would count for both."""
    owners: dict[tuple[str, ...], tuple[int, str]] = {}
    for row, line in zip(rows, lines, strict=True):
        for alias in row["aliases"]:
            spelling = tuple(tokens(alias))
            if spelling in names and names[spelling][0] != line:
                other, name = names[spelling]
                raise InputError(
                    f"{path}, row {line}, column aliases: {alias!r} is the name of {name!r} in row {other}, so that each "
                    "caption would count for both; remove the alias, or one of the rows."
                )
            first = owners.setdefault(spelling, (line, row["name"]))
            if first[0] != line:
                yield (
                    f"{path}, rows {first[0]} and {line}: {alias!r} is an alias of {first[1]!r} and of {row['name']!r}; "
                    "captions that hold it count for both."
                )


def _table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    for column in ("born", "died"):
        table[column] = table[column].astype("Int64")
    table["sells_work"] = table["sells_work"].astype("boolean")
    table["opted_out"] = table["opted_out"].astype("boolean")
    return table


def _records(path: Path, notes: list[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """(line of the file, column -> cell) of each row that is not blank. Adds to `notes` the columns that are not read."""
    try:
        rows = read_rows(path, COLUMNS)
        line, header = next(rows, (1, []))
    except OSError as error:
        raise InputError(
            f"{path}: cannot read the artists table ({error.strerror or error}); check the path. If no list exists "
            "yet, materialize mined_names, which proposes names from the captions."
        ) from error
    _check_header(path, line, header)
    if unread := [column for column in header if column not in COLUMNS and column not in _NO_COLUMN]:
        notes.append(
            f"{path}, row {line}: not read: column{'s' if len(unread) > 1 else ''} {', '.join(map(repr, unread))}; the columns that "
            f"are read are {', '.join(COLUMNS)}."
        )
    unnamed = False
    for line, cells in rows:
        filled = [cell.strip() for column, cell in zip(header, cells, strict=False) if column in _NO_COLUMN]
        if not unnamed and (cell := next((cell for cell in filled if cell and not cell.isdecimal()), "")):
            unnamed = True
            notes.append(f"{path}, row {line}: not read: {cell!r}, whose column has no name; name it if it counts.")
        whole = itertools.zip_longest(header, cells, fillvalue="")  # a row may end before its last columns
        yield line, {column: cell for column, cell in whole if column in COLUMNS}


def _check_header(path: Path, line: int, header: list[str]) -> None:
    known = ", ".join(COLUMNS)
    if "name" not in header:
        raise InputError(f"{path}, row {line}: no column 'name'; the first row must name the columns ({known}).")
    for column in header:
        if column in COLUMNS and header.count(column) > 1:
            raise InputError(f"{path}, row {line}: column {column!r} occurs twice; remove one.")
        if column not in COLUMNS and (close := difflib.get_close_matches(_joined(column), COLUMNS, 1, 0.8)):
            raise InputError(
                f"{path}, row {line}: unknown column {column!r}; write {close[0]!r} if it is that, or give it another name."
            )


def _joined(column: str) -> str:
    return re.sub(r"[\s-]+", "_", column)
