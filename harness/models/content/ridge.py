"""Ridge regressions on title features: for all users together, and for each of them."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from harness.data.ratings import Ratings
from harness.models.baseline.model import Biases, fit_biases

__all__ = [
    "apply_user_weights",
    "fit_effects",
    "fit_plain_regression",
    "fit_user_weights",
]


Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]
Codes = npt.NDArray[np.int32]

_ROUNDS = 3
"""Of biases and regression in turn; the RMSE does not change after the second."""
_BIAS_EPOCHS = 5
_PAIRS_AT_ONCE = 1 << 16


def fit_effects(
    ratings: Ratings,
    features: Floats,
    *,
    penalties: tuple[float, float],
    prior_regularization: float,
) -> tuple[Biases, Doubles]:
    r"""Fit user and title biases, the latter drawn towards what features predict.

    .. math:: b_i = \underbrace{x_i^\top v}_{p_i} +
              \frac{\sum_u (r_{ui} - \mu - b_u - p_i)}{\lambda_i + n_i}

    in place of the bias model's 0: a title without ratings has the bias that its features
    predict, and one with many its own. Regression (with an intercept, which the global
    mean takes in) and biases are fitted in turn.
    """
    counts = np.bincount(ratings.items, minlength=ratings.n_items)
    # The mean of n ratings is that much surer of a title's bias than a single one.
    trust = counts / np.maximum(counts + penalties[1], 1.0)
    predicted = np.zeros(ratings.n_items)
    rows = features.astype(np.float64)
    if not features.shape[1]:
        return _biases_around(ratings, predicted, penalties), predicted
    for _ in range(_ROUNDS):
        biases = _biases_around(ratings, predicted, penalties)
        left = ratings.values - biases.mean - biases.users[ratings.users]
        sums = np.bincount(ratings.items, weights=left, minlength=ratings.n_items)
        _, weights = _weighted_ridge(
            rows, sums / np.maximum(counts, 1), trust, prior_regularization
        )
        predicted = rows @ weights
    biases = _biases_around(ratings, predicted, penalties)
    return replace(biases, items=biases.items + predicted), predicted


def _biases_around(
    ratings: Ratings, predicted: Doubles, penalties: tuple[float, float]
) -> Biases:
    left = ratings.values - predicted[ratings.items]
    return fit_biases(
        replace(ratings, values=left.astype(np.float32)),
        user_regularization=penalties[0],
        item_regularization=penalties[1],
        n_epochs=_BIAS_EPOCHS,
    )


def _weighted_ridge(
    rows: Doubles, targets: Doubles, trust: Doubles, penalty: float
) -> tuple[float, Doubles]:
    """Solve a ridge regression with weights and an unpenalised level."""
    total = max(float(trust.sum()), np.finfo(float).tiny)
    centre, level = trust @ rows / total, float(trust @ targets) / total
    centred = rows - centre
    gram = (centred * trust[:, None]).T @ centred
    gram.flat[:: len(gram) + 1] += penalty
    sides = centred.T @ (trust * (targets - level))
    weights = np.asarray(np.linalg.solve(gram, sides), dtype=np.float64)
    return level - float(centre @ weights), weights


def fit_plain_regression(
    ratings: Ratings, features: Floats, *, regularization: float
) -> tuple[float, Doubles]:
    r"""Regress ratings on title features, alike for all users.

    .. math:: \hat r_{ui} = v_0 + x_i^\top v
    """
    counts = np.bincount(ratings.items, minlength=ratings.n_items).astype(np.float64)
    left = ratings.values.astype(np.float64) - ratings.mean
    sums = np.bincount(ratings.items, weights=left, minlength=ratings.n_items)
    rows = features.astype(np.float64)
    if not features.shape[1]:
        return ratings.mean, np.zeros(0)
    level, weights = _weighted_ridge(
        rows, sums / np.maximum(counts, 1), counts, regularization
    )
    return ratings.mean + level, weights


def fit_user_weights(
    ratings: Ratings, residuals: Doubles, features: Floats, *, regularization: float
) -> Floats:
    r"""Fit one ridge regression for each user, in closed form.

    .. math:: w_u = (X_u^\top X_u + \lambda I)^{-1} X_u^\top e_u
                  = X_u^\top (X_u X_u^\top + \lambda I)^{-1} e_u

    whichever system is smaller: features by features, or titles by titles. It is the
    posterior mean when all users share the prior :math:`w_u \sim N(0, I \sigma^2/\lambda)`
    around what `fit_effects` predicts for everybody [1]_.

    References
    ----------
    .. [1] Y. Zhang and J. Koren, "Efficient Bayesian hierarchical user modeling for
       recommendation systems", SIGIR 2007, section 3.
    """
    n_features = features.shape[1]
    rows = features.astype(np.float64)
    offsets = np.searchsorted(ratings.users, np.arange(ratings.n_users + 1))
    learnt = np.zeros((ratings.n_users, n_features), dtype=np.float32)
    if not n_features:
        return learnt
    for user in np.flatnonzero(np.diff(offsets)):
        part = slice(offsets[user], offsets[user + 1])
        own, left = rows[ratings.items[part]], residuals[part]
        if len(own) < n_features:
            gram = own @ own.T
            gram.flat[:: len(gram) + 1] += regularization
            learnt[user] = own.T @ np.linalg.solve(gram, left)
        else:
            gram = own.T @ own
            gram.flat[:: len(gram) + 1] += regularization
            learnt[user] = np.linalg.solve(gram, own.T @ left)
    return learnt


def apply_user_weights(
    users: Codes, items: Codes, weights: Floats, features: Floats
) -> Doubles:
    r"""Multiply the features of titles by the weights of users."""
    taste = np.empty(len(users))
    # In pieces: the rows of a million pairs would fill a gigabyte.
    for first in range(0, len(users), _PAIRS_AT_ONCE):
        part = slice(first, first + _PAIRS_AT_ONCE)
        rows, own = features[items[part]], weights[users[part]]
        taste[part] = np.einsum("pf,pf->p", rows, own)
    return taste
