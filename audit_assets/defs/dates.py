"""When images, results and report of a model version were made, from the log of Dagster. No result depends on it."""

from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime

import dagster as dg

from audit_assets.evidence.dated import Times

_PAGE = 1000


def times(instance: dg.DagsterInstance, model: str, subjects: Collection[str]) -> Times:
    """None in place of a time that the log does not have. ``subjects``: of whom the audit has images now; the log has former ones too."""
    runs = dict[str, float]()

    def start(event: dg.EventLogRecord) -> float:
        """When the run of an event began; the time of the event itself if the log no longer has the run."""
        if event.run_id not in runs:
            record = instance.get_run_record_by_id(event.run_id)
            runs[event.run_id] = (record.start_time if record else None) or event.timestamp
        return min(runs[event.run_id], event.timestamp)

    drawn = (e for e in _events(instance, "imitations", model) if (e.partition_key or "").partition("|")[2] in subjects)
    first, last = image_times(drawn, start)
    return Times(
        first_image=said(first),
        last_image=said(last),
        measured=said(since(_events(instance, "verdicts", model))),
        reported=said(since(_events(instance, "audit_report", model))),
    )


def since(events: Iterable[dg.EventLogRecord]) -> float | None:
    """The time since which the results are what they are now: of the first event with the data version of the last. Events: newest first."""
    newest, found = None, None
    for event in events:
        version = _tag(event)
        if newest is None:
            newest = version
        if version != newest:
            break
        found = event.timestamp
    return found


def image_times(
    events: Iterable[dg.EventLogRecord], start: Callable[[dg.EventLogRecord], float]
) -> tuple[float | None, float | None]:
    """Between which times all images were drawn. Events of the cells of one model version: newest first.

    The event of a cell that took long has its seconds. The event of a run over many cells comes at the end of the run, so that an image
    may be as old as the run, which ``start`` gives. It says how many images the run made, and how many the cells have: if it made all,
    every cell was made anew.
    """
    cells: dict[str, tuple[float, float]] = {}
    for event in sorted(events, key=lambda e: e.storage_id):
        told = event.asset_materialization
        if told is None or told.partition is None:
            continue
        made, rows = (_number(told, key) for key in ("images_made_now", "dagster/row_count"))
        before = cells.get(str(told.partition))
        seconds = _number(told, "seconds")
        if before is None or seconds is not None or (made and rows and made >= rows):
            first = start(event) if seconds is None else event.timestamp - seconds
            cells[str(told.partition)] = (first, event.timestamp)
        elif made:
            cells[str(told.partition)] = (before[0], event.timestamp)
    if not cells:
        return None, None
    return min(first for first, _ in cells.values()), max(last for _, last in cells.values())


def said(timestamp: float | None) -> str | None:
    """In UTC, to the second."""
    return None if timestamp is None else datetime.fromtimestamp(timestamp, UTC).isoformat(timespec="seconds")


def _number(told: dg.AssetMaterialization, key: str) -> float | None:
    value = told.metadata.get(key)
    return None if value is None else float(str(value.value))


def _tag(event: dg.EventLogRecord) -> str | None:
    told = event.asset_materialization
    return None if told is None else (told.tags or {}).get("dagster/data_version")


def _events(instance: dg.DagsterInstance, asset: str, model: str) -> Iterable[dg.EventLogRecord]:
    """Materializations of the partitions of a model version, newest first."""
    cursor = None
    while True:
        page = instance.fetch_materializations(dg.AssetKey(asset), limit=_PAGE, cursor=cursor)
        for record in page.records:
            partition = record.partition_key or ""
            if partition == model or partition.startswith(f"{model}|"):
                yield record
        if not page.has_more:
            return
        cursor = page.cursor
