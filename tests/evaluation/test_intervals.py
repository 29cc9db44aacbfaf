import numpy as np
import pytest
import scipy.stats

from harness.data.ratings import Ratings, RatingScale
from harness.evaluation.intervals import UserBootstrap
from harness.evaluation.metrics import METRICS, user_rmse


def one_rating_each(n, seed=0):
    rng = np.random.default_rng(seed)
    ids = [str(k) for k in range(n)]
    values = rng.uniform(1, 5, n)
    return Ratings.from_columns(ids, ids, values, scale=RatingScale(1, 5))


def test_values_are_the_metrics_themselves(small_ratings):
    prediction = np.full(900, 3.2, np.float32)
    estimates = UserBootstrap(small_ratings, n_resamples=50).metrics([prediction])
    for name, metric in METRICS.items():
        expected = metric.compute(small_ratings.values, prediction)
        assert estimates[name].value == pytest.approx(expected, abs=1e-9)
    expected = user_rmse(small_ratings.users, small_ratings.values, prediction)
    assert estimates["user_rmse"].value == pytest.approx(expected)


def test_interval_agrees_with_scipy_where_every_user_has_one_rating():
    test = one_rating_each(200)
    prediction = np.full(200, 3.0, np.float32)
    ours = UserBootstrap(test, n_resamples=4000).metrics([prediction])["rmse"]
    theirs = scipy.stats.bootstrap(
        (test.values.astype(np.float64) - 3.0,),
        lambda errors, axis: np.sqrt(np.mean(errors**2, axis=axis)),
        n_resamples=4000,
        method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval
    # Two bootstraps of 4,000 draws: their ends differ by chance only.
    width = theirs.high - theirs.low
    assert ours.low == pytest.approx(theirs.low, abs=0.08 * width)
    assert ours.high == pytest.approx(theirs.high, abs=0.08 * width)


def test_dependent_ratings_of_few_users_widen_the_interval():
    # The same 100 errors, each of them ten times, by 100 users instead of 1,000.
    rng = np.random.default_rng(0)
    errors = np.repeat(rng.normal(size=100), 10)
    ids = [str(k) for k in range(1000)]
    scale = RatingScale(-9, 9)
    few = Ratings.from_columns(
        [str(k // 10) for k in range(1000)], ids, errors, scale=scale
    )
    many = Ratings.from_columns(ids, ids, errors, scale=scale)
    zeros = np.zeros(1000, np.float32)
    wide, narrow = (
        UserBootstrap(ratings).metrics([zeros])["rmse"] for ratings in (few, many)
    )
    ratio = (wide.high - wide.low) / (narrow.high - narrow.low)
    assert ratio == pytest.approx(np.sqrt(10), rel=0.15)


def test_a_model_does_not_differ_from_itself(small_ratings):
    prediction = [np.full(900, 3.0, np.float32)]
    estimate, p_value = UserBootstrap(small_ratings).difference(prediction, prediction)
    assert (estimate.value, estimate.low, estimate.high, p_value) == (0, 0, 0, 1)


def test_a_clear_difference_is_found_with_its_sign(small_ratings):
    good = [small_ratings.values + np.float32(0.1)]
    bad = [small_ratings.values + np.float32(0.5)]
    estimate, p_value = UserBootstrap(small_ratings).difference(good, bad)
    assert estimate.value == pytest.approx(-0.4, abs=1e-6)
    # No draw of 2,000 on the other side: two-sided, and the sample itself counts.
    assert p_value == pytest.approx(2 * 1 / 2001)


def test_metrics_of_several_seeds_are_means(small_ratings):
    one, two = (small_ratings.values + np.float32(off) for off in (0.2, 0.6))
    estimate = UserBootstrap(small_ratings, n_resamples=10).metrics([one, two])["rmse"]
    assert estimate.value == pytest.approx(0.4, abs=1e-6)


def test_same_seed_same_interval(small_ratings):
    prediction = [np.full(900, 3.0, np.float32)]
    one, two = (UserBootstrap(small_ratings).metrics(prediction) for _ in range(2))
    assert one == two
