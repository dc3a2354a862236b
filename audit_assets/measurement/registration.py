"""Lay one small grey picture over another: the affine map from which their grey values correlate most.

``copy_detection`` finds candidates with it. A picture is an array of SIDE x SIDE averaged grey values. A copy of a work may be
cropped, mirrored, framed, turned or stretched, so the whole picture is compared with *parts* of the work, called windows.
Positions are shares of the side, 0 to 1.
"""

from itertools import product
from typing import Any

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
    if not len(images):
        return np.zeros(0)
    images = np.where((variant >= len(INSETS))[:, None, None], images[:, :, ::-1], images)
    inset, start = INSETS[variant % len(INSETS)], WINDOWS[window]
    slopes = [np.asarray(slope) for slope in np.gradient(works.astype(np.float64), axis=(2, 1))]
    none = np.zeros(len(images))
    # x = m0 + m1 u + m2 v and y = m3 + m4 u + m5 v lead from the image to the work.
    m = np.stack(
        [start[:, 0] + start[:, 2] / 2, start[:, 2], none, start[:, 1] + start[:, 3] / 2, none, start[:, 3]], axis=1
    )
    best_map, best = m, np.full(len(images), -1.0)
    for side, steps in STEPS:
        points = _points(side)
        shown, m = _shown(images, inset, points), best_map
        best, best_map = np.full(len(images), -1.0), m.copy()
        for step in range(steps + 1):
            x, y, inside = _mapped(m, points)
            correlation, image, work = _compared(shown, works, x, y, inside, m)
            better = correlation > best
            best[better], best_map[better] = correlation[better], m[better]
            if step < steps:
                u, v = points
                dx, dy = (_sampled(slope, x, y) * SIDE * inside for slope in slopes)
                a = np.stack([dx, dx * u, dx * v, dy, dy * u, dy * v, -image, -inside], axis=2)
                m = m + np.clip(_solved(a, -work), -0.05, 0.05)[:, :6]
    return best


def _points(side: int) -> tuple[FloatArray, FloatArray]:
    """Positions of side x side points about the middle: (points,) from left to right, and from above."""
    centres = (np.arange(side) + 0.5) / side - 0.5
    u, v = np.meshgrid(centres, centres)
    return u.ravel(), v.ravel()


def _shown(images: Grey, inset: FloatArray, points: tuple[FloatArray, FloatArray]) -> FloatArray:
    """The part of each image at the points, standardized."""
    u, v = points
    x = inset[:, None, 0] + inset[:, None, 2] * (u + 0.5)
    y = inset[:, None, 1] + inset[:, None, 3] * (v + 0.5)
    return np.asarray(_standardized(_sampled(images, x, y)), dtype=np.float64)


def _mapped(m: FloatArray, points: tuple[FloatArray, FloatArray]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Where the map puts the points in the work, and which of them (1 or 0) lie within it."""
    u, v = points
    x = m[:, 0:1] + m[:, 1:2] * u + m[:, 2:3] * v
    y = m[:, 3:4] + m[:, 4:5] * u + m[:, 5:6] * v
    return x, y, ((x > 0) & (x < 1) & (y > 0) & (y < 1)).astype(np.float64)


def _compared(
    shown: FloatArray, works: Grey, x: FloatArray, y: FloatArray, inside: FloatArray, m: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Correlation over the points within the work, -1 for a map that is not allowed, and both sides less their means."""
    count = np.maximum(inside.sum(axis=1, keepdims=True), 1)
    work = _sampled(works, x, y)
    work = (work - (work * inside).sum(axis=1, keepdims=True) / count) * inside
    image = (shown - (shown * inside).sum(axis=1, keepdims=True) / count) * inside
    lengths = np.linalg.norm(work, axis=1) * np.linalg.norm(image, axis=1)
    area = np.abs(m[:, 1] * m[:, 5] - m[:, 2] * m[:, 4])
    allowed = (count[:, 0] >= INSIDE * x.shape[1]) & (area >= LEAST_AREA) & (area <= MOST_AREA)
    correlation = (work * image).sum(axis=1) / np.maximum(lengths, 1e-3)
    return np.where(allowed, correlation, -1.0), image, work


def _solved(a: FloatArray, b: FloatArray) -> FloatArray:
    """Least squares solutions (pairs, unknowns), damped a little in the six numbers of the map (Marquardt 1963)."""
    normal = a.transpose(0, 2, 1) @ a
    damping = 1e-3 * np.trace(normal[:, :6, :6], axis1=1, axis2=2) / 6
    normal += damping[:, None, None] * np.diag([1.0] * 6 + [0.0] * 2) + 1e-9 * np.eye(8)
    return np.asarray(np.linalg.solve(normal, a.transpose(0, 2, 1) @ b[..., None])[..., 0])


def _sampled(pictures: npt.NDArray[Any], x: FloatArray, y: FloatArray) -> FloatArray:
    """Bilinear values (n, points) of pictures (n, SIDE, SIDE) at positions (n, points)."""
    x, y = (np.clip(axis * SIDE - 0.5, 0, SIDE - 1.001) for axis in (x, y))
    left, top = x.astype(np.int64), y.astype(np.int64)
    right, low = x - left, y - top
    flat, at = pictures.reshape(len(pictures), -1), top * SIDE + left
    corners = [np.take_along_axis(flat, at + step, axis=1) for step in (0, 1, SIDE, SIDE + 1)]
    upper, lower = (one * (1 - right) + other * right for one, other in (corners[:2], corners[2:]))
    return np.asarray(upper * (1 - low) + lower * low, dtype=np.float64)


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
