"""Invented directors and casts, with names that come back."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.data.ott.titles import Titles
from harness.data.ott.vocabulary import vocabulary

__all__ = ["People", "draw_people"]

Ints = npt.NDArray[np.int64]
LARGEST_CAST = 7
TITLES_PER_DIRECTOR = 3
ACTORS_PER_TITLE = 0.8


@dataclass(frozen=True, kw_only=True, eq=False)
class People:
    """Who made the titles.

    Parameters
    ----------
    names : tuple of str, length n_people
        No two of them equal.
    directors : ndarray of int, shape (n_titles,)
        Position of the director in `names`.
    casts : ndarray of int, shape (n_titles, LARGEST_CAST)
        Positions of the cast in `names`, leads first; -1 fills up a smaller cast.
    """

    names: tuple[str, ...]
    directors: Ints
    casts: Ints


def draw_people(rng: np.random.Generator, titles: Titles) -> People:
    """Cast the titles with people from their country.

    Directors keep to a genre and make about three titles each; a few actors play
    many parts, many play one.

    Parameters
    ----------
    rng : Generator
        Source of chance.
    titles : Titles
        Their countries and first genres count.

    Returns
    -------
    People
        Directors and casts.
    """
    n_titles = len(titles.names)
    groups = [row["names"] for row in vocabulary()["countries"].values()]
    directors = np.full(n_titles, -1)
    casts = np.full((n_titles, LARGEST_CAST), -1)
    names: list[str] = []
    for group in dict.fromkeys(groups):
        here = np.flatnonzero(np.isin(titles.countries, _positions(groups, group)))
        people = _shuffled_names(rng, group)
        n_directors = min(len(people) // 4, len(here) // TITLES_PER_DIRECTOR + 1)
        n_actors = min(
            len(people) - n_directors, int(ACTORS_PER_TITLE * len(here)) + LARGEST_CAST
        )
        first = len(names)
        names += people[: n_directors + n_actors]
        directors[here] = first + _choose_directors(
            rng, titles.first_genres[here], n_directors
        )
        casts[here] = _choose_casts(rng, len(here), n_actors)
        casts[here] += np.where(casts[here] >= 0, first + n_directors, 0)
    return People(names=tuple(names), directors=directors, casts=casts)


def _positions(groups: list[str], group: str) -> list[int]:
    return [k for k, g in enumerate(groups) if g == group]


def _shuffled_names(rng: np.random.Generator, group: str) -> list[str]:
    words = vocabulary()["names"][group]
    pairs = [
        f"{given} {family}" for given in words["given"] for family in words["family"]
    ]
    return [pairs[k] for k in rng.permutation(len(pairs))]


def _choose_directors(rng: np.random.Generator, genres: Ints, n_directors: int) -> Ints:
    """Give each genre its directors, in proportion to its titles."""
    order = np.argsort(genres, kind="stable")
    chosen = np.empty(len(genres), dtype=np.int64)
    # Titles sorted by genre and directors in a row meet at the same relative place.
    place = (
        np.arange(len(genres)) + rng.normal(0, TITLES_PER_DIRECTOR, len(genres))
    ) / len(genres)
    chosen[order] = (place.clip(0, 1 - 1e-9) * n_directors).astype(np.int64)
    return chosen


def _choose_casts(rng: np.random.Generator, n_titles: int, n_actors: int) -> Ints:
    popularity = -np.log(np.arange(1, n_actors + 1) + 10.0)
    keys = popularity + rng.gumbel(size=(n_titles, n_actors))
    casts = np.argsort(-keys, axis=1)[:, :LARGEST_CAST]
    size = rng.integers(2, LARGEST_CAST + 1, size=(n_titles, 1))
    return np.where(np.arange(LARGEST_CAST) < size, casts, -1)
