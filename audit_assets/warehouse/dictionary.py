"""What each table and column of the published database holds, in words. `schema.sql` says it, and nothing else does.

A comment above `CREATE TABLE` is about the table. A comment at the end of a line is about the last column of that line. The list
at the head of the file is about columns that several tables have. The database carries the words (`COMMENT ON`), the UI shows
them, and `docs/data_dictionary.md` is made from them.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

_SHARED = re.compile(r"^--   (\w+): (.+)$", re.M)
_TABLE = re.compile(r"((?:^--[^\n]*\n)*)^CREATE TABLE ([\w<>]+) \(\n((?:  [^\n]*\n)+)", re.M)
_COLUMN = re.compile(r'(?:^|, )"?(\w+)"? [A-Za-z]\w*')


@dataclass(frozen=True)
class Described:
    """A table and its columns in words, in the order of the schema."""

    text: str
    columns: Mapping[str, str]


def described(schema: str) -> dict[str, Described]:
    """Return every table of a text like `schema.sql`. ValueError names a column that the text does not explain."""
    shared = dict(_SHARED.findall(schema))
    return {name: _table(name, shared, above, body) for above, name, body in _TABLE.findall(schema)}


def _table(name: str, shared: Mapping[str, str], above: str, body: str) -> Described:
    found = {}
    for line in body.splitlines():
        code, _, own = line.partition(" --")
        names = _names(code)
        for column in names:
            text = own.strip() if own and column == names[-1] else shared.get(column)
            if text is None:
                raise ValueError(
                    f"schema.sql does not say what {name}.{column} holds; write it at the end of its line."
                )
            found[column] = text
    lines = [line.removeprefix("--").strip() for line in above.splitlines()]
    return Described(" ".join(lines), found)


def _names(code: str) -> list[str]:
    """Return the columns that a line of a statement declares. Keys of several columns and fields of a STRUCT declare none."""
    flat = re.sub(r"\([^()]*\)", "", code.strip().removesuffix(");"))
    return [c for c in _COLUMN.findall(flat) if c not in ("PRIMARY", "FOREIGN", "UNIQUE")]


def comments(tables: Mapping[str, Described], kind: Literal["TABLE", "VIEW"] = "TABLE") -> Iterator[str]:
    """Return the statements that put the words into a database."""
    for name, table in tables.items():
        if table.text:
            yield f"COMMENT ON {kind} {name} IS {_quoted(table.text)};"
        for column, text in table.columns.items():
            yield f'COMMENT ON COLUMN {name}."{column}" IS {_quoted(text)};'


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
