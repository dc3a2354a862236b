"""Experiment 1 of many label sets at once, in blocks of images: what ``zero_shot`` computes, from one product.

``class_probabilities`` returns the whole matrix (images, labels), which ``identify`` and ``margins`` then read. With
2,500 artists and as many names that matrix takes 2 GB for each label set, and the same cosines are computed for each
set and each temperature. Here the cosines of a block of images with all labels are computed once, each label set takes
its part of them, and no matrix is kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audit_assets.measurement.vectors import BoolArray, FloatArray, IntArray, indices, mask, same_dimension, unit_rows
from audit_assets.measurement.zero_shot import TIE, Trials

_IMAGES_AT_ONCE = 384
"""The number of images per block, as in ``zero_shot``, so that the bits are the same."""


@dataclass(frozen=True)
class Competition:
    """A label set: which images are classified, and among which labels.

    ``images`` (n,), ascending, and ``labels`` (L,): indices into the images and labels of all sets.
    ``own`` (n,): the place of the image's own label *within* ``labels``, -1 if its subject is not among them.
    """

    images: npt.ArrayLike
    labels: npt.ArrayLike
    own: npt.ArrayLike


@dataclass(frozen=True)
class Classified:
    """What rows of ``identification_trials`` need, arrays (n,): see ``Trials`` and ``zero_shot.margins``.

    ``calibrated_probability_of_subject``: of a softmax at logit scale / temperature; 0 for a blank image, NaN without a
    label.
    """

    trials: Trials
    margin: FloatArray
    calibrated_probability_of_subject: FloatArray


def classify(
    images: npt.ArrayLike,
    labels: npt.ArrayLike,
    sets: Mapping[str, Competition],
    *,
    logit_scale: float,
    temperature: float = 1.0,
    blank: npt.ArrayLike | None = None,
) -> dict[str, Classified]:
    """Classify the images of every label set. Section 2.1 of Casper et al. (2023); ties go against the subject.

    ``images`` (n, d) and ``labels`` (L, d): unit vectors of one encoder, all that any set needs; ``blank`` (n,) marks
    images that show nothing. A logit bias cancels in a softmax, so it is no argument.

    The results are those of ``class_probabilities`` with ``identify`` and ``margins``: the same bits for one set of all
    labels and images. For a part of the labels the last bits of a probability may differ (3e-15 in 349 of 100,000
    images that were compared), because a matrix product treats the rows at its edge in another order; predicted labels
    and ranks agreed in all. The calibrated probability comes from the same product as the other one, so it agrees with
    that of a second product to 1e-12.

    Raises ValueError on vectors that are not finite or not of unit length, fewer than two labels in a set, indices out of
    range, and a logit scale or temperature that is not positive.
    """
    for name, value in (("logit scale", logit_scale), ("temperature", temperature)):
        if not (np.isfinite(value) and value > 0):
            raise ValueError(f"The {name} is {value}; pass a positive factor, not its logarithm.")
    label_rows, all_images = unit_rows(labels, "label"), np.asarray(images)
    same_dimension(unit_rows(all_images[:1], "image"), label_rows, "image and label")
    blanks = mask(blank, length=len(all_images), what="The mask of blank images")
    checked = {name: _Set(one, name, len(all_images), len(label_rows)) for name, one in sets.items()}
    scaled = logit_scale * label_rows
    for start in range(0, len(all_images), _IMAGES_AT_ONCE):
        rows = unit_rows(all_images[start : start + _IMAGES_AT_ONCE], "image", first_row=start)
        logits = scaled @ rows.T
        for one in checked.values():
            one.add(logits, start, temperature)
    return {name: one.result(blanks) for name, one in checked.items()}


class _Set:
    """One label set while blocks of images come in."""

    def __init__(self, one: Competition, name: str, images: int, labels: int) -> None:
        self.images = np.asarray(one.images, dtype=np.int64)
        self.labels = indices(one.labels, length=np.size(one.labels), below=labels, what=f"A label of {name!r}")
        self.own = indices(one.own, length=len(self.images), below=len(self.labels), what="The image's own label")
        if len(self.labels) < 2 or len(np.unique(self.labels)) < len(self.labels) or self.labels.min() < 0:
            raise ValueError(f"The label set {name!r} needs at least two labels, each once; it has {self.labels}.")
        rising = bool((np.diff(self.images) > 0).all())
        if len(self.images) and not (rising and self.images[0] >= 0 and self.images[-1] < images):
            raise ValueError(f"The images of {name!r} must be indices below {images} in ascending order, each once.")
        self.all_labels = np.array_equal(self.labels, np.arange(labels))
        n = len(self.images)
        self.predicted, self.rank = np.zeros(n, np.int64), np.zeros(n, np.int64)
        self.figures = np.full((4, n), np.nan)  # probability, probability of subject, margin, calibrated

    def add(self, logits: FloatArray, start: int, temperature: float) -> None:
        first, last = np.searchsorted(self.images, (start, start + logits.shape[1]))
        if first == last:
            return
        columns, own = self.images[first:last] - start, self.own[first:last]
        p = logits if self.all_labels else logits[self.labels]
        # A copy: other sets need the same logits.
        p = (
            p.copy()
            if len(columns) == p.shape[1] and p is logits
            else p[:, columns]
            if len(columns) < p.shape[1]
            else p
        )
        p -= p.max(axis=0)
        image = np.arange(len(columns))
        calibrated = None if temperature == 1 else _softmax_of(p / temperature, own)
        np.exp(p, out=p)
        p /= p.sum(axis=0)
        of_subject = np.where(own >= 0, p[own, image], np.nan)
        rank = np.count_nonzero(p >= of_subject * (1 - TIE), axis=0)
        best = (p >= p.max(axis=0) * (1 - TIE)).argmax(axis=0)
        p[own, image] = np.where(own >= 0, -1.0, p[own, image])
        best_other = p.max(axis=0)
        # Only if the own label is the first of the best is another needed: the second place, or a tie for the first.
        other = np.where(best == own, (p >= best_other * (1 - TIE)).argmax(axis=0), best)
        first_place = (best == own) & (rank == 1)
        probability = np.where(first_place, of_subject, p[other, image])
        self.rank[first:last] = rank
        self.predicted[first:last] = np.where(first_place, best, other)
        margin = of_subject - best_other
        margin = np.where((rank > 1) & (margin > 0), 0.0, margin)  # a tie
        self.figures[:, first:last] = (
            probability, of_subject, margin, of_subject if calibrated is None else calibrated,
        )  # fmt: skip

    def result(self, blank: BoolArray) -> Classified:
        blanks, among = blank[self.images], self.own >= 0
        probability, of_subject, margin, calibrated = self.figures
        rank: IntArray = np.where(blanks, 0, self.rank)
        trials = Trials(
            predicted=np.where(blanks, -1, self.predicted),
            probability=np.where(blanks, np.nan, probability),
            probability_of_subject=np.where(blanks & among, 0.0, of_subject),
            rank_of_subject=rank,
            correct=(rank == 1) & ~blanks,
        )
        return Classified(trials, np.where(blanks & among, -1.0, margin), np.where(blanks, 0.0, calibrated))


def _softmax_of(logits: FloatArray, own: IntArray) -> FloatArray:
    """Probability of the own label only, from logits (L, n) whose largest is 0."""
    terms = np.exp(logits)
    return np.where(own >= 0, terms[own, np.arange(len(own))] / terms.sum(axis=0), np.nan)
