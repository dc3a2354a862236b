"""When an asset is made without a click. Dagster's automation sensor reads these; `automation.py` starts it.

A grid has 100,000 cells where 5,000 artists meet 20 model versions, and a tick must not look at each of them when nothing happened:
listing the keys of such a grid takes Dagster a second. So cells are looked at when something that they are made from is new.
"""

from datetime import timedelta

import dagster as dg

_REGISTRY = dg.AssetSelection.assets("model_versions", "encoders")
UPDATED = dg.AutomationCondition.any_deps_updated().ignore(_REGISTRY) | dg.AutomationCondition.any_deps_match(
    dg.AutomationCondition.data_version_changed()
).allow(_REGISTRY)
"""Something that the asset is made from is new. Models and encoders are resolved again whenever any of them changes: where an
encoder is what it was, 100,000 embeddings need not be asked for again."""

MISSING = dg.AutomationCondition.on_missing()
"""A partition that was added, once what it is made from is there."""

MISSING_CELLS = (
    dg.AutomationCondition.any_deps_updated()
    & dg.AutomationCondition.missing()
    & ~dg.AutomationCondition.any_deps_missing()
    & ~dg.AutomationCondition.in_progress()
).with_label("missing_cells")
"""A new model version or subject: the cells that it adds are made, in one backfill, and no others. `subjects` and `model_versions`
add the keys, so that no cell appears without one of them being new."""

FOLLOWS = dg.AutomationCondition.eager().replace("any_deps_updated", UPDATED)
"""Whenever what it is made from is new, once all of that is there and nothing of it is being made."""

FOLLOWS_CELLS = FOLLOWS.replace(dg.AutomationCondition.newly_missing(), UPDATED)
"""The same for a grid: a cell that was added is missing until what it is made from is new."""

_DATABASE_IS_NEW = dg.AutomationCondition.asset_matches("audit_database", dg.AutomationCondition.newly_updated())
FOLLOWS_THE_DATABASE = (
    dg.AutomationCondition.eager()
    .replace("any_deps_updated", _DATABASE_IS_NEW)
    .replace(dg.AutomationCondition.newly_missing(), _DATABASE_IS_NEW)
    .replace("any_deps_missing", dg.AutomationCondition.any_deps_match(dg.AutomationCondition.missing()))
)
"""When the database is new, for a model version whose results are there. `eager()` would ask for a new version's report together
with its results, before they are published."""

FOLLOWS_WHAT_IS_THERE = (
    dg.AutomationCondition.eager()
    .without(~dg.AutomationCondition.any_deps_missing())
    .replace("any_deps_updated", UPDATED)
    .with_label("follows_what_is_there")
)
"""The same over all model versions. One that is not audited yet is missing, and `eager()` would wait for it for ever."""

LOOKED_AT_EVERY_WEEK = dg.FreshnessPolicy.time_window(warn_window=timedelta(days=8), fail_window=timedelta(days=15))
"""Shown beside an asset that the weekly re-audit makes again: one missed week is a warning, two are a failure."""
