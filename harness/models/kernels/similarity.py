"""Compiled loops that compare users, or items, by the ratings they have in common.

One side is compared (``x``: the items, for an item-based model), the other connects them
(``y``: the users). Both sides come as lists ``(offsets, codes, values)``: the ratings of
``x`` are ``codes[offsets[x]:offsets[x + 1]]``, the ``y`` in ascending order, and their
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
def add_up_row(x, by_x, by_y, totals):
    """Total up the common ratings of one ``x`` with each other.

    Parameters
    ----------
    x : int
        The one.
    by_x, by_y : tuple of ndarray
        Ratings as lists of both sides.
    totals : ndarray of float64, shape (n, 4) or (n, 6)
        Is overwritten; see `new_totals`.
    """
    totals[:] = 0.0
    offsets, connections, own_values = by_x
    y_offsets, others, other_values = by_y
    with_sums = totals.shape[1] == 6
    for p in range(offsets[x], offsets[x + 1]):
        y, own = connections[p], own_values[p]
        square = own * own
        for q in range(y_offsets[y], y_offsets[y + 1]):
            total = totals[others[q]]
            other = other_values[q]
            total[0] += 1.0
            total[1] += own * other
            total[2] += square
            total[3] += other * other
            if with_sums:
                total[4] += own
                total[5] += other


@numba.njit(nogil=True, cache=True)
def _compare(total, kind):
    count, product, own, other = total[0], total[1], total[2], total[3]
    if kind == MSD:
        distance = max(0.0, own + other - 2.0 * product) / count
        return 1.0 / (distance + 1.0)
    if kind == PEARSON:
        product = count * product - total[4] * total[5]
        own = count * own - total[4] ** 2
        other = count * other - total[5] ** 2
    # Nobody counts as a neighbour at a similarity of zero or below.
    if product <= 0.0 or own <= 0.0 or other <= 0.0:
        return 0.0
    return product / math.sqrt(own * other)


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
        At least 0: what is below is set to 0. The diagonal is not set.
    counts : ndarray of int32, shape (n, n)
        Number of common ratings.
    """
    n = len(by_x[0]) - 1
    similarities, counts = np.zeros((n, n)), np.zeros((n, n), np.int32)
    totals = new_totals(n, kind)
    for x in range(n):
        add_up_row(x, by_x, by_y, totals)
        for other in range(n):
            count = totals[other, 0]
            if count > 0.0:
                counts[x, other] = int(count)
                similarities[x, other] = _compare(totals[other], kind)
    return similarities, counts


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
    for other in range(len(row)):
        weight = weights[int(totals[other, 0])]
        row[other] = weight * _compare(totals[other], kind) if weight > 0.0 else 0.0
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
def nearest_similarities(by_x, by_y, kind, weights, n_kept):
    """Keep the most similar others of each ``x``.

    Parameters
    ----------
    by_x, by_y : tuple of ndarray
        Ratings as lists of both sides.
    kind : int
        `COSINE`, `MSD` or `PEARSON`.
    weights : ndarray of float64, shape (n_y + 1,)
        Factor for each number of common ratings.
    n_kept : int
        How many others to keep at most, ``x`` itself (with 1) included.

    Returns
    -------
    offsets : ndarray of int64, shape (n + 1,)
        Where the list of each ``x`` begins.
    others : ndarray of int32, shape (n_similar,)
        Codes in ascending order within a list.
    similarities : ndarray of float32, shape (n_similar,)
        Greater than 0.
    """
    n = len(by_x[0]) - 1
    offsets = np.zeros(n + 1, np.int64)
    # Pages that are never written to take no memory.
    others = np.empty(n * n_kept, np.int32)
    similarities = np.empty(n * n_kept, np.float32)
    totals = new_totals(n, kind)
    row, scratch = np.empty(n, np.float32), np.empty(n, np.float32)
    for x in range(n):
        add_up_row(x, by_x, by_y, totals)
        fill_row(x, totals, kind, weights, row)
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
