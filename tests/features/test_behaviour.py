"""Behaviour of users: each feature by hand on two users and three titles."""

import numpy as np
import pandas as pd
import pytest

from harness.data.catalogue import Catalogue
from harness.data.ratings import Ratings, RatingScale
from harness.features.users import (
    behaviour_table,
    genre_drift,
    genre_preferences,
    genre_shares,
    mean_ratings,
    part_of_day_shares,
    rating_counts,
    rating_frequency,
    rating_variances,
    user_biases,
    user_genre_diversity,
    weekend_share,
)

DAY = 86_400
FRIDAY = 8 * DAY  # 1970-01-09; the 1st was a Thursday
HOUR = 3_600

# Drama, Comedy: x is drama, y comedy, z both.
HAS = np.array([[1, 0], [0, 1], [1, 1]])


def make(users, items, values, times=None):
    return Ratings.from_columns(
        list(users),
        list(items),
        values,
        scale=RatingScale(1, 5),
        timestamps=None if times is None else np.array(times, dtype=np.int64),
    )


@pytest.fixture
def ratings():
    """Anna: x 5, y 2, z 5 from Friday 9:00 on for three weeks. Bo: x 3 on Saturday."""
    times = [FRIDAY + 9 * HOUR, FRIDAY + DAY, FRIDAY + 21 * DAY + 9 * HOUR]
    times.append(FRIDAY + DAY + 20 * HOUR)
    return make("aaab", "xyzx", [5, 2, 5, 3], times)


@pytest.fixture
def with_stranger(ratings):
    """The ratings of Anna alone: Bo is known, but has none."""
    return ratings.take(ratings.users == 0)


def test_counts_means_and_variances(ratings):
    np.testing.assert_allclose(rating_counts(ratings), [3, 1])
    np.testing.assert_allclose(mean_ratings(ratings), [4, 3])
    # Deviations of Anna: 1, -2, 1.
    np.testing.assert_allclose(rating_variances(ratings), [2, 0])


def test_the_bias_is_against_the_means_of_the_titles(ratings):
    # Means: x 4, y 2, z 5. Anna is above by 1, 0, 0; Bo below by 1.
    np.testing.assert_allclose(user_biases(ratings, shrinkage=0), [1 / 3, -1])
    np.testing.assert_allclose(user_biases(ratings, shrinkage=1), [1 / 4, -1 / 2])


def test_frequency_counts_at_least_one_week(ratings):
    # Three weeks between Anna's first and last rating.
    np.testing.assert_allclose(rating_frequency(ratings), [1, 1])


def test_a_rating_on_saturday_or_sunday_is_at_the_weekend(ratings):
    np.testing.assert_allclose(weekend_share(ratings), [1 / 3, 1])


def test_the_day_has_four_parts(ratings):
    # Anna: morning, midnight, morning. Bo: evening.
    expected = [[1 / 3, 2 / 3, 0, 0], [0, 0, 0, 1]]
    np.testing.assert_allclose(part_of_day_shares(ratings), expected)


def test_shares_diversity_and_preferences_of_genres(ratings):
    # Anna has rated drama twice (x, z) and comedy twice (y, z).
    np.testing.assert_allclose(genre_shares(ratings, HAS), [[1 / 2, 1 / 2], [1, 0]])
    np.testing.assert_allclose(user_genre_diversity(ratings, HAS), [1 / 2, 0])
    # Deviations from 4: drama +1 +1, comedy -2 +1; shrunk by two ratings.
    preferences = genre_preferences(ratings, HAS, shrinkage=2)
    np.testing.assert_allclose(preferences, [[2 / 4, -1 / 4], [0, 0]])


def test_drift_is_the_distance_between_earlier_and_later_genres():
    # Earlier x: all drama. Later y, z: drama 1/3, comedy 2/3.
    ratings = make("aaa", "xyz", [3, 3, 3], [1, 2, 3])
    np.testing.assert_allclose(genre_drift(ratings, HAS), [2 / 3])
    # It goes by time, not by the order of rows: earlier x and x, later y and y.
    ratings = make("aaaa", "xyxy", [3, 3, 3, 3], [1, 3, 2, 4])
    np.testing.assert_allclose(genre_drift(ratings, HAS), [1])
    ratings = make("aaaa", "xyxy", [3, 3, 3, 3], [1, 2, 3, 4])
    np.testing.assert_allclose(genre_drift(ratings, HAS), [0])


def test_features_of_time_are_absent_without_timestamps():
    ratings = make("ab", "xy", [1, 5])
    assert rating_frequency(ratings) is None
    assert weekend_share(ratings) is None
    assert part_of_day_shares(ratings) is None
    assert genre_drift(ratings, HAS) is None
    assert set(behaviour_table(ratings, Catalogue.empty()).columns) == {
        "n_ratings",
        "mean",
        "variance",
        "bias",
    }


def test_hours_are_absent_where_times_are_dates():
    ratings = make("ab", "xy", [1, 5], [3 * DAY, 4 * DAY])
    assert part_of_day_shares(ratings) is None
    assert weekend_share(ratings) is not None


def test_a_user_without_ratings_gives_no_answer(with_stranger):
    assert rating_counts(with_stranger)[1] == 0
    assert user_biases(with_stranger)[1] == 0
    assert rating_frequency(with_stranger)[1] == 0
    for feature in (mean_ratings, rating_variances, weekend_share):
        assert np.isnan(feature(with_stranger)[1])
    assert np.isnan(part_of_day_shares(with_stranger)[1]).all()
    assert np.isnan(user_genre_diversity(with_stranger, HAS)[1])


def test_the_table_names_every_feature_the_data_allows(ratings):
    frame = pd.DataFrame({"listed_in": ["Drama", "Comedy", "Drama, Comedy"]})
    table = behaviour_table(ratings, Catalogue(frame))
    assert {"per_week", "weekend", "hours:evening", "diversity", "drift"} <= set(
        table.columns
    )
    # In alphabetical order comedy comes first.
    np.testing.assert_allclose(
        table.columns["prefers:Drama"], genre_preferences(ratings, HAS)[:, 0]
    )
    assert all(values.shape == (2,) for values in table.columns.values())


def test_genres_that_name_nothing_are_left_out(ratings):
    frame = pd.DataFrame({"listed_in": [",", ",", ","]})
    assert "diversity" not in behaviour_table(ratings, Catalogue(frame)).columns
