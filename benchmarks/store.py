"""The store beside what one would write first: rows into the published database, and a partition's file out of the warehouse.

    python -m benchmarks.store
    python -m benchmarks.store --rows 5000 --some 500      smaller

The rows are those of `imitation_embeddings`: keys and a vector of 512. Ours publishes a whole database (schema, file,
rename); the peers insert the same rows into the same table of a file of their own: `executemany` with lists as parameters (on a
part of the rows, scaled up), and DuckDB's scan of a pandas frame that holds arrays, as `INSERT INTO ... SELECT * FROM frame`.
Bit-exact: every float comes back with the bits that it went in with.
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

from audit_assets.warehouse.publish import publish, schema
from audit_assets.warehouse.store import Warehouse, vectors
from benchmarks.results import Results

DIMENSION, TABLE = 512, "imitation_embeddings_e"


def embeddings(rows: int) -> pd.DataFrame:
    """Unit vectors, among them denormal numbers and both zeros, which a detour through text would lose."""
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


def timed(run: Callable[[], object], repeats: int = 3) -> float:
    """Seconds by the clock of the fastest run: DuckDB writes in threads."""
    taken = []
    for _ in range(repeats):
        began = time.perf_counter()
        run()
        taken.append(time.perf_counter() - began)
    return min(taken)


def ours(folder: Path, frame: pd.DataFrame) -> None:
    publish(folder / "ours.duckdb", {TABLE: frame}, {"e": DIMENSION})


def by_hand(
    folder: Path, frame: pd.DataFrame, insert: Callable[[duckdb.DuckDBPyConnection, pd.DataFrame], None]
) -> None:
    (folder / "peer.duckdb").unlink(missing_ok=True)
    with duckdb.connect(str(folder / "peer.duckdb")) as connection:
        connection.execute(schema({"e": DIMENSION}))
        insert(connection, frame)


def one_by_one(connection: duckdb.DuckDBPyConnection, frame: pd.DataFrame) -> None:
    columns = ", ".join(frame.columns)
    rows = [[*row[:-1], row[-1].tolist()] for row in frame.itertuples(index=False, name=None)]
    marks = ", ".join("?" * len(frame.columns))
    connection.executemany(f"INSERT INTO {TABLE} ({columns}) VALUES ({marks})", rows)  # noqa: S608 - our own names


def from_pandas(connection: duckdb.DuckDBPyConnection, frame: pd.DataFrame) -> None:
    columns = ", ".join(frame.columns)
    connection.register("frame", frame)
    connection.execute(f"INSERT INTO {TABLE} ({columns}) SELECT {columns} FROM frame")  # noqa: S608 - our own names


def differing_bits(frame: pd.DataFrame, stored: pd.DataFrame) -> int:
    """How many floats came back with other bits."""
    one, other = (vectors(f["embedding"]).view(np.uint32) for f in (frame, stored))
    return int((one != other).sum())


def measure(results: Results, folder: Path, rows: int, some: int) -> None:
    frame = embeddings(rows)
    ours(folder, frame)
    with duckdb.connect(str(folder / "ours.duckdb"), read_only=True) as connection:
        stored = connection.execute(f"SELECT * FROM {TABLE} ORDER BY subject, trial").df()  # noqa: S608 - our own name
    results.within("floats that come back from the database with other bits", differing_bits(frame, stored), 0.5)
    warehouse = Warehouse(folder / "warehouse")
    warehouse.write("cell", frame, "inputs")
    results.within(
        "floats that come back from a file with other bits", differing_bits(frame, warehouse.read("cell")), 0.5
    )
    taken = timed(lambda: ours(folder, frame))
    part = frame.head(some)
    slow = timed(lambda: by_hand(folder, part, one_by_one), 1) * rows / some
    results.faster(f"{rows:,} embeddings of {DIMENSION}: executemany (scaled up from {some:,})", taken, slow, 20)
    results.faster(
        f"{rows:,} embeddings of {DIMENSION}: pandas insert",
        taken,
        timed(lambda: by_hand(folder, frame, from_pandas)),
        2,
    )
    results.reported("MB/s of vectors into the database", rows * DIMENSION * 4 / 1e6 / taken)

    def ten_cells() -> None:
        for n in range(10):
            warehouse.write(f"cells/{n}", frame.head(10), "inputs")

    results.reported("ms for a cell's file of ten embeddings", 100 * timed(ten_cells))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=25_000)
    parser.add_argument("--some", type=int, default=1_000, help="rows that executemany gets")
    parser.add_argument("--output", type=Path, help="instead of benchmarks/results/store.json")
    chosen = parser.parse_args()
    results = Results("store", "seconds, or as said")
    with tempfile.TemporaryDirectory() as temporary:
        measure(results, Path(temporary), chosen.rows, chosen.some)
    return results.finish(chosen.output)


if __name__ == "__main__":
    sys.exit(main())
