"""Compiled loops of biased matrix factorisation.

Arrays are all float32 or all float64. The dot products may be summed in any order
(``reassoc``), which lets the compiler use vector instructions: 5 to 10 times faster,
at differences of a few units in the last place.
"""

import numba

__all__ = ["predict_pairs", "sgd_epoch"]


_FASTMATH = {"reassoc", "contract", "nsz"}


@numba.njit(nogil=True, cache=True, fastmath=_FASTMATH)
def sgd_epoch(users, items, values, mean, biases, factors, rates, biased):
    """Pass once over the ratings, updating biases and factors in place.

    The update of [1]_, equations 5 and 7, in the order of scikit-surprise.

    References
    ----------
    .. [1] Y. Koren, R. Bell and C. Volinsky, "Matrix factorization techniques for
       recommender systems", Computer 42(8), 2009.
    """
    user_bias, item_bias = biases
    user_factors, item_factors = factors
    bias_rate, bias_regularization, rate, regularization = rates
    n_factors = user_factors.shape[1]
    for k in range(len(values)):
        user, item = users[k], items[k]
        p, q = user_factors[user], item_factors[item]
        dot = values.dtype.type(0)
        for f in range(n_factors):
            dot += p[f] * q[f]
        error = values[k] - (mean + user_bias[user] + item_bias[item] + dot)
        if biased:
            user_bias[user] += bias_rate * (
                error - bias_regularization * user_bias[user]
            )
            item_bias[item] += bias_rate * (
                error - bias_regularization * item_bias[item]
            )
        for f in range(n_factors):
            pf, qf = p[f], q[f]
            p[f] = pf + rate * (error * qf - regularization * pf)
            q[f] = qf + rate * (error * pf - regularization * qf)


@numba.njit(nogil=True, cache=True, fastmath=_FASTMATH)
def predict_pairs(users, items, mean, biases, factors, out):
    """Write mean, biases and the product of the factors of each pair to `out`."""
    user_bias, item_bias = biases
    user_factors, item_factors = factors
    for k in range(len(users)):
        user, item = users[k], items[k]
        known_user = 0 <= user < len(user_bias)
        known_item = 0 <= item < len(item_bias)
        value = out.dtype.type(mean)
        if known_user:
            value += user_bias[user]
        if known_item:
            value += item_bias[item]
        if known_user and known_item:
            p, q = user_factors[user], item_factors[item]
            for f in range(user_factors.shape[1]):
                value += p[f] * q[f]
        out[k] = value
