"""Groups of ratings that depend on each other."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.data.ratings import distinct

__all__ = ["Clusters", "Groups"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Clusters:
    r"""Groups of ratings that depend on each other: those of one user, or of one title.

    Parameters
    ----------
    codes : ndarray of int, shape (n_ratings,)
        Group of each rating, counted from 0.
    sizes : ndarray of float64, shape (n_clusters,)
        Number of ratings of each group, or the sum of their weights.
    """

    codes: npt.NDArray[np.intp]
    sizes: Floats

    @classmethod
    def of(cls, ids: npt.NDArray[Any]) -> "Clusters":
        """Give each group a number.

        Parameters
        ----------
        ids : ndarray, shape (n_ratings,)
            Ids of users or titles, of any sortable type.

        Returns
        -------
        Clusters
            In the order of the ids.
        """
        if _are_codes(ids):
            # Counted instead of sorted: a tenth of the time.
            counts = np.bincount(ids)
            number = np.cumsum(counts > 0) - 1
            return cls(number[ids], counts[counts > 0].astype(np.float64))
        present, codes = np.unique(ids, return_inverse=True)
        return cls(codes, np.bincount(codes, minlength=len(present)).astype(np.float64))

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def n_effective(self) -> float:
        """Number of equally large groups that would tell as much (Kish)."""
        return float(self.sizes.sum() ** 2 / (self.sizes**2).sum())

    @property
    def degrees_of_freedom(self) -> float:
        """Effective number of groups minus one; at least 1."""
        return max(1.0, self.n_effective - 1)

    @property
    def correction(self) -> float:
        r"""Factor by which a sum of squared group sums is too small.

        Residuals are measured from the sample's own mean, to which large groups
        contribute most. With weights :math:`w_g = n_g / n` and independent group means of
        equal variance, the expected sum of squares is too small by the factor
        :math:`1 - 2 \sum w_g^3 / \sum w_g^2 + \sum w_g^2`: :math:`1 - 1/G` for G groups of
        equal size.
        """
        weights = self.sizes / self.sizes.sum()
        squares = float((weights**2).sum())
        kept = 1 - 2 * float((weights**3).sum()) / squares + squares
        return 1 / kept if kept > 0 else np.inf

    def sums(self, column: Floats) -> Floats:
        """Add up a column within groups.

        Parameters
        ----------
        column : ndarray of float64, shape (n_ratings,)
            One number for each rating.

        Returns
        -------
        ndarray of float64, shape (n_clusters,)
            The sums.
        """
        totals = np.bincount(self.codes, weights=column, minlength=len(self))
        return totals.astype(np.float64, copy=False)


def _are_codes(ids: npt.NDArray[Any]) -> bool:
    """Say whether ids are whole numbers from 0 on, not many more than there are ids."""
    if not len(ids) or not np.issubdtype(ids.dtype, np.integer):
        return False
    return bool(ids.min() >= 0 and ids.max() <= len(ids))


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """What the ratings share.

    Parameters
    ----------
    users : Clusters
        Ratings of one user.
    titles : Clusters or None
        Ratings of one title; None to count dependence within users only.
    pairs : Clusters or None
        Ratings of one title by one user; None where there is one of each.
    """

    users: Clusters
    titles: Clusters | None
    pairs: Clusters | None

    @classmethod
    def of(cls, users: npt.NDArray[Any], titles: npt.NDArray[Any] | None) -> "Groups":
        """Group ratings.

        Parameters
        ----------
        users : ndarray, shape (n_ratings,)
            Ids or codes of users.
        titles : ndarray or None, shape (n_ratings,)
            Ids or codes of titles. Of a single one nothing can be learnt about others:
            it is not counted.

        Returns
        -------
        Groups
            By user, by title and by both.
        """
        by_user = Clusters.of(users)
        by_title = None if titles is None else Clusters.of(titles)
        if by_title is None or len(by_title) < 2:
            return cls(by_user, None, None)
        both = by_user.codes.astype(np.int64) * len(by_title) + by_title.codes
        repeated = len(distinct(both)) < len(both)
        return cls(by_user, by_title, Clusters.of(both) if repeated else None)

    def weighted(self, weights: Floats) -> "Groups":
        """Weigh the ratings.

        Parameters
        ----------
        weights : ndarray of float64, shape (n_ratings,)
            How much each rating counts in a score.

        Returns
        -------
        Groups
            The same groups, of other sizes.
        """

        def weigh(clusters: Clusters) -> Clusters:
            return Clusters(clusters.codes, clusters.sums(weights))

        titles = None if self.titles is None else weigh(self.titles)
        return replace(self, users=weigh(self.users), titles=titles)
