"""Test whether this audit could have found imitation: run it on a perfect imitator of each artist.

The perfect imitator is the artist: half of the artist's real works replace the model's images. The module also lists
works that count for less.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from audit_assets.measurement.perfect_imitator import PerfectImitator, halves, perfect_imitator, shares_of
from audit_assets.measurement.vectors import BoolArray, FloatArray
from audit_assets.results.matched import Matched

WITHIN, BETWEEN, MODEL = "works of one artist", "works of two artists", "a work and an image of the model"


@dataclass(frozen=True)
class Needed:
    """What the decision requires of each tested subject: a p-value of matching, and shares of images in both ranks of identification.

    ``identified`` (ranks, works) says whether identification finds the artist in each real work, and whether the work falls to
    the artist's label among the labels of all names; it is None for an encoder without text. ``share`` (ranks, n) is NaN if no
    share of images would pass. ``images`` (n,) counts the images that the
    audit shows. ``alone`` (n,) says whether the name test without other artists decides.
    """

    p: FloatArray
    share: FloatArray
    identified: BoolArray | None
    images: np.ndarray
    alone: BoolArray


def imitated_perfectly(found: Matched, needed: Needed, *, seed: int) -> PerfectImitator:
    """Run the audit on a perfect imitator of each tested subject.

    Matching cannot be tested on a perfect imitator of subjects whose matching is decided without other artists: real works resemble
    each other because they are no images of the model, whether or not the encoder sees the hand, and no other artist's works show
    how much. For these, ``called`` is the share of splits in which identification alone finds the artist, ``p_value`` is NaN, and ``reason``
    says what lacks (``by_identification``). Without text, or with too few works, ``called`` is NaN.
    """
    artists = np.array([found.works.pool.index(s) for s in found.tested], dtype=np.int64)
    split = halves(
        found.works.artist, artists, images=needed.images, seed=seed, groups=found.groups, weights=found.weights
    )
    result = perfect_imitator(
        found.cells,
        found.own,
        found.works.embeddings,
        split,
        needed_p=needed.p,
        stratum=found.column_strata,
        identified=needed.identified,
        # If no share of images would pass, a perfect imitator is not called either.
        needed_share=np.nan_to_num(needed.share, nan=2.0),
    )
    if needed.identified is None or not needed.alone.any():
        return result
    shares = shares_of(split.images, needed.identified).reshape(*needed.share.shape, split.splits)
    passes = (shares >= np.nan_to_num(needed.share, nan=2.0)[..., None] - 1e-12).all(axis=0)
    alone = needed.alone & (split.stand_ins > 0) & np.array([bool(why) for why in result.reason])
    return replace(
        result,
        called=np.where(alone, passes.mean(axis=1), result.called),
        identified=np.where(alone, np.median(shares, axis=2), result.identified),
    )


def by_identification(control: pd.DataFrame) -> dict[str, bool]:
    """Return whether identification finds the perfect imitator, of each subject of `positive_control` whose imitator could not be matched."""
    alone = control[(control["reason"] != "") & control["called"].notna()]
    return dict(zip(alone["subject"].astype(str), (alone["called"] > 0.5).tolist(), strict=True))


def control_rows(found: Matched, needed: Needed, result: PerfectImitator) -> pd.DataFrame:
    """Make the table `positive_control` without the keys of model and encoder."""
    # The rank of which the imitator falls furthest short.
    least = np.argmin(np.nan_to_num(result.identified - np.nan_to_num(needed.share, nan=2.0)), axis=0)
    identified, share = (np.take_along_axis(of, least[None], axis=0)[0] for of in (result.identified, needed.share))
    works = np.bincount(found.works.artist, minlength=len(found.works.pool))
    place = {s: i for i, s in enumerate(found.works.pool)}
    return pd.DataFrame(
        {
            "subject": found.tested,
            "kind": found.kinds,
            "works": [int(works[place[s]]) for s in found.tested],
            "independent_works": result.independent,
            "stand_ins": result.stand_ins,
            "would_be_called": result.auditable,
            "called": result.called,
            "p_value": result.p_value,
            "needed_p": needed.p,
            "identified": identified,
            "needed_share": share,
            "reason": list(result.reason),
        }
    )


def copy_rows(found: Matched) -> pd.DataFrame:
    """Make the table `near_copies` without the keys of model and encoder: its pairs count once, or not at all."""
    rows = found.works.rows
    subject, sha256 = rows["subject"].astype(str).to_numpy(), rows["image_sha256"].astype(str).to_numpy()
    lines: list[tuple[str, str, str, str, str, float]] = []
    for (one, other), cosine in zip(found.copies.pairs, found.copies.cosine, strict=True):
        what = WITHIN if subject[one] == subject[other] else BETWEEN
        lines.append((what, subject[one], sha256[one], subject[other], sha256[other], float(cosine)))
    for work in np.flatnonzero(found.model_output >= 0):
        image = found.images.iloc[int(found.model_output[work])]
        cosine = float(found.model_output_cosine[work])
        lines.append((MODEL, subject[work], sha256[work], str(image["subject"]), str(image["image_sha256"]), cosine))
    return pd.DataFrame(lines, columns=["what", "subject", "image_sha256", "other_subject", "other_sha256", "cosine"])
