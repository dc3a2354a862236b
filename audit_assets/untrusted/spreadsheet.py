"""These functions protect CSV files that people open in a spreadsheet. It runs a cell that begins like a formula."""

import csv
import re

import pandas as pd

_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_NEUTRAL = re.compile(r"'+[=+\-@\t\r]")


def neutral(text: str) -> str:
    """Return a text that no spreadsheet runs. `plain` undoes it.

    An apostrophe is put before a text that begins like a formula.
    """
    return f"'{text}" if _FORMULA.match(text) else text


def plain(text: str) -> str:
    """Return the text that `neutral` was given."""
    return text[1:] if _NEUTRAL.match(text) else text


def as_csv(table: pd.DataFrame) -> str:
    """Return a table as CSV with a header. Every text is neutral, and so is the header."""
    texts = table.map(lambda cell: neutral(cell) if isinstance(cell, str) else cell)
    return str(texts.rename(columns=lambda name: neutral(str(name))).to_csv(index=False, quoting=csv.QUOTE_NONNUMERIC))
