"""Identification in worlds of known truth: names bring origin about, and matched control names take it away."""

import numpy as np
import pytest

from audit_assets.measurement.name_controls import beside_names
from audit_assets.measurement.name_worlds import NameWorld, draw, study


def at_most(level: float, tested: int) -> float:
    """Upper end of what so many tests at this level show, artists of one audit taken as half as good as independent."""
    return level + 2.5 * float(np.sqrt(level * (1 - level) / (tested / 2)))


def test_with_controls_matched_on_origin_unknown_names_do_not_pass() -> None:
    world = NameWorld(artists=20, origins=5, names=99)
    row = study([world], audits=25, seed=1).iloc[0]
    assert row["false_pass"] <= at_most(0.01, 500)
    assert row["untested"] == 0


def test_with_controls_of_one_origin_most_unknown_artists_of_other_origins_pass() -> None:
    found = study([NameWorld(artists=22, origins=o, names=99, matched=False) for o in (1, 2, 5, 22)], audits=6, seed=2)[
        "false_pass"
    ].to_numpy()
    assert found[0] <= at_most(0.01, 132)
    assert found[2] > 0.2
    assert found[3] > 0.8


def test_unequal_numbers_of_images_and_blanks_make_nobody_pass() -> None:
    row = study([NameWorld(unequal=True, blank=0.15, icc=0.8)], audits=20, seed=3).iloc[0]
    assert row["false_pass"] <= at_most(0.01, 350)
    assert 0 < row["untested"] < 0.5  # fewer than five shown images


def test_a_known_artist_alone_is_found_beside_199_names() -> None:
    row = study([NameWorld(artists=1, origins=1, names=199, known=1, effect=0.8)], audits=40, seed=4).iloc[0]
    assert row["power"] >= 0.95
    assert np.isnan(row["false_pass"])


def test_famous_names_in_the_audit_do_not_make_others_pass() -> None:
    row = study([NameWorld(artists=20, origins=2, known=10, effect=0.9)], audits=20, seed=5).iloc[0]
    assert row["power"] >= 0.9
    assert row["false_pass"] <= at_most(0.01, 200)


@pytest.mark.parametrize(("artists", "names", "answer"), [(1, 199, False), (70, 70, True)])
def test_no_threshold_comes_from_names_with_another_chance(artists: int, names: int, answer: bool) -> None:
    drawn = draw(NameWorld(artists=artists, origins=1, names=names, own_labels=True), np.random.default_rng(6))
    rows = beside_names(drawn.subjects, drawn.names)
    assert ((rows["answer"] != "could not be tested") == answer).all()
    if not answer:
        assert drawn.subjects["labels"].iloc[0] == 4
        assert rows["share"].iloc[0] == 1.0  # alone among four labels it wins whatever the model knows
        assert "Chances differ" in rows["reason"].iloc[0]


def test_a_world_is_drawn_again_from_its_seed() -> None:
    first, second = (draw(NameWorld(), np.random.default_rng(7)) for _ in range(2))
    assert first.subjects.equals(second.subjects)
    with pytest.raises(ValueError, match="cannot be drawn"):
        draw(NameWorld(known=21), np.random.default_rng(0))


@pytest.mark.long
@pytest.mark.parametrize("origins", [1, 2, 5, 22])
@pytest.mark.parametrize("icc", [0.2, 0.5, 0.9])
def test_the_level_holds_for_all_origins_and_correlations(origins: int, icc: float) -> None:
    row = study([NameWorld(artists=22, origins=origins, names=99, icc=icc)], audits=60, seed=8).iloc[0]
    assert row["false_pass"] <= at_most(0.01, 1320)
