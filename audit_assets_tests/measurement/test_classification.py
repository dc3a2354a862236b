"""Blocks of images and many label sets at once give what one matrix of probabilities for each label set gives."""

import numpy as np
import pytest

from audit_assets.measurement.classification import Classified, Competition, classify
from audit_assets.measurement.vectors import BoolArray, FloatArray, IntArray
from audit_assets.measurement.zero_shot import class_probabilities, identify, margins
from audit_assets_tests.measurement.worlds import unit

EXACT = ("predicted", "rank_of_subject", "correct")
NEAR = ("probability", "probability_of_subject")


def one_by_one(
    images: FloatArray, labels: FloatArray, own: IntArray, blank: BoolArray, temperature: float
) -> Classified:
    p = class_probabilities(images, labels, 100.0)
    calibrated = class_probabilities(images, labels, 100.0 / temperature)[np.arange(len(own)), own]
    calibrated = np.where(blank, 0.0, np.where(own >= 0, calibrated, np.nan))
    return Classified(identify(p, own, blank=blank), margins(p, own, blank=blank), calibrated)


def assert_same(found: Classified, expected: Classified, tolerance: float) -> None:
    for name in EXACT:
        np.testing.assert_array_equal(getattr(found.trials, name), getattr(expected.trials, name))
    for name in NEAR:
        np.testing.assert_allclose(getattr(found.trials, name), getattr(expected.trials, name), rtol=0, atol=tolerance)
    np.testing.assert_allclose(found.margin, expected.margin, rtol=0, atol=tolerance)
    np.testing.assert_allclose(
        found.calibrated_probability_of_subject, expected.calibrated_probability_of_subject, rtol=0, atol=1e-12
    )


def world(n: int = 900, labels: int = 60) -> tuple[FloatArray, FloatArray, IntArray, BoolArray]:
    rng = np.random.default_rng(4)
    names = unit(rng.normal(size=(labels, 24)))
    names[7] = names[3]  # a label that ties with another
    who = rng.integers(-1, labels, size=n)
    images = unit(names[who] + 0.9 * rng.normal(size=(n, 24)))
    images[who == 3] = names[3]
    return images, names, who, rng.random(n) < 0.05


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_all_labels_and_images_give_the_same_bits(temperature: float) -> None:
    images, names, own, blank = world()
    everything = Competition(np.arange(len(images)), np.arange(len(names)), own)
    found = classify(images, names, {"joint": everything}, logit_scale=100.0, temperature=temperature, blank=blank)
    assert_same(found["joint"], one_by_one(images, names, own, blank, temperature), 0.0)


@pytest.mark.parametrize("labels", [11, 52, 70])
def test_labels_that_an_encoder_cannot_tell_apart_tie_wherever_they_stand(labels: int) -> None:
    """A matrix product gives the last bits of equal labels by their places. No image may be identified by them."""
    for seed in range(40):
        rng = np.random.default_rng(seed)
        d = int(rng.choice([12, 16, 64]))
        names = unit(rng.normal(size=(5, d)))[rng.integers(0, 5, size=90)]  # as of an encoder that knows five words
        images = unit(rng.normal(size=(int(rng.integers(200, 400)), d)))
        chosen = np.sort(rng.choice(90, size=labels, replace=False))
        own = rng.integers(0, labels, size=len(images))
        part = Competition(np.arange(len(images)), chosen, own)
        found = classify(images, names, {"part": part}, logit_scale=2.0)["part"]
        alone = identify(class_probabilities(images, names[chosen], 2.0), own)
        np.testing.assert_array_equal(found.trials.rank_of_subject, alone.rank_of_subject)
        np.testing.assert_array_equal(found.trials.predicted, alone.predicted)
        twins = (names[chosen][own][:, None] == names[chosen]).all(axis=2).sum(axis=1)
        assert (alone.rank_of_subject >= twins).all()
        assert (found.margin[twins > 1] <= 0).all()


@pytest.mark.parametrize("temperature", [1.0, 0.4])
def test_every_label_set_takes_its_part(temperature: float) -> None:
    images, names, who, blank = world()
    parts = {"even": np.arange(0, 60, 2), "some": np.array([59, 3, 7, 20]), "all": np.arange(60)}
    sets = {}
    for name, chosen in parts.items():
        kept = np.flatnonzero(np.isin(who, chosen)) if name != "all" else np.arange(len(who))
        place = np.full(61, -1)
        place[chosen] = np.arange(len(chosen))
        sets[name] = Competition(kept, chosen, place[who[kept]])
    found = classify(images, names, sets, logit_scale=100.0, temperature=temperature, blank=blank)
    for name, one in sets.items():
        kept, own = np.asarray(one.images), np.asarray(one.own)
        expected = one_by_one(images[kept], names[parts[name]], own, blank[kept], temperature)
        assert_same(found[name], expected, 1e-12)


def test_a_set_without_images_gives_no_rows() -> None:
    images, names, _, _ = world(n=5)
    found = classify(images, names, {"none": Competition([], [0, 1], np.array([], dtype=int))}, logit_scale=100.0)
    assert len(found["none"].margin) == 0


@pytest.mark.parametrize(
    ("one", "message"),
    [
        (Competition([0], [0], np.array([0])), "at least two labels"),
        (Competition([0], [1, 1], np.array([0])), "each once"),
        (Competition([1, 0], [0, 1], np.array([0, 0])), "ascending"),
        (Competition([0, 5], [0, 1], np.array([0, 0])), "below 5"),
        (Competition([0], [0, 99], np.array([0])), "between"),
    ],
)
def test_label_sets_that_cannot_be_are_refused(one: Competition, message: str) -> None:
    images, names, _, _ = world(n=5)
    with pytest.raises(ValueError, match=message):
        classify(images, names, {"x": one}, logit_scale=100.0)
    with pytest.raises(ValueError, match="temperature"):
        classify(images, names, {}, logit_scale=100.0, temperature=0.0)
