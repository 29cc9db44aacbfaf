import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.data.ratings import Ratings, RatingScale
from harness.evaluation.metrics import METRICS, user_rmse
from harness.evaluation.statistics import UserBootstrap


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


def test_mae_of_one_rating_each_has_students_interval_on_the_logarithmic_scale():
    # With one rating each the MAE is a mean of independent numbers: its standard error
    # is s / sqrt(n), with n - 1 degrees of freedom.
    test = one_rating_each(40)
    errors = np.abs(test.values.astype(np.float64) - 3.0)
    estimates = UserBootstrap(test, n_resamples=20_000).metrics([np.full(40, 3.0)])
    half = scipy.stats.t.ppf(0.975, 39) * scipy.stats.sem(errors)
    mean = errors.mean()
    # A bootstrap of 20,000 draws knows the standard error to 0.5 %.
    reach = np.log(estimates["mae"].high / mean), np.log(mean / estimates["mae"].low)
    assert reach == pytest.approx((half / mean, half / mean), rel=0.02)
    # The same for a share, without logarithms.
    share = (errors <= 1).mean()
    half = scipy.stats.t.ppf(0.975, 39) * np.sqrt(share * (1 - share) / 39)
    found = estimates["within_one_star"]
    assert (found.low, found.high) == pytest.approx(
        (share - half, share + half), abs=0.02 * half
    )


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
    # All ratings agree on the difference: no number of comparisons makes it chance.
    assert p_value < 1e-9


def test_metrics_of_several_seeds_are_means(small_ratings):
    one, two = (small_ratings.values + np.float32(off) for off in (0.2, 0.6))
    estimate = UserBootstrap(small_ratings, n_resamples=10).metrics([one, two])["rmse"]
    assert estimate.value == pytest.approx(0.4, abs=1e-6)


def test_same_seed_same_interval(small_ratings):
    prediction = [np.full(900, 3.0, np.float32)]
    one, two = (UserBootstrap(small_ratings).metrics(prediction) for _ in range(2))
    assert one == two


def with_rmse(rmse):
    """Ratings by 50 users, and a prediction for each of these RMSEs: no user differs."""
    test = one_rating_each(50)
    return test, [test.values.astype(np.float64) + size for size in rmse]


def test_where_users_do_not_differ_the_spread_of_seeds_is_the_uncertainty():
    # Then the RMSEs of the seeds are a sample of three: Student's interval of its mean.
    test, predictions = with_rmse([0.90, 0.93, 0.96])
    found = UserBootstrap(test, n_resamples=50).metrics(predictions)["rmse"]
    half = scipy.stats.t.ppf(0.975, 2) * 0.03 / np.sqrt(3)
    assert np.log(found.high / 0.93) == pytest.approx(half / 0.93)
    assert np.log(0.93 / found.low) == pytest.approx(half / 0.93)


def test_where_users_do_not_differ_the_difference_is_tested_as_welch_does():
    one, other = [0.90, 0.93, 0.97], [0.95, 0.96, 1.02, 0.99]
    test, predictions = with_rmse(one + other)
    bootstrap = UserBootstrap(test, n_resamples=50)
    estimate, p_value = bootstrap.difference(predictions[:3], predictions[3:])
    welch = scipy.stats.ttest_ind(one, other, equal_var=False)
    assert p_value == pytest.approx(welch.pvalue)
    interval = welch.confidence_interval(0.95)
    assert (estimate.low, estimate.high) == pytest.approx((interval.low, interval.high))


def test_independent_errors_of_several_seeds_average_out():
    rng = np.random.default_rng(3)
    test = one_rating_each(5000)
    # Each seed makes the same errors on other ratings, so their RMSEs are equal.
    errors = rng.normal(size=5000)
    equal = [test.values + rng.permutation(errors) for _ in range(3)]
    together = UserBootstrap(test).metrics(equal)["rmse"]
    alone = UserBootstrap(test).metrics(equal[:1])["rmse"]
    # Three independent errors for each rating instead of one.
    ratio = (alone.high - alone.low) / (together.high - together.low)
    assert ratio == pytest.approx(np.sqrt(3), rel=0.05)


@given(shift=st.floats(-0.1, 0.1), n_seeds=st.integers(1, 3), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_p_is_below_a_twentieth_exactly_if_the_interval_excludes_zero(
    shift, n_seeds, seed
):
    rng = np.random.default_rng(seed)
    test = one_rating_each(30, seed)
    errors = rng.normal(size=(2, n_seeds, 30)) / 10 + rng.normal(size=30)
    one, other = ([test.values + e for e in model] for model in errors)
    other = [prediction * (1 + shift) for prediction in other]
    bootstrap = UserBootstrap(test, n_resamples=100)
    estimate, p_value = bootstrap.difference(one, other)
    assert (p_value < 0.05) == (estimate.low > 0 or estimate.high < 0)
    swapped, same_p = bootstrap.difference(other, one)
    assert same_p == pytest.approx(p_value)
    assert (swapped.low, swapped.high) == pytest.approx((-estimate.high, -estimate.low))


def test_users_with_most_of_the_ratings_leave_few_effective_ones():
    # (10 + 1 + 1)^2 / (100 + 1 + 1) = 144 / 102
    users = ["a"] * 10 + ["b", "c"]
    ids = [str(k) for k in range(12)]
    test = Ratings.from_columns(users, ids, np.ones(12), scale=RatingScale(1, 5))
    bootstrap = UserBootstrap(test, n_resamples=10)
    assert bootstrap.n_users == 3
    assert bootstrap.n_effective_users == pytest.approx(144 / 102)


def test_of_a_single_user_only_the_value_is_known():
    ids = ["i", "j"]
    test = Ratings.from_columns(["u", "u"], ids, [1, 5], scale=RatingScale(1, 5))
    bootstrap = UserBootstrap(test, n_resamples=10)
    one, other = [np.array([2.0, 4.0])], [np.array([3.0, 3.0])]
    found = bootstrap.metrics(one)["rmse"]
    assert (found.value, np.isnan(found.low), np.isnan(found.high)) == (1, True, True)
    difference, p_value = bootstrap.difference(one, other)
    assert (difference.value, np.isnan(difference.low), p_value) == (-1, True, 1)


def test_a_subset_is_the_bootstrap_of_its_own_ratings(small_ratings):
    rows = small_ratings.items < 5
    prediction = np.full(900, 3.0, np.float32)
    whole = UserBootstrap(small_ratings, n_resamples=200, seed=4, confidence=0.9)
    alone = UserBootstrap(
        small_ratings.take(rows), n_resamples=200, seed=4, confidence=0.9
    )
    subset = whole.subset(rows)
    assert subset.metrics([prediction[rows]]) == alone.metrics([prediction[rows]])
    assert subset.n_users == len(np.unique(small_ratings.users[rows]))


def test_predictions_are_told_apart_by_what_they_say_not_by_where_they_are():
    test, (good,) = with_rmse([0.5])
    bootstrap = UserBootstrap(test, n_resamples=10)
    assert bootstrap.metrics([good])["rmse"].value == pytest.approx(0.5)
    good += 0.5
    assert bootstrap.metrics([good])["rmse"].value == pytest.approx(1.0)


def test_draws_too_many_to_keep_are_drawn_anew_and_are_the_same(
    small_ratings, monkeypatch
):
    prediction = [np.full(900, 3.0, np.float32)]
    kept = UserBootstrap(small_ratings, n_resamples=100).metrics(prediction)
    monkeypatch.setattr("harness.evaluation.statistics._KEPT_CELLS", 0)
    bootstrap = UserBootstrap(small_ratings, n_resamples=100)
    assert bootstrap.metrics(prediction) == kept
    assert bootstrap.difference(prediction, [small_ratings.values])[0].low > 0


def test_confidence_widens_the_interval_as_student_says(small_ratings):
    prediction = [np.full(900, 3.0, np.float32)]
    wide, narrow = (
        UserBootstrap(small_ratings, confidence=confidence).metrics(prediction)["rmse"]
        for confidence in (0.99, 0.9)
    )
    counts = np.bincount(small_ratings.users)
    freedom = counts.sum() ** 2 / (counts**2).sum() - 1
    expected = scipy.stats.t.ppf(0.995, freedom) / scipy.stats.t.ppf(0.95, freedom)
    ratio = np.log(wide.high / wide.low) / np.log(narrow.high / narrow.low)
    assert ratio == pytest.approx(expected)


def test_unexplained_variance_is_known_up_to_a_factor(small_ratings):
    prediction = [small_ratings.values * np.float32(0.5) + np.float32(1.5)]
    found = UserBootstrap(small_ratings).metrics(prediction)["r2"]
    assert found.low < found.value < found.high
    expected = (1 - found.value) ** 2
    assert (1 - found.low) * (1 - found.high) == pytest.approx(expected)


def test_a_share_stays_between_nothing_and_all():
    test = one_rating_each(5)
    near_hits = test.values + np.array([0.1, 0.1, 0.1, 0.1, 0.7], np.float32)
    found = UserBootstrap(test).metrics([near_hits])["within_half_star"]
    assert found.value == pytest.approx(0.8)
    assert found.low > 0
    assert found.high == 1
