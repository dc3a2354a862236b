"""Are the probabilities of experiment 1 worth their name? Temperature, calibration error, reliability curve.

Casper et al. (2023, section 2.1) report CLIP's confidence in the correct artist. A softmax with CLIP's logit scale is
no probability of anything until it is calibrated where the truth is known: on real, held-out works. Raw and
calibrated probabilities are kept apart, and a temperature never changes which label is first.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import optimize, special

from audit_assets.measurement.vectors import BoolArray, FloatArray, indices, same_dimension, unit_rows


@dataclass(frozen=True)
class Temperature:
    """``value`` divides the logits: above 1 where the encoder was overconfident. ``works`` used; mean negative log
    likelihood of the right artist in nats, before and after. ``at_bound``: no temperature within 1/1000 and 1000 is best,
    because the encoder separates these works perfectly (or not at all); calibrated probabilities then mean nothing."""

    value: float
    works: int
    loss_before: float
    loss_after: float
    at_bound: bool


def fit_temperature(
    references: npt.ArrayLike, own_label: npt.ArrayLike, labels: npt.ArrayLike, *, logit_scale: float
) -> Temperature:
    """The temperature that makes the right artists of real works most likely (Guo et al. 2017, ICML, section 4.2).

    ``references`` (r, d) held-out real works; ``own_label`` (r,) index of each work's artist among ``labels`` (L, d).
    The loss is convex in 1 / temperature, which is searched between 1/1000 and 1000. The works must not be those whose
    calibration is then reported: a temperature fits its own works better than others.

    Raises ValueError on bad embeddings, works whose artist has no label, or no works.
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
        return float(np.mean(special.logsumexp(logits * inverse, axis=1) - right * inverse))

    found = optimize.minimize_scalar(
        loss, bounds=(-np.log(1000), np.log(1000)), method="bounded", options={"xatol": 1e-9}
    )
    # Where every work's own artist is first, a lower temperature is always more likely, until the loss is 0 in float64.
    separated = np.count_nonzero(logits >= right[:, None]) == len(own)
    at_bound = bool(separated or abs(found.x) > np.log(990))
    return Temperature(float(np.exp(found.x)), len(own), loss(0.0), float(found.fun), at_bound)


def reliability_curve(confidence: npt.ArrayLike, correct: npt.ArrayLike, *, bins: int = 15) -> pd.DataFrame:
    """Accuracy against confidence in equal-width bins: ``low``, ``high``, ``images``, ``confidence``, ``accuracy``.

    ``confidence`` (n,) probability of the predicted label, ``correct`` (n,) whether it was the right one. NaN
    confidence (a blank image) is left out. Empty bins have no row. DeGroot and Fienberg (1983, *The Statistician* 32,
    12-22).

    Raises ValueError where lengths differ, a confidence lies outside [0, 1] or there is no bin.
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
    """Mean absolute difference of accuracy and confidence over the bins, weighted by images (Naeini et al. 2015, AAAI).

    Arguments and errors as in ``reliability_curve``; NaN where no image has a confidence.
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
