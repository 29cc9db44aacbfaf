"""Who watches what: how active users are, and which titles they choose."""

import numpy as np
import numpy.typing as npt

from harness.data.ott import calibration as c
from harness.data.ott.titles import Titles

__all__ = ["choose_titles", "draw_activity", "draw_primary_genres"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def draw_activity(rng: np.random.Generator) -> Ints:
    """Draw how many ratings each user gives.

    Parameters
    ----------
    rng : Generator
        Source of chance.

    Returns
    -------
    ndarray of int, shape (N_USERS,)
        At least 1 each, `N_RATINGS` together.
    """
    n_newcomers = round(c.NEWCOMER_SHARE * c.N_USERS)
    newcomers = rng.integers(1, c.FEWEST_RATINGS_OF_REGULARS, size=n_newcomers)
    weights = rng.lognormal(0, c.ACTIVITY_SPREAD, c.N_USERS - n_newcomers)
    wanted = c.N_RATINGS - int(newcomers.sum())
    scale = wanted / weights.sum()
    regulars = weights
    for _ in range(30):  # the bounds below take some away; the others make up for it
        regulars = (scale * weights).clip(c.FEWEST_RATINGS_OF_REGULARS, c.MOST_RATINGS)
        scale *= wanted / regulars.sum()
    # Rounding the running total keeps it exact.
    counts = np.diff(np.round(np.cumsum(regulars)), prepend=0).astype(np.int64)
    counts[-1] += wanted - counts.sum()
    return rng.permutation(np.concatenate([newcomers, counts]))


def draw_primary_genres(rng: np.random.Generator, titles: Titles) -> Ints:
    """Draw the genre each user watches most.

    Parameters
    ----------
    rng : Generator
        Source of chance.
    titles : Titles
        A genre is chosen in proportion to the titles that name it first.

    Returns
    -------
    ndarray of int, shape (N_USERS,)
        Codes of genres.
    """
    shares = np.bincount(titles.first_genres, minlength=titles.genres.shape[1])
    return rng.choice(len(shares), size=c.N_USERS, p=shares / shares.sum())


def choose_titles(
    rng: np.random.Generator,
    titles: Titles,
    activity: Ints,
    primary: Ints,
    quality: Floats,
) -> tuple[Ints, Ints]:
    """Let each user choose titles, without replacement.

    Parameters
    ----------
    rng : Generator
        Source of chance.
    titles : Titles
        What there is to choose from.
    activity : ndarray of int, shape (N_USERS,)
        How many titles each user chooses.
    primary : ndarray of int, shape (N_USERS,)
        Genre each user prefers.
    quality : ndarray of float, shape (n_titles,)
        Bias of each title in standard deviations.

    Returns
    -------
    users, items : ndarray of int, shape (N_RATINGS,)
        The chosen pairs, sorted by user.
    """
    n_titles = len(titles.names)
    popularity = (
        rng.normal(0, c.POPULARITY_SPREAD, n_titles) + c.PULL_OF_QUALITY * quality
    )
    popularity -= np.where(rng.random(n_titles) < c.RARE_TITLE_SHARE, 4.0, 0.0)
    weights = popularity + c.PULL_OF_PRIMARY_GENRE * titles.genres.T[primary]
    # The k largest of log weight + Gumbel noise are a weighted draw without replacement.
    keys = (weights + rng.gumbel(size=weights.shape)).astype(np.float32)
    order = np.argsort(-keys, axis=1)
    users = np.repeat(np.arange(len(activity)), activity)
    rank = np.arange(len(users)) - np.repeat(np.cumsum(activity) - activity, activity)
    return users, order[users, rank]
