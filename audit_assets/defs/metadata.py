"""What every asset says of itself in the UI: rows, columns, a first look, and a data version that is the hash of its inputs."""

from collections.abc import Sequence
from typing import Any

import dagster as dg
import pandas as pd

# Names come from the web: a link or an image in one would have the UI call out.
_MARKUP = frozenset("&<>|[]()!`*_~#\\:@")


def as_markdown(table: pd.DataFrame, rows: int = 12) -> str:
    """The first rows as a Markdown table; cells are text, never markup."""

    def cell(value: Any) -> str:
        text = (
            ", ".join(map(str, value))
            if isinstance(value, list | tuple)
            else f"{value:.4g}"
            if isinstance(value, float)
            else str(value)
        )
        return "".join(f"&#{ord(c)};" if c in _MARKUP else " " if c.isspace() else c for c in text[:80])

    head = table.head(rows)
    lines = ["| " + " | ".join(map(str, head.columns)) + " |", "|" + "---|" * len(head.columns)]
    lines += ["| " + " | ".join(cell(v) for v in row) + " |" for row in head.itertuples(index=False)]
    return "\n".join(lines)


def columns(table: pd.DataFrame) -> dict[str, Any]:
    """The columns of a table, as metadata of an asset's definition or of its result."""
    return {"dagster/column_schema": dg.TableSchema([dg.TableColumn(str(c), str(t)) for c, t in table.dtypes.items()])}


def finished_cells(
    table: pd.DataFrame, inputs: str, checks: Sequence[dg.AssetCheckResult] = (), **metadata: Any
) -> dg.MaterializeResult:
    """The result of a run over many partitions, without columns and first rows.

    Dagster keeps it twice for every partition: 70 artists would cost 2 MB and a second more. The asset's definition has
    the columns.
    """
    return dg.MaterializeResult(
        data_version=dg.DataVersion(inputs[:32]),
        check_results=list(checks),
        metadata={"dagster/row_count": len(table), **metadata},
    )


def finished(
    table: pd.DataFrame, inputs: str, checks: Sequence[dg.AssetCheckResult] = (), **metadata: Any
) -> dg.MaterializeResult:
    """The result of an asset that holds `table`, made from what `inputs` is the hash of."""
    shown = table.drop(columns=["embedding"], errors="ignore")
    return dg.MaterializeResult(
        data_version=dg.DataVersion(inputs[:32]),
        check_results=list(checks),
        metadata={
            "dagster/row_count": len(table),
            **columns(table),
            "first_rows": dg.MetadataValue.md(as_markdown(shown)),
            **metadata,
        },
    )
