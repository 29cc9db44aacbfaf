"""Compiled loops that several families share: codes into groups, scores, the best of them."""

import numba
import numpy as np

__all__ = ["best_of", "best_of_each", "group_by_code", "largest_threshold", "products"]


@numba.njit(nogil=True, cache=True)
def group_by_code(codes, n_codes):
    """Sort positions by their code; positions of equal codes keep their order."""
    offsets = np.zeros(n_codes + 1, np.int64)
    for code in codes:
        offsets[code + 1] += 1
    for code in range(n_codes):
        offsets[code + 1] += offsets[code]
    order = np.empty(len(codes), np.int32)
    following = offsets[:-1].copy()
    for position in range(len(codes)):
        code = codes[position]
        order[following[code]] = position
        following[code] += 1
    return offsets, order


@numba.njit(nogil=True, cache=True)
def largest_threshold(values, n, k):
    """Find the k-th largest of the first n values (Hoare's quickselect)."""
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
def best_of(scores, excluded, items):
    """Fill `items` with the titles of the highest scores, best first; return how many.

    Of equals the smaller code comes first. Scores are finite.
    """
    n = len(items)
    best, n_found = np.empty(n, scores.dtype), 0
    for item in range(len(scores)):
        score = scores[item]
        # Most titles end here, before anybody asks whether they are excluded.
        if (n_found == n and score <= best[n - 1]) or excluded[item]:
            continue
        place = min(n_found, n - 1)
        while place > 0 and best[place - 1] < score:
            best[place], items[place] = best[place - 1], items[place - 1]
            place -= 1
        best[place], items[place] = score, item
        n_found = min(n_found + 1, n)
    return n_found


@numba.njit(nogil=True, cache=True)
def best_of_each(scores, users, seen, barred, items):
    """Fill each row of `items` as `best_of` does, without the titles that a user has seen.

    Nobody gets titles that are barred.

    `seen` are the offsets of users in a list of titles, and that list; users beyond them
    have seen nothing. What is not filled stays as it is.
    """
    offsets, titles = seen
    excluded = barred.copy()
    for row in range(len(users)):
        user = users[row]
        first, last = 0, 0
        if 0 <= user < len(offsets) - 1:
            first, last = offsets[user], offsets[user + 1]
        for place in range(first, last):
            excluded[titles[place]] = True
        best_of(scores[row], excluded, items[row])
        for place in range(first, last):
            excluded[titles[place]] = barred[titles[place]]


@numba.njit(nogil=True, cache=True, fastmath={"reassoc", "contract", "nsz"})
def products(users, items):
    """Multiply the factors of each of some users with those of each title.

    What `users @ items.T` is, but with the same bits however many users there are: a
    library of linear algebra sums in another order for one than for many, and then titles
    that are almost tied change places. One user takes as long, many two to three times as
    long as there.
    """
    n_factors = items.shape[1]
    out = np.empty((len(users), len(items)), items.dtype)
    # As many titles at a time as stay in the processor's cache for the next user.
    size = max(16, 16_384 // max(1, n_factors))
    for first in range(0, len(items), size):
        end = min(len(items), first + size)
        for row in range(len(users)):
            p = users[row]
            for item in range(first, end):
                q, dot = items[item], items.dtype.type(0)
                for f in range(n_factors):
                    dot += p[f] * q[f]
                out[row, item] = dot
    return out
