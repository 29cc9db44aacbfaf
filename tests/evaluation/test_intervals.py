import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.data.ratings import Ratings, RatingScale
from harness.evaluation.clusters import Clusters, Groups
from harness.evaluation.dependence import (
    SCORES,
    ScoreIntervals,
    ScoreSums,
)
from harness.evaluation.metrics import score
from tests.facts import difference_of


def one_rating_each(n, seed=0):
    rng = np.random.default_rng(seed)
    ids = [str(k) for k in range(n)]
    values = rng.uniform(1, 5, n)
    return Ratings.from_columns(ids, ids, values, scale=RatingScale(1, 5))


def test_values_are_the_metrics_themselves(small_ratings):
    prediction = np.full(900, 3.2, np.float32)
    estimates = ScoreIntervals(small_ratings).metrics([prediction])
    for name, expected in score(small_ratings.values, prediction).items():
        assert estimates[name].value == pytest.approx(expected, abs=1e-9)
    squares = np.square(small_ratings.values.astype(np.float64) - prediction)
    of_users = [
        np.sqrt(squares[small_ratings.users == user].mean())
        for user in np.unique(small_ratings.users)
    ]
    assert estimates["user_rmse"].value == pytest.approx(np.mean(of_users))


def test_the_rmse_of_users_counts_every_user_once():
    # One user is off by 1 three times, the other by 3 once: (1 + 3) / 2.
    ids, titles = list("aaab"), list("1234")
    test = Ratings.from_columns(ids, titles, np.full(4, 3.0), scale=RatingScale(1, 5))
    errors = np.where(test.users == test.users[-1], 3, 1)
    found = ScoreIntervals(test).score("user_rmse", [test.values + errors])
    assert found.value == pytest.approx(2.0)


def test_mae_of_one_rating_each_has_students_interval_on_the_logarithmic_scale():
    # With one rating each the MAE is a mean of independent numbers: its standard error
    # is s / sqrt(n), with n - 1 degrees of freedom.
    test = one_rating_each(40)
    errors = np.abs(test.values.astype(np.float64) - 3.0)
    estimates = ScoreIntervals(test).metrics([np.full(40, 3.0)])
    half = scipy.stats.t.ppf(0.975, 39) * scipy.stats.sem(errors)
    mean = errors.mean()
    reach = np.log(estimates["mae"].high / mean), np.log(mean / estimates["mae"].low)
    assert reach == pytest.approx((half / mean, half / mean))
    # The same for a share, without logarithms.
    share = (errors <= 1).mean()
    half = scipy.stats.t.ppf(0.975, 39) * np.sqrt(share * (1 - share) / 39)
    found = estimates["within_one_star"]
    assert (found.low, found.high) == pytest.approx((share - half, share + half))


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
        ScoreIntervals(ratings).metrics([zeros])["rmse"] for ratings in (few, many)
    )
    ratio = (wide.high - wide.low) / (narrow.high - narrow.low)
    assert ratio == pytest.approx(np.sqrt(10), rel=0.15)


def test_a_model_does_not_differ_from_itself(small_ratings):
    prediction = [np.full(900, 3.0, np.float32)]
    estimate, p_value = difference_of(
        ScoreIntervals(small_ratings), prediction, prediction
    )
    assert (estimate.value, estimate.low, estimate.high, p_value) == (0, 0, 0, 1)


def test_a_clear_difference_is_found_with_its_sign(small_ratings):
    good = [small_ratings.values + np.float32(0.1)]
    bad = [small_ratings.values + np.float32(0.5)]
    estimate, p_value = difference_of(ScoreIntervals(small_ratings), good, bad)
    assert estimate.value == pytest.approx(-0.4, abs=1e-6)
    # All ratings agree on the difference: no number of comparisons makes it chance.
    assert p_value < 1e-9


def test_metrics_of_several_seeds_are_means(small_ratings):
    one, two = (small_ratings.values + np.float32(off) for off in (0.2, 0.6))
    estimate = ScoreIntervals(small_ratings).metrics([one, two])["rmse"]
    assert estimate.value == pytest.approx(0.4, abs=1e-6)


def with_rmse(rmse):
    """Ratings by 50 users, and a prediction for each of these RMSEs: no user differs."""
    test = one_rating_each(50)
    return test, [test.values.astype(np.float64) + size for size in rmse]


def test_where_users_do_not_differ_the_spread_of_seeds_is_the_uncertainty():
    # Then the RMSEs of the seeds are a sample of three: Student's interval of its mean.
    test, predictions = with_rmse([0.90, 0.93, 0.96])
    found = ScoreIntervals(test).metrics(predictions)["rmse"]
    half = scipy.stats.t.ppf(0.975, 2) * 0.03 / np.sqrt(3)
    assert np.log(found.high / 0.93) == pytest.approx(half / 0.93)
    assert np.log(0.93 / found.low) == pytest.approx(half / 0.93)


def test_where_users_do_not_differ_the_difference_is_tested_as_welch_does():
    one, other = [0.90, 0.93, 0.97], [0.95, 0.96, 1.02, 0.99]
    test, predictions = with_rmse(one + other)
    intervals = ScoreIntervals(test)
    estimate, p_value = difference_of(intervals, predictions[:3], predictions[3:])
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
    together = ScoreIntervals(test).metrics(equal)["rmse"]
    alone = ScoreIntervals(test).metrics(equal[:1])["rmse"]
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
    intervals = ScoreIntervals(test)
    estimate, p_value = difference_of(intervals, one, other)
    assert (p_value < 0.05) == (estimate.low > 0 or estimate.high < 0)
    swapped, same_p = difference_of(intervals, other, one)
    assert same_p == pytest.approx(p_value)
    assert (swapped.low, swapped.high) == pytest.approx((-estimate.high, -estimate.low))


def test_users_with_most_of_the_ratings_leave_few_effective_ones():
    # (10 + 1 + 1)^2 / (100 + 1 + 1) = 144 / 102
    users = ["a"] * 10 + ["b", "c"]
    ids = [str(k) for k in range(12)]
    test = Ratings.from_columns(users, ids, np.ones(12), scale=RatingScale(1, 5))
    intervals = ScoreIntervals(test)
    assert intervals.n_users == 3
    assert Clusters.of(test.users).n_effective == pytest.approx(144 / 102)


def test_of_a_single_user_only_the_value_is_known():
    ids = ["i", "j"]
    test = Ratings.from_columns(["u", "u"], ids, [1, 5], scale=RatingScale(1, 5))
    intervals = ScoreIntervals(test)
    one, other = [np.array([2.0, 4.0])], [np.array([3.0, 3.0])]
    found = intervals.metrics(one)["rmse"]
    assert (found.value, np.isnan(found.low), np.isnan(found.high)) == (1, True, True)
    difference, p_value = difference_of(intervals, one, other)
    assert (difference.value, np.isnan(difference.low), p_value) == (-1, True, 1)


def test_confidence_widens_the_interval_as_student_says():
    test = one_rating_each(50)
    wide, narrow = (
        ScoreIntervals(test, confidence=confidence).metrics([np.full(50, 3.0)])["rmse"]
        for confidence in (0.99, 0.9)
    )
    expected = scipy.stats.t.ppf(0.995, 49) / scipy.stats.t.ppf(0.95, 49)
    ratio = np.log(wide.high / wide.low) / np.log(narrow.high / narrow.low)
    assert ratio == pytest.approx(expected)


@pytest.mark.parametrize("name", SCORES)
def test_every_score_varies_over_users_as_a_jackknife_says(name):
    # An independent estimate: leave out one user at a time.
    rng = np.random.default_rng(0)
    n_users = 120
    users = np.repeat(np.arange(n_users), rng.integers(3, 30, n_users))
    truth = rng.integers(1, 6, len(users)).astype(np.float64)
    predicted = truth + rng.normal(0, 0.4, n_users)[users]
    predicted += rng.normal(0, 0.7, len(users))

    def score(rows):
        groups = Groups.of(users[rows], None)
        sums = ScoreSums(truth[rows], [[predicted[rows]]], groups, SCORES[name])
        return sums.estimate(0)

    left_out = np.array([score(users != u).value for u in range(n_users)])
    jackknife = (n_users - 1) / n_users * np.square(left_out - left_out.mean()).sum()
    found = score(users >= 0).parts.users
    # They differ by their corrections for few users, of the order of 1 / n.
    assert found == pytest.approx(jackknife, rel=0.04)


@pytest.mark.parametrize("name", SCORES)
def test_what_single_ratings_add_to_a_score_is_its_derivative(name):
    # Changing the weight of a rating by a little changes the score by its influence:
    # here weights are whole numbers, and 1 / 1000 is one more copy of a thousand.
    rng = np.random.default_rng(1)
    users = np.repeat(np.arange(4), [2, 3, 4, 3])
    truth, errors = rng.normal(3, 1, 12), rng.normal(0, 0.8, 12)

    def fit(copies):
        chosen = np.repeat(np.arange(12), copies)
        groups = Clusters.of(users[chosen])
        return SCORES[name].fit(truth[chosen], errors[chosen], groups)

    _, influence = fit(np.ones(12, int))
    whole = fit(np.full(12, 1000))[0]
    expected = influence(truth, errors, users)
    for k in range(12):
        more = fit(np.full(12, 1000) + (np.arange(12) == k))[0] - whole
        if not SCORES[name].per_user:
            assert 1000 * more == pytest.approx(expected[k], rel=0.01, abs=1e-5)
        else:
            # Users count the same whatever their number of ratings.
            own = expected[users == users[k]]
            assert 1000 * more == pytest.approx(
                expected[k] - own.mean(), rel=0.01, abs=1e-5
            )


def test_unexplained_variance_is_known_up_to_a_factor(small_ratings):
    prediction = [small_ratings.values * np.float32(0.5) + np.float32(1.5)]
    found = ScoreIntervals(small_ratings).metrics(prediction)["r2"]
    assert found.low < found.value < found.high
    expected = (1 - found.value) ** 2
    assert (1 - found.low) * (1 - found.high) == pytest.approx(expected)


def test_a_share_stays_between_nothing_and_all():
    test = one_rating_each(5)
    near_hits = test.values + np.array([0.1, 0.1, 0.1, 0.1, 0.7], np.float32)
    found = ScoreIntervals(test).metrics([near_hits])["within_half_star"]
    assert found.value == pytest.approx(0.8)
    assert found.low > 0
    assert found.high == 1
