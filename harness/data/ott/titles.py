"""Invented films and shows: genres, people, plots, and the catalogue frame."""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harness.data.ott.calibration import FIRST_DAY, N_GENRES_SHARES, N_TITLES
from harness.data.readers.repairs import age_from

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "People",
    "Titles",
    "deal",
    "draw_people",
    "draw_titles",
    "make_catalogue",
    "normal_scores",
    "spread",
]


# Chance that is spread evenly, so that all seeds give nearly the same statistics.

STRATUM = 20


def deal(
    shares: npt.NDArray[np.float64], places: npt.NDArray[np.float64]
) -> npt.NDArray[np.int64]:
    """Deal out positions in given shares.

    Examples
    --------
    >>> deal(np.array([3.0, 0.0, 1.0]), np.array([0.1, 0.7, 0.8])).tolist()
    [0, 0, 2]
    """
    upper = np.cumsum(shares)[:-1] / shares.sum()
    return np.searchsorted(upper, places, side="right")


def spread(rng: np.random.Generator, key: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Draw uniform numbers, evenly among rows that are neighbours by a key.

    Of each 20 rows that follow each other in the order of the key, one gets a number
    below 1/20, one below 2/20, and so on (stratified sampling). Otherwise a handful of
    heavy raters or popular titles would decide the statistics of all.
    """
    n_strata = -(-len(key) // STRATUM)
    strata = np.tile(np.arange(STRATUM), (n_strata, 1))
    places = rng.permuted(strata, axis=1).ravel()[: len(key)] + rng.random(len(key))
    numbers = np.empty(len(key))
    numbers[np.argsort(key, kind="stable")] = places / STRATUM
    return numbers


def normal_scores(probabilities: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Look up quantiles of the standard normal distribution."""
    quantile = NormalDist().inv_cdf  # SciPy would cost a tenth of a second to import
    return np.array([quantile(p) for p in probabilities.clip(1e-9, 1 - 1e-9).tolist()])


@cache
def vocabulary() -> dict[str, Any]:
    """Read the shipped vocabulary."""
    text = resources.files(__package__).joinpath("vocabulary.toml").read_text("utf-8")
    return tomllib.loads(text)


Ints = npt.NDArray[np.int64]
YEARS = (1960, 2021)


@dataclass(frozen=True, kw_only=True, eq=False)
class Titles:
    """What titles are, as codes into the tables of the vocabulary."""

    names: tuple[str, ...]  # no two of them equal
    platforms: Ints  # shape (n_titles,): Positions in the table of platforms
    countries: Ints  # shape (n_titles,): Positions in the table of countries
    themes: Ints  # shape (n_titles,): Positions in the table of themes
    # shape (n_titles, n_genres): Which genres a title has
    genres: npt.NDArray[np.bool_]
    first_genres: Ints  # shape (n_titles,): The genre named first
    # shape (n_titles,): True for a TV show, False for a film
    shows: npt.NDArray[np.bool_]
    years: Ints  # shape (n_titles,): Year of release
    age_classes: Ints  # shape (n_titles,): 0 (for all) to 4 (adults only)
    minutes: Ints  # shape (n_titles,): Running time of a film; of one episode of a show
    seasons: Ints  # shape (n_titles,): Seasons of a show; 0 for a film


def draw_titles(rng: np.random.Generator) -> Titles:
    """Invent the titles of the service."""
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


LARGEST_CAST = 7
TITLES_PER_DIRECTOR = 3
ACTORS_PER_TITLE = 0.8


@dataclass(frozen=True, kw_only=True, eq=False)
class People:
    """Who made the titles."""

    names: tuple[str, ...]  # no two of them equal
    directors: Ints  # shape (n_titles,): Position of the director in `names`
    # shape (n_titles, LARGEST_CAST): Positions of the cast in `names`, leads first; -1
    # fills up a smaller cast
    casts: Ints


def draw_people(rng: np.random.Generator, titles: Titles) -> People:
    """Cast the titles with people from their country.

    Directors keep to a genre and make about three titles each; a few actors play
    many parts, many play one.
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


SINGULAR = ("a ", "an ", "the last ", "the crew ")


def describe_titles(rng: np.random.Generator, titles: Titles) -> list[str]:
    """Write a description of each title."""
    words = vocabulary()
    genres = list(words["genres"].values())
    themes = list(words["themes"].values())
    places = words["places"]["names"]
    chances = rng.integers(2**31, size=(len(titles.names), 8)).tolist()
    texts = []
    for k, chance in enumerate(chances):
        first = genres[titles.first_genres[k]]
        having = [genres[g] for g in np.flatnonzero(titles.genres[k])]
        other = having[chance[6] % len(having)]
        about, also = _two(themes[titles.themes[k]], chance[0], chance[1])
        who = first["who"][chance[2] % len(first["who"])]
        what = other["what"][chance[3] % len(other["what"])]
        goal = (first if chance[7] % 2 else other)["goal"]
        place = places[chance[4] % len(places)]
        plural = not who.startswith(SINGULAR)
        must = "must" if chance[7] % 3 else _agree("sets out to", plural=plural)
        texts.append(
            f"In {place}, {who} {_agree(what, plural=plural)} and {must} "
            f"{goal[chance[5] % len(goal)]}. A story of {about} and {also}."
        )
    return texts


def _two(words: list[str], one: int, other: int) -> tuple[str, str]:
    """Pick two different words."""
    first = one % len(words)
    second = (first + 1 + other % (len(words) - 1)) % len(words)
    return words[first], words[second]


def _agree(what: str, *, plural: bool) -> str:
    """Put the verb in the plural: ``"falls"`` becomes ``"fall"``."""
    if not plural:
        return what
    verb, _, rest = what.partition(" ")
    irregular = {"is": "are", "hatches": "hatch", "misses": "miss"}
    return f"{irregular.get(verb, verb.removesuffix('s'))} {rest}"


def make_catalogue(
    rng: np.random.Generator, titles: Titles, people: People
) -> "pd.DataFrame":
    """Write the catalogue, with gaps as real ones have them."""
    import pandas as pd

    words = vocabulary()
    platforms, genres = (
        list(words["platforms"].items()),
        np.array(list(words["genres"])),
    )
    number = np.arange(len(titles.names)) - np.searchsorted(
        titles.platforms, titles.platforms
    )
    ids = [
        f"{platforms[p][1]['prefix']}_{n}"
        for p, n in zip(titles.platforms, number, strict=True)
    ]
    ratings = words["content_ratings"]
    rating = np.where(
        titles.shows,
        np.array(ratings["shows"])[titles.age_classes],
        np.array(ratings["films"])[titles.age_classes],
    )
    films = ~titles.shows
    frame = pd.DataFrame(
        {
            "unique_id": ids,
            "source": [platforms[p][0] for p in titles.platforms],
            "show_id": [f"s{n + 1}" for n in number],
            "type": np.where(titles.shows, "TV Show", "Movie"),
            "title": titles.names,
            "director": [people.names[d] for d in people.directors],
            "cast": [
                ", ".join(people.names[a] for a in cast if a >= 0)
                for cast in people.casts
            ],
            "country": np.array(list(words["countries"]))[titles.countries],
            "date_added": _dates_added(rng, titles),
            "release_year": titles.years.astype(float),
            "rating": rating,
            "duration": [
                _duration(m, s)
                for m, s in zip(titles.minutes, titles.seasons, strict=True)
            ],
            "listed_in": [
                _listed(genres, row, f)
                for row, f in zip(titles.genres, titles.first_genres, strict=True)
            ],
            "description": describe_titles(rng, titles),
            "duration_minutes": np.where(films, titles.minutes, np.nan),
            "n_seasons": np.where(films, np.nan, titles.seasons),
            "maturity": [age_from(r) for r in rating.tolist()],
        }
    )
    _forget(rng, frame, titles)
    return frame


def _duration(minutes: int, seasons: int) -> str:
    if not seasons:
        return f"{minutes} min"
    return "1 Season" if seasons == 1 else f"{seasons} Seasons"


def _listed(genres: Any, has: Any, first: int) -> str:
    """List genres, the first one first."""
    others = [g for g in np.flatnonzero(has) if g != first]
    return ", ".join(genres[[first, *others]])


def _dates_added(rng: np.random.Generator, titles: Titles) -> Any:
    """Add titles in the six years before the first rating, never before their release."""
    last = np.datetime64(FIRST_DAY, "D") - 1
    released = (titles.years - 1970).astype("datetime64[Y]").astype("datetime64[D]")
    earliest = np.maximum(released, last - 6 * 365)
    days = (last - earliest).astype(int)
    return (earliest + (days * rng.random(len(days))).astype("timedelta64[D]")).astype(
        "datetime64[s]"
    )


def _forget(rng: np.random.Generator, frame: "pd.DataFrame", titles: Titles) -> None:
    """Leave out values, as often as the platforms do; directors of shows more often."""
    platforms = list(vocabulary()["platforms"].values())
    for column in platforms[0]["missing"]:
        share = np.array([p["missing"][column] for p in platforms])[titles.platforms]
        if column == "director":
            share = share * np.where(titles.shows, 2.0, 0.6)
        gaps = rng.random(len(frame)) < share
        frame.loc[gaps, column] = None
        if column == "rating":
            frame.loc[gaps, "maturity"] = np.nan
