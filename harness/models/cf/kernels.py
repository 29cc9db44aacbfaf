"""Compiled loops of neighbourhood models: weighted averages over the nearest neighbours.

A query is a pair of one ``x`` (the side that is compared) and one ``y``. Its neighbours
are the other ``x`` that are connected with ``y``; what is averaged are their deviations
from what was to be expected. As in scikit-surprise the `k` most similar are taken, of
equals those that come first in the list of ``y``, and only similarities above 0 count.
"""

import math

import numba
import numpy as np

from harness.models.kernels import largest_threshold
from harness.models.lanes import add_four, prefetch_read

__all__ = ["COSINE", "MSD", "PEARSON"]


COSINE, MSD, PEARSON = 0, 1, 2

_OTHERS_AT_ONCE = 16_384
"""Their totals, 0.5 MB, stay in the processor's cache."""
_COLLECTED = 16_384
_AHEAD, _BEGINNING = 128, 256
"""Ratings that are asked for before they are needed, and of the list that follows."""


@numba.njit(nogil=True, cache=True)
def new_totals(n, kind):
    """Make an array for `fill_row`, where there are n to compare with."""
    return np.zeros((min(n, _OTHERS_AT_ONCE), 6 if kind == PEARSON else 4))


@numba.njit(nogil=True, cache=True)
def _add_up_row(x, by_x, by_y, parts, totals):
    """Total up the common ratings of one ``x`` with others, in a part of each list."""
    offsets, connections, own_values = by_x
    _, others, values = by_y
    starts, ends, first = parts
    last = offsets[x + 1]
    for p in range(offsets[x], last):
        y, own = connections[p], own_values[p]
        # The parts are short and far apart, which the processor cannot foresee: it waits
        # for memory half of the time where nobody asks ahead.
        if p + 1 < last:
            following = connections[p + 1]
            end = min(ends[following], starts[following] + _BEGINNING)
            for q in range(starts[following], end, 16):
                prefetch_read(others, q)
                prefetch_read(values, q)
                prefetch_read(values, q + 8)
        if totals.shape[1] == 6:
            _add_list(own, (starts[y], ends[y], first), by_y, totals)
            continue
        square = own * own
        for q in range(starts[y], ends[y]):
            prefetch_read(others, q + _AHEAD)
            prefetch_read(values, q + _AHEAD)
            value = values[q]
            add_four(
                totals,
                np.uint32(others[q] - first),
                (1.0, own * value, square, value * value),
            )


@numba.njit(nogil=True, cache=True)
def _add_list(own, part, by_y, totals):
    """Total up with the sums that a correlation takes besides."""
    start, end, first = part
    _, others, values = by_y
    square = own * own
    for q in range(start, end):
        total, value = totals[np.uint32(others[q] - first)], values[q]
        total[0] += 1.0
        total[1] += own * value
        total[2] += square
        total[3] += value * value
        total[4] += own
        total[5] += value


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
    """Compare each ``x`` with each other."""
    n = len(by_x[0]) - 1
    similarities, counts = np.empty((n, n)), np.empty((n, n), np.int32)
    totals = np.zeros((n, 6 if kind == PEARSON else 4))
    starts = by_y[0][:-1].copy()
    parts = starts, by_y[0][1:], 0
    for x in range(n):
        # Half of the pairs are enough: lists are in ascending order, so what lies behind
        # x in the list of each of its y has a greater code.
        for p in range(by_x[0][x], by_x[0][x + 1]):
            starts[by_x[1][p]] += 1
        totals[x + 1 :] = 0.0
        _add_up_row(x, by_x, by_y, parts, totals)
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
def fill_row(x, by_x, by_y, measure, totals, row):
    """Compute the weighted similarities of one ``x`` with all, a part at a time."""
    kind, weights = measure
    offsets, others, _ = by_y
    own = by_x[1][by_x[0][x] : by_x[0][x + 1]]
    starts, ends = np.empty(len(offsets), np.int64), np.empty(len(offsets), np.int64)
    for y in own:
        ends[y] = offsets[y]
    for first in range(0, len(row), len(totals)):
        part = row[first : first + len(totals)]
        for y in own:
            starts[y], ends[y] = ends[y], offsets[y + 1]
            if first + len(part) < len(row):
                list_ = others[starts[y] : ends[y]]
                ends[y] = starts[y] + np.searchsorted(list_, first + len(part))
        totals[:] = 0.0
        _add_up_row(x, by_x, by_y, (starts, ends, first), totals)
        _compare(totals, kind, 0, part)
        for other in range(len(part)):
            part[other] *= weights[np.uint32(totals[other, 0])]
    row[x] = 1.0


@numba.njit(nogil=True, cache=True)
def nearest_similarities(by_x, by_y, measure, n_kept, n_room):
    """Keep the most similar others of each ``x``."""
    n = len(by_x[0]) - 1
    offsets = np.zeros(n + 1, np.int64)
    # Pages that are never written to take no memory.
    others, similarities = np.empty(n_room, np.int32), np.empty(n_room, np.float32)
    totals = new_totals(n, measure[0])
    row, scratch = np.empty(n, np.float32), np.empty(n, np.float32)
    for x in range(n):
        fill_row(x, by_x, by_y, measure, totals, row)
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
def longest_list(offsets):
    """Find the length of the longest list."""
    longest = 1
    for y in range(len(offsets) - 1):
        longest = max(longest, offsets[y + 1] - offsets[y])
    return longest


@numba.njit(nogil=True, cache=True)
def average_of_all(queries, matrices, weights, by_y, neighbors, out):
    """Answer queries from a matrix of all similarities."""
    xs, ys, order = queries
    offsets, codes, deviations = by_y
    longest = longest_list(offsets)
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
def average_of_all_row(y, matrices, weights, by_y, neighbors, out):
    """Answer the queries of one ``y`` with every ``x``, from a matrix of all similarities.

    The same answers as `average_of_all`. The matrix is symmetric: the rows of the few that
    are connected with ``y`` are read from end to end, not some numbers of each row.
    """
    offsets, codes, deviations = by_y
    first, last = offsets[y], offsets[y + 1]
    own = codes[first:last]
    # A block of x at a time: what is collected for it stays in the processor's cache.
    size = max(16, _COLLECTED // max(1, len(own)))
    similar, scratch = np.empty((size, len(own))), np.empty(len(own) + 1)
    for start in range(0, len(out), size):
        end = min(len(out), start + size)
        for p in range(len(own)):
            row, counts = matrices[0][own[p]], matrices[1][own[p]]
            for x in range(start, end):
                weight = weights[np.uint32(counts[x])]
                similar[np.uint32(x - start), p] = row[x] * weight
        for x in range(start, end):
            found = similar[x - start]
            out[x] = _average(found, deviations[first:last], neighbors, scratch)


@numba.njit(nogil=True, cache=True)
def answer(query, y, row, by_y, buffers, neighbors, out):
    """Answer one query from the similarities of its ``x`` with all."""
    offsets, codes, deviations = by_y
    similar, scratch = buffers
    first, last = offsets[y], offsets[y + 1]
    for p in range(last - first):
        similar[p] = row[np.uint32(codes[first + p])]
    found = similar[: last - first]
    out[query] = _average(found, deviations[first:last], neighbors, scratch)


@numba.njit(nogil=True, cache=True)
def average_listed(queries, lists, by_y, neighbors, out):
    """Answer queries from lists of the most similar."""
    xs, ys, order = queries
    offsets, others, similarities = lists
    longest = longest_list(by_y[0])
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
        answer(query, ys[query], row, by_y, buffers, neighbors, out)


@numba.njit(nogil=True, cache=True)
def average_on_demand(queries, by_x, by_connection, measure, by_y, neighbors, out):
    """Answer queries from similarities that are computed now, and not kept."""
    xs, ys, order = queries
    n_x = len(by_x[0]) - 1
    longest = longest_list(by_y[0])
    totals, row = new_totals(n_x, measure[0]), np.empty(n_x)
    buffers = np.empty(longest), np.empty(longest + 1)
    filled = -1
    for query in order:
        x = xs[query]
        if x != filled:
            fill_row(x, by_x, by_connection, measure, totals, row)
            filled = x
        answer(query, ys[query], row, by_y, buffers, neighbors, out)


@numba.njit(nogil=True, cache=True)
def average_listed_row(y, columns, by_y, neighbors, out):
    """Answer the queries of one ``y`` with every ``x``, from lists turned round.

    The same answers as `average_listed`, without going through the lists of all ``x``.
    """
    offsets, codes = by_y[0], by_y[1]
    own = codes[offsets[y] : offsets[y + 1]]
    cursors = columns[0][own]
    # A block of x at a time: what is collected for it stays in the processor's cache. Blocks
    # half as large took a tenth longer, as each begins all lists anew.
    size = max(16, 196_608 // max(1, len(own)))
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
