"""Slope One by scikit-surprise: mean differences between titles."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from harness.data.ratings import Ratings, distinct
from harness.errors import DataError
from harness.models.base import Codes, Growth
from harness.models.explanation import Explanation, Neighbor, Part
from harness.models.slope_one.kernels import add_up_differences
from harness.models.surprise.reference import ReferenceRecommender

__all__ = ["SlopeOne"]


MOST_ITEMS = 10_000
"""Training takes 16 bytes for each two titles: 1.6 GB."""


@dataclass(kw_only=True)
class SlopeOne(ReferenceRecommender):
    r"""The user's mean, plus how much more others liked the title than those rated [1]_.

    .. math:: \hat r_{ui} = \bar r_u + \frac{1}{|R_i(u)|} \sum_{j \in R_i(u)}
              \text{dev}(i, j)

    where :math:`\text{dev}(i, j)` is the mean of :math:`r_{vi} - r_{vj}` over the users
    of both titles, and :math:`R_i(u)` are the titles rated by the user that have a user
    in common with :math:`i`.

    It has nothing to tune. Memory grows with the square of the number of rated titles,
    of which 10,000 are the most.

    Attributes
    ----------
    user_mean_ : ndarray of float64, shape (n_users,)
        :math:`\bar r_u` in stars; 0 without ratings.
    difference_ : ndarray of float32, shape (n_rated_items, n_rated_items)
        :math:`\text{dev}` in stars.
    common_ : ndarray of bool, same shape
        Whether two titles have a user in common.
    position_ : ndarray of int64, shape (n_items,)
        Row of each title in these; -1 without ratings.
    values_ : ndarray of float32, shape (n_ratings,)
        The training ratings, which only an explanation looks at.

    References
    ----------
    .. [1] D. Lemire and A. Maclachlan, "Slope one predictors for online rating-based
       collaborative filtering", SDM 2005.
    """

    name: ClassVar[str] = "slope_one"

    user_mean_: npt.NDArray[np.float64] = field(init=False, repr=False)
    difference_: npt.NDArray[np.float32] = field(init=False, repr=False)
    common_: npt.NDArray[np.bool_] = field(init=False, repr=False)
    position_: npt.NDArray[np.int64] = field(init=False, repr=False)
    values_: npt.NDArray[np.float32] = field(init=False, repr=False)

    def growth(self, ratings: Ratings) -> Growth:
        """Say what time and memory grow with: pairs of ratings, and of titles."""
        of_users = np.bincount(ratings.users).astype(np.float64)
        n_rated = len(distinct(ratings.items))
        return Growth(time=float(np.square(of_users).sum()), memory=float(n_rated) ** 2)

    def _learn(self, ratings: Ratings) -> None:
        from harness.models.surprise.engine import fit_reference_slope_one

        n_rated = int(self.rated_item_.sum())
        if n_rated > MOST_ITEMS:
            raise DataError(
                f"slope_one compares each title with each other, which takes too much "
                f"memory for more than {MOST_ITEMS:,} rated titles, but there are "
                f"{n_rated:,}; choose cf instead."
            )
        self.difference_, self.common_, items = fit_reference_slope_one(ratings)
        self.position_ = np.full(ratings.n_items, -1)
        self.position_[items] = np.arange(len(items))
        counts = np.bincount(ratings.users, minlength=ratings.n_users)
        sums = np.bincount(ratings.users, ratings.values, minlength=ratings.n_users)
        self.user_mean_ = sums / np.maximum(1, counts)
        self.values_ = ratings.values

    def _estimate(self, users: Codes, items: Codes) -> npt.NDArray[Any]:
        out = np.empty(len(users))
        order = np.argsort(users, kind="stable")
        starts = np.flatnonzero(np.diff(users[order], prepend=-1))
        for pairs in np.split(order, starts[1:]):
            scores = self._score_rated(int(users[pairs[0]]))
            out[pairs] = scores[self.position_[items[pairs]]]
        return out

    def _estimate_all(self, user: int) -> npt.NDArray[np.float64]:
        return self._score_rated(user)[self.position_]

    def _score_rated(self, user: int) -> npt.NDArray[np.float64]:
        """Score all rated titles for one user."""
        rows = self.position_[self.seen(user)]
        n = len(self.difference_)
        sums, n_common = np.empty(n), np.empty(n, dtype=np.int32)
        add_up_differences(rows, self.difference_, self.common_, sums, n_common)
        scores: npt.NDArray[np.float64] = self.user_mean_[user] + sums / np.maximum(
            1, n_common
        )
        return scores

    def _take_apart(self, user: int, item: int) -> Explanation:
        rated = self.seen(user)
        rows, row = self.position_[rated], self.position_[item]
        compared = np.flatnonzero(self.common_[rows, row])
        each = -self.difference_[rows[compared], row] / max(1, len(compared))
        own = self.values_[slice(*self._seen_offsets_[user : user + 2])]
        strongest = compared[np.argsort(-np.abs(each), kind="stable")]
        mean = Part(
            label="mean of the user",
            stars=float(self.user_mean_[user]),
            role="level",
        )
        part = Part(
            label="differences",
            stars=float(each.sum(dtype=np.float64)),
            detail=f"mean of those to {len(compared)} titles that the user has rated",
        )
        stars = dict(zip(compared.tolist(), each.tolist(), strict=True))
        neighbors = tuple(
            Neighbor(code=int(rated[k]), rating=float(own[k]), stars=stars[k])
            for k in strongest.tolist()
        )
        return Explanation(parts=(mean, part), neighbors=neighbors)
