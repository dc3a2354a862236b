"""Lay one small grey picture over another: the affine map from which their grey values correlate most.

``copy_detection`` finds candidates with it. A picture is an array of SIDE x SIDE averaged grey values. A copy of a work may be
cropped, mirrored, framed, turned or stretched, so the whole picture is compared with *parts* of the work, called windows.
Positions are shares of the side, 0 to 1.
"""

from itertools import product

import numpy as np
import numpy.typing as npt

from audit_assets.measurement.vectors import FloatArray, IntArray

SIDE = 32
"""Fields per side of a picture. A crop to 60 % of the side still has 19 of them."""
FIELDS = 12
"""Fields per side of a window while candidates are searched."""
STEPS = ((SIDE // 2, 8), (SIDE, 5))
"""Points per side, and steps of the search for the best map: first at a quarter of the points, then at all. Eight steps are enough for a turn of six degrees
and a border of an eighth."""
INSIDE = 0.8
"""Share of the picture that must lie within the work."""
LEAST_AREA, MOST_AREA = 0.3, 1.6
"""Share of the work that the picture may show. 0.36 is a crop to 60 % of either side."""

Grey = npt.NDArray[np.floating] | npt.NDArray[np.uint8]
"""Pictures (n, SIDE, SIDE)."""

_ASPECTS = ((1.0, 1.0), (0.9, 0.9), (0.8, 0.8), (0.7, 0.7), (0.6, 0.6), (1.0, 0.8), (0.8, 1.0), (1.0, 0.6), (0.6, 1.0))
_STRIDE = 0.08


def _starts(size: float) -> list[float]:
    return np.linspace(0, 1 - size, int(np.ceil((1 - size) / _STRIDE - 1e-9)) + 1).tolist()


WINDOWS = np.array([(x, y, w, h) for w, h in _ASPECTS for x, y in product(_starts(w), _starts(h))])
"""Parts of a work (windows, 4): left, top, width, height."""
INSETS = np.array([(0.0, 0.0, 1.0, 1.0), (0.06, 0.06, 0.88, 0.88), (0.11, 0.11, 0.78, 0.78)])
"""Parts of an image: all of it, or without a frame."""
VARIANTS = 2 * len(INSETS)
"""Ways to look at an image: each part as it is, and mirrored."""


def windows_of(works: Grey) -> Grey:
    """Each window of each work: (works, windows, FIELDS * FIELDS), less their mean and of length 1; 0 for one colour."""
    return _parts(works, WINDOWS)


def variants_of(images: Grey) -> Grey:
    """Each way to look at each image: (images, VARIANTS, FIELDS * FIELDS), less their mean and of length 1."""
    return np.concatenate([_parts(images, INSETS), _parts(images[:, :, ::-1], INSETS)], axis=1)


def registered(images: Grey, works: Grey, variant: IntArray, window: IntArray) -> FloatArray:
    """Correlations (pairs,) of each image with its work, at the best affine map that is near to the start.

    ``images`` and ``works`` (pairs, SIDE, SIDE). ``variant`` and ``window`` (pairs,) say where the search starts. Each of the ``STEPS``
    solves the least squares problem of the linearised difference (Lucas and Kanade 1981), with gain and offset of the grey values as two more
    unknowns, so that brightness and contrast do not count. The result is the largest correlation on the way, over all points, and -1 if no map on the way is allowed (``INSIDE``, ``LEAST_AREA``, ``MOST_AREA``).
    """
    from audit_assets.measurement.kernels import registered_pairs

    if not len(images):
        return np.zeros(0)
    pictures = np.where((variant >= len(INSETS))[:, None, None], images[:, :, ::-1], images).astype(np.float64)
    return np.asarray(
        registered_pairs(
            np.ascontiguousarray(pictures),
            np.ascontiguousarray(works, dtype=np.float64),
            INSETS[variant % len(INSETS)],
            WINDOWS[window],
            np.array(STEPS),
            (INSIDE, LEAST_AREA, MOST_AREA),
        )
    )


def _parts(pictures: Grey, parts: FloatArray) -> Grey:
    """Averages over the fields of each part, standardized: (n, parts, FIELDS * FIELDS)."""
    across = {span: _averages(*span).astype(np.float32) for span in {*map(tuple, parts[:, [0, 2]].tolist())}}
    down = {span: _averages(*span).astype(np.float32) for span in {*map(tuple, parts[:, [1, 3]].tolist())}}
    narrowed = {span: pictures @ operator.T for span, operator in across.items()}
    found = np.empty((len(pictures), len(parts), FIELDS * FIELDS), dtype=np.float32)
    for i, (x, y, w, h) in enumerate(parts.tolist()):
        found[:, i] = (down[y, h] @ narrowed[x, w]).reshape(len(pictures), -1)
    return np.asarray(_standardized(found), dtype=np.float32)


def _averages(start: float, size: float) -> FloatArray:
    """The operator (FIELDS, SIDE) that averages SIDE values over FIELDS equal fields of the part from ``start``."""
    edges = start + size * np.arange(FIELDS + 1) / FIELDS
    pixels = np.arange(SIDE) / SIDE
    shared = np.minimum(edges[1:, None], pixels + 1 / SIDE) - np.maximum(edges[:-1, None], pixels)
    return np.asarray(np.maximum(shared, 0.0) * FIELDS / size)


def _standardized(values: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Rows less their mean, of length 1; a row of one value, up to a tenth of a grey level, becomes 0."""
    centred = values - values.mean(axis=-1, keepdims=True)
    length = np.linalg.norm(centred, axis=-1, keepdims=True)
    return np.where(length > 0.1 * np.sqrt(values.shape[-1]), centred / np.maximum(length, 1e-9), 0.0)
