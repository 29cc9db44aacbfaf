"""The invented titles in the published 14-column form."""

from typing import TYPE_CHECKING, Any

import numpy as np

from harness.data.maturity import age_from
from harness.data.ott.calibration import FIRST_DAY
from harness.data.ott.descriptions import describe_titles
from harness.data.ott.people import People
from harness.data.ott.titles import Titles
from harness.data.ott.vocabulary import vocabulary

if TYPE_CHECKING:  # pandas is imported where it is used
    import pandas as pd

__all__ = ["make_catalogue"]


def make_catalogue(
    rng: np.random.Generator, titles: Titles, people: People
) -> "pd.DataFrame":
    """Write the catalogue, with gaps as real ones have them.

    Parameters
    ----------
    rng : Generator
        Source of chance.
    titles : Titles
        The titles.
    people : People
        Their directors and casts.

    Returns
    -------
    DataFrame, shape (n_titles, 17)
        `CATALOGUE_COLUMNS` and `DERIVED_COLUMNS`.
    """
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
