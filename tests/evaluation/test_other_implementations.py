"""Our statistics beside statsmodels, baycomp and autorank, where these are installed.

None of them is a dependency: ``pip install statsmodels baycomp autorank`` brings them.
"""

import math

import numpy as np
import pytest

from harness.evaluation.clusters import Groups
from harness.evaluation.data_sets import critical_difference
from harness.evaluation.dependence import SCORES, ScoreSums, Uncertain, VarianceParts
from harness.evaluation.equivalence import answer_pairs, users_to_detect
from harness.evaluation.repeats import compare_repeats

MAE = SCORES["mae"]


def mean_difference(n, *, seed=0):
    """The difference of two mean absolute errors of n users with one rating each."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(1, 6, n).astype(np.float64)
    one = truth + rng.normal(0, 0.9, n)
    other = one + rng.normal(0.02, 0.3, n)
    sums = ScoreSums(truth, [[one], [other]], Groups.of(np.arange(n), None), MAE)
    return np.abs(one - truth) - np.abs(other - truth), sums.estimate(0, minus=1)


def answer(found, margin):
    """Compare one pair of models."""
    return answer_pairs([("one", "other", found)], margin=margin)[0]


def normal(value, error):
    """An estimate that is normal: its standard error is known."""
    return Uncertain(
        value=value,
        parts=VarianceParts(users=error**2),
        degrees_of_freedom=math.inf,
        two_way_ratio=None,
    )


@pytest.mark.parametrize("seed", range(5))
def test_the_two_way_variance_is_that_of_statsmodels(seed):
    linear = pytest.importorskip("statsmodels.regression.linear_model")
    sandwich = pytest.importorskip("statsmodels.stats.sandwich_covariance")
    # Each of 40 users rates 12 of 24 titles, each title has 20 ratings: for groups of
    # equal size both correct for their number by G / (G - 1).
    users, place = np.divmod(np.arange(40 * 12), 12)
    titles = (users + 2 * place) % 24
    rng = np.random.default_rng(seed)
    truth = rng.integers(1, 6, len(users)).astype(np.float64)
    one = truth + rng.normal(0, 0.9, len(users))
    other = one + rng.normal(0, 0.4, 24)[titles] + rng.normal(0, 0.2, 40)[users]
    gain = np.abs(one - truth) - np.abs(other - truth)
    fitted = linear.OLS(gain, np.ones(len(gain))).fit()
    both, of_users, _ = sandwich.cov_cluster_2groups(fitted, users, titles)
    sums = ScoreSums(truth, [[one], [other]], Groups.of(users, titles), MAE)
    found = sums.estimate(0, minus=1)
    assert found.value == pytest.approx(fitted.params[0], rel=1e-12)
    assert found.parts.users == pytest.approx(of_users.item(), rel=1e-12)
    two_way = found.parts.users * found.two_way_ratio**2
    assert two_way == pytest.approx(both.item(), rel=1e-9)


def test_interval_and_two_one_sided_tests_are_those_of_statsmodels():
    weighted = pytest.importorskip("statsmodels.stats.weightstats")
    answers = set()
    for seed in range(20):
        gain, found = mean_difference(50, seed=seed)
        theirs, pair = weighted.DescrStatsW(gain), answer(found, margin=0.1)
        ends = (pair.difference.low, pair.difference.high)
        assert ends == pytest.approx(theirs.tconfint_mean(0.05), rel=1e-9)
        assert pair.p_difference == pytest.approx(theirs.ttest_mean()[1], rel=1e-9)
        # Within the interval of 95 % both one-sided tests are at 2.5 %.
        tost = theirs.ttost_mean(-0.1, 0.1)[0]
        assert pair.p_equivalent == pytest.approx(min(1, 2 * tost), rel=1e-9)
        assert (pair.answer == "equivalent") == (tost < 0.025)
        answers.add(pair.answer)
    assert answers == {"equivalent", "undecided"}


def test_what_is_called_different_is_what_holm_rejects():
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    rng, n_rejected = np.random.default_rng(0), set()
    for _ in range(200):
        values = rng.normal(0, 2, 6)
        pairs = answer_pairs([(str(v), "0", normal(v, 1.0)) for v in values], margin=0)
        p_values = [2 * _upper_tail(abs(v)) for v in values]
        rejected = multitest.multipletests(p_values, 0.05, method="holm")[0]
        assert [p.answer != "undecided" for p in pairs] == rejected.tolist()
        n_rejected.add(int(rejected.sum()))
    assert len(n_rejected) > 3


def _upper_tail(z):
    return 0.5 * math.erfc(z / math.sqrt(2))


def test_power_and_number_of_users_are_those_of_statsmodels():
    power = pytest.importorskip("statsmodels.stats.power")
    gain, found = mean_difference(400)
    sd = gain.std(ddof=1)
    pair = answer(found, margin=0.02)
    asked = {"alpha": 0.05, "power": 0.8, "alternative": "two-sided"}
    exact = power.TTestPower()
    # t quantiles for the noncentral t of the exact power: within 0.1 % of 400 users.
    theirs = exact.solve_power(nobs=400, **asked) * sd
    assert pair.detectable == pytest.approx(theirs, rel=1e-3)
    needed = exact.solve_power(effect_size=0.02 / sd, **asked)
    assert users_to_detect(pair, n_users=400) == pytest.approx(needed, rel=0.01)
    few, found = mean_difference(20)
    theirs = exact.solve_power(nobs=20, **asked) * few.std(ddof=1)
    assert answer(found, margin=0.02).detectable == pytest.approx(theirs, rel=0.01)


def test_probabilities_over_splits_are_those_of_baycomp():
    baycomp = pytest.importorskip("baycomp")
    rng = np.random.default_rng(1)
    one, other = rng.normal(0.9, 0.01, 10), rng.normal(0.905, 0.01, 10)
    # Of an error baycomp's first is better where its difference to the second is higher.
    theirs = baycomp.CorrelatedTTest.probs(other, one, rope=0.005, runs=2)
    # Five folds, twice: the test part has a fifth.
    scores = {"one": one.tolist(), "other": other.tolist()}
    (pair,) = compare_repeats(scores, test_share=0.2, margin=0.005)
    ours = pair.probability
    assert (ours.worse, ours.equivalent, ours.better) == pytest.approx(theirs[::-1])


@pytest.mark.parametrize(("n_models", "n_data_sets"), [(3, 5), (6, 20)])
def test_the_critical_difference_is_that_of_autorank(n_models, n_data_sets):
    autorank = pytest.importorskip("autorank")
    pd = pytest.importorskip("pandas")
    scores = np.random.default_rng(0).random((n_data_sets, n_models))
    theirs = autorank.autorank(pd.DataFrame(scores), force_mode="nonparametric")
    assert critical_difference(n_models, n_data_sets) == pytest.approx(
        theirs.cd, rel=1e-4
    )
