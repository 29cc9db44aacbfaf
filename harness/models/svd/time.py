"""Biases that change with time: titles from period to period, users slowly and by the day."""

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from harness.data.ratings import Ratings, distinct
from harness.models.svd.kernels import add_in_time

__all__ = ["SeenPairs", "TimeBiases", "TimeTraining", "span_of"]

Codes = npt.NDArray[np.integer[Any]]
Reals = npt.NDArray[np.floating[Any]]

_DAY = 86_400
N_PERIODS = 30
"""Periods of titles, as in Koren (2009): of ten weeks there."""

_DRIFT_POWER = 0.4
"""Exponent of the drift of users, found in Koren (2009) on the Netflix data."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TimeBiases:
    r"""What the time of a rating adds to a prediction: the bias terms of timeSVD++ [1]_.

    .. math:: \alpha_u \operatorname{dev}_u(t) + b_{u, \text{day}(t)}
              + b_{i, \text{period}(t)}, \qquad
              \operatorname{dev}_u(t) = \operatorname{sign}(t - t_u)
              \left(\frac{|t - t_u|}{T}\right)^{0.4}

    where :math:`t_u` is the mean time of the user's ratings. [1]_ counts days; here
    :math:`T`, the time that the training ratings span, makes :math:`\alpha_u` a bias like
    the others, with the same steps. Periods are equally long. Before and after the
    training ratings everything stands as at their ends; on a day on which the user has
    not rated there is no bias of the day; without a time nothing is added.
    The terms are 0 on average over a user's or title's ratings: see `TimeTraining`.

    References
    ----------
    .. [1] Y. Koren, "Collaborative filtering with temporal dynamics", KDD 2009,
       section 3.
    """

    # Times of the first and the last training rating, in seconds.
    span: npt.NDArray[np.int64]
    user_time: npt.NDArray[np.float64]
    user_days: npt.NDArray[np.int64]
    user_drift: Reals
    # :math:b_{u, \text{day}} in stars.
    user_day_bias: Reals
    # :math:b_{i, \text{period}} in stars.
    item_period_bias: Reals

    @classmethod
    def nothing(cls) -> Self:
        """Make terms that add nothing, as time is off."""
        return cls(
            span=np.zeros(2, dtype=np.int64),
            user_time=np.zeros(0),
            user_days=np.zeros(0, dtype=np.int64),
            user_drift=np.zeros(0),
            user_day_bias=np.zeros(0),
            item_period_bias=np.zeros((0, 0)),
        )

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Name the arrays as the attributes of a model, less the underscore at their end."""
        return {
            "time_span": self.span,
            "user_time": self.user_time,
            "user_days": self.user_days,
            "user_drift": self.user_drift,
            "user_day_bias": self.user_day_bias,
            "item_period_bias": self.item_period_bias,
        }

    def times_star(self, star: float) -> Self:
        """Convert to the unit of ratings of which `star` make a star."""
        return replace(
            self,
            user_drift=self.user_drift * star,
            user_day_bias=self.user_day_bias * star,
            item_period_bias=self.item_period_bias * star,
        )

    def locate(
        self, users: Codes, when: npt.NDArray[Any]
    ) -> tuple[Reals, npt.NDArray[np.int64], npt.NDArray[np.int32]]:
        """Find deviation, position among `user_days` (or -1), and period of known users."""
        first, last = self.span
        times = np.clip(when, first, last)
        away = (times - self.user_time[users]) / (last - first)
        deviation = np.sign(away) * np.abs(away) ** _DRIFT_POWER
        keys = _key_days(users, times, (first, last))
        place = np.searchsorted(self.user_days, keys)
        place[place == len(self.user_days)] = 0
        # Clipping serves the slow terms only: a day outside is no day of the training.
        there = (self.user_days[place] == keys) & (when >= first) & (when <= last)
        n_periods = self.item_period_bias.shape[1]
        period = (times - first) / (last - first) * n_periods
        return (
            deviation.astype(self.user_drift.dtype),
            np.where(there, place, -1),
            np.minimum(period, n_periods - 1).astype(np.int32),
        )

    def add_to(
        self,
        stars: Reals,
        pairs: tuple[Codes, Codes, npt.NDArray[Any]],
        seen: "SeenPairs | None" = None,
    ) -> None:
        """Add the terms of pairs of codes, known or not, and times to predictions in stars.

        Nothing is added where the time is NaN, as it is not known. With `seen`, pairs that
        were seen there the last time are not looked up again.
        """
        if self.user_days.size:
            at = (
                self.locate_pairs(*pairs) if seen is None else seen.locate(self, *pairs)
            )
            add_in_time(
                stars,
                (at.rows, at.deviation, at.place, at.cell),
                (at.of_user, at.on_the_day, at.of_item),
                (self.user_drift, self.user_day_bias, self.item_period_bias),
            )

    def locate_pairs(
        self, users: Codes, items: Codes, when: npt.NDArray[Any]
    ) -> "_Located":
        """Find the terms of pairs of codes, known or not."""
        dated = ~np.isnan(when)
        of_user = dated & (users >= 0) & (users < len(self.user_drift))
        of_item = dated & (items >= 0) & (items < len(self.item_period_bias))
        rows, columns = np.where(of_user, users, 0), np.where(of_item, items, 0)
        times = np.where(dated, when, self.span[0])
        deviation, place, period = self.locate(rows, times)
        return _Located(
            rows=rows,
            deviation=deviation,
            place=place,
            cell=columns * self.item_period_bias.shape[1] + period,
            of_user=of_user,
            on_the_day=of_user & (place >= 0),
            of_item=of_item,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Located:
    """Where the terms of pairs are, and which of them there are."""

    rows: Codes
    deviation: Reals
    place: npt.NDArray[np.int64]
    # In the flattened biases of periods.
    cell: Codes
    of_user: npt.NDArray[np.bool_]
    on_the_day: npt.NDArray[np.bool_]
    of_item: npt.NDArray[np.bool_]


class SeenPairs:
    """Keeps where pairs are in time: after each epoch a model is asked for the same ones.

    It serves one training, in which days and mean times of users stay the same.
    """

    def __init__(self) -> None:
        self._pairs: tuple[npt.NDArray[Any], ...] = ()
        self._located: _Located | None = None

    def locate(
        self, terms: TimeBiases, users: Codes, items: Codes, when: npt.NDArray[Any]
    ) -> _Located:
        """Find the terms of pairs, or remember where they were."""
        asked = users, items, when
        if self._located is None or not all(
            np.array_equal(*pair, equal_nan=True)
            for pair in zip(asked, self._pairs, strict=True)
        ):
            # Copied: who asks may change his arrays.
            self._pairs = tuple(array.copy() for array in asked)
            self._located = terms.locate_pairs(*asked)
        return self._located


def span_of(ratings: Ratings) -> tuple[int, int] | None:
    """Find the times of the first and the last rating; None without any, or if equal."""
    times = ratings.timestamps
    if times is None or not len(times) or times.min() == times.max():
        return None
    return int(times.min()), int(times.max())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TimeTraining:
    """Time terms under training: updated in place by `sgd_epoch`."""

    # As far as they are learnt.
    terms: TimeBiases
    # Deviation, place and period of the ratings; see TimeBiases.locate.
    located: tuple[Reals, npt.NDArray[np.int64], npt.NDArray[np.int32]]
    # Of each day its user, and its share in the ratings of the user; of each title the
    # shares of the periods.
    user_of_day: npt.NDArray[np.int64]
    share_of_day: npt.NDArray[np.float64]
    share_of_period: npt.NDArray[np.float64]
    # Pairs that the model is asked for in between.
    seen: SeenPairs

    @classmethod
    def prepare(cls, ratings: Ratings, *, dtype: npt.DTypeLike) -> Self | None:
        """Look at when users have rated.

        Returns None where ratings have no times, or all the same.
        """
        span, times = span_of(ratings), ratings.timestamps
        if span is None or times is None:
            return None
        first, last = span
        counts = np.bincount(ratings.users, minlength=ratings.n_users)
        # Relative to the first: sums of seconds since 1970 would lose digits.
        sums = np.bincount(ratings.users, times - first, ratings.n_users)
        user_days = distinct(_key_days(ratings.users, times, (first, last)))
        terms = TimeBiases(
            span=np.array([first, last], dtype=np.int64),
            user_time=first + sums / np.maximum(1, counts),
            user_days=user_days,
            user_drift=np.zeros(ratings.n_users, dtype),
            user_day_bias=np.zeros(len(user_days), dtype),
            item_period_bias=np.zeros((ratings.n_items, N_PERIODS), dtype),
        )
        located = deviation, place, period = terms.locate(ratings.users, times)
        del deviation
        cells = ratings.items.astype(np.int64) * N_PERIODS + period
        in_period = np.bincount(cells, minlength=ratings.n_items * N_PERIODS)
        in_period = in_period.reshape(-1, N_PERIODS)
        of_title = np.maximum(1, in_period.sum(axis=1))
        user_of_day = user_days // _n_days(first, last)
        on_day = np.bincount(place, minlength=len(user_days))
        return cls(
            terms=terms,
            located=located,
            user_of_day=user_of_day,
            share_of_day=on_day / counts[user_of_day],
            share_of_period=in_period / of_title[:, None],
            seen=SeenPairs(),
        )

    def arguments(self, regularization: float) -> tuple[Any, ...]:
        """Bring them into the order in which `sgd_epoch` takes them."""
        terms = self.terms
        learnt = terms.user_drift, terms.user_day_bias, terms.item_period_bias
        return (*self.located, *learnt, terms.user_drift.dtype.type(regularization))

    def centre(self) -> tuple[TimeBiases, Reals, Reals]:
        """Move what days and periods are on average into the biases of users and titles.

        A user of one day has learnt half of the bias as that of the day. On any other day
        this half would be missing: on ml-100k the RMSE without times would be 0.92, with
        this it is 0.912, and 0.910 where time is not learnt at all.

        Returns
        -------
        terms : TimeBiases
            A copy whose biases of days and periods are 0 on average over the ratings of
            each user and title.
        user_shift, item_shift : ndarray of float, shapes (n_users,) and (n_items,)
            What the biases gain.
        """
        terms = self.terms
        dtype, n_users = terms.user_drift.dtype, len(terms.user_drift)
        rated_on = self.user_of_day
        on_days = np.bincount(
            rated_on, self.share_of_day * terms.user_day_bias, n_users
        )
        of_day = on_days.astype(dtype)
        of_period = np.einsum(
            "ij,ij->i", self.share_of_period, terms.item_period_bias
        ).astype(dtype)
        centred = replace(
            terms,
            user_drift=terms.user_drift.copy(),
            user_day_bias=terms.user_day_bias - of_day[rated_on],
            item_period_bias=terms.item_period_bias - of_period[:, None],
        )
        return centred, of_day, of_period


def _n_days(first: int, last: int) -> int:
    return int(last - first) // _DAY + 1


def _key_days(
    users: Codes, times: npt.NDArray[Any], span: tuple[int, int]
) -> npt.NDArray[np.int64]:
    days = (times - span[0]).astype(np.int64) // _DAY
    keys: npt.NDArray[np.int64] = users.astype(np.int64) * _n_days(*span) + days
    return keys
