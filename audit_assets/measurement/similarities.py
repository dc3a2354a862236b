"""From embeddings to the matrix of matching: the mean cosine between each artist's works and each name's images.

All works and all shown images count, whatever their numbers: the mean of all cosines between two sets is the inner product
of the sets' mean vectors, so no pair is ever formed, and memory does not grow with the number of images.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy

from audit_assets.measurement.vectors import BoolArray, FloatArray, IntArray, indices, mask, unit_rows

FEWEST_IMAGES = 5
"""A name with fewer shown images has no column: blank and missing images are no evidence about the name."""

BLOCK = 4096
"""Embeddings that are held in float64 at a time."""


@dataclass(frozen=True)
class Similarities:
    """Mean cosines, with rows for artists who have works and columns for names that have enough shown images.

    ``similarity`` (rows, columns). ``mean_works`` (rows, d), ``mean_images`` (columns, d): means of unit vectors.
    ``row_of`` (pool,), ``column_of`` (names,): the row of each artist and the column of each name, -1 if there is none.
    ``works`` (pool,), ``images`` (names,): works and shown images, including those of artists and names without row or column.
    ``fewest_images``: shown images that a column needs.
    """

    similarity: FloatArray
    mean_works: FloatArray
    mean_images: FloatArray
    row_of: IntArray
    column_of: IntArray
    works: IntArray
    images: IntArray
    fewest_images: int

    def missing(self, artist: int, name: int) -> str:
        """Why this artist with this name has no own cell, and what would give one; empty if the cell exists."""
        if self.row_of[artist] < 0:
            return "The artist has no works that count; add works."
        if self.column_of[name] < 0:
            images = self.images[name]
            return (
                f"The name has {images} shown images and needs {self.fewest_images}; "
                f"{self.fewest_images - images} more images would settle it."
            )
        return ""

    def lengths(self) -> FloatArray:
        """Length of each row's mean work less the mean of all rows' mean works, (rows,)."""
        return centred_lengths(self.mean_works)


def centred_lengths(mean_works: npt.ArrayLike) -> FloatArray:
    """Lengths of the rows of (rows, d) less their mean, shape (rows,)."""
    rows = np.asarray(mean_works, dtype=np.float64)
    if len(rows) == 0:
        return np.zeros(0)
    return np.asarray(np.linalg.norm(rows - rows.mean(axis=0), axis=1))


def similarities(
    works: npt.ArrayLike,
    artist: npt.ArrayLike,
    images: npt.ArrayLike,
    name: npt.ArrayLike,
    *,
    pool: int,
    names: int,
    shown: npt.ArrayLike | None = None,
    weights: npt.ArrayLike | None = None,
    fewest_images: int = FEWEST_IMAGES,
) -> Similarities:
    """Mean cosines between artists' works (n, d) and names' images (m, d), unit vectors.

    ``artist`` (n,), indices below ``pool``; ``name`` (m,), indices below ``names``; -1 for an item that belongs to none.
    ``shown`` (m,): False for blank images, which are left out. ``weights`` (n,), not negative: near-identical works count
    once if each has the weight 1 / their number (``near_copies.weights_of``); by default each work counts once.

    If no artist has works, or no name has enough shown images, the matrix is empty, and ``missing`` says why for each artist.
    Raises ValueError on bad embeddings, indices, masks or weights, and on two dimensions.
    """
    if fewest_images < 1:
        raise ValueError(f"fewest_images is {fewest_images}; a column needs one image or more.")
    of_work = indices(artist, length=len(np.asarray(artist)), below=pool, what="The artist of the work")
    of_image = indices(name, length=len(np.asarray(name)), below=names, what="The name of the image")
    seen = np.ones(len(of_image), dtype=np.bool_)
    if shown is not None:
        seen = mask(shown, length=len(of_image), what="The mask of shown images")
    of_image = np.where(seen, of_image, -1)
    each = _weights(weights, len(of_work))
    in_row = _sizes(of_work, pool, each > 0)
    in_column = _sizes(of_image, names)
    rows, columns = np.flatnonzero(in_row > 0), np.flatnonzero(in_column >= fewest_images)
    mean_works = means(works, of_work, groups=pool, weights=each, what="work")[rows]
    mean_images = means(images, of_image, groups=names, what="image")[columns]
    if mean_works.shape[1] != mean_images.shape[1]:
        raise ValueError(
            f"The embeddings of works and images have {mean_works.shape[1]} and {mean_images.shape[1]} dimensions; "
            "compare embeddings of one encoder only."
        )
    return Similarities(
        similarity=mean_works @ mean_images.T,
        mean_works=mean_works,
        mean_images=mean_images,
        row_of=_positions(rows, pool),
        column_of=_positions(columns, names),
        works=in_row,
        images=in_column,
        fewest_images=fewest_images,
    )


def means(
    vectors: npt.ArrayLike, group: IntArray, *, groups: int, what: str, weights: FloatArray | None = None
) -> FloatArray:
    """Weighted mean of the unit vectors (n, d) of each group, (groups, d); 0 for a group without weight.

    Vectors are checked and turned into float64 in blocks, so half or single precision on disk stays that in memory.
    Raises ValueError as ``vectors.unit_rows``, and if there is not one group index per vector.
    """
    array: npt.NDArray[np.floating] = np.asarray(vectors)
    if array.ndim != 2 or len(array) != len(group):
        raise ValueError(f"The {what} embeddings have shape {array.shape} and {len(group)} indices; pass one per row.")
    each = np.ones(len(group)) if weights is None else weights
    sums, total = np.zeros((groups, array.shape[1])), np.zeros(groups)
    for start in range(0, len(array), BLOCK):
        part = slice(start, start + BLOCK)
        rows = unit_rows(array[part], what, first_row=start)
        kept = np.flatnonzero(group[part] >= 0)
        member = group[part][kept]
        membership = scipy.sparse.csr_array((each[part][kept], (member, kept)), shape=(groups, len(rows)))
        sums += np.asarray(membership @ rows, dtype=np.float64)
        total += np.bincount(member, weights=each[part][kept], minlength=groups)
    return np.asarray(sums / np.where(total > 0, total, 1.0)[:, None])


def _weights(weights: npt.ArrayLike | None, length: int) -> FloatArray:
    if weights is None:
        return np.ones(length)
    each = np.asarray(weights, dtype=np.float64)
    if each.shape != (length,) or not (np.isfinite(each) & (each >= 0)).all():
        raise ValueError(f"The weights of works have shape {each.shape}; pass {length} finite numbers of 0 or more.")
    return each


def _sizes(group: IntArray, groups: int, counted: BoolArray | None = None) -> IntArray:
    kept = group >= 0 if counted is None else (group >= 0) & counted
    return np.bincount(group[kept], minlength=groups).astype(np.int64)


def _positions(kept: npt.NDArray[np.integer], length: int) -> IntArray:
    positions = np.full(length, -1, dtype=np.int64)
    positions[kept] = np.arange(len(kept))
    return positions
