"""Counts of captions that name somebody, one table a shard: what the roster and the controls are chosen by."""

from collections.abc import Iterable

import pandas as pd

from audit_assets.config import Audit, digest
from audit_assets.errors import InputError
from audit_assets.roster.captions import Shard, caption_batches, caption_shards, declared_rows
from audit_assets.warehouse.store import Warehouse

SCAN_VERSION = 1


def describe(shard: Shard) -> tuple[int, str]:
    """(rows, fingerprint) of a caption file; the rows are those that the file itself declares, where it does."""
    return declared_rows(shard), shard.fingerprint()


def scanned_names(artists: pd.DataFrame, candidates: pd.DataFrame) -> dict[str, list[str]]:
    """Everyone to count: name -> the name and its aliases."""
    names = {name: [name, *aliases] for name, aliases in zip(artists["name"], artists["aliases"], strict=True)}
    return {**{name: [name] for name in candidates["name"]}, **names}


def scan_shard(
    shard: Shard, names: dict[str, list[str]], minimum_score: float | None, warehouse: Warehouse
) -> pd.DataFrame:
    """Count one shard, unless its table is there already: columns name, mentions, samples (row ids).

    `attrs` carries `rows_read`, `rows_kept` and `inputs`.
    """
    table = f"artist_mentions/{shard.key}"
    inputs = digest([shard.fingerprint(), names, minimum_score, SCAN_VERSION])
    if warehouse.inputs(table) == inputs:
        counted = warehouse.read(table)
    else:
        from audit_assets.roster.scan import scan  # numba: a second, and only where something is scanned

        result = scan(caption_batches(shard, minimum_score), names)
        counted = pd.DataFrame(
            {
                "name": list(result.mentions),
                "mentions": list(result.mentions.values()),
                "samples": [result.samples[n] for n in result.mentions],
            }
        )
        counted.attrs = {"rows_read": result.rows_read, "rows_kept": result.rows_kept, "inputs": inputs}
        warehouse.write(table, counted, inputs)
    return counted


def total(audit: Audit, warehouse: Warehouse, names: Iterable[str]) -> dict[str, int] | None:
    """Mentions of `names` over all shards; None where the audit has no captions.

    Raises InputError where a shard was not scanned for one of them: a name that nobody looked for is not a name that
    no caption has.
    """
    if audit.captions is None:
        return None
    shards = caption_shards(audit.captions.path, audit.base)
    counts = warehouse.read_all([f"artist_mentions/{shard.key}" for shard in shards])
    by_name = counts.groupby("name")["mentions"].agg(["size", "sum"])
    scanned = by_name.reindex(list(names), fill_value=0)
    if len(unseen := scanned.index[scanned["size"] != len(shards)]):
        raise InputError(
            f"{audit.file}: {len(unseen)} names, {unseen[0]!r} first, were not looked for in every caption file; the "
            "artists or controls changed since the scan: materialize artist_mentions again."
        )
    return {str(name): int(n) for name, n in scanned["sum"].items()}
