"""Texts in CSV files that people open in a spreadsheet, which runs a cell that begins like a formula."""

import csv
import re

import pandas as pd

_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_NEUTRAL = re.compile(r"'+[=+\-@\t\r]")


def neutral(text: str) -> str:
    """A text that no spreadsheet runs: an apostrophe before what begins like a formula. `plain` takes it away again."""
    return f"'{text}" if _FORMULA.match(text) else text


def plain(text: str) -> str:
    """The text that `neutral` was given."""
    return text[1:] if _NEUTRAL.match(text) else text


def as_csv(table: pd.DataFrame) -> str:
    """A table as CSV with a header, every text neutral, its header too."""
    texts = table.map(lambda cell: neutral(cell) if isinstance(cell, str) else cell)
    return str(texts.rename(columns=lambda name: neutral(str(name))).to_csv(index=False, quoting=csv.QUOTE_NONNUMERIC))
