"""When users watch, and for how long."""

import numpy as np
import numpy.typing as npt

from harness.data.ott import calibration as c
from harness.data.ott.titles import Titles

__all__ = ["draw_minutes", "draw_times"]

Ints = npt.NDArray[np.int64]
DAY = 86_400


def draw_times(rng: np.random.Generator, users: Ints) -> Ints:
    """Draw the time of each rating.

    A user is a member for some weeks, longer with more ratings, from the first rating
    to the last; weekends and evenings are busier.

    Parameters
    ----------
    rng : Generator
        Source of chance.
    users : ndarray of int, shape (n_ratings,)
        Who rates; sorted.

    Returns
    -------
    ndarray of int, shape (n_ratings,)
        Seconds since 1970-01-01 UTC.
    """
    activity = np.bincount(users, minlength=c.N_USERS)
    n_days = 7 * c.LONGEST_MEMBERSHIP_WEEKS
    lengths = _membership_days(rng, activity)
    joined = np.floor(rng.random(c.N_USERS) * (n_days - lengths))
    # busy[d] is the viewing before day d: users are spread evenly over it.
    weekday = np.arange(n_days) % 7  # the first day is a Monday
    busy = np.concatenate(
        [[0.0], np.cumsum(np.where(weekday >= 5, c.WEEKEND_WEIGHT, 1.0))]
    )
    begin, end = (
        np.interp(d, np.arange(n_days + 1), busy) for d in (joined, joined + lengths)
    )
    share = rng.random(len(users))
    first = np.searchsorted(users, np.arange(c.N_USERS))
    share[first] = 0.0
    share[first[activity > 1] + 1] = 1.0 - 1e-9
    days = np.interp(
        begin[users] + share * (end - begin)[users], busy, np.arange(n_days + 1)
    )
    weights = np.array(c.HOUR_WEIGHTS) / sum(c.HOUR_WEIGHTS)
    hours = rng.choice(24, size=len(users), p=weights)
    start = np.datetime64(c.FIRST_DAY, "s").astype(np.int64)
    seconds: Ints = start + np.floor(days).astype(np.int64) * DAY + hours * 3600
    return seconds + rng.integers(3600, size=len(users))


def _membership_days(
    rng: np.random.Generator, activity: Ints
) -> npt.NDArray[np.float64]:
    """Draw lengths whose sum gives the published ratings per week."""
    wanted = activity.sum() / c.RATINGS_PER_WEEK * 7
    weights = np.sqrt(activity) * rng.lognormal(0, 0.35, len(activity))
    longest = 7.0 * c.LONGEST_MEMBERSHIP_WEEKS
    scale = wanted / weights.sum()
    lengths = weights
    for _ in range(30):  # what the bounds take away, the others make up for
        # A single rating has no length: it counts as one week.
        lengths = np.where(activity > 1, (scale * weights).clip(7, longest), 7.0)
        scale *= wanted / lengths.sum()
    return lengths


def draw_minutes(
    rng: np.random.Generator,
    titles: Titles,
    items: Ints,
    stars: npt.NDArray[np.float32],
) -> npt.NDArray[np.float32]:
    """Draw how long each rated title was watched.

    Of a film, a part that grows with its rating; of a show, some episodes in a row.
    Sittings in front of shows are scaled so that the mean over all ratings is the
    published one.

    Parameters
    ----------
    rng : Generator
        Source of chance.
    titles : Titles
        Running times count.
    items : ndarray of int, shape (n_ratings,)
        What is watched.
    stars : ndarray of float32, shape (n_ratings,)
        How it is rated.

    Returns
    -------
    ndarray of float32, shape (n_ratings,)
        Minutes.
    """
    part = (
        c.COMPLETION_BASE
        + c.COMPLETION_PER_STAR * stars
        + rng.normal(0, 0.1, len(items))
    )
    minutes = titles.minutes[items] * part.clip(0.1, 1.0)
    shows = titles.shows[items]
    episodes = minutes[shows] * rng.gamma(3.0, size=int(shows.sum()))
    left = c.MEAN_WATCH_MINUTES * len(items) - minutes[~shows].sum()
    minutes[shows] = episodes * left / episodes.sum()
    watched: npt.NDArray[np.float32] = minutes.astype(np.float32)
    return watched
