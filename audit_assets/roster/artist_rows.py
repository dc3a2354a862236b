"""One row of `artists.csv` (`roster.artists`): each cell read by the rules of its column, with errors that name file, line and column."""

import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from audit_assets.config import Audit
from audit_assets.errors import InputError, in_utf8
from audit_assets.roster.caption_columns import MISSING
from audit_assets.roster.name_forms import EMPTY, damage, misread
from audit_assets.roster.normalise import names_in, tokens
from audit_assets.untrusted.spreadsheet import plain
from audit_assets.untrusted.tables import clean, year_of_date, yes_or_no

KINDS = ("artist", "untrained_artist", "background")
PLATFORMS = ("instagram", "deviantart", "artstation")
OTHER_WAYS = ("indirect_prompts", "translated", "titles", "described_as")
"""Words by which arms of the protocol ask for an artist."""
WITHOUT_NAME = ("indirect_prompt", "indirect_prompts", "described_as")
"""Words by which an artist is asked for without the name."""
COLUMNS = (
    "name", "kind", "aliases", "born", "died", *PLATFORMS, "sells_work", "source", "opted_out", "opted_out_on",
    "indirect_prompt", "locale", "peers", "prompt_name", *OTHER_WAYS,
)  # fmt: skip
EMPTY_CELLS = (EMPTY | {*MISSING, *(one.upper() for one in MISSING), "\u2013", "\u2014"}) - {""}
"""What programs and people write into a cell that is empty, in any column but `name`: a person may be called None or Na."""
LONGEST_NAME = 200
_OTHER_SEPARATOR = re.compile(r"[,|/\uff0c\uff1b\u3001\u060c\u061b]")
"""What people write between aliases in place of ';', in any script."""
_YEARS = range(100, 2200)


class Row:
    """One row of the file, with its file and line for error messages."""

    separator = "';' separates aliases"

    def __init__(self, path: Path, line: int, cells: dict[str, str]) -> None:
        self.path, self.line, self.cells = path, line, cells
        self.notes: list[str] = []

    def parsed(self) -> dict:
        kind = self.text("kind").lower() or "artist"
        if kind not in KINDS:
            raise self.error("kind", f"{kind!r} is not a kind; write one of {', '.join(KINDS)}")
        born, died = self.year("born"), self.year("died")
        if born is not None and died is not None and died < born:
            raise self.error("died", f"{died} is before the year of birth, {born}; correct one of them")
        aliases = self.aliases()
        opted_out, opted_out_on = self.opted_out()
        row = {
            "name": self.own_name(kind, aliases),
            "kind": kind,
            "aliases": aliases,
            "born": born,
            "died": died,
            **{column: self.presence(column) for column in PLATFORMS},
            "sells_work": self.yes_or_no("sells_work", or_address=True),
            "source": self.text("source"),
            "opted_out": opted_out,
            "opted_out_on": opted_out_on,
            "indirect_prompt": self.text("indirect_prompt"),
            "locale": self.locale(),
            "peers": self.text("peers"),
            "prompt_name": self.prompt_name(),
            "indirect_prompts": self.several("indirect_prompts"),
            "titles": self.several("titles"),
            "translated": self.words("translated"),
            "described_as": self.words("described_as"),
        }
        self.check_descriptions(row)
        return row

    def check_descriptions(self, row: dict) -> None:
        """Refuse a description that names the artist, by the definition by which a caption does: its images would show nothing of a
        prompt without the name."""
        own = {
            name: tuple(tokens(name)) for name in (row["name"], *row["aliases"], row["prompt_name"], row["translated"])
        }
        for column in WITHOUT_NAME:
            for words in [row[column]] if isinstance(row[column], str) else row[column]:
                if named := names_in(words, own):
                    raise self.error(
                        column,
                        f"{words[:60]!r} names the artist ({min(named)!r}), and these words ask without the name; describe the works in "
                        "other words, or delete it",
                    )

    def place(self, column: str) -> str:
        return f"{self.path}, row {self.line}, column {column}"

    def error(self, column: str, what: str) -> InputError:
        return InputError(f"{self.place(column)}: {what}.")

    def text(self, column: str) -> str:
        cell, changed = clean(plain(self.cells.get(column, "").strip()))
        if changed:
            self.note(column, f"{cell!r} is read without {' and '.join(changed)}")
        return self.checked(column, cell)

    def items(self, column: str, separator: str) -> list[str]:
        """The texts of a cell that holds several."""
        return [self.checked(column, one.strip()) for one in self.text(column).split(separator)]

    def checked(self, column: str, cell: str) -> str:
        for character in cell:
            # Cc holds controls, NUL and line ends.
            if unicodedata.category(character) == "Cc":
                raise self.error(column, f"control character U+{ord(character):04X}; delete it")
            if unicodedata.category(character) == "Cs":  # a folder's name in another encoding
                raise self.error(column, f"{in_utf8(cell)!r} is not UTF-8; rename the folder")
        if column != "name" and cell in EMPTY_CELLS:
            self.note(column, f"{cell!r} is read as an empty cell")
            return ""
        return cell

    def note(self, column: str, what: str) -> None:
        note = f"{self.place(column)}: {what}."
        if note not in self.notes:
            self.notes.append(note)

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

    def own_name(self, kind: str, aliases: Iterable[str]) -> str:
        """The name, in the form in which a model is asked for it. A background artist is never asked for."""
        name = self.name("name", self.text("name"))
        if kind != "background" and (wrong := misread(name, aliases)):
            raise self.error("name", wrong)
        return name

    def prompt_name(self) -> str:
        cell = self.text("prompt_name")
        if len(cell) > LONGEST_NAME:
            raise self.error("prompt_name", f"has {len(cell)} characters; shorten it to at most {LONGEST_NAME}")
        return cell

    def words(self, column: str) -> str:
        """Words that an arm of the protocol asks by. A template has braces of its own."""
        return self.braceless(column, self.text(column))

    def several(self, column: str) -> list[str]:
        return list(dict.fromkeys(self.braceless(column, one) for one in self.items(column, "|") if one))

    def braceless(self, column: str, text: str) -> str:
        if set("{}") & set(text):
            raise self.error(column, f"{text[:40]!r} has a brace; write it without")
        return text

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
        aliases = self.items("aliases", ";")
        for alias in aliases:
            if what := damage(alias):
                self.note("aliases", f"{alias!r} {what}; if so, captions do not hold it: write it anew")
            if mark := _OTHER_SEPARATOR.search(alias):
                self.note("aliases", f"{alias!r} is one alias, with {mark[0]!r} in it; {self.separator}")
        return list(dict.fromkeys(self.name("aliases", alias) for alias in aliases if alias))

    def opted_out(self) -> tuple[bool, str]:
        """(whether the artist opted out, the day as it is written). A day means yes."""
        cell, day = self.text("opted_out"), self.text("opted_out_on")
        if day and year_of_date(day) is None and not re.fullmatch(r"\d{4}(-\d{2})?", day):
            raise self.error("opted_out_on", f"{day!r} is not a date; write one such as 2024-05-01, or leave it empty")
        if year_of_date(cell) is not None:
            return True, day or cell
        opted_out = self.yes_or_no("opted_out")
        if day and opted_out is False:
            raise self.error("opted_out", f"{cell!r} contradicts the day {day!r} in opted_out_on; correct one of them")
        return bool(opted_out or day), day

    def year(self, column: str) -> int | None:
        cell = self.text(column)
        if not cell:
            return None
        if (year := year_of_date(cell)) is not None:
            return year
        # A spreadsheet writes integers with a decimal if some cells of the column are empty.
        digits = re.sub(r"[.,]0$", "", cell)
        if not (digits.isascii() and digits.isdigit() and int(digits) in _YEARS):
            raise self.error(
                column,
                f"{cell!r} is not a year; write four digits such as 1969, a date such as 1969-12-31, or leave it empty",
            )
        return int(digits)

    def presence(self, column: str) -> str:
        cell = self.text(column)
        if cell and (not tokens(cell) or cell.casefold() == "unknown"):
            raise self.error(column, f"{cell!r} does not say whether; write yes, no or the handle, or leave it empty")
        return "" if yes_or_no(cell) is False else cell

    def yes_or_no(self, column: str, *, or_address: bool = False) -> bool | None:
        cell = self.text(column)
        if not cell:
            return None
        if or_address and cell.lower().startswith(("http://", "https://")):
            return True
        if (said := yes_or_no(cell)) is not None:
            return said
        choice = "yes, no or the address of the shop" if or_address else "yes, no or the day"
        raise self.error(column, f"{cell!r} is neither; write {choice}")


class OneRow(Row):
    """The artist of an audit of one artist. The audit file holds lists, whose items are never split, and its texts are clean."""

    separator = "each alias is an item of the list"

    def __init__(self, audit: Audit) -> None:
        assert audit.artist is not None
        super().__init__(audit.file, 1, {})
        self.fields = audit.artist.model_dump()
        for column, what in audit.artist.changed:
            self.note(column, what)

    def place(self, column: str) -> str:
        return f"{self.path}, artist, {column}"

    def text(self, column: str) -> str:
        return self.checked(column, str(self.fields.get(column) or ""))

    def items(self, column: str, separator: str) -> list[str]:
        return [self.checked(column, one) for one in self.fields[column]]

    def opted_out(self) -> tuple[bool, str]:
        return bool(self.fields["opted_out"]), ""


class FolderRow(Row):
    """An artist who is known by the name of a folder."""

    def __init__(self, folder: Path, name: str, kind: str) -> None:
        super().__init__(folder, 1, {"name": name, "kind": kind})

    def error(self, column: str, what: str) -> InputError:
        return InputError(f"{in_utf8(str(self.path))}: the name of this folder: {what}. Rename the folder.")
