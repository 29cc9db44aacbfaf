"""Invented films and shows: platform, genres, year, running time and name."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.data.ott.calibration import N_GENRES_SHARES, N_TITLES
from harness.data.ott.stratified import deal, spread
from harness.data.ott.vocabulary import vocabulary

__all__ = ["Titles", "draw_titles"]

Ints = npt.NDArray[np.int64]
YEARS = (1960, 2021)


@dataclass(frozen=True, kw_only=True, eq=False)
class Titles:
    """What titles are, as codes into the tables of the vocabulary.

    Parameters
    ----------
    names : tuple of str, length n_titles
        No two of them equal.
    platforms, countries, themes : ndarray of int, shape (n_titles,)
        Positions in the tables of these names.
    genres : ndarray of bool, shape (n_titles, n_genres)
        Which genres a title has.
    first_genres : ndarray of int, shape (n_titles,)
        The genre named first.
    shows : ndarray of bool, shape (n_titles,)
        True for a TV show, False for a film.
    years : ndarray of int, shape (n_titles,)
        Year of release.
    age_classes : ndarray of int, shape (n_titles,)
        0 (for all) to 4 (adults only).
    minutes : ndarray of int, shape (n_titles,)
        Running time of a film; of one episode of a show.
    seasons : ndarray of int, shape (n_titles,)
        Seasons of a show; 0 for a film.
    """

    names: tuple[str, ...]
    platforms: Ints
    countries: Ints
    themes: Ints
    genres: npt.NDArray[np.bool_]
    first_genres: Ints
    shows: npt.NDArray[np.bool_]
    years: Ints
    age_classes: Ints
    minutes: Ints
    seasons: Ints


def draw_titles(rng: np.random.Generator) -> Titles:
    """Invent the titles of the service.

    Parameters
    ----------
    rng : Generator
        Source of chance.

    Returns
    -------
    Titles
        `N_TITLES` of them, sorted by platform.
    """
    words = vocabulary()
    genre_words = list(words["genres"].values())
    platforms = np.sort(_draw_shares(rng, list(words["platforms"].values())))
    shows_of = np.array([p["shows"] for p in words["platforms"].values()])
    shows = rng.random(N_TITLES) < shows_of[platforms]
    first_genres = _draw_shares(rng, genre_words)
    low, high = YEARS
    return Titles(
        names=_draw_names(rng, first_genres),
        platforms=platforms,
        countries=_draw_shares(rng, list(words["countries"].values())),
        themes=rng.integers(len(words["themes"]), size=N_TITLES),
        genres=_draw_genres(rng, first_genres),
        first_genres=first_genres,
        shows=shows,
        # Half of the titles are from the last six years or so, as on real services.
        years=high - ((high - low) * rng.beta(0.6, 3.5, N_TITLES)).astype(np.int64),
        age_classes=_draw_age_classes(rng, first_genres),
        minutes=_draw_minutes(rng, first_genres, shows),
        seasons=np.where(shows, np.minimum(rng.geometric(0.55, N_TITLES), 12), 0),
    )


def _draw_shares(rng: np.random.Generator, rows: list[dict[str, Any]]) -> Ints:
    """Give each row its share of the titles, by the column ``share``, at random."""
    shares = np.array([row["share"] for row in rows])
    return deal(shares, spread(rng, np.zeros(N_TITLES)))


def _draw_genres(rng: np.random.Generator, first: Ints) -> npt.NDArray[np.bool_]:
    table = vocabulary()["genres"]
    names = list(table)
    weights = np.array(
        [[row["companions"].get(n, 0) for n in names] for row in table.values()]
    )
    # The companions with the largest keys are a weighted draw without replacement;
    # a genre without weight gets the key -inf.
    with np.errstate(divide="ignore"):
        keys = np.log(weights.astype(float))[first] + rng.gumbel(
            size=(len(first), len(names))
        )
    ranks = np.argsort(np.argsort(-keys, axis=1), axis=1)
    n_more = deal(np.array(N_GENRES_SHARES), spread(rng, first))
    chosen = (ranks < n_more[:, np.newaxis]) & np.isfinite(keys)
    chosen[np.arange(len(first)), first] = True
    has: npt.NDArray[np.bool_] = chosen
    return has


def _draw_age_classes(rng: np.random.Generator, first_genres: Ints) -> Ints:
    weights = np.array([row["ages"] for row in vocabulary()["genres"].values()])
    upper = np.cumsum(weights / weights.sum(axis=1, keepdims=True), axis=1)
    above = rng.random((len(first_genres), 1)) >= upper[first_genres, :-1]
    classes: Ints = above.sum(axis=1)
    return classes


def _draw_minutes(
    rng: np.random.Generator, first_genres: Ints, shows: npt.NDArray[np.bool_]
) -> Ints:
    typical = np.array([row["minutes"] for row in vocabulary()["genres"].values()])
    films = typical[first_genres] * np.exp(rng.normal(0, 0.15, len(shows)))
    episodes = rng.choice([24, 30, 45, 52], size=len(shows))
    return np.where(shows, episodes, films.clip(45, 210)).astype(np.int64)


def _draw_names(rng: np.random.Generator, first_genres: Ints) -> tuple[str, ...]:
    """Name the titles, no two of them with the same words."""
    genres = list(vocabulary()["genres"].values())
    names: dict[frozenset[str], str] = {}
    for genre in first_genres:
        name = _one_name(rng, genres[genre])
        while _words(name) in names:
            name = _one_name(rng, genres[genre])
        names[_words(name)] = name
    return tuple(names.values())


def _words(name: str) -> frozenset[str]:
    """Take the words that count: neither articles nor their order."""
    return frozenset(name.split()) - {"The", "of"}


def _one_name(rng: np.random.Generator, genre: dict[str, Any]) -> str:
    """Build a name from the words of a genre, after one of six patterns."""
    words = vocabulary()
    pattern, *chance = rng.integers(2**31, size=5).tolist()
    noun = _pick(genre["nouns"], chance[0])
    adjective = _pick(genre["adjectives"], chance[1])
    place = _pick(words["places"]["names"], chance[2])
    given = _pick(words["names"]["english"]["given"], chance[3])
    return (
        f"The {adjective} {noun}",
        f"{adjective} {noun}",
        f"{given}'s {noun}",
        f"{place} {noun}",
        f"The {noun} of {place}",
        f"{given} and the {adjective} {noun}",
    )[pattern % 6]


def _pick(words: list[str], chance: int) -> str:
    return words[chance % len(words)]
