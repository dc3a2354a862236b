"""Conditions under which Dagster makes an asset without a click. Dagster's automation sensor reads them; `automation.py` starts the sensor.

A grid of 5,000 artists and 20 model versions has 100,000 cells. A tick must not look at each cell if nothing changed, because Dagster
needs a second to list the keys of such a grid. The conditions therefore look at cells only if one of their inputs is new.
"""

from datetime import timedelta

import dagster as dg

_MADE_AGAIN = dg.AssetSelection.assets("model_versions", "encoders", "subjects")
UPDATED = dg.AutomationCondition.any_deps_updated().ignore(_MADE_AGAIN) | dg.AutomationCondition.any_deps_match(
    dg.AutomationCondition.data_version_changed()
).allow(_MADE_AGAIN)
"""An input of the asset is new. Each change of one model or encoder resolves all of them again, and each `audit-assets run` makes the
subjects again. Therefore their assets count as new only if their data version changed; otherwise Dagster would request 100,000 embeddings again for an unchanged encoder."""

MISSING = dg.AutomationCondition.on_missing()
"""An added partition, as soon as its inputs exist."""

MISSING_CELLS = (
    dg.AutomationCondition.any_deps_updated()
    & dg.AutomationCondition.missing()
    & ~dg.AutomationCondition.any_deps_missing()
    & ~dg.AutomationCondition.in_progress()
).with_label("missing_cells")
"""A new model version or subject: one backfill makes the cells that it adds, and no others. `subjects` and `model_versions` add the keys,
so one of these two assets is new whenever a cell appears."""

FOLLOWS = dg.AutomationCondition.eager().replace("any_deps_updated", UPDATED)
"""An input is new, all inputs exist, and no input is being made."""

FOLLOWS_CELLS = FOLLOWS.replace(dg.AutomationCondition.newly_missing(), UPDATED)
"""The same for a grid: an added cell stays missing until an input of it is new."""

_DATABASE_IS_NEW = dg.AutomationCondition.asset_matches("audit_database", dg.AutomationCondition.newly_updated())
FOLLOWS_THE_DATABASE = (
    dg.AutomationCondition.eager()
    .replace("any_deps_updated", _DATABASE_IS_NEW)
    .replace(dg.AutomationCondition.newly_missing(), _DATABASE_IS_NEW)
    .replace("any_deps_missing", dg.AutomationCondition.any_deps_match(dg.AutomationCondition.missing()))
)
"""The database is new, and the results of the model version exist. `eager()` would request the report of a new version together with its
results, before the results are published."""

FOLLOWS_WHAT_IS_THERE = (
    dg.AutomationCondition.eager()
    .without(~dg.AutomationCondition.any_deps_missing())
    .replace("any_deps_updated", UPDATED)
    & ~dg.AutomationCondition.any_deps_match(dg.AutomationCondition.newly_updated())
).with_label("follows_what_is_there")
"""The same over all model versions. A version that is not audited yet is missing, and `eager()` would wait for it for ever.

It waits for a tick without news of its inputs. What is new requests further inputs in the same tick, in other runs. If the asset were requested
beside them, it would read what was there before, and its own update would hide theirs.
"""

LATE = timedelta(days=8)
LOOKED_AT_EVERY_WEEK = dg.FreshnessPolicy.time_window(warn_window=LATE, fail_window=timedelta(days=15))
"""The UI shows this beside each asset that the weekly re-audit makes again: one missed week is a warning, two are a failure."""
