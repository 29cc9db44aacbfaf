"""What is measured on a data set, checked on data small enough to count."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from harness.data import habits
from harness.data.catalogue import CATALOGUE_COLUMNS, Catalogue
from harness.data.dataset import Dataset
from harness.data.load import load_dataset
from harness.data.profile import Quantiles, profile, published_characteristics
from harness.data.ratings import Ratings, RatingScale

DAY = 86_400
MONDAY = 4 * DAY  # 1970-01-05


def make_ratings(users, items, values=None, timestamps=None, unrated_items=()):
    return Ratings.from_columns(
        list(users),
        list(items),
        values or [1 + k % 5 for k in range(len(users))],
        scale=RatingScale(1, 5),
        timestamps=None if timestamps is None else np.array(timestamps),
        unrated_items=unrated_items,
    )


def make_dataset(ratings, frame=None, **more):
    catalogue = Catalogue.empty() if frame is None else Catalogue(frame)
    return Dataset(name="d", ratings=ratings, catalogue=catalogue, source="s", **more)


def test_sizes_count_those_with_ratings_and_titles_all():
    ratings = make_ratings("aab", "xyx", unrated_items=["z"])
    measured = profile(make_dataset(ratings))
    assert (measured.n_users, measured.n_items) == (2, 2)
    assert (measured.n_ratings, measured.n_titles) == (3, 3)
    assert measured.sparsity == pytest.approx(1 / 4)


def test_users_without_a_rating_do_not_count():
    ratings = make_ratings("aab", "xyx").take(np.array([0, 1]))
    measured = profile(make_dataset(ratings))
    assert (measured.n_users, measured.sparsity) == (1, 0.0)


def test_mean_and_variance_are_those_of_all_ratings():
    measured = profile(make_dataset(make_ratings("abc", "xxx", [1, 2, 3])))
    assert measured.mean == pytest.approx(2.0)
    assert measured.variance == pytest.approx(2 / 3)


def test_quantiles_are_interpolated():
    summary = Quantiles.of(np.array([1, 2, 3, 4, 9]))
    assert tuple(vars(summary).values()) == (1, 2, 3, 4, 9)
    assert Quantiles.of(np.array([1, 2])).median == 1.5


def test_the_long_tail_of_equal_titles_is_flat():
    users, items = np.repeat(list("ab"), 10), list("0123456789") * 2
    measured = profile(make_dataset(make_ratings(users, items)))
    assert measured.title_gini == pytest.approx(0.0)
    assert measured.top_titles_share == pytest.approx(0.1)


def test_the_gini_coefficient_is_half_the_relative_mean_difference():
    # Titles with 1 and 3 ratings: |1-3| on average over 4 ordered pairs is 1; the mean
    # is 2; half of 1/2 is 1/4. The top tenth of two titles is one of them.
    measured = profile(make_dataset(make_ratings("abca", "xxxy")))
    assert measured.title_gini == pytest.approx(1 / 4)
    assert measured.top_titles_share == pytest.approx(3 / 4)


def test_what_the_source_does_not_tell_is_none():
    measured = profile(make_dataset(make_ratings("ab", "xy")))
    assert measured.times is None
    assert measured.genres is None
    assert measured.average_watch_minutes is None
    assert measured.missing == {}
    assert measured.characteristics()["peak_hours"] is None


def test_characteristics_have_the_names_that_are_published():
    measured = profile(make_dataset(make_ratings("ab", "xy")))
    assert list(measured.characteristics()) == list(published_characteristics())


def test_every_published_name_is_one_that_is_measured():
    frame = pd.DataFrame({"listed_in": ["Drama", "Drama"]})
    ratings = make_ratings("ab", "xy", timestamps=[MONDAY + 1, MONDAY + DAY])
    minutes = np.array([10, 20], dtype=np.float32)
    measured = profile(make_dataset(ratings, frame, watch_minutes=minutes))
    assert None not in measured.characteristics().values()
    assert measured.average_watch_minutes == 15.0


def test_a_user_with_all_ratings_in_an_evening_counts_as_a_week():
    ratings = make_ratings("aaa", "xyz", timestamps=[0, 60, 120])
    assert habits.ratings_per_week(ratings) == 3.0


def test_weeks_are_counted_from_the_first_to_the_last_rating_in_any_order():
    # User a: 3 ratings in 3 weeks; user b: 1 rating, one week.
    times = [21 * DAY, 0, 5, DAY]
    ratings = make_ratings("abaa", "xxyz", timestamps=[times[0], times[2], 0, DAY])
    assert habits.ratings_per_week(ratings) == 4 / (3 + 1)


def test_1970_01_05_is_a_monday():
    ratings = make_ratings("aab", "xyx", timestamps=[MONDAY, MONDAY + 5 * DAY, MONDAY])
    assert habits.weekday_counts(ratings).tolist() == [2, 0, 0, 0, 0, 1, 0]


def test_a_weekend_twice_as_busy_has_ratio_two():
    assert habits.weekend_to_weekday_ratio(np.array([3, 3, 3, 3, 3, 6, 6])) == 2.0


def test_without_a_weekday_there_is_no_ratio():
    assert habits.weekend_to_weekday_ratio(np.array([0, 0, 0, 0, 0, 1, 2])) is None


def test_dates_without_hours_have_no_peak():
    ratings = make_ratings("ab", "xy", timestamps=[MONDAY, MONDAY + DAY])
    times = profile(make_dataset(ratings)).times
    assert times is not None
    assert times.peak_hours is None
    assert times.first_rating == datetime(1970, 1, 5, tzinfo=UTC)


def test_the_peak_is_the_busiest_window_not_the_busiest_hour():
    counts = np.zeros(24, dtype=int)
    counts[[3, 9, 10, 11]] = [5, 3, 3, 3]
    assert habits.peak_hours(counts) == "09:00-12:00"


GENRES = pd.Series(["Drama", "Drama, Comedy", "Comedy", None, "Horror"])


def test_genres_are_split_at_commas_and_unknown_ones_left_out():
    genres, has = habits.genre_table(pd.Series(["Drama,Comedy, ", None, " Drama"]))
    assert genres == ("Comedy", "Drama")
    assert has.tolist() == [[1, 1], [0, 0], [0, 1]]


def test_primary_genre_affinity_is_the_share_of_each_users_commonest_genre():
    # a: Drama in 2 of 3; b: Horror in 1 of 1, and a title of unknown genre.
    _, has = habits.genre_table(GENRES)
    ratings = Ratings.from_codes(
        (np.array([0, 0, 0, 1, 1]), np.array(["a", "b"], dtype=object)),
        (np.array([0, 1, 2, 3, 4]), np.array(list("vwxyz"), dtype=object)),
        [1, 2, 3, 4, 5],
        scale=RatingScale(1, 5),
    )
    assert habits.primary_genre_affinity(ratings, has) == pytest.approx(3 / 4)
    # a: genres Drama, Drama, Comedy, Comedy: 1 - 1/4 - 1/4, with weight 3; b: 0.
    assert habits.genre_diversity(ratings, has) == pytest.approx(0.5 * 3 / 4)


def test_titles_without_any_known_genre_have_no_genre_habits():
    frame = pd.DataFrame({"listed_in": [None, None, "Drama"]}, dtype="str")
    ratings = make_ratings("ab", "xy", unrated_items=["z"])
    assert profile(make_dataset(ratings, frame)).genres is None


def test_missing_values_are_shares_and_absent_columns_miss_all():
    frame = pd.DataFrame({"title": ["t", None], "director": [None, None]})
    measured = profile(make_dataset(make_ratings("ab", "xy"), frame))
    assert list(measured.missing) == list(CATALOGUE_COLUMNS)
    assert measured.missing["title"] == 0.5
    assert measured.missing["director"] == 1.0
    assert measured.missing["cast"] == 1.0


def test_movielens_100k_has_its_known_size(real_data):
    measured = profile(load_dataset(str(real_data / "ml-100k")))
    assert (measured.n_users, measured.n_items) == (943, 1682)
    assert measured.sparsity == pytest.approx(1 - 100_000 / (943 * 1682))
    assert measured.mean == pytest.approx(3.52986)
    assert measured.per_user.lowest == 20
    assert measured.times is not None
    assert f"{measured.times.first_rating:%Y-%m}" == "1997-09"
    assert f"{measured.times.last_rating:%Y-%m}" == "1998-04"
