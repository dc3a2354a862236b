"""The tests that we recommend keep their level in worlds of known truth; the paper's is shown to lose it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from audit_assets.measurement.intervals import intra_subject_correlation
from audit_assets.measurement.simulation import World, draw, imitated_worlds, interval_coverage, null_worlds, study
from benchmarks.simulation import breaches


def test_a_world_has_the_correlation_that_it_was_given() -> None:
    drawn = draw(World(icc=0.6, dimension=200), np.random.default_rng(0))
    found = intra_subject_correlation(drawn.imitations, drawn.subject_of_imitation)
    assert found.estimate == pytest.approx(0.6, abs=0.03)
    np.testing.assert_allclose(np.linalg.norm(drawn.references, axis=1), 1.0)
    assert draw(World(imitated=35), np.random.default_rng(0)).imitated.sum() == 35


def false_positives(table: pd.DataFrame, test: str, alternative: str) -> dict[float, float]:
    rows = table[(table["test"] == test) & (table["alternative"] == alternative)]
    return dict(zip(rows["icc"], rows["false_positives"], strict=True))


def test_the_papers_test_loses_its_level_and_the_corrected_ones_keep_theirs() -> None:
    table = study(null_worlds(World(), iccs=(0.0, 0.3, 0.7), hubs=(0.0,)), audits=40, seed=1, permutations=99)
    assert breaches(table) == []
    for test in ("rank_sum_asymptotic", "rank_sum_exact"):
        for alternative, at_least in (("two_sided", 0.2), ("closer", 0.1)):
            false = false_positives(table, test, alternative)
            assert false[0.0] < 0.01
            assert false[0.3] > 0.03
            assert false[0.7] > at_least


def test_a_test_that_loses_its_level_is_reported() -> None:
    table = study(null_worlds(World(), iccs=(0.7,), hubs=(0.0,)), audits=5, seed=1, permutations=19)
    inflated = table.assign(test=table["test"].replace("rank_sum_asymptotic", "own_rank"), adjustment="holm")
    assert any("any_false" in sentence for sentence in breaches(inflated))


@pytest.mark.parametrize("world", [World(artists=8, icc=0.7), World(genre=0.5, icc=0.7, artists=30)])
def test_few_artists_and_a_genre_of_their_own_cost_no_level(world: World) -> None:
    assert breaches(study([world], audits=120, seed=2, permutations=99)) == []


def test_imitated_artists_are_found_and_few_of_them_need_a_bank() -> None:
    found = study(imitated_worlds(World(), effects=(0.8,), iccs=(0.5,), imitated=35), audits=5, seed=2)
    # Holm multiplies a floor of 1 / 110 by at least 36.
    assert (found["power"][found["adjustment"] != "holm"] > 0.95).all()
    assert (found["power"][found["adjustment"] == "holm"] == 0).all()
    few = World(effect=0.8, imitated=3)
    power = study([few, replace(few, background=400)], audits=10, seed=3).set_index(["background", "adjustment"])[
        "power"
    ]
    assert power[(40, "benjamini_hochberg")] == 0
    assert power[(400, "benjamini_hochberg")] > 0.8


def test_a_world_gives_the_same_row_in_any_company() -> None:
    first, second = World(artists=10, icc=0.2), World(artists=10, icc=0.4)
    alone = study([second], audits=3, seed=4, permutations=19)
    together = study([first, second], audits=3, seed=4, permutations=19)
    pd.testing.assert_frame_equal(alone, together[together["icc"] == 0.4].reset_index(drop=True))


def test_the_interval_covers_and_the_one_for_independent_images_does_not() -> None:
    coverage = interval_coverage((0.81,), (0.5,), subjects=70, images=10, audits=1000, seed=5).iloc[0]
    assert 0.93 <= coverage["clustered"] <= 0.97
    assert coverage["independent_images"] < 0.7


@pytest.mark.long
def test_every_recommended_test_keeps_its_level_at_every_correlation_and_with_hubs() -> None:
    assert breaches(study(null_worlds(World()), audits=150, seed=3)) == []
