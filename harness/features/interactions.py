"""Named features of a user and a title together, as the published study lists them."""

from typing import Any

import numpy as np
import numpy.typing as npt

from harness.data.catalogue import Catalogue
from harness.data.ratings import Ratings
from harness.features.by_user import sum_by_user
from harness.features.genre_behaviour import genre_preferences
from harness.features.titles import release_year

__all__ = [
    "equal_genre_shares",
    "trusted_genre_preferences",
    "user_genre_interaction",
    "years_since_release",
]

Codes = npt.NDArray[np.integer[Any]]
Floats = npt.NDArray[np.float64]

_TRUST = 10.0
"""In ratings: the preferences of a user with as many are believed half."""


def years_since_release(
    catalogue: Catalogue, items: Codes, timestamps: npt.NDArray[np.int64]
) -> Floats:
    """Measure how old titles were when they were rated.

    Parameters
    ----------
    catalogue : Catalogue
        Its column ``release_year``, if it has one.
    items : ndarray of int, shape (n_pairs,)
        Codes of titles in the catalogue.
    timestamps : ndarray of int64, shape (n_pairs,)
        When they were rated, in seconds since 1970-01-01 UTC.

    Returns
    -------
    ndarray of float64, shape (n_pairs,)
        Calendar years, whole numbers as release years are; at least 0, since a title is
        not rated before it is out; NaN where the year of release is unknown.

    Examples
    --------
    >>> import pandas as pd
    >>> catalogue = Catalogue(pd.DataFrame({"release_year": [1995.0]}))
    >>> years_since_release(catalogue, np.array([0]), np.array([874_724_710])).tolist()
    [2.0]
    """
    rated = (
        timestamps.astype("datetime64[s]").astype("datetime64[Y]").astype(int) + 1970
    )
    years = rated - release_year(catalogue)[items]
    return np.where(years < 0, 0.0, years)


def user_genre_interaction(
    users: Codes, items: Codes, preferences: Floats, has: npt.NDArray[np.integer[Any]]
) -> Floats:
    """Average the preferences of users over the genres of titles.

    Parameters
    ----------
    users, items : ndarray of int, shape (n_pairs,)
        Codes of known users, and of titles in the catalogue.
    preferences : ndarray of float64, shape (n_users, n_genres)
        Stars above or below a user's own mean, of training ratings;
        `harness.features.behaviour.genre_preferences` computes them.
    has : ndarray of int, shape (n_items, n_genres)
        1 if a title has a genre; see `harness.data.habits.genre_table`.

    Returns
    -------
    ndarray of float64, shape (n_pairs,)
        In stars above or below the mean of the user; 0 for titles without genre.

    Examples
    --------
    >>> likes = np.array([[0.5, -0.1]])  # the first genre better than the second
    >>> has = np.array([[1, 0], [1, 1], [0, 0]])
    >>> nobody_else = np.array([0, 0, 0])
    >>> user_genre_interaction(nobody_else, np.array([0, 1, 2]), likes, has).tolist()
    [0.5, 0.2, 0.0]
    """
    shares = equal_genre_shares(has[items])
    mean: Floats = np.einsum("pg,pg->p", shares, preferences[users])
    return mean


def equal_genre_shares(has: npt.NDArray[np.integer[Any]]) -> Floats:
    """Divide each title equally among its genres.

    Parameters
    ----------
    has : ndarray of int, shape (n_items, n_genres)
        1 if a title has a genre.

    Returns
    -------
    ndarray of float64, shape (n_items, n_genres)
        Rows sum to 1, or to 0 for titles without genre. Their product with the
        preferences of a user is `user_genre_interaction` for all titles.

    Examples
    --------
    >>> equal_genre_shares(np.array([[1, 0], [1, 1], [0, 0]])).tolist()
    [[1.0, 0.0], [0.5, 0.5], [0.0, 0.0]]
    """
    shares: Floats = has / np.maximum(has.sum(axis=1, keepdims=True), 1)
    return shares


def trusted_genre_preferences(ratings: Ratings, has: npt.NDArray[np.int64]) -> Floats:
    r"""Believe the preferences of users as far as their ratings are many.

    .. math:: \frac{n_u}{n_u + 10} \, a_{ug}

    with the :math:`a_{ug}` of `harness.features.genre_behaviour.genre_preferences`.

    Parameters
    ----------
    ratings : Ratings
        The training part, and nothing else.
    has : ndarray of int, shape (n_items, n_genres)
        1 if a title has a genre; see `harness.data.habits.genre_table`.

    Returns
    -------
    ndarray of float64, shape (n_users, n_genres)
        Stars; 0 for users without ratings.
    """
    counts = sum_by_user(ratings)
    # Without a rating there is no mean to compare with: NaN.
    preferences = np.nan_to_num(genre_preferences(ratings, has))
    trusted: Floats = (counts / (counts + _TRUST))[:, None] * preferences
    return trusted
