"""What a neighbourhood model expects before it looks at neighbours."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from harness.models.rating_lists import RatingLists

__all__ = ["CENTERINGS", "Centering", "Expectation", "expect"]

Centering = Literal["basic", "mean", "zscore", "baseline"]
CENTERINGS: tuple[str, ...] = get_args(Centering)
Doubles = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int32]

_TINY = 1e-9
"""A spread in stars below this is the rounding of equal ratings."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Expectation:
    """Expected rating of each pair, and the unit in which deviations are averaged.

    Parameters
    ----------
    level : float
        Expected of all pairs alike, in stars.
    of_x, of_y : ndarray of float64, shapes (n_x,) and (n_y,)
        Expected of each ``x`` and each ``y`` besides, in stars.
    spread : ndarray of float64, shape (n_x,)
        Unit of the deviations of each ``x``, in stars; greater than 0.
    """

    level: float
    of_x: Doubles
    of_y: Doubles
    spread: Doubles

    def __call__(self, xs: Codes, ys: Codes) -> Doubles:
        """Add up what is expected of pairs: float64, shape (n_pairs,), in stars."""
        # In the order of scikit-surprise, so that equal deviations have equal bits.
        return self.level + self.of_y[ys] + self.of_x[xs]

    def deviations(self, by_y: RatingLists) -> RatingLists:
        """Subtract what was expected, and divide by the spread.

        Parameters
        ----------
        by_y : RatingLists
            Ratings in stars, one list for each ``y``.

        Returns
        -------
        RatingLists
            The same lists of deviations.
        """
        values = by_y.values - self(by_y.codes, by_y.owners)
        values /= self.spread[by_y.codes]
        return RatingLists(by_y.offsets, by_y.codes, values)


def expect(
    centering: Centering, by_y: RatingLists, biases: tuple[float, Doubles, Doubles]
) -> Expectation:
    """Work out what is expected.

    Parameters
    ----------
    centering : {"basic", "mean", "zscore", "baseline"}
        Nothing; the mean of each ``x``; the same, with its standard deviation as unit;
        mean and biases.
    by_y : RatingLists
        Ratings in stars, one list for each ``y``.
    biases : tuple of float, ndarray and ndarray
        Global mean, biases of each ``x`` and of each ``y``, in stars.

    Returns
    -------
    Expectation
        For all codes; those without ratings get the global mean where means are asked.
    """
    level, of_x, of_y = biases
    ones = np.ones(len(of_x))
    if centering == "baseline":
        return Expectation(level=level, of_x=of_x, of_y=of_y, spread=ones)
    nothing = np.zeros(len(of_y))
    if centering == "basic":
        return Expectation(level=0.0, of_x=0.0 * of_x, of_y=nothing, spread=ones)
    n = np.bincount(by_y.codes, minlength=len(of_x))
    sums = np.bincount(by_y.codes, weights=by_y.values, minlength=len(of_x))
    means = np.where(n > 0, sums / np.maximum(n, 1), level)
    spread = ones
    if centering == "zscore":
        squares = (by_y.values - means[by_y.codes]) ** 2
        own = np.bincount(by_y.codes, weights=squares, minlength=len(of_x))
        spread = np.sqrt(own / np.maximum(n, 1))
        overall = float(by_y.values.std()) if len(by_y.values) else 0.0
        spread[spread < _TINY] = overall if overall > _TINY else 1.0
    return Expectation(level=0.0, of_x=means, of_y=nothing, spread=spread)
