"""The tests that we recommend keep their level in worlds of known truth; the paper's is shown to lose it."""

import numpy as np
import pandas as pd
import pytest

from audit_assets.measurement.intervals import intra_subject_correlation
from audit_assets.measurement.simulation import World, draw, imitated_worlds, null_worlds, study


def test_a_world_has_the_correlation_that_it_was_given() -> None:
    drawn = draw(World(icc=0.6, dimension=200), np.random.default_rng(0))
    found = intra_subject_correlation(drawn.imitations, drawn.subject_of_imitation)
    assert found.estimate == pytest.approx(0.6, abs=0.03)
    np.testing.assert_allclose(np.linalg.norm(drawn.references, axis=1), 1.0)
    assert draw(World(imitated=0.5), np.random.default_rng(0)).imitated.sum() == 35


def assert_levels(table: pd.DataFrame) -> None:
    sound = table[table["test"] == "own_rank"]
    assert (sound["level"] <= 0.05 + 2 * sound["level_error"] + 0.005).all()
    assert (sound["false_positives"] <= 0.05).all()
    pairing = table[table["test"] == "pairing"]
    assert (pairing["level"] <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / pairing["audits"])).all()


def test_the_papers_test_loses_its_level_and_the_corrected_ones_keep_theirs() -> None:
    rng = np.random.default_rng(1)
    table = study(null_worlds(World(), iccs=(0.0, 0.7), hubs=(0.0,)), audits=20, rng=rng, permutations=99)
    assert_levels(table)
    paper = table[(table["test"] == "rank_sum_asymptotic") & (table["alternative"] == "two_sided")]
    false = dict(zip(paper["icc"], paper["false_positives"], strict=True))
    assert false[0.0] < 0.01
    assert false[0.7] > 0.2


def test_imitated_artists_are_found_by_both() -> None:
    table = study(imitated_worlds(World(), effects=(0.8,)), audits=5, rng=np.random.default_rng(2), permutations=99)
    assert (table["power"] > 0.95).all()


@pytest.mark.long
def test_every_recommended_test_keeps_its_level_at_every_correlation_and_with_hubs() -> None:
    table = study(null_worlds(World()), audits=300, rng=np.random.default_rng(3))
    assert_levels(table)
