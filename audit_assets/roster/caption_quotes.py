"""A quote in a CSV that begins a cell and that no quote ends: the cell then holds the rows that follow, and nothing else shows that they are lost.

Such a cell ends at the next quote, or with the file. A caption may have several lines, so a line of it is taken for a row only if it has
the file's number of columns, and in the column that tells images apart what could be the address or the name of another image.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

import pyarrow as pa
import pyarrow.compute as pc

from audit_assets.errors import InputError

END = "(the file ends here)"
"""The cell of a row that is put behind a file. If a quote is open there, it is part of a cell."""
_ADDRESS = re.compile(r"https?://\S+", re.IGNORECASE)
_SHORTEST_HASH = 16
_LONGEST_YEAR = 4
_ROWS_IN_A_ROW = 3
_REMEDY = "because a quote begins it that no quote ends; double each quote within a cell and put quotes around it, or save the file as parquet"


def check_lines(where: str, names: Sequence[str], delimiter: str, own: str, block: pa.RecordBatch, start: int) -> None:
    """InputError if a cell holds further rows. `own` is the column that tells images apart, `start` the row of the block's first."""
    place = names.index(own)
    identities = block.column(own).cast(pa.binary())
    for name, column in zip(block.schema.names, block.columns, strict=True):
        if not (pa.types.is_string(column.type) or pa.types.is_binary(column.type)):
            continue
        cells = column.cast(pa.binary())
        several = pc.indices_nonzero(pc.match_substring_regex(cells, b"[\r\n]"))
        for row, cell, identity in zip(several, cells.take(several), identities.take(several), strict=True):
            text = _text(cell)
            if _holds_a_row(text, names.index(name), _text(identity), len(names), place, delimiter):
                raise InputError(
                    f"{where}, column {name}, row {start + row.as_py()}: one cell holds further rows ({text[:60]!r}...), {_REMEDY}."
                )


def end_row(names: Sequence[str], delimiter: str, texts: Sequence[str]) -> bytes:
    """The row that is put behind a file, with END in the first of the columns `texts`."""
    return delimiter.join(END if name == texts[0] else "" for name in names).encode()


def without_end(block: pa.RecordBatch, column: str) -> tuple[pa.RecordBatch, bool]:
    """The block without the row that has END in this column, and whether it had that row."""
    rows = block.num_rows
    if rows and _text(block.column(column)[rows - 1]) == END:
        return block.slice(0, rows - 1), True
    return block, False


def still_open(where: str, column: str, block: pa.RecordBatch, row: int) -> InputError:
    """The error for a file whose last row, of the block `block`, goes on within a quote."""
    cell = _text(block.column(column)[block.num_rows - 1]) if column in block.schema.names else ""
    return InputError(
        f"{where}, column {column}, row {row}: this cell goes on to the end of the file ({cell[:60]!r}...), {_REMEDY}."
    )


def _text(cell: pa.Scalar) -> str:
    return cell.as_buffer().to_pybytes().decode("utf-8", "replace") if cell.is_valid else ""


def _holds_a_row(cell: str, column: int, identity: str, columns: int, place: int, delimiter: str) -> bool:
    """Whether a line of a cell of the column `column` is a row. `identity` stands in the column `place` of the cell's own row.

    The first line has the rest of the row in which the quote stands; the last one ends where the columns of the cell's row go on.
    """
    like, needed = _another(identity)
    first, *others = (line.split(delimiter) for line in re.split(r"\r\n?|\n", cell))
    found = [first[place - column] if place > column and len(first) == columns - column else ""]
    found += [parts[place] if len(parts) == columns else "" for parts in others]
    if place <= column and len(others[-1]) == column + 1:
        found[-1] = others[-1][place]
    together = 0
    for one in map(str.strip, found):
        together = together + 1 if like.fullmatch(one) else 0
        if _ADDRESS.fullmatch(one) or together == needed:
            return True
        if together and abs(int(one) - int(identity)) == 1:
            return True
    return False


@lru_cache(1 << 10)
def _another(identity: str) -> tuple[re.Pattern[str], int]:
    """A pattern for the identity of another row, and how many rows on end must have it.

    A short number is no sign by itself, because a line of a caption may begin with a year. The number beside the row's own is.
    """
    identity = identity.strip()
    if re.fullmatch(f"0|[1-9][0-9]{{0,{_LONGEST_YEAR - 1}}}", identity):
        return re.compile(f"[0-9]{{1,{_LONGEST_YEAR + 1}}}"), _ROWS_IN_A_ROW
    if identity.isdecimal():
        return re.compile(f"[0-9]{{{len(identity)},{len(identity) + 1}}}"), 1
    if suffix := re.search(r"\.[A-Za-z][A-Za-z0-9]{1,4}$", identity):
        return re.compile(f".*{re.escape(suffix[0])}", re.IGNORECASE), 1
    if len(identity) >= _SHORTEST_HASH and re.fullmatch(r"[\w-]*[0-9][\w-]*", identity):
        return re.compile(rf"[\w-]{{{len(identity)}}}"), 1
    return re.compile(re.sub("[0-9]+", "[0-9]+", re.escape(identity)) or "(?!)"), 1
