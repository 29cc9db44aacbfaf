"""Compiled loops of the content family: averages over the most similar rated titles."""

import numba
import numpy as np

from harness.models.kernels import largest_threshold

__all__ = ["average_pairs"]


@numba.njit(nogil=True, cache=True)
def average_pairs(queries, lists, by_user, n_neighbors, shrinkage, out):
    """Average what users thought of the titles most similar to those that are asked for."""
    starts, order, items = queries
    slot = np.full(len(lists[0]) - 1, -1, np.int32)
    for user in range(len(starts) - 1):
        asked = order[starts[user] : starts[user + 1]]
        first, last = by_user[0][user], by_user[0][user + 1]
        if len(asked) == 0 or first == last:
            continue
        n_slots = 0
        for query in asked:
            if slot[items[query]] < 0:
                slot[items[query]] = n_slots
                n_slots += 1
        own = by_user[1][first:last], by_user[2][first:last]
        averages = _average_slots(slot, n_slots, own, lists, n_neighbors, shrinkage)
        for query in asked:
            out[query] = averages[slot[items[query]]]
        for query in asked:
            slot[items[query]] = -1


@numba.njit(nogil=True, cache=True)
def _average_slots(slot, n_slots, own, lists, n_neighbors, shrinkage):
    """Sort the neighbours of a user's titles by slot, then average each slot."""
    ends = _count_neighbors(slot, n_slots, own[0], lists)
    offsets, codes, similarities = lists
    following = ends[:-1].copy()
    similar, residuals = np.empty(ends[-1], np.float32), np.empty(ends[-1])
    for k in range(len(own[0])):
        rated, residual = own[0][k], own[1][k]
        for p in range(offsets[rated], offsets[rated + 1]):
            place = slot[codes[p]]
            if place >= 0:
                similar[following[place]] = similarities[p]
                residuals[following[place]] = residual
                following[place] += 1
    averages, scratch = np.zeros(n_slots), np.empty(len(own[0]), np.float32)
    for place in range(n_slots):
        part = slice(ends[place], ends[place + 1])
        averages[place] = _average(
            similar[part], residuals[part], n_neighbors, shrinkage, scratch
        )
    return averages


@numba.njit(nogil=True, cache=True)
def _count_neighbors(slot, n_slots, rated_titles, lists):
    """Return where the neighbours of each slot begin, once they are sorted."""
    ends = np.zeros(n_slots + 1, np.int64)
    for rated in rated_titles:
        for p in range(lists[0][rated], lists[0][rated + 1]):
            place = slot[lists[1][p]]
            if place >= 0:
                ends[place + 1] += 1
    for place in range(n_slots):
        ends[place + 1] += ends[place]
    return ends


@numba.njit(nogil=True, cache=True)
def _average(similar, residuals, n_neighbors, shrinkage, scratch):
    n = len(similar)
    if n == 0:
        return 0.0
    threshold, n_ties = np.float32(-1.0), 0
    if n > n_neighbors:
        scratch[:n] = similar
        threshold = largest_threshold(scratch, n, n_neighbors)
        # Of those exactly at the threshold the first in the user's list, until it is full.
        n_ties = n_neighbors
        for p in range(n):
            n_ties -= similar[p] > threshold
    total, weighted = shrinkage, 0.0
    for p in range(n):
        chosen = similar[p] > threshold
        if similar[p] == threshold and n_ties > 0:
            chosen = True
            n_ties -= 1
        if chosen:
            total += similar[p]
            weighted += similar[p] * residuals[p]
    # Sharpened far enough, similarities underflow to 0.
    return weighted / total if total > 0.0 else 0.0
