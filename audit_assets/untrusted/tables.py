"""Tables that people typed: CSV files as spreadsheets save them, and cells as people write them.

A spreadsheet chooses delimiter, encoding and the words for true and false by the language of its user.
"""

import csv
import io
import re
import unicodedata
from collections.abc import Collection, Iterator
from pathlib import Path

from audit_assets.errors import InputError
from audit_assets.untrusted.bounded import read_bounded
from audit_assets.untrusted.text_files import marked

DELIMITERS = ",;\t|"
LARGEST_TABLE = 200_000_000
"""A table that people typed may have this many bytes, which is a million rows."""
SAVE = 'in Excel: File, Save As, "CSV UTF-8 (Comma delimited)"; in LibreOffice: Text CSV, character set Unicode (UTF-8)'
_WORKBOOKS = {b"PK\x03\x04": "a workbook (.xlsx, .ods)", b"\xd0\xcf\x11\xe0": "a workbook (.xls)"}


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


YES = _words(
    "yes y true 1 ja wahr oui vrai si sí sì verdadero vero sim verdadeiro waar sant sann tosi kyllä tak prawda ano pravda igen igaz "
    "evet doğru да истина так 是 真 はい 예 네"
)
"""Yes and true, as people and spreadsheets write them."""
NO = _words(
    "no n false 0 nein falsch non faux falso não nao nee onwaar nej falskt falsk usann ei epätosi nie fałsz ne nepravda nem hamis "
    "hayır yanlış нет ложь ні 否 假 いいえ 아니요"  # noqa: RUF001
)
_DATES = (
    re.compile(r"(?P<year>[12]\d{3})[-/.]\d{1,2}[-/.]\d{1,2}(?:[T ]\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?Z?)?"),
    re.compile(r"\d{1,2}[-/.] ?\d{1,2}[-/.] ?(?P<year>[12]\d{3})(?: \d{1,2}:\d{2}(?::\d{2})?)?"),
)
_JOINERS = "\u200c\u200d"


def decoded(path: Path, content: bytes) -> str:
    """The text of a table in UTF-8, or in the encoding that its byte order mark states.

    InputError if the file is a workbook, or is not UTF-8: it then quotes the cell with the first doubtful letter.
    """
    if kind := next((kind for start, kind in _WORKBOOKS.items() if content.startswith(start)), None):
        raise InputError(f"{path}: is {kind}, not a table in text; save it as CSV ({SAVE}).")
    encoding, length = marked(content) or ("utf-8", 0)
    try:
        return content[length:].decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != "utf-8":
            raise InputError(
                f"{path}: begins like {encoding}, but is damaged ({error.reason}); save it anew."
            ) from error
        line = content[: error.start].count(b"\n") + 1
        start = (
            max(content.rfind(mark, 0, error.start) for mark in (b"\n", b"\r", *(d.encode() for d in DELIMITERS))) + 1
        )
        ends = [content.find(mark, error.start) for mark in (b"\n", b"\r", *(d.encode() for d in DELIMITERS))]
        cell = content[start : min((end for end in ends if end >= 0), default=len(content))][:200]
        raise InputError(
            f"{path}, row {line}: byte {error.start} is not UTF-8; it is within {cell.decode('utf-8', 'replace')!r}, which reads "
            f"{cell.decode('cp1252', 'replace')!r} in Windows-1252. Save the file as UTF-8 ({SAVE})."
        ) from error


def read_rows(path: Path, known: Collection[str]) -> Iterator[tuple[int, list[str]]]:
    """(line of the file, cells) of the header and of each row that is not blank. The header is lower-case.

    The delimiter is the one under which the header names most of the columns `known`. InputError names file and row.
    """
    text = decoded(path, read_bounded(path, LARGEST_TABLE, "table of artists"))
    skipped = re.match(r'"?sep=(.)"?[ ;,\t]*\r?\n', text, re.IGNORECASE)  # Excel's own mark of the delimiter
    delimiter = skipped[1] if skipped else _delimiter(text, known)
    reader = csv.reader(
        io.StringIO(text[skipped.end() if skipped else 0 :], newline=""), delimiter=delimiter, strict=True
    )
    above = 1 if skipped else 0
    line, header = 1 + above, list[str]()
    try:
        while True:
            line = reader.line_num + 1 + above
            cells = next(reader, None)
            if cells is None:
                return
            if not header:
                header = [clean(cell.strip())[0].lower() for cell in cells]
                yield line, header
            elif any(clean(cell)[0] for cell in cells):
                if any(cell.strip() for cell in cells[len(header) :]):
                    raise InputError(
                        f"{path}, row {line}: {len(cells)} cells, but the header has {len(header)}; "
                        f"put double quotes around a cell that contains {'a comma' if delimiter == ',' else repr(delimiter)}."
                    )
                yield line, cells
    except csv.Error as error:
        raise InputError(f"{path}, row {line}: not readable as CSV ({error}); check the quotes of that row.") from error


def _delimiter(text: str, known: Collection[str]) -> str:
    first = text.partition("\n")[0]

    def named(delimiter: str) -> int:
        return len(set(known) & {cell.strip(' "\r\ufeff').lower() for cell in first.split(delimiter)})

    return max(DELIMITERS, key=named)


def clean(cell: str) -> tuple[str, list[str]]:
    """(`cell` as anybody would type it, the names of the characters that were changed).

    No-break and other spaces become spaces, and characters without width are dropped. A joiner stays between letters of a
    script that needs it (Persian, Hindi) and within an emoji.
    """
    kept, changed = [], []
    for place, character in enumerate(cell):
        if character in _JOINERS and 0 < place < len(cell) - 1 and min(cell[place - 1], cell[place + 1]) > "\u05ff":
            kept.append(character)
        elif unicodedata.category(character) == "Cf":
            changed.append(_called(character))
        elif unicodedata.category(character) == "Zs" and character != " ":
            kept.append(" ")
            changed.append(_called(character))
        else:
            kept.append(character)
    return unicodedata.normalize("NFC", re.sub(" {2,}", " ", "".join(kept)).strip(" ")), list(dict.fromkeys(changed))


def _called(character: str) -> str:
    return f"{unicodedata.name(character, 'character').lower()} (U+{ord(character):04X})"


def yes_or_no(cell: str) -> bool | None:
    """Whether the cell says yes or no, in any of the common languages; None if it says neither."""
    word = cell.strip().casefold()
    return True if word in YES else False if word in NO else None


def year_of_date(cell: str) -> int | None:
    """The year of a full date with four digits for the year; None if the cell is no such date."""
    found = next((match for date in _DATES if (match := date.fullmatch(cell.strip()))), None)
    return int(found["year"]) if found else None
