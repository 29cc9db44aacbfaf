"""Small data for the tests of models, and the real data where it is there."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harness.data.catalogue import Catalogue
from harness.data.linking.link import link
from harness.data.load import load_dataset
from harness.data.ratings import Ratings, RatingScale
from harness.data.readers.streaming import read_catalogues
from harness.evaluation.splits import split_off_test

GENRES = ("Drama", "Comedy", "Action", "Romance", "Horror")
HALF_STARS = RatingScale(0.5, 5.0)


def make_ratings(*, n_users=30, n_items=24, density=0.35, seed=0):
    """Rate at random in half stars: mean 3.3, users and items of different level."""
    rng = np.random.default_rng(seed)
    level = 3.3 + rng.normal(0, 0.5, (n_users, 1)) + rng.normal(0, 0.4, (1, n_items))
    stars = np.round(2 * (level + rng.normal(0, 0.6, level.shape))) / 2
    users, items = np.nonzero(rng.random(level.shape) < density)
    return Ratings.from_columns(
        [f"u{user}" for user in users],
        [f"i{item}" for item in items],
        np.clip(stars[users, items], 0.5, 5.0),
        scale=HALF_STARS,
        timestamps=1_000_000_000 + rng.integers(0, 10**7, len(users)),
        unrated_items=["never rated 1", "never rated 2"],
    )


def make_catalogue(ratings, *, seed=0):
    """Describe each title by metadata in the published form, some of it missing."""
    rng = np.random.default_rng(seed)
    n = ratings.n_items
    people = [f"Person {k}" for k in range(8)]
    frame = pd.DataFrame(
        {
            "unique_id": [f"AMZ_{k}" for k in range(n)],
            "source": rng.choice(["AMAZON", "NETFLIX"], n),
            "show_id": [f"s{k}" for k in range(n)],
            "type": rng.choice(["Movie", "TV Show"], n),
            "title": [f"Title {k}" for k in range(n)],
            "director": rng.choice(people, n),
            "cast": [", ".join(rng.choice(people, 3, replace=False)) for _ in range(n)],
            "country": rng.choice(["India", "France"], n),
            "date_added": pd.Timestamp("2021-03-30"),
            "release_year": rng.integers(1950, 2021, n),
            "rating": rng.choice(["PG-13", "R", "13+"], n),
            "duration": [f"{minutes} min" for minutes in rng.integers(60, 180, n)],
            "listed_in": [
                ", ".join(rng.choice(GENRES, 2, replace=False)) for _ in range(n)
            ],
            "description": [
                f"A story of {rng.choice(people)} and {rng.choice(GENRES)}."
                for _ in range(n)
            ],
            "duration_minutes": rng.integers(60, 180, n).astype(float),
            "n_seasons": np.nan,
            "maturity": rng.choice([0.0, 13.0, 17.0], n),
        }
    )
    frame.loc[::7, ["director", "cast", "description"]] = None
    frame.loc[::5, ["duration_minutes"]] = np.nan
    return Catalogue(frame)


@pytest.fixture
def ratings():
    """30 users, 26 items of which two have no rating, about 250 ratings."""
    return make_ratings()


@pytest.fixture
def catalogue(ratings):
    """The catalogue of `ratings`."""
    return make_catalogue(ratings)


@pytest.fixture(scope="session")
def generate():
    """The function that makes ratings, for tests that want another size."""
    return make_ratings


@pytest.fixture(scope="session")
def ml_100k():
    """MovieLens 100K, skipping the test where it is absent."""
    default = Path(__file__).parents[3] / "shared" / "data"
    path = Path(os.environ.get("HARNESS_TEST_DATA", default)) / "ml-100k" / "u.data"
    if not path.exists():
        pytest.skip(f"MovieLens 100K is not there: no {path.name} in {path.parent}.")
    table = np.loadtxt(path, dtype=np.int64)
    return Ratings.from_columns(
        table[:, 0].astype(str),
        table[:, 1].astype(str),
        table[:, 2],
        scale=RatingScale(1, 5),
        timestamps=table[:, 3],
    )


@pytest.fixture(scope="session")
def linked_movielens(real_data):
    """MovieLens latest-small, joined to the catalogues of four services."""
    platforms = ("amazon_prime", "disney_plus", "hulu", "netflix")
    files = [str(real_data / "catalogue" / f"{name}_titles.csv") for name in platforms]
    titles = read_catalogues(files).frame
    return link(load_dataset(str(real_data / "ml-latest-small")), titles).dataset


@pytest.fixture(scope="session")
def rmse_of_rare_titles(linked_movielens):
    """Return a function: RMSE on titles of at most so many training ratings.

    The test ratings of some splits together: each has few of such titles.
    """
    splits = [
        split_off_test(linked_movielens, method="random", test_share=0.2, seed=seed)
        for seed in range(8)
    ]

    def measure(model, *, most, n_splits=8):
        errors = []
        for split in splits[:n_splits]:
            train, test = split.train, split.test.open()
            counts = np.bincount(train.items, minlength=train.n_items)
            rare = test.take(counts[test.items] <= most)
            model.fit(train, linked_movielens.catalogue)
            errors.append(model.predict(rare.users, rare.items) - rare.values)
        return float(np.sqrt(np.mean(np.concatenate(errors) ** 2)))

    return measure
