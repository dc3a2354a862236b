"""Run every stage beside its peers, and record the machine: `make bench`.

    python -m benchmarks                            all stages, more than an hour; alone on the machine
    python -m benchmarks --only store whole         these alone; the others keep their last results
    python -m benchmarks --page                     also write docs/performance.md from what there is

A stage runs in a process of its own, which prints its table and writes `results/<stage>.json`. `results/bench.json`
keeps machine, load and time of each stage with its rows. The exit code is 1 if a stage missed a target or failed.
"""

import argparse
import json
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.machine import load, machine
from benchmarks.page import FIGURES, write
from benchmarks.results import FOLDER

STAGES = ("roster", "measurement", "store", "generation", "whole", "report", "cells", "buckets", "growth")
BENCH = FOLDER / "bench.json"


def run(stage: str) -> dict[str, Any]:
    """Run a stage and return its rows, the load before it, its seconds, and whether every target was met."""
    before, began = load(), time.monotonic()
    started = datetime.now(UTC).isoformat(timespec="seconds")
    (FOLDER / f"{stage}.json").unlink(missing_ok=True)
    done = subprocess.run([sys.executable, "-m", f"benchmarks.{stage}"], cwd=Path(__file__).parent.parent)
    rows = FOLDER / f"{stage}.json"
    return {
        "started": started,
        "seconds": round(time.monotonic() - began),
        "load_before": before,
        "finished": rows.exists(),
        "met": done.returncode == 0,
        "rows": json.loads(rows.read_text(encoding="utf-8")) if rows.exists() else [],
    }


def last_results() -> dict[str, Any]:
    """Return the kept results of the last run here, in a new clone those that the page was made from; of a GPU always the latter."""
    kept = [json.loads(file.read_text(encoding="utf-8")) for file in (BENCH, FIGURES) if file.exists()]
    found: dict[str, Any] = kept[0] if kept else {"stages": {}}
    if kept and "gpu" in kept[-1]["stages"]:  # no stage of this command makes it
        found["stages"]["gpu"] = kept[-1]["stages"]["gpu"]
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=STAGES, default=[], metavar="STAGE", help=", ".join(STAGES))
    parser.add_argument("--page", action="store_true", help="write docs/performance.md and what it is made of")
    chosen = parser.parse_args()
    known = last_results()
    known["machine"] = machine()
    FOLDER.mkdir(exist_ok=True)
    for stage in chosen.only or STAGES:
        print(f"\n== {stage}, load {load()}", flush=True)
        known["stages"][stage] = run(stage)
        BENCH.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    for stage, found in known["stages"].items():
        said = "all targets met" if found["met"] else "targets missed" if found["finished"] else "failed"
        print(f"{stage:<12} {found['seconds']:>6} s   load before {found['load_before']:>5}   {said}")
    if chosen.page:
        write(known)
    return 0 if all(found["met"] for found in known["stages"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
