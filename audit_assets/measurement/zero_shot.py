"""Zero-shot classification of images among labels, in one matrix of probabilities: what ``identification`` counts.

A softmax over logit scale x cosine, as in Radford et al. (2021, *Learning transferable visual models from natural
language supervision*, section 3.1). ``classification`` computes the same for many label sets without keeping a matrix.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audit_assets.measurement.vectors import BoolArray, FloatArray, IntArray, indices, mask, same_dimension, unit_rows

TIE = 1e-12
"""Two probabilities tie if one lacks at most this share of the other.

Labels that an encoder cannot tell apart have equal embeddings. A matrix product still gives them different last bits,
depending on their places.
"""

_ROWS_AT_ONCE = 384
"""Number of images per block.

Their float64 copy (384 x 512) stays in the second-level cache, so the product is fast.
"""


@dataclass(frozen=True)
class Trials:
    """One classification per image; the fields are arrays of shape (n,).

    ``predicted`` is the index of the most likely label. It is -1 for a blank image, which shows nothing.
    ``probability`` is the probability of the predicted label. It is NaN for a blank image.
    ``probability_of_subject`` is the probability of the image's own label. It is 0 for a blank image, and NaN if the
    subject has no label here.
    ``rank_of_subject`` is 1 for the most likely label. It is 0 for a blank image and if the subject has no label here.
    ``correct`` is True if the rank is 1.
    """

    predicted: IntArray
    probability: FloatArray
    probability_of_subject: FloatArray
    rank_of_subject: IntArray
    correct: BoolArray


def class_probabilities(
    images: npt.ArrayLike, labels: npt.ArrayLike, logit_scale: float, logit_bias: float = 0.0
) -> FloatArray:
    """Return the probability of each label for each image, shape (n, L). Each row sums to 1.

    ``images`` (n, d) and ``labels`` (L, d) are embeddings of unit length from one encoder. ``logit_scale`` is the
    encoder's factor itself (100 for CLIP ViT-L/14), not its logarithm. ``logit_bias`` (SigLIP) shifts all logits alike,
    so it cancels in a softmax. The function accepts it so that a caller can pass an encoder unchanged. Products are
    computed in float64, because float32 makes ties of labels that differ. The method is that of Casper et al. (2023,
    section 2.1) and Radford et al. (2021, section 3.1).

    Raises ValueError if embeddings are not finite, not of unit length (by row) or of different dimension, if fewer than
    two labels are given, or if the logit scale is not positive or the logit bias is not finite.
    """
    if not (np.isfinite(logit_scale) and logit_scale > 0):
        raise ValueError(f"The logit scale is {logit_scale}; pass the encoder's positive factor, not its logarithm.")
    if not np.isfinite(logit_bias):
        raise ValueError(f"The logit bias is {logit_bias}; pass a finite number, 0 for an encoder without one.")
    label_rows = unit_rows(labels, "label")
    if len(label_rows) < 2:
        raise ValueError(f"{len(label_rows)} label(s): identification needs at least two labels to choose from.")
    all_images = np.asarray(images)
    same_dimension(unit_rows(all_images[:1], "image"), label_rows, "image and label")
    scaled = logit_scale * label_rows
    probabilities = np.empty((len(all_images), len(label_rows)))
    for start in range(0, len(all_images), _ROWS_AT_ONCE):
        rows = unit_rows(all_images[start : start + _ROWS_AT_ONCE], "image", first_row=start)
        # Labels are the first axis, so that maxima and sums over labels run along whole rows of images.
        logits = scaled @ rows.T
        logits -= logits.max(axis=0)
        np.exp(logits, out=logits)
        logits /= logits.sum(axis=0)
        probabilities[start : start + _ROWS_AT_ONCE] = logits.T
    return probabilities


def own_labels(subjects: Sequence[str], labels: Sequence[str]) -> IntArray:
    """Return the index of each image's own label, shape (n,). It is -1 if the subject is not among the labels.

    Raises ValueError if a label occurs twice, because the second could never be found.
    """
    position = {label: i for i, label in enumerate(labels)}
    if len(position) != len(labels):
        twice = next(label for i, label in enumerate(labels) if position[label] != i)
        raise ValueError(f"The label {twice!r} occurs twice; every label of a label set must be unique.")
    return np.array([position.get(subject, -1) for subject in subjects], dtype=np.int64)


def identify(probabilities: npt.ArrayLike, own_label: npt.ArrayLike, *, blank: npt.ArrayLike | None = None) -> Trials:
    """Classify images, and rank each image's own label, as in section 2.1 of Casper et al. (2023).

    ``probabilities`` has shape (n, L). ``own_label`` (n,) holds integers, and -1 if the subject is not among the
    labels. ``blank`` (n,) marks images that show nothing (a safety checker's black image). They are kept and count as
    wrong.

    **Ties go against the subject.** Its rank is the number of labels at least as likely as its own, itself included. If
    the subject shares the first place, the other label is the predicted one. If several other labels tie for first, the
    one that comes first in the label set is predicted. So "predicted is own", "rank is 1" and "correct" always agree.

    Raises ValueError if probabilities are not finite, lie outside [0, 1] or do not sum to 1 (by row), or if indices are
    out of range.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    if p.ndim != 2 or p.shape[1] < 2:
        raise ValueError(f"The probabilities have shape {p.shape}; pass (images, labels) with at least two labels.")
    images, labels = p.shape
    # A product with ones sums rows in a third of the time. One minimum of all values shows if any row is negative.
    bad = ~(np.abs(p @ np.ones(labels) - 1.0) <= 1e-6)
    if images and p.min() < 0:
        bad |= p.min(axis=1) < 0
    if bad.any():
        row = int(np.argmax(bad))
        raise ValueError(f"The probabilities in row {row} sum to {p[row].sum():.9g}; pass a softmax over all labels.")
    own = indices(own_label, length=images, below=labels, what="The image's own label")
    blanks = mask(blank, length=images, what="The mask of blank images")
    rows = np.arange(images)
    among = own >= 0
    of_subject = np.where(among, p[rows, own], np.nan)
    # A comparison with NaN is False, so subjects without a label get rank 0.
    rank = np.count_nonzero(p >= of_subject[:, None] * (1 - TIE), axis=1)
    predicted = _first_of_the_best(p)
    tied = np.flatnonzero((predicted == own) & (rank > 1))
    without_own = p[tied]
    without_own[np.arange(len(tied)), own[tied]] = -1.0
    predicted[tied] = _first_of_the_best(without_own)
    return Trials(
        predicted=np.where(blanks, -1, predicted).astype(np.int64),
        probability=np.where(blanks, np.nan, p[rows, predicted]),
        probability_of_subject=np.where(blanks & among, 0.0, of_subject),
        rank_of_subject=np.where(blanks, 0, rank).astype(np.int64),
        correct=(rank == 1) & ~blanks,
    )


def _first_of_the_best(p: FloatArray) -> IntArray:
    return (p >= p.max(axis=1, initial=0.0)[:, None] * (1 - TIE)).argmax(axis=1)


def margins(
    probabilities: npt.ArrayLike, own_label: npt.ArrayLike, *, blank: npt.ArrayLike | None = None
) -> FloatArray:
    """Return the probability of the own label less that of the best other label, shape (n,), in [-1, 1].

    A margin is above 0 if and only if the image is identified. Its distance from 0 says how narrow the result is.
    Arguments and errors are as in ``identify``. A blank image has the lowest margin, -1. The margin is NaN if the
    subject is not among the labels.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    trials = identify(p, own_label, blank=blank)
    own = np.asarray(own_label, dtype=np.int64)
    best_other = np.empty(len(p))
    for start in range(0, len(p), _ROWS_AT_ONCE):  # a copy of all at once would double the memory
        rows = slice(start, start + _ROWS_AT_ONCE)
        without_own = p[rows].copy()
        without_own[np.arange(len(without_own)), own[rows]] = -1.0
        best_other[rows] = without_own.max(axis=1)
    margin = np.where(own >= 0, p[np.arange(len(p)), own] - best_other, np.nan)
    margin = np.where((trials.rank_of_subject > 1) & (margin > 0), 0.0, margin)  # a tie
    return np.where((trials.predicted == -1) & (own >= 0), -1.0, margin)
