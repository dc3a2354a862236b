"""The code location: every definition under `defs/`. It reads no audit file and imports no heavy library."""

import warnings
from pathlib import Path

import dagster as dg

import audit_assets.defs as folder


@dg.definitions
def defs() -> dg.Definitions:
    with warnings.catch_warnings():
        for unfinished in (dg.BetaWarning, dg.PreviewWarning):  # raised by the tree and by the references below
            warnings.simplefilter("ignore", unfinished)
        # An installed package has no pyproject.toml, by which `load_from_defs_folder` would find the folder.
        found = dg.ComponentTree.from_module(folder, project_root=Path(__file__).parents[1]).build_defs()
        # If a module imports an asset of another module, Dagster finds the asset in both.
        assets = {id(asset): asset for asset in found.assets or []}
        located = dg.with_source_code_references(list(assets.values()))  # shown in the UI beside each asset
    parts = ("asset_checks", "schedules", "sensors", "jobs", "resources", "executor", "loggers", "metadata")
    return dg.Definitions(assets=located, **{part: getattr(found, part) for part in parts})
