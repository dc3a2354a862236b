"""Define a recipe: tables that are made together, their inputs, how they are made, and what would contradict them.

The functions here make, keep and search the tables of any recipe. Each module of `results` ends with its own recipe.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd
import pyarrow as pa

from audit_assets.config import EncoderEntry
from audit_assets.hashing import digest
from audit_assets.results import VERSION
from audit_assets.workspace import Workspace


@dataclass(frozen=True)
class Recipe:
    """Tables that are made together. `model` is a model version, or empty for a recipe that has one file per audit."""

    tables: tuple[str, ...]
    sources: Callable[[Workspace, str], list[str]]
    """The warehouse tables that they are made from."""
    make: Callable[[Workspace, str], dict[str, pd.DataFrame]]
    findings: Callable[[Workspace, str], list[str]] | None = None
    """Contradictions in the kept tables, in words, beyond what making them again would show."""
    per_model: bool = True
    settings: Callable[[Workspace], object] = lambda ws: None
    """What `make` reads of the audit file and the protocol, beyond what `inputs` has for every recipe."""

    def place(self, table: str, model: str = "") -> str:
        """Return the place of a table of the recipe in the warehouse."""
        return f"{table}/{model}" if model else table


def inputs(ws: Workspace, recipe: Recipe, model: str = "") -> str:
    """Hash everything that the tables depend on.

    The names of the sources are in it, because results name the encoders: one that was renamed gives the same embeddings.
    """
    sources = recipe.sources(ws, model)
    return digest(
        [
            list(zip(sources, ws.warehouse.all_inputs(sources), strict=True)),
            recipe.settings(ws),
            ws.warehouse.inputs("subjects"),
            ws.protocol.measurement_hash,
            ws.protocol.name,
            ws.audit.copies,
            VERSION,
        ]
    )


def made(ws: Workspace, recipe: Recipe, model: str = "") -> dict[str, pd.DataFrame]:
    """Return the tables by name: read them if they were made from the same inputs, else make and write them."""
    wanted = inputs(ws, recipe, model)
    if all(ws.warehouse.inputs(recipe.place(name, model)) == wanted for name in recipe.tables):
        return {name: ws.warehouse.read(recipe.place(name, model)) for name in recipe.tables}
    tables = recipe.make(ws, model)
    for name, table in tables.items():
        ws.warehouse.write(recipe.place(name, model), table, wanted)
    return tables


def is_made(ws: Workspace, recipe: Recipe, model: str = "") -> bool:
    """Return whether the tables were made from what the audit has now, so that `made` would only read them."""
    wanted = inputs(ws, recipe, model)
    return all(ws.warehouse.is_made_from(recipe.place(name, model), wanted) for name in recipe.tables)


def searched(ws: Workspace, recipe: Recipe, model: str = "") -> list[str]:
    """Describe in words what is wrong in the kept tables. A file without findings is not searched a second time.

    The bytes identify a file, so a file that was changed since is searched again. A recipe without findings of its own
    draws from other results, so the bytes of these count too.
    """
    tables, files, seen = _searched_files(ws, recipe, model)
    if ws.warehouse.inputs(_marker(recipe, model)) == seen:
        return []
    found = recomputed(ws, recipe, model)
    if not found:
        ws.warehouse.write(_marker(recipe, model), pd.DataFrame({"table": tables, "file_sha256": files}), seen)
    return found


def is_searched(ws: Workspace, recipe: Recipe, model: str = "") -> bool:
    """Return whether the kept tables were searched as they are, without a finding."""
    return ws.warehouse.inputs(_marker(recipe, model)) == _searched_files(ws, recipe, model)[2]


def _marker(recipe: Recipe, model: str) -> str:
    return f"verified/{recipe.place(recipe.tables[0], model)}"


def _searched_files(ws: Workspace, recipe: Recipe, model: str) -> tuple[list[str], list[str | None], str]:
    """Return the tables that a search reads, their hashes, and the hash that marks the search of these files."""
    tables = [recipe.place(name, model) for name in recipe.tables]
    if recipe.findings is None:
        tables += recipe.sources(ws, model)
    files = ws.warehouse.all_sha256(tables)
    return tables, files, digest([files, ws.warehouse.inputs(tables[0]), VERSION])


def recomputed(ws: Workspace, recipe: Recipe, model: str = "") -> list[str]:
    """Describe in words what is wrong in the kept tables, even if they were searched before."""
    found = recipe.findings(ws, model) if recipe.findings else []
    return found or unlike(ws, recipe, model)


def unlike(ws: Workspace, recipe: Recipe, model: str = "") -> list[str]:
    """Make the tables again and list those that differ, with the first difference of each in words."""
    wrong = []
    for name, table in recipe.make(ws, model).items():
        place = recipe.place(name, model)
        kept = ws.warehouse.read(place)
        fresh = pa.Table.from_pandas(table, preserve_index=False).to_pandas()  # converts NULLs as reading a file does
        try:
            pd.testing.assert_frame_equal(kept, fresh, check_dtype=False, rtol=1e-9)
        except AssertionError as error:
            wrong.append(f"{place}: {' '.join(str(error).split())[:200]}")
    return wrong


# ---- the tables that the results are made from
def images_of(ws: Workspace, encoders: Sequence[EncoderEntry], model: str) -> list[str]:
    """List the tables with the embeddings of a model version's images."""
    subjects = ws.prompted()
    return [f"imitation_embeddings/{e.name}/{model}/{s}" for e in encoders for s in subjects]


def works_of(ws: Workspace, encoders: Sequence[EncoderEntry]) -> list[str]:
    """List the tables with the embeddings of real works."""
    subjects = ws.referenced()
    return [f"reference_embeddings/{e.name}/{s}" for e in encoders for s in subjects]


def encoders_used(ws: Workspace, model: str) -> pd.DataFrame:
    """Return the rows of the table `encoders` whose embeddings the results of a model version have."""
    table = ws.warehouse.read("encoders")
    return table[table["encoder"].isin([e.name for e in ws.encoders(model)])].reset_index(drop=True)


def labels_of(ws: Workspace, model: str = "") -> list[str]:
    """List the tables with the embeddings of labels."""
    return [f"label_embeddings/{e.name}" for e in ws.text_encoders(model)]


def together(tables: Sequence[pd.DataFrame], columns: Sequence[str]) -> pd.DataFrame:
    """Concatenate the tables. If none exist, return an empty table with these columns."""
    return pd.concat(list(tables), ignore_index=True) if tables else pd.DataFrame(columns=list(columns))
