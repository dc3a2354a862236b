"""Tables of figures: their columns in order, each of its type."""

from collections.abc import Sequence

import pandas as pd


def typed(
    table: pd.DataFrame,
    columns: Sequence[str],
    *,
    integers: Sequence[str],
    booleans: Sequence[str],
    doubles: Sequence[str],
) -> pd.DataFrame:
    """The columns of a table in this order; those that no list names are text.

    Whole numbers and booleans are nullable, so that NULL survives in a column that has nothing else.
    """
    types = {
        **dict.fromkeys(integers, "Int32"),
        **dict.fromkeys(booleans, "boolean"),
        **dict.fromkeys(doubles, "float64"),
    }
    return table[list(columns)].astype({name: types.get(name, "str") for name in columns})
