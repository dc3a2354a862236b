"""Measure the whole audit from a cold start beside a plain script that does less, and again with no work due.

    python -m benchmarks.whole                          the miniature: some ten minutes
    python -m benchmarks.whole --config data/miniature/small.yaml      its small audit: a minute

Each runs in its own process, timed by the clock from start to exit, with a new warehouse and a new Dagster home. The
script uses torch's default for waiting threads, which is the fastest for a process that is alone. `plain_script.py`
says what the script does. The script gets the list of subjects, and the audit finds them itself. On few images the
audit's fixed part (imports, Dagster, every test and control, the report) costs more than the audit gains, so only the
whole miniature has a target.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import duckdb
import yaml

from benchmarks.results import Results

ROOT = Path(__file__).parent.parent
TARGET, PATIENCE = 2.8, 6.0
BY_DEFAULT = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
"""The environment without the Makefile's settings for threads."""


def of_its_own(config: Path, folder: Path) -> Path:
    """Write the same audit with absolute inputs and a warehouse in `folder`."""
    content = yaml.safe_load(config.read_text(encoding="utf-8"))
    base = config.parent.resolve()
    if "captions" in content:
        content["captions"]["path"] = str(base / content["captions"]["path"])
    content["roster"]["artists"] = str(base / content["roster"]["artists"])
    content["references"] = str(base / content["references"])
    for entry in [*content["models"], *content["encoders"]]:
        entry["path"] = str(base / entry["path"])
    content["warehouse"] = "warehouse/"
    folder.mkdir(parents=True)
    (folder / "audit.yaml").write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    return folder / "audit.yaml"


def timed(*arguments: str, environment: Mapping[str, str] = os.environ) -> tuple[float, float]:
    """Return the clock and CPU seconds of a Python process. If it fails, raise RuntimeError with its output."""
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**environment, "HF_HUB_OFFLINE": "1"},
    )
    if done.returncode:
        raise RuntimeError(f"{arguments[0]} failed: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - began, used


def write_subjects(database: Path, table: Path) -> int:
    """Write the subjects and which of them have works, for the script. Return how many images the audit made."""
    with duckdb.connect(str(database), read_only=True) as connection:
        connection.execute("SELECT subject, name, kind FROM subjects WHERE NOT retired").df().to_csv(table, index=False)
        counted = connection.execute("SELECT count(*) FROM imitations").fetchone()
    assert counted is not None
    return int(counted[0])


def kept(folder: Path) -> dict[str, float]:
    """Return the MB of the files that an audit leaves, by kind."""
    warehouse = folder / "warehouse"
    parts = {
        "images": (warehouse / "images", "*"),
        "tables": (warehouse, "*.parquet"),
        "database": (warehouse, "audit.duckdb"),
        "reports": (warehouse / "reports", "*"),
        "Dagster's home": (folder / ".dagster", "*"),
    }
    return {
        name: sum(p.stat().st_size for p in below.rglob(pattern) if p.is_file()) / 1e6
        for name, (below, pattern) in parts.items()
    }


def measure(results: Results, config: Path, folder: Path) -> None:
    own = of_its_own(config, folder / "audit")
    cold, cold_used = timed("audit_assets.cli", "run", "--config", str(own))
    images = write_subjects(folder / "audit" / "warehouse" / "audit.duckdb", folder / "subjects.csv")
    (folder / "plain").mkdir()
    script = ("benchmarks.plain_script", str(own), str(folder / "subjects.csv"), str(folder / "plain"))
    plain, plain_used = timed(*script, environment=BY_DEFAULT)
    again, again_used = timed("audit_assets.cli", "run", "--config", str(own))
    what = f"whole audit, {config.stem}, {images:,} images"
    if config.stem == "small":
        results.reported(f"{what}, cold: a plain script", cold, plain)
    else:
        results.faster(f"{what}, cold: a plain script", cold, plain, TARGET)
    results.within(f"{what}: nothing to do, s", again, PATIENCE)
    results.reported(f"{what}, cold, in CPU s: a plain script", cold_used, plain_used)
    results.reported(f"{what}: nothing to do, CPU s", again_used)
    for name, size in kept(folder / "audit").items():
        results.reported(f"{what}: {name}, MB", size)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=ROOT / "data" / "miniature" / "audit.yaml")
    parser.add_argument("--output", type=Path, help="instead of benchmarks/results/whole.json")
    chosen = parser.parse_args()
    results = Results("whole", "seconds by the clock")
    with tempfile.TemporaryDirectory() as temporary:
        measure(results, chosen.config, Path(temporary))
    return results.finish(chosen.output)


if __name__ == "__main__":
    sys.exit(main())
