"""Measure the caption scan beside its peers, in one process tree.

    python -m benchmarks.roster                      2 M and 32 M rows, 2,000 and 20,000 names
    python -m benchmarks.roster --rows 200000 400000 --names 2000    a quick look

Captions are generated from words of a Zipf-like vocabulary. A third of them contain a listed name, with accents,
possessives and case as on the web. Every peer gets the same names and the same captions, and does the same work. The
peers are pyahocorasick with the reference's normaliser, a DuckDB join of n-grams of normalised text, and pandas'
`str.contains` on lower-cased text (20 names, extrapolated). Peers run on a part of the captions, because they need
hours for all of them. Rates are rows per second of one core. Every measurement of ours runs in its own process, so that
its peak memory is its own. Rates use CPU time, so that a busy machine does not decide them. Only the two parallel
processes are timed by the clock.
"""

import argparse
import multiprocessing
import os
import re
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("NUMBA_NUM_THREADS", "1")

import numba
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from audit_assets.roster.captions import Shard, caption_batches
from audit_assets.roster.duplicates import scan_shard
from audit_assets.roster.normalise import tokens
from audit_assets.roster.scan import scan, scan_reference
from benchmarks.results import Results

SHARD_ROWS = 1_000_000
# Real web captions (img2dataset's test file): 59 bytes and 9.2 words per row, 6 % of rows not ASCII, URLs of 98 bytes.
CONSONANTS, VOWELS, RARE = [*"bdfgklmnprstvz"], [*"aeiou"], ["å", "é", "ł", "ü"]


def words(n: int, seed: int, syllables: tuple[int, int]) -> list[str]:
    """Make `n` distinct invented words; one in a hundred has a letter outside ASCII."""
    generator = np.random.default_rng(seed)
    found: dict[str, None] = {}
    while len(found) < n:
        count = int(generator.integers(*syllables))
        word = "".join(str(generator.choice(CONSONANTS)) + str(generator.choice(VOWELS)) for _ in range(count))
        if generator.random() < 0.01:
            word += str(generator.choice(RARE))
        found[word] = None
    return list(found)


def names(n: int) -> list[str]:
    """Make `n` names of one to four words; several names share first and last names."""
    generator = np.random.default_rng(5)
    firsts = [word.title() for word in words(max(n // 10, 50), 1, (2, 4))]
    lasts = [word.title() for word in words(max(n // 3, 50), 2, (2, 5))]
    found: dict[str, None] = {}
    while len(found) < n:
        parts = [*generator.choice(firsts, int(generator.choice([0, 1, 1, 1, 1, 1, 2, 3]))), generator.choice(lasts)]
        name = " ".join(map(str, parts))
        if len(parts) > 1 or len(name) > 7:
            found[name] = None
    return list(found)


@numba.njit(cache=True)
def _fill(
    picks: np.ndarray, starts: np.ndarray, pool: np.ndarray, bounds: np.ndarray, out: np.ndarray, offsets: np.ndarray
) -> None:
    """Join for row i the pieces `picks[starts[i]:starts[i + 1]]` of `pool`, with a space between them."""
    at = 0
    for row in range(len(starts) - 1):
        offsets[row] = at
        for pick in range(starts[row], starts[row + 1]):
            for byte in range(bounds[picks[pick]], bounds[picks[pick] + 1]):
                out[at] = pool[byte]
                at += 1
            out[at] = 32
            at += 1
    offsets[len(starts) - 1] = at


def captions(rows: int, people: list[str], seed: int) -> pa.Table:
    """Make `rows` captions in LAION's columns with the lengths of real ones; a third contain a listed name."""
    generator = np.random.default_rng(seed)
    plain = words(28_000, 3, (1, 5))
    pieces = [*plain, *people, *map(str.lower, people), *(f"{name}'s" for name in people), *map(str.upper, people)]
    encoded = [piece.encode() for piece in pieces]
    pool = np.frombuffer(b"".join(encoded), np.uint8)
    bounds = np.cumsum([0, *map(len, encoded)])
    lengths = generator.integers(4, 13, rows)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    picks = np.minimum(generator.zipf(1.2, starts[-1]), 1 << 40) * 7919 % len(plain)
    naming = np.flatnonzero(generator.random(rows) < 1 / 3)
    places = starts[naming] + generator.integers(0, lengths[naming])
    picks[places] = len(plain) + generator.integers(0, len(pieces) - len(plain), len(naming))
    out = np.empty(int((np.diff(bounds)[picks] + 1).sum()), np.uint8)
    offsets = np.empty(rows + 1, np.int32)
    _fill(picks, starts, pool, bounds, out, offsets)
    text = pa.StringArray.from_buffers(rows, pa.py_buffer(offsets), pa.py_buffer(out))
    hashes = [pa.array(generator.integers(10**17, 10**18, rows)).cast(pa.string()) for _ in range(3)]
    url = pc.binary_join_element_wise("https://images.example.org/uploads", *hashes, "0.jpg", "/")
    return pa.table({"URL": url, "TEXT": text})


def written(folder: Path, rows: int, people: list[str]) -> list[Shard]:
    """Write Parquet shards with `rows` captions in total, in LAION's format: snappy, a million rows per file."""
    shards = []
    folder.mkdir(parents=True, exist_ok=True)
    for number, start in enumerate(range(0, rows, SHARD_ROWS)):
        path = folder / f"captions-{len(people)}-{number:04}.parquet"
        size = min(SHARD_ROWS, rows - start)
        if not path.exists() or pq.read_metadata(path).num_rows != size:
            pq.write_table(captions(size, people, number), path, row_group_size=250_000)
        shards.append(Shard(path.name, str(path), "parquet"))
    return shards


def batches(shards: list[Shard]) -> Iterator[pa.RecordBatch]:
    for shard in shards:
        yield from caption_batches(shard)


def in_its_own_process(function: Callable[..., Any], *arguments: Any) -> Any:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def peak_megabytes() -> float:
    """Return the peak memory of this process; getrusage would report the parent's if that was more."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.findall(r"VmHWM:\s+(\d+) kB", status.read_text())[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def ours(shards: list[Shard], people: list[str]) -> dict[str, float]:
    keys = {name: (name,) for name in people}
    scan([pa.record_batch({"text": ["warm up", "é"]})], {"warm": ("warm",)})
    next(batches(shards))
    began = time.process_time()
    result = scan(batches(shards), keys)
    return {"seconds": time.process_time() - began, "megabytes": peak_megabytes(), "rows": result.rows_read}


def ours_with_duplicates(shards: list[Shard], people: list[str], folder: Path) -> float:
    keys = {name: (name,) for name in people}
    scan_shard([pa.record_batch({"url": ["u"], "text": ["warm"]})], {"warm": ("warm",)}, folder / "warm_up.parquet")
    began = time.process_time()
    for shard in shards:
        scan_shard(caption_batches(shard), keys, folder / f"mentions-{shard.key}")
    return time.process_time() - began


def bare_decode(shards: list[Shard]) -> float:
    """Return the seconds that pyarrow takes to decode the same columns, batch by batch, in one thread."""
    next(_decoded(shards))
    began = time.process_time()
    for _ in _decoded(shards):
        pass
    return time.process_time() - began


def _decoded(shards: list[Shard]) -> Iterator[pa.RecordBatch]:
    for shard in shards:
        yield from pq.ParquetFile(shard.url).iter_batches(65_536, columns=["URL", "TEXT"], use_threads=False)


def aho_corasick(texts: list[str], people: list[str]) -> tuple[float, dict[str, int]]:
    import ahocorasick

    automaton = ahocorasick.Automaton()
    spelled: dict[str, list[int]] = {}
    for number, name in enumerate(people):
        spelled.setdefault(f" {' '.join(tokens(name))} ", []).append(number)
    for spelling, numbers in spelled.items():
        automaton.add_word(spelling, numbers)
    automaton.make_automaton()
    counts = [0] * len(people)
    began = time.process_time()
    for text in texts:
        for number in {n for _, numbers in automaton.iter(f" {' '.join(tokens(text))} ") for n in numbers}:
            counts[number] += 1
    seconds = time.process_time() - began
    return seconds, {name: count for name, count in zip(people, counts, strict=True) if count}


def duckdb_join(texts: list[str], people: list[str]) -> tuple[float, dict[str, int]]:
    """Split normalised text into n-grams of up to four tokens, and join them with the names."""
    import duckdb

    began = time.process_time()
    captions_table = pa.table({"row": pa.arange(0, len(texts)), "text": [" ".join(tokens(text)) for text in texts]})
    names_table = pa.table({"name": people, "spelling": [" ".join(tokens(name)) for name in people]})
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.register("captions", captions_table)
        connection.register("names", names_table)
        found = connection.execute(N_GRAM_JOIN, [max(len(tokens(name)) for name in people)]).fetchall()
    return time.process_time() - began, dict(found)


def pandas_contains(texts: list[str], people: list[str]) -> float:
    """Return the seconds for one name, measured on 20 names."""
    series = pd.Series(texts).str.lower()
    began = time.process_time()
    for name in people[:20]:
        series.str.contains(rf"\b{re.escape(name.lower())}\b", regex=True).sum()
    return (time.process_time() - began) / 20


N_GRAM_JOIN = """
WITH split AS (SELECT row, string_split(text, ' ') AS words FROM captions),
sizes AS (SELECT unnest(range(1, ? + 1)) AS n),
places AS (SELECT row, words, n, unnest(range(1, len(words) - n + 2)) AS i FROM split, sizes),
grams AS (SELECT DISTINCT row, array_to_string(words[i : i + n - 1], ' ') AS spelling FROM places)
SELECT name, count(*) FROM grams JOIN names USING (spelling) GROUP BY name
"""


def measure(folder: Path, sizes: list[int], counts: list[int], sample: int, reference: int, repeats: int) -> Results:
    results = Results("roster", "rows/s of one core, or as said")
    for count in counts:
        people = names(count)
        shards = written(folder / str(max(sizes)), max(sizes), people)
        label = f"{count:,} names"
        runs = {}
        for size in sizes:
            used = written(folder / str(size), size, people)
            turns = [
                (in_its_own_process(ours, used, people), in_its_own_process(bare_decode, used)) for _ in range(repeats)
            ]
            runs[size] = min((own for own, _ in turns), key=lambda run: run["seconds"])
            runs[size]["megabytes"] = max(own["megabytes"] for own, _ in turns)
            decode = min(peer for _, peer in turns)
            rows = runs[size]["rows"]
            rate = rows / runs[size]["seconds"]
            rates(results, f"scan against pyarrow's bare decode, {rows:,.0f} rows, {label}", rate, rows / decode, 0.5)
            results.within(f"peak memory in MB, {rows:,.0f} rows, {label}", runs[size]["megabytes"], 500)
        if len(sizes) > 1:
            small, large = runs[min(sizes)]["megabytes"], runs[max(sizes)]["megabytes"]
            results.ratio(f"memory, largest against smallest, {label}", large, small, large / small, 1.05, at_most=True)
        rate = runs[min(sizes)]["rows"] / runs[min(sizes)]["seconds"]
        some = written(folder / str(min(sizes)), min(sizes), people)
        seconds = in_its_own_process(ours_with_duplicates, some, people, folder)
        with_digests = runs[min(sizes)]["rows"] / seconds
        rates(results, f"with digests for duplicates, against without, {label}", with_digests, rate, 0.7, limit=0.5)

        texts = pq.read_table(shards[0].url, columns=["TEXT"])["TEXT"].slice(0, sample).to_pylist()
        head = [pa.record_batch({"text": pa.array(texts, pa.string())})]
        mine = {name: found for name, found in scan(head, {name: (name,) for name in people}).mentions.items() if found}
        for peer, function in (("pyahocorasick", aho_corasick), ("a DuckDB n-gram join", duckdb_join)):
            seconds, theirs = function(texts, people)
            rates(results, f"scan against {peer}, {label}", rate, len(texts) / seconds, 8)
            results.within(f"differences to {peer}, {label}", _differences(mine, theirs), 0.5)
        part = texts[: sample // 4]
        seconds = pandas_contains(part, people) * len(people)
        rates(results, f"scan against pandas str.contains (extrapolated), {label}", rate, len(part) / seconds, 500)

        few = [pa.record_batch({"text": pa.array(texts[:reference], pa.string())})]
        keys = {name: (name,) for name in people}
        same = _differences(scan(few, keys).mentions, scan_reference(few, keys).mentions)
        results.within(f"differences to the plain reference, {reference:,} rows, {label}", same, 0.5)
    if (os.cpu_count() or 1) > 1:
        together = _two_processes(shards, people, repeats)
        rates(results, "two shards on two processes, against one after the other", *together, 1.7)
    return results


def rates(results: Results, metric: str, own: float, peer: float, target: float, *, limit: float | None = None) -> None:
    results.ratio(metric, own, peer, own / peer, target, limit=limit)


def _differences(one: dict[str, int], other: dict[str, int]) -> int:
    return sum(one.get(name, 0) != other.get(name, 0) for name in {*one, *other})


def _two_processes(shards: list[Shard], people: list[str], repeats: int) -> tuple[float, float]:
    """Return (rows/s together, rows/s of one process) on the first two shards, processes warm: the best of some turns.

    A turn lasts half a second, and any other work of the machine in this time slows it.
    """
    two = [([shard], people) for shard in (shards * 2)[:2]]
    together, alone = [], []
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        rows = sum(result["rows"] for result in pool.starmap(ours, two, 1))
        for _ in range(repeats):
            began = time.perf_counter()
            pool.starmap(ours, two, 1)
            together.append(time.perf_counter() - began)
            began = time.perf_counter()
            for one in two:
                pool.apply(ours, one)
            alone.append(time.perf_counter() - began)
    return rows / min(together), rows / min(alone)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[2_000_000, 32_000_000])
    parser.add_argument("--names", type=int, nargs="+", default=[2_000, 20_000])
    parser.add_argument("--sample", type=int, default=100_000, help="captions that the slow peers get")
    parser.add_argument("--reference", type=int, default=300, help="captions compared with the plain reference")
    parser.add_argument("--repeats", type=int, default=3, help="turns of the scan and the bare decode; the best counts")
    parser.add_argument("--folder", type=Path, help="keep the generated captions here (4 GB for 32 M rows)")
    parser.add_argument("--output", type=Path, help="instead of benchmarks/results/roster.json")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        results = measure(folder, chosen.rows, chosen.names, chosen.sample, chosen.reference, chosen.repeats)
    return results.finish(chosen.output)


if __name__ == "__main__":
    sys.exit(main())
