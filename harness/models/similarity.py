"""How similar users, or items, are to each other: the contract."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.models.kernels.grouping import group_by_code
from harness.models.rating_lists import RatingLists

__all__ = [
    "Neighborhood",
    "Similarities",
]

Codes = npt.NDArray[np.int32]
Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Neighborhood:
    """What is averaged, and over how many neighbours.

    Parameters
    ----------
    by_y : RatingLists
        Deviations of the ratings from what was to be expected, one list for each ``y``.
    most, fewest : int
        Number of neighbours.
    """

    by_y: RatingLists
    most: int
    fewest: int


class Similarities(ABC):
    """Similarities of the ``x``, users or items, with each other."""

    def average(self, xs: Codes, ys: Codes, around: Neighborhood) -> Doubles:
        """Average the deviations of the neighbours, weighted by similarity.

        Parameters
        ----------
        xs, ys : ndarray of int32, shape (n_queries,)
            Codes of pairs, all of them with ratings.
        around : Neighborhood
            What is averaged.

        Returns
        -------
        ndarray of float64, shape (n_queries,)
            Deviations; NaN where there are too few neighbours.
        """
        # One x after the other: its similarities are then in the processor's cache.
        _, order = group_by_code(xs, self.n)
        out: Doubles = np.empty(len(xs))
        self._average((xs, ys, order), around, out)
        return out

    def average_row(self, y: int, rated: Codes, around: Neighborhood) -> Doubles:
        """Average for one ``y`` and many ``x``.

        Parameters
        ----------
        y : int
            Code, with ratings.
        rated : ndarray of int32, shape (n_rated,)
            Codes of the ``x`` that have ratings.
        around : Neighborhood
            What is averaged.

        Returns
        -------
        ndarray of float64, shape (n_rated,)
            Deviations; NaN where there are too few neighbours.
        """
        return self.average(rated, np.full(len(rated), y, dtype=np.int32), around)

    @property
    @abstractmethod
    def n(self) -> int:
        """Number of ``x``."""

    @abstractmethod
    def row(self, x: int) -> Doubles:
        """Compute the similarities of one ``x`` with all: float64, shape (n,)."""

    @abstractmethod
    def _average(
        self, queries: tuple[Codes, Codes, Codes], around: Neighborhood, out: Doubles
    ) -> None: ...
