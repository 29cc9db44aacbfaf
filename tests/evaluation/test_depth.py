import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.data.ratings import Ratings, RatingScale
from harness.evaluation.cold_start import DEPTHS, known_share, rmse_by_depth
from harness.evaluation.metrics import rmse
from harness.evaluation.results import DepthError


def make_parts(n_training_ratings):
    """One user for each number of training ratings, with two test ratings of 3 stars.

    Training ratings are of titles that only their user has rated; of the test titles
    ``known`` has one training rating, by somebody without test ratings, and ``new`` none.
    """
    training = [
        (f"u{user}", f"title {k} of u{user}")
        for user, n in enumerate(n_training_ratings)
        for k in range(n)
    ] + [("somebody", "known")]
    tested = [
        (f"u{user}", title)
        for user in range(len(n_training_ratings))
        for title in ("known", "new")
    ]
    users, items = zip(*training, *tested, strict=True)
    whole = Ratings.from_columns(
        users, items, np.full(len(users), 3.0), scale=RatingScale(1, 5)
    )
    in_test = whole.rows >= len(training)
    return whole.take(~in_test), whole.take(in_test)


def of_depth(found, depth):
    return next(row for row in found if row.depth == depth)


def test_users_are_told_apart_at_one_six_and_twenty_one_training_ratings():
    train, test = make_parts([0, 1, 5, 6, 20, 21, 300])
    found = rmse_by_depth(train, test, [np.full(len(test), 3.0)])["users"]
    # Two test ratings each: users with 0; 1, 5; 6, 20; 21, 300 training ratings.
    assert [(row.depth, row.n_pairs) for row in found] == [
        ("0", 2),
        ("1-5", 4),
        ("6-20", 4),
        (">20", 4),
    ]


def test_the_error_of_a_depth_is_that_of_its_pairs_alone():
    train, test = make_parts([0, 1, 2])
    # Off by 2 stars for the title that is new, by half a star for the other one.
    prediction = np.where(test.item_ids[test.items] == "new", 5.0, 3.5)
    found = rmse_by_depth(train, test, [prediction])
    assert of_depth(found["items"], "0").rmse.value == pytest.approx(2.0)
    assert of_depth(found["items"], "1-5").rmse.value == pytest.approx(0.5)
    expected = np.sqrt((2.0**2 + 0.5**2) / 2)
    assert of_depth(found["users"], "0").rmse.value == pytest.approx(expected)


def test_values_are_means_over_the_seeds():
    train, test = make_parts([2, 2])
    predictions = [np.full(len(test), 3.0 + off) for off in (0.2, 0.6)]
    found = rmse_by_depth(train, test, predictions)["users"]
    assert of_depth(found, "1-5").rmse.value == pytest.approx(0.4)


def test_a_depth_without_pairs_has_no_value():
    train, test = make_parts([1, 1])
    found = rmse_by_depth(train, test, [np.full(len(test), 3.0)])["users"]
    assert of_depth(found, ">20") == DepthError(depth=">20", n_pairs=0, rmse=None)


def test_pairs_of_one_user_have_a_value_without_an_interval():
    train, test = make_parts([0, 1, 1])
    found = rmse_by_depth(train, test, [np.full(len(test), 4.0)])["users"]
    alone = of_depth(found, "0")
    assert alone.rmse.value == 1.0
    assert np.isnan([alone.rmse.low, alone.rmse.high]).all()


def test_the_interval_encloses_the_value_where_users_differ():
    train, test = make_parts([1] * 40)
    prediction = 3.0 + np.random.default_rng(0).normal(size=len(test))
    row = of_depth(rmse_by_depth(train, test, [prediction])["users"], "1-5")
    assert row.rmse.low < row.rmse.value < row.rmse.high


@given(st.lists(st.integers(0, 30), min_size=1, max_size=12), st.integers(0, 9))
def test_squared_errors_of_the_depths_add_up_to_that_of_all_pairs(n_ratings, seed):
    train, test = make_parts(n_ratings)
    prediction = 3.0 + np.random.default_rng(seed).normal(size=len(test))
    total = len(test) * rmse(test.values, prediction) ** 2
    for rows in rmse_by_depth(train, test, [prediction]).values():
        assert [row.depth for row in rows] == list(DEPTHS)
        found = sum(row.n_pairs * row.rmse.value**2 for row in rows if row.rmse)
        assert found == pytest.approx(total)


def test_a_pair_is_known_if_both_user_and_title_have_training_ratings():
    train, test = make_parts([0, 1, 2, 3])
    # Of four users one has no training rating, of each one's two titles one has none.
    assert known_share(train, test) == pytest.approx(3 / 4 * 1 / 2)
