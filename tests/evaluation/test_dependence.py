import numpy as np
import pytest

from harness.evaluation.clusters import Clusters, Groups
from harness.evaluation.dependence import SCORES, ScoreSums

RMSE = SCORES["rmse"]


def ratings(n=600, n_users=40, n_titles=25, seed=0):
    """Some pairs come up twice: a user may rate a title again."""
    rng = np.random.default_rng(seed)
    users, titles = rng.integers(0, n_users, n), rng.integers(0, n_titles, n)
    truth = rng.integers(1, 6, n).astype(np.float64)
    title_effect = rng.normal(0, 0.4, n_titles)[titles]
    one = truth + rng.normal(0, 0.9, n)
    other = one + title_effect + rng.normal(0, 0.3, n)
    return truth, one, other, users, titles


def explicit_variance(psi, groups):
    """Sum over groups of the squared sum, one group at a time, with its correction."""
    names = sorted(set(groups))
    sums = [sum(p for p, g in zip(psi, groups, strict=True) if g == a) for a in names]
    weights = np.array([sum(g == a for g in groups) for a in names]) / len(groups)
    kept = 1 - 2 * (weights**3).sum() / (weights**2).sum() + (weights**2).sum()
    return sum(s**2 for s in sums) / kept


@pytest.mark.parametrize("unique", [True, False])
def test_two_way_variance_is_that_of_cameron_gelbach_and_miller(unique):
    truth, one, other, users, titles = ratings()
    if unique:
        _, keep = np.unique(users * 25 + titles, return_index=True)
        truth, one, other = truth[keep], one[keep], other[keep]
        users, titles = users[keep], titles[keep]
    squares = [(p - truth) ** 2 for p in (one, other)]
    rmse = [np.sqrt(s.mean()) for s in squares]
    psi = sum(
        sign * (s - s.mean()) / (2 * r * len(truth))
        for sign, s, r in zip((1, -1), squares, rmse, strict=True)
    )
    pairs = list(zip(users.tolist(), titles.tolist(), strict=True))
    of_users = explicit_variance(psi, users.tolist())
    two_way = of_users + explicit_variance(psi, titles.tolist())
    two_way -= explicit_variance(psi, pairs)
    sums = ScoreSums(truth, [[one], [other]], Groups.of(users, titles), RMSE)
    found = sums.estimate(0, minus=1)
    assert found.value == pytest.approx(rmse[0] - rmse[1])
    assert found.parts.users == pytest.approx(of_users)
    assert found.parts.total == pytest.approx(two_way)
    assert found.two_way_ratio == pytest.approx(np.sqrt(two_way / of_users))
    assert two_way > 1.2 * of_users


def test_users_alone_agree_with_a_bootstrap_over_users():
    truth, one, other, users, _ = ratings(n=4000, n_users=200)
    rng = np.random.default_rng(1)
    rows_of = [np.flatnonzero(users == u) for u in range(200)]
    draws = []
    for _ in range(2000):
        rows = np.concatenate([rows_of[u] for u in rng.integers(0, 200, 200)])
        one_, other_ = ((p[rows] - truth[rows]) ** 2 for p in (one, other))
        draws.append(np.sqrt(one_.mean()) - np.sqrt(other_.mean()))
    sums = ScoreSums(truth, [[one], [other]], Groups.of(users, None), RMSE)
    # 2,000 draws know a standard deviation to 1.6 %.
    expected = sums.estimate(0, minus=1).uncertainty.standard_error
    assert np.std(draws) == pytest.approx(expected, rel=0.06)


def test_the_wider_of_the_two_variances_is_used():
    # Every user's errors are all of one size, whatever the title.
    users, titles = np.repeat(np.arange(50), 30), np.tile(np.arange(30), 50)
    truth = np.zeros(1500)
    one = np.random.default_rng(0).normal(1, 0.3, 50)[users]
    sums = ScoreSums(truth, [[one], [one * 2]], Groups.of(users, titles), RMSE)
    found = sums.estimate(0)
    assert found.two_way_ratio < 1
    assert found.parts.titles == 0
    assert found.degrees_of_freedom == pytest.approx(49)


def test_equal_groups_have_the_usual_correction():
    clusters = Clusters.of(np.repeat([7, 9, 30, 31], 5))
    assert clusters.correction == pytest.approx(4 / 3)
    assert clusters.n_effective == pytest.approx(4)


def test_unequal_groups_are_corrected_for_the_mean_that_is_theirs():
    # Group means are independent with variance 1; weights 1/2, 1/4, 1/4. The variance of
    # the mean is 3/8. Squared weighted residuals from the sample's mean add up, on
    # average, to 3/8 - 2 * (1/8 + 1/64 + 1/64) + (3/8)^2 = 13/64.
    clusters = Clusters.of(np.repeat([0, 1, 2], [4, 2, 2]))
    assert clusters.correction * 13 / 64 == pytest.approx(3 / 8)


def test_codes_are_grouped_like_the_names_they_stand_for():
    codes = np.array([4, 0, 2, 4, 4, 0])
    counted, sorted_ = Clusters.of(codes), Clusters.of(np.array(list("eaceea")))
    assert counted.codes.tolist() == sorted_.codes.tolist() == [2, 0, 1, 2, 2, 0]
    assert counted.sizes.tolist() == sorted_.sizes.tolist() == [2.0, 1.0, 3.0]


def test_chunks_do_not_change_the_variance(monkeypatch):
    truth, one, other, users, titles = ratings()
    _, keep = np.unique(users * 25 + titles, return_index=True)

    def variance():
        models = [[one[keep]], [other[keep]]]
        groups = Groups.of(users[keep], titles[keep])
        sums = ScoreSums(truth[keep], models, groups, RMSE)
        return sums.estimate(0, minus=1).parts.total

    whole = variance()
    monkeypatch.setattr("harness.evaluation.dependence._CHUNK_CELLS", 50)
    assert variance() == pytest.approx(whole, rel=1e-12)


def test_a_model_does_not_differ_from_itself():
    truth, one, _, users, titles = ratings()
    sums = ScoreSums(truth, [[one], [one]], Groups.of(users, titles), RMSE)
    found = sums.estimate(0, minus=1)
    assert found.value == 0
    assert found.uncertainty.standard_error < 1e-8


def test_seeds_that_differ_for_all_users_alike_widen_the_interval():
    # Errors of equal size: neither users nor titles vary, seeds do, by s^2 / S.
    users, titles = np.repeat(np.arange(30), 10), np.tile(np.arange(10), 30)
    sizes = np.array([0.9, 1.0, 1.1])
    models = [[np.full(300, size) for size in sizes], [np.ones(300)]]
    sums = ScoreSums(np.zeros(300), models, Groups.of(users, titles), RMSE)
    found = sums.estimate(0, minus=1)
    assert found.parts.seeds == pytest.approx(0.1**2 / 3)
    assert found.parts.users == pytest.approx(0)
    assert found.degrees_of_freedom == pytest.approx(2)


def test_the_covariance_has_the_variances_of_the_estimates():
    truth, one, other, users, titles = ratings()
    sums = ScoreSums(truth, [[one], [other]], Groups.of(users, titles), RMSE)
    covariance = sums.covariance([0, 1])
    difference = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    assert difference == pytest.approx(sums.estimate(0, minus=1).parts.total)


def test_mae_is_a_mean_of_absolute_errors():
    truth, one, other, users, _ = ratings()
    sums = ScoreSums(truth, [[one], [other]], Groups.of(users, None), SCORES["mae"])
    assert sums.scores == pytest.approx(
        [np.abs(one - truth).mean(), np.abs(other - truth).mean()]
    )
    psi = np.abs(one - truth) - np.abs(one - truth).mean()
    expected = explicit_variance(psi / len(truth), users.tolist())
    assert sums.estimate(0).parts.total == pytest.approx(expected)
