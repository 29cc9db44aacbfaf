"""Named features of a user and a title together, and a summary of all features."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from harness.data.catalogue import Catalogue
from harness.data.habits import genre_table
from harness.data.ratings import Ratings
from harness.features.titles import (
    duration_minutes,
    release_year,
    title_bias,
    title_popularity,
    title_type,
)
from harness.features.users import behaviour_table, genre_preferences, sum_by_user

__all__ = [
    "FeatureSummary",
    "Owner",
    "equal_genre_shares",
    "summarize_features",
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

    with the :math:`a_{ug}` of `harness.features.users.genre_preferences`.
    """
    counts = sum_by_user(ratings)
    # Without a rating there is no mean to compare with: NaN.
    preferences = np.nan_to_num(genre_preferences(ratings, has))
    trusted: Floats = (counts / (counts + _TRUST))[:, None] * preferences
    return trusted


Owner = Literal["user", "title", "pair"]
Doubles = npt.NDArray[np.float64]

_OF_USERS: Mapping[str, str] = MappingProxyType(
    {
        "n_ratings": "number of ratings",
        "mean": "mean rating, stars",
        "variance": "variance of the ratings",
        "bias": "stars above titles' means",
        "per_week": "ratings a week",
        "weekend": "share on weekends",
        "hours:night": "share from 0:00 to 6:00",
        "hours:morning": "share from 6:00 to 12:00",
        "hours:afternoon": "share from 12:00 to 18:00",
        "hours:evening": "share from 18:00 to 24:00",
        "diversity": "chance two genres differ",
        "drift": "share of genres that changed",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureSummary:
    """A named feature and how it is distributed."""

    # What has it: each user or each title with a rating, or each rating.
    owner: Owner
    name: str
    # What it says, with its unit.
    meaning: str
    # Share of the owners for which it is known.
    known: float
    # Mean and standard deviation over these.
    mean: float
    spread: float

    @classmethod
    def of(
        cls, owner: Owner, name: str, meaning: str, values: Doubles
    ) -> "FeatureSummary | None":
        """Summarise a feature.

        Examples
        --------
        >>> found = FeatureSummary.of("user", "n", "number", np.array([1.0, 3.0, np.nan]))
        >>> found.mean, found.spread, round(found.known, 2)
        (2.0, 1.0, 0.67)
        """
        known = np.isfinite(values)
        if not known.any():
            return None
        return cls(
            owner=owner,
            name=name,
            meaning=meaning,
            known=float(known.mean()),
            mean=float(values[known].mean()),
            spread=float(values[known].std()),
        )


def summarize_features(
    ratings: Ratings, catalogue: Catalogue
) -> tuple[FeatureSummary, ...]:
    """Compute every named feature that the data allows, and summarise it."""
    found = (
        FeatureSummary.of(owner, name, meaning, np.asarray(values, dtype=np.float64))
        for build in (_of_users, _of_titles, _of_pairs)
        for owner, name, meaning, values in build(ratings, catalogue)
    )
    return tuple(summary for summary in found if summary is not None)


_Found = Iterable[tuple[Owner, str, str, npt.NDArray[Any]]]


def _of_users(ratings: Ratings, catalogue: Catalogue) -> _Found:
    columns = behaviour_table(ratings, catalogue).columns
    rated = columns["n_ratings"] > 0
    for name, meaning in _OF_USERS.items():
        if name in columns:
            yield "user", name, meaning, columns[name][rated]
    liked = [values for name, values in columns.items() if name.startswith("prefers:")]
    if liked:
        strongest = np.max(liked, axis=0)[rated]
        yield "user", "prefers", "best genre above own mean", strongest


def _of_titles(ratings: Ratings, catalogue: Catalogue) -> _Found:
    rated = np.bincount(ratings.items, minlength=ratings.n_items) > 0
    yield "title", "bias", "stars above the mean", title_bias(ratings)[rated]
    popularity = title_popularity(ratings)[rated]
    yield "title", "popularity", "log(1 + number of ratings)", popularity
    if not len(catalogue):
        return
    readers: tuple[tuple[str, str, Callable[[Catalogue], Doubles]], ...] = (
        ("genres", "number of genres", _n_genres),
        ("release_year", "year of release", release_year),
        ("type", "share that are films", _is_film),
        ("duration", "minutes of a film", duration_minutes),
    )
    for name, meaning, read in readers:
        yield "title", name, meaning, read(catalogue)[rated]


def _n_genres(catalogue: Catalogue) -> Doubles:
    if not catalogue.has("listed_in"):
        return np.full(len(catalogue), np.nan)
    counts = genre_table(catalogue.frame["listed_in"])[1].sum(axis=1)
    return np.where(counts > 0, counts, np.nan)


def _is_film(catalogue: Catalogue) -> Doubles:
    types = title_type(catalogue)
    known = np.array([each is not None for each in types], dtype=bool)
    return np.where(known, types == "Movie", np.nan)


def _of_pairs(ratings: Ratings, catalogue: Catalogue) -> _Found:
    users, items = ratings.users, ratings.items
    if catalogue.has("listed_in"):
        names, has = genre_table(catalogue.frame["listed_in"])
        columns = behaviour_table(ratings, catalogue).columns
        likes = np.stack([columns[f"prefers:{name}"] for name in names], axis=1)
        stars = user_genre_interaction(users, items, likes, has)
        known = has.sum(axis=1)[items] > 0
        meaning = "liking for its genres, stars"
        yield "pair", "user_genre", meaning, np.where(known, stars, np.nan)
    if ratings.timestamps is not None and len(catalogue):
        years = years_since_release(catalogue, items, ratings.timestamps)
        yield "pair", "since_release", "years since its release", years
