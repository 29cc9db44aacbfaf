"""Ratings, in memory: the one form in which every model gets them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from harness.errors import DataError

__all__ = ["RatingScale", "Ratings"]


def distinct(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Give the different values of an array in order, as `numpy.unique` does."""
    # NumPy puts integers into a hash table since 2.3: of 4 million different ones that
    # takes 4.6 s, sorting them 0.03 s.
    ordered = np.sort(values)
    is_new = np.ones(len(ordered), dtype=bool)
    np.not_equal(ordered[1:], ordered[:-1], out=is_new[1:])
    return ordered[is_new]


@dataclass(frozen=True, slots=True)
class RatingScale:
    """The lowest and the highest rating that can be given.

    Parameters
    ----------
    low, high : float
        Ends of the scale in stars, ``low < high``.

    Raises
    ------
    DataError
        If the scale is empty, or has no end.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not -np.inf < self.low < self.high < np.inf:
            raise DataError(
                f"A rating scale needs low < high, but got {self.low:g} to {self.high:g}."
            )

    @property
    def star(self) -> float:
        """Width of a star if the scale had five: 1 on a scale of 1 to 5."""
        return (self.high - self.low) / 4

    def clip(self, values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Move values outside the scale to its nearer end.

        Parameters
        ----------
        values : ndarray of float, any shape
            Predictions in stars.

        Returns
        -------
        ndarray of float32, same shape
            The same predictions, all of them possible ratings.
        """
        clipped: npt.NDArray[np.float32] = np.clip(values, self.low, self.high).astype(
            np.float32, copy=False
        )
        return clipped


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ratings:
    """Explicit ratings as parallel arrays, sorted by user.

    Within a user, ratings are in the order of the source. Subsets keep the codes
    and ids of the whole, so that a user of the test part has the same code in the
    training part, even with no rating there.

    Parameters
    ----------
    users, items : ndarray of int32, shape (n_ratings,)
        Codes: positions in `user_ids` and `item_ids`. `users` never decreases.
    values : ndarray of float32, shape (n_ratings,)
        Ratings in stars, within `scale`.
    rows : ndarray of int32, shape (n_ratings,)
        Position of each rating in the source, from 0. Splits and folds are drawn
        over these, so that they equal those that scikit-learn and scikit-surprise
        draw over the file.
    user_ids, item_ids : ndarray of str (object), shape (n_users,) and (n_items,)
        The original ids. Items may include titles nobody has rated.
    scale : RatingScale
        What a rating can be.
    timestamps : ndarray of int64, shape (n_ratings,), optional
        Seconds since 1970-01-01 UTC.
    """

    users: npt.NDArray[np.int32]
    items: npt.NDArray[np.int32]
    values: npt.NDArray[np.float32]
    rows: npt.NDArray[np.int32]
    user_ids: npt.NDArray[np.object_]
    item_ids: npt.NDArray[np.object_]
    scale: RatingScale
    timestamps: npt.NDArray[np.int64] | None = None

    @classmethod
    def from_columns(
        cls,
        users: Sequence[str] | npt.NDArray[Any],
        items: Sequence[str] | npt.NDArray[Any],
        values: Sequence[float] | npt.NDArray[Any],
        *,
        scale: RatingScale,
        timestamps: npt.NDArray[np.int64] | None = None,
        unrated_items: Sequence[str] = (),
    ) -> Self:
        """Build from the columns of a table.

        Codes are given in order of first appearance.

        Parameters
        ----------
        users, items : sequence of str, length n_ratings
            Ids as the source has them.
        values : sequence of float, length n_ratings
            Ratings in stars.
        scale : RatingScale
            What a rating can be.
        timestamps : ndarray of int64, shape (n_ratings,), optional
            Seconds since 1970-01-01 UTC.
        unrated_items : sequence of str, optional
            Ids of titles to append to the items; those already rated are ignored.

        Returns
        -------
        Ratings
            The same ratings, sorted by user.
        """
        import pandas as pd

        user_codes, user_ids = pd.factorize(np.asarray(users, dtype=object))
        item_codes, item_ids = pd.factorize(np.asarray(items, dtype=object))
        return cls.from_codes(
            (user_codes, np.asarray(user_ids, dtype=object)),
            (item_codes, np.asarray(item_ids, dtype=object)),
            values,
            scale=scale,
            timestamps=timestamps,
            unrated_items=unrated_items,
        )

    @classmethod
    def from_codes(
        cls,
        users: tuple[npt.NDArray[Any], npt.NDArray[np.object_]],
        items: tuple[npt.NDArray[Any], npt.NDArray[np.object_]],
        values: Sequence[float] | npt.NDArray[Any],
        *,
        scale: RatingScale,
        timestamps: npt.NDArray[np.int64] | None = None,
        unrated_items: Sequence[str] = (),
    ) -> Self:
        """Build from columns whose ids are already numbered.

        The numbers are replaced by codes in order of first appearance; ids without a
        rating are dropped, unless they are among `unrated_items`.

        Parameters
        ----------
        users, items : (ndarray of int, length n_ratings), (ndarray of str)
            Positions in the ids that follow them, and those ids, all different.
        values : sequence of float, length n_ratings
            Ratings in stars.
        scale : RatingScale
            What a rating can be.
        timestamps : ndarray of int64, shape (n_ratings,), optional
            Seconds since 1970-01-01 UTC.
        unrated_items : sequence of str, optional
            Ids of titles to append to the items; those already rated are ignored.

        Returns
        -------
        Ratings
            The same ratings, sorted by user.
        """
        user_codes, user_order = renumber(users[0], len(users[1]))
        item_codes, item_order = renumber(items[0], len(items[1]))
        item_ids = items[1][item_order]
        rated = set(item_ids.tolist())
        more = [item for item in dict.fromkeys(unrated_items) if item not in rated]
        all_items = np.empty(len(item_ids) + len(more), dtype=object)
        all_items[: len(item_ids)] = item_ids
        all_items[len(item_ids) :] = more
        sorted_codes, order = sort_stably(user_codes)
        return cls(
            users=sorted_codes,
            items=item_codes[order],
            values=np.asarray(values, dtype=np.float32)[order],
            rows=order,
            user_ids=users[1][user_order],
            item_ids=all_items,
            scale=scale,
            timestamps=None if timestamps is None else timestamps[order],
        )

    def __len__(self) -> int:
        return len(self.values)

    @property
    def n_users(self) -> int:
        """Number of users, with a rating here or not."""
        return len(self.user_ids)

    @property
    def n_items(self) -> int:
        """Number of items, with a rating here or not."""
        return len(self.item_ids)

    @property
    def mean(self) -> float:
        """Mean rating in stars; the middle of the scale where there is no rating."""
        if not len(self):
            return (self.scale.low + self.scale.high) / 2
        return float(self.values.mean(dtype=np.float64))

    def on_five_stars(self) -> "Ratings":
        r"""Bring the ratings to a scale of 1 to 5.

        .. math:: z = 1 + (r - \text{low}) / \text{star}

        Training on these makes a family independent of the unit: a step of the descent or
        a penalty then means the same for stars, percent or hours watched.

        Returns
        -------
        Ratings
            These themselves where the scale is 1 to 5.
        """
        if (self.scale.low, self.scale.high) == (1.0, 5.0):
            return self
        stars = (self.values.astype(np.float64) - self.scale.low) / self.scale.star
        return replace(
            self, values=(1 + stars).astype(np.float32), scale=RatingScale(1.0, 5.0)
        )

    def take(self, chosen: npt.NDArray[Any]) -> "Ratings":
        """Keep some of the ratings, with all codes and ids as they are.

        Parameters
        ----------
        chosen : ndarray of bool, shape (n_ratings,), or of int, shape (n_chosen,)
            A mask, or positions in ascending order.

        Returns
        -------
        Ratings
            The chosen ratings in unchanged order.
        """
        return replace(
            self,
            users=self.users[chosen],
            items=self.items[chosen],
            values=self.values[chosen],
            rows=self.rows[chosen],
            timestamps=None if self.timestamps is None else self.timestamps[chosen],
        )

    def fingerprint(self) -> str:
        """Hash the content: equal ratings in equal order have equal fingerprints.

        Returns
        -------
        str
            16 hexadecimal digits (of SHA-256).
        """
        digest = hashlib.sha256()
        digest.update(f"{self.scale.low:g} {self.scale.high:g}\n".encode())
        for ids in (self.user_ids, self.item_ids):
            digest.update("\x1f".join(map(str, ids)).encode("utf-8", "surrogatepass"))
            digest.update(b"\n")
        for array in (self.users, self.items, self.values, self.rows, self.timestamps):
            digest.update(b"-" if array is None else np.ascontiguousarray(array).data)
            digest.update(b"\n")
        return digest.hexdigest()[:16]


def sort_stably(
    codes: npt.NDArray[np.int32],
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Sort codes, none below 0, and say where each was; equal ones keep their order."""
    # One number for code and position: numbers are sorted with vector instructions, 20
    # million in 0.2 s, where a stable `argsort` takes 2.6 s. Of a plain array, for what is
    # made of a mapped one is shuffled ten times as slowly.
    keys = np.asarray(codes).astype(np.int64)
    keys <<= 32
    keys |= np.arange(len(codes), dtype=np.int32)
    keys.sort()
    order = keys.astype(np.int32)  # the lower half
    keys >>= 32
    return keys.astype(np.int32), order


def renumber(
    codes: npt.NDArray[Any], n_codes: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.intp]]:
    """Replace codes by numbers in order of first appearance, and say what each was."""
    # Written from the end: where a code is repeated, its first position stays.
    first = np.full(n_codes, -1, dtype=np.int32)
    first[codes[::-1]] = np.arange(len(codes), dtype=np.int32)[::-1]
    there = np.flatnonzero(first >= 0)
    order = there[np.argsort(first[there])]
    if np.array_equal(order, np.arange(n_codes)):  # as readers number them
        return codes.astype(np.int32, copy=False), order
    numbers = np.empty(n_codes, dtype=np.int32)
    numbers[order] = np.arange(len(order), dtype=np.int32)
    return numbers[codes], order
