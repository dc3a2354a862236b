"""Works that are the same work: found, said, and counted once.

Ten photographs of one painting are one work. A work that is the model's own image says nothing about the artist: with it among
the references, a model would be found to imitate itself. Copies are found by equal hashes of the files, and by cosines of
embeddings above a threshold; groups of copies are connected components.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy

from audit_assets.measurement.vectors import FloatArray, IntArray, unit_rows

THRESHOLD = 0.97
"""Cosine of centred embeddings from which two images count as near-identical: they share 94 % of their variance.

Centred, because encoders whose embeddings share a large common part put unrelated works above any threshold near 1. The two
errors are not alike. A wrong merge takes weight from works that do count, and the perfect imitator then asks for more works,
in the open. A missed copy lets one painting be work and imitation at once, and no reader sees it. How good the threshold is for an
encoder is counted in each audit: ``shared_share`` is the share of works merged with a work of *another* artist, which
should be next to none. If it is not, the encoder cannot tell copies from works, and the report says so.
"""

PIXELS = 0.995
"""Correlation of two pictures of 16 x 16 averaged colours from which their pixels are alike: a JPEG of an image, or the image in
another size, has more than 0.997, and the most similar of 990 pairs of works of one artist in the miniature has 0.991."""

BLOCK = 1024
"""Rows that are compared with all others at a time."""


@dataclass(frozen=True)
class Copies:
    """Groups of near-identical works. ``group`` (n,): the group of each work, numbered by first appearance.

    ``pairs`` (k, 2): the pairs found, first < second; ``cosine`` (k,): theirs, 1 for equal hashes.
    """

    group: IntArray
    pairs: IntArray
    cosine: FloatArray

    def groups(self) -> list[list[int]]:
        """The members of each group of two works or more, in order."""
        order = np.argsort(self.group, kind="stable")
        parts = np.split(order, np.flatnonzero(np.diff(self.group[order])) + 1)
        return [part.tolist() for part in parts if len(part) > 1]


def near_copies(
    works: npt.ArrayLike, keys: Sequence[str] | None = None, *, centre: npt.ArrayLike, threshold: float = THRESHOLD
) -> Copies:
    """Near-identical works among all (n, d) unit vectors, within an artist and across artists.

    Two works are a pair if their ``keys`` (n,), the SHA-256 of the files, are equal, or if the cosine of their embeddings, less
    ``centre`` (d,), is at or above ``threshold``. A chain of pairs is one group. ``centre``: the mean of all embeddings of the
    audit, works and images, and not of the works that are compared, since the mean of three copies is the copy itself.
    Compared in single precision and in blocks.

    Raises ValueError on bad embeddings, another dimension of the centre, a threshold outside (0, 1], and keys that are not
    one per work.
    """
    rows = _prepared(works, "work", centre, threshold)
    if keys is not None and len(keys) != len(rows):
        raise ValueError(f"{len(keys)} keys for {len(rows)} works; pass one per work.")
    left, right, cosine = _at_or_above(rows, threshold)
    if keys is not None:
        equal = _equal(keys)
        known = np.isin(left * len(rows) + right, equal[:, 0] * len(rows) + equal[:, 1])
        left, right = np.append(left[~known], equal[:, 0]), np.append(right[~known], equal[:, 1])
        cosine = np.append(cosine[~known], np.ones(len(equal)))
    order = np.lexsort((right, left))
    pairs = np.stack([left, right], axis=1)[order]
    return Copies(_connected(pairs, len(rows)), pairs, cosine[order])


def confirmed(copies: Copies, pixels_alike: npt.ArrayLike) -> Copies:
    """The copies whose pixels are alike too: ``pixels_alike`` (pairs,) holds the correlation of the two small pictures.

    An encoder that was trained on an artist's works may put all of them in one place, so that embeddings alone call every
    work a copy of every other. In the miniature, 346 of 990 pairs of works of one artist are above ``THRESHOLD``, and none
    above ``PIXELS``. Raises ValueError unless there is one value per pair.
    """
    alike = np.asarray(pixels_alike, dtype=np.float64)
    if alike.shape != (len(copies.pairs),):
        raise ValueError(f"{len(copies.pairs)} pairs with {alike.size} correlations; pass one per pair.")
    kept = alike >= PIXELS
    return Copies(_connected(copies.pairs[kept], len(copies.group)), copies.pairs[kept], copies.cosine[kept])


def same_pictures(pictures: Sequence[bytes], keys: Sequence[str]) -> IntArray:
    """The pictures that are one have one number: (n,), by first appearance.

    Two pictures are one if their ``keys`` (n,), the SHA-256 of the files, are equal, or if the correlation of their small pictures (``pixels_alike``)
    is ``PIXELS`` or more. A chain of pairs is one group. Unlike ``near_copies``, no encoder is asked. Raises ValueError unless there is one key per picture.
    """
    if len(keys) != len(pictures):
        raise ValueError(f"{len(keys)} keys for {len(pictures)} pictures; pass one per picture.")
    if not len(pictures):
        return np.zeros(0, dtype=np.int64)
    parts = [_standardized(pictures[i : i + BLOCK]).astype(np.float32) for i in range(0, len(pictures), BLOCK)]
    left, right, _ = _at_or_above(np.concatenate(parts), PIXELS)
    return _connected(np.concatenate([np.stack([left, right], axis=1), _equal(keys)]), len(pictures))


def pixels_alike(one: Sequence[bytes], other: Sequence[bytes]) -> FloatArray:
    """Correlations (n,) of the small pictures of each pair of images, 16 x 16 averaged colours in bytes; 0 for a picture of one value."""
    parts = [slice(start, start + BLOCK) for start in range(0, len(one), BLOCK)]
    found = [np.vecdot(_standardized(one[part]), _standardized(other[part])) for part in parts]
    return np.concatenate(found) if found else np.zeros(0)


def weights_of(copies: Copies, artist: npt.ArrayLike) -> FloatArray:
    """Weights (n,) with which the copies of one artist count as one work: 1 / (members of the group of the same artist).

    ``artist`` (n,). A work that two artists have counts for each of them, which is reported (``shared_between``), not decided.
    """
    who = np.asarray(artist)
    both = np.unique(np.stack([who, copies.group]), axis=1, return_inverse=True, return_counts=True)
    return np.asarray(1.0 / both[2][both[1]], dtype=np.float64)


def shared_between(copies: Copies, artist: npt.ArrayLike) -> list[tuple[int, ...]]:
    """The artists of each group of copies that belongs to more than one, sorted and without repeats."""
    who = np.asarray(artist)
    owners = (tuple(sorted({int(who[i]) for i in members if who[i] >= 0})) for members in copies.groups())
    return sorted({artists for artists in owners if len(artists) > 1})


def contaminated(
    works: npt.ArrayLike,
    images: npt.ArrayLike,
    *,
    work_keys: Sequence[str] | None = None,
    image_keys: Sequence[str] | None = None,
    within: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
    centre: npt.ArrayLike,
    threshold: float = THRESHOLD,
) -> tuple[IntArray, FloatArray]:
    """Works (n, d) that are near-identical to an image of the model (m, d): its index (n,), -1 for none, and the cosine (n,).

    The work may be the model's output, or the image a copy of a work that the model has memorised: the two look the same from
    here, the report names the pair, and the work must not be evidence of imitation. Cosines and ``centre`` as in ``near_copies``;
    equal keys are found whatever the cosine, which is then 1. If no image is near, the cosine is that of the nearest, and -1
    without any. ``within``: labels of works (n,) and of images (m,); embeddings are then compared within a label only, as artists
    with the images of their own names, which is faster by the number of artists. Keys are always compared with all.

    Raises ValueError as ``near_copies``, and on labels or keys that are not one per work and one per image.
    """
    left, right = _prepared(works, "work", centre, threshold), _prepared(images, "image", centre, threshold)
    nearest, cosine = np.full(len(left), -1, dtype=np.int64), np.full(len(left), -1.0)
    for some, among in _labelled(within, len(left), len(right)):
        part = left[some] @ right[among].T
        best = part.argmax(axis=1)
        cosine[some], nearest[some] = part[np.arange(len(some)), best], among[best]
    nearest[cosine < threshold] = -1
    if work_keys is not None and image_keys is not None:
        if len(work_keys) != len(left) or len(image_keys) != len(right):
            raise ValueError("Pass one key per work and one per image.")
        where = {key: i for i, key in reversed(list(enumerate(image_keys)))}
        for i, key in enumerate(work_keys):
            if key in where:
                nearest[i], cosine[i] = where[key], 1.0
    return nearest, cosine


def shared_share(copies: Copies, artist: npt.ArrayLike) -> float:
    """Share of works in a group of copies with works of another artist; NaN without works. Should be next to 0."""
    who = np.asarray(artist)
    mixed = [i for members in copies.groups() if len(set(who[members].tolist())) > 1 for i in members]
    return len(mixed) / len(who) if len(who) else float("nan")


def order_of(keys: Sequence[str]) -> IntArray:
    """Positions (n,) in the order of the keys, the SHA-256 of the files as hexadecimal digits.

    If only some works are taken, they are the first in this order: who names the files does not choose. Equal keys are equal
    files, and keep their order. Raises ValueError on a key that is no SHA-256.
    """
    for i, key in enumerate(keys):
        if len(key) != 64 or not set(key.lower()) <= set("0123456789abcdef"):
            raise ValueError(f"The key in row {i} is {key!r}; pass the SHA-256 of each file, 64 hexadecimal digits.")
    return np.asarray(sorted(range(len(keys)), key=lambda i: keys[i].lower()), dtype=np.int64)


def _standardized(pictures: Sequence[bytes]) -> FloatArray:
    """Rows less their mean, of length 1; a row of one value becomes 0."""
    values = np.stack([np.frombuffer(p, dtype=np.uint8) for p in pictures]).astype(np.float64)
    values -= values.mean(axis=1, keepdims=True)
    return np.asarray(values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-9))


def _labelled(
    within: tuple[npt.ArrayLike, npt.ArrayLike] | None, works: int, images: int
) -> Iterator[tuple[IntArray, IntArray]]:
    """Blocks of works, and the images that each is compared with; blocks without images are left out."""
    if within is None:
        for start in range(0, works if images else 0, BLOCK):
            yield np.arange(start, min(start + BLOCK, works)), np.arange(images)
        return
    of_work, of_image = np.asarray(within[0]), np.asarray(within[1])
    if of_work.shape != (works,) or of_image.shape != (images,):
        raise ValueError(
            f"Labels of {of_work.shape} works and {of_image.shape} images; pass one per work and per image."
        )
    order_work, order_image = np.argsort(of_work, kind="stable"), np.argsort(of_image, kind="stable")
    for label in np.intersect1d(of_work, of_image):
        low, high = (np.searchsorted(of_work[order_work], label, side=side) for side in ("left", "right"))
        first, last = (np.searchsorted(of_image[order_image], label, side=side) for side in ("left", "right"))
        yield order_work[low:high], order_image[first:last]


def _prepared(vectors: npt.ArrayLike, what: str, centre: npt.ArrayLike, threshold: float) -> npt.NDArray[np.float32]:
    """Checked unit vectors less the centre, of unit length again, in single precision; a row at the centre becomes 0."""
    if not 0 < threshold <= 1:
        raise ValueError(f"The threshold is {threshold}; pass a cosine above 0 and up to 1.")
    array: npt.NDArray[np.floating] = np.asarray(vectors)
    middle = np.asarray(centre, dtype=np.float64)
    if array.ndim == 2 and (middle.shape != array.shape[1:] or not np.isfinite(middle).all()):
        raise ValueError(
            f"The centre has shape {middle.shape}; pass {array.shape[1]} finite numbers, one per dimension."
        )
    prepared = np.empty(array.shape, dtype=np.float32)
    for start in range(0, max(len(array), 1), BLOCK):
        rows = unit_rows(array[start : start + BLOCK], what, first_row=start) - middle
        length = np.linalg.norm(rows, axis=1, keepdims=True)
        prepared[start : start + BLOCK] = np.where(length > 1e-6, rows / np.maximum(length, 1e-6), 0.0)
    return prepared


def _at_or_above(rows: npt.NDArray[np.float32], threshold: float) -> tuple[IntArray, IntArray, FloatArray]:
    """Pairs first < second with a cosine at or above the threshold."""
    found: list[tuple[IntArray, IntArray, FloatArray]] = []
    for start in range(0, len(rows), BLOCK):
        part = rows[start : start + BLOCK] @ rows[start:].T
        # Single precision is off by less than 1e-6.
        first, second = np.nonzero(part >= threshold - 1e-6)
        first, second = first[second > first], second[second > first]
        found.append((first + start, second + start, part[first, second].astype(np.float64)))
    if not found:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    left, right, cosines = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return left.astype(np.int64), right.astype(np.int64), np.minimum(cosines, 1.0)


def _equal(keys: Sequence[str]) -> IntArray:
    """Pairs (k, 2) of the first row with a key and each further row with it."""
    first: dict[str, int] = {}
    same = [(first.setdefault(key, i), i) for i, key in enumerate(keys)]
    return np.array([pair for pair in same if pair[0] != pair[1]], dtype=np.int64).reshape(-1, 2)


def _connected(pairs: IntArray, n: int) -> IntArray:
    """The connected component (n,) of each of ``n`` rows by pairs (k, 2), numbered by first appearance."""
    graph = scipy.sparse.coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    group = scipy.sparse.csgraph.connected_components(graph, directed=False)[1] if n else np.zeros(0)
    return _by_first_appearance(np.asarray(group, dtype=np.int64))


def _by_first_appearance(group: IntArray) -> IntArray:
    first, inverse = np.unique(group, return_index=True, return_inverse=True)[1:]
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]


def independent_groups(*labels: npt.ArrayLike) -> IntArray:
    """Works that share any label are one group: (n,), numbered by first appearance.

    Each of ``labels`` (n,) holds integers, for instance the group of copies and the series that the manifest names; -1 stands for a
    work that shares its label with none. Series and copies together decide what may be resampled apart.

    Raises ValueError without labels and if their lengths differ.
    """
    columns = [np.asarray(label, dtype=np.int64) for label in labels]
    if not columns or any(column.shape != columns[0].shape or column.ndim != 1 for column in columns):
        raise ValueError("Pass one label per work in each argument, and one argument or more.")
    n = len(columns[0])
    graph = scipy.sparse.coo_array((n, n))
    for column in columns:
        at = np.flatnonzero(column >= 0)
        first = np.full(int(column.max(initial=0)) + 1, -1)
        first[column[at][::-1]] = at[::-1]
        graph = graph + scipy.sparse.coo_array((np.ones(len(at)), (at, first[column[at]])), shape=(n, n))
    return _by_first_appearance(
        np.asarray(scipy.sparse.csgraph.connected_components(graph, directed=False)[1], dtype=np.int64)
    )
