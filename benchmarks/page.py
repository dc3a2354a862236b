"""This module writes docs/performance.md from docs/performance.json. Every figure of the page comes from that file.

    python -m benchmarks.page
    python -m benchmarks.page --gpu results/gpu.json    also put a GPU's figures on the page, which `make bench-generation GPU=1` wrote elsewhere

`python -m benchmarks` writes `docs/performance.json`: rows, time, load, machine and versions of the last run of each stage.
If a target was missed and LIMITS has no reason for it, this module raises an error and writes no page.
"""

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent.parent / "docs"
FIGURES, PAGE = DOCS / "performance.json", DOCS / "performance.md"

STAGES = {
    "roster": "This stage measures the caption scan beside Aho-Corasick with the same normaliser, an n-gram join in DuckDB, and pandas. It also "
    "measures the scan's memory from the smallest to the largest file, and pyarrow's bare decode of the columns that the scan reads. The "
    "bare decode is a lower bound of the time. Rates are rows per second of one core.",
    "measurement": "This stage measures rank sums, exact tests and permutations beside scipy and numpy loops, and classification beside DuckDB's SQL "
    "and the bare matrix product. The same run checks first that the results are equal. Times are CPU seconds of one thread.",
    "store": "This stage writes rows with vectors into the published database, beside `executemany` and DuckDB's own scan of a pandas frame.",
    "generation": "This stage makes images beside loops written by hand, and measures what Dagster costs per cell in addition to the images.",
    "whole": "This stage makes everything from an empty warehouse to the report, beside a plain script that draws, embeds, classifies and matches, "
    "and does less (`benchmarks/plain_script.py`). It then runs again with nothing to do.",
    "report": "This stage makes the report of a model version with 250 simulated artists, measured like real ones, and times how long Chromium takes to show it.",
    "cells": "This stage runs Dagster with the stated number of cells. It takes the ticks of the sensors from the daemon's own times, and sends the "
    "queries of the page of `imitations` as a browser sends them. If a key is added, Dagster builds its cache of partition statuses again from the whole event log, twice "
    "(`partition_status_cache._build_status_cache` takes four fifths of the profile of such a tick). Such a tick is long, and occurs once per new model version.",
    "buckets": "This stage tries a layout for a million subjects, beside the program: a partition is a bucket of a thousand subjects, by hash, and has one file. A stand-in for an image "
    "source gives the rows of ten images per subject. The peer is the present layout, a file per subject, on two subjects of each bucket and scaled up. One process is killed in the "
    "middle of a bucket. Dagster knows keys and not what lies behind them, so its rows are those of the stage before with 1,000 keys: a cell is a bucket of a model version.",
    "growth": "This stage measures the cost of one model version and encoder as the number of artists grows, and the cost of comparing versions.",
}
GPU = (
    "This stage measures models with random weights in real sizes on a GPU, in batches, half precisions, and compiled (`benchmarks/gpu.py`). The bound is 800 TFLOP/s, "
    "an H100's data sheet less a fifth. It runs apart from the others, on a machine with a GPU. The weights lie in channels_last, except in the rows that say otherwise. "
    "Without compilation the plain layout is faster, so a source of images uses channels_last only if it compiles."
)
LIMITS: Mapping[str, Mapping[str, str]] = {
    "roster": {
        "two shards on two processes": "two processes share a cache and the way to memory, and only this row is timed by the "
        "clock. We set the target ourselves; the design does not ask for it. The ratio shows by how little it is missed.",
    },
    "measurement": {
        "labels: DuckDB SQL": "the target was set on a machine on which the peer took longer beside us. The bound is the bare "
        "matrix product, whose target holds.",
    },
    "generation": {
        "images/s encoded": "ours also makes two small pictures of each image, by which copies are found, and the loop beside it does not. They "
        "came after the target.",
        "orchestration of a cell": "most of it is Dagster's event log: two events of each cell, in SQLite. On this machine, which others share, the time "
        "changes from hour to hour, and so do the rows beside it.",
        "peak memory": "a run keeps the rows and the events of each cell until it ends, so its memory grows with the cells, in a straight line.",
    },
    "whole": {
        "images, cold: a plain script": "the script keeps both cores busy, since it only draws and embeds. The audit also reads captions, "
        "measures, publishes and reports, on one core. The row in CPU seconds shows how much less work it does.",
        "nothing to do": "about two seconds are the import of Dagster, pandas, pyarrow and scipy. The rest is a look at each file.",
    },
}
"""Stage -> part of a metric's name -> the reason why its target is missed, in words."""

HEAD = """# How fast, and how it grows

`python -m benchmarks.page` makes this page from `docs/performance.json`, which `make bench` writes. A test checks that the two agree. Our
program and its peer run in turn in one process tree. Read the ratio: a single figure of one machine shows little. Each row is a metric. It
is in **bold** if its target is missed. A metric without a target is only reported. "At least" means that more is better.
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
    """Why targets are missed. ValueError if LIMITS has no reason and the machine was not busy with other work."""
    for row in found["rows"]:
        if row["met"]:
            continue
        reasons = [why for part, why in LIMITS.get(stage, {}).items() if part in row["metric"]]
        if found["load_before"] > cores:
            reasons.append(
                f"not decided. Other processes used the machine, at a load of {found['load_before']} on {cores} cores, and this metric is "
                f"timed by the clock. Run `python -m benchmarks --only {stage} --page` on a machine that does nothing else."
            )
        if not reasons:
            raise ValueError(
                f"{stage}, {row['metric']!r} misses its target, and benchmarks/page.py does not say why; add the reason to LIMITS"
            )
        yield f"*{row['metric']}*: {reasons[0]}"


def figure(stages: Mapping[str, Any], stage: str, part: str) -> float:
    """Our figure of the one metric whose name has `part`. ValueError if not exactly one metric has it."""
    found = [row["ours"] for row in stages[stage]["rows"] if part in row["metric"]]
    if len(found) != 1:
        raise ValueError(f"{stage}: {len(found)} metrics have {part!r} in their name, not one")
    return float(found[0])


def million(stages: Mapping[str, Any]) -> str:
    """The section about a million subjects, in figures that follow from the measured ones."""
    cell_ms, cell_kb = (figure(stages, "generation", part) for part in ("orchestration of a cell", "kept by Dagster"))
    file_ms = figure(stages, "store", "ms for a cell's file")
    rows = [r for r in stages["growth"]["rows"] if "artists, matching" in r["metric"]]
    largest, before = rows[-1], rows[-2]
    artists = [int(r["metric"].split()[0].replace(",", "")) for r in (before, largest)]
    power = _power(artists[0], before["ours"], artists[1], largest["ours"])
    memory = [r["ours"] for r in stages["growth"]["rows"] if "peak memory" in r["metric"]][-1]
    scan = [r["ours"] for r in stages["roster"]["rows"] if "bare decode" in r["metric"]][-1]
    hours = 1e6 * cell_ms / 3.6e6
    files, due = (
        next(row for row in stages["buckets"]["rows"] if part in row["metric"])
        for part in ("files of a model version", "nothing is due")
    )
    return f"""## What would have to change for a million subjects

The figures follow from those above, for one model version and ten images per subject.

* **Images.** A million subjects need ten million images. At a hundred images per second (about two dozen H100s at the size of SD 1.5) they take
  {1e7 / 100 / 3600:,.0f} hours. Any number of GPUs can make ranges of subjects at once. This part need not change.
* **Dagster's cells.** A million cells of two assets cost {2 * hours:,.0f} hours at {cell_ms:.1f} ms each, which the workers share, and {2e6 * cell_kb / 1e6:,.0f} GB of
  event log at {cell_kb:.0f} KB each. The limits are the page of the asset and the tick that finds the cells of a new model version, because both list
  every key. If the partition is a *bucket* of a thousand subjects (by the hash of the key; stage Buckets), a model version has a thousand cells: the tick that
  finds them takes {figure(stages, "buckets", "cells of a new version"):.2g} s, and the slowest query of the page {figure(stages, "buckets", "slowest query"):.2g} s. A killed run makes nothing again that was done, and a subject that joins is made alone.
* **Files.** One parquet file per subject and encoder suits thousands of subjects. A million files take {1e6 * file_ms / 6e4:,.0f} minutes to write, but every object
  store needs hours to list and open them. The same buckets would be the files: {files["ours"]:,.0f} of them in place of {files["peer"]:,.0f}, and a look at whether anything is due takes {due["ours"]:.2g} s of a core
  in place of {due["peer"]:,.0f}.
* **Should buckets become the layout?** Below 100,000 cells, no. There, the page answers within a second, and so does each tick that finds nothing new (stage Cells). A cell that
  is one artist is worth more: the grid names the artist whose files are bad, and a click makes this artist again. Above 100,000 cells, yes. The program would then keep inputs per
  row and not per file, and its findings would name the artist within a bucket. An audit of today's layout has other partition keys. It could not change to buckets, so a new audit
  would start with them.
* **Classification** among a million labels multiplies ten million images by a million names: {2 * 1e7 * 1e6 * 512 / 1e15:,.0f} PFLOP, which take minutes on a GPU and days on a CPU. The
  image-level rows keep rank and margin and not the whole row, so they stay ten million. The product would run in blocks on the device that embeds.
* **Matching** compares every real work with every image. From {artists[0]:,} to {artists[1]:,} artists its cost grew with the power {power:.1f} of their number, to
  {largest["ours"]:,.0f} s and {memory / 1000:,.1f} GB. The whole matrix of a million artists would not fit into memory. Rank sums need only the ranks of an artist's own ten images. They
  could be computed block by block, or estimated from a random sample of the others; the estimate is another test, and the report would have to
  name it. Own rank needs only the nearest works. An index finds these approximately, and its recall would be measured. The permutations use the
  artists' sums, so their cost grows in proportion to the number of artists.
* **Comparison of versions** works per subject and stays as it is. With many versions, only successive pairs would be kept.
* **`audit.duckdb`** would hold ten million embeddings per encoder ({1e7 * 512 * 4 / 1e9:,.0f} GB at 512 dimensions). Above a million in all, they lie as parquet files beside the database,
  which has views of them (stage Store).
* **Captions** need no change. The scan's memory does not grow. At {scan / 1e6:.1f} M rows/s per core, one core reads two thousand million captions in {2e9 / scan / 60:,.0f} minutes.
* **Statistics.** The smallest p-value of own rank is one divided by the size of the pool. Among a million artists it never passes Holm's correction for
  a million tests. It passes Benjamini-Hochberg's correction only together with many others. The report would have to be a search page, with
  artist pages made on request.
"""


def _power(small: int, cheap: float, large: int, dear: float) -> float:
    from math import log

    return log(dear / cheap) / log(large / small)


def page(known: Mapping[str, Any]) -> str:
    """The page's text. ValueError if a stage is missing, failed, or misses a target for which LIMITS has no reason."""
    stages, on = known["stages"], known["machine"]
    if missing := [s for s in STAGES if s not in stages or not stages[s]["finished"]]:
        raise ValueError(
            f"the stages {', '.join(missing)} have no finished run, so no page is written; run `python -m benchmarks --only ...`"
        )
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
    lines += ["", *_gpu(stages.get("gpu")), million(stages)]
    return "\n".join(lines)


def _gpu(found: Mapping[str, Any] | None) -> Iterator[str]:
    if found is None:
        yield from ("## GPU", "", f"{GPU} It has not run yet.", "")
        return
    on = found["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in on["versions"].items())
    yield from (
        "## GPU",
        "",
        GPU,
        "",
        f"Measured on {found['started'][:10]} on: {on['gpu'] or 'no GPU'}, Python {on['python']}; {versions}.",
        "",
    )
    yield from (*table(found["rows"]), "")
    if found["not_run"]:
        yield from (f"Not measured: {'; '.join(found['not_run'])}.", "")


def write(known: Mapping[str, Any]) -> None:
    """Write the figures, and the page beside them."""
    text = page(known)
    FIGURES.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(text, encoding="utf-8")
    print(f"written: {PAGE}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gpu", type=Path, help="a file that benchmarks.gpu wrote")
    chosen = parser.parse_args()
    known = json.loads(FIGURES.read_text(encoding="utf-8"))
    if chosen.gpu:
        known["stages"]["gpu"] = json.loads(chosen.gpu.read_text(encoding="utf-8"))
    write(known)


if __name__ == "__main__":
    main()
