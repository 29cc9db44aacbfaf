"""Do the intervals hold what they promise? Coverage, false alarms and power by simulation.

usage: python tests/benchmarks/bench_intervals.py [DATA_SETS]

Every simulated test set has users who differ in how many ratings they give and in how
well they can be predicted, so that ratings of one user are not independent; every model
is fitted with three seeds. For the false alarms of real models ratings are simulated,
and SVD is fitted to them twice, with three seeds each time.
"""

import math
import sys
import time

import numpy as np
import scipy.stats
from scipy.special import ndtr

from harness.data.catalogue import Catalogue
from harness.data.ratings import Ratings, RatingScale
from harness.evaluation.dependence import ScoreIntervals
from harness.evaluation.statistics import Uncertainty, seed_spread
from harness.models.baseline.model import Baseline
from harness.models.svd.model import SVD

N_USERS = 943
N_PAIRS = 20_000
N_SEEDS = 3
SCALE = RatingScale(-20, 20)
# A user's errors have a standard deviation of their own, and a bias of their own.
SPREAD_OF_USERS = 0.25
BIAS = 0.2
# Part of the errors that models do not share, and part that seeds do not. The errors of
# two models, 0.94 stars all in all, correlate by 0.97, those of two seeds by 0.98. On
# ml-100k: 0.96-0.98 between tuned svd, default svd, cf and baseline, and 0.96-0.99
# between seeds of svd.
OF_MODEL, OF_SEED = 0.1, 0.13
# By what share a seed's errors are larger or smaller, for all users: 0.0009 stars. On
# ml-100k, RMSEs of 8 seeds of svd have a standard deviation of 0.0005-0.0015 in all.
SEED_EFFECT = 0.001
# As large as what the draw of users does to the RMSE.
LARGE_SEED_EFFECT = 0.015


def simulate(rng, n_users, n_pairs):
    """Test ratings, and the errors that all models share."""
    activity = rng.dirichlet(np.ones(n_users))
    counts = 1 + rng.multinomial(n_pairs - n_users, activity)
    users = np.repeat(np.arange(n_users), counts)
    sd = 0.85 * np.exp(rng.normal(0, SPREAD_OF_USERS, n_users))
    errors = rng.normal(0, BIAS, n_users)[users] + sd[users] * rng.normal(size=n_pairs)
    pairs = np.arange(n_pairs)
    ratings = Ratings.from_codes(
        (users, np.arange(n_users).astype(str).astype(object)),
        (pairs, pairs.astype(str).astype(object)),
        3.5 + rng.normal(size=n_pairs),
        scale=SCALE,
    )
    return ratings, errors


def predict(rng, ratings, errors, *, seed_effect=SEED_EFFECT, factor=1.0, random=True):
    """Predictions for each seed, or the one; the true RMSE is so many times larger."""
    own = errors + OF_MODEL * rng.normal(size=len(errors))
    effects = seed_effect * rng.normal(size=N_SEEDS) if random else np.zeros(1)
    return [
        ratings.values
        + factor * (1 + effect) * (own + OF_SEED * rng.normal(size=len(errors)))
        for effect in effects
    ]


def truth(seed_effect, n_users=400_000):
    """The metrics of a model on all users and seeds, from the distribution of errors.

    Errors of a user are normal, so each metric has a closed form, given the user.
    """
    rng = np.random.default_rng(0)
    own = 0.85 * np.exp(rng.normal(0, SPREAD_OF_USERS, n_users))
    size = 1 + seed_effect * rng.normal(size=n_users)
    sd = size * np.sqrt(own**2 + OF_MODEL**2 + OF_SEED**2)
    mean = size * rng.normal(0, BIAS, n_users)
    z = mean / sd
    folded = sd * np.sqrt(2 / np.pi) * np.exp(-(z**2) / 2) + mean * (1 - 2 * ndtr(-z))
    # E[size] = 1: the RMSE of a seed is proportional to its size.
    mean_square = unit_rmse() ** 2
    return {
        "rmse": unit_rmse(),
        "mae": folded.mean(),
        "r2": 1 - mean_square * (1 + seed_effect**2),
        "within_half_star": (ndtr((0.5 - mean) / sd) - ndtr((-0.5 - mean) / sd)).mean(),
        "within_one_star": (ndtr((1 - mean) / sd) - ndtr((-1 - mean) / sd)).mean(),
    }


def unit_rmse():
    """Mean square = E[sd^2] + E[bias^2] + ..., whatever a user's number of ratings."""
    of_users = 0.85**2 * np.exp(2 * SPREAD_OF_USERS**2) + BIAS**2
    return float(np.sqrt(of_users + OF_MODEL**2 + OF_SEED**2))


def pairs_of(n_users):
    """As many ratings of a user as with all the users."""
    return round(n_users * N_PAIRS / N_USERS)


def coverage(n_data_sets, n_users=N_USERS, seed_effect=SEED_EFFECT, seed=0):
    """Number of data sets whose interval contains the truth, for each metric."""
    rng = np.random.default_rng(seed)
    true = truth(seed_effect)
    hits = dict.fromkeys(true, 0)
    for _ in range(n_data_sets):
        ratings, errors = simulate(rng, n_users, pairs_of(n_users))
        intervals = ScoreIntervals(ratings)
        predictions = predict(rng, ratings, errors, seed_effect=seed_effect)
        found = intervals.metrics(predictions)
        for name, value in true.items():
            hits[name] += found[name].low <= value <= found[name].high
    return hits


def compare(
    n_data_sets, shift, *, n_users=N_USERS, seed_effect=SEED_EFFECT, random=True
):
    """Number of data sets in which two models are declared different, and covered.

    The second one's RMSE is larger by so many stars, and it may be without randomness.
    """
    rng = np.random.default_rng(1)
    factor = 1 + shift / unit_rmse()
    found = covered = 0
    for _ in range(n_data_sets):
        ratings, errors = simulate(rng, n_users, pairs_of(n_users))
        one, other = (
            predict(
                rng,
                ratings,
                errors,
                seed_effect=seed_effect,
                factor=times,
                random=draws,
            )
            for times, draws in ((1, True), (factor, random))
        )
        intervals = ScoreIntervals(ratings)
        estimate, p_value = difference_of(intervals, one, other)
        found += p_value < 0.05
        covered += estimate.low <= -shift <= estimate.high
    return found, covered


def difference_of(intervals, one, other):
    found = intervals.sums([one, other]).estimate(0, minus=1)
    return found.interval(0.95), found.uncertainty.p_value(found.value)


def simulate_ratings(rng, n_users=200, n_items=80, n_ratings=4000):
    """Ratings from biases, two factors and noise, in a training and a test part."""
    pairs = rng.choice(n_users * n_items, size=n_ratings, replace=False)
    users, items = np.divmod(pairs, n_items)
    tastes, traits = rng.normal(size=(n_users, 2)), rng.normal(size=(n_items, 2))
    values = 3.5 + 0.5 * rng.normal(size=n_users)[users]
    values += 0.4 * rng.normal(size=n_items)[items]
    values += 0.3 * (tastes[users] * traits[items]).sum(axis=1)
    values += 0.8 * rng.normal(size=n_ratings)
    ratings = Ratings.from_codes(
        (users, np.arange(n_users).astype(str).astype(object)),
        (items, np.arange(n_items).astype(str).astype(object)),
        np.clip(np.round(values), 1, 5),
        scale=RatingScale(1, 5),
    )
    in_test = rng.random(n_ratings) < 0.25
    return ratings.take(~in_test), ratings.take(in_test)


def copies(n_data_sets, make, seeds=((0, 1, 2), (3, 4, 5)), seed=2):
    """Number of data sets in which two copies of a family are declared different.

    Also the number in which they are if the models are taken as given: the interval of
    the difference of two models with a single seed knows nothing of other seeds.
    """
    rng = np.random.default_rng(seed)
    found = found_without = 0
    for _ in range(n_data_sets):
        train, test = simulate_ratings(rng)
        one, other = (
            [
                make(s).fit(train, Catalogue.empty()).predict(test.users, test.items)
                for s in copy
            ]
            for copy in seeds
        )
        intervals = ScoreIntervals(test)
        found += difference_of(intervals, one, other)[1] < 0.05
        found_without += difference_of(intervals, one[:1], other[:1])[1] < 0.05
    return found, found_without


def p_values(n, seeds, shared, *, n_random=2, n_users=1000):
    """p-values of equal models by `seed_spread`.

    Variances are in units of what users make of the difference: `seeds` of what a seed
    adds for all users, `shared` of what it adds for these. Of two models `n_random` draw
    random numbers, with three seeds each.
    """
    rng = np.random.default_rng(3)
    base = rng.chisquare(n_users, n) / n_users
    of_seeds = rng.chisquare(N_SEEDS - 1, (n, n_random)) / (N_SEEDS - 1)
    of_seeds *= (seeds + shared) / N_SEEDS
    explained = n_random * shared / N_SEEDS
    values = math.sqrt(1 + n_random * seeds / N_SEEDS) * rng.normal(size=n)
    found = []
    for value, users, each in zip(values, base, of_seeds.tolist(), strict=True):
        between = [(variance, N_SEEDS - 1) for variance in each]
        added, freedom = seed_spread(users, n_users, between, explained)
        error = math.sqrt(users + added)
        known = Uncertainty(standard_error=error, degrees_of_freedom=freedom)
        found.append(known.p_value(value))
    return np.array(found)


def report(text, hits, n):
    """Print a share with the range that 95 % of such simulations stay in."""
    low, high = scipy.stats.binomtest(hits, n).proportion_ci()
    print(f"{text:<68} {hits / n:6.1%} [{low:.1%}, {high:.1%}]", flush=True)


def report_coverage(n):
    """Coverage of metrics, for few and many users, and for a large spread of seeds."""
    for name, hits in coverage(n).items():
        report(f"coverage, {N_USERS} users, {name}", hits, n)
    for n_users in (20, 50, 100, 200):
        hits = coverage(n, n_users=n_users)["rmse"]
        report(f"coverage, {n_users} users, rmse", hits, n)
    hits = coverage(n, seed_effect=LARGE_SEED_EFFECT)["rmse"]
    report(f"coverage, {N_USERS} users, rmse, seeds differ much", hits, n)


def report_comparisons(n):
    """False alarms, power and coverage of differences between models."""
    for words, effect in (
        ("", SEED_EFFECT),
        (", seeds differ much", LARGE_SEED_EFFECT),
    ):
        found, _ = compare(n, 0.0, seed_effect=effect)
        report(f"equal models declared different{words}", found, n)
        found, _ = compare(n, 0.0, seed_effect=effect, random=False)
        report(f"the same, one without randomness{words}", found, n)
    for n_users in (20, 50, 200):
        found, _ = compare(n, 0.0, n_users=n_users)
        report(f"equal models declared different, {n_users} users", found, n)
    for shift in (0.02, 0.01, 0.005):
        found, covered = compare(n, shift)
        report(f"difference of {shift} stars, {N_PAIRS:,} pairs: found", found, n)
        report(f"difference of {shift} stars, {N_PAIRS:,} pairs: covered", covered, n)


def report_copies(n):
    """False alarms of real families, fitted twice."""
    for n_factors in (10, 100):
        found, without = copies(n, lambda s, f=n_factors: SVD(n_factors=f, seed=s))
        words = f"svd, {n_factors} factors"
        report(f"{words}, seeds 0-2 and 3-5: declared different", found, n)
        report(f"{words}, one seed each, its spread unknown", without, n)
    found, _ = copies(n, lambda _: Baseline(), seeds=((0,), (0,)))
    report("baseline and itself: declared different", found, n)


def report_levels(n):
    """False alarms where seeds differ much, at the strict levels of many comparisons."""
    n *= 100
    for n_random, words in ((2, "two models with seeds"), (1, "one of them without")):
        found = [
            p_values(n, seeds, shared, n_random=n_random)
            for seeds in (1, 3, 10, 30, 100)
            for shared in (0, 0.5, 1)
        ]
        for level in (0.05, 0.001):
            most = max(np.count_nonzero(p < level) for p in found)
            print(f"{words}, p below {level}: at most {most / n:.2%}", flush=True)


if __name__ == "__main__":
    n_data_sets = int(sys.argv[1]) if sys.argv[1:] else 1000
    start = time.perf_counter()
    for part in (report_coverage, report_comparisons, report_copies, report_levels):
        part(n_data_sets)
    print(f"{n_data_sets} data sets each, {time.perf_counter() - start:.0f} s")
