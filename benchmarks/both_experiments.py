"""Draw audits in which the two experiments, or the two groups of a comparison, are not as simple as their names say.

Identification and matching look at the same images, a name may bring a genre about, and a movement common to all artists may be
larger in one group than in another. Each study measures what a rule does then.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from audit_assets.measurement.discoveries import filtered_bh, true_discoveries
from audit_assets.measurement.multiplicity import benjamini_hochberg
from audit_assets.measurement.name_controls import beside_names
from audit_assets.measurement.own_cell import own_cell, own_cells
from audit_assets.measurement.own_cell_companions import own_rank
from audit_assets.measurement.similarities import similarities
from audit_assets.measurement.vectors import BoolArray, FloatArray
from audit_assets.measurement.versions import difference_in_differences, log_odds_differences, moved
from benchmarks.studies import ALPHA, Row, Study, mean, repeated, unit

ARTISTS, OTHERS, NAMES, EACH, DIMENSION = 70, 46, 199, 10, 48
NEARNESS = (0.0, 0.5, 0.8)


def both_answers(
    imitated: int, nearness: float, rng: np.random.Generator, effect: float = 0.8
) -> tuple[BoolArray, FloatArray]:
    """Return who passes identification, and p of matching, of 70 artists whose labels have this cosine to their hands."""
    pool, columns = ARTISTS + OTHERS, ARTISTS + NAMES
    hands, centres, labels = (rng.normal(size=(n, DIMENSION)) for n in (pool, columns, columns + 3))
    centres[:imitated] = effect * hands[:imitated] + np.sqrt(1 - effect**2) * centres[:imitated]
    labels[:ARTISTS] = nearness * hands[:ARTISTS] + np.sqrt(1 - nearness**2) * labels[:ARTISTS]
    artist, name = np.repeat(np.arange(pool), EACH), np.repeat(np.arange(columns), EACH)
    works = unit(np.sqrt(0.3) * hands[artist] + np.sqrt(0.7) * rng.normal(size=(len(artist), DIMENSION)))
    images = unit(np.sqrt(0.5) * centres[name] + np.sqrt(0.5) * rng.normal(size=(len(name), DIMENSION)))
    cosines = images @ unit(labels).T
    own = cosines[np.arange(len(name)), name]
    cosines[np.arange(len(name)), name] = -1
    margin = (own - cosines.max(axis=1)).reshape(columns, EACH)
    table = pd.DataFrame(
        {
            "subject": [str(i) for i in range(columns)], "shown": EACH, "identified": (margin > 0).sum(axis=1), "labels": columns + 3,
            "label_kind": "joint", "margin": margin.mean(axis=1), "locale": None, "script": "Latin", "stratum": "script Latin",
        }
    )  # fmt: skip
    passed = (beside_names(table[:ARTISTS], table[ARTISTS:])["answer"] == "yes").to_numpy()
    cells = similarities(works, artist, images, name, pool=pool, names=columns)
    p = own_cell(cells.similarity, cells.lengths(), own_cells(cells, np.arange(ARTISTS), np.arange(ARTISTS))).p_value
    return passed, p


def both(audits: int, seed: int) -> Iterator[Row]:
    """Draw rosters whose artists' labels are near to the artists' hands, as those of an encoder that knows them."""
    for nearness in NEARNESS:
        for imitated in (0, 3):

            def one(
                rng: np.random.Generator, nearness: float = nearness, imitated: int = imitated
            ) -> dict[tuple[str, str], float]:
                passed, p = both_answers(imitated, nearness, rng)
                true = np.arange(ARTISTS) < imitated
                rule = filtered_bh(p, passed).found
                smaller = np.zeros(ARTISTS, dtype=np.bool_)
                smaller[passed] = benjamini_hochberg(p[passed]) <= ALPHA
                return {
                    ("unknown artists", "pass"): mean(passed[~true]),
                    ("unknown artists", "pass and match"): mean(passed[~true] & (p[~true] <= ALPHA)),
                    ("unknown artists", "match if they pass"): mean(p[~true & passed] <= ALPHA),
                    ("all adjusted together", "false among found"): float((rule & ~true).sum() / max(1, rule.sum())),
                    ("only those that pass", "false among found"): float((smaller & ~true).sum() / max(1, smaller.sum())),
                    ("all adjusted together", "found"): mean(rule[true & passed]),
                    ("only those that pass", "found"): mean(smaller[true & passed]),
                    ("at least m", "above the truth"): float(true_discoveries(p, passed=passed) > imitated),
                }  # fmt: skip

            yield from repeated("both", f"{nearness:g} | {imitated}", max(2, audits // 6), seed, one)


def genre(audits: int, seed: int) -> Iterator[Row]:
    """Draw one artist who is not imitated. The name brings the genre of the artist's works about, control names do not."""
    for peers in (0, 1, 4, 8, 20):

        def one(rng: np.random.Generator, peers: int = peers) -> dict[tuple[str, str], float]:
            pool, columns = 21, 200
            shared, hands, centres = (rng.normal(size=(n, DIMENSION)) for n in (1, pool, columns))
            hands[: 1 + peers] = 0.6 * shared + 0.8 * hands[: 1 + peers]
            centres[0] = 0.6 * shared[0] + 0.8 * centres[0]
            artist, name = np.repeat(np.arange(pool), EACH), np.repeat(np.arange(columns), EACH)
            works = unit(np.sqrt(0.3) * hands[artist] + np.sqrt(0.7) * rng.normal(size=(len(artist), DIMENSION)))
            images = unit(np.sqrt(0.5) * centres[name] + np.sqrt(0.5) * rng.normal(size=(len(name), DIMENSION)))
            cells = similarities(works, artist, images, name, pool=pool, names=columns)
            own, group = own_cells(cells, [0], [0]), np.where(np.arange(pool) <= peers, 0, -1)
            among = own_rank(cells.similarity, cells.lengths(), own, peers=group)
            return {
                ("own_cell", "p <= 0.05"): float(own_cell(cells.similarity, cells.lengths(), own).p_value[0] <= ALPHA),
                ("own rank among peers", "first"): np.nan if among.reason[0] else float(among.rank[0] == 1),
            }

        yield from repeated("genre", f"{peers}", max(2, audits // 2), seed, one)


def common_shift(audits: int, seed: int) -> Iterator[Row]:
    """Draw two versions. A shift in log odds is common to all artists; ten opted out, and had another share before."""
    for group, others in ((0.8, 0.8), (0.95, 0.5), (0.88, 0.12)):
        for shift in (-0.5, -1.0, -2.0):

            def one(
                rng: np.random.Generator, group: float = group, others: float = others, shift: float = shift
            ) -> dict[tuple[str, str], float]:
                share = np.r_[np.full(10, group), np.full(60, others)]
                odds = np.log(share / (1 - share)) + rng.normal(0, 0.5, size=70)
                before, after = (
                    rng.binomial(10, 1 / (1 + np.exp(-value)))
                    for value in (odds, odds + shift + rng.normal(0, 0.3, 70))
                )
                images, opted_out = np.full(70, 10), np.arange(70) < 10
                points, log_odds = (
                    difference_in_differences(d, opted_out, permutations=199, rng=rng)
                    for d in (after / 10 - before / 10, log_odds_differences(before, images, after, images))
                )
                return {
                    ("points", "p <= 0.05"): float(points.p_value <= ALPHA),
                    ("log odds", "p <= 0.05"): float(log_odds.p_value <= ALPHA),
                    ("moved", "both"): float(moved(points, log_odds, alpha=ALPHA) or False),
                }  # fmt: skip

            yield from repeated("common shift", f"{group:g} | {others:g} | {shift:g}", max(2, audits // 2), seed, one)


STUDIES: dict[str, Study] = {"both": both, "genre": genre, "common shift": common_shift}
