"""Ratings as lists, one for each user or item: the form that compiled loops want."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.models.kernels import group_by_code

__all__ = ["RatingLists"]


Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class RatingLists:
    """The ratings of each user with the items, or of each item with the users."""

    # Where the list of each begins.
    offsets: npt.NDArray[np.int64]
    codes: npt.NDArray[np.int32]
    # Ratings in stars, or deviations of them.
    values: Doubles

    @classmethod
    def build(
        cls,
        codes: npt.NDArray[np.int32],
        others: npt.NDArray[np.int32],
        values: npt.NDArray[Any],
        *,
        n: int,
    ) -> "RatingLists":
        """Group ratings by one side, in unchanged order within a list."""
        offsets, order = group_by_code(codes, n)
        return cls(offsets, others[order], values[order].astype(np.float64))

    @property
    def arrays(self) -> tuple[npt.NDArray[Any], ...]:
        """Offsets, codes and values, as the kernels take them."""
        return self.offsets, self.codes, self.values

    @property
    def owners(self) -> npt.NDArray[np.int32]:
        """Whose list each rating is in: ndarray of int32, shape (n_ratings,)."""
        n = len(self.offsets) - 1
        return np.repeat(np.arange(n, dtype=np.int32), np.diff(self.offsets))

    def turned(self, *, n: int) -> "RatingLists":
        """Group by the other side; each list is then in ascending order."""
        return RatingLists.build(self.codes, self.owners, self.values, n=n)
