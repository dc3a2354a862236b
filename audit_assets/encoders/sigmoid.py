"""The scores of SigLIP's own rule: the probability that a text belongs to an image, independent of other texts.

Zhai et al. (2023, *Sigmoid loss for language image pre-training*) train each pair of image and text on its own, so their
encoders have a bias in addition to the scale. Identification compares all encoders by one rule, a softmax over labels, in
which a bias cancels. These scores are stored in addition.
"""

import numpy as np
import pandas as pd

from audit_assets.warehouse.store import vectors

COLUMNS = ["protocol", "model_version", "encoder", "subject", "template", "trial", "score"]


def sigmoid_scores(
    images: pd.DataFrame,
    labels: pd.DataFrame,
    *,
    protocol: str,
    model_version: str,
    encoder: str,
    logit_scale: float,
    logit_bias: float,
) -> pd.DataFrame:
    """COLUMNS, one row per image: the sigmoid of scale x cosine + bias of the image and the label of its own subject.

    `images` has columns subject, template, trial, embedding; `labels` has label, template, embedding. Both are of one encoder.
    """
    if images.empty:
        return pd.DataFrame(columns=COLUMNS)
    pairs = images.merge(
        labels, left_on=["subject", "template"], right_on=["label", "template"], suffixes=("", "_label")
    )
    cosine = (vectors(pairs["embedding"]).astype(np.float64) * vectors(pairs["embedding_label"])).sum(axis=1)
    scores = 1 / (1 + np.exp(-(logit_scale * cosine + logit_bias)))
    about = {"protocol": protocol, "model_version": model_version, "encoder": encoder}
    return pairs.assign(score=scores, **about)[COLUMNS].sort_values(["subject", "template", "trial"], ignore_index=True)
