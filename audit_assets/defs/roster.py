"""These assets go from captions to subjects. Section 2.1 of the paper: they choose the artists and the control names."""

from typing import Any

import dagster as dg
import pandas as pd

from audit_assets import roster
from audit_assets.defs.checks import checked, claim
from audit_assets.defs.metadata import as_markdown, describe, finished
from audit_assets.defs.partitions import add_keys, referenced_subject, shard, subject
from audit_assets.defs.resources import DEPLOYMENT, AuditResource
from audit_assets.errors import InputError
from audit_assets.hashing import digest
from audit_assets.references.stage import ReferenceStage
from audit_assets.roster.captions import new_shards
from audit_assets.roster.mentions import MentionScan
from audit_assets.roster.stage import RosterStage
from audit_assets.roster.subjects import CONTROL_KINDS, prompted
from audit_assets.warehouse.notes import WORKS, notes_on
from audit_assets.workspace import Workspace

GROUP: dict[str, Any] = {"group_name": "roster", "owners": ["team:audit"], "code_version": str(roster.VERSION)}
ALL_SHARDS = dg.AllPartitionMapping()


def stage_of(ws: Workspace) -> RosterStage:
    return RosterStage(ws.audit, ws.warehouse)


def scan_of(ws: Workspace) -> MentionScan:
    return MentionScan(ws.audit, ws.warehouse)


@dg.asset(
    **GROUP,
    kinds={"parquet"},
    partitions_def=shard,
    backfill_policy=dg.BackfillPolicy.single_run(),
    check_specs=[
        claim(
            "files_are_whole_and_scores_within_range",
            "captions",
            "Every file opens, and every score lies in the range that it can have (for example 0 to 1). If a file fails, only "
            "its own scan stops.",
            blocking=False,
        )
    ],
)
def captions(context: dg.AssetExecutionContext, audit: AuditResource) -> dg.MaterializeResult:
    """Caption metadata in LAION's columns, one shard per file. The scan reads each file in place, copies nothing, and recognises the file by its fingerprint."""
    scan = scan_of(audit.workspace)
    tables = {key: scan.describe(key) for key in context.partition_keys if key in scan.shards}
    describe(context, {key: {"dagster/row_count": len(rows)} for key, rows in tables.items()})
    table = (
        pd.concat(tables.values(), ignore_index=True)
        if tables
        else pd.DataFrame({"rows": [], "sha256": [], "problem": []})
    )
    problems = [text for text in table["problem"] if text]
    return finished(
        table,
        digest(table["sha256"].tolist()),
        published="caption_shards",
        checks=[checked("files_are_whole_and_scores_within_range", problems, files=len(table))],
        rows=int(table["rows"].fillna(0).sum()),
    )


@dg.asset(
    **GROUP,
    kinds={"parquet", "numba"},
    partitions_def=shard,
    backfill_policy=dg.BackfillPolicy.single_run(),
    deps=[captions],
    check_specs=[
        claim("every_shard_was_scanned", "artist_mentions", "The rows scanned are the rows of the file."),
        claim(
            "counts_equal_the_plain_reference",
            "artist_mentions",
            "For sample captions of every shard, half of which name a subject, the plain Python definition finds the same "
            "names as the scan.",
        ),
    ],
)
def artist_mentions(context: dg.AssetExecutionContext, audit: AuditResource) -> dg.MaterializeResult:
    """For every artist and candidate control name: the captions that name it, with the first row ids. A broken shard fails alone."""
    scan = scan_of(audit.workspace)
    landed: dict[str, dict[str, Any]] = {}  # only a summary of each table: hundreds of tables would not fit in memory
    shown = pd.DataFrame({"name": [], "mentions": []})
    broken: list[str] = []
    for key in context.partition_keys:
        if key not in scan.shards:
            continue  # the file is gone; its key stays
        try:
            table = scan.scan(key)
            landed[key] = {"names": len(table), **{name: table.attrs[name] for name in ("inputs", "rows_read")}}
            shown = table.nlargest(12, "mentions")
        except InputError as error:
            broken.append(str(error))
    if broken:
        for key, said in landed.items():
            metadata = {"dagster/row_count": said["names"]}
            context.log_event(dg.AssetMaterialization(context.asset_key, partition=key, metadata=metadata))
        raise InputError(
            f"{len(broken)} caption files failed, {len(landed)} others were scanned and kept:\n" + "\n".join(broken)
        )
    rows = {key: (said["rows_read"], int(scan.describe(key)["rows"].iloc[0])) for key, said in landed.items()}
    recounted = {key: scan.recount(key) for key in landed}
    checks = [
        checked(
            "every_shard_was_scanned",
            [f"{key}: {read} of {declared} rows" for key, (read, declared) in rows.items() if read != declared],
            shards=len(rows),
        ),
        checked(
            "counts_equal_the_plain_reference",
            [f"{key}, {found}" for key, (_, differences) in recounted.items() for found in differences],
            captions=sum(n for n, _ in recounted.values()),
        ),
    ]
    describe(context, {key: {"dagster/row_count": said["names"]} for key, said in landed.items()})
    return finished(
        shown,
        digest({key: said["inputs"] for key, said in landed.items()}),
        checks=checks,
        rows_read=sum(read for read, _ in rows.values()),
        names_not_counted=scan.refused,
    )


@dg.asset(
    **GROUP,
    kinds={"parquet", "duckdb"},
    deps=[dg.AssetDep(artist_mentions, partition_mapping=ALL_SHARDS)],
    check_specs=[
        claim(
            "no_shard_is_missing", "artist_roster", "Every caption file was scanned, and the numbers of rows add up."
        ),
        claim(
            "rosters_have_the_size_asked_for",
            "artist_roster",
            "Each roster has as many artists as audit.yaml asks for. If the captions cannot fill it, the check states how many were found.",
            blocking=False,
        ),
        claim(
            "tables_and_captions_are_read_whole",
            "artist_roster",
            "Nothing of the table of artists and of the caption files was passed over, left out or read in another form. If something "
            "was, the check lists it.",
            blocking=False,
        ),
    ],
)
def artist_roster(context: dg.AssetExecutionContext, audit: AuditResource) -> dg.MaterializeResult:
    """The artists of each roster, by the paper's criteria and by count of captions; the artists that each criterion removed; and the names that other people share."""
    ws = audit.workspace
    stage = stage_of(ws)
    table = stage.make_roster()
    shards, attrition = stage.scan.shards_table, ws.warehouse.read("roster_attrition")
    checks = [
        checked("no_shard_is_missing", stage.missing_rows(), shards=len(shards), rows=int(shards["rows_read"].sum())),
        checked("rosters_have_the_size_asked_for", stage.shortfall(), warn=True),
        checked("tables_and_captions_are_read_whole", stage.notes(), warn=True),
    ]
    return finished(
        table,
        ws.warehouse.inputs("artist_roster") or "",
        published="artist_roster",
        checks=checks,
        attrition=dg.MetadataValue.md(as_markdown(attrition, len(attrition))),
        name_collisions=sorted(set(table.loc[table["name_collision"], "name"])),
        score_version=stage.scan.score_version or "unknown",
    )


@dg.asset(
    **GROUP,
    kinds={"parquet"},
    deps=[artist_roster],
    check_specs=[
        claim("controls_are_named_by_no_caption", "random_names", "No caption contains a control name."),
        claim(
            "random_names_resemble_the_roster",
            "random_names",
            "Random names have the same numbers of words and the same scripts as the artists' names, in the same proportions.",
            blocking=False,
        ),
    ],
)
def random_names(context: dg.AssetExecutionContext, audit: AuditResource) -> dg.MaterializeResult:
    """Control names, each with the reason why it is clean. Some share no part with an artist's name; some are made of parts of the artists' names."""
    ws = audit.workspace
    stage = stage_of(ws)
    table = stage.make_controls()
    checks = [
        checked("controls_are_named_by_no_caption", stage.named_controls(), controls=len(stage.used_controls())),
        checked("random_names_resemble_the_roster", stage.unmatched_controls(), warn=True),
    ]
    counted = table.groupby(["pool", "status"]).size().rename("names").reset_index()
    return finished(
        table,
        ws.warehouse.inputs("controls") or "",
        published="controls",
        checks=checks,
        controls=dg.MetadataValue.md(as_markdown(counted, len(counted))),
    )


@dg.asset(**GROUP, kinds={"parquet"}, deps=[dg.AssetDep(captions, partition_mapping=ALL_SHARDS)])
def mined_names(context: dg.AssetExecutionContext, audit: AuditResource) -> dg.MaterializeResult:
    """Names to which captions attribute works, with their contexts. They are proposals for artists.csv; none enters a roster by itself."""
    ws = audit.workspace
    table = stage_of(ws).make_mined_names()
    proposed = table[table["proposed"].astype(bool)]
    return finished(
        table,
        ws.warehouse.inputs("mined_names") or "",
        published="mined_names",
        proposed=len(proposed),
        precision_estimate=float(proposed["probability"].mean()) if len(proposed) else 0.0,
        proposals_file=DEPLOYMENT.file(ws.warehouse.root, "mined_names.csv"),
    )


@dg.asset(
    **GROUP,
    kinds={"parquet"},
    deps=[artist_roster, random_names],
    check_specs=[
        claim("controls_are_present", "subjects", "The subjects include as many control names as audit.yaml asks for."),
        claim(
            "every_file_of_real_works_is_read",
            "subjects",
            "Every file and folder of real works belongs to an artist and is read, and no two artists have the same work.",
            blocking=False,
        ),
    ],
)
def subjects(context: dg.AssetExecutionContext, audit: AuditResource) -> dg.MaterializeResult:
    """Each subject that is audited or compared, with the key of its partition. Materializing it adds the partitions of subjects."""
    ws = audit.workspace
    stage = stage_of(ws)
    table = stage.make_subjects()
    add_keys(context, subject, prompted(table)["subject"].tolist())
    works = ws.works()
    add_keys(context, referenced_subject, [s for s in table["subject"].astype(str) if s in works.files])
    controls = int(table["kind"].isin(CONTROL_KINDS).sum())
    problems = stage.shortages()
    passed_over = ReferenceStage(ws).list_folders()
    # What is published of the folders counts too: the automation makes nothing again if this is as it was.
    return finished(
        table,
        digest(ws.warehouse.all_inputs(["subjects", "unread_works", notes_on(WORKS)])),
        published="subjects",
        checks=[
            checked("controls_are_present", problems, warn=True, controls=controls),
            checked("every_file_of_real_works_is_read", passed_over, warn=True),
        ],
        kinds=table["kind"].value_counts().to_dict(),
    )


@dg.sensor(
    target=dg.AssetSelection.assets(captions, artist_mentions),
    minimum_interval_seconds=300,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="This sensor gives every new caption file a partition of its own and scans the file alone.",
)
def new_caption_files(context: dg.SensorEvaluationContext, audit: AuditResource) -> dg.SensorResult:
    """If the listing fails, the tick fails. The sensor never takes a failed listing for an empty one."""
    found = list(scan_of(audit.workspace).shards.values())
    assert shard.name is not None
    new = new_shards(set(context.instance.get_dynamic_partitions(shard.name)), found)
    return dg.SensorResult(
        run_requests=[dg.RunRequest(run_key=key, partition_key=key) for key in new],
        dynamic_partitions_requests=[shard.build_add_request(new)] if new else [],
    )
