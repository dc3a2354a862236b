"""Checks of assets: the claim that the UI shows, its result, and the search of result tables for contradictions."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import dagster as dg

from audit_assets.errors import Unwritable, said
from audit_assets.warehouse.left_out import MODEL, LeftOut, leave_out, take_back
from audit_assets.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd

    from audit_assets.results.recipe import Recipe


def claim(name: str, asset: str, description: str, *, blocking: bool = True) -> dg.AssetCheckSpec:
    """The definition of a check. If a blocking check fails, Dagster makes nothing downstream."""
    return dg.AssetCheckSpec(name, asset=asset, blocking=blocking, description=description)


def checked(name: str, problems: list[str], *, warn: bool = False, **metadata: Any) -> dg.AssetCheckResult:
    """The check passes if no problem exists; the UI shows the first fifty."""
    severity = dg.AssetCheckSeverity.WARN if warn else dg.AssetCheckSeverity.ERROR
    shown = {"problems": problems[:50], **metadata}
    return dg.AssetCheckResult(passed=not problems, check_name=name, severity=severity, metadata=shown)


def made_and_searched(
    ws: Workspace, recipe: "Recipe", claimed: dg.AssetCheckSpec, model: str = ""
) -> "tuple[dict[str, pd.DataFrame], dg.AssetCheckResult]":
    """The tables of a recipe, and the result of the check that the kept tables follow from what they are made from."""
    from audit_assets.results.stage import ResultStage  # imports scipy and numba, so not at load

    results = ResultStage(ws)
    with recorded(ws, f"results/{model}/{recipe.tables[0]}", model):
        tables, problems = results.make(recipe, model), results.searched(recipe, model)
        if problems and model:
            _leave_out(ws, f"results/{model}/{recipe.tables[0]}", model, f"{claimed.name}: {problems[0]}")
        return tables, checked(claimed.name, problems)


@contextmanager
def recorded(ws: Workspace, where: str, model: str) -> Iterator[None]:
    """Make something of a model version inside this block. If it fails, `where` records it until it is made."""
    for record in (where, f"results/{model}/publication"):
        take_back(ws.warehouse, record)
    try:
        yield
    except Unwritable:
        raise
    except Exception as error:
        if model:
            _leave_out(ws, where, model, said(error))
        raise


def _leave_out(ws: Workspace, where: str, model: str, reason: str) -> None:
    leave_out(ws.warehouse, where, [LeftOut(MODEL, reason, where.split("/")[0], model_version=model)], ws.audit.base)
