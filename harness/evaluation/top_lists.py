"""What a model recommends to many users."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.data.ratings import Ratings
from harness.models.base import Recommender

__all__ = ["TopLists", "recommend_to"]

NOTHING = -1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TopLists:
    """One list of titles for each user.

    Parameters
    ----------
    users : ndarray of int32, shape (n_users,)
        Codes of the users.
    items : ndarray of int32, shape (n_users, n)
        Codes of the titles, best first; -1 after the end of a list that is shorter.
    n_items : int
        How many titles there are to recommend.
    """

    users: npt.NDArray[np.int32]
    items: npt.NDArray[np.int32]
    n_items: int

    @property
    def filled(self) -> npt.NDArray[np.bool_]:
        """Where there is a title: bool, shape (n_users, n)."""
        filled: npt.NDArray[np.bool_] = self.items != NOTHING
        return filled

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Number of titles in each list: int64, shape (n_users,)."""
        lengths: npt.NDArray[np.int64] = self.filled.sum(axis=1)
        return lengths

    def places(self, of_items: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """Give each pair of user and title a number that grows with the user first.

        Parameters
        ----------
        of_items : ndarray of int, shape (n_items,)
            What titles are ordered by within a user: their code, or a rank.

        Returns
        -------
        ndarray of int64, shape (n_users, n)
            ``user * n_items + of_items[item]``; -1 where there is no title.
        """
        # Wide integers: users times titles exceed 32 bits.
        numbers = self.users[:, None].astype(np.int64) * self.n_items
        return np.where(self.filled, numbers + of_items[self.items], NOTHING)

    def found_in(self, ratings: Ratings) -> npt.NDArray[np.bool_]:
        """Tell which recommendations are among some ratings.

        Parameters
        ----------
        ratings : Ratings
            Pairs to look for, with the same codes.

        Returns
        -------
        ndarray of bool, shape (n_users, n)
            True where the user has rated the title there.
        """
        pairs = ratings.users.astype(np.int64) * self.n_items + ratings.items
        return np.isin(self.places(np.arange(self.n_items)), pairs)


def recommend_to(model: Recommender, users: Iterable[int], n: int) -> TopLists:
    """Let a model recommend titles that users have not seen in the training part.

    Parameters
    ----------
    model : Recommender
        Fitted.
    users : iterable of int
        Codes of the users.
    n : int
        How many titles each.

    Returns
    -------
    TopLists
        In the order of `users`.
    """
    codes = np.fromiter(users, dtype=np.int32)
    items = np.full((len(codes), n), NOTHING, dtype=np.int32)
    for row, user in enumerate(codes.tolist()):
        best, _ = model.recommend(user, n)
        items[row, : len(best)] = best
    return TopLists(users=codes, items=items, n_items=len(model.item_ids_))
