"""Images that are near copies of a real work, kept apart from images in the style of its artist.

An image is compared with every work of every artist. A copy is much nearer to one work than to all others; an image in the style
of an artist is about as near to several. Works that are one picture (``near_copies.same_pictures``) count as one work. The score of
an image is therefore

    log((1 - similarity to the fourth nearest work) / (1 - similarity to the nearest work))

The fourth, because a painting may be among the works in pictures that differ, as two photographs and a detail. The score of images that cannot be copies
says which scores mean nothing: images of control names, or else works among the works of *other* artists.

Similarities come from small grey pictures (``registration``), which survive crops, mirrors, frames, turns, JPEG and colour shifts, or from the
embeddings of an encoder that was trained to detect copies, such as SSCD (Pizzi et al. 2022).
"""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import numpy.typing as npt

from audit_assets.measurement.intervals import exact_binomial
from audit_assets.measurement.near_copies import PIXELS
from audit_assets.measurement.registration import VARIANTS, WINDOWS, Grey, registered, variants_of, windows_of
from audit_assets.measurement.vectors import BoolArray, FloatArray, IntArray

RATE = 0.01
"""Share of images that are no copies and may be called copies."""
CONFIDENCE = 0.95
"""Confidence that the share is not larger."""
LEAST_SCORE = 1.0
"""A copy is at least e = 2.7 times as near to one work as to the fourth nearest. In the miniature, whose works of one artist share ground and
layout, 99 % of the imitations score below 0.7, and 97 % of planted copies above 1.0."""
LEAST_SIMILARITY = 0.75
"""Correlation below which two pictures are no copies of each other. A work under a wide border has more than 0.8 in the miniature."""
FOURTH = 4
CANDIDATES = 8
"""Works per image that are compared in detail, one of each group."""
IMAGES, WORKS, PAIRS = 256, 128, 512
"""Images, works and pairs that are compared at a time: about 150 MB, however many exist."""
AT_ONCE = 16 * IMAGES
"""Images of which all ways to look at them are in memory: 3.5 KB for each image."""
LEAST_WINDOW = 0.3
"""Correlation of the best window below which a work is not laid over the image in detail."""
FLAT = 0.5
"""Grey levels by which a picture must vary. One of a single colour is no copy of anything."""
_NOISE = 0.003
"""Added to both distances, so that equal pictures have a finite score."""


@dataclass(frozen=True)
class Nearest:
    """The nearest work of each image: its index (n,), -1 without works; ``similarity`` (n,), and ``score`` (n,).

    ``same`` (n,): whether the two are one picture. Embeddings alone never say so.
    """

    work: IntArray
    similarity: FloatArray
    score: FloatArray
    same: BoolArray


@dataclass(frozen=True)
class Threshold:
    """The score from which an image is called a near copy.

    ``bound`` is the upper bound of the share of images that are called copies and are none; ``confidence`` is its confidence, over
    ``units`` images that cannot be copies, of which ``above`` reach the threshold or are the same picture as a work. Without enough
    of them, ``score`` is infinite and ``reason`` says why.
    """

    score: float
    units: int
    above: int
    bound: float
    reason: str = ""


def nearest_pictures(
    images: Grey,
    works: Grey,
    *,
    groups: npt.ArrayLike | None = None,
    apart: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
) -> Nearest:
    """The nearest work of each image by small grey pictures: ``images`` (n, SIDE, SIDE), ``works`` (m, SIDE, SIDE).

    ``groups`` (m,): numbers from 0; works of one number are one work, whose nearest picture counts. By default each is its own.
    ``apart``: labels of images (n,) and works (m,); an image is not compared with works of its own label. Candidates are found
    by windows in blocks, and then laid over the image in detail. Memory does not grow with images times works.
    """
    own, theirs = _labels(apart, len(images), len(works))
    group = _groups(groups, len(works))
    textured, real = (np.flatnonzero(side.std(axis=(1, 2)) > FLAT) for side in (images, works))
    if len(textured) < len(images) or len(real) < len(works):
        some = None if own is None or theirs is None else (own[textured], theirs[real])
        nearest = nearest_pictures(images[textured], works[real], groups=group[real], apart=some)
        return _filled(nearest, textured, real, len(images))
    if len(images) > AT_ONCE:
        some_at_once = (slice(start, start + AT_ONCE) for start in range(0, len(images), AT_ONCE))
        of_labels = None if own is None or theirs is None else (own, theirs)
        return _joined(
            [
                nearest_pictures(images[at], works, groups=group, apart=of_labels and (of_labels[0][at], of_labels[1]))
                for at in some_at_once
            ]
        )
    kept = min(CANDIDATES, len(np.unique(group)))
    found = np.full((len(images), kept), -2.0, dtype=np.float32)
    work = np.full((len(images), kept), -1, dtype=np.int64)
    place = np.zeros((len(images), kept), dtype=np.int64)
    looks = [variants_of(images[start : start + IMAGES]) for start in range(0, len(images), IMAGES)]
    for first in range(0, len(works), WORKS):
        parts = windows_of(works[first : first + WORKS])
        flat = parts.reshape(-1, parts.shape[-1]).T
        for number, look in enumerate(looks):
            at = slice(number * IMAGES, number * IMAGES + len(look))
            best, where = _best_windows(look, flat, len(parts))
            if own is not None and theirs is not None:
                best[own[at, None] == theirs[None, first : first + WORKS]] = -2.0
            these = np.broadcast_to(np.arange(first, first + len(parts)), best.shape)
            all_found = np.concatenate([found[at], best], axis=1)
            all_work = np.concatenate([work[at], these], axis=1)
            top = _best_of_groups(all_found, np.append(group, -1)[all_work], kept)
            found[at] = np.take_along_axis(all_found, top, axis=1)
            work[at] = np.take_along_axis(all_work, top, axis=1)
            place[at] = np.take_along_axis(np.concatenate([place[at], where], axis=1), top, axis=1)
    similarity = np.where(found > -2.0, found, -1.0).astype(np.float64)
    of_image, column = np.nonzero(found >= LEAST_WINDOW)
    for start in range(0, len(of_image), PAIRS):
        i, j = of_image[start : start + PAIRS], column[start : start + PAIRS]
        variant, window = np.divmod(place[i, j], len(WINDOWS))
        similarity[i, j] = registered(images[i], works[work[i, j]], variant, window)
    found_works = _scored(work, similarity)
    return replace(found_works, same=(found_works.work >= 0) & (found_works.similarity >= PIXELS))


def nearest_embeddings(
    images: npt.ArrayLike,
    works: npt.ArrayLike,
    *,
    groups: npt.ArrayLike | None = None,
    apart: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
) -> Nearest:
    """The nearest work of each image by unit vectors (n, d) and (m, d) of a copy-detection encoder; else as ``nearest_pictures``.

    ``same`` is false throughout: the embeddings of an encoder may share a large common part, and the cosine of any two pictures is then near to 1.
    """
    left, right = np.asarray(images, dtype=np.float32), np.asarray(works, dtype=np.float32)
    own, theirs = _labels(apart, len(left), len(right))
    group = _groups(groups, len(right))
    kept = min(CANDIDATES, len(np.unique(group)))
    work, similarity = np.full((len(left), kept), -1, dtype=np.int64), np.full((len(left), kept), -1.0)
    for start in range(0, len(left) if kept else 0, IMAGES):
        cosine = (left[start : start + IMAGES] @ right.T).astype(np.float64)
        if own is not None and theirs is not None:
            cosine[own[start : start + IMAGES, None] == theirs[None, :]] = -1.0
        work[start : start + IMAGES] = _best_of_groups(cosine, np.broadcast_to(group, cosine.shape), kept)
        similarity[start : start + IMAGES] = np.take_along_axis(cosine, work[start : start + IMAGES], axis=1)
    return _scored(work, similarity)


def threshold(
    scores: npt.ArrayLike, same: npt.ArrayLike = False, *, rate: float = RATE, confidence: float = CONFIDENCE
) -> Threshold:
    """The smallest score that at most ``rate`` of images that are no copies reach, with ``confidence``.

    ``scores`` (n,) are those of images that cannot be copies, and ``same`` (n,) says which of them are called copies whatever their score,
    because they are the same picture as a work. These count in the bound, and if they alone are more than ``rate``, so is the bound; none of
    the others then reaches the threshold. The bound is that of Clopper and Pearson (1934) for the number of scores at or above
    the threshold, which is exact if they are independent draws of what images without a copy score. At 0.01 and 0.95, 299 scores
    are the fewest: with fewer, even no score above the threshold does not bound the share. The threshold is never below ``LEAST_SCORE``.
    """
    called = np.asarray(same, dtype=bool)
    values = np.sort(np.where(called, np.inf, np.asarray(scores, dtype=np.float64)))[::-1]
    if np.isnan(values).any():
        raise ValueError("A score is NaN; pass the scores of images that were compared.")
    level, n = 2 * confidence - 1, len(values)
    fewest = int(np.ceil(np.log(1 - confidence) / np.log(1 - rate)))
    if n < fewest:
        reason = (
            f"{n} images and works that cannot be copies were compared, and a share of {100 * rate:g} % needs {fewest}."
        )
        return Threshold(float("inf"), n, 0, 1.0, reason)
    below = values[_allowed(n, rate, level) :]
    below = below[np.isfinite(below)]
    value = max(float(np.nextafter(below[0], np.inf)), LEAST_SCORE) if len(below) else LEAST_SCORE
    reached = int((values >= value).sum())
    return Threshold(value, n, reached, exact_binomial(reached, n, confidence=level).high)


@cache
def _allowed(n: int, rate: float, level: float) -> int:
    """The largest number of ``n`` for which the upper end of the two-sided interval of this level is at most ``rate``."""
    above = 0
    while exact_binomial(above + 1, n, confidence=level).high <= rate:
        above += 1
    return above


def is_copy(nearest: Nearest, at: Threshold, *, least_similarity: float = LEAST_SIMILARITY) -> BoolArray:
    """Which images (n,) are near copies: by their score, or because the pictures are the same, whatever the background says."""
    scored = (nearest.score >= at.score) & (nearest.similarity >= least_similarity)
    return np.asarray((nearest.work >= 0) & (scored | nearest.same))


def _best_windows(look: Grey, windows: Grey, works: int) -> tuple[Grey, IntArray]:
    """The best correlation of each image with each work of a block (images, works), and its variant and window in one number."""
    best = np.full((len(look), works), -2.0, dtype=np.float32)
    where = np.zeros((len(look), works), dtype=np.int64)
    for variant in range(VARIANTS):
        found = (look[:, variant] @ windows).reshape(len(look), works, -1)
        window = found.argmax(axis=2)
        value = np.take_along_axis(found, window[..., None], axis=2)[..., 0]
        better = value > best
        best[better], where[better] = value[better], (variant * len(WINDOWS) + window)[better]
    return best, where


def _best_of_groups(found: npt.NDArray[np.floating], group: IntArray, kept: int) -> IntArray:
    """Positions (n, kept) of the best of each group, the largest first: ``found`` and ``group`` (n, candidates).

    If a row has fewer groups, further ones of the same groups follow.
    """
    order = np.argsort(-found, axis=1, kind="stable")
    best = order[:, :kept]
    of_best = np.sort(np.take_along_axis(group, best, axis=1), axis=1)
    # Few images have two works of one group among their best, and only their candidates are sorted by group.
    crowded = np.flatnonzero((of_best[:, 1:] == of_best[:, :-1]).any(axis=1))
    if not len(crowded):
        return best
    best, order = best.copy(), order[crowded]
    ranked = np.take_along_axis(group[crowded], order, axis=1)
    by_group = np.argsort(ranked, axis=1, kind="stable")
    ranked = np.take_along_axis(ranked, by_group, axis=1)
    again = np.zeros(ranked.shape, dtype=bool)
    np.put_along_axis(again, by_group[:, 1:], ranked[:, 1:] == ranked[:, :-1], axis=1)
    best[crowded] = np.take_along_axis(order, np.argsort(again, axis=1, kind="stable")[:, :kept], axis=1)
    return best


def _joined(parts: list[Nearest]) -> Nearest:
    columns = [[getattr(part, name) for part in parts] for name in ("work", "similarity", "score", "same")]
    return Nearest(*(np.concatenate(column) for column in columns))


def _filled(found: Nearest, images: IntArray, works: IntArray, n: int) -> Nearest:
    """The result for all ``n`` images, from that of some images and works, by their positions."""
    work, similarity, score = np.full(n, -1, dtype=np.int64), np.full(n, -1.0), np.zeros(n)
    same = np.zeros(n, dtype=bool)
    work[images] = np.append(works, -1)[found.work]
    similarity[images], score[images], same[images] = found.similarity, found.score, found.same
    return Nearest(work, similarity, score, same)


def _scored(work: IntArray, similarity: FloatArray) -> Nearest:
    """Nearest work and score from the candidates of each image (n, candidates); ``same`` is not known here."""
    same = np.zeros(len(similarity), dtype=bool)
    if not similarity.shape[1]:
        none = np.zeros(len(similarity))
        return Nearest(np.full(len(similarity), -1, dtype=np.int64), none - 1.0, none, same)
    order = np.argsort(-similarity, axis=1, kind="stable")
    ranked = np.take_along_axis(similarity, order, axis=1)
    nearest = np.take_along_axis(work, order[:, :1], axis=1)[:, 0]
    # With fewer candidates the last one stands for the fourth; a single one stands alone, and its image is compared with nothing.
    other = np.maximum(ranked[:, min(FOURTH, ranked.shape[1]) - 1], 0.0) if ranked.shape[1] > 1 else np.zeros(len(work))
    score = np.log((1 - np.minimum(other, 1.0) + _NOISE) / (1 - np.clip(ranked[:, 0], 0.0, 1.0) + _NOISE))
    compared = ranked[:, 0] > -1.0
    return Nearest(np.where(compared, nearest, -1), ranked[:, 0], np.where(compared, np.maximum(score, 0.0), 0.0), same)


def _groups(groups: npt.ArrayLike | None, works: int) -> IntArray:
    group = np.arange(works) if groups is None else np.asarray(groups, dtype=np.int64)
    if group.shape != (works,):
        raise ValueError(f"Groups of shape {group.shape} for {works} works; pass one per work.")
    return group


def _labels(
    apart: tuple[npt.ArrayLike, npt.ArrayLike] | None, images: int, works: int
) -> tuple[IntArray | None, IntArray | None]:
    if apart is None:
        return None, None
    own, theirs = (np.asarray(labels, dtype=np.int64) for labels in apart)
    if own.shape != (images,) or theirs.shape != (works,):
        raise ValueError(f"Labels of {own.shape} images and {theirs.shape} works; pass one per image and per work.")
    return own, theirs
