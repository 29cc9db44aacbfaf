"""Sums over the ratings of each user, and their ratios."""

from typing import Any

import numpy as np
import numpy.typing as npt

from harness.data.ratings import Ratings

__all__ = ["ratio", "sum_by_user"]

Doubles = npt.NDArray[np.float64]


def sum_by_user(ratings: Ratings, weights: npt.NDArray[Any] | None = None) -> Doubles:
    """Sum something over the ratings of each user.

    Parameters
    ----------
    ratings : Ratings
        Whose users.
    weights : ndarray, shape (n_ratings,), optional
        What to sum; without it ratings are counted.

    Returns
    -------
    ndarray of float64, shape (n_users,)
        0 for a user without ratings.
    """
    sums = np.bincount(ratings.users, weights, minlength=ratings.n_users)
    return sums.astype(np.float64)


def ratio(sums: Doubles, counts: Doubles) -> Doubles:
    """Divide; NaN where there is nothing to divide by.

    Parameters
    ----------
    sums, counts : ndarray of float64
        Of shapes that broadcast; counts are not negative.

    Returns
    -------
    ndarray of float64
        ``sums / counts``.
    """
    return np.where(counts > 0, sums / np.maximum(counts, 1e-300), np.nan)
