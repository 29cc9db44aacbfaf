"""Compiled loops of neighbourhood models: weighted averages over the nearest neighbours.

A query is a pair of one ``x`` (the side that is compared) and one ``y``. Its neighbours
are the other ``x`` that are connected with ``y``; what is averaged are their deviations
from what was to be expected. As in scikit-surprise the `k` most similar are taken, of
equals those that come first in the list of ``y``, and only similarities above 0 count.
"""

import math

import numba
import numpy as np

from harness.models.kernels.similarity import (
    add_up_row,
    fill_row,
    largest_threshold,
    new_totals,
)

__all__ = [
    "average_listed",
    "average_listed_row",
    "average_of_all",
    "average_on_demand",
]


@numba.njit(nogil=True, cache=True)
def _average(similarities, deviations, scratch, n, neighbors):
    k, at_least = neighbors
    if min(n, k) < at_least or n == 0:
        return math.nan
    threshold, n_equal = similarities.dtype.type(0.0), 0
    if n > k:
        scratch[:n] = similarities[:n]
        threshold = largest_threshold(scratch, n, k)
        n_equal = k
        for p in range(n):
            n_equal -= similarities[p] > threshold
    total, weighted = 0.0, 0.0
    for p in range(n):
        similarity = similarities[p]
        if similarity == threshold and n_equal > 0:
            n_equal -= 1
        elif not similarity > threshold:
            continue
        total += similarity
        weighted += similarity * deviations[p]
    return weighted / total


@numba.njit(nogil=True, cache=True)
def _longest(offsets):
    longest = 1
    for y in range(len(offsets) - 1):
        longest = max(longest, offsets[y + 1] - offsets[y])
    return longest


@numba.njit(nogil=True, cache=True)
def average_of_all(queries, matrices, weights, by_y, neighbors, out):
    """Answer queries from a matrix of all similarities.

    Parameters
    ----------
    queries : tuple of ndarray of int32, shape (n_queries,)
        ``x``, ``y`` and the order in which to answer: faster if grouped by ``x``.
    matrices : tuple of ndarray
        Similarities and counts of `all_similarities`.
    weights : ndarray of float64, shape (n_y + 1,)
        Factor for each number of common ratings.
    by_y : tuple of ndarray
        Offsets, codes and deviations of the ratings of each ``y``.
    neighbors : tuple of int
        Most and fewest neighbours to average over.
    out : ndarray of float64, shape (n_queries,)
        Receives the averages; NaN where there are too few neighbours.
    """
    xs, ys, order = queries
    offsets, codes, deviations = by_y
    longest = _longest(offsets)
    similar, deviating = np.empty(longest), np.empty(longest)
    scratch = np.empty(longest)
    for query in order:
        x, y = xs[query], ys[query]
        row, counts = matrices[0][x], matrices[1][x]
        n = 0
        for p in range(offsets[y], offsets[y + 1]):
            other = codes[p]
            similarity = row[other] * weights[counts[other]]
            if other == x:
                similarity = 1.0
            # Written in any case, and overwritten if not above 0: no branch to mispredict.
            similar[n] = similarity
            deviating[n] = deviations[p]
            n += similarity > 0.0
        out[query] = _average(similar, deviating, scratch, n, neighbors)


@numba.njit(nogil=True, cache=True)
def _answer(query, y, row, by_y, buffers, neighbors, out):
    offsets, codes, deviations = by_y
    similar, deviating, scratch = buffers
    n = 0
    for p in range(offsets[y], offsets[y + 1]):
        similarity = row[codes[p]]
        similar[n] = similarity
        deviating[n] = deviations[p]
        n += similarity > 0.0
    out[query] = _average(similar, deviating, scratch, n, neighbors)


@numba.njit(nogil=True, cache=True)
def average_listed(queries, lists, by_y, neighbors, out):
    """Answer queries from lists of the most similar.

    Parameters
    ----------
    queries : tuple of ndarray of int32, shape (n_queries,)
        ``x``, ``y``, and the order in which to answer, which groups by ``x``.
    lists : tuple of ndarray
        Offsets, codes and similarities of `nearest_similarities`.
    by_y, neighbors, out
        As for `average_of_all`.
    """
    xs, ys, order = queries
    offsets, others, similarities = lists
    longest = _longest(by_y[0])
    row = np.zeros(len(offsets) - 1, np.float32)
    buffers = (
        np.empty(longest, np.float32),
        np.empty(longest),
        np.empty(longest, np.float32),
    )
    spread = -1
    for query in order:
        x = xs[query]
        if x != spread:
            if spread >= 0:
                for p in range(offsets[spread], offsets[spread + 1]):
                    row[others[p]] = 0.0
            for p in range(offsets[x], offsets[x + 1]):
                row[others[p]] = similarities[p]
            spread = x
        _answer(query, ys[query], row, by_y, buffers, neighbors, out)


@numba.njit(nogil=True, cache=True)
def average_on_demand(queries, by_x, by_connection, measure, by_y, neighbors, out):
    """Answer queries from similarities that are computed now, and not kept.

    Parameters
    ----------
    queries : tuple of ndarray of int32, shape (n_queries,)
        ``x``, ``y``, and the order in which to answer, which groups by ``x``.
    by_x, by_connection : tuple of ndarray
        Ratings as lists of both sides, as for `all_similarities`.
    measure : tuple
        Kind of similarity, and the factor for each number of common ratings.
    by_y, neighbors, out
        As for `average_of_all`.
    """
    xs, ys, order = queries
    kind, weights = measure
    n_x = len(by_x[0]) - 1
    longest = _longest(by_y[0])
    totals, row = new_totals(n_x, kind), np.empty(n_x)
    buffers = np.empty(longest), np.empty(longest), np.empty(longest)
    filled = -1
    for query in order:
        x = xs[query]
        if x != filled:
            add_up_row(x, by_x, by_connection, totals)
            fill_row(x, totals, kind, weights, row)
            filled = x
        _answer(query, ys[query], row, by_y, buffers, neighbors, out)


@numba.njit(nogil=True, cache=True)
def average_listed_row(y, columns, by_y, neighbors, out):
    """Answer the queries of one ``y`` with every ``x``, from lists turned round.

    The same answers as `average_listed`, without going through the lists of all ``x``.

    Parameters
    ----------
    y : int
        The one.
    columns : tuple of ndarray
        Offsets, codes and similarities: for each ``x`` those that have it in their list.
    by_y, neighbors
        As for `average_of_all`.
    out : ndarray of float64, shape (n_x,)
        Receives the averages; NaN where there are too few neighbours.
    """
    offsets, others, similarities = columns
    y_offsets, codes, deviations = by_y
    starts = np.zeros(len(out) + 1, np.int64)
    for p in range(y_offsets[y], y_offsets[y + 1]):
        for q in range(offsets[codes[p]], offsets[codes[p] + 1]):
            starts[others[q] + 1] += 1
    longest = 1
    for x in range(len(out)):
        longest = max(longest, starts[x + 1])
        starts[x + 1] += starts[x]
    ends = starts[:-1].copy()
    found = np.empty(starts[-1], np.float32)
    found_deviations = np.empty(starts[-1])
    for p in range(y_offsets[y], y_offsets[y + 1]):
        for q in range(offsets[codes[p]], offsets[codes[p] + 1]):
            end = ends[others[q]]
            found[end] = similarities[q]
            found_deviations[end] = deviations[p]
            ends[others[q]] = end + 1
    scratch = np.empty(longest, np.float32)
    for x in range(len(out)):
        part = slice(starts[x], ends[x])
        n = ends[x] - starts[x]
        out[x] = _average(found[part], found_deviations[part], scratch, n, neighbors)
