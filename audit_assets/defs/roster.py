"""From captions to subjects. Section 2.1 of the paper: which artists, and which names are the control."""

from typing import Any

import dagster as dg
import pandas as pd

from audit_assets.config import Audit, digest
from audit_assets.defs.metadata import as_markdown, finished
from audit_assets.defs.partitions import add_keys, referenced_subject, shard, subject
from audit_assets.defs.resources import AuditResource
from audit_assets.references import works_of
from audit_assets.roster import mentions
from audit_assets.roster.artists import read_artists
from audit_assets.roster.captions import caption_shards
from audit_assets.roster.criteria import choose
from audit_assets.roster.subjects import choose_controls, control_candidates, prompted, subjects_table

GROUP: dict[str, Any] = {"group_name": "roster", "owners": ["team:audit"], "code_version": "1"}


def candidates_of(audit: Audit, artists: pd.DataFrame) -> pd.DataFrame:
    c = audit.controls
    return control_candidates(
        artists, random=c.random_names, recombined=c.recombined_names, locale=c.locale, seed=c.seed
    )


@dg.asset(**GROUP, kinds={"parquet"}, partitions_def=shard, backfill_policy=dg.BackfillPolicy.single_run())
def captions(context: dg.AssetExecutionContext, audit: AuditResource) -> dg.MaterializeResult:
    """Caption metadata in LAION's columns, read where it lies and never copied: one shard a file, known by its fingerprint."""
    assert audit.audit.captions is not None
    shards = {s.key: s for s in caption_shards(audit.audit.captions.path, audit.audit.base)}
    rows = [(key, *mentions.describe(shards[key])) for key in context.partition_keys if key in shards]
    table = pd.DataFrame(rows, columns=["shard", "rows", "sha256"])
    return finished(table, digest(table["sha256"].tolist()), rows=int(table["rows"].sum()))


@dg.asset(
    **GROUP,
    kinds={"parquet", "numba"},
    partitions_def=shard,
    backfill_policy=dg.BackfillPolicy.single_run(),
    deps=[captions],
    check_specs=[
        dg.AssetCheckSpec(
            "every_shard_was_scanned",
            asset="artist_mentions",
            blocking=True,
            description="The rows scanned are the rows of the file.",
        )
    ],
)
def artist_mentions(context: dg.AssetExecutionContext, audit: AuditResource) -> dg.MaterializeResult:
    """For every artist and candidate control name, the captions that name it, with the first row ids."""
    a = audit.audit
    assert a.captions is not None
    artists = read_artists(a.local(a.roster.artists))
    names = mentions.scanned_names(artists, candidates_of(a, artists))
    shards = {s.key: s for s in caption_shards(a.captions.path, a.base)}
    tables = {
        key: mentions.scan_shard(shards[key], names, a.captions.minimum_score, audit.warehouse)
        for key in context.partition_keys
        if key in shards
    }
    total = pd.concat(tables.values(), ignore_index=True) if tables else pd.DataFrame({"name": [], "mentions": []})
    read = {key: int(t.attrs["rows_read"]) for key, t in tables.items()}
    wrong = [key for key, rows in read.items() if rows != mentions.describe(shards[key])[0]]
    check = dg.AssetCheckResult(
        passed=not wrong,
        check_name="every_shard_was_scanned",
        metadata={"shards": len(read), "not_scanned_whole": wrong},
    )
    return finished(
        total, digest({k: t.attrs["inputs"] for k, t in tables.items()}), checks=[check], rows_read=sum(read.values())
    )


@dg.asset(**GROUP, kinds={"parquet"}, deps=[dg.AssetDep(artist_mentions, partition_mapping=dg.AllPartitionMapping())])
def artist_roster(context: dg.AssetExecutionContext, audit: AuditResource) -> dg.MaterializeResult:
    """The artists of each roster, by the paper's criteria and by count of captions, and whom each criterion removed."""
    a = audit.audit
    artists = read_artists(a.local(a.roster.artists))
    counts = mentions.total(a, audit.warehouse, artists["name"])
    choice = choose(
        artists,
        counts,
        criteria=a.roster.criteria,
        most_mentioned=a.roster.most_mentioned,
        minimum_mentions=a.roster.minimum_mentions,
    )
    rows = [
        (roster, rank, name, None if counts is None else counts.get(name, 0))
        for roster, names in choice.rosters.items()
        for rank, name in enumerate(names, 1)
    ]
    table = pd.DataFrame(rows, columns=["roster", "rank", "name", "mentions"])
    inputs = digest([artists.to_json(), counts, a.roster.model_dump()])
    audit.warehouse.write("artist_roster", table, inputs)
    audit.warehouse.write("roster_attrition", choice.attrition, inputs)
    return finished(table, inputs, attrition=dg.MetadataValue.md(as_markdown(choice.attrition)))


@dg.asset(
    **GROUP,
    kinds={"parquet"},
    deps=[artist_roster],
    check_specs=[
        dg.AssetCheckSpec(
            "controls_are_named_by_no_caption",
            asset="random_names",
            blocking=True,
            description="No control name occurs in the captions.",
        )
    ],
)
def random_names(context: dg.AssetExecutionContext, audit: AuditResource) -> dg.MaterializeResult:
    """Control names, drawn from a seed: some share no part with an artist's name, some are made of the artists' own parts."""
    a = audit.audit
    candidates = candidates_of(a, read_artists(a.local(a.roster.artists)))
    counts = mentions.total(a, audit.warehouse, candidates["name"])
    roster = audit.warehouse.read("artist_roster")["name"].drop_duplicates().tolist()
    table = choose_controls(
        candidates,
        counts,
        roster,
        random=a.controls.random_names,
        recombined=a.controls.recombined_names,
    )
    inputs = digest([table.to_json()])
    audit.warehouse.write("random_names", table, inputs)
    kept = audit.warehouse.read("random_names")["name"]
    named = [name for name, n in (mentions.total(a, audit.warehouse, kept) or {}).items() if n]
    return finished(
        table,
        inputs,
        checks=[
            dg.AssetCheckResult(
                passed=not named, check_name="controls_are_named_by_no_caption", metadata={"named": named}
            )
        ],
    )


@dg.asset(
    **GROUP,
    kinds={"parquet"},
    deps=[artist_roster, random_names],
    check_specs=[
        dg.AssetCheckSpec(
            "controls_are_present",
            asset="subjects",
            blocking=True,
            description="As many control names as audit.yaml asks for.",
        )
    ],
)
def subjects(context: dg.AssetExecutionContext, audit: AuditResource) -> dg.MaterializeResult:
    """Whoever is audited or compared, with the key of their partition. Adds the partitions of subjects."""
    a = audit.audit
    artists = read_artists(a.local(a.roster.artists))
    ranked = audit.warehouse.read("artist_roster")
    rosters = {str(roster): group["name"].tolist() for roster, group in ranked.groupby("roster")}
    table = subjects_table(
        artists, rosters, mentions.total(a, audit.warehouse, artists["name"]), audit.warehouse.read("random_names")
    )
    inputs = digest([table.to_json()])
    audit.warehouse.write("subjects", table, inputs)
    add_keys(context, subject, prompted(table)["subject"].tolist())
    folder = a.local(a.references)
    with_works = [
        key
        for key, name, kind in zip(table["subject"], table["name"], table["kind"], strict=True)
        if kind != "random_name" and works_of(folder, key, name)
    ]
    add_keys(context, referenced_subject, with_works)
    controls = int((table["kind"] == "random_name").sum())
    asked = a.controls.random_names + a.controls.recombined_names
    return finished(
        table,
        inputs,
        checks=[
            dg.AssetCheckResult(
                passed=controls == asked,
                check_name="controls_are_present",
                metadata={"controls": controls, "asked": asked},
            )
        ],
        kinds=table["kind"].value_counts().to_dict(),
    )
