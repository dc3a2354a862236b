"""Simulated worlds for the tests: embeddings whose truth is known because the test drew it."""

import numpy as np
import pandas as pd

from audit_assets.measurement.vectors import BoolArray, FloatArray, IntArray


def unit(vectors: FloatArray) -> FloatArray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def artists_world(
    rng: np.random.Generator,
    *,
    artists: int,
    each: int,
    dimension: int = 64,
    spread: float = 1.0,
    strength: float = 1.0,
) -> tuple[FloatArray, IntArray, FloatArray]:
    """Unit vectors (artists x each, d) around random centres, the artist of each, and the centres (artists, d)."""
    centres = rng.normal(size=(artists, dimension)) * strength + 0.3
    who = np.repeat(np.arange(artists), each)
    return unit(centres[who] + rng.normal(size=(artists * each, dimension)) * spread), who, unit(centres)


def clustered_counts(rng: np.random.Generator, *, share: float, icc: float, subjects: int, images: int) -> IntArray:
    """Beta-binomial counts of successes, shape (subjects,): share and intra-subject correlation as asked."""
    if icc == 0:
        return rng.binomial(images, share, size=subjects).astype(np.int64)
    concentration = (1 - icc) / icc
    chance = rng.beta(share * concentration, (1 - share) * concentration, size=subjects)
    return rng.binomial(images, chance).astype(np.int64)


def own_mask(who: IntArray, subjects: int) -> BoolArray:
    return np.arange(subjects)[:, None] == who


def trial_rows(predicted: dict[str, list[str | None]], kind: str = "artist") -> pd.DataFrame:
    """Image-level rows of subjects whose predicted labels are given, ready for the builders of aggregates."""
    rows = [
        {
            "protocol": "paper_2023", "model_version": "m", "encoder": "e", "label_set": "criteria", "subject": subject,
            "kind": kind, "template": 0, "label_template": 0, "trial": trial, "predicted_label": label,
            "probability": None if label is None else 0.6,
            "probability_of_subject": 0.0 if label is None else 0.6 if label == subject else 0.2,
            "rank_of_subject": None if label is None else 1 if label == subject else 2,
            "correct": label == subject,
            "margin": -1.0 if label is None else 0.3 if label == subject else -0.4,
            "calibrated_probability_of_subject": 0.0 if label is None else 0.5 if label == subject else 0.25,
        }
        for subject, labels in predicted.items()
        for trial, label in enumerate(labels)
    ]  # fmt: skip
    return pd.DataFrame(rows)
