"""This module fits a temperature to the probabilities of experiment 1, and measures their calibration.

The measures are the calibration error and the reliability curve.

Casper et al. (2023, section 2.1) report CLIP's confidence in the correct artist. A softmax with CLIP's logit scale is
not a probability until an auditor calibrates it on real, held-out works, whose artists are known. Raw and calibrated
probabilities are kept apart. A temperature never changes which label is first.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy

from audit_assets.measurement.vectors import BoolArray, FloatArray, indices, same_dimension, unit_rows


@dataclass(frozen=True)
class Temperature:
    """A fitted temperature, with the loss before and after.

    ``value`` divides the logits. It is above 1 if the encoder was overconfident. ``works`` is the number of works used.
    ``loss_before`` and ``loss_after`` are the mean negative log likelihood of the right artist in nats. ``at_bound`` is
    True if no temperature within 1/1000 and 1000 is best, because the encoder separates these works perfectly (or not
    at all). Calibrated probabilities then mean nothing.
    """

    value: float
    works: int
    loss_before: float
    loss_after: float
    at_bound: bool


def fit_temperature(
    references: npt.ArrayLike, own_label: npt.ArrayLike, labels: npt.ArrayLike, *, logit_scale: float
) -> Temperature:
    """Return the temperature that makes the right artists of real works most likely.

    The method is that of Guo et al. (2017, ICML, section 4.2). ``references`` (r, d) are held-out real works.
    ``own_label`` (r,) is the index of each work's artist among ``labels`` (L, d). The loss is convex in 1 /
    temperature, and the search runs between 1/1000 and 1000. The calibration must then be reported on other works,
    because a temperature fits its own works better than others.

    Raises ValueError if embeddings are bad, the artist of a work has no label, or no works exist.
    """
    works, names = unit_rows(references, "reference"), unit_rows(labels, "label")
    same_dimension(works, names, "reference and label")
    own = indices(own_label, length=len(works), below=len(names), what="The artist of the real work")
    if len(own) == 0 or (own < 0).any():
        raise ValueError(
            "A temperature is fitted on real works of artists that are among the labels; leave others out."
        )
    logits = logit_scale * works @ names.T
    right = logits[np.arange(len(own)), own]

    def loss(log_temperature: float) -> float:
        inverse = float(np.exp(-log_temperature))
        return float(np.mean(scipy.special.logsumexp(logits * inverse, axis=1) - right * inverse))

    found = scipy.optimize.minimize_scalar(
        loss, bounds=(-np.log(1000), np.log(1000)), method="bounded", options={"xatol": 1e-9}
    )
    # If the own artist of every work is first, a lower temperature is always more likely, until the float64 loss is 0.
    separated = np.count_nonzero(logits >= right[:, None]) == len(own)
    at_bound = bool(separated or abs(found.x) > np.log(990))
    return Temperature(float(np.exp(found.x)), len(own), loss(0.0), float(found.fun), at_bound)


def reliability_curve(confidence: npt.ArrayLike, correct: npt.ArrayLike, *, bins: int = 15) -> pd.DataFrame:
    """Return accuracy against confidence in bins of equal width.

    The curve is that of DeGroot and Fienberg (1983, *The Statistician* 32, 12-22). The columns are ``low``, ``high``,
    ``images``, ``confidence`` and ``accuracy``. The argument ``confidence`` (n,) is the probability of the predicted
    label. ``correct`` (n,) says whether that label was right. A NaN confidence (a blank image) is left out. An empty
    bin has no row.

    Raises ValueError if lengths differ, a confidence lies outside [0, 1] or ``bins`` is below 1.
    """
    p, right = _confident(confidence, correct)
    if bins < 1:
        raise ValueError(f"{bins} bins: pass at least one.")
    at = np.minimum((p * bins).astype(np.int64), bins - 1)
    counts = np.bincount(at, minlength=bins)
    full = np.flatnonzero(counts)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(at, weights=p, minlength=bins) / counts
        accuracy = np.bincount(at, weights=right.astype(np.float64), minlength=bins) / counts
    return pd.DataFrame(
        {
            "low": full / bins,
            "high": (full + 1) / bins,
            "images": counts[full],
            "confidence": mean[full],
            "accuracy": accuracy[full],
        }
    )


def expected_calibration_error(confidence: npt.ArrayLike, correct: npt.ArrayLike, *, bins: int = 15) -> float:
    """Return the mean absolute difference of accuracy and confidence over the bins, weighted by images.

    The measure is that of Naeini et al. (2015, AAAI). Arguments and errors are as in ``reliability_curve``. The result
    is NaN if no image has a confidence.
    """
    curve = reliability_curve(confidence, correct, bins=bins)
    if curve.empty:
        return np.nan
    apart = (curve["accuracy"] - curve["confidence"]).abs()
    return float((apart * curve["images"]).sum() / curve["images"].sum())


def _confident(confidence: npt.ArrayLike, correct: npt.ArrayLike) -> tuple[FloatArray, BoolArray]:
    p, right = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=np.bool_)
    if p.shape != right.shape or p.ndim != 1:
        raise ValueError(f"Confidence {p.shape} and correct {right.shape}; pass one value an image for both.")
    kept = ~np.isnan(p)
    p, right = p[kept], right[kept]
    if ((p < 0) | (p > 1)).any():
        raise ValueError("A confidence lies outside 0 and 1; pass probabilities, not logits.")
    return p, right
