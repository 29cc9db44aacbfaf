"""Named features of titles, and of a user and a title together."""

import numpy as np
import pandas as pd

from harness.data.catalogue import Catalogue
from harness.data.ratings import Ratings, RatingScale
from harness.features.pairs import (
    equal_genre_shares,
    trusted_genre_preferences,
    user_genre_interaction,
    years_since_release,
)
from harness.features.titles import (
    duration_minutes,
    primary_genre,
    rating_statistics_parts,
    release_year,
    title_bias,
    title_popularity,
    title_type,
)

CATALOGUE = Catalogue(
    pd.DataFrame(
        {
            "type": ["Movie", "TV Show", None],
            "listed_in": ["War, Drama", None, "Comedy"],
            "release_year": [1999.0, 2010.0, np.nan],
            "duration_minutes": [95.0, np.nan, np.nan],
        }
    )
)
RATINGS = Ratings.from_columns(
    list("uvwu"),
    list("aaab"),
    [5, 4, 3, 4],
    scale=RatingScale(1, 5),
    unrated_items=["c"],
)


def test_title_bias_is_the_shrunk_mean_deviation():
    assert title_bias(RATINGS, regularization=1.0).tolist() == [0, 0, 0]
    more = RATINGS.take(np.array([0, 1, 2]))  # a: 5 4, b: 4; mean 13 / 3
    first, second, third = title_bias(more, regularization=1.0)
    np.testing.assert_allclose(first, (9 - 26 / 3) / 3)
    np.testing.assert_allclose(second, (4 - 13 / 3) / 2)
    assert third == 0


def test_popularity_counts_ratings():
    np.testing.assert_allclose(title_popularity(RATINGS), np.log([4, 2, 1]))


def test_new_titles_are_at_the_mean_over_ratings():
    (popularity,) = rating_statistics_parts(RATINGS)  # all biases are 0: no part
    # log 4 of 3 ratings, log 2 of 1: in units of log 2 the mean is 7 / 4, the deviations
    # 1 / 4 and -3 / 4, and their variance 3 / 16.
    expected = [3**-0.5, -(3**0.5), 0]
    np.testing.assert_allclose(popularity.values.ravel(), expected, rtol=1e-6)


def test_what_the_catalogue_says():
    assert primary_genre(CATALOGUE).tolist() == ["War", None, "Comedy"]
    assert title_type(CATALOGUE).tolist() == ["Movie", "TV Show", None]
    np.testing.assert_array_equal(release_year(CATALOGUE), [1999, 2010, np.nan])
    np.testing.assert_array_equal(duration_minutes(CATALOGUE), [95, np.nan, np.nan])


def test_what_the_catalogue_does_not_say_is_missing():
    bare = Catalogue(pd.DataFrame({"title": ["a", "b"]}))
    assert primary_genre(bare).tolist() == title_type(bare).tolist() == [None, None]
    assert np.isnan(release_year(bare)).all()
    assert len(primary_genre(Catalogue.empty())) == 0


def test_years_since_release_are_calendar_years_and_never_negative():
    days = np.array(["2001-01-01", "1998-12-31", "2020-05-05"], dtype="datetime64[s]")
    timestamps = days.astype(np.int64)
    years = years_since_release(CATALOGUE, np.array([0, 0, 2]), timestamps)
    np.testing.assert_array_equal(years, [2, 0, np.nan])


def test_user_genre_interaction_is_the_mean_over_the_titles_genres():
    preferences = np.array([[1.0, 0.0, -0.5], [0.2, 0.4, 0.0]])
    has = np.array([[1, 0, 1], [0, 1, 0], [0, 0, 0]])
    found = user_genre_interaction(
        np.array([0, 1, 1, 0]), np.array([0, 0, 1, 2]), preferences, has
    )
    np.testing.assert_allclose(found, [0.25, 0.1, 0.4, 0.0])


def test_shares_times_preferences_are_the_interaction_of_all_titles():
    rng = np.random.default_rng(0)
    has = (rng.random((9, 4)) < 0.4).astype(np.int64)
    likes = rng.normal(size=(3, 4))
    users, items = np.repeat(np.arange(3), 9), np.tile(np.arange(9), 3)
    everything = (likes @ equal_genre_shares(has).T).ravel()
    found = user_genre_interaction(users, items, likes, has)
    np.testing.assert_allclose(everything, found)


def test_preferences_are_believed_half_with_ten_ratings():
    # Five dramas with 5 and five horrors with 3 stars: 1 above and below the mean, half of
    # which is left of five ratings each, and half of that of ten together.
    ratings = Ratings.from_columns(
        ["a"] * 10 + ["b"],
        [f"i{k}" for k in range(10)] + ["i0"],
        [5] * 5 + [3] * 5 + [4],
        scale=RatingScale(1, 5),
    ).take(np.arange(10))
    has = np.repeat(np.eye(2, dtype=np.int64), 5, axis=0)
    found = trusted_genre_preferences(ratings, has)
    np.testing.assert_allclose(found, [[0.25, -0.25], [0.0, 0.0]])
