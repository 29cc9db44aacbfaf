"""How similar users, or items, are: the rule, and three ways to have similarities at hand."""

import hashlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from cachetools import LRUCache

from harness.data.ratings import Ratings
from harness.models.cf import kernels
from harness.models.cf.kernels import COSINE, MSD, PEARSON
from harness.models.kernels import group_by_code
from harness.models.rating_lists import RatingLists

__all__ = [
    "SHARED",
    "ArrayCache",
    "Arrays",
    "Measure",
    "NearestSimilarities",
    "Neighborhood",
    "Similarities",
    "SimilaritiesOnDemand",
    "SimilarityPlan",
    "SimilarityRule",
    "digest",
]


Codes = npt.NDArray[np.int32]
Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Neighborhood:
    """What is averaged, and over how many neighbours."""

    # Deviations of the ratings from what was to be expected, one list for each y.
    by_y: RatingLists
    most: int
    fewest: int


class Similarities(ABC):
    """Similarities of the ``x``, users or items, with each other."""

    def average(self, xs: Codes, ys: Codes, around: Neighborhood) -> Doubles:
        """Average the deviations of the neighbours, weighted by similarity."""
        # One x after the other: its similarities are then in the processor's cache.
        _, order = group_by_code(xs, self.n)
        out: Doubles = np.empty(len(xs))
        self._average((xs, ys, order), around, out)
        return out

    def average_row(self, y: int, rated: Codes, around: Neighborhood) -> Doubles:
        """Average for one ``y`` and many ``x``."""
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


Measure = Literal["cosine", "msd", "pearson", "pearson_baseline"]

_KINDS = {
    "cosine": COSINE,
    "msd": MSD,
    "pearson": PEARSON,
    # The correlation around given expectations is the cosine of what is left.
    "pearson_baseline": COSINE,
}


@dataclass(frozen=True, kw_only=True)
class SimilarityRule:
    r"""How two are compared by their common ratings."""

    measure: Measure
    # Fewer common ratings than this count as no similarity.
    min_support: int
    shrinkage: float

    @property
    def kind(self) -> int:
        """The kernels' code of the measure."""
        return _KINDS[self.measure]

    def weights(self, most: int) -> npt.NDArray[np.float64]:
        """Tabulate the factor that a number of common ratings brings.

        Examples
        --------
        >>> rule = SimilarityRule(measure="pearson_baseline", min_support=1, shrinkage=2)
        >>> rule.weights(3).tolist()
        [0.0, 0.0, 0.3333333333333333, 0.5]
        """
        counts = np.arange(most + 1)
        if self.measure != "pearson_baseline":
            return (counts >= max(1, self.min_support)).astype(np.float64)
        weights = np.zeros(most + 1)
        # One common rating always correlates perfectly, and means nothing.
        enough = counts >= max(2, self.min_support)
        surplus = counts[enough] - 1
        weights[enough] = surplus / (surplus + self.shrinkage)
        return weights


Arrays = tuple[npt.NDArray[np.generic], ...]


class ArrayCache:
    """Keeps what was computed, and drops what was not used for the longest time.

    Parameters
    ----------
    max_bytes : int
        Size of all arrays together that is not exceeded; 0 keeps nothing. What does
        not fit alone is computed each time.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._kept: LRUCache[Hashable, Arrays] = LRUCache(max_bytes, getsizeof=_size)
        self._lock = threading.Lock()

    @property
    def n_bytes(self) -> int:
        """Size of all arrays kept."""
        return int(self._kept.currsize)

    def get(self, key: Hashable, compute: Callable[[], Arrays]) -> Arrays:
        """Look up arrays, or compute and keep them."""
        with self._lock:
            if key in self._kept:
                return self._kept[key]
        arrays = compute()
        if _size(arrays) <= self.max_bytes:
            with self._lock:
                self._kept[key] = arrays
        return arrays

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._kept.clear()


def _size(arrays: Arrays) -> int:
    return sum(array.nbytes for array in arrays)


SHARED = ArrayCache(max_bytes=1 << 30)
"""What the trials in one process share: at most 1 GiB."""


@dataclass(frozen=True, slots=True, eq=False)
class AllSimilarities(Similarities):
    """A matrix of all similarities, before weights: rules that differ in them share it."""

    # Similarities, float64, and numbers of common ratings, int32: 12 bytes a pair.
    matrices: tuple[npt.NDArray[Any], ...]
    # Factor for each number of common ratings; the first is 1.
    weights: Doubles

    @classmethod
    def of_matrices(
        cls, matrices: tuple[npt.NDArray[Any], ...], rule: SimilarityRule
    ) -> "AllSimilarities":
        """Weigh matrices as a rule says."""
        weights = rule.weights(int(matrices[1].max(initial=0)))
        weights[0] = 1.0  # of each with itself, where the matrices have 1 and 0
        return cls(matrices, weights)

    @staticmethod
    def compare(
        by_x: RatingLists, rule: SimilarityRule
    ) -> tuple[npt.NDArray[Any], ...]:
        """Compute the two matrices."""
        by_y = by_x.turned(n=_size_of_other_side(by_x))
        matrices: tuple[npt.NDArray[Any], ...] = kernels.all_similarities(
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

    def average_row(self, y: int, rated: Codes, around: Neighborhood) -> Doubles:
        """Average for one ``y`` and many ``x``; see the base class."""
        out: Doubles = np.empty(self.n)
        kernels.average_of_all_row(
            y,
            self.matrices,
            self.weights,
            around.by_y.arrays,
            (around.most, around.fewest),
            out,
        )
        return out[rated]

    def _average(
        self, queries: tuple[Codes, Codes, Codes], around: Neighborhood, out: Doubles
    ) -> None:
        limits = around.most, around.fewest
        kernels.average_of_all(
            queries, self.matrices, self.weights, around.by_y.arrays, limits, out
        )


@dataclass(frozen=True, slots=True, eq=False)
class NearestSimilarities(Similarities):
    """For each ``x`` a list of those that are most similar to it."""

    # Offsets (int64), codes (int32) and similarities (float32): 8 bytes a pair.
    lists: tuple[npt.NDArray[Any], ...]
    # The lists turned round: for each x those that have it in their list.
    columns: tuple[npt.NDArray[Any], ...]

    @classmethod
    def of_lists(cls, lists: tuple[npt.NDArray[Any], ...]) -> "NearestSimilarities":
        """Turn the lists round, and keep both."""
        offsets, codes, similarities = lists
        n = len(offsets) - 1
        owners = np.repeat(np.arange(n, dtype=np.int32), np.diff(offsets))
        starts, order = group_by_code(codes, n)
        return cls(lists, (starts, owners[order], similarities[order]))

    @staticmethod
    def compare(
        by_x: RatingLists, rule: SimilarityRule, *, n_room: int, length: int
    ) -> tuple[npt.NDArray[Any], ...]:
        """Compute the lists."""
        n_y = _size_of_other_side(by_x)
        n_x = len(by_x.offsets) - 1
        n_room = max(n_x, n_room)
        sides = by_x.arrays, by_x.turned(n=n_y).arrays
        measure = rule.kind, rule.weights(n_y)
        lists: tuple[npt.NDArray[Any], ...] = kernels.nearest_similarities(
            *sides, measure, n_x, n_room
        )
        if lists[0][-1] < 0:
            # It runs out of room early, where it does by far: little is lost by trying.
            lists = kernels.nearest_similarities(
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
    """Compares when it is asked: no memory but for the ratings, and more time."""

    # What is compared, as lists of both sides.
    by_x: RatingLists
    by_y: RatingLists
    # Kind of the measure, and the factor for each number of common ratings.
    measure: tuple[int, Doubles]

    @classmethod
    def of_lists(
        cls, by_x: RatingLists, rule: SimilarityRule
    ) -> "SimilaritiesOnDemand":
        """Prepare to compare."""
        n_y = _size_of_other_side(by_x)
        return cls(by_x, by_x.turned(n=n_y), (rule.kind, rule.weights(n_y)))

    @property
    def n(self) -> int:
        """Number of ``x``."""
        return len(self.by_x.offsets) - 1

    def row(self, x: int) -> Doubles:
        """Compute the similarities of one ``x`` with all: float64, shape (n,)."""
        totals = kernels.new_totals(self.n, self.measure[0])
        row: Doubles = np.empty(self.n)
        lists = self.by_x.arrays, self.by_y.arrays
        kernels.fill_row(x, *lists, self.measure, totals, row)
        return row

    def _average(
        self, queries: tuple[Codes, Codes, Codes], around: Neighborhood, out: Doubles
    ) -> None:
        kernels.average_on_demand(
            queries,
            self.by_x.arrays,
            self.by_y.arrays,
            self.measure,
            around.by_y.arrays,
            (around.most, around.fewest),
            out,
        )


def _size_of_other_side(lists: RatingLists) -> int:
    return int(lists.codes.max(initial=-1)) + 1


@dataclass(frozen=True, kw_only=True)
class SimilarityPlan:
    """Limits on the memory that similarities may take."""

    dense_limit: int = 4_000
    list_bytes: int = 256 << 20
    list_length: int = 600
    cache: ArrayCache = SHARED

    def carry_out(
        self,
        rule: SimilarityRule,
        list_by_x: Callable[[], RatingLists],
        *,
        n_x: int,
        user_based: bool,
        key: tuple[object, ...],
    ) -> Similarities:
        """Compare, or find what was compared before."""
        if n_x <= self.dense_limit:
            matrices = self.cache.get(
                # Rules of one measure differ in weights only, and share the matrices.
                (*key, rule.measure),
                lambda: AllSimilarities.compare(list_by_x(), rule),
            )
            return AllSimilarities.of_matrices(matrices, rule)
        if user_based:
            return SimilaritiesOnDemand.of_lists(list_by_x(), rule)
        limits = self.list_bytes // 8, self.list_length
        compare = partial(
            NearestSimilarities.compare, n_room=limits[0], length=limits[1]
        )
        lists = self.cache.get((*key, rule, limits), lambda: compare(list_by_x(), rule))
        return NearestSimilarities.of_lists(lists)


def digest(ratings: Ratings) -> bytes:
    """Hash what similarities depend on; ids, scale and timestamps are not part of it."""
    found = hashlib.sha256(f"{ratings.n_users} {ratings.n_items}".encode())
    for array in (ratings.users, ratings.items, ratings.values):
        found.update(np.ascontiguousarray(array).data)
    return found.digest()
