"""Experiment 1 against arithmetic done by hand, and the ties that a rule must decide."""

import numpy as np
import pytest

from audit_assets.measurement.identification import class_probabilities, identify, plurality


def test_probabilities_are_the_softmax_of_scaled_cosines() -> None:
    images, labels = np.eye(3)[:2], np.eye(3)
    p = class_probabilities(images, labels, 2.0)
    e = np.exp(2.0)
    np.testing.assert_allclose(p, [[e, 1, 1] / (e + 2), [1, e, 1] / (e + 2)], rtol=1e-14)


def test_a_vector_that_is_not_of_unit_length_is_refused_by_row() -> None:
    images = np.eye(3)
    images[1] *= 2
    with pytest.raises(ValueError, match="1"):
        class_probabilities(images, np.eye(3), 10.0)
    images[1] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        class_probabilities(images, np.eye(3), 10.0)


def test_ties_go_against_the_subject_and_blank_images_are_wrong() -> None:
    p = np.array([[0.4, 0.4, 0.2], [0.5, 0.3, 0.2], [0.5, 0.3, 0.2], [0.5, 0.3, 0.2]])
    trials = identify(p, np.array([0, 0, 1, 0]), blank=np.array([False, False, False, True]))
    assert trials.correct.tolist() == [False, True, False, False]
    assert trials.rank_of_subject.tolist() == [2, 1, 2, 0]
    assert trials.predicted.tolist() == [1, 0, 0, -1]


def test_a_tie_for_first_is_no_plurality() -> None:
    assert plurality(["a", "a", "b"]) == "a"
    assert plurality(["a", "b"]) is None
    assert plurality([]) is None
