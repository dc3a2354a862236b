"""Writes docs/performance.md from docs/performance.json: no figure of the page is typed by hand.

    python -m benchmarks.page

`docs/performance.json` is what `python -m benchmarks` kept of the last run of each stage: rows, time, load, machine and versions.
A target that was missed must be explained in LIMITS, or there is no page.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent.parent / "docs"
FIGURES, PAGE = DOCS / "performance.json", DOCS / "performance.md"

STAGES = {
    "roster": "The caption scan beside Aho-Corasick with the same normaliser, an n-gram join in DuckDB and pandas; its memory "
    "from the smallest to the largest file; and pyarrow's bare decode of the columns that are read, which nobody can be faster "
    "than. Rates are rows a second of one core.",
    "measurement": "Rank sums, exact tests and permutations beside scipy and numpy loops, classification beside DuckDB's SQL and the "
    "bare matrix product; equality is checked in the same run, before speed. CPU seconds of one thread.",
    "store": "Rows with vectors into the published database beside `executemany` and DuckDB's own scan of a pandas frame.",
    "generation": "Images beside loops that were written by hand, and what Dagster costs for each cell beyond the images.",
    "whole": "Everything, from an empty warehouse to the report, beside a plain script that draws, embeds, classifies and matches and "
    "does less (`benchmarks/plain_script.py`); then again with nothing to do.",
    "report": "The report of a model version with 250 artists, simulated and measured as a real one is, and how long Chromium takes to show it.",
    "cells": "Dagster with as many cells as said: the ticks of the sensors as the daemon timed them, and the queries of the page of "
    "`imitations` as a browser sends them. A key that is added makes Dagster build its cache of partition statuses anew from the whole event log, twice "
    "(`partition_status_cache._build_status_cache` is four fifths of the profile of such a tick): that tick is long, once for each new model version.",
    "growth": "What a model version and encoder cost to measure as artists grow in number, and what comparing versions costs.",
}
LIMITS: Mapping[str, Mapping[str, str]] = {
    "roster": {
        "two shards on two processes": "two processes share a cache and the way to memory, and this row alone is timed by the "
        "clock; the target is our own wish, not one of the design's, and is missed by as little as the ratio says.",
    },
}
"""Stage -> part of a metric's name -> why its target is missed, in words."""

HEAD = """# How fast, and how it grows

Made by `python -m benchmarks.page` from `docs/performance.json`, which `make bench` writes; a test checks that the two agree. Ours and
the peer run in turn in one process tree: the ratio is what counts, a figure of one machine alone says little. Each row is a
metric, and **bold** where its target is missed; what has no target is reported. More is better for "at least".
"""


def value(number: float | None) -> str:
    if number is None:
        return ""
    return f"{number:,.0f}" if abs(number) >= 1000 or number == int(number) else f"{number:.3g}"


def bound(row: Mapping[str, Any]) -> str:
    sign = {"at least": "at least ", "at most": "at most ", "reported": ""}[row["bound"]]
    if row["target"] is None:
        return "reported"
    return f"{sign}{value(row['target'])}" + (
        f" (fails at {value(row['limit'])})" if row["limit"] != row["target"] else ""
    )


def table(rows: list[Mapping[str, Any]]) -> Iterator[str]:
    yield "| metric | ours | peer or bound | ratio | target |"
    yield "|---|---|---|---|---|"
    for row in rows:
        name = row["metric"] if row["met"] else f"**{row['metric']}**"
        yield f"| {name} | {value(row['ours'])} | {value(row['peer'])} | {value(row['ratio'])} | {bound(row)} |"


def limits(stage: str, found: Mapping[str, Any], cores: int) -> Iterator[str]:
    """Why targets are missed; ValueError where nobody said so, and the machine was not busy with something else."""
    for row in found["rows"]:
        if row["met"]:
            continue
        reasons = [why for part, why in LIMITS.get(stage, {}).items() if part in row["metric"]]
        if found["load_before"] > cores:
            reasons.append(
                f"not decided. The machine was at work for others, at a load of {found['load_before']} on {cores} cores, and this is by "
                f"the clock: run `python -m benchmarks --only {stage} --page` where nothing else runs."
            )
        if not reasons:
            raise ValueError(f"{stage}, {row['metric']!r} misses its target, and benchmarks/page.py does not say why")
        yield f"*{row['metric']}*: {reasons[0]}"


def figure(stages: Mapping[str, Any], stage: str, part: str) -> float:
    """Ours of the one metric whose name has `part`."""
    found = [row["ours"] for row in stages[stage]["rows"] if part in row["metric"]]
    if len(found) != 1:
        raise ValueError(f"{stage}: {len(found)} metrics have {part!r} in their name, not one")
    return float(found[0])


def million(stages: Mapping[str, Any]) -> str:
    """What stands in the way of a million subjects, in figures that follow from those measured."""
    cell_ms, cell_kb = (figure(stages, "generation", part) for part in ("orchestration of a cell", "kept by Dagster"))
    file_ms = figure(stages, "store", "ms for a cell's file")
    rows = [r for r in stages["growth"]["rows"] if "artists, matching" in r["metric"]]
    largest, before = rows[-1], rows[-2]
    artists = [int(r["metric"].split()[0].replace(",", "")) for r in (before, largest)]
    power = _power(artists[0], before["ours"], artists[1], largest["ours"])
    memory = [r["ours"] for r in stages["growth"]["rows"] if "peak memory" in r["metric"]][-1]
    scan = [r["ours"] for r in stages["roster"]["rows"] if "bare decode" in r["metric"]][-1]
    hours = 1e6 * cell_ms / 3.6e6
    return f"""## What would have to change for a million subjects

The figures follow from those above, one model version and ten images each.

* **Images** are ten million, whatever anybody does about the rest: at a hundred images a second (twenty or so large GPUs at SD 1.5's size) that is
  {1e7 / 100 / 3600:,.0f} hours. They are made in ranges of subjects, on any number of GPUs at once, and that part need not change.
* **Dagster's cells.** A million cells of two assets cost {2 * hours:,.0f} hours at {cell_ms:.1f} ms each, shared by the workers, and {2e6 * cell_kb / 1e6:,.0f} GB of
  event log at {cell_kb:.0f} KB. The limit is the page of the asset and the tick that finds a new model version's cells, which list every key. The partition
  would have to become a *bucket* of a thousand subjects (by the hash of the key): a thousand cells a model version, each one run. Subjects then
  are rows, resuming stays as fine as it is (the warehouse knows by file what is done), and only the grid in the UI is coarser.
* **Files.** One parquet file a subject and encoder is right for thousands: a million are {1e6 * file_ms / 6e4:,.0f} minutes to write, but no object store lists and opens
  them in less than hours. The same buckets would be the files.
* **Classification** among a million labels is a product of ten million images with a million names, {2 * 1e7 * 1e6 * 512 / 1e15:,.0f} PFLOP: minutes on a GPU, days on a CPU. The image-level
  rows keep rank and margin, not the whole row, so they stay ten million; the product would run in blocks on the device that embeds.
* **Matching** compares every real work with every image. From {artists[0]:,} to {artists[1]:,} artists its cost grew with the power {power:.1f} of their number, to
  {largest["ours"]:,.0f} s and {memory / 1000:,.1f} GB; the whole matrix of a million does not exist. Rank sums need only the ranks of ten own images, which can be
  had block by block, or estimated among a random sample of others, which is another test and must say so; own rank needs the nearest works
  alone, which an index finds approximately, with its recall measured. The permutations are over artists' sums, and grow as their number.
* **Comparison of versions** is by subject and stays as it is; with many versions successive pairs alone would be kept.
* **`audit.duckdb`** would hold ten million embeddings an encoder ({1e7 * 512 * 4 / 1e9:,.0f} GB at 512 dimensions): published tables would be parquet behind views, and the database
  would keep the aggregates.
* **Captions** do not change: the scan's memory is flat, and {scan / 1e6:.1f} M rows/s of a core read two thousand million captions in {2e9 / scan / 60:,.0f} minutes of a core.
* **Statistics.** Own rank's smallest p-value is one in the pool: among a million it never passes Holm's correction for a million tests, and Benjamini-Hochberg's
  only together with many others. The report would have to be a search page, with artist pages made on request.
"""


def _power(small: int, cheap: float, large: int, dear: float) -> float:
    from math import log

    return log(dear / cheap) / log(large / small)


def page(known: Mapping[str, Any]) -> str:
    """The page's text. ValueError where a stage is missing, failed, or misses a target that nobody explains."""
    stages, on = known["stages"], known["machine"]
    if missing := [s for s in STAGES if s not in stages or not stages[s]["finished"]]:
        raise ValueError(f"no page without the stages {', '.join(missing)}: run `python -m benchmarks --only ...`")
    versions = ", ".join(f"{name} {number}" for name, number in on["versions"].items())
    held = [row for s in STAGES for row in stages[s]["rows"] if row["target"] is not None]
    lines = [
        HEAD,
        f"**{sum(row['met'] for row in held)} of {len(held)} targets hold.** Measured on: {on['processor']}, {on['cores']} cores, "
        f"{on['memory_gb']:.0f} GB, {on['gpu'] or 'no GPU'}, {on['system']}, Python {on['python']}; {versions}.",
        "",
        "| stage | run | seconds | load of the machine before it | targets met |",
        "|---|---|---|---|---|",
    ]
    for stage in STAGES:
        found = stages[stage]
        of = [row for row in found["rows"] if row["target"] is not None]
        lines.append(
            f"| {stage} | {found['started'][:16].replace('T', ' ')} | {value(found['seconds'])} | {value(found['load_before'])} | {sum(r['met'] for r in of)} of {len(of)} |"
        )
    for stage, words in STAGES.items():
        rows = stages[stage]["rows"]
        lines += [
            "",
            f"## {stage.capitalize()}",
            "",
            words,
        ]
        lines += ["", *table(rows), *(f"\n{line}" for line in limits(stage, stages[stage], on["cores"]))]
    lines += ["", million(stages)]
    return "\n".join(lines)


def write(known: Mapping[str, Any]) -> None:
    """Keep the figures beside the page, and write the page."""
    text = page(known)
    FIGURES.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(text, encoding="utf-8")
    print(f"written: {PAGE}")


if __name__ == "__main__":
    write(json.loads(FIGURES.read_text(encoding="utf-8")))
