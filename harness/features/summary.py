"""The named features of users, of titles and of both together, in a few numbers each."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from harness.data.catalogue import Catalogue
from harness.data.habits import genre_table
from harness.data.ratings import Ratings
from harness.features.behaviour import behaviour_table
from harness.features.interactions import user_genre_interaction, years_since_release
from harness.features.titles import (
    duration_minutes,
    release_year,
    title_bias,
    title_popularity,
    title_type,
)

__all__ = ["FeatureSummary", "Owner", "summarize_features"]

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
    """A named feature and how it is distributed.

    Parameters
    ----------
    owner : {"user", "title", "pair"}
        What has it: each user or each title with a rating, or each rating.
    name : str
        Its name.
    meaning : str
        What it says, with its unit.
    known : float
        Share of the owners for which it is known.
    mean, spread : float
        Mean and standard deviation over these.
    """

    owner: Owner
    name: str
    meaning: str
    known: float
    mean: float
    spread: float

    @classmethod
    def of(
        cls, owner: Owner, name: str, meaning: str, values: Doubles
    ) -> "FeatureSummary | None":
        """Summarise a feature.

        Parameters
        ----------
        owner : {"user", "title", "pair"}
            What has it.
        name, meaning : str
            Its name and what it says.
        values : ndarray of float64, shape (n_owners,)
            At least one; NaN where it is not known.

        Returns
        -------
        FeatureSummary or None
            None if it is known of nothing.

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
    """Compute every named feature that the data allows, and summarise it.

    Parameters
    ----------
    ratings : Ratings
        At least one.
    catalogue : Catalogue
        Of their titles; may be empty.

    Returns
    -------
    tuple of FeatureSummary
        Of users, of titles, of both together.
    """
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
