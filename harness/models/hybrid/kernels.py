"""Compiled loops of LightFM's model: embeddings of features, three losses.

What is computed is what LightFM [1]_ computes, pair by pair in the same order, with the
same random numbers: on equal input its embeddings are the same up to rounding. What
differs is how. LightFM steps from one factor to the next and visits all features at each,
one number at a time, in double precision; here each feature is visited once, and its
factors are updated together, in single precision, by vector instructions. A kernel is
compiled for each number of vectors that embeddings may fill: sums then stay in registers,
which takes two thirds of the time of loops over vectors. More is lost than won by learning
in units of the step: it saves a product, but then numbers are no longer rounded as LightFM
rounds them, and after five epochs of ml-100k flags of titles are 1e-3 apart, not 4e-6.

Users and items share their arrays: the rows of the items follow those of the users, and
codes of items are meant so. A table is flat. Each feature has a stretch of it, in two or
three parts of equal length, a multiple of `WIDTH`: what is learnt, sums of squared
gradients, and of squared updates (adadelta alone). What is learnt are the factors, then
a bias; that of a user stands before that of an item, and where one side has its bias,
the sums of the other hold 1. The score is then a single dot product, and a bias is
learnt like a factor. What is never to be learnt has infinite squares, and so steps of 0,
or next to it.

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
    load_several,
    prefetch_read,
    prefetch_several,
    splat,
    square_root,
    store,
    total,
    two_by_root,
    zeros,
)

__all__ = ["arrange", "bpr_epoch", "logistic_epoch", "shuffle", "warp_epoch"]

_LARGEST_SCALE = 1e6
_LARGEST_LOSS = 10.0
_MOST_TRIES = 10
_RHO, _EPSILON = np.float32(0.95), np.float32(1e-6)
_AHEAD, _FAR_AHEAD = 3, 16
"""Pairs: so long before their turn their rows, and they themselves, are fetched from memory."""

_FASTMATH = {"contract", "nsz"}
_compiled = numba.njit(nogil=True, cache=True, fastmath=_FASTMATH, error_model="numpy")
# A real call, and a tuple taken apart, count references to each array by locked
# instructions, which would take longer than the rest: hence arrays as plain arguments.
_inlined = numba.njit(
    nogil=True, fastmath=_FASTMATH, error_model="numpy", forceinline=True
)


@numba.njit(nogil=True, cache=True)
def shuffle(n, key, position):
    """Shuffle whole numbers as `RandomState.shuffle` does, in a fifth of the time.

    Of the state of its Mersenne Twister, the key is modified, and the position returned
    with the numbers. Which of the draws are small enough is counted without a branch, that
    would be guessed wrongly at one in three, and only then numbers change places.
    """
    order = np.arange(n).astype(np.int32)
    drawn, places = np.empty(len(key), np.uint32), np.empty(len(key), np.int64)
    _temper(key, drawn)
    last, mask = n - 1, np.uint32(1)
    while mask < last:
        mask = (mask << np.uint32(1)) | np.uint32(1)
    while last > 0:
        if position == len(key):
            _twist(key)
            _temper(key, drawn)
            position = 0
        first, n_found = last, 0
        while position < len(key) and last > 0:
            half = np.int64(mask >> np.uint32(1))
            # So many draws at least have the same mask.
            end = min(len(key), position + last - half)
            for k in range(position, end):
                place = np.int64(drawn[k] & mask)
                places[n_found] = place
                n_found += place <= last
                last -= place <= last
            position = end
            if last <= half:
                mask >>= np.uint32(1)
        for k in range(n_found):
            one, other = first - k, places[k]
            order[one], order[other] = order[other], order[one]
    return order, position


@_inlined
def _twist(key):
    """Move a Mersenne Twister on by as many numbers as its state has."""
    n = len(key)
    for k in range(n - 397):
        key[k] = _mix(key[k], key[k + 1], key[k + 397])
    for k in range(n - 397, n - 1):
        key[k] = _mix(key[k], key[k + 1], key[k + 397 - n])
    key[n - 1] = _mix(key[n - 1], key[0], key[396])


@_inlined
def _mix(one, following, far):
    bits = (one & np.uint32(0x80000000)) | (following & np.uint32(0x7FFFFFFF))
    odd = np.uint32(0) - (bits & np.uint32(1))
    return far ^ (bits >> np.uint32(1)) ^ (odd & np.uint32(0x9908B0DF))


@_inlined
def _temper(key, drawn):
    for k in range(len(key)):
        x = key[k]
        x ^= x >> np.uint32(11)
        x ^= (x << np.uint32(7)) & np.uint32(0x9D2C5680)
        x ^= (x << np.uint32(15)) & np.uint32(0xEFC60000)
        drawn[k] = x ^ (x >> np.uint32(18))


@numba.njit(nogil=True, cache=True)
def arrange(pairs):
    """Bring pairs into their order, and each column into an array of its own."""
    order, codes, numbers = pairs
    n = len(order)
    users, items = np.empty(n, np.uint32), np.empty(n, np.uint32)
    sizes = np.empty(n, np.float32)
    for k in range(n):
        pair = np.uint32(order[k])
        users[k], items[k] = codes[pair, 0], codes[pair, 1]
        sizes[k] = numbers[pair, 2]
    return users, items, sizes


@_compiled
def logistic_epoch(pairs, features, table, ones, setting):
    """Pass once over all pairs, minimising the logistic loss.

    Parameters
    ----------
    pairs : tuple of ndarray
        In which order to pass over them (int32), and twice the same memory, a row for each:
        as uint32, the codes of user and item in its first two columns; as float32, in the
        last two the weight, and the weight again if it is liked, or else 0.
    features : tuple of ndarray
        Row pointers of a CSR matrix (uint64: indices that have a sign are checked for it
        at each use), where in the table its features begin (int64; one more, of nobody, is
        asked for ahead of a last row without features), and their weights (float32).
    table : ndarray of float32
        As described above; modified.
    ones : ndarray of float32
        What the sums of a user hold before anything is added, then those of an item.
    setting : tuple
        Number of factors, where in the table the features of items begin, half the learning
        rate (adadelta: 1), penalties of the features of users and of items, whether steps
        follow adadelta instead of adagrad, and a tuple as long as embeddings have vectors.
    """
    order, codes, numbers = pairs
    rows, places, weights = features
    like = setting[5]
    length, scales = WIDTH * len(like), np.ones(2)
    last = len(order) - 1
    begin = 0
    while begin < len(order):
        for k in range(begin, len(order)):
            pair = np.uint32(order[k])
            user, item = codes[pair, 0], codes[pair, 1]
            prefetch_read(numbers, 4 * np.int64(order[min(k + _FAR_AHEAD, last)]))
            later = np.uint32(order[min(k + _AHEAD, last)])
            _fetch(rows, places, weights, table, codes[later, 0], like)
            _fetch(rows, places, weights, table, codes[later, 1], like)
            p = _represent(rows, places, weights, table, user, scales[0], ones, 0, like)
            q = _represent(
                rows, places, weights, table, item, scales[1], ones, length, like
            )
            share = _share(_count(rows, user) + _count(rows, item), setting)
            loss = numbers[pair, 2] * _sigmoid(_dot(p, q)) - numbers[pair, 3]
            steps = _descend(rows, places, weights, table, item, p, loss, 1, setting)
            steps += _descend(rows, places, weights, table, user, q, loss, 0, setting)
            _penalise(scales, total(steps), share, setting)
            begin = k + 1
            if scales[0] > _LARGEST_SCALE or scales[1] > _LARGEST_SCALE:
                break
        _settle(table, scales, length, setting)


@_compiled
def warp_epoch(pairs, features, table, ones, setting, liked, seed):
    """Pass once over all pairs, which are liked, minimising the WARP loss.

    Parameters
    ----------
    pairs : tuple of ndarray
        Codes of users and items (uint32), and weights (float32), from `arrange`.
    features, table, ones, setting
        As in `logistic_epoch`.
    liked : tuple of ndarray of int32
        Row pointers and ascending item codes of a CSR matrix of what users liked.
    seed : int
        Of the items drawn.
    """
    users, items, sizes = pairs
    rows, places, weights = features
    liked_rows, liked_items = liked
    n_users = len(liked_rows) - 1
    n_items = len(rows) - 1 - n_users
    like = setting[5]
    length = WIDTH * len(like)
    scales, state = np.ones(2), np.uint64(seed)
    begin = 0
    while begin < len(users):
        for k in range(begin, len(users)):
            user, item = users[k], items[k]
            p = _represent(rows, places, weights, table, user, scales[0], ones, 0, like)
            q = _represent(
                rows, places, weights, table, item, scales[1], ones, length, like
            )
            score = _dot(p, q)
            for n_drawn in range(1, _MOST_TRIES + 1):
                state = _advance(state)
                drawn = n_users + _number(state) % n_items
                other = _represent(
                    rows, places, weights, table, drawn, scales[1], ones, length, like
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
    users, items, sizes = pairs
    rows, places, weights = features
    liked_rows, liked_items = liked
    like = setting[5]
    length = WIDTH * len(like)
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
            p = _represent(rows, places, weights, table, user, scales[0], ones, 0, like)
            q = _represent(
                rows, places, weights, table, item, scales[1], ones, length, like
            )
            other = _represent(
                rows, places, weights, table, drawn, scales[1], ones, length, like
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
    like = setting[5]
    # The bias of the user gets the slope of a single item, as in LightFM.
    q = other - q + load_several(ones, WIDTH * len(like), like)
    steps = _descend(rows, places, weights, table, item, p, -loss, 1, setting)
    steps += _descend(rows, places, weights, table, drawn, p, loss, 1, setting)
    steps += _descend(rows, places, weights, table, user, q, loss, 0, setting)
    n_features = _count(rows, user) + _count(rows, item) + _count(rows, drawn)
    _penalise(scales, total(steps), _share(n_features, setting), setting)


@_inlined
def _count(rows, row):
    return np.int64(rows[row + 1] - rows[row])


@_inlined
def _fetch(rows, places, weights, table, row, like):
    """Ask for the features of a row, and for the first of them in the table.

    The others are shared, and near anyway.
    """
    prefetch_read(weights, rows[row])
    prefetch_read(places, rows[row] + np.uint64(8))
    # Without features it is another's, or nobody's, which does no harm, and spares a branch.
    first = places[rows[row]]
    prefetch_several(table, first, like)
    prefetch_several(table, first + WIDTH * len(like), like)


@_inlined
def _represent(rows, places, weights, table, row, scale, ones, start, like):
    """Add up the weighted features of a user or an item."""
    added = zeros(like)
    for k in range(rows[row], rows[row + 1]):
        added += splat(weights[k]) * load_several(table, places[k], like)
    # The scale comes last: it is known only when the pair before is done.
    return load_several(ones, start, like) + splat(np.float32(scale)) * added


@_inlined
def _dot(p, q):
    return total(p * q)


_PER_UNIT, _LIMIT = 16, 18
_FAR = np.float32(_LIMIT)
_ROUNDING, _ITS_BITS = np.float32(3 << 22), 0x4B400000
"""Added to a number below 2^22 it leaves no fraction; what the bits grow by is the number."""


def _tabulate_sigmoid():
    """Take it and its first three derivatives, by their factorials, at equal distances."""
    n = _LIMIT * _PER_UNIT
    value = 1 / (1 + np.exp(-np.arange(-n, n + 1) / _PER_UNIT))
    slope = value * (1 - value)
    bend = slope * (1 - 2 * value) / 2
    twist = slope * (1 - 6 * slope) / 6
    columns = (value, slope, bend, twist)
    scaled = [column / _PER_UNIT**n for n, column in enumerate(columns)]
    return np.stack(scaled, axis=1).reshape(-1)


_SIGMOID = _tabulate_sigmoid()


@_inlined
def _sigmoid(score):
    """From the nearest place in a table: half the time of an exponential and a division.

    In double precision up to the end: LightFM rounds once, and what is left where scores are
    far from 0 is nothing but that.
    """
    # Also what is not a number; far above 0 it is 1 in single precision.
    if not score > -_FAR:
        return np.float32(math.exp(np.float64(score)))
    scaled = min(score, _FAR) * np.float32(_PER_UNIT)
    shifted = scaled + _ROUNDING
    off = np.float64(scaled - (shifted - _ROUNDING))
    steps = np.int64(np.float32(shifted).view(np.int32)) - _ITS_BITS
    place = np.uint64(4 * (steps + _PER_UNIT * _LIMIT))
    one, two, three = np.uint64(1), np.uint64(2), np.uint64(3)
    inner = _SIGMOID[place + three] * off + _SIGMOID[place + two]
    return np.float32((inner * off + _SIGMOID[place + one]) * off + _SIGMOID[place])


@_inlined
def _descend(rows, places, weights, table, row, other, loss, side, setting):
    """Step down for each feature of a row; return the sizes of the steps, added up."""
    _, _, half_rate, penalties, adadelta, like = setting
    alpha = splat(np.float32(half_rate * penalties[side]))
    rate, steps = splat(np.float32(half_rate)), zeros(like)
    for k in range(rows[row], rows[row + 1]):
        gradient, place = splat(np.float32(weights[k] * loss)) * other, places[k]
        if adadelta:
            steps += _adadelta(table, place, gradient, alpha, like)
        else:
            steps += _adagrad(table, place, gradient, rate, alpha, like)
    return steps


@_inlined
def _adagrad(table, place, gradient, rate, alpha, like):
    length = WIDTH * len(like)
    squares = load_several(table, place + length, like)
    step = two_by_root(squares)
    store(table, place + length, squares + gradient * gradient)
    learnt = load_several(table, place, like) - step * (rate * gradient)
    # Up by the own step here; `_penalise` brings all down by the mean one.
    store(table, place, learnt + learnt * (alpha * step))
    return step


@_inlined
def _adadelta(table, place, gradient, alpha, like):
    length = WIDTH * len(like)
    rho, rest = splat(_RHO), splat(np.float32(1) - _RHO)
    epsilon = splat(_EPSILON)
    updates = load_several(table, place + 2 * length, like)
    squares = rho * load_several(table, place + length, like) + rest * (
        gradient * gradient
    )
    step = square_root(updates + epsilon) / square_root(squares + epsilon)
    update = step * gradient
    store(table, place + length, squares)
    store(table, place + 2 * length, rho * updates + rest * (update * update))
    learnt = load_several(table, place, like) - update
    store(table, place, learnt + learnt * (alpha * step))
    return step


@_inlined
def _share(n_features, setting):
    """Say by what the sum of all steps is multiplied for the mean one."""
    return setting[2] / ((setting[0] + 1) * max(1, n_features))


@_inlined
def _penalise(scales, steps, share, setting):
    """Shrink all features by the mean step, in name only: the scales grow."""
    for side in range(2):
        scales[side] *= 1.0 + setting[3][side] * (share * steps)


@_compiled
def _settle(table, scales, length, setting):
    """Divide what is learnt by the scales, which are then 1 again."""
    width = length * (3 if setting[4] else 2)
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
