"""Time the measurement of one model version and encoder from embeddings to verdicts, at 1, 250 and 2,500 artists.

    python -m benchmarks.whole_measurement 250

Each size runs in its own process, timed by CPU, with its peak memory beyond that of the imports and the embeddings. The
functions are those that the results call: identification among own and joint labels, beside control names and in
intervals; matching by the own cell, its companions, re-assigned works and the pairing test; near copies; the perfect
imitator; answers and verdicts. The paper's mode (rank sums with 1,000 re-assignments, AUC) is a separate step, up to
250 artists.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from audit_assets.measurement import exact_rank_sum, identification, intervals, matching
from audit_assets.measurement.answers import (
    NO,
    UNTESTED,
    YES,
    Answers,
    Finding,
    answers_table,
    from_matching,
    from_names,
)
from audit_assets.measurement.artist_intervals import gap_of_artists
from audit_assets.measurement.classification import Classified, Competition, classify
from audit_assets.measurement.confusable import confusable
from audit_assets.measurement.discoveries import filtered_bh, true_discoveries
from audit_assets.measurement.effect_sizes import auc_intervals
from audit_assets.measurement.name_controls import beside_names
from audit_assets.measurement.near_copies import near_copies, weights_of
from audit_assets.measurement.own_cell import OwnCells, own_cell_in_strata, own_cells
from audit_assets.measurement.own_cell_companions import name_test, own_rank, pairing
from audit_assets.measurement.perfect_imitator import halves, perfect_imitator
from audit_assets.measurement.similarities import similarities
from audit_assets.measurement.vectors import IntArray
from benchmarks.growth import peak_megabytes

DIMENSION, IMAGES, NAMES, DEFAULTS = 512, 10, 199, 3
PERMUTATIONS, REASSIGNED = 10_000, 3


@dataclass(frozen=True)
class Embedded:
    """Embeddings of an audit in float32, as stored.

    Artists come first; then background in ``works``, and control names in ``images``.
    """

    artists: int
    background: int
    works: np.ndarray
    artist: IntArray
    images: np.ndarray
    name: IntArray
    labels: np.ndarray


def embedded(artists: int, background: int, works_each: int) -> Embedded:
    """Make the embeddings of an audit in which a third of the artists are imitated."""
    rng = np.random.default_rng(2023)
    pool, columns = artists + background, artists + NAMES
    hands = rng.normal(size=(pool, DIMENSION)).astype(np.float32)
    centres = rng.normal(size=(columns, DIMENSION)).astype(np.float32)
    third = np.arange(0, artists, 3)
    centres[third] = 0.8 * hands[third] + 0.6 * centres[third]
    names = rng.normal(size=(columns + DEFAULTS, DIMENSION)).astype(np.float32)
    names[third] = 0.5 * centres[third] + names[third]
    artist, name = np.repeat(np.arange(pool), works_each), np.repeat(np.arange(columns), IMAGES)
    return Embedded(
        artists, background, _near(rng, hands, artist), artist, _near(rng, centres, name), name, _unit(names)
    )


def _near(rng: np.random.Generator, centres: np.ndarray, whose: IntArray) -> np.ndarray:
    return _unit(0.7 * centres[whose] + rng.normal(size=(len(whose), DIMENSION)).astype(np.float32))


def _unit(rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def identified(audit: Embedded) -> pd.DataFrame:
    """Make image-level rows of both label sets, aggregates and intervals, and compare artists with control names."""
    columns = audit.artists + NAMES
    defaults = np.arange(columns, columns + DEFAULTS)
    of_artists = np.flatnonzero(audit.name < audit.artists)
    sets = {
        "criteria": Competition(of_artists, np.append(np.arange(audit.artists), defaults), audit.name[of_artists]),
        "joint": Competition(np.arange(len(audit.name)), np.arange(columns + DEFAULTS), audit.name),
    }
    found = classify(audit.images, audit.labels, sets, logit_scale=100.0)
    subjects = [f"artist-{i:05}" for i in range(audit.artists)] + [f"name-{i:05}" for i in range(NAMES)]
    tables = [_rows(found[name], one, name, audit, subjects) for name, one in sets.items()]
    trials = pd.concat(tables, ignore_index=True)
    by_subject = identification.by_subject(trials)
    shares = pd.DataFrame({"subject": subjects, "shares_name_parts": pd.array([False] * columns, dtype="boolean")})
    identification.summary(
        trials, by_subject, shares, labels={"criteria": audit.artists + DEFAULTS, "joint": columns + DEFAULTS}
    )
    joint = by_subject[by_subject["label_set"] == "joint"].set_index("subject").loc[subjects]
    counts = pd.DataFrame({"shown": joint["images"], "identified": joint["correct"]}).reset_index()
    counts = counts.assign(
        margin=np.bincount(audit.name, weights=found["joint"].margin) / IMAGES, locale=None, script="Latin",
        labels=columns + DEFAULTS, label_kind="joint", stratum="script Latin",
    )  # fmt: skip
    artists, names = counts.iloc[: audit.artists], counts.iloc[audit.artists :]
    if audit.artists > 1:
        both = [(t["identified"].to_numpy(), t["shown"].to_numpy()) for t in (artists, names)]
        gap_of_artists(*both[0], *both[1])
        intervals.wilson_clustered(*both[0])
        intervals.intra_subject_correlation(found["criteria"].trials.correct.astype(float), audit.name[of_artists])
    return beside_names(artists, names.drop(columns="stratum"))


def _rows(one: Classified, competition: Competition, name: str, audit: Embedded, subjects: list[str]) -> pd.DataFrame:
    images = np.asarray(competition.images)
    who = audit.name[images]
    labels = [*subjects, "default:a", "default:b", "default:c"]
    return identification.trials_table(
        one.trials, margin=one.margin, calibrated_probability_of_subject=one.calibrated_probability_of_subject,
        protocol="p", model_version="m", encoder="e", label_set=name, labels=[labels[i] for i in np.asarray(competition.labels)],
        subject=[subjects[i] for i in who], kind=np.where(who < audit.artists, "artist", "random_name").tolist(),
        template=np.zeros(len(who), dtype=int), label_template=np.zeros(len(who), dtype=int), trial=images % IMAGES,
    )  # fmt: skip


class Matching:
    """Run matching in steps that are timed one by one."""

    def __init__(self, audit: Embedded) -> None:
        self.audit, self.who = audit, np.arange(audit.artists)
        self.pool, self.columns = audit.artists + audit.background, audit.artists + NAMES
        self.weights = np.ones(len(audit.works))
        self.stratum = np.zeros(self.columns, dtype=np.int64)

    def copies(self) -> None:
        audit = self.audit
        total = audit.works.sum(axis=0, dtype=np.float64) + audit.images.sum(axis=0, dtype=np.float64)
        found = near_copies(audit.works, centre=total / (len(audit.works) + len(audit.images)))
        self.weights = weights_of(found, audit.artist)

    def tests(self) -> None:
        audit = self.audit
        self.cells = similarities(
            audit.works, audit.artist, audit.images, audit.name, pool=self.pool, names=self.columns, weights=self.weights
        )  # fmt: skip
        self.own = own_cells(self.cells, self.who, self.who)
        similarity, lengths = self.cells.similarity, self.cells.lengths()
        self.test = own_cell_in_strata(similarity, lengths, self.own, self.stratum)
        name_test(similarity, lengths, self.own, np.arange(audit.artists, self.columns))
        own_rank(similarity, lengths, self.own)
        rng = np.random.default_rng(0)
        for _ in range(REASSIGNED if audit.artists > 1 else 0):
            moved = OwnCells(
                np.roll(self.own.rows, int(rng.integers(1, audit.artists))), self.own.columns, self.own.missing
            )
            own_cell_in_strata(similarity, lengths, moved, self.stratum)
        pairing(similarity, self.own, permutations=PERMUTATIONS, rng=rng)

    def imitators(self) -> None:
        audit = self.audit
        split = halves(audit.artist, self.who, images=IMAGES, seed=0, weights=self.weights)
        self.perfect = perfect_imitator(self.cells, self.own, audit.works, split, needed_p=0.05, stratum=self.stratum)

    def confusables(self) -> None:
        confusable(self.audit.works, self.audit.artist, pool=self.pool, artists=self.who)


def paper_mode(audit: Embedded) -> None:
    """Run the paper's and the exact test, two-sided and one-sided, re-assigned 1,000 times, and AUC with intervals."""
    rng, n = np.random.default_rng(1), audit.artists
    own = audit.artist < n
    works, artist = audit.works[own], audit.artist[own]
    shown = audit.name < n
    images, name = audit.images[shown], audit.name[shown]
    first = works[np.searchsorted(artist, np.arange(n))]
    distances = matching.cosine_distances(works, images)
    mean = np.add.reduceat(distances, np.searchsorted(artist, np.arange(n)), axis=0) / np.bincount(artist)[:, None]
    by_first = matching.rank_sums(matching.cosine_distances(first, images), name, n)
    by_mean = matching.rank_sums(mean, name, n)
    alternatives: tuple[matching.Alternative, ...] = ("two_sided", "closer")
    for alternative in alternatives:
        paper = matching.rank_sum_table(by_first, alternative=alternative)
        exact = exact_rank_sum.rank_sum_exact_table(by_mean, alternative=alternative)
        for table in (paper, exact):
            matching.paper_test(table, alpha=0.05)
            matching.reassigned(table, assignments=1000, rng=rng, fixed_points=True)
    auc_intervals(distances, artist, name, subjects=n)


def verdicts(beside: pd.DataFrame, found: Matching) -> pd.DataFrame:
    """Make three answers and a verdict per artist, and the least number of imitated artists."""
    p, passed = found.test.p_value, (beside["answer"] == YES).to_numpy()
    filtered = filtered_bh(p, passed)
    true_discoveries(p, passed=passed)
    answers = []
    for i in range(len(p)):
        towards = from_matching(
            p=p[i], q=filtered.q_value[i], smallest_p=found.test.p_floor[i], reason=found.test.reason[i] or "-", settle="-"
        )  # fmt: skip
        why = found.perfect.reason[i]
        called = float(np.nan_to_num(found.perfect.called[i]))
        seen = Finding(UNTESTED, why, settle=why) if why else Finding(YES if called > 0.5 else NO, "-", called)
        answers.append(Answers(from_names(beside.iloc[i]), towards, seen))
    return answers_table(answers)


def measured(artists: int, background: int, works_each: int) -> dict[str, float]:
    """Return the CPU seconds per step, and the megabytes beyond the embeddings."""
    audit = embedded(artists, background, works_each)
    steps_of = Matching(audit)
    pairing(
        np.eye(3), OwnCells(np.arange(3), np.arange(3), ("",) * 3), permutations=9, rng=np.random.default_rng(0)
    )  # compiles
    before, taken = peak_megabytes(), {}
    beside: list[pd.DataFrame] = []
    steps: dict[str, Callable[[], object]] = {
        "identification": lambda: beside.append(identified(audit)),
        "near copies": steps_of.copies,
        "matching": steps_of.tests,
        "perfect imitator": steps_of.imitators,
        "confusable artists": steps_of.confusables,
        "verdicts": lambda: verdicts(beside[0], steps_of),
    }
    if 1 < artists <= 250:
        steps["paper's mode"] = lambda: paper_mode(audit)
    for name, step in steps.items():
        began = time.process_time()
        step()
        taken[name] = time.process_time() - began
        taken[f"{name}, MB"] = peak_megabytes() - before
    return taken


def apart(artists: int, background: int, works_each: int) -> dict[str, float]:
    """Run ``measured`` in its own process, on one thread."""
    command = [sys.executable, "-m", "benchmarks.whole_measurement", str(artists), str(background), str(works_each)]
    alone = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, cwd=Path(__file__).parent.parent, env=alone
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artists", type=int)
    parser.add_argument("background", type=int, nargs="?", default=0)
    parser.add_argument("works", type=int, nargs="?", default=6)
    chosen = parser.parse_args()
    print(json.dumps(measured(chosen.artists, chosen.background, chosen.works)))
