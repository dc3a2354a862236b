"""Measure rank sums, exact tests, permutations and classification beside their peers, and the whole measurement.

    make bench-measurement
    python -m benchmarks.measurement --quick      smaller, for a look; targets still hold or miss

250 artists, each with 10 own distances against 2,490 others. Ours and the peer take turns on one thread, timed by CPU
time; equality is checked in the same run, before speed.

What the peers are:

* asymptotic rank sum: ``scipy.stats.mannwhitneyu(method="asymptotic")``, called for one artist after the other;
* exact rank sum: the same with ``method="exact"``. Both start without a table, which scipy also keeps from one call to the
  next (and extends if an artist is farther away); beside it, without a target, both with their tables at hand;
* permutations: the script that a careful reader of the paper would write. For each random pairing of works and artists,
  for each artist, the mean over the artist's own images of the distances to the work drawn, by a numpy mask; then the mean
  over artists. It is run for some permutations and scaled up. Beside it, without a target, a better numpy loop: the means
  of all pairs once, then one fancy index for each permutation, which leaves little but drawing the permutation;
* classification: the rows of ``identification_trials`` (predicted label, its probability, probability and rank of the
  image's own label) by one SQL statement over tables as published (FLOAT[512]): logits of every image and label, softmax and
  rank by window functions, on a part of the images, scaled up. Beside it, without a target, the fastest SQL that we found,
  without windows. DuckDB computes in float32, ours in float64. A third figure is the bare matrix product in
  float64, of embeddings that were converted before: every method has to compute at least this;
* the whole measurement, at one artist, 250 and 2,500: it has no peer, but design targets of seconds and memory.
"""

import argparse
import os
import sys

# This must come before numpy is loaded, because CPU time counts every thread.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"

from collections.abc import Sequence
from fractions import Fraction
from itertools import permutations as orders
from math import comb
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy import stats

from audit_assets.measurement import exact_rank_sum, matching, zero_shot
from audit_assets.measurement.kernels import permuted_traces
from audit_assets.measurement.own_cell import OwnCells
from audit_assets.measurement.own_cell_companions import pairing
from audit_assets.measurement.vectors import BoolArray, FloatArray, IntArray
from benchmarks.results import Results, seconds
from benchmarks.whole_measurement import apart

ARTISTS, IMAGES = 250, 10


def distances_of_artists(rng: np.random.Generator) -> tuple[FloatArray, IntArray, BoolArray]:
    """Return (artists, images) distances without ties, each image's artist, and each row's own; a third are closer."""
    who = np.repeat(np.arange(ARTISTS), IMAGES)
    distances = rng.random((ARTISTS, ARTISTS * IMAGES))
    own = np.arange(ARTISTS)[:, None] == who
    distances[own & (np.arange(ARTISTS) % 3 == 0)[:, None]] *= 0.3
    return distances, who, own


def seconds_for_all(distances: FloatArray, who: IntArray, some: int = 5, **options: Any) -> float:
    """Return scipy's seconds for every work against every artist, as an audit needs; scaled up from some artists."""

    def peer() -> None:
        for s in range(some):
            stats.mannwhitneyu(distances[:, who == s], distances[:, who != s], axis=1, **options)

    return seconds(peer, repeats=1) * ARTISTS / some


def rank_sums(results: Results, rng: np.random.Generator) -> None:
    distances, who, own = distances_of_artists(rng)
    pairs = [(distances[i, own[i]], distances[i, ~own[i]]) for i in range(ARTISTS)]

    def peer() -> list[float]:
        return [
            float(stats.mannwhitneyu(a, b, use_continuity=False, alternative="two-sided", method="asymptotic").pvalue)
            for a, b in pairs
        ]

    def ours() -> FloatArray:
        return matching.rank_sum_table(
            matching.rank_sums(distances, who, ARTISTS), alternative="two_sided"
        ).ranks.p_value

    results.within(
        "asymptotic: largest difference to scipy's p-values",
        float(np.abs(np.diagonal(ours()) - np.array(peer())).max()),
        1e-12,
    )
    results.faster(
        "asymptotic, 250 works against 250 artists, 10 against 2,490 images: scipy, one artist at a time",
        seconds(ours, repeats=9),
        seconds_for_all(distances, who, use_continuity=False, alternative="two-sided", method="asymptotic"),
        8,
    )


def exact_tests(results: Results, rng: np.random.Generator) -> None:
    distances, who, own = distances_of_artists(rng)

    def warm() -> FloatArray:
        ranked = matching.rank_sums(distances, who, ARTISTS)
        return exact_rank_sum.rank_sum_exact_table(ranked, alternative="closer").ranks.p_value

    def cold() -> FloatArray:
        exact_rank_sum.mann_whitney_counts.cache_clear()
        exact_rank_sum._cumulative.cache_clear()
        return warm()

    def peer() -> list[float]:
        return [
            float(
                stats.mannwhitneyu(
                    distances[i, own[i]], distances[i, ~own[i]], alternative="less", method="exact"
                ).pvalue
            )
            for i in range(ARTISTS)
        ]

    # This is the first run of this process: scipy has no table yet.
    peer_cold = seconds_for_all(distances, who, alternative="less", method="exact")
    p = np.diagonal(cold())
    results.within("exact: largest difference to scipy's p-values", float(np.abs(p - np.array(peer())).max()), 1e-12)
    counts = exact_rank_sum.mann_whitney_counts(IMAGES, (ARTISTS - 1) * IMAGES)
    total = comb(ARTISTS * IMAGES, IMAGES)
    u = [int((distances[i, own[i]][:, None] > distances[i, ~own[i]]).sum()) for i in range(ARTISTS)]
    lower = [i for i in range(ARTISTS) if u[i] < len(counts)]
    big = np.array([float(Fraction(sum(counts[: u[i] + 1]), total)) for i in lower])
    apart = float(np.abs(p[lower] / big - 1).max())
    results.within(f"exact: largest relative difference to big integers, {len(lower)} artists", apart, 1e-12)
    results.faster(
        "exact, 250 works against 250 artists, no table beforehand: scipy, one artist at a time",
        seconds(cold),
        peer_cold,
        50,
    )
    results.reported(
        "exact, 250 works against 250 artists, tables at hand: scipy, one artist at a time",
        seconds(warm),
        seconds_for_all(distances, who, alternative="less", method="exact"),
    )


def permutation_tests(results: Results, rng: np.random.Generator, permutations: int, some: int) -> None:
    distances, who, own = distances_of_artists(rng)
    similarity = np.stack([1 - distances[:, who == s].mean(axis=1) for s in range(ARTISTS)], axis=1)
    permuted_traces(similarity, 10, 1)

    def ours() -> FloatArray:
        return permuted_traces(similarity, permutations, 1)

    def plain_script() -> list[float]:
        found = []
        for _ in range(some):
            drawn = rng.permutation(ARTISTS)
            found.append(float(np.mean([1 - distances[drawn[s], own[s]].mean() for s in range(ARTISTS)])))
        return found

    def better_loop() -> list[float]:
        every = np.arange(ARTISTS)
        return [float(similarity[rng.permutation(ARTISTS), every].sum()) for _ in range(50 * some)]

    # Compare the null distribution with its exact mean and variance (Hoeffding 1951), and p with all 9! pairings.
    null = ours()
    centred = similarity - similarity.mean(axis=1, keepdims=True) - similarity.mean(axis=0) + similarity.mean()
    mean, deviation = similarity.sum() / ARTISTS, np.sqrt((centred**2).sum() / (ARTISTS - 1))
    results.within(
        "permutations, 250 artists: mean of the null, standard errors from exact",
        float(abs(null.mean() - mean) / deviation * np.sqrt(permutations)),
        3,
    )
    results.within(
        "permutations, 250 artists: deviation of the null over exact, less 1",
        float(abs(null.std() / deviation - 1)),
        0.01,
    )
    nine = rng.normal(size=(9, 9)) + 0.5 * np.eye(9)
    sums = nine[np.array(list(orders(range(9)))), np.arange(9)].sum(axis=1)
    exact = float(np.mean(sums >= np.trace(nine) - 1e-9))
    found = pairing(nine, OwnCells(np.arange(9), np.arange(9), ("",) * 9), permutations=permutations, rng=rng)
    error = np.sqrt(exact * (1 - exact) / permutations)
    results.within(
        "permutations, 9 artists: p-value, standard errors from all 362,880 pairings",
        abs(found.p_value - exact) / error,
        3,
    )
    taken = seconds(ours)
    results.faster(
        f"{permutations:,} permutations x 250: numpy loop over permutations and artists",
        taken,
        seconds(plain_script, repeats=1) * permutations / some,
        500,
    )
    results.reported(
        f"{permutations:,} permutations x 250: numpy loop over permutations, pairs computed once",
        taken,
        seconds(better_loop, repeats=1) * permutations / (50 * some),
    )


WINDOWS = """
WITH logits AS (
  SELECT i.row, i.own, l.label, 100 * array_inner_product(i.embedding, l.embedding)::DOUBLE AS logit
  FROM images i CROSS JOIN labels l),
classified AS (
  SELECT row, own, label, rank() OVER (PARTITION BY row ORDER BY logit DESC) AS place,
         exp(logit - max(logit) OVER w) / sum(exp(logit)) OVER w * exp(max(logit) OVER w) AS probability
  FROM logits WINDOW w AS (PARTITION BY row))
SELECT row, arg_max(label, probability) AS label, max(probability) AS probability,
       max(probability) FILTER (label = own) AS of_subject, max(place) FILTER (label = own) AS place
FROM classified GROUP BY row ORDER BY row
"""
AGGREGATES = """
WITH logits AS (
  SELECT i.row, i.own, l.label, 100 * array_inner_product(i.embedding, l.embedding)::DOUBLE AS logit
  FROM images i CROSS JOIN labels l),
mine AS (
  SELECT i.row, 100 * array_inner_product(i.embedding, l.embedding)::DOUBLE AS mine
  FROM images i JOIN labels l ON l.label = i.own)
SELECT row, arg_max(label, logit) AS label, exp(max(logit)) / sum(exp(logit)) AS probability,
       exp(any_value(mine)) / sum(exp(logit)) AS of_subject, count_if(logit >= mine) AS place
FROM logits JOIN mine USING (row) GROUP BY row ORDER BY row
"""


def arrow_vectors(rows: npt.NDArray[np.float32]) -> pa.FixedSizeListArray:
    return pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), rows.shape[1])


def classification(results: Results, rng: np.random.Generator, images: int, some: int) -> None:
    labels, dimension = 73, 512
    vectors = rng.normal(size=(images, dimension)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    names = rng.normal(size=(labels, dimension)).astype(np.float32)
    names /= np.linalg.norm(names, axis=1, keepdims=True)
    own = rng.integers(0, labels, images)
    converted, label_rows = vectors.astype(np.float64), names.astype(np.float64)

    def ours() -> zero_shot.Trials:
        return zero_shot.identify(zero_shot.class_probabilities(vectors, names, 100.0), own)

    with duckdb.connect(config={"threads": 1}) as connection:
        head = vectors[:some]
        connection.register(
            "i", pa.table({"row": np.arange(some), "own": own[:some], "embedding": arrow_vectors(head)})
        )
        connection.register("l", pa.table({"label": np.arange(labels), "embedding": arrow_vectors(names)}))
        connection.execute("CREATE TABLE images AS SELECT row, own, embedding::FLOAT[512] AS embedding FROM i")
        connection.execute("CREATE TABLE labels AS SELECT label, embedding::FLOAT[512] AS embedding FROM l")
        found = connection.execute(WINDOWS).fetchnumpy()
        windows = seconds(lambda: connection.execute(WINDOWS).fetchnumpy(), repeats=5) * images / some
        aggregates = seconds(lambda: connection.execute(AGGREGATES).fetchnumpy(), repeats=5) * images / some
    trials = ours()
    # Float32 may swap two labels that lie within its rounding; a twentieth of a per cent of images is far more than that.
    different = float((found["label"] != trials.predicted[:some]).mean())
    results.within("classification: share of labels that differ from DuckDB's", different, 0.0005)
    apart = float(np.abs(found["of_subject"] - trials.probability_of_subject[:some]).max())
    results.within("classification: largest difference of probabilities to DuckDB's (float32)", apart, 1e-4)
    turns = [(seconds(ours, repeats=1), seconds(lambda: converted @ label_rows.T, repeats=1)) for _ in range(7)]
    taken, product = min(mine for mine, _ in turns), min(peer for _, peer in turns)
    results.faster(f"classification, {images:,} images x {labels} labels: DuckDB SQL", taken, windows, 25)
    results.reported(f"classification, {images:,} x {labels}: the fastest DuckDB SQL we found", taken, aggregates)
    results.faster(f"classification, {images:,} x {labels}: the bare matrix product, float64", taken, product, 0.6)


SIZES: Sequence[tuple[int, int, int, dict[str, float]]] = (
    (1, 20, 10, {"all": 2.0}),
    (250, 250, 5, {"all": 3.0}),
    (2500, 0, 6, {"identification": 10.0, "matching": 15.0}),
)
"""Artists, background and works per artist, with the most CPU seconds of a step, of all steps, or of all steps of matching."""

MOST_MEGABYTES = 1000.0
"""Beyond the embeddings, at 2,500 artists."""


def whole_measurements(results: Results, *, quick: bool) -> None:
    """Run all steps of one version and encoder beside the design targets, each size in its own process."""
    for artists, background, works, most in SIZES[:2] if quick else SIZES:
        taken = apart(artists, background, works)
        what = f"{artists:,} artist{'s' if artists > 1 else ''} x 10 images, 199 names, {artists + background:,} x {works} works"
        steps = {name: value for name, value in taken.items() if not name.endswith("MB")}
        sums = steps | {
            "all": sum(steps.values()),
            "matching": sum(value for name, value in steps.items() if name not in {"identification", "verdicts", "paper's mode"})
            - steps["confusable artists"],
        }  # fmt: skip
        for step, limit in most.items():
            results.within(f"{what}: {step}, CPU s", sums[step], limit)
        for step, value in steps.items():
            if step not in most:
                results.reported(f"{what}: {step}{' tests' if step == 'matching' else ''}, CPU s", value)
        peak = max(value for name, value in taken.items() if name.endswith("MB"))
        if "matching" in most:
            results.within(f"{what}: peak memory beyond the embeddings, MB", peak, MOST_MEGABYTES)
        else:
            results.reported(f"{what}: peak memory beyond the embeddings, MB", peak)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the images and permutations")
    quick = parser.parse_args().quick
    rng = np.random.default_rng(2023)
    results = Results("measurement", "CPU seconds, one thread, unless the line says otherwise")
    rank_sums(results, rng)
    exact_tests(results, rng)
    permutation_tests(results, rng, 10_000 if quick else 100_000, some=50 if quick else 300)
    classification(results, rng, images=10_000 if quick else 100_000, some=500 if quick else 2_000)
    whole_measurements(results, quick=quick)
    return results.finish()


if __name__ == "__main__":
    sys.exit(main())
