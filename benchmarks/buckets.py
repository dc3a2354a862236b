"""Try a layout for a million subjects: a partition is a bucket of subjects, by hash, and not one subject.

    python -m benchmarks.buckets                                     1,000,000 subjects in 1,000 buckets
    python -m benchmarks.buckets --subjects 2000 --buckets 20        smaller

The layout is a trial beside the program, which has one partition per subject. A stand-in for an image source gives the rows of ten
images without making them, so what is measured is the layout. A bucket is made in parts of a hundred subjects. When all are there, they become one file, and the
parts are deleted. Each row says what it was made from, so a subject that joins a bucket is made alone. A process is killed in the middle
of a bucket, and another goes on. The peer is the present layout, one file per subject, on some subjects and scaled up. Dagster knows keys and not
what lies behind them, so its ticks and its page are those of `benchmarks.cells` with a key per bucket.
"""

import argparse
import hashlib
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from audit_assets.hashing import digest
from audit_assets.warehouse.store import Warehouse
from benchmarks import cells
from benchmarks.results import Results

IMAGES, PART = 10, 100
PROTOCOL = "one protocol"
"""What each row is made from, in place of the hashes of a protocol and a model version."""


def bucket_of(subject: str, buckets: int) -> int:
    """Return the bucket of a subject, the same on every machine and whoever else is audited."""
    return int.from_bytes(hashlib.sha256(subject.encode()).digest()[:8], "big") % buckets


def shared_out(subjects: Sequence[str], buckets: int) -> dict[int, list[str]]:
    """Return each bucket's subjects, in the order given."""
    found: dict[int, list[str]] = defaultdict(list)
    for subject in subjects:
        found[bucket_of(subject, buckets)].append(subject)
    return dict(found)


def drawn(subjects: Sequence[str]) -> pd.DataFrame:
    """Return the rows that a source would give for ten images of each subject."""
    bits = [hashlib.shake_256(s.encode()).hexdigest(32 * IMAGES) for s in subjects]
    return pd.DataFrame(
        {
            "subject": np.repeat(np.array(subjects, dtype=object), IMAGES),
            "trial": np.tile(np.arange(IMAGES), len(subjects)),
            "seed": np.repeat([int(b[:8], 16) for b in bits], IMAGES),
            "status": "ok",
            "image_sha256": [b[i : i + 64] for b in bits for i in range(0, 64 * IMAGES, 64)],
            "made_from": digest(PROTOCOL),
        }
    )


def made_from(subjects: Sequence[str]) -> str:
    return digest([PROTOCOL, list(subjects)])


def place(bucket: int) -> str:
    return f"imitations/model/{bucket:04}"


def lacking(warehouse: Warehouse, bucket: int, subjects: Sequence[str]) -> list[str]:
    """Return the subjects of a bucket that its file does not have, or that were made from something else."""
    if warehouse.inputs(place(bucket)) == made_from(subjects):
        return []
    if not warehouse.made(place(bucket)):
        return list(subjects)
    rows = warehouse.read(place(bucket), ["subject", "made_from"])
    there = set(rows.loc[rows["made_from"] == digest(PROTOCOL), "subject"])
    return [s for s in subjects if s not in there]


def make(warehouse: Warehouse, bucket: int, subjects: Sequence[str], pause: float = 0.0) -> int:
    """Bring a bucket up to date: the number of subjects that were made now."""
    if warehouse.inputs(place(bucket)) == made_from(subjects):
        return 0
    left, made, parts = lacking(warehouse, bucket, subjects), 0, []
    for start in range(0, len(left), PART):
        part, name = left[start : start + PART], f"{place(bucket)}-parts/{start:06}"
        if warehouse.inputs(name) != made_from(part):
            warehouse.write(name, drawn(part), made_from(part))
            made += len(part)
        parts.append(name)
        time.sleep(pause)
    rows = warehouse.read_all(parts)
    if len(left) < len(subjects):
        before = warehouse.read(place(bucket))
        kept = before[before["subject"].isin({*subjects} - {*left})]
        rows = pd.concat([kept, rows], ignore_index=True)
    warehouse.write(place(bucket), rows, made_from(subjects))
    for name in parts:
        warehouse.path(name).unlink()
    return made


def storage(results: Results, folder: Path, shares: dict[int, list[str]]) -> None:
    """Make a model version's rows in buckets, and those of some subjects with a file each, which are scaled up."""
    here, there, n = Warehouse(folder / "buckets"), Warehouse(folder / "subjects"), sum(map(len, shares.values()))
    some = [s for subjects in shares.values() for s in subjects[:2]]
    scale = n / len(some)

    def in_buckets() -> None:
        for bucket, subjects in shares.items():
            make(here, bucket, subjects)

    def one_by_one() -> None:
        for subject in some:
            there.write(f"imitations/model/{subject}", drawn([subject]), digest([subject]))

    def what_is_due() -> None:
        if due := sum(len(lacking(here, b, s)) for b, s in shares.items()):
            raise RuntimeError(f"{due} subjects are to be made again, and nothing has changed")

    def reported(what: str, ours: float, peer: float) -> None:
        results.reported(f"{n:,} subjects in {len(shares):,} buckets, or a file each: {what}", ours, scale * peer)

    reported("CPU s to write the rows of a model version", _seconds(in_buckets), _seconds(one_by_one))
    (files, size), (peer_files, peer_size) = _files(here.root), _files(there.root)
    reported("files of a model version", files, peer_files)
    reported("MB of a model version", size / 1e6, peer_size / 1e6)
    peer = _seconds(lambda: there.all_inputs([f"imitations/model/{s}" for s in some]))
    reported("CPU s to see that nothing is due", _seconds(what_is_due), peer)
    counted = _seconds(lambda: _check_count(here.root, n)), _seconds(lambda: _check_count(there.root, len(some)))
    reported("CPU s of a query over all rows", *counted)


def _seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def _files(root: Path) -> tuple[int, int]:
    """Return the number of files below a folder, and their bytes."""
    sizes = [p.stat().st_size for p in root.rglob("*") if p.is_file()]
    return len(sizes), sum(sizes)


def _check_count(root: Path, subjects: int) -> None:
    """Count subjects and images in SQL over all files. RuntimeError if one lacks."""
    query = "SELECT count(DISTINCT subject), count(*) FROM read_parquet($files)"
    with duckdb.connect() as connection:
        found = connection.execute(query, {"files": f"{root}/imitations/model/*.parquet"}).fetchone()
    if found != (subjects, subjects * IMAGES):
        raise RuntimeError(f"{found} subjects and images, not {subjects} and {subjects * IMAGES}")


def resumed(results: Results, folder: Path, subjects: list[str]) -> None:
    """Kill a process in the middle of a bucket, go on, and let a subject join and another leave."""
    killed, whole = Warehouse(folder / "killed"), Warehouse(folder / "whole")
    command = [sys.executable, "-m", "benchmarks.buckets", "--bucket", str(killed.root), "--subjects", str(len(subjects))]  # fmt: skip
    process = subprocess.Popen(command, cwd=Path(__file__).parent.parent)
    parts = killed.root / f"{place(0)}-parts"
    while len(list(parts.glob("[!.]*.parquet"))) < len(subjects) // PART // 2:
        if process.poll() is not None:
            raise RuntimeError("the bucket was finished before it could be stopped in its middle")
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = len(list(parts.glob("[!.]*.parquet"))) * PART
    made = make(killed, 0, subjects)
    make(whole, 0, subjects)
    results.within("killed in the middle of a bucket: subjects made again that were done", abs(made + done - len(subjects)), 0.5)  # fmt: skip
    results.within("killed in the middle of a bucket: differences to a bucket that was not", _differences(killed, whole), 0.5)  # fmt: skip
    results.within("one subject joins a bucket: subjects made", make(killed, 0, [*subjects, "one more"]), 1)
    if set(killed.read(place(0))["subject"]) != {*subjects, "one more"}:
        raise RuntimeError("a subject joined a bucket, and has no rows in it")
    results.within("one subject leaves a bucket: subjects made", make(killed, 0, subjects), 0.5)
    results.within("one subject left a bucket: differences to a bucket that it never was in", _differences(killed, whole), 0.5)  # fmt: skip


def _differences(one: Warehouse, other: Warehouse) -> int:
    order = ["subject", "trial"]
    rows, theirs = (w.read(place(0)).sort_values(order, ignore_index=True) for w in (one, other))
    return 0 if rows.equals(theirs) else 1


def names(subjects: int) -> Iterator[str]:
    return (f"subject-{n:07}" for n in range(subjects))


def measure(results: Results, folder: Path, subjects: int, buckets: int, models: int, wanted_ticks: int) -> None:
    began = time.process_time()
    shares = shared_out(list(names(subjects)), buckets)
    results.reported(f"{subjects:,} subjects: CPU s to share them out", time.process_time() - began)
    sizes = [len(shares.get(b, [])) for b in range(buckets)]
    results.reported(f"{subjects:,} subjects: largest bucket, smallest", max(sizes), min(sizes))
    storage(results, folder, shares)
    resumed(results, folder, list(names(10 * PART)))
    cells.measure(results, folder / "dagster", buckets, models, wanted_ticks)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subjects", type=int, default=1_000_000)
    parser.add_argument("--buckets", type=int, default=1_000)
    parser.add_argument("--models", type=int, default=20)
    parser.add_argument("--ticks", type=int, default=6, help="of each sensor; the first does not count")
    parser.add_argument("--output", type=Path, help="instead of benchmarks/results/buckets.json")
    parser.add_argument("--bucket", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.bucket:
        make(Warehouse(chosen.bucket), 0, list(names(chosen.subjects)), pause=0.2)
        return 0
    results = Results("buckets", "as each line says")
    with tempfile.TemporaryDirectory() as temporary:
        (Path(temporary) / "dagster").mkdir()
        measure(results, Path(temporary), chosen.subjects, chosen.buckets, chosen.models, chosen.ticks)
    return results.finish(chosen.output)


if __name__ == "__main__":
    sys.exit(main())
