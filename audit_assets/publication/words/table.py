"""A table of a page, as text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


class Name(str):
    """A name of a subject in a cell. A page links it to the subject's own page if one exists."""

    subject: str

    def __new__(cls, name: str, subject: str) -> "Name":
        made = super().__new__(cls, name)
        made.subject = subject
        return made


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
    parts: Sequence[tuple[str, str]] = field(default=())
    """If the table is too long for one page: each page with a part of it, and which rows it has."""
    place: str = ""
    """Where on its page a table stands whose other parts lead back to it."""

    @property
    def heads(self) -> list[str]:
        return list(self.columns)

    @property
    def kinds(self) -> list[str]:
        return list(self.columns.values())


def columns(*headings: str, number: Sequence[str] = (), code: Sequence[str] = ()) -> dict[str, str]:
    return {h: "number" if h in number else "code" if h in code else "text" for h in headings}
