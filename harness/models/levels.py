"""Levels of ratings, and how probable each of them is where scores are normal."""

from typing import Any

import numpy as np
import numpy.typing as npt

from harness.data.ratings import Ratings

__all__ = ["MOST_LEVELS", "find_levels", "level_probabilities"]

MOST_LEVELS = 20
"""More different ratings than these are no stars but a measurement."""


def find_levels(ratings: Ratings) -> npt.NDArray[np.float64]:
    """List the different ratings.

    Parameters
    ----------
    ratings : Ratings
        What is learnt from.

    Returns
    -------
    ndarray of float64, shape (n_levels,)
        In stars, in ascending order; empty if they are more than 20: a measurement.
    """
    # As stars they are found in a few passes, where sorting millions would take seconds.
    found, rest = list[float](), ratings.values
    while len(rest) and len(found) <= MOST_LEVELS:
        found.append(float(rest[0]))
        rest = rest[rest != rest[0]]
    return np.sort(found) if len(found) <= MOST_LEVELS else np.empty(0)


def level_probabilities(
    scores: npt.NDArray[Any], cutpoints: npt.NDArray[np.float64], deviation: float
) -> npt.NDArray[np.float64]:
    """Say how probably a normal score lies below the first cutpoint, between two, above all.

    Parameters
    ----------
    scores : ndarray of float, shape (n_pairs,)
        Its means.
    cutpoints : ndarray of float64, shape (n_levels - 1,)
        In ascending order.
    deviation : float
        Its standard deviation, the same for all.

    Returns
    -------
    ndarray of float64, shape (n_pairs, n_levels)
        Rows add up to 1.

    Examples
    --------
    >>> level_probabilities(np.array([3.0]), np.array([2.0, 4.0]), 1.0).round(4).tolist()
    [[0.1587, 0.6827, 0.1587]]
    """
    from scipy.special import ndtr

    below = ndtr((cutpoints - scores[:, None]) / max(deviation, 1e-9))
    ends = np.zeros((len(scores), 1)), np.ones((len(scores), 1))
    found: npt.NDArray[np.float64] = np.diff(np.hstack([ends[0], below, ends[1]]))
    return found
