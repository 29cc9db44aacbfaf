"""A data set in numbers: size, ratings, long tail, habits, gaps."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.data import habits
from harness.data.catalogue import CATALOGUE_COLUMNS, Catalogue
from harness.data.dataset import Dataset
from harness.data.ratings import Ratings

__all__ = [
    "DataProfile",
    "Genres",
    "Quantiles",
    "Times",
    "profile",
    "published_characteristics",
]


@dataclass(frozen=True, kw_only=True)
class Quantiles:
    """A distribution in five numbers."""

    lowest: float
    quarter: float
    median: float
    three_quarters: float
    highest: float

    @classmethod
    def of(cls, values: npt.NDArray[np.int64]) -> "Quantiles":
        """Summarise counts."""
        names = ("lowest", "quarter", "median", "three_quarters", "highest")
        numbers = np.quantile(values, [0, 0.25, 0.5, 0.75, 1]).tolist()
        return cls(**dict(zip(names, numbers, strict=True)))


@dataclass(frozen=True, kw_only=True)
class Times:
    """When users rate."""

    first_rating: datetime
    last_rating: datetime
    ratings_per_week: float
    weekend_to_weekday_ratio: float | None
    # See `habits.peak_hours`; None if the source knows only dates
    peak_hours: str | None


@dataclass(frozen=True, kw_only=True)
class Genres:
    """Which genres users rate."""

    primary_genre_affinity: float
    genre_diversity: float


@dataclass(frozen=True, kw_only=True)
class DataProfile:
    """What a data set is like. None: the source does not tell."""

    n_users: int  # with a rating
    n_items: int  # titles with a rating
    n_ratings: int
    n_titles: int  # titles in the catalogue, rated or not
    # Share of the pairs of such users and rated titles without a rating
    sparsity: float
    mean: float  # of all ratings, in stars
    variance: float  # in squared stars; divides by the number of ratings
    per_user: Quantiles  # ratings of a user
    per_title: Quantiles  # ratings of a rated title
    # Share of the ratings that go to the tenth of the rated titles with most of them
    # (rounded up to whole titles)
    top_titles_share: float
    # Gini coefficient of the ratings of a rated title: 0 if all have as many, near 1 if
    # one has them all
    title_gini: float
    average_watch_minutes: float | None
    times: Times | None  # when users rate
    genres: Genres | None  # which genres they rate
    # Share of the titles without a value, by column of the 14-column form; empty
    # without catalogue
    missing: Mapping[str, float]

    def characteristics(self) -> dict[str, float | str | None]:
        """Collect what the published study prints about its own data."""
        flat: dict[str, Any] = {**vars(self)}
        for part in (self.times, self.genres):
            flat |= {} if part is None else vars(part)
        return {name: flat.get(name) for name in published_characteristics()}


def published_characteristics() -> dict[str, float | str]:
    """Read what the published study prints about its data."""
    file = resources.files(__package__).joinpath("published_characteristics.toml")
    return tomllib.loads(file.read_text("utf-8"))


def profile(dataset: Dataset) -> DataProfile:
    """Measure a data set."""
    ratings = dataset.ratings
    by_user = np.bincount(ratings.users)
    by_title = np.bincount(ratings.items)
    by_user, by_title = by_user[by_user > 0], by_title[by_title > 0]
    values = ratings.values.astype(np.float64)
    minutes = dataset.watch_minutes
    return DataProfile(
        n_users=len(by_user),
        n_items=len(by_title),
        n_ratings=len(ratings),
        n_titles=ratings.n_items,
        sparsity=1 - len(ratings) / (len(by_user) * len(by_title)),
        mean=float(values.mean()),
        variance=float(values.var()),
        per_user=Quantiles.of(by_user),
        per_title=Quantiles.of(by_title),
        top_titles_share=_top_share(by_title),
        title_gini=_gini(by_title),
        average_watch_minutes=None
        if minutes is None
        else float(minutes.mean(dtype=float)),
        times=_times(ratings),
        genres=_genres(dataset),
        missing=_missing(dataset.catalogue),
    )


def _top_share(counts: npt.NDArray[np.int64]) -> float:
    n_top = -(-len(counts) // 10)
    return float(np.sort(counts)[-n_top:].sum() / counts.sum())


def _gini(counts: npt.NDArray[np.int64]) -> float:
    n = len(counts)
    ranks = np.arange(1, n + 1)
    return float((2 * ranks - n - 1) @ np.sort(counts) / (n * counts.sum()))


def _times(ratings: Ratings) -> Times | None:
    if ratings.timestamps is None:
        return None
    hours = habits.hour_counts(ratings)
    return Times(
        first_rating=datetime.fromtimestamp(int(ratings.timestamps.min()), UTC),
        last_rating=datetime.fromtimestamp(int(ratings.timestamps.max()), UTC),
        ratings_per_week=habits.ratings_per_week(ratings),
        weekend_to_weekday_ratio=habits.weekend_to_weekday_ratio(
            habits.weekday_counts(ratings)
        ),
        peak_hours=None if hours is None else habits.peak_hours(hours),
    )


def _genres(dataset: Dataset) -> Genres | None:
    if not dataset.catalogue.has("listed_in"):
        return None
    _, has = habits.genre_table(dataset.catalogue.frame["listed_in"])
    if not has[dataset.ratings.items].any():
        return None
    return Genres(
        primary_genre_affinity=habits.primary_genre_affinity(dataset.ratings, has),
        genre_diversity=habits.genre_diversity(dataset.ratings, has),
    )


def _missing(catalogue: Catalogue) -> dict[str, float]:
    """Measure the gaps; a column that is not there at all has nothing but gaps."""
    if not len(catalogue):
        return {}
    frame = catalogue.frame
    return {
        column: float(frame[column].isna().mean()) if column in frame else 1.0
        for column in CATALOGUE_COLUMNS
    }
