"""The code location: every definition under `defs/`. It reads no audit file and imports no heavy library."""

import warnings
from pathlib import Path

import dagster as dg


@dg.definitions
def defs() -> dg.Definitions:
    found = dg.load_from_defs_folder(path_within_project=Path(__file__).parent / "defs")
    # If a module imports an asset of another module, Dagster finds the asset in both.
    assets = {id(asset): asset for asset in found.assets or []}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        located = dg.with_source_code_references(list(assets.values()))  # shown in the UI beside each asset
    parts = ("asset_checks", "schedules", "sensors", "jobs", "resources", "executor", "loggers", "metadata")
    return dg.Definitions(assets=located, **{part: getattr(found, part) for part in parts})
