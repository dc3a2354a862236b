"""Measure how cost grows with artists (10 to 2,500) and model versions (1 to 20).

The benchmark of the roster measures growth with captions.

    python -m benchmarks.growth
    python -m benchmarks.growth --artists 10 100 --models 2 4

Embeddings are simulated (512 dimensions, ten images and five works each, as many random names as artists). The code
that measures real embeddings measures them: experiments 1 and 2 of one model version and encoder, with every test and
control of `paper_2023`. Near copies are looked for among random pictures. Versions are compared pairwise, so 20 versions make 190 pairs. Each size runs in its own
process. The benchmark records its CPU time and its peak memory.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from audit_assets.config import PROTOCOLS, Protocol
from audit_assets.measurement import copy_detection, identification
from audit_assets.measurement.registration import SIDE
from audit_assets.results import comparison
from audit_assets.results.identification import TextSide, identification_trials
from audit_assets.results.matched import Works, of_tables
from audit_assets.results.matching import matching_rows
from audit_assets.warehouse.store import vectors
from benchmarks.results import Results

DIMENSION, IMAGES, WORKS = 512, 10, 5
VERSIONS_OF = 250
"""Artists whose versions are compared."""
COPIES_AMONG = (2_500, 25_000)
"""Images among which near copies are looked for."""


def people(artists: int) -> pd.DataFrame:
    """Make artists of the roster and as many random names, with the columns of `subjects` that measurements read."""
    names = [f"artist-{n:05}" for n in range(artists)] + [f"name-{n:05}" for n in range(artists)]
    kinds = ["artist"] * artists + ["random_name"] * artists
    rosters = [["criteria"] if kind == "artist" else [] for kind in kinds]
    table = pd.DataFrame({"subject": names, "kind": kinds, "rosters": rosters, "shares_name_parts": False})
    return table.assign(name=[f"Name {n}" for n in names], locale="", peers="")


def simulated(subjects: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return (images, works, labels).

    Artists' images resemble their works and names. Images of random names resemble nothing.
    """
    rng, n = np.random.default_rng(7), len(subjects)
    hands = rng.normal(size=(n, DIMENSION)).astype(np.float32)
    pull = np.where(subjects["kind"] == "artist", 0.6, 0.0).astype(np.float32)

    def near(each: int, strength: np.ndarray) -> pd.Series:
        rows = strength[:, None, None] * hands[:, None] + rng.normal(size=(n, each, DIMENSION)).astype(np.float32)
        return pd.Series(list((rows / np.linalg.norm(rows, axis=-1, keepdims=True)).reshape(-1, DIMENSION)))

    def keyed(each: int, number: str) -> pd.DataFrame:
        table = pd.DataFrame({"subject": np.repeat(subjects["subject"], each).tolist(), number: list(range(each)) * n})
        keys = [f"{number} {i}" for i in range(len(table))]
        return table.assign(image_sha256=keys, picture=[bytes(768)] * len(table), copy_of=None)

    images = keyed(IMAGES, "trial").assign(template=0, status="ok", embedding=near(IMAGES, pull))
    artist = (subjects["kind"] == "artist").to_numpy().repeat(WORKS)
    works = keyed(WORKS, "work").assign(embedding=near(WORKS, np.full(n, 1.0, np.float32)))[artist]
    defaults = [f"default:{text}" for text in ("Artwork", "Digital Artwork", "Artwork from the public domain")]
    labels = pd.DataFrame(
        {
            "label": [*subjects["subject"], *defaults],
            "template": 0,
            "embedding": [*near(1, np.full(n, 1.0, np.float32)), *np.eye(3, DIMENSION, dtype=np.float32)],
        }
    )
    return images, works, labels


def one_version(artists: int, protocol: Protocol) -> dict[str, float]:
    """Return the CPU seconds of experiment 1 and of experiment 2."""
    subjects = people(artists)
    images, works, labels = simulated(subjects)
    began = time.process_time()
    trials = identification_trials(
        images, labels, subjects, protocol=protocol, model_version="m", encoder="e", text=TextSide(100.0, 0.0, 1.0)
    )
    identification.by_subject(trials)
    between = time.process_time()
    found = of_tables(works_of(works), images, subjects)
    matching_rows(images, works, subjects, protocol=protocol, model_version="m", encoder="e", found=found)
    return {"identification": between - began, "matching": time.process_time() - between}


def works_of(works: pd.DataFrame) -> Works:
    """Return the simulated works in the form that matching uses."""
    rows = works.assign(series=None).reset_index(drop=True)
    pool = rows["subject"].drop_duplicates().tolist()
    artist = np.asarray(pd.factorize(rows["subject"])[0], dtype=np.int64)
    return Works(rows.drop(columns="embedding"), vectors(rows["embedding"]), pool, artist)


def many_versions(models: int, protocol: Protocol) -> dict[str, float]:
    """Return the CPU seconds of comparing every pair of versions over 250 artists."""
    rng = np.random.default_rng(3)
    versions = [f"model-{n:02}" for n in range(models)]
    names = people(VERSIONS_OF)["subject"][:VERSIONS_OF]
    scored = pd.concat(
        [
            pd.DataFrame(
                {
                    "model_version": version,
                    "encoder": "e",
                    "subject": names,
                    "kind": "artist",
                    "verdict": "imitated",
                    "label_set": "criteria",
                    "images": IMAGES,
                    "correct": rng.integers(0, IMAGES + 1, len(names)),
                    "auc": rng.random(len(names)),
                }
            )
            for version in versions
        ],
        ignore_index=True,
    )
    began = time.process_time()
    compared = comparison.by_subject(scored, versions, protocol=protocol)
    comparison.overall(compared, protocol=protocol)
    comparison.trends(scored, versions, protocol=protocol)
    return {"comparison": time.process_time() - began}


def near_copies(images: int) -> dict[str, float]:
    """Return the CPU seconds of looking for near copies of works among so many images, by random small pictures.

    Works are compared in blocks of this number, so memory does not grow with works, and time grows in proportion to them.
    """
    rng = np.random.default_rng(5)
    made, works = (rng.integers(0, 256, (n, SIDE, SIDE), dtype=np.uint8) for n in (images, copy_detection.WORKS))
    began = time.process_time()
    copy_detection.nearest_pictures(made, works)
    return {"copies": time.process_time() - began}


def peak_megabytes() -> float:
    return int(re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[0]) / 1024


def apart(what: str, size: int) -> dict[str, float]:
    """Measure one size in its own process."""
    command = [sys.executable, "-m", "benchmarks.growth", "--one", what, str(size)]
    # CPU time counts every thread, and numpy reads these variables when it is loaded.
    alone = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, cwd=Path(__file__).parent.parent, env=alone
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(results: Results, artists: list[int], models: list[int]) -> None:
    base = apart("artists", 2)
    taken = {n: apart("artists", n) for n in artists}
    for n, found in taken.items():
        for experiment in ("identification", "matching"):
            results.reported(f"{n:,} artists, {experiment} of a version and encoder, CPU s", found[experiment])
        results.reported(f"{n:,} artists, peak memory beyond that of two, MB", found["megabytes"] - base["megabytes"])
    base = apart("copies", copy_detection.IMAGES)
    for n in COPIES_AMONG:
        found = apart("copies", n)
        works = f"{n:,} images and {copy_detection.WORKS} works, near copies by small pictures"
        results.reported(f"{works}, CPU s", found["copies"])
        results.reported(
            f"{works}, memory at most beyond that of {copy_detection.IMAGES} images, MB",
            found["megabytes"] - base["megabytes"],
        )
    for n in models:
        results.reported(
            f"{n} versions of {VERSIONS_OF} artists compared pairwise, CPU s", apart("models", n)["comparison"]
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--artists", type=int, nargs="+", default=[10, 250, 2500])
    parser.add_argument("--models", type=int, nargs="+", default=[1, 2, 5, 20])
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, help="instead of benchmarks/results/growth.json")
    chosen = parser.parse_args()
    protocol = Protocol.model_validate(yaml.safe_load((PROTOCOLS / "paper_2023.yaml").read_text(encoding="utf-8")))
    if chosen.one:
        what, size = chosen.one[0], int(chosen.one[1])
        if what == "copies":
            found = near_copies(size)
        else:
            found = (one_version if what == "artists" else many_versions)(size, protocol)
        print(json.dumps(found | {"megabytes": peak_megabytes()}))
        return 0
    results = Results("growth", "as each line says")
    measure(results, chosen.artists, chosen.models)
    return results.finish(chosen.output)


if __name__ == "__main__":
    sys.exit(main())
