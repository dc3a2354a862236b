"""Metadata that every asset shows in the UI: rows, columns, the first rows, and a data version that is the hash of its inputs."""

import base64
import io
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import pandas as pd
from dagster._core.execution.context.metadata_logging import (
    AssetMetadataHandle,
    OutputMetadataAccumulator,
    OutputMetadataHandle,
)

from audit_assets.errors import InputError

if TYPE_CHECKING:
    from PIL import Image

    from audit_assets.workspace import Workspace

# Names come from the web: a link or an image in a name would make the UI send requests to other servers.
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


def strip(
    load: Callable[[str], "Image.Image"], hashes: Sequence[str], *, images: int = 12, side: int = 72
) -> dg.MarkdownMetadataValue:
    """The first images of a cell in a row, as one picture of some kilobytes. It is part of the metadata, so the UI sends no request for it."""
    from PIL import Image, ImageOps

    row = Image.new("RGB", (side * min(images, len(hashes)) or 1, side), "white")
    for position, sha256 in enumerate(hashes[:images]):
        shown = ImageOps.contain(load(sha256), (side, side), Image.Resampling.BICUBIC)
        row.paste(shown, (position * side, 0))
    return _shown(row, max(row.size))


def picture_of(file: Path, side: int = 900) -> dict[str, Any]:
    """A picture of the warehouse in the metadata itself, at most `side` pixels wide and high. Nothing if it does not exist."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(file.read_bytes()), formats=("PNG",)) as image:
            return {file.stem: _shown(image.convert("RGB"), side)}
    except FileNotFoundError:
        return {}


def _shown(image: "Image.Image", side: int) -> dg.MarkdownMetadataValue:
    image.thumbnail((side, side))
    content = io.BytesIO()
    image.save(content, "WEBP", quality=75)
    return dg.MetadataValue.md(f"![pictures](data:image/webp;base64,{base64.b64encode(content.getvalue()).decode()})")


def columns(table: pd.DataFrame, name: str = "") -> dict[str, Any]:
    """The columns of a table, as metadata of an asset's definition or result.

    ``name``: the table of the published database that has the rows, whose words describe the columns.
    """
    from audit_assets.warehouse.schema import documented  # imports DuckDB, so not at load

    words = documented()[name].columns if name else {}
    found = [dg.TableColumn(str(c), str(t), description=words.get(str(c))) for c, t in table.dtypes.items()]
    return {"dagster/column_schema": dg.TableSchema(found)}


def finished_cells(
    context: dg.AssetExecutionContext,
    cells: Mapping[str, Mapping[str, Any]],
    inputs: str,
    checks: Sequence[dg.AssetCheckResult] = (),
    **metadata: Any,
) -> dg.MaterializeResult:
    """The result of a run over many partitions, without columns and first rows. `cells`: key of a partition -> its own metadata.

    Dagster stores the result twice per partition: for 70 artists, columns and first rows would add 2 MB and one second. The asset's
    definition has the columns.
    """
    if cells:
        describe(context, cells)
    return dg.MaterializeResult(data_version=dg.DataVersion(inputs[:32]), check_results=list(checks), metadata=metadata)


def describe(context: dg.AssetExecutionContext, cells: Mapping[str, Mapping[str, Any]]) -> None:
    """Give each partition of a run its own metadata: without it, each would show the number of rows of the whole run.

    `context.add_asset_metadata` does this for one partition. Each call lists every partition of the run and asks the storage four times,
    so that the time grows with the square of the cells.
    """
    wanted, step = set(context.partition_keys), context.get_step_execution_context()
    said: dict[OutputMetadataHandle | AssetMetadataHandle, Mapping[str, Any]] = {
        AssetMetadataHandle(asset_key=context.asset_key, partition_key=key): metadata
        for key, metadata in cells.items()
        if key in wanted
    }
    known = step._metadata_accumulator.per_output_metadata
    step._metadata_accumulator = OutputMetadataAccumulator(per_output_metadata={**known, **said})


def pictures(ws: "Workspace", hashes: Sequence[str], *, images: int = 6) -> dict[str, Any]:
    """The first images of a cell as metadata. An image that is missing or altered is named, and does not stop the run."""
    try:
        return {"pictures": strip(ws.images.get, hashes[:images], images=images)} if hashes else {}
    except InputError as error:
        return {"pictures": str(error)}


def finished(
    table: pd.DataFrame,
    inputs: str,
    checks: Sequence[dg.AssetCheckResult] = (),
    *,
    published: str = "",
    **metadata: Any,
) -> dg.MaterializeResult:
    """The result of an asset that holds `table`. `inputs` is the hash of its inputs.

    `published` names the table of the published database that has these rows, if one has.
    """
    shown = table.drop(columns=["embedding"], errors="ignore")
    return dg.MaterializeResult(
        data_version=dg.DataVersion(inputs[:32]),
        check_results=list(checks),
        metadata={
            "dagster/row_count": len(table),
            **columns(table, published),
            "first_rows": dg.MetadataValue.md(as_markdown(shown)),
            **metadata,
        },
    )


def plotted(table: pd.DataFrame, value: str, *keys: str) -> dict[str, float]:
    """One number per row under a stable key, which the UI plots across partitions. `keys` are the columns that tell rows apart.

    Only the first encoder has plots: plots of all encoders would be too many to look at, and their names too long for the UI."""
    rows = table[table["encoder"] == table["encoder"].min()].dropna(subset=[value]).sort_values(list(keys))
    return {
        "_".join(re.sub(r"[^a-z0-9]+", "_", str(row[k]).lower()) for k in keys) + f"_{value}": float(row[value])
        for row in rows.to_dict("records")
    }
