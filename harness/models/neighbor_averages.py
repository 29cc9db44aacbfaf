"""From similarities to stars: what neighbours say about users and items with ratings."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.models.centering import Expectation
from harness.models.similarity import Neighborhood, Similarities

__all__ = ["NeighborAverages"]

Codes = npt.NDArray[np.int32]
Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NeighborAverages:
    """What was expected, corrected by how far the neighbours deviate from it.

    All users and items it is asked about have ratings.

    Parameters
    ----------
    user_based : bool
        Whether the neighbours are users: then ``x`` is the user and ``y`` the item.
    expectation : Expectation
        What is expected of each pair.
    otherwise : float or None
        Prediction in stars with too few neighbours; None for what is expected.
    around : Neighborhood
        Deviations, and numbers of neighbours.
    similarities : Similarities
        Of the ``x``.
    """

    user_based: bool
    expectation: Expectation
    otherwise: float | None
    around: Neighborhood
    similarities: Similarities

    def estimate(self, users: Codes, items: Codes) -> Doubles:
        """Predict pairs.

        Parameters
        ----------
        users, items : ndarray of int32, shape (n_pairs,)
            Codes.

        Returns
        -------
        ndarray of float64, shape (n_pairs,)
            Predictions in stars, not clipped.
        """
        xs, ys = (users, items) if self.user_based else (items, users)
        return self._in_stars(xs, ys, self.similarities.average(xs, ys, self.around))

    def score_items(self, user: int, items: Codes) -> Doubles:
        """Predict many items for one user, where items are compared.

        Parameters
        ----------
        user : int
            Code.
        items : ndarray of int32, shape (n_items,)
            Codes.

        Returns
        -------
        ndarray of float64, shape (n_items,)
            Predictions in stars, not clipped.
        """
        assert not self.user_based
        average = self.similarities.average_row(user, items, self.around)
        of_user = np.array([user], dtype=np.int32)  # broadcasts: nothing to look up
        return self._in_stars(items, of_user, average)

    def _in_stars(self, xs: Codes, ys: Codes, average: Doubles) -> Doubles:
        expected = self.expectation(xs, ys)
        otherwise = expected if self.otherwise is None else self.otherwise
        estimate = expected + self.expectation.spread[xs] * average
        return np.where(np.isnan(average), otherwise, estimate)

    def neighbors(
        self, user: int, item: int
    ) -> tuple[Codes, Doubles, npt.NDArray[np.float32]]:
        """List the neighbours that a prediction is averaged over, most similar first.

        Parameters
        ----------
        user, item : int
            Codes.

        Returns
        -------
        codes : ndarray of int32, shape (n,)
            Items that the user has rated, or users that have rated the item.
        similarities : ndarray of float64, shape (n,)
            Greater than 0.
        values : ndarray of float32, shape (n,)
            Those ratings, in stars.
        """
        x, y = (user, item) if self.user_based else (item, user)
        by_y = self.around.by_y
        part = slice(*by_y.offsets[y : y + 2])
        similarities = self.similarities.row(x)[by_y.codes[part]]
        nearest = np.argsort(-similarities, kind="stable")[: self.around.most]
        nearest = nearest[similarities[nearest] > 0]
        codes = by_y.codes[part][nearest]
        stars = self._in_stars(
            codes, np.full_like(codes, y), by_y.values[part][nearest]
        )
        return codes, similarities[nearest], stars.astype(np.float32)
