"""This module holds the inner loops that numpy cannot express without moving memory.

Numba compiles the loops on first use and caches them on disk. Numba takes most of a second to import, so no module
imports this one before it needs a loop, and the code location of Dagster loads without it. The callers document what
the loops compute.
"""

import numba
import numpy as np
import numpy.typing as npt

from audit_assets.measurement.vectors import BoolArray, FloatArray, IntArray


@numba.njit(cache=True)
def closer_pairs(distances: FloatArray, own: BoolArray) -> tuple[IntArray, IntArray, IntArray]:
    """Count, per row, own entries, pairs of an own and a smaller other, and pairs of an own and an equal other.

    The comparison of ten own values with 2,490 others has no branches and is twice as fast as a sort of the row.
    """
    rows, n = distances.shape
    owns = np.zeros(rows, dtype=np.int64)
    smaller = np.zeros(rows, dtype=np.int64)
    equal = np.zeros(rows, dtype=np.int64)
    mine = np.empty(n)
    for row in range(rows):
        k = 0
        for j in range(n):
            if own[row, j]:
                mine[k] = distances[row, j]
                k += 1
        for i in range(k):
            value = mine[i]
            below = 0
            same = 0
            for j in range(n):
                below += distances[row, j] < value
                same += distances[row, j] == value
            for j in range(k):
                below -= mine[j] < value
                same -= mine[j] == value
            smaller[row] += below
            equal[row] += same
        owns[row] = k
    return owns, smaller, equal


@numba.njit(cache=True)
def placements(distances: FloatArray, own: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Count pairs in which the own image is nearer, times two, and once if both are equally near: per row, own image and image.

    ``distances`` (rows, images); ``own`` (k,): the columns of the own images. The counts of the own columns themselves are
    those against each other, and are no use to anybody.
    """
    rows, n = distances.shape
    by_row = np.zeros(rows, dtype=np.int64)
    by_own = np.zeros(len(own), dtype=np.int64)
    by_image = np.zeros(n, dtype=np.int64)
    for row in range(rows):
        for i in range(len(own)):
            value = distances[row, own[i]]
            total = 0
            for j in range(n):
                nearer = int(value < distances[row, j]) + int(value <= distances[row, j])
                by_image[j] += nearer
                total += nearer
            for j in range(len(own)):
                mine = distances[row, own[j]]
                total -= int(value < mine) + int(value <= mine)
            by_own[i] += total
            by_row[row] += total
    return by_row, by_own, by_image


_ORDERS_AT_ONCE = 512


@numba.njit(cache=True)
def permuted_traces(values: FloatArray, permutations: int, seed: int) -> FloatArray:
    """Sum values[order[s], s] over s for uniformly random orders of the rows; the result has shape (permutations,).

    Fisher-Yates shuffles one array that is never reset, because a shuffle of any order is uniform. SplitMix64 (Steele,
    Lea, Flood 2014, OOPSLA) gives the random bits, and the high word of a product bounds them (Lemire 2019, *ACM
    TOMACS* 29, 3). The bias is below n / 2^32. The same seed gives the same sums on every machine. Many orders are drawn before
    their values are added, a column at a time: a column of thousands of rows fits the fast memory, and the whole square does not.
    """
    n, by_column = values.shape[0], values.T.copy()
    order, traces, state = np.arange(n), np.zeros(permutations), np.uint64(seed)
    rows = np.empty((n, min(_ORDERS_AT_ONCE, permutations)), dtype=np.int32)
    for start in range(0, permutations, _ORDERS_AT_ONCE):
        some = min(_ORDERS_AT_ONCE, permutations - start)
        for b in range(some):
            for s in range(n - 1, 0, -1):
                state += np.uint64(0x9E3779B97F4A7C15)
                bits = state
                bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
                bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
                bits = bits ^ (bits >> np.uint64(31))
                r = np.int64(((bits >> np.uint64(32)) * np.uint64(s + 1)) >> np.uint64(32))
                drawn = order[r]
                order[r] = order[s]
                order[s] = drawn
                rows[s, b] = drawn
            rows[0, b] = order[0]
        for s in range(n - 1, -1, -1):
            for b in range(some):
                traces[start + b] += by_column[s, rows[s, b]]
    return traces


@numba.njit(cache=True)
def rank_sums(
    distances: FloatArray, subject_of_image: IntArray, subjects: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return, per row, the sum of midranks of each subject's images, sum(t^3 - t) over ties, and each subject's tied pairs.

    The shapes are (rows, subjects), (rows,) and (rows, subjects). ``subject_of_image`` is -1 if the image has no subject. A pair is tied if
    an image of the subject is as near as an image of somebody else.
    """
    rows, n = distances.shape
    sums, ties, tied = np.zeros((rows, subjects)), np.zeros(rows), np.zeros((rows, subjects))
    own = np.zeros(subjects)
    for row in range(rows):
        values, order = _ordered(distances[row])
        first = 0
        while first < n:
            last = first
            while last + 1 < n and values[last + 1] == values[first]:
                last += 1
            size = last + 1.0 - first
            for j in range(first, last + 1):
                subject = subject_of_image[order[j]]
                if subject >= 0:
                    sums[row, subject] += (first + last) / 2 + 1
            if last > first:
                ties[row] += size**3 - size
                for j in range(first, last + 1):
                    subject = subject_of_image[order[j]]
                    if subject >= 0:
                        own[subject] += 1
                for j in range(first, last + 1):
                    subject = subject_of_image[order[j]]
                    if subject >= 0:
                        tied[row, subject] += own[subject] * (size - own[subject])
                        own[subject] = 0
            first = last + 1
    return sums, ties, tied


@numba.njit(cache=True)
def _ordered(values: FloatArray) -> tuple[FloatArray, npt.NDArray[np.int32]]:
    """Return the values (n,) in ascending order, and the place that each came from.

    As many equal ranges as values share them out, and the few values of a range are sorted by insertion. This takes half the time of
    ``numpy.argsort``. A range of many values is sorted in steps of decreasing length (Shell 1959, *Communications of the ACM* 2, 30-32;
    lengths of Ciura 2001), so one far value among thousands that are close costs little.
    """
    n = len(values)
    ordered, order = np.empty(n), np.empty(n, dtype=np.int32)
    low, high = np.inf, -np.inf
    for value in values:
        low, high = min(low, value), max(high, value)
    # Halves, because the difference of two finite numbers need not be finite.
    low, span = low / 2, max(high / 2 - low / 2, 1e-300)
    places, ends = np.empty(n, dtype=np.int32), np.zeros(n + 1, dtype=np.int32)
    for j in range(n):
        places[j] = _place(values[j] / 2, low, span, n - 1)
        ends[places[j] + 1] += 1
    for place in range(n):
        ends[place + 1] += ends[place]
    for j in range(n):  # each range fills up from its start, so its start becomes its end
        at = ends[places[j]]
        ordered[at], order[at] = values[j], j
        ends[places[j]] += 1
    start = 0
    for end in ends[:n]:
        for step in (701, 301, 132, 57, 23, 10, 4, 1):
            if step >= end - start:
                continue
            for j in range(start + step, end):
                value, who, at = ordered[j], order[j], j
                while at - step >= start and ordered[at - step] > value:
                    ordered[at], order[at] = ordered[at - step], order[at - step]
                    at -= step
                ordered[at], order[at] = value, who
        start = end
    return ordered, order


@numba.njit(cache=True)
def studentized(
    about: FloatArray, lengths: FloatArray, own_row: IntArray, limits: FloatArray, next_limits: FloatArray, flat: float
) -> tuple[FloatArray, BoolArray]:
    """z of all cells of columns (b, rows), and which columns are flat: ``studentized.studentized`` says how.

    ``about`` (b, rows): the cells about their weighted mean, over the lengths. ``limits`` (b,): the smallest of the cells that are left out as
    the largest; ``next_limits`` (b,): the next smaller one.
    """
    columns, rows = about.shape
    z, is_flat = np.zeros(about.shape), np.zeros(columns, dtype=np.bool_)
    weights = lengths**-2.0
    for column in range(columns):
        own, cells, limit = own_row[column], about[column], limits[column]
        squares, kept = 0.0, rows - (own >= 0)
        for row in range(rows):
            squares += 0.0 if row == own else cells[row] ** 2
        if squares <= kept * flat**2:
            is_flat[column] = True
            continue
        chosen = _fit(cells, lengths, weights, own, limit)
        # The largest cells are measured without the next one, so that as many are left out for them as for the others.
        fewer = _fit(cells, lengths, weights, own, next_limits[column])
        for row in range(rows):
            inside = row != own and cells[row] < limit
            shift, total, squares, count = chosen if inside or row == own else fewer
            distance, leverage = cells[row] - shift / lengths[row], weights[row] / total
            if inside:  # measured by the other chosen cells
                free = max(1 - leverage, flat)
                scale = free * max(squares - distance**2 / free, flat**2) / (count - 2)
            else:
                scale = (1 + leverage) * max(squares, flat**2) / (count - 1)
            z[column, row] = np.rint(distance / np.sqrt(scale) * 1e9) / 1e9
    return z, is_flat


@numba.njit(cache=True)
def own_scores(
    about: FloatArray,
    lengths: FloatArray,
    own_row: IntArray,
    limits: FloatArray,
    own: FloatArray,
    own_length: FloatArray,
    flat: float,
) -> FloatArray:
    """z of own cells alone (b,), with other values ``own`` about the mean, and other lengths, in their places (``studentized.own_scores``)."""
    z, weights = np.empty(len(about)), lengths**-2.0
    for column in range(len(about)):
        shift, total, squares, count = _fit(about[column], lengths, weights, own_row[column], limits[column])
        scale = max(squares, flat**2) / (count - 1) * (1 + own_length[column] ** -2.0 / total)
        z[column] = np.rint((own[column] - shift) / own_length[column] / np.sqrt(scale) * 1e9) / 1e9
    return z


@numba.njit(cache=True)
def _fit(
    about: FloatArray, lengths: FloatArray, weights: FloatArray, own: int, limit: float
) -> tuple[float, float, float, int]:
    """Mean of the cells below a limit by weighted least squares: shift, weight, squares about it, and number of cells."""
    total, sums, squares, count = 0.0, 0.0, 0.0, 0
    for row in range(len(about)):
        if row != own and about[row] < limit:
            total += weights[row]
            sums += about[row] / lengths[row]
            squares += about[row] ** 2
            count += 1
    # A column of equal cells has none below its largest; it is flat, and what it divides by here does not matter.
    total = max(total, np.finfo(np.float64).tiny)
    shift = sums / total
    return shift, total, squares - shift**2 * total, max(count, 3)


@numba.njit(cache=True)
def row_squares(z: FloatArray, own_column: IntArray, flat: BoolArray) -> tuple[FloatArray, IntArray]:
    """Sum of squares and number of the cells of each row (rows,), without own cells and flat columns."""
    squares, cells = np.zeros(len(z)), np.zeros(len(z), dtype=np.int64)
    for row in range(len(z)):
        for column in range(z.shape[1]):
            if not flat[column] and column != own_column[row]:
                squares[row] += z[row, column] ** 2
                cells[row] += 1
    return squares, cells


@numba.njit(cache=True)
def cells_at_least(
    z: FloatArray,
    own_column: IntArray,
    flat: BoolArray,
    squares: FloatArray,
    cells: IntArray,
    least: float,
    values: FloatArray,
) -> IntArray:
    """Count the cells that are at least as large as each of ``values`` (k,), which ascend; the result has shape (k,).

    Each cell is divided by the root mean square of the other cells of its row, from ``row_squares``, if that is above ``least``.
    Own cells and flat columns do not count. A grid over the values leads each cell to the few values near it.
    """
    k = len(values)
    found = np.zeros(k + 1, dtype=np.int64)
    low, span = values[0], max(values[-1] - values[0], 1e-300)
    first = np.zeros(4 * k + 2, dtype=np.int64)
    for value in values:
        first[_place(value, low, span, 4 * k) + 1] += 1
    for i in range(1, len(first)):
        first[i] += first[i - 1]
    for row in range(len(z)):
        for column in range(z.shape[1]):
            if flat[column] or column == own_column[row]:
                continue
            cell = z[row, column]
            mean_square = (squares[row] - cell**2) / max(cells[row] - 1, 1)
            if mean_square > least:
                cell = np.rint(cell / np.sqrt(mean_square) * 1e9) / 1e9
            if cell < low:
                continue
            place = _place(cell, low, span, 4 * k)
            below, above = first[place], first[place + 1]
            while below < above:
                middle = (below + above) // 2
                if values[middle] <= cell:
                    below = middle + 1
                else:
                    above = middle
            found[below] += 1
    for i in range(k - 1, -1, -1):
        found[i] += found[i + 1]
    return found[1:]


@numba.njit(cache=True)
def _place(value: float, low: float, span: float, places: int) -> int:
    """The place of a value in a grid of ``places`` + 1 over values from ``low`` on; a larger value is never in an earlier place."""
    return int(min((value - low) / span, 1.0) * places)


@numba.njit(cache=True)
def registered_pairs(
    images: FloatArray,
    works: FloatArray,
    insets: FloatArray,
    starts: FloatArray,
    steps: IntArray,
    allowed: tuple[float, float, float],
) -> FloatArray:
    """Lay each image over its work: the largest correlation on the way, -1 if no map was allowed; the result has shape (pairs,).

    ``images`` and ``works`` (pairs, side, side); ``insets`` and ``starts`` (pairs, 4): part of the image, and of the work in which the search
    starts. ``steps`` (rounds, 2): points per side and steps of each round. ``allowed``: least share of the points within the work, and the
    least and the largest area.
    """
    best = np.full(len(images), -1.0)
    for pair in range(len(images)):
        fields = _with_slopes(works[pair])
        x, y, width, height = starts[pair]
        # x = m0 + m1 u + m2 v and y = m3 + m4 u + m5 v lead from the image to the work.
        m = np.array([x + width / 2, width, 0.0, y + height / 2, 0.0, height])
        for points, rounds in steps:
            shown = _shown(images[pair], insets[pair], points)
            best[pair], m = _searched(shown, fields, m, points, rounds, allowed)
    return best


@numba.njit(cache=True)
def _searched(
    shown: FloatArray, fields: FloatArray, m: FloatArray, points: int, steps: int, allowed: tuple[float, float, float]
) -> tuple[float, FloatArray]:
    """The largest correlation, and its map, of a search that starts at the map m (6,)."""
    n = points * points
    best, best_map = -1.0, m.copy()
    inside, work, image, a = np.empty(n), np.empty(n), np.empty(n), np.empty((8, n))
    for step in range(steps + 1):
        count, work_sum, image_sum = 0.0, 0.0, 0.0
        for i in range(n):
            u, v = (i % points + 0.5) / points - 0.5, (i // points + 0.5) / points - 0.5
            x, y = m[0] + m[1] * u + m[2] * v, m[3] + m[4] * u + m[5] * v
            inside[i] = 1.0 if 0 < x < 1 and 0 < y < 1 else 0.0
            work[i], dx, dy = _sampled(fields, x, y)
            a[0, i], a[1, i], a[2, i] = dx * inside[i], dx * inside[i] * u, dx * inside[i] * v
            a[3, i], a[4, i], a[5, i] = dy * inside[i], dy * inside[i] * u, dy * inside[i] * v
            count += inside[i]
            work_sum += work[i] * inside[i]
            image_sum += shown[i] * inside[i]
        few = max(count, 1.0)
        for i in range(n):
            work[i] = (work[i] - work_sum / few) * inside[i]
            image[i] = (shown[i] - image_sum / few) * inside[i]
            a[6, i], a[7, i] = -image[i], -inside[i]
        lengths = float(np.sqrt(work @ work) * np.sqrt(image @ image))
        area = abs(m[1] * m[5] - m[2] * m[4])
        if few >= allowed[0] * n and allowed[1] <= area <= allowed[2]:
            correlation = float(work @ image) / max(lengths, 1e-3)
            if correlation > best:
                best, best_map = correlation, m.copy()
        if step < steps:
            # Damped a little in the six numbers of the map (Marquardt 1963).
            normal = a @ a.T
            damping = 0.0
            for k in range(6):
                damping += 1e-3 * normal[k, k] / 6
            for k in range(8):
                normal[k, k] += 1e-9 + (damping if k < 6 else 0.0)
            change = np.linalg.solve(normal, -(a @ work))
            for k in range(6):
                m[k] += min(max(change[k], -0.05), 0.05)
    return best, best_map


@numba.njit(cache=True)
def _shown(image: FloatArray, inset: FloatArray, points: int) -> FloatArray:
    """The part of an image at points x points places, less its mean and of length 1; 0 for one colour (``registration``)."""
    fields, shown = _with_slopes(image), np.empty(points * points)
    for i in range(len(shown)):
        x = inset[0] + inset[2] * (i % points + 0.5) / points
        y = inset[1] + inset[3] * (i // points + 0.5) / points
        shown[i] = _sampled(fields, x, y)[0]
    shown -= shown.mean()
    length = np.sqrt(shown @ shown)
    return shown / length if length > 0.1 * np.sqrt(len(shown)) else np.zeros(len(shown))


@numba.njit(cache=True)
def _sampled(fields: FloatArray, x: float, y: float) -> tuple[float, float, float]:
    """Bilinear values of three fields (3, side, side) at a position in shares of the side."""
    side = fields.shape[1]
    across, down = min(max(x * side - 0.5, 0.0), side - 1.001), min(max(y * side - 0.5, 0.0), side - 1.001)
    left, top = int(across), int(down)
    right, low = across - left, down - top
    w00, w01, w10, w11 = (1 - right) * (1 - low), right * (1 - low), (1 - right) * low, right * low
    return (
        w00 * fields[0, top, left] + w01 * fields[0, top, left + 1]
        + w10 * fields[0, top + 1, left] + w11 * fields[0, top + 1, left + 1],
        w00 * fields[1, top, left] + w01 * fields[1, top, left + 1]
        + w10 * fields[1, top + 1, left] + w11 * fields[1, top + 1, left + 1],
        w00 * fields[2, top, left] + w01 * fields[2, top, left + 1]
        + w10 * fields[2, top + 1, left] + w11 * fields[2, top + 1, left + 1],
    )  # fmt: skip


@numba.njit(cache=True)
def _with_slopes(picture: FloatArray) -> FloatArray:
    """The picture, and its slopes to the right and down, per side of the picture: (3, side, side).

    Slopes are central differences, one-sided at the edges (``numpy.gradient``).
    """
    side = picture.shape[0]
    fields = np.empty((3, side, side))
    for i in range(side):
        for j in range(side):
            fields[0, i, j] = picture[i, j]
            before, after = j - (j > 0), j + (j < side - 1)
            fields[1, i, j] = (picture[i, after] - picture[i, before]) / (after - before) * side
            before, after = i - (i > 0), i + (i < side - 1)
            fields[2, i, j] = (picture[after, j] - picture[before, j]) / (after - before) * side
    return fields
