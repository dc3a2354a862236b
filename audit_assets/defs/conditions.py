"""When an asset is made without a click. Dagster's automation sensor reads these; `automation.py` starts it."""

import dagster as dg

MISSING_CELLS = dg.AutomationCondition.on_missing()
"""A new model version or subject: the cells that it adds are made, in one backfill, and no others."""

FOLLOWS = dg.AutomationCondition.eager()
"""Whenever what it is made from is new, once all of that is there and nothing of it is being made."""

_DATABASE_IS_NEW = dg.AutomationCondition.asset_matches("audit_database", dg.AutomationCondition.newly_updated())
FOLLOWS_THE_DATABASE = (
    FOLLOWS.replace("any_deps_updated", _DATABASE_IS_NEW)
    .replace(dg.AutomationCondition.newly_missing(), _DATABASE_IS_NEW)
    .replace("any_deps_missing", dg.AutomationCondition.any_deps_match(dg.AutomationCondition.missing()))
)
"""When the database is new, for a model version whose results are there. `eager()` would ask for a new version's report together
with its results, before they are published."""

FOLLOWS_WHAT_IS_THERE = FOLLOWS.without(~dg.AutomationCondition.any_deps_missing()).with_label("follows_what_is_there")
"""The same over all model versions. One that is not audited yet is missing, and `eager()` would wait for it for ever."""
