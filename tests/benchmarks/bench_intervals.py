"""Do the intervals hold what they promise? Coverage, false alarms and power by simulation.

usage: python tests/benchmarks/bench_intervals.py [DATA_SETS]

Every simulated test set has users who differ in how many ratings they give and in how
well they can be predicted, so that ratings of one user are not independent.
"""

import sys

import numpy as np

from harness.data.ratings import Ratings, RatingScale
from harness.evaluation.intervals import UserBootstrap

N_USERS = 943
SCALE = RatingScale(-20, 20)
# A user's errors have a standard deviation of their own, and a bias of their own.
SPREAD_OF_USERS = 0.25
BIAS = 0.2


def simulate(rng, n_users):
    """Test ratings of zero, and the errors of a model whose true RMSE is known."""
    counts = rng.geometric(1 / 20, n_users)
    users = np.repeat(np.arange(n_users), counts)
    sd = 0.9 * np.exp(rng.normal(0, SPREAD_OF_USERS, n_users))
    bias = rng.normal(0, BIAS, n_users)
    errors = bias[users] + sd[users] * rng.normal(size=len(users))
    ratings = Ratings.from_columns(
        users.astype(str),
        np.arange(len(users)).astype(str),
        np.zeros(len(users)),
        scale=SCALE,
    )
    return ratings, errors


def true_rmse():
    """Mean square = E[sd^2] + E[bias^2], whatever the number of ratings of a user."""
    return float(np.sqrt(0.81 * np.exp(2 * SPREAD_OF_USERS**2) + BIAS**2))


def coverage(n_data_sets, n_users=N_USERS, seed=0):
    """Share of data sets whose interval of the RMSE contains the truth."""
    rng = np.random.default_rng(seed)
    hits = 0
    for k in range(n_data_sets):
        ratings, errors = simulate(rng, n_users)
        bootstrap = UserBootstrap(ratings, n_resamples=1000, seed=k)
        estimate = bootstrap.metrics([errors])["rmse"]
        hits += estimate.low <= true_rmse() <= estimate.high
    return hits / n_data_sets


def detections(n_data_sets, shift, n_users=N_USERS, seed=1):
    """Share of data sets in which two models are declared different.

    Both share most of their errors, as two refits of one family do; the second one's
    are larger by so many stars of RMSE.
    """
    rng = np.random.default_rng(seed)
    found = 0
    for k in range(n_data_sets):
        ratings, errors = simulate(rng, n_users)
        noise = 0.1 * rng.normal(size=(2, len(errors)))
        factor = 1 + shift / true_rmse()
        one, other = errors + noise[0], factor * errors + noise[1]
        bootstrap = UserBootstrap(ratings, n_resamples=1000, seed=k)
        _, p_value = bootstrap.difference([one], [other])
        found += p_value < 0.05
    return found / n_data_sets


if __name__ == "__main__":
    n = int(sys.argv[1]) if sys.argv[1:] else 1000
    print(f"95 % intervals cover the truth in {coverage(n):.1%} of {n} data sets")
    print(f"equal models are declared different in {detections(n, 0.0):.1%}")
    print(f"a difference of 0.02 stars is found in {detections(n, 0.02):.1%}")
