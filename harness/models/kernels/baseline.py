"""Compiled loops of the bias model."""

import numba
import numpy as np

__all__ = ["als_biases"]


@numba.njit(nogil=True, cache=True)
def als_biases(users, items, values, mean, n_codes, penalties, n_epochs):
    """Fit user and item biases by alternating least squares.

    Given the user biases, each item bias has a closed form, and the other way round;
    items come first, as in scikit-surprise, and the sums run in its order.

    Parameters
    ----------
    users, items : ndarray of int32, shape (n_ratings,)
        Codes.
    values : ndarray of float32, shape (n_ratings,)
        Ratings in stars.
    mean : float
        The global mean in stars.
    n_codes : tuple of int
        Number of users, number of items.
    penalties : tuple of float
        Regularization of the users, of the items, in ratings.
    n_epochs : int
        Rounds of both steps.

    Returns
    -------
    tuple of ndarray of float64, shapes (n_users,) and (n_items,)
        Biases of users and items in stars; 0 for codes without a rating.
    """
    user_bias, item_bias = np.zeros(n_codes[0]), np.zeros(n_codes[1])
    user_sum, item_sum = np.zeros(n_codes[0]), np.zeros(n_codes[1])
    user_count, item_count = np.zeros(n_codes[0]), np.zeros(n_codes[1])
    for k in range(len(values)):
        user_count[users[k]] += 1.0
        item_count[items[k]] += 1.0
    for _ in range(n_epochs):
        item_sum[:] = 0.0
        for k in range(len(values)):
            item_sum[items[k]] += values[k] - mean - user_bias[users[k]]
        for item in range(len(item_bias)):
            if item_count[item] > 0:
                item_bias[item] = item_sum[item] / (penalties[1] + item_count[item])
        user_sum[:] = 0.0
        for k in range(len(values)):
            user_sum[users[k]] += values[k] - mean - item_bias[items[k]]
        for user in range(len(user_bias)):
            if user_count[user] > 0:
                user_bias[user] = user_sum[user] / (penalties[0] + user_count[user])
    return user_bias, item_bias
