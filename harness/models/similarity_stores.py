"""Three ways to have similarities at hand.

`AllSimilarities` is a matrix of them all, for a few thousand; `NearestSimilarities` keeps
the most similar of each, for tens of thousands; `SimilaritiesOnDemand` keeps none, and
compares when it is asked. They give the same answers, up to what the second leaves out.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.models.kernels import neighbors as kernels
from harness.models.kernels import similarity as comparing
from harness.models.kernels.grouping import group_by_code
from harness.models.rating_lists import RatingLists
from harness.models.similarity import Neighborhood, Similarities
from harness.models.similarity_rule import SimilarityRule

__all__ = ["AllSimilarities", "NearestSimilarities", "SimilaritiesOnDemand"]

Codes = npt.NDArray[np.int32]
Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class AllSimilarities(Similarities):
    """A matrix of all similarities, before weights: rules that differ in them share it.

    Parameters
    ----------
    matrices : tuple of ndarray, shape (n, n)
        Similarities, float64, and numbers of common ratings, int32: 12 bytes a pair.
    weights : ndarray of float64, shape (n_most + 1,)
        Factor for each number of common ratings; the first is 1.
    """

    matrices: tuple[npt.NDArray[Any], ...]
    weights: Doubles

    @classmethod
    def of_matrices(
        cls, matrices: tuple[npt.NDArray[Any], ...], rule: SimilarityRule
    ) -> "AllSimilarities":
        """Weigh matrices as a rule says.

        Parameters
        ----------
        matrices : tuple of ndarray, shape (n, n)
            Of `compare`; not copied.
        rule : SimilarityRule
            How.

        Returns
        -------
        AllSimilarities
            Ready to be averaged over.
        """
        weights = rule.weights(int(matrices[1].max(initial=0)))
        weights[0] = 1.0  # of each with itself, where the matrices have 1 and 0
        return cls(matrices, weights)

    @staticmethod
    def compare(
        by_x: RatingLists, rule: SimilarityRule
    ) -> tuple[npt.NDArray[Any], ...]:
        """Compute the two matrices.

        Parameters
        ----------
        by_x : RatingLists
            What is compared, one list for each ``x``, in ascending order.
        rule : SimilarityRule
            Only its measure matters.

        Returns
        -------
        tuple of ndarray, shape (n, n)
            Similarities, and numbers of common ratings.
        """
        by_y = by_x.turned(n=_size_of_other_side(by_x))
        matrices: tuple[npt.NDArray[Any], ...] = comparing.all_similarities(
            by_x.arrays, by_y.arrays, rule.kind
        )
        return matrices

    @property
    def n(self) -> int:
        """Number of ``x``."""
        return len(self.matrices[0])

    def row(self, x: int) -> Doubles:
        """Compute the similarities of one ``x`` with all: float64, shape (n,)."""
        row: Doubles = self.matrices[0][x] * self.weights[self.matrices[1][x]]
        return row

    def _average(
        self, queries: tuple[Codes, Codes, Codes], around: Neighborhood, out: Doubles
    ) -> None:
        limits = around.most, around.fewest
        kernels.average_of_all(
            queries, self.matrices, self.weights, around.by_y.arrays, limits, out
        )


@dataclass(frozen=True, slots=True, eq=False)
class NearestSimilarities(Similarities):
    """For each ``x`` a list of those that are most similar to it.

    Parameters
    ----------
    lists : tuple of ndarray
        Offsets (int64), codes (int32) and similarities (float32): 8 bytes a pair.
    columns : tuple of ndarray
        The lists turned round: for each ``x`` those that have it in their list.
    """

    lists: tuple[npt.NDArray[Any], ...]
    columns: tuple[npt.NDArray[Any], ...]

    @classmethod
    def of_lists(cls, lists: tuple[npt.NDArray[Any], ...]) -> "NearestSimilarities":
        """Turn the lists round, and keep both.

        Parameters
        ----------
        lists : tuple of ndarray
            Offsets, codes and similarities.

        Returns
        -------
        NearestSimilarities
            Twice the size of the lists.
        """
        offsets, codes, similarities = lists
        n = len(offsets) - 1
        owners = np.repeat(np.arange(n, dtype=np.int32), np.diff(offsets))
        starts, order = group_by_code(codes, n)
        return cls(lists, (starts, owners[order], similarities[order]))

    @staticmethod
    def compare(
        by_x: RatingLists, rule: SimilarityRule, *, n_room: int, length: int
    ) -> tuple[npt.NDArray[Any], ...]:
        """Compute the lists.

        Parameters
        ----------
        by_x : RatingLists
            What is compared, one list for each ``x``, in ascending order.
        rule : SimilarityRule
            How.
        n_room : int
            How many pairs all lists together may keep, at 8 bytes each; not less than one
            for each ``x``.
        length : int
            If the pairs with a similarity above 0 are more: most that a list may keep.

        Returns
        -------
        tuple of ndarray
            Offsets (int64), codes (int32) and similarities (float32).
        """
        n_y = _size_of_other_side(by_x)
        n_x = len(by_x.offsets) - 1
        n_room = max(n_x, n_room)
        sides = by_x.arrays, by_x.turned(n=n_y).arrays
        measure = rule.kind, rule.weights(n_y)
        lists: tuple[npt.NDArray[Any], ...] = comparing.nearest_similarities(
            *sides, measure, n_x, n_room
        )
        if lists[0][-1] < 0:
            # It runs out of room early, where it does by far: little is lost by trying.
            lists = comparing.nearest_similarities(
                *sides, measure, min(length, n_room // n_x), n_room
            )
        return lists

    @property
    def n(self) -> int:
        """Number of ``x``."""
        return len(self.lists[0]) - 1

    def row(self, x: int) -> Doubles:
        """Look up the similarities of one ``x`` with all: float64, shape (n,)."""
        part = slice(*self.lists[0][x : x + 2])
        row = np.zeros(self.n)
        row[self.lists[1][part]] = self.lists[2][part]
        return row

    def average_row(self, y: int, rated: Codes, around: Neighborhood) -> Doubles:
        """Average for one ``y`` and many ``x``; see the base class."""
        out: Doubles = np.empty(self.n)
        limits = around.most, around.fewest
        kernels.average_listed_row(y, self.columns, around.by_y.arrays, limits, out)
        return out[rated]

    def _average(
        self, queries: tuple[Codes, Codes, Codes], around: Neighborhood, out: Doubles
    ) -> None:
        limits = around.most, around.fewest
        kernels.average_listed(queries, self.lists, around.by_y.arrays, limits, out)


@dataclass(frozen=True, slots=True, eq=False)
class SimilaritiesOnDemand(Similarities):
    """Compares when it is asked: no memory but for the ratings, and more time.

    Parameters
    ----------
    by_x, by_y : RatingLists
        What is compared, as lists of both sides.
    rule : SimilarityRule
        How.
    """

    by_x: RatingLists
    by_y: RatingLists
    rule: SimilarityRule

    @classmethod
    def of_lists(
        cls, by_x: RatingLists, rule: SimilarityRule
    ) -> "SimilaritiesOnDemand":
        """Prepare to compare.

        Parameters
        ----------
        by_x : RatingLists
            What is compared, one list for each ``x``, in ascending order.
        rule : SimilarityRule
            How.

        Returns
        -------
        SimilaritiesOnDemand
            Ready to be averaged over.
        """
        return cls(by_x, by_x.turned(n=_size_of_other_side(by_x)), rule)

    @property
    def n(self) -> int:
        """Number of ``x``."""
        return len(self.by_x.offsets) - 1

    def row(self, x: int) -> Doubles:
        """Compute the similarities of one ``x`` with all: float64, shape (n,)."""
        totals = comparing.new_totals(self.n, self.rule.kind)
        by_x, by_y = self.by_x.arrays, self.by_y.arrays
        comparing.add_up_row(x, by_x, by_y, by_y[0][:-1], totals)
        row: Doubles = np.empty(self.n)
        comparing.fill_row(x, totals, self.rule.kind, self._weights(), row)
        return row

    def _weights(self) -> Doubles:
        return self.rule.weights(len(self.by_y.offsets) - 1)

    def _average(
        self, queries: tuple[Codes, Codes, Codes], around: Neighborhood, out: Doubles
    ) -> None:
        kernels.average_on_demand(
            queries,
            self.by_x.arrays,
            self.by_y.arrays,
            (self.rule.kind, self._weights()),
            around.by_y.arrays,
            (around.most, around.fewest),
            out,
        )


def _size_of_other_side(lists: RatingLists) -> int:
    return int(lists.codes.max(initial=-1)) + 1
