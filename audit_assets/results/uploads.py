"""Make the figures of an arm that gives the model works of an artist: the works that it was given are left out of what its images are compared with."""

from typing import Any

import numpy as np
import pandas as pd

from audit_assets.measurement.name_controls import FEWEST_SHOWN
from audit_assets.measurement.near_copies import confirmed, independent_groups, near_copies, pixels_alike
from audit_assets.measurement.similarities import means
from audit_assets.measurement.uploads import Beside, beside_uploads, kept
from audit_assets.measurement.vectors import IntArray
from audit_assets.results.matched import Works
from audit_assets.roster.strata import TESTED
from audit_assets.warehouse.store import vectors

CONTROLS = ("background", "untrained_artist")
"""The kinds of artists whose works are given for comparison."""


def left(works: Works, given: set[str]) -> Works:
    """The works without those that the model was given, near copies of these, and works of the same series."""
    group = _groups(works)
    rest = ~np.isin(group, group[works.rows["image_sha256"].isin(given).to_numpy()])
    return Works(works.rows[rest].reset_index(drop=True), works.embeddings[rest], works.pool, works.artist[rest])


def _groups(works: Works) -> IntArray:
    """Group the works that show the same: near copies, whoever has them, and works of one declared series of an artist."""
    rows = works.rows
    copies = near_copies(
        works.embeddings,
        rows["image_sha256"].astype(str).tolist(),
        centre=works.embeddings.mean(axis=0, dtype=np.float64),
    )
    pictures = rows["picture"].tolist()
    one, other = copies.pairs.T
    copies = confirmed(copies, pixels_alike([pictures[i] for i in one], [pictures[i] for i in other]))
    named = rows["series"].fillna("").astype(str)
    labels = pd.factorize(rows["subject"].astype(str) + "\0" + named)[0]
    return independent_groups(copies.group, np.where(named.to_numpy() == "", -1, labels).astype(np.int64))


def beside(
    rows: pd.DataFrame, embedded: pd.DataFrame, works: Works, rest: Works, level: float
) -> dict[str, dict[str, Any]]:
    """Per tested subject that was asked: the share of nearness that its images kept, beside those of the control artists.

    ``rows`` has every image of the arm with the work that the model was given; ``embedded`` those with an embedding. ``rest``: the works
    that the images are compared with.
    """
    there = np.bincount(rest.artist, minlength=len(works.pool))
    mean = means(rest.embeddings, rest.artist, groups=len(works.pool), what="work")
    of_work = {sha: i for i, sha in reversed(list(enumerate(works.rows["image_sha256"].astype(str))))}
    shown = embedded[embedded["status"] == "ok"].merge(
        rows[["subject", "template", "trial", "upload_sha256"]], on=["subject", "template", "trial"]
    )
    asked = rows.dropna(subset=["upload_sha256"]).drop_duplicates("subject")
    kinds = dict(zip(asked["subject"].astype(str), asked["kind"].astype(str), strict=True))
    shares, images = dict[str, float](), dict[str, int]()
    for subject, own in ((s, shown[shown["subject"] == s]) for s in kinds):
        place = works.pool.index(subject) if subject in works.pool else -1
        images[subject], shares[subject] = len(own), np.nan
        others = (there > 0) & (np.arange(len(works.pool)) != place)
        if place >= 0 and there[place] and others.any() and len(own):
            before = works.embeddings[[of_work[sha] for sha in own["upload_sha256"]]]
            shares[subject] = kept(before, vectors(own["embedding"]), mean[place], mean[others].mean(axis=0))
    found = {}
    for subject in (s for s, kind in kinds.items() if kind in TESTED):
        controls = [
            shares[s] for s, kind in kinds.items() if kind in CONTROLS and s != subject and images[s] >= FEWEST_SHOWN
        ]
        test = beside_uploads(shares[subject], images[subject], controls, level=level)
        found[subject] = _row(shares[subject], images[subject], test, level)
    return found


def _row(share: float, shown: int, found: Beside, level: float) -> dict[str, Any]:
    return {
        "shown": shown, "identified": None, "share": share, "share_low": np.nan, "share_high": np.nan,
        "controls": found.controls, "control_share": found.control_share, "controls_reaching": found.reached,
        "p_value": found.p_value, "p_floor": found.p_floor, "level": level, "finding": found.finding,
    }  # fmt: skip
