"""Compiled loops of LightFM's model: embeddings of features, three losses.

What is computed is what LightFM [1]_ computes, pair by pair in the same order, with the
same random numbers: on equal input its embeddings are the same up to rounding. What
differs is how. LightFM steps from one factor to the next and visits all features at each,
one number at a time, in double precision; here each feature is visited once, and its
factors are updated together, in single precision, by vector instructions.

Users and items share their arrays: the rows of the items follow those of the users, and
codes of items are meant so. A table is flat. Each feature has a stretch of it, in two or
three parts of equal length, a multiple of `WIDTH`: what is learnt, sums of squared
gradients, and of squared updates (adadelta alone). What is learnt are the factors, then
a bias; that of a user stands before that of an item, and where one side has its bias,
the sums of the other hold 1. The score is then a single dot product, and a bias is
learnt like a factor. What is never to be learnt has infinite squares, and so steps of 0.

References
----------
.. [1] M. Kula, "Metadata embeddings for user and item cold-start recommendations",
   CBRecSys at RecSys 2015; https://github.com/lyst/lightfm, ``_lightfm_fast.pyx``.
"""

import math

import numba
import numpy as np

from harness.models.lanes import (
    WIDTH,
    load,
    prefetch,
    splat,
    square_root,
    store,
    total,
)

__all__ = ["arrange", "bpr_epoch", "logistic_epoch", "warp_epoch"]

_LARGEST_SCALE = 1e6
_LARGEST_LOSS = 10.0
_MOST_TRIES = 10
_RHO, _EPSILON = np.float32(0.95), np.float32(1e-6)
_AHEAD = 3
"""Pairs: so long before their turn their rows are fetched from memory."""

_FASTMATH = {"contract", "nsz"}
_compiled = numba.njit(nogil=True, cache=True, fastmath=_FASTMATH, error_model="numpy")
# A real call, and a tuple taken apart, count references to each array by locked
# instructions, which would take longer than the rest: hence arrays as plain arguments.
_inlined = numba.njit(
    nogil=True, fastmath=_FASTMATH, error_model="numpy", forceinline=True
)


@numba.njit(nogil=True, cache=True)
def arrange(users, items, sizes, liked, order):
    """Bring pairs into an order, all columns at once: a quarter of the time of one by one."""
    n = len(order)
    new_users, new_items = np.empty(n, np.int32), np.empty(n, np.int32)
    new_sizes, new_liked = np.empty(n, np.float32), np.empty(n, np.bool_)
    for k in range(n):
        old = np.uint32(order[k])
        new_users[k], new_items[k] = users[old], items[old]
        new_sizes[k], new_liked[k] = sizes[old], liked[old]
    return new_users, new_items, new_sizes, new_liked


@_compiled
def logistic_epoch(pairs, features, table, ones, setting):
    """Pass once over all pairs, minimising the logistic loss.

    Parameters
    ----------
    pairs : tuple of ndarray
        Codes of users and of items (int32), weights (float32), and whether liked (bool),
        in the order in which to pass over them.
    features : tuple of ndarray
        Row pointers of a CSR matrix (uint64: indices that have a sign are checked for it
        at each use), where in the table its features begin (int64), and their weights
        (float32).
    table : ndarray of float32
        As described above; modified.
    ones : ndarray of float32
        What the sums of a user hold before anything is added, then those of an item.
    setting : tuple
        Number of factors, where in the table the features of items begin, learning rate,
        penalties of the features of users and of items, and whether steps follow
        adadelta instead of adagrad.
    """
    users, items, sizes, liked = pairs
    rows, places, weights = features
    _, _, rate, user_alpha, item_alpha, adadelta = setting
    length = len(ones) // 2
    p, q, scales = _sums(length), _sums(length), np.ones(2)
    begin = 0
    while begin < len(users):
        for k in range(begin, len(users)):
            user, item = users[k], items[k]
            _fetch(rows, places, table, users[min(k + _AHEAD, len(users) - 1)], length)
            _fetch(rows, places, table, items[min(k + _AHEAD, len(users) - 1)], length)
            _represent(rows, places, weights, table, user, scales[0], ones, 0, p)
            _represent(rows, places, weights, table, item, scales[1], ones, length, q)
            loss = sizes[k] * (_sigmoid(_dot(p, q)) - liked[k])
            steps = _descend(
                rows, places, weights, table, item, p, loss, rate, item_alpha, adadelta
            )
            steps += _descend(
                rows, places, weights, table, user, q, loss, rate, user_alpha, adadelta
            )
            n_features = _count(rows, user) + _count(rows, item)
            _penalise(scales, total(steps), n_features, setting)
            begin = k + 1
            if scales[0] > _LARGEST_SCALE or scales[1] > _LARGEST_SCALE:
                break
        _settle(table, scales, length, setting)


@_compiled
def warp_epoch(pairs, features, table, ones, setting, liked, seed):
    """Pass once over all pairs, which are liked, minimising the WARP loss.

    Parameters
    ----------
    pairs, features, table, ones, setting
        As in `logistic_epoch`.
    liked : tuple of ndarray of int32
        Row pointers and ascending item codes of a CSR matrix of what users liked.
    seed : int
        Of the items drawn.
    """
    users, items, sizes, _ = pairs
    rows, places, weights = features
    liked_rows, liked_items = liked
    n_users = len(liked_rows) - 1
    n_items = len(rows) - 1 - n_users
    length = len(ones) // 2
    p, q, other = _sums(length), _sums(length), _sums(length)
    scales, state = np.ones(2), np.uint64(seed)
    begin = 0
    while begin < len(users):
        for k in range(begin, len(users)):
            user, item = users[k], items[k]
            _represent(rows, places, weights, table, user, scales[0], ones, 0, p)
            _represent(rows, places, weights, table, item, scales[1], ones, length, q)
            score = _dot(p, q)
            for n_drawn in range(1, _MOST_TRIES + 1):
                state = _advance(state)
                drawn = n_users + _number(state) % n_items
                _represent(
                    rows, places, weights, table, drawn, scales[1], ones, length, other
                )
                if _dot(p, other) <= score - 1:
                    continue
                if _contains(
                    liked_items, liked_rows[user], liked_rows[user + 1], drawn
                ):
                    continue
                rank = max(1.0, float((n_items - 1) // n_drawn))
                loss = min(sizes[k] * math.log(rank), _LARGEST_LOSS)
                trio = user, item, drawn
                _rank(
                    rows,
                    places,
                    weights,
                    table,
                    trio,
                    p,
                    q,
                    other,
                    ones,
                    loss,
                    scales,
                    setting,
                )
                break
            begin = k + 1
            if scales[0] > _LARGEST_SCALE or scales[1] > _LARGEST_SCALE:
                break
        _settle(table, scales, length, setting)


@_compiled
def bpr_epoch(pairs, features, table, ones, setting, liked, seed, pool):
    """Pass once over all pairs, which are liked, minimising the BPR loss.

    Parameters
    ----------
    pairs, features, table, ones, setting, liked, seed
        As in `warp_epoch`.
    pool : ndarray of int32
        Codes of the items of all pairs, from which is drawn.
    """
    users, items, sizes, _ = pairs
    rows, places, weights = features
    liked_rows, liked_items = liked
    length = len(ones) // 2
    p, q, other = _sums(length), _sums(length), _sums(length)
    scales, state = np.ones(2), np.uint64(seed)
    begin = 0
    while begin < len(users):
        for k in range(begin, len(users)):
            user, item, drawn = users[k], items[k], pool[0]
            for _ in range(len(pool)):
                state = _advance(state)
                drawn = pool[_number(state) % len(pool)]
                first, last = liked_rows[user], liked_rows[user + 1]
                if not _contains(liked_items, first, last, drawn):
                    break
            _represent(rows, places, weights, table, user, scales[0], ones, 0, p)
            _represent(rows, places, weights, table, item, scales[1], ones, length, q)
            _represent(
                rows, places, weights, table, drawn, scales[1], ones, length, other
            )
            loss = sizes[k] * (1.0 - _sigmoid(_dot(p, q) - _dot(p, other)))
            trio = user, item, drawn
            _rank(
                rows,
                places,
                weights,
                table,
                trio,
                p,
                q,
                other,
                ones,
                loss,
                scales,
                setting,
            )
            begin = k + 1
            if scales[0] > _LARGEST_SCALE or scales[1] > _LARGEST_SCALE:
                break
        _settle(table, scales, length, setting)


@_inlined
def _rank(rows, places, weights, table, trio, p, q, other, ones, loss, scales, setting):
    """Raise the score of the liked item, lower that of the one drawn."""
    user, item, drawn = trio
    _, _, rate, user_alpha, item_alpha, adadelta = setting
    length = len(p)
    for f in range(0, length, WIDTH):
        # The bias of the user gets the slope of a single item, as in LightFM.
        store(q, f, load(other, f) - load(q, f) + load(ones, length + f))
    steps = _descend(
        rows, places, weights, table, item, p, -loss, rate, item_alpha, adadelta
    )
    steps += _descend(
        rows, places, weights, table, drawn, p, loss, rate, item_alpha, adadelta
    )
    steps += _descend(
        rows, places, weights, table, user, q, loss, rate, user_alpha, adadelta
    )
    n_features = _count(rows, user) + _count(rows, item) + _count(rows, drawn)
    _penalise(scales, total(steps), n_features, setting)


@_inlined
def _sums(length):
    return np.empty(length, np.float32)


@_inlined
def _count(rows, row):
    return np.int64(rows[row + 1] - rows[row])


@_inlined
def _fetch(rows, places, table, row, length):
    """Ask for the first feature of a row: the others are shared, and near anyway."""
    # Without features it is another's, which does no harm, and spares a branch.
    first = places[min(np.int64(rows[row]), len(places) - 1)]
    for place in range(first, first + 2 * length, WIDTH):
        prefetch(table, place)


@_inlined
def _represent(rows, places, weights, table, row, scale, ones, start, out):
    """Add up the weighted features of a user or an item."""
    factor = splat(np.float32(scale))
    for f in range(0, len(out), WIDTH):
        added = splat(np.float32(0))
        for k in range(rows[row], rows[row + 1]):
            added += splat(weights[k]) * load(table, places[k] + f)
        # The scale comes last: it is known only when the pair before is done.
        store(out, f, load(ones, start + f) + factor * added)


@_inlined
def _dot(p, q):
    added = splat(np.float32(0))
    for f in range(0, len(p), WIDTH):
        added += load(p, f) * load(q, f)
    return total(added)


@_inlined
def _sigmoid(score):
    return np.float32(1.0 / (1.0 + math.exp(-np.float64(score))))


@_inlined
def _descend(rows, places, weights, table, row, other, loss, rate, penalty, adadelta):
    """Step down for each feature of a row; return the sizes of the steps, added up."""
    rate, alpha = splat(np.float32(rate)), splat(np.float32(penalty))
    length, steps = len(other), splat(np.float32(0))
    for k in range(rows[row], rows[row + 1]):
        slope, start = splat(np.float32(weights[k] * loss)), places[k]
        # Of each feature on its own first: a single long sum would have to wait for
        # each of its summands in turn.
        own = splat(np.float32(0))
        for place in range(start, start + length, WIDTH):
            gradient = slope * load(other, place - start)
            if adadelta:
                own += _adadelta(table, place, length, gradient, alpha)
            else:
                own += _adagrad(table, place, length, gradient, rate, alpha)
        steps += own
    return steps


@_inlined
def _adagrad(table, place, length, gradient, rate, alpha):
    squares = load(table, place + length)
    step = rate / square_root(squares)
    store(table, place + length, squares + gradient * gradient)
    learnt = load(table, place) - step * gradient
    # Up by the own step here; `_penalise` brings all down by the mean one.
    store(table, place, learnt + learnt * (alpha * step))
    return step


@_inlined
def _adadelta(table, place, length, gradient, alpha):
    rho, rest = splat(_RHO), splat(np.float32(1) - _RHO)
    epsilon = splat(_EPSILON)
    updates = load(table, place + 2 * length)
    squares = rho * load(table, place + length) + rest * (gradient * gradient)
    step = square_root(updates + epsilon) / square_root(squares + epsilon)
    update = step * gradient
    store(table, place + length, squares)
    store(table, place + 2 * length, rho * updates + rest * (update * update))
    learnt = load(table, place) - update
    store(table, place, learnt + learnt * (alpha * step))
    return step


@_inlined
def _penalise(scales, steps, n_features, setting):
    """Shrink all features by the mean step, in name only: the scales grow."""
    n_factors, _, _, user_alpha, item_alpha, _ = setting
    mean = steps / ((n_factors + 1) * max(1, n_features))
    scales[0] *= 1.0 + user_alpha * mean
    scales[1] *= 1.0 + item_alpha * mean


@_compiled
def _settle(table, scales, length, setting):
    """Divide what is learnt by the scales, which are then 1 again."""
    width = length * (3 if setting[5] else 2)
    for start in range(0, len(table), width):
        scale = scales[0] if start < setting[1] else scales[1]
        for place in range(start, start + length):
            table[place] = table[place] / scale
    scales[:] = 1.0


@_inlined
def _advance(state):
    return (state * np.uint64(1103515245) + np.uint64(12345)) & np.uint64(0xFFFFFFFF)


@_inlined
def _number(state):
    """Make a number below 2^31 of a state: ``rand_r`` of musl."""
    x = state
    x ^= x >> np.uint64(11)
    x ^= (x << np.uint64(7)) & np.uint64(0x9D2C5680)
    x ^= (x << np.uint64(15)) & np.uint64(0xEFC60000)
    x ^= x >> np.uint64(18)
    return np.int64(x >> np.uint64(1))


@_inlined
def _contains(codes, first, last, code):
    """Search an ascending stretch by bisection."""
    low, high = first, last
    while low < high:
        middle = (low + high) // 2
        if codes[middle] < code:
            low = middle + 1
        else:
            high = middle
    return low < last and codes[low] == code
