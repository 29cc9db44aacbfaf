"""How many stars a user gives to a title."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.data.ott import calibration as c
from harness.data.ott.audience import Audience
from harness.data.ott.people import People
from harness.data.ott.titles import Titles

__all__ = ["Leanings", "draw_leanings", "draw_stars"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Leanings:
    """What moves ratings, each on a scale of its own.

    Parameters
    ----------
    users : ndarray of float, shape (N_USERS,)
        How generous a user is.
    titles : ndarray of float, shape (n_titles,)
        How good a title is, in standard deviations.
    tastes : ndarray of float, shape (N_USERS, n_titles)
        How well a title suits a user.
    """

    users: Floats
    titles: Floats
    tastes: Floats


def draw_leanings(
    rng: np.random.Generator, titles: Titles, people: People, audience: Audience
) -> Leanings:
    """Draw title biases and tastes.

    Parameters
    ----------
    rng : Generator
        Source of chance.
    titles : Titles
        Genres, themes, years and age classes explain part of the bias and of taste.
    people : People
        Directors and casts explain another part of the bias.
    audience : Audience
        Generosity is the users' bias; users like their primary genre a little better.

    Returns
    -------
    Leanings
        Not yet scaled to the calibrated variances.
    """
    return Leanings(
        users=audience.generosity,
        titles=_title_biases(rng, titles, people),
        tastes=_tastes(rng, titles, audience.primary_genres),
    )


def _title_biases(rng: np.random.Generator, titles: Titles, people: People) -> Floats:
    n_titles, n_genres = titles.genres.shape
    n_genres_of = titles.genres.sum(axis=1)
    by_actor = np.append(rng.normal(size=len(people.names)), 0.0)  # -1 is nobody
    total = _mixed(
        (c.GENRE_SHARE, titles.genres @ rng.normal(size=n_genres) / n_genres_of),
        (c.DIRECTOR_SHARE, rng.normal(size=len(people.names))[people.directors]),
        (c.CAST_SHARE, by_actor[people.casts].sum(axis=1)),
        (c.YEAR_SHARE, -titles.years.astype(float)),
        (c.AGE_SHARE, titles.age_classes.astype(float)),
        (c.THEME_SHARE, rng.normal(size=titles.themes.max() + 1)[titles.themes]),
        (c.OWN_SHARE, rng.normal(size=(n_titles,))),
    )
    return _standardised(total)


def _tastes(rng: np.random.Generator, titles: Titles, primary: Ints) -> Floats:
    """Place users and titles on a few axes of taste; taste is their inner product.

    Few axes, so that ratings of other users can tell them: a factorisation recovers
    an axis of variance v under noise of variance s only if v / s exceeds
    1 / (density sqrt(n_users n_titles)) = 0.014 here.
    """
    n_titles, n_genres = titles.genres.shape
    by_genre = rng.normal(size=(n_genres, c.N_TASTES))
    by_theme = rng.normal(size=(titles.themes.max() + 1, c.N_TASTES))
    places = _mixed(
        (c.GENRE_TASTE_SHARE, titles.genres @ by_genre),
        (c.THEME_TASTE_SHARE, by_theme[titles.themes]),
        (c.OWN_TASTE_SHARE, rng.normal(size=(n_titles, c.N_TASTES))),
    )
    leanings = rng.normal(size=(c.N_USERS, c.N_TASTES))
    leanings += c.BUMP_OF_PRIMARY_GENRE * by_genre[primary]
    tastes: Floats = leanings @ places.T
    return tastes


def draw_stars(
    rng: np.random.Generator, leanings: Leanings, users: Ints, items: Ints
) -> npt.NDArray[np.float32]:
    r"""Let users rate what they have chosen.

    .. math:: r_{ui} = \mathrm{round}(\mu + b_u + b_i + t_{ui} + \varepsilon_{ui})

    Over the given pairs, each term has mean 0 and its calibrated variance, and so has
    their sum: all seeds give the same statistics.

    Parameters
    ----------
    rng : Generator
        Source of chance.
    leanings : Leanings
        What moves ratings.
    users, items : ndarray of int, shape (n_ratings,)
        Who rates what.

    Returns
    -------
    ndarray of float32, shape (n_ratings,)
        1, 1.5, ..., 5 stars.
    """
    total = _mixed(
        (c.USER_VARIANCE, leanings.users[users]),
        (c.TITLE_VARIANCE, leanings.titles[items]),
        (c.TASTE_VARIANCE, leanings.tastes[users, items]),
        (c.NOISE_VARIANCE, rng.normal(size=len(users))),
    )
    variance = c.USER_VARIANCE + c.TITLE_VARIANCE + c.TASTE_VARIANCE + c.NOISE_VARIANCE
    # The terms are almost, but not exactly, uncorrelated over the chosen pairs.
    latent = c.LATENT_MEAN + np.sqrt(variance) * _standardised(total)
    stars: npt.NDArray[np.float32] = (np.round(2 * latent) / 2).astype(np.float32)
    return stars.clip(1, 5)


def _mixed(*parts: tuple[float, Floats]) -> Floats:
    """Add up parts, each scaled to its variance."""
    total: Floats = sum(
        (np.sqrt(variance) * _standardised(part) for variance, part in parts),
        start=np.zeros(1),
    )
    return total


def _standardised(values: Floats) -> Floats:
    """Give each column mean 0 and variance 1."""
    standardised: Floats = (values - values.mean(axis=0)) / values.std(axis=0)
    return standardised
