"""What the UI is given to show: text from the web stays text."""

import pandas as pd

from audit_assets.defs.metadata import as_markdown, columns
from audit_assets.warehouse.schema import documented


def test_a_cell_cannot_become_markup_a_link_or_another_cell() -> None:
    table = pd.DataFrame({"name": ["![x](http://example.org/a.png)", "<b>|`c`\n# d", "Zoë O'Corvin"], "n": [1, 2, 3]})
    head, rule, *rows = as_markdown(table).split("\n")
    assert (head, rule) == ("| name | n |", "|---|---|")
    assert len(rows) == 3
    for row in rows:
        assert row.count("|") == 3
        assert not set("<>[]()!`") & set(row)
    assert rows[2] == "| Zoë O'Corvin | 3 |"


def test_a_column_is_shown_with_the_words_of_the_schema() -> None:
    table = pd.DataFrame({"verdict": ["imitated"], "beyond": [1]})
    shown = columns(table, "verdicts")["dagster/column_schema"].columns
    assert shown[0].description == documented()["verdicts"].columns["verdict"]
    assert shown[1].description is None
