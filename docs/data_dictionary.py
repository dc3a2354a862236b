"""Writes docs/data_dictionary.md: every table and column of the published database, in the words of `schema.sql`.

.venv/bin/python docs/data_dictionary.py
"""

from pathlib import Path

from audit_assets.warehouse.schema import documented

PAGE = Path(__file__).with_name("data_dictionary.md")
HEAD = """# Data dictionary

Every table and column of `audit.duckdb`. This page is made from `audit_assets/warehouse/schema.sql` (`.venv/bin/python docs/data_dictionary.py`), and the database
carries the same words: `SELECT table_name, column_name, comment FROM duckdb_columns() WHERE NOT internal`. `docs/sql.md` has queries. `<encoder>` stands
for the name of an encoder, in which each character other than a-z and 0-9 is `_`.
"""


def page() -> str:
    """Return the text of the page."""
    parts = [HEAD]
    for name, table in documented().items():
        rows = [f"| `{column}` | {_cell(text)} |" for column, text in table.columns.items()]
        parts.append("\n".join([f"## `{name}`", "", table.text, "", "| column | content |", "|---|---|", *rows, ""]))
    return "\n".join(parts)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
