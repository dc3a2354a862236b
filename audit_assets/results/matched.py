"""Prepare the matrix that the tests of matching use: one encoder's works, and its images of one model version.

The rows of the matrix are all artists with works. The columns are all prompted names whose images can be compared with
an artist's images: artists, untrained artists, random names and nonsense. Names recombined from artists' own parts have
no column, because such a name can itself make the model imitate the artist.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from audit_assets.config import EncoderEntry
from audit_assets.measurement.near_copies import (
    PIXELS,
    Copies,
    confirmed,
    contaminated,
    independent_groups,
    near_copies,
    pixels_alike,
    weights_of,
)
from audit_assets.measurement.own_cell import OwnCells, own_cells
from audit_assets.measurement.similarities import Similarities, similarities
from audit_assets.measurement.vectors import BoolArray, FloatArray, IntArray
from audit_assets.results.copies import images_with_copies
from audit_assets.results.recipe import works_of
from audit_assets.roster.strata import TESTED, strata_of
from audit_assets.warehouse.store import vectors
from audit_assets.workspace import Workspace


@dataclass(frozen=True)
class Works:
    """The works of all artists, in the order of artists and then of the works' hashes.

    ``rows`` has subject, work, image_sha256, picture, series. ``artist`` (n,) has positions in ``pool``.
    ``copies`` lists near-identical works.
    """

    rows: pd.DataFrame
    embeddings: FloatArray
    pool: list[str]
    artist: IntArray


@dataclass(frozen=True)
class Matched:
    """The matrix of one model version and encoder, and the subjects whose own cells it has.

    ``tested`` has the subjects with works or images that need a verdict; ``own`` has one cell per subject, in this
    order. ``names`` has the subject of each column's position, and ``stratum`` (columns,) the stratum of each column
    that exists. ``model_output`` (works,) has the image of the same artist that a work is near-identical to, -1 if
    none.
    """

    works: Works
    copies: Copies
    model_output: IntArray
    model_output_cosine: FloatArray
    images: pd.DataFrame
    names: list[str]
    tested: list[str]
    kinds: list[str]
    cells: Similarities
    own: OwnCells
    strata: dict[str, str]
    weights: FloatArray

    @cached_property
    def column_strata(self) -> np.ndarray:
        """Return the stratum of every column of the matrix."""
        of_column = np.empty(self.cells.similarity.shape[1], dtype=object)
        for position, name in enumerate(self.names):
            if (column := self.cells.column_of[position]) >= 0:
                of_column[column] = self.strata[name]
        return of_column

    @cached_property
    def groups(self) -> IntArray:
        """Group the works that are not independent (works,)."""
        return groups_of(self.works.rows, self.copies)

    def columns_of(self, kinds: Sequence[str], subjects: pd.DataFrame) -> IntArray:
        """Return the columns that exist for subjects of these kinds."""
        kind = subjects.set_index("subject")["kind"]
        positions = [i for i, name in enumerate(self.names) if kind[name] in kinds]
        found = self.cells.column_of[positions]
        return np.asarray(found[found >= 0], dtype=np.int64)


def groups_of(works: pd.DataFrame, copies: Copies) -> IntArray:
    """Group the works that are not independent: near-identical works of an artist, and works of one declared series (works,)."""
    named = works["series"].fillna("").astype(str)
    labels = pd.factorize(works["subject"].astype(str) + "\0" + named)[0]
    series = np.where(named.to_numpy() == "", -1, labels).astype(np.int64)
    mixed = pd.factorize(pd.Series(copies.group).astype(str) + "\0" + works["subject"].astype(str))[0]
    return independent_groups(np.asarray(mixed, dtype=np.int64), series)


def copies_among(works: Works, centre: FloatArray) -> Copies:
    """Find the works that are near-identical to the encoder and in their small pictures."""
    copies = near_copies(works.embeddings, works.rows["image_sha256"].astype(str).tolist(), centre=centre)
    pictures = works.rows["picture"].tolist()
    left, right = copies.pairs.T
    return confirmed(copies, pixels_alike([pictures[i] for i in left], [pictures[i] for i in right]))


def independent_works(works: Works) -> tuple[FloatArray, IntArray]:
    """Return one unit vector per independent group of works, the mean of the group, and its artist: (groups, d) and (groups,)."""
    group = groups_of(works.rows, copies_among(works, works.embeddings.mean(axis=0, dtype=np.float64)))
    of, first, place = np.unique(group, return_index=True, return_inverse=True)
    means = np.zeros((len(of), works.embeddings.shape[1]))
    np.add.at(means, place, works.embeddings)
    return means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12), works.artist[first]


def works_of_everyone(ws: Workspace, encoder: EncoderEntry) -> Works | None:
    """Return the embedded works of all artists, None if no work exists."""
    if not (tables := works_of(ws, [encoder])):
        return None
    rows = ws.warehouse.read_all(tables).sort_values(["subject", "work"], kind="stable", ignore_index=True)
    if rows.empty:
        return None
    named = ws.warehouse.read_all([f"reference_works/{s}" for s in ws.referenced()])
    rows = rows.merge(named[["subject", "work", "series"]], on=["subject", "work"], how="left")
    having = set(rows["subject"])
    pool = [s for s in ws.subjects()["subject"].astype(str) if s in having]
    place = {s: i for i, s in enumerate(pool)}
    artist = np.asarray(rows["subject"].map(place).to_numpy(), dtype=np.int64)
    return Works(rows.drop(columns="embedding"), vectors(rows["embedding"]), pool, artist)


def _add_copies(output: IntArray, works: pd.DataFrame, images: pd.DataFrame) -> None:
    """Note in ``output`` (works,) the image of the same name that is a near copy of the work: it may be the model's own image."""
    keys = zip(images["subject"], images["copy_of"], strict=True)
    copied = {key: image for image, key in reversed(list(enumerate(keys))) if not pd.isna(key[1])}
    for place, key in enumerate(zip(works["subject"], works["image_sha256"], strict=True)):
        if output[place] < 0 and key in copied:
            output[place] = copied[key]


def matched(ws: Workspace, model: str, encoder: EncoderEntry) -> Matched | None:
    """Make the matrix of one model version and encoder.

    Return None if no artist has works, or if no name has enough shown images.
    """
    works = works_of_everyone(ws, encoder)
    return None if works is None else of_tables(works, images_with_copies(ws, encoder, model), ws.subjects())


def of_tables(works: Works, images: pd.DataFrame, subjects: pd.DataFrame) -> Matched | None:
    """Make the matrix of these works and images.

    ``images`` has subject, template, trial, status, image_sha256, picture, embedding, copy_of (the work that the image is a
    near copy of; such an image has no part in the matrix).
    """
    shares = subjects["shares_name_parts"].astype("boolean").fillna(False).astype(bool)
    columns = subjects[(subjects["kind"] != "background") & ~shares]
    names = columns["subject"].astype(str).tolist()
    images = images[(images["template"] >= 0) & images["subject"].isin(names)]
    images = images.sort_values(["subject", "template", "trial"], kind="stable", ignore_index=True)
    shown: BoolArray = ((images["status"] == "ok") & images["copy_of"].isna()).to_numpy()
    made = vectors(images["embedding"])
    if not shown.any():
        return None
    place = {s: i for i, s in enumerate(names)}
    of_image = images["subject"].map(place).to_numpy(dtype=np.int64)
    centre = np.concatenate([works.embeddings, made[shown]]).mean(axis=0, dtype=np.float64)
    keys = works.rows["image_sha256"].astype(str).tolist()
    copies = copies_among(works, centre)
    own_name = np.array([place.get(s, -1) for s in works.rows["subject"]], dtype=np.int64)
    pictures = works.rows["picture"].tolist()
    output, cosine = contaminated(
        works.embeddings,
        made,
        work_keys=keys,
        image_keys=images["image_sha256"].astype(str).tolist(),
        within=(own_name, of_image),
        centre=centre,
    )
    made_pictures = images["picture"].tolist()
    near = np.flatnonzero(output >= 0)
    alike = pixels_alike([pictures[work] for work in near], [made_pictures[output[work]] for work in near])
    output[near[alike < PIXELS]] = -1
    _add_copies(output, works.rows, images)
    # A copy of a work that may be the model's own is that work: with a part of its weight, it would count half.
    suspected = np.isin(copies.group, copies.group[output >= 0])
    weights = np.where(suspected, 0.0, weights_of(copies, works.artist))
    in_pool = {s: i for i, s in enumerate(works.pool)}
    named = columns.loc[columns["kind"].isin(TESTED), "subject"].astype(str)
    tested = [s for s in named if s in in_pool]
    cells = similarities(
        works.embeddings, works.artist, made, of_image, pool=len(works.pool), names=len(names), shown=shown, weights=weights
    )  # fmt: skip
    own = own_cells(cells, [in_pool[s] for s in tested], [place[s] for s in tested])
    kind = subjects.set_index("subject")["kind"]
    return Matched(
        works, copies, output, cosine, images.drop(columns="embedding"), names, tested, [str(kind[s]) for s in tested],
        cells, own, strata_of(subjects), weights,
    )  # fmt: skip
