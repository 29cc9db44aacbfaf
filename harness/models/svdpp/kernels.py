"""Compiled loops of SVD++.

Arrays are all float32 or all float64. As in the kernels of svd, dot products may be summed
in any order (``reassoc``).
"""

import numba
import numpy as np

__all__ = ["add_up_implicit", "sgd_epoch"]

_FASTMATH = {"reassoc", "contract", "nsz"}


@numba.njit(nogil=True, cache=True, fastmath=_FASTMATH)
def sgd_epoch(offsets, items, values, mean, biases, factors, rates):
    r"""Pass once over the ratings, user by user, updating everything in place.

    The updates of [1]_, section 5, in the order of scikit-surprise, which moves every
    :math:`y_j` of a user's titles at each rating of the user:

    .. math:: y_j \leftarrow (1 - \gamma\lambda) \, y_j
              + \gamma \, e_{ui} \, q_i / \sqrt{|N_u|}

    Nothing in it but :math:`y_j` itself depends on :math:`j`. So all of them share the
    factor ``decay`` and the vector ``shift`` that have come together so far, and are
    brought up to date once, after the user's last rating. Their sum follows by the same
    rule. This is the same training in exact arithmetic, in time linear in the ratings
    where the literal one is quadratic in those of a user.

    Parameters
    ----------
    offsets : ndarray of int64, shape (n_users + 1,)
        Where each user's ratings begin. A user has each title once.
    items : ndarray of int32, shape (n_ratings,)
        Codes of the titles.
    values : ndarray of float, shape (n_ratings,)
        Ratings in stars.
    mean : float
        The global mean.
    biases : tuple of ndarray of float, shapes (n_users,) and (n_items,)
        Biases of users and items.
    factors : tuple of ndarray of float, shapes (n_users, n_factors) and twice \
(n_items, n_factors)
        Factors :math:`p_u`, :math:`q_i` and :math:`y_j`.
    rates : tuple of float
        Learning rate and regularization of the biases, then of all factors.

    Returns
    -------
    float
        Sum of the squared errors, each before its update; not finite after an overflow.

    References
    ----------
    .. [1] Y. Koren, "Factorization meets the neighborhood: a multifaceted collaborative
       filtering model", KDD 2008.
    """
    user_bias, item_bias = biases
    user_factors, item_factors, implicit_factors = factors
    bias_rate, bias_regularization, rate, regularization = rates
    n_factors = user_factors.shape[1]
    one = values.dtype.type(1)
    keep = one - rate * regularization
    implicit, shift = np.empty_like(user_factors[0]), np.empty_like(user_factors[0])
    total = 0.0
    for user in range(len(user_bias)):
        start, end = offsets[user], offsets[user + 1]
        if start == end:
            continue
        n_rated = end - start
        weight = one / np.sqrt(values.dtype.type(n_rated))
        _add_rows(implicit_factors, items[start:end], weight, implicit)
        shift[:] = 0
        decay = one
        # What one update adds to the weighted sum: n of them, each of weight 1/sqrt(n).
        grown = rate * weight * weight * values.dtype.type(n_rated)
        p = user_factors[user]
        for k in range(start, end):
            q = item_factors[items[k]]
            dot = values.dtype.type(0)
            for f in range(n_factors):
                dot += q[f] * (p[f] + implicit[f])
            error = values[k] - (mean + user_bias[user] + item_bias[items[k]] + dot)
            total += error * error
            user_bias[user] += bias_rate * (
                error - bias_regularization * user_bias[user]
            )
            item_bias[items[k]] += bias_rate * (
                error - bias_regularization * item_bias[items[k]]
            )
            step = rate * error * weight
            for f in range(n_factors):
                pf, qf, yf = p[f], q[f], implicit[f]
                p[f] = pf + rate * (error * qf - regularization * pf)
                q[f] = qf + rate * (error * (pf + yf) - regularization * qf)
                implicit[f] = keep * yf + grown * error * qf
                shift[f] = keep * shift[f] + step * qf
            decay *= keep
        for k in range(start, end):
            y = implicit_factors[items[k]]
            for f in range(n_factors):
                y[f] = decay * y[f] + shift[f]
    return total


@numba.njit(nogil=True, cache=True, fastmath=_FASTMATH)
def _add_rows(rows, chosen, weight, out):
    out[:] = 0
    for item in chosen:
        row = rows[item]
        for f in range(len(out)):
            out[f] += row[f]
    for f in range(len(out)):
        out[f] *= weight


@numba.njit(nogil=True, cache=True, fastmath=_FASTMATH)
def add_up_implicit(offsets, items, implicit_factors, out):
    r"""Write :math:`|N_u|^{-1/2} \sum_{j \in N_u} y_j` of each user to `out`.

    Parameters
    ----------
    offsets, items, implicit_factors
        As in `sgd_epoch`.
    out : ndarray of float, shape (n_users, n_factors)
        Receives the sums; 0 without ratings.
    """
    for user in range(len(out)):
        start, end = offsets[user], offsets[user + 1]
        weight = out.dtype.type(1) / np.sqrt(out.dtype.type(max(1, end - start)))
        _add_rows(implicit_factors, items[start:end], weight, out[user])
