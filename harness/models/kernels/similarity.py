"""Compiled loops that compare users, or items, by the ratings they have in common.

One side is compared (``x``: the items, for an item-based model), the other connects them
(``y``: the users). Both sides come as lists ``(offsets, codes, values)``: the ratings of
``x`` are ``codes[offsets[x]:offsets[x + 1]]``, all codes in ascending order, and their
values. Row by row: all that a row needs is one line of totals for each other ``x``, which
stays in the cache of the processor; there is no intermediate matrix.

Sums run over ``y`` in ascending order, in double precision: symmetric pairs get equal
bits, and so do pairs that scikit-surprise finds equal.
"""

import math

import numba
import numpy as np

__all__ = [
    "COSINE",
    "MSD",
    "PEARSON",
    "add_up_row",
    "all_similarities",
    "fill_row",
    "largest_threshold",
    "nearest_similarities",
    "new_totals",
]

COSINE, MSD, PEARSON = 0, 1, 2


@numba.njit(nogil=True, cache=True)
def new_totals(n, kind):
    """Make an array for `add_up_row`.

    Parameters
    ----------
    n : int
        Number of ``x``.
    kind : int
        `COSINE`, `MSD` or `PEARSON`.

    Returns
    -------
    ndarray of float64, shape (n, 4) or (n, 6)
        One line for each ``x``: number of common ratings, sum of products, sums of both
        squares; and for `PEARSON` both sums.
    """
    return np.zeros((n, 6 if kind == PEARSON else 4))


@numba.njit(nogil=True, cache=True)
def add_up_row(x, by_x, by_y, starts, totals):
    """Total up the common ratings of one ``x`` with others.

    Parameters
    ----------
    x : int
        The one.
    by_x, by_y : tuple of ndarray
        Ratings as lists of both sides.
    starts : ndarray of int64, shape (n_y,)
        From where on in the list of each ``y`` the others are looked at.
    totals : ndarray of float64, shape (n, 4) or (n, 6)
        Is added to; see `new_totals`.
    """
    offsets, connections, own_values = by_x
    y_offsets, others, values = by_y
    with_sums = totals.shape[1] == 6
    for p in range(offsets[x], offsets[x + 1]):
        y, own = connections[p], own_values[p]
        square = own * own
        for q in range(starts[y], y_offsets[y + 1]):
            total, value = totals[np.uint32(others[q])], values[q]
            total[0] += 1.0
            total[1] += own * value
            total[2] += square
            total[3] += value * value
        if with_sums:
            for q in range(starts[y], y_offsets[y + 1]):
                total = totals[np.uint32(others[q])]
                total[4] += own
                total[5] += values[q]


# NumPy's errors: a division by zero is infinite, so that no step needs a check, and four
# or eight others are compared at once; what is undefined is replaced by 0 at the end.
@numba.njit(nogil=True, cache=True, error_model="numpy")
def _compare(totals, kind, first, row):
    if kind == MSD:
        for other in range(first, len(row)):
            count, product = totals[other, 0], totals[other, 1]
            distance = max(0.0, totals[other, 2] + totals[other, 3] - 2.0 * product)
            similarity = 1.0 / (distance / count + 1.0)
            row[other] = similarity if count > 0.0 else 0.0
        return
    for other in range(first, len(row)):
        count, product = totals[other, 0], totals[other, 1]
        square, other_square = totals[other, 2], totals[other, 3]
        if kind == PEARSON:
            sum_, other_sum = totals[other, 4], totals[other, 5]
            product = count * product - sum_ * other_sum
            square = count * square - sum_ * sum_
            other_square = count * other_square - other_sum * other_sum
        similarity = product / math.sqrt(square * other_square)
        # Nobody counts as a neighbour at a similarity of zero or below.
        positive = (product > 0.0) & (square > 0.0) & (other_square > 0.0)
        row[other] = similarity if positive else 0.0


@numba.njit(nogil=True, cache=True)
def all_similarities(by_x, by_y, kind):
    """Compare each ``x`` with each other.

    Parameters
    ----------
    by_x, by_y : tuple of ndarray
        Ratings as lists of both sides.
    kind : int
        `COSINE`, `MSD` or `PEARSON`.

    Returns
    -------
    similarities : ndarray of float64, shape (n, n)
        At least 0: what is below is set to 0. The diagonal is 1.
    counts : ndarray of int32, shape (n, n)
        Number of common ratings. The diagonal is 0.
    """
    n = len(by_x[0]) - 1
    similarities, counts = np.empty((n, n)), np.empty((n, n), np.int32)
    totals = new_totals(n, kind)
    starts = by_y[0][:-1].copy()
    for x in range(n):
        # Half of the pairs are enough: lists are in ascending order, so what lies behind
        # x in the list of each of its y has a greater code.
        for p in range(by_x[0][x], by_x[0][x + 1]):
            starts[by_x[1][p]] += 1
        totals[x + 1 :] = 0.0
        add_up_row(x, by_x, by_y, starts, totals)
        _compare(totals, kind, x + 1, similarities[x])
        for other in range(x + 1, n):
            counts[x, other] = np.int32(totals[other, 0])
        similarities[x, x], counts[x, x] = 1.0, 0
    _mirror(similarities)
    _mirror(counts)
    return similarities, counts


@numba.njit(nogil=True, cache=True)
def _mirror(matrix):
    """Copy what is above the diagonal below it, in tiles that fit the first cache."""
    n, tile = len(matrix), 32
    for top in range(0, n, tile):
        for left in range(top, n, tile):
            for i in range(top, min(top + tile, n)):
                for j in range(max(left, i + 1), min(left + tile, n)):
                    matrix[j, i] = matrix[i, j]


@numba.njit(nogil=True, cache=True)
def fill_row(x, totals, kind, weights, row):
    """Turn the totals of one ``x`` into weighted similarities.

    Parameters
    ----------
    x : int
        The one; its similarity with itself is 1.
    totals : ndarray of float64
        Of `add_up_row`.
    kind : int
        `COSINE`, `MSD` or `PEARSON`.
    weights : ndarray of float64, shape (n_y + 1,)
        Factor for each number of common ratings.
    row : ndarray of float, shape (n,)
        Receives the similarities, at least 0.
    """
    _compare(totals, kind, 0, row)
    for other in range(len(row)):
        row[other] *= weights[np.uint32(totals[other, 0])]
    row[x] = 1.0


@numba.njit(nogil=True, cache=True)
def largest_threshold(values, n, k):
    """Find the k-th largest of the first n values (Hoare's quickselect).

    Parameters
    ----------
    values : ndarray of float, shape (at least n,)
        Is reordered.
    n, k : int
        ``1 <= k <= n``.

    Returns
    -------
    float
        The value; at least `k` values are not smaller.
    """
    low, high, target = 0, n - 1, k - 1
    while low < high:
        pivot = values[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while values[i] > pivot:
                i += 1
            while values[j] < pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if target <= j:
            high = j
        elif target >= i:
            low = i
        else:
            break
    return values[target]


@numba.njit(nogil=True, cache=True)
def nearest_similarities(by_x, by_y, measure, n_kept, n_room):
    """Keep the most similar others of each ``x``.

    Parameters
    ----------
    by_x, by_y : tuple of ndarray
        Ratings as lists of both sides.
    measure : tuple
        `COSINE`, `MSD` or `PEARSON`, and the factor for each number of common ratings.
    n_kept : int
        How many others each list keeps at most, ``x`` itself (with 1) included.
    n_room : int
        How many all lists together may keep.

    Returns
    -------
    offsets : ndarray of int64, shape (n + 1,)
        Where the list of each ``x`` begins; -1 at the end if there was not enough room.
    others : ndarray of int32, shape (n_similar,)
        Codes in ascending order within a list.
    similarities : ndarray of float32, shape (n_similar,)
        Greater than 0.
    """
    kind, weights = measure
    n = len(by_x[0]) - 1
    offsets = np.zeros(n + 1, np.int64)
    # Pages that are never written to take no memory.
    others, similarities = np.empty(n_room, np.int32), np.empty(n_room, np.float32)
    totals = new_totals(n, kind)
    row, scratch = np.empty(n, np.float32), np.empty(n, np.float32)
    for x in range(n):
        totals[:] = 0.0
        add_up_row(x, by_x, by_y, by_y[0][:-1], totals)
        fill_row(x, totals, kind, weights, row)
        if offsets[x] + min(n_kept, (row > 0.0).sum()) > n_room:
            offsets[n] = -1
            return offsets, others[:0].copy(), similarities[:0].copy()
        end = _keep_largest(row, scratch, n_kept, offsets[x], others, similarities)
        offsets[x + 1] = end
    return offsets, others[: offsets[n]].copy(), similarities[: offsets[n]].copy()


@numba.njit(nogil=True, cache=True)
def _keep_largest(row, scratch, n_kept, start, others, similarities):
    n_positive = 0
    for value in row:
        if value > 0.0:
            scratch[n_positive] = value
            n_positive += 1
    threshold, n_equal = row.dtype.type(0.0), 0
    if n_positive > n_kept:
        threshold = largest_threshold(scratch, n_positive, n_kept)
        n_equal = n_kept - (row > threshold).sum()
    end = start
    for other in range(len(row)):
        value = row[other]
        if value == threshold and n_equal > 0:
            n_equal -= 1
        elif not value > threshold:
            continue
        others[end] = other
        similarities[end] = value
        end += 1
    return end
