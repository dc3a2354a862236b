"""Measure the store beside simple code: rows into the published database, a partition's file out of the warehouse.

    python -m benchmarks.store
    python -m benchmarks.store --rows 5000 --some 500 --blocks 2      smaller

The rows are those of `imitation_embeddings`: keys and a vector of 512. Each method inserts them into the same table of
its own file, in one thread, timed by CPU. Ours inserts through Arrow. One peer uses `executemany` with lists as
parameters (on a part of the rows, scaled up). The other uses DuckDB's scan of a pandas frame that holds arrays, as
`INSERT INTO ... SELECT * FROM frame`. The whole publication (schema, checkpoint, rename) is reported without a target:
DuckDB's writing of the file takes most of it, and so it is the same for all. The store is bit-exact: every float comes
back with the bits that were written.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from audit_assets.warehouse.database import STORAGE_VERSION, _insert, publish, schema
from audit_assets.warehouse.store import Warehouse, vectors
from benchmarks.results import Results, seconds

DIMENSION, TABLE = 512, "imitation_embeddings_e"


def embeddings(rows: int) -> pd.DataFrame:
    """Make unit vectors with denormal numbers and both zeros, which a conversion to text would lose."""
    drawn = np.random.default_rng(1).normal(size=(rows, DIMENSION)).astype(np.float32)
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    drawn[0, :3] = [1e-42, -0.0, 0.0]
    return pd.DataFrame(
        {
            "model_version": "m",
            "subject": [f"artist-{n // 10:05}" for n in range(rows)],
            "template": 0,
            "trial": np.arange(rows) % 10,
            "embedding": list(drawn),
        }
    )


Insert = Callable[[duckdb.DuckDBPyConnection, pd.DataFrame], None]


def inserted(folder: Path, frame: pd.DataFrame, insert: Insert, repeats: int = 5) -> tuple[float, float]:
    """Return CPU seconds of the fastest insertion into an empty table, without and with opening, schema, checkpoint."""
    inserting, whole = [], []
    for _ in range(repeats):
        (folder / "file.duckdb").unlink(missing_ok=True)
        began = time.process_time()
        with duckdb.connect(config={"threads": 1}) as connection:
            connection.execute(f"ATTACH '{folder / 'file.duckdb'}' AS published (STORAGE_VERSION '{STORAGE_VERSION}')")
            connection.execute("USE published")
            connection.execute(schema({"e": DIMENSION}))
            opened = time.process_time()
            insert(connection, frame)
            inserting.append(time.process_time() - opened)
            connection.execute("USE memory")
            connection.execute("DETACH published")
        whole.append(time.process_time() - began)
    return min(inserting), min(whole)


def through_arrow(connection: duckdb.DuckDBPyConnection, frame: pd.DataFrame) -> None:
    _insert(connection, TABLE, frame)


def one_by_one(connection: duckdb.DuckDBPyConnection, frame: pd.DataFrame) -> None:
    columns = ", ".join(frame.columns)
    rows = [[*row[:-1], row[-1].tolist()] for row in frame.itertuples(index=False, name=None)]
    marks = ", ".join("?" * len(frame.columns))
    connection.executemany(f"INSERT INTO {TABLE} ({columns}) VALUES ({marks})", rows)  # noqa: S608 - our own names


def from_pandas(connection: duckdb.DuckDBPyConnection, frame: pd.DataFrame) -> None:
    columns = ", ".join(frame.columns)
    connection.register("frame", frame)
    connection.execute(f"INSERT INTO {TABLE} ({columns}) SELECT {columns} FROM frame")  # noqa: S608 - our own names


def published(folder: Path, block: pd.DataFrame, blocks: int, *, large: bool) -> tuple[float, float]:
    """Publish a block many times, each of another model version. Return CPU seconds, and the MB of all files."""
    folder.mkdir()
    began = time.process_time()
    rows = (block.assign(model_version=f"m{n}") for n in range(blocks))
    publish(folder / "audit.duckdb", {TABLE: rows}, {"e": DIMENSION}, large=large)
    taken = time.process_time() - began
    return taken, sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) / 1e6


def differing_bits(frame: pd.DataFrame, stored: pd.DataFrame) -> int:
    """Count the floats that came back with other bits."""
    one, other = (vectors(f["embedding"]).view(np.uint32) for f in (frame, stored))
    return int((one != other).sum())


def measure(results: Results, folder: Path, rows: int, some: int, blocks: int) -> None:
    frame = embeddings(rows)
    publish(folder / "ours.duckdb", {TABLE: frame}, {"e": DIMENSION})
    with duckdb.connect(str(folder / "ours.duckdb"), read_only=True) as connection:
        stored = connection.execute(f"SELECT * FROM {TABLE} ORDER BY subject, trial").df()  # noqa: S608 - our own name
    results.within("floats that come back from the database with other bits", differing_bits(frame, stored), 0.5)
    warehouse = Warehouse(folder / "warehouse")
    warehouse.write("cell", frame, "inputs")
    results.within(
        "floats that come back from a file with other bits", differing_bits(frame, warehouse.read("cell")), 0.5
    )
    taken, whole = inserted(folder, frame, through_arrow)
    slow, _ = inserted(folder, frame.head(some), one_by_one, 1)
    what = f"{rows:,} embeddings of {DIMENSION}"
    results.faster(f"{what}: executemany (scaled up from {some:,})", taken, slow * rows / some, 20)
    peer, peer_whole = inserted(folder, frame, from_pandas)
    results.faster(f"{what}: pandas insert", taken, peer, 2)
    results.reported(f"{what}: pandas insert, with schema and checkpoint", whole, peer_whole)

    block = frame.head(2_500)
    many = f"{blocks * len(block):,} embeddings of {DIMENSION}, published beside the database"
    inside, beside = (published(folder / name, block, blocks, large=name == "beside") for name in ("inside", "beside"))
    results.reported(f"{many}: in it", beside[0], inside[0])
    results.reported(f"{many}: in it, MB", beside[1], inside[1])

    def ten_cells() -> None:
        for n in range(10):
            warehouse.write(f"cells/{n}", frame.head(10), "inputs")

    results.reported("ms for a cell's file of ten embeddings", 100 * seconds(ten_cells))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=25_000)
    parser.add_argument("--some", type=int, default=1_000, help="rows that executemany gets")
    parser.add_argument("--blocks", type=int, default=400, help="blocks of 2,500 rows that are published: two minutes")
    parser.add_argument("--output", type=Path, help="instead of benchmarks/results/store.json")
    chosen = parser.parse_args()
    results = Results("store", "CPU seconds of one thread, or as said")
    with tempfile.TemporaryDirectory() as temporary:
        measure(results, Path(temporary), chosen.rows, chosen.some, chosen.blocks)
    return results.finish(chosen.output)


if __name__ == "__main__":
    sys.exit(main())
