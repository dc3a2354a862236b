"""The criteria table, `artists.csv`: the artists who may be audited, and the facts known about them.

| column | cell |
|---|---|
| `name` | required, at most 200 characters, one row per name |
| `kind` | `artist` (default), `untrained_artist`, `background` |
| `aliases` | other names, separated by `;` |
| `born`, `died` | years; `died` empty for the living |
| `instagram`, `deviantart`, `artstation` | a handle, an address or `yes`; empty or `no` if the artist is absent there |
| `sells_work` | `yes`, `no`, or the address of the shop |
| `source` | the source of the row's facts |
| `opted_out` | `yes` or `no`; recorded, never a reason for exclusion |
| `indirect_prompt` | a description that does without the name |
| `locale` | the origin of the name, as a locale of Faker (`no_NO`): control names are drawn from there |
| `peers` | a group of artists of one origin, school and medium; its members are compared with each other |
"""

import csv
import io
import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from audit_assets.config import Audit
from audit_assets.errors import InputError
from audit_assets.roster.normalise import tokens
from audit_assets.untrusted.folders import artist_folders
from audit_assets.untrusted.spreadsheet import plain

KINDS = ("artist", "untrained_artist", "background")
PLATFORMS = ("instagram", "deviantart", "artstation")
COLUMNS = (
    "name", "kind", "aliases", "born", "died", *PLATFORMS, "sells_work", "source", "opted_out", "indirect_prompt",
    "locale", "peers",
)  # fmt: skip
LONGEST_NAME = 200
_YES = frozenset({"yes", "true", "1"})
_NO = frozenset({"", "no", "false", "0"})
_YEARS = range(1, 2200)


def artists_of(audit: Audit) -> pd.DataFrame:
    """The artists of an audit, with all of COLUMNS: the table of its file, or its one artist and the background's folders.

    Raises InputError as ``read_artists``, and if a folder of the background has a name that cannot be an artist's.
    """
    if audit.roster.artists is not None:
        table, where = read_artists(audit.local(audit.roster.artists)), audit.local(audit.roster.artists)
    else:
        assert audit.artist is not None
        a, where = audit.artist, audit.file
        cells = {
            "name": a.name,
            "aliases": ";".join(a.aliases),
            "locale": a.locale or "",
            "indirect_prompt": a.indirect_prompt,
            "opted_out": "yes" if a.opted_out else "no",
        }
        table = _table([_Row(audit.file, 1, cells).parsed()])
    if audit.background is None:
        return table
    folder = audit.local(audit.background)
    if not folder.is_dir():
        raise InputError(f"{audit.file}, background: there is no folder {folder}; make it, with one folder per artist.")
    known = {
        tuple(tokens(name)): name for names in ([table["name"]], table["aliases"]) for own in names for name in own
    }
    rows = []
    for own in artist_folders(folder):
        if same := known.get(tuple(tokens(own.name))):
            raise InputError(
                f"{own}: is named as {same!r} of {where}; move these works to that artist, or take them away."
            )
        rows.append(_Row(folder, 1, {"name": own.name, "kind": "background"}).parsed())
    return pd.concat([table, _table(rows)], ignore_index=True) if rows else table


def read_artists(path: str | os.PathLike[str]) -> pd.DataFrame:
    """The table at `path`, one row per artist in the order of the file, with all of COLUMNS.

    `aliases` holds lists of strings; `born` and `died` are Int64; `sells_work` and `opted_out` are nullable booleans
    (`opted_out` is never null); every other column holds strings, empty if unknown. Raises InputError that names file, row
    (the line of the file; the header is 1) and column.
    """
    path = Path(path)
    rows = []
    first_line: dict[tuple[str, ...], tuple[int, str]] = {}
    for line, cells in _records(path):
        row = _Row(path, line, cells).parsed()
        same = first_line.setdefault(tuple(tokens(row["name"])), (line, row["name"]))
        if same[0] != line:
            raise InputError(
                f"{path}, row {line}, column name: {row['name']!r} is the same name as {same[1]!r} in row {same[0]} "
                "(case, accents and punctuation do not distinguish names); remove one of the rows, or make it an alias."
            )
        rows.append(row)
    if not rows:
        raise InputError(f"{path}: the table has a header but no artist; add at least one row.")
    return _table(rows)


def _table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    for column in ("born", "died"):
        table[column] = table[column].astype("Int64")
    table["sells_work"] = table["sells_work"].astype("boolean")
    table["opted_out"] = table["opted_out"].astype("boolean")
    return table


def _records(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """(line of the file, column -> cell) of each row that is not blank."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(
            f"{path}: cannot read the artists table ({error.strerror or error}); check the path. If no list exists "
            "yet, materialize mined_names, which proposes names from the captions."
        ) from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise InputError(f"{path}, row {line}: byte {error.start} is not UTF-8; save the file as UTF-8.") from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    line = 1
    try:
        header = [cell.strip().lower() for cell in next(reader, [])]
        _check_header(path, header)
        while True:
            line = reader.line_num + 1
            cells = next(reader, None)
            if cells is None:
                return
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) > len(header):
                raise InputError(
                    f"{path}, row {line}: {len(cells)} cells, but the header has {len(header)}; "
                    "put double quotes around a cell that contains a comma."
                )
            yield line, dict(zip(header, cells, strict=False))
    except csv.Error as error:
        raise InputError(f"{path}, row {line}: not readable as CSV ({error}); check the quotes of that row.") from error


def _check_header(path: Path, header: list[str]) -> None:
    known = ", ".join(COLUMNS)
    if "name" not in header:
        raise InputError(f"{path}, row 1: no column 'name'; the first row must name the columns ({known}).")
    for column in header:
        if column not in COLUMNS:
            raise InputError(f"{path}, row 1: unknown column {column!r}; the columns are {known}.")
        if header.count(column) > 1:
            raise InputError(f"{path}, row 1: column {column!r} occurs twice; remove one.")


class _Row:
    """One row of the file, with its file and line for error messages."""

    def __init__(self, path: Path, line: int, cells: dict[str, str]) -> None:
        self.path, self.line, self.cells = path, line, cells

    def parsed(self) -> dict:
        kind = self.text("kind").lower() or "artist"
        if kind not in KINDS:
            raise self.error("kind", f"{kind!r} is not a kind; write one of {', '.join(KINDS)}")
        born, died = self.year("born"), self.year("died")
        if born is not None and died is not None and died < born:
            raise self.error("died", f"{died} is before the year of birth, {born}; correct one of them")
        return {
            "name": self.name("name", self.text("name")),
            "kind": kind,
            "aliases": self.aliases(),
            "born": born,
            "died": died,
            **{column: self.presence(column) for column in PLATFORMS},
            "sells_work": self.yes_or_no("sells_work", or_address=True),
            "source": self.text("source"),
            "opted_out": self.yes_or_no("opted_out") or False,
            "indirect_prompt": self.text("indirect_prompt"),
            "locale": self.locale(),
            "peers": self.text("peers"),
        }

    def error(self, column: str, what: str) -> InputError:
        return InputError(f"{self.path}, row {self.line}, column {column}: {what}.")

    def text(self, column: str) -> str:
        cell = plain(unicodedata.normalize("NFC", self.cells.get(column, "")).strip())
        for character in cell:
            # Cc holds controls, NUL and line ends. Joiners and marks of direction (Cf) are allowed, because some names contain them.
            if unicodedata.category(character) == "Cc":
                raise self.error(column, f"control character U+{ord(character):04X}; delete it")
        return cell

    def name(self, column: str, name: str) -> str:
        if not name:
            raise self.error(column, "the name is empty; write one, or delete the row")
        if len(name) > LONGEST_NAME:
            raise self.error(
                column, f"{name[:40]!r}... has {len(name)} characters; shorten it to at most {LONGEST_NAME}"
            )
        if not tokens(name):
            raise self.error(column, f"{name!r} has no letter or digit, so that no caption can name it; spell it out")
        return name

    def locale(self) -> str:
        cell = self.text("locale").replace("-", "_")
        if cell:
            from faker.config import AVAILABLE_LOCALES

            if cell not in AVAILABLE_LOCALES:
                raise self.error(
                    "locale", f"{cell!r} is not a locale of Faker; write one such as no_NO, ja_JP or en_US"
                )
        return cell

    def aliases(self) -> list[str]:
        aliases = [alias.strip() for alias in self.text("aliases").split(";")]
        return list(dict.fromkeys(self.name("aliases", alias) for alias in aliases if alias))

    def year(self, column: str) -> int | None:
        cell = self.text(column)
        if not cell:
            return None
        digits = cell.removesuffix(
            ".0"
        )  # a spreadsheet writes integers like this if some cells of the column are empty
        if not (digits.isascii() and digits.isdigit() and int(digits) in _YEARS):
            raise self.error(column, f"{cell!r} is not a year; write four digits such as 1969, or leave it empty")
        return int(digits)

    def presence(self, column: str) -> str:
        cell = self.text(column)
        return "" if cell.lower() in _NO else cell

    def yes_or_no(self, column: str, *, or_address: bool = False) -> bool | None:
        cell = self.text(column).lower()
        if not cell:
            return None
        if cell in _YES or (or_address and cell.startswith(("http://", "https://"))):
            return True
        if cell in _NO:
            return False
        choice = "yes, no or the address of the shop" if or_address else "yes or no"
        raise self.error(column, f"{cell!r} is neither; write {choice}")
