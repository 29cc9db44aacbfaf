"""Compiled loops of the bias model."""

import numba
import numpy as np

__all__ = ["als_biases", "squared_errors"]


@numba.njit(nogil=True, cache=True)
def als_biases(users, items, values, mean, n_codes, penalties, n_epochs):
    """Fit user and item biases by alternating least squares.

    Given the user biases, each item bias has a closed form, and the other way round;
    items come first, as in scikit-surprise, and the sums run in its order.
    """
    user_bias, item_bias = np.zeros(n_codes[0]), np.zeros(n_codes[1])
    user_weight = _shrunk_counts(users, n_codes[0], penalties[0])
    item_weight = _shrunk_counts(items, n_codes[1], penalties[1])
    for _ in range(n_epochs):
        _solve(items, users, values, mean, user_bias, item_weight, item_bias)
        _solve(users, items, values, mean, item_bias, user_weight, user_bias)
    return user_bias, item_bias


@numba.njit(nogil=True, cache=True)
def squared_errors(users, items, values, mean, user_bias, item_bias):
    """Sum the squares of what mean and biases leave unexplained."""
    total = 0.0
    for k in range(len(values)):
        error = values[k] - mean - user_bias[users[k]] - item_bias[items[k]]
        total += error * error
    return total


@numba.njit(nogil=True, cache=True)
def _shrunk_counts(codes, n_codes, penalty):
    counts = np.zeros(n_codes)
    for code in codes:
        counts[code] += 1.0
    # A code without ratings has a sum of 0: any weight but 0 keeps its bias at 0.
    return np.where(counts > 0, counts + penalty, 1.0)


@numba.njit(nogil=True, cache=True)
def _solve(codes, others, values, mean, other_bias, weight, bias):
    bias[:] = 0.0
    for k in range(len(values)):
        bias[codes[k]] += values[k] - mean - other_bias[others[k]]
    bias /= weight
