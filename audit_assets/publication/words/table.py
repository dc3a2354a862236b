"""A table of a page, as text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Table:
    """Rows of text. The first cell of a row is its heading. ``columns``: heading -> 'text', 'number' (sorted by value) or 'code'."""

    caption: str
    columns: Mapping[str, str]
    rows: Sequence[Sequence[str]]
    keys: Sequence[str] = field(default=())
    """One identifier per row (the subject) if other parts of the page refer to rows."""
    file: str = ""
    """The table as CSV beside the page, if there is one."""


def columns(*headings: str, number: Sequence[str] = (), code: Sequence[str] = ()) -> dict[str, str]:
    return {h: "number" if h in number else "code" if h in code else "text" for h in headings}
