import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.data.ratings import Ratings, RatingScale
from harness.evaluation.final import describe_residuals
from harness.evaluation.metrics import rmse
from harness.evaluation.results import CalibrationGroup


def rated(values, scale=(1, 5)):
    ids = [str(k) for k in range(len(values))]
    return Ratings.from_columns(ids, ids, values, scale=RatingScale(*scale))


@st.composite
def judged(draw):
    stars = st.sampled_from([1.0, 1.5, 2.0, 3.0, 4.5, 5.0])
    values = draw(st.lists(stars, min_size=1, max_size=60))
    seed = draw(st.integers(0, 99))
    noise = np.random.default_rng(seed).normal(size=(2, len(values)))
    # Rounded, so that some predictions are equal.
    predictions = [np.round(3.0 + row, draw(st.integers(0, 2))) for row in noise]
    return rated(values), predictions


def test_errors_are_told_by_the_star_that_was_given():
    test = rated([1.0, 1.0, 4.0])
    found = describe_residuals(test, [np.array([2.0, 4.0, 3.5])]).by_star
    # Of one star: +1 and +3; of four stars: -0.5.
    assert [(row.star, row.n, row.mean_error) for row in found] == [
        (1.0, 2, 2.0),
        (4.0, 1, -0.5),
    ]
    assert [row.rmse for row in found] == pytest.approx([np.sqrt(5), 0.5])


def test_errors_are_means_over_the_seeds():
    test = rated([3.0, 3.0])
    predictions = [np.array([4.0, 4.0]), np.array([3.0, 1.0])]
    [row] = describe_residuals(test, predictions).by_star
    assert row.mean_error == pytest.approx((1.0 - 1.0) / 2)
    assert row.rmse == pytest.approx((1.0 + np.sqrt(2)) / 2)


def test_the_star_is_named_as_it_was_given():
    [row] = describe_residuals(rated([3.6]), [np.array([3.0])]).by_star
    assert row.star == 3.6


def test_many_different_ratings_are_told_in_ten_bins_of_the_scale():
    values = np.array([0.0, 5, 9, 10, 50, 51, 52, 53, 54, 95, 100])
    test = rated(values, scale=(0, 100))
    found = describe_residuals(test, [values + 1.0]).by_star
    # Bins are 0-10, 10-20, ...; what lies on an edge belongs to the bin above it.
    assert [(row.star, row.n) for row in found] == [
        (5.0, 3),
        (15.0, 1),
        (55.0, 5),
        (95.0, 2),
    ]


@given(judged())
def test_squared_errors_of_the_stars_add_up_to_that_of_all_ratings(case):
    test, predictions = case
    rows = describe_residuals(test, predictions[:1]).by_star
    total = sum(row.n * row.rmse**2 for row in rows)
    assert total == pytest.approx(len(test) * rmse(test.values, predictions[0]) ** 2)


def test_calibration_is_told_in_ten_groups_of_equal_size():
    predicted = np.linspace(1.0, 5.0, 100)
    test = rated(predicted[::-1])
    found = describe_residuals(test, [predicted]).calibration
    assert [row.n for row in found] == [10] * 10
    # The lowest ten predictions are of the highest ten ratings.
    assert found[0].predicted == pytest.approx(predicted[:10].mean())
    assert found[0].actual == pytest.approx(predicted[90:].mean())


def test_equal_predictions_are_in_one_group():
    test = rated([1.0, 2.0, 3.0, 4.0])
    found = describe_residuals(test, [np.full(4, 3.0)]).calibration
    assert found == (CalibrationGroup(predicted=3.0, actual=2.5, n=4),)


def test_groups_are_by_the_mean_prediction_of_the_seeds():
    test = rated([1.0, 5.0])
    predictions = [np.array([1.0, 4.0]), np.array([5.0, 4.5])]
    found = describe_residuals(test, predictions).calibration
    assert [row.predicted for row in found] == [3.0, 4.25]


@given(judged())
def test_groups_of_calibration_keep_all_pairs_and_both_means(case):
    test, predictions = case
    rows = describe_residuals(test, predictions).calibration
    n = np.array([row.n for row in rows])
    assert n.sum() == len(test)
    assert len(rows) <= 10
    for name, values in [
        ("predicted", np.mean(predictions, axis=0)),
        ("actual", test.values),
    ]:
        means = np.array([getattr(row, name) for row in rows])
        assert (n * means).sum() / n.sum() == pytest.approx(values.mean())
    assert (np.diff([row.predicted for row in rows]) > 0).all()
