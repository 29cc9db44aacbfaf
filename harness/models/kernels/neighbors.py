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
def _count_above(values, threshold):
    count = np.int32(0)  # as wide as a float: twice as many to a vector instruction
    for p in range(len(values)):  # by position: only this becomes vector instructions
        count = np.int32(count + np.int32(values[p] > threshold))
    return count


@numba.njit(nogil=True, cache=True)
def _count_below(values, threshold):
    count = np.int32(0)
    for p in range(len(values)):
        count = np.int32(count + np.int32(values[p] < threshold))
    return count


@numba.njit(nogil=True, cache=True, fastmath={"nnan", "nsz"})
def _largest(values):
    largest = values[0]
    for p in range(len(values)):
        # Not max(): it is called once for each value.
        largest = max(largest, values[p])
    return largest


@numba.njit(nogil=True, cache=True, fastmath={"reassoc", "nsz", "contract"})
def _sum_above(similarities, deviations, threshold):
    nothing = similarities.dtype.type(0.0)
    total, weighted = nothing, deviations.dtype.type(0.0)
    for p in range(len(similarities)):
        weight = similarities[p] if similarities[p] > threshold else nothing
        total += weight
        weighted += weight * deviations[p]
    return total, weighted


@numba.njit(nogil=True, cache=True, fastmath={"reassoc", "nsz", "contract"})
def _sum_from(similarities, deviations, threshold):
    nothing = similarities.dtype.type(0.0)
    total, weighted = nothing, deviations.dtype.type(0.0)
    for p in range(len(similarities)):
        weight = similarities[p] if similarities[p] >= threshold else nothing
        total += weight
        weighted += weight * deviations[p]
    return total, weighted


@numba.njit(nogil=True, cache=True)
def _find_threshold(similarities, k, scratch):
    """Find t such that fewer than k values are above it, and at least k not below.

    Or, where there is one, such that exactly k values are above it: then the second
    value returned is True.

    Halving an interval takes a count per step, which vector instructions do at 16 values
    a cycle; selecting by comparison and swap mispredicts every other branch. So the
    interval is halved until it separates the k from the others, which takes 7 steps on
    average; among values equal, or almost, what is left in it is selected from.
    """
    half = similarities.dtype.type(0.5)
    low, high = similarities.dtype.type(0.0), _largest(similarities)
    n_above_high = 0
    for _ in range(12):
        middle = half * (low + high)
        n_above = _count_above(similarities, middle)
        if n_above == k:
            return middle, True
        if n_above > k:
            low = middle
        else:
            high, n_above_high = middle, n_above
    n_between = 0
    for p in range(len(similarities)):
        value = similarities[p]
        # Written in any case, and overwritten if outside: no branch to mispredict.
        scratch[n_between] = value
        n_between += (value > low) & (value <= high)
    return largest_threshold(scratch, n_between, k - n_above_high), False


@numba.njit(nogil=True, cache=True)
def _average(similarities, deviations, neighbors, scratch):
    """Average over the k most similar; `scratch` has room for one value more."""
    k, at_least = neighbors
    nothing = similarities.dtype.type(0.0)
    n_positive = _count_above(similarities, nothing)
    if n_positive == 0 or min(n_positive, k) < at_least:
        return math.nan
    if n_positive <= k:
        total, weighted = _sum_above(similarities, deviations, nothing)
        return weighted / total
    threshold, separates = _find_threshold(similarities, k, scratch)
    if separates:
        total, weighted = _sum_above(similarities, deviations, threshold)
        return weighted / total
    if k == len(similarities) - _count_below(similarities, threshold):
        total, weighted = _sum_from(similarities, deviations, threshold)
        return weighted / total
    # Of several at the threshold only the first ones are among the k.
    total, weighted = _sum_above(similarities, deviations, threshold)
    n_missing = k - _count_above(similarities, threshold)
    for p in range(len(similarities)):
        if similarities[p] == threshold and n_missing > 0:
            n_missing -= 1
            total += threshold
            weighted += threshold * deviations[p]
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
        Factor for each number of common ratings; the first, for ``x`` itself, is 1.
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
    similar, scratch = np.empty(longest), np.empty(longest + 1)
    for query in order:
        x, y = xs[query], ys[query]
        row, counts = matrices[0][x], matrices[1][x]
        first, last = offsets[y], offsets[y + 1]
        for p in range(last - first):
            # Unsigned, or each index would be checked for counting from the end.
            other = np.uint32(codes[first + p])
            similar[p] = row[other] * weights[np.uint32(counts[other])]
        found = similar[: last - first]
        out[query] = _average(found, deviations[first:last], neighbors, scratch)


@numba.njit(nogil=True, cache=True)
def _answer(query, y, row, by_y, buffers, neighbors, out):
    offsets, codes, deviations = by_y
    similar, scratch = buffers
    first, last = offsets[y], offsets[y + 1]
    for p in range(last - first):
        similar[p] = row[np.uint32(codes[first + p])]
    found = similar[: last - first]
    out[query] = _average(found, deviations[first:last], neighbors, scratch)


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
    buffers = np.empty(longest, np.float32), np.empty(longest + 1, np.float32)
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
    buffers = np.empty(longest), np.empty(longest + 1)
    filled = -1
    for query in order:
        x = xs[query]
        if x != filled:
            totals[:] = 0.0
            add_up_row(x, by_x, by_connection, by_connection[0][:-1], totals)
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
        Offsets, codes and similarities: for each ``x`` those that have it in their list,
        in ascending order.
    by_y, neighbors
        As for `average_of_all`.
    out : ndarray of float64, shape (n_x,)
        Receives the averages; NaN where there are too few neighbours.
    """
    offsets, codes = by_y[0], by_y[1]
    own = codes[offsets[y] : offsets[y + 1]]
    cursors = columns[0][own]
    # A block of x at a time: what is collected for it stays in the processor's cache.
    size = max(16, 98_304 // max(1, len(own)))
    similar = np.empty((size, len(own)), np.float32)
    deviating = np.empty((size, len(own)), np.float32)
    n_found = np.empty(size, np.int64)
    scratch = np.empty(len(own) + 1, np.float32)
    for first in range(0, len(out), size):
        n_found[:] = 0
        found = similar, deviating, n_found
        _collect(y, first, cursors, columns, by_y, found)
        for k in range(min(size, len(out) - first)):
            n = n_found[k]
            out[first + k] = _average(
                similar[k, :n], deviating[k, :n], neighbors, scratch
            )


@numba.njit(nogil=True, cache=True)
def _collect(y, first, cursors, columns, by_y, found):
    offsets, others, similarities = columns
    y_offsets, codes, deviations = by_y
    similar, deviating, n_found = found
    end = first + len(n_found)
    for p in range(len(cursors)):
        place = y_offsets[y] + p
        q, last = cursors[p], offsets[codes[place] + 1]
        while q < last and others[q] < end:
            k = np.uint32(others[q] - first)
            n = np.uint32(n_found[k])
            similar[k, n] = similarities[q]
            deviating[k, n] = deviations[place]
            n_found[k] = n + 1
            q += 1
        cursors[p] = q
