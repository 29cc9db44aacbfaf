"""When ratings were given, as rows of features: the day, the user's day, the title's age."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from harness.data.ratings import Ratings, distinct

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

__all__ = ["Days", "Moments"]

Longs = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]
Codes = npt.NDArray[np.integer[Any]]
Days = Literal["none", "calendar", "user"]

SECONDS_A_DAY = 86_400
# Day numbers of any timestamp a reader accepts are far below; user codes take the rest.
_DAY_BITS = 32


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Which rows of the blocks of time a pair has at a time.

    Rows are numbered over all blocks: days, then users' days and one row for a user
    without any, then bins of age. After them, `add_usual` appends one row for each user,
    the mean of the rows of the user's ratings, and one for the unknown, the mean of all
    ratings: they stand for a day that is not known. A time outside the training part is
    sent to the nearest day there.
    """

    # Days since 1970-01-01 UTC with a rating, ascending; empty: not used.
    days: Longs
    user_days: Longs
    first_times: Longs
    # Ends of the bins of age in seconds; empty: not used.
    age_cuts: Doubles
    usual_times: Doubles

    @classmethod
    def of(cls, ratings: Ratings, days: Days, n_age_bins: int) -> "Moments":
        """Collect the days of the training part; empty if it has no timestamps."""
        times, n_users, n_items = ratings.timestamps, ratings.n_users, ratings.n_items
        nothing = np.empty(0, dtype=np.int64)
        if times is None or not len(ratings) or (days == "none" and n_age_bins < 2):
            return cls(
                nothing,
                nothing,
                np.zeros(n_items + 1, dtype=np.int64),
                np.empty(0),
                np.zeros(n_users + 1),
            )
        first = np.full(n_items + 1, times.max(), dtype=np.int64)
        np.minimum.at(first, ratings.items, times)
        ages = times - first[ratings.items]
        quantiles = np.arange(1, n_age_bins) / max(1, n_age_bins)
        there = distinct(times // SECONDS_A_DAY)
        return cls(
            days=there if days != "none" and len(there) > 1 else nothing,
            user_days=_days_of_users(ratings) if days == "user" else nothing,
            first_times=first,
            age_cuts=np.unique(np.quantile(ages, quantiles)),
            usual_times=_usual_times(ratings),
        )

    @property
    def n_rows(self) -> int:
        """Number of rows of all blocks, those of the usual days of users not among them."""
        return sum(self._sizes())

    @property
    def n_ages(self) -> int:
        """Number of bins of age, the last rows."""
        return self._sizes()[2]

    def _sizes(self) -> tuple[int, int, int]:
        n_own, n_cuts = len(self.user_days), len(self.age_cuts)
        return len(self.days), n_own + (n_own > 0), n_cuts + (n_cuts > 0)

    def rows(self, users: Codes, items: Codes, when: Doubles) -> dict[str, Longs]:
        """Find the row of each block for pairs of known codes, or the last for unknown."""
        known = np.isfinite(when)
        when = np.where(known, when, self.usual_times[users])
        day = np.floor(when / SECONDS_A_DAY)
        start = np.cumsum([0, *self._sizes()])
        found = {}
        if len(self.days):
            row = start[0] + _nearest(self.days, day)
            found["day"] = np.where(known, row, self.n_rows + users)
        if len(self.user_days):
            # The usual day of the user has both already.
            row = np.where(known, self._own_day(users, day), len(self.user_days))
            found["user day"] = start[1] + row
        if len(self.age_cuts):
            age = when - self.first_times[items]
            found["age"] = start[2] + np.searchsorted(self.age_cuts, age)
        return found

    def add_usual(
        self, tables: Iterable[npt.NDArray[Any]], ratings: Ratings
    ) -> list[npt.NDArray[Any]]:
        """Append the mean rows of the days of each user, and of all users."""
        from scipy.sparse import csr_matrix

        assert ratings.timestamps is not None
        rows = self.rows(ratings.users, ratings.items, ratings.timestamps.astype(float))
        days = [row for name, row in rows.items() if name != "age"]
        n_users, shape = ratings.n_users, (ratings.n_users, self.n_rows)
        counts = np.bincount(ratings.users, minlength=n_users)
        weights = (1 / counts[ratings.users]).astype(np.float32)
        mean = sum(csr_matrix((weights, (ratings.users, row)), shape) for row in days)
        extended = []
        for table in tables:
            usual = mean @ table
            overall = counts @ usual / counts.sum()
            usual[counts == 0] = overall
            extended.append(
                np.concatenate([table, usual, overall[None]]).astype(table.dtype)
            )
        return extended

    def _own_day(self, users: Codes, day: Doubles) -> Longs:
        """Find the nearest day on which the user has rated; the row of none without any."""
        low = users.astype(np.int64) << _DAY_BITS
        wanted = low + np.clip(day, 0, (1 << _DAY_BITS) - 1).astype(np.int64)
        position = _nearest(self.user_days, wanted)
        for step in (-1, 1):
            # The nearest of all may be a neighbour's: the user's own is beside it.
            beside = np.clip(position + step, 0, len(self.user_days) - 1)
            foreign = (self.user_days[position] >> _DAY_BITS) != users
            own = (self.user_days[beside] >> _DAY_BITS) == users
            position = np.where(foreign & own, beside, position)
        mine = (self.user_days[position] >> _DAY_BITS) == users
        return np.where(mine, position, len(self.user_days))

    def blocks(self) -> "dict[str, tuple[slice, csr_matrix]]":
        """Rows of each block among all, and its features: each row is one of its own."""
        from scipy.sparse import csr_matrix, identity

        names = ("day", "user day", "age")
        start = np.cumsum([0, *self._sizes()])
        found = {}
        for k, (name, size) in enumerate(zip(names, self._sizes(), strict=True)):
            if size:
                # The last of the users' days stands for none, and has no feature.
                n_features = size - (name == "user day")
                features = csr_matrix(identity(size, format="csr")[:, :n_features])
                found[name] = slice(int(start[k]), int(start[k + 1])), features
        return found

    def parents(self, n_users: int) -> tuple[Longs, Longs]:
        """User and row of the calendar day of each of the users' days, and of none."""
        users = np.append(self.user_days >> _DAY_BITS, n_users - 1)
        day = np.append(self.user_days & ((1 << _DAY_BITS) - 1), 0)
        return users, _nearest(self.days, day)


def _nearest(levels: Longs, wanted: npt.NDArray[Any]) -> Longs:
    """Position of the nearest level, the earlier of two."""
    after = np.minimum(np.searchsorted(levels, wanted), len(levels) - 1)
    before = np.maximum(after - 1, 0)
    closer = np.abs(levels[after] - wanted) < np.abs(levels[before] - wanted)
    nearest: Longs = np.where(closer, after, before)
    return nearest


def _days_of_users(ratings: Ratings) -> Longs:
    assert ratings.timestamps is not None
    day = np.maximum(0, ratings.timestamps // SECONDS_A_DAY)
    keys = distinct((ratings.users.astype(np.int64) << _DAY_BITS) + day)
    users = keys >> _DAY_BITS
    several = np.bincount(users, minlength=ratings.n_users) > 1
    of_several: Longs = keys[several[users]]
    return of_several


def _usual_times(ratings: Ratings) -> Doubles:
    assert ratings.timestamps is not None
    order = np.lexsort((ratings.timestamps, ratings.users))
    times = ratings.timestamps[order]
    bounds = np.searchsorted(ratings.users, np.arange(ratings.n_users + 1))
    usual = np.full(ratings.n_users + 1, float(times.max()))
    has = bounds[1:] > bounds[:-1]
    middle = (bounds[:-1] + bounds[1:] - 1) // 2
    usual[:-1][has] = times[middle[has]]
    return usual
