"""Named features of a user and a title together, as the published study lists them."""

from typing import Any

import numpy as np
import numpy.typing as npt

from harness.data.catalogue import Catalogue
from harness.features.titles import release_year

__all__ = ["user_genre_interaction", "years_since_release"]

Codes = npt.NDArray[np.integer[Any]]
Floats = npt.NDArray[np.float64]


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
    of_pairs = has[items]
    sums = np.einsum("pg,pg->p", of_pairs, preferences[users])
    mean: Floats = sums / np.maximum(of_pairs.sum(axis=1), 1)
    return mean
