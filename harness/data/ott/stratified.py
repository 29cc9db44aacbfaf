"""Chance that is spread evenly, so that all seeds give nearly the same statistics."""

from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["deal", "normal_scores", "spread"]


STRATUM = 20


def deal(
    shares: npt.NDArray[np.float64], places: npt.NDArray[np.float64]
) -> npt.NDArray[np.int64]:
    """Deal out positions in given shares.

    Examples
    --------
    >>> deal(np.array([3.0, 0.0, 1.0]), np.array([0.1, 0.7, 0.8])).tolist()
    [0, 0, 2]
    """
    upper = np.cumsum(shares)[:-1] / shares.sum()
    return np.searchsorted(upper, places, side="right")


def spread(rng: np.random.Generator, key: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Draw uniform numbers, evenly among rows that are neighbours by a key.

    Of each 20 rows that follow each other in the order of the key, one gets a number
    below 1/20, one below 2/20, and so on (stratified sampling). Otherwise a handful of
    heavy raters or popular titles would decide the statistics of all.
    """
    n_strata = -(-len(key) // STRATUM)
    strata = np.tile(np.arange(STRATUM), (n_strata, 1))
    places = rng.permuted(strata, axis=1).ravel()[: len(key)] + rng.random(len(key))
    numbers = np.empty(len(key))
    numbers[np.argsort(key, kind="stable")] = places / STRATUM
    return numbers


def normal_scores(probabilities: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Look up quantiles of the standard normal distribution."""
    quantile = NormalDist().inv_cdf  # SciPy would cost a tenth of a second to import
    return np.array([quantile(p) for p in probabilities.clip(1e-9, 1 - 1e-9).tolist()])
