"""Who watches what: the users, and which titles they choose."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.data.ott import calibration as c
from harness.data.ott.titles import Titles, deal, normal_scores, spread

__all__ = ["Audience", "choose_titles", "draw_audience"]


Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Audience:
    """What users are."""

    # shape (N_USERS,): How many ratings a user gives: at least 1 each, `N_RATINGS`
    # together
    activity: Ints
    primary_genres: Ints  # shape (N_USERS,): Code of the genre a user prefers
    # shape (N_USERS,): Bias of a user, with mean 0 and variance 1 over users
    generosity: Floats


def draw_audience(rng: np.random.Generator, titles: Titles) -> Audience:
    """Draw the users of the service."""
    shares = np.bincount(titles.first_genres).astype(float)
    activity = _draw_activity(rng)
    return Audience(
        activity=activity,
        primary_genres=deal(shares, spread(rng, activity)),
        generosity=_bounded_biases(spread(rng, activity)),
    )


def _draw_activity(rng: np.random.Generator) -> Ints:
    n_newcomers = round(c.NEWCOMER_SHARE * c.N_USERS)
    newcomers = rng.integers(1, c.FEWEST_RATINGS_OF_REGULARS, size=n_newcomers)
    weights = rng.lognormal(0, c.ACTIVITY_SPREAD, c.N_USERS - n_newcomers)
    wanted = c.N_RATINGS - int(newcomers.sum())
    scale = wanted / weights.sum()
    regulars = weights
    for _ in range(30):  # the bounds take some away; the others make up for it
        regulars = (scale * weights).clip(c.FEWEST_RATINGS_OF_REGULARS, c.MOST_RATINGS)
        scale *= wanted / regulars.sum()
    # Rounding the running total keeps it exact.
    counts = np.diff(np.round(np.cumsum(regulars)), prepend=0).astype(np.int64)
    counts[-1] += wanted - counts.sum()
    return rng.permutation(np.concatenate([newcomers, counts]))


def _bounded_biases(probabilities: Floats) -> Floats:
    """Look up quantiles of the beta distribution with both parameters 2.

    It is bounded, so that few users sit at an end of the scale. Its distribution
    function is 3 x^2 - 2 x^3, its mean 1/2 and its variance 1/20.
    """
    quantiles = 0.5 - np.sin(np.arcsin(1 - 2 * probabilities) / 3)
    standardised: Floats = (quantiles - 0.5) * np.sqrt(20)
    return standardised


def choose_titles(
    rng: np.random.Generator, titles: Titles, audience: Audience, quality: Floats
) -> tuple[Ints, Ints]:
    """Let each user choose titles, without replacement.

    Some titles draw generous users, some draw critical ones. No metadata tell which.
    So the mean rating of a title also depends on who has rated it, and models that
    tell users' biases from titles' have an advantage over those that do not.
    """
    # All genres, and all pairs of genres, get hits and flops in the same proportion.
    n_genres = titles.genres.shape[1]
    alike = titles.first_genres * 2**n_genres + titles.genres @ 2 ** np.arange(n_genres)
    popularity = c.POPULARITY_SPREAD * normal_scores(spread(rng, alike))
    # Good titles are more popular, but among those of equal genres only: otherwise
    # the luck of a genre would decide how varied the viewing of all users is.
    of_genres = titles.genres @ np.linalg.lstsq(titles.genres, quality)[0]
    popularity += c.PULL_OF_QUALITY * (quality - of_genres)
    popularity -= np.where(spread(rng, alike) < c.RARE_TITLE_SHARE, 4.0, 0.0)
    crowd = c.PULL_OF_CROWD * rng.normal(size=len(titles.names))
    weights = popularity + np.outer(audience.generosity, crowd)
    weights += c.PULL_OF_PRIMARY_GENRE * titles.genres.T[audience.primary_genres]
    # The k largest of log weight + Gumbel noise are a weighted draw without replacement
    # (Efraimidis and Spirakis 2006).
    keys = (weights + rng.gumbel(size=weights.shape)).astype(np.float32)
    order = np.argsort(-keys, axis=1)
    activity = audience.activity
    users = np.repeat(np.arange(len(activity)), activity)
    rank = np.arange(len(users)) - np.repeat(np.cumsum(activity) - activity, activity)
    return users, order[users, rank]
