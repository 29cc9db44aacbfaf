"""Habits of users: when they rate, and which genres."""

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from harness.data.catalogue import Catalogue
from harness.data.ratings import Ratings

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "genre_diversity",
    "genre_table",
    "genres_key",
    "hour_counts",
    "peak_hours",
    "primary_genre_affinity",
    "ratings_per_week",
    "weekday_counts",
    "weekend_to_weekday_ratio",
]


Ints = npt.NDArray[np.int64]
DAY = 86_400
WEEK = 7 * DAY
PEAK_LENGTH = 3


def ratings_per_week(ratings: Ratings) -> float:
    r"""Ratings that a user gives in a week of membership.

    .. math:: \frac{\sum_u n_u}{\sum_u \max(1, w_u)}

    where user :math:`u` has given :math:`n_u` ratings and :math:`w_u` weeks lie between
    the first and the last of them. A user who rates everything in one evening counts
    as a member for one week.

    Examples
    --------
    Two users: four ratings within two weeks, and two ratings on one day.

    >>> from harness.data.ratings import Ratings, RatingScale
    >>> ratings = Ratings.from_columns(
    ...     list("aaaabb"), list("123412"), [1, 2, 3, 4, 5, 1], scale=RatingScale(1, 5),
    ...     timestamps=np.array([0, 1, 2, 14, 0, 0]) * 86_400,
    ... )
    >>> ratings_per_week(ratings)
    2.0
    """
    times = _timestamps(ratings)
    first = np.flatnonzero(np.diff(ratings.users, prepend=-1))
    spans = np.maximum.reduceat(times, first) - np.minimum.reduceat(times, first)
    return len(ratings) / float(np.maximum(1.0, spans / WEEK).sum())


def hour_counts(ratings: Ratings) -> Ints | None:
    """Count the ratings of each hour of the day."""
    times = _timestamps(ratings)
    if not (times % DAY).any():
        return None
    counts: Ints = np.bincount(times % DAY // 3600, minlength=24)
    return counts


def peak_hours(counts: Ints) -> str:
    """Name the three consecutive hours with most ratings.

    Examples
    --------
    >>> counts = np.ones(24, dtype=int)
    >>> counts[[23, 0]] = 9
    >>> peak_hours(counts)
    '22:00-01:00'
    """
    windows = np.sum([np.roll(counts, -k) for k in range(PEAK_LENGTH)], axis=0)
    start = int(windows.argmax())
    return f"{start:02d}:00-{(start + PEAK_LENGTH) % 24:02d}:00"


def weekday_counts(ratings: Ratings) -> Ints:
    """Count the ratings of each day of the week."""
    # 1970-01-01 was a Thursday: day 0 of the epoch is day 3 of its week.
    counts: Ints = np.bincount((_timestamps(ratings) // DAY + 3) % 7, minlength=7)
    return counts


def weekend_to_weekday_ratio(counts: Ints) -> float | None:
    """Compare an average Saturday or Sunday with an average day from Monday to Friday.

    Examples
    --------
    >>> weekend_to_weekday_ratio(np.array([1, 1, 1, 1, 1, 2, 2]))
    2.0
    """
    weekdays = counts[:5].sum()
    return float(counts[5:].sum() / 2 / (weekdays / 5)) if weekdays else None


def genre_table(listed_in: "pd.Series[str]") -> tuple[tuple[str, ...], Ints]:
    """Tabulate which title has which genres."""
    lists = [
        {g for part in str(text).split(",") if (g := part.strip())} if known else set()
        for text, known in zip(listed_in, listed_in.notna(), strict=True)
    ]
    genres = tuple(sorted(set().union(*lists)))
    column = {genre: k for k, genre in enumerate(genres)}
    has = np.zeros((len(lists), len(genres)), dtype=np.int64)
    for row, found in enumerate(lists):
        has[row, [column[g] for g in found]] = 1
    return genres, has


@lru_cache(maxsize=2)  # all trainings of a study ask for the same titles
def genres_key(catalogue: Catalogue) -> int:
    """Tell catalogues apart by the genres of their titles."""
    if not catalogue.has("listed_in"):
        return hash(())
    return hash(tuple(map(str, catalogue.frame["listed_in"])))


def primary_genre_affinity(ratings: Ratings, has: Ints) -> float:
    r"""Share of the ratings that users give within their primary genre.

    .. math:: \frac{\sum_u \max_g n_{ug}}{\sum_u n_u}

    where user :math:`u` has rated :math:`n_u` titles whose genres are known,
    :math:`n_{ug}` of them of genre :math:`g`. The genre of the maximum is the user's
    primary genre; a title may have several genres.

    The published study prints "primary genre affinity: 72% correlation", but not what
    is correlated with what; a share is the reading that a percentage suggests.
    """
    by_user, n_known = _genres_of_users(ratings, has)
    return float(by_user.max(axis=1).sum() / n_known.sum())


def genre_diversity(ratings: Ratings, has: Ints) -> float:
    r"""Gini-Simpson index of the genres that a user rates, averaged over ratings.

    .. math:: \frac{\sum_u n_u \left(1 - \sum_g p_{ug}^2\right)}{\sum_u n_u}

    where :math:`p_{ug}` is the share of genre :math:`g` among the genres of the titles
    that user :math:`u` has rated: the probability that two genres drawn from them
    differ. 0 for a user of one genre; unlike an entropy it hardly depends on how finely
    a catalogue divides its rare genres.

    The published study prints a "genre diversity index" of 0.65 without a definition.

    References
    ----------
    .. [1] E. H. Simpson, "Measurement of diversity", Nature 163, 1949.
    """
    by_user, n_known = _genres_of_users(ratings, has)
    shares = by_user / np.maximum(1, by_user.sum(axis=1, keepdims=True))
    return float(np.average(1 - (shares**2).sum(axis=1), weights=n_known))


def _genres_of_users(ratings: Ratings, has: Ints) -> tuple[Ints, Ints]:
    """Count a user's ratings in each genre, and those in any."""
    counts = np.stack(
        [
            np.bincount(ratings.users, column[ratings.items], ratings.n_users)
            for column in has.T
        ],
        axis=1,
    )
    known = np.asarray(has.any(axis=1))[ratings.items]
    return counts.astype(np.int64), np.bincount(
        ratings.users[known], minlength=ratings.n_users
    )


def _timestamps(ratings: Ratings) -> Ints:
    assert ratings.timestamps is not None, "callers check that there are times"
    return ratings.timestamps
